//! What was known of a guest, and what a listing says that differs.

use std::collections::BTreeSet;

use rusqlite::Row;

use crate::model::id::{GuestKind, VmId};
use crate::model::inventory::server::Guest;
use crate::model::power::PowerState;
use crate::state::inventory::changes::{Edit, GuestChangeKind};
use crate::state::inventory::guests;

pub(super) const ROW: &str =
    "SELECT vmid, kind, name, node, state, known_state, raw, template, lock, tags, pool, ha_state,
    last_seen, gone_at FROM guests WHERE cluster = ?1 ORDER BY vmid";

/// What differs from the listing, owned so that the reading can end before the writing begins.
pub(super) struct Known {
    pub(super) vmid: VmId,
    pub(super) kind: GuestKind,
    pub(super) name: Option<String>,
    pub(super) node: String,
    pub(super) power: PowerState,
    pub(super) template: bool,
    pub(super) lock: Option<String>,
    pub(super) tags: String,
    pub(super) pool: Option<String>,
    pub(super) ha_state: Option<String>,
    pub(super) was_listed: bool,
    pub(super) gone: bool,
}

/// What is known of a guest after a listing.
pub(super) struct KnownNow<'g> {
    pub(super) name: Option<&'g str>,
    /// The last state that was not unknown.
    pub(super) power: PowerState,
    pub(super) template: bool,
    pub(super) lock: Option<&'g str>,
    pub(super) tags: String,
    pub(super) pool: Option<&'g str>,
}

impl Known {
    /// What is known after the listing said this. A node whose data is missing gives neither name nor settings: they stay.
    pub(super) fn followed_by<'g>(&'g self, guest: &'g Guest) -> KnownNow<'g> {
        let blank = guest.name.is_none();
        KnownNow {
            name: guest.name.as_deref().or(self.name.as_deref()),
            power: if guest.state == PowerState::Unknown { self.power } else { guest.state },
            template: if blank { self.template } else { guest.template },
            lock: if blank { self.lock.as_deref() } else { guest.lock.as_deref() },
            tags: if blank { self.tags.clone() } else { guest.tags.join(";") },
            pool: guest.pool.as_deref().or(self.pool.as_deref().filter(|_| blank)),
        }
    }

    /// What is new of a guest of the same kind.
    pub(super) fn changes(&self, guest: &Guest, now: &KnownNow<'_>) -> Vec<GuestChangeKind> {
        let mut found = Vec::new();
        if self.gone {
            found.push(GuestChangeKind::Returned);
        }
        if let Some(from) = self.node.parse().ok().filter(|from| *from != guest.node) {
            found.push(GuestChangeKind::Moved { from, to: guest.node.clone() });
        }
        if let (Some(from), Some(to)) = (self.name.as_deref(), now.name)
            && from != to
        {
            found.push(GuestChangeKind::Renamed { from: from.to_owned(), to: to.to_owned() });
        }
        if now.power != self.power {
            found.push(GuestChangeKind::Power { from: self.power, to: now.power });
        }
        let edits = self.edits(guest, now);
        if !edits.is_empty() {
            found.push(GuestChangeKind::edited(edits));
        }
        found
    }

    fn edits(&self, guest: &Guest, now: &KnownNow<'_>) -> Vec<Edit> {
        // Their order means nothing.
        let as_set = |tags| guests::tags(tags).collect::<BTreeSet<_>>();
        let tags_changed = as_set(&self.tags) != as_set(&now.tags);
        let edits = [
            Edit::of("tags", Some(&self.tags), Some(&now.tags)).filter(|_| tags_changed),
            Edit::of("pool", self.pool.as_deref(), now.pool),
            Edit::of("template", Some(yes_or_no(self.template)), Some(yes_or_no(now.template))),
            Edit::of("ha_state", self.ha_state.as_deref(), guest.ha_state.as_deref()),
        ];
        edits.into_iter().flatten().collect()
    }
}

fn yes_or_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}

/// Whether the listing says nothing new of the guest.
pub(super) fn is_same(row: &Row<'_>, guest: &Guest) -> rusqlite::Result<bool> {
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

/// `None` for a row that makes no sense; it is rewritten.
pub(super) fn own(row: &Row<'_>) -> rusqlite::Result<Option<Known>> {
    let text = |i: usize| Ok::<_, rusqlite::Error>(row.get_ref(i)?.as_str_or_null()?.map(str::to_owned));
    let Ok(vmid) = VmId::try_from(row.get::<_, u32>(0)?) else { return Ok(None) };
    let Some(kind) = GuestKind::parse(row.get_ref(1)?.as_str()?) else { return Ok(None) };
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
