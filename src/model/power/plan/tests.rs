//! Plans as lines, one for each step: `2 start pve1-vm-101 [1]`, with the steps that it waits for.

use super::*;
use crate::model::check::CheckId;
use crate::model::guest::Startup;
use crate::model::inventory::server::ServerKind;
use crate::model::inventory::tests::server;

fn host(id: &str, parent: Option<&str>, state: PowerState) -> Server {
    let mut host = server(id, parent, None);
    host.kind = ServerKind::Pve;
    host.node = Some(id.parse().unwrap());
    host.seen.state = state;
    host
}

fn guest(host: &str, kind: GuestKind, vmid: u32, state: PowerState) -> Server {
    let mut guest = server(&format!("{host}-{}-{vmid}", kind.short()), Some(host), Some(vmid));
    guest.kind = kind.into();
    guest.node = Some(host.parse().unwrap());
    guest.name = format!("g{vmid}");
    guest.seen.state = state;
    guest
}

fn vm(host: &str, vmid: u32, state: PowerState) -> Server {
    guest(host, GuestKind::Qemu, vmid, state)
}

fn ct(host: &str, vmid: u32, state: PowerState) -> Server {
    guest(host, GuestKind::Lxc, vmid, state)
}

/// The plan for the servers with these ids.
fn planned(servers: &[Server], action: PowerAction, ids: &[&str], inputs: &PlanInputs) -> Result<Plan, PlanError> {
    let place = |id: &&str| servers.iter().position(|server| server.id.as_str() == *id).unwrap();
    plan(servers, &ids.iter().map(place).collect::<Vec<_>>(), action, inputs)
}

fn lines(servers: &[Server], plan: &Plan) -> Vec<String> {
    let line = |step: &Step| {
        let does = match &step.does {
            StepKind::Wake => "wake".to_owned(),
            StepKind::Guest(call) => format!("{call:?}").split([' ', '{']).next().unwrap().to_lowercase(),
            StepKind::GuestLater => format!("{} later", step.action),
            StepKind::Host(call) => call.as_str().to_owned(),
            StepKind::Already(state) => format!("already {state}"),
            StepKind::Cannot { why, .. } => format!("cannot ({why})"),
            StepKind::Needed { why } => format!("needed ({why})"),
            StepKind::Migrate(way) => format!("{} to {}", way.from, way.call.target),
        };
        let waits = |places: &[usize], sign: &str| {
            let mut places: Vec<String> = places.iter().map(|place| format!("{sign}{}", place + 1)).collect();
            places.sort();
            places.join("")
        };
        let waits = waits(&step.needs, " <") + &waits(&step.follows, " ~");
        format!("{does} {}{waits}", servers[step.server].id)
    };
    plan.steps.iter().map(line).collect()
}

fn found(plan: &Plan) -> Vec<String> {
    plan.findings.iter().map(|finding| format!("{} {}: {}", finding.id, finding.server, finding.message)).collect()
}

#[test]
fn a_guest_whose_host_sleeps_waits_for_it() {
    use PowerState::{Asleep, Offline, Online, Stopped, Unknown};
    let fleet = [
        host("ups", None, Asleep),
        host("pve1", Some("ups"), Offline),
        vm("pve1", 101, Unknown),
        vm("pve1", 102, Unknown),
        host("pve2", None, Online),
        vm("pve2", 201, Stopped),
        ct("pve2", 202, PowerState::Running),
    ];
    let plan = planned(
        &fleet,
        PowerAction::Start,
        &["pve1-vm-101", "pve1-vm-102", "pve2-vm-201", "pve2-ct-202"],
        &PlanInputs::default(),
    )
    .unwrap();
    assert_eq!(
        lines(&fleet, &plan),
        [
            "wake ups",
            "wake pve1 <1",
            "start later pve1-vm-101 <2",
            "start later pve1-vm-102 <2",
            "start pve2-vm-201",
            "already running pve2-ct-202",
        ]
    );
    assert_eq!(plan.steps[0].why, StepReason::NeededBy("pve1".parse().unwrap()));
    assert_eq!(plan.steps[1].why, StepReason::NeededBy("pve1-vm-101".parse().unwrap()));
    assert_eq!(plan.steps[2].why, StepReason::Asked);
    assert_eq!(found(&plan), [""; 0]);
    // Whoever asks for the host itself has asked.
    let plan = planned(&fleet, PowerAction::Start, &["pve1-vm-101", "pve1"], &PlanInputs::default()).unwrap();
    assert_eq!(lines(&fleet, &plan), ["wake ups", "wake pve1 <1", "start later pve1-vm-101 <2"]);
    assert_eq!(plan.steps[1].why, StepReason::Asked);
    // Nothing else wakes a host.
    for action in [PowerAction::Shutdown, PowerAction::Stop, PowerAction::Reboot, PowerAction::Suspend] {
        let plan = planned(&fleet, action, &["pve1-vm-101"], &PlanInputs::default()).unwrap();
        assert_eq!(lines(&fleet, &plan), ["cannot (its host pve1 is offline) pve1-vm-101"], "{action}");
    }
}

#[test]
fn a_node_that_is_not_configured_is_not_woken_through_another() {
    let mut stray = vm("pve1", 101, PowerState::Unknown);
    stray.node = Some("pve9".parse().unwrap());
    stray.seen.reason = Some("its node pve9 is not online".to_owned());
    let fleet = [host("pve1", None, PowerState::Online), stray];
    let plan = planned(&fleet, PowerAction::Start, &["pve1-vm-101"], &PlanInputs::default()).unwrap();
    assert_eq!(lines(&fleet, &plan), ["cannot (its node pve9 is not online) pve1-vm-101"]);
    // Where only the listing cannot say, the guest itself is asked.
    let fleet = [host("pve1", None, PowerState::Online), vm("pve1", 101, PowerState::Unknown)];
    let plan = planned(&fleet, PowerAction::Stop, &["pve1-vm-101"], &PlanInputs::default()).unwrap();
    assert_eq!(lines(&fleet, &plan), ["stop later pve1-vm-101"]);
}

#[test]
fn parents_in_a_circle_are_refused() {
    let fleet = [
        host("a", Some("c"), PowerState::Offline),
        host("b", Some("a"), PowerState::Offline),
        host("c", Some("b"), PowerState::Offline),
    ];
    let error = planned(&fleet, PowerAction::Wake, &["b"], &PlanInputs::default()).unwrap_err();
    assert_eq!(error.to_string(), "the servers need each other in a circle: b -> a -> c -> b");
}

#[test]
fn guests_go_down_before_their_host() {
    use PowerState::{Online, Paused, Running, Stopped};
    let fleet = [
        host("pve1", None, Online),
        vm("pve1", 101, Running),
        vm("pve1", 102, Stopped),
        ct("pve1", 103, Running),
        vm("pve1", 104, Running),
    ];
    let refused = planned(&fleet, PowerAction::Suspend, &["pve1"], &PlanInputs::default()).unwrap();
    assert_eq!(lines(&fleet, &refused), ["suspend pve1"]);
    assert_eq!(
        found(&refused),
        ["running-guests pve1: 3 guests run on it: vm-101 (g101), ct-103 (g103), vm-104 (g104)"]
    );
    assert!(refused.findings[0].fix.as_deref().unwrap().contains("--guests shutdown"));

    let order = |order| Startup { order: Some(order), ..Startup::default() };
    let startups =
        HashMap::from([("pve1-vm-101".parse().unwrap(), order(1)), ("pve1-ct-103".parse().unwrap(), order(2))]);
    let inputs = |guests| PlanInputs { guests: Some(guests), startups: startups.clone(), ..PlanInputs::default() };
    let plan = planned(&fleet, PowerAction::Suspend, &["pve1"], &inputs(Policy::Shutdown)).unwrap();
    assert_eq!(
        lines(&fleet, &plan),
        ["shutdown pve1-vm-104", "shutdown pve1-ct-103 ~1", "shutdown pve1-vm-101 ~2", "suspend pve1 <1 <2 <3",]
    );
    assert_eq!(plan.steps[0].why, StepReason::RunsOn("pve1".parse().unwrap()));
    assert_eq!(found(&plan), [""; 0]);
    let plan = planned(&fleet, PowerAction::Suspend, &["pve1"], &inputs(Policy::Hibernate)).unwrap();
    assert_eq!(lines(&fleet, &plan)[0], "hibernate pve1-vm-104");
    assert_eq!(lines(&fleet, &plan)[1], "shutdown pve1-ct-103 ~1");
    let plan = planned(&fleet, PowerAction::Suspend, &["pve1"], &inputs(Policy::Leave)).unwrap();
    assert_eq!((lines(&fleet, &plan), found(&plan)), (vec!["suspend pve1".to_owned()], Vec::new()));

    // One that cannot shut down stands against the whole.
    let fleet = [host("pve1", None, Online), vm("pve1", 101, Paused)];
    let plan = planned(&fleet, PowerAction::Shutdown, &["pve1"], &inputs(Policy::Shutdown)).unwrap();
    assert_eq!(
        lines(&fleet, &plan),
        ["cannot (it is paused and cannot shut down cleanly) pve1-vm-101", "shutdown pve1"]
    );
    assert!(found(&plan)[0].starts_with("running-guests pve1: pve1-vm-101 runs on it and does not go down"));
}

#[test]
fn who_is_named_with_the_host_goes_first_and_what_hangs_on_it_counts() {
    use PowerState::{Online, Running, Unknown};
    let fleet = [
        host("pve1", None, Online),
        vm("pve1", 101, Running),
        server("nas", Some("pve1"), None),
        vm("pve1", 102, Unknown),
    ];
    let mut fleet = fleet;
    fleet[2].seen.state = Online;
    let plan = planned(&fleet, PowerAction::Shutdown, &["pve1", "pve1-vm-101"], &PlanInputs::default()).unwrap();
    assert_eq!(lines(&fleet, &plan), ["shutdown pve1-vm-101", "shutdown pve1 <1"]);
    assert_eq!(
        found(&plan),
        [
            "running-guests pve1: the state of these guests is unknown: vm-102 (g102)",
            "running-guests pve1: servers that depend on it are online: nas",
        ]
    );
}

#[test]
fn starts_keep_the_startup_order_on_each_node() {
    use PowerState::{Online, Stopped};
    let fleet = [
        host("pve1", None, Online),
        vm("pve1", 101, Stopped),
        vm("pve1", 102, Stopped),
        vm("pve1", 103, Stopped),
        vm("pve1", 104, Stopped),
        host("pve2", None, Online),
        vm("pve2", 201, Stopped),
    ];
    let order = |order| Startup { order: Some(order), ..Startup::default() };
    let startups = HashMap::from([
        ("pve1-vm-103".parse().unwrap(), order(1)),
        ("pve1-vm-104".parse().unwrap(), order(1)),
        ("pve1-vm-102".parse().unwrap(), order(5)),
        ("pve2-vm-201".parse().unwrap(), order(9)),
    ]);
    let inputs = PlanInputs { startups, ..PlanInputs::default() };
    let all = ["pve1-vm-101", "pve1-vm-102", "pve1-vm-103", "pve1-vm-104", "pve2-vm-201"];
    let up = planned(&fleet, PowerAction::Start, &all, &inputs).unwrap();
    assert_eq!(
        lines(&fleet, &up),
        [
            "start pve1-vm-103",
            "start pve1-vm-104",
            "start pve1-vm-102 ~1 ~2",
            "start pve1-vm-101 ~3",
            "start pve2-vm-201",
        ]
    );
}

#[test]
fn reasons_of_guests_come_with_the_plan() {
    let mut locked = vm("pve1", 101, PowerState::Stopped);
    locked.lock = Some("backup".to_owned());
    let mut template = vm("pve1", 102, PowerState::Stopped);
    template.template = true;
    let fleet = [host("pve1", None, PowerState::Online), locked, template];
    let plan = planned(&fleet, PowerAction::Start, &["pve1-vm-101", "pve1-vm-102"], &PlanInputs::default()).unwrap();
    assert_eq!(
        found(&plan),
        [
            "guest-locked pve1-vm-101: its configuration is locked (backup)",
            "template pve1-vm-102: it is a template, which cannot start",
        ]
    );
    let mut findings = plan.findings;
    assert!(!crate::model::power::allow(&mut findings, &[CheckId::Template]));
    assert!(!findings[0].allowed && findings[1].allowed);
    assert!(crate::model::power::allow(&mut findings, &[CheckId::GuestLocked]));
}
