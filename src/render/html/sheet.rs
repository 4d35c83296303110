//! The rows of a report as a page: all columns, bars as pictures. Like the page of the fleet it needs nothing else, and it
//! has no script.

use std::io::{self, Write};

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::row::bar;
use super::{Message, STYLE, Said, hash};
use crate::model::inventory::Failed;
use crate::render::value::{Value, rfc3339};
use crate::render::{Output, Report};

/// What such a page says besides the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sheet<'r> {
    pub(crate) title: &'static str,
    pub(crate) made_at: Timestamp,
    pub(crate) failures: &'r [Failed],
}

/// Writes the page.
pub(in crate::render) fn write<R: Report>(
    out: &mut dyn Write,
    report: &R,
    sheet: &Sheet<'_>,
    output: &Output,
) -> io::Result<()> {
    // Nothing is cut, and times are written in full.
    let output = Output { utf8: true, ..output.clone().for_a_file() };
    out.write_all(markup(report, sheet, &output).into_string().as_bytes())
}

fn markup<R: Report>(report: &R, sheet: &Sheet<'_>, output: &Output) -> Markup {
    let policy =
        format!("default-src 'none'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'", hash(STYLE));
    let columns = report.columns();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex, nofollow";
                link rel="icon" href="data:,";
                title { (sheet.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (sheet.title) }
                    p { "as of " time datetime=(rfc3339(sheet.made_at)) { (rfc3339(sheet.made_at)) } }
                }
                main {
                    @if !sheet.failures.is_empty() {
                        div.alarm {
                            h2 { "not asked" }
                            ul { @for failed in sheet.failures { li { (Message(&failed.message)) } } }
                        }
                    }
                    table {
                        thead { tr { @for column in &columns { th scope="col" { (column.name) } } } }
                        tbody {
                            @for item in report.items() {
                                tr { @for column in &columns { (cell(&(column.value)(item), output)) } }
                            }
                        }
                    }
                }
                footer { "ecobox " (env!("CARGO_PKG_VERSION")) ". What is not known is -." }
            }
        }
    }
}

fn cell(value: &Value<'_>, output: &Output) -> Markup {
    let mut text = String::new();
    match value {
        Value::Bar(share) if !value.is_unknown() => {
            let percent = share * 100.0;
            return html! { td { (bar(percent.clamp(0.0, 100.0))) (format!("{percent:.0}%")) } };
        }
        value => value.write_human(&mut text, output),
    }
    html! { td { (Said(&text)) } }
}
