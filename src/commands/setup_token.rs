//! `ecobox setup-token`: makes this machine's own API token on each cluster over SSH, and learns whom to trust.

pub(crate) mod report;

use std::collections::HashSet;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;

use self::report::{HostResult, Row, SetupTokenReport};
use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::lead::Lead;
use crate::commands::{Context, Outcome, asked_by, complete, hosts_named, tell, with_fleet};
use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::fleet::onboard::answer;
use crate::fleet::onboard::setup::check::Checked;
use crate::fleet::onboard::setup::print::{Printed, PrintedToken};
use crate::fleet::onboard::setup::refused::enable;
use crate::fleet::onboard::setup::{SetUp, SetUpError, TokenChange, Wanted};
use crate::fleet::reach::hint::Doing;
use crate::model::access::scope::TokenScope;
use crate::model::hint::HintId;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::state::Action as Done;

const USAGE: &str = "ecobox setup-token [HOST]... [--scope SCOPE]\n       ecobox setup-token [HOST]... --print | --check | --rotate | --revoke";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox setup-token                       # every Proxmox VE host of the configuration\n\
    \x20 ecobox setup-token pve1 --scope monitor  # a token that can read, and nothing else\n\
    \x20 ecobox setup-token pve1 --scope manager  # also for snapshots and migration\n\
    \x20 ecobox setup-token --print               # the commands, without running them\n\
    \x20 ecobox setup-token --check               # what the stored token may do\n\
    \x20 ecobox setup-token pve1 --revoke";

/// Make an API token for this machine on each Proxmox VE host or cluster
///
/// Over SSH, in one script: a user `ecobox@pve` without a password, a role with just the privileges of the scope, a
/// token of this machine's own, and their ACLs. Then the API's certificate is learned through SSH, and the token is
/// verified. One token serves a whole cluster. An existing token with the needed privileges is kept.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct SetupTokenArgs {
    /// Only these hosts
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::target))]
    hosts: Vec<String>,
    /// What the token may do; with `--check`, what it is compared with [default: that of the stored token, else operator]
    #[arg(long, value_name = "SCOPE", value_parser = scopes())]
    scope: Option<TokenScope>,
    /// Show the commands and run none
    #[arg(long, group = "what")]
    print: bool,
    /// Make a new token, and remove the old one when the new one works
    #[arg(long, group = "what")]
    rotate: bool,
    /// Remove the token, and user and role unless they are used elsewhere
    #[arg(long, group = "what")]
    revoke: bool,
    /// Say what the stored token may do; change nothing
    #[arg(long, group = "what")]
    check: bool,
}

/// What the two privileges of `manager` mean, beyond what their names say.
const MANAGER_CAN: &str = "note: with VM.Snapshot this token can also power a guest off and discard its present state (by a \
    rollback), and fill a storage; with VM.Migrate it can also interrupt containers and copy disks to other nodes";

/// Whether a token of the scope `manager` was made there, or is about to be.
fn gives_manager(row: &Row) -> bool {
    let is_new = matches!(row.result, HostResult::Created | HostResult::Replaced | HostResult::Printed);
    is_new && row.scope == Some(TokenScope::Manager.as_str())
}

/// `--scope`'s words.
fn scopes() -> impl TypedValueParser<Value = TokenScope> {
    let words = TokenScope::ALL.map(|scope| {
        PossibleValue::new(scope.as_str()).help(match scope {
            TokenScope::Monitor => "Read state and load",
            TokenScope::Operator => "Also start, stop and suspend guests",
            TokenScope::Manager => "Also take and roll back snapshots, and migrate guests",
            TokenScope::Full => "All that the login user may do (`--privsep 0`)",
        })
    });
    PossibleValuesParser::new(words).try_map(|word| TokenScope::parse(&word).ok_or("no such scope"))
}

/// Sets up, checks, revokes or prints, and reports.
///
/// # Errors
/// No such host; no host that could be one of Proxmox VE; an unusable state file.
pub(crate) async fn run(ctx: &Context, args: &SetupTokenArgs) -> anyhow::Result<Outcome<SetupTokenReport>> {
    let work = async |fleet: &Fleet<'_>| set_up(ctx, fleet, args).await;
    let ((rows, ends), notices) = with_fleet(ctx, ctx.limits, work).await?;
    for notice in notices {
        tell(&ctx.ui, &notice);
    }
    warn(ctx, &rows, &ends);
    if rows.iter().all(|row| row.result == HostResult::NoPve) {
        return Err(Failure::new(Exit::NoTarget, "none of the servers is a Proxmox VE host").into());
    }
    if rows.iter().any(gives_manager) {
        ctx.ui.status(MANAGER_CAN);
    }
    let failed: Vec<Exit> = ends.into_iter().map(|end| end.exit).filter(|exit| *exit != Exit::Done).collect();
    let exit = Exit::of_many(rows.len() - failed.len(), failed);
    Ok(Outcome::new(SetupTokenReport { servers: rows }, exit))
}

async fn set_up(ctx: &Context, fleet: &Fleet<'_>, args: &SetupTokenArgs) -> anyhow::Result<(Vec<Row>, Vec<End>)> {
    let named = hosts_named(fleet, &args.hosts)?;
    let servers = fleet.hosts_to_set_up(&named, args.check);
    if servers.is_empty() {
        return Err(Failure::new(Exit::NoTarget, "no configured server can be a Proxmox VE host reached over SSH")
            .hint(HintId::NoPveHost.text())
            .into());
    }
    let scope = args.scope;
    if args.print {
        let printed = fleet.print_set_up(&servers, scope).await?;
        return Ok(printed.into_iter().map(|printed| (row_of_printed(printed), Exit::Done.into())).unzip());
    }
    if args.check {
        let checked = fleet.check_tokens(&servers, scope).await;
        let outcome = |(checked, server)| outcome_of_check(fleet, checked, server);
        return Ok(checked.into_iter().zip(servers).map(outcome).unzip());
    }
    let wanted = match (args.rotate, args.revoke) {
        (true, _) => Wanted::Rotated(scope),
        (_, true) => Wanted::Revoked,
        _ => Wanted::Token(scope),
    };
    let confirmed = Confirmed::by_command();
    let results = {
        let _progress = ctx.ui.progress(&format!("setting up {} hosts", servers.len()));
        fleet.set_up(&servers, wanted, &confirmed).await
    };
    let (rows, ends): (Vec<Row>, Vec<End>) =
        results.into_iter().map(|result| outcome(fleet, result, !named.is_empty())).unzip();
    record(ctx, fleet, &rows)?;
    Ok((rows, ends))
}

/// The commands as they would be typed on a host.
fn row_of_printed(printed: Printed) -> Row {
    let Printed { server, token } = printed;
    let Some(PrintedToken { token, scope, commands }) = token else {
        return Row::new(&server, HostResult::SameCluster);
    };
    let row = Row::new(&server, HostResult::Printed);
    Row { token: Some(token.to_string()), scope: Some(scope.as_str()), commands, ..row }
}

/// What a host's token may do, and how its API is trusted.
fn outcome_of_check(fleet: &Fleet<'_>, checked: Checked, server: &ServerConfig) -> (Row, End) {
    let Checked { node, token, scope, trust, compared, refused } = checked;
    let mut row = Row {
        node: node.map(|node| node.to_string()),
        token: token.map(|token| token.to_string()),
        scope: Some(scope.as_str()),
        trust,
        ..Row::new(&server.id, HostResult::Checked)
    };
    let end = match compared {
        Ok(comparison) => {
            (row.missing, row.excess) = (comparison.missing, comparison.excess);
            if row.missing.is_empty() {
                Exit::Done.into()
            } else {
                row.error = Some(format!("{}: the token lacks {}", server.id, row.missing.join(", ")));
                End { exit: Exit::Denied, hint: Some(fleet.privileges(server, scope)) }
            }
        }
        Err(error) => {
            row.result = HostResult::Failed;
            row.error = Some(match &refused {
                Some(refused) => format!("{error}; {}", refused.why()),
                None => error.to_string(),
            });
            let hint = refused.and_then(|refused| refused.advice());
            End { exit: error.kind().into(), hint: hint.or_else(|| fleet.hint(&server.id, &error, Doing::Look)) }
        }
    };
    (row, end)
}

/// Keeps what was done and who asked for it.
fn record(ctx: &Context, fleet: &Fleet<'_>, rows: &[Row]) -> anyhow::Result<()> {
    for row in rows.iter().filter(|row| row.result.is_action()) {
        ctx.state.record_action(&Done {
            at: fleet.now(),
            server: Some(ServerKey::of_server(&row.id)),
            action: "setup-token".to_owned(),
            by: asked_by(&ctx.ui),
            outcome: row.result.as_str().to_owned(),
            seconds: None,
            detail: row.token.clone().or_else(|| row.error.clone()),
        })?;
    }
    Ok(())
}

/// How it ended for one host, besides its row.
struct End {
    exit: Exit,
    hint: Option<String>,
}

impl From<Exit> for End {
    fn from(exit: Exit) -> End {
        End { exit, hint: None }
    }
}

fn warn(ctx: &Context, rows: &[Row], ends: &[End]) {
    let left = HintId::TokensLeft.text();
    let mut hints: Vec<&str> = ends.iter().filter_map(|end| end.hint.as_deref()).collect();
    for row in rows {
        let id = &row.id;
        if let Some(error) = &row.error {
            ctx.ui.warning(error);
        }
        if !row.excess.is_empty() {
            ctx.ui.warning(&format!("{id}: the token may do more than its scope: {}", row.excess.join(", ")));
        }
        if !row.left.is_empty() {
            ctx.ui.warning(&format!("{id}: may still be on the host: {}", row.left.join(", ")));
            hints.push(&left);
        }
    }
    let mut said = HashSet::new();
    for hint in hints.into_iter().filter(|hint| said.insert(*hint)) {
        ctx.ui.hint(hint);
    }
    let failed = rows.iter().zip(ends).filter(|(row, end)| row.error.is_some() && end.exit != Exit::Refused);
    let mut lead = Lead::default();
    failed.for_each(|(row, _)| lead.server(&row.id));
    lead.say(&ctx.ui);
}

/// A host's row, and how it ended there.
fn outcome(fleet: &Fleet<'_>, mut result: SetUp, named: bool) -> (Row, End) {
    // A plain server among all the others is no failure; one that was named is.
    let other = matches!(result.error, Some(SetUpError::Host { failure: answer::Failure::NotPve, .. })) && !named;
    if other {
        (result.error, result.scope) = (None, None);
    }
    let end = result.error.as_ref().map_or(Exit::Done.into(), |error| end_of(fleet, &result.server, error));
    let (missing, excess) = result.comparison.map(|c| (c.missing, c.excess)).unwrap_or_default();
    let id = result.server;
    let row = Row {
        id: id.clone(),
        node: result.learned.node.map(|node| node.to_string()),
        result: match (result.did, &result.error) {
            (_, Some(_)) => HostResult::Failed,
            (TokenChange::Nothing, None) if other => HostResult::NoPve,
            (TokenChange::Nothing, None) => HostResult::Nothing,
            (TokenChange::Kept, None) => HostResult::Kept,
            (TokenChange::Created, None) => HostResult::Created,
            (TokenChange::Replaced, None) => HostResult::Replaced,
            (TokenChange::Revoked, None) => HostResult::Revoked,
        },
        token: result.token.map(|token| token.to_string()),
        scope: result.scope.map(TokenScope::as_str),
        trust: result.trust,
        missing,
        excess,
        left: result.left.iter().map(ToString::to_string).collect(),
        error: result.error.map(|error| explain(id.as_str(), &error)),
        commands: Vec::new(),
    };
    (row, end)
}

/// The error in words, beginning with the server.
fn explain(id: &str, error: &SetUpError) -> String {
    match error {
        SetUpError::Transport(error) if !error.to_string().contains(id) => format!("{id}: {error}"),
        _ => error.to_string(),
    }
}

/// The exit status that an error asks for, and the way out.
fn end_of(fleet: &Fleet<'_>, server: &ServerId, error: &SetUpError) -> End {
    use answer::Failure as Host;
    let (exit, hint) = match error {
        SetUpError::Transport(error) => (error.kind().into(), fleet.hint(server, error, Doing::SetUp)),
        SetUpError::State(_) => (Exit::Config, None),
        SetUpError::Host { failure, .. } => match failure {
            Host::NoRights { hint, .. } => (Exit::Denied, Some(hint.clone())),
            Host::NoSuchUser { userid } => (Exit::Denied, Some(HintId::UserUnknown.say(&[("user", userid)]))),
            Host::UserDisabled { userid, expired } => (Exit::Denied, Some(enable(userid, *expired))),
            Host::NotPve => (Exit::NoTarget, None),
            Host::PmxcfsDown => (Exit::Unreachable, Some(HintId::PmxcfsDown.text())),
            Host::NoQuorum => (Exit::Failed, Some(HintId::NoQuorum.text())),
            Host::Busy => (Exit::Failed, Some(HintId::PveBusy.text())),
            Host::TokenExists(_) | Host::Other { .. } | Host::CutOff => (Exit::Failed, None),
        },
        SetUpError::Missing { .. } => (Exit::Denied, None),
        SetUpError::Other { .. } => (Exit::Failed, None),
    };
    End { exit, hint }
}
