//! How hard a server works, and who said so.

use serde::{Deserialize, Serialize};

/// Who gave an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The Proxmox VE API.
    Api,
    /// A script over SSH.
    Ssh,
    /// A TCP connection that was accepted, refused or not answered.
    Tcp,
    /// This machine itself.
    Local,
    /// The state file: what an earlier run learned.
    Cache,
    /// The configuration file.
    Config,
}

impl Source {
    /// The word for it in reports and in the state file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Source::Api => "api",
            Source::Ssh => "ssh",
            Source::Tcp => "tcp",
            Source::Local => "local",
            Source::Cache => "cache",
            Source::Config => "config",
        }
    }
}

/// Numbers that came with a listing. `None` is unknown, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// Percent of the server's own CPUs.
    pub(crate) cpu_percent: Option<f64>,
    /// The number of its CPUs; fractional for a container with a limit.
    pub(crate) cpus: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_max_bytes: Option<u64>,
    pub(crate) uptime_seconds: Option<u64>,
}
