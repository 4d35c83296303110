//! `ecobox power`: hosts and plain servers, over SSH.

use std::process::{Child, Stdio};
use std::time::Duration;

use ecobox_sim::host::{Host, Rights};
use ecobox_sim::ssh::SshFault;
use rustix::process::{Pid, Signal, kill_process};

use super::env::Run;
use super::pace::deadline;
use super::world::{FAST, Served, World, assert_transcript, until};

/// A plain server with its card, logged in to as this user.
fn nas(world: &World, login: &str) -> Served {
    let served = world.serve(Host::debian("nas").build());
    world.know(&served);
    world.configure(&format!("{FAST}{}{}", served.entry_as(login).trim_end(), served.wol("")));
    served
}

/// Begins a run that goes on beside the test.
pub(super) fn begin(world: &World, args: &[&str]) -> Child {
    world.env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a run printed that was begun.
pub(super) fn end(world: &World, child: Child) -> Run {
    world.env.finish(child.wait_with_output().unwrap())
}

/// Ctrl-C.
pub(super) fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// What the history says of the last actions.
pub(super) fn history(world: &World) -> Vec<String> {
    world.env.rows("SELECT server, action, outcome FROM actions WHERE action <> 'setup-token' ORDER BY id")
}

#[test]
fn a_host_sleeps_and_is_known_to_sleep() {
    for login in ["root", "admin"] {
        let world = World::new();
        let nas = nas(&world, login);
        let run = world.run(&["power", "suspend", "nas", "--yes", "-o", "json"]).exits(0);
        let step = run.json()["steps"][0].clone();
        assert_eq!((&step["result"], &step["state"]), (&"done".into(), &"asleep".into()), "{run}");
        assert_eq!((nas.host.timers().len(), nas.host.events()), (1, vec!["suspend".to_owned()]));
        // Before anybody looks again.
        let cached = world.run(&["status", "--cached", "-o", "json"]).exits(0);
        assert_eq!(cached.states(), ["nas asleep"]);
        assert_eq!(world.run(&["status", "-o", "json"]).exits(0).states(), ["nas asleep"]);
        let run = world.run(&["power", "suspend", "nas", "--yes", "-o", "json"]).exits(0);
        assert_eq!(run.json()["steps"][0]["result"], "already", "{run}");
        assert_eq!(nas.host.timers().len(), 1);
        let run = world.run(&["power", "wake", "nas", "-o", "json"]).exits(0);
        assert_eq!((&run.json()["steps"][0]["result"], nas.packets() > 0), (&"done".into(), true), "{run}");
        assert_eq!(world.run(&["status", "--cached", "-o", "json"]).exits(0).states(), ["nas online"]);
        assert_eq!(history(&world), ["nas|suspend|done", "nas|wake|done"]);
    }
}

#[test]
fn other_ends_have_their_own_trigger() {
    for (action, event, state) in [("hibernate", "hibernate", "asleep"), ("shutdown", "poweroff", "offline")] {
        let world = World::new();
        let nas = nas(&world, "admin");
        let run = world.run(&["power", action, "nas", "--yes", "-o", "json"]).exits(0);
        assert_eq!((&run.json()["steps"][0]["state"], nas.host.timers().len()), (&state.into(), 1), "{run}");
        assert_eq!(nas.host.events(), [event]);
        let cached = world.run(&["status", "--cached", "-o", "json"]).exits(0);
        assert_eq!(cached.states(), [format!("nas {state}")]);
    }
}

#[test]
fn who_does_not_answer_is_unreachable() {
    let world = World::new();
    let nas = nas(&world, "root");
    let _ = world.run(&["status"]);
    nas.host.suspend();
    for action in ["suspend", "hibernate", "reboot"] {
        let run = world.run(&["power", action, "nas", "--yes"]).exits(5).says("failed: it does not answer");
        assert_eq!(nas.host.timers().len(), 0, "{run}");
    }
    // What a host does not have is no matter of reaching it.
    let _ = world.run(&["power", "reset", "nas", "--yes"]).exits(11);
}

#[test]
fn a_reboot_is_another_boot() {
    let world = World::new();
    let nas = nas(&world, "root");
    // It only blinks: connections break, and it is the same boot afterwards.
    let run = world.run(&["power", "reboot", "nas", "--yes", "--timeout", &deadline(4)]).exits(10);
    // Or that nobody answers: on a busy machine a login takes longer than a look has.
    let _ = run.says("error: reboot nas: unconfirmed: accepted, but ");
    assert_eq!(nas.host.events(), ["reboot"]);
    let child = begin(&world, &["power", "reboot", "nas", "--yes"]);
    until(|| nas.host.events().len() == 2);
    nas.host.new_boot();
    let run = end(&world, child).exits(0);
    assert_eq!(nas.host.timers().len(), 2, "{run}");
    assert_eq!(history(&world), ["nas|reboot|unconfirmed", "nas|reboot|done"]);
}

#[test]
fn a_host_that_stays_awake_is_not_called_asleep() {
    let world = World::new();
    let nas = nas(&world, "root");
    nas.host.set_sleep_delay(Duration::from_secs(600));
    let run = world.run(&["power", "suspend", "nas", "--yes", "--timeout", &deadline(4)]).exits(10);
    let _ = run.says("unconfirmed: accepted, but it still answers at the deadline").says("`ecobox status nas`");
    assert_eq!(nas.host.timers().len(), 1);
    assert_eq!(world.run(&["status", "-o", "json"]).exits(0).states(), ["nas online"]);
}

#[test]
fn a_connection_that_breaks_is_never_a_second_trigger() {
    // After the timer was set: what is seen decides.
    let world = World::new();
    let nas1 = nas(&world, "root");
    nas1.host.cut_after_timer();
    let run = world.run(&["power", "suspend", "nas", "--yes", "-o", "json"]).exits(0);
    assert_eq!(run.json()["steps"][0]["detail"], "its answer was lost; it was seen", "{run}");
    assert_eq!((nas1.host.timers().len(), nas1.host.events().len()), (1, 1));
    // The same, and it stays awake.
    let world = World::new();
    let nas2 = nas(&world, "root");
    nas2.host.set_sleep_delay(Duration::from_secs(600));
    nas2.host.cut_after_timer();
    let run = world.run(&["power", "suspend", "nas", "--yes", "--timeout", &deadline(4)]).exits(10);
    let _ = run.says("unconfirmed: its answer was lost (");
    assert_eq!(nas2.host.timers().len(), 1);
    // Before: nothing is armed, nothing is said to be.
    let world = World::new();
    let nas3 = nas(&world, "root");
    nas3.ssh.set_fault(Some(SshFault::CloseInExec));
    let run = world.run(&["power", "suspend", "nas", "--yes", "--timeout", &deadline(4)]);
    assert!(run.code != 0 && run.code != 10, "{run}");
    assert_eq!((nas3.host.timers().len(), nas3.host.events().len()), (0, 0));
}

#[test]
fn what_a_host_has_not_is_said_with_what_it_has() {
    let world = World::new();
    let nas = nas(&world, "root");
    for (verb, why, fix) in [
        ("stop", "a host has no hard stop", "use `shutdown`"),
        ("reset", "a host has no reset", "use `reboot`"),
        ("resume", "a host is not resumed but woken", "use `wake`"),
    ] {
        let _ = world.run(&["power", verb, "nas", "--yes"]).exits(11).says(why).says(fix);
    }
    // Nobody agreed.
    let _ = world.run(&["power", "suspend", "nas"]).exits(11).says("--yes");
    assert_eq!((nas.host.timers().len(), nas.packets()), (0, 0));
}

#[test]
fn who_may_not_is_told_what_would_help() {
    let world = World::new();
    let host = world.serve(Host::debian("nas").login("bob", Rights::SudoPassword).build());
    world.know(&host);
    world.configure(&format!("{}{}", host.entry_as("bob").trim_end(), host.wol("")));
    let run = world.run(&["power", "suspend", "nas", "--yes", "--allow", "wol-not-armed"]).exits(4);
    let _ = run.says("no rights").says("bob ALL=(root) NOPASSWD: ");
    assert_eq!(host.host.timers().len(), 0);
}

#[test]
fn without_ssh_nobody_can_put_a_host_to_sleep() {
    let sim = super::fleets::homelab();
    let env = super::fleets::env_for(&sim, &["pve1"]);
    sim.clear_requests();
    let run =
        env.run(&["power", "suspend", "pve1", "--yes", "--guests", "leave", "--allow", "ha-managed,backup-running"]);
    assert_transcript!("power_suspend_without_ssh", run);
    assert_eq!(sim.posts(), [] as [&str; 0]);
}

#[test]
fn who_is_interrupted_is_told_what_was_sent() {
    let world = World::new();
    let nas = nas(&world, "root");
    nas.host.set_sleep_delay(Duration::from_secs(600));
    let child = begin(&world, &["power", "suspend", "nas", "--yes"]);
    until(|| !nas.host.timers().is_empty());
    assert!(world.run(&["status"]).exits(0).stdout.contains("suspending"));
    interrupt(&child);
    let run = end(&world, child).exits(130).says("suspend of nas was sent; nothing was cancelled");
    assert_eq!(history(&world), ["nas|suspend|interrupted"], "{run}");
    assert_eq!(nas.host.timers().len(), 1);
    assert!(world.run(&["status"]).exits(0).stdout.contains("online"));
}

#[test]
fn what_a_host_says_is_cleaned() {
    let world = World::new();
    let host = Host::debian("nas").inhibitor("\u{1b}[31mevil", "sleep", "x\u{7}y\u{202e}z", "block");
    let served = world.serve(host.logged_in("an\u{1b}]0;na", "pts/0", "10.0.0.5").build());
    world.know(&served);
    world.configure(&served.wakeable());
    let run = world.run(&["power", "suspend", "nas", "--yes"]).exits(11);
    let hostile = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!run.stderr.contains(hostile) && !run.stdout.contains(hostile), "{:?}", run.stderr);
}

/// A program takes a lock between the last look and the trigger: systemd holds what fires, when the connection is long
/// gone. What its unit says is read back, so that nobody waits for a host that stays, and it is not taken for asleep.
#[test]
fn what_fails_after_it_was_armed_is_read_back() {
    for (verb, call, lock) in [
        ("suspend", "Suspend", "sleep"),
        ("hibernate", "Hibernate", "sleep"),
        ("shutdown", "PowerOff", "shutdown"),
        ("reboot", "Reboot", "shutdown"),
    ] {
        let world = World::new();
        let nas = world.serve(Host::pve("nas").version("9.2.11").build());
        world.know(&nas);
        world.configure(&format!("{FAST}{}{}", nas.entry().trim_end(), nas.wol("")));
        nas.host.write_file("/.sim/locks", &format!("{lock}\n"));
        let run = world.run(&["power", verb, "nas", "--yes"]).exits(1);
        let run = run.says(&format!("{verb} nas: failed: it failed there: Call to {call} failed: Access denied"));
        let run = run.says("hint: nothing will come of it any more");
        assert_eq!((nas.host.timers().len(), nas.host.events().len()), (1, 0), "{run}");
        assert_eq!(history(&world), [format!("nas|{verb}|failed")], "{run}");
        let run = world.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(run.states(), ["nas online"], "{run}");
        // The way is free again.
        nas.host.write_file("/.sim/locks", "");
        if verb == "suspend" {
            let _ = world.run(&["power", verb, "nas", "--yes"]).exits(0);
            assert_eq!(nas.host.events(), ["suspend"]);
        }
    }
}
