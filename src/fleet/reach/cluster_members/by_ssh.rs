//! Membership proved over SSH: what a host shows besides what it says, and which cluster that proves.

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::reach::api::Group;
use crate::fleet::reach::cluster_members::{CertifiedNodes, certified};
use crate::fleet::reach::host_certificates::HostCertificates;
use crate::fleet::reach::session::no_ssh;
use crate::model::access::certificate::Trust;
use crate::model::id::{ClusterId, NodeName, Token};
use crate::state::StateError;
use crate::transport::pve::{self, Presented};
use crate::transport::ssh::HostKeyPolicy;
use crate::transport::{Error, probe};

/// What a host says over SSH, and what its API presents.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) learned: HostCertificates,
    /// Whose key it has.
    pub(in crate::fleet) presented: Option<Presented>,
    /// What its API's certificate must satisfy. Where something was presented it follows from just that: what comes in
    /// the next handshake may be another's.
    pub(crate) trust: Option<Trust>,
    /// Why nothing was presented.
    unseen: Option<Error>,
}

impl Shown {
    /// Why its API is not known, where it is not.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.unseen.take()
    }
}

impl<'a> Fleet<'a> {
    /// Asks a host over SSH who it is, and has its API show it.
    ///
    /// # Errors
    /// That it does not answer over SSH; what its API does is in the answer.
    pub(crate) async fn show(&self, server: &ServerConfig, policy: HostKeyPolicy) -> Result<Shown, Error> {
        let learned = self.look(server, policy).await?;
        if !learned.is_pve() {
            return Ok(Shown { learned, ..Shown::default() });
        }
        // pmxcfs is down: its empty folder says nothing of whom to trust, and what is known holds.
        let empty = learned.node.is_none() && !server.is_trust_configured();
        let known = if empty { self.state.trust(&server.id).ok().flatten() } else { None };
        let error = match self.presented_at_home(server, &learned).await {
            Ok(presented) if known.is_some() => {
                let trust = known.map(|known| known.trust);
                return Ok(Shown { learned, presented: Some(presented), trust, unseen: None });
            }
            Ok(presented) => {
                let trust = Some(learned.choose_trust(&presented, server));
                return Ok(Shown { learned, presented: Some(presented), trust, unseen: None });
            }
            Err(error) => error,
        };
        // sshd may forbid forwarding. The files came through the same session: an administrator's certificate, else the
        // CA, which is what a stock installation uses. That says whom to trust, but not who it is: whoever is dialled
        // shows it, if it is the one that the files mean.
        let by_files = learned.trust_by_files(server);
        let dialled = self.presented_to_all(server, &learned).await.ok();
        let meant = dialled.filter(|presented| by_files.as_ref() == Some(&learned.choose_trust(presented, server)));
        Ok(Shown { learned, presented: meant, trust: by_files, unseen: Some(error) })
    }

    /// What the API presents at the host's own loopback, seen through SSH, where nothing can be in between.
    async fn presented_at_home(&self, server: &ServerConfig, learned: &HostCertificates) -> Result<Presented, Error> {
        let name = learned.name_at_home();
        match server.access {
            // Without SSH nothing can be asked: `look` has refused it before.
            Access::Api => Err(no_ssh(server)),
            Access::Local => {
                let stream = probe::dial("127.0.0.1", server.api_port(), self.limits.probe).await?;
                pve::presented_over(stream, name).await
            }
            Access::Ssh => {
                let session = self.session(server, HostKeyPolicy::Refuse).await?;
                let stream = session.forward("127.0.0.1", server.api_port()).await?;
                pve::presented_over(stream, name).await
            }
        }
    }

    /// What the API presents at the configured address.
    async fn presented_to_all(&self, server: &ServerConfig, learned: &HostCertificates) -> Result<Presented, Error> {
        let (host, port) = self.api_address(server).await?;
        let stream = probe::dial(&host, port, self.limits.probe).await?;
        pve::presented_over(stream, learned.name_at_home()).await
    }

    /// The cluster that a host has proved to be of: its certificate is for its node, and of the cluster's CA.
    pub(crate) fn proven(&self, server: &ServerConfig, shown: &Shown) -> Option<ClusterId> {
        let (presented, node) = (shown.presented.as_ref()?, shown.learned.node.as_ref()?);
        let mut cas = shown.learned.ca_pem.as_deref().map(pve::certificates_in).unwrap_or_default();
        // Where it cannot be read any more: the one that is known.
        if let Ok(Some(stored)) = self.state.trust(&server.id)
            && let Trust::ClusterCa { ca, .. } = stored.trust
        {
            cas.push(ca);
        }
        pve::proven_ca(presented, &cas, node).map(|ca| ClusterId::of_ca(&ca.hex()))
    }

    /// Whether a host may have the token of a cluster without showing that it is of it: it was made there, or there is
    /// none and nobody else is in that cluster.
    pub(in crate::fleet) fn knows(&self, server: &ServerConfig, cluster: &ClusterId) -> Result<bool, StateError> {
        if *cluster == ClusterId::of_host(&server.id) {
            return Ok(true);
        }
        if let Some(stored) = self.state.token(cluster)? {
            return Ok(stored.via == server.id);
        }
        Ok(!self.has_others(server, cluster))
    }

    /// Whether anybody else is known to be of that cluster.
    pub(crate) fn has_others(&self, server: &ServerConfig, cluster: &ClusterId) -> bool {
        let known = self.known.borrow();
        known.members.iter().any(|(other, (theirs, _))| *other != server.id && theirs == cluster)
    }

    /// Whether a member of the cluster lists this host's node with exactly the certificate that it presents, and this
    /// host knows the one that the member presents as a fellow's.
    pub(in crate::fleet) async fn vouched(&self, server: &ServerConfig, shown: &Shown, group: &Group<'a>) -> bool {
        let (Some(presented), Some(node)) = (&shown.presented, &shown.learned.node) else { return false };
        if shown.learned.fellows.is_empty() {
            return false;
        }
        let maker = self.state.token(&group.cluster).ok().flatten().map(|stored| stored.via);
        let mut members: Vec<_> = group.members.iter().filter(|member| member.id != server.id).collect();
        members.sort_by_key(|member| maker.as_ref() != Some(&member.id));
        for member in members {
            let asked = self.fellows(member, maker.as_ref() == Some(&member.id));
            let Ok(Ok(says)) = tokio::time::timeout(self.limits.left(self.limits.host), asked).await else { continue };
            let Some(fellow) = &says.presented else { continue };
            return says.names(node, presented.leaf) && shown.learned.fellows.contains(&fellow.leaf);
        }
        false
    }

    /// What a member says of its cluster's nodes. Only for the one that the token was made on a refused certificate is
    /// looked up: of any other a member would have to vouch for that, and so on.
    async fn fellows(&self, member: &ServerConfig, may_relearn: bool) -> Result<CertifiedNodes, Error> {
        let client = self.client(member).await?;
        match certified(&client).await {
            Err(refusal @ Error::Untrusted { .. }) if may_relearn => {
                certified(&Box::pin(self.relearn(member, refusal, true)).await?).await
            }
            answer => answer,
        }
    }

    /// Whether what a host shows makes it one of a cluster.
    ///
    /// # Errors
    /// The state file's.
    pub(crate) async fn is_of(
        &self,
        server: &ServerConfig,
        shown: &Shown,
        cluster: &ClusterId,
    ) -> Result<bool, StateError> {
        if self.proven(server, shown).as_ref() == Some(cluster) || self.knows(server, cluster)? {
            return Ok(true);
        }
        match self.groups().iter().find(|group| group.cluster == *cluster) {
            Some(group) => Ok(self.vouched(server, shown, group).await),
            None => Ok(false),
        }
    }

    /// Whether a token works at the API of a host. Only for one that was made on this host: no other host gets to see
    /// it.
    ///
    /// # Errors
    /// That the API does not answer, or is not who the host showed it to be.
    pub(crate) async fn takes(&self, server: &ServerConfig, shown: &Shown, token: Token) -> Result<bool, Error> {
        let trust = match &shown.trust {
            Some(trust) if !server.is_trust_configured() => trust.clone(),
            _ => self.trust(server).await?,
        };
        match self.client_showing(server, trust, token).await?.permissions().await {
            Ok(_) => Ok(true),
            Err(Error::Denied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl HostCertificates {
    /// Whether there is a Proxmox VE at all.
    pub(crate) fn is_pve(&self) -> bool {
        self.node.is_some() || self.version.is_some()
    }

    /// The name to ask its API for.
    fn name_at_home(&self) -> &str {
        self.node.as_ref().map_or("localhost", NodeName::as_str)
    }

    fn choose_trust(&self, presented: &Presented, server: &ServerConfig) -> Trust {
        pve::choose_trust(presented, self.ca_pem.as_deref(), self.node.as_ref(), &server.hostname)
    }

    /// The trust that the files ask for.
    fn trust_by_files(&self, server: &ServerConfig) -> Option<Trust> {
        match (self.leaf_pem.as_deref().and_then(pve::presented_by_file), self.ca_pem.as_deref(), &self.node) {
            (Some(presented), ..) => Some(self.choose_trust(&presented, server)),
            (None, Some(pem), Some(node)) => pve::ca_trust(pem, node),
            _ => None,
        }
    }
}
