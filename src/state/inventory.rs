//! What is known: servers, clusters and their guests, tokens, trust.

pub(crate) mod alarms;
pub(crate) mod backups;
pub(crate) mod certificates;
pub(crate) mod changes;
pub(crate) mod clusters;
pub(crate) mod completion_names;
pub(crate) mod guests;
pub(crate) mod identities;
pub(crate) mod idle;
pub(crate) mod last_seen;
pub(crate) mod leases;
pub(crate) mod moved;
pub(crate) mod permissions;
pub(crate) mod program_answers;
pub(crate) mod record_listing;
pub(crate) mod servers;
pub(crate) mod silent_agents;
pub(crate) mod tokens;
pub(crate) mod upkeep;
