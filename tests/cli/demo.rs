//! `ecobox demo`: the walk to its end, and the fleet that a shell can use. Only with `--features demo`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::env::Env;

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
    let script = format!("{pointing}exec '{}' status -o json node=pve2", env!("CARGO_BIN_EXE_ecobox"));
    let status = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("HOME", env.home())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    let run = env.finish(status).exits(0);
    assert!(run.stdout.contains("\"web-01\""), "\n{run}");

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
