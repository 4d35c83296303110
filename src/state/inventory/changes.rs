//! What is new of guests, one after the other as it was seen, and what remains of that in the end.

use serde::{Deserialize, Serialize};

use crate::model::id::{GuestKind, NodeName, VmId};
use crate::model::power::PowerState;
use crate::model::text::draining::in_pieces;

/// One thing that is new since the last listing. A guest may have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GuestChange {
    pub(crate) vmid: VmId,
    pub(crate) kind: GuestKind,
    /// Its name now, or the remembered one.
    pub(crate) name: Option<String>,
    /// Where it is now, or was last.
    pub(crate) node: NodeName,
    #[serde(flatten)]
    pub(crate) what: GuestChangeKind,
}

/// What changed.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum GuestChangeKind {
    New,
    /// It does not exist any more: its node answers and does not have it.
    Gone,
    /// It was gone and is there again.
    Returned,
    /// Another guest took the number: one of another kind, or one that is told from the last by its configuration.
    Replaced {
        from: GuestKind,
        /// The name of the last one, if it is of the same kind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    Moved {
        from: NodeName,
        to: NodeName,
    },
    Renamed {
        from: String,
        to: String,
    },
    Power {
        from: PowerState,
        to: PowerState,
    },
    /// The named settings changed: `tags`, `pool`, `template`, `ha_state`.
    Edited {
        fields: Vec<String>,
        /// From what to what; not of those that an earlier ecobox noted.
        #[serde(default)]
        values: Vec<Edit>,
    },
}

/// One setting that changed.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edit {
    pub(crate) field: String,
    /// `None`: it was not set.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

impl Edit {
    /// `None` where nothing changed.
    pub(crate) fn of(field: &str, from: Option<&str>, to: Option<&str>) -> Option<Edit> {
        let set = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
        let (from, to) = (set(from), set(to));
        (from != to).then(|| Edit { field: field.to_owned(), from, to })
    }
}

impl GuestChangeKind {
    /// These settings changed.
    pub(crate) fn edited(values: Vec<Edit>) -> GuestChangeKind {
        GuestChangeKind::Edited { fields: values.iter().map(|edit| edit.field.clone()).collect(), values }
    }
}

/// What came of all these changes, which happened in this order: each kind of change once for a guest, from what it was
/// before the first to what it is after the last, and nothing where both are the same. Whoever is new, and whoever came
/// and went, was not known before: nothing else is news of it.
pub(crate) fn net(changes: Vec<GuestChange>) -> Vec<GuestChange> {
    let mut changes = changes;
    // In their order, guest by guest.
    changes.sort_by_key(|change| change.vmid);
    let (mut net, mut own) = (Vec::new(), Vec::new());
    for change in in_pieces(changes) {
        if own.last().is_some_and(|last: &GuestChange| last.vmid != change.vmid) {
            net.extend(net_of_guest(std::mem::take(&mut own)));
        }
        own.push(change);
    }
    net.extend(net_of_guest(own));
    net
}

fn net_of_guest(changes: Vec<GuestChange>) -> Vec<GuestChange> {
    let Some(last) = changes.last().cloned() else { return Vec::new() };
    let mut sum = Sum::default();
    for change in changes {
        sum.add(change.what);
    }
    sum.told().into_iter().map(|what| GuestChange { what, ..last.clone() }).collect()
}

/// The changes of one guest so far.
#[derive(Debug, Default)]
struct Sum {
    /// `New`, `Returned` or `Gone`, whichever came first and last.
    first: Option<GuestChangeKind>,
    last: Option<GuestChangeKind>,
    replaced: Option<(GuestKind, Option<String>)>,
    moved: Option<(NodeName, NodeName)>,
    renamed: Option<(String, String)>,
    power: Option<(PowerState, PowerState)>,
    edits: Vec<Edit>,
    /// Settings of which only the name was noted.
    fields: Vec<String>,
}

/// From where the first change came to where this one leads.
fn follow<T>(so_far: &mut Option<(T, T)>, from: T, to: T) {
    match so_far {
        Some((_, end)) => *end = to,
        None => *so_far = Some((from, to)),
    }
}

impl Sum {
    fn add(&mut self, what: GuestChangeKind) {
        match what {
            GuestChangeKind::New | GuestChangeKind::Gone | GuestChangeKind::Returned => {
                self.first.get_or_insert_with(|| what.clone());
                self.last = Some(what);
            }
            GuestChangeKind::Replaced { from, name } => {
                self.replaced.get_or_insert((from, name));
                // What was said of the name and settings compares two guests.
                (self.renamed, self.edits, self.fields) = (None, Vec::new(), Vec::new());
            }
            GuestChangeKind::Moved { from, to } => follow(&mut self.moved, from, to),
            GuestChangeKind::Renamed { from, to } => follow(&mut self.renamed, from, to),
            GuestChangeKind::Power { from, to } => follow(&mut self.power, from, to),
            GuestChangeKind::Edited { fields, values } => {
                let named = |field: &String| !values.iter().any(|edit| edit.field == *field);
                self.fields.extend(fields.into_iter().filter(named));
                for edit in values {
                    match self.edits.iter_mut().find(|known| known.field == edit.field) {
                        Some(known) => known.to = edit.to,
                        None => self.edits.push(edit),
                    }
                }
            }
        }
    }

    fn told(self) -> Vec<GuestChangeKind> {
        let Sum { first, last, replaced, moved, renamed, power, edits, mut fields } = self;
        let was_known = first.as_ref().is_none_or(|first| *first == GuestChangeKind::Gone);
        let is_there = last.as_ref().is_none_or(|last| *last != GuestChangeKind::Gone);
        match (was_known, is_there) {
            (false, false) => return Vec::new(),
            (true, false) => return vec![GuestChangeKind::Gone],
            (false, true) if first == Some(GuestChangeKind::New) => return vec![GuestChangeKind::New],
            _ => {}
        }
        // It was gone in between, or before.
        let mut told: Vec<GuestChangeKind> = last.map(|_| GuestChangeKind::Returned).into_iter().collect();
        told.extend(replaced.map(|(from, name)| GuestChangeKind::Replaced { from, name }));
        told.extend(moved.filter(|(from, to)| from != to).map(|(from, to)| GuestChangeKind::Moved { from, to }));
        told.extend(renamed.filter(|(from, to)| from != to).map(|(from, to)| GuestChangeKind::Renamed { from, to }));
        told.extend(power.filter(|(from, to)| from != to).map(|(from, to)| GuestChangeKind::Power { from, to }));
        let edits: Vec<Edit> = edits.into_iter().filter(|edit| edit.from != edit.to).collect();
        fields.retain(|field| !edits.iter().any(|edit| edit.field == *field));
        fields.sort_unstable();
        fields.dedup();
        let all: Vec<String> = edits.iter().map(|edit| edit.field.clone()).chain(fields).collect();
        if !all.is_empty() {
            told.push(GuestChangeKind::Edited { fields: all, values: edits });
        }
        told
    }
}

#[cfg(test)]
mod tests;
