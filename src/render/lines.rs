//! A stream of JSON lines on stdout, for a command that goes on: each line is there whole as soon as it is written.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use serde::Serialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::render::json;

/// Stdout, line by line.
pub(crate) struct Lines {
    out: Arc<File>,
    /// Like `out`, to learn that its reader is gone; `None`: a file, which never tells.
    pipe: Option<AsyncFd<OwnedFd>>,
}

impl Lines {
    /// Lines on stdout. Needs the runtime.
    ///
    /// # Errors
    /// The system's, when stdout is closed.
    pub(crate) fn stdout() -> io::Result<Lines> {
        Lines::on(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    fn on(out: File) -> io::Result<Lines> {
        #[expect(
            deprecated,
            reason = "an OwnedFd stays open and the same, which is all that the new, unsafe one asks for"
        )]
        let pipe = AsyncFd::with_interest(out.as_fd().try_clone_to_owned()?, Interest::ERROR).ok();
        Ok(Lines { out: Arc::new(out), pipe })
    }

    /// Writes one line. A reader that is slow holds up the writing and nothing else: signals still end the process.
    ///
    /// # Errors
    /// The system's; a closed pipe is `BrokenPipe`.
    pub(crate) async fn write<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let line = json::line(value)?;
        let out = Arc::clone(&self.out);
        tokio::task::spawn_blocking(move || (&*out).write_all(&line)).await.map_err(io::Error::other)?
    }

    /// Returns when the reader is gone.
    pub(crate) async fn closed(&self) {
        if let Some(pipe) = &self.pipe {
            while let Ok(mut ready) = pipe.ready(Interest::ERROR).await {
                if ready.ready().is_error() || ready.ready().is_write_closed() {
                    return;
                }
                ready.clear_ready();
            }
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[tokio::test]
    async fn each_line_is_written_whole_and_a_reader_that_goes_is_noticed() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let lines = Lines::on(File::from(OwnedFd::from(writer))).unwrap();
        lines.write(&serde_json::json!({ "name": "\u{202e}x" })).await.unwrap();
        let mut read = [0; 64];
        let count = reader.read(&mut read).unwrap();
        assert_eq!(std::str::from_utf8(&read[..count]).unwrap(), "{\"name\":\"\\u202ex\"}\n");
        assert!(futures::FutureExt::now_or_never(Box::pin(lines.closed())).is_none());
        drop(reader);
        lines.closed().await;
        let error = lines.write(&1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_file_takes_lines_too() {
        let mut file = tempfile::tempfile().unwrap();
        let lines = Lines::on(file.try_clone().unwrap()).unwrap();
        lines.write(&1).await.unwrap();
        lines.write(&2).await.unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "1\n2\n");
    }
}
