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
mod tests {
    use super::*;

    fn said<'a>(summary: &'a str, findings: &'a [Finding], perf: &'a [Perf]) -> Said<'a> {
        Said { level: Level::Critical, summary, findings, notes: &[], perf }
    }

    #[test]
    fn performance_data_have_units_and_thresholds() {
        let range = |text: &str| Range::parse(text, |number| number.parse().map_err(|_| String::new())).ok();
        let cpu = Perf { warn: range("80"), crit: range("95"), ..Perf::new(&["pve1", "cpu"], 34.0, Unit::Percent) };
        let time = Perf { crit: range("0.5"), ..Perf::new(&["web", "https"], 0.000_301_234, Unit::Seconds) };
        let perf = [Perf::count("servers", 14), cpu, time, Perf::new(&["pve1", "load"], 0.5, Unit::Number)];
        assert_eq!(
            said("x", &[], &perf).plugin(),
            "ECOBOX CRITICAL - x | 'servers'=14 'pve1_cpu'=34%;80;95;0;100 'web_https'=0.000301s;;0.5 'pve1_load'=0.5\n"
        );
    }

    #[test]
    fn foreign_text_breaks_neither_a_line_nor_the_data() {
        let message = "web'|\"1: \u{1b}[31mit | is\nCRITICAL: off\r\tnow\u{2028}x".to_owned();
        let findings = [Finding { level: Level::Critical, check: "state", server: None, message }];
        let perf = [Perf::new(&["a'=|\n b\"", "cpu"], 1.0, Unit::Percent)];
        let text = said("one | two\nthree 'x'=1", &findings, &perf).plugin();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "ECOBOX CRITICAL - one / two three 'x'=1 | 'a_____b__cpu'=1%;;;0;100");
        assert_eq!(lines[0].matches('|').count(), 1);
        assert!(!lines[1].contains('|') && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_line_for_checkmk() {
        let message = "web is \\n off | \"x\"".to_owned();
        let findings = [Finding { level: Level::Critical, check: "state", server: None, message }];
        let perf = [Perf::count("servers", 2), Perf::new(&["pve1", "cpu"], 34.5, Unit::Percent)];
        let text = said("web is off", &findings, &perf).checkmk("my \"fleet\"");
        let want = "2 \"my _fleet_\" servers=2|pve1_cpu=34.5 web is off\\nCRITICAL: web is /n off / \"x\"\n";
        assert_eq!(text, want);
        assert_eq!(said("fine", &[], &[]).checkmk("fleet"), "2 \"fleet\" - fine\n");
    }
}
