//! Plans of `ecobox power` where there is no room for a table: each step is a line with its deadline.

use ecobox_sim::Cluster;
use ecobox_sim::host::Nic;

use super::past::on_terminal;
use super::world::{Pve, World, assert_transcript};

/// A node with guests, whose card is not armed.
fn house(world: &World) -> Pve {
    let off = Nic::physical("enp3s0", "bc:24:11:00:00:01").wol("pumbg", "d");
    let cluster = Cluster::new("homelab")
        .node("pve1")
        .vm(101, "web-01", |vm| vm.on("pve1").running().config("startup", "down=90"))
        .ct(201, "dns", |ct| ct.on("pve1").running());
    let pve = world.cluster_with(cluster, |host| host.nics(vec![off.clone()]));
    world.configure(&pve.node("pve1").wakeable());
    world.know_all(&pve.nodes);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.sim.clear_requests();
    pve
}

const PLAN: [&str; 8] = ["power", "suspend", "pve1", "--guests", "shutdown", "--arm-wol", "--then-stop", "--dry-run"];

#[test]
fn what_does_not_fit_is_told_step_by_step() {
    let world = World::new();
    let pve = house(&world);
    for columns in [80, 40] {
        let text = on_terminal(&world.env, &PLAN, columns, "C.UTF-8", "/dev/null");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        assert!(lines.iter().all(|line| line.chars().count() <= columns), "{text}");
        assert!(!text.contains('…') && !text.contains("STEP"), "{text}");
        assert_transcript!(format!("power_text_{columns}"), lines.join("\n"));
    }
    // Where there is room it is a table.
    let text = on_terminal(&world.env, &PLAN, 200, "C.UTF-8", "/dev/null");
    assert!(text.contains("STEP") && !text.contains(" 1. "), "{text}");
    assert_eq!(pve.sim.posts(), [""; 0]);
}

#[test]
fn whole_tables_and_json_say_the_same() {
    let world = World::new();
    let _pve = house(&world);
    let run = world.run(&PLAN).exits(0);
    assert_transcript!("power_text_piped", run);
    let report = world.run(&[&PLAN[..], &["-o", "json"]].concat()).exits(0).json();
    let field = |step: usize, name: &str| report["steps"][step][name].clone();
    assert_eq!(report["steps"].as_array().unwrap().len(), 3);
    assert_eq!((field(0, "name"), field(0, "deadline_seconds")), ("web-01".into(), 135.0.into()));
    assert_eq!((field(0, "stops_after_seconds"), field(1, "stops_after_seconds")), (90.0.into(), 60.0.into()));
    assert_eq!((field(2, "arms_wol"), field(2, "deadline_seconds")), ("enp3s0".into(), 120.0.into()));
    assert!(field(0, "arms_wol").is_null() && field(2, "stops_after_seconds").is_null());
    // Who does not wait has no deadline of the last step; `--timeout` is one for each.
    let report = world.run(&[&PLAN[..], &["-o", "json", "--no-wait", "--timeout", "7s"]].concat()).exits(0).json();
    assert_eq!(report["steps"][0]["deadline_seconds"], 7.0);
    assert!(report["steps"][2]["deadline_seconds"].is_null());
    // Scripts find the id where it was.
    let csv = world.run(&[&PLAN[..], &["-o", "csv"]].concat()).exits(0);
    assert!(
        csv.stdout.starts_with("step,server,action,result,state,time,why,detail,name,after,call,upid\r\n"),
        "{csv}"
    );
    assert!(csv.stdout.contains("\r\n1,pve1-vm-101,shutdown,planned,"), "{csv}");
}
