//! What power asks, against the simulated cluster, whose answers are held against recordings.

use std::time::Duration;

use ecobox_sim::{Agent, Cluster, Fault, Guest, Kind, Service, Sim};
use jiff::{SignedDuration, Timestamp};

use super::simulated::{client, run};
use crate::model::guest::{GuestCall, GuestConfig, GuestIdentity, GuestStatus, Startup, TaskEnd, TaskState};
use crate::model::id::{GuestKind, NodeName, Upid, VmId};
use crate::model::power::PowerState;
use crate::transport::pve::client::Client;
use crate::transport::pve::testing::SECRET;
use crate::transport::pve::{Posted, is_not_here, is_passing};
use crate::transport::{Error, PVE_CLUSTER, PVEDAEMON};

const ALL: &str = "ecobox@pve!all";
const SHUTDOWN: GuestCall = GuestCall::Shutdown { timeout: None, force_stop: false };
const STOP: GuestCall = GuestCall::Stop { overrule_shutdown: false };

/// Two nodes, and a clock that only moves when told to, in Proxmox VE's own seconds.
fn lab() -> Sim {
    let cluster =
        Cluster::new("lab").real_time().node("pve1").node_with("pve2", |node| node.wakeonlan("BC:24:11:00:00:02"));
    let mut cluster = cluster
        .local_storage("local", 100 << 30, 20 << 30)
        .vm(101, "web", |vm| vm.running().uptime(60).agent(Agent::Answers).config("startup", "order=2,up=30"))
        .vm(102, "off", |vm| vm)
        .vm(103, "template", Guest::template)
        .vm(104, "saved", |vm| vm.locked("backup"))
        .vm(105, "paused", Guest::paused)
        .vm(106, "hibernated", Guest::hibernated)
        .vm(107, "deaf", |vm| vm.running().ignores_shutdown().agent(Agent::Dead))
        .vm(108, "managed", |vm| vm.running().ha("started"))
        .vm(109, "broken", Guest::missing_disk)
        .vm(110, "odd", |vm| vm.warns(1))
        .ct(201, "dns", |ct| ct.running().mac("BC:24:11:00:02:01").config("onboot", 1))
        .ct(202, "spare", |ct| ct)
        .ct(203, "frame", Guest::template)
        .token(
            ALL,
            SECRET,
            "/",
            &["VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "Datastore.AllocateSpace", "Sys.Audit", "Sys.PowerMgmt"],
        )
        .token("other@pve!test", SECRET, "/vms", &["VM.Audit", "VM.PowerMgmt"])
        .token("ecobox@pve!looks", SECRET, "/", &["VM.Audit"]);
    cluster.clock.freeze();
    cluster.timing.auth_delay = 0.0;
    cluster.timing.no_route = 0.0;
    Sim::start(cluster)
}

fn node(number: u8) -> NodeName {
    format!("pve{number}").parse().unwrap()
}

fn vmid(number: u32) -> VmId {
    VmId::try_from(number).unwrap()
}

fn kind(number: u32) -> GuestKind {
    if number < 200 { GuestKind::Qemu } else { GuestKind::Lxc }
}

fn pass(sim: &Sim, seconds: u64) {
    sim.cluster().clock.advance(Duration::from_secs(seconds));
}

async fn post(client: &Client, number: u32, call: GuestCall) -> Posted {
    client.guest_power(&node(1), kind(number), vmid(number), &call).await
}

async fn task(client: &Client, number: u32, call: GuestCall) -> Upid {
    match post(client, number, call).await {
        Posted::Task(upid) => upid,
        other => panic!("{number} {call:?}: {other:?}"),
    }
}

async fn status(client: &Client, number: u32) -> GuestStatus {
    client.guest_status(&node(1), kind(number), vmid(number)).await.unwrap()
}

#[test]
fn each_call_in_each_state() {
    let shutdown = |timeout, force_stop| GuestCall::Shutdown { timeout, force_stop };
    let template = "you can't start a vm if it's a template";
    let not_found = "unable to find configuration file for VM 999 on node 'pve1'";
    // A word that starts with a capital letter is the state afterwards, else it is the text of the failure.
    let cases: Vec<(u32, GuestCall, &str, Result<PowerState, &str>)> = vec![
        (102, GuestCall::Start, "qmstart", Ok(PowerState::Running)),
        (101, GuestCall::Start, "qmstart", Err("VM 101 already running")),
        (103, GuestCall::Start, "qmstart", Err(template)),
        (104, GuestCall::Start, "qmstart", Err("VM is locked (backup)")),
        (109, GuestCall::Start, "qmstart", Err("volume 'local:109/vm-109-disk-0.raw' does not exist")),
        (106, GuestCall::Start, "qmstart", Ok(PowerState::Running)),
        (106, GuestCall::Resume, "qmresume", Ok(PowerState::Running)),
        (110, GuestCall::Start, "qmstart", Ok(PowerState::Running)),
        (105, GuestCall::Resume, "qmresume", Ok(PowerState::Running)),
        (105, shutdown(None, false), "", Err("VM is paused - cannot shutdown")),
        (105, shutdown(Some(5), true), "qmshutdown", Ok(PowerState::Stopped)),
        (102, GuestCall::Resume, "", Err("VM 102 not running")),
        (102, GuestCall::Reset, "", Err("VM 102 not running")),
        (102, GuestCall::Reboot { timeout: None }, "", Err("VM 102 not running")),
        (102, GuestCall::Suspend, "", Err("VM 102 not running")),
        (102, STOP, "qmstop", Ok(PowerState::Stopped)),
        (101, STOP, "qmstop", Ok(PowerState::Stopped)),
        (101, shutdown(None, false), "qmshutdown", Ok(PowerState::Stopped)),
        (107, shutdown(Some(5), false), "qmshutdown", Err("VM quit/powerdown failed - got timeout")),
        (107, shutdown(Some(5), true), "qmshutdown", Ok(PowerState::Stopped)),
        (101, GuestCall::Suspend, "qmpause", Ok(PowerState::Paused)),
        (101, GuestCall::Hibernate, "qmsuspend", Ok(PowerState::Hibernated)),
        (101, GuestCall::Reset, "qmreset", Ok(PowerState::Running)),
        (101, GuestCall::Reboot { timeout: Some(9) }, "qmreboot", Ok(PowerState::Running)),
        (108, shutdown(None, false), "hastop", Ok(PowerState::Stopped)),
        (108, GuestCall::Hibernate, "", Err("Cannot suspend HA managed VM to disk")),
        (999, STOP, "qmstop", Err(not_found)),
        (202, GuestCall::Start, "vzstart", Ok(PowerState::Running)),
        (201, GuestCall::Start, "", Err("CT 201 already running")),
        (203, GuestCall::Start, "vzstart", Err("you can't start a CT if it's a template")),
        (202, shutdown(None, false), "", Err("CT 202 not running")),
        (201, STOP, "vzstop", Ok(PowerState::Stopped)),
        (201, GuestCall::Suspend, "vzsuspend", Err("command 'lxc-checkpoint -n 201")),
        (201, GuestCall::Reset, "", Err("not implemented")),
    ];
    for (number, call, kind_of_task, want) in cases {
        let sim = lab();
        // 999 has its kind from its own row.
        let number_kind = if number == 999 { GuestKind::Qemu } else { kind(number) };
        run(async {
            let client = client(&sim, ALL);
            let case = format!("{number} {call:?}");
            let posted = client.guest_power(&node(1), number_kind, vmid(number), &call).await;
            assert_eq!(sim.posts().len(), 1, "{case}");
            let upid = match (posted, want) {
                (Posted::Refused(error), Err(words)) if kind_of_task.is_empty() => {
                    assert!(error.to_string().contains(words), "{case}: {error}");
                    return;
                }
                (Posted::Task(upid), _) => upid,
                (other, _) => panic!("{case}: {other:?}"),
            };
            assert_eq!(
                (upid.kind(), upid.id(), upid.user()),
                (kind_of_task, number.to_string().as_str(), ALL),
                "{case}"
            );
            assert!(call.task_types(number_kind).contains(&upid.kind()), "{case}");
            // Long enough for every one of them, and for the HA manager.
            for _ in 0..8 {
                pass(&sim, 10);
                let _ = client.task(&upid).await.unwrap();
            }
            let ended = client.task(&upid).await.unwrap();
            match want {
                Ok(state) => {
                    let good = if number == 110 { TaskEnd::Warnings(1) } else { TaskEnd::Ok };
                    assert_eq!(ended, TaskState::Ended(good), "{case}");
                    assert_eq!(status(&client, number).await.state, state, "{case}");
                }
                Err(words) => {
                    let TaskState::Ended(TaskEnd::Failed(text)) = ended else { panic!("{case}: {ended:?}") };
                    assert!(text.starts_with(words), "{case}: {text}");
                }
            }
        });
    }
}

#[test]
fn what_a_task_does_and_how_it_ends() {
    let sim = lab();
    run(async {
        let client = client(&sim, ALL);
        let shutdown = task(&client, 107, SHUTDOWN).await;
        assert_eq!(client.task(&shutdown).await.unwrap(), TaskState::Running);
        let waits = task(&client, 107, STOP).await;
        pass(&sim, 11);
        let lock = "can't lock file '/var/lock/qemu-server/lock-107.conf' - got timeout";
        assert_eq!(client.task(&waits).await.unwrap(), TaskState::Ended(TaskEnd::Failed(lock.to_owned())));
        task(&client, 107, GuestCall::Stop { overrule_shutdown: true }).await;
        let interrupted = TaskEnd::Failed("received interrupt".to_owned());
        assert_eq!(client.task(&shutdown).await.unwrap(), TaskState::Ended(interrupted));
        let start = task(&client, 102, GuestCall::Start).await;
        sim.cluster().end_tasks(102, "unexpected status");
        let unclear = TaskEnd::Unclear("unexpected status".to_owned());
        assert_eq!(client.task(&start).await.unwrap(), TaskState::Ended(unclear));
        sim.cluster().lose_task_logs(102);
        assert_eq!(client.task(&start).await.unwrap(), TaskState::Ended(TaskEnd::Gone));
        assert!(client.task_log(&start, 5).await.unwrap().is_empty());
        // A task of somebody else needs a privilege.
        let other = super::simulated::client(&sim, "other@pve!test");
        assert!(matches!(other.task(&shutdown).await, Err(Error::Denied { .. })));
    });
}

#[test]
fn the_last_lines_of_a_log() {
    let sim = lab();
    run(async {
        let client = client(&sim, ALL);
        let failed = task(&client, 107, GuestCall::Shutdown { timeout: Some(5), force_stop: false }).await;
        pass(&sim, 60);
        sim.clear_requests();
        let agent = "QEMU Guest Agent is not running - VM 107 qga command 'guest-ping' failed - got timeout";
        assert_eq!(client.task_log(&failed, 5).await.unwrap(), [agent]);
        assert_eq!(sim.requests().len(), 1);
        assert_eq!(client.task_log(&failed, 0).await.unwrap(), [""; 0]);
        // A long one: only its end is asked for.
        sim.cluster().change_guest(110, |vm| vm.warns(500));
        let long = task(&client, 110, GuestCall::Start).await;
        assert_eq!(client.task_log(&long, 5).await.unwrap(), [""; 0], "nothing yet");
        pass(&sim, 1);
        sim.clear_requests();
        assert_eq!(client.task_log(&long, 3).await.unwrap(), ["WARN: something is odd"; 3]);
        assert_eq!(sim.requests().len(), 2);
        assert_eq!(client.task(&long).await.unwrap(), TaskState::Ended(TaskEnd::Warnings(500)));
    });
}

#[test]
fn a_lost_post_is_found_by_its_task() {
    let sim = lab();
    run(async {
        let (ours, others) = (client(&sim, ALL), client(&sim, "other@pve!test"));
        let long_ago = Timestamp::now() - SignedDuration::from_mins(1);
        let find = async |number: u32, call: GuestCall, since: Timestamp| {
            ours.find_task(&node(1), vmid(number), call.task_types(kind(number)), since).await.unwrap()
        };
        // Somebody else's, another call's and another guest's are not ours.
        task(&others, 102, GuestCall::Start).await;
        task(&ours, 102, STOP).await;
        task(&ours, 110, GuestCall::Start).await;
        assert_eq!(find(102, GuestCall::Start, long_ago).await, None);
        pass(&sim, 20);
        let old = task(&ours, 102, GuestCall::Start).await;
        pass(&sim, 20);
        assert_eq!(find(102, GuestCall::Start, long_ago).await, Some(old.clone()), "one that has ended");
        for (fault, carried_out) in [
            (Fault::DropAfterAction, true),
            (Fault::DropInBody, true),
            (Fault::Status(596, "Connection timed out".to_owned()), false),
            (Fault::DropBeforeAnswer, false),
            (Fault::Garbage, false),
        ] {
            pass(&sim, 20);
            sim.clear_requests();
            sim.node("pve1").fail_on(Some("POST"), None, Some(1), fault.clone());
            let since = old.started() + SignedDuration::from_secs(1);
            let before = find(107, SHUTDOWN, since).await;
            let posted = post(&ours, 107, SHUTDOWN).await;
            assert!(matches!(posted, Posted::Lost(_)), "{fault:?}: {posted:?}");
            let found = find(107, SHUTDOWN, since).await;
            assert_eq!(found != before, carried_out, "{fault:?}");
            assert_eq!(sim.posts(), ["/nodes/pve1/qemu/107/status/shutdown"], "{fault:?}");
        }
        let newest = find(107, SHUTDOWN, long_ago).await.unwrap();
        assert_eq!(find(107, SHUTDOWN, newest.started() + SignedDuration::from_secs(1)).await, None);
    });
}

#[test]
fn who_works_on_a_node() {
    let sim = lab();
    run(async {
        let ours = client(&sim, ALL);
        assert_eq!(ours.active_tasks(&node(1)).await.unwrap(), []);
        task(&client(&sim, "other@pve!test"), 107, SHUTDOWN).await;
        task(&ours, 102, GuestCall::Start).await;
        pass(&sim, 1);
        sim.cluster().keep_ended_tasks_active(true);
        let active = ours.active_tasks(&node(1)).await.unwrap();
        let told: Vec<_> =
            active.iter().map(|task| (task.kind.as_str(), task.id.as_str(), task.user.as_str())).collect();
        assert_eq!(told, [("qmshutdown", "107", "other@pve!test")], "the other one has ended");
        assert_eq!(active[0].since, active[0].upid.started());
    });
}

#[test]
fn what_a_guest_does_and_is() {
    let sim = lab();
    run(async {
        let client = client(&sim, ALL);
        let web = status(&client, 101).await;
        assert_eq!((web.state, web.raw.as_str(), web.uptime_seconds), (PowerState::Running, "running", Some(60)));
        assert_eq!((web.agent, web.template, web.ha_managed, web.name.as_deref()), (true, false, false, Some("web")));
        assert_eq!(status(&client, 105).await.state, PowerState::Paused);
        assert_eq!(status(&client, 106).await.state, PowerState::Hibernated);
        assert_eq!(status(&client, 104).await.lock.as_deref(), Some("backup"));
        assert!(status(&client, 103).await.template);
        let managed = status(&client, 108).await;
        assert_eq!((managed.ha_managed, managed.ha_state.as_deref()), (true, Some("started")));

        let config = async |number: u32| client.guest_config(&node(1), kind(number), vmid(number)).await;
        let want = GuestConfig {
            identity: Some(GuestIdentity::new("uuid:00000000-0000-4000-8000-000000000101")),
            name: Some("web".to_owned()),
            startup: Startup { order: Some(2), down_seconds: None },
            agent: true,
            made_at: Some(Timestamp::from_second(1_795_381_239).unwrap()),
            ..GuestConfig::default()
        };
        assert_eq!(config(101).await.unwrap(), want);
        let dns = config(201).await.unwrap();
        let identity = "net0:bc:24:11:00:02:01 rootfs:local:201/vm-201-disk-0.raw";
        assert_eq!((dns.identity, dns.name), (Some(GuestIdentity::new(identity)), Some("dns".to_owned())));
        assert_eq!((dns.onboot, dns.macs), (true, vec!["bc:24:11:00:02:01".to_owned()]));

        // Between two requests it moves, or another one gets its number.
        sim.cluster().before("GET", "/qemu/101/status/current", |cluster| cluster.migrate_guest(101, "pve2"));
        let gone = client.guest_status(&node(1), GuestKind::Qemu, vmid(101)).await.unwrap_err();
        assert!(is_not_here(&gone) && !is_passing(&gone), "{gone}");
        assert!(is_not_here(&config(101).await.unwrap_err()));
        assert_eq!(client.guest_status(&node(2), GuestKind::Qemu, vmid(101)).await.unwrap().state, PowerState::Running);
        sim.cluster().replace_guest(102, Kind::Qemu, "off", |vm| vm.uuid("ABCD0000-0000-4000-8000-000000000001"));
        let other = config(102).await.unwrap().identity.unwrap();
        assert_eq!(other.as_str(), "uuid:abcd0000-0000-4000-8000-000000000001");
    });
}

#[test]
fn members_quorum_and_waking_each_other() {
    let sim = lab();
    run(async {
        let client = client(&sim, ALL);
        let members = client.cluster_status().await.unwrap();
        let told: Vec<_> = members.nodes.iter().map(|one| (one.name.as_str(), one.online, one.local)).collect();
        assert_eq!(told, [("pve1", true, true), ("pve2", true, false)]);
        assert_eq!(client.quorate().await.unwrap(), Some(true));
        assert_eq!(members.nodes[1].ip, Some("192.0.2.3".parse().unwrap()));
        sim.node("pve2").stop();
        sim.cluster().set_quorate(false);
        let members = client.cluster_status().await.unwrap();
        assert!(!members.nodes[1].online);
        assert_eq!(client.quorate().await.unwrap(), Some(false));
        // Without a change of the members that stays what it was in `/cluster/status`; here it is what it is.
        sim.cluster().set_quorate(true);
        assert_eq!(client.quorate().await.unwrap(), Some(true));
        sim.cluster().set_quorate(false);
        let refused = post(&client, 102, GuestCall::Start).await;
        assert!(matches!(refused, Posted::Refused(Error::Api { status: 500, .. })), "{refused:?}");
        assert_eq!(client.node_config_mac(&node(1)).await.unwrap(), None);
        sim.clear_requests();
        assert!(matches!(client.wake_node(&node(2)).await, Posted::Done));
        for (name, words) in [("pve1", "cannot wake my self"), ("nosuch", "no such cluster node 'nosuch'")] {
            let Posted::Refused(error) = client.wake_node(&name.parse().unwrap()).await else { panic!("{name}") };
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(sim.posts().len(), 3);
    });
    let alone = Sim::start(Cluster::new("x").node_with("pve1", |node| node.wakeonlan("BC:24:11:00:00:01")).token(
        ALL,
        SECRET,
        "/",
        &["Sys.Audit"],
    ));
    run(async {
        let client = client(&alone, ALL);
        let members = client.cluster_status().await.unwrap();
        assert_eq!((client.quorate().await.unwrap(), members.nodes.len()), (Some(true), 1));
        assert_eq!(client.node_config_mac(&node(1)).await.unwrap().as_deref(), Some("bc:24:11:00:00:01"));
    });
}

#[test]
fn nodes_and_services_that_are_down() {
    let sim = lab();
    run(async {
        let ours = client(&sim, ALL);
        sim.cluster().migrate_guest(101, "pve2");
        sim.node("pve2").stop();
        let posted = ours.guest_power(&node(2), GuestKind::Qemu, vmid(101), &STOP).await;
        assert!(matches!(posted, Posted::Refused(Error::Api { status: 595, .. })), "{posted:?}");
        sim.cluster().set_service("pve1", Service::PvedaemonDown);
        let of_daemon = |error: &Error| matches!(error, Error::ServiceDown { service: PVEDAEMON, node: Some(name), .. } if *name == node(1));
        let refused = post(&ours, 107, STOP).await;
        assert!(matches!(&refused, Posted::Refused(error) if of_daemon(error)), "{refused:?}");
        let error = ours.guest_status(&node(1), GuestKind::Qemu, vmid(107)).await.unwrap_err();
        assert!(is_passing(&error) && of_daemon(&error), "{error}");
        // Whoever may see nothing is told the same.
        let none = client(&sim, "other@pve!test").guest_statuses(&node(1), GuestKind::Lxc).await.unwrap_err();
        assert!(of_daemon(&none), "{none}");
        sim.cluster().set_service("pve1", Service::PmxcfsDown);
        let refused = post(&ours, 107, STOP).await;
        assert!(matches!(refused, Posted::Refused(Error::ServiceDown { service: PVE_CLUSTER, .. })), "{refused:?}");
        sim.cluster().set_service("pve1", Service::Up);
        let looks = client(&sim, "ecobox@pve!looks");
        assert!(matches!(post(&looks, 107, STOP).await, Posted::Refused(Error::Denied { .. })));
        let test = client(&sim, "other@pve!test");
        assert!(matches!(post(&test, 107, GuestCall::Hibernate).await, Posted::Refused(Error::Denied { .. })));
        assert!(sim.cluster().task_history().is_empty());
        sim.node("pve1").stop();
        assert!(matches!(post(&ours, 107, STOP).await, Posted::Refused(Error::Connect { .. })));
    });
}
