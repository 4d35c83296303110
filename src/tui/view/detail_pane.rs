//! The chosen server in detail.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::inventory::server::Address;
use crate::model::inventory::{Server, ServiceCheck};
use crate::model::load::usage::Count;
use crate::model::text::clean;
use crate::model::text::units::{human_bytes, human_seconds};
use crate::tui::event::Entry;
use crate::tui::layout::Areas;
use crate::tui::state::State;
use crate::tui::theme::{self, Theme, after, put, put_all};
use crate::tui::view::{charts, table};

/// One line: pieces in their styles.
type Pieces = Vec<(String, Style)>;

/// How far the detail can be scrolled.
pub(crate) fn last_line_of_pane(state: &State) -> usize {
    let Some(server) = state.current() else { return 0 };
    let (text, _) = parts(Areas::of(state).pane, has_charts(state));
    lines(state, server, text.width, Theme { color: false }).len().saturating_sub(text.height.into())
}

pub(super) fn draw(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    if area.is_empty() {
        return;
    }
    let rule = if area.width < buffer.area.width { "│" } else { "" };
    let edge = u16::from(!rule.is_empty());
    for line in 0..area.height {
        put(buffer, Rect { y: area.y + line, height: 1, ..area }, rule, theme.quiet());
    }
    let head = Rect { height: 1, ..after(area, edge) };
    put(buffer, head, &"─".repeat(head.width.into()), theme.quiet());
    let Some(server) = state.current() else { return };
    let title = format!(" {} ", server.name);
    put(buffer, after(head, 1), &title, theme.head());
    let (text, pictures) = parts(area, has_charts(state));
    let lines = lines(state, server, text.width, theme);
    let top = state.pane_top.min(lines.len().saturating_sub(text.height.into()));
    for (line, pieces) in (0..text.height).zip(lines.iter().skip(top)) {
        put_all(buffer, Rect { y: text.y + line, height: 1, ..text }, pieces);
    }
    if lines.len() > top + usize::from(text.height) {
        let more = format!(" ] {} more ", lines.len() - top - usize::from(text.height));
        let below = Rect { y: text.bottom().saturating_sub(1), height: 1, ..text };
        theme::put_right(buffer, below, &more, theme.accent());
    }
    if let Some(ring) = state.samples.get(&state.keys[state.rows[state.at].place]) {
        charts::draw(buffer, pictures, ring, theme);
    }
}

/// Whether there is anything to draw of the chosen server.
fn has_charts(state: &State) -> bool {
    let ring = state.rows.get(state.at).and_then(|row| state.samples.get(&state.keys[row.place]));
    ring.is_some_and(|ring| ring.last(2).count() > 1)
}

/// Where the text stands, and where the charts: side by side where the pane is flat, with a gap between them. Without
/// charts the text has all of it.
fn parts(area: Rect, has_charts: bool) -> (Rect, Rect) {
    const GAP: u16 = 3;
    let mut inside = Rect { y: area.y + area.height.min(1), height: area.height.saturating_sub(1), ..area };
    let is_flat = area.height <= area.width / 2;
    inside = after(inside, if is_flat { u16::from(area.x > 0) } else { 2 });
    if !has_charts || !charts::fit(if is_flat { after(inside, inside.width * 11 / 20) } else { inside }) {
        return (inside, Rect::ZERO);
    }
    if is_flat {
        let text = Rect { width: inside.width * 11 / 20, ..inside };
        (Rect { width: text.width.saturating_sub(GAP), ..text }, after(inside, text.width))
    } else {
        let charts = inside.height / 2;
        let text = Rect { height: inside.height - charts, ..inside };
        (text, Rect { y: text.bottom(), height: charts, ..inside })
    }
}

/// All that is known, the most wanted first.
fn lines(state: &State, server: &Server, width: u16, theme: Theme) -> Vec<Pieces> {
    let mut lines = Lines { all: Vec::new(), width: usize::from(width).saturating_sub(9), theme };
    lines.add_state(state, server);
    lines.add_numbers(server);
    lines.add_place(server);
    server.seen.checks.iter().for_each(|check| lines.add_check(check));
    lines.add_log(state);
    lines.all
}

/// The lines so far.
struct Lines {
    all: Vec<Pieces>,
    /// Columns for a value.
    width: usize,
    theme: Theme,
}

impl Lines {
    /// A value under its name; nothing where it is empty.
    fn add(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        for (i, part) in theme::wrap(&clean(value), self.width).into_iter().enumerate() {
            let name = if i == 0 { name } else { "" };
            self.all.push(vec![(format!("{name:9}"), self.theme.quiet()), (part, Style::new())]);
        }
    }

    fn add_some(&mut self, name: &str, value: Option<&String>) {
        self.add(name, value.map_or("", String::as_str));
    }

    /// Who it is, what it does, and why.
    fn add_state(&mut self, state: &State, server: &Server) {
        let seen = &server.seen;
        let place = match (&server.node, server.vmid) {
            (Some(node), Some(_)) => format!(", {} on {}", server.kind.as_str(), node.as_str()),
            _ => format!(", {}", server.kind.as_str()),
        };
        self.add("id", &format!("{}{place}", server.id));
        let uptime = seen.usage.uptime_seconds.filter(|_| seen.state.is_up()).map(Count::get);
        let uptime = uptime.map(|seconds| format!(" for {}", human_seconds(seconds))).unwrap_or_default();
        let age = state.age(server).map_or("-".to_owned(), |age| theme::age_up_to(age, seen.lag));
        let old = if state.is_stale(server) { ", old" } else { "" };
        let raw = seen.word().map(|raw| format!(" ({raw})")).unwrap_or_default();
        let until = server.sleeps_until().map(|until| format!(" until {until}")).unwrap_or_default();
        let state_word = format!("{} {}{raw}{uptime}{until}", theme::symbol(seen.state), seen.state);
        self.add("state", &format!("{state_word}; by {}, age {age}{old}", seen.source.as_str()));
        self.add("doing", &state.progress.get(&server.id).map(|doing| doing.line(state.now)).unwrap_or_default());
        self.add_some("because", seen.reason.as_ref());
        if let Some(idle) = &seen.idle {
            let since = idle.since.map(|since| format!("for {}", theme::age(state.now.duration_since(since))));
            self.add_some("idle", since.as_ref());
            self.add_some("needed by", idle.needed_by().as_ref());
        }
        for failed in state.fleet.failures.iter().filter(|failed| failed.server == server.id) {
            self.add("failed", &failed.message);
            self.add_some("hint", failed.advice.as_ref());
        }
    }

    fn add_numbers(&mut self, server: &Server) {
        let usage = &server.seen.usage;
        let cpus = usage.cpus.map(|cpus| format!(" of {cpus} CPUs")).unwrap_or_default();
        let load = usage.load.map(|load| format!(", load {load:.2}")).unwrap_or_default();
        self.add("cpu", &usage.cpu_percent.map_or("-".to_owned(), |cpu| format!("{cpu:.0}%{cpus}{load}")));
        self.add("memory", &share(usage.memory_bytes, usage.memory_max_bytes, usage.memory_share()));
        self.add("disk", &share(usage.disk_bytes, usage.disk_max_bytes, usage.disk_percent()));
    }

    /// Where it is in the network, and in Proxmox VE's own groups.
    fn add_place(&mut self, server: &Server) {
        let address = |address: &Address| match address.prefix {
            Some(prefix) => format!("{}/{prefix}", address.ip),
            None => address.ip.to_string(),
        };
        let mut addresses: Vec<String> = server.hostname.iter().cloned().collect();
        addresses.extend(server.addresses.iter().map(address));
        addresses.dedup();
        self.add("address", &addresses.join(", "));
        self.add("tags", &server.tags.join(", "));
        self.add_some("pool", server.pool.as_ref());
        self.add_some("lock", server.lock.as_ref());
        self.add_some("HA", server.ha_state.as_ref());
    }

    fn add_check(&mut self, check: &ServiceCheck) {
        let theme = self.theme;
        let time = check.response_seconds.map_or("-".to_owned(), |seconds| match seconds * 1000.0 {
            millis if millis < 1.0 => "<1ms".to_owned(),
            millis => format!("{millis:.0}ms"),
        });
        let said = match (check.open, &check.error) {
            (Some(true), _) => time,
            (Some(false), Some(error)) => error.clone(),
            (Some(false), None) => "closed".to_owned(),
            (None, _) => "not asked".to_owned(),
        };
        let style = match check.open {
            Some(true) => theme.good(),
            Some(false) => theme.bad(),
            None => theme.quiet(),
        };
        let what = format!("{} {}:{}", table::sign(check), check.name, check.port);
        self.all.push(vec![
            ("service  ".to_owned(), theme.quiet()),
            (what, style),
            (format!("  {said}"), Style::new()),
        ]);
    }

    /// What was told of the chosen server's past.
    fn add_log(&mut self, state: &State) {
        let told = state.log.server == state.chosen;
        for (what, entries) in [("task", &state.log.tasks), ("event", &state.log.events)] {
            for Entry { at, text } in entries.iter().filter(|_| told) {
                let age = at.map(|at| theme::age(state.now.duration_since(at))).unwrap_or_default();
                let head = (format!("{what:9}{age:>7} "), self.theme.quiet());
                self.all.push(vec![head, (text.clone(), Style::new())]);
            }
        }
    }
}

/// `3.9G of 16G (24%)`
fn share(used: Option<Count>, of: Option<Count>, percent: Option<f64>) -> String {
    match (used, of, percent) {
        (Some(used), Some(of), Some(percent)) => {
            format!("{} of {} ({percent:.0}%)", human_bytes(used.get()), human_bytes(of.get()))
        }
        (Some(used), ..) => human_bytes(used.get()),
        (None, Some(of), _) => format!("- of {}", human_bytes(of.get())),
        _ => "-".to_owned(),
    }
}
