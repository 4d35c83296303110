//! Other programs: the only place that starts any. None of them gets ecobox's tokens, and one that is given up ends with all
//! that it has started.

use std::ffi::OsStr;
use std::io;
use std::pin::pin;
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// What the names of environment variables with tokens begin with.
const TOKENS: &[u8] = b"ECOBOX_TOKEN_";

/// A program of the user's own, to be started in ecobox's place: it has ecobox's streams, terminal and environment, but not
/// the tokens, and goes on if ecobox is killed.
pub(crate) fn foreground(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    without_tokens(&mut command);
    command
}

/// Takes ecobox's tokens out of a program's environment.
fn without_tokens(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(TOKENS) {
            command.env_remove(name);
        }
    }
}

/// A program to be started: without tokens in its environment, and without standard input. It is killed when it is given up.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    without_tokens(&mut command);
    if !has_terminal() {
        command.process_group(0);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Whether a person may be asked for a password at this process's terminal. Only the terminal's foreground group may read
/// from it, so that programs stay in ecobox's own group then.
fn has_terminal() -> bool {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// Ends a program and what it started when dropped, unless it has [ended](Family::ended) by itself.
#[derive(Debug)]
pub(crate) struct Family {
    head: Option<Pid>,
    /// All of them are in a process group of their own.
    is_group: bool,
}

impl Family {
    /// It ended by itself: what it left behind on purpose goes on.
    pub(crate) fn ended(mut self) {
        self.head = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let Some(head) = self.head else { return };
        // The process may be gone already.
        if self.is_group {
            let _ = kill_process_group(head, Signal::KILL);
            return;
        }
        let mut all = vec![head];
        let mut next = 0;
        while let Some(parent) = all.get(next).copied() {
            all.extend(children(parent));
            next += 1;
        }
        for process in all {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// The processes that a process has started, as far as Linux tells.
fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero();
    let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Starts what [`command`] has made.
///
/// # Errors
/// The system's.
pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, Family)> {
    let is_group = !has_terminal();
    let child = command.spawn()?;
    let head = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    Ok((child, Family { head, is_group }))
}

/// Why there is no output.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// It does not start, or its output cannot be read.
    System(io::Error),
    /// It had not ended by then, and was killed.
    Late,
    /// It printed more than that, and was killed.
    TooMuch,
}

/// What a program prints until its end, up to `cap` bytes on each stream. It does not outlive the deadline.
pub(crate) async fn output(command: &mut Command, deadline: Duration, cap: u64) -> Result<Output, Unfinished> {
    let (mut child, family) = spawn(command.stdout(Stdio::piped())).map_err(Unfinished::System)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let all = async {
        let wait = async { child.wait().await.map_err(Unfinished::System) };
        tokio::try_join!(capped(stdout, cap), capped(stderr, cap), wait)
    };
    let mut all = pin!(all);
    // Dropped before the future, which holds the child: killing the parent first would leave unknown orphans.
    let family = family;
    let (stdout, stderr, status) =
        tokio::time::timeout(deadline, all.as_mut()).await.map_err(|_| Unfinished::Late).flatten()?;
    family.ended();
    Ok(Output { status, stdout, stderr })
}

async fn capped(stream: Option<impl AsyncRead + Unpin>, cap: u64) -> Result<Vec<u8>, Unfinished> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(cap + 1).read_to_end(&mut bytes).await.map_err(Unfinished::System)?;
    }
    if bytes.len() as u64 > cap { Err(Unfinished::TooMuch) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
