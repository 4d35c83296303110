//! Conditions as they are typed: `cpu>80`, `certificate<14d`, `availability<99.5 over 30d`, and ranges: `cpu=80`, `cpu=95:`.

use jiff::SignedDuration;

use crate::model::monitor::Level;
use crate::model::monitor::range::Range;
use crate::model::text::units::human_seconds;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Cpu,
    Memory,
    Disk,
    Load,
    PressureCpu,
    PressureMemory,
    PressureIo,
    /// How long services take to answer.
    Response,
    /// How old what is known of a server is.
    Age,
    Storage,
    /// How long the certificate of an API is valid yet.
    Certificate,
    /// How long the token of a cluster is accepted yet.
    Token,
    /// How old the last good backup of a guest is.
    Backup,
    Availability,
}

/// In what a value is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Percent,
    Seconds,
    Number,
}

impl Unit {
    /// The plugins' sign for it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Unit::Percent => "%",
            Unit::Seconds => "s",
            Unit::Number => "",
        }
    }

    /// A value for people: `80%`, `26h00m`, `500ms`.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::Percent => format!("{}%", places(value)),
            Unit::Number => places(value),
            Unit::Seconds if value < 0.0 => format!("-{}", self.show(-value)),
            Unit::Seconds if value < 1.0 => format!("{}ms", places(value * 1000.0)),
            Unit::Seconds => human_seconds(whole(value)),
        }
    }
}

/// At most two places, and none that says nothing.
fn places(value: f64) -> String {
    ((value * 100.0).round() / 100.0).to_string()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, which are not negative here")]
fn whole(seconds: f64) -> u64 {
    seconds.round() as u64
}

impl Key {
    pub(crate) const ALL: [Key; 14] = [
        Key::Cpu,
        Key::Memory,
        Key::Disk,
        Key::Load,
        Key::PressureCpu,
        Key::PressureMemory,
        Key::PressureIo,
        Key::Response,
        Key::Age,
        Key::Storage,
        Key::Certificate,
        Key::Token,
        Key::Backup,
        Key::Availability,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Key::Cpu => "cpu",
            Key::Memory => "memory",
            Key::Disk => "disk",
            Key::Load => "load",
            Key::PressureCpu => "pressure.cpu",
            Key::PressureMemory => "pressure.memory",
            Key::PressureIo => "pressure.io",
            Key::Response => "response",
            Key::Age => "age",
            Key::Storage => "storage",
            Key::Certificate => "certificate",
            Key::Token => "token",
            Key::Backup => "backup",
            Key::Availability => "availability",
        }
    }

    /// What it is about, beside its name in a completion.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Key::Cpu | Key::Memory | Key::Disk => "percent",
            Key::Load => "average over a minute",
            Key::PressureCpu | Key::PressureMemory | Key::PressureIo => "percent of the time that something waited",
            Key::Response => "time that a service takes to answer",
            Key::Age => "time since a server was seen",
            Key::Storage => "percent in use",
            Key::Certificate | Key::Token => "time until it ends, as in 14d:",
            Key::Backup => "time since the last good one",
            Key::Availability => "percent over some time, as in '99.5: over 30d'",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Key::Load => Unit::Number,
            Key::Response | Key::Age | Key::Certificate | Key::Token | Key::Backup => Unit::Seconds,
            _ => Unit::Percent,
        }
    }

    /// No value is less: what ends may have ended long ago.
    pub(crate) fn least(self) -> f64 {
        if matches!(self, Key::Certificate | Key::Token) { f64::NEG_INFINITY } else { 0.0 }
    }

    /// Whether its average over a window is known, or nothing else is.
    fn may_be_averaged(self) -> bool {
        use Key::{Availability, Cpu, Disk, Load, Memory, PressureCpu, PressureIo, PressureMemory};
        matches!(self, Cpu | Memory | Disk | Load | PressureCpu | PressureMemory | PressureIo | Availability)
    }

    /// Whether each host and plain server has to be asked by a script of its own.
    pub(crate) fn needs_load(self) -> bool {
        self.may_be_averaged() && self != Key::Availability
    }
}

/// When to raise an alert of which level.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) key: Key,
    pub(crate) range: Range,
    /// The average over so long, up to now.
    pub(crate) over: Option<SignedDuration>,
    pub(crate) level: Level,
}

/// What the keys are, for an error.
fn keys() -> String {
    Key::ALL.map(Key::as_str).join(", ")
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str, level: Level) -> Result<Condition, String> {
        let at = text
            .find(['<', '>', '='])
            .ok_or_else(|| format!("a condition like `cpu>80` or `cpu=80`, of one of these: {}", keys()))?;
        let (name, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        let name = name.trim();
        let key = Key::ALL.into_iter().find(|key| key.as_str() == name);
        let key = key.ok_or_else(|| format!("`{name}` is not one of {}", keys()))?;
        let (operator, rest) = ["<=", ">=", "<", ">", "="]
            .into_iter()
            .find_map(|operator| Some((operator, rest.strip_prefix(operator)?)))
            .unwrap_or(("=", rest));
        let (value, over) = match rest.split_once(" over ") {
            Some((value, over)) => (value.trim(), Some(window(over.trim(), key)?)),
            None => (rest.trim(), None),
        };
        if key == Key::Availability && over.is_none() {
            return Err("availability is one over some time: `availability<99.5 over 30d`".to_owned());
        }
        let number = |text: &str| number(text, key.unit());
        let range = match operator {
            "=" => Range::parse(value, number)?,
            ">" => Range::above(number(value)?, key.least()),
            "<" => Range::below(number(value)?),
            ">=" => Range::from(number(value)?),
            _ => Range::up_to(number(value)?),
        };
        Ok(Condition { key, range, over, level })
    }
}

fn window(text: &str, key: Key) -> Result<SignedDuration, String> {
    if !key.may_be_averaged() {
        return Err(format!("there is no average of `{}` over a time", key.as_str()));
    }
    let seconds = number(text, Unit::Seconds)?;
    let window = SignedDuration::try_from_secs_f64(seconds).ok().filter(SignedDuration::is_positive);
    window.ok_or_else(|| format!("`{text}` is not a time like `15m` or `30d`"))
}

/// A number with or without its unit. A number alone of what is counted in time is seconds.
fn number(text: &str, unit: Unit) -> Result<f64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-')).unwrap_or(text.len());
    let (digits, sign) = text.split_at_checked(digits).unwrap_or((text, ""));
    let factor = match (unit, sign.trim()) {
        (_, "") | (Unit::Percent, "%") | (Unit::Seconds, "s") => Some(1.0),
        (Unit::Seconds, "ms") => Some(0.001),
        (Unit::Seconds, "m" | "min") => Some(60.0),
        (Unit::Seconds, "h") => Some(3600.0),
        (Unit::Seconds, "d") => Some(86_400.0),
        (Unit::Seconds, "w") => Some(7.0 * 86_400.0),
        _ => None,
    };
    let like = match unit {
        Unit::Percent => "a number of percent like `80`",
        Unit::Seconds => "a time like `500ms`, `10m`, `26h` or `14d`",
        Unit::Number => "a number like `8`",
    };
    let parsed = digits.parse::<f64>().ok().filter(|number| number.is_finite());
    parsed.zip(factor).map(|(number, factor)| number * factor).ok_or_else(|| format!("`{text}` is not {like}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        for (text, key, range, over) in [
            ("cpu>80", Key::Cpu, "80", None),
            ("memory>90%", Key::Memory, "90", None),
            ("disk >= 85", Key::Disk, "@85:", None),
            ("load>8", Key::Load, "8", None),
            ("pressure.memory>10", Key::PressureMemory, "10", None),
            ("response>500ms", Key::Response, "0.5", None),
            ("age>10m", Key::Age, "600", None),
            ("storage>90", Key::Storage, "90", None),
            ("certificate<14d", Key::Certificate, "1209600:", None),
            ("token<2w", Key::Token, "1209600:", None),
            ("token>1d", Key::Token, "~:86400", None),
            ("backup>26h", Key::Backup, "93600", None),
            ("availability<99.5 over 30d", Key::Availability, "99.5:", Some(30 * 86_400)),
            ("cpu>80 over 15m", Key::Cpu, "80", Some(900)),
            ("pressure.io<=1.5 over 90s", Key::PressureIo, "@~:1.5", Some(90)),
            ("cpu=80", Key::Cpu, "80", None),
            ("cpu=95:", Key::Cpu, "95:", None),
            ("cpu=@10:20", Key::Cpu, "@10:20", None),
            ("backup=~:26h", Key::Backup, "~:93600", None),
            ("response=0.5", Key::Response, "0.5", None),
            ("cpu=10:90 over 1h", Key::Cpu, "10:90", Some(3600)),
        ] {
            let condition = Condition::parse(text, Level::Warning).unwrap();
            let told = (condition.key, condition.range.to_string(), condition.over.map(|over| over.as_secs()));
            assert_eq!(told, (key, range.to_owned(), over), "{text}");
        }
        for (text, why) in [
            ("80", "a condition like"),
            ("cpu", "a condition like"),
            ("heat>80", "`heat` is not one of cpu, memory"),
            ("cpu>", "`` is not a number of percent"),
            ("cpu>80h", "`80h` is not a number of percent"),
            ("load>8%", "`8%` is not a number like"),
            ("age>soon", "`soon` is not a time like"),
            ("certificate<14y", "`14y` is not a time like"),
            ("availability<99.5", "over some time"),
            ("backup>26h over 1d", "there is no average"),
            ("cpu>80 over 0", "`0` is not a time like"),
            ("cpu=20:10", "ends before it begins"),
            ("cpu=", "a range is missing"),
        ] {
            let error = Condition::parse(text, Level::Critical).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn values_are_shown_with_their_unit() {
        for (unit, value, want) in [
            (Unit::Percent, 97.234, "97.23%"),
            (Unit::Percent, 80.0, "80%"),
            (Unit::Number, 8.5, "8.5"),
            (Unit::Seconds, 0.5, "500ms"),
            (Unit::Seconds, 93_600.0, "1d02h"),
            (Unit::Seconds, 600.0, "10m00s"),
            (Unit::Seconds, -86_400.0, "-1d00h"),
        ] {
            assert_eq!(unit.show(value), want);
        }
    }
}
