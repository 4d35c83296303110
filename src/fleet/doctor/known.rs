//! What several families of checks go by.

use crate::config::ServerConfig;
use crate::model::check::host::HostSeen;
use crate::model::inventory::Inventory;
use crate::state::Action;

/// What is known before anybody is asked.
pub(super) struct Known<'k> {
    /// All servers as they are remembered.
    pub(super) inventory: &'k Inventory,
    /// What ecobox did to them.
    pub(super) past: &'k [Action],
}

/// The hosts that were looked at, and what was seen of each.
pub(super) type Looks<'a> = [(&'a ServerConfig, &'a HostSeen)];
