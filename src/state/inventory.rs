//! What is known: servers, clusters and their guests, tokens, trust.

pub(crate) mod agents;
pub(crate) mod backups;
pub(crate) mod cache;
pub(crate) mod changes;
pub(crate) mod clusters;
pub(crate) mod guests;
pub(crate) mod identities;
pub(crate) mod last;
pub(crate) mod leases;
pub(crate) mod names;
pub(crate) mod permissions;
pub(crate) mod record_listing;
pub(crate) mod servers;
pub(crate) mod tokens;
pub(crate) mod trust;
pub(crate) mod upkeep;
