//! Arming Wake-on-LAN on a host's port.

use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::host::facts::word;
use crate::fleet::host::power::way::RIGHTS;
use crate::transport::Error;
use crate::transport::script::quote;
use crate::transport::ssh::HostKeyPolicy;

/// What became of arming a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ArmedWol {
    /// Read back: it is armed now.
    Armed,
    /// Read back: it is not, although nothing failed. Some drivers take it without a word.
    NotArmed,
    /// It was set, and could not be read back.
    Unread,
    /// The host's words.
    Failed { detail: String },
}

/// The script for a port, or why no port has such a name.
pub(super) fn script(nic: &str) -> Result<String, String> {
    let bad = || format!("{nic:?} is not a valid name of a network port");
    // A name that begins with `-` would be an option.
    if nic.is_empty() || nic.len() > 15 || nic.starts_with('-') || nic.contains('/') {
        return Err(bad());
    }
    let nic = quote(nic).map_err(|_| bad())?;
    Ok(format!("uid= rights= sudo= listed= nic={nic}\n{RIGHTS}{}", include_str!("arm.sh")))
}

/// What the script said.
pub(super) fn parse(text: &str) -> ArmedWol {
    let mut armed = ArmedWol::Unread;
    for line in text.lines() {
        if let Some(detail) = line.strip_prefix("failed\t") {
            return ArmedWol::Failed { detail: word(detail).unwrap_or_else(|| "ethtool failed".to_owned()) };
        }
        if let Some(modes) = line.strip_prefix("\tWake-on:") {
            armed = if modes.trim().contains('g') { ArmedWol::Armed } else { ArmedWol::NotArmed };
        }
    }
    armed
}

impl Fleet<'_> {
    /// Arms Wake-on-LAN by magic packet on a port of a host (`ethtool -s NIC wol g`), and reads it back.
    ///
    /// # Errors
    /// Those of an SSH script. After a `Timeout` or `Protocol` it may be armed: the next look tells.
    pub(crate) async fn arm_wol(&self, server: &ServerConfig, nic: &str, _: &Confirmed) -> Result<ArmedWol, Error> {
        let script = match script(nic) {
            Ok(script) => script,
            Err(detail) => return Ok(ArmedWol::Failed { detail }),
        };
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await?;
        Ok(parse(&output.stdout))
    }
}
