//! A script that goes on, here or on a host, for as long as somebody here wants it to.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::transport::script::{STDERR_CAP, excerpt, random_hex};

/// How often the script is told that this side is still there.
pub(super) const SIGN: Duration = Duration::from_secs(60);
/// What it is told.
pub(super) const HERE: &[u8] = b".\n";
/// How long it may take until it has ended.
const FAREWELL: Duration = Duration::from_secs(3);

/// A script that runs. It ends with its input, which ends with this.
#[derive(Debug)]
pub(crate) struct Held {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Held {
    /// `keep` lets it run until it is told to stop.
    pub(super) fn new(keep: impl FnOnce(oneshot::Receiver<()>) -> JoinHandle<()>) -> Held {
        let (stop, stopped) = oneshot::channel();
        Held { stop, ended: keep(stopped) }
    }

    /// Ends it, and waits a moment for that.
    pub(crate) async fn release(self) {
        let _ = self.stop.send(());
        let _ = timeout(FAREWELL, self.ended).await;
    }
}

/// How far a script has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Runs,
    /// It has ended, and never ran for long.
    Over,
}

/// A script for `sh -s`, whose input goes on after it, and how it says that it has begun.
pub(super) struct Begin {
    mark: String,
    stdin: String,
    said: Vec<u8>,
}

impl Begin {
    pub(super) fn new(script: &str) -> Begin {
        let mark = format!("ecobox-{}", random_hex());
        // The shell has to read all of it before it runs anything: what comes after it is for what it starts.
        let stdin = format!("{{\nmark={mark}\n{script}\n}}\necho \"$mark over\"\nexit\n");
        Begin { mark, stdin, said: Vec::new() }
    }

    pub(super) fn stdin(&self) -> &[u8] {
        self.stdin.as_bytes()
    }

    /// Takes what it says; gives whether it has begun, or has ended without.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Option<Begun> {
        if self.said.len() < STDERR_CAP {
            self.said.extend_from_slice(bytes);
        }
        let text = String::from_utf8_lossy(&self.said);
        text.lines().find_map(|line| match line.strip_prefix(&self.mark) {
            Some(" held") => Some(Begun::Runs),
            Some(" over") => Some(Begun::Over),
            _ => None,
        })
    }

    /// The last line that it has said of itself.
    pub(super) fn words(&self) -> String {
        let lines = self.said.rsplit(|byte| *byte == b'\n').filter(|line| !line.starts_with(self.mark.as_bytes()));
        lines.into_iter().find_map(excerpt).unwrap_or_else(|| "nothing was said".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_the_scripts_own_lines() {
        let mut begin = Begin::new("true");
        let mark = begin.mark.clone();
        assert_eq!(begin.hear(b"Welcome!\nheld\n"), None);
        assert_eq!(begin.hear(mark.as_bytes()), None);
        assert_eq!(begin.hear(b" held\n"), Some(Begun::Runs));
        let mut begin = Begin::new("true");
        let mark = begin.mark.clone();
        assert_eq!(begin.words(), "nothing was said");
        assert_eq!(begin.hear(b"waiting for sudo\nno rights\n"), None);
        assert_eq!(begin.hear(format!("{mark} over\n").as_bytes()), Some(Begun::Over));
        assert_eq!(begin.words(), "no rights");
    }
}
