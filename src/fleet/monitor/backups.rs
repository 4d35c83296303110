//! How long each guest has been without a good backup.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::fleet::monitor::{Look, of_server};
use crate::fleet::upkeep::Backups;
use crate::model::id::{ClusterId, NodeName, VmId};
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::monitor::condition::Condition;
use crate::model::monitor::judge::{Item, Reading};
use crate::model::power::PowerState;
use crate::model::upkeep::missed::{Known, Without, without};
use crate::state::{KnownGuest, StateError};
use crate::transport::pve::Client;

/// A listing is some seconds old, and clocks differ.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// What is known of the backups of one cluster's guests.
struct Told {
    backups: Backups,
    guests: HashMap<VmId, KnownGuest>,
    /// Why a node's tasks are not known as they are now; for all of them: why the jobs are not.
    failed: HashMap<NodeName, String>,
    all_failed: Option<String>,
}

impl Fleet<'_> {
    /// How long each judged guest has been without one.
    pub(super) async fn backup_items(
        &self,
        look: &Look<'_>,
        conditions: &[&Condition],
    ) -> Result<Vec<Item>, StateError> {
        let limits = conditions.iter().filter_map(|condition| condition.range.limit());
        let limit = limits.min_by(f64::total_cmp).and_then(|limit| SignedDuration::try_from_secs_f64(limit).ok());
        let came_back = self.came_back(look)?;
        let mut items = Vec::new();
        for cluster in look.clusters() {
            let guests: Vec<&Server> = look
                .servers
                .iter()
                .filter(|server| server.cluster.as_ref() == Some(cluster) && server.vmid.is_some())
                .collect();
            if guests.is_empty() {
                continue;
            }
            let client = look.clients.and_then(|clients| clients.get(cluster));
            let told = self.told_of_backups(look, cluster, client, &guests).await?;
            for guest in guests {
                items.push(backup_item(look, &told, guest, limit, client, &came_back).await);
            }
        }
        Ok(items)
    }

    async fn told_of_backups(
        &self,
        look: &Look<'_>,
        cluster: &ClusterId,
        client: Option<&Client>,
        guests: &[&Server],
    ) -> Result<Told, StateError> {
        let (mut failed, mut all_failed) = (HashMap::new(), None);
        if client.is_none() && look.clients.is_some() {
            all_failed = Some("no member of its cluster answers".to_owned());
        }
        if let Some(client) = client {
            // A guest may have been backed up on another node than its own: all that are there are asked.
            let mut nodes = self.online_nodes(cluster, client).await;
            nodes.extend(guests.iter().filter(|guest| !look.rests(guest)).filter_map(|guest| guest.node.clone()));
            nodes.sort();
            nodes.dedup();
            match self.ask_backups(cluster, client, &nodes).await {
                Ok(errors) => failed.extend(errors.into_iter().map(|(node, error)| (node, error.to_string()))),
                Err(error) => all_failed = Some(error.to_string()),
            }
        }
        let guests = self.state.guests(cluster)?.into_iter().map(|guest| (guest.vmid, guest)).collect();
        Ok(Told { backups: self.kept_backups(cluster)?, guests, failed, all_failed })
    }

    async fn online_nodes(&self, cluster: &ClusterId, client: &Client) -> Vec<NodeName> {
        match client.nodes().await {
            Ok(nodes) => nodes.into_iter().filter(|node| node.online == Some(true)).map(|node| node.name).collect(),
            Err(error) => {
                tracing::debug!(cluster = cluster.as_str(), %error, "the nodes could not be listed");
                Vec::new()
            }
        }
    }

    /// When hosts came back that were off before, within the time of grace.
    fn came_back(&self, look: &Look<'_>) -> Result<HashMap<ServerKey, Timestamp>, StateError> {
        let since = look.now.checked_sub(look.grace).unwrap_or(Timestamp::UNIX_EPOCH);
        let events = self.state.events(since)?.into_iter();
        let back = events.filter(|event| {
            matches!(event.from, PowerState::Asleep | PowerState::Offline) && event.to == PowerState::Online
        });
        Ok(back.map(|event| (event.server, event.at)).collect())
    }
}

/// How long a guest has been without one.
async fn backup_item(
    look: &Look<'_>,
    told: &Told,
    guest: &Server,
    limit: Option<SignedDuration>,
    client: Option<&Client>,
    came_back: &HashMap<ServerKey, Timestamp>,
) -> Item {
    let Some(vmid) = guest.vmid else { return of_server(guest, Reading::Excused(String::new())) };
    if look.rests(guest) {
        return of_server(guest, Reading::Excused("its host rests".to_owned()));
    }
    let last = told.backups.last.get(&vmid);
    let mut known = facts(look, told, guest, vmid, came_back);
    let mut verdict = without(&known, look.now, limit, look.grace);
    let is_alert = matches!(&verdict, Without::For(span) if limit.is_some_and(|limit| *span > limit));
    // Before an alert: the number may be another guest's now.
    if let (true, Some(kind), Some(node), Some(client)) = (is_alert, guest.kind.guest(), &guest.node, client)
        && let Ok(config) = client.guest_config(node, kind, vmid).await
        && let Some(made_at) = config.made_at
    {
        known.born_at = Some(made_at);
        verdict = without(&known, look.now, limit, look.grace);
    }
    let reading = match verdict {
        Without::For(span) => {
            unless_unasked(look, told, guest, span, limit).unwrap_or_else(|| Reading::Known(span.as_secs_f64()))
        }
        Without::Excused(why) => Reading::Excused(why),
        Without::Unknown(why) => Reading::Unknown(told.all_failed.clone().unwrap_or(why)),
    };
    let failure = last.and_then(|last| last.failure()).map(|(_, why)| format!("the last one failed: {why}"));
    let never = (known.good_at.is_none()).then(|| "none is known".to_owned());
    Item { detail: failure.or(never), ..of_server(guest, reading) }
}

/// That a good one may have been made since the last look, if that would end an alert.
fn unless_unasked(
    look: &Look<'_>,
    told: &Told,
    guest: &Server,
    span: SignedDuration,
    limit: Option<SignedDuration>,
) -> Option<Reading> {
    if limit.is_some_and(|limit| span <= limit) {
        return None;
    }
    if let Some(why) = guest.node.as_ref().and_then(|node| told.failed.get(node)).or(told.all_failed.as_ref()) {
        return Some(Reading::Unknown(why.clone()));
    }
    let asked = told.backups.looks.iter().find(|asked| Some(&asked.node) == guest.node.as_ref())?;
    look.clients.is_none().then(|| look.is_old(asked.at)).flatten()
}

/// What is known of a guest, from all who told.
fn facts(look: &Look<'_>, told: &Told, guest: &Server, vmid: VmId, came_back: &HashMap<ServerKey, Timestamp>) -> Known {
    let Told { backups, guests, .. } = told;
    let remembered = guests.get(&vmid);
    let last = backups.last.get(&vmid).filter(|last| {
        // A container's backup is not that of a virtual machine with its number.
        last.kind.is_none_or(|kind| Some(kind) == guest.kind.guest())
    });
    let takes = |jobs: &Vec<crate::model::upkeep::backup::BackupJob>| {
        jobs.iter().any(|job| job.takes(vmid, guest.node.as_ref(), guest.pool.as_deref()))
    };
    let up = guest.seen.usage.uptime_seconds.and_then(|uptime| i64::try_from(uptime.get()).ok());
    let booted = up.and_then(|up| look.now.checked_sub(SignedDuration::from_secs(up)).ok());
    // Who was there at the first look may be of any age.
    let first_look = guests.values().map(|known| known.first_seen).min();
    let came_later = |seen: &Timestamp| first_look.is_some_and(|first| seen.duration_since(first) > SLACK);
    let born_at = remembered.map(|known| known.first_seen).filter(came_later);
    let is_off = matches!(guest.seen.state, PowerState::Stopped | PowerState::Hibernated);
    let node = guest.node.as_ref();
    Known {
        in_job: backups.jobs.as_ref().map(|(jobs, _)| takes(jobs)),
        good_at: last.and_then(|last| last.good_at),
        born_at: born_at.filter(|born| booted.is_none_or(|booted| booted >= *born - SLACK)),
        made_at: remembered.map(|known| known.first_seen).into_iter().chain(booted).min(),
        stopped_at: remembered.filter(|_| is_off).map(|known| known.changed_at),
        host_since: guest.parent.as_ref().and_then(|host| came_back.get(&ServerKey::of_server(host)).copied()),
        told_since: backups.looks.iter().find(|asked| Some(&asked.node) == node).and_then(|asked| asked.since),
    }
}
