//! The numbers that a monitor's conditions are about: from a look, from the state file alone, and from what is looked after.

mod backups;
mod load;
mod terms;

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::Server;
use crate::model::load::reading::HostLoad;
use crate::model::monitor::condition::{Condition, Key};
use crate::model::monitor::judge::{Group, Item, Reading};
use crate::model::past::series::Metric;
use crate::state::StateError;
use crate::transport::pve::Client;

/// What was seen, and what may be asked besides.
pub(crate) struct Look<'o> {
    /// The servers that are judged.
    pub(crate) servers: &'o [Server],
    /// Those of them, and of their hosts, that rest.
    pub(crate) resting: &'o HashSet<ServerId>,
    /// What hosts and plain servers told themselves.
    pub(crate) loads: &'o HashMap<ServerId, Result<HostLoad, String>>,
    /// The open connection of each cluster that answered; `None`: none may be asked.
    pub(crate) clients: Option<&'o HashMap<ClusterId, Client>>,
    pub(crate) now: Timestamp,
    /// What is older than this is not known any more.
    pub(crate) max_age: SignedDuration,
    /// For so long after a guest was made, or its host came back, no backup is missed.
    pub(crate) grace: SignedDuration,
    /// Only services of this name.
    pub(crate) service: Option<&'o str>,
}

impl Look<'_> {
    fn rests(&self, server: &Server) -> bool {
        self.resting.contains(&server.id)
    }

    /// Why something that was told so long ago is not known any more, where that is so.
    fn is_old(&self, at: Timestamp) -> Option<Reading> {
        if at <= self.now && self.now.duration_since(at) <= self.max_age {
            return None;
        }
        let age = u64::try_from(self.now.duration_since(at).as_secs()).unwrap_or_default();
        let age = crate::model::text::units::human_seconds(age);
        Some(Reading::Unknown(format!("it was last asked {age} ago, which is too long")))
    }

    /// The clusters of the judged servers, each once.
    fn clusters(&self) -> Vec<&ClusterId> {
        let mut clusters: Vec<&ClusterId> = self.servers.iter().filter_map(|server| server.cluster.as_ref()).collect();
        clusters.sort();
        clusters.dedup();
        clusters
    }
}

/// An item of a server itself.
fn of_server(server: &Server, reading: Reading) -> Item {
    let (subject, label) = (server.name.clone(), vec![server.id.to_string()]);
    Item { subject, server: Some(server.id.to_string()), label, reading, detail: None }
}

/// Why there is no number of a server that is not up; `None`: it is up.
fn not_up(look: &Look<'_>, server: &Server) -> Option<Reading> {
    use crate::model::power::PowerState::Unknown;
    let state = server.seen.state;
    if look.rests(server) {
        return Some(Reading::Excused("it rests".to_owned()));
    }
    // Whether a guest is to be on is judged by its state; a host that is gone says nothing of anything.
    if state == Unknown || server.vmid.is_none() && !state.is_up() {
        let why = server.seen.reason.clone().unwrap_or_else(|| format!("it is {state}"));
        return Some(Reading::Unknown(why));
    }
    (!state.is_up()).then(|| Reading::Excused(format!("it is {state}")))
}

impl Fleet<'_> {
    /// The numbers of one group of conditions.
    ///
    /// # Errors
    /// The state file's; other failures are in the readings.
    pub(crate) async fn readings(
        &self,
        (key, over): Group,
        conditions: &[&Condition],
        look: &Look<'_>,
    ) -> Result<Vec<Item>, StateError> {
        Ok(match (key, over) {
            (Key::Availability, over) => self.availabilities(look, over.unwrap_or_default())?,
            (key, Some(over)) => self.averages(look, key, over, over / 2).await?,
            (Key::Response, None) => responses(look),
            (Key::Age, None) => ages(look),
            (Key::Storage, None) => self.storage_items(look).await?,
            (Key::Certificate, None) => self.certificate_items(look).await?,
            (Key::Token, None) => self.token_items(look).await?,
            (Key::Backup, None) => self.backup_items(look, conditions).await?,
            (key, None) if look.clients.is_none() && metric(key).is_some_and(Metric::is_pressure) => {
                // What was measured last, whenever that was.
                self.averages(look, key, look.max_age, SignedDuration::ZERO).await?
            }
            (key, None) => self.load_items(look, key).await?,
        })
    }

    fn availabilities(&self, look: &Look<'_>, over: SignedDuration) -> Result<Vec<Item>, StateError> {
        let since = look.now.checked_sub(over).unwrap_or(Timestamp::UNIX_EPOCH);
        let records = self.records(look.servers, since, look.now)?;
        let of_all = look.servers.iter().zip(records).flat_map(|(server, records)| {
            let wanted = |record: &crate::fleet::past::availability::Record| record.service.as_deref() == look.service;
            records.into_iter().filter(wanted).map(|record| {
                let untold = || Reading::Untold("nobody has looked at it in that time".to_owned());
                let reading = record.availability.percent().map_or_else(untold, Reading::Known);
                let mut item = of_server(server, reading);
                if let Some(service) = record.service {
                    item.subject = format!("{} {service}", item.subject);
                    item.label.push(service);
                }
                item
            })
        });
        Ok(of_all.collect())
    }
}

/// The metric of the history that a key is about.
fn metric(key: Key) -> Option<Metric> {
    Some(match key {
        Key::Cpu => Metric::Cpu,
        Key::Memory => Metric::Memory,
        Key::Disk => Metric::Disk,
        Key::Load => Metric::Load,
        Key::PressureCpu => Metric::PressureCpu,
        Key::PressureMemory => Metric::PressureMemory,
        Key::PressureIo => Metric::PressureIo,
        _ => return None,
    })
}

/// How long each service took to answer.
fn responses(look: &Look<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for server in look.servers {
        for check in &server.seen.checks {
            if look.service.is_some_and(|service| service != check.name) {
                continue;
            }
            let reading = match (check.open, check.response_seconds, not_up(look, server)) {
                (Some(true), Some(seconds), _) => Reading::Known(seconds),
                (_, _, Some(reading)) => reading,
                (Some(false), ..) => Reading::Unknown("it does not answer".to_owned()),
                _ => Reading::Unknown("it was not asked".to_owned()),
            };
            let mut item = of_server(server, reading);
            item.subject = format!("{} {}", server.name, check.name);
            item.label.push(check.name.clone());
            items.push(item);
        }
    }
    items
}

/// How long ago each server was seen.
fn ages(look: &Look<'_>) -> Vec<Item> {
    let age = |at: Timestamp| look.now.duration_since(at).as_secs_f64().max(0.0);
    let one = |server: &Server| match (look.rests(server), server.seen.at) {
        (true, _) => Reading::Excused("it rests".to_owned()),
        (_, Some(at)) => Reading::Known(age(at)),
        (_, None) => Reading::Unknown("nobody has looked yet".to_owned()),
    };
    look.servers.iter().map(|server| of_server(server, one(server))).collect()
}
