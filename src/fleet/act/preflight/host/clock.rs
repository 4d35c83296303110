//! Whether a host that goes down until a time would be woken by its own clock.

use jiff::Timestamp;

use super::{Blocked, Findings, HostCheck};
use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::model::check::CheckId;
use crate::model::check::fault::Fault;
use crate::model::host::next_job::{Job, next_job};
use crate::model::host::power::rtc::NoAlarm;
use crate::model::host::power::{HostPreflight, NoWay};
use crate::model::inventory::{FailureKind, Server};
use crate::model::power::{WakeTime, Waking, boot_grace};
use crate::model::upkeep::backup::BackupJob;

impl Fleet<'_> {
    /// How the host's clock is set; `None`: it is not, and where it should be the findings say why.
    pub(super) async fn look_at_clock(
        &self,
        check: &HostCheck<'_>,
        config: &ServerConfig,
        seen: &HostPreflight,
        found: &mut Findings<'_>,
    ) -> Result<Option<Waking>, Blocked> {
        let (at, job) = match check.wakes {
            None | Some(WakeTime::AsBefore) => return Ok(None),
            Some(WakeTime::At(at)) => (at, None),
            Some(WakeTime::NextJob) => {
                let (at, job) = self.next_job_of(check, config, seen).await?;
                (at, Some(job))
            }
        };
        let words = match &job {
            Some(job) => format!("{} for {} at {}", self.clock_words(at), job.what, self.clock_words(job.at)),
            None => self.clock_words(at),
        };
        let Err(no_alarm) = seen.clocks.could_wake(at.duration_since(self.now())) else {
            return Ok(Some(Waking { at, words, job: job.map(|job| job.what), limit: self.limits.host }));
        };
        // A host that does nothing for this login is no matter of its clock.
        if let NoAlarm::NoWay(NoWay::Rights { .. }) = &no_alarm
            && !check.options.allowed.contains(&CheckId::NoRtc)
        {
            let why = format!("its clock cannot be set to wake it at {words}: {no_alarm}");
            return Err(Blocked { why, fix: Some(no_alarm.fix()), kind: Some(FailureKind::Denied) });
        }
        found.add(Fault::clock_cannot_wake(&words, &no_alarm.to_string(), no_alarm.fix()));
        Ok(None)
    }

    /// What the host begins next by itself, and when it is to be woken for it.
    async fn next_job_of(
        &self,
        check: &HostCheck<'_>,
        config: &ServerConfig,
        seen: &HostPreflight,
    ) -> Result<(Timestamp, Job), Blocked> {
        let blocked = |why: &str| {
            let fix = Some("name a time: `--until 07:00`".to_owned());
            Blocked { why: format!("what it begins next is not known: {why}"), fix, kind: None }
        };
        let (backups, told) = match self.backups_on(check).await {
            Ok(jobs) => (jobs, true),
            Err(()) => (Vec::new(), check.host.cluster.is_none()),
        };
        // The earliest is only known where all were asked.
        if !told {
            return Err(blocked("the backup jobs of its cluster could not be read"));
        }
        let activity = seen.activity.as_ref();
        let Some(there) = activity.and_then(|activity| activity.clock) else { return Err(blocked("it shows no time")) };
        let timers = activity.map(|activity| config.idle.jobs(activity)).unwrap_or_default();
        let jobs: Vec<Job> = backups.into_iter().chain(timers).collect();
        let lead = boot_grace(&self.state.wake_seconds(&config.id).unwrap_or_default());
        next_job(jobs, there, self.now(), lead).ok_or_else(|| {
            match activity.map(|activity| activity.timers.is_some()) {
                Some(true) => blocked("no timer and no backup job is due"),
                _ => blocked("its timers could not be read"),
            }
        })
    }

    /// The backup jobs that have something to do on a host. The error: they could not be read.
    async fn backups_on(&self, check: &HostCheck<'_>) -> Result<Vec<Job>, ()> {
        let HostCheck { host, servers, clients, .. } = *check;
        let Some(cluster) = &host.cluster else { return Err(()) };
        clients.standing(cluster).ok_or(())?;
        let client = self.client_of(clients, cluster).await.map_err(drop)?;
        let jobs = client.backup_jobs().await.map_err(drop)?;
        let is_on_it =
            |guest: &&Server| guest.vmid.is_some() && guest.cluster == host.cluster && guest.node == host.node;
        let guests: Vec<&Server> = servers.iter().filter(is_on_it).collect();
        let works_here = |job: &BackupJob| {
            guests
                .iter()
                .any(|guest| guest.vmid.is_some_and(|vmid| job.takes(vmid, guest.node.as_ref(), guest.pool.as_deref())))
        };
        let next = jobs.into_iter().filter(works_here);
        Ok(next.filter_map(|job| Some(Job { what: format!("backup job {}", job.id), at: job.next_run? })).collect())
    }
}
