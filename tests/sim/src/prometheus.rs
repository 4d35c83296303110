//! The real Prometheus, and its exporter of text files, where they are installed.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::host::find_program;

/// How long a program may take until it answers; a busy machine with two CPUs needs some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A password, and what a `web.config.file` of Prometheus has for it.
pub const PASSWORD: &str = "hunter2-c0ffee";
const PASSWORD_BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuJX.vw7zbDCifeL44hEJrc0wGlT8mWLS";
/// `ecobox:hunter2-c0ffee` in Base64, as an `Authorization` header has it.
const BASIC: &str = "Basic ZWNvYm94Omh1bnRlcjItYzBmZmVl";

/// A Prometheus of its own, that takes remote writes and keeps them in a temporary folder. Dropping it ends it.
pub struct Prometheus {
    process: Process,
    program: std::path::PathBuf,
    folder: tempfile::TempDir,
    tls: bool,
    /// Whom it lets in.
    authorization: Option<&'static str>,
}

impl Prometheus {
    /// `None`, and a loud line on stderr, if there is no Prometheus here.
    pub fn start() -> Option<Prometheus> {
        Prometheus::start_with("{}\n", |_| String::new(), None)
    }

    /// One that asks this exporter, several times a second.
    pub fn start_scraping(exporter: &NodeExporter) -> Option<Prometheus> {
        let config = format!(
            "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n- job_name: node\n  static_configs:\n  \
             - targets: [\"127.0.0.1:{}\"]\n",
            exporter.process.port
        );
        Prometheus::start_with(&config, |_| String::new(), None)
    }

    /// One that lets in only the user `ecobox` with [`PASSWORD`].
    pub fn start_with_password() -> Option<Prometheus> {
        Prometheus::start_with("{}\n", |_| format!("basic_auth_users:\n  ecobox: {PASSWORD_BCRYPT}\n"), Some(BASIC))
    }

    /// One that answers over TLS only, with this certificate and key (PEM).
    pub fn start_with_tls(certificate: &str, key: &str) -> Option<Prometheus> {
        let web_config = |folder: &Path| {
            fs::write(folder.join("tls.pem"), certificate).expect("a file in our folder");
            fs::write(folder.join("tls.key"), key).expect("a file in our folder");
            "tls_server_config:\n  cert_file: tls.pem\n  key_file: tls.key\n".to_owned()
        };
        Prometheus::start_with("{}\n", web_config, None)
    }

    fn start_with(
        config: &str,
        web_config: impl FnOnce(&Path) -> String,
        authorization: Option<&'static str>,
    ) -> Option<Prometheus> {
        let program = installed("prometheus", "prometheus")?;
        let folder = tempfile::Builder::new().prefix("ecobox-prometheus-").tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("config.yml"), config).expect("a file in our folder");
        let web_config = web_config(folder.path());
        let tls = web_config.contains("tls_server_config");
        fs::write(path("web.yml"), web_config).expect("a file in our folder");
        let process = launch(&program, folder.path(), tls, authorization);
        Some(Prometheus { process, program, folder, tls, authorization })
    }

    /// Starts it again, on another port, after [`Prometheus::kill`]: it has what it had.
    pub fn restart(&mut self) {
        self.process = launch(&self.program, self.folder.path(), self.tls, self.authorization);
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.process.port
    }

    /// The answer to a GET, headers and all.
    pub fn get(&self, path: &str) -> String {
        get(self.port(), path, self.authorization).expect("Prometheus answers")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once. Its port is closed then.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Starts Prometheus on what is in its folder.
fn launch(program: &Path, folder: &Path, tls: bool, authorization: Option<&'static str>) -> Process {
    let path = |name: &str| folder.join(name);
    let command = |port: u16| {
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--web.enable-remote-write-receiver");
        command.arg(format!("--config.file={}", path("config.yml").display()));
        command.arg(format!("--web.config.file={}", path("web.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", path("data").display())).arg("--storage.tsdb.retention.time=10y");
        command
    };
    // `get` speaks no TLS, and an open port is not enough: until the storage is open, writes are answered with a 503.
    let says_ready = || fs::read_to_string(path("log")).is_ok_and(|log| log.contains("Server is ready to receive web"));
    let ready = |port| match tls {
        true => says_ready() && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
        false => get(port, "/-/ready", authorization).is_some_and(|answer| answer.starts_with("HTTP/1.0 200 ")),
    };
    Process::start("prometheus", &folder.join("log"), command, ready)
}

/// node_exporter with nothing but its collector of text files, for one folder. Dropping it ends it.
pub struct NodeExporter {
    process: Process,
    _folder: tempfile::TempDir,
}

impl NodeExporter {
    /// `None`, and a loud line on stderr, if there is no node_exporter here.
    pub fn start(texts: &Path) -> Option<NodeExporter> {
        let program =
            find_program("prometheus-node-exporter").or_else(|| installed("node_exporter", "node_exporter"))?;
        let folder = tempfile::Builder::new().prefix("ecobox-exporter-").tempdir().expect("a temporary folder");
        let command = |port: u16| {
            let mut command = Command::new(&program);
            command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--collector.disable-defaults");
            command.args(["--web.disable-exporter-metrics", "--collector.textfile"]);
            command.arg(format!("--collector.textfile.directory={}", texts.display()));
            command
        };
        let ready = |port| get(port, "/", None).is_some_and(|answer| answer.starts_with("HTTP/1.0 200 "));
        let process = Process::start("node_exporter", &folder.path().join("log"), command, ready);
        Some(NodeExporter { process, _folder: folder })
    }

    /// What it makes of the files now.
    pub fn scrape(&self) -> String {
        get(self.process.port, "/metrics", None).expect("node_exporter answers")
    }
}

/// Has `promtool check metrics` look at a text: what it complains about, nothing where it is content. `None`, and a loud
/// line on stderr, if there is no promtool here.
pub fn promtool_check_metrics(text: &str) -> Option<String> {
    let mut command = Command::new(installed("promtool", "prometheus")?);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let _ = writeln!(said, "({})", output.status);
    }
    Some(said)
}

/// A program that listens.
struct Process {
    child: Child,
    port: u16,
}

impl Process {
    /// Starts it on a port that was free a moment ago, and waits until it is ready. Another port, where somebody else
    /// was faster.
    fn start(name: &str, log: &Path, command: impl Fn(u16) -> Command, ready: impl Fn(u16) -> bool) -> Process {
        let mut said = String::new();
        for _ in 0..3 {
            let port = free_port();
            let mut command = command(port);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(log).expect("a file in our folder"));
            // Where it would look for files of its own, and keep some.
            command.current_dir(log.parent().expect("a file in a folder"));
            let mut process = Process { child: command.spawn().expect("an installed program starts"), port };
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE && matches!(process.child.try_wait(), Ok(None)) {
                if ready(port) {
                    return process;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            process.kill();
            said = fs::read_to_string(log).unwrap_or_default();
        }
        panic!("{name} does not start:\n{said}");
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn installed(program: &str, package: &str) -> Option<std::path::PathBuf> {
    let found = find_program(program);
    if found.is_none() {
        skipped(&format!("{package} is not installed"));
    }
    found
}

/// Past the test harness, which shows nothing of a test that passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    probe.local_addr().expect("a bound socket").port()
}

/// The answer to a GET, or `None` if there is none.
fn get(port: u16, path: &str, authorization: Option<&str>) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let authorization = authorization.map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}
