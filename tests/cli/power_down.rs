//! `ecobox power`: guests first, then their host.

use ecobox_sim::Cluster;
use ecobox_sim::host::Host;

use super::env::{Run, skipped};
use super::power_hosts::history;
use super::power_who::own_mac;
use super::world::{FAST, Pve, World, assert_transcript};

/// A node with guests that start in an order, a token, and its card.
fn house(world: &World) -> Pve {
    let order = |vm: ecobox_sim::Guest, order: u8| vm.on("pve1").running().config("startup", format!("order={order}"));
    let cluster = Cluster::new("homelab")
        .node("pve1")
        .vm(101, "web-01", |vm| order(vm, 3))
        .vm(102, "db-01", |vm| order(vm, 2))
        .ct(201, "dns", |ct| order(ct, 1))
        .vm(103, "spare", |vm| vm.on("pve1"));
    let pve = world.cluster(cluster);
    world.configure(&format!("{FAST}{}", pve.node("pve1").wakeable()));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sim.clear_requests();
    pve
}

/// `id action result` of each step.
fn steps(run: &Run) -> Vec<String> {
    let report = run.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap().clone();
    steps
        .iter()
        .map(|step| format!("{} {} {}", text(&step["id"]), text(&step["action"]), text(&step["result"])))
        .collect()
}

/// The guests' calls, without the node.
fn calls(pve: &Pve) -> Vec<String> {
    let short = |post: String| post.replace("/nodes/pve1/", "").split(' ').next().unwrap_or_default().to_owned();
    pve.sim.posts().into_iter().map(short).collect()
}

#[test]
fn guests_are_shut_down_in_reverse_order_and_then_their_host() {
    let world = World::new();
    let pve = house(&world);
    pve.sleeps_with_hosts();
    let run = world.run(&["power", "suspend", "pve1", "--guests", "shutdown", "--dry-run"]).exits(0);
    assert_transcript!("power_down_plan", run);
    let run = world.run(&["power", "suspend", "pve1", "--guests", "shutdown", "--yes", "-o", "json"]).exits(0);
    assert_eq!(
        calls(&pve),
        ["qemu/101/status/shutdown", "qemu/102/status/shutdown", "lxc/201/status/shutdown"],
        "{run}"
    );
    assert_eq!(pve.node("pve1").host.timers().len(), 1);
    assert_eq!(history(&world).last().unwrap(), "pve1|suspend|done");
    let _ = world.run(&["status", "--cached"]).exits(0);
}

#[test]
fn memory_goes_to_disk_and_containers_are_shut_down() {
    let world = World::new();
    let pve = house(&world);
    pve.sleeps_with_hosts();
    // An operator's token is not enough for this.
    let _ = world.run(&["power", "shutdown", "pve1", "--guests", "hibernate", "--yes"]).exits(4).says("VM.Config.Disk");
    assert_eq!(pve.node("pve1").host.timers().len(), 0);
    let token = pve.tokens().remove(0);
    for who in ["ecobox@pve", &token] {
        let rights = ["VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "Datastore.AllocateSpace", "Sys.Audit"];
        pve.sim.cluster().access().grant("/", who, &rights, true);
    }
    pve.sim.cluster().change_guest(201, ecobox_sim::Guest::running);
    pve.sim.clear_requests();
    let run = world.run(&["power", "shutdown", "pve1", "--guests", "hibernate", "--yes", "-o", "json"]).exits(0);
    assert_eq!(calls(&pve), ["qemu/101/status/suspend", "qemu/102/status/suspend", "lxc/201/status/shutdown"], "{run}");
    assert_eq!(pve.node("pve1").host.events(), ["poweroff"]);
}

#[test]
fn guests_may_be_left_to_their_host() {
    let world = World::new();
    let pve = house(&world);
    pve.sleeps_with_hosts();
    let run = world.run(&["power", "suspend", "pve1", "--guests", "leave", "--yes", "-o", "json"]).exits(0);
    assert_eq!((steps(&run), calls(&pve).len()), (vec!["pve1 suspend done".to_owned()], 0));
}

#[test]
fn a_guest_that_stays_keeps_its_host_up() {
    let world = World::new();
    let pve = house(&world);
    pve.sim.cluster().change_guest(101, |vm| vm.ignores_shutdown().shutdown_limit(1));
    let run = world.run(&["power", "suspend", "pve1", "--guests", "shutdown", "--yes", "-o", "json"]);
    assert_eq!(steps(&run)[3..], ["pve1 suspend not tried"], "{run}");
    assert!(run.code != 0, "{run}");
    assert_eq!(pve.node("pve1").host.timers().len(), 0);
    assert_eq!(calls(&pve)[0], "qemu/101/status/shutdown");
    let _ = run.says("shutdown pve1-vm-101: ");
}

/// Has a host show that a virtual machine runs there, with a network card of this address.
fn shows(host: &Host, vmid: u32, mac: &str) {
    host.write_file(&format!("sys/fs/cgroup/qemu.slice/{vmid}.scope/cgroup.procs"), "4999\n");
    let command = format!("/usr/bin/kvm\0-id\0{vmid}\0-device\0virtio-net-pci,mac={mac},netdev=net0\0");
    host.write_file("proc/4999/cmdline", &command);
}

#[test]
fn a_guest_that_only_its_host_shows_keeps_it_up() {
    let other = "BC:24:11:99:99:99";
    // Before anything is sent.
    let world = World::new();
    let pve = house(&world);
    shows(&pve.node("pve1").host, 103, other);
    let args = ["power", "suspend", "pve1", "--guests", "shutdown", "--yes"];
    let run = world.run(&args).exits(11).says("guests run on it that its API does not list as running: 103");
    assert_eq!((pve.node("pve1").host.timers().len(), calls(&pve).len()), (0, 0), "{run}");
    // While its guests go down.
    let world = World::new();
    let pve = house(&world);
    let host = pve.node("pve1").host.clone();
    pve.sim.cluster().after("POST", "lxc/201/status/shutdown", move |_| shows(&host, 103, other));
    let run = world.run(&args).exits(11).says("error: suspend pve1: guests run on it: 103");
    assert_eq!((pve.node("pve1").host.timers().len(), calls(&pve).len()), (0, 3), "{run}");
    // Where its API lists it, too, it is said once.
    let world = World::new();
    let pve = house(&world);
    let host = pve.node("pve1").host.clone();
    pve.sim.cluster().after("POST", "lxc/201/status/shutdown", move |cluster| {
        shows(&host, 103, other);
        cluster.change_guest(103, ecobox_sim::Guest::running);
    });
    let run = world.run(&args).exits(11);
    assert_eq!(run.stderr.matches("guests run on it: 103").count(), 1, "{run}");
}

#[test]
fn the_host_of_the_guest_that_ecobox_runs_in() {
    let Some(mac) = own_mac() else {
        skipped("this machine has no network card");
        return;
    };
    for way in [["--guests", "leave"], ["--allow", "running-guests"], ["--guests", "shutdown"]] {
        let world = World::new();
        let pve = house(&world);
        shows(&pve.node("pve1").host, 101, &mac.to_uppercase());
        let run = world.run(&[&["power", "suspend", "pve1", "--yes"][..], &way].concat()).exits(11);
        let run = run.says("ecobox runs in its guest pve1-vm-101").says("--allow self");
        assert_eq!((pve.node("pve1").host.timers().len(), calls(&pve).len()), (0, 0), "{run}");
    }
}

#[test]
fn what_happens_meanwhile_is_seen_at_the_last_look() {
    let world = World::new();
    let pve = house(&world);
    pve.sim
        .cluster()
        .after("POST", "lxc/201/status/shutdown", |cluster| cluster.change_guest(103, ecobox_sim::Guest::running));
    let run = world.run(&["power", "suspend", "pve1", "--guests", "shutdown", "--yes"]).exits(11);
    let _ = run.says("error: suspend pve1: guests run on it: 103").says("--allow running-guests");
    assert_eq!((pve.node("pve1").host.timers().len(), calls(&pve).len()), (0, 3));
    // And somebody logs in.
    let world = World::new();
    let pve = house(&world);
    let host = pve.node("pve1").host.clone();
    pve.sim.cluster().after("POST", "lxc/201/status/shutdown", move |_| host.log_in("anna", "pts/0", "10.0.0.5"));
    let run = world.run(&["power", "suspend", "pve1", "--guests", "shutdown", "--yes"]).exits(11);
    let _ = run.says("error: suspend pve1: logged in: anna on pts/0 from 10.0.0.5");
    assert_eq!(pve.node("pve1").host.timers().len(), 0);
}

#[test]
fn who_names_both_means_the_guest_first() {
    let world = World::new();
    let pve = house(&world);
    pve.sleeps_with_hosts();
    let run = world.run(&["power", "shutdown", "pve1", "vm-101", "vm-102", "ct-201", "--yes", "-o", "json"]).exits(0);
    assert_eq!(steps(&run)[3..], ["pve1 shutdown done"], "{run}");
    assert_eq!(calls(&pve).len(), 3);
}

#[test]
fn what_hangs_on_a_host_goes_first() {
    let world = World::new();
    let (shelf, nas) = (world.serve(Host::debian("shelf").build()), world.serve(Host::debian("nas").build()));
    world.know(&shelf);
    world.know(&nas);
    let child = format!("{}\nparent_server_id = \"shelf\"\n{}", nas.entry().trim_end(), nas.wol(""));
    world.configure(&format!("{FAST}{}{child}", shelf.wakeable()));
    let run = world.run(&["power", "suspend", "shelf", "--yes"]).exits(11);
    let _ = run
        .says("servers that depend on it are online: nas")
        .says("name it in the same command")
        .says("--allow running-guests");
    let run = world.run(&["power", "suspend", "shelf", "nas", "--yes", "-o", "json"]).exits(0);
    assert_eq!(steps(&run), ["nas suspend done", "shelf suspend done"]);
    assert_eq!((shelf.host.events(), nas.host.events()), (vec!["suspend".to_owned()], vec!["suspend".to_owned()]));
    // And up again, the other way round.
    let run = world.run(&["power", "wake", "nas", "-o", "json"]).exits(0);
    assert_eq!(steps(&run), ["shelf wake done", "nas wake done"]);
}

#[test]
fn a_host_that_is_gone_in_the_middle_is_not_put_to_sleep() {
    let world = World::new();
    let pve = house(&world);
    let host = pve.node("pve1").host.clone();
    pve.sim.cluster().after("POST", "lxc/201/status/shutdown", move |_| host.suspend());
    let run = world.run(&["power", "suspend", "pve1", "--guests", "shutdown", "--yes"]).exits(5);
    let run = run.says("error: suspend pve1: failed: ");
    assert_eq!((pve.node("pve1").host.timers().len(), calls(&pve).len()), (0, 3), "{run}");
}
