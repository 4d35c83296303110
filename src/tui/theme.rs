//! How things look: symbols, styles, texts that fit. Nothing is said by colour alone, and nothing needs it.

use std::borrow::Cow;

use jiff::SignedDuration;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::model::power::PowerState;
use crate::model::text::clean;
use crate::model::text::units::{human_age_up_to, human_seconds};
pub(crate) use crate::model::text::wrap;

/// Which styles there are, with colour or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    pub(crate) color: bool,
}

impl Theme {
    fn colored(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    pub(crate) fn good(self) -> Style {
        self.colored(Color::Green)
    }

    pub(crate) fn warn(self) -> Style {
        self.colored(Color::Yellow)
    }

    pub(crate) fn bad(self) -> Style {
        self.colored(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn accent(self) -> Style {
        self.colored(Color::Cyan)
    }

    #[expect(clippy::unused_self, reason = "it stands with the others")]
    pub(crate) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    #[expect(clippy::unused_self, reason = "it stands with the others")]
    pub(crate) fn head(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Of a state's symbol and word.
    pub(crate) fn state(self, state: PowerState) -> Style {
        match state {
            PowerState::Running | PowerState::Online => self.good(),
            PowerState::Offline | PowerState::Unknown => self.bad(),
            PowerState::Paused => self.warn(),
            PowerState::Stopped | PowerState::Hibernated | PowerState::Asleep => self.quiet(),
        }
    }

    /// Of a percentage.
    pub(crate) fn load(self, percent: f64) -> Style {
        match percent {
            90.0.. => self.bad(),
            75.0.. => self.warn(),
            _ => Style::new(),
        }
    }
}

/// The sign of a state.
pub(crate) fn symbol(state: PowerState) -> &'static str {
    match state {
        PowerState::Running | PowerState::Online => "●",
        PowerState::Stopped => "○",
        PowerState::Paused => "=",
        PowerState::Hibernated => "◌",
        PowerState::Offline => "✖",
        PowerState::Asleep => "z",
        PowerState::Unknown => "?",
    }
}

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of it as fits, with a sign that something is missing.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return text.into();
    }
    let mut room = columns.saturating_sub(1);
    let kept = text.char_indices().find(|(_, c)| match room.checked_sub(c.width().unwrap_or(0)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    let end = kept.map_or(text.len(), |(at, _)| at);
    if columns == 0 { "".into() } else { format!("{}…", &text[..end]).into() }
}

/// Writes a text, cleaned and cut, into `area`'s first line; gives how many columns it took.
pub(crate) fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> u16 {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return 0;
    }
    let text = clean(text);
    let text = cut(&text, area.width.into());
    let (end, _) = buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
    end - area.x
}

/// Like `put`, at the right end.
pub(crate) fn put_right(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    let taken = u16::try_from(clean(text).width()).unwrap_or(u16::MAX).min(area.width);
    put(buffer, Rect { x: area.x + area.width - taken, width: taken, ..area }, text, style);
}

/// What is left of a line's area after so many columns.
pub(crate) fn after(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect { x: area.x + columns, width: area.width - columns, ..area }
}

/// Pieces of text one after the other, each in its style.
pub(crate) fn put_all(buffer: &mut Buffer, area: Rect, pieces: &[(String, Style)]) {
    let mut area = area;
    for (text, style) in pieces {
        area = after(area, put(buffer, area, text, *style));
    }
}

/// A bar of so many columns for a percentage, in eighths of a column.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers after the clamp")]
pub(crate) fn bar(percent: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let whole = u32::try_from(columns * 8).unwrap_or(0);
    let eighths = (percent.clamp(0.0, 100.0) / 100.0 * f64::from(whole)).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// An age: `now`, `12s`, `3h05m`.
pub(crate) fn age(age: SignedDuration) -> String {
    match u64::try_from(age.as_secs()).unwrap_or(0) {
        0 => "now".to_owned(),
        seconds => human_seconds(seconds),
    }
}

/// Like `age`, for what may have been seen so much earlier: `<12s`.
pub(crate) fn age_up_to(age: SignedDuration, lag: Option<SignedDuration>) -> String {
    lag.and_then(|lag| human_age_up_to(age, lag)).unwrap_or_else(|| self::age(age))
}

/// Writes what is not ASCII in ASCII: for terminals whose locale knows no more.
pub(crate) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let plain = cell.symbol().chars().next().map_or(' ', ascii);
            cell.set_char(plain);
        }
    }
}

fn ascii(c: char) -> char {
    match c {
        '○' => 'o',
        '◌' => '~',
        '✖' => 'x',
        '▾' | '↓' => 'v',
        '▸' => '>',
        '↑' => '^',
        '…' | '•' => '.',
        '─' => '-',
        '│' => '|',
        '█' | '▉' | '▊' | '▋' | '▌' => '#',
        '▍' | '▎' | '▏' | '\u{2800}' => ' ',
        '✓' | '\u{2500}'..='\u{257f}' => '+',
        '●' | '\u{2801}'..='\u{28ff}' => '*',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_cut_by_columns_and_not_by_letters() {
        for (text, columns, want) in [
            ("web", 3, "web"),
            ("webs", 3, "we…"),
            ("数据库", 6, "数据库"),
            ("数据库", 5, "数据…"),
            ("数据库", 4, "数…"),
            ("a数", 1, "…"),
            ("a", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, columns), want, "{text} {columns}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        for (percent, want) in [(0.0, ""), (100.0, "████"), (50.0, "██"), (3.2, "▏"), (250.0, "████"), (-1.0, "")]
        {
            assert_eq!(bar(percent, 4), want);
        }
        assert_eq!(bar(f64::NAN, 4), "");
    }

    proptest! {
        #[test]
        fn whatever_is_cut_fits(text in ".{0,40}", columns in 0..50_usize) {
            let text = clean(&text).into_owned();
            prop_assert!(width(&cut(&text, columns)) <= columns);
            for line in wrap(&text, columns.max(2)) {
                prop_assert!(width(&line) <= columns.max(2), "{line:?}");
            }
        }
    }
}
