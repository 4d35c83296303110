//! Prometheus, or what speaks like it: numbers are sent by remote write 1.0 and read by its query API.
//!
//! - `write` makes the bodies, `query` asks for what was kept, `client` is how both are asked over HTTP.
//!
//! A body that could not be sent can be kept as it is and sent later: making it (`encode`) and sending it
//! (`Writer::send`) are two things.

mod client;
#[cfg(any(test, fuzzing))]
pub(super) mod foreign;
mod query;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use client::{Access, Auth, Error};
pub(crate) use query::{Matcher, Reader, selector};
pub(crate) use write::{Writer, encode, series_of};
