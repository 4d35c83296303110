//! What a monitor is told: conditions and their ranges, verdicts, and the form that its plugins print.

pub(crate) mod condition;
pub(crate) mod judge;
pub(crate) mod plugin;
pub(crate) mod range;
pub(crate) mod states;

use serde::Serialize;

/// How bad something is: a plugin's state. What is worse is greater, in the order of the Monitoring Plugins (`max_state_alt`):
/// that something cannot be said is less bad than what is known to be wrong.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Level {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Unknown => "UNKNOWN",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }

    /// The number that a plugin ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
            Level::Unknown => 3,
        }
    }
}

/// Something that is not as it should be, or not known.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// What was judged: `state`, `service`, `failure`, `age`, or the key of a condition.
    pub(crate) check: &'static str,
    /// The server it is about, where it is about one.
    pub(crate) server: Option<String>,
    /// Names what it is about; may hold foreign text.
    pub(crate) message: String,
}

/// The worst of some findings.
pub(crate) fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_wrong_is_worse_than_what_is_not_known() {
        let finding = |level| Finding { level, check: "state", server: None, message: String::new() };
        for (levels, want, code) in [
            (&[][..], Level::Ok, 0),
            (&[Level::Unknown, Level::Ok], Level::Unknown, 3),
            (&[Level::Unknown, Level::Warning], Level::Warning, 1),
            (&[Level::Warning, Level::Critical, Level::Unknown], Level::Critical, 2),
        ] {
            let findings: Vec<_> = levels.iter().map(|level| finding(*level)).collect();
            assert_eq!((worst(&findings), worst(&findings).code()), (want, code), "{levels:?}");
        }
    }
}
