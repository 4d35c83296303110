//! `ecobox doctor`: each fault is made real, its cause is named once, and the fix makes it go away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ecobox_sim::Cluster;
use ecobox_sim::host::Host;
use serde_json::Value;

use super::env::{Env, Run};
use super::world::{Pve, Served, World, assert_transcript};

/// `id server result` of each check that found something, in the report's order.
pub(crate) fn findings(run: &Run) -> Vec<String> {
    let report = run.json();
    let checks = report["checks"].as_array().expect("a list of checks").clone();
    let wrong = checks.iter().filter(|check| check["muted"].is_null());
    let wrong = wrong.filter(|check| matches!(check["result"].as_str(), Some("problem" | "warning")));
    wrong
        .map(|check| {
            let server = check["server"].as_str().unwrap_or("-");
            format!("{} {server} {}", check["id"].as_str().unwrap(), check["result"].as_str().unwrap())
        })
        .collect()
}

/// One check of the report.
#[track_caller]
pub(crate) fn check(run: &Run, id: &str, server: Option<&str>) -> Value {
    let report = run.json();
    let found = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == id && check["server"].as_str() == server);
    found.unwrap_or_else(|| panic!("no {id} of {server:?} in\n{run}")).clone()
}

/// A world in which all is well: three nodes with a token, everything discovered.
pub(crate) fn healthy() -> (World, Pve) {
    let world = World::new();
    let pve = world.three_nodes();
    drop(world.run(&["init"]).exits(0));
    drop(world.run(&["setup-token"]).exits(0));
    drop(world.run(&["discover"]).exits(0));
    (world, pve)
}

/// Exactly this is found, and no more.
#[track_caller]
pub(crate) fn finds(world: &World, want: &[&str]) -> Run {
    finds_with(&world.env, &[], want)
}

/// The same in any home, with more options. Each fix is whole: nothing in it is still to be filled in.
#[track_caller]
pub(crate) fn finds_with(env: &Env, more: &[&str], want: &[&str]) -> Run {
    let run = env.run(&[&["doctor", "-o", "json"], more].concat());
    assert_eq!(findings(&run), want, "\n{}", env.run(&[&["doctor"], more].concat()));
    for check in run.json()["checks"].as_array().unwrap() {
        let Some(text) = check["fix"]["text"].as_str() else {
            assert!(!matches!(check["result"].as_str(), Some("problem" | "warning")), "nothing fixes it: {check}");
            continue;
        };
        let words = check["fix"]["run"].as_array().into_iter().flatten().filter_map(|word| word.as_str());
        let open = words.chain([text]).find(|word| {
            word.contains(['{', '}']) || ["FILE", "UNIT", "VMID", "SERVER", "HOST"].contains(word) || word.is_empty()
        });
        assert_eq!(open, None, "{check}");
    }
    let code = if want.iter().any(|line| line.ends_with(" problem")) { 12 } else { i32::from(!want.is_empty()) };
    run.exits(code)
}

/// Whoever has hosts by their names.
pub(crate) trait Hosts {
    fn host(&self, name: &str) -> &Host;
}

impl Hosts for Pve {
    fn host(&self, name: &str) -> &Host {
        &self.node(name).host
    }
}

impl Hosts for Served {
    fn host(&self, name: &str) -> &Host {
        assert_eq!(name, self.name);
        &self.host
    }
}

/// The commands that a fix says to run, as they are printed; where it says none in words, the one that it has as such.
fn commands(fix: &Value) -> Vec<String> {
    let text = fix["text"].as_str().unwrap();
    let said: Vec<String> =
        text.split("run `").skip(1).map(|rest| rest.split('`').next().unwrap().to_owned()).collect();
    if !said.is_empty() {
        return said;
    }
    let words = fix["run"].as_array().unwrap_or_else(|| panic!("nothing to run: {fix}"));
    let quoted = words.iter().map(|word| format!("'{}'", word.as_str().unwrap().replace('\'', "'\\''")));
    vec![quoted.collect::<Vec<_>>().join(" ")]
}

/// Carries out what a fix says, as it is printed: here, or as root on the server that it names.
#[track_caller]
pub(crate) fn follow(env: &Env, hosts: &dyn Hosts, check: &Value) {
    let fix = &check["fix"];
    for command in commands(fix) {
        match fix["on"].as_str() {
            Some(server) => {
                let done = hosts.host(server).run("root", "sh -s", &command);
                assert_eq!(done.code, 0, "{fix}: {done:?}");
            }
            // A transcript shows the home as `~`, which the shell only knows outside of quotes.
            None => drop(env.paste(&command.replace("'~/", "~/'")).exits(0)),
        }
    }
}

/// A fault is found, and what is printed makes it go away.
#[track_caller]
pub(crate) fn found_and_fixed(world: &World, hosts: &dyn Hosts, want: &str) {
    let run = finds(world, &[want]);
    let (id, rest) = want.split_once(' ').unwrap();
    let server = Some(rest.split(' ').next().unwrap()).filter(|server| *server != "-");
    follow(&world.env, hosts, &check(&run, id, server));
    drop(finds(world, &[]));
}

#[test]
fn a_healthy_fleet_has_no_findings() {
    let (world, _pve) = healthy();
    let run = finds(&world, &[]);
    let counts = &run.json()["counts"];
    assert_eq!(
        (&counts["problem"], &counts["warning"], &counts["skipped"]),
        (&0.into(), &0.into(), &0.into()),
        "{run}"
    );
    assert!(counts["ok"].as_u64().unwrap() > 100, "{run}");
    let run = world.run(&["doctor"]).exits(0);
    assert!(run.stdout.contains("nothing is wrong"), "{run}");
}

#[test]
fn a_changed_host_key_is_said_once_and_what_lies_behind_is_skipped() {
    let (world, pve) = healthy();
    let known = fs::read_to_string(world.known_hosts()).unwrap();
    let other = pve.node("pve2").ssh.known_hosts_line();
    let key = other.split_once(' ').unwrap().1;
    let changed: Vec<String> = known
        .lines()
        .map(|line| {
            let (host, own) = line.split_once(' ').unwrap();
            let is_it = host.contains(&pve.node("pve1").ssh.port().to_string());
            format!("{host} {}", if is_it { key.trim_end() } else { own })
        })
        .collect();
    fs::write(world.known_hosts(), changed.join("\n") + "\n").unwrap();
    let run = finds(&world, &["host-key-changed pve1 problem"]);
    assert_eq!(check(&run, "no-root", Some("pve1"))["because"], "host-key-changed");
    assert_eq!(check(&run, "name-unknown", Some("pve1"))["result"], "ok");
    let fix = check(&run, "host-key-changed", Some("pve1"))["fix"].clone();
    assert_eq!(fix["run"][0], "ssh-keygen", "{fix}");
    if fs::metadata("/usr/bin/ssh-keygen").is_err() {
        return super::env::skipped("ssh-keygen is not installed");
    }
    let command = fix["text"].as_str().unwrap().split('`').nth(1).unwrap().to_owned();
    drop(world.env.paste(&command).exits(0));
    drop(finds(&world, &["host-key-unknown pve1 problem"]));
    drop(world.run(&["init", "--accept-new"]).exits(0));
    drop(finds(&world, &[]));
}

#[test]
fn a_key_that_others_may_read() {
    let (world, pve) = healthy();
    let key = world.env.home().join(".ssh/id_ed25519");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let run = finds(&world, &["key-exposed - problem"]);
    assert_eq!(check(&run, "key-refused", Some("pve1"))["because"], "key-exposed");
    follow(&world.env, &pve, &check(&run, "key-exposed", None));
    drop(finds(&world, &[]));
}

#[test]
fn a_silenced_finding_is_counted_and_not_shown() {
    let world = World::new();
    let nas = world.serve(
        Host::debian("nas").without_login("admin").login("anna", ecobox_sim::host::Rights::SudoPassword).build(),
    );
    world.configure(&nas.entry_as("anna"));
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    drop(finds(&world, &["no-root nas warning"]));
    world.env.add_config("[doctor]\nmute = [{ id = \"no-root\", server = \"nas\", reason = \"only looked at\" }]\n");
    let run = finds(&world, &[]);
    assert_eq!(run.json()["counts"]["muted"], 1);
    let run = world.run(&["doctor"]).exits(0);
    assert!(run.stdout.contains("muted: no-root at nas (only looked at)"), "{run}");
}

#[test]
fn no_quorum_is_said_once_for_a_cluster() {
    let (world, pve) = healthy();
    pve.set_quorate(false);
    let run = finds(&world, &["quorum-lost pve1 problem"]);
    assert_eq!(check(&run, "quorum-lost", Some("pve2"))["because"], "quorum-lost");
    pve.set_quorate(true);
    drop(finds(&world, &[]));
}

#[test]
fn a_service_that_is_down_and_a_clock_that_is_wrong() {
    let (world, pve) = healthy();
    let host = &pve.node("pve2").host;
    host.set_service("pvestatd", "failed");
    found_and_fixed(&world, &pve, "pvestatd-down pve2 problem");
    host.set_clock_off(-600);
    let run = finds(&world, &["clock-off pve2 problem"]);
    let found = check(&run, "clock-off", Some("pve2"));
    assert_eq!(found["finding"], "its clock is 10 minutes behind this machine's");
    follow(&world.env, &pve, &found);
    drop(finds(&world, &[]));
    // Where all hosts agree, it is this machine's.
    pve.nodes.iter().for_each(|node| node.host.set_clock_off(7200));
    let run = finds(&world, &["clock-wrong - problem"]);
    assert_eq!(check(&run, "clock-off", Some("pve3"))["because"], "clock-wrong");
}

#[test]
fn a_token_that_is_gone_is_said_once_for_a_cluster() {
    let (world, pve) = healthy();
    for token in pve.tokens() {
        assert!(pve.sim.cluster().access().remove_token(&token));
    }
    found_and_fixed(&world, &pve, "token-refused pve1 problem");
}

#[test]
fn without_a_configuration_that_is_the_finding() {
    let world = World::new();
    let run = world.run(&["doctor", "-o", "json"]).exits(12);
    assert_eq!(findings(&run), ["config-missing - problem"]);
    world.env.config("[dashbord]\n");
    let run = world.run(&["doctor", "-o", "json"]).exits(12);
    assert_eq!(findings(&run), ["config-invalid - problem"]);
    world.env.config("");
    let run = world.run(&["doctor", "-o", "json"]).exits(0);
    assert!(findings(&run).is_empty(), "{run}");
}

#[test]
fn a_state_file_that_is_open_to_others() {
    let (world, pve) = healthy();
    fs::set_permissions(world.env.state_path(), fs::Permissions::from_mode(0o644)).unwrap();
    let run = finds(&world, &["state-unusable - problem"]);
    let found = check(&run, "state-unusable", None);
    assert!(found["finding"].as_str().unwrap().contains("chmod 600"), "{found}");
    follow(&world.env, &pve, &found);
    drop(finds(&world, &[]));
}

#[test]
fn dead_hosts_hold_up_nobody_and_are_each_one_finding() {
    let world = World::new();
    let pve = world.cluster(Cluster::new("one").node("pve1"));
    let dead = |id: &str, port: u16| super::world::entry(id, "root", port, None);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.configure(&format!("{}{}", pve.entries(), dead("gone", closed)));
    world.know_all(&pve.nodes);
    drop(world.run(&["init"]).exits(8));
    drop(world.run(&["setup-token", "pve1"]).exits(0));
    drop(finds(&world, &["ssh-port-closed gone problem"]));
}

#[test]
fn each_check_is_explained() {
    let world = World::new();
    let run = world.run(&["doctor", "--explain", "wol-not-armed"]).exits(0);
    insta::assert_snapshot!(run, @r#"
    wol-not-armed: its network card would not wake it, cannot, or does not say

    Looks at:
        the Wake-on-LAN setting of the port that magic packets reach (`ethtool`)

    Why it matters:
        a host that sleeps with it switched off needs somebody at its button

    How to fix it:
        `ecobox power suspend SERVER --arm-wol` arms it for the next sleep; where the card knows no
        magic packet, look for Wake-on-LAN in its firmware's settings

    Before an action:
        `ecobox power` looks at it, too: `--allow wol-not-armed` goes on despite it

    To silence it:
        `[doctor] mute = [{ id = "wol-not-armed", server = "SERVER", reason = "…" }]`
    "#);
    let run = world.run(&["doctor", "--explain", "wol-not-amed"]).exits(2);
    assert!(run.stderr.contains("wol-not-armed"), "{run}");
}

/// A few things are wrong, on a terminal: each line says what to do.
#[test]
fn what_is_found_reads_well_at_80_columns() {
    let (world, pve) = healthy();
    let nas = world.serve(
        Host::debian("nas").without_login("admin").login("anna", ecobox_sim::host::Rights::SudoPassword).build(),
    );
    world.know(&nas);
    world.env.add_config(&nas.entry_as("anna"));
    pve.node("pve1").ssh.set_fault(Some(ecobox_sim::ssh::SshFault::CloseAtOnce));
    pve.node("pve2").host.set_service("pvestatd", "failed");
    pve.node("pve3").host.set_clock_off(-600);
    for columns in [80, 700] {
        let text = super::formats::on_terminal(&world.env, &["-q", "doctor"], columns, &[]);
        let short = |line: &&str| !line.contains("NOPASSWD");
        assert!(text.lines().filter(short).all(|line| line.chars().count() <= usize::from(columns)), "{text}");
        let mut text = text.replace(&*world.env.home().to_string_lossy(), "~").replace('\r', "");
        text = text.replace(&*nas.host.root().to_string_lossy(), "");
        assert_transcript!(format!("doctor_{columns}"), text);
    }
}
