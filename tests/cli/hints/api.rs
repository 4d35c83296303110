//! Hints of the API: who it is, who we are, and what stands in front of it.

use ecobox_sim::{Cluster, Fault, Service, Sim};

use super::super::env::CANARY;
use super::super::fleets::{CLOSED, OPERATOR, Open, TOKEN, api, env_for, full_token, homelab, three, untrusted};
use super::super::setup_token_again::with_token;
use super::super::trust::env_with;
use super::super::world::World;
use super::{Followed, Row};

/// pve2 does something else at its port, where the configuration looks for pve1; pve1 is what is meant.
fn elsewhere(row: &Row, fault: &Fault, code: i32) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let right = std::fs::read_to_string(env.config_path()).unwrap();
    let trust = |node: &str| (sim.node(node).port().to_string(), sim.node(node).fingerprint());
    let ((port, print), (other, other_print)) = (trust("pve1"), trust("pve2"));
    env.config(&right.replace(&port, &other).replace(&print, &other_print));
    sim.node("pve2").fail(fault.clone());
    let run = env.run(&["discover"]).exits(code);
    let seen = row.seen(&run);
    assert!(!run.stderr.contains("token comes from") && !run.stderr.contains("setup-token"), "{run}");
    // As it says: the host itself.
    env.config(&right);
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

fn healed(row: &Row, fault: Fault, code: i32) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(fault);
    let run = env.run(&["discover"]).exits(code);
    let seen = row.seen(&run);
    sim.node("pve1").heal();
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn api_port_closed(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    env.config(&untrusted("pve1", CLOSED));
    let run = env.run(&["discover"]).exits(5);
    let seen = row.seen(&run);
    env.config(&api("pve1", &sim, "pve1"));
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn api_closes(row: &Row) -> Option<Followed> {
    healed(row, Fault::DropAtConnect, 5)
}

pub(super) fn not_pve(row: &Row) -> Option<Followed> {
    elsewhere(row, &Fault::Html, 1)
}

/// Where it is sent to is said.
pub(super) fn redirected(row: &Row) -> Option<Followed> {
    let to = "https://sso.example.com/login?back=1";
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(Fault::Redirect(to.to_owned()));
    let _ =
        env.run(&["discover"]).exits(1).says(&format!("pve1 answered 302 to GET /cluster/resources: Found, to {to}"));
    elsewhere(row, &Fault::Redirect(to.to_owned()), 1)
}

/// A proxy's own refusals are not those of Proxmox VE: the token is not blamed.
pub(super) fn proxy_login(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(Fault::Proxy(401));
    let said =
        "pve1 answered 401 to GET /cluster/resources: Unauthorized, by a proxy in front of the API (nginx/1.22.1)";
    let run = env.run(&["status"]).says(said);
    assert!(!run.stderr.contains("token comes from"), "{run}");
    let _ = elsewhere(row, &Fault::Proxy(403), 1);
    elsewhere(row, &Fault::Proxy(401), 1)
}

pub(super) fn proxy_failed(row: &Row) -> Option<Followed> {
    for status in [503, 504] {
        let _ = healed(row, Fault::Proxy(status), 1);
    }
    elsewhere(row, &Fault::Proxy(502), 1)
}

/// Its certificate was looked at over SSH a moment ago, and is another one now.
pub(super) fn certificate_changed(row: &Row) -> Option<Followed> {
    let world = World::new();
    let (pve, _) = with_token(&world);
    let _ = world.run(&["discover"]).exits(0);
    pve.sim.cluster().replace_ca();
    pve.publish_certificates();
    let run = world.run(&["discover"]).exits(6);
    let seen = row.seen(&run);
    assert!(!run.stderr.contains("ssh-keygen"), "{run}");
    let _ = seen.follow(&world.env, "ecobox setup-token --check pve1").exits(0);
    Some(seen.gone(&world.run(&["discover"]).exits(0)))
}

pub(super) fn certificate_other(row: &Row) -> Option<Followed> {
    let sim = three();
    let print = sim.node("pve1").fingerprint();
    // Nothing is said of it, or something else: the fingerprint that the hint names is taken over.
    for line in ["", &format!("fingerprint = \"{}\"", sim.node("pve2").fingerprint())] {
        let env = env_with(&sim, line);
        let run = env.run(&["discover"]).exits(6);
        let seen = row.seen(&run);
        assert!(!run.stderr.contains("ssh-keygen") && !run.stderr.contains("setup-token"), "{run}");
        // The transcript has a name for it.
        assert_eq!(seen.value("fingerprint"), "FINGERPRINT");
        env.config(&(untrusted("pve1", sim.node("pve1").port()) + &format!("fingerprint = \"{print}\"\n")));
        let _ = seen.gone(&env.run(&["discover"]).exits(0));
    }
    // The other way: the CA's own file.
    let env = env_with(&sim, "ca_file = \"ca.pem\"");
    let other = Sim::start(Cluster::new("other").node("pve1"));
    let file = env.config_path().with_file_name("ca.pem");
    std::fs::write(&file, other.ca_pem()).unwrap();
    let run = env.run(&["discover"]).exits(6);
    let seen = row.seen(&run);
    std::fs::write(&file, sim.ca_pem()).unwrap();
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn no_token(row: &Row) -> Option<Followed> {
    let world = World::new();
    let _pve = world.one_node();
    let _ = world.run(&["init"]).exits(0);
    let _ = row.seen(&world.run(&["setup-token", "--check"]).exits(4));
    let run = world.run(&["discover"]).exits(4);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox setup-token").exits(0);
    Some(seen.gone(&world.run(&["discover"]).exits(0)))
}

pub(super) fn no_token_api(row: &Row) -> Option<Followed> {
    let sim = three();
    let mut env = env_for(&sim, &["pve1"]);
    env.unset("ECOBOX_TOKEN_PVE1");
    let _ = row.seen(&env.run(&["setup-token", "--check"]).exits(4));
    let run = env.run(&["discover"]).exits(4);
    let seen = row.seen(&run);
    assert!(!run.stderr.contains("ecobox setup-token"), "what only SSH could follow:\n{run}");
    env.set(seen.value("variable"), full_token());
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn token_refused(row: &Row) -> Option<Followed> {
    let world = World::new();
    let (pve, token) = with_token(&world);
    let _ = world.run(&["discover"]).exits(0);
    assert!(pve.sim.cluster().access().remove_token(&token));
    let run = world.run(&["discover"]).exits(4);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox setup-token").exits(0);
    Some(seen.gone(&world.run(&["discover"]).exits(0)))
}

pub(super) fn token_refused_given(row: &Row) -> Option<Followed> {
    let sim = three();
    let mut env = env_for(&sim, &["pve1"]);
    // One that Proxmox VE does not know, and one that is none.
    for token in ["ecobox@pve!other=00000000-0000-4000-8000-000000000000", "nonsense"] {
        env.set("ECOBOX_TOKEN_PVE1", token);
        let run = env.run(&["discover"]).exits(4);
        let seen = row.seen(&run);
        assert_eq!(seen.value("source"), "the environment variable ECOBOX_TOKEN_PVE1");
        env.set("ECOBOX_TOKEN_PVE1", full_token());
        let _ = seen.gone(&env.run(&["discover"]).exits(0));
    }
    env.set("ECOBOX_TOKEN_PVE1", "");
    let entry = api("pve1", &sim, "pve1");
    let command = |token: &str| format!("{}\ntoken_command = [\"echo\", \"{token}\"]\n", entry.trim_end());
    env.config(&command("ecobox@pve!other=00000000-0000-4000-8000-000000000000"));
    let run = env.run(&["discover"]).exits(4);
    let seen = row.seen(&run);
    assert_eq!(seen.value("source"), "`token_command` of `pve1`");
    env.config(&command(&full_token()));
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn privilege_missing(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    let _ = world.run(&["discover"]).exits(0);
    let cut = ["role", "modify", "Ecobox", "--privs", "Sys.Audit"].map(str::to_owned);
    assert_eq!(pve.sim.cluster().access().pveum(&cut).code, 0);
    let _ = row.seen(&world.run(&["setup-token", "--check"]).exits(4));
    let run = world.run(&["discover"]).exits(4);
    let seen = row.seen(&run);
    assert_eq!(seen.value("scope"), "");
    let _ = seen.follow(&world.env, "ecobox setup-token").exits(0);
    let _ = seen.gone(&world.run(&["discover"]).exits(0));
    // What only reads cannot switch.
    let _ = world.run(&["setup-token", "--scope", "monitor"]).exits(0);
    let run = world.run(&["power", "stop", "vm-101", "--yes"]).exits(4);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox setup-token --scope operator").exits(0);
    Some(seen.gone(&world.run(&["power", "stop", "vm-101", "--yes"]).exits(0)))
}

pub(super) fn privilege_missing_given(row: &Row) -> Option<Followed> {
    let cluster = Cluster::new("lab").token(TOKEN, CANARY, "/", &["Sys.Audit"]);
    let sim = Sim::start(cluster.node("pve1").vm(101, "web", |vm| vm));
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover"]).exits(4);
    let seen = row.seen(&run);
    for who in ["ecobox@pve", TOKEN] {
        sim.cluster().access().grant("/", who, OPERATOR, true);
    }
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn pvedaemon_down(row: &Row) -> Option<Followed> {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    sim.cluster().set_service("pve1", Service::PvedaemonDown);
    let run = env.run(&["discover"]).exits(5);
    let seen = row.seen(&run);
    sim.cluster().set_service("pve1", Service::Up);
    Some(seen.gone(&env.run(&["discover"]).exits(0)))
}

pub(super) fn node_offline(row: &Row) -> Option<Followed> {
    let sim = three();
    let mut env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve3").stop();
    let run = env.run(&["status"]).exits(8);
    let seen = row.seen(&run);
    env.add_config(&format!("{}expected = \"any\"\n", api("pve3", &sim, "pve3").trim_end().to_owned() + "\n"));
    env.set("ECOBOX_TOKEN_PVE3", full_token());
    sim.node("pve3").start();
    let _ = seen.follow(&env, "ecobox status").exits(0);
    sim.node("pve3").stop();
    Some(seen.gone(&env.run(&["status"])))
}

/// Something answers at the port of a node that its cluster has lost.
pub(super) fn node_lost(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    let right = std::fs::read_to_string(env.config_path()).unwrap();
    sim.node("pve2").stop();
    let door = Open::new();
    let (port, other) = (sim.node("pve2").port().to_string(), door.port().to_string());
    env.config(&right.replace(&format!("api_port = {port}"), &format!("api_port = {other}")));
    let run = env.run(&["status"]).exits(8);
    let seen = row.seen(&run);
    sim.node("pve2").start();
    env.config(&right);
    Some(seen.gone(&env.run(&["status"]).exits(0)))
}
