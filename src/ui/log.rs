//! The log's lines. Each value is shown as every other text from elsewhere is: an answer that was not understood, and is a
//! field of a line, forges no other line, and moves no terminal.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{Effects, Style};
use serde::ser::{Serialize, SerializeMap, Serializer};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{DefaultFields, Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::model::text::shown;

/// Whether a screen has the terminal.
static HUSHED: AtomicBool = AtomicBool::new(false);

/// While it lives the log goes nowhere: a screen has the terminal.
#[derive(Debug)]
pub(crate) struct LogSuspended(());

impl LogSuspended {
    pub(super) fn begin() -> LogSuspended {
        HUSHED.store(true, Ordering::Relaxed);
        LogSuspended(())
    }
}

impl Drop for LogSuspended {
    fn drop(&mut self) {
        HUSHED.store(false, Ordering::Relaxed);
    }
}

/// Where a line of the log goes: stderr, or nowhere while a screen has the terminal.
pub(crate) fn writer() -> Box<dyn Write> {
    if HUSHED.load(Ordering::Relaxed) { Box::new(std::io::sink()) } else { Box::new(std::io::stderr()) }
}

/// The fields of a line of text: the message, then `name=value`.
pub(crate) fn fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let value = format!("{value:?}");
        let value = shown(&value);
        if field.name() == "message" {
            return write!(writer, "{value}");
        }
        let style = |effects| if writer.has_ansi_escapes() { Style::new().effects(effects) } else { Style::new() };
        let (name, sign) = (style(Effects::ITALIC), style(Effects::DIMMED));
        write!(writer, "{name}{}{name:#}{sign}={sign:#}{value}", field.name())
    })
    .delimited(" ")
}

/// A line of JSON.
#[derive(Debug)]
pub(crate) struct JsonLine;

/// Its fields are in the order in which they were given.
impl<S> FormatEvent<S, DefaultFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        let line = Line { timestamp: &timestamp, level, fields, target };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    fields: Fields,
    target: &'a str,
}

struct Fields(Vec<(&'static str, serde_json::Value)>);

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        self.0.push((field.name(), shown(text).into()));
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }
}
