//! `ecobox power` up: hosts that are woken, and what waits for them.

use ecobox_sim::host::Host;
use ecobox_sim::{Cluster, Moment, Node};

use super::fleets::Open;
use super::pace::deadline;
use super::power_hosts::{begin, end, history, interrupt};
use super::world::{FAST, Pve, Served, World, assert_transcript, until};

/// A node whose stopped guest has a service, with a token and its host known.
pub(crate) fn evening(world: &World, service: u16) -> Pve {
    let pve =
        world.cluster(Cluster::new("homelab").node("pve1").vm(101, "web-01", |vm| vm.on("pve1").agent_ip("127.0.0.1")));
    let guest = format!(
        "[[servers]]\nid = \"pve1-vm-101\"\nparent_server_id = \"pve1\"\nhostname = \"127.0.0.1\"\n\
         [[servers.services]]\nname = \"http\"\nport = {service}\n"
    );
    world.configure(&format!("{FAST}{}{guest}", pve.node("pve1").wakeable()));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    let _ = world.run(&["discover"]).exits(0);
    pve
}

/// The guest's host is put to sleep by ecobox.
pub(crate) fn put_to_sleep(world: &World, pve: &Pve) {
    pve.sleeps_with_hosts();
    let _ = world.run(&["power", "suspend", "pve1", "--yes"]).exits(0);
    assert_eq!(pve.node("pve1").host.events(), ["suspend"]);
    pve.sim.clear_requests();
}

/// Compares a transcript without the times of its steps.
macro_rules! assert_timeless {
    ($name:expr, $run:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\b\d+m?s +", "TIME  ");
        settings.add_filter(r"[0-9]+ rounds? of magic packets (were|was)", "N rounds of magic packets were");
        settings.bind(|| assert_transcript!($name, $run));
    }};
}

#[test]
fn at_eight_in_the_evening() {
    let world = World::new();
    let mut service = Some(Open::new());
    let pve = evening(&world, service.as_ref().unwrap().port());
    put_to_sleep(&world, &pve);
    let run = world.run(&["power", "start", "vm-101", "--dry-run"]).exits(0);
    assert_transcript!("power_start_asleep_plan", run);
    let plan = world.run(&["power", "start", "vm-101", "--dry-run", "-o", "json"]).exits(0).json();
    assert_eq!((pve.node("pve1").packets(), pve.sim.posts().len()), (0, 0));
    let run = world.run(&["power", "start", "vm-101"]).exits(0);
    assert_timeless!("power_start_asleep", run);
    assert_eq!(pve.node("pve1").host.events(), ["suspend", "wake"]);
    assert!(pve.node("pve1").packets() > 0);
    assert_eq!(pve.sim.posts(), ["/nodes/pve1/qemu/101/status/start"]);
    assert_eq!(plan["steps"].as_array().unwrap().len(), 2);
    assert_eq!(world.run(&["status", "--cached", "-o", "json"]).exits(0).states()[0], "pve1 online");

    // Its service does not come: that is said, and the guest runs all the same.
    pve.sim.cluster().crash_guest(101);
    service.take();
    let run = world.run(&["power", "start", "vm-101", "--timeout", &deadline(2)]).exits(10);
    let _ = run.says("start pve1-vm-101: unconfirmed").says("http");
    assert_eq!(pve.sim.posts().len(), 2);
}

#[test]
fn no_guest_is_started_before_its_host_is_ready() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    let node = pve.node("pve1");
    node.host.wake_after(3);
    node.host.suspend();
    pve.sim.cluster().suspend_node("pve1");
    pve.sim.clear_requests();
    let before = node.ssh.logins();
    let child = begin(&world, &["power", "start", "vm-101"]);
    // The third packet wakes it, SSH answers, and its API is late.
    until(|| node.ssh.logins() > before);
    assert!(node.packets() >= 3, "{}", node.packets());
    assert_eq!(pve.sim.requests().len(), 0);
    pve.sim.cluster().resume_node("pve1");
    let run = end(&world, child).exits(0);
    assert_eq!(pve.sim.posts(), ["/nodes/pve1/qemu/101/status/start"], "{run}");
}

#[test]
fn awake_is_not_ready() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    // It wakes, and its Proxmox VE does not come.
    pve.node("pve1").host.suspend();
    pve.sim.cluster().suspend_node("pve1");
    pve.sim.clear_requests();
    let run = world.run(&["power", "start", "vm-101", "--timeout", &deadline(4)]).exits(10);
    let _ = run.says("wake pve1: unconfirmed: it is awake, and cannot start guests yet: its API does not answer (");
    assert_eq!(pve.sim.posts(), [""; 0]);
    assert_eq!(world.run(&["status", "--cached", "-o", "json"]).exits(0).states()[0], "pve1 online");
}

#[test]
fn no_guest_is_started_before_its_cluster_has_quorum() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1").node("pve2").vm(101, "web-01", |vm| vm.on("pve1"));
    let pve = world.cluster(cluster);
    world.configure(&format!("{FAST}{}{}", pve.node("pve1").wakeable(), pve.node("pve2").entry()));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sleeps_with_hosts();
    let to_sleep = || {
        let _ = world.run(&["power", "suspend", "pve1", "--yes", "--allow", "quorum-lost"]).exits(0);
        pve.sim.clear_requests();
    };
    to_sleep();
    pve.sim.cluster().set_quorate(false);
    let run = world.run(&["power", "start", "vm-101", "--timeout", &deadline(3)]).exits(10);
    let _ = run.says("it is awake, and cannot start guests yet: its cluster has no quorum");
    assert_eq!(pve.sim.posts(), [""; 0]);
    // It comes a while after the API.
    to_sleep();
    pve.sim.cluster().on_request(Moment::After, "GET", "/ha/status/current", 2, |c| c.set_quorate(true));
    let run = world.run(&["power", "start", "vm-101"]).exits(0);
    let asked = pve.sim.requests().iter().filter(|request| request.path.contains("/ha/status/current")).count();
    assert!(asked >= 2, "{asked}");
    assert_eq!(pve.sim.posts(), ["/nodes/pve1/qemu/101/status/start"], "{run}");
}

#[test]
fn a_host_that_never_wakes_starts_no_guest() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    pve.node("pve1").host.wake_after(usize::MAX);
    put_to_sleep(&world, &pve);
    let run = world.run(&["power", "start", "vm-101", "--timeout", &deadline(2)]).exits(10);
    assert_timeless!("power_never_wakes", run);
    assert!(pve.node("pve1").packets() > 0);
    assert_eq!(pve.sim.requests().len(), 0);
    assert_eq!(history(&world).last().unwrap(), "pve1|wake|unconfirmed");
    assert_eq!(world.run(&["status", "--cached", "-o", "json"]).exits(0).states()[0], "pve1 asleep");
}

#[test]
fn another_host_that_answers_is_not_the_one_that_was_woken() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    put_to_sleep(&world, &pve);
    pve.node("pve1").ssh.change_host_key();
    let run = world.run(&["power", "start", "vm-101"]).exits(6);
    assert!(run.stderr.contains("wake pve1: failed"), "{run}");
    assert_eq!(pve.sim.posts().len(), 0);
}

/// Plain hosts that sleep, and a relay that may.
fn relayed(world: &World) -> (Served, Served) {
    let (gate, nas) = (world.serve(Host::debian("gate").build()), world.serve(Host::debian("nas").build()));
    for program in ["perl", "python3"] {
        gate.host.link_program(program);
    }
    world.know(&gate);
    world.know(&nas);
    let nas_entry = format!("{}{}", nas.entry().trim_end(), nas.wol("relay = \"gate\""));
    world.configure(&format!("{FAST}{}{nas_entry}", gate.wakeable()));
    (gate, nas)
}

#[test]
fn another_server_sends_the_packets() {
    let world = World::new();
    let (gate, nas) = relayed(&world);
    let run = world.run(&["power", "wake", "nas"]).exits(0);
    assert!(run.stdout.contains("already"), "{run}");
    assert_eq!((nas.packets(), gate.ssh.execs()), (0, 0));
    nas.host.suspend();
    let run = world.run(&["power", "wake", "nas", "--dry-run", "-o", "json"]).exits(0);
    assert_eq!(run.json()["steps"][0]["call"], "magic packet from gate", "{run}");
    let _ = world.run(&["power", "start", "nas"]).exits(0);
    assert!(nas.packets() > 0 && gate.ssh.execs() > 0);
    // The relay sleeps.
    let _ = world.run(&["power", "suspend", "gate", "--yes"]).exits(0);
    nas.host.suspend();
    let before = nas.packets();
    let run = world.run(&["power", "wake", "nas"]).exits(5);
    let _ = run.says("wake nas: failed: the relay gate (asleep) sent nothing: ");
    assert_eq!(nas.packets(), before);
}

/// Who is reached through the sleeping server cannot wake it: `proxy_jump` says so, or `ssh_config` does.
#[test]
fn a_relay_behind_the_server_itself_is_refused() {
    let world = World::new();
    let (gate, nas) = relayed(&world);
    let nas_entry = format!("{}{}", nas.entry().trim_end(), nas.wol("relay = \"gate\""));
    let jump = format!("proxy_jump = \"admin@127.0.0.1:{}\"\n", nas.ssh.port());
    world.configure(&format!("{FAST}{}\n{jump}\n{nas_entry}", gate.entry().trim_end()));
    let run = world.run(&["power", "wake", "nas"]).exits(3);
    assert!(run.stderr.contains("`relay`: `gate` is reached through `admin@127.0.0.1:"), "{run}");
    let config = world.env.home().join("ssh_config");
    let way = format!("Host by-nas\n  HostName 127.0.0.1\n  ProxyJump admin@127.0.0.1:{}\n", nas.ssh.port());
    std::fs::write(&config, way).unwrap();
    let gate_entry = gate.entry().replace("127.0.0.1", "by-nas");
    world.env.config(&format!("[ssh]\nconfig = \"{}\"\n\n{FAST}{gate_entry}\n{nas_entry}", config.display()));
    nas.host.suspend();
    let run = world.run(&["power", "wake", "nas"]);
    let _ = run.says("the relay gate sent nothing: it is reached through nas itself, which has to be awake for that");
    assert_eq!(nas.packets(), 0);
}

#[test]
fn what_is_sent_is_not_woken() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.wakeable()));
    nas.host.wake_after(usize::MAX);
    let _ = world.run(&["power", "suspend", "nas", "--yes"]).exits(0);
    let run = world.run(&["power", "wake", "nas", "--no-wait"]).exits(0);
    assert!(
        run.stdout.contains("sent") && !run.to_string().contains("woken") && !run.stdout.contains("online"),
        "{run}"
    );
    assert!(nas.packets() > 0);
    let child = begin(&world, &["power", "wake", "nas"]);
    let before = nas.packets();
    until(|| nas.packets() > before);
    assert!(world.run(&["status"]).exits(0).stdout.contains("waking"));
    interrupt(&child);
    let run = end(&world, child).exits(130).says("magic packets for nas were sent; nothing was cancelled");
    assert_eq!(history(&world)[1..], ["nas|wake|done", "nas|wake|interrupted"], "{run}");
}

#[test]
fn nobody_knows_its_address() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&nas.entry());
    nas.host.suspend();
    // The simulated port closes before it falls silent.
    until(|| world.run(&["status", "-o", "json"]).stdout.contains("no answer"));
    let run = world.run(&["power", "wake", "nas"]).exits(11);
    assert_transcript!("power_no_wake_path", run);
    let _ = world.run(&["power", "wake", "nas", "--dry-run"]).exits(11).says("(no-wake-path)");
    // A typo in it has a place.
    world.configure(&format!("{}\n[servers.wol]\nmac = \"aa:bb:cc:dd:ee:fg\"\n", nas.entry().trim_end()));
    let run = world.run(&["power", "wake", "nas"]).exits(3).says("config.toml:10:7: ");
    let _ = run.says("`aa:bb:cc:dd:ee:fg` is not a valid MAC address: 6 bytes as aa:bb:cc:dd:ee:ff");
    // Parents in a circle, too.
    let entry = |id: &str, parent: &str| {
        format!("[[servers]]\nid = \"{id}\"\nhostname = \"{id}\"\nparent_server_id = \"{parent}\"\n")
    };
    world.configure(&format!("{}{}", entry("a", "b"), entry("b", "a")));
    let _ = world.run(&["power", "wake", "a"]).exits(3).says("config.toml:7:20: ").says("a -> b -> a");
}

/// Two nodes; at most the cluster knows the address of the second, which sleeps.
pub(crate) fn cluster_knows(world: &World, describe: impl FnOnce(Node) -> Node) -> Pve {
    let cluster = Cluster::new("pair").node("pve1").node_with("pve2", describe);
    let pve = world.cluster(cluster);
    world.configure(&pve.entries());
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sleeps_with_hosts();
    pve.node("pve2").host.suspend();
    until(|| !pve.sim.cluster().is_online("pve2"));
    pve.sim.clear_requests();
    pve
}

#[test]
fn another_node_wakes_it() {
    let world = World::new();
    let pve = cluster_knows(&world, |node| node.wakeonlan("bc:24:11:00:00:02"));
    for args in [&["power", "wake", "pve2", "--dry-run"][..], &["power", "wake", "pve2"]] {
        let run = world.run(args).exits(4).says("lacks Sys.PowerMgmt on /nodes/pve2").says("(privilege-missing)");
        assert_eq!(pve.sim.posts(), [""; 0], "{run}");
    }
    // Who does not believe it is told so by Proxmox VE, and what was kept is not believed either.
    let run = world.run(&["power", "wake", "pve2", "--allow", "privilege-missing"]).exits(4);
    let _ = run.says("pve1 sent nothing to node pve2: ").says("Sys.PowerMgmt");
    assert_eq!((pve.sim.posts(), world.count("permissions")), (vec!["/nodes/pve2/wakeonlan".to_owned()], 0));
    pve.sim.clear_requests();
    may_wake(&pve);
    let host = pve.node("pve2").host.clone();
    pve.sim.cluster().after("POST", "/wakeonlan", move |_| host.wake());
    let run = world.run(&["power", "wake", "pve2", "-o", "json"]).exits(0);
    assert_eq!(run.json()["steps"][0]["call"], "POST /nodes/pve2/wakeonlan by pve1", "{run}");
    assert_eq!(pve.sim.posts(), ["/nodes/pve2/wakeonlan"]);
}

/// Gives the token what an operator's has not.
pub(crate) fn may_wake(pve: &Pve) {
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", &token] {
        pve.sim.cluster().access().grant("/", who, &["Sys.Audit", "Sys.PowerMgmt", "VM.Audit"], true);
    }
}

#[test]
fn a_missing_privilege_is_known_before_a_host_is_woken() {
    let world = World::new();
    let pve = evening(&world, 1);
    let _ = world.run(&["setup-token", "--scope", "monitor"]).exits(0);
    put_to_sleep(&world, &pve);
    for args in [&["power", "start", "vm-101", "--dry-run"][..], &["power", "start", "vm-101"]] {
        let run = world.run(args).exits(4).says("lacks VM.PowerMgmt on /vms/101, as of ").says("--scope operator");
        assert_eq!(
            (pve.node("pve1").packets(), pve.node("pve1").host.events()),
            (0, vec!["suspend".to_owned()]),
            "{run}"
        );
    }
    // What is kept is as old as it says: somebody may know better.
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", &token] {
        pve.sim.cluster().access().grant("/", who, &["VM.Audit", "Sys.Audit", "VM.PowerMgmt"], true);
    }
    let run = world.run(&["power", "start", "vm-101", "--allow", "privilege-missing", "--timeout", "60"]);
    assert_eq!(pve.sim.posts(), ["/nodes/pve1/qemu/101/status/start"], "{run}");
}

#[test]
fn a_lost_answer_of_another_node_is_no_packet() {
    let world = World::new();
    let pve = cluster_knows(&world, |node| node.wakeonlan("bc:24:11:00:00:02"));
    may_wake(&pve);
    pve.sim.node("pve1").fail_on(Some("POST"), None, None, ecobox_sim::Fault::DropBeforeAnswer);
    let run = world.run(&["power", "wake", "pve2", "--timeout", &deadline(2)]).exits(10);
    let _ = run.says("whether a magic packet was sent is not known (the answer of pve1 was lost: ");
    assert_eq!(pve.sim.posts(), ["/nodes/pve2/wakeonlan"]);
}

#[test]
fn the_cluster_does_not_know_its_address_either() {
    let world = World::new();
    let pve = cluster_knows(&world, |node| node);
    may_wake(&pve);
    let run = world.run(&["power", "wake", "pve2"]).exits(11);
    let _ = run.says("No wake on LAN MAC address defined for").says("under [servers.wol] of `pve2`");
    assert_eq!(pve.sim.posts(), ["/nodes/pve2/wakeonlan"]);
}
