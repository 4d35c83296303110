//! What is found wrong, in words, and what fixes it. `doctor` shows it, and `power` is refused by it: one fault has one text,
//! whoever comes upon it. What lasts is found by both; what only an action meets is found by `power`.

mod guest;
mod host;
mod migrate;
mod snapshot;

use crate::model::check::CheckId;
use crate::model::check::fix::Fix;

pub(crate) use self::guest::Locked;
pub(crate) use self::host::Tasks;
pub(crate) use self::snapshot::Repair;

/// A check that found something at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) id: CheckId,
    /// What was found, without the server's name.
    pub(crate) finding: String,
    pub(crate) fix: Option<Fix>,
    /// Whether `doctor` finds it as well, before and after an action.
    pub(crate) lasts: bool,
}

impl Fault {
    /// With the fix that `--explain` says.
    fn new(id: CheckId, finding: impl Into<String>) -> Fault {
        Fault { id, finding: finding.into(), fix: Some(Fix::of(id, &[])), lasts: false }
    }

    fn fix(self, fix: Fix) -> Fault {
        Fault { fix: Some(fix), ..self }
    }

    /// What is done about it here and now, in words.
    fn say(self, fix: impl Into<String>) -> Fault {
        self.fix(Fix::say(fix))
    }

    /// It is there whether anybody acts or not.
    fn lasting(self) -> Fault {
        Fault { lasts: true, ..self }
    }
}

/// ` and 2 more` of a list that is cut.
pub(crate) fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    /// More of a kind are counted, not named.
    const NAMED: usize = 5;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let more = names.len().saturating_sub(NAMED);
    let text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
