//! For tests: certificates like PVE's, and a TLS server that answers what it is told and keeps what it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::model::access::certificate::{Fingerprint, Trust};

use super::client::{Client, Endpoint, Limits};
use crate::transport::tls::rule::{provider, sha256};

pub(super) const SECRET: &str = "5a3c7f1e-0000-4000-8000-c0ffee15dead";

/// A cluster's CA.
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
}

/// A certificate with its key.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) der: Vec<u8>,
    pub(super) pem: String,
    key: Vec<u8>,
    /// Of the key as rcgen knows it, not as the certificate says.
    pub(super) spki: Fingerprint,
}

impl Ca {
    pub(super) fn new() -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Proxmox Virtual Environment");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Ca { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) }
    }

    pub(super) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub(super) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, &key)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
        let spki = sha256(&rcgen::PublicKeyData::subject_public_key_info(key));
        Identity { der: certificate.der().to_vec(), pem: certificate.pem(), key: key.serialize_der(), spki }
    }

    pub(super) fn self_signed(names: &[&str], ca: bool) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Identity::new(&params.self_signed(&key).unwrap(), &key)
    }

    /// This certificate with another's key: a thief of public data.
    pub(super) fn with_key_of(&self, other: &Identity) -> Identity {
        Identity { key: other.key.clone(), ..self.clone() }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        sha256(&self.der)
    }

    pub(super) fn acceptor(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsAcceptor {
        #[derive(Debug)]
        struct Always(Arc<CertifiedKey>);
        impl ResolvesServerCert for Always {
            fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
                Some(self.0.clone())
            }
        }
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let certified = CertifiedKey::new(vec![CertificateDer::from(self.der.clone())], key);
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::new(certified))));
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// Sends this and waits for the next request.
    Keep(Vec<u8>),
    /// Sends this and closes.
    Close(Vec<u8>),
    /// Sends this and then nothing.
    Hang(Vec<u8>),
    /// Sends this and then a byte now and then.
    Drip(Vec<u8>),
}

/// What one connection brought.
#[derive(Debug)]
pub(super) struct Connection {
    /// All that came within TLS.
    pub(super) received: String,
}

pub(super) struct Server {
    pub(super) port: u16,
    accepted: Arc<AtomicUsize>,
    connections: mpsc::UnboundedReceiver<Connection>,
}

impl Server {
    /// Answers the requests one after the other, over however many connections; the last answer stands for all
    /// further ones.
    pub(super) async fn start(identity: &Identity, answers: Vec<Answer>) -> Server {
        Server::start_with(identity.acceptor(rustls::ALL_VERSIONS), answers).await
    }

    pub(super) async fn start_with(acceptor: TlsAcceptor, answers: Vec<Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, connections) = mpsc::unbounded_channel();
        let answers = Arc::new(answers);
        let (count, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let accepting = accepted.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                accepting.fetch_add(1, Ordering::Relaxed);
                let (acceptor, answers, sender, count) =
                    (acceptor.clone(), answers.clone(), sender.clone(), count.clone());
                tokio::spawn(async move {
                    let mut received = Vec::new();
                    serve(tcp, &acceptor, &mut received, || {
                        let n = count.fetch_add(1, Ordering::Relaxed);
                        answers.get(n).or(answers.last()).cloned()
                    })
                    .await;
                    let _ = sender.send(Connection { received: String::from_utf8(received).unwrap() });
                });
            }
        });
        Server { port, accepted, connections }
    }

    /// The next connection that has ended.
    pub(super) async fn ended(&mut self) -> Connection {
        tokio::time::timeout(Duration::from_secs(10), self.connections.recv()).await.unwrap().unwrap()
    }

    /// All requests of the connections that have ended once `client` is gone.
    pub(super) async fn requests(mut self, client: Client) -> Vec<String> {
        drop(client);
        let (mut all, mut ended) = (Vec::new(), 0);
        while ended < self.accepted.load(Ordering::Relaxed) {
            let connection = self.ended().await;
            all.extend(connection.received.split_inclusive("\r\n\r\n").map(str::to_owned));
            ended += 1;
        }
        all
    }

    pub(super) fn client(&self, trust: Trust) -> Client {
        self.client_with(trust, quick())
    }

    pub(super) fn client_with(&self, trust: Trust, limits: Limits) -> Client {
        Client::with_limits(endpoint(self.port, trust), limits).unwrap()
    }
}

pub(super) fn endpoint(port: u16, trust: Trust) -> Endpoint {
    let token = format!("ecobox@pve!test={SECRET}").parse().unwrap();
    Endpoint {
        label: "pve1".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        name: "127.0.0.1".to_owned(),
        trust,
        token,
    }
}

/// Limits for tests: generous for what should work, no pauses.
pub(super) fn quick() -> Limits {
    Limits { pause: 0..1, ..Limits::default() }
}

async fn serve(
    tcp: TcpStream,
    acceptor: &TlsAcceptor,
    received: &mut Vec<u8>,
    mut next: impl FnMut() -> Option<Answer>,
) {
    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
    let mut seen = 0;
    loop {
        while !received[seen..].windows(4).any(|window| window == b"\r\n\r\n") {
            let mut buffer = [0; 4096];
            match tls.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => received.extend_from_slice(&buffer[..n]),
            }
        }
        seen = received.len();
        let (bytes, after) = match next() {
            Some(Answer::Keep(bytes)) => (bytes, 'k'),
            Some(Answer::Close(bytes)) => (bytes, 'c'),
            Some(Answer::Hang(bytes)) => (bytes, 'h'),
            Some(Answer::Drip(bytes)) => (bytes, 'd'),
            None => return,
        };
        if tls.write_all(&bytes).await.is_err() || tls.flush().await.is_err() {
            return;
        }
        match after {
            'k' => {}
            'c' => {
                let _ = tls.shutdown().await;
                return;
            }
            'h' => {
                // Until the client goes.
                let _ = tls.read(&mut [0]).await;
                return;
            }
            _ => {
                while tls.write_all(b" ").await.is_ok() && tls.flush().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                return;
            }
        }
    }
}

/// An answer as pveproxy sends it.
pub(super) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nServer: pve-api-daemon/3.0\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

pub(super) fn json(status: &str, body: &str) -> Vec<u8> {
    http(status, "Content-Type: application/json;charset=UTF-8\r\n", body)
}
