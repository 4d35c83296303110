use proptest::prelude::*;

use super::*;
use crate::model::access::scope::TokenScope;

fn request() -> Request {
    let token = "ecobox@pve!lap-1".parse().unwrap();
    let action = Action::Create { token, comment: String::new(), replaces: None };
    Request { action, scope: TokenScope::Operator, remove: Vec::new(), ssh_user: "ann".to_owned() }
}

const GOOD: &str = "== host\nuid\t0\nversion\t9.2.11\nhostname\tpve1.lan\n== run role-add\n\n== code role-add 0\n\
    == run user-add\n\n== code user-add 2\n! create user failed: user 'ecobox@pve' already exists\n\
    == run acl-user\n\n== code acl-user 0\n== run token-add\n\
    {\"full-tokenid\":\"ecobox@pve!lap-1\",\"info\":{\"privsep\":\"1\"},\"value\":\"5ec7e7-0001\"}\n\n\
    == code token-add 0\n! user config - ignore invalid acl token 'x'\n== run acl-token\n\n== code acl-token 0\n\
    == done\n== ca\n-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n\n== end\n";

/// Whether the secret can be seen in anything that may be printed.
fn shows(answer: &VisitAnswer) -> bool {
    let error = answer.result.as_ref().err().map(ToString::to_string);
    format!("{answer:?} {error:?}").contains("5ec7e7")
}

/// The same visit up to the token, which went as `code` and `stderr` say.
fn visit(code: i32, stderr: &str) -> String {
    let before = GOOD.split("== run token-add").next().unwrap();
    let stderr = stderr.lines().map(|line| format!("! {line}")).collect::<Vec<_>>().join("\n");
    format!("{before}== run token-add\n\n== code token-add {code}\n{stderr}\n== end\n")
}

#[test]
fn a_good_answer() {
    let answer = parse(GOOD, &request());
    let Ok(Done::Created(token)) = &answer.result else { panic!("{answer:?}") };
    assert_eq!(token.secret.expose(), "5ec7e7-0001");
    assert_eq!(answer.host.node.as_ref().map(NodeName::as_str), Some("pve1"));
    assert_eq!(answer.host.ca_pem.as_deref(), Some("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"));
    assert!(answer.host.leaf_pem.is_none() && !answer.leftover);
}

#[test]
fn recorded_failures_of_pveum() {
    let usage = "pveum user token add <userid> <tokenid> [OPTIONS] [FORMAT_OPTIONS]";
    let ipcc = |why: &str| {
        format!(
            "ipcc_send_rec[1] failed: {why}\nipcc_send_rec[2] failed: {why}\nUnable to load access control list: {why}"
        )
    };
    let cases: Vec<(i32, String, &str, bool)> = vec![
        (255, format!("400 Parameter verification failed.\ntokenid: Token already exists.\n{usage}"), "exists", false),
        (255, "no such user ('ann@pam')".to_owned(), "no user ann@pam", false),
        (255, ipcc("Unknown error -1"), "no rights", false),
        (111, ipcc("Connection refused"), "pmxcfs", false),
        (1, "sudo: a password is required".to_owned(), "no rights", false),
        (1, "sudo: a terminal is required to read the password".to_owned(), "no rights", false),
        (1, "ann is not in the sudoers file.\nsudo: no".to_owned(), "no rights", false),
        (127, "sh: 21: /usr/bin/sudo: not found".to_owned(), "no rights", false),
        (127, "/bin/bash: line 21: /usr/bin/sudo: No such file or directory".to_owned(), "no rights", false),
        (255, "please run as root".to_owned(), "no rights", false),
        (255, "error during cfs-locked 'file-user_cfg' operation: no quorum!".to_owned(), "no quorum", false),
        (255, "cfs-lock 'file-user_cfg' error: got lock request timeout".to_owned(), "busy", false),
        (
            255,
            format!("400 Parameter verification failed.\ntokenid: value does not match the regex pattern\n{usage}"),
            "token-add: 400 Parameter verification failed.; tokenid: value does not match the regex pattern",
            true,
        ),
        (2, String::new(), "token-add: it said nothing", true),
        (137, "Killed\u{1b}[2J".to_owned(), "token-add: Killed[2J", true),
    ];
    for (code, stderr, want, leftover) in cases {
        let answer = parse(&visit(code, &stderr), &request());
        let got = match answer.result.clone().unwrap_err() {
            Failure::NoRights { .. } => "no rights".to_owned(),
            Failure::PmxcfsDown => "pmxcfs".to_owned(),
            Failure::NoQuorum => "no quorum".to_owned(),
            Failure::NoSuchUser { userid } => format!("no user {userid}"),
            Failure::TokenExists(_) => "exists".to_owned(),
            Failure::Busy => "busy".to_owned(),
            Failure::Other { step, stderr } => format!("{step}: {stderr}"),
            other => format!("{other:?}"),
        };
        assert_eq!((got.as_str(), answer.leftover), (want, leftover), "{stderr}");
    }
}

#[test]
fn unusable_answers_to_token_add() {
    for json in [
        "",
        "[]",
        "null",
        "{\"full-tokenid\":\"ecobox@pve!lap-2\",\"value\":\"5ec7e7-0001\"}",
        "{\"full-tokenid\":\"ecobox@pve!lap-1\",\"value\":\"5ec7e7-\\n0001\"}",
        "{\"full-tokenid\":\"ecobox@pve!lap-1\",\"value\":\"\"}",
        "{\"full-tokenid\":\"ecobox@pve!lap-1\",\"value\":7}",
        "+---+ 5ec7e7-0001 |",
    ] {
        let text = GOOD.replace(
            "{\"full-tokenid\":\"ecobox@pve!lap-1\",\"info\":{\"privsep\":\"1\"},\"value\":\"5ec7e7-0001\"}",
            json,
        );
        let answer = parse(&text, &request());
        assert!(matches!(&answer.result, Err(Failure::Other { step, .. }) if step == "token-add"), "{json}");
        assert!(answer.leftover && !shows(&answer), "{json}");
    }
}

#[test]
fn an_answer_cut_anywhere_never_hides_a_token() {
    let made = GOOD.find("== run token-add\n").unwrap() + "== run token-add\n".len();
    let done = GOOD.find("== done\n").unwrap() + "== done".len();
    for at in 0..GOOD.len() {
        let answer = parse(&GOOD[..at], &request());
        assert_eq!(answer.result.is_ok(), at >= done, "{at}");
        if answer.result.is_err() {
            assert_eq!(answer.leftover, at >= made - 1, "{at}");
            assert!(!shows(&answer));
        }
    }
}

#[test]
fn old_and_odd_hosts() {
    let answer =
        parse("== host\nversion\t7.4-3\nlocal\tnodes/a_b\nhostname\t\u{1b}x\n== no-pveum\n== end\n", &request());
    assert_eq!((answer.host.major(), answer.host.node, answer.result), (Some(7), None, Err(Failure::NotPve)));
    assert_eq!(parse("", &request()).result, Err(Failure::CutOff));
    assert_eq!(parse("MOTD\n== hello\n", &request()).result, Err(Failure::CutOff));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "(?s).*", lines in proptest::collection::vec(
        (proptest::sample::select(vec![
            "== host", "== run token-add", "== code token-add 0", "== code token-add", "== done", "== end", "== ca",
            "== removed ecobox@pve!lap-1", "! x", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----",
            "{\"full-tokenid\":\"ecobox@pve!lap-1\",\"value\":\"5ec7e7\"}",
        ]), "\\PC{0,5}"), 0..20),
    ) {
        parse(&text, &request());
        let text: Vec<String> = lines.iter().map(|(line, noise)| format!("{line}{noise}")).collect();
        let answer = parse(&text.join("\n"), &request());
        prop_assert!(!shows(&answer));
        let text: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
        let answer = parse(&text.join("\n"), &request());
        prop_assert!(!shows(&answer));
    }
}
