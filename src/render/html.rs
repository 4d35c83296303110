//! The page: one HTML file that needs nothing else. No font, script, style or picture comes from anywhere, and the
//! page's own policy (CSP) allows none: only the script and the style sheet whose hashes it names. So text that got in
//! from a guest could not run even if it were not escaped, which all of it is.

mod chart;
mod detail;
mod row;
pub(crate) mod sheet;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::{Digest as _, Sha256};

use self::row::{Look, icon};
use crate::model::id::ServerId;
use crate::model::inventory::problems::{Trouble, troubles};
use crate::model::inventory::{Failed, Server, ServiceCheck};
use crate::model::load::usage::Source;
use crate::model::past::series::Series;
use crate::model::text::{clean, without_token_ids};
use crate::render::value::rfc3339;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = concat!(include_str!("html/filter.js"), include_str!("html/page.js"));

/// How long a page is fresh that is not rewritten regularly.
const FRESH_FOR: SignedDuration = SignedDuration::from_mins(10);

/// So many troubles are seen at once, the others when they are asked for.
const FIRST: usize = 12;

/// What the page shows. `watch` makes one of these for each rewrite.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) made_at: Timestamp,
    /// When the next one is due; `None`: none is announced.
    pub(crate) every: Option<SignedDuration>,
    /// Hosts with their guests under them.
    pub(crate) servers: Vec<&'a Server>,
    /// For each server, in their order, the series of the last day that are known; may be shorter.
    pub(crate) past: &'a [Vec<Series>],
    pub(crate) failures: &'a [Failed],
}

/// Text that a server said, or that names one: cleaned, and escaped by maud.
#[derive(Debug, Clone, Copy)]
struct Said<'a>(&'a str);

impl Render for Said<'_> {
    fn render_to(&self, out: &mut String) {
        (*clean(self.0)).render_to(out);
    }
}

/// A message: the same, without the ids of tokens.
#[derive(Debug, Clone, Copy)]
struct Message<'a>(&'a str);

impl Render for Message<'_> {
    fn render_to(&self, out: &mut String) {
        Said(&without_token_ids(self.0)).render_to(out);
    }
}

/// Writes the page.
pub(super) fn write(out: &mut dyn Write, page: &Page<'_>) -> io::Result<()> {
    out.write_all(without_needless_ends(&page.markup().into_string()).as_bytes())
}

/// HTML needs none of these where they stand, and there are thousands. No text has them: it is escaped. Style and script,
/// which come first, may have them, and stay to the byte: the policy names their hashes.
fn without_needless_ends(text: &str) -> String {
    let (first, rest) = text.split_at(text.find("</script>").unwrap_or(0));
    let ends = ["</td>", "</tr>", "</tbody>", "</dt>", "</dd>", "</li>"];
    let rest = ends.iter().fold(rest.to_owned(), |rest, end| rest.replace(end, ""));
    first.to_owned() + &rest
}

impl Page<'_> {
    /// When the page calls itself stale.
    fn fresh_for(&self) -> SignedDuration {
        self.every.map_or(FRESH_FOR, |every| every.saturating_mul(2))
    }

    fn markup(&self) -> Markup {
        let troubles = troubles(&self.servers, self.failures);
        let title = match troubles.len() {
            0 => "ecobox".to_owned(),
            number => format!("({number}) ecobox"),
        };
        let policy = format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
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
                    // Without one a browser asks the server for it.
                    link rel="icon" href="data:,";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                    script { (PreEscaped(SCRIPT)) }
                }
                body data-made=(self.made_at.as_second()) data-patience=(self.fresh_for().as_secs()) {
                    (symbols())
                    (self.head())
                    main {
                        (wrong(&troubles, &self.servers))
                        @if self.servers.is_empty() {
                            p.none { "there is no server to show" }
                        } @else {
                            (self.tools(&troubles))
                            (self.fleet(&troubles))
                        }
                    }
                    footer {
                        "ecobox " (env!("CARGO_PKG_VERSION")) ". A number that is not known is -. "
                        @if let Some(series) = self.past.iter().flatten().next() {
                            "Lines are averages of " (in_words(series.window.step)) " each"
                            @if self.past.iter().flatten().any(|series| series.source == Source::Rrd) {
                                "; what was before ecobox looked is from Proxmox VE"
                            }
                            ". "
                        }
                        span.js-only {
                            kbd { "/" } " filters, " kbd { "\u{2191}" } " " kbd { "\u{2193}" } " go from name to name, "
                            kbd { "Enter" } " shows more of one."
                        }
                    }
                }
            }
        }
    }

    fn head(&self) -> Markup {
        let patience = in_words(self.fresh_for());
        html! {
            header {
                h1 { "ecobox" }
                p {
                    "as of "
                    time #made datetime=(rfc3339(self.made_at)) title=(rfc3339(self.made_at)) {
                        (self.made_at.strftime("%Y-%m-%d %H:%M UTC").to_string())
                    }
                    span.js-only { "; " span #age {} }
                }
            }
            p #stale.alarm role="alert" hidden {
                strong { "This page is stale: " }
                "nothing has replaced it for more than " (patience) ". What it shows may no longer be so."
            }
        }
    }

    fn tools(&self, troubles: &[Trouble<'_>]) -> Markup {
        let mut states: BTreeMap<(Look, &'static str), usize> = BTreeMap::new();
        for server in &self.servers {
            *states.entry((Look::of(server), server.doing().unwrap_or(server.seen.state.as_str()))).or_default() += 1;
        }
        html! {
            div.tools.js-only role="search" {
                label for="q" { "Filter" }
                input #q type="search" autocomplete="off" spellcheck="false" autocapitalize="off"
                    placeholder="name, tag=web, state=stopped, !test" aria-describedby="count";
                output #count for="q" {}
                div.states role="group" aria-label="states" {
                    @if !troubles.is_empty() {
                        button.chip.bad data-q="state=wrong" aria-pressed="false" {
                            (icon("offline")) (wrong_servers(troubles, &self.servers).len()) " wrong"
                        }
                    }
                    @for ((look, word), number) in states {
                        button.chip.(look.class()) data-q={ "state=" (word) } aria-pressed="false" {
                            (icon(look.symbol(word))) (number) " " (word)
                        }
                    }
                }
                div.narrow {
                    label for="sort" { "Sort" }
                    select #sort {
                        option value="" { "as configured" }
                        @for column in row::COLUMNS {
                            option value=(column.key) { (column.title) }
                        }
                    }
                    button #turn.chip aria-label="the other way round" disabled { "\u{2195}" }
                }
                button #fold-all.chip { "Fold all" }
            }
        }
    }

    fn fleet(&self, troubles: &[Trouble<'_>]) -> Markup {
        let wrong = wrong_servers(troubles, &self.servers);
        let mut kids: HashMap<&ServerId, usize> = HashMap::new();
        for parent in self.servers.iter().filter(|server| server.depth > 0).filter_map(|s| s.parent.as_ref()) {
            *kids.entry(parent).or_default() += 1;
        }
        html! {
            table #fleet {
                caption.vh { "Servers. The buttons in the header sort; the name of a server shows more of it." }
                thead { tr {
                    @for column in row::COLUMNS {
                        th.{ "w-" (column.key) } scope="col" data-c=(column.key)
                            data-first=[column.largest_first.then_some("down")] {
                            button { (column.title) }
                        }
                    }
                } }
                @for (i, server) in self.servers.iter().enumerate() {
                    (row::Row {
                        page: self,
                        server,
                        past: self.past.get(i).map_or(&[], Vec::as_slice),
                        kids: kids.get(&server.id).copied().unwrap_or(0),
                        wrong: wrong.contains(&server.id),
                    }.markup())
                }
            }
        }
    }
}

/// The servers of the page that something is wrong with.
fn wrong_servers<'a>(troubles: &[Trouble<'a>], servers: &[&Server]) -> HashSet<&'a ServerId> {
    let shown: HashSet<&ServerId> = servers.iter().map(|server| &server.id).collect();
    troubles.iter().map(|trouble| trouble.server).filter(|id| shown.contains(id)).collect()
}

/// What is wrong, before everything else.
fn wrong(troubles: &[Trouble<'_>], servers: &[&Server]) -> Markup {
    let shown = wrong_servers(troubles, servers);
    let one = |trouble: &Trouble<'_>| {
        html! {
            li {
                @if shown.contains(trouble.server) {
                    button data-show=(Said(trouble.server.as_str())) { (Message(&trouble.text)) }
                } @else {
                    (Message(&trouble.text))
                }
            }
        }
    };
    let (first, rest) = troubles.split_at(troubles.len().min(FIRST));
    html! {
        @if troubles.is_empty() {
            @if !servers.is_empty() {
                p.calm { (icon("online")) "nothing is wrong" }
            }
        } @else {
            section.alarm aria-labelledby="wrong" {
                h2 #wrong { (troubles.len()) @if troubles.len() == 1 { " thing is wrong" } @else { " things are wrong" } }
                ul { @for trouble in first { (one(trouble)) } }
                @if !rest.is_empty() {
                    details {
                        summary { "and " (rest.len()) " more" }
                        ul { @for trouble in rest { (one(trouble)) } }
                    }
                }
            }
        }
    }
}

/// The shapes that stand for states: never colour alone.
fn symbols() -> Markup {
    const LINE: &str = "fill='none' stroke='currentColor' stroke-width='1.8' stroke-linecap='round'";
    let shapes: [(&str, &str, String); 10] = [
        ("running", "0 0 12 12", "<path d='M2.5 1v10l8-5z'/>".to_owned()),
        ("online", "0 0 12 12", "<circle cx='6' cy='6' r='4.6'/>".to_owned()),
        ("stopped", "0 0 12 12", format!("<path {LINE} d='M2.5 2.5h7v7h-7z'/>")),
        ("paused", "0 0 12 12", "<path d='M2.5 1.5h2.6v9h-2.6zM6.9 1.5h2.6v9h-2.6z'/>".to_owned()),
        ("hibernated", "0 0 12 12", format!("<path {LINE} d='M3 2.5h6l-6 7h6'/>")),
        ("offline", "0 0 12 12", format!("<path {LINE} d='M2.5 2.5l7 7M9.5 2.5l-7 7'/>")),
        ("asleep", "0 0 12 12", "<path d='M9.9 8.3a4.9 4.9 0 1 1-4-7.1 4.2 4.2 0 0 0 4 7.1z'/>".to_owned()),
        (
            "unknown",
            "0 0 12 12",
            format!("<path {LINE} d='M3.6 4.2a2.4 2.4 0 1 1 3.5 2.1c-.8.4-1.1.8-1.1 1.5M6 10.4v.1'/>"),
        ),
        ("doing", "0 0 12 12", format!("<path {LINE} d='M10.3 6a4.3 4.3 0 1 1-1.5-3.3M9 .8v2.1H6.8'/>")),
        ("fold", "0 0 10 10", "<path d='M1 3h8l-4 5z'/>".to_owned()),
    ];
    html! {
        svg.defs aria-hidden="true" {
            @for (name, view, shape) in &shapes {
                symbol id={ "i-" (name) } viewBox=(view) { (PreEscaped(shape.replace('\'', "\""))) }
            }
            (chart::axes())
        }
    }
}

/// `10 minutes`, `90 seconds`
fn in_words(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    let (number, unit) =
        if seconds >= 60 && seconds % 60 == 0 { (seconds / 60, "minute") } else { (seconds, "second") };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// How a policy names a script or a style sheet of the page.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text)))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().chain([&0, &0]).take(3).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = char::from(LETTERS[number >> (18 - 6 * place) & 63]);
            out.push(if place <= three.len() { letter } else { '=' });
        }
    }
    out
}

/// Words for a `data-` attribute, one a line: cleaned text has no line breaks of its own.
fn lines<'a>(words: impl IntoIterator<Item = Option<&'a str>>) -> Option<String> {
    let words: Vec<Cow<'_, str>> = words.into_iter().flatten().map(clean).collect();
    (!words.is_empty()).then(|| words.join("\n"))
}

/// `3 ms`, `closed`
fn answer(check: &ServiceCheck) -> String {
    match (check.open, check.response_seconds) {
        (Some(true), Some(seconds)) if seconds < 0.001 => "<1 ms".to_owned(),
        (Some(true), Some(seconds)) => format!("{:.0} ms", seconds * 1000.0),
        (Some(true), None) => "open".to_owned(),
        (Some(false), _) => "closed".to_owned(),
        (None, _) => "-".to_owned(),
    }
}
