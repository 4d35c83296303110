//! Dots in cells: a cell of braille has two columns of four, one of ASCII is a dot itself.

use super::letter;

/// The bits of a braille cell, by row and column of its dots (Unicode, U+2800).
const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// How many columns lie between two letters of one line.
const MARK_EVERY: usize = 24;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    dots: u32,
    /// The line that drew last.
    owner: Option<usize>,
    /// The line whose letter stands here.
    mark: Option<usize>,
}

/// The area in which lines are drawn. Shares of it go from 0 to 1, left to right and bottom to top.
pub(super) struct Canvas {
    columns: usize,
    rows: usize,
    /// Dots of a cell: columns and rows.
    dots: (usize, usize),
    /// How many lines there are; a single one needs no letter.
    lines: usize,
    cells: Vec<Cell>,
    /// The cells of each line, as they were drawn.
    touched: Vec<(usize, usize)>,
}

impl Canvas {
    pub(super) fn new(columns: usize, rows: usize, braille: bool, lines: usize) -> Canvas {
        let dots = if braille { (2, 4) } else { (1, 1) };
        Canvas { columns, rows, dots, lines, cells: vec![Cell::default(); columns * rows], touched: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }

    /// The row of cells in which the share of the height is.
    pub(super) fn row_of(&self, share: f64) -> usize {
        dot(1.0 - share, self.rows * self.dots.1) / self.dots.1
    }

    /// Draws a line through the points; `None` is a gap.
    pub(super) fn draw(&mut self, line: usize, points: impl Iterator<Item = Option<(f64, f64)>>) {
        let (width, height) = (self.columns * self.dots.0, self.rows * self.dots.1);
        let mut last: Option<(usize, usize)> = None;
        for point in points {
            let here = point.map(|(x, y)| (dot(x, width), dot(1.0 - y, height)));
            if let Some(here) = here {
                self.stroke(line, last.filter(|last| last.0 <= here.0).unwrap_or(here), here);
            }
            last = here;
        }
    }

    /// Sets the dots from one to the other, which is not left of it: in each column those nearest to the line.
    fn stroke(&mut self, line: usize, from: (usize, usize), to: (usize, usize)) {
        let steps = to.0 - from.0;
        let height_at = |step: usize| {
            let (a, b) = (from.1 * (steps - step), to.1 * step);
            (a + b + steps / 2).checked_div(steps).unwrap_or(to.1)
        };
        let mut y = from.1;
        for step in 0..=steps {
            let next = height_at(step);
            // Half of a steep way belongs to each of the two columns.
            let middle = y.midpoint(next);
            if step > 0 {
                self.column(line, from.0 + step - 1, y, middle);
                self.column(line, from.0 + step, middle, next);
            } else {
                self.column(line, from.0, y, next);
            }
            y = next;
        }
    }

    fn column(&mut self, line: usize, x: usize, from: usize, to: usize) {
        for y in from.min(to)..=from.max(to) {
            let cell = y / self.dots.1 * self.columns + x / self.dots.0;
            let bits = BITS[y % self.dots.1][x % self.dots.0];
            if let Some(found) = self.cells.get_mut(cell) {
                if found.owner != Some(line) {
                    self.touched.push((line, cell));
                }
                found.dots |= bits;
                found.owner = Some(line);
            }
        }
    }

    /// Puts letters on the lines, so that they can be distinguished without colour: one every few columns, each line
    /// at others, and at least one wherever there is room.
    pub(super) fn mark(&mut self) {
        if self.lines < 2 {
            return;
        }
        let mut cells: Vec<Vec<usize>> = vec![Vec::new(); self.lines];
        for (line, cell) in &self.touched {
            if let Some(cells) = cells.get_mut(*line) {
                cells.push(*cell);
            }
        }
        for (line, cells) in cells.iter_mut().enumerate() {
            cells.sort_by_key(|cell| (cell % self.columns, cell / self.columns));
            let begin = line * MARK_EVERY / self.lines + MARK_EVERY / (2 * self.lines);
            let mut next = begin;
            let mut marked = false;
            for cell in cells.iter() {
                let column = cell % self.columns;
                if column < next || self.cells[*cell].mark.is_some() {
                    continue;
                }
                self.cells[*cell].mark = Some(line);
                marked = true;
                next = (column.saturating_sub(begin) / MARK_EVERY + 1) * MARK_EVERY + begin;
            }
            if let (false, Some(cell)) = (marked, cells.iter().find(|cell| self.cells[**cell].mark.is_none())) {
                self.cells[*cell].mark = Some(line);
            }
        }
    }

    /// The cells of a row as pieces of text, each with the line that it belongs to.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (Option<usize>, String)> {
        let cells = &self.cells[row * self.columns..(row + 1) * self.columns];
        let owner = |cell: &Cell| cell.mark.or(cell.owner);
        cells.chunk_by(move |a, b| owner(a) == owner(b)).map(move |chunk| {
            let text = chunk.iter().map(|cell| self.character(cell)).collect();
            (chunk.first().and_then(owner), text)
        })
    }

    fn character(&self, cell: &Cell) -> char {
        match (cell.mark, cell.dots) {
            (Some(line), _) => letter(line),
            (None, 0) => ' ',
            (None, dots) if self.dots.0 == 2 => char::from_u32(0x2800 | dots).unwrap_or(' '),
            (None, _) => cell.owner.filter(|_| self.lines > 1).map_or('*', letter),
        }
    }
}

/// The dot of so many at this share of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a dot of a screen, clamped to it"
)]
fn dot(share: f64, count: usize) -> usize {
    let last = count.saturating_sub(1);
    ((share * last as f64).round().clamp(0.0, last as f64)) as usize
}
