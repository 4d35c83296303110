//! `ecobox ssh`: the user's own ssh, with the server awake for it.

use std::ffi::OsString;

use clap_complete::engine::ArgValueCompleter;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::lease::{Around, CommandLine, LeaseArgs, around};
use crate::commands::{Context, complete};
use crate::config::Access;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::lease::Begun;
use crate::fleet::reach::session::{source, ssh_host};
use crate::model::host::login::is_host_name;
use crate::model::inventory::Server;
use crate::model::lease::LeaseKind;
use crate::transport::foreground::Front;
use crate::transport::ssh::ConfigSource;

const USAGE: &str = "ecobox ssh TARGET [--reason TEXT] [--then WHAT | --keep] [--guests WHAT] [--arm-wol] [--allow CHECK]...\n                  [-- ARGS...]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox ssh nas                          # wakes it first, if it sleeps\n\
    \x20 ecobox ssh nas -- zpool status\n\
    \x20 ecobox ssh vm-101 -- -L 8080:localhost:80";

/// Log in to a server by ssh, and keep it awake meanwhile
///
/// Wakes and starts what the target needs, runs your own `ssh` with the destination, port, user and jump hosts that ecobox
/// uses, and puts to sleep again what it woke, unless somebody else needs it. What follows `--` is passed to ssh: options, and
/// a command. The exit status is ssh's; 125 means that it was not run.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
pub(crate) struct SshArgs {
    /// Where to: a name, an id, `vm-101`, `host/101`
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    target: String,
    #[command(flatten)]
    lease: LeaseArgs,
    /// ssh's options, and a command for the server
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// Brings the target up, runs ssh, and takes down again what nothing needs any more.
///
/// # Errors
/// All that keeps ssh from being run.
pub(crate) async fn run(ctx: &Context, args: &SshArgs, front: &Front<'_>) -> anyhow::Result<Exit> {
    let LeaseArgs { reason, end } = &args.lease;
    let words = std::slice::from_ref(&args.target);
    let this = Around { kind: LeaseKind::Ssh, words, reason: reason.clone(), end, front };
    around(ctx, this, async |fleet, begun| ssh_of(fleet, begun, &args.arguments)).await
}

/// How ssh is called for the target.
fn ssh_of(fleet: &Fleet<'_>, begun: &Begun<'_>, arguments: &[OsString]) -> anyhow::Result<CommandLine> {
    let mut targets = begun.targets();
    let (Some(server), None) = (targets.next(), targets.next()) else {
        return Err(Failure::new(Exit::Usage, "only one server at a time can be logged in to").into());
    };
    let mut line: Vec<OsString> = Vec::new();
    match source(fleet.config) {
        ConfigSource::Default => {}
        ConfigSource::Off => line.extend(["-F".into(), "none".into()]),
        ConfigSource::File(file) => line.extend(["-F".into(), file.into()]),
    }
    line.extend(destination(fleet, server)?);
    line.extend(arguments.iter().cloned());
    Ok(("ssh".into(), line))
}

/// The destination as ecobox's own connection has it; what the configuration does not say, `ssh_config` does, for both.
fn destination(fleet: &Fleet<'_>, server: &Server) -> anyhow::Result<Vec<OsString>> {
    let configured = fleet.config.servers.iter().find(|config| config.id == server.id);
    if let Some(Access::Local) = configured.map(|config| config.access) {
        let message = format!("{} is this machine itself: there is nothing to log in to", server.id);
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let mut line: Vec<OsString> = Vec::new();
    let mut host = server.hostname.clone();
    if let Some(config) = configured {
        let ssh = ssh_host(config);
        if let Some(port) = ssh.port {
            line.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = ssh.user {
            line.extend(["-l".into(), user.into()]);
        }
        if let Some(key) = ssh.key_path {
            line.extend(["-i".into(), key.into()]);
        }
        if let Some(jumps) = ssh.proxy_jump {
            line.extend(["-J".into(), jumps.into()]);
        }
        host = Some(ssh.host).filter(|host| !host.is_empty()).or(host);
    }
    let Some(host) = host else {
        let message = format!("the address of {} is not known", server.id);
        return Err(Failure::new(Exit::Failed, message).into());
    };
    // Options of ssh may come after it, so that no `--` can keep a name from being one.
    if !is_host_name(&host) {
        return Err(Failure::new(Exit::Config, format!("{host:?} is not a valid host name")).into());
    }
    line.push(host.into());
    Ok(line)
}
