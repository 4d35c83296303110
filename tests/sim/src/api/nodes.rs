//! `/nodes`, `/version` and what a node says about itself.

use serde_json::{Map, Value, json};

use crate::api::{Context, Refusal, Reply};
use crate::cluster::NodePower;
use crate::node::{Node, Stats};
use crate::version::Version;

/// An index: one object per word.
pub(crate) fn subdirs(key: &str, words: &[&str]) -> Value {
    words.iter().map(|word| json!({ key: word })).collect()
}

pub(crate) fn root_index(_: &mut Context<'_>) -> Reply {
    Ok(subdirs("subdir", &["version", "cluster", "nodes", "storage", "access", "pools"]).into())
}

pub(crate) fn version(context: &mut Context<'_>) -> Reply {
    let version = &context.cluster.version;
    let (text, release) = (version.text(), version.release());
    Ok(json!({ "version": text, "release": release, "repoid": Version::repoid() }).into())
}

/// A node's row without what only one of its two lists adds; numbers only for those who may see them.
pub(crate) fn row(context: &Context<'_>, node: &Node) -> Map<String, Value> {
    let id = format!("node/{}", node.name);
    let mut row = Map::from_iter([
        ("id".to_owned(), json!(id)),
        ("node".to_owned(), json!(node.name)),
        ("type".to_owned(), json!("node")),
    ]);
    let mut status = if node.online { "unknown" } else { "offline" };
    if node.online && node.stats != Stats::None {
        status = "online";
        row.insert("level".to_owned(), json!(""));
        if context.may(&format!("/nodes/{}", node.name), &["Sys.Audit"]) {
            let heard = context.cluster.broadcast.of_node(&node.name).unwrap_or_else(|| context.cluster.clock.now());
            let numbers = [
                ("cpu", json!(node.cpu)),
                ("maxcpu", json!(node.cpus)),
                ("mem", json!(node.memory_used)),
                ("maxmem", json!(node.memory)),
                ("disk", json!(node.disk_used)),
                ("maxdisk", json!(node.disk)),
                ("uptime", json!(node.uptime_at(heard))),
            ];
            row.extend(numbers.map(|(key, value)| (key.to_owned(), value)));
        }
    }
    row.insert("status".to_owned(), json!(status));
    row
}

pub(crate) fn list(context: &mut Context<'_>) -> Reply {
    let rows = context.cluster.nodes.iter().map(|node| {
        let mut row = row(context, node);
        let fingerprint = node.listed.clone().unwrap_or_else(|| node.identity.fingerprint());
        row.insert("ssl_fingerprint".to_owned(), json!(fingerprint));
        Value::Object(row)
    });
    let claimed = context.cluster.claimed.iter().map(|(node, fingerprint)| {
        json!({ "id": format!("node/{node}"), "node": node, "type": "node", "status": "online", "level": "",
            "ssl_fingerprint": fingerprint })
    });
    Ok(rows.chain(claimed).collect::<Value>().into())
}

pub(crate) fn index(_: &mut Context<'_>) -> Reply {
    let words = [
        "aplinfo",
        "apt",
        "certificates",
        "config",
        "disks",
        "dns",
        "firewall",
        "hosts",
        "journal",
        "lxc",
        "network",
        "qemu",
        "rrd",
        "rrddata",
        "services",
        "status",
        "storage",
        "subscription",
        "syslog",
        "tasks",
        "time",
        "version",
        "wakeonlan",
    ];
    Ok(subdirs("name", &words).into())
}

pub(crate) fn this<'a>(context: &'a Context<'_>) -> Result<&'a Node, Refusal> {
    context.cluster.node_ref(&context.node).ok_or_else(|| Refusal::died("no such node"))
}

pub(crate) fn status(context: &mut Context<'_>) -> Reply {
    let node = this(context)?;
    let kernel = if context.cluster.version.is_9() { "6.17.2-1-pve" } else { "6.8.12-9-pve" };
    let (free, available) = (node.memory - node.memory_used, node.memory - node.memory_used);
    let disk_free = node.disk - node.disk_used;
    let usual = || ("Simulated CPU".to_owned(), "fpu sse2 lm".to_owned());
    let (model, flags) = context.cluster.moves.cpus.get(&node.name).cloned().unwrap_or_else(usual);
    let mut memory = json!({ "total": node.memory, "used": node.memory_used, "free": free });
    if context.cluster.version.is_9() {
        memory["available"] = json!(available);
    }
    Ok(json!({
        "pveversion": format!("pve-manager/{}/{}", context.cluster.version.text(), Version::repoid()),
        "kversion": format!("Linux {kernel} #1 SMP PREEMPT_DYNAMIC"),
        "current-kernel": { "sysname": "Linux", "release": kernel, "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64" },
        "boot-info": { "mode": "legacy-bios" },
        "cpu": node.cpu,
        "wait": 0.001,
        "idle": 0,
        "uptime": node.uptime_at(context.cluster.clock.now()),
        "loadavg": node.loadavg.map(|load| format!("{load:.2}")),
        "cpuinfo": {
            "cpus": node.cpus, "cores": node.cpus, "sockets": 1, "model": model, "mhz": "2596.138",
            "user_hz": 100, "hvm": "1", "family": "25", "vendor": "AuthenticAMD", "flags": flags,
        },
        "memory": memory,
        "swap": { "total": 0, "used": 0, "free": 0 },
        "rootfs": { "total": node.disk, "used": node.disk_used, "free": disk_free, "avail": disk_free },
        "ksm": { "shared": 0 },
    })
    .into())
}

/// Reboot and shutdown: they follow a moment later. There is no task.
pub(crate) fn command(context: &mut Context<'_>) -> Reply {
    let up = context.call.parameters.get("command").is_some_and(|command| command == "reboot");
    context.cluster.node_power = Some(NodePower { node: context.node.clone(), down: true, up });
    Ok(Value::Null.into())
}

pub(crate) fn config(context: &mut Context<'_>) -> Reply {
    let mac = this(context)?.wakeonlan.clone();
    Ok(mac.map_or(json!({}), |mac| json!({ "wakeonlan": mac })).into())
}

pub(crate) fn empty_list(_: &mut Context<'_>) -> Reply {
    Ok(json!([]).into())
}

pub(crate) fn subscription(_: &mut Context<'_>) -> Reply {
    Ok(json!({
        "status": "notfound",
        "message": "There is no subscription key",
        "serverid": "00000000000000000000000000000000",
        "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
    })
    .into())
}

/// Wakes another node: sent by the node that got the call.
pub(crate) fn wake(context: &mut Context<'_>) -> Reply {
    let wanted = context.path.first().cloned().unwrap_or_default();
    if wanted == context.node {
        return Err(Refusal::died(format!("'{wanted}' is local node, cannot wake my self!")));
    }
    let Some(node) = context.cluster.node_ref(&wanted) else {
        return Err(Refusal::died(format!("no such cluster node '{wanted}'")));
    };
    let Some(mac) = node.wakeonlan.clone() else {
        return Err(Refusal::died(format!("No wake on LAN MAC address defined for '{wanted}'!")));
    };
    if !node.online {
        context.cluster.node_power = Some(NodePower { node: wanted, down: false, up: true });
    }
    Ok(json!(mac).into())
}

pub(crate) fn storages(context: &mut Context<'_>) -> Reply {
    let here = context.cluster.storages.iter().filter(|storage| {
        let mounted = storage.node.as_ref().is_none_or(|node| *node == context.node);
        mounted && context.may(&format!("/storage/{}", storage.name), &["Datastore.Audit", "Datastore.AllocateSpace"])
    });
    let rows = here.map(|storage| {
        #[expect(clippy::cast_precision_loss, reason = "a fraction for display")]
        let fraction = storage.used as f64 / storage.size.max(1) as f64;
        json!({
            "storage": storage.name, "type": storage.plugin, "content": storage.content,
            "active": u8::from(storage.active), "enabled": 1,
            "shared": u8::from(storage.node.is_none()), "total": storage.size, "used": storage.used,
            "avail": storage.size - storage.used, "used_fraction": fraction,
        })
    });
    Ok(rows.collect::<Value>().into())
}
