//! `/nodes/{node}/qemu` and `/nodes/{node}/lxc`, except power and the agent.

use serde_json::{Value, json};

use crate::api::{Context, Refusal, Reply, nodes, view};
use crate::guest::{Guest, Kind};

/// The guest of the path, on the node that executes the call, or PVE's words that it is not there.
pub(crate) fn find<'a>(context: &'a Context<'_>) -> Result<&'a Guest, Refusal> {
    let kind = if context.call.segments.get(2).is_some_and(|word| word == "lxc") { Kind::Lxc } else { Kind::Qemu };
    let (vmid, node) = (context.vmid(), &context.node);
    let guest = context.cluster.find(vmid).filter(|guest| guest.kind == kind && guest.node == *node);
    guest.ok_or_else(|| {
        Refusal::died(format!("Configuration file 'nodes/{node}/{}/{vmid}.conf' does not exist", kind.folder()))
    })
}

fn list(context: &Context<'_>, kind: Kind, full: bool) -> Reply {
    let (now, version) = (context.cluster.clock.now(), &context.cluster.version);
    let guests = context.cluster.guests_on(&context.node, kind);
    let visible = guests.values().filter(|guest| context.may(&format!("/vms/{}", guest.vmid), &["VM.Audit"]));
    Ok(visible.map(|guest| Value::Object(view::listed(guest, version, now, full))).collect::<Value>().into())
}

pub(crate) fn list_qemu(context: &mut Context<'_>) -> Reply {
    list(context, Kind::Qemu, context.call.flag("full"))
}

pub(crate) fn list_lxc(context: &mut Context<'_>) -> Reply {
    list(context, Kind::Lxc, false)
}

/// Guests are created by tests, not by the API.
pub(crate) fn create(_: &mut Context<'_>) -> Reply {
    Err(Refusal::died("the simulator creates no guests"))
}

pub(crate) fn current(context: &mut Context<'_>) -> Reply {
    let guest = find(context)?;
    Ok(view::current(guest, &context.cluster.version, context.cluster.clock.now()).into())
}

pub(crate) fn config(context: &mut Context<'_>) -> Reply {
    let in_force = context.call.flag("current");
    let guest = find(context)?;
    let mut config = view::config(guest);
    // What is changed and waits for the next start is shown unless one asks for what is in force.
    if !in_force {
        config.extend(guest.pending.clone());
    }
    Ok(Value::Object(config).into())
}

pub(crate) fn pending(context: &mut Context<'_>) -> Reply {
    let guest = find(context)?;
    let row = |(key, value): (String, Value)| match guest.pending.get(&key) {
        Some(pending) => json!({ "key": key, "value": value, "pending": pending }),
        None => json!({ "key": key, "value": value }),
    };
    Ok(view::config(guest).into_iter().map(row).collect::<Value>().into())
}

pub(crate) fn index(context: &mut Context<'_>) -> Reply {
    find(context)?;
    Ok(nodes::subdirs(
        "subdir",
        &["config", "pending", "status", "migrate", "resize", "rrd", "rrddata", "agent", "snapshot", "firewall"],
    )
    .into())
}

pub(crate) fn status_index(context: &mut Context<'_>) -> Reply {
    find(context)?;
    let words = ["current", "start", "stop", "reset", "shutdown", "suspend", "reboot"];
    Ok(nodes::subdirs("subdir", &words).into())
}

/// A container's interfaces; `null` while it is stopped.
pub(crate) fn interfaces(context: &mut Context<'_>) -> Reply {
    let guest = find(context)?;
    if !guest.is_active() {
        return Ok(Value::Null.into());
    }
    let newest = context.cluster.version.is_9();
    let entries = guest.interfaces.iter().map(|interface| {
        let mut entry = json!({ "name": interface.name, "hwaddr": interface.mac });
        for (address, prefix) in &interface.addresses {
            let family = if address.is_ipv4() { "inet" } else { "inet6" };
            entry[family] = json!(format!("{address}/{prefix}"));
        }
        if newest {
            entry["hardware-address"] = json!(interface.mac);
            let all = interface.addresses.iter().map(|(address, prefix)| {
                let family = if address.is_ipv4() { "inet" } else { "inet6" };
                json!({ "ip-address": address.to_string(), "ip-address-type": family, "prefix": prefix.to_string() })
            });
            entry["ip-addresses"] = all.collect();
        }
        entry
    });
    Ok(entries.collect::<Value>().into())
}
