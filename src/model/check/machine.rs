//! This machine: its configuration, its state file, its SSH. The rules judge what was seen; nothing is read here.

#[cfg(test)]
mod tests;
mod texts;

pub(super) use self::texts::TEXTS;

use crate::model::check::CheckId;
use crate::model::check::diagnosis::{Chart, Trouble};
use crate::model::check::fix::Fix;
use crate::model::check::host::Clock;
use crate::model::id::ServerId;
use crate::model::text::units::human_bytes;

/// What there is to know of this machine when its checks are judged.
#[derive(Debug, Default)]
pub(crate) struct MachineSeen {
    /// Servers that are dialled at the same address and port.
    pub(crate) twice: Vec<(ServerId, ServerId, String)>,
    /// Entries for guests, of clusters whose guests are known, of which there is no guest.
    pub(crate) unused: Vec<ServerId>,
    pub(crate) state: StateSeen,
    /// The state file that is used, and the one that completions look into; `None`: they are one.
    pub(crate) completions: Option<(String, String)>,
    pub(crate) ssh: SshSeen,
    /// What Prometheus answers, where numbers go there.
    pub(crate) prometheus: Option<Result<(), Trouble>>,
    /// Bytes that wait for it, and how many may.
    pub(crate) queue: Option<(u64, u64)>,
    /// By how much the hosts' clocks are ahead of this one.
    pub(crate) clocks: Vec<Clock>,
    /// Whether this machine's clock is synchronised; `None`: not known.
    pub(crate) synchronised: Option<bool>,
    /// Hosts that there is no way to from here, and all that were tried.
    pub(crate) without_network: usize,
    /// How often `discover` should run by a timer or by cron, and when it ran last, both in seconds.
    pub(crate) discover: Option<Schedule>,
}

/// A regular run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// What runs it: `ecobox-discover.timer`, `your crontab`.
    pub(crate) by: String,
    pub(crate) every: i64,
    /// How long ago it ran; `None`: never.
    pub(crate) ago: Option<i64>,
}

/// The state file.
#[derive(Debug, Default)]
pub(crate) struct StateSeen {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Free on its disk; `None`: the system does not say.
    pub(crate) free: Option<u64>,
    /// What SQLite's `quick_check` says, if it is not `ok`; `Err`: it could not look.
    pub(crate) damage: Option<Result<String, String>>,
    /// Files that earlier runs left, or set aside.
    pub(crate) leftovers: Vec<String>,
}

/// What logins use on this machine.
#[derive(Debug, Default)]
pub(crate) struct SshSeen {
    /// What is wrong with `ssh_config`; `None`: no host needs it.
    pub(crate) config: Option<Result<(), String>>,
    /// The agent: how many keys it has, or its socket and why it does not answer.
    pub(crate) agent: Option<Result<usize, (String, String)>>,
    /// Private keys that others may read, with their modes.
    pub(crate) exposed: Vec<(String, u32)>,
    /// How many keys were looked at.
    pub(crate) keys: usize,
    /// Each `known_hosts` file: the lines that cannot be read, or why the file cannot.
    pub(crate) known_hosts: Vec<(String, Result<Vec<usize>, String>)>,
}

/// A state file of this size is worth a word.
const LARGE: u64 = 2 << 30;
/// With so little left on the disk nothing goes on for long; and here it is over soon.
const LITTLE: u64 = 512 << 20;
const NOTHING: u64 = 32 << 20;
/// How much of the queue may be full.
const QUEUE_PERCENT: u64 = 50;
/// After so many intervals without a run a timer has gone quiet.
const QUIET: i64 = 3;

/// The checks of this machine.
pub(crate) fn judge(seen: &MachineSeen) -> Chart {
    let mut chart = Chart::of(None);
    chart.ok(CheckId::ConfigMissing);
    chart.ok(CheckId::ConfigInvalid);
    configuration(seen, &mut chart);
    state(&seen.state, &mut chart);
    match &seen.completions {
        None => chart.ok(CheckId::CompletionsElsewhere),
        Some((used, looked)) => {
            let finding = format!("completions look into {looked}, and the state file is {used}");
            let fix = Fix::of(CheckId::CompletionsElsewhere, &[("file", used)]);
            chart.warning(CheckId::CompletionsElsewhere, finding, Some(fix));
        }
    }
    clock(seen, &mut chart);
    if seen.without_network > 0 {
        let finding = "this machine has no way to the network of its hosts".to_owned();
        chart.problem(CheckId::NoNetwork, finding, Some(Fix::of(CheckId::NoNetwork, &[])));
    } else {
        chart.ok(CheckId::NoNetwork);
    }
    ssh(&seen.ssh, &mut chart);
    discover(seen.discover.as_ref(), &mut chart);
    prometheus(seen, &mut chart);
    chart
}

fn configuration(seen: &MachineSeen, chart: &mut Chart) {
    if seen.twice.is_empty() {
        chart.ok(CheckId::ServerTwice);
    }
    for (one, other, address) in &seen.twice {
        let fix = Fix::say(format!("remove one of the two entries from the configuration, `{one}` or `{other}`"));
        chart.warning(CheckId::ServerTwice, format!("{one} and {other} are both at {address}"), Some(fix));
    }
    if seen.unused.is_empty() {
        chart.ok(CheckId::GuestEntryUnused);
    }
    for id in &seen.unused {
        let finding = format!("the configuration has an entry for {id}, and there is no such guest");
        let fix = Fix::of(CheckId::GuestEntryUnused, &[("server", id.as_str())]);
        chart.warning(CheckId::GuestEntryUnused, finding, Some(fix));
    }
}

fn state(state: &StateSeen, chart: &mut Chart) {
    chart.ok(CheckId::StateUnusable);
    match &state.damage {
        None => chart.ok(CheckId::StateDamaged),
        Some(Err(why)) => chart.unknown(CheckId::StateDamaged, why.as_str()),
        Some(Ok(why)) => {
            let finding = format!("{} is damaged: {why}", state.path);
            chart.problem(CheckId::StateDamaged, finding, Some(Fix::of(CheckId::StateDamaged, &[])));
        }
    }
    if state.bytes >= LARGE {
        let finding = format!("{} has {}", state.path, human_bytes(state.bytes));
        chart.warning(CheckId::StateLarge, finding, Some(Fix::of(CheckId::StateLarge, &[])));
    } else {
        chart.fine(CheckId::StateLarge, human_bytes(state.bytes));
    }
    if state.leftovers.is_empty() {
        chart.ok(CheckId::StateLeftovers);
    } else {
        let files = state.leftovers.join(", ");
        let words: Vec<&str> = state.leftovers.iter().map(String::as_str).collect();
        let fix = Fix::say(format!("look at them, then delete them: `rm {}`", words.join(" ")));
        chart.warning(CheckId::StateLeftovers, format!("earlier runs left {files}"), Some(fix));
    }
    match state.free {
        None => chart.unknown(CheckId::DiskFull, "the system does not say"),
        Some(free) if free >= LITTLE => chart.fine(CheckId::DiskFull, format!("{} free", human_bytes(free))),
        Some(free) => {
            let finding = format!("{} is left on the disk of {}", human_bytes(free), state.path);
            let fix = Some(Fix::of(CheckId::DiskFull, &[]));
            if free < NOTHING {
                chart.problem(CheckId::DiskFull, finding, fix);
            } else {
                chart.warning(CheckId::DiskFull, finding, fix);
            }
        }
    }
}

/// This machine's clock is wrong where several hosts say so and agree, or where one does and this machine is not
/// synchronised.
fn clock(seen: &MachineSeen, chart: &mut Chart) {
    let Some(first) = seen.clocks.first() else {
        return chart.unknown(CheckId::ClockWrong, "no host says what time it is");
    };
    let all_off = seen.clocks.iter().all(|clock| clock.is_off());
    let most = seen.clocks.iter().map(|clock| clock.least).fold(f64::MIN, f64::max);
    let least = seen.clocks.iter().map(|clock| clock.most).fold(f64::MAX, f64::min);
    let agree = most <= least + 5.0;
    if !all_off || !agree || seen.clocks.len() < 2 && seen.synchronised != Some(false) {
        return chart.ok(CheckId::ClockWrong);
    }
    // By how much this one is wrong is the other way round.
    let here = Clock { least: -first.most, most: -first.least };
    let whose =
        if seen.clocks.len() < 2 { "its host's".to_owned() } else { format!("those of {} hosts", seen.clocks.len()) };
    let finding = format!("this machine's clock is {} {whose}", here.words());
    chart.problem(CheckId::ClockWrong, finding, Some(Fix::run("timedatectl set-ntp true")));
}

fn ssh(ssh: &SshSeen, chart: &mut Chart) {
    match &ssh.config {
        None => {}
        Some(Ok(())) => chart.ok(CheckId::SshConfigInvalid),
        Some(Err(why)) => {
            chart.problem(CheckId::SshConfigInvalid, why.as_str(), Some(Fix::of(CheckId::SshConfigInvalid, &[])));
        }
    }
    match &ssh.agent {
        None => {}
        Some(Ok(keys)) => chart.fine(CheckId::AgentUnreachable, format!("{keys} keys")),
        Some(Err((socket, why))) => {
            let finding = format!("the SSH agent at {socket} does not answer: {why}");
            chart.warning(CheckId::AgentUnreachable, finding, Some(Fix::of(CheckId::AgentUnreachable, &[])));
        }
    }
    for (file, mode) in &ssh.exposed {
        let finding = format!("{file} may be read by others (mode {mode:04o}), so SSH does not use it");
        chart.problem(CheckId::KeyExposed, finding, Some(Fix::run(&format!("chmod 600 {file}"))));
    }
    if ssh.exposed.is_empty() && ssh.keys > 0 {
        chart.ok(CheckId::KeyExposed);
    }
    for (file, read) in &ssh.known_hosts {
        match read {
            Err(why) => {
                let file_is_none = why.contains("directory");
                let fix = if file_is_none { format!("mv {file} {file}.away") } else { format!("chmod u+r {file}") };
                let fix = Fix::run(&fix);
                chart.problem(CheckId::KnownHostsUnreadable, format!("cannot read {file}: {why}"), Some(fix));
            }
            Ok(lines) if lines.is_empty() => {
                chart.ok(CheckId::KnownHostsUnreadable);
                chart.ok(CheckId::KnownHostsLine);
            }
            Ok(lines) => {
                let numbers: Vec<String> = lines.iter().take(5).map(ToString::to_string).collect();
                let more = if lines.len() > 5 { format!(" and {} more", lines.len() - 5) } else { String::new() };
                let (what, number) = if lines.len() == 1 { ("line", "is") } else { ("lines", "are") };
                let finding = format!("{what} {}{more} of {file} {number} not readable", numbers.join(", "));
                let script = lines.iter().map(|line| format!("{line}d;")).collect::<Vec<_>>().concat();
                let fix = Fix::run(&format!("sed -i '{script}' {file}"))
                    .and("; `ecobox init` shows the keys of hosts that only stood there, and asks");
                chart.warning(CheckId::KnownHostsLine, finding, Some(fix));
            }
        }
    }
}

fn discover(schedule: Option<&Schedule>, chart: &mut Chart) {
    let Some(Schedule { by, every, ago }) = schedule else { return };
    let quiet = ago.is_none_or(|ago| ago > QUIET * every);
    if !quiet {
        return chart.ok(CheckId::DiscoverQuiet);
    }
    let since = ago.map_or_else(|| "never".to_owned(), |ago| format!("{} minutes ago", ago / 60));
    let interval = if *every < 120 { "minute".to_owned() } else { format!("{} minutes", every / 60) };
    let finding = format!("{by} should run `ecobox discover` every {interval}; it ran {since}");
    let timer = by.split_whitespace().find(|word| word.rsplit_once('.').is_some_and(|(_, suffix)| suffix == "timer"));
    let of_user = if by.starts_with("the user's") { "--user " } else { "" };
    let look = |timer| Fix::say(format!("run `systemctl {of_user}status {timer}`, which says why it does not run"));
    let fix = timer.map_or_else(|| Fix::of(CheckId::DiscoverQuiet, &[]), look);
    chart.warning(CheckId::DiscoverQuiet, finding, Some(fix));
}

fn prometheus(seen: &MachineSeen, chart: &mut Chart) {
    const ALL: [CheckId; 4] =
        [CheckId::PrometheusAway, CheckId::PrometheusCertificate, CheckId::PrometheusLogin, CheckId::PrometheusPath];
    match &seen.prometheus {
        None => {}
        Some(Ok(())) => drop(chart.steps(&ALL, None)),
        Some(Err(trouble)) => drop(chart.steps(&ALL, Some(trouble))),
    }
    let Some((waiting, limit)) = seen.queue else { return };
    if waiting * 100 < limit * QUEUE_PERCENT {
        return chart.fine(CheckId::QueueFull, format!("{} wait", human_bytes(waiting)));
    }
    if let Some(cause) = ALL.into_iter().find(|id| chart.has_wrong(*id)) {
        return chart.skip(&[CheckId::QueueFull], cause);
    }
    let finding = format!("{} of {} for Prometheus are waiting", human_bytes(waiting), human_bytes(limit));
    chart.warning(CheckId::QueueFull, finding, Some(Fix::of(CheckId::QueueFull, &[])));
}
