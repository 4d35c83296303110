//! `known_hosts` files made up by the thousand, read by ssh-keygen and by us.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use russh::keys::{Algorithm, HashAlg, PrivateKey};

use crate::transport::ssh::known_hosts::{Marker, hashed, matching};
use rand::SeedableRng;

const RSA: &str = include_str!("rsa.pub");
const FILES: u64 = 2400;
const NAMES: [&str; 12] = [
    "h.example",
    "H.Example",
    "web1.lab",
    "[h.example]:2222",
    "[H.EXAMPLE]:2222",
    "[web1.lab]:2222",
    "10.0.0.1",
    "[10.0.0.1]:2200",
    "fe80::1",
    "[fe80::1]:2222",
    "x",
    "h.example.lab",
];
const PATTERNS: [&str; 16] = [
    "*",
    "?",
    "*.example",
    "H.*",
    "h.exampl?",
    "*.lab",
    "web?.lab",
    "[*]:2222",
    "[h.example]:*",
    "10.0.0.*",
    "??.0.0.1",
    "*example*lab",
    "**",
    "*:2222",
    "fe80::*",
    "h.example*",
];

/// Numbers that are the same in every run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    fn often(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    fn hosts(&mut self) -> String {
        if self.often(25) {
            return self.hash();
        }
        let one = |dice: &mut Dice| {
            let mut name = if dice.often(60) { dice.one(&NAMES) } else { dice.one(&PATTERNS) }.to_owned();
            if dice.often(10) {
                name = name.to_uppercase();
            }
            let negation = if dice.often(15) { "!" } else { "" };
            format!("{negation}{name}")
        };
        let mut names: Vec<String> = (0..=self.roll(3)).map(|_| one(self)).collect();
        if self.often(5) {
            names.insert(self.roll(names.len() + 1), String::new());
        }
        names.join(",")
    }

    fn hash(&mut self) -> String {
        use russh::keys::ssh_key::known_hosts::HostPatterns;
        let length = if self.often(8) { 19 } else { 20 };
        let salt: Vec<u8> = (0..length).map(|_| u8::try_from(self.roll(256)).unwrap()).collect();
        let hash = hashed(&salt, self.one(&NAMES)).unwrap();
        let text = HostPatterns::HashedName { salt, hash }.to_string();
        match self.roll(20) {
            0 => text.replacen("|1|", "|2|", 1),
            1 => text[..text.len() - 4].to_owned(),
            2 => text.replacen("|1|", "|1|AAAA", 1),
            3 => format!("{text},h.example"),
            4 => format!("!{text}"),
            5 => text.to_lowercase(),
            _ => text,
        }
    }

    fn key(&mut self, keys: &[String]) -> String {
        let key = keys[self.roll(keys.len())].clone();
        let (kind, blob) = key.split_once(' ').unwrap();
        let gap = self.one(&[" ", " ", " ", "\t", "  ", " \t "]);
        match self.roll(24) {
            0 => kind.to_owned(),
            1 => format!("{kind}{gap}"),
            2 => format!("ssh-foo{gap}{blob}"),
            3 => format!("{kind}{gap}{}", &blob[..blob.len() - 5]),
            4 => format!("{kind}{gap}#{blob}"),
            5 => format!("ssh-ed25519{gap}{blob}"),
            6 => format!("ecdsa-sha2-nistp384{gap}{blob}"),
            7 => format!("1024 35{gap}12345"),
            8 => format!("rsa-sha2-512{gap}{blob}"),
            9 => String::new(),
            10 => format!("{}{gap}{blob}", kind.to_uppercase()),
            _ => format!("{kind}{gap}{blob}"),
        }
    }

    fn line(&mut self, keys: &[String]) -> Vec<u8> {
        match self.roll(20) {
            0 => return self.one(&["# h.example", "", "  ", "\t# x", "#"]).as_bytes().to_vec(),
            1 => return self.one(&["h.example", "@revoked", "@revoked ", "x\t", " ,"]).as_bytes().to_vec(),
            _ => {}
        }
        let mut line = self.one(&["", "", "", "", " ", "\t", " \t "]).to_owned();
        let gaps = [" ", " ", " ", "\t", "  ", " \t "];
        if self.often(25) {
            line += self.one(&["@revoked", "@cert-authority", "@cert-authority", "@other", "@", "@REVOKED"]);
            // A tab here is below, in a case of its own.
            line += self.one(&[" ", " ", "  ", " \t"]);
            if self.often(5) {
                line += "@revoked ";
            }
        }
        line += &self.hosts();
        line += self.one(&gaps);
        line += &self.key(keys);
        line += self.one(&["", "", " comment", "\tcomment", " two words # three", "  ", " @revoked"]);
        let mut line = line.into_bytes();
        if self.often(3) {
            line.extend(b" caf\xe9");
        }
        line
    }

    fn file(&mut self, keys: &[String]) -> Vec<u8> {
        let mut file = Vec::new();
        for _ in 0..=self.roll(50) {
            file.extend(self.line(keys));
            file.extend(self.one(&["\n", "\n", "\n", "\r\n"]).as_bytes());
        }
        if self.often(20) {
            file.pop();
        }
        file
    }
}

/// Line, marker, fingerprint.
type Found = Vec<(usize, String, String)>;

fn by_keygen(file: &Path, name: &str) -> Found {
    let mut command = Command::new("ssh-keygen");
    let output = command.args(["-l", "-F", name, "-f"]).arg(file).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found = Found::new();
    let mut lines = text.lines();
    while let Some(head) = lines.next() {
        let (_, place) = head.split_once(" found: line ").unwrap_or_else(|| panic!("{head}"));
        let (number, marker) = place.split_once(' ').unwrap();
        let print = lines.next().unwrap().split(' ').find(|word| word.starts_with("SHA256:")).unwrap();
        found.push((number.parse().unwrap(), marker.trim().to_owned(), print.to_owned()));
    }
    found
}

fn by_us(file: &Path, name: &str) -> Found {
    let text = std::fs::read(file).unwrap();
    let path: Arc<Path> = file.into();
    let found = matching(&text, &path, name);
    let marker = |marker| match marker {
        Marker::None => "",
        Marker::Authority => "CA",
        Marker::Revoked => "REVOKED",
    };
    let one = |entry: &crate::transport::ssh::known_hosts::Entry| {
        (entry.place.line, marker(entry.marker).to_owned(), entry.key.fingerprint(HashAlg::Sha256).to_string())
    };
    found.iter().map(one).collect()
}

fn key_pool() -> Vec<String> {
    let kinds = ["ssh-ed25519", "ssh-ed25519", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"];
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let mut make = |kind: &str| {
        let key = PrivateKey::random(&mut random, Algorithm::new(kind).unwrap()).unwrap();
        key.public_key().to_openssh().unwrap().trim().to_owned()
    };
    let mut keys: Vec<String> = kinds.iter().map(|kind| make(kind)).collect();
    keys.push(RSA.trim().to_owned());
    keys
}

/// What a file says of a name must be the same, with one exception below; all other differences of OpenSSH and ecobox
/// are in what follows from it (see the head of `known_hosts`).
#[test]
fn the_lines_that_speak_of_a_host_are_those_of_ssh_keygen() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        eprintln!("SKIPPED: this test compares known_hosts with ssh-keygen, which is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = key_pool();
    let check = |seeds: std::ops::Range<u64>| {
        let mut hits = 0;
        for seed in seeds {
            let mut dice = Dice(seed);
            let file = folder.path().join(format!("known_hosts.{seed}"));
            std::fs::write(&file, dice.file(&keys)).unwrap();
            let name = dice.one(&NAMES);
            let (theirs, ours) = (by_keygen(&file, name), by_us(&file, name));
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert_eq!(ours, theirs, "left: ecobox, right: ssh-keygen; seed {seed}, {name} in\n{text:?}");
            hits += theirs.len();
            std::fs::remove_file(&file).unwrap();
        }
        hits
    };
    let hits = std::thread::scope(|scope| {
        let halves = [scope.spawn(|| check(0..FILES / 2)), scope.spawn(|| check(FILES / 2..FILES))];
        halves.map(|half| half.join().unwrap()).iter().sum::<usize>()
    });
    // The files must be worth reading.
    assert!(hits > 4000, "only {hits} lines were found");
    // OpenSSH 9.2 takes a tab for the end of a marker only if no blank follows on the line, and skips the line else. A
    // revocation that is skipped is a revoked key trusted: ecobox takes it.
    let file = folder.path().join("tab");
    let line = |marker: &str| format!("{marker}\th.example {}\n", keys[0]);
    std::fs::write(&file, line("@cert-authority") + &line("@revoked")).unwrap();
    assert_eq!(by_keygen(&file, "h.example"), []);
    assert_eq!(by_us(&file, "h.example").iter().map(|found| found.1.as_str()).collect::<Vec<_>>(), ["REVOKED"]);
}
