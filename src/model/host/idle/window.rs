//! For how long nothing has needed a host, as far as somebody looked.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::host::idle::Need;
use crate::model::host::idle::need::listed;
use crate::model::text::units::human_span;

/// Looks that are no farther apart say nothing about how often somebody looks: one may be by hand.
const SHORTEST_GAP: SignedDuration = SignedDuration::from_secs(60);

/// Of so many gaps between looks the usual one is taken.
const GAPS: usize = 8;

/// A stretch between two looks was seen if it is no longer than so many of the usual ones.
const SEEN_GAPS: i32 = 3;

/// What all looks at a host together have shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdleRecord {
    /// Since when nothing has used it, as far as was seen; `None`: at the last look it was in use, or asleep.
    pub(crate) since: Option<Timestamp>,
    pub(crate) looked_at: Timestamp,
    /// The last look that counts for the usual gap.
    pub(crate) paced_at: Timestamp,
    /// How far the last looks were apart, the newest first.
    pub(crate) gaps: Vec<SignedDuration>,
    /// What needed it at the last look.
    pub(crate) needs: Vec<Need>,
    /// The last use that was seen, and when.
    pub(crate) used: Option<(Timestamp, String)>,
    /// How often the host had been asleep since it was started.
    pub(crate) sleeps: Option<u64>,
}

/// One look at a host that is awake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'n> {
    pub(crate) at: Timestamp,
    /// Since when the host is awake, as far as is known: its boot, or when somebody saw or made it wake.
    pub(crate) awake_since: Option<Timestamp>,
    /// How often it has been asleep since it was started, by its kernel.
    pub(crate) sleeps: Option<u64>,
    /// For how long nothing must have needed it.
    pub(crate) window: SignedDuration,
    pub(crate) needs: &'n [Need],
}

impl IdleRecord {
    /// How far looks are usually apart: the median of the last gaps.
    pub(crate) fn pace(&self) -> Option<SignedDuration> {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// Whether the stretch from the last look until `now` counts as seen. What is usual is known from the second look on;
    /// until then a stretch counts that is no longer than the window.
    pub(crate) fn has_seen_until(&self, now: Timestamp, window: SignedDuration) -> bool {
        let gap = now.duration_since(self.looked_at);
        let most = self.pace().map_or(window, |pace| pace.max(SHORTEST_GAP).saturating_mul(SEEN_GAPS));
        !gap.is_negative() && gap <= most
    }

    /// The record with one more look. A stretch that nobody looked at proves nothing, and neither does one in which the host
    /// was asleep: the window begins again.
    pub(crate) fn after(before: Option<&IdleRecord>, look: &Look<'_>) -> IdleRecord {
        let now = look.at;
        let slept =
            before.is_some_and(|before| before.sleeps.zip(look.sleeps).is_some_and(|(earlier, now)| earlier != now));
        let seen = before.filter(|before| !slept && before.has_seen_until(now, look.window));
        let (paced_at, gaps) = paced(before, now);
        let current: Vec<&Need> = look.needs.iter().filter(|need| need.kind.is_use()).collect();
        let used = if current.is_empty() {
            before.and_then(|before| before.used.clone())
        } else {
            Some((now, listed(current.iter().copied())))
        };
        let since = seen.and_then(|before| before.since).unwrap_or(now);
        let since = look.awake_since.map_or(since, |awake| since.max(awake)).min(now);
        IdleRecord {
            since: current.is_empty().then_some(since),
            looked_at: now,
            paced_at,
            gaps,
            needs: look.needs.to_vec(),
            used,
            sleeps: look.sleeps,
        }
    }

    /// The record after a look that found the host asleep or switched off.
    pub(crate) fn after_asleep(before: Option<&IdleRecord>, now: Timestamp) -> IdleRecord {
        let (paced_at, gaps) = paced(before, now);
        let used = before.and_then(|before| before.used.clone());
        IdleRecord { since: None, looked_at: now, paced_at, gaps, needs: Vec::new(), used, sleeps: None }
    }

    /// What needs the host, or needed it last, in words; `None`: nothing did as long as somebody looked.
    pub(crate) fn needed_by(&self) -> Option<String> {
        if !self.needs.is_empty() {
            return Some(listed(&self.needs));
        }
        let (at, what) = self.used.as_ref()?;
        Some(format!("{} ago: {what}", words(self.looked_at.duration_since(*at))))
    }

    /// What the last look means for a rule with this window.
    pub(crate) fn verdict(&self, window: SignedDuration) -> Verdict {
        let idle = self.since.map_or(SignedDuration::ZERO, |since| self.looked_at.duration_since(since));
        let is_long = self.since.is_some() && idle >= window;
        let stays = if !self.needs.is_empty() {
            Some(listed(&self.needs))
        } else if is_long {
            None
        } else {
            let mut text = format!("idle for {} of {}, as far as was seen", words(idle), words(window));
            if let Some((at, what)) = &self.used {
                let ago = words(self.looked_at.duration_since(*at));
                let _ = write!(text, "; needed {ago} ago: {what}"); // a `String` takes all
            }
            Some(text)
        };
        Verdict { stays, since: self.since, needs: self.needs.clone() }
    }
}

/// When a look counted for the usual gap last, and the gaps, after a look now.
fn paced(before: Option<&IdleRecord>, now: Timestamp) -> (Timestamp, Vec<SignedDuration>) {
    let Some(before) = before else { return (now, Vec::new()) };
    let gap = now.duration_since(before.paced_at);
    if gap.is_negative() {
        // The clock was set back.
        return (now, before.gaps.clone());
    }
    if gap < SHORTEST_GAP {
        return (before.paced_at, before.gaps.clone());
    }
    (now, std::iter::once(gap).chain(before.gaps.iter().copied()).take(GAPS).collect())
}

/// What comes of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Why the host stays awake, in words; `None`: it may go down.
    pub(crate) stays: Option<String>,
    /// Since when it is idle.
    pub(crate) since: Option<Timestamp>,
    pub(crate) needs: Vec<Need>,
}

/// `12 min`
pub(crate) fn words(span: SignedDuration) -> String {
    human_span(Duration::try_from(span).unwrap_or_default())
}

#[cfg(test)]
mod tests;
