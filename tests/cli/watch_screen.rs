//! `ecobox watch` on a terminal: the real program, keys in, screen out, as a terminal would show it.

use std::time::{Duration, Instant};

use ecobox_sim::Cluster;
use ecobox_sim::host::Nic;
use expectrl::Session;
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use rustix::process::{Pid, Signal, kill_process};

use super::env::{CANARY, Env};
use super::fleets::{CLOSED, Open, homelab, plain, three};
use super::watching::{PATIENCE, fast};
use super::world::{FAST, World};

#[test]
fn the_header_says_what_is_wrong_with_a_cluster() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let mut screen = Screen::start(&env, &[], (24, 120));
    screen.until("the fleet", |text| text.contains("web-03"));
    sim.cluster().set_quorate(false);
    sim.node("pve3").stop();
    screen.until("no quorum", |text| text.contains("✖ pve1: its cluster has no quorum"));
    screen.keys("q");
}

const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

/// The program on a terminal, and what that shows.
pub(super) struct Screen {
    session: OsSession,
    terminal: vt100::Parser,
}

impl Screen {
    fn start(env: &Env, args: &[&str], size: (u16, u16)) -> Screen {
        Screen::of(env, &[&["watch"], args].concat(), size)
    }

    /// The same of any command.
    pub(super) fn of(env: &Env, args: &[&str], (lines, columns): (u16, u16)) -> Screen {
        let command = env.command_of_terminal(args, "xterm-256color");
        let mut session = Session::spawn(command).unwrap();
        session.get_process_mut().set_window_size(columns, lines).unwrap();
        Screen { session, terminal: vt100::Parser::new(lines.try_into().unwrap(), columns.try_into().unwrap(), 0) }
    }

    /// Takes what was written since; gives whether it ended.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 8192];
        loop {
            match self.session.try_read(&mut bytes) {
                Ok(0) => return true,
                Ok(read) => self.terminal.process(&bytes[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // The other end of a terminal is closed.
                Err(_) => return true,
            }
        }
    }

    fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    #[track_caller]
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let ended = self.read();
            if is_so(&self.text()) {
                return;
            }
            assert!(!ended && begun.elapsed() < PATIENCE, "not seen: {what}\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    #[track_caller]
    pub(super) fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contains(text));
    }

    /// A line with all of these words.
    #[track_caller]
    pub(super) fn line(&mut self, words: &[&str]) {
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        self.until(&words.join(" .. "), |screen| screen.lines().any(has));
    }

    fn resize(&mut self, lines: u16, columns: u16) {
        self.session.get_process_mut().set_window_size(columns, lines).unwrap();
        self.terminal.screen_mut().set_size(lines.try_into().unwrap(), columns.try_into().unwrap());
    }

    pub(super) fn keys(&mut self, keys: &str) {
        expectrl::Expect::send(&mut self.session, keys).unwrap();
    }

    /// The end: the terminal is as it was, and what is left on it.
    #[track_caller]
    pub(super) fn ends(mut self, code: i32) -> String {
        let begun = Instant::now();
        while !self.read() {
            assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", self.text());
            std::thread::park_timeout(Duration::from_millis(2));
        }
        let status = self.session.get_process().wait().unwrap();
        let text = self.text();
        assert!(matches!(status, WaitStatus::Exited(_, is) if is == code), "{status:?}\n{text}");
        let screen = self.terminal.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste(), "{text}");
        assert!(!text.contains(CANARY) && !text.contains("panicked"), "{text}");
        text
    }
}

#[test]
fn the_fleet_is_seen_filtered_and_left() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &[], (24, 80));
    screen.line(&["web-01", "running"]);
    screen.line(&["web-03", "stopped"]);
    screen.line(&["pve3", "online"]);
    screen.keys("/tag=prod\r");
    screen.shows("1 shown");
    screen.until("web-01 is hidden", |text| text.contains("web-02") && !text.contains("web-01"));
    screen.keys("\u{1b}");
    screen.line(&["web-01", "running"]);
    // What changes elsewhere is seen.
    sim.cluster().crash_guest(101);
    screen.line(&["web-01", "stopped"]);
    screen.keys("?");
    screen.shows("any other key goes back");
    screen.keys("xq");
    assert_eq!(screen.ends(0).trim(), "");
    assert_eq!(sim.posts(), [""; 0]);
}

#[test]
fn a_guest_is_started_by_key_and_once() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &["vm-103"], (30, 100));
    screen.line(&["web-03", "stopped"]);
    // Who does not agree has sent nothing.
    screen.keys("s");
    screen.shows("y agrees");
    screen.keys("n");
    screen.until("the dialogue is gone", |text| !text.contains("y agrees"));
    assert_eq!(sim.posts(), [""; 0]);
    screen.keys("s");
    screen.shows("y agrees");
    screen.keys("y");
    screen.line(&["web-03", "running"]);
    screen.shows("start: done");
    screen.keys("q");
    assert_eq!(screen.ends(0).trim(), "");
    assert_eq!(sim.posts(), ["/nodes/pve3/qemu/103/status/start"]);
}

#[test]
fn what_speaks_against_it_is_said_and_there_is_no_way_past() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &["vm-103"], (30, 100));
    screen.line(&["web-03", "stopped"]);
    sim.cluster().change_guest(103, |vm| vm.locked("backup"));
    screen.keys("s");
    screen.shows("This cannot be overridden.");
    screen.shows("qm unlock 103");
    screen.keys("y");
    screen.until("the dialogue is gone", |text| !text.contains("cannot be overridden"));
    screen.keys("q");
    screen.ends(0);
    assert_eq!(sim.posts(), [""; 0]);
}

/// A host with a guest on it whose card is not armed: the fixes are chosen in the dialogue, and are done.
#[test]
fn a_host_goes_to_sleep_with_what_was_chosen() {
    let world = World::new();
    let cluster = Cluster::new("homelab").node("pve1").vm(101, "web-01", |vm| vm.on("pve1").running());
    let off = Nic::physical("enp3s0", "bc:24:11:00:00:01").wol("pumbg", "d");
    let pve = world.cluster_with(cluster, |host| host.nics(vec![off.clone()]));
    world.configure(&format!("{FAST}{}", pve.node("pve1").wakeable()));
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sleeps_with_hosts();
    pve.sim.clear_requests();
    let mut screen = Screen::start(&world.env, &["--interval", "500ms"], (40, 100));
    screen.line(&["web-01", "running"]);
    screen.keys("z");
    screen.shows("--guests shutdown --arm-wol");
    screen.until("no override is named", |text| !text.contains("--allow"));
    screen.keys("g");
    screen.shows("they are shut down first");
    screen.keys("a");
    screen.shows("arm Wake-on-LAN of pve1 on enp3s0, at most");
    screen.line(&["suspend pve1", "until it is gone", "at most 2 min"]);
    assert_eq!(pve.sim.posts(), [""; 0]);
    screen.shows("type 2 and Enter");
    screen.keys("2\r");
    screen.line(&["pve1", "asleep"]);
    assert_eq!(pve.sim.posts(), ["/nodes/pve1/qemu/101/status/shutdown"]);
    assert!(*pve.node("pve1").host.asleep().borrow());
    screen.keys("q");
    screen.ends(0);
}

#[test]
fn who_only_looks_has_no_actions() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &["--read-only", "vm-103"], (24, 80));
    screen.line(&["web-03", "stopped"]);
    screen.until("no action is offered", |text| !text.contains("s start"));
    screen.keys("sy?");
    screen.shows("any other key goes back");
    screen.until("no action is explained", |text| !text.contains("Wake-on-LAN"));
    screen.keys("xq");
    screen.ends(0);
    assert_eq!(sim.posts(), [""; 0]);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &[], (24, 80));
    screen.line(&["web-01", "running"]);
    let pid = Pid::from_raw(screen.session.get_process().pid().as_raw()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    screen.ends(143);
}

/// Nobody is looked at for ten minutes; what another process does stands in the state file.
#[test]
fn what_another_process_does_is_seen_at_once() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &["--interval", "10m"], (24, 80));
    screen.line(&["web-01", "running"]);
    screen.shows("next look in");
    env.execute(
        "INSERT INTO actions (at, server, action, asked_by, outcome)
             VALUES (unixepoch() * 1000, 'pve1', 'reboot', 'root (cron)', '');
         INSERT INTO in_flight (action, until) VALUES (last_insert_rowid(), (unixepoch() + 300) * 1000);",
    );
    screen.line(&["pve1", "rebooting"]);
    screen.shows("reboot (root (cron))");
    // When it has ended, what it left is looked at.
    sim.cluster().crash_guest(101);
    env.execute("UPDATE actions SET outcome = 'done' WHERE outcome = ''; DELETE FROM in_flight");
    screen.line(&["web-01", "stopped"]);
    screen.line(&["pve1", "online"]);
    screen.keys("q");
    screen.ends(0);
}

#[test]
fn the_mouse_and_small_terminals() {
    let sim = three();
    let env = fast(&sim, &NODES);
    let mut screen = Screen::start(&env, &[], (24, 80));
    screen.line(&["web-01", "running"]);
    screen.shows("─ pve1 ─");
    // The row below the first, as the terminal says it; then a turn of the wheel.
    screen.keys("\u{1b}[<0;20;5M\u{1b}[<0;20;5m");
    screen.shows("─ web-01 ─");
    screen.keys("\u{1b}[<65;20;5M");
    screen.until("another one is chosen", |text| !text.contains("─ web-01 ─") && text.contains('─'));
    for (lines, columns, there, not) in [
        (12, 40, "MEM", "LAST CPU"),
        (6, 20, "NAME", "MEM"),
        (24, 80, "LAST CPU", "too small"),
        (12, 40, "MEM", "LAST CPU"),
    ] {
        screen.resize(lines, columns);
        screen.until(there, |text| text.contains(there) && !text.contains(not) && text.contains("web-0"));
    }
    // Where both have no room the detail takes the place of the list.
    screen.keys("g\r");
    screen.shows("─ pve1 ─");
    screen.keys("\r");
    screen.shows("STATE");
    screen.keys("q");
    screen.ends(0);
    assert_eq!(sim.posts(), [""; 0]);
}

/// A host that is off, a guest that QEMU halted, a service that does not answer.
#[test]
fn troubles_are_counted_alike_everywhere() {
    let (sim, nas) = (homelab(), Open::new());
    let env = fast(&sim, &["pve1"]);
    let service = "[[servers.services]]\nname = \"media\"\nport = 1\n\n";
    env.add_config(&(plain("backup", CLOSED) + &plain("nas", nas.port()) + service));
    let run = env.run(&["status"]).exits(8);
    let notes: Vec<&str> = run.stdout.lines().filter_map(|line| line.strip_prefix("! ")).collect();
    let warnings: Vec<&str> = run.stderr.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
    assert_eq!((notes.len(), warnings.len()), (2, 1), "{run}");
    let page = env.run(&["status", "-o", "html"]).exits(8);
    assert!(page.stdout.contains("<title>(3) ecobox</title>"), "{page}");
    let mut screen = Screen::start(&env, &[], (60, 160));
    screen.shows("!3 troubles");
    for text in notes.iter().chain(&warnings) {
        // The screen says it in one line, in the same words.
        let words = text.split(": ").next().unwrap();
        screen.until(text, |screen| screen.lines().take(5).filter(|line| line.contains(words)).count() == 1);
    }
    screen.keys("q");
    screen.ends(0);
}
