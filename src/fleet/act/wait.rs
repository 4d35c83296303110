//! Waiting for what was asked to be seen: often at first, then less so, and never past a deadline.

use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::model::inventory::server::Service;
use crate::transport::probe;

/// Between the first two looks.
const FIRST: Duration = Duration::from_millis(250);
/// The longest time between two looks.
const LONGEST: Duration = Duration::from_secs(2);

/// The pauses between looks.
#[derive(Debug)]
pub(super) struct Looks {
    pause: Duration,
    until: Instant,
}

impl Looks {
    /// Looks for this long.
    pub(super) fn during(patience: Duration) -> Looks {
        Looks { pause: FIRST, until: Instant::now() + patience }
    }

    /// Waits for the time of the next look; `false`: there is none before the deadline.
    pub(super) async fn next(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause + self.pause / 2).min(LONGEST);
        true
    }
}

impl Fleet<'_> {
    /// Waits until all services accept a connection; gives those that do not by the deadline.
    pub(super) async fn await_services(&self, host: &str, services: &[Service], looks: &mut Looks) -> Vec<String> {
        let mut missing: Vec<&Service> = services.iter().collect();
        loop {
            let asked = missing.iter().map(|service| probe::tcp(host, service.port, self.limits.probe));
            let answers = futures::future::join_all(asked).await;
            let mut open = answers.iter().map(|probe| probe.open);
            missing.retain(|_| open.next() != Some(true));
            if missing.is_empty() || !looks.next().await {
                return missing.into_iter().map(|service| format!("{}:{}", service.name, service.port)).collect();
            }
        }
    }
}
