//! Which guest has a number: a vmid is given to another one once it is free.

use std::fmt;

/// What makes a guest the one it is, whatever its number and name: a vmid is given to another guest once it is free.
///
/// `uuid:…` of a virtual machine's `smbios1`, or of one without it `net0:…`, its address; `net0:… rootfs:…`, address and
/// volume, of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GuestIdentity(String);

impl GuestIdentity {
    /// One that was written before.
    pub(crate) fn new(text: &str) -> GuestIdentity {
        GuestIdentity(text.to_owned())
    }

    /// `uuid` is `smbios1`'s. `None` where there is neither.
    pub(crate) fn of_vm(uuid: Option<&str>, hwaddr: Option<&str>) -> Option<GuestIdentity> {
        let uuid = uuid.map(|uuid| format!("uuid:{}", uuid.to_ascii_lowercase()));
        uuid.or_else(|| hwaddr.map(net0)).map(GuestIdentity)
    }

    /// `None` where there is neither; one alone is better than nothing.
    pub(crate) fn of_container(hwaddr: Option<&str>, rootfs: Option<&str>) -> Option<GuestIdentity> {
        let net0 = hwaddr.map(net0);
        let rootfs = rootfs.map(|volume| format!("rootfs:{volume}"));
        let parts: Vec<String> = net0.into_iter().chain(rootfs).collect();
        (!parts.is_empty()).then(|| GuestIdentity(parts.join(" ")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are of one guest. A container that is recreated under a number often gets a volume of the same
    /// name: where both have an address, it decides.
    pub(crate) fn is_same(&self, other: &GuestIdentity) -> bool {
        let address =
            |identity: &GuestIdentity| identity.0.split(' ').find(|part| part.starts_with("net0:")).map(str::to_owned);
        match (address(self), address(other)) {
            (Some(one), Some(two)) => one == two,
            _ => self == other,
        }
    }
}

fn net0(hwaddr: &str) -> String {
    format!("net0:{}", hwaddr.to_ascii_lowercase())
}

impl fmt::Display for GuestIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        for (uuid, hwaddr, want) in [
            (Some("3562338D-CDFB"), Some("BC:24:11:00:02:01"), Some("uuid:3562338d-cdfb")),
            (None, Some("BC:24:11:00:02:01"), Some("net0:bc:24:11:00:02:01")),
            (None, None, None),
        ] {
            assert_eq!(GuestIdentity::of_vm(uuid, hwaddr).as_ref().map(GuestIdentity::as_str), want);
        }
        for (hwaddr, rootfs, want) in [
            (Some("BC:24:11:00:02:01"), Some("local:201/a.raw"), Some("net0:bc:24:11:00:02:01 rootfs:local:201/a.raw")),
            (None, Some("local:201/a.raw"), Some("rootfs:local:201/a.raw")),
            (None, None, None),
        ] {
            let identity = GuestIdentity::of_container(hwaddr, rootfs);
            assert_eq!(identity.as_ref().map(GuestIdentity::as_str), want);
            assert_eq!(identity.as_ref().map(|one| GuestIdentity::new(one.as_str())), identity);
        }
    }

    #[test]
    fn a_container_is_known_by_its_address() {
        for (one, two, same) in [
            ("uuid:a", "uuid:a", true),
            ("uuid:a", "uuid:b", false),
            ("net0:aa rootfs:x", "net0:aa rootfs:y", true),
            ("net0:aa rootfs:x", "net0:bb rootfs:x", false),
            ("rootfs:x", "net0:aa rootfs:x", false),
            ("rootfs:x", "rootfs:x", true),
        ] {
            assert_eq!(GuestIdentity::new(one).is_same(&GuestIdentity::new(two)), same, "{one}, {two}");
        }
    }
}
