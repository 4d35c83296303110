use std::ffi::OsString;

use clap::Parser as _;

use super::{meant, without_hidden};
use crate::cli::Cli;

fn hint(line: &str) -> Option<String> {
    let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let error = Cli::try_parse_from(&args).unwrap_err();
    meant(&error, &args).map(|meant| meant.hint)
}

#[test]
fn words_of_other_tools_are_understood() {
    for (typed, want) in [
        ("ecobox start vm-101", Some("did you mean `ecobox power start vm-101`?")),
        ("ecobox -q wake nas", Some("did you mean `ecobox power wake nas`?")),
        ("ecobox suspend pve2 --guests shutdown", Some("did you mean `ecobox power suspend pve2 --guests shutdown`?")),
        // What a shell would read otherwise is not repeated.
        ("ecobox stop web*", Some("did you mean `ecobox power stop TARGET`?")),
        ("ecobox wake", Some("did you mean `ecobox power wake TARGET`?")),
        ("ecobox ls", Some("did you mean `ecobox status`?")),
        ("ecobox status --json", Some("did you mean `-o json`?")),
        ("ecobox --csv stats", Some("did you mean `-o csv`?")),
        // clap says what there is to say.
        ("ecobox statsu", None),
        ("ecobox status --nothing", None),
    ] {
        assert_eq!(hint(typed).as_deref(), want, "{typed}");
    }
}

#[test]
fn a_wrong_line_of_run_is_one_of_run() {
    for (line, want) in [
        ("ecobox run", true),
        ("ecobox run nas", true),
        ("ecobox --config run status --nonsense", false),
        ("ecobox --config x.toml -q run nas --nonsense -- true", true),
        ("ecobox ssh", true),
        ("ecobox ssh nas ls", true),
        ("ecobox status --nonsense", false),
        ("ecobox power run", false),
        ("ecobox", false),
    ] {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(super::runs_a_command(&args), want, "{line}");
    }
}

#[test]
fn hidden_commands_stay_hidden() {
    for (typed, want) in [("generat", Some("migrate")), ("option", None), ("statsu", Some("stat"))] {
        let error = Cli::try_parse_from(["ecobox", typed]).unwrap_err();
        let text = without_hidden(error).to_string();
        let suggests = text.contains("similar");
        assert_eq!(suggests, want.is_some(), "{text}");
        assert!(want.is_none_or(|want| text.contains(want)) && !text.contains("'generate'"), "{text}");
    }
}
