//! Guests that idle, and guests that are off.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::AdviceRequest;
use super::subject::Past;
use crate::fleet::Fleet;
use crate::model::advice::Advice;
use crate::model::advice::waste::{OFF_DAYS, Off, idle, off};
use crate::model::inventory::Server;
use crate::model::load::usage::Count;
use crate::model::past::availability::Availability;
use crate::model::power::PowerState;
use crate::state::StateError;

impl Fleet<'_> {
    pub(super) fn waste(&self, request: &AdviceRequest<'_>, past: &Past) -> Result<Vec<Advice>, StateError> {
        let servers = &request.inventory.servers;
        let mut lines = Vec::new();
        let mut stopped = Vec::new();
        for one in &past.subjects {
            let server = &servers[one.place];
            let Some(guest) = one.guest(server).filter(|_| request.wanted.contains(&one.place)) else { continue };
            lines.extend(idle(&guest, &one.past));
            if server.seen.state == PowerState::Stopped {
                stopped.push((server, one));
            }
        }
        let asked: Vec<Server> = stopped.iter().map(|(server, _)| (*server).clone()).collect();
        let until = self.now();
        let since = until.checked_sub(SignedDuration::from_hours(24 * OFF_DAYS)).unwrap_or(until);
        let changed = self.off_since(&asked)?;
        let records = self.records(&asked, since, until)?;
        for (((server, one), records), changed) in stopped.iter().zip(&records).zip(changed) {
            let (Some(record), Some(changed)) = (records.first(), changed) else { continue };
            let volumes = one.size.as_ref().map(|size| size.volumes.iter().filter_map(|volume| volume.bytes).sum());
            let listed = server.seen.usage.disk_max_bytes.map(Count::get);
            let Availability { on_seconds, off_seconds, asleep_seconds, paused_seconds, unknown_seconds, .. } =
                &record.availability;
            if *on_seconds > 0 {
                continue;
            }
            let known = off_seconds + asleep_seconds + paused_seconds;
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let known_percent = 100.0 * known as f64 / (known + unknown_seconds).max(1) as f64;
            let seen = Off {
                days: until.duration_since(changed).as_hours() / 24,
                known_percent,
                disk_bytes: volumes.filter(|bytes| *bytes > 0).or(listed),
            };
            lines.extend(off((&server.id, &server.name), seen));
        }
        Ok(lines)
    }

    /// Since when each was seen to be off.
    fn off_since(&self, servers: &[Server]) -> Result<Vec<Option<Timestamp>>, StateError> {
        let mut since = Vec::with_capacity(servers.len());
        let mut known = HashMap::new();
        for server in servers {
            let (Some(cluster), Some(vmid)) = (&server.cluster, server.vmid) else {
                since.push(None);
                continue;
            };
            if !known.contains_key(cluster) {
                let guests = self.state.guests(cluster)?;
                known.insert(cluster, guests.into_iter().map(|guest| (guest.vmid, guest.changed_at)).collect());
            }
            let guests: Option<&HashMap<_, _>> = known.get(cluster);
            since.push(guests.and_then(|guests| guests.get(&vmid).copied()));
        }
        Ok(since)
    }
}
