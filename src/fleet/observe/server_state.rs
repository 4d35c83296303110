//! The state of a host or plain server, by how the attempts to reach it failed.

use crate::model::power::PowerState;
use crate::transport::ssh::Route;
use crate::transport::{ConnectFailure, Error};

/// What it means that there is no session through others: offline only where the last of them asked the server itself.
pub(super) fn state_behind(error: &Error, route: &Route) -> (PowerState, String) {
    match error {
        Error::Connect { failure: ConnectFailure::JumpHostFailed(_), .. } => {
            (PowerState::Unknown, format!("its jump host does not answer: {error}"))
        }
        // A command that leads through a jump host fails alike for both.
        Error::Connect { failure, .. } if failure.reached_host() && !route.by_command() => {
            (PowerState::Offline, error.to_string())
        }
        error => (PowerState::Unknown, error.to_string()),
    }
}

/// What it means that no port accepted: offline, unless nothing could be asked.
pub(super) fn state_of_silence(failures: impl Iterator<Item = ConnectFailure>) -> (PowerState, Option<String>) {
    let failures: Vec<_> = failures.collect();
    let reason = failures.first().map(|failure| failure.as_str().to_owned());
    if failures.iter().any(|failure| failure.reached_host()) {
        (PowerState::Offline, reason)
    } else {
        (PowerState::Unknown, reason)
    }
}

#[cfg(test)]
mod tests;
