//! `ecobox setup-token`: makes this machine's own API token on each cluster over SSH, and learns whom to trust.

use std::collections::HashSet;

use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::{Context, Outcome, asked_by, complete, hosts_named, tell, with_fleet};
use crate::config::{Access, ServerConfig};
use crate::consent::Confirmed;
use crate::error::{Exit, Failure};
use crate::fleet::Fleet;
use crate::fleet::onboard::answer;
use crate::fleet::onboard::script::{Action, Removal, Request, plan};
use crate::fleet::onboard::setup::refused::enable;
use crate::fleet::onboard::setup::{Did, SetUp, SetUpError, Wanted};
use crate::fleet::onboard::{next_generation, token_id, token_name};
use crate::fleet::reach::hint::Doing;
use crate::model::access::scope::Scope;
use crate::model::hint::HintId;
use crate::model::host::facts::Product;
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::render::value::Value;
use crate::render::{Column, Report};
use crate::state::Action as Done;
use crate::transport;

const USAGE: &str = "ecobox setup-token [HOST]... [--scope SCOPE]\n       ecobox setup-token [HOST]... --print | --check | --rotate | --revoke";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox setup-token                       # every Proxmox VE host of the configuration\n\
    \x20 ecobox setup-token pve1 --scope monitor  # a token that can read, and nothing else\n\
    \x20 ecobox setup-token --print               # the commands, without running them\n\
    \x20 ecobox setup-token --check               # what the stored token may do\n\
    \x20 ecobox setup-token pve1 --revoke";

/// Make an API token for this machine on each Proxmox VE host or cluster
///
/// Over SSH, in one script: a user `ecobox@pve` without a password, a role with just the privileges of the scope, a
/// token of this machine's own, and their ACLs. Then the API's certificate is learned through SSH, and the token is
/// verified. One token serves a whole cluster. A token that is there and does is kept.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct SetupTokenArgs {
    /// Only these hosts
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::target))]
    hosts: Vec<String>,
    /// What the token may do [default: that of the stored token, else operator]
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Option<ScopeArg>,
    /// Show the commands and run none
    #[arg(long, group = "what")]
    print: bool,
    /// Make a new token, and remove the old one when the new one works
    #[arg(long, group = "what")]
    rotate: bool,
    /// Remove the token, and user and role if nobody else uses them
    #[arg(long, group = "what")]
    revoke: bool,
    /// Say what the stored token may do; change nothing
    #[arg(long, group = "what")]
    check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ScopeArg {
    /// Read state and load
    Monitor,
    /// The same, and start, stop and suspend guests
    Operator,
    /// All that the login user may do (`--privsep 0`)
    Full,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Scope {
        match scope {
            ScopeArg::Monitor => Scope::Monitor,
            ScopeArg::Operator => Scope::Operator,
            ScopeArg::Full => Scope::Full,
        }
    }
}

/// What became of every host.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct SetupTokenReport {
    servers: Vec<Row>,
}

/// The result of a server that was looked at with all the others, and that none of this concerns.
const NO_PVE: &str = "no Proxmox VE";

/// One host.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    id: Option<ServerId>,
    node: Option<String>,
    /// `created`, `kept`, `replaced`, `revoked`, `checked`, `none`, `no Proxmox VE`, `failed`; with `--print` `printed`.
    result: &'static str,
    token: Option<String>,
    scope: Option<&'static str>,
    /// How the API's certificate is verified.
    trust: Option<&'static str>,
    /// Privileges that the scope needs and the token lacks.
    missing: Vec<String>,
    /// Privileges that the token holds beyond its scope.
    excess: Vec<String>,
    /// Tokens that may still stand on the host; the next run removes them.
    left: Vec<String>,
    error: Option<String>,
    /// What would be run, with `--print`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<String>,
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
    if rows.iter().all(|row| row.result == NO_PVE) {
        return Err(Failure::new(Exit::NoTarget, "none of the servers is a Proxmox VE host").into());
    }
    let failed: Vec<Exit> = ends.into_iter().map(|end| end.exit).filter(|exit| *exit != Exit::Done).collect();
    let exit = Exit::of_many(rows.len() - failed.len(), failed);
    Ok(Outcome::new(SetupTokenReport { servers: rows }, exit))
}

async fn set_up(ctx: &Context, fleet: &Fleet<'_>, args: &SetupTokenArgs) -> anyhow::Result<(Vec<Row>, Vec<End>)> {
    let named = hosts_named(fleet, &args.hosts)?;
    let servers = candidates(fleet, &named, args.check);
    if servers.is_empty() {
        return Err(Failure::new(Exit::NoTarget, "no configured server can be a Proxmox VE host reached over SSH")
            .hint(HintId::NoPveHost.text())
            .into());
    }
    let scope = args.scope.map(Scope::from);
    let (rows, ends): (Vec<Row>, Vec<End>) = if args.print {
        print(fleet, &servers, scope).await?
    } else if args.check {
        check(fleet, &servers).await
    } else {
        let wanted = match (args.rotate, args.revoke) {
            (true, _) => Wanted::Rotated(scope),
            (_, true) => Wanted::Revoked,
            _ => Wanted::Token(scope),
        };
        let confirmed = Confirmed::by_command();
        let _progress = ctx.ui.progress(&format!("setting up {} hosts", servers.len()));
        let results = fleet.set_up(&servers, wanted, &confirmed).await;
        results.into_iter().map(|result| outcome(fleet, result, !named.is_empty())).unzip()
    };
    if !args.print && !args.check {
        record(ctx, fleet, &rows)?;
    }
    Ok((rows, ends))
}

/// Keeps what was done and who asked for it: what only looked or changed nothing is no action.
fn record(ctx: &Context, fleet: &Fleet<'_>, rows: &[Row]) -> anyhow::Result<()> {
    for row in rows.iter().filter(|row| ["created", "replaced", "revoked", "failed"].contains(&row.result)) {
        ctx.state.record_action(&Done {
            at: fleet.now(),
            server: row.id.as_ref().map(ServerKey::of_server),
            action: "setup-token".to_owned(),
            by: asked_by(&ctx.ui),
            outcome: row.result.to_owned(),
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
        let id = row.id.as_ref().map_or("", ServerId::as_str);
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
}

/// The hosts that are meant: those named, else all that are Proxmox VE hosts or were never visited.
fn candidates<'a>(fleet: &Fleet<'a>, named: &[ServerId], api_too: bool) -> Vec<&'a ServerConfig> {
    let visited_as_other = |server: &ServerConfig| {
        let known = fleet.known.borrow();
        known.facts.get(&server.id).is_some_and(|facts| !matches!(facts.product, Product::Pve(_) | Product::Unknown))
    };
    fleet
        .hosts()
        .filter(|server| {
            if named.is_empty() {
                (api_too || server.access != Access::Api) && (fleet.is_pve(server) || !visited_as_other(server))
            } else {
                named.contains(&server.id)
            }
        })
        .collect()
}

/// The commands as they would be typed on each host.
async fn print(
    fleet: &Fleet<'_>,
    servers: &[&ServerConfig],
    scope: Option<Scope>,
) -> anyhow::Result<(Vec<Row>, Vec<End>)> {
    let mut rows = Vec::new();
    let hostname = transport::local::hostname().unwrap_or_else(|| "ecobox".to_owned());
    let suffix = fleet.state.machine_suffix(|| transport::script::random_hex().chars().take(6).collect())?;
    let mut clusters = HashSet::new();
    for server in servers {
        let cluster = fleet.cluster_of(&server.id);
        let stored = fleet.state.token(&cluster)?;
        let scope = scope.or(stored.as_ref().map(|stored| stored.scope)).unwrap_or(Scope::Operator);
        if !clusters.insert(cluster) {
            // What is done on one node holds for all.
            rows.push(Row { id: Some(server.id.clone()), result: "same cluster", ..Row::default() });
            continue;
        }
        let ssh_user = fleet.login_user(server).await?;
        let intents = fleet.state.all_intents()?;
        let stored_ids = fleet.state.tokens()?.into_iter().map(|stored| stored.token.id);
        let used: Vec<_> = stored_ids.chain(intents.iter().map(|intent| intent.token.clone())).collect();
        let token = token_id(scope, &ssh_user, &token_name(&hostname, &suffix, next_generation(&used, &suffix)))?;
        let ours = intents.into_iter().filter(|intent| intent.server == server.id);
        let left = ours.map(|intent| Removal { token: intent.token, scope: None });
        let replaces = stored.as_ref().map(|stored| stored.token.id.clone());
        let old = stored.map(|stored| Removal { token: stored.token.id, scope: Some(stored.scope) });
        let remove = left.chain(old).collect();
        let today = fleet.now().strftime("%Y-%m-%d");
        let action =
            Action::Create { token: token.clone(), comment: format!("ecobox on {hostname}, {today}"), replaces };
        let major = fleet.known.borrow().facts.get(&server.id).and_then(|facts| facts.pve()?.major());
        let commands = plan(&Request { action, scope, remove, ssh_user }, major)?.commands;
        rows.push(Row {
            id: Some(server.id.clone()),
            result: "printed",
            token: Some(token.to_string()),
            scope: Some(scope.as_str()),
            commands,
            ..Row::default()
        });
    }
    let ends = rows.iter().map(|_| Exit::Done.into()).collect();
    Ok((rows, ends))
}

/// What each host's token may do, and how its API is trusted.
async fn check(fleet: &Fleet<'_>, servers: &[&ServerConfig]) -> (Vec<Row>, Vec<End>) {
    let asked = servers.iter().map(|server| async {
        let stored = fleet.state.token(&fleet.cluster_of(&server.id)).ok().flatten();
        let scope = stored.as_ref().map_or(Scope::Operator, |stored| stored.scope);
        let token = fleet.token(server).await.map(|token| token.id);
        let (token, compared) = match token {
            Ok(token) => (Some(token), fleet.check(server, scope).await),
            Err(error) => (None, Err(error)),
        };
        let mut row = Row {
            id: Some(server.id.clone()),
            node: fleet.node_of(&server.id).map(|node| node.to_string()),
            result: "checked",
            token: token.as_ref().map(ToString::to_string),
            scope: Some(scope.as_str()),
            trust: fleet.trust(server).await.ok().map(|trust| trust.as_str()),
            ..Row::default()
        };
        let end = match compared {
            Ok(comparison) => {
                (row.missing, row.excess) = (comparison.missing, comparison.excess);
                if row.missing.is_empty() {
                    Exit::Done.into()
                } else {
                    row.error = Some(format!("{}: the token lacks {}", server.id, row.missing.join(", ")));
                    End { exit: Exit::Denied, hint: Some(fleet.privileges(server)) }
                }
            }
            Err(error) => {
                row.result = "failed";
                row.error = Some(error.to_string());
                let refused = match (&error, &token) {
                    (transport::Error::Denied { why: transport::Denial::Token, .. }, Some(token)) => {
                        fleet.why_refused(server, token).await
                    }
                    _ => None,
                };
                if let Some(refused) = &refused {
                    row.error = Some(format!("{error}; {}", refused.why()));
                }
                let hint = refused.and_then(|refused| refused.advice());
                End { exit: error.kind().into(), hint: hint.or_else(|| fleet.hint(&server.id, &error, Doing::Look)) }
            }
        };
        (row, end)
    });
    futures::future::join_all(asked).await.into_iter().unzip()
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
        id: Some(id.clone()),
        node: result.learned.node.map(|node| node.to_string()),
        result: match (result.did, &result.error) {
            (_, Some(_)) => "failed",
            (Did::Nothing, None) if other => NO_PVE,
            (Did::Nothing, None) => "none",
            (Did::Kept, None) => "kept",
            (Did::Created, None) => "created",
            (Did::Replaced, None) => "replaced",
            (Did::Revoked, None) => "revoked",
        },
        token: result.token.map(|token| token.to_string()),
        scope: result.scope.map(Scope::as_str),
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

impl Report for SetupTokenReport {
    const SCHEMA: &'static str = "ecobox.setup-token/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("SERVER", 0, |row| Value::maybe(row.id.as_ref().map(ServerId::as_str))).cut_to(16),
            column("NODE", 5, |row| Value::maybe(row.node.as_deref())),
            column("RESULT", 0, |row| Value::text(row.result)),
            column("TOKEN", 1, |row| Value::maybe(row.token.as_deref())).cut_to(16),
            column("SCOPE", 2, |row| Value::maybe(row.scope)),
            column("TLS", 4, |row| Value::maybe(row.trust)),
            column("MISSING", 3, |row| Value::made(row.missing.join(", "))).cut_to(12),
            wide("EXCESS", |row| Value::made(row.excess.join(", "))),
            wide("ERROR", |row| Value::maybe(row.error.as_deref())),
        ]
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.servers.iter()
    }

    fn notes(&self) -> Vec<String> {
        let printed = self.servers.iter().filter(|row| !row.commands.is_empty());
        let mut notes: Vec<String> = printed
            .flat_map(|row| {
                let title = format!("# on {}", row.id.as_ref().map_or("", ServerId::as_str));
                std::iter::once(title).chain(row.commands.iter().cloned())
            })
            .collect();
        if self.servers.iter().any(|row| matches!(row.result, "created" | "replaced")) {
            notes.push("next: `ecobox discover`".to_owned());
        }
        notes
    }
}
