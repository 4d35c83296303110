//! Waiting for what was asked to be seen: often at first, then less so, and never past a deadline.

use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::fleet::backoff::Backoff;
use crate::model::inventory::server::Service;
use crate::transport::probe;

/// Looks until a deadline, with pauses in between.
#[derive(Debug)]
pub(in crate::fleet) struct Attempts {
    backoff: Backoff,
    until: Instant,
}

impl Attempts {
    /// Looks for this long.
    pub(in crate::fleet) fn during(patience: Duration) -> Attempts {
        Attempts { backoff: Backoff::new(), until: Instant::now() + patience }
    }

    /// Waits for the time of the next look; `false`: there is none before the deadline.
    pub(in crate::fleet) async fn next(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.backoff.pause().min(left)).await;
        true
    }
}

impl Fleet<'_> {
    /// Waits until all services accept a connection; gives those that do not by the deadline.
    pub(in crate::fleet) async fn await_services(
        &self,
        host: &str,
        services: &[Service],
        attempts: &mut Attempts,
    ) -> Vec<String> {
        let mut missing: Vec<&Service> = services.iter().collect();
        loop {
            let asked = missing.iter().map(|service| probe::tcp(host, service.port, self.limits.probe));
            let answers = futures::future::join_all(asked).await;
            let mut open = answers.iter().map(|probe| probe.open);
            missing.retain(|_| open.next() != Some(true));
            if missing.is_empty() || !attempts.next().await {
                return missing.into_iter().map(|service| format!("{}:{}", service.name, service.port)).collect();
            }
        }
    }
}
