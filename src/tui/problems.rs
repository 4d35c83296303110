//! What is wrong, the worst first: the header says it.

use crate::model::inventory::{FailureKind, Server};
use crate::tui::app::State;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// A server is not in the state that is expected of it.
    Alarm,
    /// A server could not be asked.
    Failure,
    /// An answer is too old to be relied on.
    Stale,
}

/// One line about what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) weight: Weight,
    pub(crate) text: String,
}

/// All that is wrong now.
pub(crate) fn problems(state: &State) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |weight, text| found.push(Problem { weight, text });
    for text in &state.failed {
        add(Weight::Failure, format!("{text} (Esc: read)"));
    }
    let servers = &state.fleet.servers;
    let said = |server: &Server| format!("{} {}", server.name, server.seen.state);
    if let Some(text) = listed(servers.iter().filter(|server| server.is_alarming()), "not as expected", said) {
        add(Weight::Alarm, text);
    }
    for failed in &state.fleet.failures {
        let kind = match failed.kind {
            FailureKind::Unreachable => "unreachable",
            FailureKind::Identity => "not who it should be",
            FailureKind::Denied => "denied",
            FailureKind::Failed => "failed",
        };
        add(Weight::Failure, format!("{kind}: {}", failed.message));
    }
    let old = servers.iter().filter(|server| state.is_stale(server));
    if let Some(text) = listed(old, "with old answers", |server| server.name.clone()) {
        add(Weight::Stale, text);
    }
    found
}

/// `2 servers not as expected: nas offline, web unknown`; names beyond what a line can hold are not made.
fn listed<'s>(
    servers: impl Iterator<Item = &'s Server>,
    what: &str,
    say: impl Fn(&Server) -> String,
) -> Option<String> {
    const NAMED: usize = 20;
    let mut names = Vec::new();
    let mut number = 0;
    for server in servers {
        number += 1;
        if names.len() < NAMED {
            names.push(say(server));
        }
    }
    let more = if number > NAMED { ", …" } else { "" };
    (number > 0)
        .then(|| format!("{number} server{} {what}: {}{more}", if number == 1 { "" } else { "s" }, names.join(", ")))
}
