//! Values that several tables have: durations, commands, lists, and where paths start.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::error::{Checked, Problem};
use super::read::{At, Reader, about};
use super::validate;

/// Where paths of the file start.
pub(super) struct Folders<'a> {
    /// The configuration file's own folder.
    pub(super) config: &'a Path,
    pub(super) home: Option<&'a Path>,
}

/// Seconds as a number, or a text such as `5m`; at most `longest` seconds.
pub(super) fn duration(table: &Reader<'_>, key: &str, longest: u64) -> Checked<Option<At<Duration>>> {
    if table.is_string(key) {
        return table.parsed(key, |text| validate::duration(text, longest));
    }
    let seconds = expecting(table.number(key, 0..=longest), "a whole number", "seconds or a text like `5m`")?;
    Ok(seconds.map(|At { value, span }| At { value: Duration::from_secs(value), span }))
}

/// Bytes as a number, or a text such as `64M`; at most `largest`.
pub(super) fn size(table: &Reader<'_>, key: &str, largest: u64) -> Checked<Option<u64>> {
    if table.is_string(key) {
        return Ok(table.parsed(key, |text| validate::size(text, largest))?.map(|size| size.value));
    }
    let bytes = expecting(table.number(key, 0..=largest), "a whole number", "bytes or a text like `64M`")?;
    Ok(bytes.map(|bytes| bytes.value))
}

/// A number, with or without a fraction.
pub(super) fn decimal(table: &Reader<'_>, key: &str, range: RangeInclusive<f64>) -> Checked<Option<f64>> {
    let Some(At { value, span }) = table.decimal(key)? else { return Ok(None) };
    if range.contains(&value) {
        return Ok(Some(value));
    }
    Err(Problem::new(span, format!("`{key}`: {value} is not within {} to {}", range.start(), range.end())))
}

/// Passes the result on; a complaint about the kind of value names both kinds that are allowed.
pub(super) fn expecting<T>(result: Checked<T>, one: &str, both: &str) -> Checked<T> {
    result.map_err(|problem| Problem { message: problem.message.replace(one, both), ..problem })
}

/// The command that prints a secret: a list of arguments, or one line for `sh -c`.
pub(super) fn command(table: &Reader<'_>, name: &str) -> Checked<Option<Vec<String>>> {
    if table.is_string(name) {
        let line = table.parsed(name, |text| {
            if text.trim().is_empty() { Err("is empty".to_owned()) } else { validate::argument(text) }
        })?;
        return Ok(line.map(|line| vec!["sh".to_owned(), "-c".to_owned(), line.value]));
    }
    let list = expecting(table.strings(name), "a list of strings", "a string or a list of strings")?;
    let Some(list) = list else { return Ok(None) };
    if list.value.first().is_none_or(|program| program.value.trim().is_empty()) {
        return Err(list.problem(about(name, "is empty")));
    }
    each(&list.value, name, validate::argument).map(Some)
}

pub(super) fn each(
    list: &[At<&str>],
    key: &str,
    rule: impl Fn(&str) -> Result<String, String>,
) -> Checked<Vec<String>> {
    let read = |entry: &At<&str>| rule(entry.value).map_err(|why| entry.problem(about(key, &why)));
    list.iter().map(read).collect()
}
