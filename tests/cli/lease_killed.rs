//! `ecobox run` killed by SIGKILL at each step: after the next run the host does as the rules say.

use rustix::process::{Pid, Signal, kill_process};

use super::lease::{Waiting, events, kept, sleeping};
use super::power_hosts::begin;
use super::world::{World, until};

fn kill(mut child: std::process::Child) {
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn while_it_looks() {
    let world = World::new();
    let nas = sleeping(&world);
    nas.host.wake();
    nas.host.set_hanging(true);
    let before = nas.ssh.logins();
    let child = begin(&world, &["run", "nas", "--", "true"]);
    until(|| nas.ssh.logins() > before || world.count("leases") > 0);
    kill(child);
    nas.host.set_hanging(false);
    // It was awake: nobody puts it to sleep.
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(events(&nas), ["wake"]);
    assert_eq!(kept(&world).1, 0);
}

#[test]
fn while_it_waits_for_the_host() {
    let world = World::new();
    let nas = sleeping(&world);
    nas.host.wake_after(usize::MAX);
    let child = begin(&world, &["run", "nas", "--", "true"]);
    until(|| nas.packets() > 0);
    kill(child);
    assert_eq!(kept(&world), (1, 1));
    // The dead one's lease keeps nobody from anything.
    let _ = world.run(&["power", "suspend", "nas", "--yes"]).exits(0);
    nas.host.wake_after(1);
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(events(&nas), ["wake", "suspend"]);
    assert_eq!(kept(&world).1, 0);
}

#[test]
fn while_the_host_wakes_late() {
    let world = World::new();
    let nas = sleeping(&world);
    nas.host.wake_after(usize::MAX);
    let child = begin(&world, &["run", "nas", "--", "true"]);
    until(|| nas.packets() > 0);
    kill(child);
    // Its packets wake it after all: it is up only because of that lease.
    nas.host.wake();
    let list = world.run(&["status"]).exits(0);
    assert!(list.stdout.contains("online"), "{list}");
    let list = world.run(&["hold", "--list"]).exits(0);
    assert!(list.stdout.contains("nas is up because of a lease that has ended: `ecobox release nas`"), "{list}");
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(events(&nas), ["wake", "suspend"]);
}

#[test]
fn while_the_command_runs() {
    let world = World::new();
    let nas = sleeping(&world);
    Waiting::begin(&world, &["run", "nas"]).kill();
    assert_eq!((events(&nas), kept(&world)), (vec!["wake".to_owned()], (1, 1)));
    let list = world.run(&["hold", "--list", "-o", "json"]).exits(0).json();
    assert_eq!((list["leases"].as_array().unwrap().len(), &list["left"][0]["server"]), (0, &"nas".into()), "{list}");
    // It is awake because of a lease; so the next one takes it down.
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!((events(&nas), kept(&world).1), (vec!["wake".to_owned(), "suspend".to_owned()], 0));

    // The same by hand.
    Waiting::begin(&world, &["run", "nas"]).kill();
    let run = world.run(&["release", "nas", "-o", "json"]).exits(0);
    assert_eq!((&run.json()["released"], &run.json()["servers"][0]["result"]), (&0.into(), &"done".into()), "{run}");
    assert_eq!(events(&nas).len(), 4);

    // And another one still needs it.
    Waiting::begin(&world, &["run", "nas"]).kill();
    let other = Waiting::begin(&world, &["run", "nas"]);
    let run = world.run(&["release", "nas"]).exits(11).says("ends with its command");
    assert_eq!(events(&nas).len(), 5, "{run}");
    let _ = other.end(&world).exits(7);
    assert_eq!(events(&nas).len(), 6);
}

#[test]
fn while_the_host_goes_to_sleep() {
    let world = World::new();
    let nas = sleeping(&world);
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    waiting.let_end();
    until(|| nas.host.timers().len() == 2);
    kill(waiting.child);
    // What was sent takes effect while the next one waits for that; then it is woken, and put to sleep again.
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    // Or its lock is there before that: then the host goes to sleep once, at its end.
    let events = events(&nas);
    assert!(matches!(events.len(), 2 | 4) && events.chunks(2).all(|pair| pair == ["wake", "suspend"]), "{events:?}");
    assert_eq!((kept(&world).1, nas.host.timers().len()), (0, 3));
}
