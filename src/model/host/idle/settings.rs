//! What counts as idle: the thresholds, and what is looked for besides.

use jiff::SignedDuration;

use crate::model::host::activity::{Activity, Answer};
use crate::model::host::idle::hours::Hours;
use crate::model::host::idle::window::words;
use crate::model::host::idle::{Need, NeedKind};
use crate::model::host::next_job::Job;
use crate::model::host::power::{HostPreflight, LoggedIn};
use crate::model::load::reading::HostLoad;
use crate::model::load::usage::Rates;
use crate::model::select::glob;
use crate::model::text::units::human_rate;

/// What a host must do less than, and what else keeps it awake: `[idle]` and `[servers.idle]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IdleSettings {
    /// Percent of all CPUs together.
    pub(crate) cpu_percent: f32,
    /// The load average over one minute, for each CPU.
    pub(crate) load: f32,
    /// Bytes a second, in both directions together.
    pub(crate) network: f64,
    /// Bytes a second, read and written together.
    pub(crate) disk: f64,
    /// Ports whose connections count besides those of services and known file servers.
    pub(crate) ports: Vec<u16>,
    pub(crate) ignore_ports: Vec<u16>,
    pub(crate) ignore_users: Vec<String>,
    /// Units of timers that do not count; `*` stands for anything.
    pub(crate) ignore_timers: Vec<String>,
    /// Run on the host: exit status 0 means that the host is needed.
    pub(crate) command: Option<Vec<String>>,
    /// When the host stays awake whatever it does.
    pub(crate) not_between: Vec<Hours>,
}

impl Default for IdleSettings {
    fn default() -> IdleSettings {
        IdleSettings {
            cpu_percent: 10.0,
            load: 1.0,
            network: 100.0 * 1024.0,
            disk: 1024.0 * 1024.0,
            ports: Vec::new(),
            ignore_ports: Vec::new(),
            ignore_users: Vec::new(),
            ignore_timers: Vec::new(),
            command: None,
            not_between: Vec::new(),
        }
    }
}

/// Numbers that are held against the thresholds; `None`: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) cpu_percent: Option<f32>,
    pub(crate) network: Option<f64>,
    pub(crate) disk: Option<f64>,
}

impl Rate {
    pub(crate) fn of(cpu_percent: Option<f32>, rates: &Rates) -> Rate {
        let both = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or_default() + other.unwrap_or_default()),
        };
        Rate { cpu_percent, network: both(rates.receive, rates.transmit), disk: both(rates.read, rates.write) }
    }
}

impl IdleSettings {
    /// What of a host's load needs the host. What could not be measured is no proof of idleness.
    pub(crate) fn load_needs(&self, load: Option<&HostLoad>) -> Vec<Need> {
        let Some(load) = load.filter(|load| load.usage.cpu_percent.is_some()) else {
            return vec![Need::new(NeedKind::Unknown, "how hard it works could not be measured")];
        };
        let mut needs = self.rate_needs(NeedKind::Load, &Rate::of(load.usage.cpu_percent, &load.rates), "");
        if let (Some(average), Some(cpus)) = (load.usage.load, load.usage.cpus)
            && cpus > 0.0
            && average / cpus > self.load
        {
            needs.push(Need::new(NeedKind::Load, "load").saying(format!("load {average:.1} on {cpus:.0} CPUs")));
        }
        needs
    }

    /// What is over a threshold; `more` goes behind each number.
    pub(crate) fn rate_needs(&self, kind: NeedKind, rate: &Rate, more: &str) -> Vec<Need> {
        let mut needs = Vec::new();
        if let Some(cpu) = rate.cpu_percent.filter(|cpu| *cpu > self.cpu_percent) {
            needs.push(Need::new(kind, "CPU").saying(format!("CPU at {cpu:.0} %{more}")));
        }
        for (what, rate, most) in [("network", rate.network, self.network), ("disks", rate.disk, self.disk)] {
            if let Some(rate) = rate.filter(|rate| *rate > most) {
                needs.push(Need::new(kind, what).saying(format!("{what} at {}{more}", human_rate(rate))));
            }
        }
        needs
    }

    /// Whether a login counts.
    pub(crate) fn counts(&self, user: &LoggedIn) -> bool {
        user.user.as_ref().is_none_or(|name| !self.ignore_users.contains(name))
    }

    /// What the configured command says. One that cannot run has proved nothing.
    pub(crate) fn command_need(&self, answer: &Answer) -> Option<Need> {
        let name = self.command.as_deref().map(shown).unwrap_or_default();
        let what = format!("command {name}");
        match answer.status {
            0 if answer.line.is_empty() => Some(Need::new(NeedKind::Command, &what).saying(format!("{name} says so"))),
            0 => Some(Need::new(NeedKind::Command, what).saying(&answer.line)),
            // Of timeout, of shells, and of signals.
            124 => Some(Need::new(NeedKind::Unknown, &what).saying(format!("{name} did not end in time"))),
            status @ 125.. => {
                let text = format!("{name} could not run (exit status {status})");
                Some(Need::new(NeedKind::Unknown, what).saying(text))
            }
            _ => None,
        }
    }

    /// Timers that start something within the window. Those that come more often than that would never let the host sleep,
    /// and the system's own housekeeping can wait until it is awake again.
    pub(crate) fn timer_needs(&self, activity: &Activity, window: SignedDuration) -> Vec<Need> {
        let (Some(now), Some(timers)) = (activity.clock, &activity.timers) else { return Vec::new() };
        let due = timers.iter().filter(|timer| {
            let is_frequent = timer.last.is_some_and(|last| timer.next.duration_since(last) <= window);
            timer.next.duration_since(now) <= window && !is_frequent && !self.ignores(&timer.unit)
        });
        due.map(|timer| due_need(&timer.unit, timer.next.duration_since(now))).collect()
    }

    /// Timers for which a host may be woken: not those that come more often than every hour, nor the system's own
    /// housekeeping.
    pub(crate) fn jobs(&self, activity: &Activity) -> Vec<Job> {
        const OFTEN: SignedDuration = SignedDuration::from_hours(1);
        let timers = activity.timers.iter().flatten();
        let meant = timers.filter(|timer| {
            let is_frequent = timer.last.is_some_and(|last| timer.next.duration_since(last) <= OFTEN);
            !is_frequent && !self.ignores(&timer.unit)
        });
        meant.map(|timer| Job { what: timer.unit.clone(), at: timer.next }).collect()
    }

    fn ignores(&self, unit: &str) -> bool {
        let ignored = HOUSEKEEPING.iter().copied().chain(self.ignore_timers.iter().map(String::as_str));
        ignored.into_iter().any(|pattern| glob::matches(pattern, unit))
    }

    /// The people, connections and programs that a look at a host showed. Where nobody could be asked who is logged in or
    /// connected, that is a reason of its own.
    pub(crate) fn seen_needs(&self, seen: &HostPreflight, connected: &[(String, String)]) -> Vec<Need> {
        let mut needs = Vec::new();
        let unknown = |what: &str| Need::new(NeedKind::Unknown, what);
        match &seen.users {
            None => needs.push(unknown("who is logged in is not known")),
            Some(users) => {
                for user in users.iter().filter(|user| self.counts(user)) {
                    let from = user.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
                    let name = user.user.as_deref().unwrap_or("somebody");
                    let need = Need::new(NeedKind::Login, format!("login of {name}{from}"));
                    needs.push(need.saying(format!("logged in: {user}")));
                }
            }
        }
        if seen.activity.as_ref().is_none_or(|activity| activity.connections.is_none()) {
            needs.push(unknown("its connections could not be read"));
        }
        needs.extend(connected.iter().map(|(what, text)| Need::new(NeedKind::Connection, what).saying(text)));
        let work = seen.activity.iter().flat_map(|activity: &Activity| &activity.work);
        needs.extend(work.map(|what| Need::new(NeedKind::Work, format!("{what} at work"))));
        needs
    }
}

/// A job that starts soon.
pub(crate) fn due_need(what: &str, after: SignedDuration) -> Need {
    let when = if after.is_positive() { format!("in {}", words(after)) } else { "now".to_owned() };
    Need::new(NeedKind::Timer, what).saying(format!("{what} is due {when}"))
}

/// The program of a command; of a line for the shell its begin.
fn shown(words: &[String]) -> String {
    const LONGEST: usize = 40;
    let text = match words {
        [sh, c, line] if sh == "sh" && c == "-c" => line,
        [program, ..] => program,
        [] => return String::new(),
    };
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short += "…";
    }
    short
}

/// Timers of distributions and of Proxmox VE that only look after the system. What they miss is done after the host has
/// woken up.
const HOUSEKEEPING: [&str; 32] = [
    "anacron.timer",
    "apt-daily*.timer",
    "apt-listbugs.timer",
    "apt-news.timer",
    "apt-show-versions.timer",
    "archlinux-keyring-wkd-sync.timer",
    "chrony-dnssrv*.timer",
    "debsecan.timer",
    "dnf-makecache.timer",
    "dpkg-db-backup.timer",
    "e2scrub*.timer",
    "esm-cache.timer",
    "exim4-base.timer",
    "fstrim.timer",
    "fwupd-refresh.timer",
    "logrotate.timer",
    "man-db.timer",
    "mdmonitor-oneshot.timer",
    "motd-news.timer",
    "pacman-filesdb-refresh.timer",
    "phpsessionclean.timer",
    "plocate-updatedb.timer",
    "pve-daily-update.timer",
    "proxmox-backup-daily-update.timer",
    "shadow.timer",
    "snapd.*.timer",
    "sysstat*.timer",
    "systemd-tmpfiles-clean.timer",
    "ua-timer.timer",
    "unattended-upgrades.timer",
    "update-notifier*.timer",
    "updatedb.timer",
];

#[cfg(test)]
mod tests;
