//! Hosts that are named by an address and an interface: `fe80::7%eth0`.

use std::net::{TcpListener, TcpStream};

use super::env::{Env, skipped};
use super::world::World;

/// Carries connections to a port of `::1` on to a port of 127.0.0.1; `None`: this machine has no IPv6.
fn forward(to: u16) -> Option<u16> {
    let listener = TcpListener::bind("[::1]:0").ok()?;
    let port = listener.local_addr().ok()?.port();
    std::thread::spawn(move || {
        for near in listener.incoming().filter_map(Result::ok) {
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            for (mut from, mut to) in [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))]
                .map(|(from, to)| (from.unwrap(), to.unwrap()))
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    Some(port)
}

/// No URL has a place for the interface: the API is asked through the SSH session, which has one.
#[test]
fn the_api_of_a_link_local_host_is_asked_through_ssh() {
    let world = World::new();
    let pve = world.one_node();
    let node = &pve.nodes[0];
    let Some(port) = forward(node.ssh.port()) else { return skipped("there is no IPv6 here") };
    let entry = node.entry().replace("127.0.0.1", "::1%1").replace(&node.ssh.port().to_string(), &port.to_string());
    world.configure(&entry);
    let _ = world.run(&["init", "--accept-new"]).exits(0);
    let _ = world.run(&["setup-token"]).exits(0);
    pve.assert_one_usable_token(&world);
    let before = node.ssh.forwards();
    let _ = world.run(&["discover"]).exits(0);
    let run = world.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.states(), ["pve1 online"], "{run}");
    assert!(node.ssh.forwards() > before, "the API was asked past the session");
}

/// By the API alone it cannot be reached, and what to write instead is said.
#[test]
fn without_ssh_another_address_is_asked_for() {
    let env = Env::new();
    env.config("[[servers]]\nid = \"pve1\"\ntype = \"proxmox\"\nhostname = \"fe80::7%eth0\"\n");
    let run = env.run(&["status"]).exits(3).says("names an interface").says("leave `type = \"proxmox\"` out");
    assert!(run.stderr.contains("hostname"), "{run}");
}
