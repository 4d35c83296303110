//! Facts and rules: no I/O, no async, no clap, no clock of its own.
//!
//! Everything here can be tested with tables. Times come in as arguments, and unknown values are `None`.
//!
//! Words that are easily confused:
//! - a *reading* (`load::reading`) is what one host's counters said at one moment;
//! - *usage* (`load::usage`) is how hard one server works, in the same form for all of them; a *sample* is the usage that one
//!   look measured, with who measured it;
//! - a *metric* (`past::series`) is one of the numbers in it; `past::metrics` has the names under which they leave ecobox;
//! - a *measurement* is one value of a metric, or what is left of many; a *series* is a metric of one server over a time, in
//!   steps;
//! - a *look* (`watch`) is one time of asking; what it could not find out is a *failure* (`inventory::Failed`), and what a
//!   person should hear of first is a *problem* (`inventory::problems`);
//! - a *check* of a service says whether a port answers; a check before an action is a *finding* (`power`).

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice))]

pub(crate) mod access;
pub(crate) mod advice;
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
pub(crate) mod migrate;
pub(crate) mod monitor;
pub(crate) mod past;
pub(crate) mod power;
#[cfg(test)]
pub(crate) mod schema;
pub(crate) mod select;
pub(crate) mod snapshot;
pub(crate) mod text;
pub(crate) mod upkeep;
pub(crate) mod watch;
