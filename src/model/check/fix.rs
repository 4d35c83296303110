//! What makes a finding go away: in words, and as something that a program can carry out.

use serde::Serialize;

use crate::model::check::CheckId;
use crate::model::id::ServerId;

/// What makes a finding go away.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Fix {
    /// In words; the commands in it are in backticks.
    pub(crate) text: String,
    /// A program and its arguments, where one does it.
    pub(crate) run: Option<Vec<String>>,
    /// Where that is to be done; `None`: here.
    pub(crate) on: Option<ServerId>,
    /// A file to write, and what it should have.
    pub(crate) file: Option<String>,
    pub(crate) content: Option<String>,
}

/// Programs whose commands a fix may name, and those of them that are meant for the server that it is about.
const PROGRAMS: [&str; 9] =
    ["ecobox", "ssh-keygen", "ssh-copy-id", "ssh-add", "chmod", "rm", "systemctl", "timedatectl", "pveum"];
const OF_SERVERS: [&str; 3] = ["systemctl", "timedatectl", "pveum"];

impl Fix {
    /// Something that a person does. If its words name a command, that is also given as such.
    pub(crate) fn say(text: impl Into<String>) -> Fix {
        let text = text.into();
        let run = command_in(&text).map(words);
        Fix { text, run, ..Fix::default() }
    }

    /// The command that the words of an error name, where one does it.
    pub(crate) fn named_in(message: &str) -> Option<Fix> {
        command_in(message).map(Fix::run)
    }

    /// What is wrong at this server is not put right by its administrator's commands here.
    pub(crate) fn at(mut self, server: Option<&ServerId>) -> Fix {
        let is_of_servers = |run: &Vec<String>| run.first().is_some_and(|word| OF_SERVERS.contains(&word.as_str()));
        if self.on.is_none() && self.run.as_ref().is_some_and(is_of_servers) {
            self.on = server.cloned();
        }
        self
    }

    /// A command to run here.
    pub(crate) fn run(command: &str) -> Fix {
        Fix { text: format!("run `{command}`"), run: Some(words(command)), ..Fix::default() }
    }

    /// A command to run on a server, as root.
    pub(crate) fn on(server: &ServerId, command: &str) -> Fix {
        Fix {
            text: format!("run `{command}` on {server}"),
            run: Some(words(command)),
            on: Some(server.clone()),
            ..Fix::default()
        }
    }

    /// A file to write on a server, with a command that does it.
    pub(crate) fn write(server: &ServerId, file: &str, lines: &[String]) -> Fix {
        let quoted: Vec<String> = lines.iter().map(|line| format!("'{}'", line.replace('\'', "'\\''"))).collect();
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        Fix {
            text: format!("run `mkdir -p {folder} && printf '%s\\n' {} > {file}` on {server}", quoted.join(" ")),
            on: Some(server.clone()),
            file: Some(file.to_owned()),
            content: Some(lines.join("\n") + "\n"),
            ..Fix::default()
        }
    }

    /// Like `on`, with what else is to be known.
    pub(crate) fn and(mut self, more: &str) -> Fix {
        self.text += more;
        self
    }

    /// What `--explain` says of the check, with names filled in.
    pub(crate) fn of(id: CheckId, values: &[(&str, &str)]) -> Fix {
        let mut text = id.text().fix.to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        Fix::say(text)
    }
}

/// The first command in backticks that puts something right: one that only looks does not.
fn command_in(text: &str) -> Option<&str> {
    text.split('`').skip(1).step_by(2).find(|command| {
        let words = words(command);
        words.len() > 1 && PROGRAMS.contains(&words[0].as_str()) && words[1] != "status"
    })
}

/// The words of a command line as the shell splits it, as far as single quotes go.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut open, mut any) = (Vec::new(), String::new(), None, false);
    for c in command.chars() {
        match (c, open) {
            ('\'' | '"', None) => (open, any) = (Some(c), true),
            (c, Some(quote)) if c == quote => open = None,
            (' ', None) => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (c, _) => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_in_words() {
        for (text, want) in [
            ("run `ecobox init` to see", Some(&["ecobox", "init"][..])),
            (
                "if so, run `ssh-keygen -f '/a b' -R '[h]:22'`, then `ecobox init`",
                Some(&["ssh-keygen", "-f", "/a b", "-R", "[h]:22"]),
            ),
            ("check `hostname` of `nas` in c.toml", None),
            ("let it say `PubkeyAuthentication yes`", None),
            ("see `systemctl status x`, then run `systemctl restart x`", Some(&["systemctl", "restart", "x"])),
        ] {
            let run = Fix::say(text).run;
            assert_eq!(
                run.as_deref(),
                want.map(|words| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        }
        let fix = Fix::on(&"pve1".parse().unwrap(), "systemctl restart pvestatd");
        assert_eq!(fix.text, "run `systemctl restart pvestatd` on pve1");
        let pve1: ServerId = "pve1".parse().unwrap();
        assert_eq!(fix.on.as_ref(), Some(&pve1));
        for (text, on) in [("run `timedatectl set-ntp true`", Some(&pve1)), ("run `ecobox init`", None)] {
            assert_eq!(Fix::say(text).at(Some(&pve1)).on.as_ref(), on, "{text}");
        }
        let told = Fix::named_in("x holds tokens: run `chmod 600 '/a b'`").unwrap();
        assert_eq!((told.text.as_str(), told.run.unwrap().len()), ("run `chmod 600 '/a b'`", 3));
    }
}
