//! The simulator set up as the recorded host was.

use std::time::Duration;

use ecobox_sim::access::Access;
use ecobox_sim::{Agent, Cluster, Guest, Kind, Service, Sim, Stats};

/// Stands for every secret, which the recordings mask.
pub(crate) const SECRET: &str = "11111111-2222-4333-8444-555555555555";

const GIB: u64 = 1 << 30;
/// Number, kind and name of every guest.
const GUESTS: &[(u32, Kind, &str)] = &[
    (101, Kind::Qemu, "web-01"),
    (102, Kind::Qemu, "db-01"),
    (103, Kind::Qemu, "debian-12-template"),
    (104, Kind::Qemu, "locked-backup"),
    (105, Kind::Qemu, "plain-bios"),
    (106, Kind::Qemu, "hibernated"),
    (107, Kind::Qemu, ""),
    (108, Kind::Qemu, "broken-disk"),
    (201, Kind::Lxc, "ct-web"),
    (202, Kind::Lxc, "ct-template"),
];

fn describe(vmid: u32, guest: Guest) -> Guest {
    let guest = match vmid {
        101 => guest
            .running()
            .size(1, 256)
            .disk(0, 0)
            .load(0.04, 228 << 20)
            .traffic(290, 936)
            .tags("prod;web")
            .mac("BC:24:11:00:01:01")
            .agent_ip("10.99.0.101/24")
            .uptime(338)
            .config("onboot", 1)
            .config("description", "ecobox test guest")
            .config("args", "-kernel /srv/guest/vmlinuz"),
        102 => guest.size(2, 128).disk(GIB, 0).tags("prod").agent(Agent::Dead).config("onboot", 1),
        103 => guest.size(1, 512).disk(GIB, 0).template(),
        104 => guest.size(1, 64).disk(0, 0).locked("backup"),
        106 => guest.size(1, 64).disk(0, 0).hibernated(),
        108 => guest.size(1, 64).disk(0, 0).missing_disk(),
        201 => guest.size(1, 256).disk(GIB, 0).tags("ct;web").config("swap", 256).config("onboot", 1),
        202 => guest.size(2, 512).disk(GIB, 0).config("swap", 0).template(),
        _ => guest.size(1, 64).disk(0, 0),
    };
    let guest = if [102, 105].contains(&vmid) { guest.ignores_shutdown() } else { guest };
    if guest_kind(vmid) == Kind::Qemu { guest.config("kvm", 0) } else { guest }
}

fn guest_kind(vmid: u32) -> Kind {
    GUESTS.iter().find(|(id, _, _)| *id == vmid).map_or(Kind::Qemu, |(_, kind, _)| *kind)
}

fn cluster(version: &str) -> Cluster {
    let mut cluster = Cluster::new("pve1").pve(version).node_with("pve1", |node| node.size(2, 24 * GIB).uptime(3000));
    for (vmid, kind, name) in GUESTS {
        cluster.add_guest(*kind, *vmid, name, |guest| describe(*vmid, guest));
    }
    cluster = cluster.local_storage("local", 252 * GIB, 19 * GIB);
    give_access(&mut cluster.access());
    cluster.timing.auth_delay = 0.0;
    cluster.timing.agent_timeout = 0.0;
    cluster.timing.no_route = 0.0;
    cluster.clock.set_pace(Duration::from_secs(1));
    cluster.clock.freeze();
    cluster
}

fn give_access(access: &mut Access) {
    for line in [
        "user add audit@pve --comment read-only --email someone@example.com",
        "user add nobody@pve",
        "user add off@pve --enable 0",
        "user add power@pve",
        "user token add root@pam expired --expire 1700000000 --privsep 0",
        "user token add off@pve tok --privsep 0",
        "acl modify / --users audit@pve --roles PVEAuditor",
        "acl modify /vms --users power@pve --roles PVEVMUser",
    ] {
        run(access, line);
    }
    for (token, privsep) in [
        ("root@pam!ecobox", false),
        ("root@pam!nopriv", true),
        ("root@pam!sepvm", true),
        ("audit@pve!ro", false),
        ("power@pve!vm", false),
        ("power@pve!sep", true),
        ("nobody@pve!tok", false),
    ] {
        access.add_token(token, SECRET, privsep);
    }
    run(access, "acl modify /vms/101 --tokens root@pam!sepvm --roles PVEVMUser");
}

fn run(access: &mut Access, line: &str) {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let outcome = access.pveum(&words);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.stderr);
}

/// The recorded host.
pub(crate) fn alone() -> Sim {
    Sim::start(cluster("9.2.11"))
}

/// The recorded host with two nodes that cannot be reached, in two ways.
pub(crate) fn with_unreachable_nodes() -> Sim {
    let cluster = cluster("9.2.11").node("pve2").node_with("pve3", ecobox_sim::Node::offline);
    let mut cluster = cluster.vm(301, "remote", |vm| vm.on("pve2"));
    cluster.set_listening("pve2", false);
    cluster.set_stats("pve2", Stats::None);
    Sim::start(cluster)
}

/// The host as it was when snapshots and migrations were recorded: its guests have disks of their own. With a second node that
/// is off, or alone.
pub(crate) fn with_local_disks(pair: bool) -> Sim {
    let mut cluster = Cluster::new("lab").pve("9.2.11").node_with("pve1", |node| node.size(2, 24 * GIB));
    if pair {
        cluster = cluster.node_with("pve2", ecobox_sim::Node::offline);
    }
    let disk = |vmid: u32, volume: &str, size: &str| format!("local:{vmid}/{volume},size={size}");
    let mut cluster = cluster
        .vm(101, "web-01", |vm| vm.running().disk(0, 0).config("scsi0", disk(101, "vm-101-disk-0.qcow2", "64M")))
        .vm(102, "db-01", |vm| vm.running().disk(0, 0))
        .vm(103, "template", |vm| vm.template().disk(0, 0).config("scsi0", disk(103, "base-103-disk-0.qcow2", "4M")))
        .vm(104, "locked", |vm| vm.locked("backup").disk(0, 0))
        .vm(105, "managed", |vm| vm.disk(0, 0).ha("stopped"))
        .vm(110, "raw", |vm| vm.running().disk(0, 0).config("scsi0", disk(110, "vm-110-disk-0.raw", "4M")))
        .vm(120, "kept", |vm| vm.disk(0, 0).ha("stopped").config("scsi0", disk(120, "vm-120-disk-0.qcow2", "64M")))
        .ct(201, "ct-web", Guest::stopped)
        .ct(202, "ct-template", Guest::template)
        .local_storage("local", 252 * GIB, 19 * GIB);
    cluster.snapshot_disks(101, "before");
    let rule = r#"{"type": "node-affinity", "order": 1, "resources": "vm:120", "rule": "facts1", "strict": 1, "nodes": "pve1",
        "digest": "8e9520de19cb89b6c76d0bd03dd878eaa813a6f5"}"#;
    cluster.add_ha_rule(serde_json::from_str(rule).unwrap());
    give_access(&mut cluster.access());
    cluster.timing.no_route = 0.0;
    cluster.clock.set_pace(Duration::from_secs(1));
    cluster.clock.freeze();
    Sim::start(cluster)
}

/// A host from before errors had a `message`.
pub(crate) fn old() -> Sim {
    Sim::start(cluster("8.3.0"))
}

/// Makes every guest anew, some in another state (`105 paused`), and sets which service is down.
pub(crate) fn reset(sim: &Sim, given: &[String], service: Option<&str>) {
    let mut cluster = sim.cluster();
    for (vmid, kind, name) in GUESTS {
        let state = given.iter().find_map(|entry| entry.strip_prefix(&format!("{vmid} ")));
        cluster.remove_guest(*vmid);
        cluster.add_guest(*kind, *vmid, name, |guest| {
            let guest = describe(*vmid, guest);
            let (state, deaf) = state.map_or(("", false), |state| match state.strip_suffix(" deaf") {
                Some(state) => (state, true),
                None => (state, false),
            });
            let guest = if deaf { guest.ignores_shutdown() } else { guest };
            match state {
                "running" => guest.running(),
                "paused" => guest.paused(),
                "stopped" => guest.stopped(),
                _ => guest,
            }
        });
    }
    cluster.set_service(
        "pve1",
        match service {
            Some("pvedaemon-down") => Service::PvedaemonDown,
            Some("pmxcfs-down") => Service::PmxcfsDown,
            _ => Service::Up,
        },
    );
    let just_started = service == Some("just-after-start-no-status-yet");
    cluster.set_stats("pve1", if just_started { Stats::None } else { Stats::Fresh });
}
