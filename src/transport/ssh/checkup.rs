//! What is wrong with the files and the agent that logins use, for whoever looks for the cause of a refused login.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russh::keys::PublicKey;
use russh::keys::agent::client::AgentClient;

use crate::transport::ssh::account::own_uid;
use crate::transport::ssh::known_hosts;

/// The mode of a private key that others may read; `None`: there is no such key, or it is fine.
pub(crate) fn exposed(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    if own_uid() != Some(metadata.uid()) || metadata.mode() & 0o077 == 0 {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    // It may as well be the public half, which everybody may read.
    PublicKey::from_openssh(text.trim()).is_err().then_some(metadata.mode() & 0o7777)
}

/// How many keys an agent has, or why it does not say.
pub(crate) async fn agent_keys(socket: &Path, patience: Duration) -> Result<usize, String> {
    let asked = async {
        let mut agent = AgentClient::connect_uds(socket).await?;
        agent.request_identities().await
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(Ok(keys)) => Ok(keys.len()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// Whether a line of these `known_hosts` files that cannot be read is about the host that is recorded under this name.
pub(crate) fn is_recorded_badly(files: &[PathBuf], name: &str) -> bool {
    let lines = files.iter().filter_map(|file| fs::read(file).ok());
    lines.into_iter().any(|text| {
        text.split(|byte| *byte == b'\n')
            .any(|line| !known_hosts::is_readable(line) && known_hosts::is_about(line, name))
    })
}

/// The numbers of the lines of a `known_hosts` file that say nothing, from 1; none of a file that is not there.
///
/// # Errors
/// The system's, of a file that cannot be read.
pub(crate) fn unreadable_lines(path: &Path) -> io::Result<Vec<usize>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    Ok(lines.filter(|(_, line)| !known_hosts::is_readable(line)).map(|(number, _)| number + 1).collect())
}
