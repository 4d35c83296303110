//! A plan's steps in words, one after the other, each with its deadline: for a dialogue, and for terminals that have no room
//! for a table.

use crate::model::host::power::HostCall;
use crate::model::inventory::Server;
use crate::model::power::{Course, Goal, PowerAction, Step, StepKind, StepReason};
use crate::model::text::units::human_span;

/// What is told of a step.
#[derive(Debug, Clone)]
pub(crate) struct StepText<'a> {
    pub(crate) action: PowerAction,
    /// The server as people call it.
    pub(crate) name: String,
    /// What more has to be known of it.
    pub(crate) more: String,
    pub(crate) why: &'a StepReason,
    /// What is waited for, or what there is to say instead.
    pub(crate) until: Option<String>,
    pub(crate) course: &'a Course,
}

impl<'a> StepText<'a> {
    /// What a person has to know of a step on this server.
    pub(crate) fn of(step: &'a Step, server: &Server) -> StepText<'a> {
        let (name, more) = server.summary();
        let until = match &step.does {
            StepKind::Already(state) => Some(format!("it is {state} already")),
            StepKind::Cannot { why, fix, .. } => {
                let fix = fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default();
                Some(format!("cannot be done: {why}{fix}"))
            }
            StepKind::Needed { why } => Some(format!("nothing is done: {why}")),
            StepKind::Guest(call) => Some(format!("until it is {}", Goal::of(call).as_str())),
            StepKind::Migrate(way) => Some(way.told(server.seen.state)),
            StepKind::Wake => Some("until it is online".to_owned()),
            StepKind::Host(HostCall::Reboot) => Some("until it answers again".to_owned()),
            StepKind::Host(_) => Some("until it is gone".to_owned()),
            StepKind::GuestLater => None,
        };
        StepText { action: step.action, name, more, why: &step.why, until, course: &step.course }
    }

    /// The steps that one sees of it: what is armed before, the action itself, what is done if that does not do.
    pub(crate) fn lines(&self) -> Vec<String> {
        let StepText { action, name, more, why, until, course } = self;
        let mut lines = Vec::new();
        if let Some(arming) = &course.arms {
            lines.push(format!("arm Wake-on-LAN of {name} on {}, at most {}", arming.port, human_span(arming.limit)));
        }
        if let Some(waking) = &course.wakes {
            let limit = human_span(waking.limit);
            lines.push(format!("set the clock of {name} to wake it at {}, at most {limit}", waking.words));
        }
        let why = if **why == StepReason::Asked { String::new() } else { format!("; {why}") };
        let until = until.as_ref().map(|until| format!("; {until}")).unwrap_or_default();
        let limit = course.limit.map(|limit| format!(", at most {}", human_span(limit))).unwrap_or_default();
        lines.push(format!("{action} {name}{more}{why}{until}{limit}"));
        if let Some(after) = course.stops_after {
            lines.push(format!("stop {name} at once, if it still runs after {}", human_span(after)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::power::{Arming, Waking};

    #[test]
    fn each_step_has_a_line_and_its_deadline() {
        let seconds = Duration::from_secs;
        let told = |action, name: &str, until: &str, course: &Course, why: &StepReason| {
            let (name, until) = (name.to_owned(), Some(until.to_owned()).filter(|until| !until.is_empty()));
            StepText { action, name, more: ", running".to_owned(), why, until, course }.lines()
        };
        let host = StepReason::RunsOn("pve1".parse().unwrap());
        let (limit, stops_after) = (Some(seconds(105)), Some(seconds(60)));
        let down = Course { limit, stops_after, ..Course::default() };
        assert_eq!(
            told(PowerAction::Shutdown, "vm-101 (web-01)", "until it is stopped", &down, &host),
            [
                "shutdown vm-101 (web-01), running; runs on pve1; until it is stopped, at most 1 min 45 s",
                "stop vm-101 (web-01) at once, if it still runs after 1 min",
            ]
        );
        let arms = Some(Arming { port: "enp3s0".to_owned(), limit: seconds(20) });
        let wakes = Some(Waking { at: jiff::Timestamp::MAX, words: "07:00".to_owned(), job: None, limit: seconds(20) });
        let sleep = Course { limit: Some(seconds(120)), stops_after: None, arms, wakes };
        assert_eq!(
            told(PowerAction::Suspend, "pve1", "until it is gone", &sleep, &StepReason::Asked),
            [
                "arm Wake-on-LAN of pve1 on enp3s0, at most 20 s",
                "set the clock of pve1 to wake it at 07:00, at most 20 s",
                "suspend pve1, running; until it is gone, at most 2 min",
            ]
        );
        assert_eq!(told(PowerAction::Start, "nas", "", &Course::default(), &StepReason::Asked), ["start nas, running"]);
    }
}
