//! Faults of the API, its token, its certificate, and what is asked through it.

use std::time::Duration;

use ecobox_sim::host::Host;
use ecobox_sim::{Cluster, Fault, Service};

use super::super::doctor::{check, finds, finds_with, healthy};
use super::super::fleets::{api, env_for, full_token, three, variable};
use super::super::world::{Pve, World};
use super::{Case, case, each, one_node, printed, printed_then};

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn of_the_api_and_its_token() {
    const ALL: &str = "VM.Audit,VM.PowerMgmt,Sys.Audit,Datastore.Audit,VM.GuestAgent.Audit";
    let (world, pve) = one_node();
    let token = pve.tokens().remove(0);
    let cluster = |change: fn(&mut Cluster)| move |_: &World, pve: &Pve| change(&mut pve.sim.cluster());
    let role = |privileges: &'static str| {
        move |_: &World, pve: &Pve| {
            let command = format!("pveum role modify Ecobox --privs '{privileges}'");
            assert_eq!(pve.node("pve1").host.run("root", "sh -s", &command).code, 0);
        }
    };
    let fault = |fault: fn() -> Fault| move |_: &World, pve: &Pve| pve.sim.node("pve1").fail(fault());
    let heal = |_: &World, pve: &Pve| pve.sim.node("pve1").heal();
    let expires = token.clone();
    let soon = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 5 * 86_400;
    let cases: Vec<Case<Pve>> = vec![
        printed_then(
            "pveproxy is down",
            |_, pve: &Pve| {
                pve.sim.cluster().set_listening("pve1", false);
                pve.node("pve1").host.set_service("pveproxy", "failed");
            },
            "pveproxy-down pve1 problem",
            |_, pve| pve.sim.cluster().set_listening("pve1", true),
        ),
        case(
            "something between closes the port",
            |_, pve: &Pve| pve.sim.cluster().set_listening("pve1", false),
            "api-port-closed pve1 problem",
            |_, pve| pve.sim.cluster().set_listening("pve1", true),
        ),
        printed_then(
            "pvedaemon is down",
            |_, pve: &Pve| {
                pve.sim.cluster().set_service("pve1", Service::PvedaemonDown);
                pve.node("pve1").host.set_service("pvedaemon", "inactive");
            },
            "pvedaemon-down pve1 problem",
            |_, pve| pve.sim.cluster().set_service("pve1", Service::Up),
        ),
        printed_then(
            "pmxcfs is down",
            |_, pve: &Pve| {
                pve.sim.cluster().set_service("pve1", Service::PmxcfsDown);
                pve.node("pve1").host.set_pmxcfs_down(true, true);
            },
            "pmxcfs-down pve1 problem",
            |_, pve| pve.sim.cluster().set_service("pve1", Service::Up),
        ),
        case(
            "ALLOW_FROM",
            |_, pve: &Pve| {
                pve.sim.node("pve1").fail(Fault::DropAtConnect);
                pve.node("pve1").host.write_file("/etc/default/pveproxy", "ALLOW_FROM=\"10.0.0.0/8\"\n");
            },
            "api-closes pve1 problem",
            |_, pve| {
                pve.sim.node("pve1").heal();
                pve.node("pve1").host.remove_file("/etc/default/pveproxy");
            },
        ),
        case("answers nothing", fault(|| Fault::DropBeforeAnswer), "api-fails pve1 problem", heal),
        case(
            "another certificate",
            {
                // Somebody else answers from outside; the host itself knows nothing of it.
                let evil = ecobox_sim::Sim::start(Cluster::new("evil").node("pve1"));
                move |world, pve: &Pve| {
                    let node = pve.node("pve1");
                    node.host.map_port(evil.node("pve1").port(), node.api_port.unwrap());
                    let port = format!("api_port = {}", pve.node("pve1").api_port.unwrap());
                    let other = format!("api_port = {}", evil.node("pve1").port());
                    world.configure(&pve.entries().replace(&port, &other));
                }
            },
            "certificate-changed pve1 problem",
            |world, pve| world.configure(&pve.entries()),
        ),
        printed_then(
            "a certificate that ends soon",
            |_, pve: &Pve| pve.sim.cluster().serve_certificate_for("pve1", 5),
            "certificate-expiring pve1 warning",
            |_, pve| {
                assert_eq!(pve.node("pve1").host.administered(), ["pvecm updatecerts --force"]);
                pve.sim.cluster().serve_certificate_for("pve1", 300);
            },
        ),
        case(
            "no verification",
            |world, pve: &Pve| {
                let entry = pve.entries();
                world.configure(&format!("{}\nverify_tls = false\n", entry.trim_end()));
            },
            "certificate-unchecked pve1 warning",
            |world, pve| world.configure(&pve.entries()),
        ),
        printed(
            "a token that ends soon",
            move |_, pve: &Pve| pve.sim.cluster().access().set_token_expire(&expires, soon()),
            "token-expiring pve1 warning",
        ),
        case(
            "a role without auditing",
            role("VM.Audit,VM.PowerMgmt,Datastore.Audit,Sys.Audit,VM.GuestAgent.Audit,VM.Allocate"),
            "privilege-excess pve1 warning",
            role(ALL),
        ),
        printed(
            "a role of version 8",
            role("VM.Audit,VM.PowerMgmt,Sys.Audit,Datastore.Audit"),
            "role-outdated pve1 warning",
        ),
        printed(
            "a role that lacks power",
            role("VM.Audit,Sys.Audit,Datastore.Audit"),
            "privilege-missing pve1 problem",
        ),
        printed(
            "a token whose user is disabled",
            |_, pve: &Pve| pve.sim.cluster().access().set_user_enabled("ecobox@pve", false),
            "user-disabled pve1 problem",
        ),
        printed(
            "a token whose user has ended",
            |_, pve: &Pve| pve.sim.cluster().access().set_user_expire("ecobox@pve", 1),
            "user-disabled pve1 problem",
        ),
        case(
            "a full storage",
            cluster(|c| c.fill_storage("local", 99 << 30)),
            "storage-full pve1 problem",
            cluster(|c| c.fill_storage("local", 10 << 30)),
        ),
        case(
            "a storage that is nearly full",
            cluster(|c| c.fill_storage("tank", 92 << 30)),
            "storage-full pve1 warning",
            cluster(|c| c.fill_storage("tank", 10 << 30)),
        ),
        case(
            "a storage whose server is off",
            cluster(|c| c.set_storage_active("tank", false)),
            "storage-unavailable pve1 problem",
            cluster(|c| c.set_storage_active("tank", true)),
        ),
        case(
            "a backup that failed",
            cluster(|c| {
                let failed = [(101, Err("no space left on device"))];
                c.backed_up("pve1", Duration::from_secs(4 * 3600), Duration::from_secs(60), &failed);
            }),
            "backup-failed pve1 problem",
            cluster(|c| {
                c.backed_up("pve1", Duration::from_secs(3600), Duration::from_secs(60), &[(101, Ok(()))]);
            }),
        ),
    ];
    each(&world, &pve, cases);
}

/// What the API's answers tell of a host's clock, where nobody logs in.
#[test]
fn the_clock_as_the_api_tells_it() {
    let mut world = World::new();
    let (sim, nas) = (three(), world.serve(Host::debian("nas").build()));
    world.env.set(&variable("pve1"), full_token());
    world.configure(&format!("{}{}", api("pve1", &sim, "pve1"), nas.entry()));
    world.know(&nas);
    drop(world.run(&["init"]).exits(0));
    drop(finds(&world, &[]));
    sim.cluster().clock.set_wrong(-600);
    let run = finds(&world, &["clock-off pve1 problem"]);
    let found = check(&run, "clock-off", Some("pve1"));
    assert_eq!(found["finding"], "its clock is 10 minutes behind this machine's");
    assert_eq!(found["fix"]["on"], "pve1");
    // All say so and agree: it is this machine's.
    nas.host.set_clock_off(-600);
    let run = finds(&world, &["clock-wrong - problem"]);
    let finding = check(&run, "clock-wrong", None)["finding"].clone();
    assert_eq!(finding, "this machine's clock is 10 minutes ahead of those of 2 hosts");
    sim.cluster().clock.set_wrong(0);
    super::super::doctor::found_and_fixed(&world, &nas, "clock-off nas problem");
}

#[test]
fn a_cluster_that_misses_a_node() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1", "pve2"]);
    drop(env.run(&["discover"]).exits(0));
    drop(finds_with(&env, &[], &[]));
    // A node that nobody configured is off: ecobox did not put it to sleep.
    sim.node("pve3").stop();
    let run = finds_with(&env, &[], &["node-lost pve1 warning"]);
    let finding = check(&run, "node-lost", Some("pve1"))["finding"].clone();
    assert_eq!(finding, "node pve3 of its cluster is not online, and no configured server");
    // As it says: it is configured, and may be off.
    sim.node("pve3").start();
    env.set("ECOBOX_TOKEN_PVE3", full_token());
    env.add_config(&format!("{}\nexpected = \"any\"\n", api("pve3", &sim, "pve3").trim_end()));
    drop(env.run(&["status"]).exits(0));
    drop(finds_with(&env, &[], &[]));
    sim.cluster().suspend_node("pve3");
    drop(finds_with(&env, &[], &[]));
}

/// A host that answers, and that its cluster has lost: it is said there, once, and not that it has no quorum.
#[test]
fn a_node_that_its_cluster_has_lost() {
    let (world, pve) = healthy();
    pve.sim.node("pve2").stop();
    // Corosync has lost it, and it goes on by itself.
    pve.sim.cluster().set_listening("pve2", true);
    pve.node("pve2").host.set_quorate(false);
    let run = finds(&world, &["node-lost pve2 problem"]);
    let found = check(&run, "node-lost", Some("pve2"));
    assert!(found["fix"]["text"].as_str().unwrap().contains("systemctl status corosync pve-cluster"), "{found}");
    assert_eq!(check(&run, "quorum-lost", Some("pve2"))["because"], "node-lost");
    pve.sim.node("pve2").start();
    pve.node("pve2").host.set_quorate(true);
    drop(finds(&world, &[]));
}

/// Everything that doctor asks of a cluster goes over the connections of its first question.
#[test]
fn guests_cost_no_handshake_of_their_own() {
    let (world, pve) = one_node();
    pve.sim.clear_requests();
    drop(world.run(&["doctor"]).exits(0));
    let requests = pve.sim.requests();
    let of =
        |path: &str| requests.iter().find(|one| one.path.contains(path)).unwrap_or_else(|| panic!("{path}")).connection;
    assert_eq!(of("/cluster/resources"), of("/version"));
}
