//! `ecobox setup-token` on simulated hosts: whom it may make a token for, and what it makes.

use std::collections::BTreeSet;

use ecobox_sim::Cluster;
use ecobox_sim::host::{Host, Rights};

use super::world::{Pve, World, assert_transcript};

const OPERATOR: &[&str] = &["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit", "VM.PowerMgmt"];

const MANAGER: &[&str] =
    &["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit", "VM.Migrate", "VM.PowerMgmt", "VM.Snapshot"];

/// Effective privileges of a token on `/`.
fn privileges(pve: &Pve, token: &str) -> BTreeSet<String> {
    pve.sim.cluster().access().privileges(token, "/")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn one_token_serves_a_cluster_that_is_configured_through_three_hosts() {
    let world = World::new();
    let pve = world.three_nodes();
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    let report = run.json();
    assert_eq!(report["schema"], "ecobox.setup-token/1");
    let rows = report["servers"].as_array().unwrap();
    let tokens = pve.tokens();
    for (row, (node, result)) in rows.iter().zip([("pve1", "created"), ("pve2", "kept"), ("pve3", "kept")]) {
        assert_eq!((&row["node"], &row["result"], &row["trust"]), (&node.into(), &result.into(), &"cluster-ca".into()));
        assert_eq!((&row["token"], &row["scope"]), (&tokens[0].clone().into(), &"operator".into()));
    }
    assert_eq!(world.column("trust", "server"), ["pve1", "pve2", "pve3"]);
    assert_eq!(world.column("members", "node"), ["pve1", "pve2", "pve3"]);
    assert_eq!(privileges(&pve, &tokens[0]), set(OPERATOR));
    pve.assert_one_usable_token(&world);
    pve.assert_secret(&world, &[&run]);
    for node in &pve.nodes {
        assert_eq!(node.ssh.connections(), 1, "one connection for each host and run");
    }
}

#[test]
fn what_was_made_is_what_was_promised() {
    let world = World::new();
    let pve = world.one_node();
    let run = world.run(&["setup-token"]).exits(0);
    assert_transcript!("setup_token_operator", run);
    let token = pve.tokens().remove(0);
    let cluster = pve.sim.cluster();
    let access = cluster.access();
    assert_eq!(access.users(), ["ecobox@pve", "root@pam"]);
    assert_eq!(access.own_roles().get("Ecobox"), Some(&set(OPERATOR)));
    assert_eq!(access.acl_lines(), ["/ ecobox@pve Ecobox 1".to_owned(), format!("/ {token} Ecobox 1")]);
    assert!(access.privileges("ecobox@pve", "/").is_superset(&set(&["VM.PowerMgmt"])));
    let add = access.audit().iter().find(|line| line.contains("token add")).unwrap();
    assert!(add.contains("--privsep 1"), "{add}");
}

#[test]
fn each_scope_has_its_role_on_each_version() {
    const OLD: &[&str] = &["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.PowerMgmt"];
    const OLD_MANAGER: &[&str] =
        &["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.Migrate", "VM.PowerMgmt", "VM.Snapshot"];
    for (version, scope, role, wanted) in [
        ("9.2.11", "monitor", "EcoboxRead", &OPERATOR[..4]),
        ("8.4.1", "operator", "Ecobox", OLD),
        ("8.1.4", "operator", "Ecobox", OLD),
        ("7.4-3", "monitor", "EcoboxRead", &OLD[..3]),
        ("7.4-3", "operator", "Ecobox", OLD),
        ("9.2.11", "manager", "EcoboxManager", MANAGER),
        ("8.4.1", "manager", "EcoboxManager", OLD_MANAGER),
        ("7.4-3", "manager", "EcoboxManager", OLD_MANAGER),
    ] {
        let world = World::new();
        let pve = world.node_of(version, |builder| builder);
        let run = world.run(&["setup-token", "--scope", scope]).exits(0);
        let token = pve.tokens().remove(0);
        assert_eq!(privileges(&pve, &token), set(wanted), "{version} {scope}\n{run}");
        let roles = pve.sim.cluster().access().own_roles();
        assert_eq!(roles.into_iter().collect::<Vec<_>>(), [(role.to_owned(), set(wanted))]);
        // What the two more can do is said where they are given, and not again.
        let told = run.stderr.contains("discard its present state") && run.stderr.contains("copy disks");
        assert_eq!((told, run.stderr.is_empty()), (scope == "manager", scope != "manager"), "{run}");
        pve.assert_one_usable_token(&world);
        let run = world.run(&["setup-token", "--check"]).exits(0);
        assert_eq!(run.stderr, "");
    }
}

/// The scope `manager` is given by name, known to `--check`, and gone with all it brought when it is taken back.
#[test]
fn a_manager_is_made_checked_and_taken_back() {
    let world = World::new();
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    let run = world.run(&["setup-token", "--check", "--scope", "manager", "pve1"]).exits(4);
    let run = run.says("lacks VM.Migrate, VM.Snapshot").says("run `ecobox setup-token pve1 --scope manager`");
    assert!(run.stdout.contains("manager"), "{run}");
    world.run(&["setup-token", "pve1", "--scope", "manager"]).exits(0).says("power a guest off");
    world.run(&["setup-token", "--check", "--scope", "manager"]).exits(0);
    // An operator's is too little for it, and it is more than an operator's.
    let run = world.run(&["setup-token", "--check", "--scope", "operator", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["excess"], serde_json::json!(["VM.Migrate", "VM.Snapshot"]));
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["result"], "kept");
    assert_eq!(privileges(&pve, &pve.tokens()[0]), set(MANAGER));
    // Less is asked for: the role that gave more does not go over to the token that comes after.
    world.run(&["setup-token", "--scope", "operator"]).exits(0);
    assert_eq!(privileges(&pve, &pve.tokens()[0]), set(OPERATOR));
    world.run(&["setup-token", "--revoke"]).exits(0);
    let cluster = pve.sim.cluster();
    let access = cluster.access();
    assert_eq!((access.own_roles().len(), access.acl_lines(), access.users()), (0, vec![], vec!["root@pam".into()]));
}

#[test]
fn the_full_scope_is_the_login_users_own() {
    let world = World::new();
    let pve = world.one_node();
    world.run(&["setup-token", "--scope", "full"]).exits(0);
    let token = pve.tokens().remove(0);
    assert!(token.starts_with("root@pam!"), "{token}");
    assert!(privileges(&pve, &token).contains("Permissions.Modify"));
    assert_eq!(pve.sim.cluster().access().users(), ["root@pam"]);
    pve.assert_one_usable_token(&world);
    // As a user that Proxmox VE does not know there is nobody to give it to.
    let world = World::new();
    let pve = world.one_node();
    world.configure(&pve.entries_as("admin"));
    let run = world.run(&["setup-token", "--scope", "full"]).exits(4);
    assert_transcript!("setup_token_full_unknown_user", run);
    assert_eq!((pve.tokens().len(), world.count("intents")), (0, 0));
}

#[test]
fn a_user_with_passwordless_sudo_does() {
    let world = World::new();
    let pve = world.one_node();
    world.configure(&pve.entries_as("admin"));
    let run = world.run(&["setup-token"]).exits(0);
    assert_eq!(run.stderr, "");
    assert_eq!(world.column("trust", "json_extract(trust, '$.mode')"), ["cluster-ca"]);
    pve.assert_one_usable_token(&world);
}

#[test]
fn without_rights_nothing_is_made_and_the_way_out_is_said() {
    for (rights, snapshot) in
        [(Rights::NoSudo, "setup_token_no_sudo"), (Rights::SudoPassword, "setup_token_sudo_password")]
    {
        let world = World::new();
        let pve = world.cluster_with(Cluster::new("single").node("pve1"), |builder| {
            builder.without_login("admin").login("guest", rights)
        });
        world.know_all(&pve.nodes);
        world.configure(&pve.entries_as("guest"));
        let run = world.run(&["setup-token"]).exits(4);
        assert_transcript!(snapshot, run);
        assert_eq!(pve.tokens(), [""; 0]);
        assert_eq!(pve.sim.cluster().access().users(), ["root@pam"]);
        assert_eq!((world.count("intents"), world.count("tokens")), (0, 0), "{}", world.state_dump());
    }
}

#[test]
fn a_cluster_that_cannot_write_gets_nothing() {
    let world = World::new();
    let pve = world.one_node();
    pve.set_quorate(false);
    let run = world.run(&["setup-token"]).exits(1);
    assert_transcript!("setup_token_no_quorum", run);
    assert_eq!((pve.tokens().len(), world.count("intents")), (0, 0));
    pve.set_quorate(true);
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);

    let world = World::new();
    let down = world.serve(Host::pve_pmxcfs_down("pve1").build());
    world.know(&down);
    world.configure(&down.entry());
    let run = world.run(&["setup-token"]).exits(5);
    assert_transcript!("setup_token_pmxcfs_down", run);
    assert_eq!(world.count("intents"), 0);
}

#[test]
fn a_plain_server_is_an_error_only_if_it_was_named() {
    let world = World::new();
    let pve = world.one_node();
    let plain = world.serve(Host::debian("nas").build());
    let pbs = world.serve(Host::pbs("pbs").build());
    let leftover = world.serve(Host::leftover_etc_pve("old").build());
    for other in [&plain, &pbs, &leftover] {
        world.know(other);
    }
    world.configure(&(pve.entries() + &plain.entry() + &pbs.entry() + &leftover.entry()));
    let run = world.run(&["setup-token"]).exits(0);
    assert_transcript!("setup_token_among_others", run);
    for name in ["nas", "pbs", "old"] {
        let run = world.run(&["setup-token", name]).exits(7);
        assert!(run.stderr.contains("no Proxmox VE there"), "{run}");
    }
    // After `init` they are not even asked.
    world.run(&["init"]).exits(0);
    let asked = plain.ssh.connections();
    world.run(&["setup-token"]).exits(0);
    assert_eq!(plain.ssh.connections(), asked);
    assert_eq!(world.count("intents"), 0);
    let run = world.run(&["setup-token", "nowhere"]).exits(7);
    assert!(run.stderr.contains("nowhere"), "{run}");
}

#[test]
fn where_nobody_is_a_proxmox_host_that_is_said() {
    let world = World::new();
    let plain = world.serve(Host::debian("nas").build());
    world.know(&plain);
    world.configure(&plain.entry());
    world.run(&["setup-token"]).exits(7);
    world.run(&["init"]).exits(0);
    let run = world.run(&["setup-token"]).exits(7);
    assert!(run.stderr.contains("no configured server can be a Proxmox VE host"), "{run}");
}

#[test]
fn tokens_of_other_machines_and_people_are_none_of_ours() {
    let world = World::new();
    let pve = world.one_node();
    world.run(&["setup-token"]).exits(0);
    let ours = pve.tokens().remove(0);
    let other = World::new();
    other.configure(&pve.entries());
    pve.nodes[0].ssh.authorize(&other.key.public);
    other.know_all(&pve.nodes);
    other.run(&["setup-token"]).exits(0);
    let all = pve.tokens();
    assert_eq!(all.len(), 2, "{all:?}");
    let theirs = all.iter().find(|token| **token != ours).unwrap();
    // One goes, with nothing but its own; the other still works.
    other.run(&["setup-token", "--revoke"]).exits(0);
    assert_eq!(pve.tokens(), std::slice::from_ref(&ours));
    assert!(pve.sim.cluster().access().acl_lines().iter().all(|line| !line.contains(theirs.as_str())));
    pve.assert_one_usable_token(&world);
    assert_eq!(other.count("tokens"), 0);
}

#[test]
fn a_token_of_our_name_that_is_not_ours_is_left_alone() {
    let world = World::new();
    let pve = world.one_node();
    world.run(&["setup-token"]).exits(0);
    let id = pve.tokens().remove(0);
    // As if the state file had been restored from a backup without the token.
    world.state().execute("DELETE FROM tokens", []).unwrap();
    world.run(&["setup-token"]).exits(0);
    let tokens = pve.tokens();
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert!(tokens.contains(&id) && tokens.contains(&format!("{id}-2")), "{tokens:?}");
    assert_eq!((world.column("tokens", "token_id"), world.count("intents")), (vec![format!("{id}-2")], 0));
}

#[test]
fn hosts_that_are_added_later_share_the_token() {
    let world = World::new();
    let pve = world.three_nodes();
    world.configure(&pve.node("pve2").entry());
    world.run(&["setup-token"]).exits(0);
    let token = pve.tokens();
    world.configure(&pve.entries());
    let before = pve.writes().len();
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    for row in run.json()["servers"].as_array().unwrap() {
        assert_eq!((row["result"].as_str(), row["token"].as_str()), (Some("kept"), Some(token[0].as_str())));
    }
    assert_eq!(pve.writes().len(), before, "nothing was changed there");
    assert_eq!(world.column("trust", "server"), ["pve1", "pve2", "pve3"]);
    pve.assert_one_usable_token(&world);
}

#[test]
fn a_host_that_is_down_does_not_keep_the_others_from_theirs() {
    let world = World::new();
    let pve = world.three_nodes();
    let dead = "[[servers]]\nid = \"dead\"\nhostname = \"127.0.0.1\"\nssh_port = 1\n\n";
    world.configure(&(dead.to_owned() + &pve.entries()));
    let run = world.run(&["setup-token"]).exits(8);
    assert!(run.stderr.contains("cannot reach dead (127.0.0.1:1): connection refused"), "{run}");
    pve.assert_one_usable_token(&world);
    world.run(&["setup-token", "dead"]).exits(5);
}

#[test]
fn an_unknown_host_key_stops_it() {
    let world = World::new();
    let pve = world.one_node();
    std::fs::remove_file(world.known_hosts()).unwrap();
    let run = world.run(&["setup-token"]).exits(6);
    assert_transcript!("setup_token_unknown_key", run);
    world.know_all(&pve.nodes);
    pve.nodes[0].ssh.change_host_key();
    let run = world.run(&["setup-token"]).exits(6);
    assert!(run.stderr.contains("is not the one recorded in"), "{run}");
    assert_eq!(pve.nodes[0].ssh.execs(), 0);
    assert!(pve.writes().is_empty());
}

#[test]
fn noise_of_the_login_shell_changes_nothing() {
    let world = World::new();
    let pve = world.node_of("9.2.11", ecobox_sim::host::Builder::noisy);
    world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
}

#[test]
fn a_server_without_ssh_is_left_out_unless_it_is_named() {
    let world = World::new();
    let pve = world.one_node();
    let api = "[[servers]]\nid = \"api\"\ntype = \"proxmox\"\nhostname = \"127.0.0.1\"\n";
    world.configure(&(pve.entries() + api));
    let run = world.run(&["setup-token", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"].as_array().unwrap().len(), 1);
    let run = world.run(&["setup-token", "api"]).exits(4);
    assert!(run.stderr.contains("configured without SSH"), "{run}");
}
