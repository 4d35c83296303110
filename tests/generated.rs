//! What is committed and made from the code, or says what the code says, is current: completions, man pages,
//! `config.example.toml`, README and `docs`. `UPDATE=1 cargo test generated` rewrites the completions and the man pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::env::Env;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

/// Compares a committed folder with what `ecobox generate` writes today.
fn is_current(what: &str, folder: &str) {
    let env = Env::new();
    let fresh = env.home().join("generated");
    drop(env.run(&["generate", what, &fresh.to_string_lossy()]).exits(0));
    let folder = root().join(folder);
    let (fresh, committed) = (files(&fresh), files(&folder));
    assert!(!fresh.is_empty());
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for stale in committed.keys().filter(|name| !fresh.contains_key(*name)) {
            fs::remove_file(folder.join(stale)).unwrap();
        }
        for (name, text) in &fresh {
            fs::write(folder.join(name), text).unwrap();
        }
        return;
    }
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    let advice = "run `UPDATE=1 cargo test generated` and commit what it writes";
    assert_eq!(names(&committed), names(&fresh), "{}: {advice}", folder.display());
    for (name, text) in &fresh {
        assert!(committed[name] == *text, "{} is not what the binary makes: {advice}", folder.join(name).display());
    }
}

#[test]
fn completions_are_current() {
    is_current("completions", "completions");
}

#[test]
fn man_pages_are_current() {
    is_current("man", "man");
}

/// The terms of a section of a committed man page, each with its text.
fn man_section(page: &str, title: &str) -> Vec<(String, String)> {
    let text = read(format!("man/{page}"));
    let section = text.split("\n.SH ").find_map(|section| section.trim_start_matches('"').strip_prefix(title)).unwrap();
    let plain = |line: &str| line.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-").replace("\\(aq", "'");
    let terms = section.split("\n.TP\n").skip(1).map(|term| term.split_once('\n').unwrap());
    terms.map(|(term, says)| (plain(term), plain(says).trim().replace('\n', " "))).collect()
}

#[test]
fn man_pages_have_the_tables_of_readme() {
    let statuses: Vec<_> =
        man_section("ecobox-power.1", "EXIT STATUS").into_iter().map(|(term, says)| vec![term, says]).collect();
    assert_eq!(statuses, table("| status | meaning"));
    let variables: String = man_section("ecobox.1", "ENVIRONMENT").into_iter().map(|(term, _)| term + ", ").collect();
    for row in table("| variable |") {
        for name in row[0].split('`').skip(1).step_by(2) {
            let name = name.trim_end_matches('…');
            // How completions are written stands in the shells' own pages.
            assert!(name == "COMPLETE" || variables.contains(name), "ecobox(1) does not name {name}");
        }
    }
    for row in table("| file | |") {
        let path = row[0].trim_matches('`');
        assert!(
            man_section("ecobox.1", "FILES").iter().any(|(term, _)| term == path),
            "ecobox(1) does not name {path}"
        );
    }
}

#[test]
fn every_key_of_the_example_is_in_the_page_of_the_configuration() {
    let page = read("man/ecobox-config.5").replace("\\-", "-");
    let example = read("config.example.toml");
    let keys =
        example.lines().filter_map(|line| line.trim_start_matches("# ").trim_start_matches("or ").split_once(" = "));
    let mut count = 0;
    for (key, _) in keys.filter(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
        assert!(page.contains(&format!("\\fB{key} = ")), "ecobox-config(5) does not explain `{key}`");
        count += 1;
    }
    assert!(count > 40, "the keys were not found");
}

/// README and what stands in `docs`.
fn documents() -> Vec<(String, String)> {
    let mut all: Vec<_> = files(&root().join("docs"))
        .into_iter()
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(all.len() > 5, "the documents were not found");
    all.insert(0, ("README.md".to_owned(), read("README.md")));
    all
}

/// The cells of the first table of the documents whose header begins so.
fn table(header: &str) -> Vec<Vec<String>> {
    let text: String = documents().into_iter().map(|(_, text)| text + "\n").collect();
    let rows = text.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "the documents have no table {header}");
    rows
}

#[test]
fn readme_has_the_exit_status_of_the_code() {
    let code = read("src/exit.rs");
    // The words stand above a variant, the number beside it.
    let (mut words, mut meaning) = (String::new(), BTreeMap::new());
    for line in code.lines().map(str::trim).skip_while(|line| *line != "pub(crate) enum Exit {").skip(1) {
        match line.strip_prefix("/// ") {
            Some(text) => words = format!("{words} {text}").trim().to_owned(),
            None if line == "}" => break,
            None if line.starts_with("#[") => {}
            // It has no number of its own.
            None if line.contains('(') => words.clear(),
            None => drop(meaning.insert(line.trim_end_matches(',').to_owned(), std::mem::take(&mut words))),
        }
    }
    let numbers =
        code.lines().filter_map(|line| line.trim().strip_prefix("Exit::")?.trim_end_matches(',').split_once(" => "));
    let numbers = numbers.filter(|(_, number)| number.parse::<u8>().is_ok());
    let want: Vec<Vec<String>> =
        numbers.map(|(name, number)| vec![number.to_owned(), meaning[name].trim_end_matches('.').to_owned()]).collect();
    assert_eq!(want.len(), meaning.len());
    assert_eq!(table("| status | meaning"), want);
    let states = table("| exit status | state");
    let states: Vec<&str> = states.iter().flat_map(|row| [row[0].as_str(), row[1].as_str()]).collect();
    assert_eq!(states, ["0", "OK", "1", "WARNING", "2", "CRITICAL", "3", "UNKNOWN"]);

    let help = Env::new().run(&["--help"]).exits(0).stdout;
    let help: String = help.split_once("Exit status:").unwrap().1.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in &want {
        assert!(format!(", {help}").contains(&format!(", {} ", row[0])), "--help does not name exit status {}", row[0]);
    }
}

#[test]
fn readme_names_every_command_and_global_option() {
    let readme: String = documents().into_iter().map(|(_, text)| text).collect();
    let help = Env::new().run(&["--help"]).exits(0).stdout;
    let (commands, options) = help.split_once("Global options:").unwrap();
    let commands = commands.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for command in commands.filter(|command| *command != "help") {
        assert!(readme.contains(&format!("`ecobox {command}")), "README does not name `ecobox {command}`");
    }
    let options = options.lines().filter_map(|line| line.trim_start().split(", ").last());
    let options = options.filter_map(|line| line.strip_prefix("--")?.split([' ', '.']).next());
    let mut count = 0;
    for option in options {
        assert!(readme.contains(&format!("`--{option}")), "README does not name `--{option}`");
        count += 1;
    }
    assert!(count > 5, "the options were not found");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// What the code asks the environment for, as far as the name stands in the code.
#[test]
fn readme_names_every_environment_variable() {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    let mut names = BTreeSet::new();
    for path in paths {
        let text = read(&path);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for asks in ["var(\"", "var_os(\"", "variable(\"", "set(\"", "env = \"", "format!(\"ECOBOX_"] {
            for (at, _) in code.match_indices(asks) {
                let name = &code[at + asks.find('"').unwrap() + 1..];
                let name = name.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
                // Those of clap's completions pass between its script and the binary alone.
                names.extend((name.len() > 3 && !name.starts_with('_')).then(|| name.to_owned()));
            }
        }
    }
    for known in ["ECOBOX_CONFIG", "ECOBOX_LOG", "ECOBOX_STATE", "ECOBOX_TOKEN_", "NO_COLOR", "XDG_STATE_HOME"] {
        assert!(names.contains(known), "{known} was not found in the code: {names:?}");
    }
    let told: String = table("| variable |").into_iter().map(|row| row[0].clone()).collect();
    for name in names {
        assert!(told.contains(&format!("`{name}")), "README's table of variables does not name {name}");
    }
}

/// Blocks of the documents between fences of this language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = |text: String| {
        let blocks = text.split(&fence).skip(1);
        blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    documents().into_iter().flat_map(|(_, text)| blocks(text)).collect()
}

#[test]
fn configurations_shown_are_read() {
    let shown = blocks("toml");
    assert!(shown.len() > 1, "README shows configurations");
    for text in shown.iter().map(String::as_str).chain([read("config.example.toml").as_str()]) {
        let env = Env::new();
        let path = env.config_path();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let run = env.run(&["status", "--cached", "-o", "json"]);
        assert_eq!(run.code, 0, "{text}\n{run}");
        let shows_servers = text.contains("[[servers]]");
        assert_eq!(!run.json()["servers"].as_array().unwrap().is_empty(), shows_servers, "{text}");
    }
}

/// The words of the first command of a line, without quotes.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#' | '|' | '>' | '<') => break,
            (None, c) if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Every line of README that runs ecobox is one that it understands: with `--help` behind it, it helps.
#[test]
fn commands_shown_are_understood() {
    let env = Env::new().at_noon();
    let mut count = 0;
    for block in ["sh", "crontab"].into_iter().flat_map(blocks) {
        for line in block.lines() {
            let words = shell_words(line.trim_start_matches("$ "));
            let mut words = words.iter().map(String::as_str).skip_while(|word| *word != "ecobox");
            if words.next().is_none() {
                continue;
            }
            let mut args: Vec<&str> = words.collect();
            // What stands behind `--` is another program's.
            let end = args.iter().position(|word| *word == "--").unwrap_or(args.len());
            args.insert(end, "--help");
            let run = env.run(&args);
            assert_eq!(run.code, 0, "{line}\n{run}");
            count += 1;
        }
    }
    assert!(count > 10, "README's commands were not found");
}

/// Every link of a document leads to a file that is there.
#[test]
fn documents_link_to_what_is_there() {
    let mut count = 0;
    for (name, text) in documents() {
        let folder = if name == "README.md" { root().to_owned() } else { root().join("docs") };
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let path = link.split('#').next().unwrap();
            assert!(folder.join(path).exists(), "{name} links to {link}, which is not there");
            count += 1;
        }
    }
    assert!(count > 20, "the links were not found");
}

/// `docs/output.md` names each field of a document and of its rows, under the name of the schema.
#[test]
fn every_field_is_in_the_document_of_the_output() {
    let output = read("docs/output.md");
    let mut count = 0;
    for (file, text) in files(&root().join("docs/schema")) {
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (name, definitions) = (schema["title"].as_str().unwrap(), &schema["$defs"]);
        let begin = output.find(&format!("\n### `{name}`")).unwrap_or_else(|| panic!("docs/output.md has no {name}"));
        let section = &output[begin + 1..];
        let section = section[4..].split("\n##").next().unwrap();
        assert!(section.contains(&format!("](schema/{file})")), "docs/output.md does not link to {file}");
        let row = definitions["Line"]["allOf"][0]["$ref"].as_str().map(|row| row.trim_start_matches("#/$defs/"));
        let forms = row.into_iter().chain(["Document"]);
        let fields = forms.flat_map(|form| definitions[form]["properties"].as_object().unwrap().keys());
        let everywhere = ["schema", "generated_at", "failures"];
        for field in fields.filter(|field| !everywhere.contains(&field.as_str())) {
            assert!(section.contains(&format!("`{field}`")), "docs/output.md does not name `{field}` of {name}");
            count += 1;
        }
    }
    assert!(count > 120, "the fields were not found");
}

/// CONTRIBUTING's walks name files that exist, and in them what they say is there.
#[test]
fn the_walks_lead_through_the_code() {
    let text = read("CONTRIBUTING.md");
    let mut lengths = Vec::new();
    for walk in text.split("\n## ").filter(|part| part.starts_with("The way of")) {
        let mut steps: Vec<String> = Vec::new();
        for line in walk.lines().skip(1) {
            if line.starts_with(|c: char| c.is_ascii_digit()) {
                steps.push(String::new());
            }
            if let Some(step) = steps.last_mut() {
                *step = format!("{step} {line}");
            }
        }
        lengths.push(steps.len());
        for step in steps {
            let quoted: Vec<&str> = step.split('`').skip(1).step_by(2).collect();
            let (paths, words): (Vec<&str>, Vec<&str>) = quoted.into_iter().partition(|word| word.starts_with("src/"));
            let code: String = paths.iter().map(read).collect();
            for word in words.into_iter().filter(|word| !word.contains([' ', '/'])) {
                let name = word.rsplit("::").next().unwrap();
                let there = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == name);
                assert!(there, "CONTRIBUTING: `{word}` is not in {paths:?}: {step}");
            }
        }
    }
    assert_eq!(lengths, [10, 9, 4]);
}
