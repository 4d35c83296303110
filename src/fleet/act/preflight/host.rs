//! The checks before a call to a host: what one script there reports, and its cluster.

mod checks;
mod clock;
mod own_machine;

use std::net::IpAddr;

use futures::future::join3;

use self::checks::{
    look_at_guests_of, look_at_locks, look_at_members, look_at_people, look_at_running, look_at_tasks_of, look_at_use,
    look_at_wol, votes,
};
use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::fleet::act::preflight::idle::{activity_needs, jobs_due};
use crate::fleet::act::{ApiClients, Options};
use crate::fleet::host::power::{IdleQuestions, Wanted};
use crate::fleet::observe::measure::HostMeasurement;
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::check::fix::Fix;
use crate::model::guest::{ActiveTask, ClusterStatus};
use crate::model::hint::HintId;
use crate::model::host::activity::Counted;
use crate::model::host::idle::{Need, NeedKind};
use crate::model::host::power::{HostCall, HostPreflight, Identity, Inhibitor, LoggedIn, NoWay};
use crate::model::id::ServerId;
use crate::model::inventory::{FailureKind, Server};
use crate::model::load::reading::Reading;
use crate::model::power::{Finding, Policy, Remedy, Step, WakeTime, Waking};
use crate::model::upkeep::backup::BackupJob;

/// When a host is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fleet::act) enum When {
    /// Its guests may still run.
    Planning,
    /// It is about to go down.
    Acting,
}

/// A call to a host, and all that is to be known of it for the checks.
#[derive(Clone, Copy)]
pub(in crate::fleet::act) struct HostCheck<'r> {
    pub(in crate::fleet::act) host: &'r Server,
    pub(in crate::fleet::act) call: HostCall,
    pub(in crate::fleet::act) when: When,
    /// When its own clock shall wake it.
    pub(in crate::fleet::act) wakes: Option<WakeTime>,
    pub(in crate::fleet::act) servers: &'r [Server],
    pub(in crate::fleet::act) clients: &'r ApiClients,
    pub(in crate::fleet::act) options: &'r Options,
    /// What an earlier run read of its counters, to be compared with.
    pub(in crate::fleet::act) known: Option<&'r Reading>,
    /// The plan: guests that it moves away are no matter of the host's.
    pub(in crate::fleet::act) steps: &'r [Step],
}

/// A look at a host right before it goes down.
#[derive(Default)]
pub(in crate::fleet::act) struct HostLook {
    pub(in crate::fleet::act) findings: Vec<Finding>,
    pub(in crate::fleet::act) blocked: Option<Blocked>,
    pub(in crate::fleet::act) seen: Option<HostPreflight>,
    /// How its clock is set.
    pub(in crate::fleet::act) waking: Option<Waking>,
    /// Where the host goes down only if idle, and a plan is made.
    pub(in crate::fleet::act) idle: Option<HostIdle>,
}

/// What a look shows of whether somebody needs the host.
pub(in crate::fleet::act) struct HostIdle {
    pub(in crate::fleet::act) needs: Vec<Need>,
    pub(in crate::fleet::act) measured: HostMeasurement,
    /// How often it has been asleep since it was started.
    pub(in crate::fleet::act) sleeps: Option<u64>,
    /// How many nodes its cluster has, and how many others are online.
    pub(in crate::fleet::act) votes: Option<(usize, usize)>,
}

/// Why a call cannot be done at all, what fixes that, and the kind of failure.
pub(in crate::fleet::act) struct Blocked {
    pub(in crate::fleet::act) why: String,
    pub(in crate::fleet::act) fix: Option<String>,
    pub(in crate::fleet::act) kind: Option<FailureKind>,
}

impl From<Blocked> for HostLook {
    fn from(blocked: Blocked) -> HostLook {
        HostLook { blocked: Some(blocked), ..HostLook::default() }
    }
}

/// What was answered about a host.
struct HostAnswers {
    seen: HostPreflight,
    /// Where it goes down only if idle.
    measured: Option<HostMeasurement>,
    /// Which machine ecobox runs on.
    here: Option<Identity>,
    members: Option<ClusterStatus>,
    tasks: Option<Vec<ActiveTask>>,
    jobs: Option<Vec<BackupJob>>,
}

/// The checks of a host that failed.
struct Findings<'r> {
    host: &'r ServerId,
    all: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, fault: Fault) {
        self.all.push(Finding::of(fault, self.host));
    }
}

impl Fleet<'_> {
    /// The reasons against a call to a host now.
    pub(in crate::fleet::act) async fn look_at_host(&self, check: &HostCheck<'_>) -> HostLook {
        let HostCheck { host, call, options, .. } = *check;
        let config = match self.reached_over_ssh(host, call) {
            Ok(config) => config,
            Err(blocked) => return blocked.into(),
        };
        let answers = match Box::pin(self.ask_host(check, config)).await {
            Ok(answers) => answers,
            Err(blocked) => return blocked.into(),
        };
        let HostAnswers { seen, measured, here, members, tasks, jobs } = answers;
        let mut found = Findings { host: &host.id, all: Vec::new() };
        self.look_at_itself(check, config, &seen, here.as_ref(), &mut found).await;
        let counts = |user: &LoggedIn| !options.unless_used || config.idle.counts(user);
        look_at_people(&seen, counts, &mut found);
        look_at_use(check, config, &seen, &mut found);
        let (locks, leases) = self.foreign_locks(seen.blocks(call).unwrap_or_default());
        look_at_locks(&locks, &leases, call, &mut found);
        let waking = self.look_at_clock(check, config, &seen, &mut found).await;
        // A host that its own clock wakes needs nobody else.
        if !matches!(waking, Ok(Some(_))) {
            self.look_at_wake(check, config, &seen, &mut found).await;
        }
        if let Some(members) = &members {
            look_at_members(members, host, &mut found);
        }
        let backup_runs = look_at_tasks_of(tasks, &seen, &mut found);
        look_at_guests_of(check, backup_runs, &mut found);
        if options.guests != Some(Policy::Leave) {
            look_at_running(check, &seen, &mut found);
        }
        let mut findings = found.all;
        // What its hardware cannot do no option makes it do.
        if !seen.wol_impossible(config.mac.map(|mac| mac.to_string()).as_deref()) {
            for finding in findings.iter_mut().filter(|finding| finding.id == CheckId::WolNotArmed) {
                finding.remedy = Some(Remedy::ArmWol);
            }
        }
        let blocked = match no_way(check, &seen) {
            Some(Err(blocked)) => Some(blocked),
            Some(Ok(masked)) => {
                findings.push(masked);
                None
            }
            None => None,
        };
        let (waking, blocked) = match waking {
            Ok(waking) => (waking, blocked),
            Err(no_alarm) => (None, blocked.or(Some(no_alarm))),
        };
        let due = || jobs_due(check, jobs.as_deref().unwrap_or_default(), self.now());
        let idle = measured.map(|measured| HostIdle {
            needs: needs_of(check, config, &seen, &locks).into_iter().chain(due()).collect(),
            measured,
            sleeps: seen.activity.as_ref().and_then(|activity| activity.sleeps),
            votes: members.as_ref().map(|members| votes(members, host)),
        });
        HostLook { findings, blocked, seen: Some(seen), waking, idle }
    }

    /// Asks the host, its cluster and this machine, side by side.
    async fn ask_host(&self, check: &HostCheck<'_>, config: &ServerConfig) -> Result<HostAnswers, Blocked> {
        let HostCheck { host, clients, .. } = *check;
        let node = host.cluster.as_ref().zip(host.node.as_ref());
        let members = async { self.members(clients, node?.0).await };
        let tasks = async { self.tasks(clients, node?.0, node?.1).await };
        let here = async { if config.access == Access::Local { None } else { self.local_identity().await.ok() } };
        let wanted = wanted(check, config);
        let with_load = wanted.idle.is_some() && check.when == When::Planning;
        let jobs = async {
            match node {
                Some((cluster, _)) if with_load => self.backup_jobs(clients, cluster).await,
                _ => None,
            }
        };
        let seen = async {
            if !with_load {
                return self.host_preflight(config, &wanted).await.map(|seen| (seen, None));
            }
            let (seen, reading, load) = self.host_preflight_with_load(config, &wanted, check.known).await?;
            Ok((seen, Some(HostMeasurement { load, reading })))
        };
        let (seen, here, (members, tasks, jobs)) = Box::pin(join3(seen, here, join3(members, tasks, jobs))).await;
        let (seen, measured) = seen.map_err(|error| {
            let failed = self.failed(&host.id, &error);
            Blocked { why: failed.message, fix: failed.advice, kind: Some(failed.kind) }
        })?;
        Ok(HostAnswers { seen, measured, here, members, tasks, jobs })
    }

    /// The configuration of a host that can be asked: all of this goes over SSH.
    fn reached_over_ssh(&self, host: &Server, call: HostCall) -> Result<&ServerConfig, Blocked> {
        let Some(config) = self.configured(&host.id) else {
            return Err(Blocked { why: format!("{} is not configured", host.id), fix: None, kind: None });
        };
        if config.access == Access::Api {
            let why = format!("{} goes over SSH, and it is configured without SSH (type = \"proxmox\")", call.as_str());
            let file = self.config.path.display().to_string();
            let fix = HintId::NoSsh.say(&[("server", host.id.as_str()), ("config", &file)]);
            return Err(Blocked { why, fix: Some(fix), kind: None });
        }
        Ok(config)
    }

    /// Whether a host that goes to sleep could be woken again.
    async fn look_at_wake(
        &self,
        check: &HostCheck<'_>,
        config: &ServerConfig,
        seen: &HostPreflight,
        found: &mut Findings<'_>,
    ) {
        let HostCheck { call, servers, clients, options, .. } = *check;
        if !call.sleeps() {
            return;
        }
        match self.wake_path_of(config, servers, clients).await {
            Err(error) => {
                let fix = error.advice().unwrap_or_else(|| "allow it if somebody can press its button".to_owned());
                found.add(Fault::no_wake_path(&error.to_string(), Fix::say(fix)));
            }
            // What its hardware cannot do no option makes it do.
            Ok(_) if options.arm_wol && !seen.wol_impossible(config.mac.map(|mac| mac.to_string()).as_deref()) => {}
            Ok(_) => look_at_wol(seen, config, found),
        }
    }
}

/// What the host is asked.
fn wanted(check: &HostCheck<'_>, config: &ServerConfig) -> Wanted {
    let options = check.options;
    Wanted {
        past_locks: options.goes_past_locks(),
        ports: options.unless_used.then(|| counted(config, &[], None).all_ports()),
        clocks: check.wakes.is_some(),
        due: check.wakes == Some(WakeTime::NextJob),
        idle: options.if_idle.map(|_| IdleQuestions { command: config.idle.command.clone() }),
    }
}

/// Whose connections count.
fn counted<'c>(config: &'c ServerConfig, own: &'c [IpAddr], asked_from: Option<IpAddr>) -> Counted<'c> {
    let services = config.services.iter().map(|service| (service.port, service.name.as_str())).collect();
    Counted { services, ports: &config.idle.ports, ignored: &config.idle.ignore_ports, own, asked_from }
}

/// What needs the host, as far as its own look shows.
fn needs_of(check: &HostCheck<'_>, config: &ServerConfig, seen: &HostPreflight, locks: &[&Inhibitor]) -> Vec<Need> {
    let HostCheck { call, options, .. } = *check;
    let own: Vec<IpAddr> = seen.facts.addresses.iter().map(|address| address.ip).collect();
    let counted = counted(config, &own, seen.ssh_client);
    let uses = seen.activity.as_ref().map(|activity| activity.uses(&counted)).unwrap_or_default();
    let mut needs = config.idle.seen_needs(seen, &uses);
    if seen.blocks(call).is_none() {
        needs.push(Need::new(NeedKind::Unknown, "the programs that ask not to sleep could not be listed"));
    }
    needs.extend(locks.iter().map(|lock| {
        let Inhibitor { who, why, .. } = lock;
        Need::new(NeedKind::Inhibitor, format!("{who} asks not to {} ({why})", call.as_str()))
    }));
    if let Some(activity) = &seen.activity {
        needs.extend(activity_needs(activity, config, options.if_idle.unwrap_or_default()));
    }
    needs
}

/// Why the host has no way to do it: a check that an administrator's setting fails, or that it cannot be done at all.
fn no_way(check: &HostCheck<'_>, seen: &HostPreflight) -> Option<Result<Finding, Blocked>> {
    let HostCheck { host, call, options, .. } = *check;
    let past_locks = options.goes_past_locks();
    let way = if seen.goes_past_locks(call, past_locks) { seen.way_past(call) } else { seen.way(call) };
    let Some(Err(no_way)) = way else { return None };
    if no_way.is_masked() {
        return Some(Ok(Finding::of(Fault::sleep_masked(&host.id, no_way), &host.id).final_word()));
    }
    let kind = matches!(no_way, NoWay::Rights { .. }).then_some(FailureKind::Denied);
    let why = format!("{} cannot {}: {no_way}", host.id, call.as_str());
    Some(Err(Blocked { why, fix: no_way.hint(), kind }))
}
