//! What the shells offer while one types, by the committed scripts: asked in bash, zsh and fish themselves.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ecobox_sim::{Cluster, Sim};

use crate::cli::env::{CANARY, Env};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Past the test harness, which shows nothing of a test that passes.
fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

/// Two clusters whose guests share a name, seen once.
fn a_known_fleet() -> (Env, Sim) {
    let cluster = Cluster::new("homelab")
        .node("pve1")
        .vm(101, "web-01", |vm| vm.on("pve1").running().tags("prod;web"))
        .vm(102, "db", |vm| vm.on("pve1").tags("prod"))
        .vm(103, "twin", |vm| vm.on("pve1"))
        .vm(104, "twin", |vm| vm.on("pve1"))
        .vm(105, "$(reboot)", |vm| vm.on("pve1"))
        .ct(201, "proxy", |ct| ct.on("pve1"))
        .token("ecobox@pve!test", CANARY, "/", &["VM.Audit", "Sys.Audit"]);
    let sim = Sim::start(cluster);
    let env = Env::new();
    let (port, fingerprint) = (sim.node("pve1").port(), sim.node("pve1").fingerprint());
    env.config(&format!(
        "[[servers]]\nid = \"pve1\"\ntype = \"proxmox\"\nhostname = \"127.0.0.1\"\napi_port = {port}\n\
         fingerprint = \"{fingerprint}\"\n"
    ));
    let token = format!("ecobox@pve!test={CANARY}");
    drop(env.run_with(&["discover"], &[("ECOBOX_TOKEN_PVE1", &token)]).exits(0));
    sim.clear_requests();
    (env, sim)
}

/// What is typed after `ecobox `, and what is offered for its last word: all of it.
const CASES: [(&str, &[&str]); 21] = [
    ("sta", &["stats", "status"]),
    ("status --cac", &["--cached"]),
    ("status -o js", &["json", "jsonl"]),
    ("--col", &["--color"]),
    ("gen", &[]),
    ("status we", &["web-01"]),
    ("status pr", &["proxy"]),
    // Two have this name.
    ("status tw", &["twin"]),
    ("status pve1-", &["pve1-ct-201", "pve1-vm-101", "pve1-vm-102", "pve1-vm-103", "pve1-vm-104", "pve1-vm-105"]),
    // Nobody is called so, and a shell would act on it.
    ("status pve1-vm-105", &["pve1-vm-105"]),
    ("status tag=", &["tag=prod", "tag=web"]),
    ("status tag=w", &["tag=web"]),
    ("status kind=l", &["kind=linux", "kind=lxc"]),
    ("status tag=prod,node=", &["tag=prod,node=pve1"]),
    ("power hib", &["hibernate"]),
    ("power suspend pve1 --guests sh", &["shutdown"]),
    ("power stop db --allow quo", &["quorum-lost"]),
    ("stats --since 7d --metric cp", &["cpu"]),
    ("watch --until db=runn", &["db=running"]),
    ("check -w cp", &["cpu="]),
    ("check --crit pressure.m", &["pressure.memory="]),
];

/// Runs a shell on a script, with ecobox on its PATH.
fn shell(env: &Env, shell: &str, script: &str, words: &[&str]) -> Option<String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_ecobox")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    command.args(match shell {
        "bash" => vec!["--norc", "-c", script, "bash"],
        "zsh" => vec!["-f", "-c", script, "zsh"],
        _ => vec!["--no-config", "-c", script],
    });
    command.args(words).env_clear().env("HOME", env.home()).env("PATH", path).env("TERM", "dumb").stdin(Stdio::null());
    if let Ok(output) = command.output() {
        let run = env.finish(output);
        assert_eq!(run.code, 0, "{shell}: {words:?}\n{run}");
        Some(run.stdout)
    } else {
        skipped(&format!("{shell} is not installed: its completions were not tried"));
        None
    }
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}

/// Words as bash splits them: at blanks, and at the signs of `COMP_WORDBREAKS` besides, which are words of their own.
fn split_by_bash(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in line.split(' ') {
        let mut rest = word;
        while let Some(at) = rest.find(['=', ':']) {
            words.extend((at > 0).then(|| rest[..at].to_owned()));
            words.push(rest[at..=at].to_owned());
            rest = &rest[at + 1..];
            if rest.is_empty() {
                break;
            }
        }
        if !rest.is_empty() || word.is_empty() {
            words.push(rest.to_owned());
        }
    }
    words
}

#[test]
fn bash_offers_names_values_and_options() {
    let (env, sim) = a_known_fleet();
    let script = format!(
        "source '{}/completions/ecobox.bash'\nCOMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=9\nshift\nCOMP_WORDS=(\"$@\")\n\
         COMP_CWORD=$(($# - 1)) last=${{!#}}\n[[ $last == [=:] ]] && last=\n_ecobox ecobox \"$last\" ''\n\
         ((${{#COMPREPLY[@]}})) && printf '%s\\n' \"${{COMPREPLY[@]}}\"\ntrue",
        root().display()
    );
    for (typed, want) in CASES {
        let line = format!("ecobox {typed}");
        let words = split_by_bash(&line);
        let mut args = vec![line.as_str()];
        args.extend(words.iter().map(String::as_str));
        let Some(got) = shell(&env, "bash", &script, &args) else { return };
        // bash replaces what follows its own word break.
        let last = line.rsplit(' ').next().unwrap();
        let before = last.rfind('=').map_or("", |at| &last[..=at]);
        let want: Vec<&str> = want.iter().map(|word| word.strip_prefix(before).unwrap()).collect();
        assert_eq!(lines(&got), want, "{typed}");
    }
    assert!(sim.requests().is_empty(), "completion asks no one");
}

#[test]
fn fish_offers_names_values_and_options() {
    let (env, _sim) = a_known_fleet();
    for (typed, want) in CASES {
        let script = format!("source '{}/completions/ecobox.fish'; complete -C 'ecobox {typed}'", root().display());
        let Some(got) = shell(&env, "fish", &script, &[]) else { return };
        let got: Vec<String> = lines(&got).iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        assert_eq!(got, want, "{typed}");
    }
}

/// zsh's completion system works on a terminal alone: what it would be told is printed here.
#[test]
fn zsh_offers_names_values_and_options() {
    let (env, _sim) = a_known_fleet();
    let script = format!(
        "compdef() {{ }}\n_describe() {{ local -a found=(\"${{(@P)3}}\"); print -rl -- ${{found%%:*}} }}\n\
         source '{}/completions/_ecobox'\nwords=(\"$@\") CURRENT=$#\n_clap_dynamic_completer_ecobox\ntrue",
        root().display()
    );
    for (typed, want) in CASES {
        let line = format!("ecobox {typed}");
        let words: Vec<&str> = line.split(' ').collect();
        let Some(got) = shell(&env, "zsh", &script, &words) else { return };
        assert_eq!(lines(&got), want, "{typed}");
    }
}

#[test]
fn completion_makes_no_state_file() {
    let env = Env::new();
    let script = "COMPLETE=bash _CLAP_COMPLETE_INDEX=2 ecobox -- ecobox status ''";
    let _ = shell(&env, "bash", script, &[]);
    assert!(!env.state_path().exists());
}
