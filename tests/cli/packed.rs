//! Samples as the state file has them, many in one row (`src/state/history/sample_blocks.rs`), for tests that look into it or put
//! something there.

use std::fmt::Write as _;

use super::env::Env;

const NUMBERS: [&str; 6] = ["cpu", "cpus", "load", "pressure_cpu", "pressure_memory", "pressure_io"];
const COUNTS: [&str; 9] =
    ["memory", "memory_max", "disk", "disk_max", "receive", "transmit", "read", "write", "uptime"];

/// The source `ssh`.
const SSH: u8 = 2;

/// One sample of the state file.
pub(crate) struct Packed {
    pub(crate) at: i64,
    /// Of a guest: the cluster's number << 32 | vmid.
    pub(crate) subject: i64,
    /// Which numbers it has.
    pub(crate) known: Vec<&'static str>,
    bytes: Vec<u8>,
}

/// All samples.
pub(crate) fn samples(env: &Env) -> Vec<Packed> {
    let rows = env.rows("SELECT at, block, hex(servers) FROM samples ORDER BY at, block");
    rows.iter()
        .flat_map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            let (at, first) = (cells[0].parse().unwrap(), cells[1].parse::<i64>().unwrap() << 4);
            let body: Vec<u8> =
                (0..cells[2].len() / 2).map(|i| u8::from_str_radix(&cells[2][i * 2..i * 2 + 2], 16).unwrap()).collect();
            let (mut rest, mut found) = (body.as_slice(), Vec::new());
            while !rest.is_empty() {
                let subject = first | i64::from(rest[0] & 15);
                let bits = u16::from_le_bytes([rest[1], rest[2]]);
                let names = NUMBERS.into_iter().chain(COUNTS).enumerate();
                let known: Vec<_> = names.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| name).collect();
                let mut end = 3;
                for name in &known {
                    end += if NUMBERS.contains(name) {
                        4
                    } else {
                        rest[end..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1
                    };
                }
                let (bytes, after) = rest.split_at(end);
                found.push(Packed { at, subject, known, bytes: bytes.to_vec() });
                rest = after;
            }
            found
        })
        .collect()
}

/// Puts one sample of a configured server into the state file.
pub(crate) fn add(env: &Env, at: i64, server: &str, numbers: &[(&str, f64)]) {
    let subject: i64 = env.rows(&format!("SELECT id FROM subjects WHERE server = '{server}'"))[0].parse().unwrap();
    add_all(env, at, &[subject], numbers);
}

/// Puts the same sample of each of these subjects into the state file, in place of what their blocks have at that time.
pub(crate) fn add_all(env: &Env, at: i64, subjects: &[i64], numbers: &[(&str, f64)]) {
    for block in subjects.chunk_by(|one, other| one >> 4 == other >> 4) {
        let body: Vec<u8> = block.iter().flat_map(|subject| body_of(*subject, numbers)).collect();
        put(env, at, block[0] >> 4, &body);
    }
}

fn body_of(subject: i64, numbers: &[(&str, f64)]) -> Vec<u8> {
    let of = |name: &str| numbers.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let (mut bits, mut body) = (0_u16, Vec::new());
    for (bit, number) in NUMBERS.iter().enumerate().filter_map(|(bit, name)| Some((bit, of(name)?))) {
        bits |= 1 << bit;
        #[expect(clippy::cast_possible_truncation, reason = "it is one")]
        body.extend((number as f32).to_le_bytes());
    }
    for (bit, number) in COUNTS.iter().enumerate().filter_map(|(bit, name)| Some((bit + NUMBERS.len(), of(name)?))) {
        bits |= 1 << bit;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
        let mut count = number as u64;
        while count > 0x7f {
            body.push(u8::try_from(count & 0x7f).unwrap() | 0x80);
            count >>= 7;
        }
        body.push(u8::try_from(count).unwrap());
    }
    let [low, high] = bits.to_le_bytes();
    body.splice(0..0, [SSH << 4 | u8::try_from(subject & 15).unwrap(), low, high]);
    body
}

/// Takes all samples of a guest out of the state file.
pub(crate) fn forget(env: &Env, vmid: i64) {
    let is_meant = |one: &Packed| one.subject & 0xffff_ffff == vmid;
    let all = samples(env);
    for gone in all.iter().filter(|one| is_meant(one)) {
        let beside = |one: &&Packed| (one.at, one.subject >> 4) == (gone.at, gone.subject >> 4) && !is_meant(one);
        let rest: Vec<u8> = all.iter().filter(beside).flat_map(|one| one.bytes.clone()).collect();
        put(env, gone.at, gone.subject >> 4, &rest);
    }
}

fn put(env: &Env, at: i64, block: i64, body: &[u8]) {
    let mut hex = String::new();
    for byte in body {
        write!(hex, "{byte:02x}").unwrap();
    }
    env.execute(&format!("INSERT OR REPLACE INTO samples (at, block, servers) VALUES ({at}, {block}, x'{hex}')"));
}
