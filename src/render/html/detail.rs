//! What is shown of one server when somebody asks for more: charts of the last day, and everything that is known.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Message, answer, chart};
use crate::model::host::idle::IdleRecord;
use crate::model::inventory::Server;
use crate::model::inventory::server::{Address, Expected};
use crate::model::load::usage::Count;
use crate::model::past::series::{Metric, Series};
use crate::render::value::{human_bytes, rfc3339};

/// The details.
pub(super) fn markup(server: &Server, past: &[Series]) -> Markup {
    let find = |metric| past.iter().find(|series| series.metric == metric && !series.is_empty());
    let memory_top = server.seen.usage.memory_max_bytes.map(Count::as_f64);
    let (cpu, memory) = (find(Metric::Cpu), find(Metric::Memory));
    let (receive, transmit) = (find(Metric::Receive), find(Metric::Transmit));
    let watts = find(Metric::Watts);
    let any = [cpu, memory, receive, transmit, watts].iter().any(Option::is_some);
    html! {
        @if any {
            div.charts {
                @if let Some(cpu) = cpu { (chart::figure("CPU", cpu, None)) }
                @if let Some(memory) = memory { (chart::figure("Memory", memory, memory_top)) }
                @if receive.is_some() || transmit.is_some() { (chart::network(receive, transmit)) }
                // The power of a CPU is not that of its server.
                @if let Some(watts) = watts {
                    (chart::figure(if watts.is_partial { "Power of the CPU" } else { "Power" }, watts, None))
                }
            }
        }
        dl {
            @for (term, text) in facts(server) {
                div { dt { (term) } dd { (Message(&text)) } }
            }
        }
    }
}

/// What is known, by name.
fn facts(server: &Server) -> Vec<(&'static str, String)> {
    let (seen, usage) = (&server.seen, &server.seen.usage);
    let time = |at: Timestamp| rfc3339(at);
    let share = |used: Option<Count>, of: Option<Count>| {
        let (used, of) = (used?, of?);
        Some(format!("{} of {}", human_bytes(used.get()), human_bytes(of.get())))
    };
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    let mut add = |term: &'static str, text: Option<String>| facts.extend(text.map(|text| (term, text)));
    add("id", Some(server.id.to_string()));
    add("node", server.node.as_ref().map(ToString::to_string));
    add("state", seen.word().map(|word| format!("{} ({word})", seen.state)));
    add("until", seen.until.as_ref().map(|until| time(until.at)));
    add("reason", seen.reason.clone());
    let action = seen.action.as_ref();
    add("asked for", action.map(|a| format!("{} since {} by {}", a.action, time(a.since), a.by)));
    let is_listed = |name: &String| server.addresses.iter().any(|address| address.ip.to_string() == *name);
    add("host name", server.hostname.clone().filter(|name| !is_listed(name)));
    add("addresses", joined(server.addresses.iter().map(address)));
    add(
        "services",
        joined(seen.checks.iter().map(|check| {
            let error = check.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
            let kind = check.kind.as_str();
            let named = if check.name == kind { check.name.clone() } else { format!("{kind} {}", check.name) };
            format!("{named}, port {}: {}{error}", check.port, answer(check))
        })),
    );
    add("CPUs", usage.cpus.map(|cpus| cpus.to_string()));
    add("load", usage.load.map(|load| format!("{load:.2}")));
    add("root disk", share(usage.disk_bytes, usage.disk_max_bytes));
    add("uptime", usage.uptime_seconds.map(|uptime| crate::render::value::human_seconds(uptime.get())));
    add("measured", seen.usage_at.map(|at| format!("{} by {}", time(at), seen.usage_source.as_str())));
    add("checked", seen.checks_at.map(time));
    add("pool", server.pool.clone());
    add("lock", server.lock.clone());
    add("HA", server.ha_state.clone());
    add(
        "expected",
        (server.expected != Expected::Any)
            .then(|| if server.expected == Expected::On { "on" } else { "asleep" }.to_owned()),
    );
    let lag = seen.lag.map(|lag| format!(", up to {} s before", lag.as_secs())).unwrap_or_default();
    add("seen", seen.at.map(|at| format!("{} by {}{lag}", time(at), seen.source.as_str())));
    let idle = seen.idle.as_deref();
    add("idle since", idle.and_then(|idle| idle.since).map(time));
    add("needed by", idle.and_then(IdleRecord::needed_by));
    add("last seen", seen.last_seen.filter(|last| Some(*last) != seen.at).map(time));
    facts
}

fn address(address: &Address) -> String {
    let prefix = address.prefix.map_or_else(String::new, |prefix| format!("/{prefix}"));
    let mac = address.mac.as_ref().map_or_else(String::new, |mac| format!(", {mac}"));
    format!("{}{prefix} ({}{mac})", address.ip, address.interface)
}

fn joined(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join("; "))
}
