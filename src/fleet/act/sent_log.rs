//! What was already sent, for an interrupted run to report.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The plan, and the number of the step in it.
type Sent = (u64, usize);

/// What was sent and is not known to have ended: said where a run ends before it has told.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentLog {
    lines: Rc<RefCell<Vec<(Sent, String)>>>,
    /// Whether anything was ever sent.
    any: Rc<Cell<bool>>,
    /// Which plan it is: two that are carried out at one time have steps of the same numbers.
    plan: u64,
}

impl SentLog {
    /// The log of another plan, in the same list.
    pub(crate) fn of_plan(&self, plan: u64) -> SentLog {
        SentLog { lines: Rc::clone(&self.lines), any: Rc::clone(&self.any), plan }
    }

    /// Whether anything was sent, whatever came of it.
    pub(crate) fn has_any(&self) -> bool {
        self.any.get()
    }

    /// A line for each, in the order in which they were sent.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().iter().map(|(_, line)| line.clone()).collect()
    }

    pub(super) fn note(&self, step: usize, line: String) {
        self.any.set(true);
        let mut lines = self.lines.borrow_mut();
        lines.retain(|(other, _)| *other != (self.plan, step));
        lines.push(((self.plan, step), line));
    }

    /// What came of all that was sent has been told.
    pub(crate) fn forget(&self) {
        self.lines.borrow_mut().clear();
    }

    pub(super) fn clear(&self, step: usize) {
        self.lines.borrow_mut().retain(|(other, _)| *other != (self.plan, step));
    }
}
