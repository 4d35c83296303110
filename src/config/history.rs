//! `[history]`: how long numbers are kept, and the Prometheus that they are sent to and read from.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{Checked, Problem};
use super::read::{At, Reader};
use super::secret::{SecretFrom, secret};
use super::validate;
use super::values::{Folders, duration, size};

/// The keys of the table.
pub(super) const KEYS: &[&str] = &[
    "raw",
    "hourly",
    "remote_write",
    "query",
    "username",
    "password_command",
    "password_file",
    "bearer_token_command",
    "bearer_token_file",
    "ca_file",
    "queue",
];
/// Those that mean nothing else anywhere: under another header they are misplaced, not misspelt.
pub(super) const ONLY_HERE: &[&str] = &["raw", "hourly", "remote_write", "query", "queue"];
pub(super) const PLACE: &str = "in [history]";

/// What people write who expect the secret itself to stand here, and what to write instead.
const INLINE: [(&str, &str); 4] = [
    ("password", "`password_command` or `password_file`"),
    ("bearer_token", "`bearer_token_command` or `bearer_token_file`"),
    ("token", "`bearer_token_command` or `bearer_token_file`"),
    ("token_command", "`bearer_token_command`"),
];

/// An hour has to be complete before its samples become one.
const SHORTEST: Duration = Duration::from_secs(3600);
/// A hundred years: for ever.
const LONGEST: u64 = 36_500 * 24 * 3600;
/// The most that may wait in the state file: 1 TiB.
const LARGEST_QUEUE: u64 = 1 << 40;

/// `[history]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistorySettings {
    /// How long each sample is kept in the state file.
    pub(crate) raw: Duration,
    /// How long what an hour's samples were together is kept.
    pub(crate) hourly: Duration,
    /// A URL that takes Prometheus remote write 1.0.
    pub(crate) remote_write: Option<String>,
    /// A URL under which `/api/v1/query` is; without a slash at its end.
    pub(crate) query: Option<String>,
    /// What both URLs are shown.
    pub(crate) auth: HistoryAuth,
    /// PEM: what https certificates are checked with; else what this machine trusts.
    pub(crate) ca_file: Option<PathBuf>,
    /// Bytes that may wait until they can be sent; the oldest go first.
    pub(crate) queue: u64,
}

impl Default for HistorySettings {
    fn default() -> HistorySettings {
        HistorySettings {
            raw: Duration::from_secs(7 * 24 * 3600),
            hourly: Duration::from_secs(400 * 24 * 3600),
            remote_write: None,
            query: None,
            auth: HistoryAuth::None,
            ca_file: None,
            queue: 64 << 20,
        }
    }
}

impl HistorySettings {
    /// The keys whose URLs get the secret without TLS, over more than this machine's own loopback.
    pub(crate) fn secret_in_the_clear(&self) -> Vec<&'static str> {
        let exposed = |url: &Option<String>| {
            let host = url.as_deref().and_then(|url| url.strip_prefix("http://")).map(validate::authority);
            host.is_some_and(|(host, _)| !validate::is_loopback(host))
        };
        let urls = [("remote_write", &self.remote_write), ("query", &self.query)];
        let exposed = urls.into_iter().filter(|(_, url)| self.auth != HistoryAuth::None && exposed(url));
        exposed.map(|(key, _)| key).collect()
    }
}

/// How ecobox says who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HistoryAuth {
    None,
    Basic { username: String, password: SecretFrom },
    Bearer(SecretFrom),
}

/// Reads the table.
pub(super) fn read(
    table: &Reader<'_>,
    elsewhere: &[(&[&str], &str)],
    folders: &Folders<'_>,
) -> Checked<HistorySettings> {
    if let Some(key) = table.keys().into_iter().find(|key| INLINE.iter().any(|(name, _)| *name == key.value)) {
        let instead = INLINE.iter().find(|(name, _)| *name == key.value).map_or("", |(_, instead)| instead);
        let why = if key.value.ends_with("command") { "" } else { "; a secret does not belong in this file" };
        return Err(key.problem(format!("unknown key `{}` {PLACE}{why}: use {instead}", key.value)));
    }
    table.only(KEYS, elsewhere)?;
    let usual = HistorySettings::default();
    let path = |text: &str| validate::path(text, folders.config, folders.home);
    Ok(HistorySettings {
        raw: kept(table, "raw")?.unwrap_or(usual.raw),
        hourly: kept(table, "hourly")?.unwrap_or(usual.hourly),
        remote_write: table.parsed("remote_write", validate::url)?.map(|url| url.value),
        query: table.parsed("query", base)?.map(|url| url.value),
        auth: auth(table, folders)?,
        ca_file: table.parsed("ca_file", path)?.map(|file| file.value),
        queue: size(table, "queue", LARGEST_QUEUE)?.unwrap_or(usual.queue),
    })
}

/// How long something is kept.
fn kept(table: &Reader<'_>, key: &str) -> Checked<Option<Duration>> {
    let duration = duration(table, key, LONGEST)?;
    match duration {
        Some(At { value, span }) if value < SHORTEST => {
            Err(Problem::new(span, format!("`{key}` is shorter than an hour")))
        }
        duration => Ok(duration.map(|duration| duration.value)),
    }
}

/// The URL of a Prometheus server; the paths of its API are put behind it.
fn base(text: &str) -> Result<String, String> {
    let url = validate::url(text)?;
    let url = url.trim_end_matches('/');
    if url.contains('?') {
        return Err("has a `?`: the URL of the server alone is needed, as in `http://127.0.0.1:9090`".to_owned());
    }
    match url.find("/api/v1") {
        Some(at) => Err(format!("`/api/v1` is put behind it: write `{}`", &url[..at])),
        None => Ok(url.to_owned()),
    }
}

fn auth(table: &Reader<'_>, folders: &Folders<'_>) -> Checked<HistoryAuth> {
    let username = table.parsed("username", |text| match validate::label(text)? {
        // RFC 7617: it could not be told where the password begins.
        name if name.contains(':') => Err("contains a `:`".to_owned()),
        name => Ok(name),
    })?;
    let password = secret(table, folders, "password_command", "password_file")?;
    let token = secret(table, folders, "bearer_token_command", "bearer_token_file")?;
    match (username, password, token) {
        (None, None, None) => Ok(HistoryAuth::None),
        (Some(username), Some(password), None) => {
            Ok(HistoryAuth::Basic { username: username.value, password: password.value })
        }
        (None, None, Some(token)) => Ok(HistoryAuth::Bearer(token.value)),
        (Some(username), None, None) => {
            Err(username.problem("`username` needs a `password_command` or a `password_file`"))
        }
        (None, Some(password), None) => Err(password.problem(format!("`{}` needs a `username`", password.value.key()))),
        (name, password, Some(token)) => {
            let other = if name.is_some() { "username" } else { password.map_or("", |password| password.value.key()) };
            Err(token.problem(format!("`{}` and `{other}` exclude each other: keep one", token.value.key())))
        }
    }
}
