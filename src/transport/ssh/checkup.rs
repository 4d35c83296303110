//! What is wrong with the files and the agent that logins use, to find the cause of a refused login.

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
    if own_uid() != Some(metadata.uid()) || metadata.mode().trailing_zeros() >= 6 {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn lines_that_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let old = "B3NzaC1kc3MAAACBAOeB5bBdDvWuvzbHUR5ipADUJLMhnB9y2eYnSGu1zF";
        let text = format!(
            "# a comment\n\nnas {KEY}\n|1|no|hash {KEY}\nnas {}\nnas\n@revoked * {KEY}\n@nonsense * {KEY}\n\
             [nas]:2222,10.0.0.1 {KEY} comment\nold ssh-dss AAAA{old}=\nnas ssh-ed25519 AAAA{old}\r\n",
            &KEY[..40]
        );
        fs::write(&file, text).unwrap();
        assert_eq!(unreadable_lines(&file).unwrap(), [4, 5, 6, 8, 11]);
        assert!(unreadable_lines(&folder.path().join("none")).unwrap().is_empty());
        assert!(unreadable_lines(folder.path()).is_err());
        let files = [file];
        assert!(is_recorded_badly(&files, "nas") && !is_recorded_badly(&files, "old"));
    }

    #[test]
    fn keys_that_others_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = (folder.path().join("id"), folder.path().join("id.pub"));
        fs::write(&private, "-----BEGIN OPENSSH PRIVATE KEY-----").unwrap();
        fs::write(&public, KEY).unwrap();
        for (path, mode, want) in [
            (&private, 0o600, None),
            (&private, 0o644, Some(0o644)),
            (&private, 0o640, Some(0o640)),
            (&public, 0o644, None),
        ] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(exposed(path), want, "{} {mode:o}", path.display());
        }
        assert_eq!(exposed(&folder.path().join("none")), None);
    }

    #[tokio::test]
    async fn an_agent_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let gone = agent_keys(&folder.path().join("agent"), Duration::from_secs(10)).await;
        assert!(gone.unwrap_err().contains("No such file"), "a socket that is not there");
    }
}
