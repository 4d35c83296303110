//! Access to the APIs: whose token, what trust, and one answer from any member of a cluster.

use std::collections::HashMap;
use std::env::VarError;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::config::{Access, ServerConfig};
use crate::file;
use crate::fleet::Fleet;
use crate::model::access::certificate::Trust;
use crate::model::id::{ClusterId, ServerId, Token};
use crate::model::inventory::Failed;
use crate::model::inventory::server::Listing;
use crate::transport::pve::{Client, Endpoint};
use crate::transport::{self, Denial, Error};

/// How long a member may be silent before the next one is asked besides.
const HEDGE: Duration = Duration::from_millis(400);

/// A token and a CA are a few lines; more is some other file.
const MAX_BYTES: u64 = 1 << 20;

/// The configured servers that reach one cluster, in the configuration's order.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) cluster: ClusterId,
    pub(crate) members: Vec<&'a ServerConfig>,
}

/// A listing, who gave it, and the client that stands connected.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) via: ServerId,
    pub(crate) listing: Listing,
    pub(crate) took: Duration,
    pub(crate) client: Client,
}

/// What came of asking a cluster.
#[derive(Debug)]
pub(crate) struct ClusterAnswer {
    /// From the first member that answered.
    pub(crate) listed: Option<Listed>,
    /// Members that failed before, or all of them.
    pub(crate) failures: Vec<(ServerId, Error)>,
    /// What else is wrong, though it was listed.
    pub(crate) troubles: Vec<Failed>,
}

impl<'a> Fleet<'a> {
    /// The clusters that the configuration reaches.
    pub(crate) fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for server in self.hosts().filter(|server| self.is_pve(server)) {
            let cluster = self.cluster_of(&server.id);
            match groups.iter_mut().find(|group| group.cluster == cluster) {
                Some(group) => group.members.push(server),
                None => groups.push(Group { cluster, members: vec![server] }),
            }
        }
        groups
    }

    /// Whether a token for this server comes from outside the state file.
    pub(crate) fn has_given_token(&self, server: &ServerConfig) -> bool {
        self.given_by(server).is_some()
    }

    /// What gives a server's token where that is not the state file, in words.
    pub(in crate::fleet) fn given_by(&self, server: &ServerConfig) -> Option<String> {
        let variable = token_variable(&server.id);
        if server.token_command.is_some() {
            Some(format!("`token_command` of `{}`", server.id))
        } else if std::env::var_os(&variable).is_some_and(|text| !text.is_empty()) {
            Some(format!("the environment variable {variable}"))
        } else {
            self.credentials.get(&server.id).map(|path| path.display().to_string())
        }
    }

    /// The token for a server: `token_command`, the environment, systemd's credentials, then what is stored for its
    /// cluster.
    ///
    /// # Errors
    /// `NoToken` where there is none, or the one given is unusable; `Local` where it cannot be read.
    pub(crate) async fn token(&self, server: &ServerConfig) -> Result<Token, Error> {
        let none = |detail: String| Error::NoToken { peer: server.id.to_string(), detail };
        let parse = |text: &str, from: &str| text.parse::<Token>().map_err(|_| none(unusable(from)));
        if let Some(command) = &server.token_command {
            let text = transport::local::secret("token_command", command, self.limits.host).await?;
            return parse(first_line(text.expose()), "token_command");
        }
        let local = |detail: String| Error::Local { peer: server.id.to_string(), detail };
        let variable = token_variable(&server.id);
        match std::env::var(&variable) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => return parse(&text, &variable),
            Err(VarError::NotUnicode(_)) => return Err(none(unusable(&variable))),
            Err(VarError::NotPresent) => {}
        }
        if let Some(path) = credential_path(&server.id) {
            match file::read_text(&path, MAX_BYTES, self.limits.file()).await {
                Ok(text) => return parse(first_line(&text), &path.display().to_string()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(local(format!("cannot read {}: {error}", path.display()))),
            }
        }
        let stored = self.state.token(&self.cluster_of(&server.id));
        match stored.map_err(|error| local(error.to_string()))? {
            Some(stored) => {
                self.dispel_doubt(server, &stored).await?;
                Ok(stored.token)
            }
            None => Err(none("no API token is known for it".to_owned())),
        }
    }

    /// What the API's certificate must satisfy: the configuration's word, then what was learned, then a public CA.
    ///
    /// # Errors
    /// `Local` where `ca_file` cannot be read.
    pub(crate) async fn trust(&self, server: &ServerConfig) -> Result<Trust, Error> {
        let unusable = |detail: String| Error::Local { peer: server.id.to_string(), detail };
        if !server.verify_tls {
            return Ok(Trust::Insecure);
        }
        if let Some(fingerprint) = server.fingerprint {
            return Ok(Trust::Certificate { fingerprint });
        }
        if let Some(path) = &server.ca_file {
            let pem = file::read_text(path, MAX_BYTES, self.limits.file()).await;
            let pem = pem.map_err(|error| unusable(format!("ca_file {}: {error}", path.display())))?;
            return Ok(Trust::CaFile { pem, node: self.node_of(&server.id) });
        }
        let stored = self.state.trust(&server.id).map_err(|error| unusable(error.to_string()))?;
        Ok(stored.map_or(Trust::PublicCa, |stored| stored.trust))
    }

    /// Keeps a connection that stands, for the next listing by this server.
    pub(in crate::fleet) fn keep_client(&self, client: Client) {
        if let Ok(server) = client.label().parse() {
            self.kept.borrow_mut().insert(server, client);
        }
    }

    /// A client for the API of one server. Nothing is sent yet.
    pub(crate) async fn client(&self, server: &ServerConfig) -> Result<Client, Error> {
        self.client_trusting(server, self.trust(server).await?).await
    }

    /// Like `client`, with a trust that is not stored yet.
    pub(in crate::fleet) async fn client_trusting(&self, server: &ServerConfig, trust: Trust) -> Result<Client, Error> {
        let token = self.token(server).await?;
        self.client_showing(server, trust, token).await
    }

    /// Like `client_trusting`, with a token that is not stored yet, or no longer.
    pub(in crate::fleet) async fn client_showing(
        &self,
        server: &ServerConfig,
        trust: Trust,
        token: Token,
    ) -> Result<Client, Error> {
        let (host, port) = self.api_address(server).await?;
        let name = server.hostname.clone();
        let client = Client::new(Endpoint { label: server.id.to_string(), host, port, name, trust, token })?;
        Ok(self.limits.bound(client))
    }

    /// Where the API is dialled: this machine itself, the configured host, or the local end of an SSH tunnel where
    /// the host is only reached through others.
    pub(in crate::fleet) async fn api_address(&self, server: &ServerConfig) -> Result<(String, u16), Error> {
        match server.access {
            Access::Local => Ok(("127.0.0.1".to_owned(), server.api_port())),
            Access::Api => Ok((server.hostname.clone(), server.api_port())),
            Access::Ssh => {
                let route = self.route(server).await?;
                match route.direct() {
                    // A URL has no place for the interface of a link-local address.
                    Some(hop) if !hop.host.contains('%') => Ok((hop.host.clone(), server.api_port())),
                    _ => Ok(("127.0.0.1".to_owned(), self.tunnel(server, server.api_port()).await?)),
                }
            }
        }
    }

    /// The members of a cluster in the order to ask them: first the one that answered last time, so that another one
    /// that hangs holds up only the first run that meets it; last, and all at once, those that were off.
    fn asking_order(&self, group: &Group<'a>) -> Vec<Vec<&'a ServerConfig>> {
        let mut members = group.members.clone();
        if members.len() > 1
            && let Ok(Some(last)) = self.state.listed_via(&group.cluster)
        {
            members.sort_by_key(|server| server.id != last);
        }
        let (off, on): (Vec<_>, Vec<_>) = members.into_iter().partition(|server| self.was_off(server));
        on.into_iter().map(|server| vec![server]).chain((!off.is_empty()).then_some(off)).collect()
    }

    /// One listing of a cluster, from any member that answers: the next one is asked when a member fails, or besides
    /// when it is silent for a while. Those that were off are only knocked at.
    pub(crate) async fn listing(&self, group: &Group<'a>) -> ClusterAnswer {
        let mut failures = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut waiting = self.asking_order(group).into_iter();
        let started = Instant::now();
        let ask = |servers: Option<Vec<&'a ServerConfig>>| {
            servers.into_iter().flatten().map(|server| self.listing_of(server)).collect::<Vec<_>>()
        };
        running.extend(ask(waiting.next()));
        loop {
            tokio::select! {
                Some((via, result)) = running.next() => match result {
                    Ok((client, listing)) => {
                        let listed = Some(Listed { via, listing, took: started.elapsed(), client });
                        return ClusterAnswer { listed, failures, troubles: Vec::new() };
                    }
                    Err(error) => {
                        failures.push((via, error));
                        running.extend(ask(waiting.next()));
                        if running.is_empty() {
                            break;
                        }
                    }
                },
                () = tokio::time::sleep(HEDGE), if waiting.len() > 0 => {
                    running.extend(ask(waiting.next()));
                }
                else => break,
            }
        }
        // Members give up in any order; they are reported in the configuration's.
        failures.sort_by_key(|(server, _)| group.members.iter().position(|member| member.id == *server));
        ClusterAnswer { listed: None, failures, troubles: Vec::new() }
    }

    async fn listing_of(&self, server: &'a ServerConfig) -> (ServerId, Result<(Client, Listing), Error>) {
        if let Some(silence) = self.still_off(server).await {
            return (server.id.clone(), Err(silence.error(server)));
        }
        let after = self.limits.left(self.limits.listing);
        let asked = tokio::time::timeout(after, Box::pin(self.try_listing(server))).await;
        let late = || Error::Timeout { peer: server.id.to_string(), doing: "listing its guests", after };
        (server.id.clone(), asked.unwrap_or_else(|_| Err(late())))
    }

    async fn try_listing(&self, server: &'a ServerConfig) -> Result<(Client, Listing), Error> {
        let kept = self.kept.borrow_mut().remove(&server.id);
        if let Some(client) = kept {
            match client.listing().await {
                Ok(listing) if !listing.guests.is_empty() => return Ok((client, listing)),
                // There may be another token by now, or another certificate: it is asked again, from the beginning.
                Ok(_) | Err(Error::Denied { .. } | Error::Untrusted { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let client = self.client(server).await?;
        let (client, listing) = match client.listing().await {
            Err(error @ Error::Untrusted { .. }) => {
                let client = self.relearn(server, error, false).await?;
                let listing = client.listing().await?;
                (client, listing)
            }
            listing => (client, listing?),
        };
        // A token without rights is answered 200 with an empty list: that is no empty fleet.
        if listing.guests.is_empty() && !client.permissions().await?.allows("VM.Audit") {
            let detail = "its API token may see no guest (VM.Audit is missing): an empty list proves nothing";
            let (peer, detail) = (server.id.to_string(), detail.to_owned());
            return Err(Error::Denied { peer, why: Denial::Privilege, detail });
        }
        Ok((client, listing))
    }
}

/// The servers whose token lies among systemd's credentials. Nothing is asked where there is no such folder.
///
/// # Errors
/// `TimedOut`, as of a folder on a server that does not answer.
pub(in crate::fleet) async fn credentials(
    servers: impl Iterator<Item = &ServerConfig>,
    patience: Duration,
) -> io::Result<HashMap<ServerId, PathBuf>> {
    let paths: Vec<_> = servers.filter_map(|server| Some((server.id.clone(), credential_path(&server.id)?))).collect();
    if paths.is_empty() {
        return Ok(HashMap::new());
    }
    file::in_time(patience, move || Ok(paths.into_iter().filter(|(_, path)| path.exists()).collect())).await
}

pub(in crate::fleet) fn token_variable(server: &ServerId) -> String {
    format!("ECOBOX_TOKEN_{}", server.env_suffix())
}

fn credential_path(server: &ServerId) -> Option<PathBuf> {
    Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(format!("ecobox-{server}")))
}

/// What `pass show` prints, and what people keep beside a secret, has more than the secret.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn unusable(from: &str) -> String {
    format!("the token that {from} gives is not of the form user@realm!tokenid=secret")
}
