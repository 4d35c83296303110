//! The Prometheus of `[history]`: its secrets and its CA are read when it is asked, and not before.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::config::{HistoryAuth, HistorySettings, SecretFrom};
use crate::model::id::Secret;
use crate::transport::prometheus::{Access, Auth, Error, Reader, Writer};
use crate::transport::{self, local};

/// A secret is a line; more is some other file.
const MAX_BYTES: u64 = 64 * 1024;

/// Who takes the numbers; `None`: the configuration names nobody.
///
/// # Errors
/// The password, the token or the CA cannot be read or used. Nothing was sent.
pub(crate) async fn writer(history: &HistorySettings, deadline: Duration) -> Result<Option<Writer>, Error> {
    match &history.remote_write {
        Some(url) => Writer::new(url, access(history, deadline).await?).map(Some),
        None => Ok(None),
    }
}

/// Who gives what was kept; `None`: the configuration names nobody.
///
/// # Errors
/// As [`writer`].
pub(crate) async fn reader(history: &HistorySettings, deadline: Duration) -> Result<Option<Reader>, Error> {
    match &history.query {
        Some(url) => Reader::new(url, access(history, deadline).await?).map(Some),
        None => Ok(None),
    }
}

async fn access(history: &HistorySettings, deadline: Duration) -> Result<Access, Error> {
    let auth = match &history.auth {
        HistoryAuth::None => Auth::None,
        HistoryAuth::Basic { username, password } => {
            Auth::Basic { username: username.clone(), password: secret(password, deadline).await? }
        }
        HistoryAuth::Bearer(token) => Auth::Bearer(secret(token, deadline).await?),
    };
    let ca_pem = history.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
    Ok(Access { auth, ca_pem })
}

/// The first line, without its end: what `pass show` prints may have more.
async fn secret(from: &SecretFrom, deadline: Duration) -> Result<Secret, Error> {
    let (key, text) = match from {
        SecretFrom::Command { key, command } => (key, local::secret(key, command, deadline).await?),
        SecretFrom::File { key, path } => (key, Secret::new(read(key, path)?)),
    };
    match text.expose().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        _ => Err(failed(format!("`{key}` of [history] gives an empty text"))),
    }
}

fn read(key: &str, path: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let unreadable = |why: &dyn std::fmt::Display| failed(format!("cannot read `{key}` {}: {why}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_BYTES => Err(unreadable(&"it is larger than 64 KiB")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(unreadable(&"it is no text")),
        Err(error) => Err(unreadable(&error)),
    }
}

fn failed(detail: String) -> Error {
    transport::Error::Local { peer: "Prometheus".to_owned(), detail }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn history(auth: HistoryAuth) -> HistorySettings {
        HistorySettings {
            auth,
            remote_write: Some("http://127.0.0.1:1/w".to_owned()),
            query: Some("http://127.0.0.1:1".to_owned()),
            ..HistorySettings::default()
        }
    }

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
            assert_eq!(secret(&file, PATIENCE).await.unwrap().expose(), want);
            let command = command(&format!("cat {}", path.display()));
            assert_eq!(secret(&command, PATIENCE).await.unwrap().expose(), want);
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
            (file(binary.clone()), noun(&binary) + "it is no text"),
            (command("true"), "Prometheus: `password_command` of [history] gives an empty text".to_owned()),
            (command("echo"), "Prometheus: `password_command` of [history] gives an empty text".to_owned()),
            (command("echo c0ffee; exit 3"), "this machine: password_command `sh` failed (exit status: 3)".to_owned()),
        ] {
            let error = secret(&from, PATIENCE).await.unwrap_err().to_string();
            assert!(error.starts_with(&says) && !error.contains("c0ffee"), "{error}");
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_a_secret_that_nobody_needs() {
        let auth = HistoryAuth::Bearer(command("exit 1"));
        let unused = HistorySettings { remote_write: None, query: None, ..history(auth.clone()) };
        assert!(writer(&unused, PATIENCE).await.unwrap().is_none());
        assert!(reader(&unused, PATIENCE).await.unwrap().is_none());
        assert!(writer(&history(auth.clone()), PATIENCE).await.is_err());
        assert!(reader(&history(auth), PATIENCE).await.is_err());
        assert!(writer(&history(HistoryAuth::None), PATIENCE).await.unwrap().is_some());
        let lost = HistorySettings { ca_file: Some("/nonexistent/ca.pem".into()), ..history(HistoryAuth::None) };
        let error = reader(&lost, PATIENCE).await.unwrap_err().to_string();
        assert!(error.starts_with("Prometheus: cannot read `ca_file` /nonexistent/ca.pem: No such file"), "{error}");
    }
}
