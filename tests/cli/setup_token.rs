//! `ecobox setup-token` on simulated hosts.

use super::lab::World;

#[test]
fn one_token_serves_a_cluster_that_is_configured_through_three_hosts() {
    let world = World::new();
    let pve = world.three_nodes();
    let run = world.run(&["setup-token"]);
    eprintln!("{run}");
    let d = world.run(&["discover"]);
    eprintln!("{d}");
    let d = world.run(&["status"]);
    eprintln!("{d}");
    pve.assert_one_usable_token(&world);
}
