//! How long a guest has been without a backup, as far as anybody can know.

use jiff::{SignedDuration, Timestamp};

use crate::model::text::units::human_seconds;

/// What is known of a guest and its backups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Whether a job takes it; `None`: the jobs were not asked for.
    pub(crate) in_job: Option<bool>,
    /// The end of the last good backup.
    pub(crate) good_at: Option<Timestamp>,
    /// It has existed at least since then.
    pub(crate) made_at: Option<Timestamp>,
    /// When it was made, where that is known: before, its number was another guest's.
    pub(crate) born_at: Option<Timestamp>,
    /// Since when it has not run; `None`: it runs, or may run.
    pub(crate) stopped_at: Option<Timestamp>,
    /// Since when its host has been on; `None`: for long.
    pub(crate) host_since: Option<Timestamp>,
    /// Since when the tasks of its node are known; `None`: they are not.
    pub(crate) told_since: Option<Timestamp>,
}

/// How long it has been without one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Without {
    /// So long it has worked since its last good backup, or since it was made.
    For(SignedDuration),
    /// None is missed, and why.
    Excused(String),
    /// It is unknown, and why.
    Unknown(String),
}

/// How long a guest has been without a backup. What it does while it is off needs none. `limit`: from which time on somebody
/// wants to know; `grace`: for so long after the guest was made, or its host came back, nothing is missed, and by so much a
/// job may be late.
pub(crate) fn without(known: &Known, now: Timestamp, limit: Option<SignedDuration>, grace: SignedDuration) -> Without {
    match known.in_job {
        None => return Without::Unknown("its cluster was not asked for the jobs of backups".to_owned()),
        Some(false) => return Without::Excused("it is in no job of backups".to_owned()),
        Some(true) => {}
    }
    let young = |since: Option<Timestamp>| since.is_some_and(|since| now.duration_since(since) < grace);
    let made_at = known.born_at.or(known.made_at);
    if known.good_at.is_none() && young(made_at) || young(known.born_at) || young(known.host_since) {
        return Without::Excused("it was just made, or its host has just come back".to_owned());
    }
    let until = known.stopped_at.unwrap_or(now);
    let span = |from: Timestamp| until.duration_since(from).max(SignedDuration::ZERO);
    // Another guest may have had the number.
    let own = known.good_at.filter(|good| known.born_at.is_none_or(|born| born <= *good));
    let from = own.or(made_at);
    let (Some(from), Some(told_since)) = (from, known.told_since) else {
        return Without::Unknown("its node was not asked for its tasks".to_owned());
    };
    let is_late = |span: SignedDuration| limit.is_some_and(|limit| span > limit && span <= limit + grace);
    if is_late(span(from)) {
        return Without::Excused("its job is late, within the time of grace".to_owned());
    }
    if from >= told_since || limit.is_some_and(|limit| span(from) <= limit) {
        return Without::For(span(from));
    }
    // Whether there was one before that time is unknown.
    let surely = span(told_since);
    if limit.is_none_or(|limit| surely > limit) {
        return Without::For(surely);
    }
    let remembers =
        now.duration_since(told_since).as_secs().try_into().map_or_else(|_| "nothing".to_owned(), human_seconds);
    Without::Unknown(format!(
        "its node keeps only the tasks of the last {remembers}, and none of them is a backup of it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[expect(clippy::unnecessary_wraps, reason = "as the fields that it fills")]
    fn ago(hours: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(NOW - hours * 3600).unwrap())
    }

    /// In a job, running, old, on a host that is always on, whose tasks are known for a month.
    fn usual(good_at: Option<Timestamp>) -> Known {
        Known {
            in_job: Some(true),
            good_at,
            made_at: ago(9000),
            born_at: None,
            stopped_at: None,
            host_since: None,
            told_since: ago(720),
        }
    }

    fn judged(known: &Known) -> Without {
        let now = Timestamp::from_second(NOW).unwrap();
        without(known, now, Some(SignedDuration::from_hours(26)), SignedDuration::from_hours(2))
    }

    #[test]
    fn a_guest_is_without_a_backup_for_as_long_as_it_worked_since() {
        let hours = |hours| Without::For(SignedDuration::from_hours(hours));
        for (what, known, want) in [
            ("last night", usual(ago(8)), hours(8)),
            ("too long ago", usual(ago(40)), hours(40)),
            ("never, as far as its node remembers", usual(None), hours(720)),
            ("parked: it was backed up, then stopped", Known { stopped_at: ago(30), ..usual(ago(40)) }, hours(10)),
            ("it stopped before its last backup", Known { stopped_at: ago(50), ..usual(ago(40)) }, hours(0)),
            ("it ran for days without one, and stopped", Known { stopped_at: ago(1), ..usual(ago(80)) }, hours(79)),
            ("just made", Known { made_at: ago(3), ..usual(None) }, hours(3)),
            ("made two days ago, and never backed up", Known { made_at: ago(48), ..usual(None) }, hours(48)),
            ("the number was another guest's", Known { born_at: ago(5), ..usual(ago(200)) }, hours(5)),
            ("known since today, and backed up before", Known { made_at: ago(5), ..usual(ago(200)) }, hours(200)),
            ("older than what the node remembers", usual(ago(800)), hours(720)),
        ] {
            assert_eq!(judged(&known), want, "{what}");
        }
    }

    #[test]
    fn what_is_no_alarm_and_what_nobody_knows() {
        let excused = |known: &Known| matches!(judged(known), Without::Excused(_));
        let unknown = |known: &Known| matches!(judged(known), Without::Unknown(_));
        assert!(excused(&Known { in_job: Some(false), ..usual(None) }));
        assert!(excused(&Known { made_at: ago(1), ..usual(None) }), "within the time of grace");
        assert!(excused(&Known { host_since: ago(1), ..usual(ago(90)) }), "its host has slept for days");
        assert!(!excused(&Known { host_since: ago(3), ..usual(ago(90)) }));
        assert!(excused(&usual(ago(27))) && excused(&usual(ago(28))), "a job that is late");
        assert!(!excused(&usual(ago(26))) && !excused(&usual(ago(29))));
        assert!(unknown(&Known { in_job: None, ..usual(ago(1)) }));
        assert!(unknown(&Known { told_since: None, ..usual(ago(1)) }));
        assert!(unknown(&Known { told_since: ago(10), ..usual(None) }), "its node remembers ten hours");
        let known = Known { told_since: ago(10), ..usual(ago(20)) };
        assert_eq!(judged(&known), Without::For(SignedDuration::from_hours(20)), "which is enough");
        assert!(unknown(&Known { told_since: ago(10), ..usual(ago(40)) }));
    }
}
