//! Host keys by OpenSSH's rules: which lines of the `known_hosts` files speak of a host, and what they say of its key.
//!
//! russh's own helper is not used: it takes an unreadable file for an empty one, and knows neither patterns nor
//! `@revoked` nor `@cert-authority` (russh 0.65, `keys/known_hosts.rs`). The meaning of a line is in sshd(8),
//! `SSH_KNOWN_HOSTS` FILE FORMAT.
//!
//! Where this is stricter than OpenSSH 9.2: a key of another type than the recorded ones is never "new"; a key revoked
//! under the name without the port is revoked for every port; the marker of a revoked line may be followed by a tab;
//! a well-formed key of an unknown type counts as recorded; a host certificate without principals is good for no host;
//! a bad certificate of a known authority is refused instead of asked about.

mod lines;

pub(super) use self::lines::{glob, hashed, is_about, is_readable, matching};

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

/// The port that `known_hosts` does not name.
const DEFAULT_PORT: u16 = 22;

/// The names under which a host can be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// `host`, `[host]:port`, or the `HostKeyAlias`.
    pub(crate) recorded: String,
    /// `host` without the port: what is asked when nothing is recorded under the name with it.
    pub(crate) without_port: Option<String>,
    /// What a certificate's principals must contain.
    pub(crate) principal: String,
}

impl Names {
    /// As ssh names a host: in lower case, the port only if it is not 22, an alias as it stands.
    pub(crate) fn new(host: &str, port: u16, alias: Option<&str>) -> Names {
        let host = host.to_ascii_lowercase();
        match alias {
            Some(alias) => Names { recorded: alias.to_owned(), without_port: None, principal: alias.to_owned() },
            None if port == DEFAULT_PORT => Names { recorded: host.clone(), without_port: None, principal: host },
            None => Names { recorded: format!("[{host}]:{port}"), without_port: Some(host.clone()), principal: host },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    None,
    Authority,
    Revoked,
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<Path>,
    /// From 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A line that speaks of the host.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) marker: Marker,
    pub(crate) key: KeyData,
}

/// What the files say of a presented key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Recorded, or certified by a recorded authority.
    Trusted,
    /// Nothing is recorded for this host.
    Unknown,
    /// Another key of the same type is recorded.
    Changed(Place),
    /// Only keys of other types are recorded.
    OtherType(Place),
    Revoked(Place),
    /// A recorded authority signed it, but it is not good for this host now.
    BadCertificate(&'static str),
}

/// A `known_hosts` file that exists and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

/// All that is recorded of one host.
#[derive(Debug)]
pub(crate) struct KnownHosts {
    principal: String,
    recorded: Vec<Entry>,
    without_port: Vec<Entry>,
}

impl KnownHosts {
    /// Reads the lines of the files that speak of this host. A missing file is empty, one that cannot be read is not.
    pub(crate) fn read(files: &[PathBuf], names: &Names) -> Result<KnownHosts, Unreadable> {
        let mut known =
            KnownHosts { principal: names.principal.clone(), recorded: Vec::new(), without_port: Vec::new() };
        for path in files {
            let Some(text) = read_file(path).map_err(|source| Unreadable { path: path.clone(), source })? else {
                continue;
            };
            let file: Arc<Path> = path.as_path().into();
            known.recorded.extend(matching(&text, &file, &names.recorded));
            if let Some(name) = &names.without_port {
                known.without_port.extend(matching(&text, &file, name));
            }
        }
        Ok(known)
    }

    /// Takes the keys of a `RevokedHostKeys` file as revoked for every host. As for ssh, a file that cannot be read is
    /// no empty one, nor is one that is missing, or has a line that is no key.
    pub(crate) fn revoke(&mut self, path: &Path) -> Result<(), Unreadable> {
        let unreadable = |source| Unreadable { path: path.to_owned(), source };
        let text = read_file(path).and_then(|text| text.ok_or_else(|| io::ErrorKind::NotFound.into()));
        let text = text.map_err(unreadable)?;
        if text.starts_with(b"SSHKRL\n") {
            let what = "key revocation lists (KRL) are not supported; name a file with one public key a line";
            return Err(unreadable(io::Error::other(what)));
        }
        let file: Arc<Path> = path.into();
        for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = PublicKey::from_openssh(line);
            let key =
                key.map_err(|_| unreadable(io::Error::other(format!("line {} is not a public key", number + 1))))?;
            let place = Place { file: Arc::clone(&file), line: number + 1 };
            self.recorded.push(Entry { place, marker: Marker::Revoked, key: key.key_data().clone() });
        }
        Ok(())
    }

    /// The host key algorithms to offer, the recorded ones first so that the server proves itself by one of them; and
    /// whether an authority is recorded, so that certificates are worth asking for.
    pub(crate) fn algorithms(&self) -> (Vec<Algorithm>, bool) {
        let plain = |entries: &[Entry]| -> Vec<Algorithm> {
            let plain = entries.iter().filter(|entry| entry.marker == Marker::None);
            plain.map(|entry| entry.key.algorithm()).collect()
        };
        let mut known = plain(&self.recorded);
        if known.is_empty() {
            known = plain(&self.without_port);
        }
        let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
        let curves = ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
        let mut offered = vec![Algorithm::Ed25519];
        offered.extend(curves.iter().filter_map(|name| Algorithm::new(name).ok()));
        offered.extend([rsa(HashAlg::Sha512), rsa(HashAlg::Sha256)]);
        offered.sort_by_key(|algorithm| !known.iter().any(|known| same_type(known, algorithm)));
        let all = self.recorded.iter().chain(&self.without_port);
        (offered, all.into_iter().any(|entry| entry.marker == Marker::Authority))
    }

    /// What to think of the key or certificate that the server proved to have. `now` is in seconds since 1970.
    pub(crate) fn check(&self, presented: &PublicKeyOrCertificate, now: u64) -> Verdict {
        let key = presented.public_key();
        let authority = presented.certificate().map(Certificate::signature_key);
        let revoked = self.recorded.iter().chain(&self.without_port).find(|entry| {
            entry.marker == Marker::Revoked && (entry.key == *key.key_data() || Some(&entry.key) == authority)
        });
        if let Some(entry) = revoked {
            return Verdict::Revoked(entry.place.clone());
        }
        match self.verdict(&self.recorded, &key, presented.certificate(), now) {
            // Another port is another server: only a match counts under the name without it.
            Verdict::Unknown => match self.verdict(&self.without_port, &key, presented.certificate(), now) {
                verdict @ (Verdict::Trusted | Verdict::BadCertificate(_)) => verdict,
                _ => Verdict::Unknown,
            },
            verdict => verdict,
        }
    }

    fn verdict(&self, entries: &[Entry], key: &PublicKey, certificate: Option<&Certificate>, now: u64) -> Verdict {
        let of = |marker| entries.iter().filter(move |entry| entry.marker == marker);
        let certificate = certificate
            .filter(|certificate| of(Marker::Authority).any(|entry| entry.key == *certificate.signature_key()))
            .map(|certificate| flaw(certificate, &self.principal, now));
        if certificate == Some(None) || of(Marker::None).any(|entry| entry.key == *key.key_data()) {
            return Verdict::Trusted;
        }
        // OpenSSH goes on with the bare key of a certificate that is not good, and so does this.
        let same = of(Marker::None).find(|entry| same_type(&entry.key.algorithm(), &key.algorithm()));
        match (same, of(Marker::None).next(), certificate) {
            (Some(entry), _, _) => Verdict::Changed(entry.place.clone()),
            (None, Some(entry), _) => Verdict::OtherType(entry.place.clone()),
            (None, None, Some(Some(flaw))) => Verdict::BadCertificate(flaw),
            (None, None, _) => Verdict::Unknown,
        }
    }

    /// The key types that are recorded, for a message.
    pub(crate) fn recorded_types(&self) -> String {
        let mut seen = HashSet::new();
        let plain = self.recorded.iter().filter(|entry| entry.marker == Marker::None);
        let types = plain.map(|entry| entry.key.algorithm().to_string());
        types.filter(|name| seen.insert(name.clone())).collect::<Vec<_>>().join(", ")
    }
}

/// Why a host certificate of a trusted authority is not good for a host.
fn flaw(certificate: &Certificate, principal: &str, now: u64) -> Option<&'static str> {
    if certificate.cert_type() != CertType::Host {
        return Some("it is not a host certificate");
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Some("it is signed with SHA-1");
    }
    // Checks the signature and the time; the authority is the one that was recorded.
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    if now < certificate.valid_after() {
        return Some("it is not valid yet");
    }
    if now >= certificate.valid_before() {
        return Some("it has expired");
    }
    if certificate.validate_at(now, [&authority]).is_err() {
        return Some("its signature is wrong");
    }
    if certificate.critical_options().iter().next().is_some() {
        return Some("it has critical options that are not known");
    }
    if !certificate.valid_principals().iter().any(|name| name == principal) {
        return Some("it is for other hosts");
    }
    None
}

/// Whether both are of one key type; RSA with any hash counts as one.
fn same_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// A file's bytes; None if there is none. Only files and devices (`/dev/null`) are read: a pipe could block for ever.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let read = fs::metadata(path).and_then(|metadata| {
        let kind = metadata.file_type();
        if kind.is_fifo() || kind.is_socket() {
            return Err(io::Error::other("it is not a file"));
        }
        fs::read(path)
    });
    match read {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        read => read.map(Some),
    }
}
