//! What `ecobox init` finds out about hosts of all kinds.

use std::net::IpAddr;

use ecobox_sim::Cluster;
use ecobox_sim::host::{Builder, Host, Nic, Rights};
use serde_json::{Value, json};

use super::world::{Served, World, assert_transcript};

/// The facts of one host, visited as this login.
fn facts(builder: Builder, login: &str) -> Value {
    let world = World::new();
    let served = world.serve(builder.build());
    world.know(&served);
    world.configure(&served.entry_as(login));
    let run = world.run(&["init", "-o", "json"]).exits(0);
    let report = run.json();
    assert_eq!(report["schema"], "ecobox.init/1");
    assert_eq!(report["servers"][0]["failure"], Value::Null);
    report["servers"][0]["facts"].clone()
}

#[test]
fn a_fleet_of_all_kinds() {
    let world = World::new();
    let pve = world.cluster(Cluster::new("homelab").node("pve1"));
    let ip = |last: u8| IpAddr::from([192, 168, 1, last]);
    let mut served = vec![
        world.serve(Host::pve("pve9").no_quorum().build()),
        world.serve(Host::pve("pve8").version("8.4.1").sleep_masked().build()),
        world.serve(Host::pve("pve7").version("7.4-3").sleep_states("freeze").build()),
        world.serve(Host::pve_pmxcfs_down("down").build()),
        world.serve(Host::leftover_etc_pve("leftover").build()),
        world.serve(Host::etc_pve_version("versionfile").build()),
        world.serve(Host::pbs("pbs").ip(ip(20), 24).build()),
        world.serve(Host::debian("debian").noisy().build()),
        world.serve(Host::alpine("alpine").build()),
        world.serve(Host::freebsd("bsd").build()),
    ];
    served.extend(pve.nodes);
    world.know_all(&served);
    world.configure(&served.iter().map(Served::entry).collect::<String>());
    let run = world.run(&["init"]).exits(0);
    assert_transcript!("init_fleet", run);
    assert_eq!(world.count("facts"), 11);
}

#[test]
fn who_logs_in_decides_what_can_be_done_not_what_is_seen() {
    let host = || Host::pve("pve1").login("admin", Rights::Sudo).login("guest", Rights::NoSudo);
    let root = facts(host(), "root");
    assert_eq!(root["product"]["name"], "pve", "{root:#}");
    for (login, builder, privilege) in [
        ("root", host(), "root"),
        ("admin", host(), "sudo"),
        ("guest", host(), "denied"),
        ("guest", Host::pve("pve1").login("guest", Rights::NoSudo), "nosudo"),
        ("ann", Host::pve("pve1").login("ann", Rights::SudoPassword), "denied"),
    ] {
        let mut facts = facts(builder, login);
        assert_eq!(facts["privilege"], privilege, "{login}");
        // What the network card is set to, only root can ask.
        assert_eq!(facts["nics"][0]["wol_armed"].is_null(), !matches!(privilege, "root" | "sudo"), "{login}");
        facts["nics"] = root["nics"].clone();
        facts["privilege"] = "root".into();
        facts["boot_id"] = root["boot_id"].clone();
        assert_eq!(facts, root, "{login}");
    }
}

#[test]
fn proxmox_ve_is_told_with_node_version_and_quorum() {
    let product = |builder: Builder| facts(builder, "root")["product"].clone();
    let pve = product(Host::pve("pve1"));
    let told = json!([pve["node"], pve["version"], pve["quorate"], pve["pmxcfs"]]);
    assert_eq!(told, json!(["pve1", "9.2.11", true, true]), "{pve:#}");
    assert_eq!(product(Host::pve("pve1").no_quorum())["quorate"], false);
    assert_eq!(product(Host::pve("pve1").version("7.4-3"))["version"], "7.4-3");
    let down = product(Host::pve_pmxcfs_down("pve1"));
    assert_eq!(json!([down["pmxcfs"], down["quorate"], down["version"]]), json!([false, null, "9.2.11"]), "{down:#}");
    let file = product(Host::etc_pve_version("pve1"));
    assert_eq!(json!([file["name"], file["version"]]), json!(["pve", "9.2.11"]), "{file:#}");
    for (builder, name) in [
        (Host::leftover_etc_pve("old"), "linux"),
        (Host::debian("plain"), "linux"),
        (Host::alpine("alpine"), "linux"),
        (Host::pbs("pbs"), "other-proxmox"),
        (Host::freebsd("bsd"), "other"),
    ] {
        let product = product(builder);
        assert_eq!(product["name"], name, "{product:#}");
    }
}

#[test]
fn the_port_to_wake_it_by_is_a_physical_one() {
    let ip: IpAddr = [192, 168, 1, 5].into();
    // A bridge over a bond of two ports; the bridge has an address of its own making.
    let nics = vec![
        Nic::physical("eno1", "52:54:00:aa:00:01").in_master("bond0").wol("pumbg", "g"),
        Nic::physical("eno2", "52:54:00:aa:00:02").in_master("bond0").unplugged().wol("pumbg", "d"),
        Nic::virtual_port("tap100i0", "fe:54:00:00:00:01").in_master("vmbr0"),
        Nic::bridge("vmbr0", "ba:dd:ad:00:00:01").address(ip, 24),
    ];
    let facts = facts(Host::pve("pve1").nics(nics), "root");
    let macs: Vec<&str> = facts["nics"].as_array().unwrap().iter().map(|nic| nic["mac"].as_str().unwrap()).collect();
    assert!(macs.contains(&"52:54:00:aa:00:01") && !macs.contains(&"ba:dd:ad:00:00:01"), "{facts:#}");
    let addresses = facts["addresses"].to_string();
    assert!(addresses.contains("192.168.1.5"), "{addresses}");
}

#[test]
fn noise_is_never_a_fact() {
    let quiet = facts(Host::debian("one"), "root");
    let noisy = facts(Host::debian("one").noisy(), "root");
    assert_eq!((noisy["os"].as_str(), &noisy["nics"]), (Some("Debian GNU/Linux 13 (trixie)"), &quiet["nics"]));
}
