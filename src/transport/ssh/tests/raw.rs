//! Servers that do not speak SSH, or stop to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;
use crate::transport::ConnectFailure;

/// How long the cases wait for a server that says nothing more: the others may need longer on a busy machine.
const LIMIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers every connection by a function on a thread, and gives the port.
fn serve(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(talk));
    port
}

/// Reads until the client is gone.
fn drain(mut stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

async fn fails(port: u16, limit: Duration) -> Error {
    let home = tempfile::tempdir().unwrap();
    let host = SshHost { user: Some("root".to_owned()), ..Bench::host_of("root", port, None) };
    let configured = Configured(vec![("*".to_owned(), Bench::alone())]);
    let route = Route::resolve(&host, &configured, home.path(), limit).await.unwrap();
    let begun = Instant::now();
    let result = connect(&route, &Keys::default(), HostKeyPolicy::AcceptNew, &Answers::default()).await;
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!home.path().join(".ssh").exists(), "nothing may be learned");
    match result {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

/// Sends bytes, and closes or listens on.
fn says(bytes: Vec<u8>, stay: bool) -> impl Fn(TcpStream) + Send + Sync {
    move |mut stream| {
        // The client may be gone already.
        let _ = stream.write_all(&bytes);
        if stay {
            drain(&stream);
        }
    }
}

/// A packet header of that length, and some bytes.
fn packet(length: u32) -> Vec<u8> {
    [b"SSH-2.0-x\r\n".to_vec(), length.to_be_bytes().to_vec(), vec![4, 20, 0, 0, 0, 0, 0, 0]].concat()
}

#[tokio::test]
async fn what_is_no_ssh_server_is_a_connection_that_failed() {
    let http = "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n";
    let cases: [(&str, Vec<u8>, bool, ConnectFailure, &str); 7] = [
        ("closes", Vec::new(), false, ConnectFailure::Closed, ""),
        ("is silent", Vec::new(), true, ConnectFailure::Timeout, ""),
        ("speaks HTTP", http.into(), false, ConnectFailure::Closed, "it says: HTTP/1.1 400 Bad Request Server: x"),
        ("speaks HTTP, waits", http.into(), true, ConnectFailure::Timeout, "it says: HTTP/1.1 400 Bad Request"),
        ("is full", "Exceeded MaxStartups\r\n".into(), false, ConnectFailure::Closed, "it says: Exceeded MaxStartups"),
        ("version 1", "SSH-1.5-old\r\n".into(), true, ConnectFailure::Timeout, "it says: SSH-1.5-old"),
        ("half a version", "SSH".into(), false, ConnectFailure::Closed, "it says: SSH"),
    ];
    for (name, bytes, stay, want, said) in cases {
        let limit = if want == ConnectFailure::Timeout { LIMIT } else { PATIENCE };
        let error = fails(serve(says(bytes, stay)), limit).await;
        let Error::Connect { failure, source, .. } = &error else { panic!("{name}: {error:?}") };
        let text = source.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(text.starts_with(said), "{name}: {text:?}");
        // What is sent to a closed connection may come back as a reset first.
        assert_eq!(*failure, want, "{name}");
    }
}

#[tokio::test]
async fn ssh_servers_that_misbehave_end_soon_with_a_reason() {
    let cases: [(&str, Vec<u8>, bool); 7] = [
        ("endless greeting", b"hello\r\n".repeat(100_000), true),
        ("endless line", vec![b'x'; 1 << 20], true),
        ("packet of 4 GiB", packet(u32::MAX), true),
        ("packet of 1 MiB", packet(1 << 20), true),
        ("empty packet", packet(0), true),
        ("garbage", [b"SSH-2.0-x\r\n".to_vec(), vec![0xa5; 100_000]].concat(), true),
        ("end in the key exchange", b"SSH-2.0-x\r\n".to_vec(), false),
    ];
    for (name, bytes, stay) in cases {
        let error = fails(serve(says(bytes, stay)), PATIENCE).await;
        assert!(matches!(&error, Error::Protocol { .. }), "{name}: {error:?}");
    }
    let error = fails(serve(says(b"SSH-2.0-x\r\n".to_vec(), true)), LIMIT).await;
    assert!(matches!(&error, Error::Timeout { doing: "key exchange", .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_drips_does_not_hold_us() {
    let port = serve(|mut stream| {
        let _ = stream.write_all(b"SSH-2.0-x\r\n\x00\x00\x01\x00");
        // A byte for each that the client sends, and then one every read.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        while stream.write_all(b"\x14").is_ok() {
            let _ = stream.read(&mut [0]);
        }
    });
    let error = fails(port, LIMIT).await;
    assert!(matches!(&error, Error::Timeout { .. } | Error::Protocol { .. }), "{error:?}");
}
