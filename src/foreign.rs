//! Everything that reads what a host, an API or a stranger sends, in one list: any bytes are tried on it, by `cargo test` a
//! few thousand, by `fuzz/` as many as there is time for. A reader may refuse, and may find nothing; it must come back.

use crate::model::foreign::Reader;
use crate::{fleet, model, transport};

/// Each reader with its name, in an order that lasts: the first byte of an input names one.
fn readers() -> Vec<&'static Reader> {
    let mut all: Vec<_> = model::foreign::READERS.iter().collect();
    all.extend(transport::foreign::readers().chain(fleet::foreign::readers()));
    all.sort_unstable_by_key(|(name, _)| *name);
    all
}

/// Has one of the readers read: the line before the first line end names it, else the first byte chooses.
pub(crate) fn read(input: &[u8]) {
    let readers = readers();
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (name, rest) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Some((_, reader)) = readers.iter().find(|(known, _)| known.as_bytes() == name) {
        return reader(rest);
    }
    let Some((first, rest)) = input.split_first() else { return };
    if let Some((_, reader)) = readers.get(usize::from(*first) % readers.len().max(1)) {
        reader(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// The inputs that are kept: `fuzz/seeds/NAME` or `fuzz/seeds/NAME-what-it-is`, each without the line that names it.
    fn seeds() -> Vec<(&'static str, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let mut seeds = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read(entry.unwrap().path()).unwrap();
            let (name, rest) = text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap());
            let name = std::str::from_utf8(name).unwrap();
            let (name, _) = readers().into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}"));
            seeds.push((*name, rest[1..].to_vec()));
        }
        seeds.sort();
        seeds
    }

    #[test]
    fn each_reader_has_a_seed_and_reads_any_part_of_it() {
        let seeds = seeds();
        for (name, reader) in readers() {
            let own: Vec<_> = seeds.iter().filter(|(seed, _)| seed == name).collect();
            assert!(!own.is_empty(), "fuzz/seeds has nothing for {name}");
            for (_, text) in own {
                let step = text.len() / 400 + 1;
                for at in (0..=text.len()).step_by(step) {
                    reader(&text[..at]);
                    reader(&text[at..]);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "(?s).{0,200}") {
            for (_, reader) in readers() {
                reader(&bytes);
                reader(text.as_bytes());
            }
        }

        /// Pieces of what is right, doubled, left out, swapped and joined, which random bytes never come to.
        #[test]
        fn what_is_almost_right_is_read(
            chosen in any::<Index>(),
            edits in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<Index>(), "\\PC{0,3}"), 1..6),
        ) {
            let seeds = seeds();
            let (name, seed) = chosen.get(&seeds);
            let mut text = seed.clone();
            for (from, to, other, noise) in edits {
                let mut range = [from.index(text.len() + 1), to.index(text.len() + 1)];
                range.sort_unstable();
                let piece = text[range[0]..range[1].min(range[0] + 64)].to_vec();
                let at = other.index(text.len() + 1);
                match noise.len() % 3 {
                    0 => drop(text.drain(range[0]..range[1].min(range[0] + 64))),
                    1 => drop(text.splice(at..at, piece)),
                    _ => drop(text.splice(at..at, noise.into_bytes())),
                }
            }
            let mut input = name.as_bytes().to_vec();
            input.push(b'\n');
            input.extend(text);
            read(&input);
        }
    }
}
