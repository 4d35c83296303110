//! The forms of stdout: table on a terminal and in a pipe, wide, JSON, JSON lines, CSV, colour, and a reader that leaves.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use expectrl::Expect as _;
use expectrl::session::OsSession;

use super::env::Env;
use super::fleets::{env_for, homelab, three};

/// Everything that a command writes to a terminal of this width.
pub(super) fn on_terminal(env: &Env, args: &[&str], columns: u16, variables: &[(&str, &str)]) -> String {
    // The width is set before the program can look at it, and after the session has set its own.
    let ecobox = env.command(args);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("read _; stty rows 50 cols {columns} && exec \"$@\""), "sh"])
        .arg(ecobox.get_program());
    command.args(ecobox.get_args()).env_clear();
    command.envs(ecobox.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "xterm").envs(variables.iter().copied());
    let mut session = OsSession::spawn(command).unwrap();
    session.send_line("").unwrap();
    let mut bytes = Vec::new();
    // A terminal whose program ended answers EIO.
    let _ = session.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// The text without the sequences that colour it or move the cursor.
pub(super) fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            out.push(c);
        } else if rest.next_if_eq(&'[').is_some() {
            while rest.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
        }
    }
    out
}

#[test]
fn a_terminal_of_80_columns_gets_80_columns() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let text = on_terminal(&env, &["status"], 80, &[]);
    assert!(text.contains("\u{1b}["), "colour on a terminal: {text:?}");
    // What a moving line wrote before is overwritten.
    let last = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    let lines: Vec<String> = bare(&text).lines().map(last).collect();
    let table: Vec<&String> = lines.iter().filter(|line| line.contains("qemu") || line.contains("NAME")).collect();
    assert_eq!(table.len(), 7, "{lines:#?}");
    for line in table {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    assert!(lines.iter().any(|line| line.contains("web-01") && line.contains("running")), "{lines:#?}");
    assert!(!text.contains("20") || !text.contains('Z') || !text.contains("T0"), "ages, not times: {text}");
}

#[test]
fn no_color_and_dumb_terminals_get_no_colour() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    for (args, variables) in [
        (&["status"][..], &[("NO_COLOR", "1")][..]),
        (&["status"], &[("TERM", "dumb")]),
        (&["status", "--color", "never"], &[("CLICOLOR_FORCE", "1")]),
    ] {
        let text = on_terminal(&env, args, 120, variables);
        let table = text.lines().filter(|line| line.contains("qemu")).collect::<Vec<_>>().join("\n");
        assert!(table.contains("web-01") && !table.contains("\u{1b}[3"), "{args:?} {variables:?}: {table:?}");
    }
}

#[test]
fn a_pipe_gets_colour_only_by_force() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    for (args, variables, colour) in [
        (&["status"][..], &[][..], false),
        (&["status"], &[("TERM", "xterm-256color")], false),
        (&["status"], &[("CLICOLOR_FORCE", "1")], true),
        (&["status"], &[("CLICOLOR_FORCE", "0")], false),
        (&["status"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["status", "--color", "always"], &[("NO_COLOR", "1")], true),
        (&["status", "--color", "always", "-o", "json"], &[], false),
        (&["status", "--color", "always", "-o", "csv"], &[], false),
    ] {
        let run = env.run_with(args, variables).exits(0);
        assert_eq!(run.stdout.contains('\u{1b}'), colour, "{args:?} {variables:?}\n{run}");
    }
}

#[test]
fn wide_has_all_columns() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    insta::assert_snapshot!(env.run(&["status", "-o", "wide", "web-01", "laptop", "broken"]).exits(0), @"
    NAME    STATE       KIND  NODE  ADDRESS      CPU  MEMORY     UPTIME  SERVICES  SEEN                  BY   ID           LAST SEEN             TAGS      POOL  LOCK       HA       ADDRESSES    REASON    UNTIL  IDLE SINCE  NEEDED BY
    web-01  running     qemu  pve1  10.99.0.101  25%  1.0G/4.0G   3d04h  -         2026-01-02T03:04:05Z  api  pve1-vm-101  2026-01-02T03:04:05Z  prod,web  live  -          started  10.99.0.101  -         -      -           -
    laptop  hibernated  qemu  pve1  -            -    -          -       -         2026-01-02T03:04:05Z  api  pve1-vm-106  2026-01-02T03:04:05Z  -         -     suspended  -        -            -         -      -           -
    broken  paused      qemu  pve1  -            -    -           1h00m  -         2026-01-02T03:04:05Z  api  pve1-vm-107  2026-01-02T03:04:05Z  -         -     -          -        -            io-error  -      -           -
    ! broken was halted by QEMU: io-error
    ");
}

#[test]
fn csv_has_all_columns_and_plain_values() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    let run = env.run(&["status", "-o", "csv", "pve1", "web-01", "laptop"]).exits(0);
    assert!(run.stdout.ends_with("\r\n"));
    insta::assert_snapshot!(run.stdout.replace('\r', ""), @r#"
    name,state,kind,node,address,cpu,memory,uptime,services,seen,by,id,last_seen,tags,pool,lock,ha,addresses,reason,until,idle_since,needed_by
    pve1,online,pve,pve1,127.0.0.1,8.0,8589934592/34359738368,1000000,,2026-01-02T03:04:05Z,api,pve1,2026-01-02T03:04:05Z,,,,,,,,,
    web-01,running,qemu,pve1,10.99.0.101,25.0,1073741824/4294967296,273600,,2026-01-02T03:04:05Z,api,pve1-vm-101,2026-01-02T03:04:05Z,"prod,web",live,,started,10.99.0.101,,,,
    laptop,hibernated,qemu,pve1,,,,,,2026-01-02T03:04:05Z,api,pve1-vm-106,2026-01-02T03:04:05Z,,,suspended,,,,,,
    "#);
}

#[test]
fn jsonl_is_one_object_a_line() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["status", "-o", "jsonl"]).exits(0);
    let lines: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["schema"] == "ecobox.status/1" && line["id"].is_string()), "{run}");
    let run = env.run(&["discover", "-o", "jsonl"]).exits(0);
    assert!(run.stdout.lines().all(|line| line.starts_with(r#"{"schema":"ecobox.discover/1","#)), "{run}");
}

/// `ecobox status | head -1`
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut cluster = super::fleets::cluster("big").node("pve1");
    for vmid in 1000..3000 {
        cluster = cluster.vm(vmid, &format!("guest-with-a-long-name-{vmid}"), ecobox_sim::Guest::stopped);
    }
    let sim = ecobox_sim::Sim::start(cluster);
    let env = env_for(&sim, &["pve1"]);
    for format in ["table", "json", "jsonl", "csv"] {
        let mut command = env.command(&["status", "-o", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = Vec::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).take(100).read_until(b'\n', &mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{format}");
    }
}

#[test]
fn a_full_device_is_an_error_with_a_reason() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = env.command(&["status"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let run = env.finish(output).exits(1);
    assert!(run.stderr.contains("writing the report"), "{run}");
}

#[test]
fn nothing_but_the_report_is_on_stdout() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["status", "-vvv", "-o", "json"]).exits(0);
    assert_eq!(run.json()["schema"], "ecobox.status/1");
    assert!(run.stderr.contains("api call"), "{run}");
    // And no progress where nobody watches.
    assert_eq!(env.run(&["status"]).exits(0).stderr, "");
    assert_eq!(env.run(&["discover"]).exits(0).stderr, "");
}
