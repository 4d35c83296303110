//! What is known of guests, whether or not their node answers now.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::model::id::{ClusterId, GuestKind, NodeName, VmId};
use crate::model::inventory::server::{Address, Tags};
use crate::model::power::PowerState;
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, time};

/// A guest as the state file remembers it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KnownGuest {
    pub(crate) cluster: ClusterId,
    pub(crate) vmid: VmId,
    pub(crate) kind: GuestKind,
    /// The last name that a listing gave.
    pub(crate) name: Option<String>,
    pub(crate) node: NodeName,
    /// What the last listing with this guest said; `Unknown` while its node is down.
    pub(crate) state: PowerState,
    /// The last state that was not `Unknown`.
    pub(crate) known_state: PowerState,
    /// When `known_state` was first seen.
    pub(crate) changed_at: Timestamp,
    /// PVE's own word behind `state`.
    pub(crate) raw: String,
    pub(crate) template: bool,
    pub(crate) lock: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) pool: Option<String>,
    pub(crate) ha_state: Option<String>,
    pub(crate) first_seen: Timestamp,
    /// The last listing that contained it.
    pub(crate) last_seen: Timestamp,
    /// Since when it is known not to exist any more.
    pub(crate) gone_at: Option<Timestamp>,
    pub(crate) addresses: Vec<Address>,
    /// When the addresses were asked for; `None`: never.
    pub(crate) addresses_at: Option<Timestamp>,
}

/// What is shown of a guest that nobody asks for now: of thousands, as little as that is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RememberedGuest {
    pub(crate) vmid: VmId,
    pub(crate) kind: GuestKind,
    pub(crate) name: Option<String>,
    pub(crate) node: NodeName,
    pub(crate) state: PowerState,
    pub(crate) template: bool,
    pub(crate) lock: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) pool: Option<String>,
    pub(crate) ha_state: Option<String>,
    pub(crate) last_seen: Timestamp,
    pub(crate) addresses: Vec<Address>,
}

impl From<KnownGuest> for RememberedGuest {
    fn from(guest: KnownGuest) -> RememberedGuest {
        let KnownGuest { vmid, kind, name, node, state, template, lock, tags, pool, ha_state, .. } = guest;
        let KnownGuest { last_seen, addresses, .. } = guest;
        let tags = tags.into();
        RememberedGuest { vmid, kind, name, node, state, template, lock, tags, pool, ha_state, last_seen, addresses }
    }
}

/// Those that are there and no templates.
const REMEMBERED: &str = "SELECT vmid, kind, guests.name, node, state, lock, tags, pool, ha_state,
    coalesce(last_seen, clusters.listed_at, first_seen), addresses
    FROM clusters CROSS JOIN guests ON guests.cluster = clusters.id
    WHERE clusters.name = ?1 AND NOT template AND gone_at IS NULL ORDER BY vmid";

const GUESTS: &str =
    "SELECT vmid, kind, guests.name, node, state, known_state, raw, template, lock, tags, pool, ha_state,
    first_seen, coalesce(last_seen, clusters.listed_at, first_seen), gone_at, changed_at, addresses, addresses_at,
    clusters.name
    FROM clusters CROSS JOIN guests ON guests.cluster = clusters.id";

/// From the index of these alone: most guests may have none.
const ADDRESSES: &str = "SELECT vmid, addresses FROM clusters
    CROSS JOIN guests INDEXED BY guests_with_addresses ON guests.cluster = clusters.id
    WHERE clusters.name = ?1 AND addresses <> '' AND gone_at IS NULL";

impl State {
    /// The guests of a cluster by vmid, those that are gone included.
    pub(crate) fn guests(&self, cluster: &ClusterId) -> Result<Vec<KnownGuest>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{GUESTS} WHERE clusters.name = ?1 ORDER BY vmid"))?;
            let mut names = Names::default();
            let read = |row: &Row<'_>| read_guest(row, &mut names);
            statement.query_map([cluster.as_str()], read)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// Gives the guests of a cluster that are there, without templates, to `take`, one by one: no list of them is made.
    pub(crate) fn each_guest(&self, cluster: &ClusterId, mut take: impl FnMut(RememberedGuest)) -> Result<()> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(REMEMBERED)?;
            let mut rows = statement.query([cluster.as_str()])?;
            let mut names = Names::default();
            while let Some(row) = rows.next()? {
                if let Some(guest) = read_remembered(row, &mut names)? {
                    take(guest);
                }
            }
            Ok(())
        })
    }

    /// All guests by cluster and vmid, those that are gone included.
    pub(crate) fn all_guests(&self) -> Result<Vec<KnownGuest>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("{GUESTS} ORDER BY clusters.name, vmid"))?;
            let mut names = Names::default();
            let read = |row: &Row<'_>| read_guest(row, &mut names);
            statement.query_map([], read)?.filter_map(rusqlite::Result::transpose).collect()
        })
    }

    /// The addresses of a cluster's guests that have some.
    pub(crate) fn addresses(&self, cluster: &ClusterId) -> Result<HashMap<VmId, Vec<Address>>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(ADDRESSES)?;
            let mut rows = statement.query([cluster.as_str()])?;
            let mut found = HashMap::new();
            while let Some(row) = rows.next()? {
                let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { continue };
                found.insert(vmid, read_addresses(row.get_ref(1)?.as_str()?));
            }
            Ok(found)
        })
    }

    /// Stores the addresses that guests gave when they were asked. A guest that is not known is left out.
    pub(crate) fn record_addresses(
        &self,
        cluster: &ClusterId,
        answers: &[(VmId, Vec<Address>)],
        at: Timestamp,
    ) -> Result<()> {
        self.write(|conn| {
            let cluster = cluster_row(conn, cluster)?;
            let sql = "UPDATE guests SET addresses = ?3, addresses_at = ?4 WHERE cluster = ?1 AND vmid = ?2";
            let mut statement = conn.prepare_cached(sql)?;
            for (vmid, addresses) in answers {
                statement.execute(params![cluster, vmid.get(), write_addresses(addresses), at.as_millisecond()])?;
            }
            Ok(())
        })
    }
}

/// Text as PVE writes tags, `a;b`, as single ones.
pub(in crate::state) fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').filter(|tag| !tag.is_empty())
}

/// `ip/prefix mac interface`, one a line, `-` for what is not known: read for thousands of guests in each run.
fn write_addresses(addresses: &[Address]) -> String {
    let mut text = String::new();
    for Address { ip, prefix, interface, mac } in addresses {
        let prefix = prefix.map_or_else(|| "-".to_owned(), |prefix| prefix.to_string());
        let mac = mac.as_deref().unwrap_or("-");
        // An interface's name comes from the guest: it must not end the line.
        let interface = interface.replace(['\n', '\r'], "");
        let _ = writeln!(text, "{ip}/{prefix} {mac} {interface}");
    }
    text
}

fn read_addresses(text: &str) -> Vec<Address> {
    let one = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (ip, prefix) = words.next()?.split_once('/')?;
        let mac = words.next()?;
        Some(Address {
            ip: ip.parse().ok()?,
            prefix: prefix.parse().ok(),
            mac: (mac != "-").then(|| mac.to_owned()),
            interface: words.next().unwrap_or_default().to_owned(),
        })
    };
    text.lines().filter_map(one).collect()
}

/// What was read before: the next guest is mostly of the same cluster, and often on the same node; many share their tags.
#[derive(Default)]
struct Names {
    cluster: Option<ClusterId>,
    node: Option<NodeName>,
    tags: HashMap<String, Tags>,
}

impl Names {
    fn cluster(&mut self, text: &str) -> ClusterId {
        let known = self.cluster.take().filter(|known| known.as_str() == text);
        self.cluster.insert(known.unwrap_or_else(|| ClusterId::new(text))).clone()
    }

    fn node(&mut self, text: &str) -> Option<NodeName> {
        let known = self.node.take().filter(|known| known.as_str() == text);
        self.node = known.or_else(|| text.parse().ok());
        self.node.clone()
    }

    fn tags(&mut self, text: &str) -> Tags {
        if let Some(known) = self.tags.get(text) {
            return known.clone();
        }
        let new: Tags = tags(text).map(str::to_owned).collect();
        self.tags.insert(text.to_owned(), new.clone());
        new
    }
}

/// `None` for a row that makes no sense: the next listing brings the guest back.
fn read_remembered(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<Option<RememberedGuest>> {
    let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { return Ok(None) };
    let Some(kind) = GuestKind::parse(row.get_ref(1)?.as_str()?) else { return Ok(None) };
    let Some(node) = names.node(row.get_ref(3)?.as_str()?) else { return Ok(None) };
    Ok(Some(RememberedGuest {
        vmid,
        kind,
        name: text(row, 2)?,
        node,
        state: PowerState::parse(row.get_ref(4)?.as_str()?),
        template: false,
        lock: text(row, 5)?,
        tags: names.tags(row.get_ref(6)?.as_str()?),
        pool: text(row, 7)?,
        ha_state: text(row, 8)?,
        last_seen: time(row.get(9)?),
        addresses: row.get_ref(10)?.as_str_or_null()?.map(read_addresses).unwrap_or_default(),
    }))
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map(str::to_owned))
}

/// As `read_remembered`.
fn read_guest(row: &Row<'_>, names: &mut Names) -> rusqlite::Result<Option<KnownGuest>> {
    let stamp = |i: usize| Ok::<_, rusqlite::Error>(row.get_ref(i)?.as_i64_or_null()?.map(time));
    let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { return Ok(None) };
    let Some(kind) = GuestKind::parse(row.get_ref(1)?.as_str()?) else { return Ok(None) };
    let Some(node) = names.node(row.get_ref(3)?.as_str()?) else { return Ok(None) };
    let addresses = row.get_ref(16)?.as_str_or_null()?.map(read_addresses).unwrap_or_default();
    Ok(Some(KnownGuest {
        cluster: names.cluster(row.get_ref(18)?.as_str()?),
        vmid,
        kind,
        name: text(row, 2)?,
        node,
        state: PowerState::parse(row.get_ref(4)?.as_str()?),
        known_state: PowerState::parse(row.get_ref(5)?.as_str()?),
        raw: row.get(6)?,
        template: row.get(7)?,
        lock: text(row, 8)?,
        tags: tags(row.get_ref(9)?.as_str()?).map(str::to_owned).collect(),
        pool: text(row, 10)?,
        ha_state: text(row, 11)?,
        first_seen: time(row.get(12)?),
        last_seen: time(row.get(13)?),
        gone_at: stamp(14)?,
        changed_at: time(row.get(15)?),
        addresses,
        addresses_at: stamp(17)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_find_the_addresses_does_not_read_every_guest() {
        let state = State::in_memory().unwrap();
        let sql = format!("EXPLAIN QUERY PLAN {ADDRESSES}");
        let plan = |conn: &rusqlite::Connection| {
            conn.prepare(&sql)?.query_map(["x"], |row| row.get::<_, String>(3))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let plan = state.read(plan).unwrap();
        assert!(plan.iter().any(|step| step.contains("COVERING INDEX guests_with_addresses (cluster=?)")), "{plan:?}");
    }

    #[test]
    fn addresses_are_read_as_they_were_written() {
        let address = |ip: &str, prefix, interface: &str, mac: Option<&str>| Address {
            ip: ip.parse().unwrap(),
            prefix,
            interface: interface.to_owned(),
            mac: mac.map(str::to_owned),
        };
        let addresses = vec![
            address("10.0.0.5", Some(24), "eth0", Some("bc:24:11:00:01:01")),
            address("fd00::5", None, "Local Area Connection 2", None),
            address("10.0.0.6", Some(8), "", None),
        ];
        assert_eq!(read_addresses(&write_addresses(&addresses)), addresses);
        let hostile = [address("10.0.0.7", None, "a\nb", None)];
        assert_eq!(read_addresses(&write_addresses(&hostile)), [address("10.0.0.7", None, "ab", None)]);
        assert_eq!(read_addresses("nonsense\n\n10.0.0.5/24\n"), []);
    }
}
