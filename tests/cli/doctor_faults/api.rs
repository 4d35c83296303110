//! Faults of the API, its token, its certificate, and what is asked through it.

use std::time::Duration;

use ecobox_sim::{Cluster, Fault, Service};

use super::super::doctor::{carry_out, check, finds};
use super::super::world::{Pve, World};
use super::{Case, case, each, one_node};

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
    let (expires, never) = (token.clone(), token.clone());
    let soon = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 5 * 86_400;
    let cases: Vec<Case<Pve>> = vec![
        case(
            "pveproxy is down",
            |_, pve: &Pve| {
                pve.sim.cluster().set_listening("pve1", false);
                pve.node("pve1").host.set_service("pveproxy", "failed");
            },
            "pveproxy-down pve1 problem",
            |_, pve| {
                pve.sim.cluster().set_listening("pve1", true);
                pve.node("pve1").host.set_service("pveproxy", "active");
            },
        ),
        case(
            "something between closes the port",
            |_, pve: &Pve| pve.sim.cluster().set_listening("pve1", false),
            "api-port-closed pve1 problem",
            |_, pve| pve.sim.cluster().set_listening("pve1", true),
        ),
        case(
            "pvedaemon is down",
            |_, pve: &Pve| {
                pve.sim.cluster().set_service("pve1", Service::PvedaemonDown);
                pve.node("pve1").host.set_service("pvedaemon", "inactive");
            },
            "pvedaemon-down pve1 problem",
            |_, pve| {
                pve.sim.cluster().set_service("pve1", Service::Up);
                pve.node("pve1").host.set_service("pvedaemon", "active");
            },
        ),
        case(
            "pmxcfs is down",
            |_, pve: &Pve| {
                pve.sim.cluster().set_service("pve1", Service::PmxcfsDown);
                pve.node("pve1").host.set_pmxcfs_down(true, true);
            },
            "pmxcfs-down pve1 problem",
            |_, pve| {
                pve.sim.cluster().set_service("pve1", Service::Up);
                pve.node("pve1").host.set_pmxcfs_down(false, true);
            },
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
        case(
            "a certificate that ends soon",
            |_, pve: &Pve| pve.sim.cluster().serve_certificate_for("pve1", 5),
            "certificate-expiring pve1 warning",
            |_, pve| pve.sim.cluster().serve_certificate_for("pve1", 300),
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
        case(
            "a token that ends soon",
            move |_, pve: &Pve| pve.sim.cluster().access().set_token_expire(&expires, soon()),
            "token-expiring pve1 warning",
            move |_, pve| pve.sim.cluster().access().set_token_expire(&never, 0),
        ),
        case(
            "a role without auditing",
            role("VM.Audit,VM.PowerMgmt,Datastore.Audit,Sys.Audit,VM.GuestAgent.Audit,VM.Allocate"),
            "privilege-excess pve1 warning",
            role(ALL),
        ),
        case(
            "a role of version 8",
            role("VM.Audit,VM.PowerMgmt,Sys.Audit,Datastore.Audit"),
            "role-outdated pve1 warning",
            role(ALL),
        ),
        case(
            "a role that lacks power",
            role("VM.Audit,Sys.Audit,Datastore.Audit"),
            "privilege-missing pve1 problem",
            role(ALL),
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
    // What the fix says, done on the host.
    let host = &pve.node("pve1").host;
    for service in ["pveproxy", "pvedaemon", "pvestatd"] {
        host.set_service(service, "failed");
        let run = finds(&world, &[&format!("{service}-down pve1 problem")]);
        carry_out(&pve, &check(&run, &format!("{service}-down"), Some("pve1")));
        drop(finds(&world, &[]));
    }
}
