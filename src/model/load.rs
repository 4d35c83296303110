//! How hard a server works, and how much power it draws.

pub(crate) mod energy;
pub(crate) mod rapl;
pub(crate) mod reading;
pub(crate) mod usage;
