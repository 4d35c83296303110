//! The smaller answers: versions, permissions, nodes, addresses.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::de::{Deserialize, Deserializer, MapAccess};

use crate::model::access::certificate::Fingerprint;
use crate::model::access::scope::Permissions;
use crate::model::id::NodeName;
use crate::model::inventory::server::Address;
use crate::model::text::LONGEST_NAME;

use super::lenient::{Entries, Entry, Record, Rows, Told, Value, mac, skip};
use super::listing::online;

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
mod tests;
