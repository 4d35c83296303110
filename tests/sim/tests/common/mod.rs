//! A client that shows what is on the wire: one request on one connection, TLS verified against the cluster's CA.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ecobox_sim::Sim;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Opens a connection to a node, trusting only the cluster's CA under the node's name.
pub(crate) fn connect(sim: &Sim, node: &str) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sim.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(sim.node(node).address())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let name = node.to_owned().try_into().unwrap();
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream))
}

/// Sends these bytes and reads one answer, by its length or to the end of the connection.
pub(crate) fn exchange(connection: &mut (impl Read + Write), bytes: &[u8]) -> std::io::Result<Reply> {
    connection.write_all(bytes)?;
    let mut received = Vec::new();
    let mut buffer = [0; 16384];
    loop {
        if let Some(reply) = parse(&received, false) {
            return Ok(reply);
        }
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    parse(&received, true).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn parse(bytes: &[u8], closed: bool) -> Option<Reply> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut status_line = lines.next()?.splitn(3, ' ');
    let status = status_line.nth(1)?.parse().ok()?;
    let reason = status_line.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let reply = Reply { status, reason, headers, body: body.to_owned() };
    match reply.header("content-length").and_then(|value| value.parse().ok()) {
        Some(length) => (body.len() >= length).then_some(reply),
        None => closed.then_some(reply),
    }
}

/// One request on a fresh connection.
pub(crate) fn ask(sim: &Sim, node: &str, text: &str) -> Reply {
    let mut connection = connect(sim, node).unwrap();
    exchange(&mut connection, text.as_bytes()).unwrap()
}
