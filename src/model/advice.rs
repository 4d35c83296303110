//! What ecobox would change, from what was: rules over the past of guests and hosts. They change nothing.
//!
//! A *tally* takes the past in, step by step, and keeps little of it; what is left is the *past use* of one guest, and
//! rules read that. Each rule gives lines of advice, also where it would leave everything as it is, or cannot tell.

pub(crate) mod consolidate;
pub(crate) mod coverage;
pub(crate) mod energy;
pub(crate) mod host_load;
pub(crate) mod right_size;
pub(crate) mod spread;
pub(crate) mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod trend;
pub(crate) mod waste;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::advice::energy::EnergyAmount;
use crate::model::id::ServerId;
use crate::model::text::words::words;

/// What a line is about. Others may join.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Area {
    RightSize,
    Waste,
    Consolidation,
    Energy,
}

words!(Area: => {
    RightSize = "right-size",
    Waste = "waste",
    Consolidation = "consolidation",
    Energy = "energy",
});

/// What ecobox would do.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Give it more.
    More,
    /// Have a person look at it: it is probably not what anybody wants.
    Review,
    /// Give it less.
    Less,
    /// It can sleep.
    CanSleep,
    /// It cannot sleep.
    CannotSleep,
    /// Nothing to change: what was.
    Fact,
    /// Not enough is known.
    CannotTell,
    /// Leave it as it is: the usual answer.
    Keep,
}

words!(Verdict: => {
    More = "more",
    Review = "review",
    Less = "less",
    CanSleep = "can-sleep",
    CannotSleep = "cannot-sleep",
    Fact = "fact",
    CannotTell = "cannot-tell",
    Keep = "keep",
});

impl Verdict {
    /// Whether something would be changed.
    pub(crate) fn is_change(self) -> bool {
        matches!(self, Verdict::More | Verdict::Less | Verdict::Review | Verdict::CanSleep)
    }
}

/// How sure it is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Confidence {
    Low,
    Medium,
    High,
}

words!(Confidence: => {
    Low = "low",
    Medium = "medium",
    High = "high",
});

/// What an amount is of.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    Cores,
    Bytes,
}

/// How much of what there is was used.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Used {
    pub(crate) unit: Unit,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// The highest that was recorded.
    pub(crate) max: f64,
    /// When that was.
    #[serde(skip)]
    pub(crate) max_at: Option<Timestamp>,
    pub(crate) allocated: f64,
}

/// When a command takes effect.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Effect {
    AtOnce,
    /// The next time it is stopped and started.
    NextStart,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Advice {
    pub(crate) area: Area,
    /// Which of the area's rules speaks: `cores`, `memory`, `idle`, `off`. Others may join.
    pub(crate) rule: &'static str,
    pub(crate) subject: ServerId,
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) unit: Option<Unit>,
    pub(crate) from: Option<f64>,
    pub(crate) to: Option<f64>,
    /// Why, in words.
    pub(crate) evidence: String,
    /// `None` where there is no doubt, as nothing was concluded from the past.
    pub(crate) confidence: Option<Confidence>,
    pub(crate) used: Option<Used>,
    /// What a person would type. ecobox never runs it.
    pub(crate) command: Option<String>,
    pub(crate) effect: Option<Effect>,
    /// What it used, saved, or would save.
    pub(crate) energy: Option<EnergyAmount>,
}

impl Advice {
    /// A line without numbers or a command.
    pub(crate) fn new(
        (area, rule): (Area, &'static str),
        (subject, name): (&ServerId, &str),
        verdict: Verdict,
        evidence: String,
    ) -> Advice {
        Advice {
            area,
            rule,
            subject: subject.clone(),
            name: name.to_owned(),
            verdict,
            unit: None,
            from: None,
            to: None,
            evidence,
            confidence: None,
            used: None,
            command: None,
            effect: None,
            energy: None,
        }
    }
}
