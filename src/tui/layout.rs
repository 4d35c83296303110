//! Where on the screen things stand, by its size and by what there is to say. Used by keys, too: they move by pages.

use ratatui::layout::Rect;

use crate::tui::app::State;

/// Below this many columns and lines nothing can be read.
pub(crate) const LEAST: (u16, u16) = (80, 24);

/// From this many columns on, details stand beside the list and not below it.
const BESIDE: u16 = 140;

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

    /// Those within `area`.
    pub(crate) fn within(state: &State, area: Rect) -> Areas {
        let said = u16::try_from(state.problems.len()).unwrap_or(u16::MAX);
        let mut rest = area;
        let title = take_top(&mut rest, 1);
        let problems = take_top(&mut rest, said.clamp(1, (area.height / 8).max(1)));
        let hints = take_bottom(&mut rest, 1);
        let status = take_bottom(&mut rest, 1);
        let pane = if !state.pane {
            Rect::ZERO
        } else if area.width >= BESIDE {
            let width = (area.width * 2 / 5).min(120);
            rest.width -= width;
            Rect::new(rest.right(), rest.y, width, rest.height)
        } else {
            let height = (rest.height * 2 / 5).clamp(8, 18);
            take_bottom(&mut rest, height)
        };
        let names = take_top(&mut rest, 1);
        Areas { title, problems, names, rows: rest, pane, status, hints }
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
