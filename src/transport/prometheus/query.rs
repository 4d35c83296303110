//! What Prometheus kept: the raw samples, so that they are summed up by the same code as the state file's.
//!
//! `selector[1d]` in an instant query gives each sample as it was written; a range query would give what Prometheus
//! makes of them at each step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::text::is_unsafe;

use super::client::{Access, Client, Error, Limits, shown};

/// Milliseconds of the first slice of a long time, and of the shortest and the longest one.
const FIRST: i64 = 24 * 3600 * 1000;
const SHORTEST: i64 = 60 * 1000;
const LONGEST: i64 = 64 * FIRST;
const PATH: &str = "/api/v1/query";

/// Labels, `__name__` among them, and the samples under them, the oldest first.
pub(crate) type Found = (BTreeMap<String, String>, Vec<(Timestamp, f64)>);

/// Which values of a label are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Matcher<'a> {
    Is(&'a str),
    /// One of these; none, if there are none.
    OneOf(&'a [&'a str]),
}

/// The series with this name and these labels, in PromQL. Label values are foreign text.
pub(crate) fn selector(name: &str, labels: &[(&str, Matcher<'_>)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, matcher)| match matcher {
            Matcher::Is(value) => format!("{label}={}", string(value)),
            Matcher::OneOf([]) => format!("{label}=\"\",{label}!=\"\""),
            Matcher::OneOf(values) => {
                let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
                format!("{label}=~{}", string(&values.join("|")))
            }
        })
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// A string of PromQL, which has Go's escapes.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_unsafe(c) => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A regular expression of RE2 that only this text matches; Prometheus's must match from end to end.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Who gives numbers: the URL of `query`.
#[derive(Debug)]
pub(crate) struct Reader(Client);

impl Reader {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The URL, the CA or the secret cannot be used.
    pub(crate) fn new(url: &str, access: Access) -> Result<Reader, Error> {
        Reader::with_limits(url, access, Limits::default())
    }

    pub(super) fn with_limits(url: &str, access: Access, limits: Limits) -> Result<Reader, Error> {
        Client::new(url, access, limits).map(Reader)
    }

    /// All samples from `since` to `until`, both included, by their labels.
    ///
    /// # Errors
    /// Prometheus's own words, where it does not understand or not answer; what was found until then is lost.
    pub(crate) async fn range(&self, selector: &str, since: Timestamp, until: Timestamp) -> Result<Vec<Found>, Error> {
        let mut all: BTreeMap<BTreeMap<String, String>, Vec<(Timestamp, f64)>> = BTreeMap::new();
        self.each(selector, since, until, |(labels, samples)| all.entry(labels).or_default().extend(samples)).await?;
        Ok(all.into_iter().collect())
    }

    /// Like `range`, piece by piece, the oldest first, for a caller that does not need all of it at once. The pieces are as long as one
    /// answer may be: a day at first, then more or less.
    pub(crate) async fn each(
        &self,
        selector: &str,
        since: Timestamp,
        until: Timestamp,
        mut found: impl FnMut(Found),
    ) -> Result<(), Error> {
        // Nothing was measured before 1970.
        let mut from = since.as_millisecond().max(0);
        let end = until.as_millisecond().saturating_add(1);
        let mut length = FIRST;
        while from < end {
            let to = from.saturating_add(length).min(end);
            match self.slice(selector, from, to).await? {
                Slice::Samples(all, bytes) => {
                    all.into_iter().for_each(&mut found);
                    from = to;
                    if bytes < self.0.limits.body / 8 {
                        length = (length * 2).min(LONGEST);
                    }
                }
                Slice::TooMuch if length > SHORTEST => length = (length.min(to - from) / 2).max(SHORTEST),
                Slice::TooMuch => return Err(Error::unusable(format!("more than {} bytes", self.0.limits.body))),
            }
        }
        Ok(())
    }

    /// The samples from `from` to before `to` (milliseconds).
    ///
    /// The query ends a millisecond before `to`. Prometheus 3 leaves out what lies at the beginning of the range, and
    /// Prometheus 2 does not, so that it begins a millisecond early, and what is too early is left out here.
    async fn slice(&self, selector: &str, from: i64, to: i64) -> Result<Slice, Error> {
        let query = format!("{selector}[{}ms]", to - from);
        let time = to - 1;
        let time = format!("{}.{:03}", time / 1000, time % 1000);
        let request = self.0.post(PATH).form(&[("query", query.as_str()), ("time", time.as_str())]);
        let body = match self.0.answer(request, PATH).await {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(Slice::TooMuch),
            // `--query.max-samples`
            Err(error) if error.status() == Some(422) && error.to_string().contains("too many samples") => {
                return Ok(Slice::TooMuch);
            }
            Err(error) => return Err(error),
        };
        Ok(Slice::Samples(found(&body, from)?, body.len()))
    }
}

/// The samples of an answer's body that are not older than `from` (milliseconds).
pub(super) fn found(body: &[u8], from: i64) -> Result<Vec<Found>, Error> {
    let unusable = |what: &str| Error::unusable(format!("{PATH}: {what}"));
    let answer: Answer = serde_json::from_slice(body).map_err(|error| unusable(&shown(&error.to_string())))?;
    if answer.status != "success" {
        return Err(unusable(&format!("status `{}: {}`", shown(&answer.status), shown(&answer.error))));
    }
    if answer.data.kind != "matrix" {
        return Err(unusable(&format!("a result of type `{}`", shown(&answer.data.kind))));
    }
    let found = answer.data.result.into_iter().filter_map(|series| {
        let mut samples: Vec<_> = series.values.iter().filter_map(sample).collect();
        samples.retain(|(at, _)| at.as_millisecond() >= from);
        (!samples.is_empty()).then_some((series.metric, samples))
    });
    Ok(found.collect())
}

/// One answer.
enum Slice {
    /// With the bytes that it took.
    Samples(Vec<Found>, usize),
    /// A shorter time has to be asked for.
    TooMuch,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize, Default)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    metric: BTreeMap<String, String>,
    /// Seconds, and the number as a text. Absent where there are only histograms.
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// `NaN`, the mark of a series that ended, and the infinite are no numbers.
fn sample((seconds, text): &(f64, String)) -> Option<(Timestamp, f64)> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let milliseconds = (seconds * 1000.0).round();
    // The year 5138: within what a Timestamp can be.
    if !(0.0..1e14).contains(&milliseconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number, and not too large")]
    let at = Timestamp::from_millisecond(milliseconds as i64).ok()?;
    Some((at, value))
}
