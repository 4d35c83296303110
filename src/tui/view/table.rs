//! The list of servers: only what is on the screen is made.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::inventory::{Server, ServiceCheck};
use crate::model::load::usage::Count;
use crate::model::past::spark::{Scale, sparkline};
use crate::model::text::units::human_seconds;
use crate::tui::layout::Areas;
use crate::tui::state::Row;
use crate::tui::state::State;
use crate::tui::theme::{self, Theme, after, put, put_right};

/// How wide each column is; 0: it is not there.
#[derive(Debug, Clone, Copy)]
struct Columns {
    name: u16,
    state: u16,
    load: u16,
    spark: u16,
    uptime: u16,
    services: u16,
    age: u16,
}

impl Columns {
    fn of(width: u16) -> Columns {
        if width >= 80 {
            return Columns::whole(width);
        }
        let none = Columns { name: 0, state: 0, load: 0, spark: 0, uptime: 0, services: 0, age: 0 };
        // Two for marks; the name takes what is left, and so many at least.
        let mut rest = width.saturating_sub(2 + 12);
        let mut room = |columns: u16, times: u16| {
            let wanted = times * (columns + 1);
            let fits = rest >= wanted;
            rest -= if fits { wanted } else { 0 };
            if fits { columns } else { 0 }
        };
        // What is worth most comes first. A state's sign alone is better than none.
        let state = match room(13, 1) {
            0 => room(1, 1),
            state => state,
        };
        let load = room(4, 2);
        let age = room(7, 1);
        // A bar of five columns each, besides.
        let load = if load > 0 && room(4, 2) > 0 { 9 } else { load };
        let services = room(8, 1);
        Columns { name: 12 + rest, state, load, age, services, ..none }
    }

    fn whole(width: u16) -> Columns {
        let uptime = if width >= 100 { 7 } else { 0 };
        let columns = Columns { name: 18, state: 13, load: 9, spark: 8, uptime, services: 0, age: 7 };
        // Two for marks, and a blank before each column but the first.
        let blanks = 6 + u16::from(uptime > 0);
        let fixed = 2 + columns.name + columns.state + 2 * columns.load + columns.spark + uptime + columns.age + blanks;
        let rest = width.saturating_sub(fixed + 8);
        let (name, spark) = ((rest / 3).min(26), (rest / 3).min(40));
        let services = width.saturating_sub(fixed + name + spark);
        Columns { name: columns.name + name, spark: columns.spark + spark, services, ..columns }
    }
}

/// Takes columns from the left of a line.
struct Line {
    rest: Rect,
}

impl Line {
    fn take(&mut self, columns: u16) -> Rect {
        if columns == 0 {
            return Rect { width: 0, ..self.rest };
        }
        let columns = columns.min(self.rest.width);
        let taken = Rect { width: columns, ..self.rest };
        // With the blank behind it.
        self.rest = after(self.rest, columns + 1);
        taken
    }
}

pub(super) fn draw(buffer: &mut Buffer, areas: &Areas, state: &State, theme: Theme) {
    let columns = Columns::of(areas.rows.width);
    names(buffer, areas.names, columns, theme);
    let shown = state.rows.iter().enumerate().skip(state.top).take(areas.rows.height.into());
    for (line, (i, row)) in (0..areas.rows.height).zip(shown) {
        let Some(server) = state.fleet.servers.get(row.place) else { continue };
        let area = Rect { y: areas.rows.y + line, height: 1, ..areas.rows };
        draw_row(buffer, area, columns, state, *row, server, theme);
        if i == state.at {
            buffer.set_style(area, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    if state.rows.is_empty() && state.looked && !state.fleet.servers.is_empty() {
        put(buffer, areas.rows, "  no server matches the filter", theme.quiet());
    }
}

fn names(buffer: &mut Buffer, area: Rect, columns: Columns, theme: Theme) {
    let mut line = Line { rest: after(area, 2) };
    put(buffer, line.take(columns.name), "  NAME", theme.head());
    put(buffer, line.take(columns.state), if columns.state > 1 { "STATE" } else { "" }, theme.head());
    put_right(buffer, line.take(columns.load), "CPU", theme.head());
    put_right(buffer, line.take(columns.load), "MEM", theme.head());
    put(buffer, line.take(columns.spark), "LAST CPU", theme.head());
    if columns.uptime > 0 {
        put_right(buffer, line.take(columns.uptime), "UPTIME", theme.head());
    }
    put(buffer, line.take(columns.services), "SERVICES", theme.head());
    put_right(buffer, line.take(columns.age), "AGE", theme.head());
}

fn draw_row(buffer: &mut Buffer, area: Rect, columns: Columns, state: &State, row: Row, server: &Server, theme: Theme) {
    let key = &state.keys[row.place];
    let seen = &server.seen;
    let mark = if state.marked.contains(key) { "✓" } else { " " };
    put(buffer, area, mark, theme.accent());
    let alarms = server.is_alarming() || row.alarms > 0;
    put(buffer, after(area, 1), if alarms { "!" } else { " " }, theme.bad());
    let mut line = Line { rest: after(area, 2) };
    name(buffer, line.take(columns.name), row, server, theme);
    let (text, style) = match (server.doing(), server.sleeps_until()) {
        _ if columns.state == 1 => (theme::symbol(seen.state).to_owned(), theme.state(seen.state)),
        (Some(word), _) => (format!("… {word}"), theme.accent()),
        // Its sign says that it sleeps.
        (None, Some(until)) => (format!("{} until {until}", theme::symbol(seen.state)), theme.state(seen.state)),
        (None, None) => (format!("{} {}", theme::symbol(seen.state), seen.state), theme.state(seen.state)),
    };
    put(buffer, line.take(columns.state), &text, style);
    percent(buffer, line.take(columns.load), seen.usage.cpu_percent.map(f64::from), theme);
    percent(buffer, line.take(columns.load), seen.usage.memory_share(), theme);
    let spark = line.take(columns.spark);
    if let Some(ring) = state.samples.get(key) {
        let points: Vec<Option<f64>> =
            ring.last(spark.width.into()).map(|point| point.cpu_percent.map(f64::from)).collect();
        put_right(
            buffer,
            spark,
            &sparkline(&points, spark.width.into(), Scale::Percent, state.setup.utf8),
            Style::new(),
        );
    }
    if columns.uptime > 0 {
        let uptime = seen.usage.uptime_seconds.filter(|_| seen.state.is_up()).map(Count::get);
        put_right(buffer, line.take(columns.uptime), &uptime.map_or("-".to_owned(), human_seconds), Style::new());
    }
    let cell = line.take(columns.services);
    match state.progress.get(&server.id) {
        Some(doing) => {
            put(buffer, cell, &format!("> {}", doing.line(state.now)), theme.accent());
        }
        None => services(buffer, cell, server, theme),
    }
    let is_old = state.is_stale(server);
    // A stamp from the future is as good as none.
    let age = match state.age(server) {
        Some(age) if is_old => format!("~{}", theme::age(age + seen.lag.unwrap_or_default())),
        Some(age) => theme::age_up_to(age, seen.lag),
        None if is_old => "~-".to_owned(),
        None => "-".to_owned(),
    };
    put_right(buffer, line.take(columns.age), &age, Style::new());
    if is_old {
        buffer.set_style(area, theme.quiet());
    }
}

/// In which column of a row the sign stands that folds it.
pub(crate) fn sign_of(row: Row) -> usize {
    2 + row.depth * 2
}

fn name(buffer: &mut Buffer, area: Rect, row: Row, server: &Server, theme: Theme) {
    let indent = u16::try_from(row.depth * 2).unwrap_or(u16::MAX).min(area.width / 2);
    let area = after(area, indent);
    let sign = match (row.below, row.folded) {
        (0, _) => "  ",
        (_, true) => "▸ ",
        (_, false) => "▾ ",
    };
    let folded = match (row.folded, row.alarms) {
        (false, _) => String::new(),
        (true, 0) => format!(" +{}", row.below),
        (true, alarms) => format!(" +{} {alarms}!", row.below),
    };
    let area = after(area, put(buffer, area, sign, Style::new()));
    let room = u16::try_from(folded.len()).unwrap_or(u16::MAX).min(area.width);
    let style = if server.vmid.is_none() { theme.head() } else { Style::new() };
    let taken = put(buffer, Rect { width: area.width - room, ..area }, &server.name, style);
    put(buffer, after(area, taken), &folded, theme.quiet());
}

/// A bar and the number; `-` for what is unknown.
fn percent(buffer: &mut Buffer, area: Rect, percent: Option<f64>, theme: Theme) {
    let Some(percent) = percent.filter(|percent| percent.is_finite()) else {
        put_right(buffer, area, "-", theme.quiet());
        return;
    };
    let style = theme.load(percent);
    if area.is_empty() {
        return;
    }
    let bar = Rect { width: area.width.saturating_sub(5), ..area };
    put(buffer, bar, &theme::bar(percent, bar.width.into()), style);
    put_right(buffer, after(area, bar.width), &format!("{percent:.0}%"), style);
}

/// The sign of a service.
pub(super) fn sign(check: &ServiceCheck) -> &'static str {
    match check.open {
        Some(true) => "✓",
        Some(false) => "✖",
        None => "?",
    }
}

/// Each by its name where there is room, the closed ones first; else how many of them are open.
fn services(buffer: &mut Buffer, area: Rect, server: &Server, theme: Theme) {
    let checks = &server.seen.checks;
    if area.is_empty() {
        return;
    }
    if checks.is_empty() {
        let text = if server.services.is_empty() { "" } else { "-" };
        put(buffer, area, text, theme.quiet());
        return;
    }
    let rank = |check: &&ServiceCheck| match check.open {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    };
    let mut sorted: Vec<&ServiceCheck> = checks.iter().collect();
    sorted.sort_by_key(rank);
    let style = |check: &ServiceCheck| match check.open {
        Some(true) => theme.good(),
        Some(false) => theme.bad(),
        None => theme.quiet(),
    };
    let words: Vec<String> = sorted.iter().map(|check| format!("{}{} ", sign(check), check.name)).collect();
    if words.iter().map(|word| theme::width(word)).sum::<usize>() <= usize::from(area.width) + 1 {
        let pieces: Vec<(String, Style)> = words.into_iter().zip(sorted).map(|(word, c)| (word, style(c))).collect();
        theme::put_all(buffer, area, &pieces);
        return;
    }
    let open = checks.iter().filter(|check| check.open == Some(true)).count();
    let worst = sorted[0];
    let rest = after(area, put(buffer, area, &format!("{}{open}/{} ", sign(worst), checks.len()), style(worst)));
    if worst.open == Some(false) {
        put(buffer, rest, &worst.name, style(worst));
    }
}
