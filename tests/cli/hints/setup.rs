//! Hints of `setup-token`, and of what comes before it.

use ecobox_sim::host::{Builder, Host, Rights};
use ecobox_sim::{Cluster, Service};

use super::super::broken::without_pmxcfs;
use super::super::fleets::{api, three};
use super::super::setup_token_again::with_token;
use super::super::world::World;
use super::{Followed, Row};

/// A node on which this login has these rights.
fn login(row: &Row, rights: Rights) -> Option<Followed> {
    let world = World::new();
    let only_anna = |builder: Builder| builder.without_login("admin").login("anna", rights);
    let pve = world.cluster_with(Cluster::new("single").node("pve1"), only_anna);
    world.know_all(&pve.nodes);
    world.configure(&pve.entries_as("anna"));
    let run = world.run(&["setup-token"]).exits(4);
    let seen = row.seen(&run);
    world.configure(&pve.entries());
    Some(seen.gone(&world.run(&["setup-token"]).exits(0)))
}

pub(super) fn sudo_pveum(row: &Row) -> Option<Followed> {
    login(row, Rights::SudoPassword)
}

pub(super) fn sudo_missing(row: &Row) -> Option<Followed> {
    login(row, Rights::NoSudo)
}

pub(super) fn user_unknown(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.one_node();
    world.configure(&pve.entries_as("admin"));
    let run = world.run(&["setup-token", "--scope", "full"]).exits(4);
    let seen = row.seen(&run);
    assert_eq!(seen.value("user"), "admin@pam");
    Some(seen.gone(&world.run(&["setup-token", "--scope", "operator"]).exits(0)))
}

/// Another host stands there with its cluster's file system mounted: as when the service was started.
pub(super) fn pmxcfs_down(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.one_node();
    let down = world.serve(Host::pve_pmxcfs_down("pve1").build());
    world.know(&down);
    world.configure(&down.entry());
    let run = world.run(&["setup-token"]);
    let seen = row.seen(&run);
    world.configure(&pve.entries());
    Some(seen.gone(&world.run(&["setup-token"]).exits(0)))
}

pub(super) fn root_keys_away(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = without_pmxcfs(&world, false);
    let run = world.run(&["setup-token"]).exits(4);
    let seen = row.seen(&run);
    pve.node("pve1").host.set_pmxcfs_down(false, false);
    pve.sim.cluster().set_service("pve1", Service::Up);
    Some(seen.gone(&world.run(&["setup-token"]).exits(0)))
}

pub(super) fn user_disabled(row: &Row) -> Option<Followed> {
    let world = World::new();
    let (pve, _) = with_token(&world);
    pve.sim.cluster().access().set_user_enabled("ecobox@pve", false);
    let run = world.run(&["setup-token", "--check"]).exits(4);
    let seen = row.seen(&run);
    assert_eq!((seen.value("user"), seen.value("option")), ("ecobox@pve", "--enable 1"));
    // What the command does.
    pve.sim.cluster().access().set_user_enabled("ecobox@pve", true);
    Some(seen.gone(&world.run(&["setup-token", "--check"]).exits(0)))
}

pub(super) fn no_quorum(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.one_node();
    pve.set_quorate(false);
    let run = world.run(&["setup-token"]).exits(1);
    let seen = row.seen(&run);
    pve.set_quorate(true);
    Some(seen.gone(&world.run(&["setup-token"]).exits(0)))
}

pub(super) fn pve_busy(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.one_node();
    for n in 1..=40 {
        pve.nodes[0].host.fail_pveum(n, "cfs-lock 'file-user_cfg' error: got lock request timeout\n", 255);
    }
    let run = world.run(&["setup-token"]).exits(1);
    let seen = row.seen(&run);
    // They are done after a while.
    let mut run = seen.follow(&world.env, "ecobox setup-token");
    while run.code != 0 {
        run = seen.follow(&world.env, "ecobox setup-token");
    }
    Some(seen.gone(&run))
}

/// The connection breaks when the token is made: it stands on the host, and nobody has its secret.
pub(super) fn tokens_left(row: &Row) -> Option<Followed> {
    let world = World::new();
    let pve = world.one_node();
    let mut seen = None;
    for n in 1..12 {
        pve.nodes[0].host.drop_after_pveum(n);
        let run = world.run(&["setup-token", "--rotate"]);
        if run.stderr.contains("may still be on the host") {
            seen = Some(row.seen(&run));
            break;
        }
    }
    let seen = seen.expect("one of the breaks leaves a token");
    let run = seen.follow(&world.env, "ecobox setup-token").exits(0);
    pve.assert_one_usable_token(&world);
    Some(seen.gone(&run))
}

pub(super) fn no_pve_host(row: &Row) -> Option<Followed> {
    let world = World::new();
    let sim = three();
    let pve = world.one_node();
    world.configure(&api("elsewhere", &sim, "pve1"));
    let run = world.run(&["setup-token"]).exits(7);
    let seen = row.seen(&run);
    // As it says, with this host's own name and port.
    let port = pve.nodes[0].ssh.port();
    let _ = world.run(&["init", "--host", &format!("root@127.0.0.1:{port}")]).exits(0);
    let config = std::fs::read_to_string(world.env.config_path()).unwrap();
    let port = pve.nodes[0].api_port.unwrap();
    world.configure(&format!("{config}api_port = {port}\n"));
    Some(seen.gone(&world.run(&["setup-token"]).exits(0)))
}

pub(super) fn no_pve_known(row: &Row) -> Option<Followed> {
    let world = World::new();
    let _pve = world.one_node();
    let run = world.run(&["discover"]).exits(7);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox init").exits(0);
    let _ = seen.follow(&world.env, "ecobox setup-token").exits(0);
    Some(seen.gone(&world.run(&["discover"]).exits(0)))
}
