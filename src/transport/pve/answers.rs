//! The smaller answers: versions, permissions, nodes, addresses.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::de::{Deserialize, Deserializer, MapAccess};

use crate::model::access::scope::Permissions;
use crate::model::access::trust::Fingerprint;
use crate::model::id::NodeName;
use crate::model::inventory::server::Address;
use crate::model::text::LONGEST_NAME;

use super::lenient::{Entries, Entry, Record, Rows, Told, Value, mac, skip};
use super::wire::online;

/// What `/version` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "PVE's names")]
pub(crate) struct Version {
    /// pve-manager's, e.g. `9.2.11`.
    pub(crate) version: String,
    /// e.g. `9.2`.
    pub(crate) release: String,
    /// The commit it was built from.
    pub(crate) repoid: String,
}

impl Version {
    /// The major version: 7, 8, 9.
    pub(crate) fn major(&self) -> Option<u32> {
        self.version.split(['.', '-']).next()?.parse().ok()
    }
}

impl<'de> Record<'de> for Version {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "version" => &mut self.version,
            "release" => &mut self.release,
            "repoid" => &mut self.repoid,
            _ => return skip(map),
        };
        *field = map.next_value::<Value<'_>>()?.name_string().unwrap_or_default();
        Ok(())
    }
}

/// A node and the certificate that the cluster knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeCertificate {
    pub(crate) name: NodeName,
    /// `None`: neither `online` nor `offline`, as just after the node's start.
    pub(crate) online: Option<bool>,
    /// SHA-256 of the certificate; `None` where the cluster does not know it.
    pub(crate) fingerprint: Option<Fingerprint>,
}

#[derive(Default)]
pub(super) struct NodeRow<'a> {
    node: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    fingerprint: Option<Cow<'a, str>>,
}

impl<'de> Record<'de> for NodeRow<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "node" => self.node = map.next_value::<Value<'_>>()?.text(),
            "status" => self.status = map.next_value::<Value<'_>>()?.text(),
            "ssl_fingerprint" => self.fingerprint = map.next_value::<Value<'_>>()?.text(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// `/nodes`.
#[derive(Default)]
pub(super) struct Nodes(pub(super) Vec<NodeCertificate>);

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Rows(rows) = Rows::<NodeRow<'de>>::deserialize(deserializer)?;
        let usable = rows.into_iter().filter_map(|row| {
            let fingerprint = row.fingerprint.and_then(|text| text.parse().ok());
            Some(NodeCertificate { name: row.node?.parse().ok()?, online: online(row.status.as_deref()), fingerprint })
        });
        Ok(Nodes(usable.collect()))
    }
}

/// A row of `/cluster/status`.
#[derive(Default)]
pub(super) struct ClusterRow<'a> {
    name: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    local: bool,
}

impl<'de> Record<'de> for ClusterRow<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value::<Value<'_>>()?.text(),
            "type" => self.kind = map.next_value::<Value<'_>>()?.text(),
            "local" => self.local = map.next_value::<Value<'_>>()?.flag() == Some(true),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The node that calls itself the one that answers, by `/cluster/status`.
pub(super) struct LocalNode(pub(super) Option<NodeName>);

impl<'de> Deserialize<'de> for LocalNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = Entries::<ClusterRow<'de>>::deserialize(deserializer)?;
        let mut local = rows.list.into_iter().filter(|row| row.local && row.kind.as_deref() == Some("node"));
        match (local.next(), local.next()) {
            (Some(row), None) => Ok(LocalNode(row.name.and_then(|name| name.parse().ok()))),
            _ => Ok(LocalNode(None)),
        }
    }
}

/// The longest path of an ACL: Proxmox VE knows no such long one.
const LONGEST_PATH: usize = 512;

/// `/access/permissions`: for each path the privileges with a boolean that says whether they are inherited
/// further down, so a privilege is held whatever its value (pve-access-control, `API2/AccessControl.pm`).
#[derive(Default)]
pub(super) struct PermissionMap {
    held: Permissions,
    /// Fields that are no path with its privileges.
    odd: usize,
}

impl<'de> Record<'de> for PermissionMap {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match map.next_value()? {
            Entry(Some(Names(names))) if key.starts_with('/') && key.len() <= LONGEST_PATH => {
                self.held.0.insert(key.to_owned(), names);
            }
            _ => self.odd += 1,
        }
        Ok(())
    }
}

impl PermissionMap {
    /// What is held; `None` where the answer does not say: an object without paths says that nothing is held, and one of
    /// which no path can be read says nothing.
    pub(super) fn told(self) -> Option<Permissions> {
        (self.odd == 0 || !self.held.0.is_empty()).then_some(self.held)
    }
}

/// The keys of an object.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'de> Record<'de> for Names {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key.len() <= LONGEST_NAME {
            self.0.insert(key.to_owned());
        }
        skip(map)
    }
}

/// A guest's interface, in the words of QEMU's agent and of both generations of the container API.
#[derive(Default)]
pub(super) struct Interface<'a> {
    name: Option<Cow<'a, str>>,
    mac: Option<Cow<'a, str>>,
    addresses: Vec<InterfaceAddress<'a>>,
    /// `10.0.0.5/24`, up to pve-container 5.
    inet: [Option<Cow<'a, str>>; 2],
}

#[derive(Default)]
struct InterfaceAddress<'a> {
    ip: Option<Cow<'a, str>>,
    prefix: Option<u8>,
}

impl<'de> Record<'de> for Interface<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value::<Value<'_>>()?.name(),
            "hardware-address" | "hwaddr" => self.mac = map.next_value::<Value<'_>>()?.text(),
            "inet" => self.inet[0] = map.next_value::<Value<'_>>()?.text(),
            "inet6" => self.inet[1] = map.next_value::<Value<'_>>()?.text(),
            "ip-addresses" => self.addresses = map.next_value::<Entries<InterfaceAddress<'_>>>()?.list,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Record<'de> for InterfaceAddress<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "ip-address" => self.ip = map.next_value::<Value<'_>>()?.text(),
            "prefix" => self.prefix = map.next_value::<Value<'_>>()?.exact().and_then(|n| u8::try_from(n).ok()),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Interface<'_> {
    /// Its valid addresses. The guest itself wrote them: what is no address is dropped.
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let single = self.inet.iter().flatten().filter(|_| self.addresses.is_empty()).map(|text| {
            let (ip, prefix) = text.split_once('/').unwrap_or((text, ""));
            (ip, prefix.parse().ok())
        });
        let listed = self.addresses.iter().filter_map(|entry| Some((entry.ip.as_deref()?, entry.prefix)));
        listed.chain(single).filter_map(|(ip, prefix)| {
            // fe80::1%eth0: the scope means nothing outside of the guest.
            let ip: IpAddr = ip.split('%').next()?.parse().ok()?;
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            Some(Address {
                ip,
                prefix: prefix.filter(|prefix| *prefix <= bits),
                interface: self.name.as_deref().unwrap_or_default().to_owned(),
                mac: self.mac.as_deref().and_then(mac),
            })
        })
    }
}

fn addresses(interfaces: &Entries<Interface<'_>>) -> Vec<Address> {
    interfaces.list.iter().flat_map(Interface::addresses).collect()
}

/// `lxc/{vmid}/interfaces`: a list, or null while the container does not run. Without a list the words of an error, if
/// there are some.
pub(super) struct ContainerInterfaces(pub(super) Result<Vec<Address>, Option<String>>);

impl<'de> Deserialize<'de> for ContainerInterfaces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = Told::<Interface<'de>>::deserialize(deserializer)?;
        Ok(ContainerInterfaces(told.entries().map(|list| addresses(&list))))
    }
}

/// `agent/network-get-interfaces`: the list stands under `result`. Where the agent failed, an object with `error` does.
pub(super) struct AgentInterfaces(pub(super) Result<Vec<Address>, Option<String>>);

impl Default for AgentInterfaces {
    fn default() -> Self {
        AgentInterfaces(Err(None))
    }
}

impl<'de> Record<'de> for AgentInterfaces {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "result" {
            self.0 = map.next_value::<ContainerInterfaces>()?.0;
            return Ok(());
        }
        skip(map)
    }
}

/// The body of an error: `message` since pve-http-server 5.2.0, `errors` by parameter.
#[derive(Default)]
pub(super) struct ErrorBody {
    pub(super) message: Option<String>,
    pub(super) errors: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for ErrorBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Entry::deserialize(deserializer).map(|Entry(body)| body.unwrap_or_default())
    }
}

impl<'de> Record<'de> for ErrorBody {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "message" => self.message = map.next_value::<Value<'_>>()?.string(),
            "errors" => {
                if let Entry(Some(Texts(errors))) = map.next_value()? {
                    self.errors = errors;
                }
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Texts(BTreeMap<String, String>);

impl<'de> Record<'de> for Texts {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let text = map.next_value::<Value<'_>>()?.string().unwrap_or_default();
        self.0.insert(key.to_owned(), text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::access::scope::Scope;
    use crate::transport::pve::repair::parse;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/fixtures/pve/", $name, ".json"))
        };
    }

    fn address(ip: &str, prefix: Option<u8>, interface: &str, mac: Option<&str>) -> Address {
        let mac = mac.map(str::to_owned);
        Address { ip: ip.parse().unwrap(), prefix, interface: interface.to_owned(), mac }
    }

    #[test]
    fn addresses_from_the_agent_and_from_both_generations_of_containers() {
        let expected = |last: u8, mac: &str, v6: &str| {
            vec![
                address("127.0.0.1", Some(8), "lo", Some("00:00:00:00:00:00")),
                address("::1", Some(128), "lo", Some("00:00:00:00:00:00")),
                address(&format!("10.99.0.{last}"), Some(24), "eth0", Some(mac)),
                address(v6, Some(64), "eth0", Some(mac)),
            ]
        };
        let agent = parse::<Entry<AgentInterfaces>>(fixture!("agent-network")).unwrap().0.unwrap().0.unwrap();
        assert_eq!(agent, expected(101, "bc:24:11:00:01:01", "fe80::be24:11ff:fe00:101"));
        for body in [&fixture!("lxc-interfaces-8")[..], &fixture!("lxc-interfaces-9")[..]] {
            let container = parse::<ContainerInterfaces>(body).unwrap().0.unwrap();
            assert_eq!(container, expected(201, "bc:24:11:00:02:01", "fe80::be24:11ff:fe00:201"));
        }
    }

    #[test]
    fn what_a_guest_invents_is_dropped() {
        let body = br#"{"data":{"result":[7,null,{"name":"a"},{"ip-addresses":"x"},
            {"name":"\u001b[31meth0","hardware-address":"not a mac","ip-addresses":[3,{},
                {"ip-address":"999.1.1.1","prefix":8},{"ip-address":"$(reboot)"},{"ip-address":["10.0.0.1"]},
                {"ip-address":"10.0.0.1","prefix":33},{"ip-address":"fe80::1%eth0","prefix":-1},
                {"ip-address":"10.0.0.2","prefix":"24"}]}]}}"#;
        let found = parse::<Entry<AgentInterfaces>>(body).unwrap().0.unwrap().0.unwrap();
        let name = "\u{1b}[31meth0";
        let expected = [
            address("10.0.0.1", None, name, None),
            address("fe80::1", None, name, None),
            address("10.0.0.2", Some(24), name, None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn hardware_addresses_in_any_notation() {
        let own = Some("bc:24:11:00:00:64");
        for (text, want) in [
            ("bc:24:11:00:00:64", own),
            ("BC:24:11:00:00:64", own),
            ("BC-24-11-00-00-64", own),
            ("bc24.1100.0064", own),
            ("BC2411000064", own),
            ("00:00:00:00:00:00", Some("00:00:00:00:00:00")),
            ("bc:24:11:00:00:64:65", None),
            ("bc:24-11:00:00:64", None),
            ("bc::24:11:00:0064", None),
            ("bc2411.00.0064", None),
            ("fe80::be24:11ff:f", None),
            ("ümlaut:24:11:00:0", None),
            ("", None),
        ] {
            for field in ["hardware-address", "hwaddr"] {
                let addresses = r#""ip-addresses":[{"ip-address":"10.0.0.5","prefix":24}]"#;
                let body = format!(r#"{{"data":[{{"name":"eth0","{field}":"{text}",{addresses}}}]}}"#);
                let found = parse::<ContainerInterfaces>(body.as_bytes()).unwrap().0.unwrap();
                assert_eq!(found, [address("10.0.0.5", Some(24), "eth0", want)], "{text}");
            }
        }
    }

    #[test]
    fn only_a_list_says_what_addresses_there_are() {
        let error = |desc: &str| Err(Some(desc.to_owned()));
        for (answer, want) in [
            ("[]", Ok(vec![])),
            (r#"[{"name":"lo"},7]"#, Ok(vec![])),
            ("[7,null]", Err(None)),
            ("null", Err(None)),
            ("{}", Err(None)),
            ("7", Err(None)),
            ("true", Err(None)),
            (r#""""#, Err(None)),
            (r#"{"error":null}"#, Err(None)),
            (r#"{"error":{"class":"GenericError","desc":"Permission denied"}}"#, error("Permission denied")),
            (r#"{"error":{"class":"CommandNotFound"}}"#, error("CommandNotFound")),
        ] {
            let container = format!(r#"{{"data":{answer}}}"#);
            assert_eq!(parse::<ContainerInterfaces>(container.as_bytes()).unwrap().0, want, "{answer}");
            let agent = format!(r#"{{"data":{{"result":{answer}}}}}"#);
            let agent = parse::<Entry<AgentInterfaces>>(agent.as_bytes()).unwrap().0.unwrap_or_default();
            assert_eq!(agent.0, want, "{answer}");
        }
        for body in [r#"{"data":null}"#, r#"{"data":[]}"#, r#"{"data":{}}"#] {
            let agent = parse::<Entry<AgentInterfaces>>(body.as_bytes()).unwrap().0.unwrap_or_default();
            assert_eq!(agent.0, Err(None), "{body}");
        }
    }

    #[test]
    fn permissions_are_held_whether_inherited_or_not() {
        let told = |body: &[u8]| parse::<Entry<PermissionMap>>(body).unwrap().0.and_then(PermissionMap::told);
        let read = |body: &[u8]| told(body).unwrap();
        let auditor = read(fixture!("permissions-auditor"));
        assert_eq!(auditor.0.len(), 9);
        assert_eq!(auditor.compare(Scope::Operator, 9).missing, ["VM.PowerMgmt"]);
        assert!(read(br#"{"data":{}}"#).0.is_empty());
        // An answer of another shape does not say that nothing is held.
        for answer in [
            "null",
            "[]",
            "7",
            "true",
            r#""/""#,
            r#"[{"/":{"VM.Audit":1}}]"#,
            r#"{"error":{"class":"GenericError"}}"#,
            r#"{"/":null}"#,
            r#"{"/":["VM.Audit"],"/vms":1}"#,
            r#"{"VM.Audit":{}}"#,
        ] {
            assert_eq!(told(format!(r#"{{"data":{answer}}}"#).as_bytes()), None, "{answer}");
        }
        let mixed = read(br#"{"data":{"/":{"VM.Audit":0,"Sys.Audit":"1"},"/vms":null}}"#);
        assert_eq!(mixed.0["/"], ["Sys.Audit", "VM.Audit"].map(str::to_owned).into());
    }

    #[test]
    fn nodes() {
        let nodes = parse::<Nodes>(fixture!("nodes")).unwrap().0;
        assert_eq!((nodes.len(), nodes[0].name.as_str(), nodes[0].online), (1, "pve1", Some(true)));
        assert!(nodes[0].fingerprint.unwrap().to_string().starts_with("4D:04:0C:F6"));
        let odd = br#"{"data":[{"node":"a"},{"node":"b","status":"offline","ssl_fingerprint":"x"},{"node":"c d"},3]}"#;
        let odd: Vec<_> = parse::<Nodes>(odd).unwrap().0.into_iter().map(|n| (n.online, n.fingerprint)).collect();
        assert_eq!(odd, [(None, None), (Some(false), None)]);
    }

    #[test]
    fn the_node_that_answers_is_the_local_one() {
        let local = |body: &str| parse::<LocalNode>(body.as_bytes()).unwrap().0.map(|node| node.to_string());
        let rows = r#"{"type":"cluster","name":"lab","quorate":0},{"name":"pve2","local":0,"online":0,"type":"node"}"#;
        for (more, want) in [
            (r#"{"name":"pve1","type":"node","online":1,"local":1}"#, Some("pve1")),
            (r#"{"name":"pve1","type":"node","local":"1"}"#, Some("pve1")),
            (r#"{"name":"pve1","type":"node"}"#, None),
            (r#"{"name":"no node","type":"node","local":1}"#, None),
            (r#"{"name":"lab","type":"cluster","local":1}"#, None),
            (r#"{"name":"pve1","type":"node","local":1},{"name":"pve3","type":"node","local":1}"#, None),
        ] {
            assert_eq!(local(&format!(r#"{{"data":[{rows},{more}]}}"#)).as_deref(), want, "{more}");
        }
        assert_eq!(local(r#"{"data":null}"#), None);
    }

    #[test]
    fn versions() {
        let read = |body: &[u8]| parse::<Entry<Version>>(body).unwrap().0.unwrap_or_default();
        let new = read(br#"{"data":{"repoid":"14a22df35955d97d","release":"9.2","version":"9.2.11"}}"#);
        assert_eq!((new.major(), new.release.as_str(), new.repoid.as_str()), (Some(9), "9.2", "14a22df35955d97d"));
        assert_eq!(read(br#"{"data":{"release":7.4,"version":"7.4-3"}}"#).major(), Some(7));
        assert_eq!(read(br#"{"data":null}"#).major(), None);
    }
}
