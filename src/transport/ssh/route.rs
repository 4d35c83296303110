//! The way to a host: which servers in turn, and for each one who logs in there, with what, and who vouches for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::host::login::{is_host_name, is_user_name};
use crate::transport::Error;
use crate::transport::probe::peer;
use crate::transport::ssh::SshHost;
use crate::transport::ssh::account::{own_home, own_name};
use crate::transport::ssh::config::path_lists::apart;
use crate::transport::ssh::config::percent_tokens::Tokens;
use crate::transport::ssh::config::{Lookup, SshConfig};
use crate::transport::ssh::known_hosts::Names;

const DEFAULT_PORT: u16 = 22;
/// More hops than this are a circle.
const MOST_HOPS: usize = 8;
/// Tried when nothing names a key, the likeliest first. OpenSSH has the same names in another order.
const DEFAULT_KEYS: [&str; 5] = ["id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk"];

/// A private key file that may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) path: PathBuf,
    /// Somebody named it: its absence is worth a word.
    pub(crate) named: bool,
}

/// How a hop's SSH server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// TCP, through the hop before if there is one.
    Tcp,
    /// The standard input and output of a shell command.
    Command(String),
}

/// One SSH server on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    /// For messages: the server's id, or the name of a jump host.
    pub(crate) label: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) via: Via,
    pub(crate) names: Names,
    /// The first user file is the one that keys are added to.
    pub(crate) user_known_hosts: Vec<PathBuf>,
    pub(crate) global_known_hosts: Vec<PathBuf>,
    /// Keys that no host may have, besides the `@revoked` ones.
    pub(crate) revoked: Option<PathBuf>,
    pub(crate) hash_known_hosts: bool,
    /// `ssh_config` forbids to add keys.
    pub(crate) strict: bool,
    pub(crate) identities: Vec<Identity>,
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
    /// For key exchange and login together, without a person's answers.
    pub(crate) limit: Duration,
}

impl Hop {
    /// `label (host:port)`, or `host:port` alone.
    pub(crate) fn peer(&self) -> String {
        let address = peer(&self.host, self.port);
        if self.label == self.host { address } else { format!("{} ({address})", self.label) }
    }

    pub(crate) fn known_hosts(&self) -> Vec<PathBuf> {
        self.user_known_hosts.iter().chain(&self.global_known_hosts).cloned().collect()
    }
}

/// Everything resolved: one hop or several, the last is the host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    hops: Vec<Hop>,
}

impl Route {
    pub(crate) fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// The host itself, where it is reached by TCP from here; `None` where the way leads through others.
    pub(crate) fn direct(&self) -> Option<&Hop> {
        match self.hops.as_slice() {
            [hop] if hop.via == Via::Tcp => Some(hop),
            _ => None,
        }
    }

    /// Whether a command is the way: what it does, and why it failed, only the command itself knows.
    pub(crate) fn by_command(&self) -> bool {
        self.hops.iter().any(|hop| matches!(hop.via, Via::Command(_)))
    }

    /// The way to the last jump host, where the host itself is reached by TCP from there.
    pub(crate) fn to_jump(&self) -> Option<Route> {
        let (last, jumps) = self.hops.split_last()?;
        (last.via == Via::Tcp && !jumps.is_empty()).then(|| Route { hops: jumps.to_vec() })
    }

    /// Resolves a host and its jump hosts. `home` is where `~` and the default keys are, `limit` the time for key exchange
    /// and login of each.
    ///
    /// Errors: `Local` for names that are no host or user names, for unknown tokens, for jump hosts in a circle, and for
    /// what OpenSSH can do and this cannot.
    pub(crate) async fn resolve(
        host: &SshHost,
        lookup: &dyn Lookup,
        home: &Path,
        limit: Duration,
    ) -> Result<Route, Error> {
        let mut hops = Vec::new();
        let mut next = Some(host.clone());
        while let Some(host) = next.take() {
            if hops.len() >= MOST_HOPS {
                return Err(local(&host.label, "its jump hosts lead in a circle"));
            }
            let config = lookup.config(&host).await?.unwrap_or_default();
            let (hop, jumps) = hop(&host, &config, home, limit)?;
            hops.push(hop);
            // Through `a,b` one reaches the host from b and b from a; only a may have jump hosts of its own.
            let mut jumps = jumps.into_iter();
            next = jumps.next();
            for jump in jumps.rev() {
                let config = lookup.config(&jump).await?.unwrap_or_default();
                let jump = SshHost { proxy_jump: Some("none".to_owned()), ..jump };
                let config = SshConfig { proxy_command: None, fdpass: false, ..config };
                hops.push(self::hop(&jump, &config, home, limit)?.0);
            }
        }
        hops.reverse();
        Ok(Route { hops })
    }
}

/// One server as it is configured, and the jump hosts before it.
fn hop(host: &SshHost, config: &SshConfig, home: &Path, limit: Duration) -> Result<(Hop, Vec<SshHost>), Error> {
    try_hop(host, config, home, limit).map_err(|detail| local(&host.label, &detail))
}

/// Like `hop`, with what is wrong in words.
fn try_hop(host: &SshHost, config: &SshConfig, home: &Path, limit: Duration) -> Result<(Hop, Vec<SshHost>), String> {
    let name = config.hostname.as_ref().unwrap_or(&host.host);
    let port = host.port.or(config.port).unwrap_or(DEFAULT_PORT);
    let user = user(host, config)?;
    if !is_host_name(name) {
        return Err(format!("{name:?} is not a valid host name"));
    }
    if let Some(what) = unsupported(config, host.proxy_jump.is_some()) {
        return Err(what.to_owned());
    }
    let key_alias = config.host_key_alias.as_deref();
    let connection = config.connection_hash.as_deref();
    let tokens = Tokens { home, name, alias: &host.host, port, user: &user, key_alias, jump: "", connection };
    let (jumps, last_jump) = jumps(host, config, &tokens)?;
    let tokens = Tokens { jump: &last_jump, ..tokens };
    let dot_ssh = home.join(".ssh");
    let files = named_files(&config.identity_files, &tokens)?;
    let any = !config.identity_files.is_empty();
    let (user_known_hosts, global_known_hosts) = known_hosts(config, &tokens, &dot_ssh)?;
    let hop = Hop {
        label: host.label.clone(),
        host: name.clone(),
        port,
        via: via(host, config, &tokens, jumps.is_empty())?,
        names: Names::new(name, port, key_alias),
        user_known_hosts,
        global_known_hosts,
        revoked: config.revoked_host_keys.as_ref().map(|text| tokens.path(text)).transpose()?,
        hash_known_hosts: config.hash_known_hosts,
        strict: config.strict,
        identities: if config.no_keys { Vec::new() } else { identities(host, files, any, &dot_ssh) },
        certificates: named_files(&config.certificate_files, &tokens)?,
        identities_only: config.identities_only,
        agent: if config.no_keys { None } else { agent(config, &tokens)? },
        limit,
        user: user.clone(),
    };
    Ok((hop, jumps))
}

/// Who logs in: as the configuration says, else as `ssh_config` does, else whoever runs this.
fn user(host: &SshHost, config: &SshConfig) -> Result<String, String> {
    let user = match host.user.as_ref().or(config.user.as_ref()) {
        Some(user) => user.clone(),
        None => own_name().ok_or_else(|| "it is not known which user to log in as".to_owned())?,
    };
    if is_user_name(&user) { Ok(user) } else { Err(format!("{user:?} is not a valid user name")) }
}

/// The command of `ssh_config` that carries the bytes, where no jump host does.
fn via(host: &SshHost, config: &SshConfig, tokens: &Tokens<'_>, no_jumps: bool) -> Result<Via, String> {
    match &config.proxy_command {
        Some(command) if host.proxy_jump.is_none() && no_jumps => {
            tokens.command(command).map(Via::Command).map_err(|detail| format!("ProxyCommand: {detail}"))
        }
        _ => Ok(Via::Tcp),
    }
}

/// The paths of a list, in which `none` names nothing.
fn named_files(texts: &[String], tokens: &Tokens<'_>) -> Result<Vec<PathBuf>, String> {
    texts.iter().filter(|text| !text.eq_ignore_ascii_case("none")).map(|text| tokens.path(text)).collect()
}

/// What OpenSSH would do for a host and this cannot, with what to write instead. To go on without it would be to accept
/// a key that ssh refuses, or to wait for an SSH server where none speaks.
fn unsupported(config: &SshConfig, own_way: bool) -> Option<&'static str> {
    if config.known_hosts_command.is_some() {
        return Some(
            "KnownHostsCommand of ssh_config is not supported; write what it prints into a file, and name that by \
             GlobalKnownHostsFile, with `KnownHostsCommand none`",
        );
    }
    if config.fdpass && config.proxy_command.is_some() && !own_way {
        return Some(
            "ProxyUseFdpass of ssh_config is not supported; write a ProxyCommand that carries the bytes itself, as \
             `nc %h %p` does, with `ProxyUseFdpass no`",
        );
    }
    None
}

/// The jump hosts of a host, and the name of the last one. Tokens in `ProxyJump` mean the host behind them: ssh makes a
/// `ProxyCommand` of it.
fn jumps(host: &SshHost, config: &SshConfig, tokens: &Tokens<'_>) -> Result<(Vec<SshHost>, String), String> {
    let jumps = match (&host.proxy_jump, &config.proxy_jump) {
        (Some(spec), _) => jump_hosts(spec),
        (None, Some(spec)) => {
            let spec = tokens.command(spec).map_err(|detail| format!("ProxyJump: {detail}"))?;
            jump_hosts(&spec)
        }
        (None, None) => Ok(Vec::new()),
    };
    let jumps = jumps.map_err(|spec| format!("{spec:?} is not a valid jump host"))?;
    let last = jumps.last().map(|jump| jump.host.clone()).unwrap_or_default();
    Ok((jumps, last))
}

/// The user's files and the system's. ssh has expanded the user's already.
fn known_hosts(
    config: &SshConfig,
    tokens: &Tokens<'_>,
    dot_ssh: &Path,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let usual = ["known_hosts", "known_hosts2"];
    let shown = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut readings: Vec<Vec<String>> = Vec::new();
    // ssh goes by /etc/passwd, where HOME may say something else.
    for home in [own_home().as_deref(), Some(tokens.home)].into_iter().flatten() {
        let tokens = Tokens { home, ..*tokens };
        readings.push(usual.map(|name| shown(home.join(".ssh").join(name))).to_vec());
        let expand = |text: &String| tokens.path(text).map(shown).ok();
        readings.extend(config.written.user.iter().filter_map(|list| list.iter().map(expand).collect()));
    }
    let take = |printed: &Option<String>, option: &str, readings: &[Vec<String>]| match printed.as_deref() {
        None => Ok(None),
        Some(none) if none.eq_ignore_ascii_case("none") => Ok(Some(Vec::new())),
        Some(printed) => {
            let paths = apart(printed, readings).map_err(|why| format!("its {option} {why}"))?;
            paths.iter().map(|path| tokens.expanded(path)).collect::<Result<Vec<_>, _>>().map(Some)
        }
    };
    let user = take(&config.user_known_hosts, "UserKnownHostsFile", &readings)?;
    let global = take(&config.global_known_hosts, "GlobalKnownHostsFile", &config.written.global)?;
    let system = || ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from).to_vec();
    Ok((user.unwrap_or_else(|| usual.map(|name| dot_ssh.join(name)).to_vec()), global.unwrap_or_else(system)))
}

/// The configured key first, then those of `ssh_config`, or else OpenSSH's usual names.
fn identities(host: &SshHost, configured: Vec<PathBuf>, any: bool, dot_ssh: &Path) -> Vec<Identity> {
    let usual = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path.parent() == Some(dot_ssh) && (DEFAULT_KEYS.contains(&name) || matches!(name, "id_xmss" | "id_dsa"))
    };
    // `ssh -G` lists all the usual names if none is configured; `none` alone means that there are none.
    let defaults = !any || configured.len() > 4 && configured.iter().all(|path| usual(path));
    let files = match (&host.key_path, defaults) {
        (Some(_), true) => Vec::new(),
        (None, true) => DEFAULT_KEYS.iter().map(|name| dot_ssh.join(name)).collect(),
        (_, false) => configured,
    };
    let mut identities = Vec::<Identity>::new();
    for (path, named) in
        host.key_path.iter().map(|path| (path.clone(), true)).chain(files.into_iter().map(|path| (path, !defaults)))
    {
        if !identities.iter().any(|known| known.path == path) {
            identities.push(Identity { path, named });
        }
    }
    identities
}

/// The agent's socket: `IdentityAgent`, else `SSH_AUTH_SOCK`.
fn agent(config: &SshConfig, tokens: &Tokens<'_>) -> Result<Option<PathBuf>, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match config.identity_agent.as_deref() {
        None | Some("SSH_AUTH_SOCK") => Ok(variable("SSH_AUTH_SOCK")),
        Some("none") => Ok(None),
        Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => Ok(variable(name)),
            None => tokens.expanded(text).map(Some),
        },
    }
}

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`, separated by commas; `none` is nobody. Err: the bad one.
pub(crate) fn jump_hosts(spec: &str) -> Result<Vec<SshHost>, String> {
    if spec.trim().is_empty() || spec.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    spec.split(',').map(|one| jump_host(one.trim()).ok_or_else(|| one.to_owned())).collect()
}

fn jump_host(spec: &str) -> Option<SshHost> {
    let (user, address) = match spec.strip_prefix("ssh://") {
        // In a URI the first `@` counts, and characters may stand as %XX.
        Some(uri) => {
            let uri = uri.strip_suffix('/').unwrap_or(uri);
            match uri.split_once('@') {
                Some((user, address)) => (Some(decoded(user.split(';').next()?)?), address),
                None => (None, uri),
            }
        }
        None => match spec.rsplit_once('@') {
            Some((user, address)) => (Some(user.to_owned()), address),
            None => (None, spec),
        },
    };
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        // More than one colon without brackets is an IPv6 address.
        None if address.matches(':').count() == 1 => address.split_once(':').map(|(host, port)| (host, Some(port)))?,
        None => (address, None),
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None => None,
    };
    let good = is_host_name(host) && !host.starts_with('[') && user.as_deref().is_none_or(is_user_name);
    good.then(|| SshHost {
        label: host.to_owned(),
        host: host.to_owned(),
        port,
        user,
        key_path: None,
        proxy_jump: None,
    })
}

/// The text with each %XX replaced by what it stands for. None: it stands for nothing.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        (bytes, rest) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
                bytes.push(byte);
                (bytes, after)
            }
            (b'%', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                (bytes, after)
            }
        };
    }
    String::from_utf8(bytes).ok()
}

fn local(label: &str, detail: &str) -> Error {
    Error::Local { peer: label.to_owned(), detail: detail.to_owned() }
}
