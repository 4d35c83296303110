//! A command of the user's own, run in the foreground as if ecobox were not there: its streams, its signals, its exit status.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::iterator::{Handle, SignalsInfo};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::transport::child;

/// What would end ecobox, and is meant for the command.
const PASSED: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
/// By whom a signal was sent: the kernel, as the terminal does for Ctrl-C, to all in the foreground.
const SI_KERNEL: i32 = 0x80;

/// The signals that were ignored when this process was started, as `nohup` does. Whoever handles one then would have its
/// children not ignore it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ignored(u64);

impl Ignored {
    /// As Linux tells it; elsewhere none.
    pub(crate) fn read() -> Ignored {
        // In one go: reading it to its end takes the kernel as long as the first time.
        let mut status = [0; 8192];
        let read = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status)).unwrap_or_default();
        let status = String::from_utf8_lossy(status.get(..read).unwrap_or_default());
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Ignored(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default())
    }

    pub(crate) fn has(self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.0 >> (signal - 1) & 1 == 1
    }
}

/// How a command gets the foreground.
pub(crate) struct Front<'f> {
    /// The limit of core files that it shall have.
    pub(crate) core: Rlimit,
    /// To be called when it begins: from then on signals are not ecobox's.
    pub(crate) take_signals: &'f dyn Fn(),
}

/// A signal that came.
#[derive(Debug, Clone, Copy)]
struct Heard {
    signal: i32,
    /// All in the foreground have got it, the command among them.
    by_terminal: bool,
}

/// The signals that this process gets, from now on.
pub(crate) struct Signals {
    heard: UnboundedReceiver<Heard>,
    handle: Handle,
}

impl Signals {
    /// Begins to listen: none of them ends the process any more.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn listen() -> io::Result<Signals> {
        let ignored = Ignored::read();
        let passed = PASSED.into_iter().filter(|signal| !ignored.has(*signal));
        let mut signals = SignalsInfo::<WithRawSiginfo>::new(passed)?;
        let handle = signals.handle();
        let (send, heard) = unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for info in signals.forever() {
                let _ = send.send(Heard { signal: info.si_signo, by_terminal: info.si_code == SI_KERNEL });
            }
        })?;
        Ok(Signals { heard, handle })
    }

    /// Waits for a signal that asks to end.
    pub(crate) async fn ended(&mut self) {
        while let Some(heard) = self.heard.recv().await {
            if matches!(heard.signal, SIGHUP | SIGINT | SIGQUIT | SIGTERM) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// How a command ended, or did not begin.
#[derive(Debug)]
pub(crate) enum Ending {
    Exited(u8),
    /// A signal ended it.
    Killed(i32),
    /// There is no such program.
    NotFound,
    /// It cannot be run.
    NotRun(io::Error),
}

impl Ending {
    /// The exit status by which shells tell of it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Ending::Exited(code) => *code,
            Ending::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Ending::NotFound => 127,
            Ending::NotRun(_) => 126,
        }
    }

    fn of(status: ExitStatus) -> Ending {
        match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            (None, signal) => Ending::Killed(signal.unwrap_or_default()),
        }
    }
}

/// Runs a program to its end, passes signals on to it, and gives how it ended.
///
/// # Errors
/// The system's, when it is waited for.
pub(crate) async fn run(
    program: &OsStr,
    arguments: &[OsString],
    variables: &[(&str, String)],
    front: &Front<'_>,
    signals: &mut Signals,
) -> io::Result<Ending> {
    let mut command = child::foreground(program);
    command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
    // ecobox's own memory has secrets in it: its limit holds again before anything else happens.
    let own = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, front.core);
    let spawned = command.spawn();
    let _ = setrlimit(Resource::Core, own);
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ending::NotFound),
        Err(error) => return Ok(Ending::NotRun(error)),
    };
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    loop {
        tokio::select! {
            biased;
            ended = child.wait() => return ended.map(Ending::of),
            Some(heard) = signals.heard.recv() => {
                // Until it was waited for, the number is its own.
                if let (false, Some(pid), Some(signal)) = (heard.by_terminal, pid, Signal::from_named_raw(heard.signal)) {
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_the_exit_status_that_shells_give_it() {
        let cases = [
            (Ending::Exited(0), 0),
            (Ending::Exited(255), 255),
            (Ending::Killed(15), 143),
            (Ending::Killed(9), 137),
            (Ending::NotFound, 127),
            (Ending::NotRun(ErrorKind::PermissionDenied.into()), 126),
        ];
        for (ending, code) in cases {
            assert_eq!(ending.code(), code, "{ending:?}");
        }
        assert_eq!(Ending::of(ExitStatus::from_raw(3 << 8)).code(), 3);
        assert_eq!(Ending::of(ExitStatus::from_raw(9)).code(), 137);
    }

    #[test]
    fn what_is_ignored_is_known() {
        // The standard library ignores SIGPIPE; SIGKILL cannot be ignored.
        let ignored = Ignored::read();
        assert!(ignored.has(13) && !ignored.has(9) && !ignored.has(0) && !ignored.has(99));
    }
}
