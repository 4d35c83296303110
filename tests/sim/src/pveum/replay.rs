//! Replays the command lines recorded on a real PVE 9.2 and compares what comes out.

use serde_json::Value;

use crate::access::Access;

const RECORDED: &str = include_str!("../../../fixtures/pve-9.2/cli.jsonl");

/// The users and tokens that the recorded host had.
fn recorded_host() -> Access {
    let mut access = Access::new(9);
    for line in [
        "user add audit@pve --comment 'read only' --email ''",
        "user add nobody@pve",
        "user add off@pve --enable 0",
        "user add power@pve",
        "user token add root@pam ecobox --privsep 0",
        "user token add root@pam expired --privsep 0 --expire 1700000000",
        "user token add root@pam nopriv",
        "user token add root@pam sepvm",
        "acl modify / --users audit@pve --roles PVEAuditor",
        "acl modify /vms --users power@pve --roles PVEVMUser",
        "acl modify /vms/101 --tokens root@pam!sepvm --roles PVEVMUser",
    ] {
        assert_eq!(access.pveum(&words(line)).code, 0, "{line}");
    }
    access
}

/// Splits as sh does, with single and double quotes only.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The pveum arguments of a recorded command, and whether its locale was UTF-8.
fn pveum_args(command: &str) -> Option<(Vec<String>, bool)> {
    if command.contains("&&") || command.contains(';') || command.contains('|') {
        return None;
    }
    let utf8 = command.starts_with("LC_ALL=C.UTF-8");
    let mut words = words(command);
    let is_prefix =
        |word: &String| word.contains("LC_ALL=") || word.starts_with("LANG=") || word == "sudo" || word == "-n";
    words.drain(..words.iter().take_while(|word| is_prefix(word)).count());
    (words.first()?.trim_start_matches("/usr/sbin/") == "pveum").then(|| (words[1..].to_vec(), utf8))
}

/// Random values become `<uuid>`; arrays of JSON, whose order is random, are sorted.
fn comparable(stdout: &str) -> String {
    let mut text = String::new();
    let mut rest = stdout;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let run = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(rest.len());
        let is_uuid = run == 36 && rest[..run].matches('-').count() == 4;
        text.push_str(if is_uuid { "<uuid>" } else { &rest[..run] });
        rest = &rest[run..];
    }
    text.push_str(rest);
    let Ok(Value::Array(mut items)) = serde_json::from_str::<Value>(&text) else { return text };
    for item in &mut items {
        if let Some(Value::String(privs)) = item.get_mut("privs") {
            let mut names: Vec<&str> = privs.split(',').collect();
            names.sort_unstable();
            *privs = names.join(",");
        }
    }
    items.sort_by_key(super::format::json);
    super::format::json(&Value::Array(items))
}

#[test]
fn every_recorded_command_line_answers_the_same() {
    let mut access = recorded_host();
    let mut replayed = 0;
    for line in RECORDED.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| recorded[name].as_str().unwrap();
        if !matches!(text("user"), "root" | "ecosudo") {
            continue; // without root's rights it is the host that answers
        }
        let Some((args, utf8)) = pveum_args(text("command")) else { continue };
        let outcome = access.pveum_in(&args, utf8);
        let name = text("name");
        assert_eq!(
            outcome.code,
            i32::try_from(recorded["exit"].as_i64().unwrap()).unwrap(),
            "{name}: {}",
            outcome.stderr
        );
        if name == "env-perl-locale-warning" {
            continue; // the warning comes from perl's start, before pveum
        }
        assert_eq!(outcome.stderr, text("stderr"), "{name}");
        assert_eq!(comparable(&outcome.stdout), comparable(text("stdout")), "{name}\n{}", outcome.stdout);
        replayed += 1;
    }
    assert!(replayed > 60, "only {replayed} command lines were replayed");
}

#[test]
fn releases_differ() {
    let new = |major, minor| Access::with_version(major, minor);
    for (mut access, line, stderr) in [
        (
            new(8, 4),
            "role add A --privs VM.GuestAgent.Audit",
            "privs: invalid format - invalid privilege 'VM.GuestAgent.Audit'",
        ),
        (new(8, 4), "role add A --privs VM.Monitor,VM.Audit", ""),
        (new(7, 4), "role add A --privs VM.Monitor", ""),
        (new(9, 2), "role add A --privs VM.Monitor", "privs: invalid format - invalid privilege 'VM.Monitor'"),
        (new(7, 4), "role add PveMine", ""),
        (
            new(8, 0),
            "role add PveMine",
            "roleid: cannot use role ID starting with the (case-insensitive) 'PVE' namespace",
        ),
        (new(8, 1), "user token delete root@pam abc", "ERROR: unknown command 'pveum user token delete root@pam abc'"),
        (new(8, 1), "user token remove root@pam abc", "no such token 'abc' for user 'root@pam'"),
        (new(8, 2), "user token delete root@pam abc", "no such token 'abc' for user 'root@pam'"),
        (new(9, 0), "user token modify root@pam abc --regenerate 1", "Unknown option: regenerate"),
        (new(9, 1), "user token modify root@pam abc --regenerate 1", "no such token 'abc' for user 'root@pam'"),
    ] {
        let outcome = access.pveum(&words(line));
        assert_eq!(outcome.code == 0, stderr.is_empty(), "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.lines().any(|line| line == stderr) || stderr.is_empty(), "{line}: {}", outcome.stderr);
    }
}

#[test]
fn regenerate_keeps_the_acl_and_changes_the_secret() {
    let mut access = recorded_host();
    let before = access.secret("root@pam!sepvm").unwrap().to_owned();
    let outcome = access.pveum(&words("user token modify root@pam sepvm --regenerate 1 --output-format json"));
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let secret = answer["value"].as_str().unwrap();
    assert_ne!(secret, before);
    assert!(access.authenticate("root@pam!sepvm", secret).is_ok());
    assert!(access.privileges("root@pam!sepvm", "/vms/101").contains("VM.Audit"));
}

#[test]
fn a_removed_token_leaves_its_acl_until_the_next_write() {
    let mut access = recorded_host();
    assert_eq!(access.pveum(&words("user token remove root@pam sepvm")).stderr, "");
    let complaint = "user config - ignore invalid acl token 'root@pam!sepvm'\n";
    assert_eq!(access.pveum(&words("acl list")).stderr, complaint);
    assert_eq!(access.pveum(&words("user add x@pve")).stderr, complaint);
    assert_eq!(access.pveum(&words("acl list")).stderr, "");
}

#[test]
fn without_quorum_nothing_is_written() {
    let mut access = recorded_host();
    access.set_quorate(false);
    let outcome = access.pveum(&words("role add Ecobox --privs VM.Audit"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (255, "cfs-lock 'file-user_cfg' error: no quorum!\n"));
    assert_eq!(access.pveum(&words("role list")).code, 0);
    assert!(access.own_roles().is_empty());
}
