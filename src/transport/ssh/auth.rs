//! Logging in: which keys are offered in which order, and a useful word when none is accepted.

mod agent;
mod denial;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, Certificate, Error as KeyError, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind, Signer};

use crate::transport::Error;
use crate::transport::ssh::Ask;
use crate::transport::ssh::host_key_check::Checker;
use crate::transport::ssh::keys::{Keys, Loaded, beside};
use crate::transport::ssh::route::{Hop, Identity};

/// The time that the network may take in all. A person's answers do not count.
pub(super) struct Budget {
    left: Duration,
    whole: Duration,
}

/// The budget is used up.
pub(super) struct Overdue(pub(super) Duration);

impl Budget {
    pub(super) fn new(whole: Duration) -> Budget {
        Budget { left: whole, whole }
    }

    pub(super) async fn run<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Overdue> {
        let begun = Instant::now();
        let result = tokio::time::timeout(self.left, step).await;
        self.left = self.left.saturating_sub(begun.elapsed());
        result.map_err(|_| Overdue(self.whole))
    }
}

/// Logs in to one hop. Errors: `Denied` with what was offered and what was not, `Timeout`.
pub(super) async fn log_in(
    handle: &mut Handle<Checker>,
    hop: &Hop,
    keys: &Keys,
    ask: &dyn Ask,
    budget: &mut Budget,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut login = Login {
        handle,
        hop,
        keys,
        budget,
        offered: Vec::new(),
        skipped: Vec::new(),
        known: HashSet::new(),
        held: HashSet::new(),
        locked: None,
        wanted: None,
        over: false,
        instead: None,
    };
    let result = login.all(ask).await;
    tracing::debug!(server = hop.label, ms = begun.elapsed().as_millis(), offered = login.offered.len(), "login");
    match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Denied { peer: hop.peer(), why: login.denial(), detail: login.why() }),
        Err(Overdue(after)) => Err(Error::Timeout { peer: hop.peer(), doing: "logging in", after }),
    }
}

/// A key file whose private half cannot be used as it is.
struct Locked<'a> {
    identity: &'a Identity,
    public: Option<PublicKey>,
    /// Why not even a passphrase would help.
    why: Option<&'static str>,
}

struct Login<'a> {
    handle: &'a mut Handle<Checker>,
    hop: &'a Hop,
    keys: &'a Keys,
    budget: &'a mut Budget,
    offered: Vec<String>,
    skipped: Vec<String>,
    /// Fingerprints of what was offered, and whether with a certificate.
    known: HashSet<(String, bool)>,
    /// Key files whose key the agent has.
    held: HashSet<PathBuf>,
    /// The first key file that stayed closed.
    locked: Option<PathBuf>,
    /// What the server asks for besides a key.
    wanted: Option<String>,
    /// The server hung up.
    over: bool,
    /// What the server takes instead of a key, if it takes none.
    instead: Option<String>,
}

impl Login<'_> {
    async fn all(&mut self, ask: &dyn Ask) -> Result<bool, Overdue> {
        // As ssh does: a server that knows who comes by other means wants no key, and nobody is asked for a passphrase.
        let nothing = self.budget.run(self.handle.authenticate_none(self.hop.user.as_str())).await?;
        if self.accepted(nothing.ok()) {
            return Ok(true);
        }
        if self.instead.is_some() {
            return Ok(false);
        }
        let mut locked: Vec<Locked<'_>> = Vec::new();
        for identity in &self.hop.identities {
            let name = name(&identity.path);
            match self.keys.load(&identity.path).await {
                Loaded::Plain(key) => {
                    if self.with_file(&identity.path, &key).await? {
                        return Ok(true);
                    }
                }
                Loaded::Encrypted(public) => locked.push(Locked { identity, public, why: None }),
                Loaded::Public(key, why) => locked.push(Locked { identity, public: Some(key), why: Some(why) }),
                Loaded::Missing if identity.named => self.skipped.push(format!("{name}: no such file")),
                Loaded::Missing => {}
                Loaded::Unusable(why) => self.skipped.push(format!("{name}: {why}")),
            }
        }
        if self.with_agent(&locked).await? {
            return Ok(true);
        }
        for Locked { identity, why, .. } in locked {
            if self.over || self.held.contains(&identity.path) {
                continue;
            }
            let opened = match why {
                Some(why) => Err(why.to_owned()),
                None => self.keys.unlock(&identity.path, ask).await,
            };
            match opened {
                Ok(key) => {
                    if self.with_file(&identity.path, &key).await? {
                        return Ok(true);
                    }
                }
                Err(why) => {
                    self.locked.get_or_insert_with(|| identity.path.clone());
                    self.skipped.push(format!("{}: {why}", name(&identity.path)));
                }
            }
        }
        Ok(false)
    }

    /// Offers the certificates of a private key, then the key itself.
    async fn with_file(&mut self, path: &Path, key: &Arc<PrivateKey>) -> Result<bool, Overdue> {
        let Some(hash) = self.hash(key.public_key(), &name(path)).await? else { return Ok(false) };
        for certificate in self.certificates(path, key.public_key()).await {
            let label = format!("{} with a certificate", name(path));
            if !self.may_offer(&label, key.public_key(), true) {
                continue;
            }
            let user = self.hop.user.as_str();
            let mut signer = Held(Arc::clone(key));
            let step = self.handle.authenticate_certificate_with(user, certificate, hash, &mut signer);
            let result = self.budget.run(step).await?;
            if self.accepted(result.ok()) {
                return Ok(true);
            }
        }
        if !self.may_offer(&name(path), key.public_key(), false) {
            return Ok(false);
        }
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        let result = self.budget.run(self.handle.authenticate_publickey(self.hop.user.as_str(), key)).await?;
        Ok(self.accepted(result.ok()))
    }

    /// The certificates for a key: the one beside its file, and the configured ones.
    async fn certificates(&self, path: &Path, key: &PublicKey) -> Vec<Certificate> {
        let beside = beside(path, "-cert.pub");
        let mut found = Vec::new();
        for file in std::iter::once(&beside).chain(&self.hop.certificates) {
            let read = self.keys.certificate(file).await;
            found.extend(read.filter(|certificate| certificate.public_key() == key.key_data()));
        }
        found
    }

    /// The hash to sign with: Some(None) for keys that need none. None: the server knows only SHA-1.
    async fn hash(&mut self, key: &PublicKey, label: &str) -> Result<Option<Option<HashAlg>>, Overdue> {
        if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
            return Ok(Some(None));
        }
        match self.budget.run(self.handle.best_supported_rsa_hash()).await? {
            Ok(Some(Some(hash))) => Ok(Some(Some(hash))),
            Ok(Some(None)) => {
                self.skipped.push(format!("{label}: the server takes RSA keys only with SHA-1"));
                Ok(None)
            }
            // A server that does not say so: all since OpenSSH 7.2 know it.
            Ok(None) | Err(_) => Ok(Some(Some(HashAlg::Sha512))),
        }
    }

    /// Whether a key is new and there is room for it. It counts as offered then.
    fn may_offer(&mut self, label: &str, key: &PublicKey, certified: bool) -> bool {
        let new = self.known.insert((key.fingerprint(HashAlg::Sha256).to_string(), certified));
        if self.over || !new {
            return false;
        }
        self.offered.push(label.to_owned());
        true
    }

    fn accepted(&mut self, result: Option<AuthResult>) -> bool {
        match result {
            Some(AuthResult::Success) => return true,
            Some(AuthResult::Failure { remaining_methods, partial_success }) => {
                let methods = || remaining_methods.iter().map(<&str>::from).collect::<Vec<_>>().join(", ");
                if partial_success {
                    self.wanted = Some(methods());
                }
                // Who is refused the first time is told what there is.
                if self.offered.is_empty() && !remaining_methods.contains(&MethodKind::PublicKey) {
                    self.instead = Some(methods());
                }
                // No method left: the server hung up.
                self.over = remaining_methods.is_empty() || self.handle.is_closed();
            }
            None => self.over = self.handle.is_closed(),
        }
        false
    }
}

/// Signs for a certificate with a private key from a file. russh's own way knows only SHA-1 for RSA certificates.
struct Held(Arc<PrivateKey>);

impl Signer for Held {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash_alg: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        let signed = match self.0.key_data() {
            KeypairData::Rsa(pair) => (pair, hash_alg).try_sign(&to_sign),
            key => key.try_sign(&to_sign),
        };
        let signature = signed.map_err(|_| KeyError::InvalidSignature)?;
        signature.encode_prefixed(&mut to_sign).map_err(KeyError::from)?;
        Ok(to_sign)
    }
}

/// How a key file is called in messages.
fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
