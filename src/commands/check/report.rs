//! What `check` hands back: the verdict in the forms of monitors, and as a table of findings.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::{counted, stamp};
use crate::model::inventory::Server;
use crate::model::monitor::condition::{Key, Unit};
use crate::model::monitor::judge::Judged;
use crate::model::monitor::plugin::{Perf, Said};
use crate::model::monitor::{Finding, Level, worst};
use crate::model::power::PowerState;
use crate::model::text::cut;
use crate::render::value::Value;
use crate::render::{Column, Format, Report};

/// How many findings stand in the first line, and how long each may be there.
const NAMED: usize = 2;
const LONGEST: usize = 160;

/// The verdict.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    #[serde(serialize_with = "stamp")]
    generated_at: Timestamp,
    status: Level,
    exit_status: u8,
    /// The first line, without its state.
    summary: String,
    findings: Vec<Finding>,
    performance: Vec<Perf>,
    /// What was not judged, and what else is to be known.
    notes: Vec<String>,
    /// What is fine, where nothing is wrong.
    #[serde(skip)]
    fine: Vec<String>,
    /// The name of the service for Checkmk.
    #[serde(skip)]
    name: String,
}

impl CheckReport {
    pub(super) fn new(generated_at: Timestamp, name: String) -> CheckReport {
        CheckReport {
            generated_at,
            status: Level::Ok,
            exit_status: 0,
            summary: String::new(),
            findings: Vec::new(),
            performance: Vec::new(),
            notes: Vec::new(),
            fine: Vec::new(),
            name,
        }
    }

    /// What a monitor reads where nothing could be judged at all.
    pub(crate) fn failed(generated_at: Timestamp, message: &str, hint: Option<&str>) -> CheckReport {
        let mut report = CheckReport::new(generated_at, "ecobox".to_owned());
        let message = message.to_owned();
        report.close(vec![Finding { level: Level::Unknown, check: "failure", server: None, message }], Vec::new());
        report.notes.extend(hint.map(|hint| format!("hint: {hint}")));
        report
    }

    /// Says how many servers there are, and in which states.
    pub(super) fn count_states(&mut self, servers: &[&Server], all: usize) {
        let in_state = |wanted: &dyn Fn(&Server) -> bool| servers.iter().filter(|server| wanted(server)).count();
        let asleep = in_state(&|server| server.seen.state == PowerState::Asleep);
        let on = in_state(&|server| server.seen.state.is_up());
        let unexpected = in_state(&|server| server.is_alarming());
        let checks = || servers.iter().flat_map(|server| &server.seen.checks);
        let closed = checks().filter(|check| check.open == Some(false)).count();
        let rest = if asleep > 0 { format!(", {asleep} asleep") } else { String::new() };
        self.fine.push(format!("{} as expected{rest}", counted(all, "server")));
        let most = |count: usize| Some(Perf::count("", count).value).filter(|most| *most > 0.0);
        for (name, count, of) in [
            ("servers", all, None),
            ("on", on, most(all)),
            ("asleep", asleep, most(all)),
            ("unexpected", unexpected, most(all)),
            ("services", checks().count(), None),
            ("closed", closed, most(checks().count())),
        ] {
            self.performance.push(Perf { most: of, ..Perf::count(name, count) });
        }
    }

    /// Says how a service answers.
    pub(super) fn count_service(&mut self, name: &str, count: usize, servers: &[&Server]) {
        for server in servers {
            let Some(check) = server.seen.checks.iter().find(|check| check.name == name) else { continue };
            let seconds = check.response_seconds.filter(|_| check.open == Some(true));
            let perf =
                seconds.map(|seconds| Perf::new(&[server.id.as_str(), name, "response"], seconds, Unit::Seconds));
            self.performance.extend(perf);
        }
        self.fine.push(format!("{name} of {} answers", counted(count, "server")));
    }

    /// Takes what came of a condition.
    pub(super) fn add(&mut self, key: Key, judged: Judged, findings: &mut Vec<Finding>) {
        let values = counted(judged.count, "value");
        self.fine.push(format!("{} as wanted ({values})", key.as_str()));
        // A service that is judged may be in there already: the last of a label counts.
        self.performance.extend(judged.perf);
        self.performance.reverse();
        let mut labels = HashSet::new();
        self.performance.retain(|perf| labels.insert(perf.label.clone()));
        self.performance.reverse();
        self.notes.extend(judged.notes);
        findings.extend(judged.findings);
    }

    /// Makes the verdict of what was found.
    pub(super) fn close(&mut self, mut findings: Vec<Finding>, notices: Vec<String>) -> Level {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        self.status = worst(&findings);
        self.exit_status = self.status.code();
        self.summary = match findings.as_slice() {
            [] => self.fine.join("; "),
            [one] => cut(&one.message, LONGEST).into_owned(),
            several => summary(several),
        };
        self.findings = findings;
        self.notes.extend(notices);
        self.status
    }

    fn said(&self) -> Said<'_> {
        // One finding is all in the first line.
        let findings = if self.findings.len() == 1 && self.findings[0].message == self.summary {
            &[]
        } else {
            self.findings.as_slice()
        };
        Said { level: self.status, summary: &self.summary, findings, notes: &self.notes, perf: &self.performance }
    }
}

/// `2 critical, 1 unknown: web is stopped, and should be on; nas: media (port 80) does not answer; 1 more`
fn summary(findings: &[Finding]) -> String {
    let counts = [Level::Critical, Level::Warning, Level::Unknown].into_iter().filter_map(|level| {
        let count = findings.iter().filter(|finding| finding.level == level).count();
        let plural = if level == Level::Warning && count > 1 { "s" } else { "" };
        (count > 0).then(|| format!("{count} {}{plural}", level.as_str().to_lowercase()))
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    let named = findings.iter().take(NAMED).map(|finding| cut(&finding.message, LONGEST).into_owned());
    let more = findings.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{more} more"));
    format!("{counts}: {}", named.chain(more).collect::<Vec<_>>().join("; "))
}

impl Report for CheckReport {
    const SCHEMA: &'static str = "ecobox.check/1";
    const IS_CHECK: bool = true;
    type Item<'r> = &'r Finding;

    fn columns(&self) -> Vec<Column<'_, &Finding>> {
        let column = Column::<&Finding>::new;
        vec![
            column("STATUS", 0, |finding| Value::text(finding.level.as_str())),
            column("CHECK", 2, |finding| Value::text(finding.check)),
            column("SERVER", 1, |finding| Value::maybe(finding.server.as_deref())),
            column("MESSAGE", 0, |finding| Value::text(finding.message.as_str())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    fn plugin(&self, format: Format) -> Option<String> {
        match format {
            Format::Table | Format::Wide => Some(self.said().plugin()),
            Format::Checkmk => Some(self.said().checkmk(&self.name)),
            _ => None,
        }
    }
}
