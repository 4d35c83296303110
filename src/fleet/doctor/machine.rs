//! A look at this machine: the state file, what logins use, Prometheus.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures::future::join;

use crate::config::Access;
use crate::file;
use crate::fleet::Fleet;
use crate::fleet::past::prometheus_access::{reader, writer};
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Trouble;
use crate::model::check::fix::Fix;
use crate::model::check::machine::{MachineSeen, SshSeen, StateSeen};
use crate::model::hint::HintId;
use crate::model::id::{ServerId, VmId};
use crate::state;
use crate::transport;
use crate::transport::prometheus::{Error, Matcher, selector};
use crate::transport::ssh::checkup;

impl Fleet<'_> {
    /// Everything that the checks of this machine judge, but for what only hosts show.
    pub(super) async fn machine_seen(&self) -> MachineSeen {
        let ((state, ssh), (here, prometheus)) =
            join(join(self.state_seen(), self.ssh_seen()), join(self.here_seen(), self.prometheus_seen())).await;
        let completions = state::find(None, |name| std::env::var_os(name));
        let same = |path: &PathBuf| std::fs::canonicalize(path).ok() == std::fs::canonicalize(&state.path).ok();
        MachineSeen {
            unused: self.unused_entries(),
            completions: (!same(&completions)).then(|| (state.path.clone(), completions.display().to_string())),
            queue: self.queue_seen(),
            synchronised: here.synchronised,
            discover: self.schedule(&here),
            prometheus,
            state,
            ssh,
            ..MachineSeen::default()
        }
    }

    async fn state_seen(&self) -> StateSeen {
        let inspection = self.state.inspection();
        let seen = tokio::task::spawn_blocking(inspection).await.unwrap_or_default();
        StateSeen {
            path: seen.path.display().to_string(),
            bytes: seen.bytes,
            free: seen.free,
            damage: seen.damage,
            leftovers: seen.leftovers.iter().map(|path| path.display().to_string()).collect(),
        }
    }

    /// The files and the agent that the logins of all hosts use.
    async fn ssh_seen(&self) -> SshSeen {
        let mut keys = BTreeSet::new();
        let mut known_hosts = BTreeSet::new();
        let mut agents = BTreeSet::new();
        for server in self.hosts().filter(|server| server.access == Access::Ssh) {
            let Ok(route) = self.route(server).await else { continue };
            for hop in route.hops() {
                keys.extend(hop.identities.iter().map(|identity| identity.path.clone()));
                known_hosts.extend(hop.known_hosts());
                agents.extend(hop.agent.clone());
            }
        }
        let mut seen = SshSeen { keys: keys.len(), ..SshSeen::default() };
        if let Some(socket) = agents.into_iter().next() {
            let answer = checkup::agent_keys(&socket, self.limits.left(self.limits.probe)).await;
            seen.agent = Some(answer.map_err(|why| (socket.display().to_string(), why)));
        }
        let read = move || {
            let exposed = keys.iter().filter_map(|path| Some((path.display().to_string(), checkup::exposed(path)?)));
            let lines = known_hosts.iter().map(|path| {
                let lines = checkup::unreadable_lines(path).map_err(|error| error.to_string());
                (path.display().to_string(), lines)
            });
            Ok((exposed.collect(), lines.collect()))
        };
        if let Ok((exposed, lines)) = file::in_time(self.limits.file(), read).await {
            (seen.exposed, seen.known_hosts) = (exposed, lines);
        }
        seen
    }

    /// Entries for guests of clusters whose guests are known, of which there is none.
    fn unused_entries(&self) -> Vec<ServerId> {
        let entries = self.config.servers.iter().filter_map(|server| Some((server, server.guest_ref()?)));
        let is_missing = |parent: &ServerId, vmid: VmId| {
            let guests = self.state.guests(&self.cluster_of(parent)).unwrap_or_default();
            !guests.is_empty() && !guests.iter().any(|guest| guest.vmid == vmid && guest.gone_at.is_none())
        };
        entries
            .filter(|(_, (parent, _, vmid))| is_missing(parent, *vmid))
            .map(|(server, _)| server.id.clone())
            .collect()
    }

    /// Whether Prometheus gives numbers, and takes them: it is sent none.
    async fn prometheus_seen(&self) -> Option<Result<(), Trouble>> {
        let history = &self.config.settings.history;
        if history.remote_write.is_none() && history.query.is_none() {
            return None;
        }
        let after = self.limits.left(self.limits.listing);
        let asked = async {
            if let Some(reader) = reader(history, after).await? {
                reader.range(&selector("up", &[("job", Matcher::Is("ecobox"))]), self.now(), self.now()).await?;
            }
            if let Some(writer) = writer(history, after).await? {
                // A request without a series, which changes nothing.
                writer.send(&[0]).await?;
            }
            Ok::<(), Error>(())
        };
        let late = |_| transport::Error::Timeout { peer: "Prometheus".to_owned(), doing: "answering", after }.into();
        let error = tokio::time::timeout(after, asked).await.map_err(late).flatten().err();
        let trouble = error.map(|error| {
            let row = error.advice().unwrap_or(HintId::PrometheusAway);
            let id = row.check().unwrap_or(CheckId::PrometheusAway);
            Trouble { id, finding: error.to_string(), fix: Some(Fix::say(row.text())), at: None }
        });
        Some(trouble.map_or(Ok(()), Err))
    }

    fn queue_seen(&self) -> Option<(u64, u64)> {
        let history = &self.config.settings.history;
        history.remote_write.as_ref()?;
        let (_, bytes) = self.state.outbox_len().ok()?;
        Some((u64::try_from(bytes).unwrap_or(u64::MAX), history.queue))
    }
}
