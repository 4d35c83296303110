//! Facts and rules: no I/O, no async, no clap, no clock of its own.
//!
//! Everything here can be tested with tables. Times come in as arguments, and unknown values are `None`.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice))]

pub(crate) mod action;
pub(crate) mod address;
pub(crate) mod availability;
pub(crate) mod condition;
pub(crate) mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod foreign;
mod glob;
pub(crate) mod guest;
pub(crate) mod hint;
pub(crate) mod host_power;
pub(crate) mod human;
pub(crate) mod id;
pub(crate) mod inventory;
pub(crate) mod login;
pub(crate) mod metrics;
pub(crate) mod percentile;
pub(crate) mod pieces;
pub(crate) mod power;
pub(crate) mod reading;
pub(crate) mod scope;
pub(crate) mod select;
pub(crate) mod series;
pub(crate) mod server;
pub(crate) mod spark;
pub(crate) mod text;
pub(crate) mod told;
pub(crate) mod trouble;
pub(crate) mod trust;
pub(crate) mod usage;
pub(crate) mod watch;
pub(crate) mod wol;
