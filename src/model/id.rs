//! Names of things: servers, nodes, guests, tasks, tokens, clusters; and secrets.

mod token;
mod upid;

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use self::token::{Secret, Token, TokenId};
pub(crate) use self::upid::Upid;
use crate::model::text::words::words;

/// Why a text is no valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: {rule}")]
pub(crate) struct InvalidId {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) rule: &'static str,
}

fn invalid(what: &'static str, text: &str, rule: &'static str) -> InvalidId {
    InvalidId { what, text: text.to_owned(), rule }
}

/// The id of a server: a configured one's `id`, or `{parent}-vm-{vmid}` / `{parent}-ct-{vmid}` of a guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ServerId(Arc<str>);

impl ServerId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that a guest has under `parent`, e.g. `pve1-vm-101` or `pve1-ct-201`.
    pub(crate) fn of_guest(parent: &ServerId, kind: GuestKind, vmid: VmId) -> ServerId {
        // Made for thousands of guests in each run: in one piece, without the machinery of formats.
        let number = vmid.get().to_string();
        ServerId([parent.as_str(), "-", kind.short(), "-", &number].concat().into())
    }

    /// What stands for the Prometheus server that keeps the history, where it fails.
    pub(crate) fn of_prometheus() -> ServerId {
        ServerId("prometheus".into())
    }

    /// The part of an environment variable's name that stands for this server: capitals, `-` and `.` as `_`.
    pub(crate) fn env_suffix(&self) -> String {
        self.0.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
    }
}

impl FromStr for ServerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if first && rest && text.len() <= 128 {
            Ok(ServerId(text.into()))
        } else {
            Err(invalid("server id", text, "letters, digits, `.`, `_` and `-`, a letter or digit first, at most 128"))
        }
    }
}

/// The name of a Proxmox VE node, which is its host name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct NodeName(Arc<str>);

impl NodeName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a set of them is asked by a text.
impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidId;

    /// PVE's own pattern (pve-common, `pve-node` in `JSONSchema.pm`); checked before a name goes into a path or a command.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inside = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if ends(text.chars().next()) && ends(text.chars().last()) && inside && text.len() <= 63 {
            Ok(NodeName(text.into()))
        } else {
            Err(invalid("node name", text, "letters, digits and `-` inside"))
        }
    }
}

/// The number of a guest, unique in its cluster at a time: 100 to 999999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub(crate) struct VmId(u32);

impl VmId {
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for VmId {
    type Error = InvalidId;

    fn try_from(number: u32) -> Result<Self, InvalidId> {
        if (100..=999_999_999).contains(&number) {
            Ok(VmId(number))
        } else {
            Err(invalid("vmid", &number.to_string(), "100 to 999999999"))
        }
    }
}

impl From<VmId> for u32 {
    fn from(vmid: VmId) -> u32 {
        vmid.0
    }
}

impl FromStr for VmId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let number = text.parse::<u32>().map_err(|_| invalid("vmid", text, "100 to 999999999"))?;
        VmId::try_from(number)
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of guest: a QEMU virtual machine or an LXC container.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GuestKind {
    Qemu,
    Lxc,
}

words!(GuestKind: all, parse => {
    Qemu = "qemu",
    Lxc = "lxc",
});

impl GuestKind {
    /// The word in ids and targets: `vm-101`, `ct-201`.
    pub(crate) fn short(self) -> &'static str {
        match self {
            GuestKind::Qemu => "vm",
            GuestKind::Lxc => "ct",
        }
    }
}

/// What tells one cluster (or one node alone) from another, whatever it is reached through.
///
/// `ca:<hex>` is the SHA-256 of the cluster's CA certificate; `host:<server id>` is used where only
/// one configured server is known to belong to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClusterId(Arc<str>);

impl ClusterId {
    /// One that was written before.
    pub(crate) fn new(text: &str) -> ClusterId {
        ClusterId(text.into())
    }

    pub(crate) fn of_ca(ca_sha256_hex: &str) -> ClusterId {
        ClusterId(format!("ca:{ca_sha256_hex}").into())
    }

    pub(crate) fn of_host(server: &ServerId) -> ClusterId {
        ClusterId(format!("host:{server}").into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is known by its CA, and not by a server.
    pub(crate) fn is_of_ca(&self) -> bool {
        self.0.starts_with("ca:")
    }

    /// The name, a CA's digest cut to eight digits: enough to tell the clusters of one fleet apart.
    pub(crate) fn short(&self) -> &str {
        let end = if self.is_of_ca() { 11 } else { self.0.len() };
        self.0.get(..end).unwrap_or(&self.0)
    }
}

macro_rules! text_id {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
    )*};
}
text_id!(ServerId, NodeName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_pve() {
        for (text, ok) in [("pve1", true), ("p", true), ("-a", false), ("a-", false), ("a_b", false), ("", false)] {
            assert_eq!(text.parse::<NodeName>().is_ok(), ok, "{text}");
        }
        for (text, ok) in [("100", true), ("99", false), ("999999999", true), ("1000000000", false), ("x", false)] {
            assert_eq!(text.parse::<VmId>().is_ok(), ok, "{text}");
        }
        for (text, ok) in [("pve-1.lan", true), ("-x", false), ("a b", false), ("a/b", false), ("", false)] {
            assert_eq!(text.parse::<ServerId>().is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_guest_has_an_id_under_its_parent() {
        let parent: ServerId = "pve1".parse().unwrap();
        let vmid: VmId = "101".parse().unwrap();
        assert_eq!(ServerId::of_guest(&parent, GuestKind::Qemu, vmid).as_str(), "pve1-vm-101");
        assert_eq!(ServerId::of_guest(&parent, GuestKind::Lxc, vmid).as_str(), "pve1-ct-101");
        assert_eq!("pve-1.lan".parse::<ServerId>().unwrap().env_suffix(), "PVE_1_LAN");
    }
}
