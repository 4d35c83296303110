//! Whom to add: hosts as typed, as listed in `ssh_config`, or as answered.

use futures::{StreamExt as _, stream};

use super::{InitArgs, short};
use crate::commands::Context;
use crate::config::{self, Config, NewServer};
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::model::hint::HintId;
use crate::model::id::ServerId;
use crate::model::text;
use crate::ui::Ui;

/// Programs that are asked at once.
const AT_ONCE: usize = 4;

/// A host as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// The servers to add: as typed, as listed in `ssh_config`, or as answered.
pub(super) async fn wanted(ctx: &Context, args: &InitArgs) -> anyhow::Result<Vec<NewServer>> {
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
pub(super) fn take(name: &str, taken: &mut Vec<ServerId>) -> String {
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
                Err(format!("{}: ssh reads what is before the @ as the user", text::quoted(&name)))
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
    /// There is no terminal to ask on, or no host was typed.
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

/// Reads `[user@]host[:port]`; an IPv6 address stands in brackets where a port follows.
pub(super) fn host(text: &str) -> Result<NewHost, String> {
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
        Some(_) => return bad("the port is not a number from 1 to 65535"),
    };
    if host.is_empty() || user.as_deref() == Some("") {
        return bad("expected user@host or user@host:port");
    }
    // What the configuration would not take is refused before anything is written.
    config::host_name(host)?;
    user.as_deref().map(config::user_name).transpose()?;
    Ok(NewHost { user, host: host.to_owned(), port })
}

#[cfg(test)]
mod tests;
