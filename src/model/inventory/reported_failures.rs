//! What was said of troubles in earlier runs, and what is to be said in this one: cron mails whatever is said.

use jiff::{SignedDuration, Timestamp};

use crate::model::inventory::{Failed, FailureKind};
use crate::model::text::units::human_seconds;
use crate::model::watch::Notice;

/// Runs that cron begins a moment earlier than the last time say it again all the same.
const SLACK: SignedDuration = SignedDuration::from_secs(60);

/// The kind of what is lost, which is no trouble of a server.
const LOSS: &str = "loss";

/// A trouble that was said, for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportedFailure {
    /// Empty: it is no server's.
    pub(crate) server: String,
    pub(crate) kind: String,
    /// What tells it from other troubles of this kind.
    pub(crate) what: String,
    /// The words that were said.
    pub(crate) text: String,
    pub(crate) since: Timestamp,
    pub(crate) said_at: Timestamp,
}

/// What is to be said in a run, and what is to be remembered of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Of the failures those to be said, by their places.
    pub(crate) failures: Vec<usize>,
    /// Of the notices of losses, likewise.
    pub(crate) losses: Vec<usize>,
    /// What has ended, in words.
    pub(crate) over: Vec<String>,
    /// All that lasts, in place of what was remembered.
    pub(crate) told: Vec<ReportedFailure>,
}

/// What is new: troubles that began or became others, those that were said `repeat` ago, and those that ended. Of servers
/// that this run has not `asked` nothing is known to have ended.
pub(crate) fn news(
    failures: &[Failed],
    losses: &[Notice],
    before: &[ReportedFailure],
    at: Timestamp,
    repeat: Option<SignedDuration>,
    asked: &dyn Fn(&str) -> bool,
) -> News {
    let mut news = News::default();
    for (place, failed) in failures.iter().enumerate() {
        let (server, kind) = (failed.server.as_str(), failed.kind.as_str());
        // A host that is silent now and refused before is off all the while.
        let what =
            if failed.kind == FailureKind::Unreachable { String::new() } else { without_numbers(&failed.message) };
        if news.takes(before, [server, kind, &what, &failed.message], at, repeat) {
            news.failures.push(place);
        }
    }
    for (place, loss) in losses.iter().enumerate() {
        if news.takes(before, ["", LOSS, &without_numbers(&loss.text), &loss.text], at, repeat) {
            news.losses.push(place);
        }
    }
    for old in before {
        if news.told.iter().any(|new| new.is_same(old)) {
            continue;
        }
        if !old.server.is_empty() && !asked(&old.server) {
            news.told.push(old.clone());
        } else if old.kind != LOSS && !news.told.iter().any(|new| new.server == old.server) {
            let lasted = at.duration_since(old.since).as_secs().try_into().unwrap_or_default();
            news.over.push(format!("over after {}: {}", human_seconds(lasted), old.text));
        }
    }
    news
}

impl ReportedFailure {
    fn is_same(&self, other: &ReportedFailure) -> bool {
        (&self.server, &self.kind, &self.what) == (&other.server, &other.kind, &other.what)
    }
}

impl News {
    /// Remembers a trouble; says whether it is to be said.
    fn takes(
        &mut self,
        before: &[ReportedFailure],
        [server, kind, what, text]: [&str; 4],
        at: Timestamp,
        repeat: Option<SignedDuration>,
    ) -> bool {
        let [server, kind, what, text] = [server, kind, what, text].map(str::to_owned);
        let new = ReportedFailure { server, kind, what, text, since: at, said_at: at };
        if self.told.iter().any(|known| known.is_same(&new)) {
            return true;
        }
        let Some(old) = before.iter().find(|old| old.is_same(&new)) else {
            self.told.push(new);
            return true;
        };
        let ago = at.duration_since(old.said_at);
        // A stamp from the future is of a clock that was wrong.
        let again = repeat.is_some_and(|repeat| ago + SLACK.min(repeat / 10) >= repeat || ago.is_negative());
        self.told.push(if again { ReportedFailure { since: old.since, ..new } } else { old.clone() });
        again
    }
}

/// The words without what differs each time: `did not answer within 4.9 s`.
fn without_numbers(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !short.ends_with('#') {
            short.push(c);
        }
    }
    short
}

#[cfg(test)]
mod tests;
