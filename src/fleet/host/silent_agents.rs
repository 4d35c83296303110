//! Guest agents that do not answer: each question holds one of a node's few workers for 3 s. Where one was silent, and its
//! guest has not been restarted since, it is asked once an hour.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::model::id::{ClusterId, VmId};
use crate::model::load::usage::Count;
use crate::model::text::units::human_seconds;
use crate::state::{StateError, is_fresh};

/// When an agent that was silent is asked again.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// How much older than its stamp the uptime of a listing may be.
const LAG: SignedDuration = SignedDuration::from_secs(15);

/// An agent that had less time than this to answer does not count as silent.
pub(in crate::fleet) const FAIR: Duration = Duration::from_secs(4);

/// Which agents of a cluster were silent when they were asked last.
#[derive(Debug, Default)]
pub(in crate::fleet) struct SilentAgents {
    asked_at: HashMap<VmId, Timestamp>,
    now: Timestamp,
    all: bool,
}

impl Fleet<'_> {
    /// What is known of a cluster's agents. With `all`, none is left out because of it.
    pub(in crate::fleet) fn silent_agents(&self, cluster: &ClusterId, all: bool) -> Result<SilentAgents, StateError> {
        Ok(SilentAgents { asked_at: self.state.silent_agents(cluster)?, now: self.now(), all })
    }
}

impl SilentAgents {
    /// Whether it was silent.
    pub(in crate::fleet) fn has(&self, vmid: VmId) -> bool {
        self.asked_at.contains_key(&vmid)
    }

    /// Why a guest's agent is not asked now.
    pub(in crate::fleet) fn not_yet(&self, vmid: VmId, uptime: Option<Count>) -> Option<String> {
        let asked_at = self.asked_at.get(&vmid).filter(|at| !self.all && is_fresh(**at, self.now, AGAIN))?;
        let uptime = SignedDuration::from_secs(i64::try_from(uptime?.get()).ok()?);
        let started_at = self.now.checked_sub(uptime).unwrap_or(Timestamp::MIN);
        if started_at.checked_add(LAG).unwrap_or(started_at) >= *asked_at {
            return None;
        }
        let ago = self.now.duration_since(*asked_at).as_secs().try_into().unwrap_or_default();
        Some(format!("its guest agent did not answer {} ago (`--all-agents` asks it now)", human_seconds(ago)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_agent_is_asked_once_an_hour_or_after_a_start() {
        let at = |minutes: i64| Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap();
        let vmid = |n: u32| VmId::try_from(n).unwrap();
        let day = Some(Count::new(86_400));
        // When it was asked, how long its guest runs, whether everybody is asked, whether it is passed over.
        for (asked, uptime, all, passed) in [
            (-10, day, false, true),
            (-59, day, false, true),
            (-60, day, false, false),
            (-10, day, true, false),
            // It was started since, or that is unknown.
            (-10, Some(Count::new(300)), false, false),
            (-10, Some(Count::new(600)), false, false),
            (-10, Some(Count::new(700)), false, true),
            (-10, None, false, false),
            // By a clock that was wrong.
            (10, day, false, false),
        ] {
            let silent = SilentAgents { asked_at: [(vmid(101), at(asked))].into(), now: at(0), all };
            assert_eq!(silent.not_yet(vmid(101), uptime).is_some(), passed, "{asked} {uptime:?} {all}");
            assert!(silent.not_yet(vmid(102), uptime).is_none() && silent.has(vmid(101)) && !silent.has(vmid(102)));
        }
    }
}
