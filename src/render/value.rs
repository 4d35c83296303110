//! The values of cells, and how people and programs read them.

use jiff::{SignedDuration, Timestamp};

use crate::model::power::PowerState;
use crate::model::text;

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nobody knows: `-` for people, empty in CSV.
    Unknown,
    Text(String),
    /// A name with the depth it is indented by.
    Name {
        depth: usize,
        text: String,
    },
    State(PowerState),
    /// Bytes used and bytes there are.
    Share {
        used: u64,
        of: u64,
    },
    Percent(f64),
    Seconds(u64),
    /// An instant: an age on a terminal, RFC 3339 elsewhere.
    Time(Timestamp),
}

/// What a cell's text says beyond its letters; never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Quiet,
}

impl Value {
    /// A text, even an empty one.
    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// `Unknown` for `None`.
    pub(crate) fn of<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
        value.map_or(Value::Unknown, make)
    }

    /// A text, or unknown where there is none or it is empty.
    pub(crate) fn maybe(text: Option<&str>) -> Value {
        text.filter(|t| !t.is_empty()).map_or(Value::Unknown, Value::text)
    }

    /// Whether it is a quantity, whose digits stand below each other.
    pub(crate) fn right_aligned(&self) -> bool {
        matches!(self, Value::Share { .. } | Value::Percent(_) | Value::Seconds(_))
    }

    /// How it is to be coloured.
    pub(crate) fn tone(&self) -> Tone {
        match self {
            Value::State(PowerState::Running | PowerState::Online) => Tone::Good,
            Value::State(PowerState::Offline | PowerState::Unknown) => Tone::Bad,
            Value::State(_) | Value::Unknown => Tone::Quiet,
            _ => Tone::Plain,
        }
    }

    /// For people: units; ages where `terminal`, RFC 3339 in a pipe.
    pub(crate) fn human(&self, terminal: bool, now: Timestamp) -> String {
        match self {
            Value::Unknown => "-".to_owned(),
            Value::Text(text) => text::clean(text).into_owned(),
            Value::Name { depth, text } => format!("{:1$}{2}", "", depth * 2, text::clean(text)),
            Value::State(state) => state.as_str().to_owned(),
            Value::Share { used, of } => format!("{}/{}", human_bytes(*used), human_bytes(*of)),
            Value::Percent(percent) => format!("{percent:.0}%"),
            Value::Seconds(seconds) => human_seconds(*seconds),
            Value::Time(at) if terminal => human_age(now.duration_since(*at)),
            Value::Time(at) => rfc3339(*at),
        }
    }

    /// For programs: no units, bytes and seconds as integers, RFC 3339, unknown empty.
    pub(crate) fn plain(&self) -> String {
        match self {
            Value::Unknown => String::new(),
            Value::Text(text) | Value::Name { text, .. } => text::clean(text).into_owned(),
            Value::State(state) => state.as_str().to_owned(),
            Value::Seconds(seconds) => seconds.to_string(),
            Value::Share { used, of } => format!("{used}/{of}"),
            Value::Percent(percent) => format!("{percent:.1}"),
            Value::Time(at) => rfc3339(*at),
        }
    }
}

/// UTC, whole seconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    // Whole seconds: the fraction would be noise. A stamp that was read is always in range.
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// Three significant places at most, binary units as PVE's own interface: `512M`, `3.9G`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "K", "M", "G", "T", "P"];
    #[expect(clippy::cast_precision_loss, reason = "three places are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 9.95 { format!("{value:.0}{}", UNITS[unit]) } else { format!("{value:.1}{}", UNITS[unit]) }
}

/// The two largest units: `3d4h`, `2h10m`, `59s`.
pub(crate) fn human_seconds(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => format!("{m}m{:02}s", seconds % 60),
        (0, h, m) => format!("{h}h{m:02}m"),
        (d, h, _) if d < 100 => format!("{d}d{h:02}h"),
        (d, ..) => format!("{d}d"),
    }
}

fn human_age(age: SignedDuration) -> String {
    match u64::try_from(age.as_secs()) {
        Ok(0) => "now".to_owned(),
        Ok(seconds) => human_seconds(seconds),
        Err(_) => "in the future".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (bytes, want) in [
            (0, "0B"),
            (999, "999B"),
            (1024, "1.0K"),
            (228_298_752, "218M"),
            (25_276_502_016, "24G"),
            (u64::MAX, "16384P"),
        ] {
            assert_eq!(human_bytes(bytes), want);
        }
        for (seconds, want) in
            [(0, "0s"), (59, "59s"), (61, "1m01s"), (7800, "2h10m"), (273_600, "3d04h"), (10_000_000, "115d")]
        {
            assert_eq!(human_seconds(seconds), want);
        }
    }

    #[test]
    fn unknown_is_never_a_number() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(Value::of(None::<u64>, Value::Seconds).human(true, now), "-");
        assert_eq!(Value::of(None::<u64>, Value::Seconds).plain(), "");
        assert_eq!(Value::Time(now).human(false, now), "1970-01-01T00:00:00Z");
        assert_eq!(Value::Time(now).human(true, now), "now");
    }
}
