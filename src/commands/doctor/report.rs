//! The report of `doctor`: what is not fine, and a line that counts the rest.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::{counted, stamp};
use crate::exit::Exit;
use crate::model::check::diagnosis::{Counts, Diagnosis, Verdict};
use crate::model::check::fix::Fix;
use crate::model::id::ServerId;
use crate::model::text::{clean, wrap};
use crate::render::table;
use crate::render::value::Value;
use crate::render::{Column, Format, Output, Report};

/// What is shown in place of a server.
const HERE: &str = "this machine";

/// Every check, and what came of it.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct DoctorReport {
    #[serde(serialize_with = "stamp")]
    generated_at: Timestamp,
    checks: Vec<Diagnosis>,
    counts: Counts,
    /// Every check is a row, not only what is wrong.
    #[serde(skip)]
    all: bool,
}

impl DoctorReport {
    /// In the order of the checks: first this machine, then each host.
    pub(crate) fn new(checks: Vec<Diagnosis>, all: bool, at: Timestamp) -> DoctorReport {
        let counts = Counts::of(&checks);
        DoctorReport { generated_at: at, checks, counts, all }
    }

    /// Problems, warnings only, or neither.
    pub(crate) fn exit(&self) -> Exit {
        match (self.counts.problem, self.counts.warning) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Failed,
            _ => Exit::Problems,
        }
    }

    /// What is wrong, counted, and how the rest ended.
    fn summary(&self) -> Vec<String> {
        let Counts { ok, warning, problem, skipped, unknown, muted } = self.counts;
        let wrong: Vec<String> = [(problem, "problem"), (warning, "warning")]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| counted(number, what))
            .collect();
        let wrong = if wrong.is_empty() { "nothing is wrong".to_owned() } else { wrong.join(", ") };
        let mut rest = vec![format!("{} fine", plural(ok, "check is", "checks are"))];
        for (number, one, many) in [
            (skipped, "was skipped because of another finding", "were skipped because of another finding"),
            (unknown, "could not be looked at", "could not be looked at"),
            (muted, "is muted", "are muted"),
        ] {
            if number > 0 {
                rest.push(format!("{number} {}", if number == 1 { one } else { many }));
            }
        }
        let mut lines = vec![format!("{wrong}; {}", rest.join(", "))];
        for one in self.checks.iter().filter(|one| one.muted.is_some()) {
            let reason = one.muted.as_deref().filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            lines.push(format!("muted: {} at {}{reason}", one.id, whom(one)));
        }
        if problem + warning > 0 && !self.all {
            lines.push("`ecobox doctor --all` shows every check, `ecobox doctor --explain ID` explains one".to_owned());
        }
        lines
    }
}

fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn whom(one: &Diagnosis) -> &str {
    one.server.as_ref().map_or(HERE, ServerId::as_str)
}

/// What was seen, or because of what nothing was.
fn seen(one: &Diagnosis) -> Option<String> {
    let because = one.because.map(|id| format!("because of {id}"));
    one.finding.clone().filter(|text| !text.is_empty()).or(because)
}

fn result(one: &Diagnosis) -> Value<'_> {
    match one.muted {
        Some(_) => Value::text("muted"),
        None if one.verdict == Verdict::Problem => Value::Alarm(one.verdict.as_str().into()),
        None => Value::text(one.verdict.as_str()),
    }
}

/// What fixes it, with the lines of a file in one.
fn in_a_line(fix: &Fix) -> String {
    let content: Vec<&str> = fix.content.iter().flat_map(|content| content.lines()).collect();
    if content.is_empty() { fix.text.clone() } else { format!("{} {}", fix.text, content.join("; ")) }
}

impl Report for DoctorReport {
    const SCHEMA: &'static str = "ecobox.doctor/1";
    type Item<'r> = &'r Diagnosis;

    fn columns(&self) -> Vec<Column<'_, &Diagnosis>> {
        let column = Column::<&Diagnosis>::new;
        vec![
            column("CHECK", 0, |one| Value::text(one.id.as_str())),
            column("SERVER", 0, |one| Value::text(whom(one))),
            column("RESULT", 0, result),
            column("FINDING", 0, |one| Value::maybe(seen(one))),
            column("FIX", 0, |one| Value::maybe(one.fix.as_ref().map(in_a_line))),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Diagnosis> {
        self.checks.iter().filter(|one| self.all || one.counts())
    }

    fn notes(&self) -> Vec<String> {
        self.summary()
    }

    /// Where the table does not fit: each finding as a paragraph, which nobody has to scroll for.
    fn picture(&self, output: &Output) -> Option<String> {
        let width = output.width.filter(|_| matches!(output.format, Format::Table | Format::Wide))?;
        if table::natural_width(self, output) <= width {
            return None;
        }
        let mut text = String::new();
        for one in self.items() {
            let content = one.fix.as_ref().and_then(|fix| fix.content.as_deref()).unwrap_or_default();
            let result = if one.muted.is_some() { "muted" } else { one.verdict.as_str() };
            let _ = writeln!(text, "{}: {} {}", whom(one), one.id, result);
            let fix = one.fix.as_ref().map(|fix| format!("fix: {}", fix.text));
            for (words, hanging) in seen(one).map(|seen| (seen, 4)).into_iter().chain(fix.map(|fix| (fix, 9))) {
                for (number, line) in wrap(&clean(&words), width.saturating_sub(hanging)).iter().enumerate() {
                    let indent = if number == 0 { 4 } else { hanging };
                    let _ = writeln!(text, "{:indent$}{}", "", line.trim_start());
                }
            }
            // They are to be copied: nothing is broken, however long it is.
            for line in content.lines() {
                let _ = writeln!(text, "{:9}{}", "", clean(line));
            }
        }
        if !text.is_empty() {
            text.push('\n');
        }
        for note in self.summary() {
            for line in wrap(&clean(&output.carried.to_paste(&note)), width) {
                let _ = writeln!(text, "{}", line.trim_start());
            }
        }
        Some(text)
    }
}
