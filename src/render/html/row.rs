//! A server's row, and what the script needs to filter and sort it.

use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};

use super::{Message, Page, Said, answer, chart, detail, lines};
use crate::model::inventory::server::ServerKind;
use crate::model::inventory::{Server, ServiceCheck};
use crate::model::past::series::{Metric, Series};
use crate::model::power::PowerState;
use crate::render::value::{human_bytes, human_seconds, rfc3339};

/// A column of the page.
pub(super) struct Column {
    /// For the script, the style sheet and the address.
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    /// Whether the first click shows the largest first.
    pub(super) largest_first: bool,
}

const fn column(key: &'static str, title: &'static str, largest_first: bool) -> Column {
    Column { key, title, largest_first }
}

/// In this order in each row.
pub(super) const COLUMNS: [Column; 11] = [
    column("name", "Name", false),
    column("state", "State", false),
    column("kind", "Kind", false),
    column("cpu", "CPU", true),
    column("past", "CPU, 24 h", true),
    column("memory", "Memory", true),
    column("uptime", "Uptime", true),
    column("services", "Services", true),
    column("address", "Address", false),
    column("tags", "Tags", false),
    column("seen", "Seen", false),
];

/// How a state looks, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Bad,
    Busy,
    Halted,
    Good,
    Off,
}

impl Look {
    /// What is doing, what should be on and is not, what cannot be told, then as the state is.
    pub(super) fn of(server: &Server) -> Look {
        match server.seen.state {
            _ if server.doing().is_some() => Look::Busy,
            _ if server.is_alarming() => Look::Bad,
            PowerState::Offline | PowerState::Unknown => Look::Bad,
            PowerState::Paused => Look::Halted,
            PowerState::Running | PowerState::Online => Look::Good,
            PowerState::Stopped | PowerState::Hibernated | PowerState::Asleep => Look::Off,
        }
    }

    /// Of the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Look::Bad => "bad",
            Look::Busy => "busy",
            Look::Halted => "halt",
            Look::Good => "good",
            Look::Off => "off",
        }
    }

    /// The shape for a state's word.
    pub(super) fn symbol(self, word: &'static str) -> &'static str {
        if self == Look::Busy { "doing" } else { word }
    }
}

/// The shape of a state.
pub(super) fn icon(name: &'static str) -> PreEscaped<String> {
    // Our own words only: written as it is, and short.
    PreEscaped(format!(r##"<svg class="i"><use href="#i-{name}"/></svg>"##))
}

/// One server, and what is said of it on the page.
pub(super) struct Row<'a> {
    pub(super) page: &'a Page<'a>,
    pub(super) server: &'a Server,
    pub(super) past: &'a [Series],
    /// How many stand under it.
    pub(super) kids: usize,
    pub(super) wrong: bool,
}

impl Row<'_> {
    pub(super) fn markup(&self) -> Markup {
        let server = self.server;
        let is_host = server.vmid.is_none();
        let up = server.parent.as_ref();
        let states = lines([self.wrong.then_some("wrong"), server.doing().map(|_| server.seen.state.as_str())]);
        let addresses: Vec<String> = server.addresses.iter().map(|address| address.ip.to_string()).collect();
        let is_shown = |ip: &&str| server.hostname.as_deref() == Some(*ip);
        let hosts = lines(addresses.iter().map(String::as_str).filter(|ip| !is_shown(ip)).map(Some));
        let class = match server.depth {
            0 => is_host.then_some("h"),
            1 => Some(if is_host { "h l1" } else { "l1" }),
            _ => Some(if is_host { "h l2" } else { "l2" }),
        };
        html! {
            tbody class=[class]
                data-id=(Said(server.id.as_str())) data-up=[up.map(|up| Said(up.as_str()))]
                data-vmid=[server.vmid] data-pool=[server.pool.as_deref().map(Said)]
                data-host=[hosts] data-state=[states] {
                tr {
                    (self.name())
                    (state(server, self.wrong))
                    td.w-kind { (server.kind.as_str()) }
                    (self.cpu())
                    (self.sparkline())
                    (self.memory())
                    (self.uptime())
                    (self.services())
                    (self.address())
                    (self.tags())
                    (seen(server, self.page.made_at))
                }
                tr.d {
                    td colspan=(COLUMNS.len()) { (detail::markup(server, self.past)) }
                }
            }
        }
    }

    fn name(&self) -> Markup {
        let server = self.server;
        let on = server.node.as_ref().filter(|_| server.vmid.is_some());
        html! {
            td {
                @if self.kids > 0 {
                    button.fold.js-only aria-expanded="true"
                        aria-label={ "what stands under " (Said(&server.name)) } {
                        svg { use href="#i-fold" {} }
                    }
                } @else if server.vmid.is_none() {
                    span.nofold {}
                }
                button.name { (Said(&server.name)) }
                @if let Some(node) = on {
                    span.on { (Said(node.as_str())) }
                }
                @if self.kids > 0 {
                    span.kids { " " (self.kids) @if self.kids == 1 { " guest" } @else { " guests" } }
                }
            }
        }
    }

    fn cpu(&self) -> Markup {
        match self.server.seen.usage.cpu_percent {
            Some(percent) if percent.is_finite() => html! {
                td.w-cpu data-v=(format!("{percent:.2}")) { (bar(percent.into())) (format!("{percent:.0}%")) (self.measured()) }
            },
            _ => nil("w-cpu", &why_not(self.server)),
        }
    }

    /// How old the numbers are, where they are older than what else is said.
    fn measured(&self) -> Markup {
        let Some(at) = self.server.seen.usage_at else { return html! {} };
        let source = self.server.seen.usage_source.as_str();
        html! { span.aged title={ "measured then by " (source) } { (age(at, self.page.made_at)) } }
    }

    fn sparkline(&self) -> Markup {
        let cpu = self.past.iter().find(|series| series.metric == Metric::Cpu && !series.is_empty());
        let Some(cpu) = cpu else { return nil("w-past", "nothing was measured in these 24 hours") };
        html! { td.w-past data-v=[cpu.summary().avg.map(|avg| format!("{avg:.2}"))] { (chart::sparkline(cpu)) } }
    }

    fn memory(&self) -> Markup {
        let usage = &self.server.seen.usage;
        let (Some(used), Some(of), Some(percent)) = (usage.memory_bytes, usage.memory_max_bytes, usage.memory_share())
        else {
            return nil("w-memory", &why_not(self.server));
        };
        html! {
            td.w-memory data-v=(percent) {
                (bar(percent)) (human_bytes(used.get())) span.q { "/" (human_bytes(of.get())) }
                // A bar cannot be more than full.
                @if percent > 100.0 { " (" (format!("{percent:.0}%")) ")" }
            }
        }
    }

    fn uptime(&self) -> Markup {
        match self.server.seen.usage.uptime_seconds {
            Some(uptime) => {
                let then = self.server.seen.usage_at.map(|at| format!("at {}", rfc3339(at)));
                html! { td.w-uptime data-v=(uptime.get()) title=[then] { (human_seconds(uptime.get())) } }
            }
            None => nil("w-uptime", &why_not(self.server)),
        }
    }

    fn services(&self) -> Markup {
        let checks = &self.server.seen.checks;
        if checks.is_empty() {
            let asked = !self.server.services.is_empty();
            return nil("w-services", if asked { "not asked" } else { "none is configured" });
        }
        // What does not answer comes first, here and where the column is sorted; then who takes longest.
        let weight = |check: &ServiceCheck| match check.open {
            Some(false) => 1e9,
            Some(true) => check.response_seconds.unwrap_or(0.0),
            None => 0.0,
        };
        let mut sorted: Vec<&ServiceCheck> = checks.iter().collect();
        sorted.sort_by_key(|check| check.open != Some(false));
        html! {
            td.w-services data-v=(format!("{:.4}", checks.iter().map(weight).sum::<f64>())) {
                @for check in sorted {
                    span class=[(check.open == Some(false)).then_some("bad")] title=[check.error.as_deref().map(Message)] {
                        (Said(&check.name)) " " (answer(check))
                    }
                    " "
                }
            }
        }
    }

    fn address(&self) -> Markup {
        match (&self.server.hostname, self.server.addresses.first()) {
            (Some(name), _) if !name.is_empty() => html! { td.w-address { (Said(name)) } },
            (_, Some(address)) => html! { td.w-address { (address.ip) } },
            _ => nil("w-address", "its address is unknown; `ecobox discover` asks running guests"),
        }
    }

    fn tags(&self) -> Markup {
        if self.server.tags.is_empty() {
            return nil("w-tags", "it has none");
        }
        html! { td.w-tags { @for tag in &*self.server.tags { span.tag { (Said(tag)) } } } }
    }
}

/// What is unknown, and why.
fn nil(class: &str, why: &str) -> Markup {
    html! { td class={ (class) " q nil" } title=(Message(why)) { "-" } }
}

/// Why a number of it is not known.
fn why_not(server: &Server) -> String {
    match (server.seen.state, &server.seen.reason, server.kind) {
        (state, Some(reason), _) if !state.is_up() => format!("it is {state}: {reason}"),
        (state, None, _) if !state.is_up() => format!("it is {state}"),
        (.., ServerKind::Linux) => "`ecobox stats`, which logs in and measures it, has not run yet".to_owned(),
        (_, Some(reason), _) => reason.clone(),
        _ => format!("the answer ({}) has no such number", server.seen.usage_source.as_str()),
    }
}

fn state(server: &Server, wrong: bool) -> Markup {
    let look = Look::of(server);
    let word = server.doing().unwrap_or(server.seen.state.as_str());
    let reason = server.seen.why();
    // Sorted by what needs somebody first.
    let rank = if wrong { 0 } else { 1 + look as usize };
    html! {
        td.w-state.(look.class()) data-s=(word) data-v=(rank) title=[reason.map(Message)] {
            (icon(look.symbol(word))) (word)
            @if let (None, Some(until)) = (server.doing(), server.sleeps_until()) { " until " (until) }
            @if server.is_alarming() { strong { " !" } span.vh { " this is not as it should be" } }
        }
    }
}

/// Percent as a small bar; the number stands beside it.
pub(super) fn bar(percent: f64) -> PreEscaped<String> {
    let percent = percent.clamp(0.0, 100.0);
    // As the screen of `watch` has it.
    let class = match percent {
        90.0.. => r#" class="hi""#,
        75.0.. => r#" class="warm""#,
        _ => "",
    };
    PreEscaped(format!(r#"<svg class="b"><rect width="{percent:.0}%"{class}/></svg>"#))
}

fn seen(server: &Server, now: Timestamp) -> Markup {
    let Some(at) = server.seen.at else { return nil("w-seen", "not seen yet") };
    // What a listing says may be older than the listing.
    let first = server.seen.lag.and_then(|lag| at.checked_sub(lag).ok());
    html! {
        td.w-seen {
            @if first.is_some() { "<" }
            (age(first.unwrap_or(at), now)) span.by { " by " (server.seen.source.as_str()) }
        }
    }
}

/// How long ago, kept true by the script; without one it is the age when the page was made.
pub(super) fn age(at: Timestamp, now: Timestamp) -> Markup {
    let seconds = u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
    html! { time datetime=(rfc3339(at)) { (human_seconds(seconds)) } }
}
