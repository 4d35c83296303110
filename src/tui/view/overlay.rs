//! What stands over the list: the help, and the plan that wants an answer.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget as _};

use crate::model::id::ServerId;
use crate::model::power::{Policy, Remedy};
use crate::model::text::clean;
use crate::tui::event::{Choices, Offers, Plan, PlanRequest};
use crate::tui::state::{Mode, State};
use crate::tui::theme::{self, Theme, put, put_right};

/// Keys and what they do; the actions apart, which not everybody has.
const KEYS: [(&str, &str); 17] = [
    ("j k, arrows", "one row down, up"),
    ("PgDn PgUp, ^F ^B", "one page"),
    ("^D ^U", "half a page"),
    ("g G, Home End", "the first row, the last"),
    ("Enter, d", "detail of the chosen server, or none"),
    ("[ ]", "scroll the detail"),
    ("Left Right, f", "fold and unfold a host"),
    ("F", "fold and unfold all hosts"),
    ("t", "servers under their hosts, or one by one"),
    ("/", "filter: part glob* tag= node= kind= pool= state= !not"),
    ("O N S", "sort: own order, name, state; once more: reversed"),
    ("C M A", "sort: CPU, memory, age of the answer"),
    ("^R, F5", "look at everybody now"),
    ("^L", "redraw the screen"),
    ("^Z", "to the shell; `fg` comes back"),
    ("Esc", "one step back, never out"),
    ("q, ^C", "quit"),
];

/// The actions, which `--read-only` does not have.
const ACTIONS: [(&str, &str); 6] = [
    ("Space", "mark: actions are for the marked, else the chosen one"),
    ("s", "start: a guest is started or resumed, a host woken"),
    ("h", "shut down cleanly"),
    ("r", "reboot cleanly"),
    ("z", "suspend: pause a guest, put a host to sleep"),
    ("w", "wake a host by Wake-on-LAN"),
];

/// Lines of text, each in its style.
type Lines = Vec<(String, Style)>;

pub(super) fn draw(buffer: &mut Buffer, area: Rect, state: &State, theme: Theme) {
    match &state.mode {
        Mode::Help { top } => {
            let lines = help(state, theme);
            let area = place(area, lines.len());
            shown(buffer, area, "help", &lines, *top, theme);
            let text = "any other key goes back";
            put(buffer, bottom(area), text, theme.quiet());
        }
        Mode::Dialogue { request, plan, typed, top, again } => {
            let lines = plan_lines(request, plan, area, theme);
            let area = place(area, lines.len());
            shown(buffer, area, &format!("{} {}", plan.action, whom(request)), &lines, *top, theme);
            let (text, style) = question(plan, typed, *again, theme);
            put(buffer, bottom(area), &text, style);
        }
        Mode::Browse | Mode::Filter { .. } => {}
    }
}

/// How far the help can be scrolled.
pub(crate) fn last_line_of_help(state: &State) -> usize {
    last_line(state, help(state, Theme { color: false }).len())
}

/// How far the plan can be scrolled.
pub(crate) fn last_line_of_dialogue(state: &State) -> usize {
    let Mode::Dialogue { request, plan, .. } = &state.mode else { return 0 };
    last_line(state, plan_lines(request, plan, screen(state), Theme { color: false }).len())
}

fn screen(state: &State) -> Rect {
    Rect::new(0, 0, state.size.0, state.size.1)
}

fn last_line(state: &State, lines: usize) -> usize {
    let area = place(screen(state), lines);
    lines.saturating_sub(area.height.saturating_sub(4).into())
}

/// A window in the middle with room for so many lines, or for as many as there can be.
fn place(area: Rect, lines: usize) -> Rect {
    let width = area.width.saturating_sub(4).min(100);
    let height = u16::try_from(lines + 4).unwrap_or(u16::MAX).min(area.height.saturating_sub(2));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// The last line within the frame, which is not scrolled.
fn bottom(area: Rect) -> Rect {
    let inside = area.inner(Margin::new(2, 1));
    Rect { y: inside.bottom().saturating_sub(1), height: inside.height.min(1), ..inside }
}

fn shown(buffer: &mut Buffer, area: Rect, title: &str, lines: &Lines, top: usize, theme: Theme) {
    let area = area.intersection(buffer.area);
    Clear.render(area, buffer);
    Block::bordered().render(area, buffer);
    let title = format!(" {title} ");
    let edge = Rect { x: area.x + 2, height: area.height.min(1), width: area.width.saturating_sub(4), ..area };
    put(buffer, edge, &title, theme.head());
    let inside = area.inner(Margin::new(2, 1));
    let inside = Rect { height: inside.height.saturating_sub(2), ..inside };
    let top = top.min(lines.len().saturating_sub(inside.height.into()));
    for (line, (text, style)) in (0..inside.height).zip(lines.iter().skip(top)) {
        put(buffer, Rect { y: inside.y + line, height: 1, ..inside }, text, *style);
    }
    let below = lines.len().saturating_sub(top + usize::from(inside.height));
    if below > 0 || top > 0 {
        let more = format!("{below} more below, arrows scroll");
        put_right(buffer, Rect { y: inside.bottom(), height: 1, ..inside }, &more, theme.accent());
    }
}

fn help(state: &State, theme: Theme) -> Lines {
    let line = |(keys, what): &(&str, &str)| (format!("{keys:18}{what}"), Style::new());
    let mut lines: Lines = Vec::new();
    if !state.setup.read_only {
        lines.extend(ACTIONS.iter().map(line));
        lines.push((String::new(), Style::new()));
    }
    lines.extend(KEYS.iter().map(line));
    lines.push((String::new(), Style::new()));
    let signs = "● up  ○ stopped  = paused  ◌ hibernated  z asleep  ✖ offline  ? unknown";
    lines.push((signs.to_owned(), theme.quiet()));
    lines.push(("! not as expected   ~ the answer is old   - unknown".to_owned(), theme.quiet()));
    lines
}

fn whom(request: &PlanRequest) -> String {
    match request.servers.as_slice() {
        [one] => one.to_string(),
        many => format!("{} servers", many.len()),
    }
}

/// What would be done, what can be chosen, and what stands against it, with what fixes it first and what overrides it last.
fn plan_lines(request: &PlanRequest, plan: &Plan, area: Rect, theme: Theme) -> Lines {
    let columns = usize::from(place(area, 0).width.saturating_sub(4));
    let mut lines: Lines = Vec::new();
    let mut add = |sign: &str, text: &str, style: Style| {
        let text = clean(text);
        for (i, part) in theme::wrap(&text, columns.saturating_sub(theme::width(sign))).into_iter().enumerate() {
            let sign = if i == 0 { sign.to_owned() } else { " ".repeat(theme::width(sign)) };
            lines.push((sign + &part, style));
        }
    };
    for (i, step) in plan.steps.iter().enumerate() {
        add(&format!("{:2}. ", i + 1), step, Style::new());
    }
    if plan.steps.is_empty() {
        add("", "there is nothing to do", Style::new());
    }
    for (key, text) in choices(request, plan) {
        add(&format!(" {key}  "), &text, theme.accent());
    }
    for finding in &plan.findings {
        let allowed = if finding.allowed { format!(" (allowed: {})", finding.id) } else { String::new() };
        add(" !  ", &format!("{}: {}{allowed}", finding.server, finding.message), theme.bad());
        let hint = match (finding.remedy, &finding.fix) {
            (Some(Remedy::Guests), Some(fix)) => Some(format!("{fix}: press g")),
            (Some(Remedy::ArmWol), Some(fix)) => Some(format!("{fix}: press a")),
            (Some(Remedy::ThenStop), Some(fix)) => Some(format!("{fix}: press t")),
            _ => finding.hint(),
        };
        if let Some(hint) = hint.filter(|_| !finding.allowed) {
            add("    ", &hint, theme.accent());
        }
    }
    if plan.is_refused() {
        add("", "", Style::new());
        for (text, command) in ways(request, plan) {
            add("", text, theme.head());
            if let Some(command) = command {
                add("  ", &command, theme.accent());
            }
        }
    }
    lines
}

/// What can be chosen, and what is.
fn choices(request: &PlanRequest, plan: &Plan) -> Vec<(char, String)> {
    let mut lines = Vec::new();
    if plan.offers.guests {
        let what = match request.choices.guests {
            None => "not while any of them runs (g: shut them down first)",
            Some(Policy::Shutdown) => "they are shut down first (g: hibernate them)",
            Some(Policy::Hibernate) => "virtual machines hibernate first, containers are shut down (g: leave them)",
            Some(Policy::Leave | Policy::Return) => "they are left to the host (g: not while any runs)",
            Some(Policy::Migrate) => "they are moved to other nodes first (g: not while any runs)",
        };
        lines.push(('g', format!("guests on it: {what}")));
    }
    if plan.offers.arm_wol {
        let what =
            if request.choices.arm_wol { "is armed first (a: leave it)" } else { "is not armed (a: arm it first)" };
        lines.push(('a', format!("Wake-on-LAN {what}")));
    }
    if plan.offers.then_stop {
        let what = if request.choices.then_stop { "is stopped (t: leave it)" } else { "stays on (t: stop it)" };
        lines.push(('t', format!("a guest that does not shut down {what}")));
    }
    lines
}

/// The ways past what was found: what fixes it first, what only overrides it last.
fn ways(request: &PlanRequest, plan: &Plan) -> Vec<(&'static str, Option<String>)> {
    let against = || plan.findings.iter().filter(|finding| !finding.allowed);
    let has = |remedy| against().any(|finding| finding.remedy == Some(remedy));
    let fixed = Choices {
        guests: request.choices.guests.or(has(Remedy::Guests).then_some(Policy::Shutdown)),
        arm_wol: request.choices.arm_wol || has(Remedy::ArmWol),
        then_stop: request.choices.then_stop || has(Remedy::ThenStop),
    };
    let servers: Vec<&str> = request.servers.iter().map(ServerId::as_str).collect();
    let command = format!("ecobox power {} {}{}", plan.action, servers.join(" "), fixed.options());
    let can_be_fixed = fixed != request.choices;
    let mut ways = Vec::new();
    if can_be_fixed {
        ways.push(("Fix that here by the keys above, or on the command line:", Some(command.clone())));
    }
    let rest: Vec<_> = against().filter(|finding| finding.remedy.is_none()).collect();
    let mut reasons: Vec<&str> = rest.iter().map(|finding| finding.id.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    match (rest.iter().all(|finding| finding.overridable), can_be_fixed) {
        _ if rest.is_empty() => {}
        (false, true) => ways.push(("The others cannot be overridden.", None)),
        (false, false) => ways.push(("This cannot be overridden.", None)),
        (true, can_be_fixed) => {
            let text = if can_be_fixed {
                "What is left then can only be overridden, and only there:"
            } else {
                "This cannot be overridden here, only on the command line:"
            };
            ways.push((text, Some(format!("{command} --allow {}", reasons.join(",")))));
        }
    }
    ways
}

fn question(plan: &Plan, typed: &str, again: bool, theme: Theme) -> (String, Style) {
    if again {
        return ("planning again ...; Esc abandons it".to_owned(), theme.accent());
    }
    if plan.is_refused() {
        let Offers { guests, arm_wol, then_stop } = plan.offers;
        let offered = [(guests, "g"), (arm_wol, "a"), (then_stop, "t")];
        let keys: Vec<&str> = offered.into_iter().filter(|(is_offered, _)| *is_offered).map(|(_, key)| key).collect();
        let keys = match keys.as_slice() {
            [] => "any key goes back".to_owned(),
            [one] => format!("{one} changes the plan, any other key goes back"),
            more => format!("{} change the plan, any other key goes back", more.join(" and ")),
        };
        return (format!("refused; {keys}"), theme.bad());
    }
    match plan.changes {
        0 => ("any key goes back".to_owned(), theme.quiet()),
        1 => (format!("{}? y agrees, any other key abandons", plan.action), theme.head()),
        many => {
            let text =
                format!("{} {many} servers? type {many} and Enter; any other key abandons: {typed}_", plan.action);
            (text, theme.head())
        }
    }
}
