//! One step on a host: waking it until it is really ready, or one trigger over SSH until it is seen to be gone.

use std::cell::RefCell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::preflight::When;
use super::wait::Looks;
use super::{Acting, Ended, How, Links, look_hint};
use crate::config::ServerConfig;
use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::wake::{NoWakePath, NotWoken, SendError, WakeEvent, WakePath};
use crate::fleet::host::power::arm::ArmedWol;
use crate::fleet::host::power::trigger::{HostOrder, Triggered};
use crate::fleet::host::power::wait::Waited;
use crate::model::check::CheckId;
use crate::model::hint::HintId;
use crate::model::host::power::{HostCall, HostPreflight, NoWay};
use crate::model::id::VmId;
use crate::model::inventory::{FailureKind, Server};
use crate::model::load::usage::Source;
use crate::model::power::{Finding, PowerState, allow};
use crate::state::StateError;
use crate::transport::Error;

/// How long a host may take to wake, Proxmox VE's start included.
pub(super) const WAKE: Duration = Duration::from_secs(300);
/// How long a host may take to be gone.
const GONE: Duration = Duration::from_secs(120);
/// How long it may take to be back.
const BACK: Duration = Duration::from_secs(300);

/// How long a host may take for a call.
pub(super) fn usual_patience(call: HostCall) -> Duration {
    if call == HostCall::Reboot { GONE + BACK } else { GONE }
}

impl Fleet<'_> {
    /// How a host could be woken: by the configuration and what is known of it, else by another node of its cluster that
    /// is online and has its address.
    pub(super) async fn wake_path_of(
        &self,
        host: &ServerConfig,
        servers: &[Server],
        links: &Links,
    ) -> Result<WakePath, NoWakePath> {
        let error = match self.wake_path(host) {
            Err(error @ NoWakePath::UnknownMac { .. }) => error,
            other => return other,
        };
        let Some(node) = self.node_of(&host.id) else { return Err(error) };
        let cluster = self.cluster_of(&host.id);
        let client = links.0.borrow().get(&cluster).cloned();
        let online = |server: &&Server| {
            let other = server.vmid.is_none() && server.cluster.as_ref() == Some(&cluster) && server.id != host.id;
            other && server.seen.state == PowerState::Online
        };
        let sleeps = servers.iter().any(|server| server.id == host.id && server.seen.state != PowerState::Online);
        let (Some(client), Some(via)) = (client, servers.iter().find(online)) else { return Err(error) };
        match client.node_config_mac(&node).await {
            Ok(Some(_)) => Ok(WakePath::Node { via: via.id.clone(), node }),
            // Only the node itself tells its settings. While it sleeps whoever sends the packet looks, and says so.
            Err(_) if sleeps => Ok(WakePath::Node { via: via.id.clone(), node }),
            _ => Err(error),
        }
    }

    pub(super) async fn wake_host(
        &self,
        acting: &Acting<'_>,
        number: usize,
        confirmed: &Confirmed,
    ) -> Result<Ended, StateError> {
        let step = &acting.plan.steps[number];
        let server = acting.server(step);
        let Some(host) = self.configured(&server.id) else {
            return Ok(Ended::because(How::Refused, format!("{} is not configured", server.id)));
        };
        let path = match self.wake_path_of(host, acting.servers, acting.links).await {
            Ok(path) => path,
            Err(error) => {
                return Ok(Ended { hint: error.advice(), ..Ended::because(How::Refused, error.to_string()) });
            }
        };
        let patience = acting.options.timeout.unwrap_or(WAKE);
        let begun = self.begin(acting, step, patience)?;
        let guests = acting.guests_of(number);
        let is_needed = acting.is_needed(number);
        let say = |what: &str| acting.say(number, what, Some(patience));
        // What is still waited for, once it is awake.
        let missing = RefCell::new(None);
        let until_awake = async {
            let seen = tokio::time::timeout(patience, async {
                self.awake(host, |_| {}).await?;
                if is_needed && self.is_pve(host) {
                    *missing.borrow_mut() = Some("its API does not answer".to_owned());
                    say(&format!("{} is awake, waiting for its API", server.called()));
                    self.await_pve(acting, server, &guests, &missing).await
                } else {
                    Ok(())
                }
            });
            seen.await.ok()
        };
        let first = Notify::new();
        // Nobody knows whether a packet was sent.
        let lost = RefCell::new(None);
        let waiting = format!("waiting for {} to answer", server.called());
        let events = |event: WakeEvent<'_>| match event {
            WakeEvent::Sent { sent, .. } if sent.sent.is_empty() => {
                first.notify_one();
                let why = sent.failed.join(", ");
                acting.ledger.note(number, format!("a magic packet for {} may have been sent: {why}", server.id));
                say(&format!("{waiting}; {why}"));
                *lost.borrow_mut() = Some(why);
            }
            WakeEvent::Sent { round, of, sent } => {
                first.notify_one();
                acting.ledger.note(number, format!("magic packets for {} were sent", server.id));
                tracing::debug!(server = server.id.as_str(), to = sent.sent.join(", "), "magic packet");
                say(&format!("{waiting}; magic packet {round} of {of} was sent to {}", addresses(&sent.sent)));
            }
            WakeEvent::NotSent { round, of, error } => {
                say(&format!("{waiting}; magic packet {round} of {of} was not sent: {error}"));
            }
        };
        say(&waiting);
        let is_waited_for = acting.options.wait || is_needed;
        let woken = if is_waited_for {
            Box::pin(self.wake(host, &path, until_awake, events, confirmed)).await
        } else {
            // One round, and nobody looks.
            let until_sent = async {
                first.notified().await;
                None::<Result<(), Error>>
            };
            Box::pin(self.wake(host, &path, until_sent, events, confirmed)).await
        };
        let lost = lost.take();
        let ended = match woken {
            Ok(woken) => match woken.seen {
                Ok(()) if woken.rounds == 0 && lost.is_none() => {
                    Ended::because(How::Done, "it was awake before a magic packet was sent").seen(PowerState::Online)
                }
                Ok(()) => Ended::because(How::Done, packets(woken.rounds, lost)).seen(PowerState::Online),
                Err(error) => self.failed_step(&server.id, &error),
            },
            Err(NotWoken::Silent { rounds: sent, .. }) if sent > 0 && !is_waited_for => {
                Ended::because(How::Sent, format!("{}, not waited for", rounds(sent)))
            }
            Err(NotWoken::Silent { rounds: sent, .. }) => not_ready(server, missing.take(), &packets(sent, lost)),
            Err(NotWoken::NoPath(error)) => {
                Ended { hint: error.advice(), ..Ended::because(How::Refused, error.to_string()) }
            }
            Err(NotWoken::NotSent(error)) => self.not_sent(server, &error),
        };
        if ended.how.is_good() || ended.state == Some(PowerState::Online) {
            self.state.put_wish(&server.id, false, self.now())?;
        }
        self.record_seen(server, &ended)?;
        begun.end(&ended, self.now())?;
        Ok(ended)
    }

    /// A host for which no packet was sent.
    fn not_sent(&self, server: &Server, error: &SendError) -> Ended {
        if error.is_for_want_of_address() {
            let hint = NoWakePath::UnknownMac { server: server.id.clone() }.advice();
            return Ended { hint, ..Ended::because(How::Refused, error.to_string()) };
        }
        if let (Some(cause), Some(cluster)) = (error.cause(), &server.cluster) {
            self.doubt_permissions(cluster, cause);
        }
        let failed = error.cause().map(|cause| self.failed(&server.id, cause));
        let kind = failed.as_ref().map_or(FailureKind::Failed, |failed| failed.kind);
        let hint = failed.and_then(|failed| failed.advice);
        Ended { hint, ..Ended::because(How::Failed(kind), error.to_string()) }
    }

    /// Waits until a Proxmox VE host that is awake can start guests: its API answers, its cluster has quorum, and the
    /// guests are listed on it. It never ends by itself where that does not come; `missing` is what it waits for.
    async fn await_pve(
        &self,
        acting: &Acting<'_>,
        server: &Server,
        guests: &[VmId],
        missing: &RefCell<Option<String>>,
    ) -> Result<(), Error> {
        let Some(cluster) = &server.cluster else { return Ok(()) };
        let mut looks = Looks::during(Duration::from_secs(24 * 3600));
        loop {
            let lacks = match self.connect(acting.links, cluster).await {
                Ok((client, listing)) => {
                    let online = server.node.as_ref().is_none_or(|node| {
                        listing.nodes.iter().any(|row| row.name == *node && row.online == Some(true))
                    });
                    let unlisted = guests.iter().find(|vmid| !listing.guests.iter().any(|guest| guest.vmid == **vmid));
                    // Whoever may not ask for the quorum is told by Proxmox VE when it starts the guest.
                    let quorate = client.quorate().await.map_or(true, |quorate| quorate != Some(false));
                    match unlisted {
                        _ if !online => "its cluster does not list it as online".to_owned(),
                        _ if !quorate => "its cluster has no quorum".to_owned(),
                        Some(vmid) => format!("guest {vmid} is not listed"),
                        None => return Ok(()),
                    }
                }
                // A certificate or a token is not mended by waiting.
                Err(error) if matches!(error.kind(), FailureKind::Identity | FailureKind::Denied) => return Err(error),
                Err(error) => format!("its API does not answer ({error})"),
            };
            tracing::debug!(server = server.id.as_str(), lacks, "not ready yet");
            *missing.borrow_mut() = Some(lacks);
            looks.next().await;
        }
    }

    pub(super) async fn act_on_host(
        &self,
        acting: &Acting<'_>,
        number: usize,
        call: HostCall,
        confirmed: &Confirmed,
    ) -> Result<Ended, StateError> {
        let step = &acting.plan.steps[number];
        let server = acting.server(step);
        let Some(host) = self.configured(&server.id) else {
            return Ok(Ended::because(How::Refused, format!("{} is not configured", server.id)));
        };
        acting.say(number, &format!("looking at {} once more", server.called()), None);
        // Since the plan was made guests were ended, and perhaps somebody has logged in.
        let look = self.look_at_host(server, call, When::Acting, acting.servers, acting.links, acting.options);
        let look = Box::pin(look).await?;
        if let Some((why, fix, kind)) = look.blocked {
            return Ok(Ended { hint: fix, ..Ended::because(kind.map_or(How::Refused, How::Failed), why) });
        }
        let mut findings = look.findings;
        // What the host itself shows is newer than what its API lists, and enough.
        if !findings.iter().any(|finding| finding.id == CheckId::RunningGuests) {
            findings.extend(self.guests_left(acting, number).await);
        }
        if !allow(&mut findings, &acting.options.allowed) {
            return Ok(Ended::refused(findings));
        }
        let seen = look.seen.unwrap_or_default();
        if call.sleeps()
            && acting.options.arm_wol
            && let Some(refused) = self.arm(acting, number, host, &seen, confirmed).await
        {
            return Ok(refused);
        }
        let patience = acting.options.timeout.unwrap_or_else(|| usual_patience(call));
        let begun = self.begin(acting, step, patience)?;
        if call.sleeps() {
            // Before it sleeps: afterwards nobody may be left to say that it was meant.
            self.state.put_wish(&server.id, true, self.now())?;
        }
        let allowed = acting.options.allowed.contains(&CheckId::SleepInhibited);
        let over_inhibitors = seen.goes_past_locks(call, allowed);
        acting.ledger.note(number, format!("{} of {} was sent", call.as_str(), server.id));
        acting.say(number, &format!("{} of {} was sent", call.as_str(), server.called()), Some(patience));
        let triggered = self.trigger(host, HostOrder { call, over_inhibitors }, confirmed).await;
        let refused = !matches!(triggered, Ok(Triggered::Armed { .. } | Triggered::Lost { .. }));
        if call.sleeps() && refused {
            self.state.put_wish(&server.id, false, self.now())?;
        }
        let ended = match triggered {
            Err(error) => self.failed_step(&server.id, &error),
            Ok(Triggered::Refused { reason }) => {
                let how = match reason {
                    NoWay::Rights { .. } => How::Failed(FailureKind::Denied),
                    NoWay::Failed { .. } => How::Failed(FailureKind::Failed),
                    _ => How::Refused,
                };
                Ended { hint: reason.hint(), ..Ended::because(how, reason.to_string()) }
            }
            Ok(Triggered::Armed { by, .. }) if !acting.options.wait && !acting.is_needed(number) => {
                Ended::because(How::Sent, format!("by {by}"))
            }
            Ok(Triggered::Armed { trace, .. }) => {
                let what = if call == HostCall::Reboot { "is back" } else { "is gone" };
                acting.say(number, &format!("waiting until {} {what}", server.called()), Some(patience));
                // What fired says itself if it failed, long before the deadline.
                tokio::select! {
                    biased;
                    words = self.failure_of(host, trace.as_ref()) => {
                        if call.sleeps() {
                            self.state.put_wish(&server.id, false, self.now())?;
                        }
                        let detail = format!("it failed there: {words}");
                        Ended { hint: Some(HintId::TriggerFailed.text()), ..Ended::because(How::Failed(FailureKind::Failed), detail) }
                    }
                    ended = self.await_host(host, call, &seen, None, patience) => ended,
                }
            }
            Ok(Triggered::Lost { detail }) => self.await_host(host, call, &seen, Some(detail), patience).await,
        };
        if call.sleeps() && ended.how == How::Done {
            // Whoever looked while it still answered took the wish away again.
            self.state.put_wish(&server.id, true, self.now())?;
        }
        self.record_seen(server, &ended)?;
        begun.end(&ended, self.now())?;
        Ok(ended)
    }

    /// Keeps the state that a step saw, before the step ends: nobody shall look in between and miss both.
    fn record_seen(&self, server: &Server, ended: &Ended) -> Result<(), StateError> {
        if let (How::Done | How::Unconfirmed, Some(state)) = (ended.how, ended.state) {
            self.state.record_states(&[(server.key(), state, Source::Tcp)], self.now())?;
        }
        Ok(())
    }

    /// Waits until what was triggered is seen.
    async fn await_host(
        &self,
        host: &ServerConfig,
        call: HostCall,
        seen: &HostPreflight,
        lost: Option<String>,
        patience: Duration,
    ) -> Ended {
        let deadline = Instant::now() + patience;
        let waited = if call == HostCall::Reboot {
            self.wait_back(host, seen.facts.boot_id.as_deref(), false, deadline).await
        } else {
            self.wait_gone(host, deadline).await
        };
        let state = match call {
            HostCall::Suspend | HostCall::Hibernate => PowerState::Asleep,
            HostCall::Shutdown => PowerState::Offline,
            HostCall::Reboot => PowerState::Online,
        };
        let hint = Some(look_hint(&host.id));
        match waited {
            Ok(Waited::Seen) => {
                let detail = lost.map(|_| "its answer was lost; it was seen".to_owned());
                Ended { detail, ..Ended::new(How::Done) }.seen(state)
            }
            Ok(Waited::Local) => Ended::because(How::Sent, "it is this machine, which cannot see itself go"),
            Ok(Waited::NotConfirmed { last }) => {
                let detail = match lost {
                    Some(lost) => format!("its answer was lost ({lost}), and {last}"),
                    None => format!("accepted, but {last} at the deadline"),
                };
                Ended { hint, ..Ended::because(How::Unconfirmed, detail) }
            }
            Err(error) if matches!(error.kind(), FailureKind::Identity) => self.failed_step(&host.id, &error),
            Err(error) => Ended { hint, ..Ended::because(How::Unconfirmed, error.to_string()) },
        }
    }

    /// Arms Wake-on-LAN; gives the refusal where it stays off.
    async fn arm(
        &self,
        acting: &Acting<'_>,
        number: usize,
        host: &ServerConfig,
        seen: &HostPreflight,
        confirmed: &Confirmed,
    ) -> Option<Ended> {
        let mac = host.mac.map(|mac| mac.to_string());
        if seen.wol_armed(mac.as_deref()) == Some(true) {
            return None;
        }
        let nic = seen.nic_to_arm(mac.as_deref());
        let refused = |message: String| {
            let finding = Finding::new(CheckId::WolNotArmed, &host.id, message.clone());
            Some(Ended { findings: vec![finding], ..Ended::because(How::Refused, message) })
        };
        let allowed = acting.options.allowed.contains(&CheckId::WolNotArmed);
        let Some(nic) = nic else {
            return if allowed { None } else { refused("it has no network card that could be armed".to_owned()) };
        };
        acting.say(number, &format!("arming Wake-on-LAN of {} on {}", host.id, nic.name), Some(self.limits.host));
        acting.ledger.note(number, format!("Wake-on-LAN of {} is being armed", host.id));
        let armed = self.arm_wol(host, &nic.name, confirmed).await;
        acting.ledger.clear(number);
        let why = match armed {
            Ok(ArmedWol::Armed | ArmedWol::Unread) => return None,
            Ok(ArmedWol::NotArmed) => "its driver did not take it".to_owned(),
            Ok(ArmedWol::Failed { detail }) => detail,
            Err(error) => error.to_string(),
        };
        if allowed { None } else { refused(format!("Wake-on-LAN could not be armed on {}: {why}", nic.name)) }
    }

    /// The guests that run on a host right before it goes down, besides those that may.
    async fn guests_left(&self, acting: &Acting<'_>, number: usize) -> Vec<Finding> {
        let step = &acting.plan.steps[number];
        let server = acting.server(step);
        let (Some(cluster), Some(node)) = (&server.cluster, &server.node) else { return Vec::new() };
        if acting.options.guests == Some(crate::model::power::Policy::Leave)
            || acting.links.0.borrow().get(cluster).is_none()
        {
            return Vec::new();
        }
        let Ok(client) = self.client_of(acting.links, cluster).await else { return Vec::new() };
        let Ok(listing) = client.listing().await else { return Vec::new() };
        // The listing is some seconds old: whoever was seen to be off by a step is off.
        let ended =
            |vmid: VmId| step.needs.iter().any(|other| acting.server(&acting.plan.steps[*other]).vmid == Some(vmid));
        let running = listing.guests.iter().filter(|guest| {
            guest.node == *node && matches!(guest.state, PowerState::Running | PowerState::Paused) && !ended(guest.vmid)
        });
        let running: Vec<String> = running.map(|guest| guest.vmid.to_string()).collect();
        if running.is_empty() {
            return Vec::new();
        }
        let message = format!("guests run on it: {}", running.join(", "));
        vec![Finding::new(CheckId::RunningGuests, &server.id, message).fix("add `--guests shutdown`")]
    }
}

/// A host that was not ready by the deadline: it did not answer, or it is awake and something is `missing`.
fn not_ready(server: &Server, missing: Option<String>, packets: &str) -> Ended {
    if let Some(missing) = missing {
        let detail = format!("it is awake, and cannot start guests yet: {missing}");
        let hint = HintId::NotReady.say(&[("server", server.id.as_str())]);
        return Ended { hint: Some(hint), ..Ended::because(How::Unconfirmed, detail) }.seen(PowerState::Online);
    }
    let detail = format!("{packets}, and it does not answer yet");
    let hint = HintId::NotAwake.say(&[("server", server.id.as_str())]);
    Ended { hint: Some(hint), ..Ended::because(How::Unconfirmed, detail) }
}

/// One by itself, more by their number.
fn addresses(sent: &[String]) -> String {
    match sent {
        [one] => one.clone(),
        many => format!("{} addresses", many.len()),
    }
}

/// What was sent. `lost` says why it is not known whether a packet left.
fn packets(sent: u32, lost: Option<String>) -> String {
    match lost {
        Some(why) if sent == 0 => format!("whether a magic packet was sent is not known ({why})"),
        _ => rounds(sent),
    }
}

fn rounds(number: u32) -> String {
    match number {
        0 => "no magic packet was sent".to_owned(),
        1 => "1 round of magic packets was sent".to_owned(),
        number => format!("{number} rounds of magic packets were sent"),
    }
}
