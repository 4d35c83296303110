//! What can be known of an `ssh_config` without asking ssh: which files it has, what the answers of `ssh -G` depend on
//! besides them, and what is written there that `ssh -G` prints without its quotes.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file_words::directive;
use super::include;
use super::source::ConfigSource;
use crate::transport::ssh::account::{own_home, own_host_name, own_uid, tilde};
use crate::transport::ssh::known_hosts::glob;

const SYSTEM_FOLDER: &str = "/etc/ssh";
/// As deep as OpenSSH follows Include.
const INCLUDE_DEPTH: usize = 16;
/// More files are a circle.
const MOST_FILES: usize = 1000;
/// Changes with the options that `ssh -G` is called with.
const CALL: &str = "2";

/// An `ssh_config`, looked through once in a run.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    marks: Vec<String>,
    /// Each file once.
    files: Vec<PathBuf>,
    worldly: Vec<Vec<Block>>,
    /// Something of it cannot be followed, so that no answer is good for another run.
    unclear: bool,
    variables: BTreeSet<String>,
    names_this_machine: bool,
    hosts: Vec<String>,
    written: Written,
}

/// The lists of `known_hosts` files as they are written, each a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(in crate::transport::ssh) user: Vec<Vec<String>>,
    pub(in crate::transport::ssh) global: Vec<Vec<String>>,
}

/// When lines count.
#[derive(Debug, Clone)]
enum Block {
    Always,
    Host(Vec<String>),
    Match(Vec<Criterion>),
}

#[derive(Debug, Clone)]
struct Criterion {
    negated: bool,
    name: String,
    argument: String,
}

impl Survey {
    /// None: there is no configuration, or no ssh to ask.
    pub(crate) fn of(source: &ConfigSource) -> Option<Survey> {
        let home = own_home().or_else(std::env::home_dir).unwrap_or_default();
        Survey::at(source, &home.join(".ssh"), Path::new(SYSTEM_FOLDER), std::env::var_os("PATH").as_deref())
    }

    fn at(source: &ConfigSource, user: &Path, system: &Path, path: Option<&std::ffi::OsStr>) -> Option<Survey> {
        let roots = match source {
            ConfigSource::Off => return None,
            ConfigSource::Default => vec![(user.join("config"), user), (system.join("ssh_config"), system)],
            // Relative Includes of a file given by -F are looked for in ~/.ssh.
            ConfigSource::File(file) => vec![(file.clone(), user)],
        };
        let mut survey = Survey::default();
        for (file, folder) in roots {
            survey.walk(&file, folder, &mut Vec::new());
        }
        if survey.files.is_empty() && !matches!(source, ConfigSource::File(_)) {
            return None;
        }
        let program = std::env::split_paths(path?).map(|folder| folder.join("ssh")).find(|file| file.is_file());
        let Some(program) = program else {
            tracing::warn!("there is an ssh configuration, but no ssh program to read it: it is not used");
            return None;
        };
        survey.marks.extend(mark(&program));
        survey.marks.push(format!("call {CALL} by {:?}", own_uid()));
        Some(survey)
    }

    /// The names on Host lines, in their order, without patterns and negations.
    pub(crate) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// Changes with everything that an answer worth keeping depends on.
    pub(crate) fn stamp(&self) -> String {
        let mut lines = self.marks.clone();
        if self.names_this_machine {
            lines.push(format!("here {}", own_host_name().unwrap_or_default()));
        }
        for name in &self.variables {
            // The value itself may be private.
            let mut hasher = DefaultHasher::new();
            std::env::var_os(name).hash(&mut hasher);
            lines.push(format!("${name} {:016x}", hasher.finish()));
        }
        lines.join("\n")
    }

    /// Whether what ssh says of a host, which it takes for `hostname`, stays true while the stamp is the same: no
    /// command, and none of this machine's networks, has a say in it.
    pub(crate) fn is_of_ca(&self, host: &str, hostname: Option<&str>) -> bool {
        let names: Vec<String> = [Some(host), hostname].into_iter().flatten().map(str::to_ascii_lowercase).collect();
        !self.unclear && !self.worldly.iter().any(|blocks| blocks.iter().all(|block| block.may_count(host, &names)))
    }

    /// Reads a file and what it includes; `around` are the blocks around the Include.
    fn walk(&mut self, file: &Path, folder: &Path, around: &mut Vec<Block>) {
        let Some(found) = mark(file) else { return };
        if around.len() > INCLUDE_DEPTH || self.files.len() >= MOST_FILES {
            self.unclear = true;
            return;
        }
        if !self.files.iter().any(|known| known == file) {
            self.marks.push(found);
        }
        self.files.push(file.to_owned());
        // A pipe would be read by two.
        let text = if file.is_file() { fs::read(file).ok() } else { None };
        let Some(text) = text else {
            self.unclear = true;
            return;
        };
        let mut block = Block::Always;
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((keyword, words)) = directive(line) else { continue };
            self.note(line);
            match keyword.as_str() {
                "host" => {
                    for name in words.iter().filter(|word| !word.starts_with('!') && !word.contains(['*', '?'])) {
                        if !self.hosts.contains(name) {
                            self.hosts.push(name.clone());
                        }
                    }
                    block = Block::Host(words);
                }
                "match" => {
                    let criteria = criteria(words);
                    let asks = |criterion: &Criterion| matches!(criterion.name.as_str(), "exec" | "localnetwork");
                    let worldly = criteria.iter().any(asks);
                    block = Block::Match(criteria);
                    if worldly {
                        self.worldly.push(around.iter().chain([&block]).cloned().collect());
                    }
                }
                "include" => {
                    around.push(block.clone());
                    for pattern in &words {
                        self.include(pattern, folder, around);
                    }
                    around.pop();
                }
                "userknownhostsfile" => self.written.user.push(words),
                "globalknownhostsfile" => self.written.global.push(words),
                _ => {}
            }
        }
    }

    fn include(&mut self, pattern: &str, folder: &Path, around: &mut Vec<Block>) {
        // Newer versions of OpenSSH replace tokens and variables here.
        if pattern.contains('%') || pattern.contains("${") {
            self.unclear = true;
            return;
        }
        // The user's folder is `.ssh` in the home that `~` stands for.
        let home = own_home().or_else(std::env::home_dir).unwrap_or_default();
        let Some(path) = tilde(pattern, &home) else { return };
        let mut searched = Vec::new();
        let files = include::expand(&folder.join(path), &mut searched);
        for mark in searched.iter().filter_map(|folder| mark(folder)) {
            if !self.marks.contains(&mark) {
                self.marks.push(mark);
            }
        }
        for file in files {
            self.walk(&file, folder, around);
        }
    }

    /// What a line depends on besides itself.
    fn note(&mut self, line: &str) {
        self.names_this_machine |= ["%l", "%L", "%C"].iter().any(|token| line.contains(token));
        let mut rest = line;
        while let Some((name, after)) = rest.split_once("${").and_then(|(_, rest)| rest.split_once('}')) {
            self.variables.insert(name.to_owned());
            rest = after;
        }
    }
}

impl Block {
    /// Whether it may count for a host, as far as names say; `names` are what ssh takes it for, in lower case.
    fn may_count(&self, host: &str, names: &[String]) -> bool {
        match self {
            Block::Always => true,
            Block::Host(patterns) => {
                let excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
                let lower = host.to_ascii_lowercase();
                !excluded.into_iter().any(|pattern| glob(pattern, host))
                    && patterns.iter().any(|pattern| glob(&pattern.to_ascii_lowercase(), &lower))
            }
            Block::Match(criteria) => criteria.iter().all(|criterion| criterion.may_hold(host, names)),
        }
    }
}

impl Criterion {
    fn may_hold(&self, host: &str, names: &[String]) -> bool {
        let holds = |name: &String| in_list(&self.argument.to_ascii_lowercase(), name) != self.negated;
        match self.name.as_str() {
            "originalhost" => holds(&host.to_ascii_lowercase()),
            // ssh may come to know the other name later than this line.
            "host" => names.iter().any(holds),
            _ => true,
        }
    }
}

/// Whether a list of patterns, separated by commas, has a name: a `!` before one excludes it.
fn in_list(patterns: &str, name: &str) -> bool {
    let excluded =
        patterns.split(',').filter_map(|pattern| pattern.strip_prefix('!')).any(|pattern| glob(pattern, name));
    !excluded && patterns.split(',').any(|pattern| !pattern.starts_with('!') && glob(pattern, name))
}

fn criteria(words: Vec<String>) -> Vec<Criterion> {
    let mut criteria = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word.as_str()),
        };
        let (name, argument) = if let Some((name, argument)) = name.split_once('=') {
            (name.to_ascii_lowercase(), argument.to_owned())
        } else {
            let name = name.to_ascii_lowercase();
            let alone = matches!(name.as_str(), "all" | "canonical" | "final");
            let argument = if alone { None } else { words.next() };
            (name, argument.unwrap_or_default())
        };
        criteria.push(Criterion { negated, name, argument });
    }
    criteria
}

/// One file's path, and what changes when it does, also where its modification time is set back.
fn mark(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let (path, size, inode) = (path.display(), metadata.size(), metadata.ino());
    let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    let (changed, changed_nanos) = (metadata.ctime(), metadata.ctime_nsec());
    Some(format!("{path}\t{seconds}.{nanos:09}\t{changed}.{changed_nanos:09}\t{size}\t{inode}"))
}

#[cfg(test)]
mod tests;
