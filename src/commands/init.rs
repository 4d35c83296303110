//! `ecobox init`: makes or extends the configuration, then visits every server and keeps what it learned.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, tell, with_fleet_of};
use crate::config::{self, Config, NewServer, ServerConfig};
use crate::error::{Exit, Failure};
use crate::fleet::Fleet;
use crate::fleet::onboard::visit::Visit;
use crate::fleet::reach::hint::Doing;
use crate::model::hint::HintId;
use crate::model::host::facts::{HostFacts, Nic, Privilege, Product};
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::FailureKind;
use crate::model::text;
use crate::render::value::Value;
use crate::render::{Column, Report};
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;
use crate::ui::Ui;

/// Programs that are asked at once.
const AT_ONCE: usize = 4;

const USAGE: &str = "ecobox init [--host [USER@]HOST[:PORT]]... [--local] [--accept-new]\n       ecobox init --from-ssh-config [--yes] [--accept-new]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox init --host root@pve1.example.com\n\
    \x20 ecobox init --host pve1 --host admin@nas.example.com:2222\n\
    \x20 ecobox init --from-ssh-config            # every host of ~/.ssh/config, after showing them\n\
    \x20 ecobox init --local                      # this machine itself\n\
    \x20 ecobox init --host pve1 --accept-new     # in a script: trusts a host key that is not known yet";

/// Make the configuration and look at every server in it
///
/// Servers come from `--host`, from `~/.ssh/config`, or are asked for on a terminal; an existing configuration is
/// extended and its comments stay. Then every server is visited over SSH: what it is, how it can be woken and put to
/// sleep, whether commands can run as root. Run it again to refresh.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct InitArgs {
    /// Add this host (can be repeated)
    #[arg(long = "host", value_name = "[USER@]HOST[:PORT]", value_parser = host)]
    hosts: Vec<NewHost>,
    /// Add the hosts named in ~/.ssh/config, after showing them
    #[arg(long)]
    from_ssh_config: bool,
    /// Add this machine itself
    #[arg(long)]
    local: bool,
    /// Trust host keys that are not known yet, without asking; a changed key is never accepted
    #[arg(long)]
    accept_new: bool,
    /// Answer yes to the preview of `--from-ssh-config`
    #[arg(short, long)]
    yes: bool,
}

/// A host as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NewHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// What every server is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct InitReport {
    config: PathBuf,
    /// Ids of the servers that this run added.
    added: Vec<String>,
    servers: Vec<Row>,
    /// The command that comes now.
    #[serde(skip)]
    next: Option<&'static str>,
}

/// One server.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: ServerId,
    hostname: String,
    facts: Option<HostFacts>,
    host_key: Option<String>,
    took_seconds: f64,
    failure: Option<FailureKind>,
    error: Option<String>,
}

/// Writes the configuration, visits, keeps the facts, reports.
///
/// # Errors
/// Nothing to add and no configuration; a configuration that cannot be written; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &InitArgs) -> anyhow::Result<Outcome<InitReport>> {
    let new = wanted(ctx, args).await?;
    let written = if new.is_empty() { None } else { Some(extend(&ctx.config, new)?) };
    let config = written.as_ref().map_or(&ctx.config, |written| &written.config);
    let policy = match (args.accept_new, ctx.ui.is_interactive()) {
        (true, _) => HostKeyPolicy::AcceptNew,
        (false, true) => HostKeyPolicy::Ask,
        (false, false) => HostKeyPolicy::Refuse,
    };
    let ((added, rows, hints), notices) = with_fleet_of(ctx, config, ctx.limits, async |fleet| {
        let servers: Vec<&ServerConfig> = fleet.hosts().collect();
        let mut visits = fleet.visit(&servers, policy).await?;
        let mut added = Vec::new();
        if let Some(written) = &written {
            added = name_by_themselves(ctx, written, &mut visits)?;
            ctx.ui.status(&format!("added {} to {}", added.join(", "), short(&config.path)));
        }
        let hints = hints(fleet, &visits, ctx.ui.is_interactive());
        let rows: Vec<Row> = visits.into_iter().zip(&servers).map(|(visit, server)| row(visit, server)).collect();
        Ok((added, rows, hints))
    })
    .await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    for row in &rows {
        if let Some(error) = &row.error {
            // Of a jump host's failure only where was dialled is known.
            let named = error.contains(row.id.as_str());
            ctx.ui.warning(&if named { error.clone() } else { format!("{}: {error}", row.id) });
        }
    }
    for hint in hints {
        ctx.ui.hint(&hint);
    }
    let succeeded = rows.iter().filter(|row| row.failure.is_none()).count();
    let exit = Exit::of_many(succeeded, rows.iter().filter_map(|row| row.failure).map(Exit::from));
    let next = next(ctx, &rows)?;
    Ok(Outcome::new(InitReport { config: config.path.clone(), added, servers: rows, next }, exit))
}

/// The servers to add: as typed, as listed in `ssh_config`, or as answered.
async fn wanted(ctx: &Context, args: &InitArgs) -> anyhow::Result<Vec<NewServer>> {
    let mut taken: Vec<ServerId> = ctx.config.servers.iter().map(|server| server.id.clone()).collect();
    let mut new = Vec::new();
    for host in &args.hosts {
        add(ctx, host, &mut new, &mut taken);
    }
    if args.local && !ctx.config.servers.iter().any(|server| server.access == config::Access::Local) {
        let name = crate::transport::local::hostname().unwrap_or_else(|| "local".to_owned());
        let id = take(&name, &mut taken);
        new.push(NewServer { id, local: true, ..NewServer::default() });
    }
    if args.from_ssh_config {
        new.extend(from_ssh_config(ctx, args, &mut taken).await?);
    }
    Ok(new)
}

/// Adds a host, unless it is configured already or was named before.
fn add(ctx: &Context, host: &NewHost, new: &mut Vec<NewServer>, taken: &mut Vec<ServerId>) {
    if let Some(server) = ctx.config.servers.iter().find(|server| host.is(&server.hostname, server.ssh_port)) {
        ctx.ui.status(&format!("{} is configured already, as {}", host.host, server.id));
    } else if !new.iter().any(|server| host.is(&server.hostname, server.ssh_port)) {
        new.push(NewServer {
            id: take(&host.host, taken),
            hostname: host.host.clone(),
            ssh_user: host.user.clone(),
            ssh_port: host.port,
            ..NewServer::default()
        });
    }
}

impl NewHost {
    /// Whether it is the SSH server of that address. A port that is not said may be any: `ssh_config` knows it.
    fn is(&self, hostname: &str, port: Option<u16>) -> bool {
        let same_port = self.port.is_none() || self.port == port || (port.is_none() && self.port == Some(22));
        self.host.eq_ignore_ascii_case(hostname) && same_port
    }
}

/// An id for a new server, taken at once.
fn take(name: &str, taken: &mut Vec<ServerId>) -> String {
    let id = config::suggest_id(name, taken);
    taken.extend(id.parse());
    id
}

/// The hosts of `~/.ssh/config`, shown first.
async fn from_ssh_config(ctx: &Context, args: &InitArgs, taken: &mut Vec<ServerId>) -> anyhow::Result<Vec<NewServer>> {
    let fleet = Fleet::open(&ctx.config, &ctx.state, &ctx.ui, ctx.limits).await?;
    let mut names = fleet.ssh_hosts().await;
    names.retain(|name| !ctx.config.servers.iter().any(|server| server.hostname == *name));
    // What cannot be a server must not keep the others from being added.
    let ways = stream::iter(names).map(|name| async {
        let way = match config::host_name(&name) {
            Ok(_) => fleet.way_to(&name).await.map_err(|error| error.to_string()),
            Err(_) if name.contains('@') => {
                Err(format!("{}: ssh takes what stands before the @ for a user", text::quoted(&name)))
            }
            Err(why) => Err(why),
        };
        (name, way)
    });
    let ways: Vec<_> = ways.buffered(AT_ONCE).collect().await;
    let (good, odd): (Vec<_>, Vec<_>) = ways.into_iter().partition(|(_, way)| way.is_ok());
    for why in odd.into_iter().filter_map(|(_, way)| way.err()) {
        ctx.ui.status(&format!("left out of what ssh_config names: {why}"));
    }
    if good.is_empty() {
        ctx.ui.status("ssh_config names no host that is not configured already");
        return Ok(Vec::new());
    }
    ctx.ui.status("to be added from ssh_config:");
    for (name, way) in &good {
        ctx.ui.status(&format!("  {name}  {}", way.as_deref().unwrap_or_default()));
    }
    let question = match good.len() {
        1 => "add this host?".to_owned(),
        count => format!("add these {count} hosts?"),
    };
    ctx.ui.confirm(&question, args.yes).await?;
    // Only the alias is kept: `ssh -G` knows the rest, today and when it changes.
    let server = |(name, _): (String, _)| NewServer { id: take(&name, taken), hostname: name, ..NewServer::default() };
    Ok(good.into_iter().map(server).collect())
}

impl InitArgs {
    /// Whether no server is named, neither here nor in the configuration.
    pub(crate) fn names_nobody(&self, config: &Config) -> bool {
        self.hosts.is_empty() && !self.local && !self.from_ssh_config && config.servers.is_empty()
    }

    /// Asks for hosts, where somebody is there to answer.
    ///
    /// # Errors
    /// Nobody is there, or names one.
    pub(crate) async fn ask(&mut self, config: &Config, ui: &Ui) -> anyhow::Result<()> {
        if !ui.is_interactive() {
            return Err(Failure::new(Exit::Usage, "no host is named, and there is no configuration yet")
                .hint(HintId::NobodyNamed.text())
                .into());
        }
        let path = short(&config.path);
        ui.status(&format!("{path} will be made; hosts as user@host or user@host:port, an empty line ends"));
        while let Some(line) = ui.ask_line("host:").await {
            match host(&line) {
                Ok(host) => self.hosts.push(host),
                // What is wrong with a name is said with the name.
                Err(why) if why.starts_with('`') => ui.warning(&why),
                Err(why) => ui.warning(&format!("{}: {why}", text::quoted(&line))),
            }
        }
        if self.hosts.is_empty() {
            return Err(Failure::new(Exit::Refused, "no host was named").into());
        }
        Ok(())
    }
}

/// What was added to the configuration file.
struct Written {
    new: Vec<NewServer>,
    /// The file's text without them, and with them.
    before: String,
    after: String,
    config: Config,
}

fn extend(config: &Config, new: Vec<NewServer>) -> anyhow::Result<Written> {
    let before = match config::read_text(&config.path) {
        Err(config::ConfigError::NotFound { .. }) => String::new(),
        text => text?,
    };
    let after = config::add_servers(&before, &new).map_err(|error| error.in_file(&config.path))?;
    config::write_atomically(&config.path, &after)?;
    let config = Config::parse(&after, &config.path)?;
    Ok(Written { new, before, after, config })
}

/// Who was added by an address gets the name that the host calls itself by, in the configuration, in the state file
/// and in `visits`: it becomes the id, and guests' ids begin with it. Gives the ids of all that were added.
fn name_by_themselves(ctx: &Context, written: &Written, visits: &mut [Visit]) -> anyhow::Result<Vec<String>> {
    let mut taken: Vec<ServerId> = written.config.servers.iter().map(|server| server.id.clone()).collect();
    let mut new = written.new.clone();
    let mut renamed = Vec::new();
    for server in new.iter_mut().filter(|server| server.hostname.parse::<IpAddr>().is_ok()) {
        let Some(at) = visits.iter().position(|visit| visit.server.as_str() == server.id) else { continue };
        let Some(Ok(facts)) = &visits[at].facts else { continue };
        let name = facts.pve().and_then(|pve| pve.node.as_ref()).map(NodeName::as_str);
        let Some(name) = name.or(facts.hostname.as_deref()).filter(|name| !name.starts_with("localhost")) else {
            continue;
        };
        server.id = take(name, &mut taken);
        renamed.push((at, server.id.parse::<ServerId>()?));
    }
    // Whoever edits the file in the meantime wins.
    if !renamed.is_empty() && config::read_text(&written.config.path)? == written.after {
        let text = config::add_servers(&written.before, &new).map_err(|error| error.in_file(&written.config.path))?;
        config::write_atomically(&written.config.path, &text)?;
        for (at, id) in renamed {
            ctx.state.rename_server(&visits[at].server, &id)?;
            visits[at].server = id;
        }
        return Ok(new.into_iter().map(|server| server.id).collect());
    }
    Ok(written.new.iter().map(|server| server.id.clone()).collect())
}

/// The path as one would type it.
fn short(path: &Path) -> String {
    let home = std::env::home_dir().filter(|home| home.parent().is_some());
    let below = home.as_ref().and_then(|home| path.strip_prefix(home).ok());
    below.map_or_else(|| path.display().to_string(), |below| format!("~/{}", below.display()))
}

/// What comes after `init`: tokens where a Proxmox VE host has none yet.
fn next(ctx: &Context, rows: &[Row]) -> anyhow::Result<Option<&'static str>> {
    let members = ctx.state.members()?;
    let is_pve = |row: &&Row| row.facts.as_ref().is_some_and(|facts| facts.pve().is_some());
    let is_member = |row: &Row| members.iter().any(|member| member.server == row.id);
    if rows.iter().filter(is_pve).any(|row| !is_member(row)) {
        return Ok(Some("ecobox setup-token"));
    }
    Ok(rows.iter().any(|row| row.facts.is_some()).then_some("ecobox status"))
}

/// Reads `[user@]host[:port]`; an IPv6 address stands in brackets where a port follows.
fn host(text: &str) -> Result<NewHost, String> {
    let bad = |why: &str| Err(why.to_owned());
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
        match inner.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.trim_start_matches(':'))),
            None => return bad("a `]` is missing"),
        }
    } else if rest.matches(':').count() == 1 {
        rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
    } else {
        (rest, None)
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return bad("the port is no number from 1 to 65535"),
    };
    if host.is_empty() || user.as_deref() == Some("") {
        return bad("expected user@host or user@host:port");
    }
    // What the configuration would not take is refused before anything is written.
    config::host_name(host)?;
    user.as_deref().map(config::user_name).transpose()?;
    Ok(NewHost { user, host: host.to_owned(), port })
}

/// What to run next after what failed, each once.
fn hints(fleet: &Fleet<'_>, visits: &[Visit], asked: bool) -> Vec<String> {
    let mut hints = Vec::new();
    for visit in visits {
        let Some(Err(error)) = &visit.facts else { continue };
        // The answer was no.
        if asked && matches!(error, Error::UnknownHostKey { .. }) {
            continue;
        }
        let hint = fleet.hint(&visit.server, error, Doing::Init);
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
    }
    hints
}

fn row(visit: Visit, server: &ServerConfig) -> Row {
    let Visit { server: id, host_key, took, facts } = visit;
    let (facts, failed) = match facts {
        None => (None, None),
        Some(Ok(facts)) => (Some(facts), None),
        Some(Err(error)) => (None, Some(error)),
    };
    Row {
        hostname: server.hostname.clone(),
        facts,
        host_key,
        took_seconds: took.as_secs_f64(),
        failure: failed.as_ref().map(Error::kind),
        error: failed.map(|error| error.to_string()),
        id,
    }
}

impl Row {
    fn wake_nic(&self) -> Option<&Nic> {
        self.facts.as_ref().and_then(HostFacts::wake_nic)
    }
}

impl Report for InitReport {
    const SCHEMA: &'static str = "ecobox.init/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("SERVER", 0, |row| Value::text(row.id.as_str())).cut_to(16),
            column("IS", 0, |row| Value::maybe(product(row))).cut_to(17),
            column("NODE", 6, |row| {
                let pve = row.facts.as_ref().and_then(HostFacts::pve);
                Value::maybe(pve.and_then(|pve| pve.node.as_ref()).map(NodeName::as_str))
            }),
            column("ROOT", 2, |row| Value::maybe(row.facts.as_ref().and_then(|facts| privilege(facts.privilege)))),
            column("MAC", 4, |row| Value::maybe(row.wake_nic().map(|nic| nic.mac.as_str()))),
            column("WAKE", 3, |row| Value::maybe(row.wake_nic().and_then(wake))),
            column("SLEEP", 5, |row| Value::maybe(row.facts.as_ref().map(sleep))),
            wide("OS", |row| Value::maybe(row.facts.as_ref().and_then(|facts| facts.os.as_deref()))),
            wide("HOST KEY", |row| Value::maybe(row.host_key.as_deref())),
            wide("ERROR", |row| Value::maybe(row.error.as_deref())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.servers.iter()
    }

    fn notes(&self) -> Vec<String> {
        self.next.iter().map(|command| format!("next: `{command}`")).collect()
    }
}

/// What a server is, in a few words.
fn product(row: &Row) -> Option<String> {
    let Some(facts) = &row.facts else {
        return Some(match row.failure {
            None => "not visited (API only)".to_owned(),
            Some(FailureKind::Unreachable) => "unreachable".to_owned(),
            Some(FailureKind::Identity) => "host key not trusted".to_owned(),
            Some(FailureKind::Denied) => "login refused".to_owned(),
            Some(FailureKind::Failed | FailureKind::NoQuorum | FailureKind::NodeOffline) => {
                "no usable answer".to_owned()
            }
        });
    };
    let versioned = |name: &str, version: Option<&String>| {
        version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
    };
    match &facts.product {
        Product::Pve(pve) => {
            let name = versioned("Proxmox VE", pve.version.as_ref());
            Some(match (pve.pmxcfs, pve.quorate) {
                (false, _) => format!("{name}, pmxcfs down"),
                (true, Some(false)) => format!("{name}, no quorum"),
                (true, _) => name,
            })
        }
        Product::OtherProxmox { product, version } => Some(versioned(product, version.as_ref())),
        // The column is narrow, and nobody takes Debian for a kernel.
        Product::Linux => Some(facts.os.as_ref().map_or_else(|| "Linux".to_owned(), |os| os.replace(" GNU/Linux", ""))),
        Product::Other { system } => Some(system.clone()),
        Product::Unknown => None,
    }
}

fn privilege(privilege: Privilege) -> Option<&'static str> {
    match privilege {
        Privilege::Root => Some("root"),
        Privilege::Sudo => Some("sudo"),
        Privilege::Denied => Some("denied"),
        Privilege::Nosudo => Some("no sudo"),
        Privilege::Unknown => None,
    }
}

fn wake(nic: &Nic) -> Option<&'static str> {
    match (nic.wol_armed, nic.wol_supported) {
        (Some(true), _) => Some("armed"),
        (Some(false), Some(false)) => Some("unsupported"),
        (Some(false), _) => Some("not armed"),
        (None, _) => None,
    }
}

fn sleep(facts: &HostFacts) -> String {
    let sleep = &facts.sleep;
    if sleep.masked == Some(true) {
        return "masked".to_owned();
    }
    let mut can = Vec::new();
    can.extend((sleep.suspend == Some(true)).then_some("suspend"));
    can.extend((sleep.hibernate == Some(true)).then_some("hibernate"));
    if can.is_empty() && sleep.suspend == Some(false) {
        can.push("none");
    }
    can.join(", ")
}

#[cfg(test)]
mod tests;
