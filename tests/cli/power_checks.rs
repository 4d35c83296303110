//! `ecobox power`: what speaks against a host that goes down, one reason at a time.

use ecobox_sim::Cluster;
use ecobox_sim::host::{Builder, Host, Nic};
use serde_json::Value;

use super::env::Run;
use super::world::{Pve, Served, World, assert_transcript};

/// The ids of what was found.
fn found(run: &Run) -> Vec<String> {
    let report = run.json();
    let checks = report["checks"].as_array().unwrap().clone();
    checks.iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}

/// This reason alone speaks against the action, with a line that helps; it is allowed by its own name and by no other,
/// and `--yes` is no such word. Nothing was sent.
#[track_caller]
fn refused_for(world: &World, server: &Served, action: &str, id: &str, fix: &str) {
    let target = server.name.as_str();
    let run = world.run(&["power", action, target, "--yes", "-o", "json"]).exits(11);
    assert_eq!(found(&run), [id], "{run}");
    assert_eq!(
        (run.json()["steps"][0]["result"].as_str(), run.json()["dry_run"].as_bool()),
        (Some("not tried"), Some(false))
    );
    let run = run.says(&format!("error: {action} {target}: ")).says(fix);
    // Nothing is gained by allowing what the host itself refuses.
    assert_eq!(run.stderr.contains(&format!("add `--allow {id}`")), id != "sleep-masked", "{run}");
    assert_eq!(run.json()["checks"][0]["allowed"], false);
    let other = if id == "quorum-lost" { "logged-in-users" } else { "quorum-lost" };
    let _ = world.run(&["power", action, target, "--yes", "--allow", other]).exits(11).says(fix);
    let run = world.run(&["power", action, target, "--dry-run", "--allow", id, "-o", "json"]).exits(0);
    assert_eq!(
        (found(&run).as_slice(), &run.json()["checks"][0]["allowed"]),
        (&[id.to_owned()][..], &Value::Bool(true))
    );
    assert_eq!(run.json()["steps"][0]["result"], "planned");
    let _ = run.says(&format!("(allowed: {id})"));
    assert_eq!(server.host.timers(), [] as [&str; 0], "{id}");
}

/// Plain hosts, known and configured with their network cards.
fn serve(world: &World, hosts: Vec<Builder>) -> Vec<Served> {
    let served: Vec<Served> = hosts.into_iter().map(|host| world.serve(host.build())).collect();
    world.know_all(&served);
    world.configure(&served.iter().map(Served::wakeable).collect::<String>());
    served
}

#[test]
fn each_reason_of_a_plain_host_stands_alone() {
    let world = World::new();
    let off = Nic::physical("enp3s0", "bc:24:11:00:00:01").wol("pumbg", "d");
    let served = serve(
        &world,
        vec![
            Host::debian("quiet"),
            Host::debian("desk").logged_in("anna", "pts/0", "10.0.0.5"),
            Host::debian("player").inhibitor("mpv", "sleep", "Playing video", "block"),
            Host::debian("saver").inhibitor("upsd", "sleep", "delays only", "delay"),
            Host::debian("server").sleep_masked(),
            Host::debian("deaf").nics(vec![off]),
        ],
    );
    served[5].host.set_wol_mac("bc:24:11:00:00:01");
    world.configure(&served.iter().map(Served::wakeable).collect::<String>());
    for quiet in [&served[0], &served[3]] {
        let run = world.run(&["power", "suspend", &quiet.name, "--dry-run", "-o", "json"]).exits(0);
        assert_eq!(found(&run), [] as [&str; 0], "{run}");
    }
    refused_for(&world, &served[1], "suspend", "logged-in-users", "logged in: anna on pts/0 from 10.0.0.5");
    refused_for(&world, &served[1], "shutdown", "logged-in-users", "ask them to log out");
    refused_for(&world, &served[2], "suspend", "sleep-inhibited", "programs ask not to suspend: mpv (Playing video)");
    refused_for(&world, &served[4], "suspend", "sleep-masked", "run `systemctl unmask sleep.target` on server");
    refused_for(&world, &served[5], "suspend", "wol-not-armed", "add `--arm-wol`");
    // What only concerns sleep does not keep from switching off.
    for (server, call) in [(&served[2], "shutdown"), (&served[4], "reboot"), (&served[5], "shutdown")] {
        let run = world.run(&["power", call, &server.name, "--dry-run", "-o", "json"]).exits(0);
        assert_eq!(found(&run), [] as [&str; 0], "{run}");
    }
    let history = world.run(&["status", "--since", "1h", "-o", "json"]).exits(0).json();
    let details: Vec<_> = history["actions"].as_array().unwrap().iter().map(|one| one["detail"].clone()).collect();
    assert!(details.contains(&"sleep-masked".into()) && !details.contains(&Value::Null), "{history:#}");
}

#[test]
fn who_could_not_be_woken_again_is_not_put_to_sleep() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&nas.entry());
    let fix = "put `mac = \"aa:bb:cc:dd:ee:ff\"` under [servers.wol] of `nas`";
    refused_for(&world, &nas, "suspend", "no-wake-path", fix);
    refused_for(&world, &nas, "hibernate", "no-wake-path", "nothing could wake it again");
    let _ = world.run(&["power", "shutdown", "nas", "--dry-run"]).exits(0);
}

#[test]
fn the_way_to_others_is_not_cut() {
    let world = World::new();
    let (gate, inner) = (world.serve(Host::debian("gate").build()), world.serve(Host::debian("inner").build()));
    gate.host.map_port(2, inner.ssh.port());
    world.know(&gate);
    world.know_line(&inner.ssh.known_hosts_line().replace(&format!(":{} ", inner.ssh.port()), ":2 "));
    let behind = super::world::entry("inner", "root", 2, None);
    let behind =
        format!("{}\nproxy_jump = \"admin@127.0.0.1:{}\"\n{}", behind.trim_end(), gate.ssh.port(), inner.wol(""));
    world.configure(&format!("{}{behind}", gate.wakeable()));
    refused_for(&world, &gate, "suspend", "self", "it is the SSH jump host of inner");
    refused_for(&world, &gate, "reboot", "self", "reach them another way first");
}

#[test]
fn inhibitors_that_are_allowed_are_passed_over() {
    let world = World::new();
    let served = serve(&world, vec![Host::debian("player").inhibitor("mpv", "sleep", "Playing video", "block")]);
    let run = world.run(&["power", "suspend", "player", "--yes", "--allow", "sleep-inhibited"]).exits(0);
    let run = run.says("warning: player: programs ask not to suspend: mpv (Playing video) (allowed: sleep-inhibited)");
    let timers = served[0].host.timers();
    assert!(timers.len() == 1 && timers[0].ends_with("/usr/bin/systemctl start suspend.target"), "{timers:?}\n{run}");
    assert_eq!(served[0].host.events(), ["suspend"]);
}

#[test]
fn wake_on_lan_is_armed_on_the_way() {
    let world = World::new();
    let off = Nic::physical("enp3s0", "bc:24:11:00:00:01").wol("pumbg", "d");
    let served = serve(&world, vec![Host::debian("deaf").nics(vec![off])]);
    served[0].host.set_wol_mac("bc:24:11:00:00:01");
    world.configure(&served[0].wakeable());
    let _ = world.run(&["power", "suspend", "deaf", "--dry-run", "--arm-wol"]).exits(0);
    assert_eq!(served[0].host.wol_armed("enp3s0").as_deref(), Some("d"));
    let _ = world.run(&["power", "suspend", "deaf", "--yes", "--arm-wol"]).exits(0);
    assert_eq!((served[0].host.wol_armed("enp3s0").as_deref(), served[0].host.timers().len()), (Some("g"), 1));
}

/// What its hardware cannot do no option makes it do.
#[test]
fn a_card_that_cannot_wake_is_neither_armed_nor_said_to_be() {
    for supported in ["d", "pub"] {
        let world = World::new();
        let deaf = Nic::physical("enp3s0", "bc:24:11:00:00:01").wol(supported, "d");
        let served = serve(&world, vec![Host::debian("deaf").nics(vec![deaf])]);
        served[0].host.set_wol_mac("bc:24:11:00:00:01");
        world.configure(&served[0].wakeable());
        for args in [&["--dry-run"][..], &["--yes"], &["--dry-run", "--arm-wol"], &["--yes", "--arm-wol"]] {
            let run = world.run(&[&["power", "suspend", "deaf"], args].concat()).exits(11);
            let run = run.says("its network card (enp3s0) does not support Wake-on-LAN by magic packet");
            let offered = run.stderr.lines().filter(|line| line.contains("--arm-wol"));
            assert_eq!(offered.count(), 0, "{run}");
        }
        assert_eq!(served[0].host.wol_armed("enp3s0").as_deref(), Some("d"));
        assert_eq!(served[0].host.timers(), [] as [&str; 0]);
        // Nor does the first look at it say so.
        let run = world.run(&["init"]).exits(0);
        assert!(run.stdout.contains("unsupported") && !format!("{run}").contains("--arm-wol"), "{run}");
    }
}

/// A cluster with a token, its nodes' cards in the configuration.
fn ready(world: &World, cluster: Cluster, describe: impl Fn(Builder) -> Builder) -> Pve {
    let pve = world.cluster_with(cluster, describe);
    world.configure(&pve.nodes.iter().map(Served::wakeable).collect::<String>());
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve
}

#[test]
fn three_good_reasons() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1").node("pve2").node("pve3");
    let cluster = cluster.vm(102, "db-01", |vm| vm.on("pve2").running()).ct(201, "dns", |ct| ct.on("pve2").running());
    let pve = ready(&world, cluster, |host| host.logged_in("anna", "pts/0", "10.0.0.5"));
    pve.sim.node("pve3").stop();
    let run = world.run(&["power", "suspend", "pve2", "--yes"]).exits(11);
    assert_transcript!("power_three_good_reasons", run);
    assert_eq!((pve.node("pve2").host.timers().len(), pve.sim.cluster().task_history().len()), (0, 0));
    let all = ["--allow", "logged-in-users,quorum-lost", "--guests", "shutdown", "--dry-run"];
    let run = world.run(&[&["power", "suspend", "pve2"][..], &all[..]].concat()).exits(0);
    assert_transcript!("power_reasons_allowed", run);
}

#[test]
fn each_reason_of_a_cluster_stands_alone() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1").node("pve2").node("pve3");
    let cluster = cluster
        .vm(102, "db-01", |vm| vm.on("pve2").locked("backup"))
        .vm(103, "spare", |vm| vm.on("pve3").ha("started"))
        .vm(104, "late", |vm| vm.on("pve1"));
    let pve = ready(&world, cluster, |host| host);
    // A lock that no backup holds is none.
    let left = "guests are locked for a backup, and none runs: pve2-vm-102";
    refused_for(&world, pve.node("pve2"), "suspend", "guest-locked", left);
    refused_for(&world, pve.node("pve2"), "suspend", "guest-locked", "run `qm unlock 102` on pve2");
    pve.sim.cluster().run_task("vzdump", 102, "root@pam", 1e6);
    refused_for(
        &world,
        pve.node("pve2"),
        "suspend",
        "backup-running",
        "a backup runs on it: vzdump of 102 by root@pam",
    );
    refused_for(
        &world,
        pve.node("pve3"),
        "suspend",
        "ha-managed",
        "its watchdog would reset it when it wakes: pve3-vm-103",
    );
    pve.sim.cluster().timing.lock_wait = 1e6;
    pve.sim.cluster().hold_lock(104, true);
    let _ = world.run(&["power", "start", "vm-104", "--no-wait"]).exits(0);
    refused_for(&world, pve.node("pve1"), "suspend", "tasks-running", "tasks run on it: qmstart of 104 by ecobox@pve!");
    pve.sim.cluster().hold_lock(104, false);
    pve.sim.cluster().change_guest(102, ecobox_sim::Guest::running);
    let run = world.run(&["power", "shutdown", "pve2", "--yes", "--allow", "backup-running", "-o", "json"]).exits(11);
    assert_eq!(found(&run), ["running-guests", "backup-running"], "{run}");
    let _ = run.says("1 guest runs on it: vm-102 (db-01)").says("add `--guests shutdown` (or `hibernate`, `leave`)");
}

#[test]
fn a_backup_of_all_guests_is_the_nodes_own_task() {
    let world = World::new();
    let pve = ready(&world, Cluster::new("homelab").node("pve1"), |host| host);
    pve.sim.cluster().run_node_task("vzdump", "pve1", "root@pam", 1e6);
    refused_for(&world, pve.node("pve1"), "suspend", "backup-running", "a backup runs on it: vzdump by root@pam");
}

#[test]
fn votes_are_counted_as_they_are_left() {
    let world = World::new();
    let pve = ready(&world, Cluster::new("pair").node("pve1").node("pve2"), |host| host);
    refused_for(
        &world,
        pve.node("pve2"),
        "suspend",
        "quorum-lost",
        "its cluster would lose quorum: 1 of 2 nodes would be left",
    );
}

#[test]
fn eighty_columns_are_enough() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1").vm(102, "database-of-the-shop", |vm| vm.on("pve1").running());
    let pve = ready(&world, cluster, |host| host);
    let args = ["power", "suspend", "pve1", "--guests", "shutdown", "--dry-run"];
    let text = super::past::on_terminal(&world.env, &args, 80, "C.UTF-8", "/dev/null");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    assert_transcript!("power_80_columns", lines.join("\n"));
    assert_eq!(pve.node("pve1").host.timers().len(), 0);
}
