//! Which of the sources counts.

use super::{EnergySettings, Watts, WattsBy, in_bounds};
use crate::model::power::PowerState;

/// What was learned of the power of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given<'g> {
    /// What the meter said, where there is one.
    pub(crate) meter: Option<Result<f64, String>>,
    /// Watts by the host's own power meter.
    pub(crate) sensors: Option<f64>,
    /// Watts by the counters of its CPU.
    pub(crate) rapl: Option<(f64, WattsBy)>,
    /// Why the host itself says nothing of its power.
    pub(crate) silence: Option<&'g str>,
    pub(crate) cpu_percent: Option<f32>,
    /// Over how many seconds the counters of its CPU and its percentage were measured.
    pub(crate) over: Option<f64>,
}

/// What a server draws, and what is to be known about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MeasuredWatts {
    pub(crate) watts: Watts,
    /// Over how many seconds it is the mean; `None`: it is of one moment.
    pub(crate) over: Option<f64>,
    /// Why a better source was not taken.
    pub(crate) note: Option<String>,
}

/// What a server in this state draws, by the best source that says something.
///
/// # Errors
/// Why it is unknown, unless that is plain: nobody measures it.
pub(crate) fn choose(
    settings: &EnergySettings,
    state: PowerState,
    given: &Given<'_>,
) -> Result<MeasuredWatts, Option<String>> {
    let is_up = state.is_up();
    let mut notes: Vec<String> = Vec::new();
    let done = |watts: Watts, over: Option<f64>, notes: Vec<String>| {
        let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
        Ok(MeasuredWatts { watts, over, note })
    };
    let believed = |watts: f64| in_bounds(watts, settings.max_watts, is_up);
    match given.meter.clone().map(|meter| meter.and_then(believed)) {
        Some(Ok(watts)) => return done(Watts::measured(WattsBy::Meter, watts), None, notes),
        Some(Err(why)) => notes.push(format!("`power_command`: {why}")),
        None => {}
    }
    if is_up {
        match given.sensors.map(believed) {
            Some(Ok(watts)) => return done(Watts::measured(WattsBy::Sensors, watts), None, notes),
            Some(Err(why)) => notes.push(format!("its power meter: {why}")),
            None => {}
        }
        if let Some((watts, by)) = given.rapl {
            return done(Watts::measured(by, watts), given.over, notes);
        }
        notes.extend(given.silence.map(str::to_owned));
        match (settings.idle_watts, settings.max_watts, given.cpu_percent) {
            (Some(idle), Some(max), Some(cpu)) => return done(Watts::modelled(idle, max, cpu), given.over, notes),
            (Some(_), Some(_), None) => notes.push("how busy its CPUs are is unknown".to_owned()),
            _ => {}
        }
    } else if state == PowerState::Asleep
        && let Some(watts) = settings.sleep_watts
    {
        return done(Watts::asleep(watts), None, notes);
    }
    let is_modelled = settings.idle_watts.is_some() || settings.max_watts.is_some();
    if notes.is_empty() && is_modelled {
        notes.push(match state {
            PowerState::Asleep => {
                "it is asleep, and neither `power_command` nor `sleep_watts` is configured".to_owned()
            }
            PowerState::Unknown => "its state is unknown".to_owned(),
            state if !is_up => format!("it is {state}"),
            _ => "a model needs `idle_watts` and `max_watts`".to_owned(),
        });
    }
    Err(Some(notes.join("; ")).filter(|notes| !notes.is_empty()))
}
