//! The listening side of a node: ports, TLS, connections, and ways to fail before any request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::fault::{Fault, pick};
use crate::http::{self, Peer};
use crate::sim::Shared;
use crate::ssh::Silence;

/// First byte of a TLS record with a handshake message.
const TLS_HANDSHAKE: u8 = 0x16;

/// Takes an address, or a free port of it (port 0), and keeps it, so that nobody else gets it while the node is down.
pub(crate) fn reserve(address: SocketAddr) -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Serves one node, opening and closing its port as the cluster says.
pub(crate) async fn run(shared: Arc<Shared>, node: String, reserved: TcpSocket, mut wake: watch::Receiver<u64>) {
    let Ok(address) = reserved.local_addr() else { return };
    loop {
        while shared.wants_port(&node) {
            let Ok(listener) = listen(address) else { return };
            shared.port_is(&node, true);
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(Arc::clone(&shared), node.clone(), stream));
                    },
                    Some(_) = connections.join_next() => {}
                    changed = wake.changed() => {
                        if changed.is_err() { return; }
                        if !shared.wants_port(&node) { break; }
                    }
                }
            }
        }
        // Nobody refuses a connection for a machine that sleeps.
        let _silence = if shared.is_silent(&node) { Some(Silence::at(address).await) } else { None };
        shared.port_is(&node, false);
        while !shared.wants_port(&node) {
            if wake.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, node: String, mut stream: TcpStream) {
    let connection = shared.traffic().connect(&node);
    let (fault, config) = {
        let mut cluster = shared.lock();
        let node = cluster.node_mut(&node);
        (pick(&mut node.rules, None), Arc::clone(&node.identity.config))
    };
    match fault {
        Some(Fault::DropAtConnect) => return,
        Some(Fault::HangAtConnect) => return std::future::pending().await,
        Some(_) => {
            let mut hello = [0; 1024];
            let _ = stream.read(&mut hello).await;
            return std::future::pending().await;
        }
        None => {}
    }
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    if !matches!(stream.peek(&mut first).await, Ok(1)) {
        return;
    }
    let tls = first[0] == TLS_HANDSHAKE;
    let peer = Peer { shared, node, connection, tls };
    if !tls {
        return converse(peer, stream).await;
    }
    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
        converse(peer, stream).await;
    }
}

async fn converse(peer: Peer, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let idle = peer.shared.lock().timing.idle;
    let (peer, count) = (Arc::new(peer), Arc::new(AtomicUsize::new(0)));
    let service = service_fn(move |request| {
        let (peer, count) = (Arc::clone(&peer), Arc::clone(&count));
        async move { http::handle(&peer, &count, request).await }
    });
    let mut builder = http1::Builder::new();
    let _ = builder
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
