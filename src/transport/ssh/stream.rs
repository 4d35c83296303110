//! The byte streams under an SSH connection: TCP that acknowledges at once, another connection's channel, or the
//! standard input and output of a `ProxyCommand`.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::transport::child::{self, Family};
use crate::transport::script::excerpt;

/// How long a `ProxyCommand` that failed may still explain itself.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Anything that carries SSH.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A TCP connection that acknowledges at once what it reads. sshd leaves Nagle's algorithm on until a command runs:
/// each of its small packets waits until the one before is acknowledged, which a kernel left alone delays by 40 ms.
/// The option does not last, so it is set again after every read.
pub(super) struct Tcp(pub(super) TcpStream);

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_read(cx, buffer))?;
        // Without it everything works, only later.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = SockRef::from(&self.0).set_tcp_quickack(true);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A `ProxyCommand`. It is killed when the connection ends, with what it started.
pub(super) struct Proxy {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _running: Arc<Running>,
}

/// The program and what it started: killed when neither its output nor its last words are read any more.
#[derive(Debug)]
struct Running {
    // Dropped in this order: killing the parent first would leave unknown orphans.
    _family: Family,
    _child: Child,
}

impl Proxy {
    /// Starts a command. What it says on stderr is collected, up to 4 KiB, for the message if it fails.
    pub(super) fn start(command: &str) -> io::Result<(Proxy, ProxyStderr)> {
        let mut shell = child::command("sh");
        let shell = shell.args(["-c", &format!("exec {command}")]);
        let (mut child, family) =
            child::spawn(shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (Some(stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the command has no pipes"));
        };
        let said = Said::default();
        let heard = said.clone();
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
                heard.hear(buffer.get(..length).unwrap_or_default());
            }
        });
        let running = Arc::new(Running { _family: family, _child: child });
        let complaints = ProxyStderr { said, reader, _running: Arc::clone(&running) };
        Ok((Proxy { stdin, stdout, _running: running }, complaints))
    }
}

impl AsyncRead for Proxy {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Proxy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

/// The standard error of a `ProxyCommand`.
pub(super) struct ProxyStderr {
    said: Said,
    reader: JoinHandle<()>,
    // One that closes its output may not have said yet why.
    _running: Arc<Running>,
}

impl ProxyStderr {
    /// What it said, once it has ended; a command that does not end is heard for a moment.
    pub(super) async fn excerpt(self) -> Option<String> {
        let ProxyStderr { said, reader, _running } = self;
        let _ = tokio::time::timeout(LAST_WORDS, reader).await;
        said.excerpt()
    }
}

/// The first 4 KiB of what somebody said.
#[derive(Debug, Clone, Default)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn hear(&self, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = 4096_usize.saturating_sub(heard.len());
        heard.extend(bytes.iter().take(room));
    }

    fn has_line(&self, start: &[u8]) -> bool {
        let heard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard.split(|byte| *byte == b'\n').any(|line| line.starts_with(start))
    }

    pub(super) fn excerpt(&self) -> Option<String> {
        excerpt(&self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A stream that keeps the peer's first words, and that ends with its leash: russh's task would keep a connection that
/// nobody waits for any more.
pub(super) struct WatchedStream {
    stream: Box<dyn Duplex>,
    first: Said,
    greeted: Arc<AtomicBool>,
    /// None: the leash has ended.
    leash: Option<oneshot::Receiver<()>>,
}

/// Ends the stream when dropped.
pub(super) struct StreamMonitor {
    first: Said,
    greeted: Arc<AtomicBool>,
    _end: oneshot::Sender<()>,
}

impl StreamMonitor {
    /// Whether the peer's version line came, so that it is an SSH server.
    pub(super) fn greeted(&self) -> bool {
        self.greeted.load(Ordering::Relaxed)
    }

    /// What the peer said instead.
    pub(super) fn excerpt(&self) -> Option<String> {
        self.first.excerpt()
    }
}

impl WatchedStream {
    pub(super) fn new(stream: Box<dyn Duplex>) -> (WatchedStream, StreamMonitor) {
        let (end, leash) = oneshot::channel();
        let (first, greeted) = (Said::default(), Arc::new(AtomicBool::new(false)));
        let ends = StreamMonitor { first: first.clone(), greeted: Arc::clone(&greeted), _end: end };
        (WatchedStream { stream, first, greeted, leash: Some(leash) }, ends)
    }

    /// Looks for the version line, which other lines may come before (RFC 4253, 4.2).
    fn listen(&self, bytes: &[u8]) {
        self.first.hear(bytes);
        // 1.99 speaks both.
        if self.first.has_line(b"SSH-2.0-") || self.first.has_line(b"SSH-1.99-") {
            self.greeted.store(true, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.leash.as_mut().is_none_or(|leash| Pin::new(leash).poll(cx).is_ready()) {
            self.leash = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if !self.greeted.load(Ordering::Relaxed) {
            self.listen(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
