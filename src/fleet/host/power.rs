//! Power of hosts and plain servers over SSH: the look before, the one trigger, arming Wake-on-LAN, and waiting until
//! it is seen.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

pub(crate) mod alarm;
pub(crate) mod arm;
pub(crate) mod gone_or_back;
pub(in crate::fleet) mod preflight;
pub(crate) mod trigger;
pub(super) mod way;

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod ssh_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use self::preflight::{IdleQuestions, Wanted};
use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::host::load;
use crate::model::host::power::{HostPreflight, Identity, is_jump_host};
use crate::model::load::reading::{HostLoad, Reading};
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{self, Error};

/// How long load is measured where no earlier run left a reading.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is read here of what scripts print, for those who try any bytes on it.
#[cfg(any(test, fuzzing))]
pub(crate) const READERS: &[crate::model::foreign::Reader] = &[
    ("preflight", |bytes| drop(preflight::parse(&String::from_utf8_lossy(bytes)))),
    ("alarm", |bytes| drop(alarm::parse(&String::from_utf8_lossy(bytes), false))),
    ("arm", |bytes| drop(arm::parse(&String::from_utf8_lossy(bytes)))),
    ("trigger", |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        drop(trigger::parse(&transport::script::ScriptOutput { stdout: text.clone(), stderr: text, status: 0 }));
    }),
];

impl Fleet<'_> {
    /// Looks for reasons against putting a host to sleep or switching it off: one script, one round trip, nothing is
    /// changed.
    ///
    /// # Errors
    /// Those of an SSH script; what the host does not tell is `None` in the answer.
    pub(crate) async fn host_preflight(&self, server: &ServerConfig, wanted: &Wanted) -> Result<HostPreflight, Error> {
        let script = preflight::script(wanted);
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await?;
        Ok(preflight::parse(&output.stdout))
    }

    /// Like `host_preflight`, with how hard the host works, in the same round trip. `known` is what an earlier run read of it.
    ///
    /// # Errors
    /// Like `host_preflight`.
    pub(crate) async fn host_preflight_with_load(
        &self,
        server: &ServerConfig,
        wanted: &Wanted,
        known: Option<&Reading>,
    ) -> Result<(HostPreflight, Reading, HostLoad), Error> {
        const LOAD: &str = "ecobox: load";
        let load = load::script(known, INTERVAL, false);
        let script = format!("{}\nprintf '%s\\n' '{LOAD}'\n(\n{load})\n", preflight::script(wanted));
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await?;
        let (before, rest) = output.stdout.split_once(&format!("{LOAD}\n")).unwrap_or((&output.stdout, ""));
        let (reading, load) = load::read(rest, known, server.energy.max_watts);
        Ok((preflight::parse(before), reading, load))
    }

    /// Which machine ecobox runs on, and from where somebody is logged in to it.
    ///
    /// # Errors
    /// Those of a script that runs here.
    pub(crate) async fn local_identity(&self) -> Result<Identity, Error> {
        let output = transport::local::run_script(&preflight::script(&Wanted::default()), self.limits.host).await?;
        Ok(preflight::parse(&output.stdout).identity())
    }

    /// Whether the SSH way to `target` leads through `server`.
    ///
    /// # Errors
    /// Those of resolving the way (`ssh -G`).
    pub(crate) async fn leads_through(&self, server: &ServerConfig, target: &ServerConfig) -> Result<bool, Error> {
        let route = self.route(target).await?;
        let jumps = route.hops().split_last().map(|(_, jumps)| jumps).unwrap_or_default();
        if jumps.is_empty() || server.id == target.id {
            return Ok(false);
        }
        let jumps: Vec<&str> = jumps.iter().flat_map(|hop| [hop.label.as_str(), hop.host.as_str()]).collect();
        let known = self.known.borrow();
        let facts = known.facts.get(&server.id);
        let addresses: Vec<_> = facts.iter().flat_map(|facts| &facts.addresses).map(|address| address.ip).collect();
        let own = facts.and_then(|facts| facts.hostname.as_deref()).unwrap_or_default();
        Ok(is_jump_host(&[server.id.as_str(), &server.hostname, own], &addresses, &jumps))
    }
}
