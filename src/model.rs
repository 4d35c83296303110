//! Facts and rules: no I/O, no async, no clap, no clock of its own.
//!
//! Everything here can be tested with tables. Times come in as arguments, and unknown values are `None`.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice))]

pub(crate) mod access;
pub(crate) mod check;
#[cfg(any(test, fuzzing))]
pub(crate) mod foreign;
pub(crate) mod guest;
pub(crate) mod hint;
pub(crate) mod host;
pub(crate) mod id;
pub(crate) mod inventory;
pub(crate) mod lease;
pub(crate) mod load;
pub(crate) mod monitor;
pub(crate) mod past;
pub(crate) mod power;
#[cfg(test)]
pub(crate) mod schema;
pub(crate) mod select;
pub(crate) mod text;
pub(crate) mod upkeep;
pub(crate) mod watch;
