//! Which machine something is: ecobox may run on the one that it is to put to sleep, or be reached through it.

use std::net::IpAddr;

/// Which machine something is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) machine_id: Option<String>,
    pub(crate) boot_id: Option<String>,
    pub(crate) product_uuid: Option<String>,
    /// Of its physical ports; lower case, with colons.
    pub(crate) macs: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    /// Who is logged in to it over SSH in the session that looked.
    pub(crate) ssh_client: Option<IpAddr>,
}

/// What a server is to the process that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Itself {
    /// The process runs on it.
    ThisMachine,
    /// The process runs in a container on it: the kernel is the same.
    KernelHost,
}

impl Identity {
    /// Whether another look saw the machine that this one saw.
    ///
    /// The boot id is the kernel's: a container has its host's. The machine id alone is no proof, for clones of one
    /// template share it; it counts where a boot id is missing. So do the ports' addresses.
    pub(crate) fn itself(&self, other: &Identity) -> Option<Itself> {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => Some(a.eq_ignore_ascii_case(b)),
            _ => None,
        };
        let machine = same(&self.machine_id, &other.machine_id);
        match same(&self.boot_id, &other.boot_id) {
            Some(true) if machine == Some(false) => return Some(Itself::KernelHost),
            Some(true) => return Some(Itself::ThisMachine),
            Some(false) => return None,
            None => {}
        }
        let uuid = same(&self.product_uuid, &other.product_uuid);
        let port = self.macs.iter().any(|mac| other.macs.contains(mac));
        let alike = uuid == Some(true) || port || (machine == Some(true) && uuid != Some(false));
        alike.then_some(Itself::ThisMachine)
    }

    /// Whether this machine is a guest with this SMBIOS UUID or one of these MACs: then the guest's host carries it.
    pub(crate) fn is_guest(&self, uuid: Option<&str>, macs: &[String]) -> bool {
        let by_uuid = uuid.zip(self.product_uuid.as_deref()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        by_uuid || macs.iter().any(|mac| self.macs.iter().any(|own| own.eq_ignore_ascii_case(mac)))
    }

    /// Whether the person at this machine came over SSH from a machine with these addresses.
    pub(crate) fn came_from(&self, addresses: &[IpAddr]) -> bool {
        self.ssh_client.is_some_and(|client| !client.is_loopback() && addresses.contains(&client))
    }
}

/// Whether a way that leads through these jump hosts leads through the server that is known by these names and
/// addresses.
pub(crate) fn is_jump_host(names: &[&str], addresses: &[IpAddr], jumps: &[&str]) -> bool {
    jumps.iter().any(|jump| {
        let bare = jump.trim_start_matches('[').trim_end_matches(']');
        let by_name = names.iter().any(|name| !name.is_empty() && name.eq_ignore_ascii_case(bare));
        by_name || bare.parse().is_ok_and(|ip| addresses.contains(&ip))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(machine: &str, boot: &str, uuid: &str, mac: &str) -> Identity {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Identity {
            machine_id: some(machine),
            boot_id: some(boot),
            product_uuid: some(uuid),
            macs: some(mac).into_iter().collect(),
            ..Identity::default()
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        use Itself::*;
        let here = identity("m1", "b1", "u1", "aa:01");
        for (there, want) in [
            (("m1", "b1", "u1", "aa:01"), Some(ThisMachine)),
            // A container's host.
            (("m2", "b1", "", ""), Some(KernelHost)),
            (("", "b1", "", ""), Some(ThisMachine)),
            // Clones of one template.
            (("m1", "b2", "u2", "aa:02"), None),
            (("m1", "", "u2", "aa:02"), None),
            (("m1", "", "", ""), Some(ThisMachine)),
            (("", "", "U1", ""), Some(ThisMachine)),
            (("m2", "", "", "aa:01"), Some(ThisMachine)),
            (("m2", "b2", "", "aa:01"), None),
            (("", "", "", ""), None),
        ] {
            let (machine, boot, uuid, mac) = there;
            assert_eq!(here.itself(&identity(machine, boot, uuid, mac)), want, "{there:?}");
        }
        assert_eq!(Identity::default().itself(&Identity::default()), None);
    }

    #[test]
    fn a_guest_and_a_client_are_recognised() {
        let here = identity("m", "b", "ABCD", "aa:01");
        assert!(here.is_guest(Some("abcd"), &[]) && here.is_guest(None, &["AA:01".to_owned()]));
        assert!(!here.is_guest(Some("x"), &["aa:02".to_owned()]) && !here.is_guest(None, &[]));
        assert!(!Identity::default().is_guest(Some("x"), &["aa:01".to_owned()]));
        let ip: IpAddr = "10.0.0.5".parse().unwrap();
        let from = |client: &str| Identity { ssh_client: client.parse().ok(), ..Identity::default() };
        assert!(from("10.0.0.5").came_from(&[ip]) && !from("10.0.0.6").came_from(&[ip]) && !from("").came_from(&[ip]));
        assert!(!from("127.0.0.1").came_from(&["127.0.0.1".parse().unwrap()]));
    }

    #[test]
    fn jump_hosts_are_recognised_by_name_and_by_address() {
        let ip: IpAddr = "192.168.1.1".parse().unwrap();
        for (jumps, want) in [
            (&["gate"][..], true),
            (&["other", "GATE"], true),
            (&["192.168.1.1"], true),
            (&["[fe80::1]"], false),
            (&["gates"], false),
            (&[], false),
        ] {
            assert_eq!(is_jump_host(&["gate", ""], &[ip], jumps), want, "{jumps:?}");
        }
    }
}
