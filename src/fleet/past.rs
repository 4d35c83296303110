//! What was: series and availability, from the state file, from Proxmox VE's own database, from Prometheus.

pub(crate) mod availability;
pub(crate) mod day;
pub(crate) mod history;
pub(crate) mod prometheus;
pub(crate) mod recall;
pub(crate) mod series;
