//! Metrics for Prometheus: one text that is OpenMetrics 1.0 and the older text format of Prometheus at once.
//!
//! Who reads it is not known: `node_exporter`'s textfile collector and Pushgateway know the older format only, Prometheus
//! takes either, by the content type of who serves the file. The two differ in little:
//!
//! - `# EOF` at the end and `# UNIT` lines are a must and a right of OpenMetrics, and comments in the older format.
//! - A counter is `foo` in OpenMetrics' `# TYPE`, with a number `foo_total`, and `foo_total` in both for the older format:
//!   there is no `# TYPE` line that is right in both, and a wrong one makes the older format lose the help text. So a
//!   counter has a `# HELP foo_total` and no `# TYPE`: its type is "unknown" to the one and "untyped" to the other. No
//!   query depends on it; `rate()` goes by what is asked.
//! - The older format has no type `info`: those are gauges that are always 1, as Prometheus's own exporters have them.
//! - No time stamps: the textfile collector refuses them. How old the file is, `ecobox_last_run_timestamp_seconds` says.
//!
//! A family that comes in two pieces, or the same labels twice, make a reader refuse all of it: `Families` sees to that.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::model::past::metrics::{Definition, Family, Kind, Labels};
use crate::model::past::series::without_noise;

/// Writes the families, each of which has another name.
pub(super) fn write(out: &mut dyn Write, families: &[Family]) -> io::Result<()> {
    for Family { definition, samples } in families {
        let Definition { name, help, unit, kind } = definition;
        writeln!(out, "# HELP {name} {}", escaped(help))?;
        if *kind != Kind::Counter {
            writeln!(out, "# TYPE {name} gauge")?;
            if let Some(unit) = unit {
                writeln!(out, "# UNIT {name} {unit}")?;
            }
        }
        for (labels, value) in samples {
            writeln!(out, "{name}{} {}", list(labels), without_noise(*value))?;
        }
    }
    out.write_all(b"# EOF\n")
}

/// `{id="a",state="running"}`; nothing where there are no labels.
fn list(labels: &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        // Writing into a String cannot fail.
        let _ = write!(text, "{}{name}=\"{}\"", if text.is_empty() { '{' } else { ',' }, escaped(value));
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

/// The three that both formats escape within quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests;
