//! Who has a number: `discover` learns it, tells when it is somebody else, and `power` does not touch whom it does not
//! know.

use ecobox_sim::{Fault, Guest, Kind, Sim};

use super::env::{Env, Run};
use super::fleets::{cluster, env_for, three};

/// The configurations that were read.
fn configs_read(sim: &Sim) -> Vec<String> {
    let mut read: Vec<String> = sim.requests().into_iter().map(|request| request.path).collect();
    read.retain(|path| path.ends_with("/config"));
    read.sort();
    sim.clear_requests();
    read
}

fn posts(sim: &Sim) -> usize {
    sim.posts().len()
}

fn known(env: &Env) -> Vec<String> {
    env.rows("SELECT vmid, identity FROM identities ORDER BY vmid")
}

fn changes(run: &Run, id: &str) -> serde_json::Value {
    run.server(id)["changes"].clone()
}

const OTHER: &str = "11111111-2222-4333-8444-555555555555";

/// Another virtual machine under the number 101, with this name.
fn replace(sim: &Sim, name: &str) {
    sim.cluster().replace_guest(101, Kind::Qemu, name, |vm| vm.on("pve1").running().uuid(OTHER));
}

#[test]
fn each_guest_is_asked_once_who_it_is() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    let all = ["/nodes/pve1/qemu/101", "/nodes/pve2/lxc/201", "/nodes/pve2/qemu/102", "/nodes/pve3/qemu/103"];
    assert_eq!(configs_read(&sim), all.map(|path| format!("/api2/json{path}/config")), "a template is nobody");
    assert_eq!(
        known(&env),
        [
            "101|uuid:00000000-0000-4000-8000-000000000101",
            "102|uuid:00000000-0000-4000-8000-000000000102",
            "103|uuid:00000000-0000-4000-8000-000000000103",
            "201|net0:bc:24:11:00:00:c9 rootfs:local:201/vm-201-disk-0.raw",
        ]
    );
    sim.cluster().migrate_guest(101, "pve3");
    for _ in 0..2 {
        let _ = env.run(&["discover"]).exits(0);
        assert_eq!(configs_read(&sim), [""; 0], "nobody is asked again");
    }
    sim.cluster().add_guest(Kind::Qemu, 104, "new", |vm| vm.on("pve1"));
    let _ = env.run(&["discover"]).exits(0);
    assert_eq!(configs_read(&sim), ["/api2/json/nodes/pve1/qemu/104/config"]);
}

#[test]
fn a_guest_that_does_not_say_costs_only_itself() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.cluster().fail_on("pve1", None, Some("/qemu/102/config"), None, Fault::Status(500, "rbd: timeout".to_owned()));
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    assert_eq!(run.failures(), [""; 0]);
    assert_eq!(known(&env).len(), 3);
    sim.node("pve1").heal();
    sim.clear_requests();
    let _ = env.run(&["discover"]).exits(0);
    assert_eq!(configs_read(&sim), ["/api2/json/nodes/pve2/qemu/102/config"]);
    assert_eq!(known(&env).len(), 4);
}

/// It may come back: nobody can say who it is meanwhile, and nobody is asked in vain.
#[test]
fn guests_of_a_node_that_is_off_are_asked_later() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve2").stop();
    let _ = env.run(&["discover"]).exits(0);
    assert!(!configs_read(&sim).iter().any(|path| path.contains("pve2")));
    sim.cluster().start_node("pve2");
    let _ = env.run(&["discover"]).exits(0);
    assert_eq!(configs_read(&sim).len(), 2);
    assert_eq!(known(&env).len(), 4);
}

#[test]
fn another_guest_under_another_name_is_told_once() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    sim.cluster().change_guest(101, |vm| vm.agent_ip("10.99.0.101"));
    let _ = env.run(&["discover"]).exits(0);
    replace(&sim, "shop");
    sim.cluster().rename_guest(102, "web-two");
    // A person looks first: the next discovery tells all the same.
    let _ = env.run(&["status"]).exits(0);
    sim.clear_requests();
    let run = env.run(&["discover"]).exits(0);
    insta::assert_snapshot!(run, @"
    NAME     CHANGE                     STATE    KIND  NODE  ADDRESS  AS OF  ID           TAGS
    shop     another guest than web-01  running  qemu  pve1  -        -      pve1-vm-101  -
    web-two  renamed web-02 -> web-two  running  qemu  pve2  -        -      pve2-vm-102  web, prod
    4 guests, 1 replaced, 1 changed otherwise
    ");
    assert_eq!(configs_read(&sim).len(), 2);
    assert_eq!(known(&env)[0], format!("101|uuid:{OTHER}"));
    assert_eq!(
        env.run(&["discover", "--all", "-o", "json"]).server("pve1-vm-101")["hostname"],
        serde_json::json!(null)
    );
    insta::assert_snapshot!(env.run(&["discover"]).exits(0), @"4 guests");
    // The new one is known now.
    let _ = env.run(&["power", "stop", "vm-101", "--yes"]).exits(0);
}

#[test]
fn what_is_told_of_another_guest_in_json() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    replace(&sim, "shop");
    let run = env.run(&["discover", "-o", "json"]).exits(0);
    let replaced = serde_json::json!([{"change": "replaced", "from": "qemu", "name": "web-01"}]);
    assert_eq!(changes(&run, "pve1-vm-101"), replaced, "{run}");
}

/// Same number, same name: the listing does not show it. What acts looks itself.
#[test]
fn power_leaves_another_guest_alone_until_it_is_allowed() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["discover"]).exits(0);
    replace(&sim, "web-01");
    sim.clear_requests();
    let run = env.run(&["power", "stop", "vm-101", "--yes"]).exits(6);
    let mut of_any_day = insta::Settings::clone_current();
    of_any_day.add_filter(r"on \d{4}-\d\d-\d\d", "on DAY");
    of_any_day.bind(|| {
        insta::assert_snapshot!(run, @"
        STEP  SERVER                ACTION  RESULT     STATE  TIME  WHY  DETAIL
        1     pve1-vm-101 (web-01)  stop    not tried  -      -     -    -
        ------- stderr -------
        error: stop pve1-vm-101: another guest has its number now: on DAY it was uuid:00000000-0000-4000-8000-000000000101, now it is uuid:11111111-2222-4333-8444-555555555555
        hint: see which guest it is now: `ecobox status pve1-vm-101`; or add `--allow identity-changed`
        hint: run `ecobox doctor --explain identity-changed`
        [exit status: 6]
        ");
    });
    assert_eq!(posts(&sim), 0);
    // Neither a look nor a refusal makes it known.
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["power", "stop", "vm-101", "--yes", "--dry-run"]).exits(6);
    let _ = env.run(&["power", "stop", "vm-101", "--yes", "--allow", "no-agent"]).exits(6);
    assert_eq!(posts(&sim), 0);
    let run = env.run(&["power", "stop", "vm-101", "--yes", "--allow", "identity-changed"]).exits(0);
    assert!(run.stderr.contains("(allowed: identity-changed)"), "{run}");
    assert_eq!(posts(&sim), 1);
    assert_eq!(known(&env)[0], format!("101|uuid:{OTHER}"));
    // From now on it is known.
    let run = env.run(&["power", "start", "vm-101"]).exits(0);
    assert_eq!(run.stderr, "", "{run}");
    assert_eq!(posts(&sim), 2);
}

#[test]
fn a_guest_without_a_known_identity_is_learned_by_power() {
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web-01", Guest::running));
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["power", "stop", "vm-101", "--yes"]).exits(0);
    assert_eq!(known(&env), ["101|uuid:00000000-0000-4000-8000-000000000101"]);
    replace(&sim, "web-01");
    let _ = env.run(&["power", "stop", "vm-101", "--yes"]).exits(6);
}

/// What the token may not do is said with what it takes, and nothing is sent again.
#[test]
fn hibernating_needs_more_than_an_operator() {
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web-01", Guest::running));
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["power", "hibernate", "vm-101", "--yes"]).exits(4);
    insta::assert_snapshot!(run.stderr, @r#"
    error: hibernate pve1-vm-101: failed: pve1 refused: token ecobox@pve!test: Permission check failed (/vms/101, VM.Config.Disk)
    hint: to hibernate a virtual machine a token needs VM.Config.Disk and Datastore.AllocateSpace, which `operator` lacks: see "Privileges" in docs/power.md
    hint: run `ecobox doctor --explain privilege-missing`
    "#);
    assert_eq!(sim.posts(), ["/nodes/pve1/qemu/101/status/suspend todisk=1"]);
}
