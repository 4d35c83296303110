//! The screen, drawn from the state: this only reads.

mod charts;
mod detail_pane;
mod overlay;
mod table;

use std::collections::HashSet;
use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub(crate) use self::detail_pane::last_line_of_pane;
pub(crate) use self::overlay::{last_line_of_dialogue, last_line_of_help};
pub(crate) use self::table::sign_of;
use crate::model::power::PowerState;
use crate::model::text::units::human_span;
use crate::tui::layout::Areas;
use crate::tui::problems::number_of_troubles;
use crate::tui::state::{Mode, Order, State, Weight};
use crate::tui::theme::{self, Theme, after, put, put_all, put_right};

/// States in the order of the title: what wants to be looked at is not what a narrow screen cuts off.
const WORST_FIRST: [PowerState; 8] = [
    PowerState::Unknown,
    PowerState::Offline,
    PowerState::Paused,
    PowerState::Online,
    PowerState::Running,
    PowerState::Stopped,
    PowerState::Asleep,
    PowerState::Hibernated,
];

/// With fewer columns than these, what only repeats or decorates is left out.
const NARROW: u16 = 60;

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let theme = Theme { color: state.setup.color };
    let areas = Areas::within(state, area);
    title(buffer, areas.title, state, theme);
    problems(buffer, areas.problems, state, theme);
    table::draw(buffer, &areas, state, theme);
    detail_pane::draw(buffer, areas.pane, state, theme);
    status(buffer, areas.status, state, theme);
    hints(buffer, areas.hints, state, theme);
    overlay::draw(buffer, area, state, theme);
    if !state.setup.utf8 {
        theme::to_ascii(buffer);
    }
}

fn title(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    let servers = &state.fleet.servers;
    let name = if area.width < NARROW { "" } else { "ecobox watch  " };
    let mut pieces = vec![(name.to_owned() + &counted(servers.len(), "server"), theme.head())];
    match number_of_troubles(&state.problems) {
        0 => {}
        number => pieces.push((format!("  !{}", counted(number, "trouble")), theme.bad())),
    }
    for power in WORST_FIRST {
        let number = servers.iter().filter(|server| server.seen.state == power).count();
        if number > 0 {
            pieces.push((format!("  {}{number} {power}", theme::symbol(power)), theme.state(power)));
        }
    }
    let also = also(state);
    let room = u16::try_from(theme::width(&also)).unwrap_or(u16::MAX).min(area.width);
    put_all(buffer, Rect { width: area.width - room, ..area }, &pieces);
    put_right(buffer, area, &also, theme.accent());
}

/// What is not as it is at the start: who is shown, who is marked, in which order.
fn also(state: &State) -> String {
    let mut parts = Vec::new();
    if let Some(chosen) = &state.filter.chosen {
        parts.push(format!("{} shown", chosen.len()));
    }
    if !state.marked.is_empty() {
        let in_sight: HashSet<_> = state.rows.iter().map(|row| &state.keys[row.place]).collect();
        let hidden = state.marked.iter().filter(|key| !in_sight.contains(key)).count();
        let hidden = if hidden > 0 { format!(" ({hidden} not in sight)") } else { String::new() };
        parts.push(format!("{} marked{hidden}", state.marked.len()));
    }
    if state.order != Order::Own || state.reversed {
        parts.push(format!("by {}{}", state.order.as_str(), if state.reversed { ", reversed" } else { "" }));
    }
    if state.setup.read_only {
        parts.push("read-only".to_owned());
    }
    parts.iter().map(|part| format!("  {part}")).collect::<Vec<_>>().concat()
}

/// What is wrong, the worst first, in as many lines as there are.
fn problems(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    let line = |i: u16| Rect { y: area.y + i, height: 1, ..area };
    if state.problems.is_empty() {
        let text = if !state.looked {
            "looking ..."
        } else if state.fleet.servers.is_empty() {
            "no servers are configured; run `ecobox init --host user@host`"
        } else {
            "✓ nothing is wrong"
        };
        put(buffer, line(0), text, theme.good());
        return;
    }
    for (i, problem) in (0..area.height).zip(&state.problems) {
        let (sign, style) = match problem.weight {
            Weight::Alarm => ("! ", theme.bad()),
            Weight::Action | Weight::Failure => ("✖ ", theme.warn()),
            Weight::Stale => ("~ ", theme.quiet()),
        };
        let more = state.problems.len() - usize::from(i) - 1;
        let last = i + 1 == area.height && more > 0;
        let more = if last { format!("  (and {more} more)") } else { String::new() };
        let room = u16::try_from(more.len()).unwrap_or(u16::MAX).min(area.width);
        let shown = Rect { width: area.width - room, ..line(i) };
        let rest = after(shown, put(buffer, shown, sign, style));
        put(buffer, rest, &problem.text, style);
        put_right(buffer, line(i), &more, style);
    }
}

/// What is being typed, asked for, or done; else the last message.
fn status(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    if let Mode::Filter { .. } = &state.mode {
        let typed = Rect { width: area.width / 2, ..area };
        let taken = put(buffer, typed, "/", theme.head());
        // The end of a long text is where one types.
        let room = usize::from(typed.width.saturating_sub(taken + 2));
        let text = &state.filter.text;
        let skip = text.chars().count().saturating_sub(room);
        let tail: String = text.chars().skip(skip).collect();
        let rest = after(typed, taken);
        let rest = after(rest, put(buffer, rest, &tail, theme.head()));
        put(buffer, rest, "_", theme.accent());
        let said = after(area, typed.width);
        match &state.filter.error {
            Some(error) => put(buffer, said, &format!("? {error}"), theme.warn()),
            None => put(buffer, said, &counted(state.rows.len(), "row"), theme.quiet()),
        };
        return;
    }
    let mut area = area;
    let clock = clock(state, area.width);
    put_right(buffer, area, &clock, theme.quiet());
    area.width -= u16::try_from(theme::width(&clock) + 2).unwrap_or(u16::MAX).min(area.width);
    if let Some(request) = &state.request {
        let whom = match request.servers.as_slice() {
            [one] => one.to_string(),
            many => counted(many.len(), "server"),
        };
        let text = format!("{} {whom}: running safety checks ...  ", request.action);
        area = after(area, put(buffer, area, &text, theme.accent()));
    }
    if let Some(doing) = state.progress.values().next() {
        let more = state.progress.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        area = after(area, put(buffer, area, &format!("{}{more}  ", doing.line(state.now)), theme.accent()));
    }
    if let Some(message) = &state.message {
        put(buffer, area, message, theme.head());
    } else if !state.filter.text.is_empty() {
        put(buffer, area, &format!("filter: {}", state.filter.text), theme.quiet());
    }
}

/// `14:03:22, next theme in 3 s`
fn clock(state: &State, width: u16) -> String {
    let time = state.zone.to_datetime(state.now).strftime("%H:%M:%S").to_string();
    let next = match state.next.map(|at| Duration::try_from(at.duration_since(state.now)).unwrap_or_default()) {
        None => String::new(),
        Some(left) if left.as_secs() == 0 => ", looking".to_owned(),
        Some(left) => format!(", next look in {}", human_span(left)),
    };
    match width {
        0..24 => String::new(),
        24..NARROW => time,
        _ => time + &next,
    }
}

fn hints(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    let text = match &state.mode {
        Mode::Filter { .. } if state.ready.is_some() => "a plan is ready: Enter or Esc shows it",
        Mode::Filter { .. } => "Enter keeps it, Esc takes it back: glob* tag= node= kind= pool= state= !not",
        Mode::Help { .. } | Mode::Dialogue { .. } => "",
        Mode::Browse if state.setup.read_only => "? help  / filter  Enter detail  f fold  N S C M A sort  q quit",
        Mode::Browse => "? help  / filter  s start  h shutdown  r reboot  z suspend  w wake  q quit",
    };
    put(buffer, area, text, theme.quiet());
}

/// `1 server`, `2 servers`
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
