//! What a new listing of a cluster changes in what is known of its guests.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{CachedStatement, Connection, Params, Row, params};

use crate::model::id::{ClusterId, GuestKind, NodeName, ServerId, VmId};
use crate::model::inventory::server::{Guest, LISTING_LAG, Listing, ServerKey};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::history::events;
use crate::state::inventory::changes::{Change, Edit, What};
use crate::state::inventory::{guests, identities};
use crate::state::subjects::{cluster_row, kind};
use crate::state::{Result, State, is_superseded};

/// What came of recording a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Recorded {
    /// Changes of power since the listing before. What else is new waits to be told: see [`State::take_changes`].
    pub(crate) power: Vec<Change>,
    /// Every guest that is known and not gone stands in the listing.
    pub(crate) complete: bool,
}

const ROW: &str = "SELECT vmid, kind, name, node, state, known_state, raw, template, lock, tags, pool, ha_state,
    last_seen, gone_at FROM guests WHERE cluster = ?1 ORDER BY vmid";

/// What differs from the listing, owned so that the reading can end before the writing begins.
struct Known {
    vmid: VmId,
    kind: GuestKind,
    name: Option<String>,
    node: String,
    power: PowerState,
    template: bool,
    lock: Option<String>,
    tags: String,
    pool: Option<String>,
    ha_state: Option<String>,
    was_listed: bool,
    gone: bool,
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
                    writer.say(guest.vmid, guest.kind, guest.name.as_deref(), &guest.node, What::New)?;
                }
            }
            let unlisted = writer.miss(missing, listing)?;
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
        is_wanted: impl Fn(&Change) -> bool,
    ) -> Result<Vec<Change>> {
        self.read(|conn| {
            let sql =
                "SELECT change FROM changes WHERE cluster = (SELECT id FROM clusters WHERE name = ?1) ORDER BY id";
            read_changes(conn.prepare_cached(sql)?, [cluster.as_str()], is_wanted)
        })
    }

    /// Like `untold_changes`, to be told now: they are forgotten.
    pub(crate) fn take_changes(&self, cluster: &ClusterId) -> Result<Vec<Change>> {
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
    is_wanted: impl Fn(&Change) -> bool,
) -> rusqlite::Result<Vec<Change>> {
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

/// Hashes thousands of short pieces as a few long ones: of a short one the call costs more than its bytes.
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

/// Whether the listing says nothing new of the guest.
fn is_same(row: &Row<'_>, guest: &Guest) -> rusqlite::Result<bool> {
    let text = |i: usize| Ok::<_, rusqlite::Error>(row.get_ref(i)?.as_str_or_null()?);
    Ok(row.get_ref(1)?.as_str()? == guest.kind.as_str()
        && row.get_ref(3)?.as_str()? == guest.node.as_str()
        && row.get_ref(4)?.as_str()? == guest.state.as_str()
        && row.get_ref(6)?.as_str()? == guest.raw_status
        && text(11)? == guest.ha_state.as_deref()
        && match &guest.name {
            None => guest.pool.is_none() || text(10)? == guest.pool.as_deref(),
            Some(name) => {
                text(2)? == Some(name)
                    && (row.get_ref(7)?.as_i64()? != 0) == guest.template
                    && text(8)? == guest.lock.as_deref()
                    && guests::tags(row.get_ref(9)?.as_str()?).eq(guest.tags.iter().map(String::as_str))
                    && text(10)? == guest.pool.as_deref()
            }
        }
        && row.get_ref(12)?.as_i64_or_null()?.is_none()
        && row.get_ref(13)?.as_i64_or_null()?.is_none())
}

/// `None` for a row that makes no sense; it is written anew.
fn own(row: &Row<'_>) -> rusqlite::Result<Option<Known>> {
    let text = |i: usize| Ok::<_, rusqlite::Error>(row.get_ref(i)?.as_str_or_null()?.map(str::to_owned));
    let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { return Ok(None) };
    let Some(kind) = kind(row.get_ref(1)?.as_str()?) else { return Ok(None) };
    Ok(Some(Known {
        vmid,
        kind,
        name: text(2)?,
        node: row.get(3)?,
        power: PowerState::parse(row.get_ref(5)?.as_str()?),
        template: row.get(7)?,
        lock: text(8)?,
        tags: row.get(9)?,
        pool: text(10)?,
        ha_state: text(11)?,
        was_listed: row.get_ref(12)?.as_i64_or_null()?.is_none(),
        gone: row.get_ref(13)?.as_i64_or_null()?.is_some(),
    }))
}

fn yes_or_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

struct Writer<'a> {
    conn: &'a Connection,
    cluster: &'a ClusterId,
    id: i64,
    at: i64,
    /// The listing before this one.
    listed_at: i64,
    power: Vec<Change>,
}

impl Writer<'_> {
    /// Keeps what is to be told. Changes of power are events already.
    fn say(
        &mut self,
        vmid: VmId,
        kind: GuestKind,
        name: Option<&str>,
        node: &NodeName,
        what: What,
    ) -> rusqlite::Result<()> {
        let change = Change { vmid, kind, name: name.map(str::to_owned), node: node.clone(), what };
        if matches!(change.what, What::Power { .. }) {
            self.power.push(change);
            return Ok(());
        }
        let mut keep = self.conn.prepare_cached("INSERT INTO changes (cluster, change) VALUES (?1, ?2)")?;
        keep.execute(params![self.id, crate::state::to_json(&change)]).map(drop)
    }

    fn insert(&mut self, guest: &Guest) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO guests (cluster, vmid, kind, name, node, state, known_state, raw, template,
                lock, tags, pool, ha_state, first_seen, changed_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)";
        self.conn.prepare_cached(sql)?.execute(params![
            self.id,
            guest.vmid.get(),
            guest.kind.as_str(),
            guest.name,
            guest.node.as_str(),
            guest.state.as_str(),
            guest.raw_status,
            guest.template,
            guest.lock,
            guest.tags.join(";"),
            guest.pool,
            guest.ha_state,
            self.at
        ])?;
        Ok(())
    }

    fn update(&mut self, known: &Known, guest: &Guest) -> rusqlite::Result<()> {
        if known.kind != guest.kind {
            // Whoever had this number before is another guest.
            identities::forget(self.conn, self.id, guest.vmid)?;
            self.insert(guest)?;
            let what = What::Replaced { from: known.kind, name: None };
            return self.say(guest.vmid, guest.kind, guest.name.as_deref(), &guest.node, what);
        }
        // A node whose data is missing gives neither name nor settings.
        let known_name = known.name.as_deref();
        let blank = guest.name.is_none();
        let name = guest.name.as_deref().or(known_name);
        let template = if blank { known.template } else { guest.template };
        let lock = if blank { known.lock.as_deref() } else { guest.lock.as_deref() };
        let tags = if blank { known.tags.clone() } else { guest.tags.join(";") };
        let pool = guest.pool.as_deref().or(known.pool.as_deref().filter(|_| blank));
        let known_state = if guest.state == PowerState::Unknown { known.power } else { guest.state };

        let mut found = Vec::new();
        if known.gone {
            found.push(What::Returned);
        }
        if let Some(from) = known.node.parse().ok().filter(|from| *from != guest.node) {
            let server = ServerKey::of_guest(self.cluster, guest.vmid);
            events::add_move(self.conn, self.at, &server, &from)?;
            found.push(What::Moved { from, to: guest.node.clone() });
        }
        if let (Some(from), Some(to)) = (known_name, name)
            && from != to
        {
            found.push(What::Renamed { from: from.to_owned(), to: to.to_owned() });
        }
        let power_changed = known_state != known.power;
        if power_changed {
            let (from, to) = (known.power, known_state);
            // That somebody could look at last is news, but nothing that happened to the guest.
            if from != PowerState::Unknown {
                let server = ServerKey::of_guest(self.cluster, guest.vmid);
                let (at, lag) = match guest.seen_at {
                    // A clock that was put back does not make it older than the listing before.
                    Some(at) => (at.as_millisecond().min(self.at), SignedDuration::ZERO),
                    None => (self.at, LISTING_LAG),
                };
                events::add_event(self.conn, at, &server, from, to, Source::Api, lag)?;
            }
            found.push(What::Power { from, to });
        }
        // Their order means nothing.
        let as_set = |tags| guests::tags(tags).collect::<BTreeSet<_>>();
        let tags_changed = as_set(&known.tags) != as_set(&tags);
        let edits = [
            Edit::of("tags", Some(&known.tags), Some(&tags)).filter(|_| tags_changed),
            Edit::of("pool", known.pool.as_deref(), pool),
            Edit::of("template", Some(yes_or_no(known.template)), Some(yes_or_no(template))),
            Edit::of("ha_state", known.ha_state.as_deref(), guest.ha_state.as_deref()),
        ];
        let edits: Vec<Edit> = edits.into_iter().flatten().collect();
        if !edits.is_empty() {
            found.push(What::edited(edits));
        }
        for what in found {
            self.say(guest.vmid, guest.kind, name, &guest.node, what)?;
        }

        // A guest that returns may be another one: its addresses are asked for again.
        let sql = "UPDATE guests SET name = ?3, node = ?4, state = ?5, known_state = ?6, raw = ?7, template = ?8,
                lock = ?9, tags = ?10, pool = ?11, ha_state = ?12, changed_at = iif(?13, ?14, changed_at),
                addresses = iif(gone_at IS NULL, addresses, NULL), addresses_at = iif(gone_at IS NULL, addresses_at, NULL),
                last_seen = NULL, gone_at = NULL
            WHERE cluster = ?1 AND vmid = ?2";
        self.conn.prepare_cached(sql)?.execute(params![
            self.id,
            guest.vmid.get(),
            name,
            guest.node.as_str(),
            guest.state.as_str(),
            known_state.as_str(),
            guest.raw_status,
            template,
            lock,
            tags,
            pool,
            guest.ha_state,
            power_changed,
            self.at
        ])?;
        Ok(())
    }

    /// Guests that were known and are not in the listing. Gives the number of those that are kept.
    fn miss(&mut self, missing: Vec<Known>, listing: &Listing) -> rusqlite::Result<u32> {
        let mut kept = 0;
        let online: HashMap<&str, bool> =
            listing.nodes.iter().map(|node| (node.name.as_str(), node.online == Some(true))).collect();
        let all = online.values().all(|online| *online);
        for known in missing {
            let may_be_told = all || online.get(known.node.as_str()).copied().unwrap_or(false);
            let gone = may_be_told && listing.unreadable == 0;
            kept += u32::from(!gone);
            if gone && let Ok(node) = known.node.parse() {
                self.say(known.vmid, known.kind, known.name.as_deref(), &node, What::Gone)?;
            }
            if gone {
                identities::forget(self.conn, self.id, known.vmid)?;
            }
            if gone || known.was_listed {
                let sql = "UPDATE guests SET last_seen = coalesce(last_seen, ?3), gone_at = iif(?4, ?5, NULL)
                    WHERE cluster = ?1 AND vmid = ?2";
                let values = params![self.id, known.vmid.get(), self.listed_at, gone, self.at];
                self.conn.prepare_cached(sql)?.execute(values)?;
            }
        }
        Ok(kept)
    }
}
