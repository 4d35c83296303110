//! Reads tables of the parsed file key by key; every complaint knows its place in the text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{Checked, Problem};
use crate::model::text::{did_you_mean, quoted};

/// One table of the file.
pub(super) struct Reader<'t> {
    map: &'t DeTable<'t>,
    /// The table's header, where a missing key is reported.
    pub(super) span: Range<usize>,
    /// Where its keys stand: `in [dashboard]`.
    place: &'static str,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.span.clone(), message)
    }
}

impl<'t> Reader<'t> {
    pub(super) fn new(map: &'t DeTable<'t>, span: Range<usize>, place: &'static str) -> Reader<'t> {
        Reader { map, span, place }
    }

    /// The keys of this table with their places, in the order of the file.
    pub(super) fn keys(&self) -> Vec<At<&'t str>> {
        let mut keys: Vec<At<&'t str>> = self.map.keys().map(at_key).collect();
        keys.sort_by_key(|key| key.span.start);
        keys
    }

    /// Where the key itself stands, if it is there.
    pub(super) fn key(&self, name: &str) -> Option<At<&'t str>> {
        self.map.keys().map(at_key).find(|key| key.value == name)
    }

    fn get(&self, name: &str) -> Option<(&'t DeValue<'t>, Range<usize>)> {
        self.map.get(name).map(|value| (value.get_ref(), value.span()))
    }

    /// Refuses a key that is not in `known`. `elsewhere` are the keys of other tables and where those stand.
    pub(super) fn only(&self, known: &[&str], elsewhere: &[(&[&str], &str)]) -> Checked<()> {
        let Some(key) = self.keys().into_iter().find(|key| !known.contains(&key.value)) else { return Ok(()) };
        let name = quoted(key.value);
        // A key that stands under the wrong header is no slip of the finger.
        let home = elsewhere.iter().find(|(keys, _)| keys.contains(&key.value)).map(|(_, place)| *place);
        let hint = match home.filter(|place| *place != self.place) {
            Some(place) => format!(" {}; it belongs {place}", self.place),
            None => did_you_mean(key.value, known.iter().copied()).unwrap_or_else(|| format!(" {}", self.place)),
        };
        Err(key.problem(format!("unknown key {name}{hint}")))
    }

    pub(super) fn string(&self, name: &str) -> Checked<Option<At<&'t str>>> {
        match self.get(name) {
            None => Ok(None),
            Some((DeValue::String(text), span)) => Ok(Some(At { value: text, span })),
            Some((other, span)) => Err(mismatch(name, "a string", other, span)),
        }
    }

    /// The string under `name` as `rule` reads it.
    pub(super) fn parsed<T>(&self, name: &str, rule: impl FnOnce(&str) -> Result<T, String>) -> Checked<Option<At<T>>> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        let value = rule(text.value).map_err(|why| text.problem(about(name, &why)))?;
        Ok(Some(At { value, span: text.span }))
    }

    /// As [`Reader::parsed`]; an empty string is as if the key was not there, as ecobox-server has it.
    pub(super) fn filled<T>(&self, name: &str, rule: impl FnOnce(&str) -> Result<T, String>) -> Checked<Option<At<T>>> {
        match self.string(name)? {
            Some(text) if text.value.is_empty() => Ok(None),
            _ => self.parsed(name, rule),
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Checked<Option<At<bool>>> {
        match self.get(name) {
            None => Ok(None),
            Some((DeValue::Boolean(value), span)) => Ok(Some(At { value: *value, span })),
            Some((other, span)) => Err(mismatch(name, "`true` or `false`", other, span)),
        }
    }

    /// A whole number within `range`.
    pub(super) fn number(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Checked<Option<At<u64>>> {
        match self.get(name) {
            None => Ok(None),
            Some((DeValue::Integer(number), span)) => match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) if range.contains(&value) => Ok(Some(At { value, span })),
                _ => {
                    let text = quoted(number.as_str());
                    let message = format!("`{name}`: {text} is not within {} to {}", range.start(), range.end());
                    Err(Problem::new(span, message))
                }
            },
            Some((other, span)) => Err(mismatch(name, "a whole number", other, span)),
        }
    }

    /// A number, with or without a fraction.
    pub(super) fn decimal(&self, name: &str) -> Checked<Option<At<f64>>> {
        let text = match self.get(name) {
            None => return Ok(None),
            Some((DeValue::Integer(number), span)) => At { value: number.as_str().replace('_', ""), span },
            Some((DeValue::Float(number), span)) => At { value: number.as_str().replace('_', ""), span },
            Some((other, span)) => return Err(mismatch(name, "a number", other, span)),
        };
        match text.value.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(At { value, span: text.span })),
            _ => Err(text.problem(about(name, &format!("{} is not a number", quoted(&text.value))))),
        }
    }

    /// A list of TCP ports, 1 to 65535.
    pub(super) fn ports(&self, name: &str) -> Checked<Option<Vec<u16>>> {
        const WANTED: &str = "a list of ports, as [445, 8096]";
        let array = match self.get(name) {
            None => return Ok(None),
            Some((DeValue::Array(array), _)) => array,
            Some((other, span)) => return Err(mismatch(name, WANTED, other, span)),
        };
        let read = |entry: &Spanned<DeValue<'_>>| {
            let DeValue::Integer(number) = entry.get_ref() else {
                return Err(mismatch(name, WANTED, entry.get_ref(), entry.span()));
            };
            let port = u16::from_str_radix(number.as_str(), number.radix()).ok().filter(|port| *port > 0);
            port.ok_or_else(|| {
                let what = format!("{} is not within 1 to 65535", quoted(number.as_str()));
                Problem::new(entry.span(), about(name, &what))
            })
        };
        array.iter().map(read).collect::<Checked<_>>().map(Some)
    }

    /// A TCP port, 1 to 65535.
    pub(super) fn port(&self, name: &str) -> Checked<Option<u16>> {
        let port = self.number(name, 1..=u64::from(u16::MAX))?;
        Ok(port.and_then(|port| u16::try_from(port.value).ok()))
    }

    /// Whether the value under `name` is a string.
    pub(super) fn is_string(&self, name: &str) -> bool {
        matches!(self.get(name), Some((DeValue::String(_), _)))
    }

    /// A list of strings, with the place of each and of the whole.
    pub(super) fn strings(&self, name: &str) -> Checked<Option<At<Vec<At<&'t str>>>>> {
        let (array, span) = match self.get(name) {
            None => return Ok(None),
            Some((DeValue::Array(array), span)) => (array, span),
            Some((other, span)) => return Err(mismatch(name, "a list of strings", other, span)),
        };
        let mut value = Vec::with_capacity(array.len());
        for entry in array {
            match entry.get_ref() {
                DeValue::String(text) => value.push(At { value: &**text, span: entry.span() }),
                other => return Err(mismatch(name, "a list of strings", other, entry.span())),
            }
        }
        Ok(Some(At { value, span }))
    }

    /// The table under `name`; its keys stand `place`.
    pub(super) fn table(&self, name: &str, place: &'static str) -> Checked<Option<Reader<'t>>> {
        match self.get(name) {
            None => Ok(None),
            Some((DeValue::Table(map), span)) => Ok(Some(Reader::new(map, span, place))),
            Some((other, span)) => Err(mismatch(name, &format!("a table, written {}", written(place)), other, span)),
        }
    }

    /// The tables under `name`; the keys of each stand `place`.
    pub(super) fn tables(&self, name: &str, place: &'static str) -> Checked<Vec<Reader<'t>>> {
        let expected = format!("a list of tables, each written {}", written(place));
        let array = match self.get(name) {
            None => return Ok(Vec::new()),
            Some((DeValue::Array(array), _)) => array,
            Some((other, span)) => return Err(mismatch(name, &expected, other, span)),
        };
        let readers = array.iter().map(|entry| match entry.get_ref() {
            DeValue::Table(map) => Ok(Reader::new(map, entry.span(), place)),
            other => Err(mismatch(name, &expected, other, entry.span())),
        });
        readers.collect()
    }
}

/// The complaint about the value of `name`: "`hostname` is empty", "`hostname`: `a b` is not a valid host name".
pub(super) fn about(name: &str, why: &str) -> String {
    let colon = if why.starts_with('`') { ":" } else { "" };
    format!("`{name}`{colon} {why}")
}

fn at_key<'t>(key: &'t Spanned<DeString<'t>>) -> At<&'t str> {
    At { value: key.get_ref(), span: key.span() }
}

/// `[dashboard]` of `in [dashboard]`.
fn written(place: &str) -> &str {
    place.trim_start_matches("in ")
}

fn mismatch(name: &str, expected: &str, found: &DeValue<'_>, span: Range<usize>) -> Problem {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Problem::new(span, format!("`{name}` must be {expected}, not {found}"))
}
