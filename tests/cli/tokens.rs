//! Where the token comes from, and what a wrong or weak one means.

use ecobox_sim::{Cluster, Guest, Sim};

use super::env::{CANARY, Env};
use super::fleets::{OPERATOR, TOKEN, api, cluster, env_for, full_token, three};

/// A cluster that knows four tokens by their names.
fn four() -> (Sim, Env) {
    let mut fleet = Cluster::new("lab").node("pve1").vm(101, "web", Guest::stopped);
    for name in ["command", "variable", "credential", "stored"] {
        fleet = fleet.token(&format!("ecobox@pve!{name}"), CANARY, "/", OPERATOR);
    }
    let sim = Sim::start(fleet);
    let mut env = env_for(&sim, &["pve1"]);
    env.unset("ECOBOX_TOKEN_PVE1");
    (sim, env)
}

/// The token that was shown last.
fn shown(sim: &Sim) -> String {
    let header = sim.node("pve1").authorizations().pop().expect("a request");
    let name = header.split(['!', '=']).nth(2).unwrap().to_owned();
    sim.clear_requests();
    name
}

#[test]
fn command_then_variable_then_credential_then_store() {
    let (sim, mut env) = four();
    // Made by hand: setup-token has tests of its own.
    env.config(&api("pve1", &sim, "pve1"));
    let _ = env.run(&["status", "--cached"]).exits(0);
    env.execute(&format!(
        "INSERT INTO tokens VALUES ('host:pve1', 'ecobox@pve!stored', '{CANARY}', 'operator', 9, 'pve1', 0)"
    ));
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "stored");

    let credentials = env.home().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("ecobox-pve1"), format!("ecobox@pve!credential={CANARY}\n")).unwrap();
    env.set("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "credential");

    env.set("ECOBOX_TOKEN_PVE1", format!("ecobox@pve!variable={CANARY}"));
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "variable");

    let file = env.home().join("token");
    std::fs::write(&file, format!("ecobox@pve!command={CANARY}\n")).unwrap();
    env.config(&format!(
        "{}token_command = [\"cat\", \"{}\"]\n",
        api("pve1", &sim, "pve1").trim_end().to_owned() + "\n",
        file.display()
    ));
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "command");
    // What was given is not kept.
    assert_eq!(env.rows("SELECT token_id FROM tokens"), ["ecobox@pve!stored"]);
}

#[test]
fn an_empty_variable_is_no_token() {
    let (sim, mut env) = four();
    env.config(&api("pve1", &sim, "pve1"));
    let _ = env.run(&["status", "--cached"]).exits(0);
    env.execute(&format!(
        "INSERT INTO tokens VALUES ('host:pve1', 'ecobox@pve!stored', '{CANARY}', 'full', 9, 'x', 0)"
    ));
    env.set("ECOBOX_TOKEN_PVE1", "");
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "stored");
}

#[test]
fn exit_4_without_a_token_and_nothing_is_sent() {
    let (sim, env) = four();
    insta::assert_snapshot!(env.run(&["discover"]).exits(4), @"
    no guests could be read
    ------- stderr -------
    warning: pve1: no API token is known for it
    hint: give a token for `pve1` by `token_command` in ~/.config/ecobox/config.toml, or by the environment variable ECOBOX_TOKEN_PVE1
    hint: run `ecobox doctor pve1`
    [exit status: 4]
    ");
    assert_eq!(sim.requests().len(), 0);
    let run = env.run(&["status", "-o", "json"]).exits(4);
    assert_eq!(run.server("pve1")["state"], "online");
    assert_eq!(run.failures(), ["pve1 denied"]);
}

#[test]
fn exit_4_wrong_token_has_a_hint() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1"]);
    env.set("ECOBOX_TOKEN_PVE1", format!("{TOKEN}=00000000-0000-4000-8000-000000000000"));
    insta::assert_snapshot!(env.run(&["discover"]).exits(4), @"
    no guests could be read
    ------- stderr -------
    warning: pve1 refused: token ecobox@pve!test: Authentication failed!
    hint: the token comes from the environment variable ECOBOX_TOKEN_PVE1: put one there that Proxmox VE takes
    hint: run `ecobox doctor pve1`
    [exit status: 4]
    ");
    assert_eq!(sim.node("pve1").count("/cluster/resources"), 1, "a rejected token is not tried again");
    let run = env.run(&["status"]).exits(4);
    insta::assert_snapshot!(run, @"
    NAME  STATE   KIND  NODE  ADDRESS    CPU  MEMORY  UPTIME  SERVICES  SEEN                  BY
    pve1  online  pve   -     127.0.0.1  -    -       -       -         2026-01-02T03:04:05Z  tcp
    ------- stderr -------
    warning: pve1 refused: token ecobox@pve!test: Authentication failed!
    hint: the token comes from the environment variable ECOBOX_TOKEN_PVE1: put one there that Proxmox VE takes
    hint: run `ecobox doctor pve1`
    [exit status: 4]
    ");
}

#[test]
fn exit_4_a_token_without_rights_is_no_empty_fleet() {
    let sim =
        Sim::start(Cluster::new("lab").node("pve1").vm(101, "web", Guest::running).token(TOKEN, CANARY, "/", &[]));
    let env = env_for(&sim, &["pve1"]);
    insta::assert_snapshot!(env.run(&["discover"]).exits(4), @"
    no guests could be read
    ------- stderr -------
    warning: pve1 refused: its API token may see no guest (VM.Audit is missing): an empty list proves nothing
    hint: the token comes from the environment variable ECOBOX_TOKEN_PVE1: give it the missing privileges in Proxmox VE (Datacenter, Permissions)
    hint: run `ecobox doctor pve1`
    [exit status: 4]
    ");
    let run = env.run(&["status", "-o", "json"]).exits(4);
    assert_eq!(run.failures(), ["pve1 denied"]);
}

#[test]
fn a_token_that_lost_its_rights_loses_no_guest() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.cluster().access().grant_role("/", TOKEN, "NoAccess", true);
    let _ = env.run(&["discover"]).exits(4);
    let run = env.run(&["status", "-o", "json"]).exits(4);
    assert_eq!(run.server("pve1-vm-101")["state"], "unknown");
    assert_eq!(env.rows("SELECT count(*) FROM guests WHERE gone_at IS NULL"), ["5"]);
}

#[test]
fn an_empty_cluster_with_rights_is_an_empty_fleet() {
    let sim = Sim::start(cluster("lab").node("pve1"));
    let env = env_for(&sim, &["pve1"]);
    insta::assert_snapshot!(env.run(&["discover"]).exits(0), @"0 guests");
    assert_eq!(env.run(&["status", "-o", "json"]).exits(0).states(), ["pve1 online"]);
}

#[test]
fn malformed_tokens_are_named_by_where_they_come_from_and_never_shown() {
    let (sim, mut env) = four();
    for bad in [
        CANARY.to_owned(),
        format!("PVEAPIToken=ecobox@pve!test:{CANARY}"),
        format!("ecobox@pve={CANARY}"),
        format!("ecobox@pve!test={CANARY};x"),
        format!("ecobox@pve!test={CANARY}\nX-Evil: 1"),
    ] {
        env.set("ECOBOX_TOKEN_PVE1", bad);
        let run = env.run(&["discover", "-vvv"]).exits(4).says("ECOBOX_TOKEN_PVE1 gives is not of the form");
        assert!(!run.stderr.contains("c0ffee00"), "{run}");
    }
    assert_eq!(sim.requests().len(), 0);
}

#[test]
fn a_token_command_that_fails_is_said_without_its_output() {
    let (sim, env) = four();
    let entry = api("pve1", &sim, "pve1").trim_end().to_owned() + "\n";
    for (command, words) in [
        (format!("[\"sh\", \"-c\", \"echo {CANARY}; exit 3\"]"), "token_command `sh` failed (exit status: 3)"),
        ("[\"/no/such/program\"]".to_owned(), "token_command `/no/such/program` does not start"),
        ("[\"true\"]".to_owned(), "token_command gives is not of the form"),
        ("[\"printf\", \"\\\\377\"]".to_owned(), "token_command printed no text"),
    ] {
        env.config(&format!("{entry}token_command = {command}\n"));
        let run = env.run(&["discover", "--timeout", "20s"]).says(words);
        assert!(matches!(run.code, 1 | 4), "{run}");
    }
    assert_eq!(sim.requests().len(), 0);
    env.config(&format!("{entry}token_command = [\"sleep\", \"60\"]\n"));
    let _ = env.run(&["discover", "--timeout", "1s"]).exits(5);
}

#[test]
fn an_unreadable_credential_is_an_error_and_no_excuse() {
    let (_sim, mut env) = four();
    std::fs::create_dir_all(env.home().join("credentials/ecobox-pve1")).unwrap();
    let folder = env.home().join("credentials").display().to_string();
    env.set("CREDENTIALS_DIRECTORY", folder);
    let _ = env.run(&["discover"]).exits(1).says("cannot read ~/credentials/ecobox-pve1");
}

#[test]
fn names_of_servers_become_names_of_variables() {
    let sim = three();
    let mut env = Env::new();
    env.config(&api("my-pve.lan", &sim, "pve1"));
    env.set("ECOBOX_TOKEN_MY_PVE_LAN", full_token());
    let _ = env.run(&["discover"]).exits(0);
}

#[test]
fn what_stands_around_a_token_is_not_sent() {
    let (sim, mut env) = four();
    let token = format!("ecobox@pve!variable={CANARY}");
    for text in [
        format!("PVEAPIToken={token}"),
        format!("Authorization: PVEAPIToken={token}"),
        format!("'{token}'"),
        format!(" \"{token}\" "),
        format!("\"PVEAPIToken={token}\""),
        format!("PVEAPIToken='{token}'"),
        format!("ecobox@pve!variable=\"{CANARY}\""),
    ] {
        env.set("ECOBOX_TOKEN_PVE1", text.clone());
        let _ = env.run(&["status"]).exits(0);
        let header = sim.node("pve1").authorizations().pop().unwrap();
        assert_eq!(header, format!("PVEAPIToken={token}"), "{text}");
    }
    // One quote is none around it.
    sim.clear_requests();
    for text in [format!("\"{token}"), format!("{token}'"), format!("PVEAPIToken={CANARY}"), "PVEAPIToken=".to_owned()]
    {
        env.set("ECOBOX_TOKEN_PVE1", text);
        let _ = env.run(&["discover"]).exits(4).says("is not of the form user@realm!tokenid=secret");
    }
    assert_eq!(sim.requests().len(), 0);
}

#[test]
fn the_first_line_of_a_command_or_credential_is_the_token() {
    let (sim, mut env) = four();
    let credentials = env.home().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let lines = |name: &str| format!("ecobox@pve!{name}={CANARY}\r\nurl: https://pve1.lan:8006\nmade by hand\n");
    std::fs::write(credentials.join("ecobox-pve1"), lines("credential")).unwrap();
    env.set("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "credential");
    let file = env.home().join("token");
    std::fs::write(&file, lines("command")).unwrap();
    let entry = api("pve1", &sim, "pve1").trim_end().to_owned();
    env.config(&format!("{entry}\ntoken_command = [\"cat\", \"{}\"]\n", file.display()));
    let _ = env.run(&["status"]).exits(0);
    assert_eq!(shown(&sim), "command");
    std::fs::write(&file, format!("\n{}", lines("command"))).unwrap();
    let _ = env.run(&["discover"]).exits(4).says("token_command gives is not of the form");
}

/// Proxmox VE decodes percent signs in the header.
#[test]
fn a_percent_sign_in_a_name_reaches_proxmox_ve() {
    for user in ["100%41dmin@pve", "50%@pve", "a%3bb@pve"] {
        let id = format!("{user}!test");
        let fleet = Cluster::new("lab").node("pve1").vm(101, "web", Guest::stopped).token(&id, CANARY, "/", OPERATOR);
        let sim = Sim::start(fleet);
        let mut env = env_for(&sim, &["pve1"]);
        env.set("ECOBOX_TOKEN_PVE1", format!("{id}={CANARY}"));
        let run = env.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(run.server("pve1-vm-101")["state"], "stopped", "{user}");
    }
}
