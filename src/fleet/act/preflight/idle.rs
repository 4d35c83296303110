//! `--if-idle`: whether a host was idle for as long as is asked for. All evidence is together here: what its look showed, what
//! the checks of the plan found, its guests, leases, and what earlier runs kept.

mod past;

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{HostCheck, HostIdle};
use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::act::Options;
use crate::fleet::observe::watts::{draw, energy_look};
use crate::model::check::CheckId;
use crate::model::host::activity::Activity;
use crate::model::host::idle::explain::{Shown, Sighting};
use crate::model::host::idle::need::listed;
use crate::model::host::idle::settings::due_need;
use crate::model::host::idle::{IdleRecord, Look, Need, NeedKind, Verdict};
use crate::model::id::{ClusterId, ServerId};
use crate::model::inventory::Server;
use crate::model::load::reading::{KnownReading, Reading, YOUNG};
use crate::model::power::{Finding, Plan, Policy, PowerState, StepKind};
use crate::model::upkeep::backup::BackupJob;
use crate::state::{StateError, is_fresh};

/// How old what an earlier run read may be to be compared with.
const COMPARABLE: SignedDuration = SignedDuration::from_mins(10);

impl Fleet<'_> {
    /// What earlier runs read of hosts, where it can be compared with what is read now.
    pub(super) fn comparable_readings(&self, options: &Options) -> Result<BTreeMap<ServerId, Reading>, StateError> {
        if options.if_idle.is_none() {
            return Ok(BTreeMap::new());
        }
        let now = self.now();
        let usable = |known: &KnownReading| is_fresh(known.at, now, COMPARABLE) && !is_fresh(known.at, now, YOUNG);
        let readings = self.state.readings()?.into_iter();
        Ok(readings.filter_map(|(id, known)| Some((id, known.into_iter().find(usable)?.reading))).collect())
    }

    /// Decides of each host of a plan that was looked at whether it was idle for long enough. The steps of those that stay
    /// awake, and of their guests, do nothing then, and what else was found against them does not matter. Gives the verdicts
    /// by the places of the steps.
    pub(super) fn settle_idle(
        &self,
        plan: &mut Plan,
        servers: &[Server],
        looks: Vec<(usize, HostIdle)>,
        options: &Options,
    ) -> Result<HashMap<usize, Verdict>, StateError> {
        let Some(window) = options.if_idle else {
            self.note_uses(plan, servers)?;
            return Ok(HashMap::new());
        };
        self.note_sleepers(plan, servers)?;
        let mut verdicts = HashMap::new();
        let mut votes = Votes::default();
        for (number, idle) in looks {
            let host = &servers[plan.steps[number].server];
            let Some(config) = self.configured(&host.id) else { continue };
            let mut needs = self.needs(plan, host, config, servers, &idle, options)?;
            if needs.is_empty() && !options.allowed.contains(&CheckId::QuorumLost) {
                needs.extend(votes.need_of(host, &idle));
            }
            let verdict = self.keep_look(host, config, &idle, &needs, window)?;
            if verdict.stays.is_none() {
                votes.leaves(host);
            }
            verdicts.insert(number, verdict);
        }
        stay_awake(plan, servers, &verdicts);
        Ok(verdicts)
    }

    /// What other commands see of hosts that are in use begins the window again, too.
    fn note_uses(&self, plan: &Plan, servers: &[Server]) -> Result<(), StateError> {
        for step in plan.steps.iter().filter(|step| matches!(step.does, StepKind::Host(_))) {
            let host = &servers[step.server].id;
            let own = plan.findings.iter().filter(|finding| finding.server == *host);
            let needs = own.filter_map(|finding| Need::of_finding(finding, ""));
            let uses: Vec<Need> = needs.filter(|need| need.kind.is_use() && need.kind != NeedKind::Guest).collect();
            if !uses.is_empty() {
                self.state.note_use(host, self.now(), &listed(&uses))?;
            }
        }
        Ok(())
    }

    /// All that needs a host at this moment. The plan's findings that say so are taken out of it.
    fn needs(
        &self,
        plan: &mut Plan,
        host: &Server,
        config: &ServerConfig,
        servers: &[Server],
        idle: &HostIdle,
        options: &Options,
    ) -> Result<Vec<Need>, StateError> {
        let settings = &config.idle;
        let window = options.if_idle.unwrap_or_default();
        let now = self.now();
        let mut needs = idle.needs.clone();
        needs.extend(settings.load_needs(Some(&idle.measured.load)));
        needs.extend(self.guests_need(host, servers, settings, options, now)?);
        needs.extend(self.average_needs(host, settings, now, window)?);
        let zoned = now.to_zoned(jiff::tz::TimeZone::system());
        let hours = settings.not_between.iter().find(|hours| hours.contains(zoned.datetime()));
        needs.extend(hours.map(|hours| Need::new(NeedKind::Hours, format!("not between {hours}"))));
        needs.retain(|need| !options.allowed.contains(&need.kind.check()));
        let findings = std::mem::take(&mut plan.findings);
        for finding in findings {
            let allowed = finding.allowed || options.allowed.contains(&finding.id);
            let of = whose(&finding, host, servers);
            match of.and_then(|of| Need::of_finding(&finding, &of)) {
                Some(need) if !allowed => {
                    // Who looked closer has said it already.
                    if !needs.iter().any(|known| known.kind.check() == finding.id) {
                        needs.push(need);
                    }
                }
                _ => plan.findings.push(finding),
            }
        }
        Ok(needs)
    }

    /// Keeps what a look has shown, and gives what it means.
    fn keep_look(
        &self,
        host: &Server,
        config: &ServerConfig,
        idle: &HostIdle,
        needs: &[Need],
        window: SignedDuration,
    ) -> Result<Verdict, StateError> {
        let now = self.now();
        let before = self.state.idle(&host.id)?;
        let awake_since = self.awake_since(host, idle, now)?;
        let look = Look { at: now, awake_since, sleeps: idle.sleeps, window, needs };
        let after = IdleRecord::after(before.as_ref(), &look);
        let seen = before.as_ref().filter(|before| before.has_seen_until(now, window));
        self.state.put_idle(&host.id, &after, &Sighting::all(needs), seen.map(|before| before.looked_at))?;
        let load = &idle.measured.load;
        // What a meter says is asked by who shows it.
        let drawn = draw(config, PowerState::Online, None, Some(load), load.usage.cpu_percent);
        let drawn = drawn.ok().filter(|_| config.energy.power_command.is_none());
        let drawn = drawn.map(|drawn| energy_look(now, PowerState::Online, &drawn));
        self.record_load(config, Some(&idle.measured), drawn.as_ref(), now)?;
        Ok(after.verdict(window))
    }

    /// Hosts that were found asleep or switched off are not needed, and not idle either.
    fn note_sleepers(&self, plan: &Plan, servers: &[Server]) -> Result<(), StateError> {
        let now = self.now();
        for step in &plan.steps {
            let StepKind::Already(PowerState::Asleep | PowerState::Offline) = step.does else { continue };
            let host = &servers[step.server].id;
            let before = self.state.idle(host)?;
            let after = IdleRecord::after_asleep(before.as_ref(), now);
            let seen = before.filter(|before| before.has_seen_until(now, SignedDuration::from_hours(1)));
            let shown = [Sighting::plain(Shown::Asleep)];
            self.state.put_idle(host, &after, &shown, seen.map(|before| before.looked_at))?;
        }
        Ok(())
    }
}

/// The needs that a look at a host shows by itself.
pub(super) fn activity_needs(activity: &Activity, config: &ServerConfig, window: SignedDuration) -> Vec<Need> {
    let mut needs: Vec<Need> = command_needs(activity, config).into_iter().collect();
    needs.extend(config.idle.timer_needs(activity, window));
    needs
}

/// Why the configured command says that the host is needed, or that it said nothing.
pub(super) fn command_needs(activity: &Activity, config: &ServerConfig) -> Option<Need> {
    let settings = &config.idle;
    match &activity.command {
        Some(answer) => settings.command_need(answer),
        None if settings.command.is_some() => Some(Need::new(NeedKind::Unknown, "its `command` said nothing")),
        None => None,
    }
}

/// The jobs of backups that take a guest of a host and start within the window.
pub(super) fn jobs_due(check: &HostCheck<'_>, jobs: &[BackupJob], now: Timestamp) -> Vec<Need> {
    let HostCheck { host, servers, options, .. } = *check;
    let window = options.if_idle.unwrap_or_default();
    let on_it = || servers.iter().filter(|server| server.vmid.is_some() && server.parent.as_ref() == Some(&host.id));
    let takes_one = |job: &BackupJob| {
        let takes =
            |guest: &Server| guest.vmid.is_some_and(|vmid| job.takes(vmid, guest.node.as_ref(), guest.pool.as_deref()));
        on_it().any(takes)
    };
    let due = jobs.iter().filter_map(|job| Some((job, job.next_run?.duration_since(now))));
    let due = due.filter(|(job, after)| *after <= window && takes_one(job));
    due.map(|(job, after)| due_need(&format!("backup job {}", job.id), after)).collect()
}

/// Before what a finding is said: nothing for the host itself, the name of one of its guests; `None`: it is another one's.
fn whose(finding: &Finding, host: &Server, servers: &[Server]) -> Option<String> {
    if finding.server == host.id {
        return Some(String::new());
    }
    let guest = servers.iter().find(|server| server.id == finding.server)?;
    (guest.parent.as_ref() == Some(&host.id)).then(|| format!("guest {}: ", guest.called()))
}

/// Puts what stays awake out of the plan: hosts that are needed, their guests, and whatever such a one depends on.
fn stay_awake(plan: &mut Plan, servers: &[Server], verdicts: &HashMap<usize, Verdict>) {
    for (number, verdict) in verdicts {
        if let Some(why) = &verdict.stays {
            plan.steps[*number].does = StepKind::Needed { why: why.clone() };
        }
    }
    // Steps stand in an order in which each comes after those it needs.
    for number in 0..plan.steps.len() {
        let needed = |other: &&usize| {
            let other = &plan.steps[**other];
            servers[other.server].vmid.is_none() && matches!(other.does, StepKind::Needed { .. })
        };
        let Some(other) = plan.steps[number].needs.iter().find(needed) else { continue };
        let why = format!("{} stays awake", servers[plan.steps[*other].server].id);
        plan.steps[number].does = StepKind::Needed { why };
    }
    let awake: Vec<&ServerId> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.does, StepKind::Needed { .. }))
        .map(|step| &servers[step.server].id)
        .collect();
    let on_one = |server: &Server| server.parent.as_ref().is_some_and(|host| awake.contains(&host));
    for step in &mut plan.steps {
        let server = &servers[step.server];
        if server.vmid.is_some() && on_one(server) && !matches!(step.does, StepKind::Needed { .. }) {
            let host = server.parent.as_ref().map(ToString::to_string).unwrap_or_default();
            step.does = StepKind::Needed { why: format!("{host} stays awake") };
        }
    }
    let is_of_one = |finding: &Finding| {
        awake.contains(&&finding.server)
            || servers.iter().any(|server| server.id == finding.server && server.vmid.is_some() && on_one(server))
    };
    plan.findings.retain(|finding| !is_of_one(finding));
}

/// The nodes of clusters that leave in this plan: each look counts the others as they are now.
#[derive(Default)]
struct Votes(HashMap<ClusterId, usize>);

impl Votes {
    /// Why a node has to stay because others leave already.
    fn need_of(&self, host: &Server, idle: &HostIdle) -> Option<Need> {
        let leaving = *self.0.get(host.cluster.as_ref()?)?;
        let (all, others) = idle.votes?;
        let left = others.saturating_sub(leaving);
        let what = "its cluster would lose quorum";
        (all > 1 && left * 2 <= all)
            .then(|| Need::new(NeedKind::Quorum, what).saying(format!("{what}: {left} of {all} nodes would be left")))
    }

    fn leaves(&mut self, host: &Server) {
        if let Some(cluster) = &host.cluster {
            *self.0.entry(cluster.clone()).or_default() += 1;
        }
    }
}

/// Whether a guest does something, or is only halted.
fn is_up(guest: &Server) -> bool {
    matches!(guest.seen.state, PowerState::Running | PowerState::Paused)
}

/// Whether it is said what becomes of guests.
fn goes_with(options: &Options) -> bool {
    matches!(options.guests, Some(Policy::Shutdown | Policy::Hibernate | Policy::Leave))
}
