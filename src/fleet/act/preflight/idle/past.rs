//! What earlier runs kept of a host and its guests that says whether somebody needed them.

use jiff::{SignedDuration, Timestamp};

use super::{goes_with, is_up};
use crate::fleet::Fleet;
use crate::fleet::act::Options;
use crate::fleet::act::preflight::HostIdle;
use crate::model::check::CheckId;
use crate::model::host::idle::average::{average, latest};
use crate::model::host::idle::window::words;
use crate::model::host::idle::{IdleSettings, Need, NeedKind};
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::{Pressure, Sample};
use crate::model::power::{Policy, PowerAction, PowerState};
use crate::state::StateError;

/// How far back samples are read to compare the newest one with.
const BEFORE: SignedDuration = SignedDuration::from_hours(2);

impl Fleet<'_> {
    /// Since when a host is awake, as far as is known: its boot, when it was seen to come up, or when ecobox brought it or one
    /// of its guests up for somebody.
    pub(super) fn awake_since(
        &self,
        host: &Server,
        idle: &HostIdle,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StateError> {
        let seconds = idle.measured.load.usage.uptime_seconds.and_then(|uptime| i64::try_from(uptime.get()).ok());
        let booted = seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
        let key = host.key();
        let states = self.state.states()?;
        let seen = states.get(&key).filter(|known| known.state == PowerState::Online).map(|known| known.since);
        let up = [PowerAction::Wake, PowerAction::Start, PowerAction::Resume].map(PowerAction::as_str);
        let from = now.checked_sub(BEFORE.saturating_mul(12)).unwrap_or(Timestamp::MIN);
        let actions = self.state.actions(from, now)?;
        let mut brought = actions.iter().filter(|action| action.server.as_ref() == Some(&key));
        let brought = brought.rfind(|action| up.contains(&action.action.as_str())).map(|action| action.at);
        Ok([booted, seen, brought].into_iter().flatten().max())
    }

    /// What the guests of a host need. One that runs needs it, unless it was said what becomes of it; then it needs the host
    /// while it works, by the same measures.
    pub(super) fn guests_need(
        &self,
        host: &Server,
        servers: &[Server],
        settings: &IdleSettings,
        options: &Options,
        now: Timestamp,
    ) -> Result<Vec<Need>, StateError> {
        let on_it = servers.iter().filter(|server| server.vmid.is_some() && server.parent.as_ref() == Some(&host.id));
        let running: Vec<&Server> = on_it.filter(|guest| is_up(guest)).collect();
        // Who goes on elsewhere needs no host.
        if options.allowed.contains(&CheckId::RunningGuests) || options.guests == Some(Policy::Migrate) {
            return Ok(Vec::new());
        }
        let name = |guest: &Server| format!("guest {}", guest.called());
        if !goes_with(options) {
            return Ok(running.into_iter().map(|guest| Need::new(NeedKind::Guest, name(guest) + " runs")).collect());
        }
        let window = options.if_idle.unwrap_or_default();
        let from = now.checked_sub(window.max(BEFORE)).unwrap_or(Timestamp::MIN);
        let keys: Vec<ServerKey> = running.iter().map(|guest| guest.key()).collect();
        let mut samples = self.state.samples(&keys, from, now)?;
        let mut needs = Vec::new();
        for guest in running.iter().filter(|guest| guest.seen.state == PowerState::Running) {
            let mut samples = samples.remove(&guest.key()).unwrap_or_default();
            // The listing of this very look may not be kept yet.
            let usage = guest.seen.usage;
            if samples.last().is_none_or(|(_, last)| last.usage != usage) {
                let sample =
                    Sample { source: guest.seen.usage_source, usage, pressure: Pressure::default(), watts: None };
                samples.push((now, sample));
            }
            let what = name(guest);
            let rate = latest(&samples);
            let counted = [usage.receive_bytes, usage.transmit_bytes].iter().any(Option::is_some);
            let counted_disk = [usage.read_bytes, usage.write_bytes].iter().any(Option::is_some);
            let once = (counted && rate.network.is_none()) || (counted_disk && rate.disk.is_none());
            if usage.cpu_percent.is_none() || once {
                let how = if once { "was measured only once" } else { "could not be measured" };
                needs.push(Need::new(NeedKind::Unknown, format!("{what} {how}")));
            }
            let begin = now.checked_sub(window).unwrap_or(Timestamp::MIN);
            let mean = average(&samples, begin);
            let over = format!(" on average over {}", words(window));
            let current = settings.rate_needs(NeedKind::Guest, &rate, "");
            let averages = settings.rate_needs(NeedKind::Average, &mean, &over);
            let of_guest = |need: Need| Need {
                what: format!("{what}: {}", need.what),
                text: format!("{what}: {}", need.text),
                ..need
            };
            if current.is_empty() {
                needs.extend(averages.into_iter().map(of_guest));
            } else {
                needs.extend(current.into_iter().map(of_guest));
            }
        }
        Ok(needs)
    }

    /// What the host did on average over the window, by the samples of all runs.
    pub(super) fn average_needs(
        &self,
        host: &Server,
        settings: &IdleSettings,
        now: Timestamp,
        window: SignedDuration,
    ) -> Result<Vec<Need>, StateError> {
        let key = host.key();
        let begin = now.checked_sub(window).unwrap_or(Timestamp::MIN);
        let from = begin.checked_sub(BEFORE).unwrap_or(Timestamp::MIN);
        let samples = self.state.samples(std::slice::from_ref(&key), from, now)?.remove(&key).unwrap_or_default();
        let over = format!(" on average over {}", words(window));
        Ok(settings.rate_needs(NeedKind::Average, &average(&samples, begin), &over))
    }
}
