//! Reading a whole file beside the runtime, with a deadline: a pipe without a writer, and a file on a server that
//! does not answer, must not hold up the run.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How long a file of this machine may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A file's bytes, and what the system said of it when it was opened.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: Metadata,
}

/// Does what may hang in a thread of its own: waited for no longer than `patience`.
///
/// # Errors
/// `TimedOut`; the thread is left behind, and ends with the process at the latest.
pub(crate) async fn in_time<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let work = tokio::task::spawn_blocking(work);
    match tokio::time::timeout(patience, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(io::Error::other(panic)),
        Err(_) => Err(silent(patience)),
    }
}

/// The bytes of a file of at most `cap` bytes.
///
/// # Errors
/// The system's; `TimedOut`; `FileTooLarge`.
async fn read(path: &Path, cap: u64, patience: Duration) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    in_time(patience, move || contents(&path, cap)).await.map(|contents| contents.bytes)
}

/// As [`read`], and for text alone.
///
/// # Errors
/// As those of [`read`]; `InvalidData` for what is no UTF-8.
pub(crate) async fn read_text(path: &Path, cap: u64, patience: Duration) -> io::Result<String> {
    let bytes = read(path, cap, patience).await?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text"))
}

/// As [`read`], where there is no runtime yet. What is no file, as a pipe, is read in a thread of its own; a file is read
/// here, for a thread takes longer than that: whoever watches over the run ends it if the file system does not answer.
///
/// # Errors
/// As those of [`read`].
pub(crate) fn read_blocking(path: &Path, cap: u64, patience: Duration) -> io::Result<Contents> {
    if std::fs::metadata(path)?.is_file() {
        return contents(path, cap);
    }
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    std::thread::Builder::new().spawn(move || drop(sender.send(contents(&path, cap))))?;
    receiver.recv_timeout(patience).unwrap_or_else(|_| Err(silent(patience)))
}

fn silent(patience: Duration) -> io::Error {
    let text = format!("nothing came within {patience:?}: is it a pipe, or on a server that does not answer?");
    io::Error::new(io::ErrorKind::TimedOut, text)
}

fn contents(path: &Path, cap: u64) -> io::Result<Contents> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(cap) + 1).unwrap_or_default());
    file.take(cap + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        let size = if cap < 1 << 20 { format!("{} KiB", cap >> 10) } else { format!("{} MiB", cap >> 20) };
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {size}")));
    }
    Ok(Contents { bytes, meta })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn what_hangs_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, other, file] = ["pipe", "other", "file"].map(|name| folder.path().join(name));
        assert!(std::process::Command::new("mkfifo").args([&pipe, &other]).status().unwrap().success());
        for error in [read(&pipe, 10, SOON).await.unwrap_err(), read_blocking(&pipe, 10, SOON).unwrap_err()] {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(error.to_string().starts_with("nothing came within 100ms"), "{error}");
        }
        // So that the threads come to an end, and with them this test: whoever opens the pipe from now on is let in.
        let both_ends = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&file, 10, PATIENCE).await.unwrap(), b"0123456789");
        assert_eq!(read_text(&file, 10, PATIENCE).await.unwrap(), "0123456789");
        let contents = read_blocking(&file, 10, PATIENCE).unwrap();
        assert_eq!((contents.bytes.len(), contents.meta.is_file()), (10, true));
        let error = read(&file, 9, PATIENCE).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::FileTooLarge, "it is larger than 0 KiB".to_owned())
        );
        std::fs::write(&file, [0xff]).unwrap();
        assert_eq!(read_text(&file, 10, PATIENCE).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        // Who writes into a pipe is waited for.
        let writer = std::thread::spawn({
            let other = other.clone();
            move || std::fs::write(other, "late").unwrap()
        });
        assert_eq!(read(&other, 10, PATIENCE).await.unwrap(), b"late");
        writer.join().unwrap();
        // Whoever comes later still finds no pipe.
        drop(folder);
        drop(both_ends);
    }
}
