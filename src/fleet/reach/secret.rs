//! Secrets that the configuration keeps elsewhere, read when they are needed and not before.

use std::path::Path;
use std::time::Duration;

use crate::config::SecretFrom;
use crate::file;
use crate::model::id::Secret;
use crate::transport::{Error, local};

/// A secret is a line; more is some other file.
const MAX_BYTES: u64 = 64 * 1024;

/// For whom a secret is read, for messages.
#[derive(Debug, Clone, Copy)]
pub(in crate::fleet) struct Asker<'a> {
    /// Who will see it: `Prometheus`, or a server's id.
    pub(in crate::fleet) peer: &'a str,
    /// The table that says where it is: `[history]`.
    pub(in crate::fleet) place: &'static str,
}

/// The first line, without its end: what `pass show` prints may have more.
///
/// # Errors
/// `Local` if it cannot be read or is empty, or if its command does not end in time.
pub(in crate::fleet) async fn secret(asker: Asker<'_>, from: &SecretFrom, deadline: Duration) -> Result<Secret, Error> {
    let (key, text) = match from {
        SecretFrom::Command { key, command } => (key, local::secret(key, command, deadline).await?),
        SecretFrom::File { key, path } => (key, Secret::new(read(asker, key, path, deadline).await?)),
    };
    match text.expose().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        _ => Err(asker.failed(format!("`{key}` of {} gives an empty text", asker.place))),
    }
}

/// A file that the configuration names under `key`.
///
/// # Errors
/// `Local` if it cannot be read, or does not come in time.
pub(in crate::fleet) async fn read(
    asker: Asker<'_>,
    key: &str,
    path: &Path,
    deadline: Duration,
) -> Result<String, Error> {
    let text = file::read_text(path, MAX_BYTES, deadline.min(file::PATIENCE)).await;
    text.map_err(|error| asker.failed(format!("cannot read `{key}` {}: {error}", path.display())))
}

impl Asker<'_> {
    pub(in crate::fleet) fn failed(self, detail: String) -> Error {
        Error::Local { peer: self.peer.to_owned(), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const ASKER: Asker<'static> = Asker { peer: "Prometheus", place: "[history]" };

    fn command(line: &str) -> SecretFrom {
        SecretFrom::Command { key: "password_command", command: ["sh", "-c", line].map(str::to_owned).into() }
    }

    #[tokio::test]
    async fn a_secret_is_one_line_of_a_command_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (text, want) in [("a b", "a b"), ("ab\n", "ab"), ("ab\r\nuser: me\n", "ab"), ("  ä\n\n", "  ä")] {
            std::fs::write(&path, text).unwrap();
            let file = SecretFrom::File { key: "password_file", path: path.clone() };
            assert_eq!(secret(ASKER, &file, PATIENCE).await.unwrap().expose(), want);
            let command = command(&format!("cat {}", path.display()));
            assert_eq!(secret(ASKER, &command, PATIENCE).await.unwrap().expose(), want);
        }
        std::fs::write(&path, vec![b'a'; 65 * 1024]).unwrap();
        let file = |path| SecretFrom::File { key: "password_file", path };
        let noun = |path: &Path| format!("Prometheus: cannot read `password_file` {}: ", path.display());
        let missing = folder.path().join("missing");
        let binary = folder.path().join("binary");
        std::fs::write(&binary, [0xff]).unwrap();
        for (from, says) in [
            (file(path.clone()), noun(&path) + "it is larger than 64 KiB"),
            (file(missing.clone()), noun(&missing) + "No such file"),
            (file(binary.clone()), noun(&binary) + "it is not text"),
            (command("true"), "Prometheus: `password_command` of [history] gives an empty text".to_owned()),
            (command("yes c0ffee"), "this machine: password_command `sh` prints more than 64 KiB".to_owned()),
            (command("echo"), "Prometheus: `password_command` of [history] gives an empty text".to_owned()),
            (command("echo c0ffee; exit 3"), "this machine: password_command `sh` failed (exit status: 3)".to_owned()),
        ] {
            let error = secret(ASKER, &from, PATIENCE).await.unwrap_err().to_string();
            assert!(error.starts_with(&says) && !error.contains("c0ffee"), "{error}");
        }
    }
}
