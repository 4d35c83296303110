//! When a GET is tried again: what failed quickly and may pass is, a moment later. A call that changes something never is:
//! see `post`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::transport::Error;
use crate::transport::http::Failure;

use super::client::{Answers, Client};

impl Client {
    /// The body of a GET's good answer. Quick failures that may pass are tried again.
    pub(super) async fn body(&self, path: &str, answers: Answers) -> Result<Vec<u8>, Error> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let Failure { error, passing } = match self.attempt(path, answers).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            if !passing || tries == self.limits.retries || begun.elapsed() > self.limits.retry_within {
                return Err(self.named_service(error).await);
            }
            tries += 1;
            tracing::debug!(server = self.label, %error, "trying again");
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Some random time, so that many clients do not try again at once.
    fn pause(&self) -> Duration {
        let Range { start, end } = self.limits.pause;
        let random = RandomState::new().build_hasher().finish();
        Duration::from_millis(start + random % (end - start).max(1))
    }
}
