//! The certificate of a Proxmox VE API: which trust fits what it presents, and the CA that a cluster is known by.

use rustls::pki_types::{CertificateDer, UnixTime};

use crate::model::access::certificate::{Fingerprint, Trust};
use crate::model::id::NodeName;
use crate::transport::tls::rule::{Presented, certificates, chain_verifier, native_roots, server_name, sha256, verify};

/// The rule that fits what a peer presents now: its cluster's CA under the node's name, else a public CA under
/// the configured host name, else its public key.
pub(crate) fn choose_trust(presented: &Presented, ca_pem: Option<&str>, node: Option<&NodeName>, host: &str) -> Trust {
    choose(presented, ca_pem, node, host, native_roots, UnixTime::now())
}

fn choose(
    presented: &Presented,
    ca_pem: Option<&str>,
    node: Option<&NodeName>,
    host: &str,
    public: impl FnOnce() -> Vec<CertificateDer<'static>>,
    now: UnixTime,
) -> Trust {
    let fits = |roots: Vec<CertificateDer<'static>>, name: &str| {
        let (Some(verifier), Ok(name)) = (chain_verifier(roots), server_name(name)) else { return false };
        verify(&verifier, presented, &name, now).is_ok()
    };
    if let (Some(pem), Some(node)) = (ca_pem, node) {
        for ca in certificates(pem) {
            if fits(vec![ca.clone()], node.as_str()) {
                return Trust::ClusterCa { ca: ca.to_vec(), node: node.clone() };
            }
        }
    }
    if fits(public(), host) { Trust::PublicCa } else { Trust::PublicKey { spki: presented.spki } }
}

/// The CA of this file that a peer's certificate, with the node's name in it, was issued by: proof that the peer is of
/// that CA's cluster, as the node's key was needed to present it.
pub(crate) fn proven_ca(presented: &Presented, cas: &[Vec<u8>], node: &NodeName) -> Option<Fingerprint> {
    let name = server_name(node.as_str()).ok()?;
    let issued = |ca: &&Vec<u8>| {
        let verifier = chain_verifier([CertificateDer::from_slice(ca)]);
        verifier.is_some_and(|verifier| verify(&verifier, presented, &name, UnixTime::now()).is_ok())
    };
    cas.iter().find(issued).map(|ca| sha256(ca))
}

/// The certificates of a PEM text, DER.
pub(crate) fn certificates_in(pem: &str) -> Vec<Vec<u8>> {
    certificates(pem).into_iter().map(|der| der.to_vec()).collect()
}

/// The SHA-256 of each certificate of a PEM text.
pub(crate) fn fingerprints_in(pem: &str) -> Vec<Fingerprint> {
    certificates(pem).iter().map(|der| sha256(der)).collect()
}

/// What a server presents by the file that it serves, its own certificate first.
pub(crate) fn presented_by_file(pem: &str) -> Option<Presented> {
    let chain = certificates(pem);
    let (leaf, others) = chain.split_first()?;
    Presented::new(leaf, others).ok()
}

/// Trust in a cluster's CA (the first of the file), for one of its nodes.
pub(crate) fn ca_trust(ca_pem: &str, node: &NodeName) -> Option<Trust> {
    let ca = certificates(ca_pem).into_iter().next()?;
    Some(Trust::ClusterCa { ca: ca.to_vec(), node: node.clone() })
}

/// The SHA-256 of a CA certificate (the first of the file), which identifies a cluster.
pub(crate) fn ca_fingerprint(ca_pem: &str) -> Option<Fingerprint> {
    certificates(ca_pem).first().map(|der| sha256(der))
}

/// The fingerprint of a certificate, DER.
pub(crate) fn fingerprint_of(der: &[u8]) -> Fingerprint {
    sha256(der)
}

#[cfg(test)]
mod tests;
