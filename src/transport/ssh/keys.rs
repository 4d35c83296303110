//! Private key files and certificates, each read once for all the hosts of a run.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{Certificate, Error as KeyError, PrivateKey, PublicKey, decode_secret_key};
use zeroize::Zeroizing;

use crate::file;
use crate::model::id::Secret;
use crate::transport::ssh::Ask;
use crate::transport::ssh::account::own_uid;

/// No key file is longer.
const LONGEST: u64 = 1 << 20;
/// As often does ssh ask for one passphrase.
const MOST_QUESTIONS: usize = 3;

/// What a private key file holds.
#[derive(Debug, Clone)]
pub(super) enum Loaded {
    Plain(Arc<PrivateKey>),
    /// With its public half if that can be known.
    Encrypted(Option<PublicKey>),
    /// The private half is elsewhere: in an agent or in hardware. The text says why.
    Public(PublicKey, &'static str),
    Missing,
    /// The text says why.
    Unusable(String),
}

/// The keys of a run. Shared by all connections, so that a file is read and a passphrase asked for only once.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    loaded: Mutex<HashMap<PathBuf, Loaded>>,
    certificates: Mutex<HashMap<PathBuf, Option<Certificate>>>,
    /// One file at a time, so that each is read once.
    reading: tokio::sync::Mutex<()>,
    /// One question at a time.
    asking: tokio::sync::Mutex<()>,
}

impl Keys {
    pub(super) async fn load(&self, path: &Path) -> Loaded {
        let _one_at_a_time = self.reading.lock().await;
        let known = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(known) = known {
            return known;
        }
        let file = path.to_owned();
        let loaded = file::in_time(file::PATIENCE, move || Ok(load(&file))).await;
        let loaded = loaded.unwrap_or_else(|error| Loaded::Unusable(error.to_string()));
        self.put(path, loaded.clone());
        loaded
    }

    /// The certificate in a file, if there is one that can be read.
    pub(super) async fn certificate(&self, path: &Path) -> Option<Certificate> {
        let _one_at_a_time = self.reading.lock().await;
        let known = self.certificates.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(known) = known {
            return known;
        }
        let text = file::read_text(path, LONGEST, file::PATIENCE).await;
        let read = text.ok().and_then(|text| Certificate::from_openssh(text.trim()).ok());
        let mut certificates = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.insert(path.to_owned(), read.clone());
        read
    }

    /// Asks for the passphrase of an encrypted key and decrypts it; else the reason why it stays closed, which then
    /// holds for the rest of the run.
    pub(super) async fn unlock(&self, path: &Path, ask: &dyn Ask) -> Result<Arc<PrivateKey>, String> {
        let _one_at_a_time = self.asking.lock().await;
        match self.load(path).await {
            Loaded::Plain(key) => return Ok(key),
            Loaded::Unusable(why) => return Err(why),
            _ => {}
        }
        let mut why = "encrypted, and no agent has it".to_owned();
        for _ in 0..MOST_QUESTIONS {
            let Some(passphrase) = ask.passphrase(path).await else { break };
            match decrypt(path, passphrase).await {
                Ok(key) => {
                    let key = Arc::new(key);
                    self.put(path, Loaded::Plain(Arc::clone(&key)));
                    return Ok(key);
                }
                Err(reason) => why = reason,
            }
        }
        self.put(path, Loaded::Unusable(why.clone()));
        Err(why)
    }

    fn put(&self, path: &Path, what: Loaded) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), what);
    }
}

/// Decrypts a key file beside the runtime: bcrypt takes 0.1 s.
async fn decrypt(path: &Path, passphrase: Secret) -> Result<PrivateKey, String> {
    let path = path.to_owned();
    let decrypted = tokio::task::spawn_blocking(move || {
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(|e| e.to_string())?);
        decode_secret_key(&text, Some(passphrase.expose())).map_err(|_| "the passphrase is wrong".to_owned())
    });
    decrypted.await.unwrap_or_else(|_| Err("it cannot be decrypted".to_owned()))
}

fn load(path: &Path) -> Loaded {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return public_half(path)
                .map_or(Loaded::Missing, |key| Loaded::Public(key, "only its public half is here"));
        }
        Err(e) => return Loaded::Unusable(e.to_string()),
    };
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Loaded::Unusable("it is not a key file".to_owned());
    }
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(e) => return Loaded::Unusable(e.to_string()),
    };
    // An IdentityFile may name the public half of a key that the agent has.
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        return Loaded::Public(key, "only its public half is here");
    }
    // The rule of OpenSSH: others' files may have any mode.
    if own_uid() == Some(metadata.uid()) && metadata.mode() & 0o077 != 0 {
        return Loaded::Unusable(format!("its mode {:04o} lets others read it (chmod 600)", metadata.mode() & 0o7777));
    }
    let hardware = |key: &PublicKey| key.key_data().is_sk_ed25519() || key.key_data().is_sk_ecdsa_p256();
    match decode_secret_key(&text, None) {
        Ok(key) if hardware(key.public_key()) => {
            Loaded::Public(key.public_key().clone(), "a hardware key needs an agent")
        }
        Ok(key) => Loaded::Plain(Arc::new(key)),
        Err(KeyError::KeyIsEncrypted) => {
            // OpenSSH's own format has the public half in clear.
            let inside = PrivateKey::from_openssh(text.as_bytes()).ok().map(|key| key.public_key().clone());
            match inside.or_else(|| public_half(path)) {
                Some(key) if hardware(&key) => Loaded::Public(key, "a hardware key needs an agent"),
                key => Loaded::Encrypted(key),
            }
        }
        Err(_) => Loaded::Unusable("it is not a private key that can be read".to_owned()),
    }
}

/// The key beside a private key, in `path.pub`.
fn public_half(path: &Path) -> Option<PublicKey> {
    let text = fs::read_to_string(beside(path, ".pub")).ok()?;
    PublicKey::from_openssh(text.trim()).ok()
}

/// The path with something appended to its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
