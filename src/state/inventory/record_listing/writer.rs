//! What a listing changes is written.

use std::collections::HashMap;

use jiff::SignedDuration;
use rusqlite::{Connection, params};

use super::known::Known;
use crate::model::id::{ClusterId, GuestKind, NodeName, VmId};
use crate::model::inventory::server::{Guest, LISTING_LAG, Listing, ServerKey};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::history::events;
use crate::state::inventory::changes::{GuestChange, GuestChangeKind};
use crate::state::inventory::identities;

pub(super) struct Writer<'a> {
    pub(super) conn: &'a Connection,
    pub(super) cluster: &'a ClusterId,
    pub(super) id: i64,
    pub(super) at: i64,
    /// The listing before this one.
    pub(super) listed_at: i64,
    pub(super) power: Vec<GuestChange>,
}

impl Writer<'_> {
    /// Keeps what is to be told. Changes of power are events already.
    pub(super) fn say(
        &mut self,
        vmid: VmId,
        kind: GuestKind,
        name: Option<&str>,
        node: &NodeName,
        what: GuestChangeKind,
    ) -> rusqlite::Result<()> {
        let change = GuestChange { vmid, kind, name: name.map(str::to_owned), node: node.clone(), what };
        if matches!(change.what, GuestChangeKind::Power { .. }) {
            self.power.push(change);
            return Ok(());
        }
        let mut keep = self.conn.prepare_cached("INSERT INTO changes (cluster, change) VALUES (?1, ?2)")?;
        keep.execute(params![self.id, crate::state::to_json(&change)]).map(drop)
    }

    pub(super) fn insert(&mut self, guest: &Guest) -> rusqlite::Result<()> {
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

    pub(super) fn update(&mut self, known: &Known, guest: &Guest) -> rusqlite::Result<()> {
        if known.kind != guest.kind {
            // The guest that had this number before is another one.
            identities::forget(self.conn, self.id, guest.vmid)?;
            self.insert(guest)?;
            let what = GuestChangeKind::Replaced { from: known.kind, name: None };
            return self.say(guest.vmid, guest.kind, guest.name.as_deref(), &guest.node, what);
        }
        let now = known.followed_by(guest);
        for what in known.changes(guest, &now) {
            self.keep(guest, &what)?;
            self.say(guest.vmid, guest.kind, now.name, &guest.node, what)?;
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
            now.name,
            guest.node.as_str(),
            guest.state.as_str(),
            now.power.as_str(),
            guest.raw_status,
            now.template,
            now.lock,
            now.tags,
            now.pool,
            guest.ha_state,
            now.power != known.power,
            self.at
        ])?;
        Ok(())
    }

    /// Keeps what happened to a guest as a part of its history: where it was, and what it did.
    fn keep(&self, guest: &Guest, what: &GuestChangeKind) -> rusqlite::Result<()> {
        let server = ServerKey::of_guest(self.cluster, guest.vmid);
        match what {
            GuestChangeKind::Moved { from, .. } => events::add_move(self.conn, self.at, &server, from),
            // That somebody could look at last is news, but nothing that happened to the guest.
            GuestChangeKind::Power { from, to } if *from != PowerState::Unknown => {
                let (at, lag) = match guest.seen_at {
                    // A clock that was put back does not make it older than the listing before.
                    Some(at) => (at.as_millisecond().min(self.at), SignedDuration::ZERO),
                    None => (self.at, LISTING_LAG),
                };
                events::add_event(self.conn, at, &server, *from, *to, Source::Api, lag)
            }
            _ => Ok(()),
        }
    }

    /// Guests that were known and are not in the listing. Gives the number of those that are kept.
    pub(super) fn mark_missing(&mut self, missing: Vec<Known>, listing: &Listing) -> rusqlite::Result<u32> {
        let mut kept = 0;
        let online: HashMap<&str, bool> =
            listing.nodes.iter().map(|node| (node.name.as_str(), node.online == Some(true))).collect();
        let all = online.values().all(|online| *online);
        for known in missing {
            let may_be_told = all || online.get(known.node.as_str()).copied().unwrap_or(false);
            let gone = may_be_told && listing.unreadable == 0;
            kept += u32::from(!gone);
            if gone && let Ok(node) = known.node.parse() {
                self.say(known.vmid, known.kind, known.name.as_deref(), &node, GuestChangeKind::Gone)?;
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
