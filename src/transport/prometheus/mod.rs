//! Prometheus, or what speaks like it: numbers are sent by remote write 1.0 and read by its query API.
//!
//! - `write` makes the bodies, `query` asks for what was kept, `client` is how both are asked over HTTP.
//!
//! A body that could not be sent can be kept as it is and sent later: making it (`encode`) and sending it
//! (`Writer::send`) are two things.

mod client;
mod query;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use client::{Access, Auth, Error};
pub(crate) use query::Reader;
#[cfg_attr(not(test), expect(unused_imports, reason = "what reads a history comes with `stats`"))]
pub(crate) use query::{Matcher, selector};
pub(crate) use write::Writer;
#[cfg_attr(not(test), expect(unused_imports, reason = "what sends numbers comes with `stats`"))]
pub(crate) use write::{TimeSeries, encode, series_of};
