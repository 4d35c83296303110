//! `stats -o openmetrics --out` into the folder of a real `node_exporter`, which a real Prometheus scrapes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use ecobox_sim::prometheus::{NodeExporter, Prometheus};
use serde_json::Value;

use super::env::Run;
use super::stats::homelab;
use super::world::{World, until};

/// Each number of a text in the format of Prometheus, by its name with labels as they stand there.
fn numbers(text: &str) -> BTreeMap<String, f64> {
    let numbers = text.lines().filter(|line| line.starts_with("ecobox_"));
    numbers
        .map(|line| {
            let (name, number) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), number.parse().unwrap())
        })
        .collect()
}

/// What a report says of a server, under the names of the metrics.
fn reported(run: &Run, server: &str, id: &str) -> BTreeMap<String, f64> {
    let server = run.server(server);
    let root = format!("id=\"{id}\",mountpoint=\"/\"");
    let id = format!("id=\"{id}\"");
    let all = [
        ("cpu_percent", "ecobox_cpu_usage_ratio", &id, 0.01),
        ("cpus", "ecobox_cpus", &id, 1.0),
        ("memory_bytes", "ecobox_memory_used_bytes", &id, 1.0),
        ("memory_max_bytes", "ecobox_memory_size_bytes", &id, 1.0),
        ("disk_bytes", "ecobox_filesystem_used_bytes", &root, 1.0),
        ("disk_max_bytes", "ecobox_filesystem_size_bytes", &root, 1.0),
        ("swap_max_bytes", "ecobox_swap_size_bytes", &id, 1.0),
    ];
    // Of a disk that nobody looked into there is no file system.
    let looked_into = server["disk_bytes"].is_u64();
    let all = all.into_iter().filter(|(field, ..)| looked_into || *field != "disk_max_bytes");
    let known = all.filter_map(|(field, name, labels, factor)| {
        Some((format!("{name}{{{labels}}}"), server.get(field)?.as_f64()? * factor))
    });
    known.collect()
}

#[track_caller]
fn assert_alike(found: &BTreeMap<String, f64>, wanted: &BTreeMap<String, f64>) {
    for (name, want) in wanted {
        let number = found.get(name).unwrap_or_else(|| panic!("no {name} in {found:#?}"));
        assert!((number - want).abs() <= want.abs() * 1e-6, "{name}: {number}, not {want}");
    }
}

/// What Prometheus has of a name now, in the same form.
fn in_prometheus(prometheus: &Prometheus, name: &str) -> BTreeMap<String, f64> {
    let answer = prometheus.get(&format!("/api/v1/query?query={name}"));
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let result = answer["data"]["result"].as_array().expect("a vector").clone();
    let one = |sample: &Value| {
        let labels = sample["metric"].as_object().unwrap().iter();
        let own = labels.filter(|(label, _)| !["__name__", "instance", "job"].contains(&label.as_str()));
        let labels = own.map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",");
        (format!("{name}{{{labels}}}"), sample["value"][1].as_str().unwrap().parse().unwrap())
    };
    result.iter().map(one).collect()
}

#[test]
fn what_is_written_is_what_node_exporter_and_prometheus_have() {
    let lab = homelab();
    let folder = lab.world.env.home().join("textfiles");
    std::fs::create_dir(&folder).unwrap();
    let Some(exporter) = NodeExporter::start(&folder) else { return };
    let path = folder.join("ecobox.prom");
    let write = || lab.world.run(&["stats", "-o", "openmetrics", "--timeout", "60s", "--out", path.to_str().unwrap()]);
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let report = lab.world.run(&["stats", "-o", "json"]).exits(0);
    assert_eq!(write().exits(0).stdout, "");
    let (file, scraped) = (std::fs::read_to_string(&path).unwrap(), exporter.scrape());
    assert!(scraped.contains("node_textfile_scrape_error 0\n") && mode() == 0o644, "{scraped}");
    // All of the file is there, and it is what the report says.
    assert_eq!(numbers(&scraped), numbers(&file));
    let info = file.lines().find(|line| line.contains("server=\"pve1-vm-101\"")).expect("an ecobox_guest_info");
    let guest = info.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut wanted = BTreeMap::new();
    for (server, id, count) in [("pve1", "pve1", 7), ("nas", "nas", 7), ("pve1-vm-101", guest, 4)] {
        let found = reported(&report, server, id);
        assert!(found.len() >= count, "{found:?}");
        wanted.extend(found);
    }
    assert_alike(&numbers(&scraped), &wanted);

    let prometheus = Prometheus::start_scraping(&exporter);
    let of_nas = "ecobox_memory_used_bytes{id=\"nas\"}";
    if let Some(prometheus) = &prometheus {
        until(|| in_prometheus(prometheus, "ecobox_memory_used_bytes").contains_key(of_nas));
        for name in ["ecobox_cpu_usage_ratio", "ecobox_memory_used_bytes", "ecobox_filesystem_used_bytes"] {
            let of_name = wanted.iter().filter(|(full, _)| full.starts_with(&format!("{name}{{")));
            assert_alike(&in_prometheus(prometheus, name), &of_name.map(|(name, n)| (name.clone(), *n)).collect());
        }
    }

    // One fails: its last numbers are gone, and those of the others are new.
    lab.nas.host.suspend();
    let _ = write().exits(8);
    let scraped = exporter.scrape();
    assert!(scraped.contains("node_textfile_scrape_error 0\n") && mode() == 0o644, "{scraped}");
    let left = numbers(&scraped);
    let of_failed: Vec<&String> = left.keys().filter(|name| name.contains("id=\"nas\"")).collect();
    for name in ["ecobox_cpu", "ecobox_memory", "ecobox_filesystem", "ecobox_network", "ecobox_disk", "ecobox_uptime"] {
        assert!(!of_failed.iter().any(|found| found.starts_with(name)), "{of_failed:?}");
    }
    assert!(of_failed.iter().any(|name| name.starts_with("ecobox_failed{")), "{of_failed:?}");
    assert_alike(&left, &wanted.into_iter().filter(|(name, _)| !name.contains("id=\"nas\"")).collect());
    if let Some(prometheus) = &prometheus {
        until(|| !in_prometheus(prometheus, "ecobox_memory_used_bytes").contains_key(of_nas));
        assert!(!in_prometheus(prometheus, "ecobox_memory_used_bytes").is_empty());
        assert!(in_prometheus(prometheus, "node_textfile_scrape_error").values().all(|error| *error == 0.0));
    }
}

/// The labels `id` and `cluster` of a guest, and the names of all metrics of one guest.
fn labels(run: &Run, server: &str) -> (String, Vec<String>) {
    let of = format!("server=\"{server}\"");
    let info = run.stdout.lines().find(|line| line.starts_with("ecobox_guest_info{") && line.contains(&of));
    let info = info.unwrap_or_else(|| panic!("no {server} in {run}"));
    let label = |name: &str| info.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let id = label(",id");
    let own = run.stdout.lines().filter(|line| line.contains(&format!("id=\"{id}\"")));
    let names = own.filter_map(|line| Some(line.split_once('{')?.0.to_owned())).collect();
    (format!("{id} {}", label("{cluster")), names)
}

#[test]
fn labels_outlive_the_clusters_certificate_authority() {
    let world = World::new();
    let pve = world.three_nodes();
    let _ = world.run(&["setup-token"]).exits(0);
    let look = || {
        let run = world.run(&["stats", "-o", "openmetrics"]).exits(0);
        ["pve1-vm-101", "pve2-vm-102", "pve2-ct-201"].map(|server| labels(&run, server).0)
    };
    let before = look();
    assert!(before.iter().all(|labels| !labels.starts_with(' ') && !labels.ends_with(' ')), "{before:?}");
    // Seen by whoever looks, and by whoever sets up.
    for again in ["status", "setup-token", "discover"] {
        pve.sim.cluster().replace_ca();
        pve.publish_certificates();
        // It is longer ago than the minute in which no certificate is learned again.
        world.state().execute("UPDATE trust SET at = at - 3600000", []).unwrap();
        let _ = world.run(&[again]).exits(0);
        assert_eq!(look(), before, "{again}");
        let _ = world.run(&["setup-token"]).exits(0);
        assert_eq!(look(), before, "setup-token after {again}");
    }
}

#[test]
fn a_virtual_disk_is_no_file_system() {
    let world = World::new();
    let pve = world.three_nodes();
    pve.sim.cluster().change_guest(201, |ct| ct.disk(8 << 30, 1 << 30));
    let _ = world.run(&["setup-token"]).exits(0);
    let run = world.run(&["stats", "-o", "openmetrics"]).exits(0);
    for (server, has_filesystem) in
        [("pve1-vm-101", false), ("pve2-vm-102", false), ("pve3-vm-103", false), ("pve2-ct-201", true)]
    {
        let (_, names) = labels(&run, server);
        let found = names.iter().any(|name| name.starts_with("ecobox_filesystem"));
        assert_eq!(found, has_filesystem, "{server}: {names:?}");
        assert!(has_filesystem || names.iter().any(|name| name == "ecobox_disk_size_bytes"), "{server}: {names:?}");
    }
}
