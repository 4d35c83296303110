//! Power: the states of servers, what an action on one comes down to, and the plan that leads there.

mod action;
mod finding;
mod guest;
mod host;
pub(crate) mod outcome;
mod plan;
mod state;
mod step_text;
mod waking;

pub(crate) use self::action::{Goal, PowerAction};
pub(crate) use self::finding::{Finding, Remedy, allow};
pub(crate) use self::guest::{Against, GuestView, StopOptions, Verdict, judge};
pub(crate) use self::host::{HostVerdict, judge_host};
pub(crate) use self::outcome::AWAKE_BEFORE;
pub(crate) use self::plan::{
    Arming, Course, Lost, Plan, PlanError, PlanInputs, Policy, Step, StepKind, StepReason, plan,
};
pub(crate) use self::state::PowerState;
pub(crate) use self::step_text::StepText;
pub(crate) use self::waking::{WakeTime, Waking, boot_grace};
