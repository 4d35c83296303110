//! Which of OpenSSH's configurations is read.

use std::path::PathBuf;

/// Which `ssh_config` is asked: `[ssh] config = false`, unset, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    Off,
    Default,
    File(PathBuf),
}
