//! `ecobox setup-token` where a token is there already: kept, repaired, rotated, checked, revoked; and `--print`.

use ecobox_sim::Cluster;

use super::world::{Pve, World, assert_transcript};

/// One node with a token of ours.
pub(crate) fn with_token(world: &World) -> (Pve, String) {
    let pve = world.one_node();
    world.run(&["setup-token"]).exits(0);
    let token = pve.tokens().remove(0);
    (pve, token)
}

#[test]
fn a_token_that_does_is_kept_without_a_change() {
    let world = World::new();
    let (pve, token) = with_token(&world);
    let (before, secrets) = (pve.writes().len(), pve.secrets());
    let run = world.run(&["setup-token"]).exits(0);
    assert_transcript!("setup_token_kept", run);
    assert_eq!(pve.writes().len(), before);
    assert_eq!((pve.tokens(), pve.secrets()), (vec![token], secrets));
}

#[test]
fn a_token_that_an_administrator_removed_is_made_anew() {
    let world = World::new();
    let (pve, token) = with_token(&world);
    assert!(pve.sim.cluster().access().remove_token(&token));
    let run = world.run(&["setup-token", "--check"]).exits(4);
    assert_transcript!("setup_token_check_removed", run);
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["result"], "replaced");
    assert_ne!(pve.tokens(), [token]);
    pve.assert_one_usable_token(&world);
    assert_eq!(pve.sim.cluster().access().acl_lines().len(), 2);
}

#[test]
fn a_role_that_was_cut_is_mended() {
    let world = World::new();
    let (pve, _) = with_token(&world);
    let cut = ["role", "modify", "Ecobox", "--privs", "VM.Audit"].map(str::to_owned);
    assert_eq!(pve.sim.cluster().access().pveum(&cut).code, 0);
    let run = world.run(&["setup-token", "--check"]).exits(4);
    assert_transcript!("setup_token_check_too_little", run);
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn too_much_is_said() {
    let world = World::new();
    let (pve, token) = with_token(&world);
    {
        let cluster = pve.sim.cluster();
        let mut access = cluster.access();
        for who in ["ecobox@pve", token.as_str()] {
            access.grant("/vms/101", who, &["VM.Allocate", "VM.Console"], true);
        }
    }
    let run = world.run(&["setup-token", "--check"]).exits(0);
    assert_transcript!("setup_token_check_too_much", run);
    assert_eq!(world.run(&["setup-token", "--check", "-o", "json"]).json()["servers"][0]["excess"][0], "VM.Allocate");
}

#[test]
fn a_check_changes_nothing_and_needs_no_ssh() {
    let world = World::new();
    let (pve, token) = with_token(&world);
    let (writes, logins) = (pve.writes().len(), pve.nodes[0].ssh.connections());
    let run = world.run(&["setup-token", "--check"]).exits(0);
    assert_transcript!("setup_token_check", run);
    assert!(run.stdout.contains(&token), "{run}");
    assert_eq!((pve.writes().len(), pve.nodes[0].ssh.connections()), (writes, logins));
    // Before there is a token.
    let world = World::new();
    world.one_node();
    let run = world.run(&["setup-token", "--check"]).exits(4);
    assert_transcript!("setup_token_check_none", run);
}

#[test]
fn rotation_leaves_the_new_token_only() {
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    let (old, secret) = (pve.tokens(), pve.secrets());
    let run = world.run(&["setup-token", "--rotate", "-o", "json"]).exits(0);
    let results: Vec<String> = rows(&run.json(), "result");
    assert_eq!(results, ["replaced", "kept", "kept"]);
    assert_ne!((pve.tokens(), pve.secrets()), (old.clone(), secret));
    pve.assert_one_usable_token(&world);
    let acl = pve.sim.cluster().access().acl_lines();
    assert!(acl.iter().all(|line| !line.contains(&format!("{} ", old[0]))), "{acl:?}");
    world.run(&["discover"]).exits(0);
    world.run(&["setup-token", "--rotate", "pve2"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn a_scope_is_changed_by_a_new_token() {
    let world = World::new();
    let (pve, _) = with_token(&world);
    for scope in ["monitor", "manager", "full", "operator"] {
        world.run(&["setup-token", "--scope", scope]).exits(0);
        pve.assert_one_usable_token(&world);
        let run = world.run(&["setup-token", "-o", "json"]).exits(0);
        let row = &run.json()["servers"][0];
        assert_eq!((row["scope"].as_str(), row["result"].as_str()), (Some(scope), Some("kept")));
        let token = pve.tokens().remove(0);
        let allowed = pve.sim.cluster().access().privileges(&token, "/");
        assert_eq!(allowed.contains("VM.PowerMgmt"), scope != "monitor", "{scope}: {allowed:?}");
        assert_eq!(allowed.contains("VM.Snapshot"), ["manager", "full"].contains(&scope), "{scope}: {allowed:?}");
        assert_eq!(allowed.contains("Sys.Modify"), scope == "full", "{scope}: {allowed:?}");
    }
}

#[test]
fn revocation_takes_everything_that_was_made() {
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    let run = world.run(&["setup-token", "--revoke"]).exits(0);
    assert_transcript!("setup_token_revoked", run);
    {
        let cluster = pve.sim.cluster();
        let access = cluster.access();
        assert_eq!((access.users(), access.own_roles().len()), (vec!["root@pam".to_owned()], 0));
        assert_eq!(access.acl_lines(), [""; 0]);
        let audit = access.audit();
        let at = |part: &str| audit.iter().position(|line| line.contains(part)).unwrap();
        assert!(at("acl delete") < at("token remove"), "the ACL goes first: {audit:#?}");
    }
    assert_eq!((world.count("tokens"), world.count("intents")), (0, 0));
    // Once more there is nothing to do; a new one can be made.
    world.run(&["setup-token", "--revoke"]).exits(0);
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn what_others_use_stays_at_a_revocation() {
    let world = World::new();
    let (pve, _) = with_token(&world);
    // Another user was given the role.
    pve.sim.cluster().access().grant_role("/", "ann@pve", "Ecobox", true);
    world.run(&["setup-token", "--revoke"]).exits(0);
    let cluster = pve.sim.cluster();
    let access = cluster.access();
    assert!(access.own_roles().contains_key("Ecobox"));
    assert_eq!(access.users(), ["ann@pve", "root@pam"]);
    assert_eq!(access.tokens(), [""; 0]);
    drop(access);
    drop(cluster);
    // A service user that somebody else made is not ours to delete.
    let world = World::new();
    let pve = world.one_node();
    pve.sim.cluster().access().add_user("ecobox@pve");
    world.run(&["setup-token"]).exits(0);
    world.run(&["setup-token", "--revoke"]).exits(0);
    assert_eq!(pve.sim.cluster().access().users(), ["ecobox@pve", "root@pam"]);
    assert_eq!(pve.tokens(), [""; 0]);
}

#[test]
fn a_revocation_that_fails_forgets_nothing() {
    let world = World::new();
    let (pve, _) = with_token(&world);
    pve.set_quorate(false);
    world.run(&["setup-token", "--revoke"]).exits(1);
    assert_eq!(world.count("tokens"), 1);
    pve.set_quorate(true);
    pve.assert_one_usable_token(&world);
    world.run(&["setup-token", "--revoke"]).exits(0);
    assert_eq!((pve.tokens().len(), world.count("tokens")), (0, 0));
}

#[test]
fn printing_asks_nobody_and_shows_what_can_be_typed() {
    let world = World::new();
    let pve = world.one_node();
    world.configure(&pve.entries_as("admin"));
    let run = world.run(&["setup-token", "--print", "--scope", "monitor"]).exits(0);
    assert_transcript!("setup_token_print", run);
    assert_eq!(pve.nodes[0].ssh.connections(), 0);
    assert_eq!((world.count("tokens"), world.count("intents")), (0, 0));
    // Pasted into a shell there, they make such a token.
    let script: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("sudo ")).collect();
    let host = &pve.nodes[0].host;
    for line in &script {
        let outcome = host.run("admin", "sh -s", &format!("{line}\n"));
        assert_eq!(outcome.code, 0, "{line}\n{}", outcome.stderr);
    }
    let token = pve.tokens().remove(0);
    assert_eq!(pve.sim.cluster().access().privileges(&token, "/").len(), 4);
    // With a token it says how to replace it, once for a cluster.
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    let logins = pve.nodes[0].ssh.connections();
    let run = world.run(&["setup-token", "--print"]).exits(0);
    assert_transcript!("setup_token_print_replacing", run);
    assert_eq!(pve.nodes[0].ssh.connections(), logins);
}

#[test]
fn a_given_token_is_checked_as_well() {
    let secret = super::env::CANARY;
    let world = World::new();
    let cluster = Cluster::new("single").node("pve1").token("me@pve!mine", secret, "/", &["VM.Audit"]);
    let pve = world.cluster(cluster);
    world.know_all(&pve.nodes);
    let trust = format!("fingerprint = \"{}\"\n", pve.sim.node("pve1").fingerprint());
    world.configure(&(pve.nodes[0].entry().trim_end().to_owned() + "\n" + &trust));
    let value = format!("me@pve!mine={secret}");
    let run = world.env.run_with(&["setup-token", "--check", "-o", "json"], &[("ECOBOX_TOKEN_PVE1", &value)]).exits(4);
    let row = &run.json()["servers"][0];
    assert_eq!((row["token"].as_str(), row["trust"].as_str()), (Some("me@pve!mine"), Some("fingerprint")));
    assert_eq!(row["missing"].as_array().unwrap().len(), 4);
    assert_eq!(pve.nodes[0].ssh.connections(), 0);
}

fn rows(report: &serde_json::Value, field: &str) -> Vec<String> {
    let rows = report["servers"].as_array().unwrap().iter();
    rows.map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Runs pveum on the cluster as its administrator.
#[track_caller]
fn pveum(pve: &super::world::Pve, line: &str) {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let outcome = pve.sim.cluster().access().pveum(&words);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{line}");
}

/// What the token has been given besides its scope's role, with its name left out.
fn besides(pve: &super::world::Pve) -> Vec<String> {
    let token = pve.tokens().remove(0);
    let lines = pve.sim.cluster().access().acl_lines();
    let own =
        lines.iter().filter(|line| line.contains(&token) && !line.contains(" Ecobox ") && !line.contains("EcoboxRead"));
    own.map(|line| line.replace(&token, "TOKEN")).collect()
}

#[test]
fn what_a_token_was_given_besides_goes_to_the_one_that_replaces_it() {
    for version in ["9.2.11", "8.1.4", "7.4-3"] {
        let world = World::new();
        let pve = world.node_of(version, |builder| builder);
        world.run(&["setup-token"]).exits(0);
        let first = pve.tokens();
        pveum(&pve, "role add EcoboxHibernate --privs VM.Config.Disk,Datastore.AllocateSpace");
        pveum(&pve, "acl modify / --users ecobox@pve --roles EcoboxHibernate");
        pveum(&pve, &format!("acl modify /vms/101 --tokens {} --roles EcoboxHibernate", first[0]));
        pveum(&pve, &format!("acl modify /storage/local --tokens {} --roles EcoboxHibernate --propagate 0", first[0]));
        let given = besides(&pve);
        assert_eq!(given.len(), 2, "{version}: {given:?}");
        for args in
            [&["setup-token", "--rotate"][..], &["setup-token", "--scope", "monitor"], &["setup-token", "--rotate"]]
        {
            let before = pve.tokens();
            world.run(args).exits(0);
            assert_ne!(pve.tokens(), before);
            assert_eq!(besides(&pve), given, "{version} {args:?}");
            pve.assert_one_usable_token(&world);
        }
        let token = pve.tokens().remove(0);
        assert!(!pve.sim.cluster().access().privileges(&token, "/").contains("VM.PowerMgmt"), "{version}");
        // The last one takes all with it that nobody else uses.
        world.run(&["setup-token", "--revoke"]).exits(0);
        let cluster = pve.sim.cluster();
        let access = cluster.access();
        assert_eq!((access.own_roles().len(), access.acl_lines().len()), (0, 0), "{version}");
        assert_eq!(access.users(), ["root@pam"], "{version}");
    }
}

#[test]
fn a_token_is_not_replaced_by_one_that_may_do_less() {
    let world = World::new();
    let pve = world.one_node();
    world.run(&["setup-token"]).exits(0);
    let first = pve.tokens();
    pveum(&pve, "role add EcoboxHibernate --privs VM.Config.Disk,Datastore.AllocateSpace");
    pveum(&pve, &format!("acl modify /vms/101 --tokens {} --roles EcoboxHibernate", first[0]));
    let given = besides(&pve);
    // role, user, ACL, token, ACL, list, and then what it was given.
    let calls = 8;
    pve.nodes[0].host.fail_pveum(calls, "ACL update failed: disk full\n", 255);
    let run = world.run(&["setup-token", "--rotate"]).exits(1);
    assert!(run.stderr.contains("disk full"), "{run}");
    assert_eq!((pve.tokens(), besides(&pve)), (first, given), "{run}");
    pve.assert_one_usable_token(&world);
}
