//! What a new listing of a cluster changes in what is known of its guests.

mod known;
mod writer;

use std::hash::{DefaultHasher, Hash as _, Hasher};

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, Params, params};

use self::known::{Known, ROW, is_same, own};
use self::writer::Writer;
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::server::{Guest, Listing};
use crate::state::inventory::changes::{GuestChange, GuestChangeKind};
use crate::state::inventory::identities;
use crate::state::subjects::cluster_row;
use crate::state::{Result, State, is_superseded};

/// What came of recording a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Recorded {
    /// Changes of power since the listing before. `GuestChangeKind` else is new waits to be told: see [`State::take_changes`].
    pub(crate) power: Vec<GuestChange>,
    /// The listing has every guest that is known and not gone.
    pub(crate) complete: bool,
}

impl State {
    /// Stores what a listing says of the cluster's guests and gives what changed, by vmid. Changes of power are also
    /// events. Only guests that differ are written.
    ///
    /// A guest that is missing is gone if its node is online, or if all nodes are, and if every entry of the listing could
    /// be read; else it is kept as it was. What the
    /// listing does not know (a dead node's names and states) stays as it was known. A listing without any node, or
    /// older than the stored one, changes nothing. PVE leaves out guests that the token may not see: give only
    /// listings of a token whose privileges are known to be whole.
    pub(crate) fn record_listing(
        &self,
        cluster: &ClusterId,
        listing: &Listing,
        via: &ServerId,
        at: Timestamp,
    ) -> Result<Recorded> {
        let at = at.as_millisecond();
        let mut listed: Vec<&Guest> = listing.guests.iter().collect();
        // Of two entries with one number the last counts.
        listed.reverse();
        listed.sort_by_key(|guest| guest.vmid);
        listed.dedup_by_key(|guest| guest.vmid);
        self.write(|conn| {
            let id = cluster_row(conn, cluster)?;
            let mut select = conn.prepare_cached("SELECT listed_at, digest, unlisted FROM clusters WHERE id = ?1")?;
            let (listed_at, before, unlisted): (Option<i64>, Option<i64>, u32) =
                select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            if listing.nodes.is_empty() || is_superseded(at, listed_at) {
                return Ok(Recorded::default());
            }
            let digest = digest(&listed, listing);
            let update =
                "UPDATE clusters SET listed_at = ?2, listed_via = ?3, digest = ?4, unlisted = ?5 WHERE id = ?1";
            if before == Some(digest) {
                conn.prepare_cached(update)?.execute(params![id, at, via.as_str(), digest, unlisted])?;
                return Ok(Recorded { power: Vec::new(), complete: unlisted == 0 });
            }
            let (differing, missing) = compare(conn, id, &listed)?;
            let mut writer = Writer { conn, cluster, id, at, listed_at: listed_at.unwrap_or(at), power: Vec::new() };
            for (known, guest) in differing {
                if let Some(known) = known {
                    writer.update(&known, guest)?;
                } else {
                    writer.insert(guest)?;
                    writer.say(guest.vmid, guest.kind, guest.name.as_deref(), &guest.node, GuestChangeKind::New)?;
                }
            }
            let unlisted = writer.mark_missing(missing, listing)?;
            if listed_at.is_none()
                && listing.unreadable == 0
                && listing.nodes.iter().all(|node| node.online == Some(true))
            {
                identities::forget_others(conn, id)?;
            }
            conn.prepare_cached(update)?.execute(params![id, at, via.as_str(), digest, unlisted])?;
            Ok(Recorded { power: writer.power, complete: unlisted == 0 })
        })
    }
}

impl State {
    /// Of the changes that were recorded since they were told last those that are wanted, oldest first.
    pub(crate) fn untold_changes(
        &self,
        cluster: &ClusterId,
        is_wanted: impl Fn(&GuestChange) -> bool,
    ) -> Result<Vec<GuestChange>> {
        self.read(|conn| {
            let sql =
                "SELECT change FROM changes WHERE cluster = (SELECT id FROM clusters WHERE name = ?1) ORDER BY id";
            read_changes(conn.prepare_cached(sql)?, [cluster.as_str()], is_wanted)
        })
    }

    /// Like `untold_changes`, to be told now: they are forgotten.
    pub(crate) fn take_changes(&self, cluster: &ClusterId) -> Result<Vec<GuestChange>> {
        self.write(|conn| {
            let id = cluster_row(conn, cluster)?;
            let sql = "SELECT change FROM changes WHERE cluster = ?1 ORDER BY id";
            let changes = read_changes(conn.prepare_cached(sql)?, [id], |_| true)?;
            conn.prepare_cached("DELETE FROM changes WHERE cluster = ?1")?.execute([id])?;
            Ok(changes)
        })
    }
}

/// What cannot be read is left out.
fn read_changes(
    mut select: CachedStatement<'_>,
    cluster: impl Params,
    is_wanted: impl Fn(&GuestChange) -> bool,
) -> rusqlite::Result<Vec<GuestChange>> {
    let mut rows = select.query(cluster)?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.extend(serde_json::from_str(row.get_ref(0)?.as_str()?).ok().filter(&is_wanted));
    }
    Ok(changes)
}

/// A number that differs where two listings say different things of guests or nodes, their load apart.
fn digest(listed: &[&Guest], listing: &Listing) -> i64 {
    let mut hasher = Gathering::default();
    for guest in listed {
        (guest.vmid, guest.kind, &guest.node, &guest.name, guest.state, &guest.raw_status).hash(&mut hasher);
        (guest.template, &guest.lock, &guest.tags, &guest.pool, &guest.ha_state).hash(&mut hasher);
    }
    let mut nodes: Vec<_> = listing.nodes.iter().map(|node| (&node.name, node.online)).collect();
    nodes.sort();
    nodes.hash(&mut hasher);
    (listing.unreadable > 0).hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// Hashes thousands of short pieces as a few long ones: of a short one the call costs more than its bytes
/// (`tests/bench/run.py status`).
#[derive(Default)]
struct Gathering {
    hasher: DefaultHasher,
    gathered: Vec<u8>,
}

impl Hasher for Gathering {
    fn write(&mut self, piece: &[u8]) {
        const ENOUGH: usize = 4096;
        if self.gathered.len() > ENOUGH {
            self.hasher.write(&self.gathered);
            self.gathered.clear();
        }
        self.gathered.extend_from_slice(piece);
    }

    fn finish(&self) -> u64 {
        let mut hasher = self.hasher.clone();
        hasher.write(&self.gathered);
        hasher.finish()
    }
}

/// Those that were not known take no room for it: of a first listing that is all.
type Differing<'a> = Vec<(Option<Box<Known>>, &'a Guest)>;

/// Goes through the stored and the listed guests side by side, both by vmid.
fn compare<'a>(conn: &Connection, cluster: i64, listed: &[&'a Guest]) -> rusqlite::Result<(Differing<'a>, Vec<Known>)> {
    let (mut differing, mut missing) = (Vec::new(), Vec::new());
    let mut listed = listed.iter().copied().peekable();
    let mut statement = conn.prepare_cached(ROW)?;
    let mut rows = statement.query([cluster])?;
    while let Some(row) = rows.next()? {
        let vmid = row.get_ref(0)?.as_i64()?;
        while let Some(guest) = listed.next_if(|guest| i64::from(guest.vmid.get()) < vmid) {
            differing.push((None, guest));
        }
        match listed.next_if(|guest| i64::from(guest.vmid.get()) == vmid) {
            Some(guest) if is_same(row, guest)? => {}
            Some(guest) => differing.push((own(row)?.map(Box::new), guest)),
            None if row.get_ref(13)?.as_i64_or_null()?.is_some() => {}
            None => missing.extend(own(row)?),
        }
    }
    differing.extend(listed.map(|guest| (None, guest)));
    Ok((differing, missing))
}
