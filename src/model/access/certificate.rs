//! What the TLS certificate of a Proxmox VE API must satisfy. `transport::tls::rule` checks it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::id::{InvalidId, NodeName};

/// A SHA-256 digest, written as `AA:BB:..` like PVE and browsers write fingerprints.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    /// Lower-case hex without colons.
    pub(crate) fn hex(&self) -> String {
        self.to_string().replace(':', "").to_ascii_lowercase()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    /// 64 hex digits, with or without colons, with or without a leading `SHA256:`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId { what: "SHA-256 fingerprint", text: text.to_owned(), rule: "32 bytes as AA:BB:.." };
        let digits = text.trim();
        let digits = digits.strip_prefix("SHA256:").or_else(|| digits.strip_prefix("sha256:")).unwrap_or(digits);
        let digits: Vec<char> = digits.chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let [high, low] = pair else { return Err(bad()) };
            let high = high.to_digit(16).ok_or_else(bad)?;
            let low = low.to_digit(16).ok_or_else(bad)?;
            *byte = u8::try_from(high * 16 + low).map_err(|_| bad())?;
        }
        Ok(Fingerprint(bytes))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How the API's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub(crate) enum Trust {
    /// The chain ends at this cluster's CA and the certificate names the node. Survives renewals, new addresses
    /// and aliases, and refuses another node's certificate.
    ClusterCa {
        /// DER.
        ca: Vec<u8>,
        node: NodeName,
    },
    /// The chain ends at a CA of this file (PEM); `node` is the name checked, else the configured host name.
    CaFile { pem: String, node: Option<NodeName> },
    /// The chain ends at a CA that this machine trusts, for the configured host name.
    PublicCa,
    /// The certificate's public key has this SHA-256 (of its `SubjectPublicKeyInfo`).
    PublicKey { spki: Fingerprint },
    /// The certificate itself has this SHA-256.
    Certificate { fingerprint: Fingerprint },
    /// Nothing is checked: `verify_tls = false`.
    Insecure,
}

impl Trust {
    /// A word for reports.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Trust::ClusterCa { .. } => "cluster-ca",
            Trust::CaFile { .. } => "ca-file",
            Trust::PublicCa => "public-ca",
            Trust::PublicKey { .. } => "public-key",
            Trust::Certificate { .. } => "fingerprint",
            Trust::Insecure => "insecure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_read_as_pve_and_openssl_write_them() {
        let hex = "4d040c0e".to_owned() + &"ab".repeat(28);
        let colons: Vec<String> = hex.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
        let colons = colons.join(":");
        for text in [hex.clone(), colons.clone(), format!("SHA256:{colons}"), format!(" {colons}\n")] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), colons, "{text}");
        }
        for text in ["", "4d:04", &hex[1..], &format!("{}zz", &hex[2..])] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
