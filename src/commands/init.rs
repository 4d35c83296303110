//! `ecobox init`: makes or extends the configuration, then visits every server and keeps what it learned.

mod hosts;
mod new_entries;
pub(crate) mod report;

use std::path::Path;

use self::hosts::{NewHost, host, wanted};
use self::new_entries::{extend, name_by_themselves};
use self::report::{InitReport, Row, row};
use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::lead::Lead;
use crate::commands::{Context, Outcome, tell, with_fleet_of};
use crate::config::ServerConfig;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::onboard::visit::Visit;
use crate::fleet::reach::hint::Doing;
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;

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

/// What to run next after what failed, each once.
fn hints(fleet: &Fleet<'_>, visits: &[Visit], asked: bool) -> Vec<String> {
    let (mut hints, mut lead) = (Vec::new(), Lead::default());
    for visit in visits {
        let Some(Err(error)) = &visit.facts else { continue };
        // The answer was no.
        if asked && matches!(error, Error::UnknownHostKey { .. }) {
            continue;
        }
        lead.server(&visit.server);
        let hint = fleet.hint(&visit.server, error, Doing::Init);
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
    }
    hints.extend(lead.hint());
    hints
}
