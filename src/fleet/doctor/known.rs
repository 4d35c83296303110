//! What several families of checks go by.

use crate::config::ServerConfig;
use crate::model::check::host::HostSeen;
use crate::model::inventory::Inventory;
use crate::state::Action;
use crate::transport::pve::Client;

/// What is known before anybody is asked.
pub(super) struct Known<'k> {
    /// All servers as they are remembered.
    pub(super) inventory: &'k Inventory,
    /// What ecobox did to them.
    pub(super) past: &'k [Action],
}

/// A host that was looked at.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) host: &'a ServerConfig,
    pub(super) seen: &'a HostSeen,
    /// The connection over which its API answered.
    pub(super) client: Option<&'a Client>,
}

impl<'a> Look<'a> {
    pub(super) fn of(((host, seen), client): ((&&'a ServerConfig, &'a HostSeen), &'a Option<Client>)) -> Look<'a> {
        Look { host, seen, client: client.as_ref() }
    }
}
