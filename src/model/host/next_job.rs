//! The next job of a host, for which its clock wakes it in time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Something that a host begins by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// `backup job nightly`, `restic.timer`
    pub(crate) what: String,
    /// By the host's clock.
    pub(crate) at: Timestamp,
}

/// The next of the jobs by the clock of this machine, and when the host is to be woken so that it is up by then; the host's
/// clock shows `there` when it is `now` here.
pub(crate) fn next_job(jobs: Vec<Job>, there: Timestamp, now: Timestamp, lead: Duration) -> Option<(Timestamp, Job)> {
    let ahead = jobs.into_iter().filter(|job| job.at > there);
    let Job { what, at } = ahead.min_by_key(|job| job.at)?;
    let at = now.checked_add(at.duration_since(there)).ok()?;
    let lead = SignedDuration::try_from(lead).ok()?;
    Some((at.checked_sub(lead).ok()?, Job { what, at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_woken_before_its_next_job_begins() {
        let at = |second: i64| Timestamp::from_second(1_796_000_000 + second).unwrap();
        let job = |what: &str, second| Job { what: what.to_owned(), at: at(second) };
        let next = |jobs: &[Job], there, now| next_job(jobs.to_vec(), at(there), at(now), Duration::from_secs(90));
        let jobs = [job("later", 9000), job("over", -60), job("nightly", 7200), job("now", 0)];
        assert_eq!(next(&jobs, 0, 0), Some((at(7110), job("nightly", 7200))));
        // Its clock is ten minutes ahead: what it begins at 7200 it begins here at 6600.
        assert_eq!(next(&jobs, 600, 0), Some((at(6510), job("nightly", 6600))));
        assert_eq!(next(&jobs, 0, 600), Some((at(7710), job("nightly", 7800))));
        assert_eq!(next(&jobs, 9000, 9000), None);
        assert_eq!(next(&[], 0, 0), None);
    }
}
