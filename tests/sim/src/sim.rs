//! The running fleet: its owner, and what tests do with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::server;
use crate::traffic::{Recorded, Traffic};

/// How long to wait for a port to open or close.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody holds the cluster nearly as long.
const DEADLOCK: Duration = Duration::from_secs(20);

/// What all servers of the fleet share.
#[derive(Debug)]
pub(crate) struct Shared {
    cluster: Mutex<Cluster>,
    traffic: Mutex<Traffic>,
    wake: watch::Sender<u64>,
    ports: Mutex<BTreeMap<String, bool>>,
    port_changed: Condvar,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Cluster> {
        // A test that holds the cluster and asks for it again would wait for ever: it fails instead.
        let until = Instant::now() + DEADLOCK;
        loop {
            match self.cluster.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => assert!(Instant::now() < until, "this test holds the cluster itself"),
            }
            std::thread::yield_now();
        }
    }

    pub(crate) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the servers to look at the cluster again.
    pub(crate) fn changed(&self) {
        self.wake.send_modify(|count| *count += 1);
    }

    pub(crate) fn wants_port(&self, node: &str) -> bool {
        self.lock().node_ref(node).is_some_and(|node| node.listening)
    }

    pub(crate) fn is_silent(&self, node: &str) -> bool {
        self.lock().node_ref(node).is_some_and(|node| node.silent)
    }

    pub(crate) fn port_is(&self, node: &str, open: bool) {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), open);
        self.port_changed.notify_all();
    }

    /// Waits until every port is as the cluster wants it (which others may change meanwhile).
    fn await_ports(&self) {
        self.changed();
        let until = Instant::now() + PATIENCE;
        loop {
            let wanted: BTreeMap<String, bool> =
                self.lock().nodes.iter().map(|node| (node.first_name.clone(), node.listening)).collect();
            let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
            if *ports == wanted {
                return;
            }
            assert!(Instant::now() < until, "the ports of the simulated nodes did not change in time");
            // Wakes up now and then to look at the cluster again.
            drop(self.port_changed.wait_timeout(ports, Duration::from_millis(20)));
        }
    }
}

/// A running cluster. Stops when dropped.
#[derive(Debug)]
pub struct Sim {
    handle: SimHandle,
    runtime: Option<Runtime>,
}

/// A share of a running cluster, for other servers of the fleet.
#[derive(Debug, Clone)]
pub struct SimHandle {
    shared: Arc<Shared>,
    tasks: Handle,
}

impl Sim {
    /// Starts a server for each node; when this returns, all of them accept connections.
    pub fn start(mut cluster: Cluster) -> Sim {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("ecobox-sim").build();
        let runtime = runtime.expect("a runtime");
        let (wake, waked) = watch::channel(0);
        // Who has just described it knows it well.
        cluster.broadcast();
        let mut sockets = Vec::new();
        for node in &mut cluster.nodes {
            let (socket, address) =
                server::reserve(node.address).unwrap_or_else(|error| panic!("{}: {error}", node.address));
            node.address = address;
            sockets.push((node.name.clone(), socket));
        }
        let shared = Arc::new(Shared {
            cluster: Mutex::new(cluster),
            traffic: Mutex::default(),
            wake,
            ports: Mutex::default(),
            port_changed: Condvar::new(),
        });
        for (node, socket) in sockets {
            runtime.spawn(server::run(Arc::clone(&shared), node, socket, waked.clone()));
        }
        shared.await_ports();
        let handle = SimHandle { shared, tasks: runtime.handle().clone() };
        Sim { handle, runtime: Some(runtime) }
    }

    /// The cluster, to look at and to change. Servers wait meanwhile: drop it before the next request.
    pub fn cluster(&self) -> ClusterGuard<'_> {
        self.handle.cluster()
    }

    /// One node.
    pub fn node(&self, name: &str) -> NodeHandle<'_> {
        assert!(self.handle.shared.lock().node_ref(name).is_some(), "no node {name}");
        NodeHandle { sim: &self.handle, name: name.to_owned() }
    }

    /// A share of it.
    pub fn handle(&self) -> SimHandle {
        self.handle.clone()
    }

    /// The cluster's CA, as `/etc/pve/pve-root-ca.pem` holds it.
    pub fn ca_pem(&self) -> String {
        self.handle.shared.lock().ca().pem().to_owned()
    }

    /// Everything that was asked, in the order of arrival, of all nodes.
    pub fn requests(&self) -> Vec<Recorded> {
        self.handle.shared.traffic().requests.clone()
    }

    /// The POSTs that arrived at any node, as `/nodes/pve1/qemu/101/status/stop overrule-shutdown=1`.
    pub fn posts(&self) -> Vec<String> {
        let traffic = self.handle.shared.traffic();
        let posts = traffic.requests.iter().filter(|request| request.method == "POST");
        let short = |path: &str| path.strip_prefix("/api2/json").unwrap_or(path).to_owned();
        posts.map(|request| format!("{} {}", short(&request.path), request.body).trim_end().to_owned()).collect()
    }

    /// The POSTs and DELETEs that arrived at any node, each with its method, path and body.
    pub fn changes(&self) -> Vec<String> {
        let traffic = self.handle.shared.traffic();
        let changes = traffic.requests.iter().filter(|request| ["POST", "DELETE"].contains(&request.method.as_str()));
        let short = |path: &str| path.strip_prefix("/api2/json").unwrap_or(path).to_owned();
        let line =
            |method: &str, path: &str, body: &str| format!("{method} {} {body}", short(path)).trim_end().to_owned();
        changes.map(|request| line(&request.method, &request.path, &request.body)).collect()
    }

    /// Forgets the requests and counters so far.
    pub fn clear_requests(&self) {
        self.handle.shared.traffic().clear();
    }
}

impl Sim {
    /// Ends it, and everything that runs beside it, before this returns.
    pub(crate) fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl SimHandle {
    /// The cluster, to look at and to change.
    pub fn cluster(&self) -> ClusterGuard<'_> {
        ClusterGuard { shared: &self.shared, cluster: Some(self.shared.lock()) }
    }

    /// Suspends and wakes a node together with the simulated SSH host that tells here whether it is asleep.
    pub fn follow(&self, node: &str, mut asleep: watch::Receiver<bool>) {
        let (handle, node) = (self.clone(), node.to_owned());
        self.tasks.spawn(async move {
            while asleep.changed().await.is_ok() {
                let asleep = *asleep.borrow_and_update();
                let mut cluster = handle.cluster();
                if asleep { cluster.suspend_node(&node) } else { cluster.resume_node(&node) }
            }
        });
    }

    /// Where further servers of the fleet can run; they end with the [`Sim`].
    pub fn runtime(&self) -> &Handle {
        &self.tasks
    }
}

/// Access to the running cluster. When it is dropped, ports have been opened and closed as the cluster then says.
#[derive(Debug)]
pub struct ClusterGuard<'a> {
    shared: &'a Shared,
    cluster: Option<MutexGuard<'a, Cluster>>,
}

impl Deref for ClusterGuard<'_> {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster.as_deref().unwrap()
    }
}

impl DerefMut for ClusterGuard<'_> {
    fn deref_mut(&mut self) -> &mut Cluster {
        self.cluster.as_deref_mut().unwrap()
    }
}

impl Drop for ClusterGuard<'_> {
    fn drop(&mut self) {
        self.cluster = None;
        // Servers on the fleet's own threads must not wait for each other.
        if std::thread::panicking() || std::thread::current().name() == Some("ecobox-sim") {
            self.shared.changed();
        } else {
            self.shared.await_ports();
        }
    }
}

/// One node of a running cluster.
#[derive(Debug)]
pub struct NodeHandle<'a> {
    sim: &'a SimHandle,
    name: String,
}

impl NodeHandle<'_> {
    /// The port of its API; the same for as long as the cluster lives.
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Where its API listens: 127.0.0.1, unless its description says otherwise, and its port.
    pub fn address(&self) -> SocketAddr {
        self.sim.shared.lock().node_mut(&self.name).address
    }

    /// SHA-256 of the certificate it serves, as `AA:BB:..`.
    pub fn fingerprint(&self) -> String {
        self.sim.shared.lock().node_mut(&self.name).identity.fingerprint()
    }

    /// SHA-256 of the public key of the certificate it serves.
    pub fn public_key_fingerprint(&self) -> String {
        self.sim.shared.lock().node_mut(&self.name).identity.public_key_fingerprint()
    }

    /// The certificate it serves, as PEM.
    pub fn certificate_pem(&self) -> String {
        self.sim.shared.lock().identity(&self.name).pem()
    }

    /// What was asked of it.
    pub fn requests(&self) -> Vec<Recorded> {
        let traffic = self.sim.shared.traffic();
        traffic.requests.iter().filter(|request| request.node == self.name).cloned().collect()
    }

    /// How many requests came whose path contains this text.
    pub fn count(&self, part: &str) -> usize {
        self.requests().iter().filter(|request| request.path.contains(part)).count()
    }

    /// How often each call was made: `GET /nodes/{node}/qemu/{vmid}/config` and so on, without the query.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for request in self.requests() {
            *calls.entry(request.call()).or_default() += 1;
        }
        calls
    }

    /// Every `Authorization` header that reached it.
    pub fn authorizations(&self) -> Vec<String> {
        self.requests().into_iter().filter_map(|request| request.authorization).collect()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.sim.shared.traffic().connections(&self.name)
    }

    /// The most requests it had to answer at one time.
    pub fn most_in_flight(&self) -> usize {
        self.sim.shared.traffic().most_in_flight(&self.name)
    }

    /// See [`Cluster::stop_node`].
    pub fn stop(&self) {
        self.sim.cluster().stop_node(&self.name);
    }

    /// See [`Cluster::start_node`].
    pub fn start(&self) {
        self.sim.cluster().start_node(&self.name);
    }

    /// See [`Cluster::fail`].
    pub fn fail(&self, fault: Fault) {
        self.sim.cluster().fail(&self.name, fault);
    }

    /// See [`Cluster::fail_on`].
    pub fn fail_on(&self, method: Option<&str>, path: Option<&str>, times: Option<u32>, fault: Fault) {
        self.sim.cluster().fail_on(&self.name, method, path, times, fault);
    }

    /// See [`Cluster::heal`].
    pub fn heal(&self) {
        self.sim.cluster().heal(&self.name);
    }
}
