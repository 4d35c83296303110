//! What `known_hosts` says of a key: cases by hand.

use std::path::Path;

use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Algorithm, Certificate, PrivateKey, PublicKey, PublicKeyOrCertificate};

use crate::transport::ssh::add_host_key::remember;
use crate::transport::ssh::known_hosts::{KnownHosts, Names, Verdict, glob};

const NOW: u64 = 1_800_000_000;

fn new_key(kind: &str) -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::new(kind).unwrap()).unwrap()
}

/// A certificate that is good for some seconds, of type host unless `change` says otherwise.
fn certify(authority: &PrivateKey, key: &PrivateKey, change: impl FnOnce(&mut Builder)) -> Certificate {
    let mut builder =
        Builder::new_with_random_nonce(&mut rand::rng(), key.public_key().key_data().clone(), NOW - 10, NOW + 10)
            .unwrap();
    builder.key_id("test").unwrap();
    change(&mut builder);
    // The type can be set once.
    let _ = builder.cert_type(CertType::Host);
    builder.sign(authority).unwrap()
}

/// The case's verdict in a word, with the line.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Trusted => "trusted".to_owned(),
        Verdict::Unknown => "unknown".to_owned(),
        Verdict::Changed(place) => format!("changed {}", place.line),
        Verdict::OtherType(place) => format!("other type {}", place.line),
        Verdict::Revoked(place) => format!("revoked {}", place.line),
        Verdict::BadCertificate(why) => format!("bad: {why}"),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn verdicts() {
    let (a, b, ca, ca2) =
        (new_key("ssh-ed25519"), new_key("ssh-ed25519"), new_key("ssh-ed25519"), new_key("ecdsa-sha2-nistp256"));
    let e = new_key("ecdsa-sha2-nistp256");
    let line = |key: &PrivateKey| PublicKey::new(key.public_key().key_data().clone(), "").to_openssh().unwrap();
    let good = |builder: &mut Builder| drop(builder.valid_principal("h"));
    let plain = |key: &PrivateKey| PublicKeyOrCertificate::from(key.public_key().clone());
    let present = |what: &str| -> PublicKeyOrCertificate {
        match what {
            "a" => plain(&a),
            "b" => plain(&b),
            "e" => plain(&e),
            "cert" => certify(&ca, &a, good).into(),
            "cert by ca2" => certify(&ca2, &a, good).into(),
            "cert for others" => certify(&ca, &a, |b| drop(b.valid_principal("other"))).into(),
            "cert with a pattern" => certify(&ca, &a, |b| drop(b.valid_principal("*"))).into(),
            "cert for all" => certify(&ca, &a, |b| drop(b.all_principals_valid())).into(),
            "user cert" => certify(&ca, &a, |b| drop(b.valid_principal("h").unwrap().cert_type(CertType::User))).into(),
            "critical cert" => {
                certify(&ca, &a, |b| drop(b.valid_principal("h").unwrap().critical_option("x", "y"))).into()
            }
            "old cert" => {
                let random = &mut rand::rng();
                let key = a.public_key().key_data().clone();
                let mut builder = Builder::new_with_random_nonce(random, key, NOW - 10, NOW).unwrap();
                builder.cert_type(CertType::Host).unwrap().key_id("old").unwrap().valid_principal("h").unwrap();
                builder.sign(&ca).unwrap().into()
            }
            "early cert" => {
                let random = &mut rand::rng();
                let key = a.public_key().key_data().clone();
                let mut builder = Builder::new_with_random_nonce(random, key, NOW + 1, NOW + 9).unwrap();
                builder.cert_type(CertType::Host).unwrap().key_id("new").unwrap().valid_principal("h").unwrap();
                builder.sign(&ca).unwrap().into()
            }
            "forged cert" => {
                // Signed by another key under the authority's name.
                let mut bytes = certify(&ca, &a, good).to_bytes().unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                Certificate::from_bytes(&bytes).unwrap().into()
            }
            _ => panic!("{what}"),
        }
    };
    let hashed = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        remember(&file, &Names::new(name, 22, None), a.public_key(), true).unwrap();
        std::fs::read_to_string(file).unwrap().split(' ').next().unwrap().to_owned()
    };
    let hashed_h = hashed("h");
    // File (A, B, E, CA, CA2 are keys), port, alias, presented, verdict.
    let cases: &[(&str, u16, &str, &str, &str)] = &[
        ("", 22, "", "a", "unknown"),
        ("h A", 22, "", "a", "trusted"),
        ("h A\r", 22, "", "a", "trusted"),
        (" \th\t A comment", 22, "", "a", "trusted"),
        ("H A", 22, "", "a", "trusted"),
        ("other A", 22, "", "a", "unknown"),
        ("# h A", 22, "", "a", "unknown"),
        ("HASHED A", 22, "", "a", "trusted"),
        ("HASHED A", 22, "", "b", "changed 1"),
        ("HASHED A", 22, "", "e", "other type 1"),
        ("h B", 22, "", "a", "changed 1"),
        ("# c\n\nh B", 22, "", "a", "changed 3"),
        ("h B\nh A", 22, "", "a", "trusted"),
        ("h E", 22, "", "a", "other type 1"),
        ("h E\nh B", 22, "", "a", "changed 2"),
        ("* B", 22, "", "a", "changed 1"),
        ("*,!h B", 22, "", "a", "unknown"),
        ("!h,* A", 22, "", "a", "unknown"),
        ("? A", 22, "", "a", "trusted"),
        ("h ssh-ed25519 AAAA\nh A", 22, "", "a", "trusted"),
        ("h ssh-ed25519 AAAA", 22, "", "a", "unknown"),
        ("h ssh-new@example.com AAAAE3NzaC1uZXdAZXhhbXBsZS5jb20AAAAEAQIDBA==", 22, "", "a", "other type 1"),
        // Ports.
        ("[h]:2222 A", 2222, "", "a", "trusted"),
        ("[h]:2222 A", 22, "", "a", "unknown"),
        ("h A", 2222, "", "a", "trusted"),
        ("h B", 2222, "", "a", "unknown"),
        ("h A\n[h]:2222 B", 2222, "", "a", "changed 2"),
        ("[h]:2222 E\nh A", 2222, "", "a", "other type 1"),
        ("[h]:22 A", 22, "", "a", "unknown"),
        ("[*]:2222 A", 2222, "", "a", "trusted"),
        // HostKeyAlias: without the port, and nothing else counts.
        ("name A", 2222, "name", "a", "trusted"),
        ("h A\n[h]:2222 A", 2222, "name", "a", "unknown"),
        ("name B", 22, "name", "a", "changed 1"),
        // Revoked.
        ("@revoked * A\nh A", 22, "", "a", "revoked 1"),
        ("h A\n@revoked h A", 22, "", "a", "revoked 2"),
        ("@revoked h B\nh A", 22, "", "a", "trusted"),
        ("@revoked other A\nh A", 22, "", "a", "trusted"),
        ("@revoked h B", 22, "", "a", "unknown"),
        ("@revoked\th A\nh A", 22, "", "a", "revoked 1"),
        ("[h]:2222 A\n@revoked h A", 2222, "", "a", "revoked 2"),
        ("@revoked h CA\n@cert-authority h CA", 22, "", "cert", "revoked 1"),
        ("@revoked h A\n@cert-authority h CA", 22, "", "cert", "revoked 1"),
        ("@revoked HASHED A\nh A", 22, "", "a", "revoked 1"),
        ("@other h A", 22, "", "a", "unknown"),
        // Authorities.
        ("@cert-authority h CA", 22, "", "cert", "trusted"),
        ("@cert-authority * CA", 2222, "", "cert", "trusted"),
        ("@cert-authority h CA", 2222, "", "cert", "trusted"),
        ("@cert-authority h CA\n@cert-authority h CA2", 22, "", "cert by ca2", "trusted"),
        ("@cert-authority h CA", 22, "", "cert by ca2", "unknown"),
        ("@cert-authority other CA", 22, "", "cert", "unknown"),
        ("h CA", 22, "", "cert", "changed 1"),
        ("@cert-authority h CA", 22, "", "a", "unknown"),
        ("@cert-authority h A", 22, "", "a", "unknown"),
        ("h A", 22, "", "cert", "trusted"),
        ("@cert-authority h CA\nh A", 22, "", "old cert", "trusted"),
        ("@cert-authority h CA\nh B", 22, "", "old cert", "changed 2"),
        ("@cert-authority h CA", 22, "", "old cert", "bad: it has expired"),
        ("@cert-authority h CA", 22, "", "early cert", "bad: it is not valid yet"),
        ("@cert-authority h CA", 22, "", "forged cert", "bad: its signature is wrong"),
        ("@cert-authority h CA", 22, "", "user cert", "bad: it is not a host certificate"),
        ("@cert-authority h CA", 22, "", "cert for others", "bad: it is for other hosts"),
        ("@cert-authority h CA", 22, "", "cert with a pattern", "bad: it is for other hosts"),
        ("@cert-authority h CA", 22, "", "cert for all", "bad: it is for other hosts"),
        ("@cert-authority h CA", 22, "", "critical cert", "bad: it has critical options that are not known"),
        ("@cert-authority name CA", 22, "name", "cert", "bad: it is for other hosts"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, (text, port, alias, presented, want)) in cases.iter().enumerate() {
        let mut file = String::new();
        for part in text.split_inclusive([' ', '\n', '\r', '\t']) {
            let word = part.trim_end();
            let key = match word {
                "A" => line(&a),
                "B" => line(&b),
                "E" => line(&e),
                "CA" => line(&ca),
                "CA2" => line(&ca2),
                "HASHED" => hashed_h.clone(),
                word => word.to_owned(),
            };
            file += &(key.trim_end().to_owned() + &part[word.len()..]);
        }
        let path = folder.path().join(format!("{number}"));
        std::fs::write(&path, &file).unwrap();
        let names = Names::new("H", *port, Some(*alias).filter(|alias| !alias.is_empty()));
        // A missing file beside it changes nothing.
        let known = KnownHosts::read(&[folder.path().join("missing"), path], &names).unwrap();
        assert_eq!(word(&known.check(&present(presented), NOW)), *want, "case {number}: {text:?} {port} {presented}");
    }
}

#[test]
fn recorded_algorithms_are_offered_first_and_no_sha1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let e = new_key("ecdsa-sha2-nistp384");
    let key = e.public_key().to_openssh().unwrap();
    let offered = |text: String, port: u16| {
        std::fs::write(&path, text).unwrap();
        let (algorithms, authority) =
            KnownHosts::read(std::slice::from_ref(&path), &Names::new("h", port, None)).unwrap().algorithms();
        (algorithms.iter().map(|a| a.as_str().to_owned()).collect::<Vec<_>>(), authority)
    };
    let rsa = include_str!("rsa.pub").trim();
    let usual = [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    assert_eq!(offered(String::new(), 22), (usual.map(str::to_owned).to_vec(), false));
    assert_eq!(offered(format!("h {key}"), 22).0[..2], ["ecdsa-sha2-nistp384", "ssh-ed25519"]);
    assert_eq!(offered(format!("h {key}"), 2222).0[0], "ecdsa-sha2-nistp384");
    assert_eq!(offered(format!("h {rsa}"), 22).0[..3], ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
    assert_eq!(offered(format!("@revoked h {key}"), 22).0[0], "ssh-ed25519");
    assert!(offered(format!("@cert-authority h {key}"), 2222).1);
    assert!(!offered(format!("@cert-authority other {key}"), 22).1);
}

#[test]
fn keys_are_added_once_on_a_line_of_their_own() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/known_hosts");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (a, b) = (new_key("ssh-ed25519"), new_key("ssh-ed25519"));
    let names = Names::new("Host", 2222, None);
    remember(&path, &names, a.public_key(), false).unwrap();
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("[host]:2222 ssh-ed25519 AAAA") && text.ends_with('\n'), "{text}");
    // The same key again, in the clear or hashed, changes nothing.
    remember(&path, &names, a.public_key(), true).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    // A last line without a newline stays whole.
    std::fs::write(&path, text.trim_end()).unwrap();
    remember(&path, &names, b.public_key(), true).unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.starts_with(&text) && lines.lines().nth(1).unwrap().starts_with("|1|"));
    for name in ["h\nother", "h ssh-rsa", "*", "!h", "a,b", "#h", "@revoked", "|1|x|y", ""] {
        let names = Names::new("h", 22, Some(name));
        assert!(remember(&path, &names, a.public_key(), false).is_err(), "{name:?}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), lines);
    // Many at once: every line whole.
    std::thread::scope(|scope| {
        for i in 0..20 {
            let (path, key) = (&path, a.public_key());
            scope.spawn(move || remember(path, &Names::new(&format!("h{i}"), 22, None), key, false).unwrap());
        }
    });
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 22);
}

#[test]
fn patterns_do_not_take_for_ever() {
    let text = "a".repeat(250);
    assert!(!glob(&"*a".repeat(100).replace("*a", "*a*"), &"b".repeat(250)));
    assert!(!glob(&("*a".repeat(100) + "b"), &text));
    assert!(glob(&"*".repeat(1000), &text));
    assert!(glob("*.*", "a.") && !glob("*.?", "a.") && glob("", "") && !glob("", "a") && !glob("?", ""));
}
