//! What a person types. Each answer is a future, so that a signal ends the wait; dropping it restores the terminal.

use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

/// As much as a line of a terminal can be.
const LONGEST: usize = 4096;

/// How the terminal was before a secret was asked for, for an end of the process without destructors.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The line that is typed next, without its end; the end of the input ends it, too.
///
/// # Errors
/// The terminal's; text that is not UTF-8.
pub(super) async fn line() -> io::Result<Zeroizing<String>> {
    let unanswered = Unanswered;
    // Only that it says when there is something to read is asked of it: that holds of any file.
    let stdin = Receiver::from_owned_fd_unchecked(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut typed = Zeroizing::new([0; LONGEST]);
    let read = loop {
        stdin.readable().await?;
        // A terminal gives a whole line at once, or what was typed until the end of the input was.
        match stdin.try_read(&mut typed[..]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            read => break read?,
        }
    };
    std::mem::forget(unanswered);
    let text = std::str::from_utf8(typed.get(..read).unwrap_or_default()).map_err(io::Error::other)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Like `line`, without showing what is typed.
///
/// # Errors
/// As `line`.
pub(super) async fn secret() -> io::Result<Zeroizing<String>> {
    let _silent = Silent::begin()?;
    line().await
}

/// The question stands on the line that what comes next would be written on.
struct Unanswered;

impl Drop for Unanswered {
    fn drop(&mut self) {
        let _ = writeln!(io::stderr().lock());
    }
}

/// While it lives the terminal does not show what is typed.
struct Silent;

impl Silent {
    fn begin() -> io::Result<Silent> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // The end of the line is shown: what is said next begins a line.
        silent.local_modes.insert(LocalModes::ECHONL);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let silenced = Silent;
        // What was typed before the question is not meant for it.
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(silenced)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        give_back();
    }
}

/// Has the terminal show again what is typed, where a question for a secret keeps it from that.
pub(crate) fn give_back() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}
