//! What was said already: what goes on is not said again with every look.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use tokio::time::Instant;

/// How long something that goes on is not said again.
const AGAIN: Duration = Duration::from_secs(3600);

/// When what was said last.
#[derive(Debug, Default)]
pub(super) struct RecentNotices(HashMap<String, Instant>);

impl RecentNotices {
    /// Whether to say it now. Numbers make no difference: `waiting for the next run: 17 batches`.
    pub(super) fn is_new(&mut self, notice: &str) -> bool {
        self.0.retain(|_, at| at.elapsed() < AGAIN);
        let key = notice.chars().filter(|c| !c.is_ascii_digit()).collect();
        let entry = self.0.entry(key);
        let is_new = matches!(entry, Entry::Vacant(_));
        entry.or_insert_with(Instant::now);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_whatever_its_numbers() {
        let mut said = RecentNotices::default();
        for (notice, want) in [("waiting: 17 batches", true), ("waiting: 18 batches", false), ("another", true)] {
            assert_eq!(said.is_new(notice), want, "{notice}");
        }
    }
}
