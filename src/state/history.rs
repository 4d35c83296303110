//! What was: numbers, checks, changes of power, actions; and what is still to be sent to Prometheus.

pub(crate) mod actions;
pub(crate) mod check_hours;
pub(crate) mod energy;
pub(crate) mod events;
pub(crate) mod past_steps;
pub(crate) mod pending_hours;
pub(crate) mod prometheus_queue;
pub(crate) mod readings;
pub(crate) mod reported_failures;
pub(crate) mod retention;
pub(crate) mod rollup;
pub(crate) mod sample_blocks;
pub(crate) mod samples;
pub(crate) mod sightings;
pub(crate) mod time_table;
