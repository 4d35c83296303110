//! What kept a host awake over a week: how long, how often, and how long it would have slept.

use jiff::{SignedDuration, Timestamp};

use crate::model::host::idle::{Need, NeedKind};

/// What a stretch of looks showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shown {
    /// Nothing needed the host.
    Idle,
    Asleep,
    Need(NeedKind),
}

impl Shown {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Shown::Idle => "idle",
            Shown::Asleep => "asleep",
            Shown::Need(kind) => kind.as_str(),
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Shown> {
        match word {
            "idle" => Some(Shown::Idle),
            "asleep" => Some(Shown::Asleep),
            word => NeedKind::parse(word).map(Shown::Need),
        }
    }
}

/// What one look showed, to be added to the stretches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) shown: Shown,
    /// The same at each look.
    pub(crate) what: String,
    /// With what was measured.
    pub(crate) text: String,
}

impl Sighting {
    /// Those of a look at a host that is awake.
    pub(crate) fn all(needs: &[Need]) -> Vec<Sighting> {
        if needs.is_empty() {
            return vec![Sighting::plain(Shown::Idle)];
        }
        let of =
            |need: &Need| Sighting { shown: Shown::Need(need.kind), what: need.what.clone(), text: need.text.clone() };
        needs.iter().map(of).collect()
    }

    /// One without words.
    pub(crate) fn plain(shown: Shown) -> Sighting {
        Sighting { shown, what: String::new(), text: String::new() }
    }
}

/// A stretch in which each look showed the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) sighting: Sighting,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// One thing that kept a host awake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) kind: NeedKind,
    pub(crate) what: String,
    /// As it was seen last.
    pub(crate) text: String,
    pub(crate) total: SignedDuration,
    /// In how many stretches.
    pub(crate) times: usize,
    pub(crate) last: Timestamp,
}

/// What the looks of some days showed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explained {
    /// The longest first.
    pub(crate) kept: Vec<Kept>,
    /// How long the host was looked at, how long it was idle, and how long asleep.
    pub(crate) looked: SignedDuration,
    pub(crate) idle: SignedDuration,
    pub(crate) asleep: SignedDuration,
    /// How long it slept, or would have slept by the rule: idle stretches without their first window.
    pub(crate) would_sleep: SignedDuration,
}

/// Adds up what stretches between `from` and `now` show, by a rule with this window.
pub(crate) fn explain(stretches: &[Stretch], from: Timestamp, now: Timestamp, window: SignedDuration) -> Explained {
    let zero = SignedDuration::ZERO;
    let mut explained = Explained { kept: Vec::new(), looked: zero, idle: zero, asleep: zero, would_sleep: zero };
    // Several needs at once are one look.
    let mut looked: Vec<(Timestamp, Timestamp)> = Vec::new();
    for Stretch { sighting, since, until } in stretches {
        let (begin, end) = ((*since).max(from), (*until).min(now));
        if end < begin {
            continue;
        }
        let length = end.duration_since(begin);
        looked.push((begin, end));
        match sighting.shown {
            Shown::Idle => {
                explained.idle += length;
                explained.would_sleep += length.saturating_sub(window).max(zero);
            }
            Shown::Asleep => {
                explained.asleep += length;
                explained.would_sleep += length;
            }
            Shown::Need(kind) => add(&mut explained.kept, kind, sighting, length, end),
        }
    }
    looked.sort_unstable();
    let mut reached = from;
    for (begin, end) in looked {
        let begin = begin.max(reached);
        if end > begin {
            explained.looked += end.duration_since(begin);
            reached = end;
        }
    }
    explained.kept.sort_by(|one, other| other.total.cmp(&one.total).then(other.last.cmp(&one.last)));
    explained
}

fn add(kept: &mut Vec<Kept>, kind: NeedKind, sighting: &Sighting, length: SignedDuration, last: Timestamp) {
    match kept.iter_mut().find(|one| one.kind == kind && one.what == sighting.what) {
        Some(one) => {
            one.total += length;
            one.times += 1;
            if last >= one.last {
                (one.last, one.text) = (last, sighting.text.clone());
            }
        }
        None => kept.push(Kept {
            kind,
            what: sighting.what.clone(),
            text: sighting.text.clone(),
            total: length,
            times: 1,
            last,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_added_up() {
        let hour = |hour: i64| Timestamp::from_second(1_767_225_600 + hour * 3600).unwrap();
        let hours = SignedDuration::from_hours;
        let stretch = |shown, what: &str, since, until| Stretch {
            sighting: Sighting { shown, what: what.to_owned(), text: format!("{what}, {until}") },
            since: hour(since),
            until: hour(until),
        };
        let (smb, guest) = (Shown::Need(NeedKind::Connection), Shown::Need(NeedKind::Guest));
        let stretches = [
            // It began before the week.
            stretch(smb, "SMB from 10.0.0.5", -10, 2),
            stretch(guest, "guest plex", 1, 4),
            stretch(Shown::Idle, "", 4, 10),
            stretch(Shown::Asleep, "", 10, 20),
            stretch(smb, "SMB from 10.0.0.5", 30, 33),
            stretch(Shown::Idle, "", 33, 34),
        ];
        let week = explain(&stretches, hour(0), hour(168), hours(2));
        let kept: Vec<_> = week.kept.iter().map(|one| (one.text.as_str(), one.total.as_hours(), one.times)).collect();
        assert_eq!(kept, [("SMB from 10.0.0.5, 33", 5, 2), ("guest plex, 4", 3, 1)]);
        let sums = [week.looked, week.idle, week.asleep, week.would_sleep].map(|sum| sum.as_hours());
        // Idle for 6 h of which the first 2 are the window, 1 h is shorter than that.
        assert_eq!(sums, [24, 7, 10, 14]);
    }

    #[test]
    fn words_round_trip() {
        for shown in [Shown::Idle, Shown::Asleep, Shown::Need(NeedKind::Login), Shown::Need(NeedKind::Average)] {
            assert_eq!(Shown::parse(shown.as_str()), Some(shown));
        }
        assert_eq!(Shown::parse("bored"), None);
    }
}
