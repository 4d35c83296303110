//! Every example of README and `docs`, typed as it stands: on a terminal what is shown for a shell, without one what is shown
//! for cron, against the fleet of `ecobox demo`. One that fails fails the test.
//!
//! A comment `<!-- not run: why -->` in front of a block says why its lines cannot be run here.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ecobox_sim::{Demo, DemoHost};
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Any, Eof, Expect, Regex, Session};

use super::env::{Env, ended, skipped};
use super::world::until;

/// Names of the documents, resolved to the demo's hosts.
const DOMAIN: &str = "example.com";

/// Many looks in a short time.
const FAST: &str = "[dashboard]\nupdate_interval = \"200ms\"\nsystem_check_interval = \"1s\"\n";

/// Of the sleeper: loopback has no broadcast.
const WAKE: &str = "[servers.wol]\nbroadcast = \"127.0.0.1\"\n";

/// A block between fences.
struct Block {
    /// `docs/power.md:6`
    place: String,
    is_crontab: bool,
    lines: Vec<String>,
}

/// The blocks of a document that are for a shell or for cron; those that are not run are named.
fn blocks(document: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let mut found = Vec::new();
    let (mut open, mut last): (Option<Block>, &str) = (None, "");
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let fence = line.strip_prefix("```");
        match (fence, is_open) {
            (Some(language), false) => {
                is_open = true;
                let place = format!("{document}:{number}");
                let why = last.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
                if let Some(why) = why {
                    skipped(&format!("{place}: {why}"));
                } else if ["sh", "bash", "console", "crontab"].contains(&language) {
                    open = Some(Block { place, is_crontab: language == "crontab", lines: Vec::new() });
                }
            }
            (Some(_), true) => {
                is_open = false;
                found.extend(open.take());
            }
            (None, true) => open.iter_mut().for_each(|block| block.lines.push(line.to_owned())),
            (None, false) if !line.is_empty() => last = line,
            (None, false) => {}
        }
        if fence.is_some() {
            last = "";
        }
    }
    found
}

/// The demo's fleet on its second day, and the home of somebody who types.
struct Desk {
    env: Env,
    fleet: Demo,
}

impl Desk {
    /// Nothing is configured but how ssh reaches the hosts. `None`: that cannot be had here.
    fn new() -> Option<Desk> {
        if Command::new("ssh").arg("-V").output().is_err() {
            skipped("no ssh: it reads the names of the examples from a configuration");
            return None;
        }
        let env = Env::new().at_noon();
        let folder = env.home().join(".ssh");
        std::fs::create_dir(&folder).unwrap();
        let key = ecobox_sim::keys::ClientKey::create(&folder.join("id_ed25519"), None);
        let mut fleet = Demo::start(&key.public);
        if let Some(why) = fleet.shared_address() {
            skipped(why);
            return None;
        }
        fleet.next_day();
        let folder = folder.display();
        let mut text = String::new();
        for DemoHost { name, ssh, .. } in fleet.hosts() {
            let (ip, port) = (ssh.ip(), ssh.port());
            writeln!(text, "Host {name}.{DOMAIN}\n    HostName {ip}\n    Port {port}\n    HostKeyAlias {name}")
                .unwrap();
        }
        writeln!(
            text,
            "Host *\n    IdentityFile {folder}/id_ed25519\n    IdentitiesOnly yes\n    IdentityAgent none\n    \
             UserKnownHostsFile {folder}/known_hosts\n    GlobalKnownHostsFile /dev/null"
        )
        .unwrap();
        let path = env.home().join(".ssh/config");
        std::fs::write(&path, text).unwrap();
        env.config(&format!("[ssh]\nconfig = {:?}\n\n{FAST}", path.display().to_string()));
        Some(Desk { env, fleet })
    }

    /// Everything is configured, as `ecobox demo --keep` leaves it.
    fn settle(&self) {
        let (sleeper, port) = self.fleet.sleeper().expect("it is on");
        let known = self.config();
        let unknown = |host: &&DemoHost| !known.contains(&format!("{}.{DOMAIN}\"", host.name));
        let args: Vec<String> = self
            .fleet
            .hosts()
            .iter()
            .filter(unknown)
            .filter(|host| host.name != sleeper)
            .map(|host| format!("--host=root@{}.{DOMAIN}", host.name))
            .collect();
        let args: Vec<&str> = ["init", "--accept-new"].into_iter().chain(args.iter().map(String::as_str)).collect();
        drop(self.env.run(&args).exits(0));
        if !known.contains("nas") {
            // The server that was added last.
            let services = self.fleet.services().iter().filter(|service| service.name != "media");
            let service = |service: &ecobox_sim::DemoService| {
                let (name, kind, port) = (service.name, service.kind, service.port);
                format!("[[servers.services]]\nname = \"{name}\"\ntype = \"{kind}\"\nport = {port}\n\n")
            };
            self.env.add_config(&services.map(service).collect::<String>());
        }
        drop(self.env.run(&["init", "--accept-new", &format!("--host=root@{sleeper}.{DOMAIN}")]).exits(0));
        self.env.add_config(&format!("{WAKE}port = {port}\n"));
        drop(self.env.run(&["setup-token"]).exits(0));
        drop(self.env.run(&["discover"]).exits(0));
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.env.config_path()).unwrap()
    }

    /// A shell with this line, in which `ecobox` is the one under test, and `/var` is a folder of this home.
    fn shell(&self, line: &str) -> Command {
        let home = self.env.home().display();
        for folder in ["www/html", "lib/prometheus/node-exporter"] {
            std::fs::create_dir_all(self.env.home().join("var").join(folder)).unwrap();
        }
        let line = line.replace(" /var/", &format!(" {home}/var/"));
        let template = self.env.command(&[]);
        let folder = Path::new(env!("CARGO_BIN_EXE_ecobox")).parent().unwrap().display();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -o pipefail; stty rows 40 cols 120 2>/dev/null; {line}")]);
        shell.current_dir(self.env.home()).env_clear().env("TERM", "xterm");
        shell.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
        shell
    }

    fn run(&self, block: &Block) {
        for line in &block.lines {
            let place = &block.place;
            let line = line.trim().trim_start_matches("$ ");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("| jq ") && Command::new("jq").arg("--version").output().is_err() {
                skipped(&format!("{place}: {line}: no jq"));
                continue;
            }
            let (text, code, want) = if block.is_crontab {
                let command = line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ");
                let output = ended(self.shell(&command).stdin(Stdio::null()));
                let code = output.status.code().unwrap_or(-1);
                let run = self.env.finish(output);
                (run.to_string(), code, 0)
            } else if goes_on(line) {
                self.interrupt(line)
            } else {
                let (text, code) = self.agree(line);
                (text, code, 0)
            };
            assert!(code == want || finds(line, code), "{place}: `{line}` ended with {code}:\n{text}");
            assert!(!text.contains(super::env::CANARY), "{place}: `{line}` shows a secret");
        }
    }

    fn terminal(&self, line: &str) -> OsSession {
        let mut session = Session::spawn(self.shell(line)).unwrap();
        session.set_expect_timeout(Some(Duration::from_secs(120)));
        session
    }

    /// Runs a line on a terminal, where every question is answered by yes.
    fn agree(&self, line: &str) -> (String, i32) {
        let mut session = self.terminal(line);
        let mut text = String::new();
        loop {
            let question = Regex(r"\[y/N\]|type \d+ to go on:");
            let found = session.expect(Any::boxed(vec![Box::new(question), Box::new(Eof)]));
            let found = found.unwrap_or_else(|error| panic!("`{line}`: {error}\n{text}"));
            text += &String::from_utf8_lossy(found.as_bytes());
            let asked = String::from_utf8_lossy(found.get(0).unwrap_or_default()).into_owned();
            match asked.split(' ').nth(1) {
                Some(number) => session.send_line(number).unwrap(),
                None if asked == "[y/N]" => session.send_line("y").unwrap(),
                None => return (text, code(&session)),
            }
        }
    }

    /// Runs a line that would go on for ever, until it has shown something.
    fn interrupt(&self, line: &str) -> (String, i32, i32) {
        let mut session = self.terminal(line);
        if let Some(file) = line.split_whitespace().skip_while(|word| *word != "--html").nth(1) {
            let file = self.env.home().join(file.trim_start_matches('/'));
            until(|| file.exists());
        } else {
            session.expect("web-01").unwrap();
        }
        let is_screen = !line.contains("-o jsonl");
        session.send(if is_screen { "q" } else { "\u{3}" }).unwrap();
        let rest = session.expect(Eof).unwrap();
        let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
        (text, code(&session), if is_screen { 0 } else { 130 })
    }
}

/// Whether a line ends only when somebody ends it.
fn goes_on(line: &str) -> bool {
    line.starts_with("ecobox watch") && !line.contains("--until") && !line.contains("--count")
}

/// Whether that is no failure, but what was found of the fleet.
fn finds(line: &str, code: i32) -> bool {
    let looks = |command: &str| line.contains(command) && !line.contains("--explain");
    looks("ecobox doctor") && [1, 12].contains(&code) || looks("ecobox check") && (1..4).contains(&code)
}

fn code(session: &OsSession) -> i32 {
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

/// The examples of a document that begins with nothing configured.
fn from_the_beginning(document: &str) {
    let Some(desk) = Desk::new() else { return };
    let mut is_settled = false;
    for block in blocks(document) {
        let begins = block.lines.iter().any(|line| line.starts_with("ecobox init"));
        if !begins && !is_settled {
            desk.settle();
            is_settled = true;
        }
        desk.run(&block);
    }
    assert!(is_settled, "{document} has no examples");
}

/// What `doctor` finds in the demo's fleet is what its story tells of, and the document names it: nothing else is wrong.
#[test]
fn doctor_finds_in_the_demo_what_is_told_of_it() {
    let Some(desk) = Desk::new() else { return };
    desk.settle();
    let run =
        super::doctor::finds_with(&desk.env, &[], &["wol-not-armed pve2 warning", "no-agent pve1-vm-103 warning"]);
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md")).unwrap();
    for finding in ["`wol-not-armed` at `pve2`", "`no-agent` at `windows-build`"] {
        assert!(text.contains(&format!("\n| {finding} | ")), "{finding}");
    }
    assert_eq!(run.json()["counts"]["problem"], 0);
}

#[test]
fn of_readme() {
    from_the_beginning("README.md");
}

#[test]
fn of_advise() {
    from_the_beginning("docs/advise.md");
}

#[test]
fn of_doctor() {
    from_the_beginning("docs/doctor.md");
}

#[test]
fn of_energy() {
    from_the_beginning("docs/energy.md");
}

#[test]
fn of_migrate() {
    from_the_beginning("docs/migrate.md");
}

#[test]
fn of_getting_started() {
    from_the_beginning("docs/getting-started.md");
}

#[test]
fn of_history_and_metrics() {
    from_the_beginning("docs/history-and-metrics.md");
}

#[test]
fn of_monitoring() {
    from_the_beginning("docs/monitoring.md");
}

#[test]
fn of_output() {
    from_the_beginning("docs/output.md");
}

#[test]
fn of_power() {
    from_the_beginning("docs/power.md");
}

#[test]
fn of_security() {
    from_the_beginning("docs/security.md");
}

#[test]
fn of_snapshot() {
    from_the_beginning("docs/snapshot.md");
}

#[test]
fn of_watch() {
    from_the_beginning("docs/watch.md");
}

/// No document is forgotten.
#[test]
fn the_others_have_none() {
    let tested = [
        "advise.md",
        "doctor.md",
        "energy.md",
        "getting-started.md",
        "history-and-metrics.md",
        "migrate.md",
        "monitoring.md",
        "output.md",
        "power.md",
        "security.md",
        "snapshot.md",
        "watch.md",
    ];
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|suffix| suffix == "md") && !tested.contains(&name.as_str()) {
            assert!(blocks(&format!("docs/{name}")).is_empty(), "docs/{name} has examples, and no test here");
        }
    }
}
