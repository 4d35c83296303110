//! The report of `advise`: a line for each judgement.

use jiff::Timestamp;
use serde::Serialize;

use super::energy::EnergyJson;
use crate::commands::{counted, stamp, stamp_of};
use crate::model::advice::{Advice, Area, Confidence, Effect, Unit, Used, Verdict};
use crate::model::id::ServerId;
use crate::model::inventory::Failed;
use crate::model::past::series::Window;
use crate::render::html::sheet::Sheet;
use crate::render::value::Value;
use crate::render::{Column, Report};

/// What could be changed.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct AdviceReport {
    #[serde(serialize_with = "stamp")]
    generated_at: Timestamp,
    #[serde(serialize_with = "stamp")]
    since: Timestamp,
    #[serde(serialize_with = "stamp")]
    until: Timestamp,
    advice: Vec<Line>,
    /// Whom we could not ask, and why.
    failures: Vec<Failed>,
    /// Lines that change nothing are counted.
    #[serde(skip)]
    is_folded: bool,
}

/// The rule that says what of its host's energy a guest used: one line for each guest.
const SHARE: &str = "share";

/// One judgement.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    id: ServerId,
    name: String,
    /// What it is about. More may be added.
    area: Area,
    /// Which rule of the area speaks: `cores`, `memory`, `idle`, `off`, `overcommit`, `oversized`, `sleep`,
    /// `energy`, `slept`, `if-idle`, `share`. More may be added.
    rule: String,
    verdict: Verdict,
    /// What `from` and `to` are.
    unit: Option<Unit>,
    from: Option<f64>,
    to: Option<f64>,
    /// Why, in words.
    evidence: String,
    confidence: Option<Confidence>,
    used: Option<UsedJson>,
    /// What a person would type. It was not run.
    command: Option<String>,
    /// When the command takes effect.
    effect: Option<Effect>,
    /// What it used, saved, or would save.
    energy: Option<EnergyJson>,
}

/// How much of what there is was used.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct UsedJson {
    #[serde(flatten)]
    used: Used,
    /// When the highest was.
    #[serde(serialize_with = "stamp_of")]
    max_at: Option<Timestamp>,
}

impl Line {
    fn of(advice: Advice) -> Line {
        let Advice {
            area,
            rule,
            subject,
            name,
            verdict,
            unit,
            from,
            to,
            evidence,
            confidence,
            used,
            command,
            effect,
            energy,
        } = advice;
        let used = used.map(|used| UsedJson { max_at: used.max_at, used });
        let rule = rule.to_owned();
        let energy = energy.map(EnergyJson::of);
        Line {
            id: subject,
            name,
            area,
            rule,
            verdict,
            unit,
            from,
            to,
            evidence,
            confidence,
            used,
            command,
            effect,
            energy,
        }
    }

    /// By how much of what it has it would be changed.
    fn weight(&self) -> f64 {
        self.from.zip(self.to).map_or(0.0, |(from, to)| ((from - to) / from.max(1.0)).abs())
    }

    fn amount(&self, number: Option<f64>) -> Value<'_> {
        let Some(number) = number else { return Value::Unknown };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, not negative")]
        match self.unit {
            Some(Unit::Bytes) => Value::Bytes(number as u64),
            _ => Value::Exact(number),
        }
    }

    fn bar(&self) -> Value<'_> {
        let Some(UsedJson { used, .. }) = &self.used else { return Value::Unknown };
        if used.allocated > 0.0 { Value::Bar(used.max / used.allocated) } else { Value::Unknown }
    }
}

impl AdviceReport {
    /// What matters first: who needs more, what a person should look at, then the largest savings.
    pub(crate) fn new(
        generated_at: Timestamp,
        window: Window,
        list: Vec<Advice>,
        failures: Vec<Failed>,
        is_folded: bool,
    ) -> AdviceReport {
        let mut advice: Vec<Line> = list.into_iter().map(Line::of).collect();
        advice.sort_by(|a, b| a.verdict.cmp(&b.verdict).then(b.weight().total_cmp(&a.weight())));
        AdviceReport { generated_at, since: window.since, until: window.until, advice, failures, is_folded }
    }

    fn is_shown(&self, line: &Line) -> bool {
        !self.is_folded
            || line.verdict.is_change()
            || line.verdict == Verdict::CannotSleep
            || (line.verdict == Verdict::Fact && line.rule != SHARE)
    }
}

impl Report for AdviceReport {
    const SCHEMA: &'static str = "ecobox.advise/1";
    const SHEET: Option<for<'r> fn(&'r Self) -> Sheet<'r>> =
        Some(|report| Sheet { title: "ecobox advise", made_at: report.generated_at, failures: &report.failures });
    type Item<'r> = &'r Line;

    fn columns(&self) -> Vec<Column<'_, &Line>> {
        let (column, wide) = (Column::<&Line>::new, Column::<&Line>::wide);
        let mut columns = vec![
            column("NAME", 0, |line| Value::text(line.name.as_str())).cut_to(12),
            column("RULE", 0, |line| Value::text(line.rule.as_str())),
            column("ADVICE", 0, |line| Value::text(line.verdict.as_str())),
            column("FROM", 0, |line| line.amount(line.from)),
            column("TO", 0, |line| line.amount(line.to)),
            column("USED", 1, Line::bar),
            column("SURE", 2, |line| Value::maybe(line.confidence.map(Confidence::as_str))),
            column("WHY", 3, |line| Value::text(line.evidence.as_str())).cut_to(16),
            wide("COMMAND", |line| Value::maybe(line.command.as_deref())),
            wide("EFFECT", |line| Value::maybe(line.effect.map(effect))),
            wide("AREA", |line| Value::text(line.area.as_str())),
            wide("ID", |line| Value::text(line.id.as_str())),
        ];
        if self.items().any(|line| line.energy.is_some()) {
            columns.push(column("ENERGY", 4, |line| line.energy.as_ref().map_or(Value::Unknown, EnergyJson::kwh)));
            columns.push(column("COST", 4, |line| line.energy.as_ref().map_or(Value::Unknown, EnergyJson::cost)));
        }
        columns
    }

    fn items(&self) -> impl Iterator<Item = &Line> {
        self.advice.iter().filter(|line| self.is_shown(line))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.items().filter_map(command).collect();
        let used = self.advice.iter().filter(|line| line.rule == "energy");
        notes.extend(EnergyJson::total(used.filter_map(|line| line.energy.as_ref())));
        let shares = self.advice.iter().filter(|line| line.rule == SHARE && !self.is_shown(line)).count();
        if shares > 0 {
            let guests = counted(shares, "guest");
            notes.push(format!(
                "what of its host's energy a guest used is known of {guests}: `ecobox advise --all` shows it"
            ));
        }
        let hidden =
            |verdict| self.advice.iter().filter(|line| line.verdict == verdict && !self.is_shown(line)).count();
        let (kept, untold) = (hidden(Verdict::Keep), hidden(Verdict::CannotTell));
        let why = "`ecobox advise --all` says why";
        match (kept, untold) {
            (0, 0) => {}
            (_, 0) => notes.push(format!("{} would be left as they are: {why}", counted(kept, "size"))),
            (0, _) => notes.push(format!("nothing can be told of {}: {why}", counted(untold, "size"))),
            (_, _) => {
                let kept = counted(kept, "size");
                notes.push(format!("{kept} would be left as they are, and nothing can be told of {untold}: {why}"));
            }
        }
        if self.advice.is_empty() {
            notes.push("there is nothing to judge".to_owned());
        }
        notes
    }
}

/// `web-01: ssh root@pve1 qm set 101 --cores 2 (from its next start on)`
fn command(line: &Line) -> Option<String> {
    let command = line.command.as_deref()?;
    let when = match line.effect {
        Some(Effect::NextStart) => " (takes effect when it is stopped and started)",
        Some(Effect::AtOnce) => " (takes effect at once)",
        None => "",
    };
    Some(format!("{}: {command}{when}", line.name))
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::AtOnce => "at-once",
        Effect::NextStart => "next-start",
    }
}
