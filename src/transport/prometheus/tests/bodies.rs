//! What is sent, read again by a decoder of its own.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::past::metrics::{self, Families};
use crate::transport::prometheus::write::MOST_SAMPLES;

/// Labels as they came, and the samples.
type Decoded = (Vec<(String, String)>, Vec<(i64, f64)>);

/// The fields of a protobuf message: number, and the bytes or the number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>, u64)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let (content, number) = match tag & 7 {
            0 => (Vec::new(), varint(&mut bytes)),
            1 => (take(&mut bytes, 8), 0),
            2 => {
                let length = varint(&mut bytes);
                (take(&mut bytes, usize::try_from(length).unwrap()), 0)
            }
            other => panic!("wire type {other}"),
        };
        all.push((tag >> 3, content, number));
    }
    all
}

fn take(bytes: &mut &[u8], length: usize) -> Vec<u8> {
    let (now, later) = bytes.split_at(length);
    *bytes = later;
    now.to_vec()
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
    }
    panic!("a varint of more than ten bytes");
}

fn decode(body: &[u8]) -> Vec<Decoded> {
    let request = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let series = |bytes: &[u8]| {
        let mut decoded: Decoded = Default::default();
        for (number, content, _) in fields(bytes) {
            let inner = fields(&content);
            assert_eq!((inner.len(), inner[0].0, inner[1].0), (2, 1, 2));
            match number {
                1 => decoded.0.push((text(&inner[0].1), text(&inner[1].1))),
                2 => {
                    let value = f64::from_le_bytes(inner[0].1.clone().try_into().unwrap());
                    decoded.1.push((inner[1].2.cast_signed(), value));
                }
                other => panic!("field {other}"),
            }
        }
        decoded
    };
    fields(&request).iter().map(|(number, content, _)| (*number == 1).then(|| series(content)).unwrap()).collect()
}

#[test]
fn the_bytes_of_one_sample() {
    let labels = labels(&[("id", "a"), ("pool", ""), ("Z", "1")]);
    let bodies = encode(std::iter::once(series("up", &labels, &[(at(300), 1.0)])));
    let request = snap::raw::Decoder::new().decompress_vec(&bodies[0]).unwrap();
    let want = b"\x0a\x2c\x0a\x06\x0a\x01Z\x12\x011\x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x07\x0a\x02id\x12\x01a\
        \x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02";
    let want = [&want[..1], &[u8::try_from(want.len() - 2).unwrap()], &want[2..]].concat();
    assert_eq!(request, want);
}

#[test]
fn nothing_makes_no_body_and_much_makes_several() {
    assert!(encode(std::iter::empty()).is_empty());
    let labels = labels(&[("id", "a")]);
    let none = [(at(0), f64::NAN), (at(1), f64::INFINITY)];
    assert!(encode(std::iter::once(series("up", &labels, &none))).is_empty());
    let samples: Vec<_> = (0..12_345).map(|n| (at(n), 0.5)).collect();
    let bodies = encode([series("a", &labels, &samples[..7000]), series("b", &labels, &samples[7000..])].into_iter());
    let counts: Vec<usize> =
        bodies.iter().map(|body| decode(body).iter().map(|(_, samples)| samples.len()).sum()).collect();
    assert_eq!(counts, [MOST_SAMPLES, MOST_SAMPLES, 2345]);
    // Long labels fill a body too.
    let long = super::labels(&[("name", &"x".repeat(100_000))]);
    assert_eq!(encode((0..25).map(|_| series("a", &long, &samples[..1]))).len(), 3);
}

#[test]
fn a_moment_of_families_is_a_series_a_number() {
    let mut families = Families::default();
    families.add(&metrics::UP, &[("id", "b")], true);
    families.add(&metrics::UP, &[("id", "a")], false);
    families.last_run(at(9000));
    let families = families.finish();
    let [body] = encode(series_of(&families, at(7))).try_into().unwrap();
    let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let up = |id, value| (vec![owned("__name__", "ecobox_up"), owned("id", id)], vec![(7, value)]);
    let run = (vec![owned("__name__", "ecobox_last_run_timestamp_seconds")], vec![(7, 9.0)]);
    assert_eq!(decode(&body), [up("b", 1.0), up("a", 0.0), run]);
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        all in proptest::collection::vec(
            ("[a-z_]{1,9}", ".{0,200}", proptest::collection::vec((-1_i64 << 40..1_i64 << 45, any::<f64>()), 0..40)),
            0..20,
        ),
    ) {
        let all: Vec<_> = all
            .into_iter()
            .map(|(name, value, samples)| {
                let samples: Vec<_> = samples.into_iter().map(|(ms, value)| (at(ms), value)).collect();
                (name, labels(&[("id", &value)]), samples)
            })
            .collect();
        let bodies = encode(all.iter().map(|(name, labels, samples)| series(name, labels, samples)));
        let decoded: Vec<Decoded> = bodies.iter().flat_map(|body| decode(body)).collect();
        let want: Vec<Decoded> = all
            .iter()
            .map(|(name, labels, samples)| {
                let mut found: BTreeMap<String, String> = labels.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
                found.insert("__name__".to_owned(), name.clone());
                found.retain(|_, value| !value.is_empty());
                let samples = samples.iter().filter(|(_, value)| value.is_finite());
                (found.into_iter().collect(), samples.map(|(at, value)| (at.as_millisecond(), *value)).collect())
            })
            .filter(|(_, samples): &Decoded| !samples.is_empty())
            .collect();
        prop_assert_eq!(decoded, want);
    }
}
