//! What is judged where no condition is given: states that are not the expected ones, services that do not answer, whom
//! nobody could ask, and what is too old to be judged.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::model::id::ServerId;
use crate::model::inventory::problems::{Kind, troubles};
use crate::model::inventory::{Failed, FailureKind, Server, ServiceCheck};
use crate::model::monitor::{Finding, Level};
use crate::model::power::PowerState;
use crate::model::text::units::human_seconds;

/// The servers that rest: put to sleep, or guests of such a host. Nothing of them is expected to be seen.
pub(crate) fn resting(all: &[Server]) -> HashSet<ServerId> {
    let asleep = |server: &&Server| server.vmid.is_none() && rests(server);
    let hosts: HashSet<&ServerId> = all.iter().filter(asleep).map(|server| &server.id).collect();
    let guests = all
        .iter()
        .filter(|server| server.vmid.is_some() && server.parent.as_ref().is_some_and(|parent| hosts.contains(parent)));
    let guests: Vec<&ServerId> = guests.map(|server| &server.id).collect();
    hosts.into_iter().chain(guests).cloned().collect()
}

/// A host that is off and may be.
fn rests(server: &Server) -> bool {
    matches!(server.seen.state, PowerState::Asleep | PowerState::Offline) && !server.is_alarming()
}

/// What is wrong with states, services and servers that could not be asked.
pub(crate) fn of_states(servers: &[&Server], failures: &[Failed]) -> Vec<Finding> {
    // A guest that should be on and is not is called by its name.
    let is_guest = |id: &ServerId| servers.iter().any(|server| server.id == *id && server.vmid.is_some());
    let failures: Vec<Failed> = failures.iter().filter(|failed| !is_guest(&failed.server)).cloned().collect();
    let failures = failures.as_slice();
    let states: HashMap<&ServerId, PowerState> = servers.iter().map(|server| (&server.id, server.seen.state)).collect();
    let found = troubles(servers, failures).into_iter().map(|trouble| {
        let unknown = states.get(trouble.server) == Some(&PowerState::Unknown);
        let (check, level) = match trouble.kind {
            Kind::Failure => {
                let failed = failures.iter().find(|failed| failed.message == trouble.text);
                ("failure", failed.map_or(Level::Unknown, |failed| of_failure(failed.kind)))
            }
            Kind::State => ("state", if unknown { Level::Unknown } else { Level::Critical }),
            Kind::Service => ("service", Level::Critical),
        };
        Finding { level, check, server: Some(trouble.server.to_string()), message: trouble.text }
    });
    found.collect()
}

/// How bad it is that somebody could not be asked: who should answer and does not is down, and who refuses says nothing.
fn of_failure(kind: FailureKind) -> Level {
    match kind {
        FailureKind::Unreachable | FailureKind::Identity | FailureKind::NoQuorum => Level::Critical,
        FailureKind::NodeOffline => Level::Warning,
        FailureKind::Denied | FailureKind::Failed => Level::Unknown,
    }
}

/// What is wrong with the services of this name, and how many there are.
pub(crate) fn of_service(servers: &[&Server], resting: &HashSet<ServerId>, name: &str) -> (Vec<Finding>, usize) {
    let (mut findings, mut count) = (Vec::new(), 0);
    for server in servers {
        let check = server.seen.checks.iter().find(|check| check.name == name);
        if check.is_none() && !server.services.iter().any(|service| service.name == name) {
            continue;
        }
        count += 1;
        let finding = |level, message| Finding {
            level,
            check: "service",
            server: Some(server.id.to_string()),
            message: format!("{}: {message}", server.name),
        };
        let why = |check: &ServiceCheck| check.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        match check {
            Some(check) if check.open == Some(true) => {}
            _ if resting.contains(&server.id) => {}
            // That it is off is said of its state.
            _ if server.is_alarming() => findings.extend(of_states(&[*server], &[])),
            _ if !server.seen.state.is_up() && server.seen.state != PowerState::Unknown => {}
            Some(check) if check.open == Some(false) => {
                let message = format!("{name} (port {}) does not answer{}", check.port, why(check));
                findings.push(finding(Level::Critical, message));
            }
            Some(check) => findings.push(finding(Level::Unknown, format!("{name} was not asked{}", why(check)))),
            None => findings.push(finding(Level::Unknown, format!("{name} was not asked: no address is known of it"))),
        }
    }
    (findings, count)
}

/// The servers of which too little is known to judge them: what is known is older than `most`, or it was never looked at.
pub(crate) fn too_old(
    servers: &[Server],
    resting: &HashSet<ServerId>,
    now: Timestamp,
    most: SignedDuration,
) -> (Vec<Finding>, HashSet<ServerId>) {
    let is_old = |server: &&Server| {
        let rests = resting.contains(&server.id) && server.seen.state != PowerState::Unknown;
        !rests && server.seen.at.is_none_or(|at| at > now || now.duration_since(at) > most)
    };
    let old: Vec<&Server> = servers.iter().filter(is_old).collect();
    // Guests are as old as the listing: one of them says it for all.
    let mut by_age: Vec<(Option<Timestamp>, Vec<&str>)> = Vec::new();
    for server in &old {
        match by_age.iter_mut().find(|(at, _)| *at == server.seen.at) {
            Some((_, names)) => names.push(&server.name),
            None => by_age.push((server.seen.at, vec![&server.name])),
        }
    }
    let found = by_age.into_iter().map(|(at, names)| {
        let others = names.len().saturating_sub(1);
        let first = names.first().copied().unwrap_or_default();
        let others = if others == 0 { String::new() } else { format!(" and {others} more") };
        let message = match at.map(|at| now.duration_since(at).as_secs()) {
            None => format!("{first}{others}: nobody has looked yet"),
            Some(age) => {
                let age =
                    u64::try_from(age).map_or_else(|_| "in the future".to_owned(), |age| human_seconds(age) + " ago");
                format!("{first}{others}: last seen {age}, which is too long")
            }
        };
        Finding { level: Level::Unknown, check: "age", server: None, message }
    });
    let found = found.collect();
    (found, old.into_iter().map(|server| server.id.clone()).collect())
}

/// Takes away what was seen of services before `oldest`, as states may be newer; says of whom.
pub(crate) fn without_old_services(servers: &mut [Server], oldest: Timestamp) -> Vec<Finding> {
    let mut names: Vec<&str> = Vec::new();
    for server in servers {
        if !server.seen.checks.is_empty() && server.seen.checks_at.is_some_and(|at| at < oldest) {
            server.seen.checks.clear();
            names.push(&server.name);
        }
    }
    let Some((first, others)) = names.split_first() else { return Vec::new() };
    let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let message = format!("{first}{others}: the services were last asked too long ago");
    vec![Finding { level: Level::Unknown, check: "age", server: None, message }]
}

#[cfg(test)]
mod tests;
