//! Snapshots: `/nodes/{node}/{qemu,lxc}/{vmid}/snapshot` and what belongs to it.

use serde_json::{Map, Value, json};

use crate::api::{Context, Refusal, Reply, guests, view};
use crate::guest::{Guest, Kind};
use crate::power::{Action, Work};
use crate::snapshot::{Verb, has_feature};

/// All of them, and the present state, in no order.
pub(crate) fn list(context: &mut Context<'_>) -> Reply {
    let guest = guests::find(context)?;
    let mut rows: Vec<Value> = guest.snapshots.list.iter().map(|snapshot| row(guest, snapshot)).collect();
    let digest = view::config(guest).remove("digest");
    let mut current = json!({
        "name": "current", "description": "You are here!", "running": u8::from(guest.is_active()), "digest": digest,
    });
    if let Some(parent) = &guest.snapshots.current {
        current["parent"] = json!(parent);
    }
    // A hash of Perl's has no order: here one that is another than that of their ages, and the same each time.
    let place = guest.vmid as usize % (rows.len() + 1);
    rows.insert(place, current);
    if rows.len().is_multiple_of(2) {
        rows.reverse();
    }
    Ok(Value::Array(rows).into())
}

fn row(guest: &Guest, snapshot: &crate::snapshot::Snapshot) -> Value {
    let mut row = json!({ "name": snapshot.name, "description": snapshot.description, "snaptime": snapshot.taken_at });
    if guest.kind == Kind::Qemu {
        row["vmstate"] = json!(u8::from(snapshot.memory));
    }
    if let Some(parent) = &snapshot.parent {
        row["parent"] = json!(parent);
    }
    if let Some(state) = snapshot.state {
        row["snapstate"] = json!(state);
    }
    row
}

pub(crate) fn create(context: &mut Context<'_>) -> Reply {
    let name = context.call.parameters.get("snapname").cloned().unwrap_or_default();
    check_name("snapname", &name)?;
    let kind = guests::find(context)?.kind;
    let reserved: &[&str] = if kind == Kind::Qemu { &["current", "pending"] } else { &["current", "vzdump"] };
    // Of a virtual machine's `pending` any spelling is refused, of the others only this one.
    let is_reserved = reserved.contains(&name.as_str()) || kind == Kind::Qemu && name.eq_ignore_ascii_case("pending");
    if is_reserved {
        return Err(Refusal::died(format!("unable to use snapshot name '{name}' (reserved name)")));
    }
    let description = context.call.parameters.get("description").cloned().unwrap_or_default();
    let memory = context.call.flag("vmstate");
    let task = if kind == Kind::Qemu { "qmsnapshot" } else { "vzsnapshot" };
    spawn(context, task, &name, Verb::Create { description, memory })
}

pub(crate) fn delete(context: &mut Context<'_>) -> Reply {
    let name = name(context)?;
    let kind = guests::find(context)?.kind;
    let task = if kind == Kind::Qemu { "qmdelsnapshot" } else { "vzdelsnapshot" };
    let force = context.call.flag("force");
    spawn(context, task, &name, Verb::Delete { force })
}

pub(crate) fn rollback(context: &mut Context<'_>) -> Reply {
    let name = name(context)?;
    let kind = guests::find(context)?.kind;
    let start = context.call.flag("start");
    let path = format!("/vms/{}", context.vmid());
    if start && kind == Kind::Qemu && context.cluster.version.is_9() && !context.may(&path, &["VM.PowerMgmt"]) {
        return Err(Refusal::forbidden(&path, &["VM.PowerMgmt"]));
    }
    let task = if kind == Kind::Qemu { "qmrollback" } else { "vzrollback" };
    spawn(context, task, &name, Verb::Rollback { start })
}

fn spawn(context: &mut Context<'_>, task: &str, name: &str, verb: Verb) -> Reply {
    let (vmid, node) = (context.vmid(), context.node.clone());
    let kind = guests::find(context)?.kind;
    let number = context.cluster.note_snapshot_work(vmid, name, verb);
    let work = Work::on_guest(&node, kind, vmid, Action::Snapshot(number));
    Ok(json!(context.cluster.spawn(&node, task, &vmid.to_string(), context.caller, work)).into())
}

/// The calls below a snapshot.
pub(crate) fn index(context: &mut Context<'_>) -> Reply {
    name(context)?;
    guests::find(context)?;
    Ok(json!([{ "cmd": "rollback" }, { "cmd": "config" }]).into())
}

/// The settings that a snapshot has.
pub(crate) fn config(context: &mut Context<'_>) -> Reply {
    let name = name(context)?;
    let guest = guests::find(context)?;
    let Some(snapshot) = guest.snapshots.list.iter().find(|snapshot| snapshot.name == name) else {
        return Err(Refusal::died(format!("snapshot '{name}' does not exist")));
    };
    let mut then = guest.clone();
    then.lock = None;
    snapshot.saved.put_back(&mut then);
    let mut config: Map<String, Value> = view::config(&then);
    ["digest", "parent"].iter().for_each(|key| drop(config.remove(*key)));
    config.insert("snaptime".to_owned(), json!(snapshot.taken_at));
    config.insert("description".to_owned(), json!(snapshot.description));
    if let Some(parent) = &snapshot.parent {
        config.insert("parent".to_owned(), json!(parent));
    }
    Ok(Value::Object(config).into())
}

/// `?feature=snapshot`
pub(crate) fn feature(context: &mut Context<'_>) -> Reply {
    let guest = guests::find(context)?;
    let has = has_feature(context.cluster, guest);
    let mut answer = json!({ "hasFeature": u8::from(has) });
    if guest.kind == Kind::Qemu {
        answer["nodes"] = json!([context.node]);
    }
    Ok(answer.into())
}

/// `/storage`: how storages are set up.
pub(crate) fn storages(context: &mut Context<'_>) -> Reply {
    let mut seen = std::collections::BTreeSet::new();
    let cluster = &context.cluster;
    let own = cluster.storages.iter().filter(|storage| {
        seen.insert(storage.name.clone()) && context.may(&format!("/storage/{}", storage.name), &["Datastore.Audit"])
    });
    let rows = own.map(|storage| {
        let mut row = json!({
            "storage": storage.name, "type": storage.plugin, "content": storage.content,
            "digest": "f8c0d50e4c0c43f94e72b08e1cde3ae9a8ce1450",
        });
        match storage.plugin.as_str() {
            "dir" => row["path"] = json!("/var/lib/vz"),
            "lvmthin" => (row["vgname"], row["thinpool"]) = (json!("pve"), json!(storage.name)),
            _ => {}
        }
        if cluster.snapshots.chains.contains(&storage.name) {
            row["snapshot-as-volume-chain"] = json!(1);
        }
        row
    });
    Ok(rows.collect::<Value>().into())
}

/// `/nodes/{node}/disks/lvmthin`
pub(crate) fn thin_pools(context: &mut Context<'_>) -> Reply {
    let here = context.cluster.storages.iter().filter(|storage| {
        storage.plugin == "lvmthin" && storage.node.as_ref().is_none_or(|node| *node == context.node)
    });
    let rows = here.map(|storage| {
        let (used, size) =
            context.cluster.snapshots.metadata.get(&storage.name).copied().unwrap_or((1 << 20, 100 << 20));
        json!({
            "lv": storage.name, "vg": "pve", "lv_size": storage.size, "used": storage.used,
            "metadata_size": size, "metadata_used": used,
        })
    });
    Ok(rows.collect::<Value>().into())
}

/// `/nodes/{node}/replication`
pub(crate) fn replication(context: &mut Context<'_>) -> Reply {
    let here = context.cluster.snapshots.replicated.iter().filter(|(vmid, _)| {
        context.cluster.find(*vmid).is_some_and(|guest| guest.node == context.node)
            && context.may(&format!("/vms/{vmid}"), &["VM.Audit"])
    });
    let rows = here.map(|(vmid, target)| {
        json!({ "id": format!("{vmid}-0"), "jobnum": "0", "guest": vmid, "target": target, "type": "local", "vmtype": "qemu",
            "source": context.node, "fail_count": 0, "last_sync": 0, "last_try": 0, "next_sync": 0 })
    });
    Ok(rows.collect::<Value>().into())
}

fn name(context: &Context<'_>) -> Result<String, Refusal> {
    let name = context.path.get(2).cloned().unwrap_or_default();
    check_name("snapname", &name)?;
    Ok(name)
}

/// `pve-configid`
fn check_name(parameter: &str, name: &str) -> Result<(), Refusal> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let known = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if begins && known && name.len() >= 2 {
        if name.len() > 40 {
            return Err(Refusal::parameter(parameter, "value may only be 40 characters long"));
        }
        return Ok(());
    }
    Err(Refusal::parameter(parameter, format!("invalid format - invalid configuration ID '{name}'\n")))
}
