//! All of stdout: one report, once, complete, in the format that was asked for.

pub(crate) mod chart;
mod csv;
pub(crate) mod html;
mod json;
pub(crate) mod lines;
mod openmetrics;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod value;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::file::{self, FileRole};
use crate::model::hint::Carried;
use crate::model::past::metrics::Families;
use crate::model::text::clean;
use crate::render::html::Page;
use crate::render::html::sheet::Sheet;
use crate::render::value::Value;

/// What stdout carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// All columns
    Wide,
    /// One JSON document; the field `schema` names its form
    Json,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// Metrics for Prometheus, as text; only of commands that have metrics
    Openmetrics,
    /// One page for a browser, complete in itself; of `status` and `advise`
    Html,
    /// A line of a local check for Checkmk; of `check`
    Checkmk,
}

/// A column of a report's table; `T` is what one row is of.
#[derive(Debug)]
pub(crate) struct Column<'r, T> {
    pub(crate) name: &'static str,
    /// Only with `-o wide` and in CSV.
    pub(crate) wide: bool,
    /// How readily it is left out on a narrow terminal; 0 never.
    pub(crate) yields: u8,
    /// How many letters still say something; `None`: only all of them.
    pub(crate) narrowest: Option<usize>,
    /// What a row says in it.
    pub(crate) value: fn(T) -> Value<'r>,
}

impl<'r, T> Column<'r, T> {
    /// A column that is always shown, or left out as readily as `yields` says.
    pub(crate) fn new(name: &'static str, yields: u8, value: fn(T) -> Value<'r>) -> Column<'r, T> {
        Column { name, wide: false, yields, narrowest: None, value }
    }

    /// This column, which may be cut down to this many letters before it is left out.
    pub(crate) fn cut_to(self, narrowest: usize) -> Column<'r, T> {
        Column { narrowest: Some(narrowest), ..self }
    }

    /// A column for `-o wide` and CSV.
    pub(crate) fn wide(name: &'static str, value: fn(T) -> Value<'r>) -> Column<'r, T> {
        Column { name, wide: true, yields: 19, narrowest: Some(8), value }
    }
}

/// What a command hands back: one value, shown in any format.
pub(crate) trait Report: Serialize {
    /// Name and version of the JSON form, e.g. `ecobox.status/1`. Fields may be added, none changes its meaning.
    const SCHEMA: &'static str;
    /// How the report becomes metrics. `None`: it has none, and `-o openmetrics` is refused before the command runs.
    const METRICS: Option<fn(&Self) -> Families> = None;
    /// How the report becomes a page. `None`: it has none, and `-o html` is refused before the command runs.
    const PAGE: Option<for<'r> fn(&'r Self) -> Page<'r>> = None;
    /// How the rows become a page, where that is all there is to one: like `PAGE`.
    const SHEET: Option<for<'r> fn(&'r Self) -> Sheet<'r>> = None;
    /// Whether the report is what a monitor reads. Else `-o checkmk` is refused before the command runs.
    const IS_CHECK: bool = false;
    /// One row of the table, one line of JSONL.
    type Item<'r>: Serialize + Copy
    where
        Self: 'r;
    fn columns(&self) -> Vec<Column<'_, Self::Item<'_>>>;
    fn items(&self) -> impl Iterator<Item = Self::Item<'_>>;
    /// Lines after the table, for people only.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
    /// What is shown instead of the table, for reports that are pictures.
    fn picture(&self, _output: &Output) -> Option<String> {
        None
    }
    /// What is printed instead of the table, or for `-o checkmk`, in the form that monitors read.
    fn plugin(&self, _format: Format) -> Option<String> {
        None
    }
    /// What CSV carries, where that is not the rows of the table.
    fn records(&self) -> Option<Records<'_>> {
        None
    }
}

/// Lines of CSV with a header of their own.
#[derive(Debug)]
pub(crate) struct Records<'r> {
    pub(crate) header: &'static [&'static str],
    /// As many cells in each as in the header.
    pub(crate) rows: Vec<Vec<Value<'r>>>,
}

/// How stdout is written.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) color: bool,
    /// Columns of the terminal; `None`: not a terminal, nothing is cut.
    pub(crate) width: Option<usize>,
    /// Whether the locale's characters are UTF-8: blocks and dots are drawn only then.
    pub(crate) utf8: bool,
    /// What commands in notes need.
    pub(crate) carried: Carried,
    pub(crate) now: jiff::Timestamp,
}

impl Output {
    /// The output for this process: `color` was decided from the flag and the environment.
    pub(crate) fn new(format: Format, color: bool, carried: Carried, now: jiff::Timestamp) -> Output {
        let width = io::stdout().is_terminal().then(|| terminal_size::terminal_size().map_or(80, |(w, _)| w.0.into()));
        Output { format, color, width, utf8: has_utf8(), carried, now }
    }
}

impl Output {
    /// The output for a file: nothing is cut or coloured, and times are written in full.
    pub(crate) fn for_a_file(self) -> Output {
        Output { color: false, width: None, ..self }
    }
}

/// Whether this process's locale has UTF-8: blocks and dots are drawn only then.
pub(crate) fn has_utf8() -> bool {
    is_utf8(|name| std::env::var(name).ok())
}

/// What the locale says of its characters: the first of its variables that is not empty decides (POSIX).
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Writes the report to stdout.
///
/// # Errors
/// The system's, when stdout cannot be written; a closed pipe is `BrokenPipe`.
pub(crate) fn print<R: Report>(report: &R, output: &Output) -> io::Result<()> {
    // Past stdout's own buffer, which looks for the ends of lines in all that goes through it.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut out = BufWriter::with_capacity(64 * 1024, stdout);
    write(&mut out, report, output)?;
    out.flush()
}

/// A report's file could not be written. The old one is as it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", clean(&path.to_string_lossy()))]
pub(crate) struct WriteError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Puts the report into a file that others read: a reader finds the old one or the new one, never half of it. Its mode
/// is 0644. See [`FileRole::Published`].
///
/// # Errors
/// The file and why: no right, no room, a symbolic link, no regular file, a folder that is not there.
pub(crate) fn write_file<R: Report>(path: &Path, report: &R, output: &Output) -> Result<(), WriteError> {
    file::replace(path, FileRole::Published, |mut out| write(&mut out, report, output))
        .map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Like `write_file`, for a page that is no command's report: `watch` writes one again and again.
///
/// # Errors
/// As `write_file`.
pub(crate) fn write_page(path: &Path, page: &Page<'_>) -> Result<(), WriteError> {
    file::replace(path, FileRole::Published, |out| html::write(out, page))
        .map_err(|source| WriteError { path: path.to_owned(), source })
}

fn write<R: Report, W: Write>(out: &mut W, report: &R, output: &Output) -> io::Result<()> {
    if let Some(text) = report.plugin(output.format) {
        return out.write_all(text.as_bytes());
    }
    match output.format {
        Format::Table => table::write(out, report, output, false),
        Format::Wide => table::write(out, report, output, true),
        Format::Json => json::write(out, report),
        Format::Jsonl => json::write_lines(out, report),
        Format::Csv => csv::write(out, report),
        Format::Openmetrics => match R::METRICS {
            Some(metrics) => openmetrics::write(out, &metrics(report).finish()),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "this report has no metrics")),
        },
        Format::Html => match (R::PAGE, R::SHEET) {
            (Some(page), _) => html::write(out, &page(report)),
            (None, Some(sheet)) => html::sheet::write(out, report, &sheet(report), output),
            (None, None) => Err(io::Error::new(io::ErrorKind::Unsupported, "this report has no page")),
        },
        Format::Checkmk => Err(io::Error::new(io::ErrorKind::Unsupported, "this report is no check")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::past::metrics;

    #[derive(Serialize)]
    struct Two {
        servers: [u8; 2],
    }

    impl Report for Two {
        const SCHEMA: &'static str = "ecobox.two/1";
        const METRICS: Option<fn(&Self) -> Families> = Some(|report| {
            let mut families = Families::default();
            families.add(&metrics::CPUS, &[("id", "a")], f64::from(report.servers[1]));
            families
        });
        type Item<'r> = u8;

        fn columns(&self) -> Vec<Column<'_, u8>> {
            vec![Column::new("NUMBER", 0, |number: u8| Value::text(number.to_string()))]
        }

        fn items(&self) -> impl Iterator<Item = u8> {
            self.servers.into_iter()
        }
    }

    fn output() -> Output {
        let (carried, now) = (Carried::default(), jiff::Timestamp::UNIX_EPOCH);
        Output { format: Format::Table, color: false, width: None, utf8: true, carried, now }
    }

    #[test]
    fn a_file_gets_what_stdout_would_get() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for (format, want) in [
            (Format::Table, "NUMBER\n1\n2\n"),
            (Format::Wide, "NUMBER\n1\n2\n"),
            (Format::Json, "{\"schema\":\"ecobox.two/1\",\"servers\":[1,2]}\n"),
            (Format::Csv, "number\r\n1\r\n2\r\n"),
            (
                Format::Openmetrics,
                "# HELP ecobox_cpus Number of the server's CPUs.\n# TYPE ecobox_cpus gauge\necobox_cpus{id=\"a\"} 2\n# EOF\n",
            ),
        ] {
            let output = Output { format, ..output() };
            write_file(&path, &Two { servers: [1, 2] }, &output).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), want, "{format:?}");
        }
        let error = write_file(&folder.path().join("no/x"), &Two { servers: [1, 2] }, &output()).unwrap_err();
        let folder = folder.path().display();
        let want = format!("cannot write {folder}/no/x: no file can be made in {folder}/no: entity not found");
        assert_eq!(format!("{:#}", anyhow::Error::from(error)), want);
    }

    #[test]
    fn the_locale_is_read_in_its_order() {
        let cases: [(&[(&str, &str)], bool); 7] = [
            (&[], false),
            (&[("LANG", "C")], false),
            (&[("LANG", "de_DE.UTF-8")], true),
            (&[("LANG", "C.utf8")], true),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C")], false),
            (&[("LANG", "en_US.UTF-8"), ("LC_ALL", "")], true),
            (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")], true),
        ];
        for (variables, want) in cases {
            let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(is_utf8(find), want, "{variables:?}");
        }
    }
}
