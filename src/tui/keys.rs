//! What each key does, by what is on the screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::power::PowerAction;
use crate::tui::event::{Choices, Effect, PlanRequest};
use crate::tui::layout::Areas;
use crate::tui::problems::problems;
use crate::tui::state::{Mode, Order, State};
use crate::tui::view;

/// The most letters of a filter: more is a slip.
const LONGEST_FILTER: usize = 200;

/// What a key press changes, and what is to be done then.
pub(crate) fn press(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let held = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SUPER);
    if held && key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        let mut effects = abandon(state);
        effects.push(Effect::Quit);
        return effects;
    }
    match state.mode {
        Mode::Browse => browse(state, key, held),
        Mode::Filter { .. } => {
            filter(state, key, held);
            Vec::new()
        }
        Mode::Help { .. } => {
            help(state, key.code);
            Vec::new()
        }
        Mode::Dialogue { .. } => dialogue(state, key.code, held),
    }
}

/// Text put in at once. What it says is not what somebody pressed: it only ever is part of a filter.
pub(crate) fn paste(state: &mut State, text: &str) {
    if matches!(state.mode, Mode::Filter { .. }) {
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let room = LONGEST_FILTER.saturating_sub(state.filter.text.chars().count());
        let plain: String = plain.take(room).collect();
        state.filter.text.push_str(&plain);
        state.apply_filter();
    }
}

/// Takes back what was asked for and is not carried out.
fn abandon(state: &mut State) -> Vec<Effect> {
    let mode = std::mem::replace(&mut state.mode, Mode::Browse);
    let asked = match mode {
        Mode::Dialogue { request, .. } => {
            state.request.take_if(|wanted| wanted.number == request.number);
            Some(request)
        }
        _ => state.request.take().or_else(|| state.ready.take().map(|(request, _)| request)),
    };
    asked.map(|request| Effect::Abandon { number: request.number }).into_iter().collect()
}

fn browse(state: &mut State, key: KeyEvent, held: bool) -> Vec<Effect> {
    let page = usize::from(Areas::of(state).rows.height).max(1);
    let code = key.code;
    if held {
        match code {
            KeyCode::Char('f') => go(state, |at| at.saturating_add(page)),
            KeyCode::Char('b') => go(state, |at| at.saturating_sub(page)),
            KeyCode::Char('d') => go(state, |at| at.saturating_add(page / 2)),
            KeyCode::Char('u') => go(state, |at| at.saturating_sub(page / 2)),
            KeyCode::Char('n') => go(state, |at| at.saturating_add(1)),
            KeyCode::Char('p') => go(state, |at| at.saturating_sub(1)),
            KeyCode::Char('r') => return vec![Effect::Refresh],
            _ => {}
        }
        return Vec::new();
    }
    match code {
        KeyCode::Char('q') => {
            let mut effects = abandon(state);
            effects.push(Effect::Quit);
            return effects;
        }
        KeyCode::Esc => return back(state),
        KeyCode::Char('j') | KeyCode::Down => go(state, |at| at.saturating_add(1)),
        KeyCode::Char('k') | KeyCode::Up => go(state, |at| at.saturating_sub(1)),
        KeyCode::PageDown => go(state, |at| at.saturating_add(page)),
        KeyCode::PageUp => go(state, |at| at.saturating_sub(page)),
        KeyCode::Home | KeyCode::Char('g') => go(state, |_| 0),
        KeyCode::End | KeyCode::Char('G') => go(state, |_| usize::MAX),
        KeyCode::Left => fold(state, true),
        KeyCode::Right => fold(state, false),
        KeyCode::Char('f') => {
            let folded = state.rows.get(state.at).is_some_and(|row| row.folded);
            fold(state, !folded);
        }
        KeyCode::Char('F') => fold_all(state),
        KeyCode::Char('t') => {
            state.flat = !state.flat;
            state.arrange();
        }
        KeyCode::Enter | KeyCode::Char('d') => {
            if Areas::has_room_for_both(state) {
                state.pane = !state.pane;
            } else {
                state.instead = !state.instead;
            }
            state.settle();
        }
        KeyCode::Char(']') => state.pane_top = (state.pane_top + 1).min(view::last_line_of_pane(state)),
        KeyCode::Char('[') => state.pane_top = state.pane_top.saturating_sub(1),
        KeyCode::Char('/') => state.mode = Mode::Filter { before: state.filter.text.clone() },
        KeyCode::Char('?') | KeyCode::F(1) => state.mode = Mode::Help { top: 0 },
        KeyCode::F(5) => return vec![Effect::Refresh],
        KeyCode::Char(letter) => return letter_of_browse(state, letter),
        _ => {}
    }
    Vec::new()
}

/// Esc: one step back. Never out: who leaves a dialogue that has just gone by itself means that, not the screen.
fn back(state: &mut State) -> Vec<Effect> {
    if state.request.is_some() {
        return abandon(state);
    }
    if !state.failed.is_empty() {
        forget_failed(state);
    } else if !state.marked.is_empty() {
        state.marked.clear();
    } else if !state.filter.text.is_empty() {
        state.filter.text.clear();
        state.apply_filter();
    }
    Vec::new()
}

/// Which actions failed was read.
fn forget_failed(state: &mut State) {
    state.failed.clear();
    state.problems = problems(state);
    state.settle();
}

fn letter_of_browse(state: &mut State, letter: char) -> Vec<Effect> {
    let order = match letter {
        'O' => Some(Order::Own),
        'N' => Some(Order::Name),
        'S' => Some(Order::State),
        'C' => Some(Order::Cpu),
        'M' => Some(Order::Memory),
        'A' => Some(Order::Age),
        _ => None,
    };
    if let Some(order) = order {
        state.reversed = state.order == order && !state.reversed;
        state.order = order;
        state.arrange();
        return Vec::new();
    }
    if state.setup.read_only {
        return Vec::new();
    }
    if letter == ' ' {
        if let Some(key) = state.rows.get(state.at).map(|row| state.keys[row.place].clone()) {
            if !state.marked.remove(&key) {
                state.marked.insert(key);
            }
            go(state, |at| at.saturating_add(1));
        }
        return Vec::new();
    }
    let action = match letter {
        's' => PowerAction::Start,
        'h' => PowerAction::Shutdown,
        'r' => PowerAction::Reboot,
        'z' => PowerAction::Suspend,
        'w' => PowerAction::Wake,
        _ => return Vec::new(),
    };
    if let Some(request) = &state.request {
        state.message = Some(format!("{} is still being planned; Esc abandons it", request.action));
        return Vec::new();
    }
    let servers = state.targets();
    if servers.is_empty() {
        return Vec::new();
    }
    state.requests += 1;
    state.message = None;
    forget_failed(state);
    let request = PlanRequest { number: state.requests, action, servers, choices: Choices::default() };
    state.request = Some(request.clone());
    vec![prepare(request)]
}

fn prepare(request: PlanRequest) -> Effect {
    let PlanRequest { number, action, servers, choices } = request;
    Effect::Prepare { number, action, servers, choices }
}

fn go(state: &mut State, to: impl Fn(usize) -> usize) {
    state.at = to(state.at);
    state.settle();
}

/// Folds the chosen row, or what it stands under; unfolds it.
fn fold(state: &mut State, away: bool) {
    let Some(row) = state.rows.get(state.at).copied() else { return };
    if !away {
        state.folded.remove(&state.keys[row.place]);
    } else if row.below > 0 && !row.folded {
        state.folded.insert(state.keys[row.place].clone());
    } else if let Some(upper) = state.rows[..state.at].iter().rposition(|other| other.depth < row.depth) {
        state.at = upper;
        state.chosen = Some(state.keys[state.rows[upper].place].clone());
    }
    state.arrange();
}

/// Folds all that can be; where all is folded, unfolds all.
fn fold_all(state: &mut State) {
    let heads: Vec<_> = state.rows.iter().filter(|row| row.below > 0 && row.depth == 0).copied().collect();
    if heads.iter().all(|row| row.folded) {
        state.folded.clear();
    } else {
        state.folded.extend(heads.iter().map(|row| state.keys[row.place].clone()));
        // The chosen one may be folded away: what it stands under is chosen then.
        let upper = state.rows.iter().take(state.at + 1).rposition(|row| row.depth == 0);
        if let Some(upper) = upper {
            state.chosen = Some(state.keys[state.rows[upper].place].clone());
        }
    }
    state.arrange();
}

fn filter(state: &mut State, key: KeyEvent, held: bool) {
    match key.code {
        KeyCode::Char('u') if held => state.filter.text.clear(),
        KeyCode::Char('w') if held => {
            let kept = state.filter.text.trim_end().rfind(char::is_whitespace).map_or(0, |at| at + 1);
            state.filter.text.truncate(kept);
        }
        KeyCode::Char('h') if held => drop(state.filter.text.pop()),
        KeyCode::Char(_) if held => return,
        KeyCode::Char(letter) if state.filter.text.chars().count() < LONGEST_FILTER => state.filter.text.push(letter),
        KeyCode::Backspace => {
            if state.filter.text.pop().is_none() {
                state.mode = Mode::Browse;
            }
        }
        KeyCode::Esc => {
            if let Mode::Filter { before } = std::mem::replace(&mut state.mode, Mode::Browse) {
                state.filter.text = before;
            }
        }
        KeyCode::Enter => {
            state.mode = Mode::Browse;
            // What is shown is what the last good text means: the line says that then.
            if state.filter.error.is_some() {
                state.filter.text.clone_from(&state.filter.kept);
                state.filter.error = None;
                state.settle();
                return;
            }
        }
        KeyCode::Down => return go(state, |at| at.saturating_add(1)),
        KeyCode::Up => return go(state, |at| at.saturating_sub(1)),
        _ => return,
    }
    state.apply_filter();
}

fn help(state: &mut State, code: KeyCode) {
    let last = view::last_line_of_help(state);
    let Mode::Help { top } = &mut state.mode else { return };
    match scrolled(code, *top, last) {
        Some(to) => *top = to,
        None => state.mode = Mode::Browse,
    }
}

/// Where a text is scrolled to; `None` for a key that does not scroll.
fn scrolled(code: KeyCode, top: usize, last: usize) -> Option<usize> {
    let to = match code {
        KeyCode::Down | KeyCode::Char('j') => top + 1,
        KeyCode::Up | KeyCode::Char('k') => top.saturating_sub(1),
        KeyCode::PageDown => top + 10,
        KeyCode::PageUp => top.saturating_sub(10),
        KeyCode::Home => 0,
        KeyCode::End => last,
        _ => return None,
    };
    Some(to.min(last))
}

fn dialogue(state: &mut State, code: KeyCode, held: bool) -> Vec<Effect> {
    let last = view::last_line_of_dialogue(state);
    let Mode::Dialogue { request, plan, typed, top, again } = &mut state.mode else { return Vec::new() };
    let chosen = match code {
        KeyCode::Char('g') if plan.offers.guests && !held => Some(request.choices.next_guests()),
        KeyCode::Char('a') if plan.offers.arm_wol && !held => {
            Some(Choices { arm_wol: !request.choices.arm_wol, ..request.choices })
        }
        KeyCode::Char('t') if plan.offers.then_stop && !held => {
            Some(Choices { then_stop: !request.choices.then_stop, ..request.choices })
        }
        _ => None,
    };
    if let Some(choices) = chosen {
        state.requests += 1;
        let before = std::mem::replace(&mut request.number, state.requests);
        (request.choices, *again) = (choices, true);
        typed.clear();
        state.request = Some(request.clone());
        return vec![Effect::Abandon { number: before }, prepare(request.clone())];
    }
    if let Some(to) = scrolled(code, *top, last).filter(|_| !held) {
        *top = to;
        return Vec::new();
    }
    // Who types an answer means the plan that was shown: it is not wanted any more.
    if *again && !matches!(code, KeyCode::Esc | KeyCode::Char('q')) {
        return Vec::new();
    }
    let can = !plan.is_refused() && plan.changes > 0 && !held && !*again;
    let agreed = match (code, plan.changes) {
        (KeyCode::Char('y'), 1) => can,
        (KeyCode::Char(digit), 2..) if can && digit.is_ascii_digit() && typed.len() < 6 => {
            typed.push(digit);
            return Vec::new();
        }
        (KeyCode::Backspace, 2..) if can && !typed.is_empty() => {
            typed.pop();
            return Vec::new();
        }
        (KeyCode::Enter | KeyCode::Char('y'), 2..) => can && *typed == plan.changes.to_string(),
        _ => false,
    };
    let (number, action) = (plan.number, plan.action);
    if !agreed {
        let refused = plan.is_refused() || plan.changes == 0;
        state.message = (!refused).then(|| format!("{action}: not confirmed, nothing was sent"));
        return abandon(state);
    }
    state.mode = Mode::Browse;
    state.marked.clear();
    state.message = Some(format!("{action}: begun"));
    vec![Effect::Carry { number }]
}
