//! How much power hosts draw: by a meter that is asked from here, by what the host itself measured, or by the configuration.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::observe::measure::MeasurePlan;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::fleet::reach::bounded::bounded;
use crate::model::id::ServerId;
use crate::model::load::energy::{Given, MeasuredWatts, choose, parse_meter};
use crate::model::load::reading::HostLoad;
use crate::model::past::energy::{EnergyLook, Phase};
use crate::model::power::PowerState;
use crate::transport::local;
use jiff::Timestamp;

/// How long a meter may take: it is in the same building.
const METER: Duration = Duration::from_secs(5);

/// How many meters are asked at a time.
const METERS: usize = 16;

/// What each host draws, or why that is unknown.
pub(crate) type Drawn = HashMap<ServerId, Result<MeasuredWatts, Option<String>>>;

/// What meters said.
pub(in crate::fleet) type Meters = HashMap<ServerId, Result<f64, String>>;

impl Fleet<'_> {
    /// Asks the meters of the hosts that are meant: also of those that sleep, for a meter is awake.
    pub(in crate::fleet) async fn meters(&self, request: &ObserveRequest) -> Meters {
        if request.load.is_none() {
            return Meters::new();
        }
        let meant = self.hosts().filter(|server| request.scope.asks(&server.id));
        let metered = meant.filter(|server| server.energy.power_command.is_some());
        let asked = metered.map(|server| async move { (server.id.clone(), self.meter(server).await) });
        let asked: Vec<_> = asked.collect();
        bounded(METERS, asked).await.into_iter().filter_map(|(server, said)| Some((server, said?))).collect()
    }

    /// What the meter of a server says; `None`: it has none.
    pub(in crate::fleet) async fn meter(&self, server: &ServerConfig) -> Option<Result<f64, String>> {
        let command = server.energy.power_command.as_ref()?;
        let patience = self.limits.left(METER.min(self.limits.agent / 2));
        let said = local::ask_meter(command, patience).await;
        Some(said.and_then(|text| parse_meter(&text)))
    }

    /// What each host that is meant draws.
    pub(in crate::fleet) fn drawn(&self, observed: &Observed, meters: &Meters, plan: &MeasurePlan) -> Drawn {
        let configured: HashMap<&ServerId, &ServerConfig> = self.hosts().map(|server| (&server.id, server)).collect();
        let asked: BTreeSet<&ServerId> = configured.keys().copied().filter(|id| plan.is_about(id)).collect();
        let mut drawn = Drawn::new();
        for server in observed.inventory.servers.iter().filter(|server| server.vmid.is_none()) {
            let Some(config) = configured.get(&server.id).filter(|_| asked.contains(&server.id)) else { continue };
            let load = observed.loads.get(&server.id).and_then(|load| load.as_ref().ok());
            let meter = meters.get(&server.id).cloned();
            let cpu = server.seen.usage.cpu_percent;
            drawn.insert(server.id.clone(), draw(config, server.seen.state, meter, load, cpu));
        }
        drawn
    }
}

/// What one server in this state draws.
pub(in crate::fleet) fn draw(
    config: &ServerConfig,
    state: PowerState,
    meter: Option<Result<f64, String>>,
    load: Option<&HostLoad>,
    cpu_percent: Option<f32>,
) -> Result<MeasuredWatts, Option<String>> {
    let given = Given {
        meter,
        sensors: load.and_then(|load| load.sensor_watts),
        rapl: load.and_then(|load| load.cpu_watts),
        silence: load.and_then(|load| load.reasons.get("watts")).map(String::as_str),
        cpu_percent,
        over: load.and_then(|load| load.measured_seconds),
    };
    choose(&config.energy, state, &given)
}

/// What is to be kept of it for the energy between looks.
pub(in crate::fleet) fn energy_look(at: Timestamp, state: PowerState, measured: &MeasuredWatts) -> EnergyLook {
    let phase = if state.is_up() { Phase::Awake } else { Phase::Asleep };
    EnergyLook { at, phase, watts: measured.watts, over: measured.over }
}
