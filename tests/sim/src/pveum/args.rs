//! The grammar of pveum's command line.

use std::collections::BTreeMap;

use super::{Failure, Format};

/// The usage line of each command, in the order in which pveum lists them.
const USAGE: &str = "\
acl delete <path> --roles <string> [OPTIONS]
acl list  [FORMAT_OPTIONS]
acl modify <path> --roles <string> [OPTIONS]

group add <groupid> [OPTIONS]
group delete <groupid>
group list  [FORMAT_OPTIONS]
group modify <groupid> [OPTIONS]

pool add <poolid> [OPTIONS]
pool delete <poolid>
pool list  [OPTIONS] [FORMAT_OPTIONS]
pool modify <poolid> [OPTIONS]

realm add <realm> --type <string> [OPTIONS]
realm delete <realm>
realm list  [FORMAT_OPTIONS]
realm modify <realm> [OPTIONS]
realm sync <realm> [OPTIONS]

role add <roleid> [OPTIONS]
role delete <roleid>
role list  [FORMAT_OPTIONS]
role modify <roleid> [OPTIONS]

user tfa unlock <userid>
user tfa delete <userid> [OPTIONS]
user tfa list [<userid>]
user token add <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]
user token delete <userid> <tokenid> [FORMAT_OPTIONS]
user token list <userid> [FORMAT_OPTIONS]
user token modify <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]
user token permissions <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]
user permissions [<userid>] [OPTIONS] [FORMAT_OPTIONS]
user add <userid> [OPTIONS]
user delete <userid>
user list  [OPTIONS] [FORMAT_OPTIONS]
user modify <userid> [OPTIONS]

passwd <userid> [OPTIONS]
ticket <username> [OPTIONS]

help [<extra-args>] [OPTIONS]";

/// One-word commands of older releases that still work.
const ALIASES: [(&str, &str); 8] = [
    ("useradd", "user add"),
    ("usermod", "user modify"),
    ("userdel", "user delete"),
    ("roleadd", "role add"),
    ("rolemod", "role modify"),
    ("roledel", "role delete"),
    ("aclmod", "acl modify"),
    ("acldel", "acl delete"),
];

/// The options of the commands that the simulator knows, without the output options.
const OPTIONS: [(&str, &[&str]); 15] = [
    ("acl delete", &["groups", "propagate", "roles", "tokens", "users"]),
    ("acl list", &[]),
    ("acl modify", &["groups", "propagate", "roles", "tokens", "users"]),
    ("role add", &["privs"]),
    ("role delete", &[]),
    ("role list", &[]),
    ("role modify", &["append", "privs"]),
    ("user add", &["comment", "email", "enable", "expire", "firstname", "groups", "keys", "lastname", "password"]),
    ("user delete", &[]),
    ("user list", &["enabled", "full"]),
    ("user modify", &["append", "comment", "email", "enable", "expire", "firstname", "groups", "keys", "lastname"]),
    ("user permissions", &["path"]),
    ("user token add", &["comment", "expire", "privsep"]),
    ("user token delete", &[]),
    ("user token list", &[]),
];

const TOKEN_MODIFY: &[&str] = &["comment", "delete", "expire", "privsep", "regenerate"];
const BOOLEANS: [&str; 11] = [
    "append",
    "enable",
    "enabled",
    "full",
    "human-readable",
    "noborder",
    "noheader",
    "privsep",
    "propagate",
    "quiet",
    "regenerate",
];

/// The usage line of one command, as it follows an error.
pub(super) struct Usage;

impl Usage {
    fn of(command: &str) -> Option<&'static str> {
        USAGE.lines().find(|line| {
            line.strip_prefix(command).is_some_and(|rest| rest.starts_with([' ', '\n']) && !is_word(rest.trim_start()))
        })
    }

    /// The whole list, after an error that names no command.
    fn all(error: &str) -> Failure {
        let lines: Vec<String> = USAGE
            .lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("       pveum {line}") })
            .collect();
        Failure::die(format!("ERROR: {error}\nUSAGE: pveum <COMMAND> [ARGS] [OPTIONS]\n\n{}", lines.join("\n")))
    }
}

fn is_word(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_lowercase())
}

/// One parsed command line.
pub(super) struct Call {
    /// E.g. `user token add`.
    pub(super) command: &'static str,
    /// `pveum user token add <userid> ...`, for error messages.
    pub(super) usage: String,
    pub(super) positional: Vec<String>,
    options: BTreeMap<String, String>,
    pub(super) format: Format,
}

impl Call {
    pub(super) fn parse(args: &[String], version: (u32, u32)) -> Result<Call, Failure> {
        let mut words: Vec<String> = args.to_vec();
        let Some(first) = words.first().cloned() else { return Err(Usage::all("no command specified")) };
        if let Some((_, long)) = ALIASES.iter().find(|(short, _)| *short == first) {
            words.splice(..1, long.split(' ').map(str::to_owned));
        }
        let Some((command, used)) = find_command(&words, version) else {
            let asked = words.iter().take_while(|word| !word.starts_with('-')).cloned().collect::<Vec<_>>().join(" ");
            return Err(Usage::all(&format!("unknown command 'pveum {asked}'")));
        };
        let usage = format!("pveum {}", Usage::of(command).unwrap_or(command));
        let known = known_options(command, &usage, version);
        let (positional, options) = split_options(&words[used..], &known, &usage)?;
        let wanted = usage.matches('<').count() - usage.matches("--roles <").count();
        let optional = usage.matches("[<").count();
        if positional.len() < wanted - optional {
            return Err(Failure::die(format!("400 not enough arguments\n{usage}")));
        }
        if positional.len() > wanted {
            return Err(Failure::die(format!("400 too many arguments\n{usage}")));
        }
        let format = options.get("output-format").map_or(Some(Format::Text), |text| Format::parse(text));
        let Some(format) = format else {
            let text = format!(
                "value '{}' does not have a value in the enumeration 'text, json, json-pretty, yaml'",
                options["output-format"]
            );
            return Err(Failure::parameter("output-format", text, &usage));
        };
        Ok(Call { command, usage, positional, options, format })
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// A boolean option that is given and true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.option(name) == Some("1")
    }

    /// The items of a list option; PVE splits at commas, semicolons and blanks.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let text = self.option(name).unwrap_or_default();
        text.split([',', ';', ' ', '\t', '\n']).filter(|item| !item.is_empty()).collect()
    }

    /// A whole number, e.g. seconds since the epoch.
    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.option(name) else { return Ok(None) };
        let wrong = || Failure::parameter(name, format!("type check ('integer') failed - got '{text}'"), &self.usage);
        text.parse().map(Some).map_err(|_| wrong())
    }
}

/// The longest command that the words begin with, under its main name, and how many words it took.
fn find_command(words: &[String], version: (u32, u32)) -> Option<(&'static str, usize)> {
    for used in (1..=words.len().min(3)).rev() {
        let asked = words[..used].join(" ");
        // Before 8.2 the command was called `remove`; since then that is an alias of `delete`.
        if asked == "user token remove" {
            return Some(("user token delete", used));
        }
        if asked == "user token delete" && version < (8, 2) {
            return None;
        }
        if asked == "user token modify" || asked == "user token permissions" {
            return Some((
                if asked.ends_with("modify") { "user token modify" } else { "user token permissions" },
                used,
            ));
        }
        if let Some((name, _)) = OPTIONS.iter().find(|(name, _)| *name == asked) {
            return Some((name, used));
        }
    }
    None
}

fn known_options(command: &str, usage: &str, version: (u32, u32)) -> Vec<&'static str> {
    let mut known: Vec<&str> = match command {
        "user token modify" => TOKEN_MODIFY.to_vec(),
        "user token permissions" => vec!["path"],
        _ => OPTIONS.iter().find(|(name, _)| *name == command).map(|(_, options)| options.to_vec()).unwrap_or_default(),
    };
    if version < (9, 1) {
        known.retain(|name| *name != "regenerate");
    }
    if version < (9, 0) && command == "user token modify" {
        known.retain(|name| *name != "delete");
    }
    if usage.contains("FORMAT_OPTIONS") {
        known.extend(["output-format", "human-readable", "noborder", "noheader", "quiet"]);
    }
    known
}

type Split = (Vec<String>, BTreeMap<String, String>);

/// `--name value`, `--name=value`, `-name value`; a boolean without a value is 1.
fn split_options(words: &[String], known: &[&str], usage: &str) -> Result<Split, Failure> {
    let (mut positional, mut options) = (Vec::new(), BTreeMap::new());
    let mut words = words.iter().peekable();
    let unable = |text: String| Failure::die(format!("{text}\n400 unable to parse option\n{usage}"));
    while let Some(word) = words.next() {
        if word == "--" {
            positional.extend(words.by_ref().cloned());
            break;
        }
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())
        else {
            positional.push(word.clone());
            continue;
        };
        let (name, given) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        if !known.contains(&name) {
            return Err(unable(format!("Unknown option: {name}")));
        }
        let value = if BOOLEANS.contains(&name) {
            let given = given.or_else(|| words.next_if(|word| !word.starts_with('-')).cloned());
            boolean(name, given, usage)?
        } else {
            given
                .or_else(|| words.next().cloned())
                .ok_or_else(|| unable(format!("Option {name} requires an argument")))?
        };
        options.insert(name.to_owned(), value);
    }
    Ok((positional, options))
}

fn boolean(name: &str, given: Option<String>, usage: &str) -> Result<String, Failure> {
    let Some(text) = given else { return Ok("1".into()) };
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => Ok("1".into()),
        "0" | "no" | "off" | "false" => Ok("0".into()),
        _ => Err(Failure::parameter(name, format!("type check ('boolean') failed - got '{text}'"), usage)),
    }
}
