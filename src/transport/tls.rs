//! TLS: rustls with ring, and a verifier that keeps what was presented and applies a `Rule`. rustls sends no
//! byte of a request before the verifier has agreed.

pub(super) mod rule;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, OtherError, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::model::access::certificate::Trust;
use crate::transport::{ConnectFailure, Error, Mismatch, Stranger};

use self::rule::{Presented, Rule, provider};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Why the certificate was refused. Travels inside of rustls' error.
#[derive(Debug)]
struct Refused {
    why: String,
    /// The SHA-256 of what was presented.
    presented: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refused {}

/// Verifies by a rule, and keeps what the last peer presented.
#[derive(Debug)]
pub(super) struct Verifier {
    rule: Rule,
    /// Whether the peer must prove that it holds its certificate's key.
    proof: bool,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

/// What the last peer presented.
#[derive(Debug, Default)]
struct Seen {
    presented: Option<Presented>,
    /// It has the certificate's key: only then the certificate says who it is.
    holds_key: bool,
}

impl Verifier {
    pub(super) fn new(rule: Rule) -> Arc<Verifier> {
        let proof = !matches!(rule, Rule::Anything);
        Arc::new(Verifier { rule, proof, provider: provider(), seen: Mutex::default() })
    }

    /// Accepts every certificate whose key the peer holds: to learn what it is.
    fn recorder() -> Arc<Verifier> {
        Arc::new(Verifier { rule: Rule::Anything, proof: true, provider: provider(), seen: Mutex::default() })
    }

    /// What the last peer presented and has the key of.
    pub(super) fn presented(&self) -> Option<Presented> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.presented.clone().filter(|_| seen.holds_key)
    }

    /// Notes whether the signature was right; a wrong one is an error only where proof is asked for.
    fn signed(&self, verdict: Result<HandshakeSignatureValid, TlsError>) -> Result<HandshakeSignatureValid, TlsError> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).holds_key = verdict.is_ok();
        if self.proof { verdict } else { Ok(HandshakeSignatureValid::assertion()) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
        let presented = match Presented::new(leaf, others) {
            Ok(presented) => presented,
            Err(_) if !self.proof => return Ok(ServerCertVerified::assertion()),
            Err(error) => return Err(error),
        };
        let verdict = self.rule.check(&presented, name, now);
        let fingerprint = presented.leaf.to_string();
        let seen = Seen { presented: Some(presented), holds_key: false };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        match verdict {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(why) => {
                let other = OtherError(Arc::new(Refused { why, presented: fingerprint }));
                Err(TlsError::InvalidCertificate(CertificateError::Other(other)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed(verify_tls12_signature(message, certificate, signed, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed(verify_tls13_signature(message, certificate, signed, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 and 1.3 with this verifier. Sessions are resumed, for PVE closes connections after errors.
pub(super) fn client_config(verifier: Arc<Verifier>) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(verifier.provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(2);
    Ok(config)
}

/// Like `client_config`, for a peer that must satisfy `trust`. Fails with a text where its CA cannot be used.
pub(super) fn trusting(trust: &Trust) -> Result<ClientConfig, String> {
    client_config(Verifier::new(Rule::new(trust, None)?)).map_err(|error| error.to_string())
}

/// A TLS handshake over a stream that leads to a Proxmox VE API: what it presents. `name` is asked for (SNI).
/// Nothing is verified but that the peer holds its key, and no request is sent.
pub(crate) async fn presented_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    name: &str,
) -> Result<Presented, Error> {
    let protocol = |detail: String| Error::Protocol { peer: name.to_owned(), detail };
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| protocol(format!("`{name}` is not a valid host name")))?;
    let verifier = Verifier::recorder();
    let config = client_config(verifier.clone()).map_err(|error| protocol(error.to_string()))?;
    let handshake = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(server_name, stream);
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Err(_) => Err(Error::Timeout { peer: name.to_owned(), doing: "TLS handshake", after: HANDSHAKE }),
        Ok(Err(error)) => Err(match tls_error(&error) {
            Some(tls) => handshake_error(tls, name),
            None => Error::Connect { peer: name.to_owned(), failure: ConnectFailure::of(&error), source: Some(error) },
        }),
        Ok(Ok(_)) => verifier.presented().ok_or_else(|| protocol("it presents no certificate".to_owned())),
    }
}

/// What a failed handshake with `peer` means.
pub(super) fn handshake_error(error: &TlsError, peer: &str) -> Error {
    let peer = peer.to_owned();
    let untrusted =
        |peer, presented, detail| Error::Untrusted { peer, what: Mismatch::Certificate { presented }, detail };
    match error {
        TlsError::InvalidCertificate(CertificateError::Other(other)) if other.0.is::<Refused>() => {
            let presented = other.0.downcast_ref::<Refused>().map(|refused| refused.presented.clone());
            untrusted(peer, presented, other.0.to_string())
        }
        TlsError::InvalidCertificate(CertificateError::BadSignature) => {
            untrusted(peer, None, "it does not hold the key of the certificate that it presents".to_owned())
        }
        TlsError::InvalidCertificate(_) => untrusted(peer, None, format!("its certificate was refused: {error}")),
        TlsError::InvalidMessage(_) => {
            Error::Stranger { peer, who: Stranger::Service, detail: format!("does not speak TLS there ({error})") }
        }
        _ => Error::Protocol { peer, detail: format!("TLS failed: {error}") },
    }
}

/// The TLS error inside of an error.
pub(super) fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a TlsError> {
    causes(error).find_map(<dyn std::error::Error>::downcast_ref)
}

/// An error and all its causes, the outermost first. `io::Error::source` skips the error that it carries, so that
/// one is taken from its inside.
pub(super) fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| match error.downcast_ref().and_then(std::io::Error::get_ref) {
        Some(carried) => Some(carried),
        None => error.source(),
    })
}
