//! The way to a host: which servers in turn, and for each one who logs in there, with what, and who vouches for it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::transport::Error;
use crate::transport::probe::peer;
use crate::transport::ssh::SshHost;
use crate::transport::ssh::config::{Lookup, SshConfig};
use crate::transport::ssh::known_hosts::Names;

/// How long key exchange and login may take together, without a person's answers.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
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
    pub(crate) hash_known_hosts: bool,
    /// `ssh_config` forbids to add keys.
    pub(crate) strict: bool,
    pub(crate) identities: Vec<Identity>,
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
    /// For key exchange and login together.
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

    /// Whether a command is the way: what it does, and why it failed, nobody else can know.
    pub(crate) fn by_command(&self) -> bool {
        self.hops.iter().any(|hop| matches!(hop.via, Via::Command(_)))
    }

    /// The way to the last jump host, where the host itself is reached by TCP from there.
    pub(crate) fn to_jump(&self) -> Option<Route> {
        let (last, jumps) = self.hops.split_last()?;
        (last.via == Via::Tcp && !jumps.is_empty()).then(|| Route { hops: jumps.to_vec() })
    }

    /// The same way with less patience.
    #[cfg(test)]
    pub(crate) fn limited(mut self, limit: Duration) -> Route {
        self.hops.iter_mut().for_each(|hop| hop.limit = limit);
        self
    }

    /// Resolves a host and its jump hosts. `home` is where `~` and the default keys are.
    ///
    /// Errors: `Local` for names that are no host or user names, for unknown tokens, and for jump hosts in a circle.
    pub(crate) async fn resolve(host: &SshHost, lookup: &dyn Lookup, home: &Path) -> Result<Route, Error> {
        let mut hops = Vec::new();
        let mut next = Some(host.clone());
        while let Some(host) = next.take() {
            if hops.len() >= MOST_HOPS {
                return Err(local(&host.label, "its jump hosts lead in a circle"));
            }
            let config = lookup.config(&host).await?.unwrap_or_default();
            let (hop, jumps) = hop(&host, &config, home)?;
            hops.push(hop);
            // Through `a,b` one reaches the host from b and b from a; only a may have jump hosts of its own.
            let mut jumps = jumps.into_iter();
            next = jumps.next();
            for jump in jumps.rev() {
                let config = lookup.config(&jump).await?.unwrap_or_default();
                let jump = SshHost { proxy_jump: Some("none".to_owned()), ..jump };
                hops.push(self::hop(&jump, &SshConfig { proxy_command: None, ..config }, home)?.0);
            }
        }
        hops.reverse();
        Ok(Route { hops })
    }
}

/// One server as it is configured, and the jump hosts before it.
fn hop(host: &SshHost, config: &SshConfig, home: &Path) -> Result<(Hop, Vec<SshHost>), Error> {
    let bad = |detail: String| local(&host.label, &detail);
    let name = config.hostname.as_ref().unwrap_or(&host.host);
    let port = host.port.or(config.port).unwrap_or(DEFAULT_PORT);
    let user = match host.user.as_ref().or(config.user.as_ref()) {
        Some(user) => user.clone(),
        None => own_name().ok_or_else(|| bad("nobody says which user to log in as".to_owned()))?,
    };
    if !is_host_name(name) {
        return Err(bad(format!("{name:?} is no host name")));
    }
    if !is_user_name(&user) {
        return Err(bad(format!("{user:?} is no user name")));
    }
    let tokens =
        Tokens { home, name, alias: &host.host, port, user: &user, key_alias: config.host_key_alias.as_deref() };
    let path = |text: &String| tokens.path(text).map_err(bad);
    let paths = |texts: &[String]| texts.iter().map(path).collect::<Result<Vec<PathBuf>, Error>>();
    let known = |texts: &Option<Vec<String>>, default: [PathBuf; 2]| match texts {
        Some(texts) => paths(&texts.iter().filter(|text| *text != "none").cloned().collect::<Vec<_>>()),
        None => Ok(default.to_vec()),
    };
    let dot_ssh = home.join(".ssh");
    let jumps = match host.proxy_jump.as_ref() {
        Some(spec) => jump_hosts(spec),
        None => config.proxy_jump.as_deref().map_or(Ok(Vec::new()), jump_hosts),
    }
    .map_err(|spec| bad(format!("{spec:?} is no jump host")))?;
    let via = match &config.proxy_command {
        Some(command) if host.proxy_jump.is_none() && jumps.is_empty() => {
            Via::Command(tokens.expand(command).map_err(|detail| bad(format!("ProxyCommand: {detail}")))?)
        }
        _ => Via::Tcp,
    };
    let hop = Hop {
        label: host.label.clone(),
        host: name.clone(),
        port,
        via,
        names: Names::new(name, port, config.host_key_alias.as_deref()),
        user_known_hosts: known(&config.user_known_hosts, [dot_ssh.join("known_hosts"), dot_ssh.join("known_hosts2")])?,
        global_known_hosts: known(
            &config.global_known_hosts,
            ["/etc/ssh/ssh_known_hosts".into(), "/etc/ssh/ssh_known_hosts2".into()],
        )?,
        hash_known_hosts: config.hash_known_hosts,
        strict: config.strict,
        identities: identities(host, paths(&config.identity_files)?, &dot_ssh),
        certificates: paths(&config.certificate_files)?,
        identities_only: config.identities_only,
        agent: agent(config, &tokens).map_err(bad)?,
        limit: HANDSHAKE_LIMIT,
        user,
    };
    Ok((hop, jumps))
}

/// The configured key first, then those of `ssh_config`, or else OpenSSH's usual names.
fn identities(host: &SshHost, configured: Vec<PathBuf>, dot_ssh: &Path) -> Vec<Identity> {
    let usual = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path.parent() == Some(dot_ssh) && (DEFAULT_KEYS.contains(&name) || matches!(name, "id_xmss" | "id_dsa"))
    };
    // `ssh -G` lists all the usual names if none is configured.
    let defaults = configured.is_empty() || configured.len() > 4 && configured.iter().all(|path| usual(path));
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
            None => tokens.path(text).map(Some),
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
    let text = spec.strip_prefix("ssh://").unwrap_or(spec).trim_end_matches('/');
    let (user, address) = match text.rsplit_once('@') {
        Some((user, address)) => (Some(user.to_owned()), address),
        None => (None, text),
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
    let good = is_host_name(host) && user.as_deref().is_none_or(is_user_name);
    good.then(|| SshHost {
        label: host.to_owned(),
        host: host.to_owned(),
        port,
        user,
        key_path: None,
        proxy_jump: None,
    })
}

/// Letters, digits, `._:-`; so it cannot be an option, and means nothing to a shell.
fn is_host_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    (1..=253).contains(&text.len()) && !text.starts_with('-') && text.chars().all(good)
}

/// As useradd allows them.
fn is_user_name(text: &str) -> bool {
    let name = text.strip_suffix('$').unwrap_or(text);
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    (1..=32).contains(&name.len()) && name.starts_with(first) && name.chars().all(good)
}

/// Who runs this: `USER`, `LOGNAME`, else the owner of this process in /etc/passwd.
fn own_name() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("USER").or_else(|| variable("LOGNAME")).or_else(|| {
        let uid = own_uid()?.to_string();
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|fields| fields.get(2) == Some(&uid.as_str())).map(|fields| fields[0].to_owned())
    })
}

/// The user id of this process.
pub(crate) fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

fn local(label: &str, detail: &str) -> Error {
    Error::Local { peer: label.to_owned(), detail: detail.to_owned() }
}

/// What the tokens of `ssh_config`(5) stand for.
struct Tokens<'a> {
    home: &'a Path,
    name: &'a str,
    alias: &'a str,
    port: u16,
    user: &'a str,
    key_alias: Option<&'a str>,
}

impl Tokens<'_> {
    /// A path with `~`, tokens and `${NAME}`.
    fn path(&self, text: &str) -> Result<PathBuf, String> {
        let expanded = self.expand(&variables(text)?)?;
        Ok(match expanded.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => PathBuf::from(expanded),
        })
    }

    /// `ssh -G` prints tokens as they were written.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => expanded.push('%'),
                Some('h') => expanded.push_str(self.name),
                Some('n') => expanded.push_str(self.alias),
                Some('p') => expanded.push_str(&self.port.to_string()),
                Some('r') => expanded.push_str(self.user),
                Some('k') => expanded.push_str(self.key_alias.unwrap_or(self.alias)),
                Some('d') => expanded.push_str(&self.home.to_string_lossy()),
                Some('u') => expanded.push_str(&own_name().ok_or("%u: nobody runs this")?),
                Some('i') => expanded.push_str(&own_uid().ok_or("%i: nobody runs this")?.to_string()),
                Some('l') => expanded.push_str(&own_host_name().ok_or("%l: this machine has no name")?),
                Some('L') => {
                    let name = own_host_name().ok_or("%L: this machine has no name")?;
                    expanded.push_str(name.split('.').next().unwrap_or_default());
                }
                Some(other) => return Err(format!("%{other} is not understood")),
                None => return Err("a % stands at its end".to_owned()),
            }
        }
        Ok(expanded)
    }
}

fn own_host_name() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())
}

/// Replaces `${NAME}` by the environment's value.
fn variables(text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("a ${ is not closed")?;
        expanded.push_str(before);
        expanded.push_str(&std::env::var(name).map_err(|_| format!("${{{name}}} is not set"))?);
        rest = after;
    }
    Ok(expanded + rest)
}
