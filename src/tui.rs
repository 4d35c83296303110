//! The screen of `watch` on a terminal.
//!
//! `event` has what comes in and goes out, `app` the state and the pure `update`, `keys` and `mouse` what each means, `rows` who
//! is shown in which order, `view` the drawing, which only reads. This file has all that touches the terminal.

mod app;
mod event;
mod keys;
mod layout;
mod mouse;
mod problems;
mod rows;
mod samples;
mod state;
mod theme;
mod view;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Stdout, Write as _};
use std::panic;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event as Typed, EventStream,
    KeyCode, KeyEvent, KeyModifiers, MouseEventKind,
};
use crossterm::{cursor, execute, terminal};
use futures::{Stream, StreamExt as _};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use rustix::process::{Signal, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::app::update;

pub(crate) use self::event::{Choices, Effect, Entry, Event, Offers, Plan};
pub(crate) use self::samples::Point;
pub(crate) use self::state::{Setup, State};

/// How long a frame stands at least.
const FRAME: Duration = Duration::from_millis(100);

/// Like `FRAME`, after a key press, which should show at once.
const AFTER_KEY: Duration = Duration::from_millis(25);

/// Shows the screen until somebody quits, the terminal goes, or `events` ends. `effects` is told what is wanted, and is
/// not to wait for it. When this is dropped the terminal is as it was.
///
/// # Errors
/// A terminal that cannot be used, or is gone.
pub(crate) async fn run(
    start: State,
    events: impl Stream<Item = Event>,
    mut effects: impl FnMut(Effect),
) -> io::Result<()> {
    let mut state = start;
    let mut events = pin!(events);
    // Not before everything that can fail has succeeded: after an error the terminal is still usable.
    let (mut hung_up, mut continued) = (signal(SignalKind::hangup())?, signal(SignalKind::from_raw(sigcont()))?);
    let guard = Guard::enter()?;
    let mut screen = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout())))?;
    let mut input = EventStream::new();
    let size = screen.size()?;
    tell(&mut state, Event::Resize(size.width, size.height), &mut effects);
    let mut drawn = Instant::now().checked_sub(FRAME).unwrap_or_else(Instant::now);
    let mut pause = FRAME;
    loop {
        if state.dirty && drawn.elapsed() >= pause {
            screen.draw(|frame| view::draw(frame, &state))?;
            state.dirty = false;
            (drawn, pause) = (Instant::now(), FRAME);
        }
        let next = tokio::select! {
            event = input.next() => match event {
                Some(Ok(typed)) => match taken(typed, &guard, &mut screen, &mut state)? {
                    Some(event) => {
                        if matches!(event, Event::Key(_) | Event::Mouse(_)) {
                            pause = AFTER_KEY;
                        }
                        event
                    }
                    None => continue,
                },
                Some(Err(error)) => return Err(error),
                // The input has ended: the terminal is gone.
                None => return Ok(()),
            },
            event = events.next() => match event {
                Some(event) => event,
                None => return Ok(()),
            },
            _ = hung_up.recv() => return Ok(()),
            // Somebody stopped the process from outside, and the shell took the terminal meanwhile.
            _ = continued.recv() => {
                enter()?;
                redraw(&mut screen, &mut state)?;
                continue;
            }
            () = sleep_until(drawn + pause), if state.dirty => continue,
        };
        if tell(&mut state, next, &mut effects) {
            return Ok(());
        }
    }
}

/// What was typed, as an event for the state; `None`: it was for the terminal, or for nothing.
fn taken(
    typed: Typed,
    guard: &Guard,
    screen: &mut Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    state: &mut State,
) -> io::Result<Option<Event>> {
    match meaning(typed) {
        Meaning::Event(event) => return Ok(Some(event)),
        Meaning::Stop => {
            guard.stop()?;
            redraw(screen, state)?;
        }
        Meaning::Redraw => redraw(screen, state)?,
        Meaning::Nothing => {}
    }
    Ok(None)
}

/// Has the state take an event; gives whether it is over.
fn tell(state: &mut State, event: Event, effects: &mut impl FnMut(Effect)) -> bool {
    let mut over = false;
    for effect in update(state, event) {
        over |= effect == Effect::Quit;
        effects(effect);
    }
    over
}

/// What something that was typed is for.
enum Meaning {
    /// The state.
    Event(Event),
    /// The process is stopped, as by any shell's Ctrl-Z.
    Stop,
    /// Everything is redrawn.
    Redraw,
    Nothing,
}

fn meaning(typed: Typed) -> Meaning {
    match typed {
        Typed::Key(key) if is_held(key, 'z') => Meaning::Stop,
        Typed::Key(key) if is_held(key, 'l') => Meaning::Redraw,
        Typed::Key(key) => Meaning::Event(Event::Key(key)),
        // A mouse that only moves is nothing, and comes often.
        Typed::Mouse(mouse) if matches!(mouse.kind, MouseEventKind::Moved) => Meaning::Nothing,
        Typed::Mouse(mouse) => Meaning::Event(Event::Mouse(mouse)),
        Typed::Paste(text) => Meaning::Event(Event::Paste(text)),
        Typed::Resize(columns, lines) => Meaning::Event(Event::Resize(columns, lines)),
        Typed::FocusGained | Typed::FocusLost => Meaning::Nothing,
    }
}

fn is_held(key: KeyEvent, letter: char) -> bool {
    key.code == KeyCode::Char(letter) && key.modifiers.contains(KeyModifiers::CONTROL)
}

/// Redraws everything. Not by `clear`: that asks the terminal where the cursor is, and waits for the answer.
fn redraw(screen: &mut Terminal<CrosstermBackend<BufWriter<Stdout>>>, state: &mut State) -> io::Result<()> {
    let size = screen.size()?;
    screen.resize(Rect::new(0, 0, size.width, size.height))?;
    state.dirty = true;
    Ok(())
}

/// The number of SIGCONT, which tokio has no name for.
fn sigcont() -> i32 {
    Signal::CONT.as_raw()
}

type Hook = Box<dyn Fn(&panic::PanicHookInfo<'_>) + Sync + Send>;

/// While it lives the terminal is the screen's; whatever ends it gives the terminal back.
struct Guard {
    hook: Arc<Hook>,
}

impl Guard {
    fn enter() -> io::Result<Guard> {
        let hook = Arc::new(panic::take_hook());
        let then = Arc::clone(&hook);
        // The message of a panic comes before anything is dropped: on the other screen it would not be seen.
        panic::set_hook(Box::new(move |info| {
            leave();
            then(info);
        }));
        let guard = Guard { hook };
        enter()?;
        Ok(guard)
    }

    /// To the shell, and back when it says so.
    #[expect(clippy::unused_self, reason = "only who has the terminal can give it back")]
    fn stop(&self) -> io::Result<()> {
        leave();
        kill_current_process_group(Signal::TSTP)?;
        enter()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
        // In a panic the hook is in use, and cannot be changed.
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

fn enter() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), terminal::EnterAlternateScreen, EnableBracketedPaste, EnableMouseCapture, cursor::Hide)
}

/// Nothing can be done about a terminal that does not take it.
fn leave() {
    let mut stdout = io::stdout();
    let _ = execute!(stdout, DisableMouseCapture, DisableBracketedPaste, cursor::Show, terminal::LeaveAlternateScreen);
    let _ = stdout.flush();
    let _ = terminal::disable_raw_mode();
}
