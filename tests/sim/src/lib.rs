//! A simulated fleet on loopback for ecobox's tests and for `ecobox demo`.
//!
//! A [`Cluster`] is described by its builder and started by [`Sim::start`]: each of its nodes then serves the Proxmox VE
//! API over TLS on a port of 127.0.0.1, with state: users and tokens, guests, tasks, locks. What it answers is held
//! against recordings of a real host by `tests/replay.rs`. Tests change it while it runs, and look at what was asked.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "it serves tests: what cannot happen may panic")]

pub mod access;
mod api;
mod body;
mod broadcast;
mod clock;
mod cluster;
mod counters;
mod demo;
mod fault;
mod guest;
mod history;
mod hook;
pub mod host;
mod http;
pub mod keys;
mod migrate;
mod node;
mod power;
pub mod prometheus;
mod pveum;
mod server;
mod sim;
mod snapshot;
pub mod ssh;
pub mod sshd;
mod tasks;
mod tls;
mod traffic;
mod upkeep;
mod version;

pub use clock::Clock;
pub use cluster::{Cluster, Timing};
pub use demo::{Demo, DemoHost, DemoService};
pub use fault::Fault;
pub use guest::{Agent, Guest, Interface, Kind, Power};
pub use hook::Moment;
pub use migrate::MoveFault;
pub use node::{Node, Service, Stats};
pub use sim::{ClusterGuard, NodeHandle, Sim, SimHandle};
pub use snapshot::SnapshotFault;
pub use tls::{Ca, Identity};
pub use traffic::Recorded;
