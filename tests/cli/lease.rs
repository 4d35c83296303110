//! `ecobox run`, `hold`, `release`, `ssh`: servers are awake for as long as somebody needs them.

use std::process::{Child, Stdio};

use ecobox_sim::host::{Host, Rights};
use rustix::process::{Pid, Signal, kill_process};

use super::env::Run;
use super::power_hosts::{begin, end, history};
use super::world::{FAST, Served, World, assert_transcript, until};

/// A plain server that sleeps, known to sleep, and that its card wakes.
pub(super) fn sleeping(world: &World) -> Served {
    let nas = world.serve(Host::debian("nas").login("bob", Rights::SudoPassword).build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.wakeable()));
    let _ = world.run(&["power", "suspend", "nas", "--yes"]).exits(0);
    nas
}

/// What happened to a host since it was first put to sleep.
pub(super) fn events(nas: &Served) -> Vec<String> {
    nas.host.events().split_off(1)
}

/// A command that tells when it has begun, and goes on until it is told to end.
pub(super) struct Waiting {
    pub(super) child: Child,
    folder: std::path::PathBuf,
}

impl Waiting {
    pub(super) fn begin(world: &World, args: &[&str]) -> Waiting {
        Waiting::with(world, args, ":")
    }

    fn with(world: &World, args: &[&str], first: &str) -> Waiting {
        let folder = world.env.home().join(format!("waiting-{}", std::fs::read_dir(world.env.home()).unwrap().count()));
        std::fs::create_dir(&folder).unwrap();
        let script = format!(
            "{first}; cd {} && echo $$ >began && while ! [ -e end ]; do sleep 0.05; done; exit 7",
            folder.display()
        );
        let args = [args, &["--", "sh", "-c", &script]].concat();
        let child = begin(world, &args);
        let waiting = Waiting { child, folder };
        until(|| waiting.folder.join("began").exists());
        waiting
    }

    /// The same with one that says which signal it got, and ends with 42.
    pub(super) fn trapping(world: &World, args: &[&str], signal: &str) -> Waiting {
        Waiting::with(world, args, &format!("trap 'echo got {signal}; exit 42' {signal}"))
    }

    /// Lets the command end.
    pub(super) fn let_end(&self) {
        std::fs::write(self.folder.join("end"), "").unwrap();
    }

    /// Waits until all of it is over.
    pub(super) fn wait(self, world: &World) -> Run {
        end(world, self.child)
    }

    /// Both.
    pub(super) fn end(self, world: &World) -> Run {
        self.let_end();
        self.wait(world)
    }

    /// SIGKILL; the command itself goes on, and is ended after that.
    pub(super) fn kill(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
        self.child.wait().unwrap();
        self.let_end();
    }
}

/// How many leases stand in the state file, and how many servers are up because of one.
pub(super) fn kept(world: &World) -> (i64, i64) {
    (world.count("leases"), world.count("woken"))
}

#[test]
fn a_command_has_its_server_awake_and_its_own_streams_and_status() {
    let world = World::new();
    let nas = sleeping(&world);
    let script = "read -r line; echo \"$line: $ECOBOX_TARGET $ECOBOX_HOST $ECOBOX_ADDRESS\"; echo oops >&2; exit 3";
    let mut command = world.env.command(&["run", "nas", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"hello\n").unwrap();
    let run = end(&world, child).exits(3);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("hello: nas nas 127.0.0.1\n", "oops\n"), "{run}");
    assert_eq!(events(&nas), ["wake", "suspend"]);
    assert_eq!(kept(&world), (0, 0));
    assert_eq!(history(&world), ["nas|suspend|done", "nas|wake|done", "nas|suspend|done"]);
    assert_eq!(world.run(&["status", "-o", "json"]).exits(0).states(), ["nas asleep"]);
}

#[test]
fn a_server_that_was_awake_stays_so() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}", nas.wakeable()));
    let run = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!((run.stderr.as_str(), nas.host.events().len(), kept(&world)), ("", 0, (0, 0)), "{run}");
}

#[test]
fn what_cannot_be_run_has_the_exit_status_of_shells() {
    let world = World::new();
    let nas = sleeping(&world);
    let _ = world.run(&["run", "nas", "--", "no-such-program"]).exits(127).says("no-such-program: command not found");
    let _ = world.run(&["run", "nas", "--", "/etc/passwd"]).exits(126).says("/etc/passwd: cannot be run: ");
    // It was awake for nothing, and sleeps again.
    assert_eq!(events(&nas), ["wake", "suspend", "wake", "suspend"]);
    let _ = world.run(&["run", "nas", "--", "sh", "-c", "kill -9 $$"]).exits(137);
    let _ = world.run(&["run", "nas", "--", "sh", "-c", "kill -15 $$"]).exits(143);
}

#[test]
fn a_command_whose_server_does_not_wake_is_never_run() {
    let world = World::new();
    let nas = sleeping(&world);
    let ran = world.env.home().join("ran");
    let touch = ["touch", &ran.display().to_string()].map(str::to_owned);
    let run = |args: &[&str]| {
        let args: Vec<&str> = args.iter().copied().chain(["--"]).chain(touch.iter().map(String::as_str)).collect();
        world.run(&args).exits(125)
    };
    nas.host.wake_after(usize::MAX);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"[0-9]+ rounds of magic", "N rounds of magic");
    settings.bind(|| assert_transcript!("run_wake_failed", run(&["run", "nas", "--timeout", "3"])));
    // No such server, no configuration, wrong usage: all of them are ecobox's own failures.
    let _ = run(&["run", "nobody"]).says("nobody");
    let _ = run(&["run", "nas", "--config", "/nonexistent.toml"]).says("/nonexistent.toml");
    let _ = run(&["run", "nas", "-o", "json"]).says("stdout is the command's");
    let _ = run(&["run", "nas", "--nonsense"]).says("--nonsense");
    let _ = world.run(&["run", "nas"]).exits(125).says("COMMAND");
    let _ = world.run(&["ssh"]).exits(125).says("TARGET");
    assert!(!ran.exists());
    assert_eq!(kept(&world).0, 0);
}

#[test]
fn the_last_one_out_puts_it_to_sleep() {
    let world = World::new();
    let nas = sleeping(&world);
    let one = Waiting::begin(&world, &["run", "nas"]);
    let other = Waiting::begin(&world, &["run", "nas"]);
    assert_eq!(kept(&world), (2, 1));
    let run = one.end(&world).exits(7);
    assert_eq!(events(&nas), ["wake"], "{run}");
    let _ = run.says("nas stays up: run by ");
    let run = other.end(&world).exits(7);
    assert_eq!(events(&nas), ["wake", "suspend"], "{run}");
    assert_eq!(kept(&world), (0, 0));
}
