//! Signals while `ecobox run` has a command in the foreground: they are the command's.

use std::time::Duration;

use expectrl::{Eof, Expect, Session};
use rustix::process::{Pid, Signal, kill_process};

use super::lease::{Waiting, events, kept, sleeping};
use super::world::World;

#[test]
fn signals_are_passed_on_and_the_status_is_the_commands() {
    let world = World::new();
    let nas = sleeping(&world);
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
    ] {
        let waiting = Waiting::trapping(&world, &["run", "nas"], name);
        kill_process(Pid::from_child(&waiting.child), signal).unwrap();
        let run = waiting.wait(&world).exits(42);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (format!("got {name}\n").as_str(), ""), "{run}");
        // One that does not handle it is ended by it.
        if signal != Signal::QUIT {
            let waiting = Waiting::begin(&world, &["run", "nas"]);
            kill_process(Pid::from_child(&waiting.child), signal).unwrap();
            let run = waiting.wait(&world).exits(128 + signal.as_raw());
            assert_eq!(run.stderr, "", "{run}");
        }
    }
    assert_eq!(events(&nas).last().unwrap(), "suspend");
    assert_eq!(kept(&world), (0, 0));
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    let world = World::new();
    let nas = sleeping(&world);
    let script = "n=0; trap 'n=$((n + 1))' INT; echo ready; i=0
        while [ $i -lt 10 ]; do sleep 0.1; [ $n -gt 0 ] && i=$((i + 1)); done; echo \"heard $n\"; exit 5";
    let command = world.env.command_of_terminal(&["run", "nas", "--", "sh", "-c", script], "dumb");
    let mut session = Session::spawn(command).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(60)));
    session.expect("ready").unwrap();
    session.send("\u{3}").unwrap();
    session.expect("heard 1").unwrap();
    session.expect(Eof).unwrap();
    let status = session.get_process().wait().unwrap();
    assert!(format!("{status:?}").contains("Exited") && format!("{status:?}").ends_with(", 5)"), "{status:?}");
    assert_eq!(events(&nas), ["wake", "suspend"]);
}

#[test]
fn what_was_ignored_stays_so() {
    let world = World::new();
    let _nas = sleeping(&world);
    let inner = "kill -INT $$; kill -HUP $$; echo alive";
    let run = world.env.paste(&format!("trap '' INT HUP; ecobox run nas -- sh -c '{inner}'")).exits(0);
    assert_eq!(run.stdout, "alive\n", "{run}");
}

#[test]
fn after_the_command_a_signal_ends_the_wait_and_the_status_stays() {
    let world = World::new();
    let nas = sleeping(&world);
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    nas.host.set_sleep_delay(Duration::from_secs(600));
    let id = Pid::from_child(&waiting.child);
    waiting.let_end();
    super::world::until(|| nas.host.timers().len() == 2);
    kill_process(id, Signal::INT).unwrap();
    let run = waiting.wait(&world).exits(7);
    let _ = run.says("interrupted: what was woken stays up").says("suspend of nas was sent; nothing was cancelled");
    assert_eq!(kept(&world), (0, 1));
}
