//! What an action on a host or plain server comes down to.

use crate::model::hint::HintId;
use crate::model::host::power::HostCall;
use crate::model::inventory::FailureKind;
use crate::model::power::{PowerAction, PowerState};

/// What an action on a host comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostVerdict {
    Already(PowerState),
    Wake,
    Call(HostCall),
    /// `kind` if nothing there could carry it out.
    Cannot {
        why: String,
        fix: Option<String>,
        kind: Option<FailureKind>,
    },
}

/// What the action comes down to for a host or plain server in this state.
pub(crate) fn judge_host(action: PowerAction, state: PowerState) -> HostVerdict {
    use PowerState::{Asleep, Offline, Online};
    let cannot =
        |why: &str, fix: &str| HostVerdict::Cannot { why: why.to_owned(), fix: Some(fix.to_owned()), kind: None };
    let silent = |why: &str, fix: &str| HostVerdict::Cannot {
        why: why.to_owned(),
        fix: Some(fix.to_owned()),
        kind: Some(FailureKind::Unreachable),
    };
    let call = match action {
        PowerAction::Start | PowerAction::Wake if state == Online => return HostVerdict::Already(state),
        PowerAction::Start | PowerAction::Wake => return HostVerdict::Wake,
        PowerAction::Stop => return cannot("a host has no hard stop", "use `shutdown`"),
        PowerAction::Reset => return cannot("a host has no reset", "use `reboot`"),
        PowerAction::Migrate => return cannot("a host does not migrate", "name its guests"),
        PowerAction::Resume => return cannot("a host is not resumed but woken", "use `wake`"),
        PowerAction::Shutdown => HostCall::Shutdown,
        PowerAction::Reboot => HostCall::Reboot,
        PowerAction::Suspend => HostCall::Suspend,
        PowerAction::Hibernate => HostCall::Hibernate,
    };
    match (call, state) {
        (_, Online) => HostVerdict::Call(call),
        (HostCall::Suspend | HostCall::Hibernate, Asleep) | (HostCall::Shutdown, Offline) => {
            HostVerdict::Already(state)
        }
        (HostCall::Suspend | HostCall::Hibernate, Offline) => {
            silent("it does not answer; it may be asleep", HintId::WakeFirst.fix())
        }
        (_, Asleep) => cannot("it is asleep", HintId::WakeFirst.fix()),
        (_, _) => silent("it does not answer", "look at `ecobox status`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_some_actions_only() {
        use PowerAction::*;
        use PowerState::{Asleep, Offline, Online, Unknown};
        let done = HostVerdict::Already;
        let told = HostVerdict::Call;
        let cases = [
            (Start, Online, done(Online)),
            (Wake, Online, done(Online)),
            (Start, Asleep, HostVerdict::Wake),
            (Wake, Offline, HostVerdict::Wake),
            (Wake, Unknown, HostVerdict::Wake),
            (Suspend, Online, told(HostCall::Suspend)),
            (Hibernate, Online, told(HostCall::Hibernate)),
            (Shutdown, Online, told(HostCall::Shutdown)),
            (Reboot, Online, told(HostCall::Reboot)),
            (Suspend, Asleep, done(Asleep)),
            (Hibernate, Asleep, done(Asleep)),
            (Shutdown, Offline, done(Offline)),
        ];
        for (action, state, want) in cases {
            assert_eq!(judge_host(action, state), want, "{action} {state}");
        }
        for (action, state, want) in [
            (Stop, Online, None),
            (Reset, Online, None),
            (Resume, Asleep, None),
            (Suspend, Offline, Some(FailureKind::Unreachable)),
            (Shutdown, Asleep, None),
            (Reboot, Offline, Some(FailureKind::Unreachable)),
            (Reboot, Asleep, None),
            (Suspend, Unknown, Some(FailureKind::Unreachable)),
            (Shutdown, Unknown, Some(FailureKind::Unreachable)),
        ] {
            let verdict = judge_host(action, state);
            assert!(
                matches!(verdict, HostVerdict::Cannot { kind, .. } if kind == want),
                "{action} {state}: {verdict:?}"
            );
        }
    }
}
