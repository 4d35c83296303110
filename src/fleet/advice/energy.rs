//! What hosts used, what their sleep saved and would save, and what of it their guests used.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::AdviceRequest;
use super::subject::{Past, SubjectPast};
use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::model::advice::Advice;
use crate::model::advice::energy::{GuestPart, HostPast, IdlePast, Part, of_guests, slept, used, would_sleep};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::load::usage::Count;
use crate::model::past::energy::EnergyHour;
use crate::state::StateError;

const GIB: f64 = 1_073_741_824.0;

impl Fleet<'_> {
    /// Of the hosts and plain servers that are wanted, and of the guests of those hosts.
    pub(super) fn energy_advice(&self, request: &AdviceRequest<'_>, past: &Past) -> Result<Vec<Advice>, StateError> {
        let (servers, window) = (&request.inventory.servers, request.window);
        let mut hours = self.state.energy_hours(window.since, window.until)?;
        let configured: BTreeMap<&ServerId, &ServerConfig> = self.hosts().map(|config| (&config.id, config)).collect();
        let hosts: Vec<&Server> =
            request.wanted.iter().map(|place| &servers[*place]).filter(|server| server.vmid.is_none()).collect();
        let hosts: Vec<&Server> = hosts.into_iter().filter(|host| hours.contains_key(&host.id)).collect();
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let known: Vec<Server> = hosts.iter().map(|host| (*host).clone()).collect();
        let records = self.records(&known, window.since, window.until)?;
        let zone = TimeZone::system();
        let mut lines = Vec::new();
        for (host, records) in hosts.iter().zip(&records) {
            let Some(config) = configured.get(&host.id) else { continue };
            let hours: Vec<EnergyHour> = hours.remove(&host.id).unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "seconds of a window")]
            let asleep = records.first().map_or(0.0, |record| record.availability.asleep_seconds as f64);
            let one = HostPast {
                id: &host.id,
                name: &host.name,
                hours: &hours,
                window_seconds: window.until.duration_since(window.since).as_secs_f64(),
                sleep_watts: config.energy.sleep_watts,
                idle_watts: config.energy.idle_watts,
                asleep_seconds: asleep,
                price: &self.config.settings.energy,
            };
            let stretches = self.state.idle_stretches(&host.id, window.since)?;
            let idle = IdlePast { stretches: &stretches, since: window.since, until: window.until, zone: &zone };
            lines.extend(used(&one));
            lines.extend(slept(&one));
            lines.extend(would_sleep(&one, &idle));
            lines.extend(guests_of(&one, servers, past));
        }
        Ok(lines)
    }
}

/// What the guests that are on a host now had of its energy.
fn guests_of(host: &HostPast<'_>, servers: &[Server], past: &Past) -> Vec<Advice> {
    let find = |id: &ServerId| past.subjects.iter().find(|one| servers[one.place].id == *id);
    let Some(own) = find(host.id) else { return Vec::new() };
    let on_it = past.subjects.iter().filter(|one| {
        let server = &servers[one.place];
        server.vmid.is_some() && server.parent.as_ref() == Some(host.id)
    });
    let guests: Vec<GuestPart<'_>> = on_it
        .map(|one| {
            let server = &servers[one.place];
            GuestPart { id: &server.id, name: &server.name, part: part(server, one) }
        })
        .collect();
    of_guests(host, part(&servers[own.place], own), &guests)
}

#[expect(clippy::cast_precision_loss, reason = "hours of a window")]
fn part(server: &Server, one: &SubjectPast) -> Part {
    let memory = server.seen.usage.memory_max_bytes.map_or(0.0, Count::as_f64) / GIB;
    Part {
        memory_hours: memory * one.past.coverage.measured_hours as f64,
        core_hours: one.past.core_hours.unwrap_or_default(),
    }
}
