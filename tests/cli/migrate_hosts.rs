//! `power … --guests migrate` and `wake … --guests return`: guests go elsewhere while their host sleeps, and come back.

use ecobox_sim::{Cluster, Guest};

use super::env::Run;
use super::migrate::manager;
use super::power_idle::{idle_for, quiet};
use super::world::{FAST, Pve, World, assert_transcript};

const GIB: u64 = 1 << 30;

/// Three nodes that sleep with their hosts. The first has guests that can move, one that is off, and whatever is added.
fn house(world: &World, describe: impl Fn(Cluster) -> Cluster) -> Pve {
    let node = |used: u64| move |node: ecobox_sim::Node| node.size(8, 32 * GIB).load(0.1, used * GIB);
    let cluster = Cluster::new("homelab")
        .node_with("pve1", node(8))
        .node_with("pve2", node(20))
        .node_with("pve3", node(12))
        .shared_storage("ceph", "rbd", 1000 * GIB, 100 * GIB)
        .vm(101, "web", |vm| vm.on("pve1").running().size(2, 4096).stored_on("ceph"))
        .vm(102, "db", |vm| vm.on("pve1").running().size(2, 2048).stored_on("ceph"))
        .vm(103, "spare", |vm| vm.on("pve1").stopped().stored_on("ceph"))
        .vm(104, "other", |vm| vm.on("pve2").running().stored_on("ceph"));
    let pve = world.cluster(describe(cluster));
    let nodes: String = pve.nodes.iter().map(super::world::Served::wakeable).collect();
    world.configure(&format!("{FAST}{nodes}"));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", token.as_str()] {
        pve.sim.cluster().access().grant("/", who, &manager(), true);
    }
    pve.sleeps_with_hosts();
    pve.sim.clear_requests();
    pve
}

/// `id action result` of each step.
fn steps(run: &Run) -> Vec<String> {
    let report = run.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap().clone();
    let row = |step: &serde_json::Value| ["id", "action", "result"].map(|key| text(&step[key])).join(" ");
    steps.iter().map(row).collect()
}

fn place(pve: &Pve, vmid: u32) -> String {
    pve.sim.cluster().node_of(vmid).unwrap()
}

/// The calls that move guests, without their parameters.
fn moves(pve: &Pve) -> Vec<String> {
    let posts = pve.sim.posts().into_iter().filter(|post| post.contains("/migrate"));
    posts.map(|post| post.split('&').next().unwrap().to_owned()).collect()
}

/// Who is kept as moved away.
fn kept(world: &World) -> Vec<String> {
    world.env.rows("SELECT vmid, host, from_node, to_node FROM moved ORDER BY vmid")
}

const SLEEP: [&str; 6] = ["power", "suspend", "pve1", "--guests", "migrate", "--yes"];
const RETURN: [&str; 6] = ["power", "wake", "pve1", "--guests", "return", "--yes"];

#[test]
fn guests_go_first_and_come_back_when_it_is_woken() {
    let world = World::new();
    let pve = house(&world, |cluster| cluster);
    assert_transcript!("migrate_host_plan", world.run(&[&SLEEP[..5], &["--dry-run"]].concat()).exits(0));
    assert_eq!(pve.sim.posts(), [""; 0]);
    let run = world.run(&[&SLEEP[..], &["-o", "json"]].concat()).exits(0);
    assert_eq!(steps(&run), ["pve1-vm-101 migrate done", "pve1-vm-102 migrate done", "pve1 suspend done"], "{run}");
    // 20 of 32 GiB free on pve3: it has 16 left after the first, and pve2 12.
    let mut sent = moves(&pve);
    sent.sort();
    assert_eq!(sent, ["/nodes/pve1/qemu/101/migrate target=pve3", "/nodes/pve1/qemu/102/migrate target=pve3"], "{run}");
    assert_eq!((place(&pve, 101), place(&pve, 103)), ("pve3".to_owned(), "pve1".to_owned()));
    assert_eq!(pve.node("pve1").host.events(), ["suspend"]);
    assert_eq!(kept(&world), ["101|pve1|pve1|pve3", "102|pve1|pve1|pve3"]);
    let _ = world.run(&["status"]).exits(0);

    // Somebody moves one of them meanwhile: it stays where it is.
    pve.sim.cluster().migrate_guest(102, "pve2");
    pve.sim.clear_requests();
    let run = world.run(&[&RETURN[..5], &["--dry-run", "-o", "json"]].concat()).exits(0);
    assert_eq!(steps(&run), ["pve1 wake planned", "pve3-vm-101 migrate planned"], "{run}");
    assert_eq!(kept(&world).len(), 2);
    let run = world.run(&[&RETURN[..], &["-o", "json"]].concat()).exits(0).says("is on pve2 now: it stays there");
    assert_eq!(steps(&run), ["pve1 wake done", "pve3-vm-101 migrate done"], "{run}");
    assert_eq!(moves(&pve), ["/nodes/pve3/qemu/101/migrate target=pve1"]);
    assert_eq!((place(&pve, 101), place(&pve, 102)), ("pve1".to_owned(), "pve2".to_owned()));
    assert_eq!((kept(&world), pve.node("pve1").host.events()), (vec![], vec!["suspend".to_owned(), "wake".to_owned()]));
    // Nothing is left to come back.
    let _ = world.run(&RETURN).exits(0).says("no guest was moved away from pve1: nothing to bring back");
}

#[test]
fn a_guest_that_cannot_move_refuses_the_whole() {
    type Change = fn(Guest) -> Guest;
    let changes: [(&str, Change, &str); 5] = [
        ("local disks", |vm| vm.stored_on("local"), "pve1-vm-102: it has disks that only pve1 has"),
        ("a device", |vm| vm.config("hostpci0", "0000:01:00.0"), "pve1-vm-102: it uses devices of its node: hostpci0"),
        ("locked", |vm| vm.locked("backup"), "pve1-vm-102: its configuration is locked (backup)"),
        ("too big", |vm| vm.size(2, 30_720), "pve1-vm-102: no other node can take it: pve2 has 12G of memory free"),
        ("HA in error", |vm| vm.ha("error"), "pve1-vm-102: its HA state is error"),
    ];
    for (what, change, words) in changes {
        let world = World::new();
        let pve = house(&world, |cluster| cluster);
        pve.sim.cluster().change_guest(102, change);
        let run = world.run(&SLEEP).exits(11).says(words);
        assert_eq!((pve.sim.posts(), pve.node("pve1").host.events()), (vec![], vec![]), "{what}\n{run}");
        assert_eq!(kept(&world), [""; 0]);
    }
    // What an override stands for is done.
    let world = World::new();
    let pve = house(&world, |cluster| cluster.ct(201, "dns", |ct| ct.on("pve1").running().stored_on("ceph")));
    let run = world.run(&SLEEP).exits(11).says("pve1-ct-201: it is a container that runs");
    // `power` has no `--restart`: a hint names nothing that does not exist there.
    assert!(run.stderr.contains("hint: add `--allow restart-needed`\n"), "{run}");
    let _ = world.run(&[&SLEEP[..], &["--allow", "restart-needed"]].concat()).exits(0);
    assert!(moves(&pve).iter().any(|post| post.starts_with("/nodes/pve1/lxc/201/migrate")), "{:?}", moves(&pve));
    assert_eq!(pve.node("pve1").host.events(), ["suspend"]);
}

#[test]
fn all_go_to_the_node_that_is_named() {
    let world = World::new();
    let pve = house(&world, |cluster| cluster);
    let _ = world.run(&["power", "shutdown", "pve1", "--guests", "migrate:pve2", "--yes"]).exits(0);
    assert_eq!((place(&pve, 101), place(&pve, 102)), ("pve2".to_owned(), "pve2".to_owned()));
    assert_eq!(pve.node("pve1").host.events(), ["poweroff"]);
    for (args, words) in [
        (["power", "suspend", "pve2", "--guests", "migrate:-"], "neither a node's name nor `any`"),
        (["power", "suspend", "pve2", "--guests", "return"], "goes with `wake`"),
        (["power", "wake", "pve2", "--guests", "migrate"], "goes with what takes a host down"),
    ] {
        let _ = world.run(&args).exits(2).says(words);
    }
}

#[test]
fn no_guest_goes_where_the_lights_go_out() {
    let world = World::new();
    let pve = house(&world, |cluster| cluster.node("pve4").node("pve5"));
    let run = world.run(&["power", "suspend", "pve1", "pve3", "--guests", "migrate", "--dry-run", "-o", "json"]);
    let targets: Vec<_> = run.json()["steps"].as_array().unwrap().iter().map(|step| step["to_node"].clone()).collect();
    assert!(targets.iter().all(|target| *target != "pve3" && *target != "pve1"), "{run}");
    let run = world.run(&["power", "suspend", "pve1", "pve3", "--guests", "migrate:pve3", "--yes"]).exits(11);
    let _ = run.says("pve3 goes down in the same plan");
    assert_eq!(pve.sim.posts(), [""; 0]);
}

#[test]
fn a_guest_of_ha_is_moved_and_no_reason_to_stay() {
    let world = World::new();
    let pve = house(&world, |cluster| {
        cluster.vm(109, "managed", |vm| vm.on("pve1").running().ha("started").stored_on("ceph"))
    });
    let _ = world
        .run(&["power", "suspend", "pve1", "--guests", "shutdown", "--yes"])
        .exits(11)
        .says("HA manages guests on it");
    let run = world.run(&[&SLEEP[..], &["-o", "json"]].concat()).exits(0);
    assert_eq!(place(&pve, 109), "pve3", "{run}");
    assert_eq!(pve.node("pve1").host.events(), ["suspend"]);
}

#[test]
fn a_host_stays_up_when_a_guest_did_not_go() {
    let world = World::new();
    let pve = house(&world, |cluster| cluster);
    pve.sim.cluster().fail_migrations(102, ecobox_sim::MoveFault::Aborted("it does not converge".to_owned()));
    let run = world.run(&[&SLEEP[..], &["-o", "json"]].concat()).says("it does not converge");
    assert_eq!(
        steps(&run),
        ["pve1-vm-101 migrate done", "pve1-vm-102 migrate task failed", "pve1 suspend not tried"],
        "{run}"
    );
    assert!(run.code == 9 && pve.node("pve1").host.events().is_empty(), "{run}");
    // It can be undone.
    let _ = world.run(&RETURN).exits(0);
    assert_eq!((place(&pve, 101), kept(&world)), ("pve1".to_owned(), vec![]));
}

#[test]
fn another_guest_under_the_number_does_not_come_back() {
    let world = World::new();
    let pve = house(&world, |cluster| cluster);
    // Its clock wakes it in the morning; who brings the guests back is another matter.
    let run = world.run(&[&SLEEP[..], &["--until", "8h"]].concat()).exits(0);
    let _ = run.says("off, and left where they are: vm-103 (spare)");
    assert!(pve.node("pve1").host.alarm().is_some());
    let other = "99999999-0000-4000-8000-000000000101";
    pve.sim
        .cluster()
        .replace_guest(101, ecobox_sim::Kind::Qemu, "web", |vm| vm.running().uuid(other).stored_on("ceph"));
    let run = world.run(&RETURN).exits(6).says("pve3-vm-101: another guest has its number now");
    assert_eq!(
        (place(&pve, 101), pve.node("pve1").host.events()),
        ("pve3".to_owned(), vec!["suspend".to_owned()]),
        "{run}"
    );
    // Without it the host can be woken, and nobody is brought back unasked.
    let _ = world.run(&["power", "wake", "pve1"]).exits(0);
    assert_eq!((place(&pve, 102), kept(&world).len()), ("pve3".to_owned(), 2));
}

#[test]
fn what_a_guest_does_is_no_need_of_a_host_that_it_leaves() {
    let world = World::new();
    let mut pve = house(&world, |cluster| cluster);
    pve.nodes = pve.nodes.into_iter().map(quiet).collect();
    pve.sim.cluster().change_guest(101, |vm| vm.load(0.9, 1 << 30).rates(1 << 30, 1 << 30, 0, 0));
    let by_rule = ["power", "suspend", "pve1", "--guests", "migrate", "--if-idle", "30m"];
    let _ = world.run(&by_rule).exits(0).says("pve1 stays awake: idle for ");
    idle_for(&world, 40);
    let run = world.run(&by_rule).exits(0);
    assert_eq!(
        (place(&pve, 101), pve.node("pve1").host.events()),
        ("pve3".to_owned(), vec!["suspend".to_owned()]),
        "{run}"
    );
    assert_eq!(kept(&world).len(), 2);
}
