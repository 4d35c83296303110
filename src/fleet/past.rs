//! What was: series and availability, from the state file, from Proxmox VE's own database, from Prometheus.

pub(crate) mod availability;
pub(crate) mod last_day;
pub(crate) mod last_run;
pub(crate) mod prometheus_access;
pub(crate) mod remote_history;
pub(crate) mod series;
