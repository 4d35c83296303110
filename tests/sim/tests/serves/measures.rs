//! Counters, histories and file systems: what tests set, and what follows from the guests' state.

use ecobox_sim::{Cluster, Guest, Sim};
use serde_json::{Value, json};

use crate::state::{act, pass, stopped_clock};
use crate::{data, get};

/// The counters of 101 in the listing and its uptime.
fn counters(sim: &Sim) -> [u64; 5] {
    let rows = data(sim, "pve1", "/cluster/resources?type=vm");
    let row = rows.as_array().unwrap().iter().find(|row| row["vmid"] == 101).unwrap();
    let current = data(sim, "pve1", "/nodes/pve1/qemu/101/status/current");
    assert_eq!(row["netin"], current["netin"]);
    ["netin", "netout", "diskread", "diskwrite", "uptime"].map(|key| row[key].as_u64().unwrap())
}

#[test]
fn counters_grow_while_a_guest_runs_and_begin_anew() {
    let sim = stopped_clock();
    let busy = |guest: Guest| guest.traffic(1000, 2000).disk_io(3000, 4000).rates(1, 2, 3, 4);
    sim.cluster().change_guest(101, busy);
    assert_eq!(counters(&sim), [1000, 2000, 3000, 4000, 3600]);
    pass(&sim, 10);
    assert_eq!(counters(&sim), [1010, 2020, 3030, 4040, 3610]);
    // Paused it moves nothing, but its uptime goes on.
    act(&sim, "qemu/101", "suspend", "");
    pass(&sim, 1);
    let paused = counters(&sim);
    pass(&sim, 10);
    assert_eq!((counters(&sim)[..4].to_vec(), counters(&sim)[4]), (paused[..4].to_vec(), paused[4] + 10));
    act(&sim, "qemu/101", "resume", "");
    pass(&sim, 1);
    let resumed = counters(&sim);
    pass(&sim, 10);
    assert_eq!(counters(&sim)[..4], [resumed[0] + 10, resumed[1] + 20, resumed[2] + 30, resumed[3] + 40]);
    act(&sim, "qemu/101", "stop", "");
    pass(&sim, 1);
    assert_eq!(counters(&sim), [0; 5]);
    act(&sim, "qemu/101", "start", "");
    pass(&sim, 20);
    let [received, .., uptime] = counters(&sim);
    assert!(received == uptime && (15..=20).contains(&uptime), "{received} bytes after {uptime} s");
    // Set anew while it runs, they go on from there.
    sim.cluster().change_guest(101, |guest| guest.traffic(7, 8));
    pass(&sim, 2);
    assert_eq!(counters(&sim)[..2], [9, 12]);
}

fn history(sim: &Sim, path: &str, timeframe: &str, cf: &str) -> Vec<Value> {
    let rows = data(sim, "pve1", &format!("/nodes/{path}/rrddata?timeframe={timeframe}&cf={cf}"));
    rows.as_array().unwrap().clone()
}

#[test]
fn histories_follow_from_the_state() {
    let sim = stopped_clock();
    sim.cluster().change_guest(101, |guest| guest.load(0.25, 200 << 20).rates(50, 60, 70, 80).uptime(7200));
    for (timeframe, step, count) in
        [("hour", 60, 60), ("day", 60, 1440), ("week", 1800, 336), ("month", 1800, 1440), ("year", 21_600, 1440)]
    {
        for path in ["pve1/qemu/101", "pve2/lxc/201", "pve1"] {
            let times: Vec<u64> =
                history(&sim, path, timeframe, "AVERAGE").iter().map(|row| row["time"].as_u64().unwrap()).collect();
            assert_eq!(times.len(), count, "{path} {timeframe}");
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == step), "{path} {timeframe}");
            assert_eq!(times, sim.cluster().history_times(timeframe));
        }
    }
    let hour = history(&sim, "pve1/qemu/101", "hour", "AVERAGE");
    let last = hour.last().unwrap();
    assert_eq!((&last["cpu"], &last["netin"], &last["disk"]), (&json!(0.25), &json!(50.0), &json!(0)));
    // The peaks of a minute are its average, those of longer steps are above it.
    assert_eq!(history(&sim, "pve1/qemu/101", "hour", "MAX"), hour);
    assert_eq!(history(&sim, "pve1/qemu/101", "week", "MAX").last().unwrap()["cpu"], json!(0.5));
    let day = history(&sim, "pve1/qemu/101", "day", "AVERAGE");
    let measured = day.iter().filter(|row| row.get("cpu").is_some()).count();
    assert_eq!((measured, day[0].get("maxmem").is_some()), (120, true), "before it ran there are only sizes");
    let year = history(&sim, "pve1", "year", "AVERAGE");
    assert_eq!((year[0].as_object().unwrap().len(), &year.last().unwrap()["loadavg"]), (1, &json!(0.42)));
}

#[test]
fn histories_are_what_a_test_sets() {
    let sim = stopped_clock();
    let rows = vec![json!({ "time": 60 }), json!({ "time": 120, "cpu": "NaN" })];
    sim.cluster().set_guest_history(101, "week", "MAX", rows.clone());
    sim.cluster().set_node_history("pve1", "year", "AVERAGE", rows[..1].to_vec());
    assert_eq!(history(&sim, "pve1/qemu/101", "week", "MAX"), rows);
    assert_eq!(history(&sim, "pve1/qemu/101", "week", "AVERAGE").len(), 336);
    assert_eq!(history(&sim, "pve1", "year", "AVERAGE"), rows[..1]);
    sim.cluster().forget_guest_history(101);
    let reply = get(&sim, "pve1", "/nodes/pve1/qemu/101/rrddata?timeframe=week&cf=MAX");
    assert_eq!(reply.status, 500);
    assert!(reply.reason.starts_with("RRD error: ") && reply.reason.ends_with("No such file or directory"));
}

#[test]
fn histories_before_9_are_coarser() {
    let sim = Sim::start(Cluster::new("old").pve("8.4.1").node("pve1").root_token("t", "0000").vm(101, "a", |vm| vm));
    for (timeframe, step, count) in [("hour", 60, 60), ("day", 1800, 70), ("month", 43_200, 70), ("year", 604_800, 70)]
    {
        let rows = history(&sim, "pve1/qemu/101", timeframe, "AVERAGE");
        let first = |at: usize| rows[at]["time"].as_u64().unwrap();
        assert_eq!((rows.len(), first(1) - first(0)), (count, step), "{timeframe}");
    }
    let gone = get(&sim, "pve1", "/nodes/pve1/qemu/999/rrddata?timeframe=hour");
    assert!(gone.reason.contains("opening '/var/lib/rrdcached/db/pve2-vm/999'"), "{}", gone.reason);
}

#[test]
fn an_agent_tells_its_file_systems() {
    let sim = stopped_clock();
    let path = "/nodes/pve1/qemu/101/agent/get-fsinfo";
    assert_eq!(data(&sim, "pve1", path)["result"], json!([]));
    sim.cluster().change_guest(101, |guest| guest.filesystem("/", "ext4", 3, 10).filesystem("/srv", "xfs", 4, 20));
    let told = data(&sim, "pve1", path);
    assert_eq!(told["result"][1]["mountpoint"], "/srv");
    assert_eq!((&told["result"][0]["used-bytes"], &told["result"][0]["total-bytes"]), (&json!(3), &json!(10)));
    assert_eq!(get(&sim, "pve1", "/nodes/pve1/qemu/103/agent/get-fsinfo").reason, "QEMU guest agent is not running");
}

#[test]
fn a_nodes_load_is_what_a_test_sets() {
    let cluster = Cluster::new("one").node_with("pve1", |node| node.loadavg([1.0, 0.5, 0.25])).root_token("t", "0000");
    let sim = Sim::start(cluster);
    assert_eq!(data(&sim, "pve1", "/nodes/pve1/status")["loadavg"], json!(["1.00", "0.50", "0.25"]));
}

#[test]
fn the_demos_histories_go_up_and_down() {
    let sim = Sim::start(Cluster::demo().root_token("t", "0000"));
    let day = history(&sim, "pve1/qemu/101", "day", "AVERAGE");
    let cpu: Vec<f64> = day.iter().map(|row| row["cpu"].as_f64().unwrap()).collect();
    let (low, high) = cpu.iter().fold((1.0, 0.0), |(low, high): (f64, f64), cpu| (low.min(*cpu), high.max(*cpu)));
    assert!(low > 0.0 && high <= 1.0 && high > low * 1.5, "{low} to {high}");
}
