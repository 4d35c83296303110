//! What a `power_command` printed.

use crate::model::text::quoted;

/// No server draws more watts than this, unless the configuration says so by `max_watts`.
pub(crate) const MOST_WATTS: f64 = 5000.0;

/// How far above `max_watts` a number is still believed: who wrote it down may have estimated it.
const SLACK: f64 = 1.5;

/// The most watts that are believed of a server.
pub(crate) fn most_believed(max_watts: Option<f64>) -> f64 {
    max_watts.map_or(MOST_WATTS, |max| max * SLACK)
}

/// The watts that a command printed: a number, perhaps with its unit, or what `ipmitool dcmi power reading` prints.
///
/// # Errors
/// Why there is no number.
pub(crate) fn parse_meter(text: &str) -> Result<f64, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it printed nothing".to_owned());
    }
    let told = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let number = match told("Instantaneous power reading:") {
        Some(reading) => {
            if let Some(state) = told("Power reading state is:").filter(|state| *state != "activated") {
                return Err(format!("its power reading is {}", quoted(state)));
            }
            // A BMC without a sensor says 0.
            number(reading).filter(|watts| *watts != 0.0).ok_or("its BMC has no power sensor")?
        }
        None if text.contains(['\n', '\r']) => {
            return Err(format!("it printed more than a number: {}", quoted(text)));
        }
        None => number(text).ok_or_else(|| format!("it printed {}, which is not a number of watts", quoted(text)))?,
    };
    Ok(number)
}

/// `137`, `137.5 W`, `137 Watts`, `0.14 kW`.
fn number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || ".+-eE".contains(c))).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let scale = match unit.trim() {
        "" | "W" | "w" | "Watt" | "watt" | "Watts" | "watts" => 1.0,
        "kW" => 1000.0,
        "mW" => 0.001,
        _ => return None,
    };
    // `1e400` is infinite.
    digits.parse::<f64>().ok().map(|number| number * scale).filter(|number| number.is_finite())
}

/// A number of watts that a server can draw: what is not, is a meter that lies, or another unit.
///
/// # Errors
/// Why it is not believed.
pub(crate) fn in_bounds(watts: f64, max_watts: Option<f64>, is_up: bool) -> Result<f64, String> {
    let most = most_believed(max_watts);
    if watts < 0.0 {
        return Err(format!("{watts} W is negative"));
    }
    if watts > most {
        let than = match max_watts {
            Some(max) => format!("one and a half times its `max_watts` of {max}"),
            None => format!("{MOST_WATTS} W, the most that is believed without `max_watts`"),
        };
        return Err(format!("{watts} W is more than {than}"));
    }
    if watts == 0.0 && is_up {
        return Err("it says 0 W while the server is up".to_owned());
    }
    Ok(watts)
}
