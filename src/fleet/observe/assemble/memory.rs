//! What the state file remembers that a look needs, and what it says of the servers that were seen.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::model::host::idle::IdleRecord;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Inventory, Server, Until};
use crate::model::power::PowerState;
use crate::model::power::outcome::InFlight;
use crate::state::{KnownState, StateError};

/// What the state file remembers, by key.
pub(super) struct Memory {
    pub(super) states: BTreeMap<ServerKey, KnownState>,
    pub(super) asleep: Vec<ServerId>,
    /// The hosts that sleep until a time.
    pub(super) until: BTreeMap<ServerId, Until>,
    pub(super) in_flight: BTreeMap<ServerKey, InFlight>,
    pub(super) idle: BTreeMap<ServerId, IdleRecord>,
}

/// Before it is known how often somebody looks whether a host is idle, that was lately.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

impl Memory {
    /// Says of each server what is being done to it.
    pub(super) fn note_actions(&self, inventory: &mut Inventory) {
        if self.in_flight.is_empty() {
            return;
        }
        for server in &mut inventory.servers {
            server.seen.action = self.in_flight.get(&server.key()).cloned().map(Box::new);
        }
    }

    /// Says of hosts that are awake for how long they are idle, where somebody looks for that.
    pub(super) fn note_idle(&self, inventory: &mut Inventory, now: Timestamp) {
        if self.idle.is_empty() {
            return;
        }
        let hosts = inventory.servers.iter_mut().filter(|server| server.vmid.is_none());
        for host in hosts.filter(|host| host.seen.state == PowerState::Online) {
            let record = self.idle.get(&host.id).filter(|record| record.has_seen_until(now, LATELY));
            host.seen.idle = record.cloned().map(Box::new);
        }
    }

    /// Silence is sleep only where ecobox itself put the server to sleep, and its own clock should not have woken it.
    pub(super) fn state_of(&self, server: &ServerId, seen: PowerState) -> PowerState {
        match seen {
            PowerState::Asleep | PowerState::Offline if self.is_overdue(server) => PowerState::Offline,
            PowerState::Offline if self.asleep.contains(server) => PowerState::Asleep,
            seen => seen,
        }
    }

    pub(super) fn is_overdue(&self, server: &ServerId) -> bool {
        self.until.get(server).is_some_and(|until| until.overdue)
    }

    /// Says of a host that is silent until when it may be.
    pub(super) fn note_until(&self, host: &mut Server) {
        if !matches!(host.seen.state, PowerState::Asleep | PowerState::Offline) {
            return;
        }
        let Some(until) = self.until.get(&host.id) else { return };
        if until.overdue {
            let reason = host.seen.reason.take().map(|reason| format!(": {reason}"));
            host.seen.reason = Some(until.reproach() + &reason.unwrap_or_default());
        }
        host.seen.until = Some(Box::new(until.clone()));
    }
}

impl Fleet<'_> {
    pub(super) fn memory(&self) -> Result<Memory, StateError> {
        let asleep = self.state.intended_sleep()?.into_iter().filter(|(_, mark)| mark.asleep).map(|(server, _)| server);
        let in_flight = self.state.actions_in_flight(self.now())?;
        let idle = self.state.all_idle()?;
        let now = self.now();
        let until = self.state.alarms()?.into_iter().filter(|(_, alarm)| alarm.sleeps).map(|(server, alarm)| {
            let words = self.clock_words(alarm.at);
            (server, Until { at: alarm.at, words, overdue: alarm.late <= now })
        });
        Ok(Memory { states: self.state.states()?, asleep: asleep.collect(), until: until.collect(), in_flight, idle })
    }
}
