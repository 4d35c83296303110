//! How samples stand in the file: those of one look at neighbouring servers in one row, packed. A run keeps thousands
//! of them, and a row for each, with a column for each number, would cost it more than all else that it does.
//!
//! Of each server: one byte with the source and the place in the block, two with which numbers are known, then these:
//! fractions as four bytes, counts as LEB128, the least significant bits first; and last its watts: one byte with who says
//! so, and the number, with its bounds where it is modelled.

use rusqlite::Row;
use rusqlite::types::Type;

use crate::model::load::energy::{Watts, WattsBy};
use crate::model::load::usage::{Count, Pressure, Sample, Source, Usage};

/// How many bits of a subject are its place in its block. More servers in one would make rows that do not fit on a
/// page, and a dear look at one of them.
pub(in crate::state) const PLACE_BITS: u32 = 4;

/// The block that has a subject.
pub(in crate::state) fn block_of(subject: i64) -> i64 {
    subject >> PLACE_BITS
}

/// Adds a sample to the body of its block. What no number of the file can say is unknown.
pub(in crate::state) fn write(body: &mut Vec<u8>, subject: i64, sample: &Sample) {
    let Sample { source, usage: u, pressure: p, watts } = sample;
    let numbers = [u.cpu_percent, u.cpus, u.load, p.cpu_percent, p.memory_percent, p.io_percent];
    let counts = [
        u.memory_bytes,
        u.memory_max_bytes,
        u.disk_bytes,
        u.disk_max_bytes,
        u.receive_bytes,
        u.transmit_bytes,
        u.read_bytes,
        u.write_bytes,
        u.uptime_seconds,
    ];
    let place = (subject - (block_of(subject) << PLACE_BITS)).to_le_bytes()[0];
    body.push((code(*source) << PLACE_BITS) | place);
    let known_at = body.len();
    body.extend([0; 2]);
    let mut known = 0_u16;
    for (bit, number) in numbers.into_iter().enumerate() {
        if let Some(number) = number.filter(|number| number.is_finite()) {
            known |= 1 << bit;
            body.extend(number.to_le_bytes());
        }
    }
    for (bit, count) in counts.into_iter().enumerate() {
        if let Some(count) = count.map(Count::get).filter(|count| i64::try_from(*count).is_ok()) {
            known |= 1 << (numbers.len() + bit);
            write_count(body, count);
        }
    }
    if let Some(watts) = watts.filter(|watts| watts.likely.is_finite()) {
        known |= 1 << (numbers.len() + counts.len());
        body.push(watts_code(watts.by));
        body.extend(watts.likely.to_le_bytes());
        if watts.by == WattsBy::Model {
            body.extend(watts.least.to_le_bytes());
            body.extend(watts.most.unwrap_or(watts.likely).to_le_bytes());
        }
    }
    body[known_at..known_at + 2].copy_from_slice(&known.to_le_bytes());
}

fn write_count(body: &mut Vec<u8>, mut count: u64) {
    while count > 0x7f {
        body.push(count.to_le_bytes()[0] | 0x80);
        count >>= 7;
    }
    body.push(count.to_le_bytes()[0]);
}

/// Gives the samples of a row of `at`, `block` and `servers` to `each`, in the order of their subjects.
pub(in crate::state) fn read(
    row: &Row<'_>,
    each: &mut dyn FnMut(i64, Sample) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let first = row.get::<_, i64>(1)? << PLACE_BITS;
    let mut rest = row.get_ref(2)?.as_blob()?;
    while !rest.is_empty() {
        let Some((place, sample)) = read_one(&mut rest) else {
            return Err(rusqlite::Error::FromSqlConversionFailure(2, Type::Blob, "a sample is cut".into()));
        };
        each(first | i64::from(place), sample)?;
    }
    Ok(())
}

/// The first sample of a body, with its place in the block; `None`: it is cut.
pub(in crate::state) fn read_one(rest: &mut &[u8]) -> Option<(u8, Sample)> {
    let [head] = take(rest)?;
    let known = u16::from_le_bytes(take(rest)?);
    let mut bits = (0..u16::BITS).map(|bit| known >> bit & 1 == 1);
    let mut number = || match bits.next() {
        Some(true) => Some(Some(read_number(rest)?)),
        _ => Some(None),
    };
    let (cpu_percent, cpus, load) = (number()?, number()?, number()?);
    let pressure = Pressure { cpu_percent: number()?, memory_percent: number()?, io_percent: number()? };
    let mut count = || match bits.next() {
        Some(true) => Some(Some(Count::new(read_count(rest)?))),
        _ => Some(None),
    };
    let usage = Usage {
        cpu_percent,
        cpus,
        load,
        memory_bytes: count()?,
        memory_max_bytes: count()?,
        disk_bytes: count()?,
        disk_max_bytes: count()?,
        receive_bytes: count()?,
        transmit_bytes: count()?,
        read_bytes: count()?,
        write_bytes: count()?,
        uptime_seconds: count()?,
    };
    let watts = if bits.next() == Some(true) { read_watts(rest)?.ok() } else { None };
    let place = head & ((1 << PLACE_BITS) - 1);
    Some((place, Sample { source: source(head >> PLACE_BITS), usage, pressure, watts }))
}

fn read_number(rest: &mut &[u8]) -> Option<f32> {
    take(rest).map(f32::from_le_bytes)
}

/// Watts of a source that this version does not know.
struct OfNobody;

/// `None`: it is cut.
fn read_watts(rest: &mut &[u8]) -> Option<Result<Watts, OfNobody>> {
    let [code] = take(rest)?;
    let likely = read_number(rest)?;
    let by = WattsBy::ALL.into_iter().find(|by| watts_code(*by) == code);
    Some(match by {
        Some(by @ WattsBy::Model) => {
            Ok(Watts { by, likely, least: read_number(rest)?, most: Some(read_number(rest)?) })
        }
        Some(by) => Ok(Watts::measured(by, likely.into())),
        None => Err(OfNobody),
    })
}

fn read_count(rest: &mut &[u8]) -> Option<u64> {
    let mut count = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let [byte] = take(rest)?;
        count |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(count);
        }
    }
    None
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// Four bits for a source. They are in files: none is ever given to another one.
fn code(source: Source) -> u8 {
    match source {
        Source::Api => 1,
        Source::Ssh => 2,
        Source::Tcp => 3,
        Source::Local => 4,
        Source::Cache => 5,
        Source::Config => 6,
        Source::Agent => 7,
        Source::Rrd => 8,
        Source::Prometheus => 9,
    }
}

/// A byte for who says how many watts. They are in files, too.
fn watts_code(by: WattsBy) -> u8 {
    match by {
        WattsBy::Meter => 1,
        WattsBy::Sensors => 2,
        WattsBy::Platform => 3,
        WattsBy::PackageAndMemory => 4,
        WattsBy::Package => 5,
        WattsBy::Model => 6,
    }
}

/// The source of a code; one that is not known reads as the state file itself.
fn source(of: u8) -> Source {
    Source::ALL.into_iter().find(|source| code(*source) == of).unwrap_or(Source::Cache)
}

#[cfg(test)]
mod tests;
