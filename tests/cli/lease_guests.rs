//! Leases on guests: their host is woken for them, and both go down again.

use super::fleets::Open;
use super::lease::{Waiting, kept};
use super::power_wake::{evening, put_to_sleep};
use super::world::World;

const START: &str = "/nodes/pve1/qemu/101/status/start";
const SHUTDOWN: &str = "/nodes/pve1/qemu/101/status/shutdown";

#[test]
fn a_guest_and_its_host_are_up_for_a_command() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    put_to_sleep(&world, &pve);
    let script = "echo $ECOBOX_TARGET $ECOBOX_HOST $ECOBOX_ADDRESS";
    let run = world.run(&["run", "vm-101", "--", "sh", "-c", script]).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("pve1-vm-101 pve1 127.0.0.1\n", ""), "{run}");
    assert_eq!(pve.sim.posts(), [START, SHUTDOWN]);
    assert_eq!(pve.node("pve1").host.events(), ["suspend", "wake", "suspend"]);
    assert_eq!(kept(&world), (0, 0));
}

#[test]
fn a_host_stays_for_guests_that_others_started() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    put_to_sleep(&world, &pve);
    // The guest is started by hand while the host is awake for something else.
    let waiting = Waiting::begin(&world, &["run", "pve1"]);
    let _ = world.run(&["power", "start", "vm-101"]).exits(0);
    let run = waiting.end(&world).exits(7).says("pve1 stays up: 1 guest runs on it: vm-101 (web-01)");
    assert_eq!(pve.sim.posts(), [START], "{run}");
    assert_eq!(pve.node("pve1").host.events(), ["suspend", "wake"]);
    assert_eq!(kept(&world), (0, 1));
    // The next one may say what becomes of it.
    let _ = world.run(&["run", "pve1", "--guests", "shutdown", "--", "true"]).exits(0);
    assert_eq!(pve.sim.posts(), [START, SHUTDOWN]);
    assert_eq!(pve.node("pve1").host.events(), ["suspend", "wake", "suspend"]);
}

#[test]
fn a_guest_on_a_host_that_is_awake_is_held_with_it() {
    let world = World::new();
    let service = Open::new();
    let pve = evening(&world, service.port());
    let waiting = Waiting::begin(&world, &["run", "vm-101"]);
    let _ = world.run(&["power", "shutdown", "vm-101", "--yes"]).exits(11).says("it is held: run by");
    let run = world.run(&["power", "suspend", "pve1", "--guests", "leave", "--yes"]).exits(11);
    let _ = run.says("suspend pve1: it is held: run by");
    assert_eq!(pve.sim.posts(), [START]);
    let _ = waiting.end(&world).exits(7);
    assert_eq!(pve.sim.posts(), [START, SHUTDOWN]);
    assert_eq!(pve.node("pve1").host.events(), [""; 0], "it was awake before");
}
