//! `[servers.wol]`: how a server is woken over the network.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use super::error::{Checked, Problem};
use super::read::Reader;
use super::secret::{SecretFrom, secret};
use super::validate;
use super::values::Folders;
use super::{Access, ServerConfig};
use crate::model::host::magic_packet::{Mac, SecureOn};
use crate::model::id::ServerId;
use crate::model::text::{did_you_mean, quoted};

/// The keys of the table.
pub(super) const KEYS: &[&str] =
    &["mac", "broadcast", "interface", "port", "secure_on", "secure_on_command", "secure_on_file", "relay"];
/// Those that mean nothing else anywhere: under another header they are misplaced, not misspelt.
pub(super) const ONLY_HERE: &[&str] = &["broadcast", "secure_on", "secure_on_command", "secure_on_file", "relay"];
pub(super) const PLACE: &str = "in [servers.wol]";

/// `[servers.wol]` without its `mac`, which is the server's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WolSettings {
    /// Magic packets go here, and not to every network.
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// They leave by this interface: of the relay where there is one, else of this machine.
    pub(crate) interface: Option<String>,
    /// The UDP port; 9 and 7 unless given.
    pub(crate) port: Option<u16>,
    pub(crate) secure_on: Option<SecureOnFrom>,
    /// The server that sends them, in place of this machine.
    pub(crate) relay: Option<ServerId>,
}

/// Where `SecureOn`'s password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecureOnFrom {
    /// It is in the file.
    Given(SecureOn),
    Elsewhere(SecretFrom),
}

/// What a server's entry says of waking it.
pub(super) struct Wol {
    pub(super) mac: Option<Mac>,
    pub(super) settings: WolSettings,
    /// Where `relay` stands.
    pub(super) relay: Option<Range<usize>>,
}

/// Reads `mac_address` and the table of a server's entry.
pub(super) fn read(server: &Reader<'_>, elsewhere: &[(&[&str], &str)], folders: &Folders<'_>) -> Checked<Wol> {
    let of_server = server.parsed("mac_address", mac)?.map(|mac| mac.value);
    let Some(table) = server.table("wol", PLACE)? else {
        return Ok(Wol { mac: of_server, settings: WolSettings::default(), relay: None });
    };
    table.only(KEYS, elsewhere)?;
    let of_table = table.parsed("mac", mac)?;
    if let (Some(first), Some(second)) = (of_server, &of_table)
        && first != second.value
    {
        let message = format!("`mac` is {} but `mac_address` of the server is {first}: keep one", second.value);
        return Err(second.problem(message));
    }
    let relay = table.parsed("relay", validate::server_id)?;
    let settings = WolSettings {
        broadcast: table.parsed("broadcast", broadcast)?.map(|address| address.value),
        interface: table.parsed("interface", interface)?.map(|name| name.value),
        port: table.port("port")?,
        secure_on: secure_on(&table, folders)?,
        relay: relay.as_ref().map(|relay| relay.value.clone()),
    };
    Ok(Wol { mac: of_table.map(|mac| mac.value).or(of_server), settings, relay: relay.map(|relay| relay.span) })
}

fn mac(text: &str) -> Result<Mac, String> {
    text.parse::<Mac>().map_err(|error| error.to_string())
}

/// An address to send to. Loopback is none that wakes anybody, but a program may listen there.
fn broadcast(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) if address.is_unspecified() => Err(format!("{} is not an address to send to", quoted(text))),
        Ok(address) => Ok(address),
        Err(_) => Err(format!("{} is not a valid IPv4 address, as 192.168.1.255", quoted(text))),
    }
}

/// A name as Linux allows it, of letters that need no quoting in a script.
fn interface(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    let dots = text.bytes().all(|b| b == b'.');
    if text.len() > 15 || dots || text.starts_with('-') || !text.chars().all(allowed) {
        let rule = "letters, digits, `.`, `_`, `:` and `-`, at most 15, no `-` first";
        return Err(format!("{} is not a valid name of a network interface: {rule}", quoted(text)));
    }
    Ok(text.to_owned())
}

/// By one of three keys. The value itself is never repeated in a message.
fn secure_on(table: &Reader<'_>, folders: &Folders<'_>) -> Checked<Option<SecureOnFrom>> {
    let given = table.parsed("secure_on", |text| text.parse::<SecureOn>().map_err(|error| error.to_string()))?;
    let elsewhere = secret(table, folders, "secure_on_command", "secure_on_file")?;
    match (given, elsewhere) {
        (Some(_), Some(other)) => {
            let key = other.value.key();
            Err(other.problem(format!("`secure_on` and `{key}` exclude each other: keep one")))
        }
        (Some(given), None) => Ok(Some(SecureOnFrom::Given(given.value))),
        (None, other) => Ok(other.map(|other| SecureOnFrom::Elsewhere(other.value))),
    }
}

/// The jump hosts before a server, as its `proxy_jump` names them.
fn jumps(server: &ServerConfig) -> impl Iterator<Item = &str> {
    let spec = server.proxy_jump.as_deref().filter(|spec| *spec != "none").unwrap_or_default();
    spec.split(',').map(str::trim).filter(|hop| !hop.is_empty())
}

/// Whether a jump host, `user@host:port`, is this server: its address and port, or its id alone, as `ssh_config` may have it.
fn is_at(server: &ServerConfig, hop: &str) -> bool {
    let place = hop.trim_start_matches("ssh://").rsplit('@').next().unwrap_or_default();
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
        _ => (place, None),
    };
    let host = host.trim_matches(['[', ']']);
    let same_port = port.unwrap_or(22) == server.ssh_port.unwrap_or(22);
    (host.eq_ignore_ascii_case(&server.hostname) && same_port) || (host == server.id.as_str() && port.is_none())
}

/// Relays are servers that can send: configured, reached over SSH, not the server itself or what sleeps with it, and not
/// woken by it in turn. `places` are those of each server's `relay`.
pub(super) fn relations(
    servers: &[ServerConfig],
    index: &HashMap<&str, usize>,
    places: &[Option<Range<usize>>],
) -> Checked<()> {
    let at = |id: &Option<ServerId>| id.as_ref().and_then(|id| index.get(id.as_str()).copied());
    for (i, (server, place)) in servers.iter().zip(places).enumerate() {
        let (Some(id), Some(span)) = (&server.wol.relay, place) else { continue };
        let wrong = |what: String| Err(Problem::new(span.clone(), format!("`relay`: {what}")));
        let shown = quoted(id.as_str());
        let Some(relay) = at(&server.wol.relay) else {
            let others = servers.iter().filter(|other| other.id != server.id).map(|other| other.id.as_str());
            let near = did_you_mean(id.as_str(), others).unwrap_or_default();
            return wrong(format!("there is no server {shown}{near}"));
        };
        if relay == i {
            return wrong(format!("{shown} is this server itself; it sleeps when it is needed"));
        }
        if servers[relay].access == Access::Api {
            return wrong(format!("{shown} is reached by the API alone (type = \"proxmox\"): it can send nothing"));
        }
        if servers[relay].hostname.is_empty() {
            return wrong(format!("{shown} has no `hostname` to reach it at over SSH"));
        }
        // The parents form no circle: that was checked before.
        let mut above = servers[relay].parent_server_id.as_ref();
        while let Some(parent) = above {
            if *parent == server.id {
                return wrong(format!("{shown} runs on `{parent}` and sleeps when it sleeps"));
            }
            above = index.get(parent.as_str()).and_then(|at| servers[*at].parent_server_id.as_ref());
        }
        if let Some(hop) = jumps(&servers[relay]).find(|hop| is_at(server, hop)) {
            return wrong(format!(
                "{shown} is reached through `{hop}`, which is this server, and sleeps when it is needed"
            ));
        }
        let mut chain = vec![i, relay];
        while let Some(next) = chain.last().and_then(|last| at(&servers[*last].wol.relay)) {
            if chain.contains(&next) {
                if next != i {
                    // It is found from one of its own members.
                    break;
                }
                chain.push(next);
                let names: Vec<&str> = chain.iter().map(|i| servers[*i].id.as_str()).collect();
                return wrong(format!("the relays form a circle: {}", names.join(" -> ")));
            }
            chain.push(next);
        }
    }
    Ok(())
}
