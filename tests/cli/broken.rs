//! Proxmox VE with a service down, without quorum, or with a node away: each is said by its name, by every command that
//! meets it, with what to look at.

use ecobox_sim::Service;

use super::env::Run;
use super::fleets::{env_for, homelab, three};
use super::world::{Pve, World};

const DAEMON: &str = "pvedaemon on pve1 is down: connection refused";

#[test]
fn without_pvedaemon_nothing_is_done_and_that_is_said() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    let known = env.run(&["status", "--cached", "-o", "json"]).server("pve1-vm-101")["addresses"].clone();
    sim.cluster().set_service("pve1", Service::PvedaemonDown);
    // The guests are listed by pveproxy itself; their addresses are not to be had.
    let run = env.run(&["discover", "-o", "json"]).exits(5).says(DAEMON).says("`systemctl status pvedaemon`");
    assert_eq!(run.failures(), ["pve1 unreachable"]);
    assert_eq!(run.stderr.matches("pvedaemon on").count(), 1, "once for all of its guests\n{run}");
    let web = run.server("pve1-vm-101");
    assert!(web["addresses_unknown"].as_str().unwrap().contains("pvedaemon on pve1 is down"), "{web:#}");
    assert_eq!(web["addresses"], known, "{web:#}");
    let run = env.run(&["discover"]).exits(5);
    assert!(run.stdout.contains("8 guests, addresses of ") && run.stdout.contains(" not asked"), "{run}");
    for args in [
        &["power", "start", "vm-103"][..],
        &["power", "start", "vm-103", "--dry-run"],
        &["power", "stop", "vm-101", "--yes"],
        &["power", "stop", "vm-101", "--yes", "--dry-run"],
        &["power", "shutdown", "vm-101", "ct-201", "--yes"],
    ] {
        let run = env.run(args).exits(5);
        assert!(run.to_string().contains("pvedaemon on pve1 is down"), "{args:?}\n{run}");
        if !args.contains(&"--dry-run") {
            let _ = run.says("`systemctl status pvedaemon`");
        }
    }
    assert_eq!(sim.posts(), [""; 0]);
    // What pveproxy says itself is as true as ever.
    let run = env.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
    sim.cluster().set_service("pve1", Service::Up);
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["power", "start", "vm-103"]).exits(0);
}

#[test]
fn a_node_without_pvedaemon_is_not_the_whole_cluster() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["discover"]).exits(0);
    sim.cluster().set_service("pve2", Service::PvedaemonDown);
    let run = env.run(&["discover", "-o", "json"]).exits(8).says("pvedaemon on pve2 is down");
    assert_eq!(run.failures(), ["pve2 unreachable"]);
    let _ = env.run(&["power", "stop", "vm-102", "--yes"]).exits(5).says("pvedaemon on pve2 is down");
    let _ = env.run(&["power", "stop", "vm-101", "--yes"]).exits(0);
    // Nobody at the other node's port is another fault than nobody behind it.
    sim.cluster().set_service("pve2", Service::Up);
    sim.cluster().set_listening("pve2", false);
    let run = env.run(&["power", "stop", "vm-102", "--yes"]).exits(5).says("595");
    assert!(!run.stderr.contains("pvedaemon"), "{run}");
}

/// A cluster that is set up, and whose first node has lost pmxcfs.
pub(crate) fn without_pmxcfs(world: &World, keys_outside: bool) -> Pve {
    let pve = world.three_nodes();
    world.run(&["setup-token"]).exits(0);
    world.run(&["discover"]).exits(0);
    pve.sim.cluster().set_service("pve1", Service::PmxcfsDown);
    pve.node("pve1").host.set_pmxcfs_down(true, keys_outside);
    world.configure(&pve.node("pve1").entry());
    pve
}

#[test]
fn a_login_that_needs_pmxcfs_is_no_matter_of_ssh_keys() {
    let world = World::new();
    let pve = without_pmxcfs(&world, false);
    let pve_cluster = "`systemctl status pve-cluster`";
    let hinted = |args: &[&str], code: i32| -> Run {
        let run = world.run(args).exits(code).says(pve_cluster);
        assert!(!run.stderr.contains("ssh-copy-id") && !run.stderr.contains("setup-token --check`"), "{args:?}\n{run}");
        run
    };
    hinted(&["init"], 4).says("/etc/pve/priv");
    hinted(&["setup-token"], 4).says("/etc/pve/priv");
    hinted(&["setup-token", "--check"], 5);
    hinted(&["status"], 5).says("pve-cluster is down");
    hinted(&["discover"], 5);
    hinted(&["power", "start", "vm-103"], 5);
    assert_eq!(pve.tokens().len(), 1);
    pve.node("pve1").host.set_pmxcfs_down(false, false);
    pve.sim.cluster().set_service("pve1", Service::Up);
    world.run(&["init"]).exits(0);
    // Another login has its keys in its own home, and a host that is not known as one of Proxmox VE has no pmxcfs.
    pve.node("pve1").ssh.deauthorize_all();
    let nas = world.serve(ecobox_sim::host::Host::debian("nas").build());
    nas.ssh.deauthorize_all();
    world.know(&nas);
    for entry in [pve.node("pve1").entry_as("admin"), nas.entry()] {
        world.configure(&entry);
        let run = world.run(&["init"]).exits(4).says("ssh-copy-id");
        assert!(!run.stderr.contains("pve-cluster"), "{run}");
    }
}

#[test]
fn an_empty_etc_pve_says_nothing_about_whom_to_trust() {
    let world = World::new();
    let pve = without_pmxcfs(&world, true);
    let trust = world.column("trust", "trust");
    let members = world.column("members", "node");
    for args in [&["setup-token"][..], &["setup-token", "--rotate"], &["setup-token", "--check"], &["init"]] {
        let run = world.run(args);
        if args[0] == "setup-token" {
            let run = run.exits(5).says("pve-cluster");
            assert!(!run.stderr.contains("new certificate"), "{args:?}\n{run}");
        } else {
            assert!(run.exits(0).stdout.contains("pmxcfs down"));
        }
        assert_eq!(world.column("trust", "trust"), trust, "{args:?}");
        assert_eq!(world.column("members", "node"), members, "{args:?}");
    }
    assert_eq!(
        (pve.tokens().len(), world.count("intents"), world.count("tokens")),
        (1, 0, 1),
        "{}",
        world.state_dump()
    );
    pve.node("pve1").host.set_pmxcfs_down(false, true);
    pve.sim.cluster().set_service("pve1", Service::Up);
    world.run(&["setup-token"]).exits(0);
    world.run(&["status"]).exits(0);
}

#[test]
fn a_cluster_that_is_not_whole_is_not_well() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    // A node that nobody configured.
    sim.node("pve3").stop();
    let run = env.run(&["status", "-o", "json"]).exits(8).says("pve1: node pve3 of its cluster is offline");
    assert_eq!(run.failures(), ["pve1 node-offline"]);
    // It concerns the guests that were on it.
    let _ = env.run(&["status", "vm-103"]).exits(8).says("node pve3 of its cluster is offline");
    let _ = env.run(&["status", "vm-101", "pve1"]).exits(0);
    // The second one is configured, and said of by itself; with both away there is no quorum, which concerns all.
    sim.node("pve2").stop();
    sim.cluster().set_quorate(false);
    let run = env.run(&["status", "-o", "json"]).exits(8).says("its cluster has no quorum").says("`pvecm status`");
    assert_eq!(run.failures(), ["pve1 no-quorum", "pve1 node-offline", "pve2 unreachable"]);
    let _ = env.run(&["status", "vm-101"]).exits(8).says("its cluster has no quorum");
    // The page says it, too.
    let page = env.run(&["status", "-o", "html"]).exits(8).stdout;
    assert!(page.contains("its cluster has no quorum") && !page.contains("othing is wrong"), "{page}");
    // Whoever may not ask for quorum does not know, and what is known is said.
    sim.node("pve2").start();
    sim.node("pve3").start();
    sim.cluster().set_quorate(true);
    let _ = env.run(&["status"]).exits(0);
}

#[test]
fn a_node_that_may_be_off_is_no_failure() {
    for how in ["any", "asleep", "wish"] {
        let sim = three();
        let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
        let _ = env.run(&["status"]).exits(0);
        sim.node("pve3").stop();
        let _ = env.run(&["status"]).exits(8);
        if how == "wish" {
            env.execute("INSERT INTO wishes VALUES ('pve3', 1, 0)");
        } else {
            let config = std::fs::read_to_string(env.config_path()).unwrap();
            let entry = "id = \"pve3\"\n";
            env.config(&config.replace(entry, &format!("{entry}expected = \"{how}\"\n")));
        }
        let run = env.run(&["status", "-o", "json"]).exits(0);
        assert_eq!(run.failures(), [""; 0], "{how}");
    }
}

/// corosync has lost a node that answers: nothing on it is under the cluster's control.
#[test]
fn a_host_that_only_its_cluster_has_lost_is_named() {
    let sim = three();
    let mut config = String::new();
    let nobody = super::fleets::Open::new();
    for node in ["pve1", "pve2"] {
        config += &super::fleets::api(node, &sim, node);
    }
    let mut env = env_for(&sim, &["pve1", "pve2"]);
    env.set("ECOBOX_TOKEN_PVE2", super::fleets::full_token());
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve2").stop();
    // Something answers at its port, as its sshd would.
    env.config(
        &config.replace(&format!("api_port = {}", sim.node("pve2").port()), &format!("api_port = {}", nobody.port())),
    );
    let run = env.run(&["status", "-o", "json"]).exits(8).says("pve2 answers, and its cluster says that it is offline");
    assert!(run.failures().contains(&"pve2 node-offline".to_owned()), "{run}");
    assert_eq!(run.server("pve2")["state"], "online");
}

#[test]
fn a_disabled_user_is_named_and_gets_no_second_token() {
    let world = World::new();
    let pve = world.one_node();
    world.run(&["setup-token"]).exits(0);
    let tokens = pve.tokens();
    let user = "ecobox@pve";
    for (expired, words, fix) in [
        (false, "is disabled", "pveum user modify ecobox@pve --enable 1"),
        (true, "is expired", "ecobox@pve --expire 0"),
    ] {
        let set = |away: bool| {
            let cluster = pve.sim.cluster();
            let mut access = cluster.access();
            if expired {
                access.set_user_expire(user, u64::from(away) * 1_700_000_000);
            } else {
                access.set_user_enabled(user, !away);
            }
        };
        set(true);
        for args in
            [&["setup-token", "--check"][..], &["setup-token"], &["setup-token", "--rotate"], &["setup-token", "pve1"]]
        {
            let run = world.run(args).exits(4).says(&format!("its user {user} {words} in Proxmox VE")).says(fix);
            assert!(!run.stderr.contains("make another one"), "{args:?}\n{run}");
            assert_eq!((pve.tokens(), world.count("intents"), world.count("tokens")), (tokens.clone(), 0, 1), "{run}");
        }
        // Of whoever has no token yet, too.
        let other = World::new();
        other.know_all(&pve.nodes);
        pve.node("pve1").ssh.authorize(&other.key.public);
        other.configure(&pve.entries());
        other.run(&["setup-token"]).exits(4).says(words).says(fix);
        assert_eq!((pve.tokens(), other.count("intents"), other.count("tokens")), (tokens.clone(), 0, 0));
        set(false);
        let run = world.run(&["setup-token", "-o", "json"]).exits(0);
        assert_eq!(run.server("pve1")["result"], "kept");
    }
    // What else may have become of a token is named, too.
    pve.sim.cluster().access().set_token_expire(&tokens[0], 1_700_000_000);
    world.run(&["setup-token", "--check"]).exits(4).says("the token ended on 2023-11-14").says("make another one");
    pve.sim.cluster().access().remove_token(&tokens[0]);
    world.run(&["setup-token", "--check"]).exits(4).says("has no such token any more").says("make another one");
}

#[test]
fn what_somebody_set_on_a_token_lasts() {
    let world = World::new();
    let pve = world.one_node();
    world.run(&["setup-token"]).exits(0);
    let settings = |pve: &Pve| {
        let token = pve.tokens().remove(0);
        pve.sim.cluster().access().token_settings(&token)
    };
    let (never, ours) = settings(&pve);
    assert!(never == 0 && ours.as_ref().unwrap().starts_with("ecobox on "), "{ours:?}");
    // Another token of the same user, with traps in its comment.
    pve.sim.cluster().access().add_token("ecobox@pve!aa-other", "5ec7e7", true);
    pve.sim.cluster().access().set_token_comment("ecobox@pve!aa-other", "},{\"tokenid\":\"x\"},\"expire\":7");
    for comment in ["the \"cron\" job's, ask Ann {tag}", "back\\slash, Büro $(x) `y`", "\",\"expire\":5,\"x\":\""] {
        let token = pve.tokens().into_iter().find(|token| !token.contains("aa-other")).unwrap();
        pve.sim.cluster().access().set_token_comment(&token, comment);
        pve.sim.cluster().access().set_token_expire(&token, 4_000_000_000);
        let run = world.run(&["setup-token", "--rotate"]).exits(0);
        let now = pve.tokens().into_iter().find(|token| !token.contains("aa-other")).unwrap();
        assert_ne!(now, token, "{run}");
        let kept = pve.sim.cluster().access().token_settings(&now);
        assert_eq!(kept, (4_000_000_000, Some(comment.to_owned())), "{run}");
    }
    // A scope of its own does not change that; one that has ended does not end the next.
    world.run(&["setup-token", "--scope", "monitor"]).exits(0);
    let token = pve.tokens().into_iter().find(|token| !token.contains("aa-other")).unwrap();
    assert_eq!(pve.sim.cluster().access().token_settings(&token).0, 4_000_000_000);
    pve.sim.cluster().access().set_token_expire(&token, 1_700_000_000);
    let run = world.run(&["setup-token"]).exits(0).says("had ended on 2023-11-14; the new one does not end");
    let token = pve.tokens().into_iter().find(|token| !token.contains("aa-other")).unwrap();
    assert_eq!(pve.sim.cluster().access().token_settings(&token).0, 0, "{run}");
    world.run(&["status"]).exits(0);
}
