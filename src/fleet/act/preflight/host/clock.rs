//! Whether a host that goes down until a time would be woken by its own clock.

use jiff::Timestamp;

use super::{Blocked, Findings, HostCheck};
use crate::fleet::Fleet;
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::host::power::rtc::NoAlarm;
use crate::model::host::power::{HostPreflight, NoWay};
use crate::model::inventory::FailureKind;
use crate::model::power::Waking;

impl Fleet<'_> {
    /// How the host's clock is set; `None`: it is not, and the findings say why.
    pub(super) fn look_at_clock(
        &self,
        check: &HostCheck<'_>,
        at: Timestamp,
        seen: &HostPreflight,
        found: &mut Findings<'_>,
    ) -> Result<Option<Waking>, Blocked> {
        let words = self.clock_words(at);
        let no_alarm = match seen.clocks.could_wake(at.duration_since(self.now())) {
            Ok(_) => return Ok(Some(Waking { at, words, limit: self.limits.host })),
            Err(no_alarm) => no_alarm,
        };
        // A host that does nothing for this login is no matter of its clock.
        if let NoAlarm::NoWay(NoWay::Rights { .. }) = &no_alarm
            && !check.options.allowed.contains(&CheckId::NoRtc)
        {
            let why = format!("its clock cannot be set to wake it at {words}: {no_alarm}");
            return Err(Blocked { why, fix: Some(no_alarm.fix()), kind: Some(FailureKind::Denied) });
        }
        found.add(Fault::clock_cannot_wake(&words, &no_alarm.to_string(), no_alarm.fix()));
        Ok(None)
    }
}
