//! Setting the clock of a host, so that it wakes the host at a time.

use jiff::Timestamp;

use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::host::facts::word;
use crate::fleet::host::power::way::{RIGHTS, no_way};
use crate::model::host::power::NoWay;
use crate::model::host::power::rtc::NoAlarm;
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;

/// An alarm as the clock shows it, in its own time; `None`: it has no file that shows it.
pub(crate) type Shown = Option<u64>;

/// The script that sets an alarm so many seconds ahead.
pub(super) fn set_script(ahead: u64) -> String {
    script(&ahead.to_string(), "")
}

/// The script that takes an alarm away again.
pub(super) fn clear_script(was: Shown) -> String {
    script("", &was.map(|was| was.to_string()).unwrap_or_default())
}

fn script(ahead: &str, was: &str) -> String {
    let body = concat!(include_str!("clock.sh"), "\n", include_str!("alarm.sh"));
    format!("uid= rights= sudo= listed= ahead={ahead} was={was}\n{RIGHTS}{body}")
}

/// What the script said; `clears`: that was asked for.
pub(crate) fn parse(text: &str, clears: bool) -> Result<Shown, NoAlarm> {
    let failed = |detail: &str| NoAlarm::NoWay(NoWay::Failed { detail: detail.to_owned() });
    let (mut user, mut sudo) = (None, false);
    for line in text.lines() {
        let (key, value) = line.split_once('\t').unwrap_or((line, ""));
        match key {
            "user" => {
                let (name, rights) = value.split_once(' ').unwrap_or((value, ""));
                (user, sudo) = (word(name), matches!(rights.trim(), "yes" | "no"));
            }
            "refused" => {
                let (why, detail) = value.split_once(' ').unwrap_or((value, ""));
                return Err(match no_way(why, detail, user.as_deref(), sudo) {
                    Some(NoWay::NoMeans) | None => NoAlarm::NoClock,
                    Some(no_way) => NoAlarm::NoWay(no_way),
                });
            }
            "failed" => return Err(failed(&word(value).unwrap_or_default())),
            "shows" => return Err(NoAlarm::NotReadBack { shows: word(value).unwrap_or_default() }),
            "set" if !clears => return Ok(value.trim().parse().ok()),
            "cleared" if clears => return Ok(None),
            _ => {}
        }
    }
    Err(failed("the script did not say what it did"))
}

impl Fleet<'_> {
    /// Sets a host's clock so that it wakes the host at `at`, and reads that back; gives what the clock shows. The host's own
    /// idea of the time does not matter.
    ///
    /// # Errors
    /// Those of an SSH script. After a `Timeout` or `Protocol` it may be set.
    pub(crate) async fn set_alarm(
        &self,
        server: &ServerConfig,
        at: Timestamp,
        _: &Confirmed,
    ) -> Result<Result<Shown, NoAlarm>, Error> {
        let left = at.duration_since(Timestamp::now()).as_secs();
        let Some(ahead) = u64::try_from(left).ok().filter(|left| *left > 0) else { return Ok(Err(NoAlarm::TooNear)) };
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &set_script(ahead)).await?;
        Ok(parse(&output.stdout, false))
    }

    /// Takes an alarm away that was set, unless the clock shows another one by now.
    ///
    /// # Errors
    /// Those of an SSH script.
    pub(crate) async fn clear_alarm(
        &self,
        server: &ServerConfig,
        was: Shown,
        _: &Confirmed,
    ) -> Result<Result<(), NoAlarm>, Error> {
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &clear_script(was)).await?;
        Ok(parse(&output.stdout, true).map(drop))
    }
}

#[cfg(test)]
mod run_tests;
