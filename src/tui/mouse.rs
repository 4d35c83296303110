//! What the wheel and a click do: they choose and scroll, and never agree to anything or abandon it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use crate::tui::layout::Areas;
use crate::tui::state::{Mode, State};
use crate::tui::view;

/// So many lines is one turn of the wheel.
const LINES: usize = 3;

/// What the mouse changes.
pub(crate) fn handle(state: &mut State, mouse: MouseEvent) {
    let down = match mouse.kind {
        MouseEventKind::ScrollDown => true,
        MouseEventKind::ScrollUp => false,
        MouseEventKind::Down(MouseButton::Left) => return click(state, mouse),
        _ => return,
    };
    let turned = |top: usize, last: usize| if down { (top + LINES).min(last) } else { top.saturating_sub(LINES) };
    let last = match state.mode {
        Mode::Help { .. } => view::last_line_of_help(state),
        Mode::Dialogue { .. } => view::last_line_of_dialogue(state),
        _ => 0,
    };
    match &mut state.mode {
        Mode::Help { top } | Mode::Dialogue { top, .. } => *top = turned(*top, last),
        Mode::Browse | Mode::Filter { .. } => {
            if Areas::of(state).pane.contains(Position::new(mouse.column, mouse.row)) {
                state.pane_top = turned(state.pane_top, view::last_line_of_pane(state));
            } else {
                state.at = turned(state.at, state.rows.len().saturating_sub(1));
                state.settle();
            }
        }
    }
}

/// Chooses the row; on the sign before a host's name, folds and unfolds it.
fn click(state: &mut State, mouse: MouseEvent) {
    let rows = Areas::of(state).rows;
    if !matches!(state.mode, Mode::Browse) || !rows.contains(Position::new(mouse.column, mouse.row)) {
        return;
    }
    let at = state.top + usize::from(mouse.row - rows.y);
    let Some(row) = state.rows.get(at).copied() else { return };
    state.at = at;
    let sign = view::sign_of(row);
    if row.below > 0 && (sign..sign + 2).contains(&usize::from(mouse.column - rows.x)) {
        let key = state.keys[row.place].clone();
        state.chosen = Some(key.clone());
        if !state.folded.remove(&key) {
            state.folded.insert(key);
        }
        state.arrange();
    }
    state.settle();
}
