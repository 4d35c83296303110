//! The whole first run, as README shows it: from nothing to a true status in four commands.

use ecobox_sim::Cluster;
use ecobox_sim::host::Host;

use super::world::{World, assert_transcript, entry};

#[test]
fn four_commands_lead_from_a_configuration_to_a_status() {
    let world = World::new();
    let pve = world.cluster(Cluster::demo());
    let nas = world.serve(Host::debian("nas").build());
    world.know_all(&pve.nodes);
    world.know(&nas);
    // pve3 is off: nobody listens at all.
    let nodes = pve.node("pve1").entry() + &pve.node("pve2").entry() + &entry("pve3", "root", 1, Some(1));
    world.configure(&(nodes + &nas.entry_as("admin")));
    let init = world.run(&["init"]).exits(8);
    assert_transcript!("first_run_1_init", init);
    let token = world.run(&["setup-token"]).exits(8);
    assert_transcript!("first_run_2_setup_token", token);
    let discover = world.run(&["discover"]);
    assert_transcript!("first_run_3_discover", discover);
    let status = world.run(&["status"]);
    assert_transcript!("first_run_4_status", status);
    pve.assert_secret(&world, &[&init, &token, &discover, &status]);
    pve.assert_one_usable_token(&world);
}

#[test]
fn it_begins_with_nothing_but_a_name() {
    let world = World::new();
    let pve = world.cluster(Cluster::new("single").node("pve1").vm(101, "web-01", ecobox_sim::Guest::running));
    world.know_all(&pve.nodes);
    // Whoever runs the tests may have an ssh_config of their own.
    world.env.config("[ssh]\nconfig = false\n");
    world.run(&["init", "--host", &format!("root@127.0.0.1:{}", pve.nodes[0].ssh.port())]).exits(0);
    // The simulated API has a port of its own.
    let path = world.env.config_path();
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{config}api_port = {}\n", pve.nodes[0].api_port.unwrap())).unwrap();
    world.run(&["setup-token"]).exits(0);
    world.run(&["discover"]).exits(0);
    let run = world.run(&["status", "-o", "json"]).exits(0);
    let report = run.json();
    let ids: Vec<_> = report["servers"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    // Who is named by an address gets the name that it gives itself.
    assert_eq!(ids, ["pve1", "pve1-vm-101"]);
    pve.assert_secret(&world, &[&run]);
    let run = world.run(&["setup-token"]).exits(0);
    assert!(run.stdout.contains("kept"), "{run}");
}
