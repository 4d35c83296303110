//! What a certificate must satisfy: the rules of `model::access::trust::Trust`, and the words for a refusal.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error as TlsError, RootCertStore};
use sha2::{Digest, Sha256};

use crate::model::access::certificate::{Fingerprint, Trust};
use crate::model::id::NodeName;

/// 9999-12-31T23:59:59Z: a certificate that is valid until then has no end (RFC 5280).
const END_OF_DAYS: Duration = Duration::from_secs(253_402_300_799);

/// What a peer presented in a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    /// SHA-256 of the certificate.
    pub(crate) leaf: Fingerprint,
    /// SHA-256 of its public key (`SubjectPublicKeyInfo`), which outlives renewals of PVE's own certificates.
    pub(crate) spki: Fingerprint,
    /// DER, the peer's own certificate first.
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Presented {
    /// Fails on a certificate that cannot be read; such a one could not prove its key either.
    pub(in crate::transport) fn new(
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<Presented, TlsError> {
        let spki = ParsedCertificate::try_from(leaf)?.subject_public_key_info();
        Ok(Presented {
            leaf: sha256(leaf),
            spki: sha256(&spki),
            chain: std::iter::once(leaf).chain(others).map(|der| der.to_vec()).collect(),
        })
    }

    /// When the certificate's validity ends; `None`: never, or it cannot be said.
    pub(crate) fn ends(&self) -> Option<jiff::Timestamp> {
        // The verifier reads certificates and no one else here does: at the end of days it says since when this one has
        // been over, before it asks who issued it.
        let verifier = chain_verifier([self.leaf_der()])?;
        let name = ServerName::try_from("localhost").ok()?;
        match verify(&verifier, self, &name, UnixTime::since_unix_epoch(END_OF_DAYS)) {
            Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                jiff::Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
            }
            _ => None,
        }
    }

    fn leaf_der(&self) -> CertificateDer<'_> {
        CertificateDer::from_slice(self.chain.first().map_or(&[], Vec::as_slice))
    }

    fn others(&self) -> Vec<CertificateDer<'_>> {
        self.chain.iter().skip(1).map(|der| CertificateDer::from_slice(der)).collect()
    }
}

pub(in crate::transport) fn sha256(bytes: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(bytes).into())
}

pub(in crate::transport) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The names that a certificate may be for: one of them is enough.
#[derive(Debug)]
pub(in crate::transport) enum Names {
    /// This one, whatever is dialled.
    Only(ServerName<'static>),
    /// The one that is dialled, and these.
    DialledOr(Vec<ServerName<'static>>),
}

impl Names {
    /// The dialled name and those of these that a certificate can be for.
    fn dialled_or<'n>(names: impl IntoIterator<Item = &'n str>) -> Names {
        Names::DialledOr(names.into_iter().filter_map(|name| server_name(name).ok()).collect())
    }

    fn all<'n>(&'n self, dialled: &'n ServerName<'n>) -> Vec<&'n ServerName<'n>> {
        match self {
            Names::Only(name) => vec![name],
            Names::DialledOr(others) => {
                let others = others.iter().filter(|other| *other != dialled);
                std::iter::once(dialled).chain(others).collect()
            }
        }
    }
}

/// A `Trust` made ready for handshakes.
#[derive(Debug)]
pub(in crate::transport) enum Rule {
    /// A chain to `roots`.
    Chain {
        verifier: Arc<WebPkiServerVerifier>,
        names: Names,
        roots: String,
    },
    /// Like `Chain`, with the roots of this machine. Loading them takes milliseconds: only when they are needed.
    Public {
        verifier: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
        names: Names,
    },
    PublicKey(Fingerprint),
    Certificate(Fingerprint),
    Anything,
}

impl Rule {
    /// `host` is the name that the configuration has for the peer, which may be dialled by another. Fails with a text
    /// where the CA or the name cannot be used.
    pub(in crate::transport) fn new(trust: &Trust, host: Option<&str>) -> Result<Rule, String> {
        Ok(match trust {
            Trust::ClusterCa { ca, node } => {
                let verifier = chain_verifier([CertificateDer::from_slice(ca)])
                    .ok_or("the recorded cluster CA is not a valid certificate")?;
                let roots = format!("the cluster's CA (SHA-256 {})", sha256(ca));
                Rule::Chain { verifier, names: Names::Only(server_name(node.as_str())?), roots }
            }
            Trust::CaFile { pem, node } => {
                let verifier = chain_verifier(certificates(pem)).ok_or("the CA file holds no valid certificate")?;
                // Custom certificates name what people dial, Proxmox VE's own the node.
                let names = Names::dialled_or(host.into_iter().chain(node.as_ref().map(NodeName::as_str)));
                Rule::Chain { verifier, names, roots: "a CA of the CA file".to_owned() }
            }
            Trust::PublicCa => Rule::Public { verifier: OnceLock::new(), names: Names::dialled_or(host) },
            Trust::PublicKey { spki } => Rule::PublicKey(*spki),
            Trust::Certificate { fingerprint } => Rule::Certificate(*fingerprint),
            Trust::Insecure => Rule::Anything,
        })
    }

    /// Whether `presented` satisfies the rule; if not, why, in words.
    pub(in crate::transport) fn check(
        &self,
        presented: &Presented,
        dialled: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), String> {
        match self {
            Rule::Chain { verifier, names, roots } => verify_names(verifier, presented, &names.all(dialled), now)
                .map_err(|error| explain(&error, presented, &names.all(dialled), roots)),
            Rule::Public { verifier, names } => {
                let verifier = verifier.get_or_init(|| chain_verifier(native_roots()));
                let verifier = verifier.as_ref().ok_or("this machine has no CA certificates to check it with")?;
                verify_names(verifier, presented, &names.all(dialled), now)
                    .map_err(|error| explain(&error, presented, &names.all(dialled), "a public CA"))
            }
            Rule::PublicKey(wanted) if presented.spki != *wanted => {
                Err(format!("its certificate has the public key {}, recorded is {wanted} (SHA-256)", presented.spki))
            }
            Rule::Certificate(wanted) if presented.leaf != *wanted => {
                Err(format!("its certificate is {}, expected is {wanted} (SHA-256)", presented.leaf))
            }
            Rule::PublicKey(_) | Rule::Certificate(_) | Rule::Anything => Ok(()),
        }
    }
}

pub(in crate::transport) fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` cannot be in a certificate"))
}

/// A verifier with these roots; those that cannot be read are left out. `None`: none is left.
pub(in crate::transport) fn chain_verifier<'a>(
    roots: impl IntoIterator<Item = CertificateDer<'a>>,
) -> Option<Arc<WebPkiServerVerifier>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        if let Err(error) = store.add(root.into_owned()) {
            tracing::debug!(%error, "a CA certificate is left out");
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider()).build().ok()
}

pub(in crate::transport) fn native_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

pub(in crate::transport) fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect()
}

pub(in crate::transport) fn verify(
    verifier: &WebPkiServerVerifier,
    presented: &Presented,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), TlsError> {
    verifier.verify_server_cert(&presented.leaf_der(), &presented.others(), name, &[], now).map(|_| ())
}

/// Like `verify`, for any of these names. The error is that of the first.
fn verify_names(
    verifier: &WebPkiServerVerifier,
    presented: &Presented,
    names: &[&ServerName<'_>],
    now: UnixTime,
) -> Result<(), TlsError> {
    let mut results = names.iter().map(|name| verify(verifier, presented, name, now));
    let first = results.next().unwrap_or(Err(TlsError::InvalidCertificate(CertificateError::NotValidForName)));
    if first.is_ok() || results.any(|result| result.is_ok()) { Ok(()) } else { first }
}

/// Why a chain was refused, for a person who does not know what a chain is.
fn explain(error: &TlsError, presented: &Presented, names: &[&ServerName<'_>], roots: &str) -> String {
    use CertificateError as E;
    let wanted = names.iter().map(|name| name.to_str()).collect::<Vec<_>>().join(" or ");
    let mut text = match error {
        TlsError::InvalidCertificate(E::UnknownIssuer | E::BadSignature) => {
            format!("its certificate was not issued by {roots}")
        }
        TlsError::InvalidCertificate(E::NotValidForNameContext { presented, .. }) => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            format!("its certificate is for {}, not for {wanted}", names.join(", "))
        }
        TlsError::InvalidCertificate(E::NotValidForName) => format!("its certificate is not for {wanted}"),
        TlsError::InvalidCertificate(E::ExpiredContext { time, not_after }) => {
            format!("its certificate expired at {}, and here it is {}", utc(*not_after), utc(*time))
        }
        TlsError::InvalidCertificate(E::NotValidYetContext { time, not_before }) => {
            format!("its certificate is not valid before {}, and here it is {}", utc(*not_before), utc(*time))
        }
        TlsError::InvalidCertificate(E::InvalidPurpose | E::InvalidPurposeContext { .. }) => {
            "its certificate is not meant for servers".to_owned()
        }
        // webpki's error, which is no dependency of its own here.
        TlsError::InvalidCertificate(E::Other(other)) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it presents the certificate of a CA as its own, which only a fingerprint can identify".to_owned()
        }
        other => format!("its certificate was refused: {other}"),
    };
    let _ = write!(text, " (presented: SHA-256 {})", presented.leaf);
    text
}

/// `DnsName("pve1")` as `pve1`, `IpAddress(127.0.0.1)` as `127.0.0.1`: webpki gives its names as debug texts.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner.strip_suffix(')').unwrap_or(inner));
    inner.trim_matches('"')
}

fn utc(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("@{seconds}"), |time| time.to_string())
}
