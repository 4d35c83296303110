//! Numbers and states over time.

pub(crate) mod availability;
pub(crate) mod energy;
pub(crate) mod metrics;
pub(crate) mod percentile;
pub(crate) mod series;
pub(crate) mod spark;
