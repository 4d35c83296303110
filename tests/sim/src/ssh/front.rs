//! The listener in front of an SSH server: counts, breaks, freezes and refuses connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::{Counts, SshFault};
use crate::host::Control;

const BANNER: &[u8] = b"SSH-2.0-OpenSSH_10.0p2 Debian-7\r\n";
const BUFFER: usize = 256 * 1024;

/// A listener whose connections reach the server through a relay.
pub(crate) struct Front {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Front {
    /// Listens on an address (port 0: a free one) and hands each connection to `serve`.
    pub(crate) async fn start<S, F>(
        address: SocketAddr,
        control: &Arc<Control>,
        counts: Arc<Counts>,
        fault: impl Fn() -> Option<SshFault> + Send + 'static,
        serve: S,
    ) -> Front
    where
        S: Fn(DuplexStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listen(address, 128).await;
        let address = listener.local_addr().expect("a bound socket");
        let control = Arc::clone(control);
        let accept = async move {
            let mut connections = JoinSet::new();
            let mut asleep = control.asleep();
            loop {
                if *asleep.borrow_and_update() {
                    // It keeps its port: one that is free for a moment may be another process's in the next.
                    let silence = fall_silent(&listener, address).await;
                    let woken = asleep.wait_for(|asleep| !asleep).await.is_ok();
                    drop(silence);
                    if !woken {
                        return;
                    }
                    wake_up(&listener).await;
                }
                let stream = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        Err(_) => continue,
                    },
                    changed = asleep.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                };
                Counts::add(&counts.connections);
                let _ = stream.set_nodelay(true);
                while connections.try_join_next().is_some() {}
                match fault().filter(|fault| fault.is_before_auth()) {
                    Some(fault) => {
                        connections.spawn(misbehave(fault, stream));
                    }
                    None => {
                        let (near, far) = tokio::io::duplex(BUFFER);
                        connections.spawn(serve(far));
                        connections.spawn(relay(stream, near, Arc::clone(&control)));
                    }
                }
            }
        };
        Front { address, task: tokio::spawn(accept) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SshFault {
    fn is_before_auth(self) -> bool {
        use SshFault::{CloseAfterBanner, CloseAtOnce, EndlessBanner, GarbageBanner, HangAtBanner, HangInKex};
        matches!(self, CloseAfterBanner | CloseAtOnce | EndlessBanner | GarbageBanner | HangAtBanner | HangInKex)
    }
}

async fn listen(address: SocketAddr, backlog: u32) -> TcpListener {
    // The address was ours a moment ago; whoever took it meanwhile keeps it only briefly.
    for _ in 0..50 {
        let socket = TcpSocket::new_v4().expect("a socket");
        let _ = socket.set_reuseaddr(true);
        match socket.bind(address).and_then(|()| socket.listen(backlog)) {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("{address}: cannot listen")
}

/// A port at which nobody answers, as on a machine that sleeps: its queue is full and the kernel drops what comes.
pub(crate) struct Silence {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silence {
    pub(crate) async fn at(address: SocketAddr) -> Silence {
        let listener = listen(address, 0).await;
        let queue = fill(address).await;
        Silence { _listener: listener, _queue: queue }
    }
}

/// The same at a port that is listened at: it is silent as long as what is given lives.
async fn fall_silent(listener: &TcpListener, address: SocketAddr) -> Vec<TcpStream> {
    SockRef::from(listener).listen(0).expect("a backlog");
    fill(address).await
}

/// What came while it slept is gone.
async fn wake_up(listener: &TcpListener) {
    while let Ok(Ok(_)) = timeout(Duration::ZERO, listener.accept()).await {}
    SockRef::from(listener).listen(128).expect("a backlog");
}

async fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    queue
}

/// Carries bytes both ways until an end closes or the host breaks its connections; while the host sleeps nothing moves.
async fn relay(mut stream: TcpStream, mut server: DuplexStream, control: Arc<Control>) {
    let (mut cut, mut asleep) = (control.on_cut(), control.asleep());
    let copy = copy_bidirectional(&mut stream, &mut server);
    tokio::pin!(copy);
    loop {
        let frozen = *asleep.borrow_and_update();
        tokio::select! {
            biased;
            _ = cut.changed() => return,
            changed = asleep.changed() => if changed.is_err() { return },
            _ = &mut copy, if !frozen => return,
        }
    }
}

async fn misbehave(fault: SshFault, mut stream: TcpStream) {
    let said = match fault {
        SshFault::CloseAtOnce => return,
        SshFault::GarbageBanner => {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n\x00\xff\x1b[2J\r\n").await;
            return;
        }
        SshFault::EndlessBanner => {
            while stream.write_all(b"please wait, this host is about to answer\r\n").await.is_ok() {}
            return;
        }
        SshFault::CloseAfterBanner | SshFault::HangInKex => stream.write_all(BANNER).await,
        _ => Ok(()),
    };
    if said.is_err() || fault == SshFault::CloseAfterBanner {
        return;
    }
    let mut swallowed = [0_u8; 4096];
    while stream.read(&mut swallowed).await.is_ok_and(|count| count > 0) {}
}
