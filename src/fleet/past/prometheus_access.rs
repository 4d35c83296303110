//! The Prometheus of `[history]`: its secrets and its CA are read when it is asked, and not before.

use std::time::Duration;

use crate::config::{HistoryAuth, HistorySettings};
use crate::fleet::reach::secret::{Asker, read, secret};
use crate::transport::prometheus::{Access, Auth, Error, Reader, Writer};

const ASKER: Asker<'static> = Asker { peer: "Prometheus", place: "[history]" };

/// Who takes the numbers; `None`: the configuration has none.
///
/// # Errors
/// The password, the token or the CA cannot be read or used. Nothing was sent.
pub(crate) async fn writer(history: &HistorySettings, deadline: Duration) -> Result<Option<Writer>, Error> {
    match &history.remote_write {
        Some(url) => Writer::new(url, access(history, deadline).await?).map(Some),
        None => Ok(None),
    }
}

/// Who gives what was kept; `None`: the configuration has none.
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
            Auth::Basic { username: username.clone(), password: secret(ASKER, password, deadline).await? }
        }
        HistoryAuth::Bearer(token) => Auth::Bearer(secret(ASKER, token, deadline).await?),
    };
    let ca_pem = match &history.ca_file {
        Some(path) => Some(read(ASKER, "ca_file", path, deadline).await?),
        None => None,
    };
    Ok(Access { auth, ca_pem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretFrom;

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
