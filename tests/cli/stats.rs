//! `ecobox stats`: every number of a node, its guests and a plain server, in every form.

use std::fmt::Write as _;
use std::time::Duration;

use ecobox_sim::host::{Disk, Host};
use ecobox_sim::{Cluster, Guest};
use serde_json::{Value, json};

use super::fleets::{cluster, full_token, variable};
use super::formats::{bare, on_terminal};
use super::world::{Pve, Served, World, assert_transcript};

/// Hosts that can be asked by SSH and by the API, and plain servers.
pub(super) struct Lab {
    pub(super) world: World,
    pub(super) pve: Pve,
    pub(super) nas: Served,
}

/// A cluster with the usual token whose clock stands still.
pub(super) fn frozen(name: &str) -> Cluster {
    let mut cluster = cluster(name);
    cluster.clock.freeze();
    cluster
}

/// A cluster with the usual token, and a plain server `nas`: configured and trusted.
pub(super) fn lab(cluster: Cluster) -> Lab {
    let mut world = World::new();
    let pve = world.cluster(cluster);
    let nas = world.serve(Host::debian("nas").build());
    let mut entries = String::new();
    for node in &pve.nodes {
        let fingerprint = pve.sim.node(&node.name).fingerprint();
        entries += node.entry().trim_end();
        writeln!(entries, "\nfingerprint = \"{fingerprint}\"\n").unwrap();
        world.env.set(&variable(&node.name), full_token());
    }
    world.configure(&(entries + &nas.entry()));
    world.know_all(&pve.nodes);
    world.know(&nas);
    Lab { world, pve, nas }
}

/// A node with guests in each state.
pub(super) fn homelab() -> Lab {
    lab(frozen("homelab")
        .node_with("pve1", |node| node.size(8, 32 << 30).load(0.08, 8 << 30).uptime(1_000_000))
        .vm(101, "web-01", |vm| {
            let vm = vm.running().size(2, 4096).load(0.25, 1 << 30).tags("prod;web").pool("live").uptime(3600);
            vm.traffic(5_000_000, 1_000_000).disk_io(300_000_000, 40_000_000).rates(2000, 500, 4096, 8192)
        })
        .vm(102, "db", |vm| vm.running().size(4, 8192).load(1.0, 9 << 30).uptime(86_400))
        .vm(103, "spare", Guest::stopped)
        .vm(105, "desktop", Guest::paused)
        .vm(106, "laptop", Guest::hibernated)
        .vm(9000, "golden", Guest::template)
        .ct(201, "dns", |ct| ct.running().size(1, 512).load(0.5, 128 << 20).disk(4 << 30, 1 << 30).uptime(7200)))
}

impl Lab {
    /// Lets time pass everywhere.
    pub(super) fn advance(&self, seconds: u32) {
        self.pve.sim.cluster().clock.advance(Duration::from_secs(seconds.into()));
        for host in self.pve.nodes.iter().chain([&self.nas]) {
            host.host.advance(seconds.into());
        }
        // What runs before this moment were that much earlier, too.
        if self.world.env.state_path().exists() {
            let millis = i64::from(seconds) * 1000;
            self.world.env.execute(&format!(
                "UPDATE readings SET at = at - {millis};
                 UPDATE samples SET at = at - {millis}"
            ));
        }
    }

    pub(super) fn host(&self, name: &str) -> &Host {
        if name == "nas" { &self.nas.host } else { &self.pve.node(name).host }
    }
}

/// Fields of an object, for a comparison.
pub(super) fn fields<const N: usize>(of: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| of.get(name).unwrap_or_else(|| panic!("no {name} in {of:#}")).clone())
}

#[test]
fn a_whole_fleet_in_a_pipe() {
    let lab = homelab();
    assert_transcript!("stats_first", lab.world.run(&["stats"]).exits(0));
    lab.advance(60);
    assert_transcript!("stats_second", lab.world.run(&["stats"]).exits(0));
    lab.advance(60);
    assert_transcript!("stats_wide", lab.world.run(&["stats", "-o", "wide"]).exits(0));
}

#[test]
fn the_second_run_measures_from_the_first() {
    let lab = homelab();
    let first = lab.world.run(&["stats", "-o", "json"]).exits(0);
    assert_eq!(first.json()["schema"], "ecobox.stats/1");
    for id in ["pve1", "nas"] {
        // The second reading came a second later by the host's own clock.
        assert_eq!(first.server(id)["measured_seconds"], 1.0, "{first}");
    }
    lab.advance(60);
    lab.host("nas").add_cpu(6000, 0);
    let second = lab.world.run(&["stats", "-o", "json"]).exits(0);
    let nas = second.server("nas");
    // 60 s of two CPUs are 12,000 ticks, a fifth of them busy; and 6,000 ticks of work.
    assert_eq!(
        fields(&nas, ["measured_seconds", "cpu_percent", "cpus", "network_receive_bytes_per_second"]),
        [json!(60.0), json!(46.666_668), json!(2.0), json!(125_000.0)]
    );
    assert_eq!(
        fields(&nas, ["disk_read_bytes_per_second", "disk_write_bytes_per_second", "load_average", "state"]),
        [json!(40_960.0), json!(81_920.0), json!([0.42, 0.38, 0.31]), json!("online")]
    );
    assert_eq!(fields(&nas, ["source", "sources", "reasons"]), [json!("ssh"), json!({}), json!({})]);
    let used = (16_326_428 - 10_485_760) * 1024_u64;
    assert_eq!(fields(&nas, ["memory_bytes", "swap_bytes", "arc_bytes"]), [json!(used), json!(0), Value::Null]);
    assert_eq!(nas["disk_bytes"], json!(3_145_728_u64 * 1024));
    let web = second.server("pve1-vm-101");
    assert_eq!(
        fields(&web, ["cpu_percent", "memory_percent", "network_total_bytes", "uptime_seconds", "disk_bytes"]),
        [json!(25.0), json!(25.0), json!(6_000_000 + 2500 * 60), json!(3660), Value::Null]
    );
    assert_eq!(
        fields(&web, ["network_receive_bytes_per_second", "network_transmit_bytes_per_second"]),
        [json!(2000.0), json!(500.0)]
    );
    assert_eq!(
        fields(&web, ["disk_read_bytes_per_second", "disk_write_bytes_per_second", "source"]),
        [json!(4096.0), json!(8192.0), json!("api")]
    );
    assert!(web["reasons"]["disk"].as_str().unwrap().contains("--agent"), "{web}");
    // Whether the last reading is old enough by now depends on the machine: this one measures by itself.
    lab.world.env.execute("DELETE FROM readings");
    assert_transcript!("stats_json", lab.world.run(&["stats", "pve1", "-o", "json"]).exits(0));
}

#[test]
fn rows_and_lines_have_every_number() {
    let lab = homelab();
    let _ = lab.world.run(&["stats", "-q"]).exits(0);
    lab.advance(60);
    assert_transcript!("stats_csv", lab.world.run(&["stats", "-o", "csv"]).exits(0));
    lab.advance(60);
    let run = lab.world.run(&["stats", "-o", "jsonl"]).exits(0);
    let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 8, "{run}");
    lab.advance(60);
    let whole = lab.world.run(&["stats", "-o", "json"]).exits(0).json();
    let keys = |value: &Value| value.as_object().unwrap().keys().filter(|key| *key != "schema").cloned().collect();
    for (line, server) in lines.iter().zip(whole["servers"].as_array().unwrap()) {
        let (line, server): (Vec<String>, Vec<String>) = (keys(line), keys(server));
        assert_eq!(line, server);
    }
}

#[test]
fn eighty_columns_keep_what_matters() {
    let lab = homelab();
    let text = bare(&on_terminal(&lab.world.env, &["stats"], 80, &[]));
    let last = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    let lines: Vec<String> = text.lines().map(last).filter(|line| !line.trim().is_empty()).collect();
    let table = lines.join("\n");
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for wanted in ["NAME", "CPU", "MEM", "DISK", "RECEIVE", "SEND", "web-01", "100%"] {
        assert!(table.contains(wanted), "no {wanted} in\n{table}");
    }
    assert_transcript!("stats_80_columns", table);
}

#[test]
fn a_boot_in_between_is_measured_anew() {
    let lab = homelab();
    let _ = lab.world.run(&["stats", "-q"]).exits(0);
    lab.advance(60);
    lab.host("nas").new_boot();
    let nas = lab.world.run(&["stats", "-o", "json", "--interval", "2s"]).exits(0).server("nas");
    assert_eq!(
        fields(&nas, ["measured_seconds", "cpu_percent", "uptime_seconds", "reasons"]),
        [json!(2.0), json!(20.0), json!(32), json!({})]
    );
}

#[test]
fn an_old_reading_is_not_compared_with() {
    for (age, measured) in [(590, 590.0), (610, 3.0)] {
        let lab = homelab();
        let _ = lab.world.run(&["stats", "-q"]).exits(0);
        lab.advance(age);
        let run = lab.world.run(&["stats", "-o", "json", "--interval", "3s"]).exits(0);
        assert_eq!(run.server("nas")["measured_seconds"], measured, "{run}");
        let (nas, web) = (run.server("nas"), run.server("pve1-vm-101"));
        assert_eq!(nas["network_receive_bytes_per_second"], 125_000.0, "{nas}");
        assert_eq!(web["network_receive_bytes_per_second"].is_null(), age > 600, "{web}");
    }
}

#[test]
fn a_reading_from_a_clock_that_ran_ahead_is_not_compared_with() {
    let lab = homelab();
    let _ = lab.world.run(&["stats", "-q"]).exits(0);
    lab.advance(60);
    lab.world.env.execute("UPDATE readings SET at = at + 3600000; UPDATE samples SET at = at + 3600000");
    let run = lab.world.run(&["stats", "-o", "json"]).exits(0);
    assert_eq!(run.server("nas")["measured_seconds"], 1.0, "{run}");
    assert!(run.server("pve1-vm-101")["network_receive_bytes_per_second"].is_null(), "{run}");
}

#[test]
fn zfs_cache_stands_apart_and_virtual_ports_are_not_counted_twice() {
    let lab = homelab();
    lab.host("nas").set_arc(2 << 30);
    lab.host("nas").set_pressure(12.5, 3.0, 40.0);
    let _ = lab.world.run(&["stats", "-q"]).exits(0);
    lab.advance(10);
    let nas = lab.world.run(&["stats", "-o", "json"]).exits(0).server("nas");
    let used = (16_326_428 - 10_485_760) * 1024_u64 - (2 << 30);
    assert_eq!(fields(&nas, ["memory_bytes", "arc_bytes"]), [json!(used), json!(2_u64 << 30)]);
    assert_eq!(
        fields(&nas, ["pressure_cpu_percent", "pressure_memory_percent", "pressure_io_percent"]),
        [json!(12.5), json!(3.0), json!(40.0)]
    );
    lab.advance(10);
    // The bridge on the ports and its taps have counters of their own.
    lab.host("pve1").set_traffic("enp3s0", 1000, 100);
    lab.host("pve1").set_traffic("enp4s0", 20, 2);
    lab.host("pve1").set_traffic("vmbr0", 900_000, 800_000);
    let pve1 = lab.world.run(&["stats", "pve1", "-o", "json"]).exits(0).server("pve1");
    assert_eq!(
        fields(&pve1, ["network_receive_bytes", "network_transmit_bytes", "network_total_bytes"]),
        [json!(1020), json!(102), json!(1122)]
    );
    // They went back, and one does not know how fast.
    assert!(pve1["network_receive_bytes_per_second"].is_null(), "{pve1}");
    assert_eq!(pve1["reasons"]["network"], "a counter of enp3s0 went back");
}

#[test]
fn all_disks_with_names_that_want_to_be_noticed() {
    let lab = homelab();
    lab.host("nas").set_filesystems(&[
        Disk::new("/dev/sda1", "/", "ext4", 3_145_728, 28_311_552),
        Disk::new("/dev/sdb1", "/srv/my files", "ext4", 1024, 1024),
        Disk::new("/dev/sdc1", "/srv/\u{1b}[31mred\nline", "xfs", 3072, 1024),
    ]);
    let root = lab.world.run(&["stats", "nas", "-o", "json"]).exits(0).server("nas");
    assert_eq!(root["filesystems"].as_array().unwrap().len(), 1, "{root}");
    let run = lab.world.run(&["stats", "nas", "--all-disks", "-o", "json"]).exits(0);
    assert!(!run.stdout.contains('\u{1b}'), "{run}");
    let disks = run.server("nas")["filesystems"].clone();
    assert_eq!(
        disks,
        json!([
            { "mount": "/", "used_bytes": 3_145_728_u64 * 1024, "size_bytes": 31_457_280_u64 * 1024 },
            { "mount": "/srv/my files", "used_bytes": 1 << 20, "size_bytes": 2 << 20 },
            { "mount": "/srv/\u{1b}[31mred\nline", "used_bytes": 3 << 20, "size_bytes": 4 << 20 },
        ])
    );
    for form in ["table", "wide", "csv", "openmetrics"] {
        let run = lab.world.run(&["stats", "nas", "--all-disks", "-o", form]).exits(0);
        assert!(!run.stdout.contains('\u{1b}') && !run.stdout.contains("\nline"), "{form}\n{run}");
        assert!(run.stdout.contains("/srv/my files"), "{form}\n{run}");
    }
    let table = lab.world.run(&["stats", "nas", "--all-disks"]).exits(0);
    assert!(table.stdout.contains("/srv/my files 50%") && table.stdout.contains("75%"), "{table}");
}
