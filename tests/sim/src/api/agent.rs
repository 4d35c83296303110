//! The QEMU guest agent.

use serde_json::{Value, json};

use crate::api::{Context, Data, Refusal, Reply, guests, nodes};
use crate::guest::{Agent, Guest, Power};

const GET: &[&str] = &[
    "get-fsinfo",
    "get-host-name",
    "get-memory-block-info",
    "get-memory-blocks",
    "get-osinfo",
    "get-time",
    "get-timezone",
    "get-users",
    "get-vcpus",
    "info",
    "network-get-interfaces",
];

/// Whether this method takes this command. What would change something in the guest is not simulated.
pub(crate) fn is_command(method: &str, command: &str) -> bool {
    if method == "GET" { GET.contains(&command) } else { command == "ping" }
}

pub(crate) fn index(context: &mut Context<'_>) -> Reply {
    guests::find(context)?;
    Ok(nodes::subdirs(
        "name",
        &[
            "exec",
            "exec-status",
            "file-read",
            "file-write",
            "get-fsinfo",
            "get-host-name",
            "get-osinfo",
            "get-time",
            "info",
            "network-get-interfaces",
            "ping",
            "shutdown",
        ],
    )
    .into())
}

pub(crate) fn get(context: &mut Context<'_>) -> Reply {
    let command = context.path.last().cloned().unwrap_or_default();
    ask(context, &command)
}

pub(crate) fn post(context: &mut Context<'_>) -> Reply {
    ask(context, "ping")
}

/// `POST .../agent` with the command as a parameter.
pub(crate) fn legacy(context: &mut Context<'_>) -> Reply {
    let command = context.call.parameters.get("command").cloned().unwrap_or_default();
    ask(context, &command)
}

fn ask(context: &Context<'_>, command: &str) -> Reply {
    let guest = guests::find(context)?;
    if guest.agent == Agent::None {
        return Err(Refusal::died("No QEMU guest agent configured"));
    }
    if !guest.is_active() {
        return Err(Refusal::died(format!("VM {} is not running", guest.vmid)));
    }
    if guest.agent == Agent::Dead || guest.power != Power::Running {
        let delay = context.cluster.clock.seconds(context.cluster.timing.agent_timeout);
        return Err(Refusal { delay, ..Refusal::died("QEMU guest agent is not running") });
    }
    let result = guest.agent_data.get(command).cloned().unwrap_or_else(|| usual(guest, command));
    Ok(Data { delay: guest.agent_delay, ..Data::from(json!({ "result": result })) })
}

fn usual(guest: &Guest, command: &str) -> Value {
    match command {
        "network-get-interfaces" => network(guest),
        "get-host-name" => json!({ "host-name": guest.display_name() }),
        "get-osinfo" => json!({
            "id": "debian", "name": "Debian GNU/Linux", "version": "12 (bookworm)", "version-id": "12",
            "pretty-name": "Debian GNU/Linux 12 (bookworm)", "machine": "x86_64",
            "kernel-release": "6.1.0-56-cloud-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1",
        }),
        "info" => {
            let known = ["guest-ping", "guest-info", "guest-get-osinfo", "guest-network-get-interfaces"];
            let commands = known.map(|name| json!({ "name": name, "enabled": true, "success-response": true }));
            json!({ "version": "7.2.22", "supported_commands": commands })
        }
        "get-time" => json!(0),
        "get-fsinfo" | "get-users" | "get-vcpus" | "get-memory-blocks" => json!([]),
        _ => json!({}),
    }
}

fn network(guest: &Guest) -> Value {
    let entries = guest.interfaces.iter().map(|interface| {
        let addresses = interface.addresses.iter().map(|(address, prefix)| {
            let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
            json!({ "ip-address": address.to_string(), "ip-address-type": family, "prefix": prefix })
        });
        let mut entry = json!({
            "name": interface.name,
            "hardware-address": interface.mac,
            "statistics": {
                "rx-bytes": 0, "rx-packets": 0, "rx-errs": 0, "rx-dropped": 0,
                "tx-bytes": 0, "tx-packets": 0, "tx-errs": 0, "tx-dropped": 0,
            },
        });
        // The agent leaves the list out for an interface without addresses.
        if !interface.addresses.is_empty() {
            entry["ip-addresses"] = addresses.collect();
        }
        entry
    });
    entries.collect()
}
