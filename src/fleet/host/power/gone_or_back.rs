//! Waiting until a host is seen to be gone, or back.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::backoff::Backoff;
use crate::model::inventory::FailureKind;
use crate::transport::ssh::{Hop, HostKeyPolicy, Session};
use crate::transport::{ConnectFailure, Error, probe};

/// How long one look waits: long enough for a second SYN, which Linux sends after one second.
const PATIENCE: Duration = Duration::from_millis(1500);
/// What even the last look before the deadline gets.
const LEAST: Duration = Duration::from_millis(250);
/// So many looks in a row must see no host: one alone may have lost its packets.
const SILENT: u32 = 2;
/// A port that refuses for so long is no service that just ends: something before the host answers for it.
const REFUSING: Duration = Duration::from_secs(10);
/// Prints the boot's id.
const BOOT_ID: &str = "read -r v < /proc/sys/kernel/random/boot_id && printf '%s\\n' \"$v\"";

/// What came of waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waited {
    Seen,
    /// Not before the deadline; what was seen last.
    NotConfirmed {
        last: String,
    },
    /// It is this machine itself, which cannot watch its own end.
    Local,
}

/// What one look at a host's ports saw.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Answers,
    /// Its ports are closed, and something says so.
    Refuses,
    /// Nothing answers.
    Silent,
    /// The host could not be asked.
    Unknown(String),
}

impl Look {
    fn of(failures: &[ConnectFailure]) -> Look {
        if let Some(failure) = failures.iter().find(|failure| !failure.reached_host()) {
            return Look::Unknown(failure.as_str().to_owned());
        }
        let closed = |failure: &ConnectFailure| matches!(failure, ConnectFailure::Refused | ConnectFailure::Closed);
        if failures.iter().any(closed) { Look::Refuses } else { Look::Silent }
    }

    fn words(&self) -> String {
        match self {
            Look::Answers => "it still answers".to_owned(),
            Look::Refuses => "its ports refuse connections, so it is still up".to_owned(),
            Look::Silent => "nothing answers".to_owned(),
            Look::Unknown(why) => why.clone(),
        }
    }
}

/// What the looks so far say of a host that goes down.
#[derive(Debug, Default)]
struct Absence {
    /// In a row, up to now.
    silent: u32,
    /// Since when it does nothing but refuse.
    refusing: Option<Instant>,
}

impl Absence {
    /// Adds a look that began then, and ended at `now`; gives whether the host is gone.
    fn add(&mut self, look: &Look, began: Instant, now: Instant) -> bool {
        self.silent = if *look == Look::Silent { self.silent + 1 } else { 0 };
        self.refusing = if *look == Look::Refuses { self.refusing.or(Some(began)) } else { None };
        self.silent >= SILENT || self.refusing.is_some_and(|since| now.duration_since(since) >= REFUSING)
    }
}

/// How a host is looked at.
enum Eye {
    Tcp {
        host: String,
        ports: Vec<u16>,
    },
    /// From the jump host before it; a lost session is opened again.
    Jump(Box<(Session, Hop)>),
    /// Nothing but a whole SSH session reaches it.
    Ssh,
}

impl Fleet<'_> {
    /// Waits until a host is gone from the network: its SSH port, and its API's where it is a Proxmox VE host, accept
    /// nothing more. The last session with it is let go.
    ///
    /// # Errors
    /// Those of finding the way to it.
    pub(crate) async fn wait_gone(&self, server: &ServerConfig, deadline: Instant) -> Result<Waited, Error> {
        self.forget_session(&server.id);
        let mut eye = match server.access {
            Access::Local => return Ok(Waited::Local),
            Access::Api => Eye::Tcp { host: server.hostname.clone(), ports: vec![server.api_port()] },
            Access::Ssh => {
                let route = self.route(server).await?;
                if let Some(hop) = route.direct() {
                    let api = self.is_pve(server).then(|| server.api_port());
                    Eye::Tcp { host: hop.host.clone(), ports: std::iter::once(hop.port).chain(api).collect() }
                } else if let Some(jump) = self.jump_session(server).await? {
                    Eye::Jump(Box::new(jump))
                } else {
                    Eye::Ssh
                }
            }
        };
        let mut backoff = Backoff::new();
        let mut absence = Absence::default();
        loop {
            let begun = Instant::now();
            let look = self.seen_by(&mut eye, server).await;
            if absence.add(&look, begun, Instant::now()) {
                return Ok(Waited::Seen);
            }
            let next = begun + backoff.pause();
            if next >= deadline {
                return Ok(Waited::NotConfirmed { last: look.words() });
            }
            tokio::time::sleep_until(next).await;
        }
    }

    async fn seen_by(&self, eye: &mut Eye, server: &ServerConfig) -> Look {
        match eye {
            Eye::Tcp { host, ports } => {
                let probes = join_all(ports.iter().map(|port| probe::tcp(host, *port, PATIENCE))).await;
                if probes.iter().any(|probe| probe.open) {
                    return Look::Answers;
                }
                Look::of(&probes.iter().filter_map(|probe| probe.failure).collect::<Vec<_>>())
            }
            Eye::Jump(jump) => {
                if jump.0.is_closed() {
                    match tokio::time::timeout(4 * PATIENCE, self.jump_session(server)).await {
                        Ok(Ok(Some(anew))) => **jump = anew,
                        Ok(Ok(None)) | Err(_) => return Look::Unknown("its jump host does not answer".to_owned()),
                        Ok(Err(error)) => return Look::Unknown(error.to_string()),
                    }
                }
                let (session, target) = jump.as_ref();
                let forward = session.forward(&target.host, target.port);
                match tokio::time::timeout(2 * PATIENCE, forward).await {
                    Ok(Ok(_)) => Look::Answers,
                    Ok(Err(Error::Connect { failure, .. })) if failure.reached_host() => Look::Silent,
                    Ok(Err(error)) => Look::Unknown(error.to_string()),
                    // Its sshd waits for the host, unless it is the jump host itself that is gone.
                    Err(_) if session.answers(PATIENCE).await => Look::Silent,
                    Err(_) => Look::Unknown("its jump host does not answer".to_owned()),
                }
            }
            Eye::Ssh => {
                self.forget_session(&server.id);
                match tokio::time::timeout(4 * PATIENCE, self.session(server, HostKeyPolicy::Refuse)).await {
                    Ok(Ok(_)) => Look::Answers,
                    Ok(Err(Error::Connect { .. } | Error::Timeout { .. })) | Err(_) => Look::Silent,
                    Ok(Err(error)) => Look::Unknown(error.to_string()),
                }
            }
        }
    }

    /// Waits until a host answers over SSH with its known key and in another boot than `before`. Where that boot is
    /// not known it must have been gone in between, as `gone` says.
    ///
    /// # Errors
    /// Those of the host's identity: then it is not the host that it was.
    pub(crate) async fn wait_back(
        &self,
        server: &ServerConfig,
        before: Option<&str>,
        mut gone: bool,
        deadline: Instant,
    ) -> Result<Waited, Error> {
        if server.access == Access::Local {
            return Ok(Waited::Local);
        }
        let mut backoff = Backoff::new();
        loop {
            let begun = Instant::now();
            self.forget_session(&server.id);
            let run = self.run_script(server, HostKeyPolicy::Refuse, BOOT_ID, 4 * PATIENCE);
            let patience = (4 * PATIENCE).min(deadline.saturating_duration_since(begun)).max(LEAST);
            let last = match tokio::time::timeout(patience, run).await {
                Ok(Ok(output)) => {
                    let boot = output.stdout.trim();
                    match before {
                        Some(before) if !boot.is_empty() && boot != before => return Ok(Waited::Seen),
                        Some(_) if !boot.is_empty() => "it answers, and has not restarted yet".to_owned(),
                        _ if gone => return Ok(Waited::Seen),
                        _ => "it answers, and was never seen to go".to_owned(),
                    }
                }
                // A login that is refused is none of them: sshd goes down in the middle of one, and `pam_nologin` keeps
                // everybody but root out while a system stops and starts.
                Ok(Err(error)) if error.kind() == FailureKind::Identity => return Err(error),
                Ok(Err(error)) => {
                    gone |= matches!(error, Error::Connect { failure, .. } if failure.reached_host());
                    error.to_string()
                }
                Err(_) => "nothing answers".to_owned(),
            };
            let next = begun + backoff.pause();
            if next >= deadline {
                return Ok(Waited::NotConfirmed { last });
            }
            tokio::time::sleep_until(next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_is_who_is_silent() {
        use ConnectFailure::*;
        let unknown = |failure: ConnectFailure| Look::Unknown(failure.as_str().to_owned());
        for (failures, want) in [
            (&[Timeout][..], Look::Silent),
            (&[Timeout, Unreachable], Look::Silent),
            (&[Refused, Timeout], Look::Refuses),
            (&[Closed], Look::Refuses),
            (&[Resolve], unknown(Resolve)),
            (&[Timeout, Other], unknown(Other)),
            (&[NoNetwork, NoNetwork], unknown(NoNetwork)),
            (&[Unreachable, JumpHostFailed("no answer")], unknown(JumpHostFailed("no answer"))),
        ] {
            assert_eq!(Look::of(failures), want, "{failures:?}");
        }
    }

    #[test]
    fn gone_is_seen_twice() {
        use Look::{Answers, Refuses, Silent};
        let unknown = || Look::Unknown("no answer".to_owned());
        // Each look takes six seconds.
        for (looks, gone) in [
            (vec![Silent], false),
            (vec![Silent, Silent], true),
            (vec![Silent, Answers, Silent], false),
            (vec![Silent, unknown(), Silent], false),
            (vec![Silent, Refuses, Silent], false),
            (vec![unknown(), unknown(), unknown()], false),
            (vec![Refuses], false),
            (vec![Refuses, Refuses], true),
            (vec![Refuses, Silent, Refuses], false),
        ] {
            let (mut at, mut all) = (Instant::now(), Absence::default());
            let seen: Vec<bool> = looks
                .iter()
                .map(|look| {
                    let began = at;
                    at += Duration::from_secs(6);
                    all.add(look, began, at)
                })
                .collect();
            assert_eq!(seen.last(), Some(&gone), "{looks:?}");
            assert!(!seen[..seen.len() - 1].contains(&true), "{looks:?}");
        }
    }
}
