//! How much power a server draws, and who says so. The best source counts: a meter, the host's own sensors, the counters of
//! its CPU, then what the configuration makes of how busy it is; else nothing is known.

mod choose;
mod meter;

use serde::{Deserialize, Serialize};

pub(crate) use self::choose::{Given, MeasuredWatts, choose};
pub(crate) use self::meter::{in_bounds, most_believed, parse_meter};
use crate::model::text::words::words;

/// Who says how many watts a server draws, the best first. The words are in state files: none ever changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum WattsBy {
    /// A command that asks a meter: a smart plug, a power strip, the server's BMC.
    Meter,
    /// The ACPI power meter of the host itself, which stands before its power supplies.
    Sensors,
    /// RAPL's counter of the CPU packages, and of what else is on the board as far as the board counts it.
    Platform,
    /// RAPL's counters of the CPU packages and of the memory.
    PackageAndMemory,
    /// RAPL's counters of the CPU packages alone.
    Package,
    /// The configuration: so much idle, so much at most, so much asleep.
    Model,
}

words!(WattsBy: all, parse => {
    Meter = "meter",
    Sensors = "sensors",
    Platform = "rapl-platform",
    PackageAndMemory = "rapl-package-memory",
    Package = "rapl-package",
    Model = "model",
});

impl WattsBy {
    /// The source as reports name it: `rapl` is one, whatever it counts.
    pub(crate) fn source(self) -> WattsSource {
        match self {
            WattsBy::Meter => WattsSource::Meter,
            WattsBy::Sensors => WattsSource::Sensors,
            WattsBy::Platform | WattsBy::PackageAndMemory | WattsBy::Package => WattsSource::Rapl,
            WattsBy::Model => WattsSource::Model,
        }
    }

    /// What it is about, for people.
    pub(crate) fn covers(self) -> &'static str {
        match self {
            WattsBy::Meter | WattsBy::Sensors | WattsBy::Model => "whole server",
            WattsBy::Platform => "CPU package + board",
            WattsBy::PackageAndMemory => "CPU package + DRAM",
            WattsBy::Package => "CPU package",
        }
    }

    /// Whether it counts a part of the server only: the server draws more.
    pub(crate) fn is_partial(self) -> bool {
        self.source() == WattsSource::Rapl
    }
}

/// Who measured the power of a server.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WattsSource {
    /// A meter that is asked by `power_command`.
    Meter,
    /// The host's own power meter.
    Sensors,
    /// The energy counters of the CPU: a lower bound.
    Rapl,
    /// What the configuration says of the server when it is idle, busy or asleep.
    Model,
}

words!(WattsSource: => { Meter = "meter", Sensors = "sensors", Rapl = "rapl", Model = "model" });

/// What a server draws. The true number is between `least` and `most`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watts {
    pub(crate) by: WattsBy,
    /// What was measured, or what the model says is most likely.
    pub(crate) likely: f32,
    pub(crate) least: f32,
    /// `None`: a part of the server was measured, and how much the rest draws is unknown.
    pub(crate) most: Option<f32>,
}

impl Watts {
    /// What was measured by this source.
    pub(crate) fn measured(by: WattsBy, watts: f64) -> Watts {
        let watts = short(watts);
        Watts { by, likely: watts, least: watts, most: (!by.is_partial()).then_some(watts) }
    }

    /// What the configuration says of a server that sleeps.
    pub(crate) fn asleep(watts: f64) -> Watts {
        Watts::measured(WattsBy::Model, watts)
    }

    /// What the configuration makes of how busy a server is: on the straight line between idle and busy. Real servers bend
    /// away from it, each in its own way; the range allows `SPREAD` to either side, which is an assumption.
    pub(crate) fn modelled(idle: f64, max: f64, cpu_percent: f32) -> Watts {
        let span = (max - idle).max(0.0);
        let watts = idle + span * f64::from(cpu_percent.clamp(0.0, 100.0)) / 100.0;
        let [least, most] = [-SPREAD, SPREAD].map(|part| (watts + part * span).clamp(idle, max.max(idle)));
        Watts { by: WattsBy::Model, likely: short(watts), least: short(least), most: Some(short(most)) }
    }
}

/// How far a modelled number may be off, as a share of what lies between idle and busy.
pub(crate) const SPREAD: f64 = 0.15;

#[expect(clippy::cast_possible_truncation, reason = "seven places of a number of watts are enough")]
fn short(watts: f64) -> f32 {
    watts as f32
}

/// `[servers.energy]`: how the power of a server is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EnergySettings {
    /// Run on this machine; it prints watts.
    pub(crate) power_command: Option<Vec<String>>,
    pub(crate) idle_watts: Option<f64>,
    pub(crate) max_watts: Option<f64>,
    pub(crate) sleep_watts: Option<f64>,
}

/// `[energy]`: what a kilowatt-hour costs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EnergyPrice {
    pub(crate) price: Option<f64>,
    pub(crate) currency: Option<String>,
    pub(crate) co2_g_per_kwh: Option<f64>,
}

#[cfg(test)]
mod tests;
