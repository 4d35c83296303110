//! `/cluster`: everything at a glance.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::{Context, Reply, nodes, view};
use crate::migrate::{node_rows, service_states};
use crate::node::Stats;

pub(crate) fn resources(context: &mut Context<'_>) -> Reply {
    let wanted = context.call.parameters.get("type").map(String::as_str);
    let mut rows = Vec::new();
    let asked = |kind: &str| wanted.is_none_or(|wanted| wanted == kind);
    if asked("pool") {
        rows.extend(pools(context));
    }
    if asked("vm") {
        rows.extend(guests(context));
    }
    if asked("node") {
        rows.extend(context.cluster.nodes.iter().map(|node| {
            let mut row = nodes::row(context, node);
            if node.online && node.stats != Stats::None {
                row.insert("cgroup-mode".to_owned(), json!(2));
            }
            Value::Object(row)
        }));
    }
    if asked("storage") {
        rows.extend(storages(context));
    }
    if asked("sdn") {
        rows.extend(networks(context));
    }
    Ok(Value::Array(rows).into())
}

fn guests(context: &Context<'_>) -> Vec<Value> {
    let cluster = &*context.cluster;
    let mut guests: Vec<_> = cluster.guests.iter().collect();
    guests.sort_by_key(|guest| (guest.kind.word() == "lxc", guest.vmid));
    let visible = guests.into_iter().filter(|guest| context.may(&format!("/vms/{}", guest.vmid), &["VM.Audit"]));
    visible
        .map(|guest| {
            let known = cluster.node_ref(&guest.node).is_some_and(|node| node.stats != Stats::None);
            view::resource(guest, cluster.broadcast.of_guest(guest.vmid).filter(|_| known))
        })
        .collect()
}

fn pools(context: &Context<'_>) -> Vec<Value> {
    let names: BTreeSet<&String> = context.cluster.guests.iter().filter_map(|guest| guest.pool.as_ref()).collect();
    let visible = names.into_iter().filter(|pool| context.may(&format!("/pool/{pool}"), &["Pool.Audit"]));
    visible.map(|pool| json!({ "id": format!("/pool/{pool}"), "pool": pool, "type": "pool" })).collect()
}

fn storages(context: &Context<'_>) -> Vec<Value> {
    let mut rows = Vec::new();
    for node in &context.cluster.nodes {
        let here = |home: &Option<String>| home.as_ref().is_none_or(|home| *home == node.name);
        for storage in context.cluster.storages.iter().filter(|storage| here(&storage.node)) {
            if !context.may(&format!("/storage/{}", storage.name), &["Datastore.Audit"]) {
                continue;
            }
            let mut row = json!({
                "id": format!("storage/{}/{}", node.name, storage.name), "type": "storage", "node": node.name,
                "storage": storage.name, "plugintype": storage.plugin, "content": storage.content,
                "shared": u8::from(storage.node.is_none()), "status": "unknown",
            });
            if node.stats != Stats::None && storage.active {
                row["status"] = json!("available");
                row["disk"] = json!(storage.used);
                row["maxdisk"] = json!(storage.size);
            }
            rows.push(row);
        }
    }
    rows
}

fn networks(context: &Context<'_>) -> Vec<Value> {
    if !context.may("/sdn/zones/localnetwork", &["SDN.Audit"]) {
        return Vec::new();
    }
    let newest = context.cluster.version.is_9();
    let online = context.cluster.nodes.iter().filter(|node| node.online);
    online
        .map(|node| {
            let name = &node.name;
            if newest {
                let id = format!("network/{name}/zone/localnetwork");
                json!({ "id": id, "type": "network", "network-type": "zone", "network": "localnetwork", "node": name, "status": "ok" })
            } else {
                let id = format!("sdn/{name}/localnetwork");
                json!({ "id": id, "type": "sdn", "sdn": "localnetwork", "node": name, "status": "ok" })
            }
        })
        .collect()
}

/// A host that is in no cluster has no `cluster` row.
pub(crate) fn status(context: &mut Context<'_>) -> Reply {
    let known = context.cluster.known_quorate();
    let cluster = &*context.cluster;
    let mut rows = Vec::new();
    let clustered = cluster.nodes.len() > 1;
    if clustered {
        rows.push(json!({
            "id": "cluster", "type": "cluster", "name": cluster.name, "nodes": cluster.nodes.len(),
            "quorate": u8::from(known), "version": cluster.nodes.len() + 1,
        }));
    }
    for (index, node) in cluster.nodes.iter().enumerate() {
        rows.push(json!({
            "id": format!("node/{}", node.name), "type": "node", "name": node.name, "ip": node.ip.to_string(),
            "nodeid": if clustered { index + 1 } else { 0 }, "level": "", "online": u8::from(node.online),
            "local": u8::from(node.name == context.node),
        }));
    }
    Ok(Value::Array(rows).into())
}

/// The only answer that says whether there is quorum now.
pub(crate) fn ha_status(context: &mut Context<'_>) -> Reply {
    let cluster = &*context.cluster;
    let quorum = if cluster.quorate { "OK" } else { "No quorum!" };
    let mut rows = vec![json!({
        "id": "quorum", "type": "quorum", "node": context.node, "status": quorum, "quorate": u8::from(cluster.quorate),
    })];
    rows.extend(node_rows(cluster));
    rows.extend(cluster.guests.iter().filter_map(|guest| {
        let (state, request) = service_states(cluster, guest)?;
        let sid = format!("{}:{}", guest.kind.ha_word(), guest.vmid);
        Some(json!({
            "id": format!("service:{sid}"), "type": "service", "sid": sid, "node": guest.node, "state": state,
            "max_restart": 1, "max_relocate": 1, "failback": 1,
            "crm_state": state, "request_state": request, "status": format!("{sid} ({}, {state})", guest.node),
        }))
    }));
    Ok(Value::Array(rows).into())
}

/// Those who may not see all of a job see none.
pub(crate) fn backup_jobs(context: &mut Context<'_>) -> Reply {
    Ok(Value::Array(context.cluster.backup_jobs.clone()).into())
}

/// A string, as PVE gives it.
pub(crate) fn next_id(context: &mut Context<'_>) -> Reply {
    let free = (100..1_000_000_000).find(|vmid| context.cluster.find(*vmid).is_none()).unwrap_or(100_u32);
    Ok(json!(free.to_string()).into())
}

pub(crate) fn options(context: &mut Context<'_>) -> Reply {
    let tags = context.cluster.guests.iter().filter_map(|guest| guest.tags.as_deref());
    let tags: BTreeSet<&str> = tags.flat_map(|tags| tags.split(';')).collect();
    Ok(json!({ "allowed-tags": tags, "mac_prefix": "BC:24:11", "description": "" }).into())
}
