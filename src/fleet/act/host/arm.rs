//! Wake-on-LAN of a host that goes to sleep, armed right before.

use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::{PlanRun, StepOutcome, StepReport};
use crate::fleet::host::power::arm::ArmedWol;
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::host::power::HostPreflight;
use crate::model::power::Finding;

impl Fleet<'_> {
    /// Arms Wake-on-LAN; gives the refusal where it stays off.
    pub(super) async fn arm(
        &self,
        run: &PlanRun<'_>,
        number: usize,
        host: &ServerConfig,
        seen: &HostPreflight,
        confirmed: &Confirmed,
    ) -> Option<StepReport> {
        let mac = host.mac.map(|mac| mac.to_string());
        if seen.wol_armed(mac.as_deref()) == Some(true) {
            return None;
        }
        let nic = seen.nic_to_arm(mac.as_deref());
        let refused = |message: String| {
            let finding = Finding::of(Fault::wol_stays_off(message.clone()), &host.id);
            Some(StepReport { findings: vec![finding], ..StepReport::because(StepOutcome::Refused, message) })
        };
        let allowed = run.options.allowed.contains(&CheckId::WolNotArmed);
        let Some(nic) = nic else {
            return if allowed { None } else { refused("it has no network card that could be armed".to_owned()) };
        };
        run.say(number, &format!("arming Wake-on-LAN of {} on {}", host.id, nic.name), Some(self.limits.host));
        run.sent_log.note(number, format!("Wake-on-LAN of {} is being armed", host.id));
        let armed = self.arm_wol(host, &nic.name, confirmed).await;
        run.sent_log.clear(number);
        let why = match armed {
            Ok(ArmedWol::Armed | ArmedWol::Unread) => return None,
            Ok(ArmedWol::NotArmed) => "its driver did not take it".to_owned(),
            Ok(ArmedWol::Failed { detail }) => detail,
            Err(error) => error.to_string(),
        };
        if allowed { None } else { refused(format!("Wake-on-LAN could not be armed on {}: {why}", nic.name)) }
    }
}
