//! The cluster's certificate authority and the certificates its nodes serve, shaped as PVE makes them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A certificate authority: the cluster's own (`pve-root-ca.pem`), or any other.
#[derive(Debug)]
pub struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
    pem: String,
}

impl Ca {
    /// A cluster CA with PVE's subject: each has its own random OU.
    pub fn pve() -> Ca {
        let unit = format!("{:016x}", u64::from(std::process::id()) ^ SERIAL.fetch_add(1, Ordering::Relaxed) << 20);
        Ca::named("Proxmox Virtual Environment", &unit, "PVE Cluster Manager CA")
    }

    /// A CA that is not Proxmox's, such as a company's.
    pub fn foreign(name: &str) -> Ca {
        Ca::named(name, "IT", name)
    }

    fn named(common: &str, unit: &str, organization: &str) -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Ca { params, der: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// The certificate as `/etc/pve/pve-root-ca.pem` holds it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate, as `AA:BB:..`.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.der)
    }

    /// A leaf as PVE issues it for a node: names, loopback and the node's address, server use only.
    pub fn issue_node(&self, node: &str, ip: IpAddr, key: Option<&Identity>) -> Identity {
        self.issue(leaf_params(node_names(node, ip), &format!("{node}.lan")), key)
    }

    /// The same, valid only until the end of 2020.
    pub fn issue_expired_node(&self, node: &str, ip: IpAddr, key: &Identity) -> Identity {
        let mut params = leaf_params(node_names(node, ip), &format!("{node}.lan"));
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.issue(params, Some(key))
    }

    /// The same, valid until then.
    pub(crate) fn issue_node_until(&self, node: &str, ip: IpAddr, key: &Identity, ends: SystemTime) -> Identity {
        let mut params = leaf_params(node_names(node, ip), &format!("{node}.lan"));
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = ends.into();
        self.issue(params, Some(key))
    }

    /// A leaf for these DNS names or addresses, as an ACME or company CA would issue it.
    pub fn issue_for(&self, names: &[&str]) -> Identity {
        self.issue(leaf_params(dns_names(names), names.first().unwrap_or(&"")), None)
    }

    fn issue(&self, params: CertificateParams, key: Option<&Identity>) -> Identity {
        let key = key.map_or_else(|| KeyPair::generate().unwrap(), Identity::key_pair);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Identity::new(&key, vec![certificate.der().clone()])
    }
}

/// What a node serves: a key and its certificate.
#[derive(Debug, Clone)]
pub struct Identity {
    key: Vec<u8>,
    public_key: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    pub(crate) config: Arc<ServerConfig>,
}

impl Identity {
    /// A certificate that nobody but its own key has signed.
    pub fn self_signed(names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = leaf_params(dns_names(names), names.first().unwrap_or(&""));
        let certificate = params.self_signed(&key).unwrap();
        Identity::new(&key, vec![certificate.der().clone()])
    }

    fn new(key: &KeyPair, chain: Vec<CertificateDer<'static>>) -> Identity {
        let der = key.serialize_der();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), private)
            .unwrap();
        let public_key = rcgen::PublicKeyData::subject_public_key_info(key);
        Identity { key: der, public_key, chain, config: Arc::new(config) }
    }

    fn key_pair(&self) -> KeyPair {
        KeyPair::try_from(self.key.as_slice()).unwrap()
    }

    /// SHA-256 of the leaf, as `AA:BB:..`: what `GET /nodes` names `ssl_fingerprint`.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.chain[0])
    }

    /// SHA-256 of the leaf's public key (SPKI), as `AA:BB:..`.
    pub fn public_key_fingerprint(&self) -> String {
        fingerprint(&self.public_key)
    }

    /// The leaf as PEM (`pve-ssl.pem`).
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.chain[0])
    }
}

fn leaf_params(names: Vec<SanType>, subject: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names;
    params.distinguished_name.push(DnType::CommonName, subject);
    params.distinguished_name.push(DnType::OrganizationalUnitName, "PVE Cluster Node");
    params.distinguished_name.push(DnType::OrganizationName, "Proxmox Virtual Environment");
    params.is_ca = IsCa::ExplicitNoCa;
    params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
    params.serial_number = Some(SERIAL.fetch_add(1, Ordering::Relaxed).into());
    params
}

fn node_names(node: &str, ip: IpAddr) -> Vec<SanType> {
    let addresses = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap(), ip].map(SanType::IpAddress);
    addresses.into_iter().chain(dns_names(&["localhost", node, &format!("{node}.lan")])).collect()
}

fn dns_names(names: &[&str]) -> Vec<SanType> {
    names.iter().map(|name| dns(name)).collect()
}

fn dns(name: &str) -> SanType {
    match name.parse() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

fn fingerprint(der: &[u8]) -> String {
    let digest = Sha256::digest(der);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bytes = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for position in 0..4 {
            let index = (bits >> (18 - 6 * position)) & 63;
            text.push(if position <= group.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
