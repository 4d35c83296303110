//! A lock against sleep on a host, so that others there see that somebody needs it awake.

use std::rc::Rc;
use std::time::Duration;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::host::power::way::RIGHTS;
use crate::fleet::reach::session::no_ssh;
use crate::transport::held_script::Held;
use crate::transport::script::{excerpt, quote};
use crate::transport::ssh::{HostKeyPolicy, Session};
use crate::transport::{Error, local};

/// How long a lock may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The script's word for a host whose init knows no locks.
const NO_LOGIND: &str = "no-logind";

/// A lock that is held.
pub(crate) struct Inhibited {
    held: Held,
    /// The lock ends with the connection.
    _session: Option<Rc<Session>>,
}

/// What came of asking for a lock.
pub(crate) enum Inhibit {
    Held(Inhibited),
    /// No program there would look for one.
    NoLogind,
    /// It is not held, and why.
    Not(String),
}

impl Inhibited {
    /// Lets it go, and waits a moment until it is gone.
    pub(crate) async fn release(self) {
        self.held.release().await;
    }
}

impl Fleet<'_> {
    /// Asks logind on a host not to sleep until the lock is released, this process ends, or the connection does.
    pub(crate) async fn inhibit(&self, server: &ServerConfig, why: &str) -> Inhibit {
        match self.try_inhibit(server, why).await {
            Ok((Ok(held), session)) => Inhibit::Held(Inhibited { held, _session: session }),
            Ok((Err(words), _)) if words == NO_LOGIND => Inhibit::NoLogind,
            Ok((Err(words), _)) => Inhibit::Not(words),
            Err(error) => Inhibit::Not(error.to_string()),
        }
    }

    async fn try_inhibit(
        &self,
        server: &ServerConfig,
        why: &str,
    ) -> Result<(Result<Held, String>, Option<Rc<Session>>), Error> {
        let script = script(why);
        match server.access {
            Access::Api => Err(no_ssh(server)),
            Access::Local => Ok((local::hold(&script, PATIENCE).await?, None)),
            Access::Ssh => {
                let session = self.session(server, HostKeyPolicy::Refuse).await?;
                Ok((session.hold(&script, PATIENCE).await?, Some(session)))
            }
        }
    }
}

/// How locks are asked for; it stands after `RIGHTS`.
const LOCK: &str = concat!(include_str!("lock.sh"), "\n");

/// The script; POSIX sh. What it is for is the only thing in it that comes from elsewhere.
fn script(why: &str) -> String {
    format!("{}{}", head(why), include_str!("inhibit.sh"))
}

/// The script that has the host itself hold a lock, or end it where `why` is empty.
fn keep_script(unit: &str, why: &str, seconds: Option<u64>) -> String {
    let seconds = seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
    format!("unit={unit} seconds={seconds}\n{}{}", head(why), include_str!("keep.sh"))
}

fn head(why: &str) -> String {
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let why = quote(&why).unwrap_or_else(|_| "''".to_owned());
    format!("uid= rights= sudo= listed= why={why}\n{RIGHTS}{LOCK}")
}

impl Fleet<'_> {
    /// Has a host itself hold a lock, which outlives this process: until it is ended, until so many seconds are over, or
    /// until the host restarts. Returns why not; `unit` is of letters, digits and hyphens.
    pub(crate) async fn keep_awake(
        &self,
        server: &ServerConfig,
        unit: &str,
        why: &str,
        seconds: Option<u64>,
    ) -> Option<String> {
        match self.run_script_in_time(server, HostKeyPolicy::Refuse, &keep_script(unit, why, seconds)).await {
            Ok(output) => {
                let words = output.stdout.lines().rev().find_map(|line| excerpt(line.as_bytes()));
                words.filter(|words| words != "held" && words != NO_LOGIND)
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Ends such a lock. Where that fails, the lock says of itself that it is of a lease that has ended.
    pub(crate) async fn let_sleep(&self, server: &ServerConfig, unit: &str) {
        let ended = self.run_script_in_time(server, HostKeyPolicy::Refuse, &keep_script(unit, "", None)).await;
        tracing::debug!(server = server.id.as_str(), unit, ok = ended.is_ok(), "the lock was ended");
    }
}
