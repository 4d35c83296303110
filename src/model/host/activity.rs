//! What a host is needed for at this moment: who is connected to it, and what works on it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

/// What was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Activity {
    /// Established TCP connections, without the one that asked; `None`: they could not be read.
    pub(crate) connections: Option<Vec<Connection>>,
    /// The ports that somebody listens at.
    pub(crate) listening: BTreeSet<u16>,
    /// Programs at work, in words.
    pub(crate) work: BTreeSet<String>,
    /// The host's own clock.
    pub(crate) clock: Option<Timestamp>,
    /// How often it has been asleep since it was started.
    pub(crate) sleeps: Option<u64>,
    /// What systemd starts next; `None`: not known, or there is no systemd.
    pub(crate) timers: Option<Vec<Timer>>,
    /// What the configured command said.
    pub(crate) command: Option<Answer>,
}

/// A timer of systemd's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) unit: String,
    /// By the host's clock.
    pub(crate) next: Timestamp,
    pub(crate) last: Option<Timestamp>,
}

/// How the configured command ended, and the first line that it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u8,
    pub(crate) line: String,
}

/// The timers in `systemctl list-timers --output=json`; `None`: it is something else, or it was cut off. Those without a
/// next time are left out.
pub(crate) fn timers_of(json: &str) -> Option<Vec<Timer>> {
    #[derive(serde::Deserialize)]
    struct Row {
        next: Option<u64>,
        last: Option<u64>,
        unit: Option<String>,
    }
    let at = |micros: Option<u64>| {
        let micros = i64::try_from(micros?).ok().filter(|micros| *micros > 0)?;
        Timestamp::from_microsecond(micros).ok()
    };
    let rows: Vec<Row> = serde_json::from_str(json).ok()?;
    let timer = |row: Row| Some(Timer { unit: row.unit?, next: at(row.next)?, last: at(row.last) });
    Some(rows.into_iter().filter_map(timer).collect())
}

/// Connections from one address to one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) port: u16,
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
}

/// Ports at which a connection counts as use of the host unless configured otherwise, and the service's name.
const PORTS: [(u16, &str); 16] = [
    (21, "FTP"),
    (22, "SSH"),
    (139, "SMB"),
    (445, "SMB"),
    (548, "AFP"),
    (873, "rsync"),
    (2049, "NFS"),
    (3128, "SPICE"),
    (3260, "iSCSI"),
    (3389, "RDP"),
    (5900, "VNC"),
    (8007, "Proxmox Backup Server"),
    (8096, "Jellyfin"),
    (8200, "DLNA"),
    (8920, "Jellyfin"),
    (32400, "Plex"),
];

/// Whose connections count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counted<'c> {
    /// The services that the configuration names, by their ports.
    pub(crate) services: BTreeMap<u16, &'c str>,
    /// More ports that count, and ports that do not.
    pub(crate) ports: &'c [u16],
    pub(crate) ignored: &'c [u16],
    /// The host's own addresses: its connections to itself do not count.
    pub(crate) own: &'c [IpAddr],
    /// From where ecobox asks; its own connections to the port of SSH do not count.
    pub(crate) asked_from: Option<IpAddr>,
}

impl Activity {
    /// What the host is needed for, in words: `SMB from 10.0.0.5 and 2 more`, `a package manager at work`.
    pub(crate) fn reasons(&self, counted: &Counted<'_>) -> Vec<String> {
        let connected = self.connected(counted).into_iter().map(|(name, from)| format!("{name} from {}", some(&from)));
        connected.chain(self.work.iter().map(|what| format!("{what} at work"))).collect()
    }

    /// The same of connections, one by one: what it is at each look, and in words.
    pub(crate) fn uses(&self, counted: &Counted<'_>) -> Vec<(String, String)> {
        let each = |(name, from): (String, BTreeSet<IpAddr>)| {
            if from.len() > NAMED {
                return vec![(format!("{name} from many addresses"), format!("{name} from {}", some(&from)))];
            }
            let one = |ip: &IpAddr| format!("{name} from {ip}");
            from.iter().map(|ip| (one(ip), one(ip))).collect()
        };
        self.connected(counted).into_iter().flat_map(each).collect()
    }

    /// The connections that count: by the service's name, from which addresses.
    fn connected(&self, counted: &Counted<'_>) -> BTreeMap<String, BTreeSet<IpAddr>> {
        let mut by: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for connection in self.connections.iter().flatten().filter(|one| self.listening.contains(&one.port)) {
            let Connection { port, remote, .. } = connection;
            let Some(name) = counted.name_of(*port) else { continue };
            let is_own = remote.is_loopback() || counted.own.contains(remote) || connection.local == *remote;
            let is_ecobox = *port == 22 && counted.asked_from == Some(*remote);
            if !is_own && !is_ecobox {
                by.entry(name).or_default().insert(*remote);
            }
        }
        by
    }
}

impl Counted<'_> {
    /// What a connection to this port is a use of; `None`: it does not count.
    fn name_of(&self, port: u16) -> Option<String> {
        if self.ignored.contains(&port) {
            return None;
        }
        let known = || PORTS.iter().find(|(known, _)| *known == port).map(|(_, name)| (*name).to_owned());
        let given = || self.ports.contains(&port).then(|| format!("port {port}"));
        self.services.get(&port).map(|name| (*name).to_owned()).or_else(known).or_else(given)
    }

    /// All ports that count: connections to others are not reported.
    pub(crate) fn all_ports(&self) -> BTreeSet<u16> {
        let known = PORTS.iter().map(|(port, _)| *port);
        let all = known.chain(self.services.keys().copied()).chain(self.ports.iter().copied());
        all.filter(|port| !self.ignored.contains(port)).collect()
    }
}

/// More addresses than these are counted, not named.
const NAMED: usize = 3;

/// `10.0.0.5, 10.0.0.6 and 3 more`
fn some(addresses: &BTreeSet<IpAddr>) -> String {
    let names: Vec<String> = addresses.iter().take(NAMED).map(ToString::to_string).collect();
    let more = addresses.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

/// An address as the kernel prints it: words of 32 bits, in the order of bytes of the machine, which is the little one
/// wherever Proxmox VE and Debian's common ports run.
pub(crate) fn address(hex: &str) -> Option<IpAddr> {
    let word = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_le_bytes());
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(hex)?))),
        32 => {
            let mut bytes = [0; 16];
            for (place, into) in bytes.chunks_mut(4).enumerate() {
                into.copy_from_slice(&word(hex.get(place * 8..place * 8 + 8)?)?);
            }
            let ip = Ipv6Addr::from(bytes);
            Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_words_of_the_machine() {
        for (hex, want) in [
            ("0A00620A", Some("10.98.0.10")),
            ("0100007F", Some("127.0.0.1")),
            ("00000000000000000000000001000000", Some("::1")),
            ("0000000000000000FFFF00000A00620A", Some("10.98.0.10")),
            ("000080FE00000000FF005450B6AD1DFE", Some("fe80::5054:ff:fe1d:adb6")),
            ("", None),
            ("0A00", None),
            ("ZZ00620A", None),
        ] {
            assert_eq!(address(hex), want.map(ip), "{hex}");
        }
    }

    #[test]
    fn only_connections_to_services_from_elsewhere_are_a_use() {
        let connection = |port, remote: &str| Connection { port, local: ip("10.0.0.2"), remote: ip(remote) };
        let activity = Activity {
            connections: Some(vec![
                connection(445, "10.0.0.5"),
                connection(445, "10.0.0.6"),
                connection(139, "10.0.0.5"),
                connection(8080, "10.0.0.7"),
                connection(9000, "10.0.0.7"),
                // Outgoing: nothing listens there.
                connection(2049, "10.0.0.9"),
                connection(32400, "127.0.0.1"),
                connection(32400, "10.0.0.2"),
                connection(32400, "192.168.1.2"),
                connection(22, "10.0.0.1"),
                connection(22, "10.0.0.8"),
            ]),
            listening: [22, 139, 445, 8080, 9000, 32400].into(),
            work: ["restic".to_owned()].into(),
            ..Activity::default()
        };
        let own = [ip("192.168.1.2")];
        let services = BTreeMap::from([(8080, "media")]);
        let counted = Counted { services, own: &own, asked_from: Some(ip("10.0.0.1")), ..Counted::default() };
        assert_eq!(
            activity.reasons(&counted),
            ["SMB from 10.0.0.5, 10.0.0.6", "SSH from 10.0.0.8", "media from 10.0.0.7", "restic at work"]
        );
        assert_eq!(Activity::default().reasons(&counted), [""; 0]);
        let counted = Counted { ports: &[9000, 445], ignored: &[445, 8080], ..counted };
        assert_eq!(
            activity.reasons(&counted),
            ["SMB from 10.0.0.5", "SSH from 10.0.0.8", "port 9000 from 10.0.0.7", "restic at work"]
        );
        let ports = counted.all_ports();
        assert!(ports.contains(&9000) && ports.contains(&22) && !ports.contains(&445) && !ports.contains(&8080));
    }
}
