//! The time that is looked at, and its steps.

use jiff::{SignedDuration, Timestamp};

/// The most steps of a window: more than any screen or file wants.
const MOST_STEPS: i64 = 100_000;

/// The time that is looked at, in steps that begin at multiples of their length since 1970, so that two looks share
/// their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// Whole seconds, at least one.
    pub(crate) step: SignedDuration,
}

impl Window {
    /// The window from `since` to `until`; the step is the given one, else one that suits its length. A step that
    /// would make too many points is made longer.
    pub(crate) fn new(since: Timestamp, until: Timestamp, step: Option<SignedDuration>) -> Window {
        let span = until.duration_since(since).max(SignedDuration::from_secs(1));
        let step = step.unwrap_or_else(|| usual_step(span)).as_secs().max(1);
        let step = step.max(span.as_secs() / MOST_STEPS + i64::from(span.as_secs() > MOST_STEPS));
        Window { since, until: until.max(since), step: SignedDuration::from_secs(step) }
    }

    /// This window in steps no shorter than `step`.
    pub(crate) fn at_least(self, step: SignedDuration) -> Window {
        if step > self.step { Window { step, ..self } } else { self }
    }

    /// Whether a moment lies in it.
    pub(crate) fn has(self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }

    /// When the step begins that a moment lies in: a multiple of the step since 1970.
    pub(crate) fn step_of(self, at: Timestamp) -> Timestamp {
        let step = self.step.as_secs().max(1);
        Timestamp::from_second(at.as_second().div_euclid(step) * step).unwrap_or(at)
    }

    /// When each step begins, the first at or before `since`.
    pub(super) fn steps(self) -> impl Iterator<Item = Timestamp> {
        let (first, step) = (self.step_of(self.since), self.step);
        std::iter::successors(Some(first), move |at| at.checked_add(step).ok()).take_while(move |at| *at <= self.until)
    }
}

/// The step that suits a window of this length: some dozens to some hundreds of points.
fn usual_step(span: SignedDuration) -> SignedDuration {
    const HOUR: i64 = 3600;
    let (limits, beyond) = ([(2, 60), (12, 300), (48, 1800), (7 * 24, HOUR), (31 * 24, 4 * HOUR)], 24 * HOUR);
    let found = limits.into_iter().find(|(hours, _)| span.as_secs() <= hours * HOUR);
    SignedDuration::from_secs(found.map_or(beyond, |(_, step)| step))
}
