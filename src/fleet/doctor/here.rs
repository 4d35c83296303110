//! What this machine says of itself by one script: whether its clock is kept right, and who runs `discover` regularly.

use crate::fleet::Fleet;
use crate::model::check::machine::Schedule;
use crate::transport::local;

const SCRIPT: &str = include_str!("here.sh");

/// How often the timer that comes with ecobox runs.
const TIMER: i64 = 300;

/// What the script told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Here {
    pub(super) synchronised: Option<bool>,
    /// Who runs `discover`, and every how many seconds.
    pub(super) runs: Vec<(String, i64)>,
    /// Seconds since the boot.
    pub(super) up: Option<i64>,
}

/// Reads what the script printed. `is_service`: the state file is the one that the system's timer uses.
fn parse(text: &str, is_service: bool) -> Here {
    let mut here = Here::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        match (key, value.trim()) {
            ("synchronised", "yes") => here.synchronised = Some(true),
            ("synchronised", "no") => here.synchronised = Some(false),
            ("timer", "user") => here.runs.push(("the user's ecobox-discover.timer".to_owned(), TIMER)),
            ("timer", "system") if is_service => here.runs.push(("ecobox-discover.timer".to_owned(), TIMER)),
            ("cron", line) => here.runs.extend(every(line).map(|every| ("your crontab".to_owned(), every))),
            ("up", seconds) => here.up = seconds.parse().ok(),
            _ => {}
        }
    }
    here
}

/// How often a line of a crontab runs, in seconds, where it runs at least once a day at all hours; `None`: it does not, or
/// nobody can tell.
fn every(line: &str) -> Option<i64> {
    let mut words = line.split_whitespace();
    let minute = match words.next()? {
        "@hourly" => return Some(3600),
        "@daily" | "@midnight" => return Some(86400),
        minute => minute,
    };
    let rest: Vec<&str> = words.take(4).collect();
    let is_number = |word: &str| word.parse::<i64>().is_ok();
    match (minute, rest.as_slice()) {
        ("*", ["*", "*", "*", "*"]) => Some(60),
        (minute, ["*", "*", "*", "*"]) => match minute.strip_prefix("*/") {
            Some(step) => step.parse::<i64>().ok().filter(|step| *step > 0).map(|step| step * 60),
            None => is_number(minute).then_some(3600),
        },
        (minute, [hour, "*", "*", "*"]) if is_number(minute) && is_number(hour) => Some(86400),
        _ => None,
    }
}

impl Fleet<'_> {
    /// Asks this machine.
    pub(super) async fn here_seen(&self) -> Here {
        let output = local::run_script(SCRIPT, self.limits.left(self.limits.probe)).await;
        let is_service = self.state.path().starts_with("/var/lib/");
        output.map(|output| parse(&output.stdout, is_service)).unwrap_or_default()
    }

    /// The regular run that `discover` has here, and when it was last of use; `None`: there is none, or nothing that could
    /// have been discovered since.
    pub(super) fn schedule(&self, here: &Here) -> Option<Schedule> {
        let (by, every) = here.runs.iter().min_by_key(|(_, every)| *every)?;
        // `--if-stale` leaves younger lists alone.
        let interval = i64::try_from(self.config.settings.vm_discovery_interval.as_secs()).ok()?;
        let every = (*every).max(interval);
        let clusters: Vec<_> = self.groups().into_iter().map(|group| group.cluster).collect();
        let last = clusters.iter().filter_map(|cluster| self.state.discovered_at(cluster).ok().flatten()).max();
        if clusters.is_empty() || here.up.is_some_and(|up| up < 3 * every) {
            return None;
        }
        let ago = last.map(|last| self.now().duration_since(last).as_secs().max(0));
        Some(Schedule { by: by.clone(), every, ago })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_regularly() {
        for (line, want) in [
            ("*/5 * * * *  ecobox -q discover --if-stale", Some(300)),
            ("* * * * * ecobox discover", Some(60)),
            ("7 * * * * ecobox discover", Some(3600)),
            ("30 2 * * * ecobox discover", Some(86400)),
            ("@hourly ecobox discover", Some(3600)),
            ("0 8-18 * * 1-5 ecobox discover", None),
            ("*/0 * * * * ecobox discover", None),
            ("", None),
        ] {
            assert_eq!(every(line), want, "{line}");
        }
        let text = "synchronised\tno\ncron\t*/5 * * * * ecobox discover\ntimer\tsystem\ntimer\tuser\nup\t1234\n";
        let here = parse(text, false);
        assert_eq!((here.synchronised, here.up), (Some(false), Some(1234)));
        let by: Vec<&str> = here.runs.iter().map(|(by, _)| by.as_str()).collect();
        assert_eq!(by, ["your crontab", "the user's ecobox-discover.timer"]);
        assert_eq!(parse(text, true).runs.len(), 3);
    }
}
