//! What became of each host, as it is shown.

use serde::{Serialize, Serializer};

use crate::model::id::ServerId;
use crate::render::value::Value;
use crate::render::{Column, Report};

/// What became of every host.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct SetupTokenReport {
    pub(super) servers: Vec<Row>,
}

/// What became of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostResult {
    Created,
    Kept,
    Replaced,
    Revoked,
    Checked,
    /// There was nothing to do.
    Nothing,
    /// A server that was looked at with all the others, and that none of this concerns.
    NoPve,
    Failed,
    Printed,
    /// With `--print`: what is done on another node of its cluster holds for it.
    SameCluster,
}

impl HostResult {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            HostResult::Created => "created",
            HostResult::Kept => "kept",
            HostResult::Replaced => "replaced",
            HostResult::Revoked => "revoked",
            HostResult::Checked => "checked",
            HostResult::Nothing => "none",
            HostResult::NoPve => "no Proxmox VE",
            HostResult::Failed => "failed",
            HostResult::Printed => "printed",
            HostResult::SameCluster => "same cluster",
        }
    }

    /// Whether something was tried on the host: what only looked or changed nothing is no action.
    pub(crate) fn is_action(self) -> bool {
        matches!(self, HostResult::Created | HostResult::Replaced | HostResult::Revoked | HostResult::Failed)
    }
}

impl Serialize for HostResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One host.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(super) id: ServerId,
    pub(super) node: Option<String>,
    /// `created`, `kept`, `replaced`, `revoked`, `checked`, `none`, `no Proxmox VE`, `failed`; with `--print` `printed`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) result: HostResult,
    pub(super) token: Option<String>,
    pub(super) scope: Option<&'static str>,
    /// How the API's certificate is verified.
    pub(super) trust: Option<&'static str>,
    /// Privileges that the scope needs and the token lacks.
    pub(super) missing: Vec<String>,
    /// Privileges that the token holds beyond its scope.
    pub(super) excess: Vec<String>,
    /// Tokens that may still stand on the host; the next run removes them.
    pub(super) left: Vec<String>,
    pub(super) error: Option<String>,
    /// What would be run, with `--print`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<String>,
}

impl Row {
    /// A host of which no more is known than what became of it.
    pub(super) fn new(server: &ServerId, result: HostResult) -> Row {
        Row {
            id: server.clone(),
            node: None,
            result,
            token: None,
            scope: None,
            trust: None,
            missing: Vec::new(),
            excess: Vec::new(),
            left: Vec::new(),
            error: None,
            commands: Vec::new(),
        }
    }
}

impl Report for SetupTokenReport {
    const SCHEMA: &'static str = "ecobox.setup-token/1";
    type Item<'r> = &'r Row;

    fn columns(&self) -> Vec<Column<'_, &Row>> {
        let (column, wide) = (Column::<&Row>::new, Column::<&Row>::wide);
        vec![
            column("SERVER", 0, |row| Value::text(row.id.as_str())).cut_to(16),
            column("NODE", 5, |row| Value::maybe(row.node.as_deref())),
            column("RESULT", 0, |row| Value::text(row.result.as_str())),
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
                let title = format!("# on {}", row.id);
                std::iter::once(title).chain(row.commands.iter().cloned())
            })
            .collect();
        if self.servers.iter().any(|row| matches!(row.result, HostResult::Created | HostResult::Replaced)) {
            notes.push("next: `ecobox discover`".to_owned());
        }
        notes
    }
}
