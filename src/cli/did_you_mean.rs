//! What somebody meant who typed a command or an option that ecobox does not have.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::model::power::PowerAction;

/// Words of other tools, and the command that does it here.
const ELSEWHERE: [(&str, &str); 10] = [
    ("list", "ecobox status"),
    ("ls", "ecobox status"),
    ("ps", "ecobox status"),
    ("show", "ecobox status"),
    ("top", "ecobox watch"),
    ("scan", "ecobox discover"),
    ("add", "ecobox init --host [USER@]HOST"),
    ("login", "ecobox setup-token"),
    ("setup", "ecobox init"),
    ("history", "ecobox status --since 24h"),
];

/// Options that other tools have for what `-o` says here.
const FORMATS: [(&str, &str); 4] =
    [("--json", "-o json"), ("--jsonl", "-o jsonl"), ("--csv", "-o csv"), ("--wide", "-o wide")];

/// What was wrong with a command line, and what to type instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What `args`, which clap refused with this error, were meant to be, if it can be told. `args` begins with the program.
pub(crate) fn meant(error: &clap::Error, args: &[OsString]) -> Option<Meant> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = said(ContextKind::InvalidSubcommand)?;
            let hint = instead(word, args)?;
            Some(Meant { message: format!("`ecobox {word}` is not a command"), hint })
        }
        ErrorKind::UnknownArgument => {
            let typed = said(ContextKind::InvalidArg)?;
            let (option, output) = FORMATS.into_iter().find(|(option, _)| *option == typed)?;
            let hint = format!("did you mean `{output}`?");
            Some(Meant { message: format!("`{option}` is not an option"), hint })
        }
        _ => None,
    }
}

fn instead(word: &str, args: &[OsString]) -> Option<String> {
    if word == "demo" {
        return Some(
            "`ecobox demo` is in builds with that feature: run `cargo run --features demo -- demo` in the \
                     source folder"
                .to_owned(),
        );
    }
    if PowerAction::verbs().any(|action| action.as_str() == word) {
        return Some(format!("did you mean `ecobox power {}`?", from(word, args)));
    }
    let (_, command) = ELSEWHERE.into_iter().find(|(other, _)| *other == word)?;
    Some(format!("did you mean `{command}`?"))
}

/// The words from this one on, where a shell would take them as they stand; else placeholders.
fn from(word: &str, args: &[OsString]) -> String {
    let plain = |arg: &&str| arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@".contains(c));
    let rest = args.iter().skip_while(|arg| *arg != word).skip(1);
    let rest: Option<Vec<&str>> = rest.map(|arg| arg.to_str().filter(plain)).collect();
    match rest {
        Some(rest) if !rest.is_empty() => format!("{word} {}", rest.join(" ")),
        _ => format!("{word} TARGET"),
    }
}

/// Whether a command line, although it is wrong, is of a command whose exit status is another program's.
pub(crate) fn runs_a_command(args: &[OsString]) -> bool {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(args);
    matches.is_ok_and(|matches| matches!(matches.subcommand_name(), Some("run" | "ssh")))
}

/// Removes hidden commands from the suggestions of an error.
pub(crate) fn without_hidden(mut error: clap::Error) -> clap::Error {
    let Some(suggested) = error.remove(ContextKind::SuggestedSubcommand) else { return error };
    let command = Cli::command();
    let shown = |name: &String| command.get_subcommands().any(|sub| sub.get_name() == name && !sub.is_hide_set());
    let names = match suggested {
        ContextValue::String(name) => vec![name],
        ContextValue::Strings(names) => names,
        _ => return error,
    };
    let names: Vec<String> = names.into_iter().filter(shown).collect();
    if !names.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
    error
}

#[cfg(test)]
mod tests;
