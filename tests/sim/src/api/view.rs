//! A guest as the API writes it, in each of the places where it appears.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::guest::{Agent, Guest, Kind};
use crate::version::Version;

/// Part of an object. Panics on anything else: it is written in this file.
fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

/// The entry in `GET /nodes/{n}/{kind}`; `full` adds what QEMU itself says.
pub(crate) fn listed(guest: &Guest, version: &Version, now: Instant, full: bool) -> Map<String, Value> {
    let [netin, netout, diskread, diskwrite] = guest.counters_at(now);
    let used = if guest.is_active() { guest.memory_used } else { 0 };
    let mut entry = fields(json!({
        "vmid": guest.vmid,
        "name": guest.display_name(),
        "status": if guest.is_active() { "running" } else { "stopped" },
        "cpu": cpu(guest),
        "cpus": guest.cores,
        "mem": used,
        "maxmem": guest.memory,
        "maxdisk": guest.disk,
        "uptime": guest.uptime_at(now),
        "netin": netin,
        "netout": netout,
    }));
    match guest.kind {
        Kind::Qemu => entry.extend(qemu_fields(guest, version, now, full)),
        Kind::Lxc => entry.extend(fields(json!({
            "type": "lxc",
            "disk": if guest.is_active() { guest.disk_used } else { 0 },
            "diskread": diskread,
            "diskwrite": diskwrite,
            "swap": 0,
            "maxswap": guest.config.get("swap").and_then(Value::as_u64).unwrap_or(512) << 20,
        }))),
    }
    if guest.is_active() {
        entry.insert("pid".to_owned(), json!(guest.pid));
        if version.is_9() {
            for which in ["cpu", "io", "memory"] {
                entry.insert(format!("pressure{which}some"), json!(0));
                entry.insert(format!("pressure{which}full"), json!(0));
            }
        }
    }
    add_optional(&mut entry, guest);
    if guest.template {
        entry.insert("template".to_owned(), json!(1));
    }
    entry
}

fn qemu_fields(guest: &Guest, version: &Version, now: Instant, full: bool) -> Map<String, Value> {
    let mut entry = fields(json!({ "disk": 0, "serial": 1 }));
    if version.is_9() {
        entry.insert("memhost".to_owned(), json!(if guest.is_active() { guest.memory_used } else { 0 }));
    }
    if !full {
        return entry;
    }
    entry.insert("qmpstatus".to_owned(), json!(guest.qmpstatus()));
    entry.extend(guest.balloon_info().map(|info| ("ballooninfo".to_owned(), info)));
    if guest.is_active() {
        let [netin, netout, diskread, diskwrite] = guest.counters_at(now);
        entry.extend(fields(json!({
            "diskread": diskread,
            "diskwrite": diskwrite,
            "running-machine": "pc-i440fx-10.0+pve0",
            "running-qemu": "10.0.2",
            "proxmox-support": {
                "backup-fleecing": true,
                "backup-max-workers": true,
                "pbs-dirty-bitmap": true,
                "pbs-dirty-bitmap-migration": true,
                "pbs-dirty-bitmap-savevm": true,
                "pbs-library-version": "1.5.1",
                "pbs-masterkey": true,
                "query-bitmap-info": true,
            },
        })));
        if guest.mac.is_some() || !guest.interfaces.is_empty() {
            let nic = format!("tap{}i0", guest.vmid);
            entry.insert("nics".to_owned(), json!({ nic: { "netin": netin, "netout": netout } }));
        }
    }
    entry
}

/// `GET .../status/current`.
pub(crate) fn current(guest: &Guest, version: &Version, now: Instant) -> Value {
    let mut entry = listed(guest, version, now, true);
    let ha = match &guest.ha {
        Some(state) if guest.is_ha_managed() => json!({ "managed": 1, "state": state, "group": "" }),
        _ => json!({ "managed": 0 }),
    };
    entry.insert("ha".to_owned(), ha);
    if guest.kind == Kind::Qemu {
        entry.insert("clipboard".to_owned(), Value::Null);
        if guest.agent != Agent::None {
            entry.insert("agent".to_owned(), json!(1));
        }
    }
    Value::Object(entry)
}

/// The row of `GET /cluster/resources`. Without pvestatd's numbers only what the configuration says remains.
pub(crate) fn resource(guest: &Guest, heard: Option<&Map<String, Value>>) -> Value {
    let kind = guest.kind.word();
    let mut row = fields(json!({
        "id": format!("{kind}/{}", guest.vmid),
        "type": kind,
        "vmid": guest.vmid,
        "node": guest.node,
        "status": "unknown",
    }));
    add_optional(&mut row, guest);
    if let Some(pool) = &guest.pool {
        row.insert("pool".to_owned(), json!(pool));
    }
    if let Some(state) = &guest.ha {
        row.insert("hastate".to_owned(), json!(state));
    }
    row.extend(heard.cloned().into_iter().flatten());
    Value::Object(row)
}

/// What a node's pvestatd says of a guest: it stands in the row above until it speaks again.
pub(crate) fn broadcast(guest: &Guest, version: &Version, now: Instant) -> Map<String, Value> {
    let [netin, netout, diskread, diskwrite] = guest.counters_at(now);
    let used = if guest.is_active() { guest.memory_used } else { 0 };
    let lxc_disk = if guest.kind == Kind::Lxc && guest.is_active() { guest.disk_used } else { 0 };
    let mut row = fields(json!({
        "name": guest.display_name(),
        "status": guest.qmpstatus(),
        "template": u8::from(guest.template),
        "cpu": cpu(guest),
        "maxcpu": guest.cores,
        "mem": used,
        "maxmem": guest.memory,
        "disk": lxc_disk,
        "maxdisk": guest.disk,
        "uptime": guest.uptime_at(now),
        "netin": netin,
        "netout": netout,
        "diskread": diskread,
        "diskwrite": diskwrite,
    }));
    if version.is_9() {
        row.insert("memhost".to_owned(), json!(used));
    }
    row
}

/// `GET .../config`.
pub(crate) fn config(guest: &Guest) -> Map<String, Value> {
    let mut entry = match guest.kind {
        Kind::Qemu => qemu_config(guest),
        Kind::Lxc => fields(json!({
            "arch": "amd64",
            "cores": guest.cores,
            "hostname": guest.display_name(),
            "memory": guest.memory >> 20,
            "swap": 512,
            "ostype": "debian",
            "unprivileged": 1,
            "net0": format!("name=eth0,bridge=vmbr0,hwaddr={},ip=dhcp,type=veth", guest.mac_or_default()),
            "rootfs": format!("local:{0}/vm-{0}-disk-0.raw,size={1}G", guest.vmid, guest.disk >> 30),
        })),
    };
    for (key, value) in [("lock", &guest.lock), ("tags", &guest.tags)] {
        if let Some(value) = value {
            entry.insert(key.to_owned(), json!(value));
        }
    }
    if guest.template {
        entry.insert("template".to_owned(), json!(1));
    }
    if let Some(seconds) = guest.shutdown_limit {
        entry.insert("startup".to_owned(), json!(format!("down={seconds}")));
    }
    entry.extend(guest.config.clone());
    if let Some(parent) = &guest.snapshots.current {
        entry.insert("parent".to_owned(), json!(parent));
    }
    entry.insert("digest".to_owned(), json!(format!("{:040x}", u64::from(guest.vmid) * 0x9E37_79B9)));
    entry
}

fn qemu_config(guest: &Guest) -> Map<String, Value> {
    let has_disk = guest.disk > 0;
    let mut entry = fields(json!({
        "boot": if has_disk { "order=scsi0" } else { " " },
        "cores": guest.cores,
        "memory": (guest.memory >> 20).to_string(),
        "meta": "creation-qemu=10.0.2,ctime=1795381239",
        "ostype": "l26",
        "serial0": "socket",
        "smbios1": format!("uuid={}", guest.uuid),
        "vga": "none",
        "vmgenid": format!("10000000-0000-4000-8000-{:04}{:08}", guest.snapshots.rollbacks, guest.vmid),
    }));
    if let Some(name) = &guest.name {
        entry.insert("name".to_owned(), json!(name));
    }
    if guest.agent != Agent::None {
        entry.insert("agent".to_owned(), json!("1"));
    }
    if guest.mac.is_some() || !guest.interfaces.is_empty() {
        entry.insert("net0".to_owned(), json!(format!("virtio={},bridge=vmbr0", guest.mac_or_default())));
    }
    if has_disk {
        let prefix = if guest.template { "base" } else { "vm" };
        let volume = format!("local:{0}/{prefix}-{0}-disk-0.raw,size={1}G", guest.vmid, guest.disk >> 30);
        entry.insert("scsi0".to_owned(), json!(volume));
    }
    entry
}

/// Lock and tags, where the guest has any.
fn add_optional(entry: &mut Map<String, Value>, guest: &Guest) {
    for (key, value) in [("lock", &guest.lock), ("tags", &guest.tags)] {
        if let Some(value) = value {
            entry.insert(key.to_owned(), json!(value));
        }
    }
}

/// 0 is an integer in PVE's JSON, anything else is not.
fn cpu(guest: &Guest) -> Value {
    if guest.is_active() && guest.cpu > 0.0 { json!(guest.cpu) } else { json!(0) }
}
