//! The look before a power call: one script that changes nothing, and the reading of what it prints.
//!
//! The facts script runs first, so that ports, addresses and the boot are fresh. Reading is lenient: a line that is
//! missing, cut off or senseless costs that one fact.

mod inhibitors;
mod people;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;

pub(in crate::fleet::host) use self::inhibitors::inhibitors_of;

use self::inhibitors::{blocks, of_bus, of_columns};
use self::people::{Session, of_who};
use crate::fleet::host::facts::{self, word};
use crate::fleet::host::power::way::{RIGHTS, WAY, no_way, text};
use crate::model::host::activity::{self, Activity, Answer, Connection, timers_of};
use crate::model::host::power::rtc::Rtc;
use crate::model::host::power::{HostCall, HostPreflight, Inhibitor, LoggedIn};
use crate::model::id::VmId;
use crate::transport::script::quote;

/// What the script looks for besides what could block a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// How a call would go past the locks that programs hold.
    pub(crate) past_locks: bool,
    /// Who is connected to these ports, and what works on the host.
    pub(crate) ports: Option<BTreeSet<u16>>,
    /// The clocks that could wake it at a time.
    pub(crate) clocks: bool,
    /// What it begins next by itself.
    pub(crate) due: bool,
    /// What `--if-idle` asks besides.
    pub(crate) idle: Option<IdleQuestions>,
}

/// What is asked of a host that is to go down only if idle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct IdleQuestions {
    /// A program on the host that says whether it is needed, and its arguments.
    pub(crate) command: Option<Vec<String>>,
}

/// The script; POSIX sh, no arguments, reads nothing from its input, needs no rights.
pub(crate) fn script(wanted: &Wanted) -> String {
    let locks = if wanted.past_locks { "yes" } else { "" };
    let mut text = format!("locks={locks} listed=\n{}\n{RIGHTS}{WAY}{}\n", facts::SCRIPT, include_str!("preflight.sh"));
    if wanted.clocks {
        text += concat!(include_str!("clock.sh"), "\n", include_str!("clock_look.sh"), "\n");
    }
    if let Some(ports) = &wanted.ports {
        let ports: Vec<String> = ports.iter().map(|port| format!("{port:04X}")).collect();
        // Something always stands there: an empty choice would be any port.
        let ports = if ports.is_empty() { "none".to_owned() } else { ports.join("|") };
        let _ = write!(text, "ports='{ports}'\n{}\n", include_str!("need.sh")); // a `String` takes all
    }
    if wanted.due || wanted.idle.is_some() {
        text += include_str!("due.sh");
    }
    if let Some(IdleQuestions { command }) = &wanted.idle {
        text += include_str!("idle.sh");
        text += &command.as_deref().map(command_lines).unwrap_or_default();
    }
    text
}

/// The lines that run the configured command, and print its exit status and first line. One that hangs must not cost the
/// whole look.
fn command_lines(words: &[String]) -> String {
    // The configuration has refused what cannot be quoted.
    let Ok(words) = words.iter().map(|word| quote(word)).collect::<Result<Vec<_>, _>>() else { return String::new() };
    let words = words.join(" ");
    format!(
        "timeout=\nhas /usr/bin/timeout /bin/timeout && timeout=$v\n\
         v=$(${{timeout:+\"$timeout\" {COMMAND_SECONDS}}} {words} 2>/dev/null </dev/null)\n\
         p command \"$? ${{v%%\"$nl\"*}}\"\n:\n"
    )
}

/// How long the configured command may take.
const COMMAND_SECONDS: u8 = 5;

/// More lines of one kind than this are not believed.
const MOST: usize = 4096;

/// What the script's output tells. Never fails: what cannot be read is `None`.
pub(crate) fn parse(text: &str) -> HostPreflight {
    let mut seen = Seen::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        seen.take(key, value.trim());
    }
    seen.finish(text)
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    found: HostPreflight,
    own: Option<String>,
    user: Option<String>,
    has_sudo: bool,
    /// Somebody who knows who is logged in was asked.
    asked: bool,
    sessions: Vec<Session>,
    /// And whether the line says the service: then it is logind's.
    others: Vec<(bool, LoggedIn)>,
    /// Terminals of sessions, by what runs in them.
    inside: Vec<(String, String)>,
    /// Sessions in which something runs besides what ecobox and sshd start.
    runs: Vec<String>,
    /// `systemd-inhibit` before version 240 tells of each on several lines.
    open: Option<(Inhibitor, String)>,
    no_ways: Vec<(bool, HostCall, String, String)>,
    /// Why no alarm can be set, in the script's words.
    no_alarm: Option<(String, String)>,
}

impl Seen {
    fn take(&mut self, key: &str, value: &str) {
        match key {
            "ssh" => self.found.ssh_client = value.split(' ').next().and_then(|ip| ip.parse().ok()),
            "uuid" => self.found.product_uuid = word(value).filter(|id| id.len() == 36),
            "own" => self.own = word(value),
            "user" => self.user = word(value),
            "sudo" => self.has_sudo = matches!(value, "yes" | "no"),
            "logind" => self.asked |= value == "yes",
            "utmp" => self.asked |= matches!(value, "yes" | "pts"),
            "sess" => self.take_session(value),
            "who" if self.others.len() < MOST => self.others.extend(of_who(value)),
            "pty" if self.others.len() < MOST => {
                let (terminal, user) = value.split_once(' ').unwrap_or((value, ""));
                let open = |terminal| LoggedIn { user: word(user), terminal: Some(terminal), from: None, idle: None };
                self.others.extend(word(terminal).map(|terminal| (false, open(terminal))));
            }
            "inside" if self.inside.len() < MOST => {
                let terminal = value.split_once(' ').map(|(id, terminal)| (id.to_owned(), terminal.to_owned()));
                self.inside.extend(terminal);
            }
            "runs" if self.runs.len() < MOST => self.runs.extend(value.split(' ').next().map(str::to_owned)),
            "inhibitors" => self.found.inhibitors = of_bus(value),
            "inhibitlist" => {
                self.found.inhibitors.get_or_insert_default();
            }
            "inhibit" => self.take_inhibitor(value),
            "vm" | "ct" => self.found.guests.extend(value.parse::<VmId>()),
            "carries" => self.take_carried(value),
            "tasks" => {
                self.found.tasks.get_or_insert_default();
            }
            "task" => {
                let tasks = self.found.tasks.get_or_insert_default();
                // A process's name may be padded.
                let upid = word(value).filter(|upid| upid.starts_with("UPID:") && tasks.len() < MOST);
                tasks.extend(upid);
            }
            "rtc" => {
                let rtcs = self.found.clocks.rtcs.get_or_insert_default();
                rtcs.extend(rtc(value).filter(|_| rtcs.len() < MOST));
            }
            "battery" => self.found.clocks.battery = word(value),
            "hpet" => self.found.clocks.without_days = value == "yes",
            "alarm" => self.found.clocks.way = word(value).map(Ok),
            "noalarm" => self.no_alarm = value.split_once(' ').map(|(why, what)| (why.to_owned(), what.to_owned())),
            "can" | "cannot" => self.take_way(key == "can", false, value),
            "canpast" | "cannotpast" => self.take_way(key == "canpast", true, value),
            _ => self.take_activity(key, value),
        }
    }

    /// Who is connected, what works there, and what else `--if-idle` asks.
    fn take_activity(&mut self, key: &str, value: &str) {
        match key {
            "tcp" => {
                self.activity().connections.get_or_insert_default();
            }
            "connection" => self.take_connection(value),
            "listening" => {
                let port = value.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
                self.activity().listening.extend(port);
            }
            "work" if self.activity().work.len() < MOST => self.activity().work.extend(word(value)),
            "clock" => self.activity().clock = value.parse().ok().and_then(|at| Timestamp::from_second(at).ok()),
            "sleeps" => self.activity().sleeps = value.parse().ok(),
            "timers" => self.activity().timers = timers_of(value),
            "command" => {
                let (status, line) = value.split_once(' ').unwrap_or((value, ""));
                let answer = status.parse().ok().map(|status| Answer { status, line: text(line) });
                self.activity().command = answer;
            }
            _ => {}
        }
    }

    fn activity(&mut self) -> &mut Activity {
        self.found.activity.get_or_insert_default()
    }

    /// `0A00620A:01BD 0500620A`: the local address and port, the remote address.
    fn take_connection(&mut self, value: &str) {
        let Some((local, remote)) = value.split_once(' ') else { return };
        let Some((local, port)) = local.split_once(':') else { return };
        let (Some(local), Ok(port), Some(remote)) =
            (activity::address(local), u16::from_str_radix(port, 16), activity::address(remote))
        else {
            return;
        };
        let connections = self.activity().connections.get_or_insert_default();
        if connections.len() < MOST {
            connections.push(Connection { port, local, remote });
        }
    }

    /// `101 uuid 9e0d…`, `101 mac BC:24:…`
    fn take_carried(&mut self, value: &str) {
        let mut words = value.split(' ');
        let (Some(Ok(vmid)), Some(what), Some(text)) =
            (words.next().map(str::parse::<VmId>), words.next(), words.next().and_then(word))
        else {
            return;
        };
        if self.found.carries.len() >= MOST {
            return;
        }
        let carried = self.found.carries.entry(vmid).or_default();
        match what {
            "uuid" => carried.uuid = Some(text),
            "mac" if carried.macs.len() < MOST && !carried.macs.contains(&text) => carried.macs.push(text),
            _ => {}
        }
    }

    fn take_inhibitor(&mut self, line: &str) {
        let list = self.found.inhibitors.get_or_insert_default();
        if list.len() >= MOST {
            return;
        }
        match line.split_once(": ") {
            Some(("Who", rest)) => {
                let who = rest.split(" (UID").next().unwrap_or(rest);
                let open = Inhibitor { who: text(who), what: String::new(), why: String::new() };
                self.open = Some((open, String::new()));
            }
            Some(("What", what)) if self.open.is_some() => {
                if let Some((open, _)) = &mut self.open {
                    open.what = text(what);
                }
            }
            Some(("Why", why)) if self.open.is_some() => {
                if let Some((open, _)) = &mut self.open {
                    open.why = text(why);
                }
            }
            Some(("Mode", mode)) if self.open.is_some() => {
                list.extend(self.open.take().filter(|_| blocks(mode)).map(|(open, _)| open));
            }
            _ => list.extend(of_columns(line).filter(|(_, mode)| blocks(mode)).map(|(one, _)| one)),
        }
    }

    fn take_way(&mut self, can: bool, past: bool, value: &str) {
        let mut words = value.splitn(3, ' ');
        let call = words.next().and_then(|name| HostCall::ALL.into_iter().find(|call| call.as_str() == name));
        let (Some(call), Some(first)) = (call, words.next()) else { return };
        let ways = if past { &mut self.found.ways_past } else { &mut self.found.ways };
        let known = ways.iter().any(|(one, _)| *one == call);
        if known || self.no_ways.iter().any(|(other, one, ..)| (*other, *one) == (past, call)) {
            return;
        }
        if can {
            ways.extend(word(first).map(|by| (call, Ok(by))));
        } else {
            self.no_ways.push((past, call, first.to_owned(), words.next().unwrap_or_default().to_owned()));
        }
    }

    fn finish(mut self, text: &str) -> HostPreflight {
        self.found.facts = facts::parse(text);
        for (past, call, why, detail) in &self.no_ways {
            let way = no_way(why, detail, self.user.as_deref(), self.has_sudo);
            let ways = if *past { &mut self.found.ways_past } else { &mut self.found.ways };
            ways.extend(way.map(|way| (*call, Err(way))));
        }
        self.found.ways.sort_by_key(|(call, _)| *call);
        if let Some((why, detail)) = &self.no_alarm {
            self.found.clocks.way = no_way(why, detail, self.user.as_deref(), self.has_sudo).map(Err);
        }
        if self.asked {
            let users = self.people();
            self.found.users = Some(users);
        }
        self.found
    }
}

/// `rtc0 yes enabled 1`
fn rtc(value: &str) -> Option<Rtc> {
    let mut words = value.split(' ');
    let name = words.next().and_then(word)?;
    let has_alarm = words.next()? == "yes";
    let wakes = match words.next()? {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => None,
    };
    Some(Rtc { name, has_alarm, wakes, is_system: words.next() == Some("1") })
}
