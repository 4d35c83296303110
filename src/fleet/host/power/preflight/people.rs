//! Who is logged in to a host, by logind's sessions and by `who`.

use super::{MOST, Seen};
use crate::fleet::host::facts::word;
use crate::model::host::power::LoggedIn;

/// A session of logind's.
#[derive(Default)]
pub(super) struct Session {
    id: String,
    class: String,
    state: String,
    /// `sshd`, `login`, `systemd-user`.
    service: String,
    who: Option<LoggedIn>,
}

impl Seen {
    /// A line `Key=Value` of `loginctl show-session`; an empty one parts sessions.
    pub(super) fn take_session(&mut self, value: &str) {
        let Some((key, value)) = value.split_once('=') else {
            if self.sessions.len() < MOST {
                self.sessions.push(Session::default());
            }
            return;
        };
        let begins =
            self.sessions.is_empty() || (key == "Id" && self.sessions.last().is_some_and(|s| !s.id.is_empty()));
        if begins && self.sessions.len() < MOST {
            self.sessions.push(Session::default());
        }
        let Some(session) = self.sessions.last_mut() else { return };
        let nobody = LoggedIn { user: None, terminal: None, from: None, idle: None };
        let who = session.who.get_or_insert(nobody);
        match key {
            "Id" => value.clone_into(&mut session.id),
            "Class" => value.clone_into(&mut session.class),
            "State" => value.clone_into(&mut session.state),
            "Service" => value.clone_into(&mut session.service),
            "Name" => who.user = word(value),
            "TTY" => who.terminal = word(value),
            "RemoteHost" => who.from = word(value),
            "IdleHint" => {
                who.idle = match value {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => None,
                }
            }
            _ => {}
        }
    }

    /// Who is logged in: logind's sessions first, then what only the book of logins knows.
    pub(super) fn people(&mut self) -> Vec<LoggedIn> {
        let of_logind = !self.sessions.is_empty();
        for session in &mut self.sessions {
            let Some(who) = session.who.as_mut().filter(|who| who.terminal.is_none()) else { continue };
            let inside = self.inside.iter().find(|(id, _)| *id == session.id);
            who.terminal = inside.and_then(|(_, terminal)| word(terminal));
        }
        // A line with the service first is logind's session again, perhaps with the terminal that logind lacks.
        let mut others = std::mem::take(&mut self.others);
        for session in &mut self.sessions {
            let Some(who) = session.who.as_mut().filter(|who| who.terminal.is_none()) else { continue };
            let same = |(service, other): &(bool, LoggedIn)| {
                *service && other.terminal.is_some() && other.user == who.user && other.from == who.from
            };
            if Some(session.id.as_str()) != self.own.as_deref()
                && let Some(at) = others.iter().position(same)
            {
                who.terminal = others.remove(at).1.terminal;
            }
        }
        let own = self.own.as_deref();
        let here = self.found.ssh_client;
        // `manager` is the user's systemd, `greeter` the login screen. One from this machine without a terminal, in
        // which nothing else runs, is ecobox's own, as of `watch`.
        let counts = |session: &Session| {
            let from = session.who.as_ref().filter(|who| who.terminal.is_none()).and_then(|who| who.from.as_deref());
            let ours = here.is_some() && from.and_then(|from| from.parse().ok()) == here;
            (session.class.is_empty() || session.class == "user" || session.class.starts_with("user-"))
                && session.state != "closing"
                && session.service != "systemd-user"
                && Some(session.id.as_str()) != own
                && (!ours || self.runs.contains(&session.id))
        };
        let kept = self.sessions.iter().filter(|session| counts(session));
        let mut users: Vec<LoggedIn> = kept.filter_map(|session| session.who.clone()).collect();
        for (service, other) in others {
            let known = users.iter().any(|user| user.terminal == other.terminal);
            if !known && (!service || !of_logind) {
                users.push(other);
            }
        }
        users
    }
}

/// A line of `who`: `anna     pts/0        2026-11-25 10:00 (10.0.0.5)`; busybox's has the idle time third and the
/// host last, without brackets, and a line of headings.
pub(super) fn of_who(line: &str) -> Option<(bool, LoggedIn)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [user, terminal, rest @ ..] = words.as_slice() else { return None };
    let is_terminal = |word: &str| {
        let kinds = ["pts/", "tty", "hvc", ":"];
        kinds.iter().any(|kind| word.starts_with(kind)) || word == "console"
    };
    // Since coreutils 9.5 the service stands first: `root sshd pts/0 ...`, and `root sshd ...` without a terminal. That
    // may be this very session.
    let (service, terminal, rest) = match rest {
        [second, rest @ ..] if !is_terminal(terminal) && is_terminal(second) => (true, second, rest),
        rest => (false, terminal, rest),
    };
    if !is_terminal(terminal) || *user == "LOGIN" {
        return None;
    }
    let last = rest.last().copied().unwrap_or_default();
    let bracketed = last.strip_prefix('(').and_then(|last| last.strip_suffix(')'));
    let time = |word: &str| word.contains(':') && word.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '.');
    // busybox: idle, month, day, time, host.
    let bare = Some(last).filter(|last| {
        rest.len() == 5 && !time(last) && rest.get(3).is_some_and(|word| time(word))
            || last.parse::<std::net::IpAddr>().is_ok()
    });
    let from = bracketed.or(bare).and_then(word);
    Some((service, LoggedIn { user: word(user), terminal: word(terminal), from, idle: None }))
}
