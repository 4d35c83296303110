//! The least that a program can do for ecobox's jobs: what `tests/bench/run.py` holds ecobox against. No
//! configuration, no state, no second try. Settings come by the environment:
//!
//! `floor start`                       nothing at all
//! `floor list`                        a cluster's guests              PORT TOKEN CA
//! `floor addresses PER_NODE`          the same with their addresses   PORT TOKEN CA
//! `floor ssh SCRIPT USER KEY HOST..`  a script's output on each host  PORT HOST_KEY
#![expect(clippy::print_stdout, reason = "a tool: it prints")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate, load_secret_key};
use russh::{ChannelMsg, client};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Tls = BufReader<StreamOwned<ClientConnection, TcpStream>>;

/// Hosts that are worked on at a time.
const AT_ONCE: usize = 64;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["start"] => Ok(()),
        ["list"] => Api::new()?.list(0),
        ["addresses", per_node] => Api::new()?.list(per_node.parse()?),
        ["ssh", script, user, key, hosts @ ..] => ssh(script, user, key, hosts),
        _ => Err("see the top of floor.rs".into()),
    }
}

fn setting(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| format!("{name} is not set").into())
}

/// One row of the listing; rows that are no guests have no vmid.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    vmid: u32,
    #[serde(default)]
    name: &'a str,
    #[serde(default)]
    node: &'a str,
    #[serde(default)]
    status: &'a str,
    #[serde(default)]
    cpu: f64,
    #[serde(default)]
    mem: u64,
    #[serde(default)]
    uptime: u64,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

struct Api {
    port: u16,
    token: String,
    tls: Arc<ClientConfig>,
}

impl Api {
    fn new() -> Result<Api, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(setting("CA")?)?)?;
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Api { port: setting("PORT")?.parse()?, token: setting("TOKEN")?, tls: Arc::new(tls) })
    }

    /// Status and body of a GET over this connection, or a new one where there is none (any more).
    fn get(&self, connection: &mut Option<Tls>, path: &str) -> Result<(u16, Vec<u8>), Failure> {
        let mut tls = match connection.take() {
            Some(tls) => tls,
            None => {
                let tcp = TcpStream::connect(("127.0.0.1", self.port))?;
                tcp.set_nodelay(true)?;
                let client = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from("pve1")?)?;
                BufReader::with_capacity(1 << 16, StreamOwned::new(client, tcp))
            }
        };
        let token = &self.token;
        let request =
            format!("GET /api2/json{path} HTTP/1.1\r\nHost: pve1\r\nAuthorization: PVEAPIToken={token}\r\n\r\n");
        tls.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length, mut closes) = (0, 0, false);
        loop {
            let mut line = String::new();
            tls.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).unwrap_or_default().parse()?;
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse()?;
            } else if line == "connection: close" {
                closes = true;
            }
        }
        let mut body = vec![0; length];
        tls.read_exact(&mut body)?;
        if !closes {
            *connection = Some(tls);
        }
        Ok((status, body))
    }

    /// Prints all guests; with their addresses if so many are asked at a time on each node.
    fn list(&self, per_node: usize) -> Result<(), Failure> {
        let (status, body) = self.get(&mut None, "/cluster/resources")?;
        if status != 200 {
            return Err(format!("status {status}").into());
        }
        let rows: Vec<Row<'_>> = serde_json::from_slice::<Data<Vec<Row<'_>>>>(&body)?.data;
        let rows: Vec<&Row<'_>> = rows.iter().filter(|row| row.vmid > 0).collect();
        let addresses = if per_node == 0 { BTreeMap::new() } else { self.addresses(&rows, per_node)? };
        let mut out = Vec::new();
        for Row { kind, vmid, name, node, status, cpu, mem, uptime } in rows {
            let ip = addresses.get(vmid).map_or("-", String::as_str);
            writeln!(out, "{kind}\t{vmid}\t{name}\t{node}\t{status}\t{cpu}\t{mem}\t{uptime}\t{ip}")?;
        }
        std::io::stdout().write_all(&out)?;
        Ok(())
    }

    fn addresses(&self, rows: &[&Row<'_>], per_node: usize) -> Result<BTreeMap<u32, String>, Failure> {
        let mut nodes: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.status == "running") {
            nodes.entry(row.node).or_default().push(row);
        }
        let found = Mutex::new(BTreeMap::new());
        let queues: Vec<_> = nodes.into_values().map(|guests| Mutex::new(guests.into_iter())).collect();
        std::thread::scope(|scope| {
            let workers = queues.iter().flat_map(|queue| std::iter::repeat_n(queue, per_node));
            let work = |queue: &Mutex<std::vec::IntoIter<&Row<'_>>>| -> Result<(), Failure> {
                let mut connection = None;
                loop {
                    let Some(row) = queue.lock().map_err(|_| "lock")?.next() else { return Ok(()) };
                    let what = if row.kind == "lxc" { "interfaces" } else { "agent/network-get-interfaces" };
                    let path = format!("/nodes/{}/{}/{}/{what}", row.node, row.kind, row.vmid);
                    let (_, body) = self.get(&mut connection, &path)?;
                    let text = String::from_utf8(body)?;
                    if let Some((_, rest)) = text.split_once("\"10.") {
                        let ip = format!("10.{}", rest.split(['"', '/']).next().unwrap_or_default());
                        found.lock().map_err(|_| "lock")?.insert(row.vmid, ip);
                    }
                }
            };
            let workers: Vec<_> = workers.map(|queue| scope.spawn(move || work(queue))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
        })?;
        Ok(found.into_inner()?)
    }
}

/// Runs a script on all hosts from one thread.
fn ssh(script: &str, user: &str, key: &str, hosts: &[&str]) -> Result<(), Failure> {
    let job = Arc::new(Job {
        script: std::fs::read(script)?,
        user: user.to_owned(),
        key: Arc::new(load_secret_key(key, None)?),
        host_key: russh::keys::load_public_key(setting("HOST_KEY")?)?,
        port: setting("PORT")?.parse()?,
        config: Arc::default(),
    });
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = tokio::task::JoinSet::new();
        for host in hosts {
            let (job, places, host) = (Arc::clone(&job), Arc::clone(&places), (*host).to_owned());
            running.spawn(async move {
                let _place = places.acquire().await?;
                job.run(&host).await
            });
        }
        while let Some(output) = running.join_next().await {
            println!("{}", output??.lines().count());
        }
        Ok(())
    })
}

struct Job {
    script: Vec<u8>,
    user: String,
    key: Arc<russh::keys::PrivateKey>,
    host_key: PublicKey,
    port: u16,
    config: Arc<client::Config>,
}

struct Known(PublicKey);

impl client::Handler for Known {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(matches!(key, PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.0.key_data()))
    }
}

impl Job {
    async fn run(&self, host: &str) -> Result<String, Failure> {
        let tcp = tokio::net::TcpStream::connect((host, self.port)).await?;
        tcp.set_nodelay(true)?;
        let known = Known(self.host_key.clone());
        let mut session = client::connect_stream(Arc::clone(&self.config), AtOnce(tcp), known).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), None);
        if !session.authenticate_publickey(&self.user, key).await?.success() {
            return Err("not let in".into());
        }
        let mut channel = session.channel_open_session().await?;
        channel.exec(true, "sh -s").await?;
        channel.data(&self.script[..]).await?;
        channel.eof().await?;
        let mut output = Vec::new();
        while let Some(message) = channel.wait().await {
            if let ChannelMsg::Data { data } = message {
                output.extend_from_slice(&data);
            }
        }
        Ok(String::from_utf8(output)?)
    }
}

/// TCP that acknowledges what it reads at once: sshd waits for it.
struct AtOnce(tokio::net::TcpStream);

impl AsyncRead for AtOnce {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_read(cx, into))?;
        Poll::Ready(socket2::SockRef::from(&self.0).set_tcp_quickack(true))
    }
}

impl AsyncWrite for AtOnce {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
