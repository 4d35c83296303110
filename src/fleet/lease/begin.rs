//! The begin of a lease: it is written down, what it needs is brought up, and its targets are waited for.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::consent::Confirmed;
use crate::fleet::Fleet;
use crate::fleet::act::wait::Attempts;
use crate::fleet::act::{ApiClients, Choice, Now, Options, PlanRun, Prepared, SentLog, StepOutcome, StepReport};
use crate::fleet::lease::Tell;
use crate::fleet::observe::{ObserveRequest, Observed};
use crate::model::id::ServerId;
use crate::model::inventory::server::ServerKey;
use crate::model::inventory::{Inventory, Server};
use crate::model::lease::{Lease, LeaseKind, Leased, Then, Woken, way_back};
use crate::model::power::{AWAKE_BEFORE, Plan, PowerAction, StepKind};
use crate::state::{GoingDown, State, StateError};
use crate::transport::process;

/// How long a call may still take effect whose sender was killed: the trigger's two seconds, and what a host takes to sleep.
const AFTERMATH: SignedDuration = SignedDuration::from_secs(15);

/// What is asked for.
pub(crate) struct Wanted<'w> {
    pub(crate) kind: LeaseKind,
    /// The targets, as they were typed.
    pub(crate) words: &'w [String],
    pub(crate) reason: Option<String>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) then: Option<Then>,
    pub(crate) options: &'w Options,
    pub(crate) sent_log: SentLog,
}

/// A lease that stands in the state file. It is taken back when this is dropped, unless it was kept.
pub(crate) struct Begun<'s> {
    pub(crate) lease: Lease,
    state: &'s State,
    kept: bool,
    /// What it was made from.
    pub(crate) inventory: Inventory,
    pub(crate) chosen: Vec<usize>,
    pub(crate) plan: Plan,
    /// What came of the plan's steps; `None`: something stood against it, and nothing was sent.
    pub(crate) ends: Option<Vec<StepReport>>,
    /// Which services of which targets do not answer.
    pub(crate) silent: Vec<(ServerId, Vec<String>)>,
}

impl Begun<'_> {
    /// Whether everything that was asked for is up and answers.
    pub(crate) fn is_ready(&self) -> bool {
        let good = |ends: &Vec<StepReport>| ends.iter().all(|end| end.how.is_good());
        self.silent.is_empty() && self.ends.as_ref().is_some_and(good)
    }

    /// The targets.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Server> {
        self.chosen.iter().filter_map(|place| self.inventory.servers.get(*place))
    }

    /// The lease goes on when this is dropped.
    pub(crate) fn keep(mut self) -> Lease {
        self.kept = true;
        self.lease.clone()
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Where it cannot be taken back, it ends with its process.
            let _ = self.state.end_leases(&[self.lease.id], self.lease.since);
        }
    }
}

impl<'a> Fleet<'a> {
    /// Begins a lease: writes it down, wakes and starts what its targets need, and waits until they are ready.
    ///
    /// # Errors
    /// No such target; parents in a circle; the state file's.
    pub(crate) async fn begin_lease(
        &self,
        wanted: &Wanted<'_>,
        tell: Tell<'_>,
        confirmed: &Confirmed,
    ) -> anyhow::Result<Begun<'a>> {
        let mut before: Option<Begun<'a>> = None;
        let (begun, clients) = loop {
            let since = self.now();
            let going = self.going_down()?;
            let (begun, clients) = self.write_down(wanted).await?;
            // The one of the look before is given up only now, so that nobody finds none.
            drop(before.take());
            let keys: BTreeSet<ServerKey> = begun.lease.servers.iter().map(|leased| leased.key.clone()).collect();
            if !going.iter().any(|one| keys.contains(&one.key)) && !self.has_gone_down(&keys, since)? {
                break (begun, clients);
            }
            // Somebody began to take it down before this lease was there: what was seen is not what will be.
            self.await_down(&keys, &begun, tell).await?;
            before = Some(begun);
        };
        self.bring_up(wanted, begun, clients, tell, confirmed).await
    }

    /// Looks, and writes the lease down.
    async fn write_down(&self, wanted: &Wanted<'_>) -> anyhow::Result<(Begun<'a>, ApiClients)> {
        let request = ObserveRequest {
            scope: self.scope_around(wanted.words, false)?,
            templates: true,
            ..ObserveRequest::default()
        };
        let Observed { mut inventory, clients, .. } = self.observe(&request).await?;
        let clients = ApiClients::new(clients);
        let Choice { places: chosen, .. } = self.choose(&mut inventory, wanted.words, &clients).await?;
        let Wanted { kind, reason, until, then, .. } = wanted;
        let mut lease = Lease {
            id: 0,
            kind: *kind,
            by: wanted.options.by.clone(),
            reason: reason.clone(),
            since: self.now(),
            until: *until,
            then: *then,
            process: (*kind != LeaseKind::Hold).then(process::this),
            servers: held_by(&inventory.servers, &chosen),
        };
        lease.id = self.state.begin_lease(&lease)?;
        let begun = Begun {
            lease,
            state: self.state,
            kept: false,
            inventory,
            chosen,
            plan: Plan::default(),
            ends: None,
            silent: Vec::new(),
        };
        Ok((begun, clients))
    }

    /// Whether somebody began to take one of these servers down since then.
    fn has_gone_down(&self, keys: &BTreeSet<ServerKey>, since: Timestamp) -> Result<bool, StateError> {
        let actions = self.state.actions(since, self.now())?;
        let is_one = |key: &ServerKey| keys.contains(key);
        Ok(actions
            .iter()
            .any(|one| is_down(&one.action) && one.outcome != "refused" && one.server.as_ref().is_some_and(is_one)))
    }

    /// Who is being taken down. What somebody sent who was killed takes effect within seconds, or not at all.
    fn going_down(&self) -> Result<Vec<GoingDown>, StateError> {
        let now = self.now();
        let mut going = self.state.going_down(now)?;
        going.retain(|one| {
            let is_there = one.process.as_ref().is_none_or(process::runs);
            is_there || now.duration_since(one.since) < AFTERMATH
        });
        Ok(going)
    }

    /// Waits until no action takes one of these servers down any more.
    async fn await_down(
        &self,
        keys: &BTreeSet<ServerKey>,
        begun: &Begun<'_>,
        tell: Tell<'_>,
    ) -> Result<(), StateError> {
        // Each action has a deadline of its own.
        let mut attempts = Attempts::during(Duration::from_secs(24 * 3600));
        loop {
            let going = self.going_down()?;
            let Some(one) = going.iter().find(|one| keys.contains(&one.key)) else { break };
            if let Some(server) = begun.inventory.servers.iter().find(|server| server.key() == one.key) {
                tell(server, Some(&format!("waiting until the {} of {} is over", one.action, server.called())), None);
            }
            attempts.next().await;
        }
        for server in begun.inventory.servers.iter().filter(|server| keys.contains(&server.key())) {
            tell(server, None, None);
        }
        Ok(())
    }

    async fn bring_up(
        &self,
        wanted: &Wanted<'_>,
        mut begun: Begun<'a>,
        clients: ApiClients,
        tell: Tell<'_>,
        confirmed: &Confirmed,
    ) -> anyhow::Result<Begun<'a>> {
        let Begun { inventory, chosen, .. } = &mut begun;
        let prepared = self.prepare(inventory, chosen, PowerAction::Start, wanted.options, clients).await?;
        let Prepared { plan, is_clear, clients, .. } = prepared;
        begun.plan = plan;
        if !is_clear {
            return Ok(begun);
        }
        let servers = &begun.inventory.servers;
        let marks = self.mark(wanted, servers, &begun.plan)?;
        let told = |number: usize, now: Now<'_>| {
            let server = begun.plan.steps.get(number).and_then(|step| servers.get(step.server));
            match (server, now) {
                (Some(server), Now::Does(what, of)) => tell(server, Some(what), of),
                (Some(server), Now::Over) => tell(server, None, None),
                (None, _) => {}
            }
        };
        let sent_log = wanted.sent_log.clone();
        let run =
            PlanRun { plan: &begun.plan, servers, options: wanted.options, sent_log, tell: &told, clients: &clients };
        let ends = self.carry_out(&run, confirmed).await?;
        self.settle_marks(&begun, &marks, &ends)?;
        let up = ends.iter().all(|end| end.how.is_good());
        begun.ends = Some(ends);
        if up {
            begun.silent = self.await_targets(&begun, wanted.options.timeout, tell).await;
        }
        Ok(begun)
    }

    /// Marks what is about to come up: before anything is sent.
    fn mark(&self, wanted: &Wanted<'_>, servers: &[Server], plan: &Plan) -> Result<Vec<(usize, Woken)>, StateError> {
        let at = self.now();
        let mut marks = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            if wanted.then == Some(Then::Leave)
                || !matches!(step.does, StepKind::Wake | StepKind::Guest(_) | StepKind::GuestLater)
            {
                continue;
            }
            let server = &servers[step.server];
            let chosen = wanted.then.and_then(Then::action).filter(|_| server.vmid.is_none());
            let back = match chosen {
                Some(back) => back,
                None => way_back(server, self.state.last_way_down(&server.key())?),
            };
            marks.push((number, Woken { key: server.key(), name: server.id.to_string(), back, at, was_down: false }));
        }
        let woken: Vec<Woken> = marks.iter().map(|(_, woken)| woken.clone()).collect();
        if !woken.is_empty() {
            self.state.put_woken(&woken)?;
        }
        Ok(marks)
    }

    /// Takes marks back of servers that were not brought up after all; of the others only what happens from now on says
    /// that somebody else brought them up.
    fn settle_marks(&self, begun: &Begun<'_>, marks: &[(usize, Woken)], ends: &[StepReport]) -> Result<(), StateError> {
        let now = self.now();
        let others = self.live_leases()?;
        let (mut up, mut not) = (Vec::new(), Vec::new());
        for (number, woken) in marks {
            let Some(end) = ends.get(*number) else { continue };
            // Somebody else may have brought it up at the same time, for another lease.
            let shared = others.iter().any(|lease| lease.id != begun.lease.id && lease.holds(&woken.key));
            match end.how {
                StepOutcome::Done if end.detail.as_deref() == Some(AWAKE_BEFORE) && !shared => {
                    not.push(woken.key.clone());
                }
                StepOutcome::Already
                | StepOutcome::Needed
                | StepOutcome::Refused
                | StepOutcome::Failed(_)
                | StepOutcome::NotTried
                    if !shared =>
                {
                    not.push(woken.key.clone());
                }
                StepOutcome::Done | StepOutcome::Sent => up.push(Woken { at: now, ..woken.clone() }),
                // It may still come up.
                _ => {}
            }
        }
        self.state.put_woken(&up)?;
        self.state.forget_woken(&not)
    }
}

/// The targets, and all that they need to be up: the hosts of guests, and what `parent_server_id` names.
fn held_by(servers: &[Server], chosen: &[usize]) -> Vec<Leased> {
    let mut held: Vec<Leased> = Vec::new();
    let mut add = |server: &Server, asked| {
        let is_new = held.iter().all(|leased| leased.key != server.key());
        if is_new {
            held.push(Leased { key: server.key(), name: server.id.to_string(), asked });
        }
        is_new
    };
    let chosen = || chosen.iter().filter_map(|place| servers.get(*place));
    for server in chosen() {
        add(server, true);
    }
    for server in chosen() {
        let mut next = Some(server);
        while let Some(server) = next {
            let parent = servers.iter().find(|other| server.parent.as_ref() == Some(&other.id));
            // Where the node of a guest is not configured, its guests stand under another member of the cluster.
            let is_host =
                |parent: &&Server| server.vmid.is_none() || parent.node.is_none() || parent.node == server.node;
            next = parent.filter(is_host).filter(|parent| add(parent, false));
        }
    }
    held
}

/// Whether an action, in the words of the command line, takes a server down.
fn is_down(action: &str) -> bool {
    let action = PowerAction::ALL.into_iter().find(|one| one.as_str() == action);
    action.is_some_and(|action| !action.only_wakes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::inventory::tests::server;

    #[test]
    fn a_lease_holds_what_its_targets_need() {
        let mut servers = vec![
            server("nas", None, None),
            server("pve1", Some("switch"), None),
            server("pve1-vm-101", Some("pve1"), Some(101)),
            server("switch", None, None),
            server("pve1-vm-102", Some("pve1"), Some(102)),
        ];
        servers[4].node = Some("pve9".parse().unwrap());
        servers[1].node = Some("pve1".parse().unwrap());
        servers[2].node = Some("pve1".parse().unwrap());
        let names = |chosen: &[usize]| {
            held_by(&servers, chosen).into_iter().map(|one| (one.name, one.asked)).collect::<Vec<_>>()
        };
        let held =
            |list: &[(&str, bool)]| list.iter().map(|(name, asked)| ((*name).to_owned(), *asked)).collect::<Vec<_>>();
        assert_eq!(names(&[0]), held(&[("nas", true)]));
        assert_eq!(names(&[2]), held(&[("pve1-vm-101", true), ("pve1", false), ("switch", false)]));
        assert_eq!(names(&[2, 1]), held(&[("pve1-vm-101", true), ("pve1", true), ("switch", false)]));
        assert_eq!(names(&[4]), held(&[("pve1-vm-102", true)]), "its node is not configured");
        servers[3].parent = Some("pve1".parse().unwrap());
        assert_eq!(held_by(&servers, &[1]).len(), 2, "a circle is the plan's to refuse");
    }
}
