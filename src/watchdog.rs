//! What ends the process where the run itself cannot: a file system that does not answer keeps the thread that waits for it,
//! and with it the runtime, deaf to signals and to its deadlines.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Exit;
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
}

impl Pulse {
    /// Shows from time to time that the runtime goes on. It never ends.
    pub(crate) async fn beat(&self) {
        loop {
            self.0.beats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Whether it waits for somebody with good reason.
    pub(crate) fn rest(&self, rests: bool) {
        self.0.rests.store(rests, Ordering::Relaxed);
    }
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

/// Watches over the run from a thread of its own, to the end of the process. Where no thread is to be had, nobody does.
pub(crate) fn watch(pulse: &Pulse) {
    let pulse = pulse.clone();
    let _ = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let Ok(exit) = runtime.block_on(reason(&pulse)) else { return };
        if exit == Exit::Config {
            ui::last_words("nothing happens any more: the file system of the state file does not answer");
        } else {
            thread::sleep(GRACE);
        }
        end(exit);
    });
}

/// Why the process has to end: a signal, or a run that shows nothing of itself.
async fn reason(pulse: &Pulse) -> std::io::Result<Exit> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut silence = Silence::default();
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(Exit::Interrupted),
            _ = terminate.recv() => return Ok(Exit::Terminated),
            () = tokio::time::sleep(LOOK) => {
                let rests = pulse.0.rests.load(Ordering::Relaxed);
                if silence.is_too_long(pulse.0.beats.load(Ordering::Relaxed), rests) {
                    return Ok(Exit::Config);
                }
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
