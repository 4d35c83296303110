//! Simulated clusters that many tests begin with, and the configuration that reaches them.

use ecobox_sim::{Agent, Cluster, Sim};

use super::env::{CANARY, Env};

/// What `setup-token --scope operator` grants.
pub(crate) const OPERATOR: &[&str] =
    &["VM.Audit", "VM.PowerMgmt", "VM.GuestAgent.Audit", "Sys.Audit", "Datastore.Audit"];

/// What `setup-token --scope manager` grants.
pub(crate) const MANAGER: &[&str] =
    &["VM.Audit", "VM.PowerMgmt", "VM.GuestAgent.Audit", "Sys.Audit", "Datastore.Audit", "VM.Snapshot", "VM.Migrate"];

/// The token of all simulated clusters.
pub(crate) const TOKEN: &str = "ecobox@pve!test";

/// The token with its secret, as it is given to ecobox.
pub(crate) fn full_token() -> String {
    format!("{TOKEN}={CANARY}")
}

/// A cluster with the usual token.
pub(crate) fn cluster(name: &str) -> Cluster {
    Cluster::new(name).token(TOKEN, CANARY, "/", OPERATOR)
}

/// One host with a guest in each state.
pub(crate) fn homelab() -> Sim {
    let node = |node: ecobox_sim::Node| node.size(8, 32 << 30).load(0.08, 8 << 30).uptime(1_000_000);
    let cluster = cluster("homelab")
        .node_with("pve1", node)
        .vm(101, "web-01", |vm| {
            let vm = vm.running().size(2, 4096).load(0.25, 1 << 30).tags("prod;web").pool("live");
            vm.agent_ip("10.99.0.101").uptime(273_600).ha("started")
        })
        .vm(102, "db", |vm| vm.running().size(4, 8192).tags("prod").pool("live").locked("backup").agent(Agent::Dead))
        .vm(103, "", ecobox_sim::Guest::stopped)
        .vm(105, "desktop", ecobox_sim::Guest::paused)
        .vm(106, "laptop", ecobox_sim::Guest::hibernated)
        .vm(107, "broken", |vm| vm.in_state("io-error"))
        .vm(9000, "template", ecobox_sim::Guest::template)
        .ct(201, "ct-web", |ct| ct.running().size(1, 512).tags("web").agent_ip("10.99.0.201"))
        .ct(202, "ct-old", ecobox_sim::Guest::stopped);
    Sim::start(cluster)
}

/// Three nodes with a few guests each.
pub(crate) fn three() -> Sim {
    Sim::start(three_nodes())
}

pub(crate) fn three_nodes() -> Cluster {
    cluster("lab")
        .node("pve1")
        .node("pve2")
        .node("pve3")
        .vm(101, "web-01", |vm| vm.on("pve1").running().tags("web"))
        .vm(102, "web-02", |vm| vm.on("pve2").running().tags("web;prod").pool("live"))
        .vm(103, "web-03", |vm| vm.on("pve3").stopped())
        .ct(201, "dns", |ct| ct.on("pve2").running().agent_ip("10.99.0.53"))
        .vm(9001, "golden", |vm| vm.on("pve3").template())
}

/// The entry of one simulated node, reached by the API alone and known by its certificate.
pub(crate) fn api(id: &str, sim: &Sim, node: &str) -> String {
    let (port, fingerprint) = (sim.node(node).port(), sim.node(node).fingerprint());
    format!("{}fingerprint = \"{fingerprint}\"\n\n", untrusted(id, port))
}

/// An entry without a word on the certificate.
pub(crate) fn untrusted(id: &str, port: u16) -> String {
    format!("[[servers]]\nid = \"{id}\"\ntype = \"proxmox\"\nhostname = \"127.0.0.1\"\napi_port = {port}\n")
}

/// A plain server whose SSH port is this one.
pub(crate) fn plain(id: &str, port: u16) -> String {
    format!("[[servers]]\nid = \"{id}\"\nhostname = \"127.0.0.1\"\nssh_port = {port}\n\n")
}

/// The variable that gives a server's token.
pub(crate) fn variable(id: &str) -> String {
    format!("ECOBOX_TOKEN_{}", id.to_uppercase().replace(['-', '.'], "_"))
}

/// A world whose configuration reaches these nodes, each under its own name, with the token in the environment.
pub(crate) fn env_for(sim: &Sim, nodes: &[&str]) -> Env {
    let mut env = Env::new();
    env.config(&nodes.iter().map(|node| api(node, sim, node)).collect::<String>());
    for node in nodes {
        env.set(&variable(node), full_token());
        env.replace(sim.node(node).port(), &format!("PORT-{node}"));
        env.replace(sim.node(node).fingerprint(), &format!("FINGERPRINT-{node}"));
    }
    env
}

/// A port of 127.0.0.1 where nothing listens: tcpmux, which nobody runs.
pub(crate) const CLOSED: u16 = 1;

/// A port that accepts connections and says nothing.
pub(crate) struct Open(std::net::TcpListener);

impl Open {
    pub(crate) fn new() -> Open {
        Open(std::net::TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// A port that lets nobody in and refuses nobody: its queue is full, so that the system drops whoever comes.
pub(crate) struct Silent {
    listener: socket2::Socket,
    _queue: Vec<std::net::TcpStream>,
}

impl Silent {
    pub(crate) fn new() -> Silent {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let patience = std::time::Duration::from_millis(100);
        let queue = (0..4).map_while(|_| std::net::TcpStream::connect_timeout(&address, patience).ok()).collect();
        Silent { listener, _queue: queue }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }
}
