//! The energy of a line: as JSON, as cells, and of all hosts together.

use serde::Serialize;

use crate::model::advice::energy::{EnergyAmount, Per};
use crate::model::load::energy::WattsSource;
use crate::model::past::energy::in_unit;
use crate::model::past::series::without_noise;
use crate::model::text::span::Span;
use crate::render::value::Value;

/// What was used, was saved, or would be saved.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct EnergyJson {
    least_kwh: f64,
    /// Unknown where a part of the host was measured.
    most_kwh: Option<f64>,
    /// By the `price` of the configuration.
    least_cost: Option<f64>,
    most_cost: Option<f64>,
    currency: Option<String>,
    /// By its `co2_g_per_kwh`.
    least_co2_kg: Option<f64>,
    most_co2_kg: Option<f64>,
    /// Of which time it is.
    per: Per,
    /// How many hours of the window are known.
    known_hours: f64,
    window_hours: f64,
    /// Who measured it, the best first.
    sources: Vec<WattsSource>,
    #[serde(skip)]
    amount: EnergyAmount,
}

impl EnergyJson {
    pub(super) fn of(amount: EnergyAmount) -> EnergyJson {
        let least = |span: Option<Span>| span.map(|span| without_noise(span.least));
        let most = |span: Option<Span>| span.and_then(|span| span.most).map(without_noise);
        let kwh = Some(amount.kwh);
        let rounded = |hours: f64| (hours * 100.0).round() / 100.0;
        EnergyJson {
            least_kwh: without_noise(amount.kwh.least),
            most_kwh: most(kwh),
            least_cost: least(amount.cost),
            most_cost: most(amount.cost),
            currency: amount.currency.clone().filter(|_| amount.cost.is_some()),
            least_co2_kg: least(amount.co2_kg),
            most_co2_kg: most(amount.co2_kg),
            per: amount.per,
            known_hours: rounded(amount.known_hours),
            window_hours: rounded(amount.window_hours),
            sources: amount.sources.clone(),
            amount,
        }
    }

    pub(super) fn kwh(&self) -> Value<'_> {
        let (span, unit) = in_unit(self.amount.kwh);
        Value::Within { span, unit, value: self.amount.kwh.middle() }
    }

    pub(super) fn cost(&self) -> Value<'_> {
        let currency = self.amount.currency.as_deref().unwrap_or_default();
        Value::of(self.amount.cost, |span| Value::Money { span, currency })
    }

    /// What all hosts used, of how many hours of theirs: `62–81 kWh, 19–25 EUR; of 3 hosts, 1400 of 2160 h`.
    pub(super) fn total<'e>(all: impl Iterator<Item = &'e EnergyJson>) -> Option<String> {
        let mut hosts = 0;
        let mut sum: Option<EnergyAmount> = None;
        for one in all {
            hosts += 1;
            let amount = &one.amount;
            match &mut sum {
                None => sum = Some(amount.clone()),
                Some(sum) => {
                    sum.kwh = sum.kwh.plus(amount.kwh);
                    sum.cost = sum.cost.zip(amount.cost).map(|(a, b)| a.plus(b));
                    sum.co2_kg = sum.co2_kg.zip(amount.co2_kg).map(|(a, b)| a.plus(b));
                    sum.known_hours += amount.known_hours;
                    sum.window_hours += amount.window_hours;
                }
            }
        }
        let sum = sum.filter(|_| hosts > 1)?;
        let (known, window) = (sum.known_hours, sum.window_hours);
        Some(format!("{hosts} servers together: {} in {known:.0} of {window:.0} h", sum.words()))
    }
}
