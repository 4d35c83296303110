//! What fills, and what ends one day: storages, certificates, tokens.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::monitor::{Look, not_up, of_server};
use crate::model::id::{ClusterId, NodeName};
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKind;
use crate::model::monitor::judge::{Item, Reading};
use crate::model::upkeep::{Storage, each_once};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::Client;

impl Fleet<'_> {
    /// The storages of the nodes that are judged, or on which a judged guest is.
    pub(super) async fn storage_items(&self, look: &Look<'_>) -> Result<Vec<Item>, StateError> {
        let mut items = Vec::new();
        for cluster in look.clusters() {
            let here = |server: &&Server| server.cluster.as_ref() == Some(cluster) && !look.rests(server);
            let nodes: HashSet<&NodeName> =
                look.servers.iter().filter(here).filter_map(|server| server.node.as_ref()).collect();
            let asked = match look.clients.map(|clients| clients.get(cluster)) {
                Some(Some(client)) => self.ask_storages(cluster, client).await.map_err(|error| error.to_string()),
                Some(None) => Err("no member of its cluster answers".to_owned()),
                None => match self.state.storages(cluster)? {
                    Some((_, at)) if look.is_old(at).is_some() => Err(old(look, at)),
                    Some((storages, _)) => Ok(storages),
                    None => Err(never()),
                },
            };
            if nodes.is_empty() {
                items.push(self.of_cluster(cluster, Reading::Excused("its hosts rest".to_owned())));
                continue;
            }
            match asked {
                Ok(storages) => {
                    let here = storages.into_iter().filter(|storage| nodes.contains(&storage.node));
                    items.extend(each_once(here.collect()).iter().map(|storage| self.of_storage(cluster, storage)));
                }
                Err(why) => items.push(self.of_cluster(cluster, Reading::Unknown(why))),
            }
        }
        Ok(items)
    }

    fn of_storage(&self, cluster: &ClusterId, storage: &Storage) -> Item {
        let untold = || Reading::Untold("it is not available now".to_owned());
        let reading = storage.used_percent().map_or_else(untold, Reading::Known);
        let mut item = self.of_cluster(cluster, reading);
        let place = if storage.shared { self.first_of(cluster) } else { storage.node.to_string() };
        item.label = vec![place, storage.name.clone()];
        item.subject = format!("storage {}", storage.called());
        item
    }

    /// The certificates that the APIs of judged hosts present.
    pub(super) async fn certificate_items(&self, look: &Look<'_>) -> Result<Vec<Item>, StateError> {
        let hosts = look.servers.iter().filter(|server| server.kind == ServerKind::Pve);
        let mut items = Vec::new();
        for host in hosts {
            let Some(server) = self.hosts().find(|server| server.id == host.id) else { continue };
            let reading = if let Some(clients) = look.clients {
                self.presented_term(look, host, server, clients).await
            } else {
                match self.state.certificate_term(&host.id)? {
                    _ if look.rests(host) => Reading::Excused("it rests".to_owned()),
                    Some((_, at)) if look.is_old(at).is_some() => Reading::Unknown(old(look, at)),
                    Some((term, _)) => until(look, term.ends),
                    None => Reading::Unknown(never()),
                }
            };
            items.push(of_server(host, reading));
        }
        Ok(items)
    }

    /// How long the certificate is valid that a host presents now.
    async fn presented_term(
        &self,
        look: &Look<'_>,
        host: &Server,
        server: &ServerConfig,
        clients: &HashMap<ClusterId, Client>,
    ) -> Reading {
        if let Some(reading) = not_up(look, host) {
            return reading;
        }
        let client = host.cluster.as_ref().and_then(|cluster| clients.get(cluster));
        match self.ask_certificate_term(server, client).await {
            Ok(term) => until(look, term.ends),
            Err(Error::NoToken { .. }) => Reading::Untold("no API token is known for it".to_owned()),
            Err(error) => Reading::Unknown(error.to_string()),
        }
    }

    /// The tokens of the clusters of judged servers.
    pub(super) async fn token_items(&self, look: &Look<'_>) -> Result<Vec<Item>, StateError> {
        let mut items = Vec::new();
        for cluster in look.clusters() {
            let all_rest = look
                .servers
                .iter()
                .filter(|server| server.cluster.as_ref() == Some(cluster))
                .all(|server| look.rests(server));
            let reading = match look.clients.map(|clients| clients.get(cluster)) {
                Some(Some(client)) => match self.ask_token_term(cluster, client).await {
                    Ok(term) => until(look, term.ends),
                    Err(error) => Reading::Unknown(error.to_string()),
                },
                _ if all_rest => Reading::Excused("its hosts rest".to_owned()),
                Some(None) => Reading::Unknown("no member of its cluster answers".to_owned()),
                None => match self.stored_token(cluster)? {
                    Some(token) => match self.state.token_term(cluster, &token)? {
                        Some((_, at)) if look.is_old(at).is_some() => Reading::Unknown(old(look, at)),
                        Some((term, _)) => until(look, term.ends),
                        None => Reading::Unknown(never()),
                    },
                    None => Reading::Untold("no API token is stored for it".to_owned()),
                },
            };
            items.push(self.of_cluster(cluster, reading));
        }
        Ok(items)
    }

    /// The server by whose name people know a cluster: the first of the configuration.
    pub(super) fn first_of(&self, cluster: &ClusterId) -> String {
        let first = self.hosts().find(|server| self.is_pve(server) && self.cluster_of(&server.id) == *cluster);
        first.map_or_else(|| cluster.short().to_owned(), |server| server.id.to_string())
    }

    pub(super) fn of_cluster(&self, cluster: &ClusterId, reading: Reading) -> Item {
        let name = self.first_of(cluster);
        Item { subject: name.clone(), server: Some(name.clone()), label: vec![name], reading, detail: None }
    }
}

/// How long it is until then; what never ends needs no alert.
fn until(look: &Look<'_>, ends: Option<Timestamp>) -> Reading {
    let Some(ends) = ends else { return Reading::Excused("it does not end".to_owned()) };
    Reading::Known(ends.duration_since(look.now).as_secs_f64())
}

fn old(look: &Look<'_>, at: Timestamp) -> String {
    match look.is_old(at) {
        Some(Reading::Unknown(why)) => why,
        _ => String::new(),
    }
}

fn never() -> String {
    "no run has asked for it: one without `--cached` does".to_owned()
}
