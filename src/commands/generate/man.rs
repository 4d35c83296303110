//! The man pages: options, usage and examples are those of `--help`, the keys of the configuration those of
//! `config.example.toml`. The tables below stand in README, too; `tests/generated.rs` compares them.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::model::check::CheckId;

/// How the process ends.
const STATUSES: [(&str, &str); 16] = [
    ("0", "Done; also: already in the wanted state, nothing to do"),
    ("1", "Failed for a reason not listed here"),
    ("2", "Wrong usage"),
    ("3", "Configuration or state file unusable"),
    ("4", "Credentials rejected or privilege missing"),
    ("5", "Target unreachable, nothing was done"),
    ("6", "Identity mismatch: SSH host key, TLS, or another guest under this number"),
    ("7", "No such target, or ambiguous"),
    ("8", "Partial: some targets answered, others failed; the report is still printed"),
    ("9", "The remote task ran and failed"),
    ("10", "Accepted, but not confirmed before the deadline; the outcome may still come"),
    ("11", "Refused: a pre-flight check, or no confirmation"),
    ("12", "Problems were found, by doctor"),
    ("125", "The command of run or ssh was not run: ecobox itself failed before"),
    ("130", "Interrupted (SIGINT)"),
    ("143", "Terminated (SIGTERM)"),
];

/// How `check` ends, whose numbers are those of monitoring plugins.
const VERDICTS: [(&str, &str); 4] = [
    ("0", "OK"),
    ("1", "WARNING"),
    ("2", "CRITICAL"),
    ("3", "UNKNOWN: the state could not be determined; also wrong usage, and an unusable configuration or state file"),
];

const FILES: [(&str, &str); 2] = [
    ("~/.config/ecobox/config.toml", "The configuration, see ecobox-config(5)."),
    (
        "~/.local/state/ecobox/state.db",
        "Tokens, trust, what was learned and measured: one SQLite file, mode 0600 in a folder of mode 0700.",
    ),
];

const ENVIRONMENT: [(&str, &str); 9] = [
    ("ECOBOX_CONFIG, ECOBOX_STATE", "The two files, unless --config and --state are given."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME, HOME", "Where the two files are by default."),
    (
        "ECOBOX_TOKEN_ID",
        "The API token of the server ID (in capitals, with _ for all but letters and digits), as user@realm!tokenid=secret.",
    ),
    ("CREDENTIALS_DIRECTORY", "Set by systemd: the file ecobox-ID in it is the API token of the server ID."),
    ("ECOBOX_LOG", "Level of the log: error, warn, info, debug, trace."),
    ("NO_COLOR, CLICOLOR_FORCE, TERM", "Whether colour is used."),
    ("SSH_AUTH_SOCK", "The SSH agent."),
    ("USER, LOGNAME", "The SSH user, unless one is configured."),
    ("PATH", "Where ssh and the programs of token_command are found."),
];

/// Writes a page for ecobox, one for each command that is shown, and one for the configuration.
///
/// # Errors
/// The system's, when a file cannot be written.
pub(super) fn write(command: Command, folder: &Path) -> io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let visible = |command: &Command| -> Vec<Command> {
        command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help").cloned().collect()
    };
    // A command with verbs has a page for each of them.
    let mut shown: Vec<Command> = Vec::new();
    let mut pages: Vec<String> = Vec::new();
    for sub in visible(&command) {
        let verbs = visible(&sub);
        pages.push(page_of(sub.get_name()));
        pages.extend(verbs.iter().map(|verb| page_of(&format!("{}-{}", sub.get_name(), verb.get_name()))));
        shown.push(sub);
        shown.extend(verbs);
    }
    fs::write(folder.join("ecobox.1"), page(&command, "ecobox", &pages)?)?;
    for (sub, name) in shown.into_iter().zip(&pages) {
        let own = sub.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
        fs::write(folder.join(format!("{name}.1")), page(&own, name, &pages)?)?;
    }
    fs::write(folder.join("ecobox-config.5"), config_page())?;
    fs::write(folder.join("ecobox-checks.7"), checks_page())
}

fn page_of(command: &str) -> String {
    format!("ecobox-{command}")
}

/// The first line. Written here, since `roff` leaves the quotes out that an empty date needs.
fn title(name: &str, section: &str) -> String {
    format!(".TH {} {section} \"\" \"ecobox {}\" \"ecobox manual\"\n", name.to_uppercase(), env!("CARGO_PKG_VERSION"))
}

fn page(command: &Command, name: &str, pages: &[String]) -> io::Result<String> {
    let is_command = name != "ecobox";
    let man = Man::new(command.clone());
    let mut text = title(name, "1").into_bytes();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let mut rest = Roff::new();
    if is_command {
        rest.control("PP", []).text([
            roman("The options of every command are described in "),
            bold("ecobox"),
            roman("(1)."),
        ]);
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    if let Some((_, examples)) = help.split_once("Examples:\n") {
        rest.control("SH", ["EXAMPLES"]);
        for line in examples.lines() {
            let (typed, says) = line.split_once(" # ").unwrap_or((line, ""));
            term(&mut rest, typed.trim(), says.trim());
        }
    }
    let statuses = if name == "ecobox-check" { &VERDICTS[..] } else { &STATUSES[..] };
    section(&mut rest, "EXIT STATUS", statuses);
    section(&mut rest, "FILES", &FILES);
    section(&mut rest, "ENVIRONMENT", &ENVIRONMENT);
    see_also(
        &mut rest,
        pages.iter().map(|page| (page.as_str(), "1")).chain([("ecobox", "1"), ("ecobox-config", "5")]),
        name,
    );
    rest.to_writer(&mut text)?;
    Ok(String::from_utf8_lossy(&text).lines().map(|line| emphasized(line) + "\n").collect())
}

fn term(roff: &mut Roff, what: &str, says: &str) {
    roff.control("TP", []).text([bold(what)]).text([roman(says)]);
}

fn section(roff: &mut Roff, title: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (what, says) in rows {
        term(roff, what, says);
    }
}

fn see_also<'a>(roff: &mut Roff, pages: impl Iterator<Item = (&'a str, &'a str)>, own: &str) {
    let mut words: Vec<Inline> = Vec::new();
    for (page, section) in pages.filter(|(page, _)| *page != own) {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.extend([bold(page), roman(format!("({section})"))]);
    }
    roff.control("SH", ["SEE ALSO"]).text(words);
}

/// What stands between backticks in help is bold in a page.
fn emphasized(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) || line.starts_with('.') {
        return line.to_owned();
    }
    let fonts = ["\\fB", "\\fR"].into_iter().cycle();
    parts.iter().zip(std::iter::once("").chain(fonts)).flat_map(|(part, font)| [font, *part]).collect()
}

/// Every check, in the words of `doctor --explain`.
fn checks_page() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman("ecobox-checks - what ecobox doctor looks for")]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(
        "Each check has an id, which is the same in reports, in `mute` of the configuration, in `--allow` of \
         ecobox-power(1), and in `ecobox doctor --explain ID`. Words in capitals stand for names that only a finding knows.",
    )]);
    let mut area = None;
    for id in CheckId::ALL.iter().copied() {
        if area.replace(id.area()) != Some(id.area()) {
            roff.control("SH", [id.area().as_str().to_uppercase().as_str()]);
        }
        let text = id.text();
        term(&mut roff, id.as_str(), &format!("{}.", sentence(text.fault)));
        for (title, words) in
            [("Looks at", text.looks), ("Why it matters", text.why), ("How to fix it", id.fix_by_hand().as_str())]
        {
            roff.control("IP", []).text([roman(format!("{title}: {words}."))]);
        }
    }
    see_also(&mut roff, [("ecobox-doctor", "1"), ("ecobox-config", "5")].into_iter(), "ecobox-checks");
    let text: String = roff.to_roff().lines().map(|line| emphasized(line) + "\n").collect();
    title("ecobox-checks", "7") + &text
}

/// A fragment with a capital letter first.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Every key of the configuration, as `config.example.toml` shows and explains them.
fn config_page() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman("ecobox-config - configuration of ecobox")]);
    roff.control("SH", ["SYNOPSIS"]).text([bold("~/.config/ecobox/config.toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    let example = include_str!("../../../config.example.toml");
    let mut said: Vec<&str> = Vec::new();
    let mut is_description = true;
    for line in example.lines() {
        let text = line.strip_prefix("# ").unwrap_or(line);
        if let Some(title) = line.strip_prefix('[') {
            if is_description {
                paragraph(&mut roff, &mut said);
                roff.control("SH", ["KEYS"]);
                is_description = false;
            }
            roff.control("SS", [format!("[{title}").as_str()]);
            paragraph(&mut roff, &mut said);
        } else if is_key(text) {
            roff.control("TP", []).text([bold(text.strip_prefix("or ").unwrap_or(text))]);
            roff.text([roman(said.join(" "))]);
            said.clear();
        } else if line.starts_with("# ---") || line.trim_start_matches('#').trim().is_empty() {
            paragraph(&mut roff, &mut said);
        } else {
            said.push(text);
        }
    }
    paragraph(&mut roff, &mut said);
    section(&mut roff, "FILES", &FILES);
    see_also(&mut roff, [("ecobox", "1"), ("ecobox-init", "1")].into_iter(), "ecobox-config");
    let text: String = roff.to_roff().lines().map(|line| emphasized(line) + "\n").collect();
    title("ecobox-config", "5") + &text
}

fn paragraph(roff: &mut Roff, said: &mut Vec<&str>) {
    if !said.is_empty() {
        roff.control("PP", []).text([roman(said.join(" "))]);
        said.clear();
    }
}

/// Whether a line, without the sign that makes it a comment, sets a key.
fn is_key(line: &str) -> bool {
    let line = line.strip_prefix("or ").unwrap_or(line);
    let Some((key, _)) = line.split_once(" = ") else { return false };
    !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}
