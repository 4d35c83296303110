//! The history that a Prometheus server keeps: what each run sends, and what `--since` reads.
//!
//! What is to be sent goes into the state file first, in the same transaction as the samples themselves, and leaves it
//! when Prometheus has taken it: a run that is killed, and a Prometheus that is not there, lose nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::fleet::past::prometheus_access::{reader, writer};
use crate::model::hint::HintId;
use crate::model::id::ServerId;
use crate::model::inventory::{Failed, FailureKind, Server};
use crate::model::load::usage::Source;
use crate::model::past::metrics::{self, UPTIME, totals};
use crate::model::past::series::{Measurement, Metric, Series, Window, rates};
use crate::transport;
use crate::transport::prometheus::{Error, Matcher, Writer, selector};

/// With more servers than this Prometheus is asked for all: a longer pattern costs more than it saves.
const MOST_NAMED: usize = 100;
/// The time before a window in which the reading stands that its first rate needs.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);

/// Numbers by server, each with its time.
type Numbers = HashMap<String, Vec<(Timestamp, f64)>>;

impl Fleet<'_> {
    /// Sends what waits in the state file, the oldest first, until nothing is left or Prometheus does not take it. What
    /// cannot be sent is said, and waits for the next run.
    pub(crate) async fn send_history(&self) {
        let history = &self.config.settings.history;
        let Some(url) = &history.remote_write else { return };
        let kept = usize::try_from(history.queue).unwrap_or(usize::MAX);
        match self.state.outbox_trim(kept) {
            Ok(0) | Err(_) => {}
            Ok(dropped) => self.loss(format!(
                "given up: {} for Prometheus; more waited than `queue` in [history] allows",
                batches(dropped)
            )),
        }
        let _sending = match self.state.sending() {
            Ok(Some(sending)) => sending,
            // The process that sends takes these, too.
            Ok(None) => return,
            Err(error) => return self.notice(format!("nothing is sent to Prometheus: {error}")),
        };
        if let Err(error) = self.send_all().await {
            let waiting = self.state.outbox_len().map_or(0, |(count, _)| count);
            let server = url.clone();
            tracing::debug!(server, %error, "remote write");
            self.notice(format!("{error}; waiting in the state file for the next run: {}", batches(waiting)));
            // One that is down comes back by itself.
            if let Some(advice) = error.advice().filter(|_| error.kind() != FailureKind::Unreachable) {
                self.notice(advice.text());
            }
        }
    }

    async fn send_all(&self) -> Result<(), Error> {
        let mut after = 0;
        let Ok(Some(_)) = self.state.outbox_next(after) else { return Ok(()) };
        let Some(writer) = writer(&self.config.settings.history, self.limits.host).await? else { return Ok(()) };
        while let Ok(Some((id, at, body))) = self.state.outbox_next(after) {
            match self.send_in_time(&writer, &body).await {
                Ok(()) => {}
                // Sent again it would be refused again.
                Err(error) if error.is_final() => {
                    self.loss(format!("numbers of {at} are not in Prometheus: {error}"));
                }
                Err(error) => return Err(error),
            }
            let _ = self.state.outbox_done(id);
            after = id;
        }
        Ok(())
    }

    async fn send_in_time(&self, writer: &Writer, body: &[u8]) -> Result<(), Error> {
        let after = self.limits.left(self.limits.listing);
        match tokio::time::timeout(after, writer.send(body)).await {
            Ok(sent) => sent,
            Err(_) => {
                Err(transport::Error::Timeout { peer: "Prometheus".to_owned(), doing: "taking numbers", after }.into())
            }
        }
    }

    /// The series of these servers as Prometheus kept them: its raw samples, summed up as the state file's are. `None`:
    /// the configuration names no Prometheus to ask.
    pub(in crate::fleet) async fn past_of_prometheus(
        &self,
        servers: &[Server],
        metrics: &[Metric],
        window: Window,
    ) -> Result<Option<Vec<Vec<Series>>>, Failed> {
        let after = self.limits.left(self.limits.total);
        let result = tokio::time::timeout(after, self.read_prometheus(servers, metrics, window)).await;
        let late =
            |_| transport::Error::Timeout { peer: "Prometheus".to_owned(), doing: "giving numbers", after }.into();
        let result = result.map_err(late).flatten();
        result.map_err(|error| Failed {
            server: ServerId::of_prometheus(),
            kind: error.kind(),
            message: format!("{error}; the state file is used instead"),
            advice: error.advice().map(HintId::text),
            about: None,
        })
    }

    async fn read_prometheus(
        &self,
        servers: &[Server],
        metrics: &[Metric],
        window: Window,
    ) -> Result<Option<Vec<Vec<Series>>>, Error> {
        let Some(reader) = reader(&self.config.settings.history, self.limits.host).await? else { return Ok(None) };
        let labels = self.state.labels().unwrap_or_default();
        let ids: Vec<String> = servers.iter().map(|server| labels.of(server)).collect();
        let names: Vec<&str> = ids.iter().map(String::as_str).collect();
        let only = (names.len() <= MOST_NAMED).then_some(("id", Matcher::OneOf(&names)));
        let read = async |name: &str, label: Option<(&'static str, &'static str)>| {
            let label = label.map(|(label, value)| (label, Matcher::Is(value)));
            let matchers: Vec<_> = only.into_iter().chain(label).collect();
            let before = window.since.checked_sub(BEFORE).unwrap_or(window.since);
            let found = reader.range(&selector(name, &matchers), before, window.until).await?;
            let mut numbers = Numbers::new();
            for (mut labels, found) in found {
                let Some(id) = labels.remove("id") else { continue };
                match numbers.entry(id) {
                    Entry::Vacant(entry) => drop(entry.insert(found)),
                    // Watts may have been measured by one source after another.
                    Entry::Occupied(mut entry) => {
                        entry.get_mut().extend(found);
                        entry.get_mut().sort_by_key(|(at, _)| *at);
                    }
                }
            }
            Ok::<Numbers, Error>(numbers)
        };
        let rates_wanted = metrics.iter().any(|metric| metric.is_rate());
        let uptimes = if rates_wanted { read(UPTIME.name, None).await? } else { Numbers::new() };
        let mut all: Vec<Vec<Series>> = servers.iter().map(|_| Vec::new()).collect();
        for metric in metrics {
            let kept = metrics::kept(*metric);
            let numbers = read(kept.definition.name, kept.label).await?;
            for (id, series) in ids.iter().zip(&mut all) {
                let numbers = numbers.get(id).map_or(&[][..], Vec::as_slice);
                let measured = if metric.is_rate() {
                    rates(totals(numbers, uptimes.get(id).map_or(&[], Vec::as_slice)))
                } else {
                    numbers.iter().map(|(at, value)| Measurement::one(*at, kept.value(*value))).collect()
                };
                series.push(Series::of(*metric, Source::Prometheus, window, measured));
            }
        }
        Ok(Some(all))
    }
}

fn batches(number: usize) -> String {
    format!("{number} batch{} of numbers", if number == 1 { "" } else { "es" })
}
