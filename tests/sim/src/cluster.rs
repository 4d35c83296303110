//! The cluster: nodes, guests, storages, access and tasks, and what a test may change while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;

use crate::access::Access;
use crate::broadcast::Broadcast;
use crate::clock::Clock;
use crate::fault::{Fault, Rule};
use crate::guest::{Guest, Kind};
use crate::hook::Hook;
use crate::node::{Node, Service, Stats, Storage};
use crate::tasks::{Event, Task};
use crate::tls::{Ca, Identity};
use crate::version::Version;

/// How long things take, in PVE's seconds (see [`Clock::set_pace`]).
#[derive(Debug, Clone)]
pub struct Timing {
    /// A task that only tells QEMU something: start, stop, reset, suspend, resume.
    pub task: f64,
    /// A guest that obeys the request to shut down.
    pub shutdown: f64,
    /// Between the end of a reboot's task and the guest running again.
    pub reboot_gap: f64,
    /// Waiting for a guest's lock file.
    pub lock_wait: f64,
    /// The HA manager's way from a request to the deed.
    pub ha: f64,
    /// The delay of a 401.
    pub auth_delay: f64,
    /// An agent that does not answer.
    pub agent_timeout: f64,
    /// Another node that does not answer ("No route to host").
    pub no_route: f64,
    /// Between the API's `shutdown` of a node and its end.
    pub node_shutdown: f64,
    /// A node's way up.
    pub node_boot: f64,
    /// How long a connection may be idle, in real time.
    pub idle: Duration,
    /// Between two of pvestatd's broadcasts, by the cluster's clock: so old may be what `/cluster/resources` says of states
    /// and numbers.
    pub broadcast: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            task: 0.5,
            shutdown: 2.0,
            reboot_gap: 1.0,
            lock_wait: 10.0,
            ha: 10.0,
            auth_delay: 3.0,
            agent_timeout: 3.0,
            no_route: 3.0,
            node_shutdown: 2.0,
            node_boot: 60.0,
            idle: Duration::from_secs(5),
            broadcast: Duration::from_secs(10),
        }
    }
}

/// What a node was told to do with its own power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodePower {
    pub(crate) node: String,
    pub(crate) down: bool,
    pub(crate) up: bool,
}

/// A simulated Proxmox VE cluster (one node: a host that is in no cluster).
#[derive(Debug)]
pub struct Cluster {
    /// How long things take.
    pub timing: Timing,
    /// Its clock.
    pub clock: Clock,
    access: Arc<Mutex<Access>>,
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) ca: Ca,
    pub(crate) nodes: Vec<Node>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) storages: Vec<Storage>,
    /// As `/cluster/backup` writes them.
    pub(crate) backup_jobs: Vec<serde_json::Value>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) events: Vec<Event>,
    /// What the nodes said last.
    pub(crate) broadcast: Broadcast,
    /// Guests whose lock file something else than a task holds.
    pub(crate) held: BTreeSet<u32>,
    /// Whether lists of active tasks still show those that ended.
    pub(crate) lingering: bool,
    /// Whether lists of tasks show none.
    pub(crate) unlisted: bool,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) quorate: bool,
    /// The membership for which `/cluster/status` was first asked, and what it has said of quorum since.
    known_quorate: Option<(Vec<bool>, bool)>,
    /// Virtual machines of which an image of the memory was left behind.
    pub(crate) left_images: BTreeSet<u32>,
    /// Whether histories go up and down.
    pub(crate) lively: bool,
    /// A node that was told to go down, or to come back after that.
    pub(crate) node_power: Option<NodePower>,
    pools: BTreeSet<String>,
    /// What GETs were answered, where answers are given again: see [`Cluster::ready_made`].
    pub(crate) ready: Option<BTreeMap<String, Bytes>>,
    /// Nodes and fingerprints that it names as its own, besides itself: see [`Cluster::claim_nodes`].
    pub(crate) claimed: Vec<(String, String)>,
}

impl Cluster {
    /// An empty cluster of the newest version.
    pub fn new(name: &str) -> Cluster {
        let clock = Clock::default();
        Cluster {
            access: Arc::new(Mutex::new(Access::new(9))),
            timing: Timing::default(),
            broadcast: Broadcast::new(clock.now()),
            clock,
            name: name.to_owned(),
            version: Version::new("9.2.11"),
            ca: Ca::pve(),
            nodes: Vec::new(),
            guests: Vec::new(),
            storages: Vec::new(),
            backup_jobs: Vec::new(),
            tasks: Vec::new(),
            events: Vec::new(),
            held: BTreeSet::new(),
            lingering: false,
            unlisted: false,
            hooks: Vec::new(),
            quorate: true,
            known_quorate: None,
            left_images: BTreeSet::new(),
            lively: false,
            node_power: None,
            pools: BTreeSet::new(),
            ready: None,
            claimed: Vec::new(),
        }
    }

    /// Answers as this version does (`9.2.11`, `8.4.1`, `7.4-3`). Before anything that touches `access`.
    #[must_use]
    pub fn pve(mut self, version: &str) -> Cluster {
        self.version = Version::new(version);
        let access = Access::with_version(self.version.major(), self.version.minor());
        self.access = Arc::new(Mutex::new(access));
        self
    }

    /// Waits as long as a real cluster does.
    #[must_use]
    pub fn real_time(mut self) -> Cluster {
        self.clock.set_pace(Duration::from_secs(1));
        self
    }

    /// Answers each GET from then on as it did the first time, whatever changes: for measurements of clients, which
    /// should not wait for the simulator.
    #[must_use]
    pub fn ready_made(mut self) -> Cluster {
        self.ready = Some(BTreeMap::new());
        self
    }

    /// One more node.
    #[must_use]
    pub fn node(self, name: &str) -> Cluster {
        self.node_with(name, |node| node)
    }

    /// One more node, described further.
    #[must_use]
    pub fn node_with(mut self, name: &str, describe: impl FnOnce(Node) -> Node) -> Cluster {
        let number = u8::try_from(self.nodes.len() + 2).expect("few nodes");
        let ip = IpAddr::from(Ipv4Addr::new(192, 0, 2, number));
        let identity = self.ca.issue_node(name, ip, None);
        let mut node = describe(Node::new(name, ip, identity, self.clock.now()));
        if node.ip != ip {
            node.identity = self.ca.issue_node(name, node.ip, Some(&node.identity));
        }
        self.nodes.push(node);
        self
    }

    /// One more VM, on the first node unless it says otherwise. An empty name: it has none.
    #[must_use]
    pub fn vm(mut self, vmid: u32, name: &str, describe: impl FnOnce(Guest) -> Guest) -> Cluster {
        self.add_guest(Kind::Qemu, vmid, name, describe);
        self
    }

    /// One more container.
    #[must_use]
    pub fn ct(mut self, vmid: u32, name: &str, describe: impl FnOnce(Guest) -> Guest) -> Cluster {
        self.add_guest(Kind::Lxc, vmid, name, describe);
        self
    }

    /// A storage of each node's own (`local`), sized in bytes.
    #[must_use]
    pub fn local_storage(mut self, name: &str, size: u64, used: u64) -> Cluster {
        for node in &self.nodes {
            self.storages.push(Storage {
                name: name.to_owned(),
                node: Some(node.name.clone()),
                plugin: "dir".to_owned(),
                content: "backup,import,images,iso,vztmpl,snippets,rootdir".to_owned(),
                size,
                used,
                active: true,
            });
        }
        self
    }

    /// A storage shared by all nodes.
    #[must_use]
    pub fn shared_storage(mut self, name: &str, plugin: &str, size: u64, used: u64) -> Cluster {
        let (name, plugin, content) = (name.to_owned(), plugin.to_owned(), "images,rootdir".to_owned());
        self.storages.push(Storage { name, node: None, plugin, content, size, used, active: true });
        self
    }

    /// A token of root without privilege separation: it may do everything.
    #[must_use]
    pub fn root_token(self, tokenid: &str, secret: &str) -> Cluster {
        self.access().add_token(&format!("root@pam!{tokenid}"), secret, false);
        self
    }

    /// A user with a privilege-separated token; both have these privileges on this path and below.
    #[must_use]
    pub fn token(self, full_id: &str, secret: &str, path: &str, privileges: &[&str]) -> Cluster {
        let (user, _) = full_id.rsplit_once('!').expect("user@realm!name");
        let mut access = self.access();
        access.add_user(user);
        access.add_token(full_id, secret, true);
        if !privileges.is_empty() {
            access.grant(path, user, privileges, true);
            access.grant(path, full_id, privileges, true);
        }
        drop(access);
        self
    }

    /// Users, roles, ACLs and tokens. Its lock must not be held during a request.
    pub fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to be shared with the simulated SSH hosts of this cluster.
    pub fn shared_access(&self) -> Arc<Mutex<Access>> {
        Arc::clone(&self.access)
    }

    // What may change while it runs.

    /// Adds a guest.
    pub fn add_guest(&mut self, kind: Kind, vmid: u32, name: &str, describe: impl FnOnce(Guest) -> Guest) {
        assert!(self.find(vmid).is_none(), "guest {vmid} exists already");
        let node = self.nodes.first().map(|node| node.name.clone()).unwrap_or_default();
        let mut guest = describe(Guest::new(kind, vmid, name, &node));
        let now = self.clock.now();
        guest.since = Some(now);
        guest.counters.go_on(guest.counters.bytes, now);
        assert!(self.nodes.iter().any(|node| node.name == guest.node), "no node {}", guest.node);
        let pooled = guest.pool.is_some();
        self.guests.push(guest);
        self.told(vmid);
        if pooled {
            self.sync_pools();
        }
    }

    /// Changes a guest in place.
    pub fn change_guest(&mut self, vmid: u32, change: impl FnOnce(Guest) -> Guest) {
        self.settle();
        let now = self.clock.now();
        let guest = self.guest_mut(vmid);
        guest.count(now);
        let was_active = guest.is_active();
        *guest = change(guest.clone());
        if guest.is_active() && !was_active {
            guest.since = Some(now);
        }
        self.told(vmid);
        self.sync_pools();
    }

    /// Stops a guest from inside, or by a crash.
    pub fn crash_guest(&mut self, vmid: u32) {
        self.settle();
        self.guest_mut(vmid).end();
        self.told(vmid);
    }

    /// Gives a guest another name.
    pub fn rename_guest(&mut self, vmid: u32, name: &str) {
        self.guest_mut(vmid).name = (!name.is_empty()).then(|| name.to_owned());
        self.told(vmid);
    }

    /// Moves a guest to another node, running or not.
    pub fn migrate_guest(&mut self, vmid: u32, node: &str) {
        self.settle();
        node.clone_into(&mut self.guest_mut(vmid).node);
    }

    /// Destroys a guest.
    pub fn remove_guest(&mut self, vmid: u32) {
        self.settle();
        self.guests.retain(|guest| guest.vmid != vmid);
        self.sync_pools();
    }

    /// Destroys a guest, and gives its number to another one on the same node.
    pub fn replace_guest(&mut self, vmid: u32, kind: Kind, name: &str, describe: impl FnOnce(Guest) -> Guest) {
        let node = self.guest_mut(vmid).node.clone();
        self.remove_guest(vmid);
        self.add_guest(kind, vmid, name, |guest| describe(guest.on(&node)));
    }

    /// Takes a node away at once: nothing listens, the others know it is offline, its guests' last numbers stay.
    pub fn stop_node(&mut self, name: &str) {
        let node = self.node_mut(name);
        (node.online, node.listening, node.silent, node.stats) = (false, false, false, Stats::Stale);
    }

    /// Five minutes after [`Cluster::stop_node`]: its guests become `unknown`, without names and numbers.
    pub fn expire_stats(&mut self, name: &str) {
        self.node_mut(name).stats = Stats::None;
        for guest in self.guests.iter_mut().filter(|guest| guest.node == name) {
            guest.end();
        }
    }

    /// Boots a node: its numbers are there, guests with `onboot` run, the others are stopped.
    pub fn start_node(&mut self, name: &str) {
        let now = self.clock.now();
        for guest in self.guests.iter_mut().filter(|guest| guest.node == name) {
            guest.end();
            if guest.config.get("onboot").is_some_and(|value| *value == 1) && guest.lock.is_none() {
                guest.begin(now);
            }
        }
        let node = self.node_mut(name);
        (node.online, node.listening, node.stats) = (true, true, Stats::Fresh);
        (node.uptime, node.since) = (Duration::ZERO, now);
        self.told_of_node(name);
    }

    /// Suspends a node: as [`Cluster::stop_node`], but nothing answers at its port, not even to refuse, and its guests go
    /// on when it wakes.
    pub fn suspend_node(&mut self, name: &str) {
        self.stop_node(name);
        self.node_mut(name).silent = true;
    }

    /// Wakes a suspended node.
    pub fn resume_node(&mut self, name: &str) {
        let node = self.node_mut(name);
        (node.online, node.listening, node.stats) = (true, true, Stats::Fresh);
        self.told_of_node(name);
    }

    /// Closes or opens the API's port of a node that stays online.
    pub fn set_listening(&mut self, name: &str, listening: bool) {
        self.node_mut(name).listening = listening;
    }

    /// Takes services of a node down, or up again.
    pub fn set_service(&mut self, name: &str, service: Service) {
        self.node_mut(name).service = service;
    }

    /// Sets whether pvestatd has sent a node's numbers.
    pub fn set_stats(&mut self, name: &str, stats: Stats) {
        self.node_mut(name).stats = stats;
        if stats == Stats::Fresh {
            self.told_of_node(name);
        }
    }

    /// Sets whether the cluster has a quorum.
    pub fn set_quorate(&mut self, quorate: bool) {
        self.quorate = quorate;
        self.access().set_quorate(quorate);
    }

    /// What `/cluster/status` says of quorum: the first answer since the membership changed.
    pub(crate) fn known_quorate(&mut self) -> bool {
        let members: Vec<bool> = self.nodes.iter().map(|node| node.online).collect();
        match &self.known_quorate {
            Some((known, quorate)) if *known == members => *quorate,
            _ => {
                self.known_quorate = Some((members, self.quorate));
                self.quorate
            }
        }
    }

    /// Whether an image of a virtual machine's memory was left behind.
    pub fn has_left_image(&mut self, vmid: u32) -> bool {
        self.settle();
        self.left_images.contains(&vmid)
    }

    /// A new certificate from the same CA, with the same or a new key.
    pub fn renew_certificate(&mut self, name: &str, keep_key: bool) {
        let ip = self.node_mut(name).ip;
        let old = self.node_mut(name).identity.clone();
        self.node_mut(name).identity = self.ca.issue_node(name, ip, keep_key.then_some(&old));
    }

    /// A certificate from the same CA with the same key that is no longer valid.
    pub fn expire_certificate(&mut self, name: &str) {
        let ip = self.node_mut(name).ip;
        let old = self.node_mut(name).identity.clone();
        self.node_mut(name).identity = self.ca.issue_expired_node(name, ip, &old);
    }

    /// A new CA, and new certificates of all nodes from it.
    pub fn replace_ca(&mut self) {
        self.ca = Ca::pve();
        for index in 0..self.nodes.len() {
            let (name, ip) = (self.nodes[index].name.clone(), self.nodes[index].ip);
            self.nodes[index].identity = self.ca.issue_node(&name, ip, None);
        }
    }

    /// Serves this certificate instead (`pveproxy-ssl.pem`, or a machine in the middle).
    pub fn serve_certificate(&mut self, name: &str, identity: Identity) {
        self.node_mut(name).identity = identity;
    }

    /// Serves this certificate, and goes on naming the node's own in `/nodes`: a reverse proxy stands before it.
    pub fn serve_through_proxy(&mut self, name: &str, identity: Identity) {
        let node = self.node_mut(name);
        let own = std::mem::replace(&mut node.identity, identity);
        node.listed = Some(node.listed.take().unwrap_or_else(|| own.fingerprint()));
    }

    /// Gives a node another name, and a certificate for that; its guests go with it. Tests go on calling it by its first.
    pub fn rename_node(&mut self, name: &str, new: &str) {
        let old = self.node_mut(name).name.clone();
        for guest in self.guests.iter_mut().filter(|guest| guest.node == old) {
            new.clone_into(&mut guest.node);
        }
        let ip = self.node_mut(name).ip;
        let identity = self.ca.issue_node(new, ip, None);
        let node = self.node_mut(name);
        new.clone_into(&mut node.name);
        node.identity = identity;
    }

    /// Says of these nodes, with the fingerprints of their certificates, that they are of this cluster: whoever wants may
    /// repeat what others are heard to say.
    pub fn claim_nodes(&mut self, nodes: &[(String, String)]) {
        self.claimed = nodes.to_vec();
    }

    /// Every request to this node, or every connection, fails like this until [`Cluster::heal`].
    pub fn fail(&mut self, node: &str, fault: Fault) {
        self.fail_on(node, None, None, None, fault);
    }

    /// As [`Cluster::fail`], for requests of this method, whose path contains this text, this many times.
    pub fn fail_on(&mut self, node: &str, method: Option<&str>, path: Option<&str>, times: Option<u32>, fault: Fault) {
        let rule = Rule { fault, method: method.map(str::to_owned), path: path.map(str::to_owned), left: times };
        self.node_mut(node).rules.push(rule);
    }

    /// Ends all failures of a node.
    pub fn heal(&mut self, node: &str) {
        self.node_mut(node).rules.clear();
    }

    // What a test may look at.

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version as `pveversion` prints it.
    pub fn version(&self) -> &str {
        self.version.text()
    }

    /// The CA as `/etc/pve/pve-root-ca.pem` holds it.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// What a node serves.
    pub fn identity(&self, node: &str) -> Identity {
        self.node_ref(node).unwrap_or_else(|| panic!("no node {node}")).identity.clone()
    }

    /// Names of the nodes.
    pub fn node_names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Whether a node is online.
    pub fn is_online(&self, node: &str) -> bool {
        self.nodes.iter().any(|candidate| candidate.name == node && candidate.online)
    }

    /// Whether the cluster has a quorum.
    pub fn is_quorate(&self) -> bool {
        self.quorate
    }

    /// Kind, name (as PVE shows it), node and qmpstatus of a guest.
    pub fn guest(&mut self, vmid: u32) -> Option<(Kind, String, String, String)> {
        self.settle();
        let guest = self.find(vmid)?;
        Some((guest.kind, guest.display_name(), guest.node.clone(), guest.qmpstatus().to_owned()))
    }

    /// The ids of all guests, in order.
    pub fn vmids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.guests.iter().map(|guest| guest.vmid).collect();
        ids.sort_unstable();
        ids
    }

    /// Type, guest id and exit text (None while it runs) of all tasks, oldest first.
    pub fn task_history(&mut self) -> Vec<(String, String, Option<String>)> {
        self.settle();
        self.tasks.iter().map(|task| (task.kind.clone(), task.id.clone(), task.exit.clone())).collect()
    }

    /// The most tasks that a node had to work on at one time.
    pub fn most_tasks(&self, node: &str) -> usize {
        self.node_ref(node).map_or(0, |node| node.most_tasks)
    }

    /// Tells the access control which guests are in which pool.
    fn sync_pools(&mut self) {
        for guest in &self.guests {
            self.pools.extend(guest.pool.clone());
        }
        for pool in &self.pools {
            let inside = self.guests.iter().filter(|guest| guest.pool.as_ref() == Some(pool));
            let vmids: Vec<u32> = inside.map(|guest| guest.vmid).collect();
            self.access().set_pool(pool, &vmids);
        }
    }

    pub(crate) fn find(&self, vmid: u32) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.vmid == vmid)
    }

    pub(crate) fn guest_mut(&mut self, vmid: u32) -> &mut Guest {
        self.guests.iter_mut().find(|guest| guest.vmid == vmid).unwrap_or_else(|| panic!("no guest {vmid}"))
    }

    pub(crate) fn node_ref(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is(name))
    }

    pub(crate) fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.is(name)).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// Guests of one kind on one node, by id.
    pub(crate) fn guests_on(&self, node: &str, kind: Kind) -> BTreeMap<u32, &Guest> {
        let here = self.guests.iter().filter(|guest| guest.node == node && guest.kind == kind);
        here.map(|guest| (guest.vmid, guest)).collect()
    }
}
