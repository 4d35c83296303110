//! A look at one host: its name, the way to it, a login, a script, its API.

use futures::future::join;

use crate::config::{Access, ServerConfig};
use crate::file;
use crate::fleet::Fleet;
use crate::fleet::doctor::cause::By;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Trouble;
use crate::model::check::fix::Fix;
use crate::model::check::host::{AddressSeen, HostSeen, SystemSeen};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::inventory::server::Expected;
use crate::model::power::PowerState;
use crate::transport::pve::Client;
use crate::transport::ssh::{HostKeyPolicy, checkup};
use crate::transport::{ConnectFailure, probe};

impl Fleet<'_> {
    /// Everything that the checks of a host judge.
    pub(super) async fn host_seen(&self, server: &ServerConfig, known: Option<&Server>) -> (HostSeen, Option<Client>) {
        let mut seen = HostSeen { is_pve: self.is_pve(server), ..HostSeen::default() };
        seen.may_be_away = known.and_then(may_be_away);
        let overdue = known.filter(|known| known.is_overdue()).and_then(|known| known.seen.until.as_ref());
        let by_ssh = async {
            match server.access {
                Access::Api => (None, None),
                Access::Local => (None, Some(self.system_of(server).await)),
                Access::Ssh => match Box::pin(self.logged_in(server)).await {
                    Ok(()) => (Some(Ok(())), Some(self.system_of(server).await)),
                    Err(trouble) => (Some(Err(trouble)), None),
                },
            }
        };
        let api = async { if seen.is_pve { Some(self.api_seen(server).await) } else { None } };
        let ((mut login, system), (addresses, mut answer)) =
            join(by_ssh, join(self.addresses_seen(server), Box::pin(api))).await;
        // Who was never visited says only now what it is.
        let shows_pve = matches!(&system, Some(Ok(system)) if system.preflight.facts.pve().is_some());
        if shows_pve && !seen.is_pve {
            seen.is_pve = true;
            answer = Some(Box::pin(self.api_seen(server)).await);
        }
        if let (Some(until), Some(Err(trouble))) = (overdue, &mut login)
            && trouble.id == CheckId::HostAway
        {
            trouble.finding = format!("{}; {}", trouble.finding, until.reproach());
        }
        if matches!(&login, Some(Err(trouble)) if trouble.id == CheckId::HostKeyUnknown) {
            seen.recorded_badly = self.is_recorded_badly(server).await;
        }
        seen.cluster = seen.is_pve.then(|| self.cluster_of(&server.id).as_str().to_owned());
        let (api, client) = match answer {
            Some(Ok((api, client))) => (Some(Ok(api)), Some(client)),
            Some(Err(trouble)) => (Some(Err(trouble)), None),
            None => (None, None),
        };
        (HostSeen { addresses, login, system, api, ..seen }, client)
    }

    async fn is_recorded_badly(&self, server: &ServerConfig) -> bool {
        let Ok(route) = self.route(server).await else { return false };
        let hops = route.hops().to_vec();
        let look =
            move || Ok(hops.iter().any(|hop| checkup::is_recorded_badly(&hop.known_hosts(), &hop.names.recorded)));
        file::in_time(self.limits.file(), look).await.unwrap_or(false)
    }

    async fn logged_in(&self, server: &ServerConfig) -> Result<(), Trouble> {
        let after = self.limits.left(self.limits.host);
        match tokio::time::timeout(after, self.session(server, HostKeyPolicy::Refuse)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.trouble(server, &error, By::Ssh)),
            Err(_) => {
                let finding = format!("the login was not over after {} s", after.as_secs());
                Err(Trouble { id: CheckId::LoginSlow, finding, fix: Some(Fix::of(CheckId::LoginSlow, &[])), at: None })
            }
        }
    }

    async fn system_of(&self, server: &ServerConfig) -> Result<SystemSeen, Trouble> {
        self.host_checkup(server).await.map_err(|error| self.trouble(server, &error, By::Script))
    }

    /// The addresses that a host's name has, where it is dialled from here.
    async fn addresses_seen(&self, server: &ServerConfig) -> Vec<AddressSeen> {
        let (host, port) = match server.access {
            Access::Local => return Vec::new(),
            Access::Api => (server.hostname.clone(), server.api_port()),
            Access::Ssh => match self.route(server).await {
                Ok(route) => match route.direct() {
                    Some(hop) => (hop.host.clone(), hop.port),
                    None => return Vec::new(),
                },
                Err(_) => return Vec::new(),
            },
        };
        let tried = probe::each_address(&host, port, self.limits.left(probe::TCP_LIMIT)).await.unwrap_or_default();
        let seen =
            |(ip, failure): (_, Option<ConnectFailure>)| AddressSeen { ip, dead: failure.map(ConnectFailure::as_str) };
        tried.into_iter().map(seen).collect()
    }
}

/// Why it is no trouble that a server does not answer.
fn may_be_away(server: &Server) -> Option<String> {
    match server.expected {
        // Its own clock should have woken it.
        _ if server.is_overdue() => None,
        Expected::Asleep => Some("it may be asleep: `expected = \"asleep\"`".to_owned()),
        Expected::Any | Expected::On if server.seen.state == PowerState::Asleep => {
            Some("ecobox put it to sleep".to_owned())
        }
        Expected::Any => Some("it may be off: `expected = \"any\"`".to_owned()),
        Expected::On => None,
    }
}

/// Servers that are dialled at one and the same address and port.
pub(super) fn twice(hosts: &[&ServerConfig], seen: &[HostSeen]) -> Vec<(ServerId, ServerId, String)> {
    let mut at: Vec<(&ServerConfig, Vec<String>)> = Vec::new();
    let mut found = Vec::new();
    for (server, seen) in hosts.iter().zip(seen) {
        let port = match server.access {
            Access::Local => continue,
            Access::Api => server.api_port(),
            Access::Ssh => server.ssh_port.unwrap_or(22),
        };
        let places: Vec<String> = seen.addresses.iter().map(|address| format!("{}:{port}", address.ip)).collect();
        for (other, theirs) in &at {
            if let Some(place) = places.iter().find(|place| theirs.contains(place)) {
                found.push((other.id.clone(), server.id.clone(), place.clone()));
            }
        }
        at.push((server, places));
    }
    found
}

/// Whether there is no way to a host's network from here.
pub(super) fn has_no_network(seen: &HostSeen) -> bool {
    let is_it = |trouble: &Trouble| trouble.id == CheckId::NoNetwork;
    matches!(&seen.login, Some(Err(trouble)) if is_it(trouble))
        || matches!(&seen.api, Some(Err(trouble)) if is_it(trouble))
}

/// What the logins tell of `ssh_config`; `None`: there is no login.
pub(super) fn ssh_config(hosts: &[&ServerConfig], seen: &[HostSeen]) -> Option<Result<(), String>> {
    let mut any = None;
    for (server, seen) in hosts.iter().zip(seen) {
        match &seen.login {
            Some(Err(trouble)) if trouble.id == CheckId::SshConfigInvalid => {
                return Some(Err(format!("{} (met at {})", trouble.finding, server.id)));
            }
            Some(_) => any = Some(Ok(())),
            None => {}
        }
    }
    any
}
