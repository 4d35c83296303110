//! How long things take.

use std::time::Duration;

/// How long things take, in PVE's seconds (see [`Clock::set_pace`]).
#[derive(Debug, Clone)]
pub struct Timing {
    /// A task that only tells QEMU something: start, stop, reset, suspend, resume.
    pub task: f64,
    /// A guest that obeys the request to shut down.
    pub shutdown: f64,
    /// Between the end of a reboot's task and the guest running again.
    pub reboot_gap: f64,
    /// Waiting for a guest's lock file.
    pub lock_wait: f64,
    /// The HA manager's way from a request to the deed.
    pub ha: f64,
    /// A migration, once it goes.
    pub migrate: f64,
    /// The delay of a 401.
    pub auth_delay: f64,
    /// An agent that does not answer.
    pub agent_timeout: f64,
    /// Another node that does not answer ("No route to host").
    pub no_route: f64,
    /// Between the API's `shutdown` of a node and its end.
    pub node_shutdown: f64,
    /// A node's way up.
    pub node_boot: f64,
    /// How long a connection may be idle, in real time.
    pub idle: Duration,
    /// Between two of pvestatd's broadcasts, by the cluster's clock: so old may be what `/cluster/resources` says of states
    /// and numbers.
    pub broadcast: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            task: 0.5,
            shutdown: 2.0,
            reboot_gap: 1.0,
            lock_wait: 10.0,
            ha: 10.0,
            migrate: 20.0,
            auth_delay: 3.0,
            agent_timeout: 3.0,
            no_route: 3.0,
            node_shutdown: 2.0,
            node_boot: 60.0,
            idle: Duration::from_secs(5),
            broadcast: Duration::from_secs(10),
        }
    }
}
