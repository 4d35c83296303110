//! What is wrong with a fleet, in the order in which a person should hear of it.

use std::collections::HashSet;

use crate::model::id::ServerId;
use crate::model::inventory::server::Expected;
use crate::model::inventory::{Failed, Server};
use crate::model::power::PowerState;

/// Halted by QEMU itself, not by a person.
const HALTED: [&str; 3] = ["io-error", "internal-error", "guest-panicked"];

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody could not be asked.
    Failure,
    /// Somebody should be on and is not, or was halted.
    State,
    /// A service does not answer.
    Service,
}

/// One thing that is wrong. Names the server; may hold foreign text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble<'a> {
    pub(crate) server: &'a ServerId,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// What is wrong: who could not be asked, who should be on and is not, which guests QEMU halted, which services of a
/// server that is on do not answer.
pub(crate) fn troubles<'a>(servers: &[&'a Server], failures: &'a [Failed]) -> Vec<Trouble<'a>> {
    let own = failures.iter().filter(|failed| !failed.kind.is_of_cluster());
    let failed: HashSet<&ServerId> = own.map(|failed| &failed.server).collect();
    let said = failures.iter().map(|failed| Trouble {
        server: &failed.server,
        kind: Kind::Failure,
        text: failed.message.clone(),
    });
    // That the guests of such a host are unknown is not a problem of its own.
    let is_of_failure = |server: &Server| {
        let parent = server.parent.as_ref().is_some_and(|parent| failed.contains(parent));
        failed.contains(&server.id) || parent && server.vmid.is_some() && server.seen.state == PowerState::Unknown
    };
    let states = servers.iter().filter(|server| server.is_alarming() && !is_of_failure(server));
    let states = states.map(|server| {
        let wanted = if server.expected == Expected::Asleep { "asleep" } else { "on" };
        let reason = server.seen.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let text = format!("{} is {}, and should be {wanted}{reason}", server.name, server.seen.state);
        Trouble { server: &server.id, kind: Kind::State, text }
    });
    let halted = servers.iter().filter_map(|server| {
        let word = server.seen.raw_status.as_deref().filter(|word| HALTED.contains(word))?;
        let text = format!("{} was halted by QEMU: {word}", server.name);
        Some(Trouble { server: &server.id, kind: Kind::State, text })
    });
    let on = servers.iter().filter(|server| server.seen.state.is_up());
    let closed = on.flat_map(|server| {
        server.seen.checks.iter().filter(|check| check.open == Some(false)).map(|check| {
            let why = check.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            let text = format!("{}: {} (port {}) does not answer{why}", server.name, check.name, check.port);
            Trouble { server: &server.id, kind: Kind::Service, text }
        })
    });
    said.chain(states).chain(halted).chain(closed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::inventory::server::ServiceType;
    use crate::model::inventory::tests::server;
    use crate::model::inventory::{FailureKind, ServiceCheck};

    fn closed(name: &str) -> ServiceCheck {
        let error = Some("connection refused".to_owned());
        ServiceCheck {
            name: name.to_owned(),
            port: 80,
            kind: ServiceType::Http,
            open: Some(false),
            response_seconds: None,
            error,
        }
    }

    #[test]
    fn what_is_worst_is_said_first_and_nothing_twice() {
        let (mut nas, mut backup, mut web) =
            (server("nas", None, None), server("backup", None, None), server("web", None, Some(101)));
        let (mut broken, mut idle) = (server("broken", None, Some(102)), server("idle", None, Some(103)));
        nas.seen.state = PowerState::Online;
        nas.seen.checks = vec![closed("media")];
        // Its port is closed because it is off: one of the two is enough.
        backup.seen.state = PowerState::Offline;
        backup.seen.checks = vec![closed("ssh")];
        (web.seen.state, web.seen.reason) = (PowerState::Stopped, Some("somebody stopped it".to_owned()));
        (broken.seen.state, broken.expected) = (PowerState::Paused, Expected::Any);
        broken.seen.raw_status = Some("io-error".into());
        (idle.seen.state, idle.expected) = (PowerState::Stopped, Expected::Any);
        let failures = [Failed {
            server: backup.id.clone(),
            kind: FailureKind::Unreachable,
            message: "backup is offline".to_owned(),
            advice: None,
            about: None,
        }];
        // That its guests are unknown is part of the same problem.
        let mut guest = server("guest", Some("backup"), Some(104));
        guest.seen.state = PowerState::Unknown;
        let all = [&nas, &backup, &web, &broken, &idle, &guest];
        let said: Vec<_> = troubles(&all, &failures).into_iter().map(|trouble| trouble.text).collect();
        assert_eq!(
            said,
            [
                "backup is offline",
                "web is stopped, and should be on: somebody stopped it",
                "broken was halted by QEMU: io-error",
                "nas: media (port 80) does not answer: connection refused",
            ]
        );
        assert!(troubles(&[&idle], &[]).is_empty());
    }
}
