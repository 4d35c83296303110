//! What shells complete targets by, read while somebody types.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::id::{GuestKind, ServerId, VmId};
use crate::state::inventory::guests;
use crate::state::{Result, State};

/// A guest, or a server of which something is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: String,
    /// The id where it has no name.
    pub(crate) name: String,
    /// In a few words.
    pub(crate) what: String,
}

impl State {
    /// The guests that are there, and the servers of which something is known.
    pub(crate) fn names(&self) -> Result<Vec<Target>> {
        self.read(|conn| {
            // A guest's id needs the configured server of its node; of a cluster of one server that server.
            let mut statement = conn.prepare_cached(
                "SELECT guests.vmid, guests.kind, guests.name, guests.node,
                    coalesce(
                        (SELECT server FROM members WHERE cluster = clusters.name AND node = guests.node),
                        (SELECT min(server) FROM members WHERE cluster = clusters.name HAVING count(*) = 1))
                 FROM guests JOIN clusters ON clusters.id = guests.cluster
                 WHERE gone_at IS NULL AND NOT template",
            )?;
            let mut rows = statement.query([])?;
            let mut names = Vec::new();
            while let Some(row) = rows.next()? {
                let Some(kind) = GuestKind::parse(row.get_ref(1)?.as_str()?) else { continue };
                let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { continue };
                let name = row.get::<_, Option<String>>(2)?;
                let node = row.get_ref(3)?.as_str()?;
                let parent = row.get::<_, Option<String>>(4)?.and_then(|parent| parent.parse().ok());
                let id = match parent {
                    Some(parent) => ServerId::of_guest(&parent, kind, vmid).to_string(),
                    None => format!("{}-{vmid}", kind.short()),
                };
                let what = format!("{} on {node}", kind.as_str());
                names.push(Target { name: name.unwrap_or_else(|| id.clone()), id, what });
            }
            let mut statement = conn.prepare_cached("SELECT server FROM facts UNION SELECT server FROM members")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                names.push(Target { name: id.clone(), id, what: "server".to_owned() });
            }
            Ok(names)
        })
    }

    /// The tags, nodes and pools of the guests that are there, by the key of their selector.
    pub(crate) fn selector_values(&self) -> Result<BTreeMap<&'static str, BTreeSet<String>>> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT tags, node, pool FROM guests WHERE gone_at IS NULL")?;
            let mut rows = statement.query([])?;
            let mut values: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let tags = guests::tags(row.get_ref(0)?.as_str()?).map(str::to_owned);
                values.entry("tag").or_default().extend(tags);
                values.entry("node").or_default().insert(row.get(1)?);
                values.entry("pool").or_default().extend(row.get::<_, Option<String>>(2)?);
            }
            Ok(values)
        })
    }
}
