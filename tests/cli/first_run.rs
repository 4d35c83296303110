//! The whole first run, as README shows it.

use super::world::World;

#[test]
fn four_commands() {
    let world = World::new();
    let pve = world.three_nodes();
    for args in [&["init"], &["setup-token"], &["discover"], &["status"], &["setup-token"]] {
        eprintln!("$ ecobox {}\n{}", args[0], world.run(args));
    }
    pve.assert_one_usable_token(&world);
}
