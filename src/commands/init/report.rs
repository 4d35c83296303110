//! What every server is, as it is shown.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::ServerConfig;
use crate::fleet::onboard::visit::Visit;
use crate::model::host::facts::{HostFacts, Nic, Privilege, Product};
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::FailureKind;
use crate::render::value::Value;
use crate::render::{Column, Report};
use crate::transport::Error;

/// What every server is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct InitReport {
    pub(super) config: PathBuf,
    /// Ids of the servers that this run added.
    pub(super) added: Vec<String>,
    pub(super) servers: Vec<Row>,
    /// The command that comes now.
    #[serde(skip)]
    pub(super) next: Option<&'static str>,
}

/// One server.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(super) id: ServerId,
    pub(super) hostname: String,
    pub(super) facts: Option<HostFacts>,
    pub(super) host_key: Option<String>,
    pub(super) took_seconds: f64,
    pub(super) failure: Option<FailureKind>,
    pub(super) error: Option<String>,
}

pub(super) fn row(visit: Visit, server: &ServerConfig) -> Row {
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
        // The column is narrow, and Debian is not mistaken for a kernel.
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
