//! Numbers against conditions.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::model::monitor::condition::{Condition, Key};
use crate::model::monitor::plugin::Perf;
use crate::model::monitor::{Finding, Level};
use crate::model::text::units::human_seconds;

/// A number that is to be judged, or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    Known(f64),
    /// It should be known, and is not.
    Unknown(String),
    /// It cannot be known of this one.
    Untold(String),
    /// There is none, and none is missed: it is off, or in no job.
    Excused(String),
}

/// One number of one server or of what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// What people call it: `web`, `pve1/local`.
    pub(crate) subject: String,
    pub(crate) server: Option<String>,
    /// Of what the label of the graph is made, without the key.
    pub(crate) label: Vec<String>,
    pub(crate) reading: Reading,
    /// What is to be said besides where an alert is raised.
    pub(crate) detail: Option<String>,
}

/// Conditions on the same numbers.
pub(crate) type Group = (Key, Option<SignedDuration>);

/// The conditions by what they are about.
pub(crate) fn groups(conditions: &[Condition]) -> BTreeMap<Group, Vec<&Condition>> {
    let mut groups: BTreeMap<Group, Vec<&Condition>> = BTreeMap::new();
    for condition in conditions {
        groups.entry((condition.key, condition.over)).or_default().push(condition);
    }
    groups
}

/// What came of judging some numbers.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) findings: Vec<Finding>,
    pub(crate) perf: Vec<Perf>,
    /// What is not judged, and why, for a person.
    pub(crate) notes: Vec<String>,
    /// How many numbers there were.
    pub(crate) count: usize,
}

/// Judges the numbers of one group by its conditions.
pub(crate) fn judge((key, over): Group, conditions: &[&Condition], items: &[Item]) -> Judged {
    let mut judged = Judged::default();
    let range =
        |level| conditions.iter().rev().find(|condition| condition.level == level).map(|condition| condition.range);
    let mut untold: Vec<(&str, &str)> = Vec::new();
    // A cluster that does not answer is one reason for hundreds of guests.
    let mut unknown: Vec<(&Item, usize, &str)> = Vec::new();
    let mut excused = 0;
    for item in items {
        let finding = |level, message| Finding { level, check: key.as_str(), server: item.server.clone(), message };
        let value = match &item.reading {
            Reading::Known(value) => *value,
            Reading::Unknown(why) => {
                match unknown.iter_mut().find(|(_, _, same)| *same == why) {
                    Some((_, others, _)) => *others += 1,
                    None => unknown.push((item, 0, why)),
                }
                continue;
            }
            Reading::Untold(why) => {
                untold.push((&item.subject, why));
                continue;
            }
            Reading::Excused(_) => {
                excused += 1;
                continue;
            }
        };
        judged.count += 1;
        let mut parts: Vec<&str> = item.label.iter().map(String::as_str).collect();
        let window = over.map(|over| human_seconds(over.unsigned_abs().as_secs()));
        parts.push(key.as_str());
        parts.extend(window.as_deref());
        let perf = Perf::new(&parts, value, key.unit());
        judged.perf.push(Perf { warn: range(Level::Warning), crit: range(Level::Critical), ..perf });
        let alert = conditions.iter().filter(|condition| condition.range.alerts(value));
        if let Some(condition) = alert.max_by_key(|condition| condition.level) {
            let words = condition.range.words(key.least(), |value| key.unit().show(value));
            let detail = item.detail.as_ref().map_or_else(String::new, |detail| format!("; {detail}"));
            let message = format!("{}: {} ({words}){detail}", item.subject, says(key, value, over));
            judged.findings.push(finding(condition.level, message));
        }
    }
    for (item, others, why) in unknown {
        let message = format!("{}{}: {} is not known: {why}", item.subject, and_more(others), key.as_str());
        let server = item.server.clone();
        judged.findings.push(Finding { level: Level::Unknown, check: key.as_str(), server, message });
    }
    if judged.count == 0 && excused == 0 && judged.findings.is_empty() {
        let why =
            untold.first().map_or("no selected server has it".to_owned(), |(subject, why)| format!("{subject}: {why}"));
        let message = format!("{} is not known of any server: {why}", key.as_str());
        judged.findings.push(Finding { level: Level::Unknown, check: key.as_str(), server: None, message });
    } else if let Some((subject, why)) = untold.first() {
        let others = and_more(untold.len() - 1);
        judged.notes.push(format!("{} is not judged of {subject}{others}: {why}", key.as_str()));
    }
    judged
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" and {others} more") }
}

/// A value in a sentence.
fn says(key: Key, value: f64, over: Option<SignedDuration>) -> String {
    let shown = key.unit().show(value);
    let over = over.map_or_else(String::new, |over| format!(" over {}", human_seconds(over.unsigned_abs().as_secs())));
    match key {
        Key::Response => format!("answered in {shown}"),
        Key::Age => format!("seen {shown} ago"),
        Key::Storage => format!("{shown} full"),
        Key::Certificate | Key::Token if value < 0.0 => {
            format!("{} ended {} ago", key.as_str(), key.unit().show(-value))
        }
        Key::Certificate | Key::Token => format!("{} ends in {shown}", key.as_str()),
        Key::Backup => format!("last good backup {shown} ago"),
        Key::Availability => format!("available {shown} of the time{over}"),
        _ => format!("{} {shown}{over}", key.as_str()),
    }
}

#[cfg(test)]
mod tests;
