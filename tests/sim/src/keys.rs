//! SSH keys in files, and lines of known_hosts and authorized_keys.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use russh::keys::HashAlg;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, PublicKey};

/// A key's algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    Ed25519,
    /// ECDSA with the curve P-256.
    Ecdsa,
}

impl KeyType {
    /// A new random key.
    pub fn generate(self) -> PrivateKey {
        let algorithm = match self {
            KeyType::Ed25519 => Algorithm::Ed25519,
            KeyType::Ecdsa => Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        };
        PrivateKey::random(&mut safe_rng(), algorithm).expect("a key of a supported kind")
    }
}

/// A client's key pair: the private key in a file, the public key to be authorized.
#[derive(Debug, Clone)]
pub struct ClientKey {
    pub path: PathBuf,
    pub private: PrivateKey,
    pub public: PublicKey,
}

impl ClientKey {
    /// Makes an ed25519 key in OpenSSH's format, mode 0600, with its `.pub` beside it; encrypted if a passphrase is given.
    pub fn create(path: &Path, passphrase: Option<&str>) -> ClientKey {
        let private = KeyType::Ed25519.generate();
        let stored = match passphrase {
            Some(passphrase) => private.encrypt(&mut safe_rng(), passphrase).expect("an unencrypted key"),
            None => private.clone(),
        };
        let text = stored.to_openssh(LineEnding::LF).expect("a complete key");
        fs::write(path, text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
        let public = private.public_key().clone();
        let beside = format!("{}.pub", path.display());
        fs::write(beside, format!("{}\n", one_line(&public))).expect("a file beside the key");
        ClientKey { path: path.to_owned(), private, public }
    }

    /// The line for authorized_keys.
    pub fn authorized_line(&self) -> String {
        one_line(&self.public)
    }
}

/// `ssh-ed25519 AAAA...` without a comment.
pub fn one_line(key: &PublicKey) -> String {
    key.to_openssh().expect("a complete key").trim().to_owned()
}

/// The line of known_hosts for a key at an address: `[127.0.0.1]:2222 ssh-ed25519 AAAA...`.
pub fn known_hosts_line(address: SocketAddr, key: &PublicKey) -> String {
    let name = match address.port() {
        22 => address.ip().to_string(),
        port => format!("[{}]:{port}", address.ip()),
    };
    format!("{name} {}\n", one_line(key))
}
