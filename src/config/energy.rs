//! `[energy]`: what energy costs. `[servers.energy]`: how the power of a server is known.

use super::error::{Checked, Problem};
use super::read::Reader;
use super::validate;
use super::values::{command, decimal};
use crate::model::load::energy::{EnergyPrice, EnergySettings};

pub(super) const KEYS: &[&str] = &["price", "currency", "co2_g_per_kwh"];
pub(super) const PLACE: &str = "in [energy]";

pub(super) const OF_SERVER_KEYS: &[&str] = &["power_command", "idle_watts", "max_watts", "sleep_watts"];
pub(super) const OF_SERVER: &str = "in [servers.energy]";

/// No server draws more: a whole rack does not.
const MOST_WATTS: f64 = 50_000.0;
/// For currencies with many zeros.
const MOST_PRICE: f64 = 1e6;
/// Ten times what coal causes.
const MOST_CO2: f64 = 10_000.0;
/// The longest sign of a currency, in characters.
const LONGEST_CURRENCY: usize = 8;

pub(super) fn price(table: &Reader<'_>, elsewhere: &[(&[&str], &str)]) -> Checked<EnergyPrice> {
    table.only(KEYS, elsewhere)?;
    let settings = EnergyPrice {
        // It may be negative for an hour, not on average.
        price: decimal(table, "price", 0.0..=MOST_PRICE)?,
        currency: table.parsed("currency", currency)?.map(|currency| currency.value),
        co2_g_per_kwh: decimal(table, "co2_g_per_kwh", 0.0..=MOST_CO2)?,
    };
    match (table.key("currency"), settings.price) {
        (Some(key), None) => Err(key.problem("`currency` needs a `price`, which is that of a kilowatt-hour")),
        _ => Ok(settings),
    }
}

fn currency(text: &str) -> Result<String, String> {
    let text = validate::label(text)?;
    if text.chars().count() > LONGEST_CURRENCY || text.contains(|c: char| c.is_ascii_digit() || c.is_whitespace()) {
        return Err(format!("{} is not a currency, as `EUR` or `€`", crate::model::text::quoted(&text)));
    }
    Ok(text)
}

pub(super) fn of_server(table: &Reader<'_>, elsewhere: &[(&[&str], &str)]) -> Checked<EnergySettings> {
    table.only(OF_SERVER_KEYS, elsewhere)?;
    let watts = |key: &str| decimal(table, key, 0.0..=MOST_WATTS);
    let settings = EnergySettings {
        power_command: command(table, "power_command")?,
        idle_watts: watts("idle_watts")?,
        max_watts: watts("max_watts")?,
        sleep_watts: watts("sleep_watts")?,
    };
    let EnergySettings { idle_watts: idle, max_watts: max, sleep_watts: sleep, .. } = settings;
    for (low, less, high, more) in [
        ("idle_watts", idle, "max_watts", max),
        ("sleep_watts", sleep, "idle_watts", idle),
        ("sleep_watts", sleep, "max_watts", max),
    ] {
        if let (Some(less), Some(more), Some(key)) = (less, more, table.key(low))
            && less > more
        {
            return Err(key.problem(format!("`{low}` is {less}, which is more than the {more} of `{high}`")));
        }
    }
    match (max, table.key("max_watts")) {
        (Some(0.0), Some(key)) => Err(Problem::new(key.span, "`max_watts` is 0: a server that is up draws something")),
        _ => Ok(settings),
    }
}
