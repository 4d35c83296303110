//! Where on the screen things stand, by its size and by what there is to say. Used by keys, too: they move by pages.

use ratatui::layout::Rect;

use crate::tui::state::State;

/// From this many columns on, details stand beside the list and not below it.
const BESIDE: u16 = 140;

/// With fewer lines than this between title and hints the list and a detail have no room beside each other.
const BOTH: u16 = 14;

/// The parts of the screen. What is not shown is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) title: Rect,
    pub(crate) problems: Rect,
    /// The names of the columns.
    pub(crate) names: Rect,
    pub(crate) rows: Rect,
    pub(crate) pane: Rect,
    pub(crate) status: Rect,
    pub(crate) hints: Rect,
}

impl Areas {
    /// Those of the screen that the state knows of.
    pub(crate) fn of(state: &State) -> Areas {
        Areas::within(state, Rect::new(0, 0, state.size.0, state.size.1))
    }

    /// Whether there is room for the list and a detail.
    pub(crate) fn has_room_for_both(state: &State) -> bool {
        let frame = Areas::frame(state, Rect::new(0, 0, state.size.0, state.size.1));
        frame.rows.width >= BESIDE || frame.rows.height >= BOTH
    }

    /// Those within `area`.
    pub(crate) fn within(state: &State, area: Rect) -> Areas {
        let frame = Areas::frame(state, area);
        let mut rest = frame.rows;
        let pane = if rest.width < BESIDE && rest.height < BOTH {
            let height = if state.instead { rest.height } else { 0 };
            take_bottom(&mut rest, height)
        } else if !state.pane {
            Rect::ZERO
        } else if rest.width >= BESIDE {
            let width = (area.width * 2 / 5).min(120);
            rest.width -= width;
            Rect::new(rest.right(), rest.y, width, rest.height)
        } else {
            let height = (rest.height * 2 / 5).clamp(8, 18);
            take_bottom(&mut rest, height)
        };
        let names = take_top(&mut rest, 1);
        Areas { names, rows: rest, pane, ..frame }
    }

    /// What is always there; all else is `rows`. A small screen has fewer lines that only explain.
    fn frame(state: &State, area: Rect) -> Areas {
        let said = u16::try_from(state.problems.len()).unwrap_or(u16::MAX);
        let mut rest = area;
        let title = take_top(&mut rest, 1);
        let hints = take_bottom(&mut rest, u16::from(area.height >= 10));
        // What is typed has to be seen on the smallest screen.
        let status = take_bottom(&mut rest, u16::from(area.height >= 3));
        let problems = match area.height {
            0..6 => 0,
            height => said.clamp(1, (height / 8).max(1)),
        };
        let problems = take_top(&mut rest, problems);
        Areas { title, problems, names: Rect::ZERO, rows: rest, pane: Rect::ZERO, status, hints }
    }
}

fn take_top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    *rest = Rect { y: rest.y + height, height: rest.height - height, ..*rest };
    taken
}

fn take_bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect { y: rest.y + rest.height, height, ..*rest }
}
