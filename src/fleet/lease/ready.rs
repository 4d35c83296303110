//! Whether a lease's targets are ready: up, and their services answer.

use std::time::Duration;

use futures::future::join_all;

use crate::config::Access;
use crate::fleet::Fleet;
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::wake::step::WAKE;
use crate::fleet::lease::{Begun, Tell};
use crate::model::id::ServerId;
use crate::model::inventory::Server;
use crate::model::inventory::server::{Service, ServiceType};

impl Fleet<'_> {
    /// Waits until the services of all targets answer; gives those that do not by the deadline.
    pub(super) async fn await_targets(
        &self,
        begun: &Begun<'_>,
        patience: Option<Duration>,
        tell: Tell<'_>,
    ) -> Vec<(ServerId, Vec<String>)> {
        let patience = patience.unwrap_or(WAKE);
        let waits = begun.targets().map(|server| async move {
            let (address, services) = self.to_await(server).await?;
            let what = format!("waiting for the services of {}", server.called());
            tell(server, Some(&what), Some(patience));
            let silent = self.await_services(&address, &services, &mut Attempts::during(patience)).await;
            tell(server, None, None);
            (!silent.is_empty()).then(|| (server.id.clone(), silent))
        });
        join_all(waits).await.into_iter().flatten().collect()
    }

    /// What is asked at which address; `None`: nothing that could be.
    async fn to_await(&self, server: &Server) -> Option<(String, Vec<Service>)> {
        let mut services = server.services.clone();
        if server.vmid.is_none() {
            let config = self.hosts().find(|config| config.id == server.id)?;
            let port = config.api_port();
            if self.is_pve(config) && services.iter().all(|service| service.port != port) {
                services.push(Service { name: "api".to_owned(), port, kind: ServiceType::Proxmox });
            }
        }
        let address = self.address_of(server).await?;
        (!services.is_empty()).then_some((address, services))
    }

    /// The address at which a server's services are, seen from here; `None`: it is not known, or only a jump host
    /// leads there.
    pub(crate) async fn address_of(&self, server: &Server) -> Option<String> {
        let config = self.hosts().find(|config| server.vmid.is_none() && config.id == server.id);
        match config {
            Some(config) if config.access == Access::Ssh => Some(self.route(config).await.ok()?.direct()?.host.clone()),
            _ => server.hostname.clone(),
        }
    }
}
