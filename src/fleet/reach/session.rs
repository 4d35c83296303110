//! SSH sessions: one for each host and run, opened when first needed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::config::{Access, Config, ServerConfig, SshConfigSetting};
use crate::file;
use crate::fleet::Fleet;
use crate::model::id::ServerId;
use crate::transport::script::ScriptOutput;
use crate::transport::ssh::{
    self, ConfigSource, Hop, HostKeyPolicy, Lookup, Route, Session, SshConfig, SshHost, Survey,
};
use crate::transport::{self, Denial, Error};

/// How long what was read of `ssh_config` is good without a look at its files: a run that goes on for hours sees changes.
const FRESH: Duration = Duration::from_secs(10);

/// What `ssh -G` says of a host, and since when; it is being asked while there is nothing.
type Said = (Instant, Rc<OnceCell<Option<SshConfig>>>);

/// An `ssh_config` and its stamp.
struct Surveyed {
    survey: Survey,
    stamp: String,
}

/// What came of looking through `ssh_config`, or why nothing did.
type Looked = Result<Option<Rc<Surveyed>>, String>;

/// What all hosts' sessions share.
pub(crate) struct Shared {
    source: ConfigSource,
    /// What is known of `ssh_config` without asking ssh; `None`: there is nothing to ask about.
    survey: RefCell<Option<(Instant, Looked)>>,
    /// It is looked through once at a time.
    surveying: tokio::sync::Mutex<()>,
    /// What it says of hosts, each asked for once at a time.
    said: RefCell<HashMap<String, Said>>,
    keys: ssh::Keys,
    home: PathBuf,
    sessions: RefCell<HashMap<ServerId, Rc<OnceCell<Rc<Session>>>>>,
    /// By the server and its port.
    tunnels: RefCell<HashMap<(ServerId, u16), Tunnel>>,
}

/// A port of this machine that stands for one of a host, while its session does.
struct Tunnel {
    local: u16,
    session: Rc<Session>,
    task: JoinHandle<()>,
}

impl Shared {
    /// Nothing is connected or read yet.
    pub(crate) fn new(config: &Config) -> Shared {
        let source = source(config);
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        Shared {
            source,
            survey: RefCell::default(),
            surveying: tokio::sync::Mutex::default(),
            said: RefCell::default(),
            keys: ssh::Keys::default(),
            home,
            sessions: RefCell::default(),
            tunnels: RefCell::default(),
        }
    }
}

#[cfg(test)]
impl Shared {
    /// With the keys and known hosts of another home.
    pub(crate) fn at_home(self, home: PathBuf) -> Shared {
        Shared { home, ..self }
    }
}

/// Which `ssh_config` the configuration wants to be asked.
pub(crate) fn source(config: &Config) -> ConfigSource {
    match &config.settings.ssh_config {
        SshConfigSetting::Off => ConfigSource::Off,
        SshConfigSetting::Default => ConfigSource::Default,
        SshConfigSetting::File(path) => ConfigSource::File(path.clone()),
    }
}

impl Lookup for Fleet<'_> {
    fn config<'a>(&'a self, host: &'a SshHost) -> LocalBoxFuture<'a, Result<Option<SshConfig>, Error>> {
        Box::pin(self.ssh_config(host))
    }
}

/// Refuses a file of `[ssh]` that others may write, for it names commands. OpenSSH itself looks only at the usual ones.
fn refuse_exposed(source: &ConfigSource) -> std::io::Result<()> {
    let ConfigSource::File(path) = source else { return Ok(()) };
    file::refuse_foreign_links(path)?;
    // Opening it reports what else is wrong.
    let Ok(meta) = std::fs::metadata(path) else { return Ok(()) };
    if !meta.is_file() || !file::others_may_write(&meta) {
        return Ok(());
    }
    let word = file::shell_word(path);
    let text = format!("{} may be written by others: run `chmod go-w {word}`", path.display());
    Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text))
}

/// The refusal to reach over SSH what is configured without it.
pub(in crate::fleet) fn no_ssh(server: &ServerConfig) -> Error {
    let detail = "it is configured without SSH (type = \"proxmox\")".to_owned();
    Error::Denied { peer: server.id.to_string(), why: Denial::NoSsh, detail }
}

/// What the configuration says of reaching a server over SSH.
pub(crate) fn ssh_host(server: &ServerConfig) -> SshHost {
    SshHost {
        label: server.id.to_string(),
        host: server.hostname.clone(),
        port: server.ssh_port,
        user: server.ssh_user.clone(),
        key_path: server.ssh_key_path.clone(),
        proxy_jump: server.proxy_jump.clone(),
    }
}

impl Fleet<'_> {
    /// The way to a host: the configuration, completed by what `ssh -G` says.
    pub(crate) async fn route(&self, server: &ServerConfig) -> Result<Route, Error> {
        self.route_of(&ssh_host(server)).await
    }

    async fn route_of(&self, host: &SshHost) -> Result<Route, Error> {
        // `--timeout` also applies to the login: an agent may ask a person. A little is
        // left of a host's share, so that the step that took so long is named.
        let limit = self.limits.host * 19 / 20;
        Route::resolve(host, self, &self.ssh.home, limit).await
    }

    /// The hosts that `ssh_config` names: no patterns, but whatever else stands on its Host lines.
    pub(crate) async fn ssh_hosts(&self) -> Vec<String> {
        let surveyed = self.surveyed().await.ok().flatten();
        surveyed.map(|surveyed| surveyed.survey.hosts().to_vec()).unwrap_or_default()
    }

    /// Where a name of `ssh_config` leads, in words: `root@10.0.0.1:22 through jump`.
    pub(crate) async fn way_to(&self, name: &str) -> Result<String, Error> {
        let (label, host) = (name.to_owned(), name.to_owned());
        let host = SshHost { label, host, port: None, user: None, key_path: None, proxy_jump: None };
        let route = self.route_of(&host).await?;
        let Some((target, jumps)) = route.hops().split_last() else { return Ok(String::new()) };
        let mut way = format!("{}@{}:{}", target.user, target.host, target.port);
        for (i, jump) in jumps.iter().enumerate() {
            way += if i == 0 { " through " } else { ", " };
            way += &jump.label;
        }
        Ok(way)
    }

    /// What `ssh -G` says of a host. A run asks once, unless it goes on for long.
    async fn ssh_config(&self, host: &SshHost) -> Result<Option<SshConfig>, Error> {
        let key = format!("{}\t{:?}\t{:?}", host.host, host.port, host.user);
        let cell = {
            let mut said = self.ssh.said.borrow_mut();
            said.retain(|_, (since, _)| since.elapsed() < FRESH);
            said.entry(key.clone()).or_insert_with(|| (Instant::now(), Rc::default())).1.clone()
        };
        cell.get_or_try_init(|| self.asked_or_kept(host, &key)).await.cloned()
    }

    /// From the state file where nothing that has a say in it has changed since.
    async fn asked_or_kept(&self, host: &SshHost, key: &str) -> Result<Option<SshConfig>, Error> {
        let unreadable = |detail| Error::Local { peer: host.label.clone(), detail };
        let Some(surveyed) = self.surveyed().await.map_err(unreadable)? else { return Ok(None) };
        let Surveyed { survey, stamp } = surveyed.as_ref();
        let read = |text: &str| SshConfig { written: survey.written().clone(), ..ssh::parse(text) };
        // The answers only save time: a state file that cannot give or take one is no reason to fail.
        if let Ok(Some(text)) = self.state.ssh_answer(key, stamp) {
            return Ok(Some(read(&text)));
        }
        let text = ssh::ask(&self.ssh.source, host).await?;
        let config = read(&text);
        if config.canonicalized || !survey.is_of_ca(&host.host, config.hostname.as_deref()) {
            return Ok(Some(config));
        }
        if let Err(error) = self.state.put_ssh_answer(key, stamp, &text) {
            tracing::debug!(%error, "the answer of ssh -G was not kept");
        }
        Ok(Some(config))
    }

    async fn surveyed(&self) -> Looked {
        let _one_at_a_time = self.ssh.surveying.lock().await;
        if let Some((_, surveyed)) = self.ssh.survey.borrow().as_ref().filter(|(since, _)| since.elapsed() < FRESH) {
            return surveyed.clone();
        }
        let source = self.ssh.source.clone();
        let survey = file::in_time(self.limits.file(), move || {
            refuse_exposed(&source)?;
            Ok(Survey::of(&source).map(|survey| {
                let stamp = survey.stamp();
                Surveyed { survey, stamp }
            }))
        });
        let surveyed = survey.await.map(|surveyed| surveyed.map(Rc::new));
        let surveyed = surveyed.map_err(|error| format!("cannot use ssh_config: {error}"));
        self.ssh.survey.borrow_mut().insert((Instant::now(), surveyed)).1.clone()
    }

    /// The session with a host, opened if this run has none yet, or if the one it had was cut off.
    pub(crate) async fn session(&self, server: &ServerConfig, policy: HostKeyPolicy) -> Result<Rc<Session>, Error> {
        let cell = {
            let mut sessions = self.ssh.sessions.borrow_mut();
            let cell = sessions.entry(server.id.clone()).or_default();
            if cell.get().is_some_and(|session| session.is_closed()) {
                *cell = Rc::default();
            }
            cell.clone()
        };
        let session = cell
            .get_or_try_init(|| async {
                let route = self.route(server).await?;
                ssh::connect(&route, &self.ssh.keys, policy, self.ask).await.map(Rc::new)
            })
            .await?;
        Ok(session.clone())
    }

    /// Lets go of a server's session: what is asked next opens a new one. One with a host that sleeps looks open for
    /// a long time.
    pub(crate) fn forget_session(&self, server: &ServerId) {
        self.ssh.sessions.borrow_mut().remove(server);
    }

    /// A session of its own with the last jump host before a server; `None`: the way leads through none.
    pub(crate) async fn jump_session(&self, server: &ServerConfig) -> Result<Option<(Session, Hop)>, Error> {
        let route = self.route(server).await?;
        let (Some(jumps), Some(last)) = (route.to_jump(), route.hops().last()) else { return Ok(None) };
        let session = ssh::connect(&jumps, &self.ssh.keys, HostKeyPolicy::Refuse, self.ask).await?;
        Ok(Some((session, last.clone())))
    }

    /// Runs a script on a server: over SSH, or here if it is this machine.
    pub(crate) async fn run_script(
        &self,
        server: &ServerConfig,
        policy: HostKeyPolicy,
        script: &str,
        deadline: Duration,
    ) -> Result<ScriptOutput, Error> {
        match server.access {
            Access::Local => transport::local::run_script(script, deadline).await,
            Access::Ssh => self.session(server, policy).await?.run_script(script, deadline).await,
            Access::Api => Err(no_ssh(server)),
        }
    }

    /// Like `run_script`, connecting and all, within the time that one host has.
    pub(crate) async fn run_script_in_time(
        &self,
        server: &ServerConfig,
        policy: HostKeyPolicy,
        script: &str,
    ) -> Result<ScriptOutput, Error> {
        let after = self.limits.host;
        let run = self.run_script(server, policy, script, after);
        if policy == HostKeyPolicy::Ask {
            // A person may think as long as they like; each step has its own deadline.
            return run.await;
        }
        let late = |_| Error::Timeout { peer: server.id.to_string(), doing: "over SSH", after };
        tokio::time::timeout(after, run).await.map_err(late)?
    }

    /// A port of this machine whose connections end at `port` of the host itself, through its SSH session. There is
    /// one for each port, until the session breaks. Each connection still has to pass the host's own checks.
    pub(crate) async fn tunnel(&self, server: &ServerConfig, port: u16) -> Result<u16, Error> {
        let session = self.session(server, HostKeyPolicy::Refuse).await?;
        let unusable = |error: std::io::Error| Error::Protocol {
            peer: server.id.to_string(),
            detail: format!("no local end for an SSH tunnel: {error}"),
        };
        let key = (server.id.clone(), port);
        let mut tunnels = self.ssh.tunnels.borrow_mut();
        if let Some(tunnel) = tunnels.get(&key).filter(|tunnel| Rc::ptr_eq(&tunnel.session, &session)) {
            return Ok(tunnel.local);
        }
        // Nothing is waited for from here on: two that ask at once get one and the same.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(unusable)?;
        listener.set_nonblocking(true).map_err(unusable)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
        let local = listener.local_addr().map_err(unusable)?.port();
        let through = session.clone();
        // One task with all its connections: when it is aborted, they end with it, while the runtime still stands.
        let task = tokio::task::spawn_local(async move {
            let mut open = FuturesUnordered::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => open.push(carry(stream, &through, port)),
                        Err(_) => return,
                    },
                    Some(()) = open.next() => {}
                }
            }
        });
        if let Some(broken) = tunnels.insert(key, Tunnel { local, session, task }) {
            broken.task.abort();
        }
        Ok(local)
    }

    /// Says goodbye to all hosts at once.
    pub(crate) async fn close(&self) {
        let tunnels: Vec<_> = self.ssh.tunnels.borrow_mut().drain().map(|(_, tunnel)| tunnel).collect();
        for Tunnel { task, session, .. } in tunnels {
            task.abort();
            let _ = task.await;
            drop(session);
        }
        let sessions: Vec<_> = self.ssh.sessions.borrow_mut().drain().map(|(_, cell)| cell).collect();
        let open = sessions.into_iter().filter_map(|cell| Rc::into_inner(cell)?.into_inner());
        futures::future::join_all(open.filter_map(Rc::into_inner).map(Session::close)).await;
    }
}

/// Carries one connection through a session until either side ends it.
async fn carry(mut near: TcpStream, session: &Session, port: u16) {
    if let Ok(mut far) = session.forward("127.0.0.1", port).await {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
