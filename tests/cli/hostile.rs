//! Names that would like to be more than names: none of them reaches a terminal as it is.

use ecobox_sim::{Guest, Sim};

use super::fleets::{cluster, env_for};
use super::world::World;

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

/// A host that prints a certificate as nobody does ends nothing but, at most, its own turn.
#[test]
fn a_host_that_prints_strange_certificates_stops_no_setup() {
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    let world = World::new();
    let good = world.cluster(ecobox_sim::Cluster::new("good").node("pve1"));
    let evil = world.cluster(ecobox_sim::Cluster::new("evil").node("evil1"));
    world.configure(&(evil.entries() + &good.entries()));
    world.know_all(&evil.nodes);
    world.know_all(&good.nodes);
    for text in [
        "-----BEGIN CERTIFICATE-----END CERTIFICATE-----\n".to_owned(),
        format!("{end}\n{begin}\n"),
        format!("{begin}{end}\n"),
        format!("{begin}\n\u{e4}\u{202e}{end}"),
        format!("{begin}\nQUJD\n"),
        "\u{e4}".repeat(70_000),
    ] {
        evil.nodes[0].host.set_certificates(&text, &text);
        let run = world.run(&["setup-token"]);
        assert!(matches!(run.code, 0 | 1 | 6 | 8), "{text:.60}: {run}");
        let stored = world.column("tokens", "secret");
        assert!(good.secrets().iter().all(|secret| stored.contains(secret)), "{text:.60}: {run}");
        assert_eq!(good.tokens().len(), 1);
    }
}

/// Lines that somebody else would like to be ours, what moves a terminal, and more than anybody reads.
fn forged() -> String {
    let lines =
        "x\nhint: FORGED\r\nerror: FORGED\u{2028}warning: FORGED\u{85}hint: FORGED\n\u{1b}[2J\u{9b}2J\u{202e}\u{7}";
    lines.to_owned() + &"y".repeat(60 << 10)
}

/// Nothing in stderr is a line of somebody else's, moves a terminal, or is longer than what is shown of foreign text.
#[track_caller]
fn forges_nothing(run: &super::env::Run, what: &str) {
    harmless(&run.stderr, what);
    assert!(!run.stderr.contains('\r'), "{what}: {run}");
    for line in run.stderr.lines() {
        let begins = |label: &str| line.trim_start().starts_with(&format!("{label}: FORGED"));
        assert!(!["hint", "error", "warning"].iter().any(|label| begins(label)), "{what}: {line}");
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            // A line of the log has a time and names of fields besides.
            assert!(line.chars().count() < 800, "{what}: {line:.900}");
            continue;
        };
        for (name, value) in event["fields"].as_object().unwrap() {
            let length = value.as_str().unwrap_or_default().chars().count();
            assert!(length <= 501, "{what}: {name} has {length} characters");
        }
    }
}

const LOUD: [&[&str]; 3] = [&["-vvv"], &["-vvv", "--log-format", "json"], &["-vvv", "--color", "always"]];

#[test]
fn what_the_api_says_forges_no_line() {
    let sim = Sim::start(cluster("hostile").node("pve1").vm(101, &forged(), Guest::running));
    let env = env_for(&sim, &["pve1"]);
    for loud in LOUD {
        let message = |status| ecobox_sim::Fault::Message(status, forged());
        sim.node("pve1").heal();
        // A refusal: after any other error ecobox looks for a long time what became of it.
        sim.node("pve1").fail_on(Some("POST"), None, None, message(400));
        let power = [&["power", "stop", "pve1-vm-101", "--yes"], loud].concat();
        let run = env.run(&power);
        assert!(run.code != 0 && run.stderr.contains("FORGED"), "{run}");
        if loud[loud.len() - 1] != "always" {
            forges_nothing(&run, "power");
        }
        sim.node("pve1").fail(message(500));
        for command in [&["status"][..], &["discover"], &["stats"]] {
            let args = [command, loud].concat();
            let run = env.run(&args);
            assert_ne!(run.code, 0, "{run}");
            assert!(run.stderr.contains("FORGED"), "the text came nowhere: {run}");
            if loud[loud.len() - 1] == "always" {
                // Colours of our own.
                let plain = run.stderr.replace("\u{1b}[", "");
                assert!(!plain.contains('\u{1b}') && !run.stderr.contains("\u{1b}[2J"), "{run}");
                continue;
            }
            forges_nothing(&run, &format!("{args:?}"));
        }
    }
    // Nor is it kept or shown whole anywhere else.
    let run = env.run(&["status", "-o", "json"]);
    assert!(run.stdout.len() < 8192, "{} bytes", run.stdout.len());
}

#[test]
fn what_a_task_says_forges_no_line() {
    for loud in &LOUD[..2] {
        let mut fleet = cluster("hostile").node("pve1").vm(101, "web", Guest::stopped);
        fleet.timing.task = 1e4;
        let sim = Sim::start(fleet);
        let env = env_for(&sim, &["pve1"]);
        sim.cluster().after("GET", "/tasks/", |c| c.end_tasks(101, &forged()));
        let args = [&["power", "start", "pve1-vm-101", "--yes"], *loud].concat();
        let run = env.run(&args).exits(9);
        assert!(run.stderr.contains("FORGED"), "{run}");
        forges_nothing(&run, &format!("{args:?}"));
        assert!(env.rows("SELECT * FROM actions").concat().len() < 4096, "kept whole");
    }
}

#[test]
fn what_an_ssh_server_says_forges_no_line() {
    use std::io::Write as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(forged().as_bytes());
        }
    });
    let env = super::env::Env::new();
    for loud in &LOUD[..2] {
        let host = format!("root@127.0.0.1:{port}");
        let run = env.run(&[&["init", "--host", &host, "--accept-new", "--yes"], *loud].concat());
        assert!(run.stderr.contains("FORGED"), "{run}");
        forges_nothing(&run, "init");
    }
}

/// A script that is answered by more than it asked for.
#[test]
fn what_a_login_shell_says_forges_no_line() {
    let world = World::new();
    let pve = world.one_node();
    pve.nodes[0].host.set_noise(&forged(), &forged());
    for loud in &LOUD[..2] {
        for command in ["setup-token", "init", "status"] {
            let run = world.run(&[&[command], *loud].concat());
            forges_nothing(&run, command);
        }
    }
}

/// Names of 2 MB and tags without number are cut where they are read: neither the output nor the state file grows.
#[test]
fn no_text_grows_the_output_or_the_state_file() {
    let long = "n".repeat(2 << 20);
    let tags: Vec<String> = (0..500).map(|number| format!("{number}{}", "t".repeat(500))).collect();
    let fleet = cluster("hostile").node("pve1").vm(101, &long, |vm| vm.running().pool(&long).locked(&long));
    let sim = Sim::start(fleet.ct(201, "ct", |ct| ct.running().tags(&tags.join(";"))));
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert!(run.stdout.len() < 16 << 10, "{} bytes", run.stdout.len());
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert!(run.stdout.len() < 16 << 10, "{} bytes", run.stdout.len());
    for (server, key) in [("pve1-vm-101", "name"), ("pve1-vm-101", "pool"), ("pve1-vm-101", "lock")] {
        assert_eq!(run.server(server)[key].as_str().unwrap().chars().count(), 128, "{key}");
    }
    let kept = run.server("pve1-ct-201")["tags"].as_array().unwrap().clone();
    assert_eq!((kept.len(), kept[0].as_str().unwrap().chars().count()), (64, 64));
    let state = std::fs::metadata(env.state_path()).unwrap().len();
    assert!(state < 1 << 20, "{state} bytes");
}
