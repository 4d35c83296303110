//! The hosts that `ssh_config` names, for a preview. What each name means, `ssh -G` says.

use std::path::Path;

use super::config::{ConfigSource, stamp};

/// The names on `Host` lines of the user's and the system's configuration and of what they include, in their order.
/// Patterns and negations are no names.
pub(crate) fn aliases(source: &ConfigSource) -> Vec<String> {
    // The stamp lists the files that count, one a line, the path first.
    let Some(stamp) = stamp(source) else { return Vec::new() };
    let files = stamp.lines().filter_map(|line| line.split('\t').next()).filter(|path| !path.ends_with("/ssh"));
    let mut names: Vec<String> = Vec::new();
    for file in files {
        for name in names_in(&std::fs::read_to_string(Path::new(file)).unwrap_or_default()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn names_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let line = line.trim().replace('=', " ");
        let mut words = line.split_whitespace();
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("host")) {
            let plain = |word: &&str| !word.contains(['*', '?', '!', '"', '#', '%']);
            names.extend(words.take_while(|word| !word.starts_with('#')).filter(plain).map(str::to_owned));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_plain_names_are_hosts() {
        let text = "Host pve1 pve2 *.lan !bad\n  HostName 10.0.0.1\nHost *\nhost=nas # the old one\nHostName x\nMatch host z\n";
        assert_eq!(super::names_in(text), ["pve1", "pve2", "nas"]);
    }
}
