//! Remote write 1.0: the protobuf message `WriteRequest`, compressed in Snappy's block format.
//!
//! ```text
//! WriteRequest { repeated TimeSeries timeseries = 1; }    TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }
//! Label { string name = 1; string value = 2; }            Sample { double value = 1; int64 timestamp = 2; }
//! ```
//! Prometheus takes a body as a whole or not at all, so that none is large. What it has already it takes again: a body
//! whose answer was lost can be sent once more.

use std::borrow::Cow;

use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::model::past::metrics::{Family, Labels};

use super::client::{Access, Client, Error, Limits, is_page};

/// The most samples of one body, and about how many bytes it has before it is compressed.
pub(super) const MOST_SAMPLES: usize = 5000;
const MOST_BYTES: usize = 1 << 20;

/// Numbers under one name and one set of labels, the oldest first.
#[derive(Debug, Clone)]
pub(crate) struct TimeSeries<'a> {
    /// `ecobox_up`
    pub(crate) name: &'a str,
    pub(crate) labels: &'a Labels,
    pub(crate) samples: Cow<'a, [(Timestamp, f64)]>,
}

/// The numbers of one moment.
pub(crate) fn series_of(families: &[Family], at: Timestamp) -> impl Iterator<Item = TimeSeries<'_>> {
    families.iter().flat_map(move |family| {
        let name = family.definition.name;
        family.samples.iter().map(move |(labels, value)| TimeSeries {
            name,
            labels,
            samples: vec![(at, *value)].into(),
        })
    })
}

/// The bodies of the requests that send all of it. Numbers that are none are left out.
pub(crate) fn encode<'a>(series: impl Iterator<Item = TimeSeries<'a>>) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    let (mut request, mut count) = (Vec::new(), 0);
    for TimeSeries { name, labels, samples } in series {
        let head = head(name, labels);
        let samples: Vec<_> = samples.iter().filter(|(_, value)| value.is_finite()).collect();
        let mut rest = samples.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(MOST_SAMPLES - count));
            let mut series = head.clone();
            for (at, value) in now {
                sample(&mut series, *at, *value);
            }
            field(&mut request, 1, &series);
            count += now.len();
            rest = later;
            if count == MOST_SAMPLES || request.len() >= MOST_BYTES {
                bodies.push(compressed(&std::mem::take(&mut request)));
                count = 0;
            }
        }
    }
    if !request.is_empty() {
        bodies.push(compressed(&request));
    }
    bodies
}

/// The labels of a time series: sorted by name, `__name__` among them, none without a value.
fn head(name: &str, labels: &Labels) -> Vec<u8> {
    let mut labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    labels.push(("__name__", name));
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort_unstable();
    let mut head = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::with_capacity(name.len() + value.len() + 8);
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut head, 1, &label);
    }
    head
}

fn sample(out: &mut Vec<u8>, at: Timestamp, value: f64) {
    // Field 1 as 8 bytes, field 2 as a varint.
    let mut sample = vec![1 << 3 | 1];
    sample.extend_from_slice(&value.to_le_bytes());
    sample.push(2 << 3);
    varint(&mut sample, at.as_millisecond().cast_unsigned());
    field(out, 2, &sample);
}

/// Field `number` with `bytes` of known length; the numbers here are below 16.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Only a body of 4 GiB or more could not be compressed.
fn compressed(request: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(request).unwrap_or_default()
}

/// Who takes numbers: the URL of `remote_write`.
#[derive(Debug)]
pub(crate) struct Writer(Client);

impl Writer {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The URL, the CA or the secret cannot be used.
    pub(crate) fn new(url: &str, access: Access) -> Result<Writer, Error> {
        Writer::with_limits(url, access, Limits::default())
    }

    pub(super) fn with_limits(url: &str, access: Access, limits: Limits) -> Result<Writer, Error> {
        Client::new(url, access, limits).map(Writer)
    }

    /// Sends one of [`encode`]'s bodies, once.
    ///
    /// # Errors
    /// [`Error::is_final`] tells whether it may be sent again later.
    pub(crate) async fn send(&self, body: &[u8]) -> Result<(), Error> {
        let request = self.0.post("").body(body.to_vec());
        let request = request.header(CONTENT_ENCODING, "snappy").header(CONTENT_TYPE, "application/x-protobuf");
        let request = request.header("X-Prometheus-Remote-Write-Version", "0.1.0");
        match self.0.answer(request, "").await? {
            Some(answer) if is_page(&answer) => {
                Err(Error::unusable("a web page: is this a URL for remote write?".to_owned()))
            }
            _ => Ok(()),
        }
    }
}
