//! `check` with conditions: each fires where it should, and is silent where that is over.

use std::time::Duration;

use ecobox_sim::{Cluster, Guest, Sim};
use serde_json::json;

use super::check::first;
use super::env::{CANARY, Env};
use super::fleets::{OPERATOR, TOKEN, cluster, env_for};
use super::stats::homelab;

const HOUR: Duration = Duration::from_secs(3600);
const NIGHT: Duration = Duration::from_secs(600);

/// Two nodes with guests that a job backs up each night.
fn lab() -> Cluster {
    let mut cluster = cluster("lab")
        .node_with("pve1", |node| node.size(8, 32 << 30).load(0.34, 8 << 30).uptime(1_000_000))
        .node_with("pve2", |node| node.size(8, 32 << 30).load(0.10, 8 << 30).uptime(1_000_000))
        .vm(101, "web", |vm| vm.on("pve1").running().size(2, 4096).load(0.25, 1 << 30).uptime(900_000))
        .vm(102, "db", |vm| vm.on("pve2").running().uptime(900_000))
        .ct(201, "dns", |ct| ct.on("pve2").running().size(1, 512).disk(10 << 30, 3 << 30).uptime(900_000))
        .vm(103, "parked", |vm| vm.on("pve1").stopped())
        .local_storage("local", 100 << 30, 40 << 30);
    cluster.add_backup_job("nightly", json!({ "all": 1 }));
    let all = [(101, Ok(())), (103, Ok(()))];
    cluster.add_old_task("pve1", "qmstart", "101", 700 * HOUR);
    cluster.add_old_task("pve2", "qmstart", "102", 700 * HOUR);
    cluster.backed_up("pve1", 8 * HOUR, NIGHT, &all);
    cluster.backed_up("pve2", 9 * HOUR, NIGHT, &[(102, Ok(())), (201, Ok(()))]);
    cluster
}

fn world(cluster: Cluster) -> (Sim, Env) {
    let sim = Sim::start(cluster);
    let env = env_for(&sim, &["pve1", "pve2"]);
    (sim, env)
}

/// What the run says behind its state.
fn said(env: &Env, args: &[&str], code: i32) -> String {
    let args: Vec<&str> = ["check"].iter().chain(args).copied().collect();
    first(&env.run(&args).exits(code)).0
}

#[test]
fn load_is_judged_with_thresholds_in_the_data() {
    let (sim, env) = world(lab());
    let run = env.run(&["check", "-w", "cpu>80", "-c", "cpu>95"]).exits(0);
    insta::assert_snapshot!(run, @r#"
    ECOBOX OK - cpu as wanted (5 values) | 'pve1_cpu'=34%;80;95;0;100 'pve1-vm-101_cpu'=25%;80;95;0;100 'pve2_cpu'=10%;80;95;0;100 'pve2-vm-102_cpu'=0%;80;95;0;100 'pve2-ct-201_cpu'=0%;80;95;0;100
    "#);
    let run = env.run(&["check", "-w", "cpu=20", "-c", "cpu=95"]).exits(1);
    insta::assert_snapshot!(run, @r#"
    ECOBOX WARNING - 2 warnings: pve1: cpu 34% (above 20%); web: cpu 25% (above 20%) | 'pve1_cpu'=34%;20;95;0;100 'pve1-vm-101_cpu'=25%;20;95;0;100 'pve2_cpu'=10%;20;95;0;100 'pve2-vm-102_cpu'=0%;20;95;0;100 'pve2-ct-201_cpu'=0%;20;95;0;100
    WARNING: pve1: cpu 34% (above 20%)
    WARNING: web: cpu 25% (above 20%)
    [exit status: 1]
    "#);
    sim.cluster().change_guest(101, |vm| vm.load(0.97, 1 << 30));
    assert_eq!(said(&env, &["web", "-c", "cpu>95"], 2), "ECOBOX CRITICAL - web: cpu 97% (above 95%)");
    assert!(said(&env, &["dns", "-w", "disk>25"], 1).contains("dns: disk 30% (above 25%)"));
    assert!(said(&env, &["web", "-w", "memory>20"], 1).contains("web: memory 25% (above 20%)"));
    assert!(said(&env, &["web", "-c", "cpu=95:"], 0).starts_with("ECOBOX OK - cpu as wanted"));
    sim.cluster().change_guest(101, |vm| vm.load(0.10, 1 << 30));
    assert!(said(&env, &["web", "-c", "cpu=95:"], 2).contains("below 95%"));
    // A condition judges what it is about, and `--states` the rest, too.
    sim.cluster().stop_node("pve2");
    assert!(said(&env, &["web", "-c", "cpu>95"], 0).starts_with("ECOBOX OK"));
    assert!(said(&env, &["-c", "cpu>95", "--states"], 2).contains("pve2"));
}

#[test]
fn storages_that_fill() {
    let (sim, env) = world(lab());
    assert!(said(&env, &["-w", "storage>90"], 0).contains("storage as wanted (2 values)"));
    sim.cluster().fill_storage("local", 93 << 30);
    let text = said(&env, &["-w", "storage>90", "-c", "storage>95"], 1);
    assert!(text.contains("storage pve1/local: 93% full (above 90%)"), "{text}");
    let cached = env.run(&["check", "--cached", "-w", "storage>90"]).exits(1);
    assert!(first(&cached).1.contains("'pve1_local_storage'=93%;90;;0;100"), "{cached}");
    assert!(said(&env, &["pve2", "-w", "storage>90"], 1).contains("pve2/local"), "only its own");
    // A storage whose server is off tells nothing, which is no alarm.
    sim.cluster().set_storage_active("local", false);
    sim.cluster().storage_of_all("nas", "nfs", 100 << 30, 10 << 30);
    assert!(said(&env, &["-w", "storage>90"], 0).starts_with("ECOBOX OK"));
    sim.cluster().set_storage_active("local", true);
    sim.cluster().fill_storage("local", 10 << 30);
    assert!(said(&env, &["-w", "storage>90"], 0).contains("3 values"));
}

#[test]
fn certificates_and_tokens_that_end() {
    let (sim, env) = world(lab());
    let both = ["-w", "certificate<14d", "-c", "certificate<3d", "-w", "token<14d", "-c", "token<3d"];
    assert!(said(&env, &both, 0).contains("certificate as wanted (2 values)"));
    sim.cluster().serve_certificate_for("pve2", 9);
    let fingerprint = format!("fingerprint = \"{}\"", sim.node("pve2").fingerprint());
    let config = std::fs::read_to_string(env.config_path()).unwrap();
    let old = config.lines().rfind(|line| line.starts_with("fingerprint")).unwrap().to_owned();
    env.config(&config.replace(&old, &fingerprint));
    let text = said(&env, &both, 1);
    assert!(text.contains("pve2: certificate ends in ") && text.contains(" (below 14d00h)"), "{text}");
    let cached = said(&env, &["--cached", "pve2", "-w", "certificate<14d"], 1);
    assert!(cached.contains("certificate ends in "), "{cached}");
    assert!(said(&env, &["pve1", "-w", "certificate<14d"], 0).starts_with("ECOBOX OK"));
    let in_days = |days: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        now + days * 86_400 + 60
    };
    sim.cluster().access().set_token_expire(TOKEN, in_days(2));
    let text = said(&env, &["-w", "token<14d", "-c", "token<3d"], 2);
    assert!(text.contains("pve1: token ends in 2d00h (below 3d00h)"), "{text}");
    sim.cluster().access().set_token_expire(TOKEN, 0);
    sim.cluster().access().set_user_expire("ecobox@pve", in_days(5));
    assert!(said(&env, &["-w", "token<14d"], 1).contains("token ends in 5d00h"), "its user ends first");
    sim.cluster().access().set_user_expire("ecobox@pve", 0);
    assert!(said(&env, &["-w", "token<14d"], 0).starts_with("ECOBOX OK"));
}

#[test]
fn backups_that_are_missed() {
    let (sim, env) = world(lab());
    let late = ["-c", "backup>26h"];
    assert!(said(&env, &late, 0).starts_with("ECOBOX OK - backup as wanted"));
    // Guests that were known for long.
    env.execute("UPDATE guests SET first_seen = first_seen - 864000000");
    sim.cluster().forget_tasks();
    sim.cluster().add_old_task("pve1", "qmstart", "101", 700 * HOUR);
    sim.cluster().add_old_task("pve2", "qmstart", "102", 700 * HOUR);
    assert!(said(&env, &late, 0).starts_with("ECOBOX OK"), "its own record knows what the nodes forgot");
    env.execute("UPDATE backups SET good_at = good_at - 72000000 WHERE vmid = 102");
    sim.cluster().backed_up("pve2", HOUR, NIGHT, &[(102, Err("VM is locked (snapshot)")), (201, Ok(()))]);
    let run = env.run(&["check", "-c", "backup>26h"]).exits(2);
    let (text, perf) = first(&run);
    assert!(text.contains("db: last good backup 1d05h ago (above 1d02h); the last one failed: VM is locked"), "{run}");
    assert!(perf.contains("'pve2-ct-201_backup'=3"), "{run}");
    assert!(said(&env, &["db", "--cached", "-c", "backup>26h"], 2).contains("1d05h"));
    sim.cluster().backed_up("pve2", Duration::from_secs(60), NIGHT, &[(102, Ok(()))]);
    assert!(said(&env, &late, 0).starts_with("ECOBOX OK"));
    // One in no job needs none.
    sim.cluster().remove_backup_jobs();
    sim.cluster().add_backup_job("some", json!({ "vmid": "101,201" }));
    env.execute("UPDATE backups SET good_at = good_at - 720000000");
    let text = said(&env, &["-c", "backup>26h"], 2);
    assert!(text.contains("web") && text.contains("dns") && !text.contains("db"), "{text}");
    // A switched-off job takes nobody.
    sim.cluster().remove_backup_jobs();
    sim.cluster().add_backup_job("some", json!({ "vmid": "101,201", "enabled": 0 }));
    assert!(said(&env, &late, 0).starts_with("ECOBOX OK"));
}

#[test]
fn guests_that_are_just_made_or_parked_miss_no_backup() {
    let (sim, env) = world(lab());
    let late = ["-c", "backup>26h"];
    let _ = env.run(&["check", "-c", "backup>26h"]).exits(0);
    sim.cluster().add_guest(ecobox_sim::Kind::Lxc, 202, "new", |ct| ct.on("pve2").running().uptime(60));
    assert!(said(&env, &late, 0).starts_with("ECOBOX OK"), "just made");
    env.execute("UPDATE guests SET first_seen = first_seen - 864000000, changed_at = changed_at - 864000000");
    env.execute("UPDATE backups SET good_at = good_at - 360000000 WHERE vmid = 103");
    assert!(said(&env, &["parked", "-c", "backup>26h"], 0).starts_with("ECOBOX OK"), "it does nothing since");
    assert!(said(&env, &["new", "-c", "backup>26h"], 2).contains("none is known"), "ten days without one");
    assert!(said(&env, &["new", "-c", "backup>26h", "--grace", "20d"], 0).starts_with("ECOBOX OK"));
    // The number of a guest of which there was a backup is another one's now.
    env.execute("UPDATE backups SET good_at = good_at - 864000000 WHERE vmid = 101");
    assert!(said(&env, &["web", "-c", "backup>26h"], 2).contains("web: last good backup"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let made = |vm: Guest| vm.config("meta", format!("creation-qemu=10.0.2,ctime={}", now - 3600));
    sim.cluster().change_guest(101, made);
    assert!(said(&env, &["web", "-c", "backup>26h"], 0).starts_with("ECOBOX OK"));
}

#[test]
fn what_nobody_remembers_is_unknown_and_not_never() {
    let mut cluster = lab();
    cluster.forget_tasks();
    cluster.add_old_task("pve1", "qmstart", "101", 10 * HOUR);
    cluster.add_old_task("pve2", "qmstart", "102", 10 * HOUR);
    let (_sim, env) = world(cluster);
    let text = said(&env, &["web", "-c", "backup>26h"], 3);
    assert!(text.contains("its node keeps only the tasks of the last 10h"), "{text}");
    let never = said(&env, &["web", "--cached", "-c", "token<14d"], 3);
    assert!(never.contains("no run has asked for it") || never.contains("no API token"), "{never}");
}

#[test]
fn a_token_that_may_not_ask_makes_it_unknown() {
    let mut cluster = Cluster::new("lab").node("pve1").vm(101, "web", |vm| vm.running().uptime(900_000));
    cluster.add_backup_job("nightly", json!({ "all": 1 }));
    let cluster = cluster.token(TOKEN, CANARY, "/vms", &OPERATOR[..1]);
    let sim = Sim::start(cluster);
    let env = env_for(&sim, &["pve1"]);
    for condition in ["backup>26h", "token<14d", "storage>90"] {
        let text = said(&env, &["-c", condition], 3);
        assert!(text.starts_with("ECOBOX UNKNOWN - "), "{condition}: {text}");
    }
}

#[test]
fn averages_and_availability_come_from_history() {
    let (sim, env) = world(lab());
    for _ in 0..3 {
        let _ = env.run(&["status"]).exits(0);
        env.execute("UPDATE samples SET at = at - 300000");
    }
    let text = said(&env, &["web", "--cached", "-w", "cpu>20 over 20m"], 1);
    assert!(text.contains("web: cpu 25% over 20m00s (above 20%)"), "{text}");
    assert!(said(&env, &["web", "--cached", "-w", "cpu>80 over 20m"], 0).starts_with("ECOBOX OK"));
    // Less than half of the time was seen.
    let text = said(&env, &["web", "--cached", "-w", "cpu>20 over 2h"], 3);
    assert!(text.contains("web: cpu is not known: it was seen for ") && text.contains(" of 2h00m"), "{text}");
    env.execute("UPDATE events SET at = at - 86400000; UPDATE guests SET changed_at = changed_at - 86400000");
    let fine = said(&env, &["web", "-w", "availability<99.5 over 30d"], 0);
    assert!(fine.starts_with("ECOBOX OK"), "{fine}");
    drop(sim);
}

#[test]
fn what_hosts_tell_themselves() {
    let lab = homelab();
    let (env, nas) = (&lab.world.env, lab.host("nas"));
    nas.set_load([9.0, 1.0, 1.0]);
    nas.set_pressure(12.5, 3.0, 40.0);
    assert_eq!(said(env, &["nas", "-c", "load>8"], 2), "ECOBOX CRITICAL - nas: load 9 (above 8)");
    assert!(said(env, &["nas", "-w", "pressure.cpu>10"], 1).contains("nas: pressure.cpu 12.5% (above 10%)"));
    assert!(said(env, &["nas", "-w", "pressure.io>10"], 1).contains("pressure.io 40%"));
    assert!(said(env, &["nas", "-w", "pressure.memory>10"], 0).starts_with("ECOBOX OK"));
    assert!(said(env, &["nas", "--cached", "-w", "pressure.cpu>10"], 1).contains("pressure.cpu 12.5%"));
    nas.set_load([0.5, 1.0, 1.0]);
    nas.set_pressure(0.0, 0.0, 0.0);
    assert!(said(env, &["nas", "-c", "load>8", "-c", "pressure.cpu>10"], 0).starts_with("ECOBOX OK"));
    // A guest has none of these, so that nothing is known of one alone.
    assert!(said(env, &["web-01", "-c", "load>8"], 3).contains("no selected server has it"));
}

#[test]
fn an_outage_lowers_the_availability() {
    let (sim, env) = world(lab());
    let web = "[[servers]]\nid = \"pve1-vm-101\"\nparent_server_id = \"pve1\"\nexpected = \"on\"\n";
    env.add_config(web);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().crash_guest(101);
    let _ = env.run(&["status"]).exits(8);
    // Two hours ago, all of it.
    env.execute("UPDATE events SET at = at - 7200000; UPDATE guests SET changed_at = changed_at - 7200000");
    env.execute("UPDATE states SET since = since - 7200000");
    let text = said(&env, &["web", "-c", "availability<99.5 over 30d"], 2);
    assert!(text.contains("web: available") && text.contains("of the time over 30d00h (below 99.5%)"), "{text}");
}

#[test]
fn guests_of_a_host_that_sleeps_miss_nothing() {
    let (sim, env) = world(lab());
    let _ = env.run(&["check", "-c", "backup>26h"]).exits(0);
    env.execute("UPDATE backups SET good_at = good_at - 360000000");
    assert!(said(&env, &["db", "-c", "backup>26h"], 2).contains("db: last good backup"));
    sim.cluster().stop_node("pve2");
    env.execute("INSERT INTO wishes (server, asleep, at) VALUES ('pve2', 1, 0)");
    for args in [["db", "-c", "backup>26h"], ["db", "-w", "cpu>80"], ["pve2", "-w", "certificate<14d"]] {
        assert!(said(&env, &args, 0).starts_with("ECOBOX OK"), "{args:?}");
    }
    // It is back, and its guests go on: tonight they will be backed up.
    sim.cluster().start_node("pve2");
    sim.cluster().change_guest(102, |vm| vm.running().uptime(900_000));
    let _ = env.run(&["status"]).exits(0);
    assert!(said(&env, &["db", "-c", "backup>26h"], 2).contains("db: last good backup"));
    assert!(said(&env, &["db", "-c", "backup>26h", "--grace", "12h"], 0).starts_with("ECOBOX OK"));
}
