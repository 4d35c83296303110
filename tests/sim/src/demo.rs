//! A small company's fleet, with something of everything that ecobox shows.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use russh::keys::PublicKey;

use crate::cluster::Cluster;
use crate::guest::Agent;
use crate::host::{Disk, Host, Nic, Pace};
use crate::keys::KeyType;
use crate::node::Node;
use crate::sim::Sim;
use crate::ssh::SshServer;

const GIB: u64 = 1 << 30;
const API_PORT: u16 = 8006;
const SSH_PORT: u16 = 2222;

/// The hosts: name, last byte of the address, whether it is a node of the cluster, whether it is on.
const HOSTS: [(&str, u8, bool, bool); 6] = [
    ("pve1", 1, true, true),
    ("pve2", 2, true, true),
    ("pve3", 3, true, false),
    ("backup", 11, false, true),
    ("router", 12, false, true),
    ("nas", 13, false, true),
];
/// The host with many reasons not to sleep, and the one that may.
const BUSY: &str = "pve2";
const SLEEPER: &str = "pve3";
/// What the last host offers: name, type, port, whether it answers.
const SERVICES: [(&str, &str, u16, bool); 3] =
    [("web", "https", 8443, true), ("nfs", "nfs", 2049, true), ("media", "http", 8096, false)];

/// One host of the running fleet, on or off.
#[derive(Debug, Clone)]
pub struct DemoHost {
    pub name: &'static str,
    pub is_node: bool,
    pub is_on: bool,
    pub ssh: SocketAddr,
    /// Where a node's API is.
    pub api: Option<SocketAddr>,
}

/// A service of the last host.
#[derive(Debug, Clone)]
pub struct DemoService {
    pub name: &'static str,
    /// The configuration's word for it.
    pub kind: &'static str,
    pub port: u16,
}

/// The running fleet of `ecobox demo`: the cluster of [`Cluster::demo`], each node behind SSH, and three plain servers.
/// Everything ends when it is dropped.
pub struct Demo {
    sim: Sim,
    hosts: Vec<DemoHost>,
    services: Vec<DemoService>,
    servers: Vec<SshServer>,
    /// The UDP port at which [`SLEEPER`]'s network card listens.
    wake_port: Option<u16>,
    authorized: PublicKey,
    shared_address: Option<String>,
    _claim: Option<TcpListener>,
}

impl Demo {
    /// Starts it; root with this key may log in everywhere. Hosts have loopback addresses of their own, where there are
    /// any, and real port numbers.
    pub fn start(authorized: &PublicKey) -> Demo {
        let (block, shared_address) = match block() {
            Ok(block) => (Some(block), None),
            Err(why) => (None, Some(why)),
        };
        let at = |last: u8, port: u16| match &block {
            Some(([a, b, c], _)) => SocketAddr::from(([*a, *b, *c, last], port)),
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
        };
        let host = |(name, last, is_node, is_on): (&'static str, u8, bool, bool)| DemoHost {
            name,
            is_node,
            is_on,
            ssh: at(last, SSH_PORT),
            api: is_node.then(|| at(last, API_PORT)),
        };
        let hosts: Vec<DemoHost> = HOSTS.map(host).into();
        let mut cluster = Cluster::demo();
        for node in &mut cluster.nodes {
            let host = hosts.iter().find(|host| host.name == node.name).expect("each node is a host");
            node.address = host.api.expect("a node has an API");
        }
        let sim = Sim::start(cluster);
        let mut services = Vec::new();
        for (name, kind, port, answers) in SERVICES {
            let nas = hosts.last().expect("there are hosts").ssh.ip();
            let port = if shared_address.is_none() { port } else { free_port() };
            services.push(DemoService { name, kind, port });
            if answers {
                sim.handle().runtime().spawn(answer(SocketAddr::from((nas, port))));
            }
        }
        let authorized = authorized.clone();
        let claim = block.map(|(_, claim)| claim);
        let mut demo = Demo {
            sim,
            hosts,
            services,
            servers: Vec::new(),
            wake_port: None,
            authorized,
            shared_address,
            _claim: claim,
        };
        for host in demo.hosts.clone().iter().filter(|host| host.is_on) {
            demo.serve(host);
        }
        demo
    }

    /// All hosts; the last one has the services.
    pub fn hosts(&self) -> &[DemoHost] {
        &self.hosts
    }

    /// The services of the last host.
    pub fn services(&self) -> &[DemoService] {
        &self.services
    }

    /// Why all hosts share 127.0.0.1, if they do; then ports tell them apart, and the API's is not the usual one.
    pub fn shared_address(&self) -> Option<&str> {
        self.shared_address.as_deref()
    }

    /// The host that can be put to sleep, and the UDP port of 127.0.0.1 at which magic packets wake it; `None`: it is off.
    pub fn sleeper(&self) -> Option<(&'static str, u16)> {
        self.wake_port.map(|port| (SLEEPER, port))
    }

    /// The evening of the first day: a server that is not always on goes off. What happened, in words.
    pub fn evening(&mut self) -> &'static str {
        self.servers.retain(|server| server.host().name() != "backup");
        self.hosts.iter_mut().filter(|host| host.name == "backup").for_each(|host| host.is_on = false);
        "backup was switched off"
    }

    /// The next day: what happened, in words.
    pub fn next_day(&mut self) -> &'static str {
        {
            let mut cluster = self.sim.cluster();
            cluster.migrate_guest(101, "pve2");
            cluster.change_guest(107, |mail| crate::Guest { lock: None, ..mail.stopped() });
            cluster.start_node("pve3");
        }
        for host in &mut self.hosts {
            host.is_on |= host.name == "pve3";
        }
        let pve3 = self.hosts.iter().find(|host| host.name == "pve3").expect("it is in the list").clone();
        self.serve(&pve3);
        "pve3 was switched on, web-01 moved to pve2, and mail was stopped"
    }

    fn serve(&mut self, host: &DemoHost) {
        // What it says of its own network; the guests are in the same.
        let number = HOSTS.iter().find(|(name, ..)| *name == host.name).map_or(0, |(_, last, ..)| *last);
        let ip = IpAddr::from([10, 99, 0, number]);
        let simulated = if host.is_node {
            let (access, others, ca) = {
                let cluster = self.sim.cluster();
                (cluster.shared_access(), cluster.node_names(), cluster.ca().pem().to_owned())
            };
            let others: Vec<&str> = others.iter().map(String::as_str).filter(|name| *name != host.name).collect();
            let certificate = self.sim.node(host.name).certificate_pem();
            let pve = Host::pve(host.name).access(access).other_nodes(&others).certificates(&ca, &certificate);
            let pve = if host.name == BUSY { pve.logged_in("anna", "pts/0", "10.99.0.7") } else { pve };
            pve.ip(ip, 24).build()
        } else if host.name == "router" {
            Host::alpine(host.name).ip(ip, 24).build()
        } else {
            Host::debian(host.name).ip(ip, 24).build()
        };
        if host.name == BUSY {
            let port = Nic::physical("enp3s0", &simulated.wol_mac()).wol("pumbg", "d").in_master("vmbr0");
            simulated.set_nics(&[port, Nic::bridge("vmbr0", &simulated.wol_mac()).address(ip, 24)]);
        }
        let work =
            if host.is_node { Work::of_node(&self.sim.cluster(), host.name) } else { Work::of_server(host.name) };
        work.show_on(&simulated);
        if host.name == SLEEPER {
            self.sim.handle().follow(host.name, simulated.asleep());
            self.wake_port = Some(simulated.wol_port());
        }
        if let Some(api) = host.api {
            simulated.map_port_to(API_PORT, api);
            simulated.map_port_to(api.port(), api);
        }
        let runtime = self.sim.handle().runtime().clone();
        let keys = [self.authorized.clone()];
        self.servers.push(runtime.block_on(SshServer::start_at(host.ssh, &simulated, &keys, KeyType::Ed25519)));
    }
}

impl Drop for Demo {
    /// The servers' tasks hold the hosts, and the last holder of a host removes its folder: it must not be the end of the
    /// process.
    fn drop(&mut self) {
        self.servers.clear();
        self.sim.end();
    }
}

/// How hard a host works: what its own files show, and what the API says of it where it is a node.
struct Work {
    cpus: u32,
    /// The part of all CPUs that is busy.
    cpu: f64,
    loadavg: [f64; 3],
    memory: u64,
    memory_used: u64,
    disk: u64,
    disk_used: u64,
    /// Bytes received and sent a second.
    rates: (u64, u64),
    uptime: u64,
}

impl Work {
    fn of_node(cluster: &Cluster, name: &str) -> Work {
        let node = cluster.nodes.iter().find(|node| node.name == name).expect("it is in the cluster");
        Work {
            cpus: node.cpus,
            cpu: node.cpu,
            loadavg: node.loadavg,
            memory: node.memory,
            memory_used: node.memory_used,
            disk: node.disk,
            disk_used: node.disk_used,
            rates: node.rates,
            uptime: node.uptime_at(cluster.clock.now()),
        }
    }

    /// A plain server, each another one.
    fn of_server(name: &str) -> Work {
        let (cpus, cpu, memory, used, disk, disk_used, days) = match name {
            "router" => (4, 0.03, 4 * GIB, 600 << 20, 8 * GIB, GIB, 113),
            "nas" => (4, 0.19, 32 * GIB, 11 * GIB, 60 * GIB, 22 * GIB, 57),
            _ => (2, 0.06, 8 * GIB, 2 * GIB, 30 * GIB, 4 * GIB, 3),
        };
        let load = f64::from(cpus) * cpu;
        Work {
            cpus,
            cpu,
            loadavg: [load * 1.1, load, load * 0.9],
            memory,
            memory_used: used,
            disk,
            disk_used,
            rates: (memory >> 16, memory >> 18),
            uptime: days * 86_400,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds and bytes of a demo")]
    fn show_on(&self, host: &Host) {
        let kib = |bytes: u64| bytes >> 10;
        host.set_cpus(self.cpus);
        let ticks = f64::from(self.cpus) * 100.0;
        let (received, sent) = (self.rates.0 as f64, self.rates.1 as f64);
        host.set_pace(&Pace {
            cpu: [ticks * self.cpu * 0.75, ticks * self.cpu * 0.25, ticks * (1.0 - self.cpu), 0.0],
            ports: vec![("enp3s0".into(), received, sent)],
            ..Pace::default()
        });
        host.set_load(self.loadavg);
        host.set_memory("MemTotal", Some(kib(self.memory)));
        host.set_memory("MemAvailable", Some(kib(self.memory - self.memory_used)));
        host.set_uptime(self.uptime as f64);
        host.set_traffic("enp3s0", self.rates.0 * self.uptime, self.rates.1 * self.uptime);
        let root = |device: &str| Disk::new(device, "/", "ext4", kib(self.disk_used), kib(self.disk - self.disk_used));
        host.set_filesystems(&[root("/dev/sda3")]);
    }
}

/// Three bytes of loopback addresses whose ports are free, and what claims them; else why there are none.
fn block() -> Result<([u8; 3], TcpListener), String> {
    for third in 0..32 {
        let base = [127, 83, third];
        let bind = |last: u8, port: u16| TcpListener::bind((Ipv4Addr::new(127, 83, third, last), port));
        // Two demos at once must not take the same addresses between the look and the use.
        let claimed = bind(254, API_PORT).and_then(|claim| {
            for (_, last, is_node, _) in HOSTS {
                bind(last, SSH_PORT)?;
                is_node.then(|| bind(last, API_PORT)).transpose()?;
            }
            for (.., port, _) in SERVICES {
                bind(HOSTS[HOSTS.len() - 1].1, port)?;
            }
            Ok(claim)
        });
        match claimed {
            Ok(claim) => return Ok((base, claim)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(_) => return Err("this machine has no loopback address but 127.0.0.1".to_owned()),
        }
    }
    Err(format!("the ports {API_PORT} and {SSH_PORT} are taken on every loopback address"))
}

/// A service: it accepts, and hangs up.
async fn answer(address: SocketAddr) {
    if let Ok(listener) = tokio::net::TcpListener::bind(address).await {
        while listener.accept().await.is_ok() {}
    }
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    probe.local_addr().expect("a bound socket").port()
}

/// Its machines were made long before anything that is told of them.
const MADE: &str = "creation-qemu=9.0.2,ctime=1735689600";

impl Cluster {
    /// The fleet of `ecobox demo`: three nodes (one is off), VMs and containers in most states. It has no tokens yet.
    #[must_use]
    pub fn demo() -> Cluster {
        Cluster::new("demo")
            .lively()
            .node_with("pve1", |node| {
                let node = node.size(16, 64 * GIB).load(0.11, 31 * GIB).uptime(41 * 86_400);
                node.loadavg([1.92, 1.71, 1.66]).rates(2_400_000, 900_000)
            })
            .node_with("pve2", |node| {
                let node = node.size(8, 32 * GIB).load(0.34, 25 * GIB).uptime(12 * 86_400);
                node.loadavg([2.81, 2.64, 2.70]).rates(1_100_000, 4_200_000)
            })
            .node_with("pve3", |node| {
                Node::offline(node.size(4, 16 * GIB).load(0.05, 3 * GIB).wakeonlan("BC:24:11:D3:00:03"))
            })
            .local_storage("local", 94 * GIB, 23 * GIB)
            .shared_storage("tank", "nfs", 7_400 * GIB, 3_100 * GIB)
            .vm(101, "web-01", |vm| {
                let vm = vm.on("pve1").size(2, 4096).disk(32 * GIB, 0).tags("prod;web").config("onboot", 1).qcow2();
                vm.agent_ip("10.99.0.101")
                    .running()
                    .load(0.07, 2 * GIB)
                    .uptime(9 * 86_400)
                    .traffic(81 << 30, 12 << 30)
                    .disk_io(19 << 30, 7 << 30)
                    .rates(110_000, 16_000, 26_000, 9_600)
                    .filesystem("/", "ext4", 9 * GIB, 31 * GIB)
                    .balloon()
                    .config("meta", MADE)
            })
            .vm(102, "db-01", |vm| {
                let vm = vm.on("pve2").size(4, 16384).disk(200 * GIB, 0).tags("prod;db").config("onboot", 1).qcow2();
                vm.agent_ip("10.99.0.102")
                    .running()
                    .load(0.61, 13 * GIB)
                    .uptime(12 * 86_400)
                    .traffic(9 << 30, 44 << 30)
                    .disk_io(310 << 30, 95 << 30)
                    .rates(9_300, 45_000, 320_000, 98_000)
                    .filesystem("/", "ext4", 12 * GIB, 31 * GIB)
                    .filesystem("/var/lib/postgresql", "xfs", 121 * GIB, 168 * GIB)
                    .balloon()
                    .config("meta", MADE)
            })
            .vm(103, "windows-build", |vm| vm.on("pve1").size(8, 16384).disk(250 * GIB, 0).agent(Agent::Dead).running())
            .vm(104, "staging", |vm| vm.on("pve2").size(2, 4096).disk(32 * GIB, 0).tags("staging"))
            .vm(105, "desktop", |vm| vm.on("pve1").size(4, 8192).disk(64 * GIB, 0).hibernated())
            .vm(106, "experiment", |vm| vm.on("pve2").size(2, 2048).disk(16 * GIB, 0).paused())
            .vm(107, "mail", |vm| {
                let vm = vm.on("pve1").size(2, 4096).disk(80 * GIB, 0).tags("prod").qcow2().running().locked("backup");
                vm.balloon().config("meta", MADE)
            })
            .vm(900, "debian-13-template", |vm| vm.on("pve1").size(1, 2048).disk(8 * GIB, 0).template())
            .ct(201, "dns", |ct| {
                let ct = ct.on("pve1").size(1, 512).disk(4 * GIB, GIB).tags("infra").config("onboot", 1);
                ct.agent_ip("10.99.0.53")
                    .running()
                    .load(0.01, 90 << 20)
                    .uptime(41 * 86_400)
                    .traffic(3 << 30, 2 << 30)
                    .rates(900, 600, 0, 120)
            })
            .ct(202, "wiki", |ct| ct.on("pve2").size(2, 1024).disk(8 * GIB, 3 * GIB).agent_ip("10.99.0.80").running())
            .ct(301, "archive", |ct| {
                let ct = ct.on("pve3").size(1, 1024).disk(500 * GIB, 410 * GIB).config("onboot", 1);
                ct.agent_ip("10.99.0.90").load(0.02, 300 << 20)
            })
    }
}
