//! How hard a server works.

pub(crate) mod reading;
pub(crate) mod usage;
