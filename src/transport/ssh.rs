//! SSH by russh: a route of hops, each one's host key checked by OpenSSH's rules, login by keys only.
//!
//! `config` asks OpenSSH for its configuration, `route` makes hops of it, `hop` connects one hop (`stream` carries it,
//! `known_hosts` and `add_host_key` know its key, `keys` and `auth` log in), `session` uses the last one.

mod account;
mod add_host_key;
mod auth;
pub(crate) mod checkup;
mod config;
#[cfg(any(test, fuzzing))]
pub(super) mod foreign;
mod held_script;
mod hop;
mod host_key_check;
mod keys;
mod known_hosts;
mod route;
mod session;
mod stream;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use futures::future::LocalBoxFuture;

pub(crate) use config::source::ConfigSource;
pub(crate) use config::survey::Survey;
pub(crate) use config::{Lookup, SshConfig, ask, parse};
pub(crate) use keys::Keys;
pub(crate) use route::{Hop, Route};
pub(crate) use session::Session;

use crate::model::id::Secret;
use crate::transport::{ConnectFailure, Error};
use hop::{Link, Refusal, learn};
use host_key_check::describe;

/// How to reach one host, as ecobox's configuration says it. What is None comes from `ssh_config` or OpenSSH's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshHost {
    /// The server's id, for messages.
    pub(crate) label: String,
    /// A name, an address, or a Host of `ssh_config`.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) key_path: Option<PathBuf>,
    /// `none`, or `[user@]host[:port]` separated by commas, the first to be connected first.
    pub(crate) proxy_jump: Option<String>,
}

/// Questions that only a person can answer. Without a terminal every answer is no. Nobody else has to wait meanwhile, and
/// whoever is interrupted drops the answer.
pub(crate) trait Ask {
    /// Whether a host key that nothing is known about is right.
    fn accept_host_key<'a>(
        &'a self,
        peer: &'a str,
        algorithm: &'a str,
        fingerprint: &'a str,
    ) -> LocalBoxFuture<'a, bool>;
    /// The passphrase of a key file.
    fn passphrase<'a>(&'a self, key: &'a Path) -> LocalBoxFuture<'a, Option<Secret>>;
}

/// What happens with a host key of a host that nothing is recorded of. A changed key, a revoked one, and another type
/// than the recorded are refused always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKeyPolicy {
    Refuse,
    /// Ask, and write it down if it is right.
    Ask,
    /// Write it down.
    AcceptNew,
}

/// Connects to the last hop of a route through the others, and logs in everywhere.
///
/// Errors: `Connect`, `UnknownHostKey`, `Untrusted`, `Denied`, `Timeout`, `Protocol`; `Local` for files and programs of
/// this machine.
pub(crate) async fn connect(
    route: &Route,
    keys: &Keys,
    policy: HostKeyPolicy,
    ask: &dyn Ask,
) -> Result<Session, Error> {
    let Some((target, jumps)) = route.hops().split_last() else {
        return Err(Error::Local { peer: String::new(), detail: "a route without a host".to_owned() });
    };
    let mut links = Vec::<Link>::new();
    for hop in jumps {
        links.push(open(hop, links.last(), keys, policy, ask).await.map_err(on_the_way)?);
    }
    let last = open(target, links.last(), keys, policy, ask).await?;
    Ok(Session::new(links, last, target.label.clone(), target.peer()))
}

/// A failure of a jump host, which must not be taken for one of the host behind it.
fn on_the_way(error: Error) -> Error {
    match error {
        Error::Connect { peer, failure, source } => {
            Error::Connect { peer, failure: ConnectFailure::JumpHostFailed(failure.as_str()), source }
        }
        error => error,
    }
}

async fn open(
    hop: &route::Hop,
    before: Option<&Link>,
    keys: &Keys,
    policy: HostKeyPolicy,
    ask: &dyn Ask,
) -> Result<Link, Error> {
    let key = match Link::open(hop, before, keys, ask).await {
        Ok(link) => return Ok(link),
        Err(Refusal::Unknown(key)) => key,
        Err(refusal) => return Err(refusal.into_error(hop)),
    };
    let fingerprint = key.fingerprint(russh::keys::HashAlg::Sha256).to_string();
    let accepted = match policy {
        _ if hop.strict => false,
        HostKeyPolicy::Refuse => false,
        HostKeyPolicy::AcceptNew => true,
        HostKeyPolicy::Ask => ask.accept_host_key(&hop.peer(), key.algorithm().as_str(), &fingerprint).await,
    };
    if !accepted {
        return Err(Error::UnknownHostKey { peer: hop.peer(), fingerprint: describe(&key) });
    }
    learn(hop, &key).await?;
    // A new connection: the server need not wait while a person thinks, and what counts is what was written down.
    Link::open(hop, before, keys, ask).await.map_err(|refusal| refusal.into_error(hop))
}
