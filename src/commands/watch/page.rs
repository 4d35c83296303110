//! The page that `watch` keeps in a file: rewritten soon after a change, and often enough that its age is right.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::fleet::Fleet;
use crate::fleet::past::last_day::DayOne;
use crate::model::past::series::{Metric, Series, Window};
use crate::model::watch::{Change, Watched};
use crate::render;
use crate::render::html::Page;

/// At most one page in this time: whatever changes, a browser shows no more of them.
const LEAST: Duration = Duration::from_secs(1);

/// So long what the charts show is kept: they cover a day.
const PAST_FOR: Duration = Duration::from_secs(60);

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a page draws.
const DRAWN: [Metric; 5] = [Metric::Cpu, Metric::Memory, Metric::Receive, Metric::Transmit, Metric::Watts];

/// The file, and when it is written next.
pub(super) struct Pages<'p> {
    path: &'p Path,
    /// How often a page is due where nothing changes.
    every: Duration,
    tried: Option<Instant>,
    /// Whether a page was ever written: from then on what is in the way may pass.
    begun: bool,
    /// Whether something is not as the page says.
    changed: bool,
    /// The last day by server, for the charts, and when it was read.
    past: Option<(Instant, Vec<String>, Vec<Vec<Series>>)>,
    /// What Proxmox VE kept of the time before ecobox looked.
    before: DayOne,
    /// The last error, which is said once.
    said: Option<String>,
}

impl<'p> Pages<'p> {
    /// A page in `path` for a fleet that is looked at this often.
    pub(super) fn new(path: &'p Path, interval: Duration) -> Pages<'p> {
        Pages {
            path,
            every: interval.max(LEAST),
            tried: None,
            begun: false,
            changed: false,
            past: None,
            before: DayOne::default(),
            said: None,
        }
    }

    /// Takes what changed.
    pub(super) fn note(&mut self, changes: &[Change]) {
        self.changed |= !changes.is_empty();
    }

    /// Writes the page; gives why that failed, where that was not said yet.
    ///
    /// # Errors
    /// Where there was never a page: a folder that does not exist will not come.
    pub(super) async fn write(
        &mut self,
        fleet: &Fleet<'_>,
        watched: &Watched,
        targets: &[String],
    ) -> anyhow::Result<Option<String>> {
        (self.tried, self.changed) = (Some(Instant::now()), false);
        let error = match self.try_write(fleet, watched, targets).await {
            Ok(()) => {
                self.begun = true;
                None
            }
            Err(error) if !self.begun => return Err(error),
            Err(error) => Some(format!("{error:#}")),
        };
        if error == self.said {
            return Ok(None);
        }
        self.said.clone_from(&error);
        Ok(error)
    }

    async fn try_write(&mut self, fleet: &Fleet<'_>, watched: &Watched, targets: &[String]) -> anyhow::Result<()> {
        // Who is gone is selected by nothing any more: then the page is empty.
        let shown = watched.inventory().clone().selected(targets).unwrap_or_default();
        let keys: Vec<String> = shown.servers.iter().map(|server| server.key().0).collect();
        let known = self.past.take().filter(|(at, of, _)| at.elapsed() < PAST_FOR && *of == keys);
        let past = if let Some(known) = known {
            known
        } else {
            let window = Window::new(fleet.now().saturating_sub(DAY)?, fleet.now(), None);
            (Instant::now(), keys, fleet.day(&shown.servers, &DRAWN, window, &mut self.before, &HashMap::new()).await?)
        };
        let (_, _, series) = self.past.insert(past);
        let page = Page {
            made_at: fleet.now(),
            every: Some(SignedDuration::try_from(self.every).unwrap_or(SignedDuration::MAX)),
            servers: shown.servers.iter().collect(),
            past: series,
            failures: &shown.failures,
        };
        Ok(render::write_page(self.path, &page)?)
    }
}

/// Ends when a page is due; without pages never.
pub(super) async fn due(pages: Option<&Pages<'_>>) {
    let Some(pages) = pages else { return std::future::pending().await };
    if let Some(tried) = pages.tried {
        tokio::time::sleep_until(tried + if pages.changed { LEAST } else { pages.every }).await;
    }
}
