//! What the token may not do, of what a plan sends to the API. Proxmox VE refuses such a call itself, before anything
//! happens; a plan says it beforehand. What a token may do is kept, so that this costs no request as a rule.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::fleet::act::guest::Named;
use crate::fleet::act::wake::WakePath;
use crate::fleet::act::{ApiClients, Options};
use crate::model::access::right::GuestRight;
use crate::model::access::scope::Permissions;
use crate::model::check::fault::Fault;
use crate::model::guest::GuestCall;
use crate::model::hint::HintId;
use crate::model::id::{ClusterId, ServerId, TokenId};
use crate::model::inventory::Server;
use crate::model::power::{Finding, Plan, PowerAction, Step, StepKind};
use crate::state::is_fresh;
use crate::transport::Error;
use crate::transport::pve::Client;

/// How long a token's privileges are not asked for again.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// What the token of a cluster may do, and since when that is known.
pub(super) struct Held {
    token: TokenId,
    permissions: Permissions,
    at: Timestamp,
    /// It was said just now.
    is_new: bool,
}

/// What is held of each cluster that was asked about; `None`: not known.
#[derive(Default)]
pub(in crate::fleet::act) struct Privileges(HashMap<ClusterId, Option<Held>>);

impl Fleet<'_> {
    /// The privileges that calls to guests need and the token lacks.
    pub(super) async fn look_at_privileges(
        &self,
        plan: &Plan,
        servers: &[Server],
        clients: &ApiClients,
        options: &Options,
        known: &mut Privileges,
    ) -> Vec<Finding> {
        // A call that is all there is to do, and is sent at once, is its own question where nothing is known.
        let asks = options.only_shown || plan.steps.iter().filter(|step| step.acts()).count() > 1;
        let mut findings = Vec::new();
        for step in &plan.steps {
            let Some(named) = Named::of(&servers[step.server]) else { continue };
            if let StepKind::Migrate(way) = &step.does {
                findings.extend(self.lacks_right(GuestRight::Migrate, named, clients, asks, known).await);
                // Which no scope has.
                let lacks = |held: &Permissions| held.lacks_to_map(&way.call, named.vmid);
                if let Some(lacking) = self.lacking(clients, named.cluster, asks, known, lacks).await {
                    findings.push(lacking.finding(&named.server.id, &HintId::StorageMapRights.text(), false));
                }
                continue;
            }
            let Some(right) = call_of(step).map(GuestRight::from) else { continue };
            findings.extend(self.lacks_right(right, named, clients, asks, known).await);
        }
        findings
    }

    /// What the token of a guest's cluster lacks for a right on the guest. `asks`: the cluster is asked where nothing is
    /// known.
    pub(in crate::fleet::act) async fn lacks_right(
        &self,
        right: GuestRight,
        named: Named<'_>,
        clients: &ApiClients,
        asks: bool,
        known: &mut Privileges,
    ) -> Option<Finding> {
        let lacks = |held: &Permissions| held.lacks(right, named.vmid);
        let lacking = self.lacking(clients, named.cluster, asks, known, lacks).await?;
        let fix = self.what_gives(right, named.cluster);
        Some(lacking.finding(&named.server.id, &fix, right.scope().is_some()))
    }

    /// The privilege that another node needs to send a magic packet.
    pub(super) async fn look_at_wake_path(
        &self,
        path: &WakePath,
        host: &Server,
        clients: &ApiClients,
        known: &mut Privileges,
    ) -> Option<Finding> {
        let (WakePath::Node { node, .. }, Some(cluster)) = (path, &host.cluster) else { return None };
        let lacks = |held: &Permissions| {
            let path = format!("/nodes/{node}");
            let missing = !held.allows_on(&path, "Sys.PowerMgmt");
            missing.then(|| format!("Sys.PowerMgmt on {path}")).into_iter().collect()
        };
        let lacking = self.lacking(clients, cluster, true, known, lacks).await?;
        Some(lacking.finding(&host.id, &HintId::NodeWakeRights.text(), false))
    }

    /// What the cluster's token lacks. What is kept may be so no more, and is asked again where somebody can be asked.
    async fn lacking(
        &self,
        clients: &ApiClients,
        cluster: &ClusterId,
        asks: bool,
        known: &mut Privileges,
        lacks: impl Fn(&Permissions) -> Vec<String>,
    ) -> Option<Lacking> {
        let held = match known.0.entry(cluster.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.held(clients, cluster, asks).await),
        };
        if held.as_ref().is_some_and(|held| !held.is_new && !lacks(&held.permissions).is_empty())
            && let Some(new) = self.told_now(clients, cluster).await
        {
            *held = Some(new);
        }
        let Held { token, permissions, at, is_new } = held.as_ref()?;
        let missing = lacks(permissions).join(" and ");
        if missing.is_empty() {
            return None;
        }
        let since = if *is_new { String::new() } else { format!(", as of {}", at.strftime("%Y-%m-%d %H:%MZ")) };
        Some(Lacking { token: token.to_string(), missing, since, is_sure: *is_new })
    }

    /// What the token of a cluster may do: as it is kept; where that is old, or there is nothing, and `asks`, as it is now.
    async fn held(&self, clients: &ApiClients, cluster: &ClusterId, asks: bool) -> Option<Held> {
        let token = self.token_of(clients, cluster).await?;
        let kept = self.state.permissions(cluster, &token).ok().flatten();
        let kept = kept.map(|(permissions, at)| Held { token, permissions, at, is_new: false });
        if asks && !kept.as_ref().is_some_and(|kept| is_fresh(kept.at, self.now(), FRESH)) {
            return self.told_now(clients, cluster).await.or(kept);
        }
        kept
    }

    /// Whose calls they would be.
    async fn token_of(&self, clients: &ApiClients, cluster: &ClusterId) -> Option<TokenId> {
        let standing = clients.standing(cluster).map(|client| client.token_id().clone());
        if standing.is_some() {
            return standing;
        }
        let group = self.groups().into_iter().find(|group| group.cluster == *cluster)?;
        Some(self.token(group.members.first()?).await.ok()?.id)
    }

    /// What the token may do now, which is kept; `None`: no member of the cluster answers.
    async fn told_now(&self, clients: &ApiClients, cluster: &ClusterId) -> Option<Held> {
        clients.standing(cluster)?;
        let client = self.client_of(clients, cluster).await.ok()?;
        let permissions = client.permissions().await.ok()?;
        self.keep_permissions(cluster, &client, &permissions);
        Some(Held { token: client.token_id().clone(), permissions, at: self.now(), is_new: true })
    }

    /// Keeps what a token may do. Where that fails, the next plan asks again.
    pub(in crate::fleet) fn keep_permissions(&self, cluster: &ClusterId, client: &Client, permissions: &Permissions) {
        if let Err(error) = self.state.put_permissions(cluster, client.token_id(), permissions, self.now()) {
            tracing::debug!(%error, "what the token may do was not kept");
        }
    }

    /// Proxmox VE has refused a call: what was kept of that token may be wrong.
    pub(in crate::fleet::act) fn doubt_permissions(&self, cluster: &ClusterId, refusal: &Error) {
        if matches!(refusal, Error::Denied { .. })
            && let Err(error) = self.state.forget_permissions(cluster)
        {
            tracing::debug!(%error, "what the token may do was not forgotten");
        }
    }
}

impl Fleet<'_> {
    /// What gives a cluster's token a right.
    fn what_gives(&self, right: GuestRight, cluster: &ClusterId) -> String {
        let Some(scope) = right.scope() else { return HintId::HibernateRights.text() };
        let groups = self.groups();
        let member = groups.iter().find(|group| group.cluster == *cluster).and_then(|group| group.members.first());
        member.map_or_else(|| HintId::PrivilegeMissing.say(&[("scope", "")]), |member| self.privileges(member, scope))
    }
}

/// What a token lacks for a call.
struct Lacking {
    token: String,
    missing: String,
    /// When that was said, in words, if not just now.
    since: String,
    is_sure: bool,
}

impl Lacking {
    fn finding(&self, server: &ServerId, gives: &str, is_of_scope: bool) -> Finding {
        let fault = Fault::lacks_privilege(&self.token, &self.missing, &self.since, gives, is_of_scope);
        let finding = Finding::of(fault, server);
        if self.is_sure { finding.final_word() } else { finding }
    }
}

/// The call that a step comes to, or one that needs no more than that one will.
fn call_of(step: &Step) -> Option<GuestCall> {
    match (&step.does, step.action) {
        (StepKind::Guest(call), _) => Some(*call),
        (StepKind::GuestLater, PowerAction::Hibernate) => Some(GuestCall::Hibernate),
        (StepKind::GuestLater, _) => Some(GuestCall::Start),
        _ => None,
    }
}
