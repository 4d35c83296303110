//! `ecobox stats`: who is asked and how often, what stands when something fails, and what is left behind.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use ecobox_sim::prometheus::promtool_check_metrics;
use serde_json::Value;

use super::pace::deadline;
use super::packed;
use super::stats::{Lab, homelab};
use super::world::Served;

/// SSH connections and scripts so far.
fn visits(served: &Served) -> (usize, usize) {
    (served.ssh.logins(), served.ssh.execs())
}

fn node(lab: &Lab) -> &Served {
    lab.pve.node("pve1")
}

#[test]
fn one_script_a_host_and_one_request_a_cluster() {
    let lab = homelab();
    let _ = lab.world.run(&["stats"]).exits(0);
    assert_eq!((visits(node(&lab)), visits(&lab.nas)), ((1, 1), (1, 1)));
    let asked: Vec<String> = lab.pve.sim.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/api2/json/cluster/resources"]);
}

#[test]
fn who_is_not_meant_is_not_asked() {
    let lab = homelab();
    let _ = lab.world.run(&["status"]).exits(0);
    lab.pve.sim.clear_requests();
    let run = lab.world.run(&["stats", "nas", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"].as_array().unwrap().len(), 1);
    assert_eq!((visits(node(&lab)), visits(&lab.nas), lab.pve.sim.requests().len()), ((0, 0), (1, 1), 0));
    // A guest is asked of its cluster, and no host is visited for it.
    let _ = lab.world.run(&["stats", "vm-101"]).exits(0);
    assert_eq!((visits(node(&lab)), visits(&lab.nas), lab.pve.sim.requests().len()), ((0, 0), (1, 1), 1));
    // A pattern may mean a guest that is new.
    let _ = lab.world.run(&["stats", "tag=prod"]).exits(0);
    assert_eq!((visits(node(&lab)), lab.pve.sim.requests().len()), ((0, 0), 2));
    let _ = lab.world.run(&["stats", "nobody"]).exits(7);
}

#[test]
fn what_one_host_does_not_say_hides_nobody() {
    let lab = homelab();
    // A login that is refused: the API still tells the node's own numbers, the rest has a reason.
    node(&lab).ssh.deauthorize_all();
    let run = lab.world.run(&["stats", "-o", "json"]).exits(8).says("pve1");
    let (pve1, nas) = (run.server("pve1"), run.server("nas"));
    assert_eq!((&pve1["source"], pve1["cpu_percent"].is_number()), (&"api".into(), true), "{pve1}");
    assert_eq!((&pve1["load_average"], &pve1["network_receive_bytes"]), (&Value::Null, &Value::Null));
    assert!(pve1["reasons"]["network"].is_string() && pve1["reasons"]["pressure"].is_string(), "{pve1}");
    assert_eq!((&nas["source"], nas["cpu_percent"].is_number()), (&"ssh".into(), true), "{nas}");
    assert_eq!(run.server("pve1-vm-101")["cpu_percent"], 25.0);
    // The API is down: hosts answer for themselves, guests are unknown.
    let lab = homelab();
    let _ = lab.world.run(&["status"]).exits(0);
    lab.pve.sim.node("pve1").stop();
    let run = lab.world.run(&["stats", "-o", "json"]).exits(8);
    assert_eq!((&run.server("pve1")["source"], &run.server("pve1")["state"]), (&"ssh".into(), &"online".into()));
    assert_eq!(run.server("pve1-vm-101")["cpu_percent"], Value::Null, "{run}");
    // One that hangs costs its own row.
    let lab = homelab();
    lab.nas.host.set_hanging(true);
    let run = lab.world.run(&["stats", "--timeout", &deadline(8), "-o", "json"]).exits(8).says("nas");
    assert_eq!(run.server("nas")["cpu_percent"], Value::Null, "{run}");
    assert!(run.server("nas")["reasons"]["cpu"].is_string(), "{run}");
    assert!(run.server("pve1")["cpu_percent"].is_number(), "{run}");
}

#[test]
fn every_run_leaves_samples() {
    for command in ["status", "discover", "stats"] {
        let lab = homelab();
        let _ = lab.world.run(&[command]).exits(0);
        let samples = packed::samples(&lab.world.env);
        let (guests, hosts): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.subject >> 32 > 0);
        assert_eq!(guests.iter().filter(|guest| guest.known.contains(&"cpu")).count(), 3, "{command}");
        assert!(command == "discover" || !hosts.is_empty(), "{command}");
        let readings = lab.world.env.rows("SELECT DISTINCT server FROM readings ORDER BY server");
        assert_eq!(readings, if command == "stats" { vec!["nas", "pve1"] } else { vec![] }, "{command}");
    }
}

#[test]
fn the_metrics_of_a_fleet_are_valid_and_their_file_is_replaced_whole() {
    let lab = homelab();
    let path = lab.world.env.home().join("ecobox.prom");
    let file = path.to_str().unwrap();
    let _ = lab.world.run(&["stats", "-o", "openmetrics", "--out", file]).exits(0);
    let (text, first) = (std::fs::read_to_string(&path).unwrap(), std::fs::metadata(&path).unwrap());
    assert_eq!(first.permissions().mode() & 0o777, 0o644);
    assert!(
        text.ends_with("# EOF\n") && text.contains("ecobox_guest_info{") && text.contains("ecobox_up{id=\"nas\"} 1")
    );
    if let Some(complaints) = promtool_check_metrics(&text) {
        assert_eq!(complaints, "", "{text}");
    }
    // Who does not answer has no numbers in the next one.
    lab.nas.host.suspend();
    let _ = lab.world.run(&["stats", "-o", "openmetrics", "--out", file, "--timeout", &deadline(8)]).exits(8);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("ecobox_cpu_usage_ratio{id=\"nas\"}") && text.contains("ecobox_failed{id=\"nas\""),
        "{text}"
    );
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), first.ino());
    let left: Vec<_> =
        std::fs::read_dir(lab.world.env.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("tmp")), "{left:?}");
    let _ = lab.world.run(&["stats", "--out", "/nonexistent/x"]).exits(1).says("cannot write /nonexistent/x");
}
