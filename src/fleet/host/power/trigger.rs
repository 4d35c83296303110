//! The one trigger that puts a host to sleep, switches it off or restarts it.

use crate::config::{Access, ServerConfig};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::host::facts::word;
use crate::fleet::host::power::way::{RIGHTS, WAY, no_way};
use crate::fleet::reach::session::no_ssh;
use crate::model::host::power::{HostCall, NoWay};
use crate::transport::script::{ScriptOutput, quote};
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{self, Error};

/// A call, and how it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostOrder {
    pub(crate) call: HostCall,
    /// Past a lock that a program holds: somebody has allowed that.
    pub(crate) over_inhibitors: bool,
}

impl From<HostCall> for HostOrder {
    fn from(call: HostCall) -> HostOrder {
        HostOrder { call, over_inhibitors: false }
    }
}

/// What became of a trigger that was sent, or was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Triggered {
    /// It fires about two seconds later; `by` which program, and where its failure would stand.
    Armed { by: String, trace: Option<Trace> },
    /// Nothing was armed, and nothing will happen.
    Refused { reason: NoWay },
    /// The script was sent and its answer was lost: it may fire. It must not be sent again.
    Lost { detail: String },
}

/// Where the host keeps what became of a trigger that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trace {
    /// systemd's unit.
    Unit(String),
    /// A file that is gone once it has succeeded.
    File(String),
}

/// The script that looks whether a trigger failed; `None`: no script can name it.
pub(super) fn after(trace: &Trace) -> Option<String> {
    let (unit, file) = match trace {
        Trace::Unit(unit) => (quote(unit).ok()?, String::new()),
        Trace::File(file) => (String::new(), quote(file).ok()?),
    };
    Some(format!("uid= rights= sudo= listed= unit={unit} file={file}\n{RIGHTS}{}", include_str!("after.sh")))
}

/// The script for a call; POSIX sh, reads nothing from its input. Nothing in it comes from elsewhere.
pub(super) fn script(order: HostOrder) -> String {
    let over = if order.over_inhibitors { "yes" } else { "" };
    let call = order.call.as_str();
    format!("uid= rights= sudo= listed= over={over} call={call}\n{RIGHTS}{WAY}{}", include_str!("trigger.sh"))
}

/// What the script said. Without a known word, what it did is unknown.
pub(super) fn parse(output: &ScriptOutput) -> Triggered {
    let (mut user, mut sudo, mut trace) = (None, false, None);
    for line in output.stdout.lines() {
        let mut fields = line.splitn(3, '\t');
        let (key, first) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let rest = fields.next().unwrap_or_default();
        match key {
            // A user who may run something without a password may still not be allowed to run this.
            "user" => (user, sudo) = (word(first), matches!(rest.trim(), "yes" | "no")),
            "unit" => trace = word(first).map(Trace::Unit),
            "file" => trace = word(first).map(Trace::File),
            "armed" => return Triggered::Armed { by: word(first).unwrap_or_default(), trace },
            "refused" => {
                if let Some(reason) = no_way(first, rest, user.as_deref(), sudo) {
                    return Triggered::Refused { reason };
                }
            }
            _ => {}
        }
    }
    let said = output.stderr.lines().rev().find_map(word);
    let said = said.map(|said| format!("; its last word was \"{said}\"")).unwrap_or_default();
    Triggered::Lost { detail: format!("the script did not say what it did{said}") }
}

impl Fleet<'_> {
    /// Arms one power call on a host, by one detached trigger, once. It is never cancelled and never sent again.
    ///
    /// # Errors
    /// Only where nothing was sent: the host cannot be reached, is not who it was, or runs no commands for us.
    pub(crate) async fn trigger(
        &self,
        server: &ServerConfig,
        order: HostOrder,
        _: &Confirmed,
    ) -> Result<Triggered, Error> {
        let script = script(order);
        let after = self.limits.host;
        let late = |_| Error::Timeout { peer: server.id.to_string(), doing: "over SSH", after };
        let result = match server.access {
            Access::Api => return Err(no_ssh(server)),
            Access::Local => transport::local::run_script(&script, after).await,
            Access::Ssh => {
                let session = self.session(server, HostKeyPolicy::Refuse);
                let session = tokio::time::timeout(after, session).await.map_err(late)??;
                session.run_script(&script, after).await
            }
        };
        match result {
            Ok(output) => Ok(parse(&output)),
            // These say that the script did not begin.
            Err(error @ (Error::Connect { .. } | Error::Denied { .. } | Error::Local { .. })) => Err(error),
            Err(error) => Ok(Triggered::Lost { detail: error.to_string() }),
        }
    }

    /// Why a trigger failed on the host, once that is known; it never ends if nothing failed, or if that is not known.
    pub(crate) async fn failure_of(&self, server: &ServerConfig, trace: Option<&Trace>) -> String {
        if let Some(script) = trace.and_then(after)
            && let Ok(output) = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await
            && let Some(words) = output.stdout.lines().find_map(|line| line.strip_prefix("failed\t"))
        {
            return word(words).unwrap_or_default();
        }
        std::future::pending().await
    }
}
