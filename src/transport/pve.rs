//! The REST API of Proxmox VE.
//!
//! - `requests`, `power`, `migrate`, `snapshot` and `upkeep` are what others use; `client` is how a GET is made, `retry` when it is tried again, `post_once` a call that changes something,
//!   `failure` what the API's errors mean, `clock` what time it is there.
//! - `certificate` is how a cluster is known by its CA, and which trust fits what an API presents.
//! - `listing`, `rrd`, `filesystems`, `guest` and `answers` read what comes, `lenient` value by value, `repair_json` where
//!   it is no valid JSON.

mod answers;
mod certificate;
mod client;
mod clock;
mod failure;
pub(crate) mod filesystems;
#[cfg(any(test, fuzzing))]
pub(super) mod foreign;
mod guest;
mod guest_size;
mod lenient;
mod listing;
mod migrate;
mod post_once;
mod power;
mod repair_json;
mod requests;
mod retry;
pub(crate) mod rrd;
mod snapshot;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upkeep;

pub(crate) use super::tls::presented_over;
pub(crate) use super::tls::rule::Presented;
pub(crate) use certificate::{
    ca_fingerprint, ca_trust, certificates_in, choose_trust, fingerprint_of, fingerprints_in, presented_by_file,
    proven_ca,
};
pub(crate) use client::{Client, Endpoint};
pub(crate) use failure::{is_not_here, is_passing};
pub(crate) use filesystems::AgentFilesystems;
pub(crate) use post_once::Posted;
pub(crate) use requests::AgentAnswer;
pub(crate) use rrd::{Consolidation, RrdAnswer, RrdStep, Timeframe, merge};
pub(crate) use snapshot::{StorageSetup, ThinPool};
pub(crate) use upkeep::{BackupTask, NodeStorage};
