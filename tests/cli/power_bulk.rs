//! `ecobox power` on many guests: in order, some at a time on each node, whatever becomes of one of them.

use std::fmt::Write as _;

use ecobox_sim::{Cluster, Guest};

use super::env::CANARY;
use super::fleets::{CLOSED, OPERATOR, Open, TOKEN};
use super::pace::deadline;
use super::power::{Lab, call, guests, lab_of};

/// Guests with these numbers and orders, all alike, on `pve1`.
fn ordered(orders: &[(u32, &str)], describe: fn(Guest) -> Guest) -> Lab {
    let mut cluster = Cluster::new("lab").token(TOKEN, CANARY, "/", OPERATOR).node("pve1").node("pve2");
    for (vmid, order) in orders {
        cluster = cluster.vm(*vmid, "", |vm| {
            let vm = describe(vm);
            if order.is_empty() { vm } else { vm.config("startup", *order) }
        });
    }
    lab_of(cluster)
}

fn vmids(lab: &Lab) -> Vec<u32> {
    lab.sim.posts().iter().map(|post| post.split('/').nth(4).unwrap().parse().unwrap()).collect()
}

#[test]
fn fifty_guests_on_three_nodes() {
    let mut cluster = Cluster::new("lab").token(TOKEN, CANARY, "/", OPERATOR).node("pve1").node("pve2").node("pve3");
    for vmid in 100..150 {
        cluster = cluster.vm(vmid, &format!("g{vmid}"), |vm| vm.on(&format!("pve{}", vmid % 3 + 1)));
    }
    cluster.timing.task = 20.0;
    let lab = lab_of(cluster);
    let run = lab.power("start kind=qemu --parallel 3 -o json").exits(0);
    assert_eq!(Lab::results(&run), vec!["done running"; 50], "{run}");
    let mut sent = vmids(&lab);
    sent.sort_unstable();
    assert_eq!(sent, (100..150).collect::<Vec<_>>());
    let most: Vec<usize> = ["pve1", "pve2", "pve3"].map(|node| lab.sim.cluster().most_tasks(node)).to_vec();
    assert!(most.iter().all(|most| (1..=3).contains(most)) && most.contains(&3), "{most:?}");
}

#[test]
fn up_in_the_order_of_startup_and_down_the_other_way() {
    let orders = [(101, ""), (102, "order=9"), (103, "order=1"), (104, "up=30"), (105, "order=3,up=1")];
    let lab = ordered(&orders, |vm| vm);
    let _ = lab.power("start kind=qemu --parallel 8").exits(0);
    let mut up = vmids(&lab);
    up[3..].sort_unstable();
    assert_eq!(up, [103, 105, 102, 101, 104]);
    lab.sim.clear_requests();
    let _ = lab.power("shutdown kind=qemu --yes --parallel 8").exits(0);
    let mut down = vmids(&lab);
    down[..2].sort_unstable();
    assert_eq!(down, [101, 104, 102, 105, 103]);
}

#[test]
fn a_failure_stops_nobody_else() {
    let lab = ordered(&[(101, "order=1"), (102, "order=2"), (103, "order=3")], |vm| vm);
    lab.sim.cluster().change_guest(102, Guest::missing_disk);
    let run = lab.power("start kind=qemu -o json").exits(8).says("start pve1-vm-102: task failed: volume");
    assert_eq!(Lab::results(&run), ["done running", "task failed -", "done running"], "{run}");
    assert_eq!(vmids(&lab), [101, 102, 103]);
}

/// The lab with an entry for one guest, which has a service on this port.
fn with_service(port: u16) -> Lab {
    let lab = lab_of(guests());
    let mut entry =
        "[[servers]]\nid = \"pve1-vm-102\"\nparent_server_id = \"pve1\"\nhostname = \"127.0.0.1\"\n".to_owned();
    write!(entry, "[[servers.services]]\nname = \"web\"\nport = {port}\n").unwrap();
    lab.env.add_config(&entry);
    lab
}

#[test]
fn ready_is_when_its_services_answer() {
    let open = Open::new();
    let lab = with_service(open.port());
    let run = lab.power("start vm-102 --dry-run").exits(0);
    assert!(run.stdout.contains("until it is running, web answers"), "{run}");
    let _ = lab.power("start vm-102").exits(0);

    // Its port opens when it has been running for a while.
    let port = open.port();
    drop(open);
    let lab = with_service(port);
    let late = std::sync::Arc::new(std::sync::Mutex::new(None));
    let opened = late.clone();
    lab.sim.cluster().after("GET", "/102/status/current", move |c| {
        let opened = opened.clone();
        c.after("GET", "/102/status/current", move |_| {
            let opened = opened.clone();
            std::thread::spawn(move || {
                std::thread::park_timeout(std::time::Duration::from_millis(300));
                *opened.lock().unwrap() = std::net::TcpListener::bind(("127.0.0.1", port)).ok();
            });
        });
    });
    let _ = lab.power("start vm-102 --timeout 60s").exits(0);
    assert!(late.lock().unwrap().is_some());

    let lab = with_service(CLOSED);
    let run = lab.power(&format!("start vm-102 --timeout {}", deadline(3))).exits(10);
    let run = run.says("it runs, but does not answer at web:1 (127.0.0.1)");
    assert_eq!(lab.sim.posts(), [call(102, "start")], "{run}");
    // It runs already, which is all that is to be done.
    let _ = lab.power("start vm-102 --timeout 60s").exits(0);
    assert_eq!(lab.sim.posts().len(), 1);
}
