//! Names that would like to be more than names: none of them reaches a terminal as it is.

use ecobox_sim::{Guest, Sim};

use super::fleets::{cluster, env_for};

/// A title, a link, a clear screen by C1, a turned direction, a line of one's own, an invisible one, a tag, a formula.
const NAMES: &[&str] = &[
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]8;;http://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
    "\u{9b}2J\u{9d}52;c;x\u{9c}",
    "abc\u{202e}fdp.exe",
    "two\nlines\r\nand three",
    "in\u{200b}visi\u{feff}ble",
    "tag\u{e0041}\u{e007f}",
    "=1+1\u{7f}",
    "\u{2028}para\u{2029}",
    "\u{1b}[31mred\u{1b}[0m",
];

fn harmless(text: &str, what: &str) {
    let bad = text.chars().find(|c| {
        (c.is_control() && !matches!(c, '\n' | '\r'))
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
            || ('\u{e0000}'..='\u{e007f}').contains(c)
    });
    assert_eq!(bad, None, "{what}: {text:?}");
}

#[test]
fn hostile_names_never_reach_the_output_raw() {
    let mut fleet = cluster("hostile").node("pve1");
    for (index, name) in NAMES.iter().enumerate() {
        let vmid = 100 + u32::try_from(index).unwrap();
        fleet = fleet.vm(vmid, name, |vm| vm.running().tags(name).pool(name).locked(name).agent_ip("10.99.0.7"));
        fleet = fleet.ct(vmid + 100, "ct", |ct| ct.running().interface(name, "bc:24:11:00:00:01", &["10.99.0.8"]));
    }
    let sim = Sim::start(fleet);
    let env = env_for(&sim, &["pve1"]);
    for command in [&["discover"][..], &["discover", "--all"], &["status"], &["status", "--cached"]] {
        for format in ["table", "wide", "json", "jsonl", "csv"] {
            let args: Vec<&str> = command.iter().copied().chain(["-o", format, "--color", "never", "-vv"]).collect();
            let run = env.run(&args).exits(0);
            harmless(&run.stdout, &format!("{args:?}"));
            harmless(&run.stderr, &format!("{args:?}"));
            let lines = run.stdout.lines().count();
            assert!(lines <= 1 + NAMES.len() * 2 + 3, "{args:?} has lines of its own: {run}");
        }
    }
    // What JSON says is still the name.
    let report = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(report.server("pve1-vm-100")["name"], NAMES[0]);
    assert_eq!(report.server("pve1-vm-103")["name"], NAMES[3]);
}

#[test]
fn hostile_names_are_no_more_in_errors() {
    let mut fleet = cluster("hostile").node("pve1");
    for (index, name) in NAMES.iter().enumerate() {
        fleet = fleet.vm(100 + u32::try_from(index).unwrap(), name, Guest::stopped);
    }
    fleet = fleet.vm(200, NAMES[0], Guest::stopped);
    let sim = Sim::start(fleet);
    let env = env_for(&sim, &["pve1"]);
    harmless(&env.run(&["status", NAMES[0]]).exits(7).stderr, "ambiguous");
    harmless(&env.run(&["status", "abc\u{202e}fdp.ex"]).exits(7).stderr, "near");
}

/// PVE's own error text is text from elsewhere, too.
#[test]
fn hostile_errors_are_cleaned() {
    let sim = Sim::start(cluster("hostile").node("pve1"));
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(ecobox_sim::Fault::Status(500, "no \u{9b}2J way \u{202e}back".to_owned()));
    for args in [&["status"][..], &["discover"], &["status", "-o", "json"], &["status", "--log-format", "json", "-vvv"]]
    {
        let run = env.run(args).exits(1);
        harmless(&run.stdout, "stdout");
        harmless(&run.stderr, &format!("{args:?}"));
    }
}
