//! `ecobox demo`: the walk to its end, and the fleet that a shell can use. Only with `--features demo`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::env::{Env, Run};
use super::formats::{bare, on_terminal};

/// Whether 8-4-4-4-12 hexadecimal digits stand in the text: the form of every token's secret.
fn holds_a_secret(text: &str) -> bool {
    let is_uuid = |window: &[u8]| {
        window.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    text.as_bytes().windows(36).any(is_uuid)
}

/// Whoever is asked says the same of a host: `status` has it from the API, `stats` over SSH. No two hosts are alike.
#[track_caller]
fn assert_one_world(api: &Run, ssh: &Run) {
    let number = |run: &Run, id: &str, field: &str| {
        run.server(id)[field].as_f64().unwrap_or_else(|| panic!("{id} {field}\n{run}"))
    };
    for node in ["pve1", "pve2", "pve3"] {
        for (field, apart) in [
            ("cpus", 0.0),
            ("cpu_percent", 1.0),
            ("memory_bytes", 1024.0),
            ("memory_max_bytes", 1024.0),
            ("uptime_seconds", 120.0),
        ] {
            let (one, other) = (number(api, node, field), number(ssh, node, field));
            assert!((one - other).abs() <= apart, "{node} {field}: {one} {other}\n{api}\n{ssh}");
        }
        assert_eq!(ssh.server(node)["source"], "ssh");
    }
    let hosts = ["pve1", "pve2", "pve3", "router", "nas"];
    for field in ["memory_bytes", "uptime_seconds", "load_average"] {
        let mut seen: Vec<String> = hosts.iter().map(|host| ssh.server(host)[field].to_string()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), hosts.len(), "{field}\n{ssh}");
    }
}

/// The first table of README, and the one of the demo's first `status` on a terminal of 80 columns; times are all alike.
#[test]
fn the_first_table_of_readme_is_what_the_demo_prints() {
    let env = Env::new();
    let text = bare(&on_terminal(&env, &["demo"], 80, &[("LANG", "C.UTF-8"), ("NO_COLOR", "1")])).replace('\r', "");
    let block = |text: &str, begin: &str, end: &str| {
        let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin:?} in\n{text}"));
        let rest = rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} in\n{rest}")).0;
        let words = |line: &str| {
            let line = line.trim_end().split(' ').map(|word| {
                let is_time = word.ends_with("ms") && word.contains(|c: char| c.is_ascii_digit());
                let is_address = word.starts_with("127.83.");
                match (is_time, is_address) {
                    (true, _) => "Nms".to_owned(),
                    (_, true) => format!("127.83.0.{}", word.rsplit('.').next().unwrap_or_default()),
                    _ => word.to_owned(),
                }
            });
            line.collect::<Vec<_>>().join(" ")
        };
        rest.lines().map(words).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let readme = include_str!("../../README.md");
    let shown = block(readme, "On the simulated fleet the last one shows:\n\n```text\n", "```");
    assert_eq!(block(&text, "$ ecobox status\n", "\n#"), shown, "\n{text}");
}

#[test]
fn the_walk_shows_all_commands() {
    let env = Env::new();
    let run = env.run(&["demo"]).exits(0);
    assert_eq!(run.stderr, "", "\n{run}");
    let typed: Vec<&str> = run.stdout.lines().filter_map(|line| line.strip_prefix("$ ecobox ")).collect();
    let commands: Vec<&str> = typed.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(commands[..4], ["init", "setup-token", "discover", "status"], "\n{run}");
    assert!(commands.contains(&"stats"), "\n{run}");
    let (before, power) = run.stdout.split_once("$ ecobox power").expect("power is shown");
    assert!(!before.contains("error: "), "\n{run}");
    for word in [
        "--guests shutdown",
        "--allow logged-in-users",
        "--arm-wol",
        "asleep",
        "SSH answers with its known key",
        "round of magic packets",
    ] {
        assert!(power.contains(word), "no `{word}`\n{run}");
    }
    for word in [
        "Proxmox VE 9.2.11",
        "created",
        "cluster-ca",
        "10.99.0.101",
        "hibernated",
        "paused",
        "stopped",
        "unknown",
        "media closed",
        "moved pve1 -> pve2",
        "running -> stopped",
        "backup is offline",
    ] {
        assert!(run.stdout.contains(word), "no `{word}`\n{run}");
    }
    let refused = power.lines().filter(|line| line.starts_with("error: suspend pve2: ")).count();
    assert_eq!(refused, run.stdout.matches("error: ").count(), "\n{run}");
    assert_eq!(refused, 3, "\n{run}");
    assert!(!holds_a_secret(&run.stdout), "a secret was printed\n{run}");
    let lines = run.stdout.lines().filter(|line| line.starts_with(['#', '$', ' ']) && line.contains("--host"));
    assert!(lines.map(str::len).all(|width| width <= 80), "\n{run}");
    let left: Vec<_> = std::fs::read_dir(env.home()).unwrap().collect();
    assert!(left.is_empty(), "the user's home was touched: {left:?}");
}

#[test]
fn the_fleet_that_is_kept_serves_another_shell() {
    let env = Env::new();
    let mut demo = env.command(&["demo", "--keep"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the demo ended:\n{}", lines.concat());
        let last = line.contains("Ctrl-C");
        lines.push(line);
        if last {
            break;
        }
    }
    // What it prints is run as printed, by a shell of another home.
    let pointing: String =
        lines.iter().filter(|line| line.starts_with("export ") || line.starts_with("unset ")).cloned().collect();
    assert!(!pointing.is_empty(), "\n{}", lines.concat());
    let ecobox = |args: &str| {
        let script = format!("{pointing}exec '{}' {args}", env!("CARGO_BIN_EXE_ecobox"));
        let status = Command::new("sh")
            .args(["-c", &script])
            .env_clear()
            .env("HOME", env.home())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .output()
            .unwrap();
        env.finish(status)
    };
    let run = ecobox("status -o json node=pve2").exits(0);
    assert!(run.stdout.contains("\"web-01\""), "\n{run}");
    assert_one_world(&ecobox("status -o json kind=host"), &ecobox("stats -o json kind=host"));

    let folder = pointing.split_once("/ecobox-demo-").map(|(before, after)| {
        let before = before.rsplit('=').next().unwrap();
        format!("{before}/ecobox-demo-{}", after.split(['/', '\n']).next().unwrap())
    });
    let folder = folder.expect("the folder is named");
    assert!(std::path::Path::new(&folder).exists());
    drop(demo.stdin.take());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(demo.wait().unwrap().success(), "\n{rest}");
    assert!(!std::path::Path::new(&folder).exists(), "{folder} was left behind");
    assert!(!holds_a_secret(&lines.concat()) && !holds_a_secret(&rest));
}
