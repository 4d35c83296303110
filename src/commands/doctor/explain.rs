//! `doctor --explain ID`: what a check looks at, why it matters, how to fix it by hand.

use std::fmt::Write as _;

use serde::Serialize;

use crate::model::check::CheckId;
use crate::model::text::wrap;
use crate::render::value::Value;
use crate::render::{Column, Format, Output, Report};

/// What there is to say of one check.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct ExplainReport {
    id: CheckId,
    area: &'static str,
    /// What is wrong where it finds something.
    finding: &'static str,
    looks_at: &'static str,
    why: &'static str,
    fix: String,
    /// Whether `power` looks at it, too, before it acts.
    before_power: bool,
}

impl ExplainReport {
    pub(crate) fn of(id: CheckId) -> ExplainReport {
        let text = id.text();
        ExplainReport {
            id,
            area: id.area().as_str(),
            finding: text.fault,
            looks_at: text.looks,
            why: text.why,
            fix: id.fix_by_hand(),
            before_power: CheckId::BEFORE_POWER.contains(&id),
        }
    }

    fn parts(&self) -> Vec<(&'static str, String)> {
        let mut parts = vec![
            ("Looks at", self.looks_at.to_owned()),
            ("Why it matters", self.why.to_owned()),
            ("How to fix it", self.fix.clone()),
        ];
        if self.before_power {
            let text = format!("`ecobox power` looks at it, too: `--allow {}` goes on despite it", self.id);
            parts.push(("Before an action", text));
        }
        let text = format!("`[doctor] mute = [{{ id = \"{}\", server = \"SERVER\", reason = \"…\" }}]`", self.id);
        parts.push(("To silence it", text));
        parts
    }
}

impl Report for ExplainReport {
    const SCHEMA: &'static str = "ecobox.doctor-explain/1";
    type Item<'r> = &'r ExplainReport;

    fn columns(&self) -> Vec<Column<'_, &ExplainReport>> {
        let column = Column::<&ExplainReport>::new;
        vec![
            column("ID", 0, |report| Value::text(report.id.as_str())),
            column("FINDING", 0, |report| Value::text(report.finding)),
            column("LOOKS AT", 0, |report| Value::text(report.looks_at)),
            column("WHY", 0, |report| Value::text(report.why)),
            column("FIX", 0, |report| Value::text(report.fix.as_str())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &ExplainReport> {
        std::iter::once(self)
    }

    fn picture(&self, output: &Output) -> Option<String> {
        if !matches!(output.format, Format::Table | Format::Wide) {
            return None;
        }
        let width = output.width.unwrap_or(100).max(40);
        let mut text = String::new();
        for line in wrap(&format!("{}: {}", self.id, self.finding), width) {
            text += line.trim_start();
            text.push('\n');
        }
        for (title, words) in self.parts() {
            let _ = writeln!(text, "\n{title}:");
            for line in wrap(&output.carried.to_paste(&words), width - 4) {
                let _ = writeln!(text, "    {}", line.trim_start());
            }
        }
        Some(text)
    }
}
