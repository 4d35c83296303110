//! What ends the process where the run itself cannot: a file system that does not answer keeps the thread that waits for it,
//! and with it the runtime, deaf to signals and to its deadlines.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

use crate::exit::Exit;
use crate::ui;

/// How long a run that was signalled may take for its last words.
const GRACE: Duration = Duration::from_secs(2);
/// How often a run shows that it goes on, and how often that is looked at.
const BEAT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(5);
/// So many looks without a beat are too many. A statement may wait for other processes' for half a minute.
const MOST_SILENT: u32 = 15;

/// What a run tells of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    beats: AtomicU64,
    /// It waits for somebody who reads what it prints, and may do so for ever.
    rests: AtomicBool,
    /// It hears signals itself.
    listens: AtomicBool,
    /// Signals are a command's that runs in the foreground.
    passes_signals: AtomicBool,
    /// Signals that were ignored when the process began, as bits: they stay so.
    ignored: AtomicU64,
}

impl Pulse {
    /// Shows from time to time that the runtime goes on. It never ends.
    pub(crate) async fn beat(&self) {
        loop {
            self.0.beats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// It hears signals from here on, and gets some time for its last words.
    pub(crate) fn listens(&self) {
        self.0.listens.store(true, Ordering::Relaxed);
    }

    /// From now on signals are not meant for the run.
    pub(crate) fn pass_signals(&self) {
        self.0.passes_signals.store(true, Ordering::Relaxed);
    }

    pub(crate) fn passes_signals(&self) -> bool {
        self.0.passes_signals.load(Ordering::Relaxed)
    }

    /// These signals were ignored when the process began.
    pub(crate) fn ignore(&self, signals: &[i32]) {
        let bits = signals.iter().fold(0, |bits, signal| bits | bit(*signal));
        self.0.ignored.store(bits, Ordering::Relaxed);
    }

    pub(crate) fn ignores(&self, signal: i32) -> bool {
        self.0.ignored.load(Ordering::Relaxed) & bit(signal) != 0
    }

    /// Whether it waits for somebody with good reason.
    pub(crate) fn rest(&self, rests: bool) {
        self.0.rests.store(rests, Ordering::Relaxed);
    }
}

fn bit(signal: i32) -> u64 {
    u32::try_from(signal).ok().and_then(|number| 1_u64.checked_shl(number)).unwrap_or_default()
}

/// Counts the looks at which nothing had happened.
#[derive(Debug, Default)]
struct Silence {
    beats: u64,
    looks: u32,
}

impl Silence {
    /// Whether it has lasted too long. Looks are counted, not time: a process that was stopped has missed none.
    fn is_too_long(&mut self, beats: u64, rests: bool) -> bool {
        self.looks = if rests || beats != self.beats { 0 } else { self.looks + 1 };
        self.beats = beats;
        self.looks >= MOST_SILENT
    }
}

/// Watches over the run from a thread of its own, to the end of the process. Without a thread there is no watch. Signals are
/// heard from here on, and not only once the thread runs: a question may be asked before.
pub(crate) fn watch(pulse: &Pulse) {
    let pulse = pulse.clone();
    let Ok(ears) = Ears::listen(&pulse) else { return };
    let _ = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        let Ok(exit) = ears.reason(&pulse) else { return };
        if exit == Exit::Config {
            ui::last_words(
                "nothing happens any more: the file system of the configuration or the state file does not answer",
            );
        } else if pulse.0.listens.load(Ordering::Relaxed) {
            thread::sleep(GRACE);
        }
        end(exit);
    });
}

/// What hears of signals. A runtime for this would cost each run more than a socket.
struct Ears {
    heard: UnixStream,
    which: Arc<AtomicUsize>,
}

impl Ears {
    fn listen(pulse: &Pulse) -> io::Result<Ears> {
        let (heard, tell) = UnixStream::pair()?;
        heard.set_read_timeout(Some(LOOK))?;
        let which = Arc::new(AtomicUsize::new(0));
        let ends = [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)];
        for (signal, exit) in ends.into_iter().filter(|(signal, _)| !pulse.ignores(*signal)) {
            flag::register_usize(signal, Arc::clone(&which), exit.code().into())?;
            pipe::register(signal, tell.try_clone()?)?;
        }
        Ok(Ears { heard, which })
    }

    /// Why the process has to end: a signal, or a run that shows nothing of itself.
    fn reason(mut self, pulse: &Pulse) -> io::Result<Exit> {
        let mut silence = Silence::default();
        loop {
            match self.heard.read(&mut [0]) {
                Ok(_) if pulse.passes_signals() => {}
                Ok(_) if self.which.load(Ordering::Relaxed) == usize::from(Exit::Interrupted.code()) => {
                    return Ok(Exit::Interrupted);
                }
                Ok(_) => return Ok(Exit::Terminated),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let rests = pulse.0.rests.load(Ordering::Relaxed);
                    if silence.is_too_long(pulse.0.beats.load(Ordering::Relaxed), rests) {
                        return Ok(Exit::Config);
                    }
                }
                // By one of the signals: what it wrote comes next.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[expect(clippy::exit, reason = "main cannot: it waits for what does not answer")]
fn end(exit: Exit) -> ! {
    ui::give_back();
    process::exit(i32::from(exit.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_silence_without_a_reason_is_too_long() {
        let mut silence = Silence::default();
        for beats in 1..100 {
            assert!(!silence.is_too_long(beats, false));
        }
        assert!((1..MOST_SILENT).all(|_| !silence.is_too_long(99, false)));
        assert!(!silence.is_too_long(99, true), "somebody reads");
        assert!((1..MOST_SILENT).all(|_| !silence.is_too_long(99, false)));
        assert!(silence.is_too_long(99, false));
        assert!(!silence.is_too_long(100, false));
    }
}
