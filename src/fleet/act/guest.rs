//! One step on a guest: look again, make sure that it is the same guest, send one call, and wait until it is seen.

mod follow;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use self::follow::LOOK_UP;
use super::looked::Looked;
use super::wait::Looks;
use super::{Acting, Ended, How};
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::model::check::CheckId;
use crate::model::guest::{GuestCall, GuestConfig, GuestIdentity, GuestStatus, Startup};
use crate::model::id::{ClusterId, GuestKind, NodeName, VmId};
use crate::model::inventory::server::Listing;
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{Finding, GuestView, PowerAction, PowerState, Verdict, allow, judge};
use crate::state::StateError;
use crate::transport::Error;
use crate::transport::pve::{Client, Posted, is_not_here};

/// A guest, found where it runs now.
struct Found {
    client: Rc<Client>,
    node: NodeName,
    status: GuestStatus,
}

/// A guest by what its calls need.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) server: &'a Server,
    pub(super) cluster: &'a ClusterId,
    pub(super) kind: GuestKind,
    pub(super) vmid: VmId,
}

impl<'a> Named<'a> {
    /// `None` for a server that is no guest.
    pub(super) fn of(server: &'a Server) -> Option<Named<'a>> {
        let (cluster, vmid) = (server.cluster.as_ref()?, server.vmid?);
        Some(Named { server, cluster, kind: server.kind.guest()?, vmid })
    }
}

/// A call that was sent, or is about to be.
struct Sending<'a> {
    named: Named<'a>,
    found: &'a Found,
    call: GuestCall,
    number: usize,
    patience: Duration,
    services: bool,
    /// Its configuration has it begin halted.
    freezes: bool,
    /// When it is sent.
    at: Instant,
}

impl Sending<'_> {
    /// Whether this is of another run of the guest than before the call; `None`: its uptime does not tell. One that goes
    /// on counts on from what it was.
    fn is_anew(&self, status: &GuestStatus) -> Option<bool> {
        let (passed, now) = (self.at.elapsed().as_secs(), status.uptime_seconds?);
        let is_shorter = match self.found.status.uptime_seconds {
            Some(before) => now + 1 < before + passed,
            None => now <= passed,
        };
        if now > passed + 1 { Some(false) } else { is_shorter.then_some(true) }
    }
}

impl Fleet<'_> {
    pub(super) async fn act_on_guest(
        &self,
        acting: &Acting<'_>,
        number: usize,
        confirmed: &Confirmed,
    ) -> Result<Ended, StateError> {
        let step = &acting.plan.steps[number];
        let server = acting.server(step);
        let Some(named) = Named::of(server) else {
            return Ok(Ended::because(How::Failed(FailureKind::Failed), "it is no guest"));
        };
        acting.say(number, &format!("looking at {}", server.called()), None);
        let looked = acting.links.looked(&server.id);
        let found = match self.find_again(acting, named, looked.clone()).await {
            Ok(found) => found,
            Err(missing) => return Ok(self.missing(server, missing)),
        };
        let (found, config) = match self.config_of(acting, named, found, looked).await {
            Ok(found) => found,
            Err(missing) => return Ok(self.missing(server, missing)),
        };
        let mut findings: Vec<Finding> = self.compare_identity(named, &config)?.into_iter().collect();
        let manner = acting.options.manner;
        let verdict = judge(step.action, &view(named.kind, &found.status), manner);
        let call = match verdict {
            Verdict::Call { call, against } => {
                findings.extend(against.into_iter().map(|against| against.at(&server.id)));
                Some(call)
            }
            Verdict::Already(_) => None,
            Verdict::Cannot { why, fix } => {
                return Ok(Ended { hint: fix, ..Ended::because(How::Refused, why) }.seen(found.status.state));
            }
        };
        if !allow(&mut findings, &acting.options.allowed) {
            let lock = found.status.lock.as_deref();
            self.explain_lock(&mut findings, named, &found.node, lock, acting.links).await;
            return Ok(Ended::refused(findings).seen(found.status.state));
        }
        self.keep_identity(named, &config)?;
        let patience = acting.options.timeout.unwrap_or_else(|| {
            let GuestStatus { state, ha_managed, .. } = &found.status;
            usual_patience(named.kind, call, config.startup, *state, *ha_managed)
        });
        let services = matches!(step.action, PowerAction::Start | PowerAction::Resume | PowerAction::Reboot);
        let Some(call) = call else {
            // It runs; whoever asked for it to be up wants its services, too.
            let ended = Ended::new(How::Already).seen(found.status.state);
            if !services || !acting.options.wait {
                return Ok(ended);
            }
            return Ok(self.ready(named, &mut Looks::during(patience), ended).await);
        };
        let begun = self.begin(acting, step, patience + LOOK_UP)?;
        let (freezes, at) = (config.freeze, Instant::now());
        let sending = Sending { named, found: &found, call, number, patience, services, freezes, at };
        let ended = self.send(acting, &sending, confirmed).await;
        // Where this cannot be kept, the run ends before it has told.
        begun.end(&ended, self.now()).inspect_err(|_| {
            let (name, how) = (call.as_str(), ended.how.as_str());
            acting.ledger.note(number, format!("{name} of {} was sent: {how}", server.id));
        })?;
        Ok(ended)
    }

    /// The same for a guest that was looked at for the plan a moment ago: that look counts.
    async fn find_again(
        &self,
        acting: &Acting<'_>,
        named: Named<'_>,
        looked: Option<Looked>,
    ) -> Result<Found, Missing> {
        match looked {
            Some(Looked { node, status, .. }) => {
                Ok(Found { client: self.client_of(acting.links, named.cluster).await?, node, status })
            }
            None => self.find_guest(acting, named).await,
        }
    }

    /// A guest's configuration: who it is right before the call. One that is not there any more is looked for.
    async fn config_of(
        &self,
        acting: &Acting<'_>,
        named: Named<'_>,
        mut found: Found,
        looked: Option<Looked>,
    ) -> Result<(Found, GuestConfig), Missing> {
        if let Some(config) = looked.and_then(|looked| looked.config) {
            return Ok((found, config));
        }
        match found.client.guest_config(&found.node, named.kind, named.vmid).await {
            Err(error) if is_not_here(&error) => {
                let found = self.find_guest(acting, named).await?;
                let config = found.client.guest_config(&found.node, named.kind, named.vmid).await?;
                Ok((found, config))
            }
            Ok(config) => {
                // It was read after the status.
                found.status.lock.clone_from(&config.lock);
                found.status.template = config.template;
                Ok((found, config))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the guest runs now, and what it does there: asked of its node, not of a cache.
    async fn find_guest(&self, acting: &Acting<'_>, named: Named<'_>) -> Result<Found, Missing> {
        let client = self.client_of(acting.links, named.cluster).await?;
        if let Some(node) = &named.server.node {
            match client.guest_status(node, named.kind, named.vmid).await {
                Ok(status) => return Ok(Found { client, node: node.clone(), status }),
                Err(error) if is_not_here(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // It migrated since it was listed, or it is gone.
        let listing = client.listing().await?;
        let found = listing.guests.iter().find(|guest| guest.vmid == named.vmid);
        let Some(listed) = found else {
            return Err(if is_whole(&listing) { Missing::Gone } else { Missing::Unlisted });
        };
        if listed.kind != named.kind {
            return Err(Missing::OtherKind);
        }
        match client.guest_status(&listed.node, named.kind, named.vmid).await {
            Ok(status) => Ok(Found { client, node: listed.node.clone(), status }),
            Err(error) if is_not_here(&error) => Err(Missing::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is still the guest that was learned under this number.
    pub(super) fn compare_identity(
        &self,
        named: Named<'_>,
        config: &GuestConfig,
    ) -> Result<Option<Finding>, StateError> {
        let Some((known, at)) = self.state.identity(named.cluster, named.vmid)? else { return Ok(None) };
        let known = GuestIdentity::new(&known);
        // Who has lost all that it was told by may be anybody.
        let now = match &config.identity {
            Some(now) if now.is_same(&known) => return Ok(None),
            Some(now) => now.as_str(),
            None => "without SMBIOS UUID and address",
        };
        let day = at.to_string();
        let day = day.split('T').next().unwrap_or(&day);
        let message = format!("another guest has its number now: on {day} it was {known}, now it is {now}");
        let fix = format!("see which guest that is (`ecobox status {}`)", named.server.id);
        Ok(Some(Finding::new(CheckId::IdentityChanged, &named.server.id, message).fix(fix)))
    }

    /// Keeps who has the number now: nobody was known, or a person said that this one is meant.
    pub(super) fn keep_identity(&self, named: Named<'_>, config: &GuestConfig) -> Result<(), StateError> {
        let Some(now) = &config.identity else { return Ok(()) };
        match self.state.identity(named.cluster, named.vmid)? {
            Some((known, _)) if known == now.as_str() => Ok(()),
            _ => self.state.put_identity(named.cluster, named.vmid, now.as_str(), self.now()),
        }
    }

    /// Sends the call, once, and follows what comes of it.
    async fn send(&self, acting: &Acting<'_>, sending: &Sending<'_>, _: &Confirmed) -> Ended {
        let Sending { named, found, call, number, patience, .. } = sending;
        let (id, name) = (&named.server.id, call.as_str());
        acting.say(*number, &format!("{name} of {} was sent", named.server.called()), Some(*patience));
        acting.ledger.note(*number, format!("{name} of {id} was sent, the answer is not there yet"));
        let sent_at = self.now();
        let mut looks = Looks::during(*patience);
        // Past its deadline an answer is lost, too.
        let posting = found.client.guest_power(&found.node, named.kind, named.vmid, call);
        let posted = timeout(*patience, posting).await.unwrap_or_else(|_| {
            let peer = found.node.as_str().to_owned();
            Posted::Lost(Error::Timeout { peer, doing: "waiting for the answer", after: *patience })
        });
        let upid = match posted {
            Posted::Task(upid) => Some(upid),
            Posted::Done => None,
            Posted::Refused(error) => {
                self.doubt_permissions(named.cluster, &error);
                let faster = match &error {
                    Error::Api { reason, .. } => self.was_faster(acting, sending, reason).await,
                    _ => None,
                };
                return faster.unwrap_or_else(|| self.refusal(named.server, &error));
            }
            Posted::Lost(error) => {
                acting.ledger.note(*number, format!("{name} of {id} was sent, its answer was lost: {error}"));
                let what = format!("the answer about {} was lost, looking for its task", named.server.called());
                acting.say(*number, &what, Some(*patience));
                let since = found.client.by_its_clock(sent_at);
                match self.look_up(acting, sending, since).await {
                    Some(upid) => Some(upid),
                    None => return self.by_state(acting, sending, &mut looks, &error).await,
                }
            }
        };
        if let Some(upid) = &upid {
            acting.ledger.note(*number, format!("{name} of {id} goes on there as {upid}"));
        }
        if !acting.options.wait && !acting.is_needed(*number) {
            return Ended { upid, ..Ended::new(How::Sent) };
        }
        let ended = self.follow(acting, sending, upid.as_ref(), &mut looks).await;
        Ended { upid, ..ended }
    }
}

/// Why a guest was not found.
enum Missing {
    Error(Error),
    Gone,
    /// No listing has it, and none was whole.
    Unlisted,
    /// A virtual machine where a container was, or the other way round.
    OtherKind,
}

impl Fleet<'_> {
    /// What a guest that was not found makes of its step.
    fn missing(&self, server: &Server, missing: Missing) -> Ended {
        match missing {
            Missing::Error(error) => self.failed_step(&server.id, &error),
            Missing::Gone => gone(server),
            Missing::Unlisted => {
                let detail =
                    "its node does not have it, and the listing of its cluster is incomplete: it may be elsewhere";
                Ended::because(How::Failed(FailureKind::Failed), detail)
            }
            Missing::OtherKind => Ended::refused(vec![other_kind(server)]),
        }
    }

    /// What Proxmox VE's refusal of a call means. Nothing was carried out.
    fn refusal(&self, server: &Server, error: &Error) -> Ended {
        let Error::Api { reason, status, .. } = error else { return self.failed_step(&server.id, error) };
        // The node that was asked could not connect to the guest's.
        if *status == 595 {
            let detail = format!("its node cannot be reached: {reason}; nothing was done");
            return Ended::because(How::Failed(FailureKind::Unreachable), detail);
        }
        if reason.contains("no quorum") {
            let finding = Finding::new(CheckId::QuorumLost, &server.id, format!("Proxmox VE refused: {reason}"));
            return Ended::refused(vec![finding.fix("bring the other nodes back first").final_word()]);
        }
        Ended::because(How::Failed(FailureKind::Failed), format!("Proxmox VE refused: {reason}"))
    }
}

/// Whether who is missing in a listing is not there: all entries could be read, and there are some. A token that lost its
/// privileges is answered with none.
fn is_whole(listing: &Listing) -> bool {
    listing.unreadable == 0 && !listing.guests.is_empty()
}

fn gone(server: &Server) -> Ended {
    let detail = format!("{} is gone: no node of its cluster has it", server.id);
    Ended::because(How::Failed(FailureKind::Failed), detail)
}

impl From<Error> for Missing {
    fn from(error: Error) -> Missing {
        Missing::Error(error)
    }
}

fn other_kind(server: &Server) -> Finding {
    let message = "another guest has its number now: one of the other kind".to_owned();
    let finding = Finding::new(CheckId::IdentityChanged, &server.id, message).final_word();
    finding.fix("run `ecobox discover`, and name the guest anew")
}

/// After how many seconds Proxmox VE takes a shutdown for failed. A container's `down` time is for the end of its node only.
pub(super) fn gives_up_after(kind: GuestKind, timeout: Option<u32>, startup: Startup) -> u64 {
    let own = startup.down_seconds.filter(|_| kind == GuestKind::Qemu);
    u64::from(timeout.or(own).unwrap_or(60))
}

/// How long Proxmox VE itself may take, and a while more to see it.
pub(super) fn usual_patience(
    kind: GuestKind,
    call: Option<GuestCall>,
    startup: Startup,
    state: PowerState,
    ha_managed: bool,
) -> Duration {
    const SLACK: u64 = 30;
    // What it waits for the lock.
    const LOCK: u64 = 10;
    let down = |timeout: Option<u32>| {
        let seconds = gives_up_after(kind, timeout, startup);
        match kind {
            // A silent agent costs a ping of 3 s.
            GuestKind::Qemu => seconds + 5,
            // Where `lxc-stop` fails at its timeout, the container's command socket is polled for as long again, and 5 s
            // (pve-container, `vm_stop`).
            GuestKind::Lxc => seconds + seconds + 5,
        }
    };
    let seconds = match call {
        Some(GuestCall::Shutdown { timeout, .. }) => down(timeout) + LOCK,
        Some(GuestCall::Reboot { timeout }) => down(timeout) + LOCK + 60,
        // Memory goes to disk, or comes back from it.
        Some(GuestCall::Hibernate) => 600,
        Some(GuestCall::Start) if state == PowerState::Hibernated => 600,
        Some(GuestCall::Start | GuestCall::Resume) | None => 120,
        Some(GuestCall::Stop { .. } | GuestCall::Reset | GuestCall::Suspend) => 60,
    };
    // HA acts in rounds of its own.
    let ha = if ha_managed { 90 } else { 0 };
    Duration::from_secs(seconds + ha + SLACK)
}

fn view(kind: GuestKind, status: &GuestStatus) -> GuestView<'_> {
    GuestView {
        kind,
        state: status.state,
        raw: &status.raw,
        lock: status.lock.as_deref(),
        ha: status.ha_managed.then(|| status.ha_state.as_deref().unwrap_or("started")),
        template: status.template,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_outlasts_proxmox() {
        let shutdown = |timeout| Some(GuestCall::Shutdown { timeout, force_stop: false });
        let startup = |down_seconds| Startup { down_seconds, ..Startup::default() };
        // What Proxmox VE takes until a shutdown that is ignored has failed, the wait for the lock included.
        for (kind, call, down, takes) in [
            (GuestKind::Qemu, shutdown(None), None, 10 + 60),
            (GuestKind::Qemu, shutdown(None), Some(180), 10 + 180),
            (GuestKind::Qemu, shutdown(Some(300)), None, 10 + 300),
            (GuestKind::Lxc, shutdown(None), None, 10 + 60 + 65),
            // Recorded: 3 s, and 8 s more.
            (GuestKind::Lxc, shutdown(Some(3)), None, 10 + 3 + 8),
            (GuestKind::Lxc, shutdown(Some(180)), None, 10 + 180 + 185),
            (GuestKind::Lxc, shutdown(None), Some(600), 10 + 60 + 65),
            (GuestKind::Lxc, Some(GuestCall::Reboot { timeout: None }), None, 10 + 60 + 65),
        ] {
            let patience = usual_patience(kind, call, startup(down), PowerState::Running, false).as_secs();
            assert!((takes + 30..takes + 120).contains(&patience), "{kind:?} {call:?} {down:?}: {patience}");
            let managed = usual_patience(kind, call, startup(down), PowerState::Running, true).as_secs();
            assert_eq!(managed, patience + 90);
        }
    }
}
