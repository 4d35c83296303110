//! What a task of a migration does, decided when it gets the guest's lock.

use std::time::Duration;

use super::{Disk, Migration, MoveFault, disks, snapshot_of, unavailable};
use crate::cluster::Cluster;
use crate::guest::{Guest, Kind};
use crate::power::{Plan, Work};
use crate::tasks::Effect;

/// The begin of each line.
const AT: &str = "2026-11-29 15:11:53";

/// How it will end.
pub(crate) fn plan(cluster: &Cluster, work: &Work, migration: &Migration) -> Plan {
    let title = work.guest.title();
    if work.through_ha {
        let to = cluster.place_of(&migration.target).unwrap_or_default();
        let log = vec![format!("Requesting HA migration for {title} {} to node {}", work.vmid, migration.target)];
        let takes = cluster.clock.seconds(cluster.timing.task);
        return Plan { takes, exit: "OK".to_owned(), effect: Effect::AskHaToMove { to }, log, gradual: Vec::new() };
    }
    let Some(guest) = cluster.find(work.vmid).filter(|guest| guest.kind == work.guest && guest.node == work.node)
    else {
        let file = format!("nodes/{}/{}/{}.conf", work.node, work.guest.folder(), work.vmid);
        return aborted(cluster, &format!("Configuration file '{file}' does not exist"), 0.0, false);
    };
    if guest.kind == Kind::Lxc
        && let Some(lock) = &guest.lock
    {
        return aborted(cluster, &format!("CT is locked ({lock})"), 0.0, false);
    }
    let reason = match cluster.moves.faults.get(&work.vmid) {
        Some(MoveFault::Aborted(reason) | MoveFault::Slow(reason)) => Some(reason.clone()),
        _ => hindrance(cluster, guest, migration),
    };
    let restarts = guest.kind == Kind::Lxc && guest.is_active();
    if let Some(reason) = reason {
        let slow = match cluster.moves.faults.get(&work.vmid) {
            Some(MoveFault::Slow(_)) => cluster.timing.migrate,
            _ if reason.starts_with("Can't connect") => cluster.timing.no_route,
            _ => 0.5,
        };
        return aborted(cluster, &reason, slow, restarts);
    }
    goes(cluster, guest, migration, restarts)
}

/// What keeps it where it is, in the words of QemuMigrate.pm and LXC/Migrate.pm.
fn hindrance(cluster: &Cluster, guest: &Guest, migration: &Migration) -> Option<String> {
    let target = &migration.target;
    if guest.kind == Kind::Lxc && guest.is_active() && !migration.restart {
        return Some("lxc live migration is currently not implemented".to_owned());
    }
    let devices: Vec<&str> = guest.config.keys().map(String::as_str).filter(|key| key.starts_with("hostpci")).collect();
    if !devices.is_empty() {
        return Some(format!("can't migrate VM which uses local devices: {}", devices.join(", ")));
    }
    let bind = guest.config.iter().find(|(key, value)| {
        key.starts_with("mp") && value.as_str().is_some_and(|text| text.starts_with('/') && !text.contains("shared=1"))
    });
    if let Some((key, value)) = bind {
        let path = value.as_str().and_then(|text| text.split(',').next()).unwrap_or_default();
        return Some(format!("cannot migrate local bind mount point '{key}' ({path})"));
    }
    if let Some(storage) = unavailable(cluster, guest, target).first().filter(|_| !migration.mapped) {
        return Some(format!("storage '{storage}' is not available on node '{target}'"));
    }
    if !cluster.is_online(target) {
        return Some("Can't connect to destination address using public key".to_owned());
    }
    let local: Vec<Disk> = disks(cluster, guest).into_iter().filter(|disk| !disk.shared).collect();
    let scan = "Problem found while scanning volumes - can't migrate local disk";
    if let Some(disk) = local.iter().find(|disk| disk.cdrom && !disk.is_cloudinit()) {
        return Some(format!("{scan} '{}': local cdrom image", disk.volid));
    }
    if guest.kind == Kind::Lxc || !guest.is_active() || local.is_empty() {
        return None;
    }
    if let (Some(_), Some(disk)) = (snapshot_of(cluster, guest), local.first()) {
        let why = "online storage migration not possible if non-replicated snapshot exists";
        return Some(format!("{scan} '{}': {why}", disk.volid));
    }
    (!migration.with_local_disks && !migration.forced)
        .then(|| "can't live migrate attached local disks without with-local-disks option".to_owned())
}

fn aborted(cluster: &Cluster, reason: &str, seconds: f64, restarts: bool) -> Plan {
    let log = vec![format!("{AT} ERROR: migration aborted (duration 00:00:03): {reason}")];
    let effect = if restarts { Effect::StartAgain } else { Effect::Unlock };
    let exit = "migration aborted".to_owned();
    Plan { takes: cluster.clock.seconds(seconds), exit, effect, log, gradual: Vec::new() }
}

/// It moves.
fn goes(cluster: &Cluster, guest: &Guest, migration: &Migration, restarts: bool) -> Plan {
    let to = cluster.place_of(&migration.target).unwrap_or_default();
    let seconds = cluster.timing.migrate;
    let takes = cluster.clock.seconds(seconds);
    let part = |fraction: f64| takes.mul_f64(fraction);
    let mut gradual: Vec<(Duration, String)> = Vec::new();
    let mut say = |fraction: f64, line: String| gradual.push((part(fraction), format!("{AT} {line}")));
    let (vmid, target, title) = (guest.vmid, &migration.target, guest.kind.title());
    let live = guest.is_active() && !restarts;
    let mode = if restarts { "shutdown " } else { "" };
    say(0.0, format!("{mode}{}", format_args!("starting migration of {title} {vmid} to node '{target}' (192.0.2.3)")));
    for disk in disks(cluster, guest).iter().filter(|disk| !disk.shared && disk.size > 0) {
        let (drive, gib) = (&disk.drive, disk.size >> 30);
        say(0.1, format!("found local disk '{}' (attached)", disk.volid));
        if live {
            say(0.2, format!("drive-{drive}: transferred 0.0 B of {gib}.0 GiB (0.00%) in 0s"));
            say(0.4, format!("drive-{drive}: transferred {gib}.0 GiB of {gib}.0 GiB (100.00%) in 1m 2s, ready"));
        }
    }
    let mut log = Vec::new();
    if live {
        say(0.5, "starting online/live migration on unix:/run/qemu-server/101.migrate".to_owned());
        say(0.6, "migration active, transferred 1.2 GiB of 4.0 GiB VM-state, 110.0 MiB/s".to_owned());
        say(0.8, "migration active, transferred 3.0 GiB of 4.0 GiB VM-state, 112.0 MiB/s".to_owned());
        log.push(format!("{AT} average migration speed: 113.0 MiB/s - downtime 57 ms"));
        log.push(format!("{AT} migration status: completed"));
    }
    let (exit, effect) = match cluster.moves.faults.get(&vmid) {
        Some(MoveFault::Problems { paused, locked }) => {
            log.push(format!("{AT} ERROR: unable to resume or to clean up"));
            log.push(format!("{AT} ERROR: migration finished with problems (duration 00:00:42)"));
            let (paused, locked) = (*paused, *locked);
            ("migration problems", Effect::Move { to, restarts, paused, locked })
        }
        Some(MoveFault::ProblemsAtHome) => {
            log.push(format!("{AT} ERROR: failed to move config to node '{target}' - rename failed"));
            log.push(format!("{AT} ERROR: migration finished with problems (duration 00:00:42)"));
            ("migration problems", Effect::Unlock)
        }
        _ => {
            log.push(format!("{AT} migration finished successfully (duration 00:00:42)"));
            ("OK", Effect::Move { to, restarts, paused: false, locked: false })
        }
    };
    Plan { takes, exit: exit.to_owned(), effect, log, gradual }
}

/// What is seen of a guest from the moment its migration begins.
pub(crate) fn begin(cluster: &mut Cluster, work: &Work, effect: Effect) {
    let Effect::Move { restarts, .. } = effect else { return };
    if work.through_ha {
        return;
    }
    let guest = cluster.guest_mut(work.vmid);
    guest.lock = Some("migrate".to_owned());
    if restarts {
        guest.end();
    }
}
