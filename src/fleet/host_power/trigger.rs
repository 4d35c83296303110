//! The one trigger that lets a host sleep, switch off or start anew.

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::host_facts::word;
use crate::fleet::host_power::preflight::no_way;
use crate::fleet::session::no_ssh;
use crate::model::host_power::{HostCall, NoWay};
use crate::transport::script::ScriptOutput;
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{self, Error};
use crate::ui::Confirmed;

/// A call, and how it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostOrder {
    pub(crate) call: HostCall,
    /// Past systemd's inhibitors (`systemctl -i`): somebody has allowed that.
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
    /// It fires about two seconds later; `by` which program.
    Armed { by: String },
    /// Nothing was armed, and nothing will happen.
    Refused { reason: NoWay },
    /// The script was sent and its answer was lost: it may fire. It must not be sent again.
    Lost { detail: String },
}

/// The script for a call; POSIX sh, reads nothing from its input. Nothing in it comes from elsewhere.
pub(super) fn script(order: HostOrder) -> String {
    let ignore = if order.over_inhibitors { "-i" } else { "" };
    format!(
        "uid= rights= sudo= ignore={ignore} call={}\n{}\n{}",
        order.call.as_str(),
        include_str!("way.sh"),
        include_str!("trigger.sh")
    )
}

/// What the script said. Without a word that is known nobody can tell what it did.
pub(super) fn parse(output: &ScriptOutput) -> Triggered {
    let (mut user, mut sudo) = (None, false);
    for line in output.stdout.lines() {
        let mut fields = line.splitn(3, '\t');
        let (key, first) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let rest = fields.next().unwrap_or_default();
        match key {
            "user" => (user, sudo) = (word(first), rest.trim() == "no"),
            "armed" => return Triggered::Armed { by: word(first).unwrap_or_default() },
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
}
