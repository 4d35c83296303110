//! What an error means for the process: its exit status, and the hint that says which command to run next.

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::model::hint::HintId;
use crate::model::select::SelectError;
use crate::state::StateError;
use crate::transport::{self, prometheus};

/// A command that ends for a reason of its own: what is wrong, the exit status, and what to run next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure that has no hint.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), hint: None }
    }

    /// Like `new`, with the command to run next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

/// The whole error in a line, and apart from it the lines of the configuration that it is about.
pub(crate) fn told(error: &anyhow::Error) -> (String, Option<&str>) {
    let text = in_full(error);
    let excerpt = error.chain().find_map(|cause| match cause.downcast_ref::<ConfigError>() {
        Some(ConfigError::Invalid { excerpt, .. }) => Some(excerpt.as_str()),
        _ => None,
    });
    match excerpt.and_then(|excerpt| text.strip_suffix(excerpt)) {
        Some(message) => (message.to_owned(), excerpt),
        None => (text, None),
    }
}

/// The exit status for `error`, decided by the first typed error in its chain.
pub(crate) fn classify(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.exit;
        }
        if let Some(error) = cause.downcast_ref::<transport::Error>() {
            return error.kind().into();
        }
        if let Some(error) = cause.downcast_ref::<prometheus::Error>() {
            return error.kind().into();
        }
        if cause.is::<ConfigError>() || cause.is::<StateError>() {
            return Exit::Config;
        }
        match cause.downcast_ref::<SelectError>() {
            // It may well be there.
            Some(SelectError::Unlisted { .. }) => return Exit::Failed,
            Some(_) => return Exit::NoTarget,
            None => {}
        }
    }
    Exit::Failed
}

/// An error with its causes, each once: some repeat the one inside of them.
fn in_full(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += &cause;
        }
    }
    text
}

/// What to run or look at next, from the type of the first typed error in the chain. What helps against an error of a
/// server depends on the server: see `fleet/hint.rs`.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.hint.clone();
        }
        if let Some(error) = cause.downcast_ref::<prometheus::Error>() {
            return error.advice().map(HintId::text);
        }
        if let Some(ConfigError::NotFound { .. }) = cause.downcast_ref::<ConfigError>() {
            return Some(HintId::NoConfig.text());
        }
        if cause.is::<SelectError>() {
            return Some(HintId::NoTarget.text());
        }
    }
    None
}

/// The command that looks for the cause of an error of this machine's files, and says how to fix it; `None`: it is said, or
/// no check knows it.
pub(crate) fn lead(error: &anyhow::Error) -> Option<&'static str> {
    // What there is to do is said; and `doctor` waits for a lock as long as anybody.
    let is_said = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(ConfigError::NotFound { .. }))
            || matches!(cause.downcast_ref(), Some(StateError::Busy { .. }))
    };
    let is_of_a_file =
        |cause: &&(dyn std::error::Error + 'static)| cause.is::<ConfigError>() || cause.is::<StateError>();
    error.chain().find(|cause| is_of_a_file(cause) && !is_said(*cause)).map(|_| "run `ecobox doctor`")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn each_typed_error_has_its_exit_status_and_its_hint() {
        let path = || std::path::PathBuf::from("x");
        let refused = StateError::Refused { path: path(), reason: "holds tokens".to_owned() };
        let why = transport::Denial::Token;
        let denied = transport::Error::Denied { peer: "a".to_owned(), why: why.clone(), detail: "b".to_owned() };
        let secret = transport::Error::Denied { peer: "Prometheus".to_owned(), why, detail: "401".to_owned() };
        let cases: [(anyhow::Error, Exit, Option<&str>); 9] = [
            (prometheus::Error::from(secret).into(), Exit::Denied, Some("`username`")),
            (anyhow::anyhow!("anything"), Exit::Failed, None),
            (ConfigError::NotFound { path: path() }.into(), Exit::Config, Some("ecobox init")),
            (refused.into(), Exit::Config, None),
            (SelectError::NothingLeft.into(), Exit::NoTarget, Some("--cached")),
            (SelectError::Unlisted { word: "x".to_owned(), by: Vec::new() }.into(), Exit::Failed, Some("--cached")),
            (denied.into(), Exit::Denied, None),
            (Failure::new(Exit::Refused, "no").hint("add `--yes`").into(), Exit::Refused, Some("--yes")),
            (Failure::new(Exit::NoTarget, "no").into(), Exit::NoTarget, None),
        ];
        for (error, exit, advice) in cases {
            // The context around the cause does not hide it.
            let error = Err::<(), _>(error).context("while doing something").unwrap_err();
            assert_eq!(classify(&error), exit, "{error:#}");
            let said = hint(&error);
            assert_eq!(said.is_some(), advice.is_some(), "{error:#}: {said:?}");
            assert!(said.unwrap_or_default().contains(advice.unwrap_or_default()), "{error:#}");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let outer = anyhow::Error::from(denied).context("cannot read x: permission denied").context("looking");
        assert_eq!(in_full(&outer), "looking: cannot read x: permission denied");
        let plain = anyhow::anyhow!("inner").context("outer");
        assert_eq!(in_full(&plain), "outer: inner");
    }
}
