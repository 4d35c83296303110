//! From what was seen to a plan that was looked at from all sides: nothing is changed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::moves::{self, Around, Returns, Wanted};
use super::preflight::Checked;
use super::{ApiClients, Options, guest, host, wake};
use crate::fleet::Fleet;
use crate::model::guest::{GuestCall, Startup};
use crate::model::host::idle::Verdict;
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, Inventory, Server};
use crate::model::power::{
    HostVerdict, Plan, PlanError, PlanInputs, Policy, PowerAction, PowerState, StepKind, WakeTime, allow, judge_host,
    plan,
};
use crate::model::select::{asks_for_state, whatever_state};
use crate::state::StateError;

/// Whom words on a command line name.
pub(crate) struct Choice {
    pub(crate) places: Vec<usize>,
    /// Servers that may be in the state that was asked for, if their state were known.
    pub(crate) unclear: Vec<usize>,
}

/// A plan, ready to be agreed to.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    /// By what some steps are done, by their places.
    pub(crate) calls: HashMap<usize, String>,
    /// Whether hosts that go down only if idle are idle, by the places of their steps.
    pub(crate) idle: HashMap<usize, Verdict>,
    /// Nothing stands against it that was not allowed.
    pub(crate) is_clear: bool,
    /// The connections that stand, to carry it out by.
    pub(crate) clients: ApiClients,
    /// What else there is to say of it.
    pub(crate) said: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    State(#[from] StateError),
}

impl Fleet<'_> {
    /// The servers that words on a command line name (places in the inventory). Where they ask for a state, guests are asked
    /// for theirs first: what a listing says may be ten seconds old.
    ///
    /// # Errors
    /// No such target; the state file's.
    pub(crate) async fn choose(
        &self,
        inventory: &mut Inventory,
        words: &[String],
        clients: &ApiClients,
    ) -> anyhow::Result<Choice> {
        if !words.iter().any(|word| asks_for_state(word)) {
            return Ok(Choice { places: inventory.chosen(words)?, unclear: Vec::new() });
        }
        let could = inventory.chosen(&whatever_state(words))?;
        self.refresh(&mut inventory.servers, &could, clients).await?;
        let places = inventory.chosen(words)?;
        let is_unclear =
            |place: &usize| !places.contains(place) && inventory.servers[*place].seen.state == PowerState::Unknown;
        let unclear = could.into_iter().filter(is_unclear).collect();
        Ok(Choice { places, unclear })
    }

    /// Plans an action on the chosen servers (places in the inventory's) and runs the checks. `clients` are
    /// the connections that the observation left.
    ///
    /// # Errors
    /// Parents in a circle, and the state file's.
    pub(crate) async fn prepare(
        &self,
        inventory: &mut Inventory,
        chosen: &[usize],
        action: PowerAction,
        options: &Options,
        clients: impl Into<ApiClients>,
    ) -> Result<Prepared, PrepareError> {
        let clients = clients.into();
        let Inventory { servers, failures, .. } = inventory;
        let returns = match options.guests {
            Some(Policy::Return) if action.only_wakes() => self.returns_to(servers, chosen, options.only_shown)?,
            _ => Returns::default(),
        };
        let mut asked = to_ask(servers, chosen, action);
        asked.extend(returns.wanted.iter().map(|(place, _)| *place).filter(|place| !chosen.contains(place)));
        let lost = self.refresh(servers, &asked, &clients).await?;
        let mut needing = guests_needing_config(servers, chosen, action, options.guests);
        needing.extend(returns.wanted.iter().map(|(place, _)| &servers[*place]));
        let configs = self.configs(&clients, needing).await;
        // Of several failures of one host the first: the API's, before its ports were tried.
        let failures = failures.iter().rev().filter(|failed| !failed.kind.is_of_cluster());
        let failures = failures.map(|Failed { server, kind, .. }| (server.clone(), *kind)).collect();
        let startups = configs.startups();
        let until = matches!(options.until, Some(WakeTime::At(_) | WakeTime::NextJob));
        let wanted = if returns.wanted.is_empty() { to_move(servers, chosen, action, options) } else { returns.wanted };
        let around = around(servers, chosen, action);
        let moves = self.judge_moves(servers, &wanted, &clients, &configs, &options.moving.how, &around).await;
        let (stop, guests) = (options.stop, options.guests);
        let (returns, mut said) = (returns.guests, returns.said);
        said.extend(stay_behind(servers, chosen, action, options));
        let inputs = PlanInputs { stop, guests, until, startups, failures, lost, moves, returns };
        let mut plan = plan(servers, chosen, action, &inputs)?;
        let Checked { calls, idle } = self.check_plan(&mut plan, servers, &configs, &clients, options).await?;
        set_deadlines(&mut plan, servers, &inputs.startups, options);
        let is_clear = allow(&mut plan.findings, &options.allowed);
        Ok(Prepared { plan, calls, idle, is_clear, clients, said })
    }
}

/// Says of each step how long it may take, by what is known before it begins.
fn set_deadlines(plan: &mut Plan, servers: &[Server], startups: &HashMap<ServerId, Startup>, options: &Options) {
    let needed: HashSet<usize> =
        plan.steps.iter().flat_map(|step| step.needs.iter().chain(&step.follows).copied()).collect();
    for (number, step) in plan.steps.iter_mut().enumerate() {
        let server = &servers[step.server];
        let startup = startups.get(&server.id).copied().unwrap_or_default();
        let managed = server.ha_state.as_deref().is_some_and(|state| state != "ignored");
        let guest = |kind, call| guest::usual_patience(kind, call, startup, server.seen.state, managed);
        let usual = match (&step.does, server.kind.guest()) {
            (StepKind::Wake, _) => wake::WAKE,
            (StepKind::Host(call), _) => host::usual_patience(*call),
            (StepKind::Migrate(way), _) => moves::usual_patience(way),
            (StepKind::Guest(call), Some(kind)) => guest(kind, Some(*call)),
            (StepKind::GuestLater, Some(kind)) => guest(kind, None),
            _ => continue,
        };
        let is_waited_for = options.wait || needed.contains(&number);
        step.course.limit = is_waited_for.then(|| options.timeout.unwrap_or(usual));
        if let (StepKind::Guest(GuestCall::Shutdown { timeout, force_stop: true }), Some(kind)) =
            (&step.does, server.kind.guest())
        {
            step.course.stops_after = Some(Duration::from_secs(guest::gives_up_after(kind, *timeout, startup)));
        }
    }
}

/// The guests that decide about the plan by what they do at this moment: the chosen ones, and all on hosts that go down.
fn to_ask(servers: &[Server], chosen: &[usize], action: PowerAction) -> Vec<usize> {
    let chosen_host = |server: &Server| {
        let host = chosen.iter().map(|place| &servers[*place]).find(|host| server.parent.as_ref() == Some(&host.id));
        host.is_some_and(|host| {
            action.goes_down() && host.vmid.is_none() && (host.node.is_none() || host.node == server.node)
        })
    };
    let asked = servers.iter().enumerate().filter(|(place, server)| {
        server.vmid.is_some() && (chosen.contains(place) || (!server.template && chosen_host(server)))
    });
    asked.map(|(place, _)| place).collect()
}

/// The guests that shall move: those that were named, or all that run on hosts that go down.
fn to_move(servers: &[Server], chosen: &[usize], action: PowerAction, options: &Options) -> Wanted {
    let goes_down = action.goes_down() && options.guests == Some(Policy::Migrate);
    let leaves = |server: &Server| {
        goes_down
            && matches!(server.seen.state, PowerState::Running | PowerState::Paused)
            && chosen.iter().map(|place| &servers[*place]).any(|host| {
                let there = host.node.is_none() || host.node == server.node;
                server.parent.as_ref() == Some(&host.id) && there
            })
    };
    let moving = servers.iter().enumerate().filter(|(place, server)| {
        server.vmid.is_some() && if action == PowerAction::Migrate { chosen.contains(place) } else { leaves(server) }
    });
    moving.map(|(place, _)| (place, options.moving.to.clone())).collect()
}

/// Says which guests stay on a host that goes down because they do not run.
fn stay_behind(servers: &[Server], chosen: &[usize], action: PowerAction, options: &Options) -> Option<String> {
    if !action.goes_down() || options.guests != Some(Policy::Migrate) {
        return None;
    }
    let off = |server: &&Server| matches!(server.seen.state, PowerState::Stopped | PowerState::Hibernated);
    let staying =
        servers.iter().filter(off).filter(|server| server.vmid.is_some() && !server.template).filter(|server| {
            let host =
                chosen.iter().map(|place| &servers[*place]).find(|host| server.parent.as_ref() == Some(&host.id));
            host.is_some_and(|host| host.node.is_none() || host.node == server.node)
        });
    let names: Vec<String> = staying.map(Server::called).collect();
    (!names.is_empty()).then(|| format!("off, and left where they are: {}", names.join(", ")))
}

/// The nodes that go down or are woken in the plan.
fn around(servers: &[Server], chosen: &[usize], action: PowerAction) -> Around {
    let mut around = Around::default();
    for server in chosen.iter().map(|place| &servers[*place]).filter(|server| server.vmid.is_none()) {
        let (Some(cluster), Some(node)) = (&server.cluster, &server.node) else { continue };
        match judge_host(action, server.seen.state) {
            HostVerdict::Call(_) => around.leaving.push((cluster.clone(), node.clone())),
            HostVerdict::Wake => around.woken.push((cluster.clone(), node.clone())),
            _ => {}
        }
    }
    around
}

/// The guests whose configurations the plan depends on.
fn guests_needing_config<'s>(
    servers: &'s [Server],
    chosen: &[usize],
    action: PowerAction,
    guests: Option<Policy>,
) -> Vec<&'s Server> {
    let hosts: Vec<&Server> =
        chosen.iter().map(|place| &servers[*place]).filter(|server| server.vmid.is_none()).collect();
    let goes_down = |server: &Server| {
        let runs = matches!(server.seen.state, PowerState::Running | PowerState::Paused);
        let on_one = hosts.iter().any(|host| server.parent.as_ref() == Some(&host.id));
        action.goes_down() && guests.is_some_and(|policy| policy != Policy::Leave) && runs && on_one
    };
    let meant = servers
        .iter()
        .enumerate()
        .filter(|(place, server)| server.vmid.is_some() && (chosen.contains(place) || goes_down(server)));
    meant.map(|(_, server)| server).collect()
}
