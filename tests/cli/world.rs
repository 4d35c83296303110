//! A world with hosts in it: clusters whose nodes have an API and an SSH server in front, plain hosts, and a client
//! whose key may log in everywhere.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ecobox_sim::host::{Builder, Host, Rights};
use ecobox_sim::keys::ClientKey;
use ecobox_sim::ssh::SshServer;
use ecobox_sim::sshd::RealSshd;
use ecobox_sim::{Cluster, Sim};
use tokio::runtime::Runtime;

use super::env::{Env, Run};

/// A home with a key, and the means to serve hosts to it.
pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) key: ClientKey,
    runtime: Runtime,
}

/// A host behind a simulated SSH server.
pub(crate) struct Served {
    /// Its own name, and its id in configurations.
    pub(crate) name: String,
    pub(crate) host: Host,
    pub(crate) ssh: SshServer,
    /// The port of its API, if it has one.
    pub(crate) api_port: Option<u16>,
}

/// A cluster, each node of which is a host, too.
pub(crate) struct Pve {
    pub(crate) sim: Sim,
    pub(crate) nodes: Vec<Served>,
}

impl World {
    pub(crate) fn new() -> World {
        let env = Env::new();
        fs::DirBuilder::new().mode(0o700).create(env.home().join(".ssh")).unwrap();
        let key = ClientKey::create(&env.home().join(".ssh/id_ed25519"), None);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        World { env, key, runtime }
    }

    /// Serves a host over SSH.
    pub(crate) fn serve(&self, host: Host) -> Served {
        let ssh = self.runtime.block_on(SshServer::start(&host, std::slice::from_ref(&self.key.public)));
        Served { name: host.name().to_owned(), host, ssh, api_port: None }
    }

    /// The same by the real sshd, where it is installed; the host sees `login`.
    pub(crate) fn serve_really(&self, host: &Host, login: &str) -> Option<RealSshd> {
        self.runtime.block_on(RealSshd::start_as(host, std::slice::from_ref(&self.key.public), login))
    }

    /// The same with further lines of sshd's configuration.
    pub(crate) fn serve_configured(&self, host: &Host, lines: &str) -> Option<RealSshd> {
        let keys = std::slice::from_ref(&self.key.public);
        self.runtime.block_on(RealSshd::start_configured(host, keys, "root", lines))
    }

    /// Serves this machine itself by the real sshd, where it is installed.
    pub(crate) fn serve_this_machine(&self, programs: &Path) -> Option<RealSshd> {
        self.runtime.block_on(RealSshd::start_on_this_machine(std::slice::from_ref(&self.key.public), programs))
    }

    /// Starts a cluster, with a host for each of its nodes.
    pub(crate) fn cluster(&self, cluster: Cluster) -> Pve {
        self.cluster_with(cluster, |builder| builder)
    }

    /// The same with hosts that are described further. Besides root, `admin` may log in and use sudo.
    pub(crate) fn cluster_with(&self, cluster: Cluster, describe: impl Fn(Builder) -> Builder) -> Pve {
        let access = cluster.shared_access();
        let names = cluster.node_names();
        let builders: Vec<Builder> = names
            .iter()
            .map(|name| {
                let others: Vec<&str> = names.iter().filter(|other| *other != name).map(String::as_str).collect();
                let builder = Host::pve(name).version(cluster.version()).access(access.clone()).other_nodes(&others);
                let node = cluster.identity(name).pem();
                describe(builder.login("admin", Rights::Sudo).certificates(cluster.ca().pem(), &node))
            })
            .collect();
        let sim = Sim::start(cluster);
        let nodes = names.iter().zip(builders).map(|(name, builder)| {
            let host = builder.build();
            let api_port = sim.node(name).port();
            host.map_port(8006, api_port);
            Served { api_port: Some(api_port), ..self.serve(host) }
        });
        let nodes = nodes.collect();
        let pve = Pve { sim, nodes };
        pve.publish_certificates();
        pve
    }

    /// Three nodes with a few guests, configured by their names, and their host keys known.
    pub(crate) fn three_nodes(&self) -> Pve {
        let pve = self.cluster(
            Cluster::new("homelab")
                .node("pve1")
                .node("pve2")
                .node("pve3")
                .vm(101, "web-01", |vm| vm.on("pve1").running().tags("prod;web").agent_ip("10.99.0.101"))
                .vm(102, "db-01", |vm| vm.on("pve2").running())
                .vm(103, "spare", |vm| vm.on("pve3"))
                .ct(201, "dns", |ct| ct.on("pve2").running().agent_ip("10.99.0.53")),
        );
        self.configure(&pve.entries());
        self.know_all(&pve.nodes);
        pve
    }

    /// One node without guests, configured, its host key known.
    pub(crate) fn one_node(&self) -> Pve {
        self.node_of("9.2.11", |builder| builder)
    }

    /// The same of another version, or described further.
    pub(crate) fn node_of(&self, version: &str, describe: impl Fn(Builder) -> Builder) -> Pve {
        let pve = self.cluster_with(Cluster::new("single").pve(version).node("pve1"), describe);
        self.configure(&pve.entries());
        self.know_all(&pve.nodes);
        pve
    }

    /// Writes a configuration of these entries.
    pub(crate) fn configure(&self, entries: &str) {
        self.env.config(entries);
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.env.home().join(".ssh/known_hosts")
    }

    /// Adds a line to `known_hosts`.
    pub(crate) fn know_line(&self, line: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.known_hosts()).unwrap();
        file.write_all(line.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn know(&self, served: &Served) {
        self.know_line(&served.ssh.known_hosts_line());
    }

    pub(crate) fn know_all(&self, served: &[Served]) {
        for one in served {
            self.know(one);
        }
    }

    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.env.run(args)
    }

    /// Every value of the state file's tables, except the tokens' secrets, as text.
    pub(crate) fn state_dump(&self) -> String {
        let mut dump = String::new();
        let conn = self.state();
        for table in tables(&conn) {
            let mut statement = conn.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for (index, column) in columns.iter().enumerate() {
                    if (table.as_str(), column.as_str()) != ("tokens", "secret") {
                        let value: rusqlite::types::Value = row.get(index).unwrap();
                        writeln!(dump, "{table}.{column}: {value:?}").unwrap();
                    }
                }
            }
        }
        dump
    }

    /// How many rows a table of the state file has.
    pub(crate) fn count(&self, table: &str) -> i64 {
        self.state().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// One column of a table of the state file.
    pub(crate) fn column(&self, table: &str, column: &str) -> Vec<String> {
        let conn = self.state();
        let mut statement = conn.prepare(&format!("SELECT {column} FROM {table} ORDER BY 1")).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The state file, opened beside ecobox.
    pub(crate) fn state(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.env.state_path()).unwrap()
    }
}

fn tables(conn: &rusqlite::Connection) -> Vec<String> {
    let mut statement = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

impl Served {
    /// Its entry in a configuration, logging in as root.
    pub(crate) fn entry(&self) -> String {
        self.entry_as("root")
    }

    pub(crate) fn entry_as(&self, user: &str) -> String {
        entry(&self.name, user, self.ssh.port(), self.api_port)
    }
}

impl Served {
    /// The same with the way by which its network card hears magic packets.
    pub(crate) fn wakeable(&self) -> String {
        format!("{}{}", self.entry().trim_end(), self.wol(""))
    }

    /// The table of it, with further keys.
    pub(crate) fn wol(&self, more: &str) -> String {
        let (mac, port) = (self.host.wol_mac(), self.host.wol_port());
        format!("\n[servers.wol]\nmac = \"{mac}\"\nbroadcast = \"127.0.0.1\"\nport = {port}\n{more}\n")
    }

    /// How many correct magic packets came.
    pub(crate) fn packets(&self) -> usize {
        self.host.wol_packets().iter().filter(|packet| packet.correct).count()
    }
}

/// A host on loopback, for a configuration.
pub(crate) fn entry(id: &str, user: &str, ssh_port: u16, api_port: Option<u16>) -> String {
    let mut text =
        format!("[[servers]]\nid = \"{id}\"\nhostname = \"127.0.0.1\"\nssh_user = \"{user}\"\nssh_port = {ssh_port}\n");
    if let Some(port) = api_port {
        writeln!(text, "api_port = {port}").unwrap();
    }
    text + "\n"
}

/// Rounds of magic packets follow each other fast.
pub(crate) const FAST: &str = "[dashboard]\nwol_retry_interval = \"0.2s\"\n\n";

impl Pve {
    /// The API of each node sleeps with its host.
    pub(crate) fn sleeps_with_hosts(&self) {
        for node in &self.nodes {
            self.sim.handle().follow(&node.name, node.host.asleep());
        }
    }

    pub(crate) fn entries(&self) -> String {
        self.nodes.iter().map(Served::entry).collect()
    }

    pub(crate) fn entries_as(&self, user: &str) -> String {
        self.nodes.iter().map(|node| node.entry_as(user)).collect()
    }

    pub(crate) fn node(&self, name: &str) -> &Served {
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }

    /// The tokens that the cluster has, by their full ids.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.sim.cluster().access().tokens()
    }

    /// The secrets of all its tokens.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let cluster = self.sim.cluster();
        let access = cluster.access();
        access.tokens().iter().map(|id| access.secret(id).unwrap().to_owned()).collect()
    }

    /// The pveum command lines so far, without those that only read.
    pub(crate) fn writes(&self) -> Vec<String> {
        let cluster = self.sim.cluster();
        let audit = cluster.access().audit().to_vec();
        audit.into_iter().filter(|line| !line.contains(" list")).collect()
    }

    /// Tells the cluster and its hosts whether there is a quorum.
    pub(crate) fn set_quorate(&self, quorate: bool) {
        self.sim.cluster().set_quorate(quorate);
        for node in &self.nodes {
            node.host.set_quorate(quorate);
        }
    }

    /// Puts the certificates that the cluster has now into the hosts' files.
    pub(crate) fn publish_certificates(&self) {
        for node in &self.nodes {
            node.host.set_certificates(&self.sim.ca_pem(), &self.sim.node(&node.name).certificate_pem());
            for other in self.nodes.iter().filter(|other| other.name != node.name) {
                node.host.set_node_certificate(&other.name, &self.sim.node(&other.name).certificate_pem());
            }
        }
    }

    /// Exactly one token of this machine is on the cluster, it is the stored one and works, and no intent is left.
    #[track_caller]
    pub(crate) fn assert_one_usable_token(&self, world: &World) {
        let tokens = self.tokens();
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        assert_eq!(world.column("tokens", "token_id"), tokens);
        assert_eq!(world.column("tokens", "secret"), self.secrets());
        assert_eq!(world.count("intents"), 0, "{}", world.state_dump());
        let cluster = self.sim.cluster();
        let privileges = cluster.access().privileges(&tokens[0], "/");
        assert!(privileges.contains("VM.Audit"), "{privileges:?}");
    }

    /// No secret is in what was printed, nor in the state file outside of its place.
    #[track_caller]
    pub(crate) fn assert_secret(&self, world: &World, runs: &[&Run]) {
        let dump = world.state_dump();
        for secret in self.secrets() {
            assert!(!dump.contains(&secret), "the secret stands in the state file:\n{dump}");
            for run in runs {
                assert!(!run.stdout.contains(&secret) && !run.stderr.contains(&secret), "printed:\n{run}");
            }
        }
    }
}

/// Waits until something has happened.
#[track_caller]
pub(crate) fn until(happened: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not happen");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Waits until something has happened, for so long at most; says whether it has.
pub(crate) fn until_within(patience: Duration, happened: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !happened() {
        if begun.elapsed() > patience {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    true
}

/// Whether a transcript has a token's name or a response time. Letters of a fingerprint are neither.
pub(crate) fn has_names_of_any_width(text: &str) -> bool {
    let mut words = text.split_whitespace().filter(|word| !word.contains("SHA256:"));
    words.any(|word| word.contains("@pve!") || word.contains("ms"))
}

/// Compares a transcript with its snapshot; what differs from run to run has a name instead.
macro_rules! assert_transcript {
    ($name:expr, $run:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (pattern, name) in [
            (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:KEY"),
            (r"!(?:[A-Za-z0-9-]+)-[0-9a-f]{6}\b", "!THIS-MACHINE"),
            (r"token (add|remove) (\S+) [A-Za-z0-9-]+-[0-9a-f]{6}\b", "token $1 $2 THIS-MACHINE"),
            (r"ecobox on [A-Za-z0-9.-]+, \d{4}-\d\d-\d\d", "ecobox on HOST, DATE"),
            (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"\[127\.0\.0\.1\]:\d+", "[127.0.0.1]:PORT"),
            (r"-p \d+ ", "-p PORT "),
            (r"<?\d+ms\b", "0ms"),
            (r"within [0-9.]+ s\b", "within SECONDS"),
            (r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", "FINGERPRINT"),
        ] {
            settings.add_filter(pattern, name);
        }
        let text = $run.to_string();
        if $crate::cli::world::has_names_of_any_width(&text) {
            // Columns are as wide as the names that are replaced.
            settings.add_filter(r"(\S)   +", "$1  ");
        }
        settings.bind(|| insta::assert_snapshot!($name, text));
    }};
}
pub(crate) use assert_transcript;
