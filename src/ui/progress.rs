//! What is being done now, as lines at the end of the terminal that move, each with its time. They are gone when it is over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::model::text::shown;
use crate::model::text::units::human_span;

/// How often the lines are drawn.
const TICK: Duration = Duration::from_millis(120);

/// All lines of a terminal that move.
#[derive(Debug, Clone)]
pub(super) struct Lines(MultiProgress);

impl Lines {
    /// Without a terminal nothing is drawn.
    pub(super) fn new(seen: bool) -> Lines {
        Lines(MultiProgress::with_draw_target(if seen {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        }))
    }

    fn add(&self, message: &str, of: Option<Duration>) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_style(style(of)).with_message(shown(message).into_owned());
        let bar = self.0.add(bar);
        if !self.0.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    /// Takes the lines away until the guard is dropped: somebody is asked something.
    pub(super) fn pause(&self) -> Option<Paused<'_>> {
        if self.0.is_hidden() {
            return None;
        }
        let _ = self.0.clear();
        self.0.set_draw_target(ProgressDrawTarget::hidden());
        Some(Paused(self))
    }
}

/// While it lives nothing moves.
pub(super) struct Paused<'l>(&'l Lines);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.0.set_draw_target(ProgressDrawTarget::stderr());
    }
}

fn style(of: Option<Duration>) -> ProgressStyle {
    let clock = move |state: &ProgressState, out: &mut dyn Write| {
        let _ = out.write_str(&time(state.elapsed(), of));
    };
    let style = ProgressStyle::with_template("{spinner} {msg}{clock}");
    style.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("clock", clock)
}

/// `, 12 s of 5 min`; a moment needs no time.
fn time(elapsed: Duration, of: Option<Duration>) -> String {
    match of {
        _ if elapsed < Duration::from_secs(1) => String::new(),
        Some(of) => format!(", {} of {}", human_span(elapsed), human_span(of)),
        None => format!(", {}", human_span(elapsed)),
    }
}

/// What is being done, and the steps of it that are. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    lines: Lines,
    head: ProgressBar,
    steps: RefCell<BTreeMap<usize, ProgressBar>>,
}

impl Progress {
    pub(super) fn new(lines: Lines, message: &str) -> Progress {
        let head = lines.add(message, None);
        Progress { lines, head, steps: RefCell::default() }
    }

    /// Says how far it is.
    pub(crate) fn set(&self, message: &str) {
        self.head.set_message(shown(message).into_owned());
    }

    /// Says what a step does now, and how long it may take in all. Its time goes on.
    pub(crate) fn step(&self, number: usize, message: &str, of: Option<Duration>) {
        let mut steps = self.steps.borrow_mut();
        let bar = steps.entry(number).or_insert_with(|| self.lines.add(message, of));
        bar.set_style(style(of));
        bar.set_message(shown(message).into_owned());
    }

    /// A step is over: nothing more is said of it.
    pub(crate) fn end_step(&self, number: usize) {
        if let Some(bar) = self.steps.borrow_mut().remove(&number) {
            self.drop_bar(&bar);
        }
    }

    fn drop_bar(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.lines.0.remove(bar);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for bar in std::mem::take(&mut *self.steps.borrow_mut()).values().chain([&self.head]) {
            self.drop_bar(bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_long_and_of_how_much() {
        let seconds = Duration::from_secs;
        for (elapsed, of, want) in [
            (Duration::from_millis(900), Some(seconds(300)), ""),
            (seconds(12), Some(seconds(300)), ", 12 s of 5 min"),
            (seconds(75), None, ", 1 min 15 s"),
        ] {
            assert_eq!(time(elapsed, of), want);
        }
    }
}
