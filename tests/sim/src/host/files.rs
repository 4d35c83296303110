//! The files of each kind of host.

use std::fmt::Write;

use super::build::{Builder, id_of};
use super::tree::{SHUT_FOLDER, Tree, find_program};
use super::{Kind, Rights, load};

const REPOID: &str = "14a22df35955d97d";
/// Plays the root while the path rules run; no script contains this byte.
const MARK: &str = "\u{1}";

/// What a plain user gets from PVE 9's Perl programs.
const NO_IPC: &str = "ipcc_send_rec[1] failed: Unknown error -1\nipcc_send_rec[2] failed: Unknown error -1\n\
    ipcc_send_rec[3] failed: Unknown error -1\nUnable to load access control list: Unknown error -1\n";

/// Files of `/etc/pve` that only root (and www-data) can read.
const PVE_SECRET: [&str; 10] = [
    ".version",
    ".members",
    ".vmlist",
    ".clusterlog",
    "authkey.pub",
    "pve-root-ca.pem",
    "pve-www.key",
    "storage.cfg",
    "user.cfg",
    "vzdump.cron",
];

pub(super) fn write(tree: &Tree, host: &Builder) {
    system(tree, host);
    logins(tree, host);
    programs(tree, host);
    if host.kind == Kind::FreeBsd {
        load::write_df_alone(tree);
    } else {
        proc(tree, host);
    }
    match host.kind {
        Kind::Pve | Kind::EtcPveVersion => {
            pve_tree(tree, host);
        }
        Kind::PmxcfsDown => {
            tree.folder("etc/pve");
            tree.folder(".sim/plain/etc/pve");
            tree.write(".sim/pmxcfs-down", "");
        }
        Kind::LeftoverEtcPve => {
            tree.write("etc/pve/storage.cfg", "dir: local\n\tpath /var/lib/vz\n");
            tree.link(".sim/plain/etc/pve", "../../../etc/pve");
        }
        Kind::Pbs => tree.write("etc/proxmox-backup/user.cfg", "user: root@pam\n"),
        Kind::Debian | Kind::Alpine | Kind::FreeBsd => {}
    }
    if host.kind == Kind::EtcPveVersion {
        tree.write("etc/pve/version", &format!("{}\n", host.version));
        tree.write(".sim/plain/etc/pve/version", &format!("{}\n", host.version));
    }
}

fn kernel(kind: Kind) -> &'static str {
    match kind {
        Kind::Alpine => "6.12.38-0-lts",
        Kind::FreeBsd => "14.3-RELEASE",
        kind if kind.is_pve() => "6.14.8-2-pve",
        _ => "6.12.41+deb13-amd64",
    }
}

fn system(tree: &Tree, host: &Builder) {
    let debian = match host.version.split('.').next() {
        Some("7") => ("11", "bullseye", 247),
        Some("8") => ("12", "bookworm", 252),
        _ => ("13", "trixie", 257),
    };
    tree.write(".sim/systemd", &format!("{}\n", debian.2));
    let (pretty, id) = match host.kind {
        Kind::Alpine => ("Alpine Linux v3.22".to_owned(), "alpine"),
        Kind::FreeBsd => ("FreeBSD 14.3-RELEASE".to_owned(), "freebsd"),
        _ => (format!("Debian GNU/Linux {} ({})", debian.0, debian.1), "debian"),
    };
    tree.write("etc/os-release", &format!("PRETTY_NAME=\"{pretty}\"\nNAME=\"{id}\"\nID={id}\n"));
    tree.write("etc/hostname", &format!("{}\n", host.name));
    let (name, release) = (&host.name, kernel(host.kind));
    let (system, machine) = if host.kind == Kind::FreeBsd { ("FreeBSD", "amd64") } else { ("Linux", "x86_64") };
    tree.write(".sim/uname", &format!("{system} {name} {release} {machine}\n"));
    if host.kind == Kind::FreeBsd {
        return;
    }
    if host.kind.is_debian() {
        tree.write("etc/machine-id", &format!("{}\n", id_of(&host.name)));
        tree.folder("var/lib/dpkg/info");
    }
    if host.has_systemd() {
        tree.folder("run/systemd/system");
        tree.write("run/utmp", "");
        if host.sleep_masked {
            tree.link("etc/systemd/system/sleep.target", "/dev/null");
        }
    }
    people(tree, host);
    tree.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-1\tpartition\t8388604\t0\t-2\n");
    tree.write("sys/power/state", &format!("{}\n", host.sleep_states));
    tree.write("sys/power/mem_sleep", "s2idle [deep]\n");
    let mut packages = String::from("bash|install ok installed|5.2.37-2+b5\n");
    let mut package = |name: &str, status: &str| {
        let _ = writeln!(packages, "{name}|{status}|{}", host.version);
        tree.write(&format!("var/lib/dpkg/info/{name}.list"), "/.\n");
    };
    match host.kind {
        kind if kind.is_pve() => package("pve-manager", "install ok installed"),
        Kind::Pbs => package("proxmox-backup-server", "install ok installed"),
        Kind::LeftoverEtcPve => package("pve-manager", "deinstall ok config-files"),
        _ => {}
    }
    tree.write(".sim/packages", &packages);
    let masked = if host.sleep_masked { "masked" } else { "static" };
    let cluster = match host.kind {
        Kind::PmxcfsDown => "pve-cluster enabled failed\n",
        kind if kind.is_pve() => {
            "pve-cluster enabled active\npvedaemon enabled active\npveproxy enabled active\npvestatd enabled active\n"
        }
        _ => "",
    };
    tree.write(
        ".sim/units",
        &format!("sleep.target {masked} inactive\nsuspend.target static inactive\nssh enabled active\n{cluster}"),
    );
}

/// Who is logged in, who holds a lock, and which guests run.
fn people(tree: &Tree, host: &Builder) {
    let (mut sessions, mut list) = (String::new(), String::new());
    for (id, [user, terminal, from]) in (1..).zip(&host.logged_in) {
        let _ = writeln!(sessions, "{id} {user} {terminal} {from}");
    }
    let blocks = host.inhibitors.iter().filter(|[.., mode]| mode == "block");
    let locks: String = blocks.map(|[_, what, ..]| format!("{what}\n")).collect();
    tree.write(".sim/locks", &locks);
    let mut bus = format!("a(ssssuu) {}", host.inhibitors.len());
    for [who, what, why, mode] in &host.inhibitors {
        let _ = write!(bus, " {what:?} {who:?} {why:?} {mode:?} 0 812");
        let _ = writeln!(list, "{who} 0 root 812 {} {what} {why} {mode}", who.to_lowercase());
    }
    if !host.inhibitors.is_empty() {
        // Whoever holds them was started 784 seconds ago.
        tree.write("proc/812/stat", "812 (a (b) c) S 1 812 812 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 9300000 0 0\n");
    }
    tree.write(".sim/sessions", &sessions);
    tree.write(".sim/inhibitors", &format!("{bus}\n"));
    tree.write(".sim/inhibitors-list", &list);
    for (pid, vmid) in (4000..).zip(&host.running_guests) {
        tree.write(&format!("run/qemu-server/{vmid}.pid"), &format!("{pid}\n"));
        tree.write(&format!("proc/{pid}/cmdline"), &format!("/usr/bin/kvm\0-id\0{vmid}\0"));
        tree.folder(&format!("sys/fs/cgroup/qemu.slice/{vmid}.scope"));
    }
}

fn logins(tree: &Tree, host: &Builder) {
    for (index, login) in host.logins.iter().enumerate() {
        let (uid, rights) = match login.rights {
            Rights::Root => (0, "root"),
            Rights::Sudo => (1000 + index, "sudo"),
            Rights::SudoPassword => (1000 + index, "password"),
            Rights::SudoListed => (1000 + index, "listed"),
            Rights::NoSudo => (1000 + index, "none"),
        };
        tree.write(&format!(".sim/logins/{}", login.name), &format!("{uid} {rights}\n"));
        if host.kind != Kind::FreeBsd {
            self_status(tree, uid);
        }
        rules(tree, &format!(".sim/rewrite-{uid}"), uid);
    }
    self_status(tree, 0);
    rules(tree, ".sim/rewrite-0", 0);
}

fn self_status(tree: &Tree, uid: usize) {
    let text = format!(
        "Name:\tsh\nUmask:\t0022\nState:\tR (running)\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
    );
    tree.write(&format!(".sim/self/{uid}/status"), &text);
}

/// The sed program that leads a script's paths into the root, in the view of one user.
fn rules(tree: &Tree, path: &str, uid: usize) {
    let root = tree.root().to_str().expect("checked when it was made");
    let view = if uid == 0 { "" } else { "s#@MARK@/etc/pve([^A-Za-z0-9._-]|$)#@MARK@/.sim/plain/etc/pve\\1#g" };
    let text = include_str!("../stubs/rewrite.sed")
        .replace("@VIEW@", view)
        .replace("@UID@", &uid.to_string())
        .replace("@ROOTREGEX@", &root.replace('.', "\\."))
        .replace("@ROOT@", root)
        .replace("@MARK@", MARK);
    tree.write(path, &text);
}

fn programs(tree: &Tree, host: &Builder) {
    let root = tree.root().to_str().expect("checked when it was made");
    let real = |name: &str| find_program(name).map(|path| path.to_string_lossy().into_owned());
    let sh = real("sh").expect("a machine with sh");
    let sleep = real("sleep").expect("a machine with sleep");
    // Without setpriv, and for whoever is not root, file modes have to do.
    let setpriv = real("setpriv").filter(|_| real_uid_is_root());
    let stub = |path: &str, text: &str| {
        let text =
            text.replace("@ROOT@", root).replace("@SH@", &sh).replace("@SETPRIV@", setpriv.as_deref().unwrap_or(""));
        let text = text.replace("@SLEEP@", &sleep).replace("@AWK@", &real("awk").unwrap_or_default());
        let text = text.replace("@TEE@", &real("tee").unwrap_or_default());
        let text = text.replace("@DATE@", &real("date").unwrap_or_default());
        tree.remove(path);
        tree.program(path, &text.replace("@REALSTAT@", &real("stat").unwrap_or_default()));
    };
    if setpriv.is_some() {
        tree.write(".sim/drop", "");
    }
    stub(".sim/login", include_str!("../stubs/login.sh"));
    stub(".sim/event", include_str!("../stubs/event.sh"));
    stub(".sim/advance", include_str!("../stubs/advance.sh"));
    stub("usr/bin/df", include_str!("../stubs/df.sh"));
    stub("usr/bin/sleep", include_str!("../stubs/sleep.sh"));
    stub("usr/bin/sh", include_str!("../stubs/sh.sh"));
    let small = |path: &str| stub(path, include_str!("../stubs/small.sh"));
    for name in ["id", "whoami", "hostname", "uname", "date"] {
        small(&format!("usr/bin/{name}"));
    }
    if host.logins.iter().any(|login| !matches!(login.rights, Rights::Root | Rights::NoSudo)) {
        stub("usr/bin/sudo", include_str!("../stubs/sudo.sh"));
    }
    if host.kind != Kind::FreeBsd {
        stub("usr/bin/tee", include_str!("../stubs/tee.sh"));
        stub("usr/sbin/ip", include_str!("../stubs/ip.sh"));
        tree.link("usr/bin/ip", "../sbin/ip");
    }
    if host.kind.is_debian() {
        stub("usr/bin/dpkg-query", include_str!("../stubs/dpkg-query.sh"));
        stub("usr/sbin/ethtool", include_str!("../stubs/ethtool.sh"));
        // Debian's perl-base is essential.
        if let Some(perl) = real("perl") {
            tree.link("usr/bin/perl", &perl);
        }
    }
    if host.has_systemd() {
        stub("usr/bin/systemctl", include_str!("../stubs/systemctl.sh"));
        for name in [
            "systemd-run",
            "journalctl",
            "loginctl",
            "busctl",
            "systemd-inhibit",
            "timedatectl",
            "who",
            "systemd-detect-virt",
            "udevadm",
        ] {
            small(&format!("usr/bin/{name}"));
        }
    } else if host.kind != Kind::FreeBsd {
        for path in ["usr/sbin/poweroff", "usr/sbin/reboot"] {
            small(path);
        }
    }
    if host.kind.is_pve() {
        stub("usr/sbin/pveum", include_str!("../stubs/pveum.sh"));
        stub("usr/bin/pvesh", include_str!("../stubs/pvesh.sh"));
        small("usr/bin/pveversion");
        for name in ["qm", "pct"] {
            small(&format!("usr/sbin/{name}"));
        }
        small("usr/bin/pvecm");
        small("usr/bin/stat");
        tree.write(
            ".sim/pveversion",
            &format!("pve-manager/{}/{REPOID} (running kernel: 6.14.8-2-pve)\n", host.version),
        );
        let release = host.version.split(['.', '-']).take(2).collect::<Vec<_>>().join(".");
        let version = serde_json::json!({ "release": release, "repoid": REPOID, "version": host.version });
        tree.write(".sim/version.json", &format!("{version}\n"));
        let names = std::iter::once(&host.name).chain(&host.nodes);
        let nodes: Vec<_> = names
            .map(|node| serde_json::json!({ "id": format!("node/{node}"), "node": node, "status": "online", "type": "node" }))
            .collect();
        let status = serde_json::json!({
            "cpu": 0.05, "loadavg": ["0.42", "0.38", "0.31"], "uptime": 93784, "wait": 0,
            "kversion": format!("Linux {} #1 SMP PREEMPT_DYNAMIC", kernel(host.kind)),
            "memory": { "total": 16_718_262_272_u64, "used": 5_980_844_032_u64, "free": 2_147_483_648_u64 },
            "pveversion": format!("pve-manager/{}/{REPOID}", host.version),
        });
        tree.write(".sim/node-status.json", &format!("{status}\n"));
        tree.write(".sim/nodes.json", &format!("{}\n", serde_json::Value::from(nodes)));
        let plain = if host.version.starts_with('9') { NO_IPC } else { "please run as root\n" };
        tree.write(".sim/pve-plain", plain);
    }
}

/// Whether the tests run as root, who could read every file.
fn real_uid_is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn proc(tree: &Tree, host: &Builder) {
    let put = |path: &str, text: &str| tree.write(&format!("proc/{path}"), text);
    put("sys/kernel/ostype", "Linux\n");
    let uname = kernel(host.kind);
    put("sys/kernel/osrelease", &format!("{uname}\n"));
    put("sys/kernel/hostname", &format!("{}\n", host.name));
    put("sys/kernel/random/boot_id", &format!("{}\n", crate::access::random_uuid()));
    put("version", &format!("Linux version {uname} (build@proxmox) #1 SMP PREEMPT_DYNAMIC\n"));
    put("cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n\n");
    load::write(tree, host.kind);
}

fn pve_tree(tree: &Tree, host: &Builder) {
    let name = &host.name;
    for node in std::iter::once(name).chain(&host.nodes) {
        for folder in ["qemu-server", "lxc", "openvz", "priv"] {
            tree.folder(&format!("etc/pve/nodes/{node}/{folder}"));
            tree.folder(&format!(".sim/plain/etc/pve/nodes/{node}/{folder}"));
        }
        tree.write(&format!("etc/pve/nodes/{node}/pve-ssl.key"), "simulated key\n");
        unreadable(tree, &format!(".sim/plain/etc/pve/nodes/{node}/pve-ssl.key"));
        unreadable(tree, &format!(".sim/plain/etc/pve/nodes/{node}/pve-ssl.pem"));
    }
    for view in ["etc/pve", ".sim/plain/etc/pve"] {
        for (link, target) in [("local", ""), ("lxc", "/lxc"), ("openvz", "/openvz"), ("qemu-server", "/qemu-server")] {
            tree.link(&format!("{view}/{link}"), &format!("nodes/{name}{target}"));
        }
        for folder in ["firewall", "ha", "mapping", "priv", "sdn", "virtual-guest"] {
            tree.folder(&format!("{view}/{folder}"));
        }
    }
    tree.write("etc/pve/.members", &members(name, &host.nodes, &[]));
    tree.write("etc/pve/.version", "{\n\"starttime\": 1795380931,\n\"clinfo\": 0\n}\n");
    for file in PVE_SECRET {
        if !tree.path(&format!("etc/pve/{file}")).exists() {
            tree.write(&format!("etc/pve/{file}"), "");
        }
        unreadable(tree, &format!(".sim/plain/etc/pve/{file}"));
    }
    tree.mode(SHUT_FOLDER, 0);
    tree.write(".sim/local-mode", if host.quorate { "755\n" } else { "555\n" });
    let (ca, node) = host.certificates.clone().unwrap_or_default();
    certificates(tree, name, &ca, &node);
}

/// What pmxcfs says of the cluster's nodes; a lone node has no list.
pub(super) fn members(name: &str, others: &[String], offline: &[&str]) -> String {
    if others.is_empty() {
        return format!("{{\n\"nodename\": \"{name}\",\n\"version\": 0\n}}\n");
    }
    let nodes = std::iter::once(name).chain(others.iter().map(String::as_str)).enumerate();
    let list: Vec<String> = nodes
        .map(|(i, node)| {
            let online = u8::from(!offline.contains(&node));
            format!("  \"{node}\": {{ \"id\": {}, \"online\": {online}, \"ip\": \"10.99.0.{}\"}}", i + 1, i + 1)
        })
        .collect();
    let size = list.len();
    format!(
        "{{\n\"nodename\": \"{name}\",\n\"version\": 3,\n\"cluster\": {{ \"name\": \"homelab\", \"version\": {size}, \
         \"nodes\": {size}, \"quorate\": 1 }},\n\"nodelist\": {{\n{}\n  }}\n}}\n",
        list.join(",\n")
    )
}

/// The CA and the node's certificate in root's view.
pub(super) fn certificates(tree: &Tree, node: &str, ca_pem: &str, node_pem: &str) {
    tree.write("etc/pve/pve-root-ca.pem", ca_pem);
    tree.write(&format!("etc/pve/nodes/{node}/pve-ssl.pem"), node_pem);
}

/// A file that is seen and cannot be read. Without the means to enforce that it is not there at all.
fn unreadable(tree: &Tree, path: &str) {
    if real_uid_is_root() && find_program("setpriv").is_none() {
        return;
    }
    tree.write(path, "not for you\n");
    tree.mode(path, 0);
}
