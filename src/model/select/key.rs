//! The keys of selectors: `tag=`, `node=` and so on.

use crate::model::text::words::words;
use crate::model::text::{did_you_mean, quoted};

/// What a selector asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Tag,
    Node,
    Kind,
    Pool,
    State,
}

words!(Key: all => {
    Tag = "tag",
    Node = "node",
    Kind = "kind",
    Pool = "pool",
    State = "state",
});

impl Key {
    pub(super) fn parse(text: &str) -> Result<Key, String> {
        let found = Key::ALL.into_iter().find(|key| key.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let known = Key::ALL.map(|key| format!("{}=", key.as_str()));
            let text = format!("{text}=");
            let hint = did_you_mean(&text, known.iter().map(String::as_str));
            let hint = hint.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
            format!("unknown selector {}{hint}", quoted(&text))
        })
    }
}
