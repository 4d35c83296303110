//! `GET` and `POST .../migrate`, and what else a client asks before it migrates: HA's rules, and replication.

use serde_json::{Map, Value, json};

use crate::api::{Context, Refusal, Reply, guests};
use crate::guest::Kind;
use crate::migrate::{Migration, dependent, disks, refusal, snapshot_of, unavailable};
use crate::power::Work;

/// What speaks for and against each other node.
pub(crate) fn precondition(context: &mut Context<'_>) -> Reply {
    if !context.cluster.quorate {
        return Err(Refusal::died("cluster not ready - no quorum?"));
    }
    let guest = guests::find(context)?;
    let cluster = &*context.cluster;
    let others: Vec<&str> =
        cluster.nodes.iter().map(|node| node.name.as_str()).filter(|name| *name != context.node).collect();
    let moved_along: Vec<String> = dependent(cluster, guest).into_iter().map(|(_, sid)| sid).collect();
    let running = u8::from(guest.is_active());
    if guest.kind == Kind::Lxc {
        // Storages are not looked at.
        let mut answer = json!({ "running": running, "allowed-nodes": others, "not-allowed-nodes": {} });
        if guest.is_ha_managed() {
            answer["dependent-ha-resources"] = json!(moved_along);
        }
        return Ok(answer.into());
    }
    if let Some(lock) = &guest.lock {
        return Err(Refusal::died(format!("VM is locked ({lock})")));
    }
    let (mut allowed, mut not_allowed) = (Vec::new(), Map::new());
    // Before version 8 the lists are filled for virtual machines that do not run.
    let fills = cluster.version.major() > 7 || !guest.is_active();
    for node in others.iter().filter(|_| fills) {
        let missing = unavailable(cluster, guest, node);
        if missing.is_empty() {
            allowed.push(*node);
            not_allowed.insert((*node).to_owned(), json!({}));
        } else {
            not_allowed.insert((*node).to_owned(), json!({ "unavailable_storages": missing }));
        }
    }
    let snapshot = snapshot_of(cluster, guest);
    let local = disks(cluster, guest).into_iter().filter(|disk| !disk.shared);
    let local: Vec<Value> = local.map(|disk| disk.told(snapshot.as_ref())).collect();
    let resources: Vec<&String> = guest.config.keys().filter(|key| key.starts_with("hostpci")).collect();
    let mut answer = json!({
        "running": running, "allowed_nodes": allowed, "not_allowed_nodes": not_allowed,
        "local_disks": local, "local_resources": resources,
    });
    if cluster.version.major() >= 8 {
        answer["mapped-resources"] = json!([]);
        answer["mapped-resource-info"] = json!({});
    }
    if cluster.version.is_9() {
        answer["has-dbus-vmstate"] = json!(1);
        if guest.is_ha_managed() {
            answer["dependent-ha-resources"] = json!(moved_along);
        }
    }
    Ok(answer.into())
}

pub(crate) fn post(context: &mut Context<'_>) -> Reply {
    let kind = if context.call.segments[2] == "lxc" { Kind::Lxc } else { Kind::Qemu };
    let (vmid, node, call) = (context.vmid(), context.node.clone(), context.call);
    let target = call.parameters.get("target").cloned().unwrap_or_default();
    if target == node {
        return Err(Refusal::parameter("target", "target is local node."));
    }
    if !context.cluster.quorate {
        return Err(Refusal::died("cluster not ready - no quorum?"));
    }
    if context.cluster.node_ref(&target).is_none() {
        return Err(Refusal::died(format!("no such cluster node '{target}'")));
    }
    let option = if kind == Kind::Lxc { "target-storage" } else { "targetstorage" };
    let storages = call.parameters.get(option).filter(|map| *map != "1");
    if let Some(option) = ["force", "migration_type", "migration_network"].into_iter().find(|name| call.flag(name)) {
        return Err(Refusal::parameter(option, "Only root may use this option."));
    }
    let migration = Migration {
        target,
        restart: call.flag("restart"),
        with_local_disks: call.flag("with-local-disks"),
        mapped: storages.is_some(),
        forced: false,
    };
    let guest = guests::find(context)?.clone();
    if let Some(text) = refusal(context.cluster, &guest, &migration, call.flag("online")) {
        return Err(Refusal::died(text));
    }
    if let Some(map) = storages {
        may_map(context, vmid, map)?;
    }
    let work = Work::migration(&guest, &node, guest.is_ha_managed(), migration);
    let upid = context.cluster.spawn(&node, work.task_kind(), &vmid.to_string(), context.caller, work);
    Ok(json!(upid).into())
}

/// Disks on another storage than before: that takes more than `VM.Migrate`.
fn may_map(context: &Context<'_>, vmid: u32, map: &str) -> Result<(), Refusal> {
    let guest = format!("/vms/{vmid}");
    if !context.may(&guest, &["VM.Config.Disk"]) {
        return Err(Refusal::forbidden(&guest, &["VM.Config.Disk"]));
    }
    for storage in map.split(',').map(|pair| pair.rsplit(':').next().unwrap_or(pair)) {
        let path = format!("/storage/{storage}");
        if !context.may(&path, &["Datastore.AllocateSpace"]) {
            return Err(Refusal::forbidden(&path, &["Datastore.AllocateSpace"]));
        }
    }
    Ok(())
}

/// The rules are newer than the groups that they replaced.
pub(crate) fn rules(context: &mut Context<'_>) -> Reply {
    Ok(Value::Array(context.cluster.moves.rules.clone()).into())
}

pub(crate) fn groups(context: &mut Context<'_>) -> Reply {
    if context.cluster.version.is_9() {
        return Err(Refusal::died("ha groups have been migrated to rules"));
    }
    Ok(json!([]).into())
}

pub(crate) fn replication(context: &mut Context<'_>) -> Reply {
    let jobs = context
        .cluster
        .moves
        .replication
        .iter()
        .enumerate()
        .filter(|(_, (vmid, _))| context.may(&format!("/vms/{vmid}"), &["VM.Audit"]));
    let rows = jobs.map(|(number, (vmid, target))| {
        json!({ "id": format!("{vmid}-{number}"), "guest": vmid, "jobnum": number, "target": target, "type": "local" })
    });
    Ok(rows.collect::<Value>().into())
}
