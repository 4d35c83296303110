//! The clock of a host that runs on while it sleeps, and can wake it at a time.

use std::fmt;

use jiff::SignedDuration;

use super::no_way::NoWay;

/// What a host tells of its clocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Clocks {
    /// `None`: it shows none.
    pub(crate) rtcs: Option<Vec<Rtc>>,
    /// What the battery is: `okay`, `dead`.
    pub(crate) battery: Option<String>,
    /// Its alarms are those of the HPET, which knows neither day nor month.
    pub(crate) without_days: bool,
    /// By what an alarm would be set, or why nothing can; `None`: that was not asked.
    pub(crate) way: Option<Result<String, NoWay>>,
}

/// A clock that runs while the host sleeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rtc {
    pub(crate) name: String,
    /// It has a `wakealarm`.
    pub(crate) has_alarm: bool,
    /// Whether its device may wake the host.
    pub(crate) wakes: Option<bool>,
    /// The system's clock is set by it.
    pub(crate) is_system: bool,
}

/// Why a host's clock cannot wake it at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAlarm {
    /// It has none that could.
    NoClock,
    /// It has one, which may not.
    Disabled { clock: String },
    /// The time is farther than the clock tells apart.
    TooFar,
    /// The time is as good as here.
    TooNear,
    /// Nobody may set it, or nothing can.
    NoWay(NoWay),
    /// It was set, and does not stand there.
    NotReadBack { shows: String },
}

/// What is left of the time until an alarm when it is set: less is gone before the host sleeps.
const LEAST: SignedDuration = SignedDuration::from_secs(60);
/// What a clock without days takes.
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Clocks {
    /// The clock that wakes the host: the one that sets the system's clock, where that has an alarm.
    pub(crate) fn with_alarm(&self) -> Option<&Rtc> {
        let able = self.rtcs.iter().flatten().filter(|rtc| rtc.has_alarm);
        able.min_by_key(|rtc| !rtc.is_system)
    }

    /// By what an alarm so far ahead is set.
    ///
    /// # Errors
    /// Why its clock cannot wake it then.
    pub(crate) fn could_wake(&self, ahead: SignedDuration) -> Result<&str, NoAlarm> {
        if ahead < LEAST {
            return Err(NoAlarm::TooNear);
        }
        let way = match &self.way {
            None => return Err(NoAlarm::NoClock),
            Some(Err(NoWay::NoMeans)) if self.with_alarm().is_none() => return Err(NoAlarm::NoClock),
            Some(Err(no_way)) => return Err(NoAlarm::NoWay(no_way.clone())),
            Some(Ok(way)) => way,
        };
        match self.with_alarm() {
            Some(rtc) if rtc.wakes == Some(false) => Err(NoAlarm::Disabled { clock: rtc.name.clone() }),
            _ if self.without_days && ahead >= DAY => Err(NoAlarm::TooFar),
            _ => Ok(way),
        }
    }
}

impl NoAlarm {
    /// What fixes it.
    pub(crate) fn fix(&self) -> String {
        match self {
            NoAlarm::NoClock => "wake it by other means, and leave `--until` out".to_owned(),
            NoAlarm::Disabled { clock } => {
                format!("on it: `echo enabled > /sys/class/rtc/{clock}/device/power/wakeup`")
            }
            NoAlarm::TooFar => "choose a time within the next 24 h".to_owned(),
            NoAlarm::TooNear => "choose a later time".to_owned(),
            NoAlarm::NoWay(no_way) => {
                no_way.hint().unwrap_or_else(|| "look at its clock: `cat /proc/driver/rtc` on it".to_owned())
            }
            NoAlarm::NotReadBack { .. } => "choose a nearer time, or wake it by other means".to_owned(),
        }
    }
}

impl fmt::Display for NoAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAlarm::NoClock => f.write_str("it has none that could wake it at a time"),
            NoAlarm::Disabled { clock } => write!(f, "{clock} may not wake it"),
            NoAlarm::TooFar => f.write_str("it takes no alarm farther than a day (HPET)"),
            NoAlarm::TooNear => f.write_str("the time is nearer than a minute"),
            NoAlarm::NoWay(NoWay::Failed { detail }) => write!(f, "it could not be set: {detail}"),
            NoAlarm::NoWay(no_way) => write!(f, "{no_way}"),
            NoAlarm::NotReadBack { shows } if shows.is_empty() => f.write_str("it did not take the alarm"),
            NoAlarm::NotReadBack { shows } => write!(f, "it did not take the alarm, and shows {shows}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(way: Result<&str, NoWay>) -> Clocks {
        let rtc = Rtc { name: "rtc0".to_owned(), has_alarm: true, wakes: Some(true), is_system: true };
        Clocks { rtcs: Some(vec![rtc]), way: Some(way.map(str::to_owned)), ..Clocks::default() }
    }

    #[test]
    fn a_clock_wakes_its_host_where_nothing_is_in_the_way() {
        let rights = NoWay::Rights { user: None, sudo: true, command: "tee x".to_owned() };
        let good = || clocks(Ok("wakealarm"));
        let with = |change: fn(&mut Clocks)| {
            let mut clocks = good();
            change(&mut clocks);
            clocks
        };
        let rtc = |clocks: &mut Clocks, change: fn(&mut Rtc)| change(&mut clocks.rtcs.as_mut().unwrap()[0]);
        let disabled = NoAlarm::Disabled { clock: "rtc0".to_owned() };
        for (what, clocks, seconds, want) in [
            ("good", good(), 60, Ok("wakealarm")),
            ("a minute at least", good(), 59, Err(NoAlarm::TooNear)),
            ("gone by", good(), -1, Err(NoAlarm::TooNear)),
            ("a year", good(), 364 * 86_400, Ok("wakealarm")),
            ("nobody asked", with(|clocks| clocks.way = None), 600, Err(NoAlarm::NoClock)),
            ("none", Clocks { rtcs: None, ..clocks(Err(NoWay::NoMeans)) }, 600, Err(NoAlarm::NoClock)),
            ("no tool", clocks(Err(NoWay::NoMeans)), 600, Err(NoAlarm::NoWay(NoWay::NoMeans))),
            ("no rights", clocks(Err(rights.clone())), 600, Err(NoAlarm::NoWay(rights))),
            ("by ioctl", Clocks { rtcs: None, ..clocks(Ok("rtcwake")) }, 600, Ok("rtcwake")),
            ("HPET", with(|clocks| clocks.without_days = true), 86_399, Ok("wakealarm")),
            ("HPET, two days", with(|clocks| clocks.without_days = true), 2 * 86_400, Err(NoAlarm::TooFar)),
            ("dead battery", with(|clocks| clocks.battery = Some("dead".to_owned())), 600, Ok("wakealarm")),
        ] {
            assert_eq!(clocks.could_wake(SignedDuration::from_secs(seconds)), want, "{what}");
        }
        let mut off = good();
        rtc(&mut off, |rtc| rtc.wakes = Some(false));
        assert_eq!(off.could_wake(SignedDuration::from_hours(8)), Err(disabled));
        let mut unsaid = good();
        rtc(&mut unsaid, |rtc| rtc.wakes = None);
        assert_eq!(unsaid.could_wake(SignedDuration::from_hours(8)), Ok("wakealarm"));
    }

    #[test]
    fn the_systems_own_clock_comes_first() {
        let rtc = |name: &str, has_alarm, is_system| Rtc { name: name.to_owned(), has_alarm, wakes: None, is_system };
        let of = |rtcs: Vec<Rtc>| {
            let clocks = Clocks { rtcs: Some(rtcs), ..Clocks::default() };
            clocks.with_alarm().map(|rtc| rtc.name.clone())
        };
        assert_eq!(of(vec![rtc("rtc0", true, false), rtc("rtc1", true, true)]).as_deref(), Some("rtc1"));
        // The clock of ACPI's Time and Alarm Device has none.
        assert_eq!(of(vec![rtc("rtc0", false, true), rtc("rtc1", true, false)]).as_deref(), Some("rtc1"));
        assert_eq!(of(vec![rtc("rtc0", false, true)]), None);
    }
}
