//! The direction rule: arrows between the rooms of `src` go down only, and a heavy crate has one home.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may use. What is not listed here is a new room: give it a line.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "main",
        &[
            "cli",
            "commands",
            "config",
            "error",
            "exit",
            "fleet",
            "logging",
            "model",
            "output",
            "refuse",
            "render",
            "signals",
            "state",
            "transport",
            "ui",
            "watchdog",
        ],
    ),
    ("output", &["cli", "commands", "error", "exit", "model", "render", "watchdog"]),
    ("refuse", &["cli", "commands", "exit", "model", "render", "ui"]),
    ("signals", &["cli", "commands", "exit", "watchdog"]),
    ("logging", &["cli", "ui"]),
    ("cli", &["commands", "file", "model", "render", "ui"]),
    (
        "commands",
        &[
            "commands",
            "config",
            "consent",
            "error",
            "exit",
            "fleet",
            "model",
            "render",
            "state",
            "transport",
            "tui",
            "ui",
        ],
    ),
    ("error", &["config", "exit", "model", "state", "transport"]),
    ("ui", &["consent", "error", "exit", "model", "transport"]),
    ("watchdog", &["error", "exit", "ui"]),
    ("render", &["file", "model"]),
    ("tui", &["model"]),
    ("fleet", &["config", "consent", "file", "model", "state", "transport"]),
    ("transport", &["file", "model"]),
    ("state", &["file", "model"]),
    ("config", &["file", "model"]),
    ("consent", &[]),
    ("exit", &["model"]),
    ("file", &[]),
    ("foreign", &["fleet", "model", "transport"]),
    ("fuzz", &["foreign"]),
    ("model", &[]),
    // Only tests have it.
    ("schema", &["commands", "render"]),
];

/// Who may say that somebody agreed to a change, and by which way. Tests may, too.
const AGREED: &[(&str, &[&str])] = &[
    // `power wake`, and plans in which nothing is to be done; a token of `setup-token` is what the command names.
    (
        "Confirmed::by_command",
        &[
            "src/commands/lease.rs",
            "src/commands/migrate.rs",
            "src/commands/power.rs",
            "src/commands/setup_token.rs",
            "src/commands/snapshot.rs",
        ],
    ),
    ("Confirmed::by_answer", &["src/ui.rs"]),
    ("Confirmed::on_screen", &["src/commands/watch/screen/actions.rs"]),
];

/// The home of each heavy crate: no other path may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("russh", &["src/transport/ssh"]),
    ("reqwest", &["src/transport/http.rs", "src/transport/pve", "src/transport/prometheus"]),
    ("rustls", &["src/transport/pve", "src/transport/tls"]),
    ("rusqlite", &["src/state"]),
    ("indicatif", &["src/ui/progress.rs"]),
    ("unicode_width", &["src/render", "src/tui", "src/model/text.rs"]),
    ("ratatui", &["src/tui"]),
    ("crossterm", &["src/tui"]),
    ("maud", &["src/render/html"]),
    ("toml", &["src/config"]),
    ("toml_edit", &["src/config"]),
    ("clap", &["src/cli", "src/commands", "src/main.rs", "src/refuse.rs", "src/render.rs", "src/ui.rs"]),
    ("snap", &["src/transport/prometheus"]),
    ("if_addrs", &["src/transport/wol.rs"]),
    // Tests of these start simulated and real servers.
    (
        "ecobox_sim",
        &[
            "src/commands/demo",
            "src/fleet/host/load",
            "src/fleet/host/power",
            "src/fleet/act/wake",
            "src/render/openmetrics/tests",
            "src/transport/prometheus/tests",
            "src/transport/pve/tests",
        ],
    ),
];

pub(crate) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every use of `word::` in code, with its line.
fn uses<'a>(text: &'a str, word: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let word = format!("{word}::");
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(move |(_, line)| {
        line.match_indices(&word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
    })
}

#[test]
fn arrows_go_down() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&base.join("src"), &mut files);
    assert!(files.len() > 30, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(base).unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let room = path.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        let allowed = MAY_USE.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            wrong.push(format!("{path}: `{room}` is a room without a line in MAY_USE"));
            continue;
        };
        for (target, _) in MAY_USE.iter().filter(|(target, _)| *target != room && !allowed.contains(target)) {
            for (line, code) in uses(&text.replace("crate::", "CRATE/"), &format!("CRATE/{target}")) {
                wrong.push(format!("{path}:{}: `{room}` must not use `{target}`: {}", line + 1, code.trim()));
            }
        }
        for (name, homes) in HOMES {
            if !homes.iter().any(|home| path.starts_with(home)) {
                for (line, code) in uses(&text, name) {
                    wrong.push(format!("{path}:{}: `{name}` lives in {homes:?}: {}", line + 1, code.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// To forget to ask does not compile; to claim that somebody agreed fails here, unless the file is listed.
#[test]
fn agreement_is_claimed_where_somebody_agreed() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&base.join("src"), &mut files);
    let (mut found, mut expected) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let path = file.strip_prefix(base).unwrap().to_string_lossy().into_owned();
        if path.contains("tests/") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let named = text.match_indices("Confirmed::").map(|(at, name)| {
            let way = text[at + name.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            (format!("{name}{way}"), path.clone())
        });
        found.extend(named.filter(|(way, _)| !way.ends_with("::")));
    }
    for (way, homes) in AGREED {
        expected.extend(homes.iter().map(|home| ((*way).to_owned(), (*home).to_owned())));
    }
    assert_eq!(found, expected);
}

/// Who starts a program elsewhere gives it ecobox's tokens, and leaves its children behind.
#[test]
fn programs_are_started_in_one_place() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&base.join("src"), &mut files);
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(base).unwrap().to_string_lossy().into_owned();
        if path.contains("tests/") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        found.extend(code.contains("Command::new(").then_some(path));
    }
    assert_eq!(found, ["src/transport/child.rs"]);
}

/// A file longer than this is two: what it has by topic goes into files of their own, and its tests into `tests.rs` beside it.
const MOST_LINES: usize = 400;

#[test]
fn no_file_is_too_long() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "fuzz"] {
        sources(&base.join(folder), &mut files);
    }
    assert!(files.len() > 500, "the sources were not found");
    let mut long = Vec::new();
    for file in files {
        let path = file.strip_prefix(base).unwrap().display().to_string();
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        // What cargo-fuzz built is nobody's source.
        if lines > MOST_LINES && !path.contains("target/") {
            long.push(format!("{path} has {lines} lines"));
        }
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn no_command_imports_another() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = ["args", "complete", "lead", "lease", "plan", "with_fleet"];
    for entry in fs::read_dir(root.join("src/commands")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for other in fs::read_dir(root.join("src/commands")).unwrap() {
            let other = other.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            if other != name && !shared.contains(&name.as_str()) && !shared.contains(&other.as_str()) {
                assert!(!text.contains(&format!("commands::{other}")), "{name} imports {other}");
            }
        }
    }
}

/// `fuzz/` takes the rooms in as they are, and so must build them with the same crates.
#[test]
fn the_fuzz_package_has_the_same_crates() {
    let read = |path: &str| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        text.parse::<toml::Table>().unwrap()
    };
    let whole = |asked: &toml::Value| match asked {
        toml::Value::String(version) => toml::Table::from_iter([("version".to_owned(), version.clone().into())]),
        asked => asked.as_table().unwrap().clone(),
    };
    let (ours, fuzz) = (read("Cargo.toml"), read("fuzz/Cargo.toml"));
    for (name, theirs) in fuzz["dependencies"].as_table().unwrap().iter().filter(|(name, _)| *name != "libfuzzer-sys") {
        let mut own = whole(&ours["dependencies"][name]);
        if own.remove("workspace").is_some() {
            let mut shared = whole(&ours["workspace"]["dependencies"][name]);
            if let Some(toml::Value::Array(more)) = own.remove("features") {
                let features = shared.entry("features").or_insert_with(|| toml::Value::Array(Vec::new()));
                features.as_array_mut().unwrap().extend(more);
            }
            own = shared;
        }
        assert_eq!(whole(theirs), own, "{name} in fuzz/Cargo.toml");
    }
}
