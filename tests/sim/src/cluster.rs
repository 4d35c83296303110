//! The cluster: nodes, guests, storages, access and tasks, and what a test may change while it runs.

mod certificates;
mod guests;
mod nodes;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;

pub use self::timing::Timing;
use crate::access::Access;
use crate::broadcast::Broadcast;
use crate::clock::Clock;
use crate::fault::{Fault, Rule};
use crate::guest::{Guest, Kind};
use crate::hook::Hook;
use crate::migrate::Moves;
use crate::node::{Node, Storage};
use crate::snapshot::SnapshotWorld;
use crate::tasks::{Event, Task};
use crate::tls::{Ca, Identity};
use crate::version::Version;

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
    /// What there is to migrations.
    pub(crate) moves: Moves,
    /// Guests that HA moves now, and what it said of them before.
    pub(crate) moving: BTreeMap<u32, String>,
    /// What there is to snapshots.
    pub(crate) snapshots: SnapshotWorld,
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
            moves: Moves::default(),
            moving: BTreeMap::new(),
            snapshots: SnapshotWorld::default(),
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

    // What else may change while it runs: see `guests` and `nodes`.

    /// Every request to this node, or every connection, fails like this until [`Cluster::heal`].
    pub fn fail(&mut self, node: &str, fault: Fault) {
        self.fail_on(node, None, None, None, fault);
    }

    /// As [`Cluster::fail`], for requests of this method, whose path contains this text (with `$` behind it: ends so), this
    /// many times.
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
