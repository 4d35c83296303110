//! A small company's cluster, with something of everything that ecobox shows.

use crate::cluster::Cluster;
use crate::guest::Agent;
use crate::node::Node;

const GIB: u64 = 1 << 30;

impl Cluster {
    /// The fleet of `ecobox demo`: three nodes (one is off), VMs and containers in most states. It has no tokens yet.
    #[must_use]
    pub fn demo() -> Cluster {
        Cluster::new("demo")
            .node_with("pve1", |node| node.size(16, 64 * GIB).load(0.11, 31 * GIB).uptime(41 * 86_400))
            .node_with("pve2", |node| node.size(8, 32 * GIB).load(0.34, 25 * GIB).uptime(12 * 86_400))
            .node_with("pve3", |node| Node::offline(node.size(4, 16 * GIB).wakeonlan("BC:24:11:D3:00:03")))
            .local_storage("local", 94 * GIB, 23 * GIB)
            .shared_storage("tank", "nfs", 7_400 * GIB, 3_100 * GIB)
            .vm(101, "web-01", |vm| {
                let vm = vm.on("pve1").size(2, 4096).disk(32 * GIB, 0).tags("prod;web").config("onboot", 1);
                vm.agent_ip("10.99.0.101").running().load(0.07, 2 * GIB).uptime(9 * 86_400).traffic(81 << 30, 12 << 30)
            })
            .vm(102, "db-01", |vm| {
                let vm = vm.on("pve2").size(4, 16384).disk(200 * GIB, 0).tags("prod;db").config("onboot", 1);
                vm.agent_ip("10.99.0.102").running().load(0.61, 13 * GIB).uptime(12 * 86_400).traffic(9 << 30, 44 << 30)
            })
            .vm(103, "windows-build", |vm| vm.on("pve1").size(8, 16384).disk(250 * GIB, 0).agent(Agent::Dead).running())
            .vm(104, "staging", |vm| vm.on("pve2").size(2, 4096).disk(32 * GIB, 0).tags("staging"))
            .vm(105, "desktop", |vm| vm.on("pve1").size(4, 8192).disk(64 * GIB, 0).hibernated())
            .vm(106, "experiment", |vm| vm.on("pve2").size(2, 2048).disk(16 * GIB, 0).paused())
            .vm(107, "mail", |vm| vm.on("pve1").size(2, 4096).disk(80 * GIB, 0).tags("prod").running().locked("backup"))
            .vm(900, "debian-13-template", |vm| vm.on("pve1").size(1, 2048).disk(8 * GIB, 0).template())
            .ct(201, "dns", |ct| {
                let ct = ct.on("pve1").size(1, 512).disk(4 * GIB, GIB).tags("infra").config("onboot", 1);
                ct.agent_ip("10.99.0.53").running().load(0.01, 90 << 20).uptime(41 * 86_400)
            })
            .ct(202, "wiki", |ct| ct.on("pve2").size(2, 1024).disk(8 * GIB, 3 * GIB).agent_ip("10.99.0.80").running())
            .ct(301, "archive", |ct| ct.on("pve3").size(1, 1024).disk(500 * GIB, 410 * GIB))
    }
}
