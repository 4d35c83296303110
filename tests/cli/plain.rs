//! Plain servers and services: what is asked by TCP alone.

use std::net::TcpListener;

use super::env::Env;
use super::fleets::{CLOSED, Open, Silent, api, env_for, full_token, homelab, plain, variable};

fn service(name: &str, port: u16) -> String {
    format!("[[servers.services]]\nname = \"{name}\"\nport = {port}\ntype = \"custom\"\n\n")
}

#[test]
fn a_plain_server_is_online_when_its_ssh_port_answers() {
    let ssh = Open::new();
    let env = Env::new();
    env.config(&plain("nas", ssh.port()));
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let nas = run.server("nas");
    assert_eq!((&nas["state"], &nas["kind"], &nas["source"]), (&"online".into(), &"linux".into(), &"tcp".into()));
    assert_eq!((&nas["services"][0]["name"], &nas["services"][0]["open"]), (&"ssh".into(), &true.into()));
    assert!(nas["services"][0]["response_seconds"].as_f64().unwrap() < 3.0, "{nas}");
}

#[test]
fn a_plain_server_that_refuses_is_offline() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let run = env.run(&["status"]).exits(5);
    insta::assert_snapshot!(run, @"
    NAME  STATE    KIND   NODE  ADDRESS    CPU  MEMORY  UPTIME  SERVICES    SEEN                  BY
    nas   offline  linux  -     127.0.0.1  -    -       -       ssh closed  2026-01-02T03:04:05Z  tcp
    ------- stderr -------
    warning: nas is offline: connection refused
    hint: run `ecobox doctor nas`
    [exit status: 5]
    ");
}

#[test]
fn a_plain_server_that_hangs_is_offline() {
    let silent = Silent::new();
    let env = Env::new();
    env.config(&plain("nas", silent.port()));
    let run = env.run(&["status", "-o", "json", "--timeout", "1s"]).exits(5);
    assert_eq!(run.server("nas")["state"], "offline");
    assert_eq!(run.failures(), ["nas unreachable"]);
}

#[test]
fn a_name_without_an_address_is_unknown_not_offline() {
    let env = Env::new();
    env.config("[[servers]]\nid = \"nas\"\nhostname = \"nas.invalid\"\n");
    let run = env.run(&["status", "-o", "json", "--timeout", "3s"]).exits(5);
    assert_eq!(run.server("nas")["state"], "unknown", "{run}");
}

/// The system has no way to a TCP connection with a multicast address, as it has none to anybody without a network.
#[test]
fn without_a_network_everybody_is_unknown_not_offline() {
    let mut env = Env::new();
    env.set(&variable("pve1"), full_token());
    let fingerprint = ["AB"; 32].join(":");
    env.config(&format!(
        "[[servers]]\nid = \"nas\"\nhostname = \"224.0.0.1\"\n\n[[servers]]\nid = \"pve1\"\nhostname = \"224.0.0.1\"\n\
         type = \"proxmox\"\nfingerprint = \"{fingerprint}\"\n"
    ));
    let run = env.run(&["status", "-o", "json"]).exits(5);
    assert_eq!(run.states(), ["nas unknown", "pve1 unknown"]);
    for id in ["nas", "pve1"] {
        assert_eq!(run.server(id)["reason"], "this machine has no way to its network", "{run}");
    }
    let _ = env.run(&["status", "nas"]).exits(5).says("nas is unknown: this machine has no way to its network");
    // Nor is a service closed that nobody asked, and no outage is remembered of it.
    assert_eq!(run.server("nas")["services"][0]["open"], serde_json::Value::Null, "{run}");
    assert_eq!(env.rows("SELECT ok FROM checks"), [] as [String; 0]);
}

#[test]
fn one_server_down_does_not_hide_the_other() {
    let ssh = Open::new();
    let env = Env::new();
    env.config(&(plain("nas", ssh.port()) + &plain("old", CLOSED)));
    let run = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.states(), ["nas online", "old offline"]);
    // Who asks for the one only hears of the one.
    let _ = env.run(&["status", "nas"]).exits(0);
    let _ = env.run(&["status", "old"]).exits(5);
}

#[test]
fn services_are_open_or_closed_with_their_response_time() {
    let (ssh, web) = (Open::new(), Open::new());
    let env = Env::new();
    env.config(&(plain("nas", ssh.port()) + &service("web", web.port()) + &service("smb", CLOSED)));
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let services = run.server("nas")["services"].clone();
    let seen: Vec<_> =
        services.as_array().unwrap().iter().map(|s| (s["name"].as_str().unwrap(), s["open"].as_bool())).collect();
    assert_eq!(seen, [("ssh", Some(true)), ("web", Some(true)), ("smb", Some(false))]);
    assert!(services[1]["response_seconds"].is_f64() && services[2]["response_seconds"].is_null(), "{services}");
    assert_eq!(services[2]["error"], "connection refused");
    let table = env.run(&["status"]).exits(0).stdout;
    assert!(table.contains("smb closed") && table.contains("web "), "{table}");
}

/// ssh that is filtered is no reason to call a server off whose web page answers.
#[test]
fn any_open_service_shows_that_a_server_is_on() {
    let web = Open::new();
    let env = Env::new();
    env.config(&(plain("nas", CLOSED) + &service("web", web.port())));
    assert_eq!(env.run(&["status", "-o", "json"]).exits(0).server("nas")["state"], "online");
}

#[test]
fn this_machine_is_online_without_a_question() {
    let env = Env::new();
    env.config("[[servers]]\nid = \"here\"\nlocal = true\n");
    let here = env.run(&["status", "-o", "json"]).exits(0).server("here");
    assert_eq!((&here["state"], &here["source"]), (&"online".into(), &"local".into()));
}

/// A listener that notes whether anybody came.
fn watched() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn services_of_guests_are_asked_only_while_they_run() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let (running, first) = watched();
    let (stopped, second) = watched();
    let entry =
        |id: &str| format!("[[servers]]\nid = \"{id}\"\nparent_server_id = \"pve1\"\nhostname = \"127.0.0.2\"\n");
    env.add_config(&(entry("pve1-vm-101") + &service("web", first) + &entry("pve1-vm-105") + &service("web", second)));
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-vm-101")["services"][0]["open"], true);
    assert_eq!(run.server("pve1-vm-105")["services"], serde_json::json!([]), "paused");
    assert!(running.accept().is_ok(), "the running guest's service was asked");
    assert!(stopped.accept().is_err(), "the paused guest's service was not asked");
}

#[test]
fn an_entry_for_a_guest_adds_to_what_the_listing_says() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    env.add_config(
        "[[servers]]\nid = \"pve1-vm-101\"\nname = \"Shop\"\nparent_server_id = \"pve1\"\nhostname = \"shop.example\"\n\
         tags = [\"extra\", \"web\"]\n\n[[servers]]\nid = \"pve1-ct-202\"\nparent_server_id = \"pve1\"\nexpected = \"on\"\n",
    );
    let run = env.run(&["status", "-o", "json"]).exits(8);
    let shop = run.server("pve1-vm-101");
    assert_eq!(
        (&shop["name"], &shop["address"], &shop["state"]),
        (&"Shop".into(), &"shop.example".into(), &"running".into())
    );
    assert_eq!(shop["tags"], serde_json::json!(["prod", "web", "extra"]));
    assert_eq!(run.states().iter().filter(|line| line.starts_with("pve1-vm-101 ")).count(), 1);
    // A container that should be on and is not.
    assert_eq!(run.failures(), ["pve1-ct-202 unreachable"]);
}

#[test]
fn an_entry_for_a_guest_that_no_listing_has_is_unknown() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    env.add_config("[[servers]]\nid = \"pve1-vm-555\"\nparent_server_id = \"pve1\"\nhostname = \"gone.example\"\n");
    let run = env.run(&["status", "-o", "json"]).exits(0);
    let gone = run.server("pve1-vm-555");
    assert_eq!((&gone["state"], &gone["parent"]), (&"unknown".into(), &"pve1".into()));
}

#[test]
fn a_server_stands_under_its_parent() {
    let (sim, ssh) = (homelab(), Open::new());
    let env = env_for(&sim, &["pve1"]);
    env.config(&format!(
        "{}parent_server_id = \"pve1\"\n\n{}",
        plain("zbox", ssh.port()).trim_end().to_owned() + "\n",
        api("pve1", &sim, "pve1")
    ));
    let run = env.run(&["status", "-o", "csv"]).exits(0);
    let names: Vec<_> = run.stdout.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!((names[0], names.contains(&"zbox")), ("pve1", true), "{run}");
}
