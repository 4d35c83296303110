//! The form of a monitoring plugin: a first line with performance data behind `|`, then long output. And Checkmk's local line.

#[cfg(test)]
mod schema;

use serde::Serialize;

use crate::model::monitor::condition::Unit;
use crate::model::monitor::range::Range;
use crate::model::monitor::{Finding, Level};
use crate::model::text::clean;

/// One number for graphs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Perf {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    pub(crate) warn: Option<Range>,
    pub(crate) crit: Option<Range>,
    pub(crate) most: Option<f64>,
}

impl Perf {
    /// A number under a label made of these parts, in which only letters, digits and `.-_` stand.
    pub(crate) fn new(parts: &[&str], value: f64, unit: Unit) -> Perf {
        let most = (unit == Unit::Percent).then_some(100.0);
        Perf { label: label(parts), value, unit, warn: None, crit: None, most }
    }

    /// A number of things.
    pub(crate) fn count(name: &str, count: usize) -> Perf {
        #[expect(clippy::cast_precision_loss, reason = "a number of servers")]
        Perf::new(&[name], count as f64, Unit::Number)
    }

    /// `34%;80;95;0;100`: what is behind the `=`.
    fn fields(&self) -> String {
        let text = |range: Option<Range>| range.map(|range| range.to_string()).unwrap_or_default();
        let least = if self.most.is_some() { "0" } else { "" };
        let most = self.most.map(|most| most.to_string()).unwrap_or_default();
        let all = [text(self.warn), text(self.crit), least.to_owned(), most].join(";");
        let value = number(self.value);
        format!("{value}{};{all}", self.unit.sign()).trim_end_matches(';').to_owned()
    }
}

impl Serialize for Perf {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let text = |range: Option<Range>| range.map(|range| range.to_string());
        let mut perf = serializer.serialize_struct("Perf", 7)?;
        perf.serialize_field("label", &self.label)?;
        perf.serialize_field("value", &self.value)?;
        perf.serialize_field("unit", self.unit.sign())?;
        perf.serialize_field("warn", &text(self.warn))?;
        perf.serialize_field("crit", &text(self.crit))?;
        perf.serialize_field("min", &self.most.map(|_| 0.0))?;
        perf.serialize_field("max", &self.most)?;
        perf.end()
    }
}

/// Six places at most: microseconds.
fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

/// What neither a quote, an equals sign, a bar nor a blank can break: graphs are kept under it.
fn label(parts: &[&str]) -> String {
    let one = |part: &&str| -> String {
        part.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_/".contains(c) { c } else { '_' }).collect()
    };
    parts.iter().map(one).collect::<Vec<_>>().join("_")
}

/// A text that stays on its line, and in which no performance data can begin.
fn line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    clean(&words).replace('|', "/")
}

/// What a plugin says.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) level: Level,
    /// The first line without the state.
    pub(crate) summary: &'a str,
    pub(crate) findings: &'a [Finding],
    /// More lines for a person.
    pub(crate) notes: &'a [String],
    pub(crate) perf: &'a [Perf],
}

impl Said<'_> {
    /// The output of a plugin, each line ended.
    pub(crate) fn plugin(&self) -> String {
        let perf = self.perf.iter().map(|perf| format!("'{}'={}", perf.label, perf.fields()));
        let perf = perf.collect::<Vec<_>>().join(" ");
        let bar = if perf.is_empty() { "" } else { " | " };
        let mut text = format!("ECOBOX {} - {}{bar}{perf}\n", self.level.as_str(), line(self.summary));
        for long in self.long() {
            text.push_str(&long);
            text.push('\n');
        }
        text
    }

    /// One line of a local check of Checkmk: `0 "name" label=1|label=2 text`, in which `\n` begins a line of details.
    pub(crate) fn checkmk(&self, name: &str) -> String {
        // Checkmk takes thresholds as plain upper limits, and no unit.
        let perf = self.perf.iter().map(|perf| format!("{}={}", perf.label.replace('/', "_"), number(perf.value)));
        let perf = perf.collect::<Vec<_>>().join("|");
        let perf = if perf.is_empty() { "-".to_owned() } else { perf };
        let name: String = line(name).replace(['"', '\\'], "_");
        let text = std::iter::once(line(self.summary)).chain(self.long()).map(|line| line.replace('\\', "/"));
        format!("{} \"{name}\" {perf} {}\n", self.level.code(), text.collect::<Vec<_>>().join("\\n"))
    }

    /// The worst first.
    fn long(&self) -> impl Iterator<Item = String> {
        let one = |finding: &Finding| format!("{}: {}", finding.level.as_str(), line(&finding.message));
        self.findings.iter().map(one).chain(self.notes.iter().map(|note| line(note)))
    }
}

#[cfg(test)]
mod tests;
