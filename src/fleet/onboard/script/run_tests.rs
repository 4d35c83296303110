//! Runs the script with the shells of this machine, on a folder with a stand-in for pveum.

mod scopes;

use std::fs;

use super::*;
use crate::fleet::host::facts::run_tests::{Host, shells};
use crate::fleet::onboard::answer::{Done, Failure, VisitAnswer, parse};
use crate::fleet::onboard::token_id;
use crate::model::id::Token;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";

/// A Proxmox VE host of one version, and one shell to run scripts there with.
struct Pve {
    host: Host,
    shell: Vec<&'static str>,
}

impl Pve {
    fn new(shell: &[&'static str], version: &str) -> Pve {
        let host = Host::debian();
        let db = host.0.path().join("db");
        host.program("usr/sbin/pveum", &include_str!("fake_pveum.sh").replace("@DB@", db.to_str().unwrap()));
        host.program("usr/bin/dpkg-query", &format!("printf '{version}'"));
        for folder in ["roles", "users", "tokens", "acl", "fail", "fail_after"] {
            fs::create_dir_all(db.join(folder)).unwrap();
        }
        let pve = Pve { host, shell: shell.to_vec() };
        pve.put("users/root@pam", "");
        if !version.starts_with('9') {
            pve.put("old", "");
        }
        pve.host.file("etc/pve/nodes/pve1/pve-ssl.pem", &format!("subject=x\n{CERTIFICATE}"));
        pve.host.link("etc/pve/local", "nodes/pve1");
        pve.host.file("etc/pve/pve-root-ca.pem", CERTIFICATE);
        pve
    }

    /// A user who is not root; `sudo` is the stand-in's text, if it is installed.
    fn login(&self, sudo: Option<&str>) {
        self.host.not_root();
        self.put("need_root", "");
        if let Some(text) = sudo {
            self.host.program("usr/bin/sudo", text);
        }
    }

    fn put(&self, path: &str, text: &str) {
        fs::write(self.host.0.path().join("db").join(path), text).unwrap();
    }

    fn fail(&self, when: &str, key: &str, times: u32, code: u32, text: &str) {
        self.put(&format!("{when}/{key}"), &format!("{times}\n{code}\n{text}\n"));
    }

    /// The names in a folder of the user database.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.host.0.path().join("db").join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn role(&self, name: &str) -> String {
        fs::read_to_string(self.host.0.path().join("db/roles").join(name)).unwrap_or_default()
    }

    /// The calls made since the last look, their words in brackets.
    fn log(&self) -> Vec<String> {
        let path = self.host.0.path().join("db/log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    fn ask(&self, request: &Request) -> (String, VisitAnswer) {
        let text = self.host.run(&self.shell, &plan(request, None).unwrap().script);
        let answer = parse(&text, request);
        (text, answer)
    }

    fn does(&self, action: Action, scope: TokenScope, remove: &[&str]) -> VisitAnswer {
        self.ask(&request(action, scope, remove)).1
    }
}

fn request(action: Action, scope: TokenScope, remove: &[&str]) -> Request {
    let removal = |id: &&str| Removal { token: id.parse().unwrap(), scope: None };
    Request { action, scope, remove: remove.iter().map(removal).collect(), ssh_user: "root".to_owned() }
}

fn create(scope: TokenScope, name: &str) -> Action {
    let comment = "ecobox on it's $(host) `x`, today".to_owned();
    Action::Create { token: token_id(scope, "root", name).unwrap(), comment, replaces: None }
}

fn created(answer: &VisitAnswer) -> &Token {
    match &answer.result {
        Ok(Done::Created(token)) => token,
        other => panic!("{other:?}"),
    }
}

fn on_each(version: &str, test: impl Fn(&Pve)) {
    for shell in shells() {
        test(&Pve::new(&shell, version));
    }
}

const POWER: &str = "Datastore.Audit,Sys.Audit,VM.Audit,VM.GuestAgent.Audit,VM.PowerMgmt";

#[test]
fn a_first_token_and_all_it_needs() {
    on_each("9.2.11", |pve| {
        let answer = pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]);
        let made = created(&answer);
        assert_eq!(made.id.to_string(), "ecobox@pve!lap-1");
        assert_eq!(made.secret.expose(), "5ec7e7-lap-1");
        assert!(!answer.leftover);
        assert_eq!(pve.names("users"), ["ecobox@pve", "root@pam"]);
        assert_eq!(answer.host.node.as_ref().map(ToString::to_string).as_deref(), Some("pve1"));
        assert_eq!((answer.host.version.as_deref(), answer.host.major()), (Some("9.2.11"), Some(9)));
        assert_eq!(answer.host.ca_pem.as_deref(), Some(CERTIFICATE));
        assert_eq!(answer.host.leaf_pem.as_deref(), Some(CERTIFICATE));
        assert_eq!(pve.role("Ecobox"), POWER);
        assert_eq!(pve.names("tokens"), ["ecobox@pve!lap-1"]);
        assert_eq!(pve.names("acl"), ["ecobox@pve Ecobox", "ecobox@pve!lap-1 Ecobox"]);
        assert!(!format!("{answer:?}").contains("5ec7e7"));
    });
}

#[test]
fn what_is_printed_is_what_is_run() {
    let fresh = request(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]);
    let next = request(create(TokenScope::Monitor, "lap-2"), TokenScope::Monitor, &["ecobox@pve!lap-1"]);
    let full = request(create(TokenScope::Full, "lap-3"), TokenScope::Full, &[]);
    let gone = request(Action::Revoke, TokenScope::Monitor, &["ecobox@pve!lap-2"]);
    let pve = Pve::new(&["sh"], "9.2.11");
    for request in [fresh, next, full, gone] {
        pve.ask(&request);
        let run = pve.log();
        let typed = Pve::new(&["sh"], "9.2.11");
        let commands = plan(&request, Some(9)).unwrap().commands;
        typed.host.run(&["sh"], &format!("{{ {}\n}} >/dev/null 2>&1\n:", commands.join("\n")));
        // Whatever is run is printed; what is printed after a condition need not be run.
        let typed = typed.log();
        let unseen: Vec<_> = run.iter().filter(|call| !call.contains("[list]") && !typed.contains(call)).collect();
        assert!(unseen.is_empty() && !run.is_empty(), "{unseen:?}\n{typed:?}");
        let sure = commands.iter().take_while(|line| !line.starts_with('#')).count();
        assert!(typed.iter().take(sure).all(|call| run.contains(call)), "{run:?}\n{typed:?}");
    }
}

#[test]
fn an_existing_role_is_corrected_only_when_it_differs() {
    on_each("9.2.11", |pve| {
        let changed = |name| {
            created(&pve.does(create(TokenScope::Operator, name), TokenScope::Operator, &[]));
            pve.log().iter().any(|call| call.starts_with("[role][modify]"))
        };
        assert!(!changed("lap-1"), "it is made as it should be");
        assert!(!changed("lap-2"), "it is as it should be");
        // As an upgrade from 8 to 9 leaves it.
        pve.put("roles/Ecobox", "Datastore.Audit,Sys.Audit,VM.Audit,VM.PowerMgmt");
        assert!(changed("lap-3"));
        pve.put("roles/Ecobox", "VM.Allocate");
        assert!(changed("lap-4"));
        assert_eq!(pve.role("Ecobox"), POWER);
    });
}

#[test]
fn older_versions_have_no_privilege_for_the_agent() {
    for version in ["8.4.1", "7.4-3"] {
        on_each(version, |pve| {
            created(&pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]));
            assert_eq!(pve.role("Ecobox"), "Datastore.Audit,Sys.Audit,VM.Audit,VM.PowerMgmt");
            assert_eq!(pve.log().iter().filter(|call| call.contains("[role]")).count(), 1, "at the first attempt");
        });
    }
    // A version that cannot be found out: the newer list, and then the older one.
    let pve = Pve::new(&["sh"], "8.4.1");
    fs::remove_file(pve.host.0.path().join("usr/bin/dpkg-query")).unwrap();
    let answer = pve.does(create(TokenScope::Monitor, "lap-1"), TokenScope::Monitor, &[]);
    created(&answer);
    assert_eq!((pve.role("EcoboxRead").as_str(), answer.host.version), ("Datastore.Audit,Sys.Audit,VM.Audit", None));
    pve.host.file("etc/pve/version", "pve-manager/8.1.3/abc (running kernel: 6.5)\n");
    let answer = pve.does(create(TokenScope::Monitor, "lap-2"), TokenScope::Monitor, &[]);
    created(&answer);
    assert_eq!(answer.host.version.as_deref(), Some("8.1.3"));
    assert!(!pve.log().iter().any(|call| call.starts_with("[role][modify]")));
}

#[test]
fn tokens_of_both_scopes_share_the_user() {
    on_each("9.2.11", |pve| {
        created(&pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]));
        let second = pve.does(create(TokenScope::Monitor, "cron-1"), TokenScope::Monitor, &[]);
        created(&second);
        assert_eq!(pve.names("users"), ["ecobox@pve", "root@pam"]);
        let acl =
            ["ecobox@pve Ecobox", "ecobox@pve EcoboxRead", "ecobox@pve!cron-1 EcoboxRead", "ecobox@pve!lap-1 Ecobox"];
        assert_eq!(pve.names("acl"), acl);
    });
}

#[test]
fn ours_is_removed_first_with_its_acl_and_nobody_elses() {
    on_each("9.2.11", |pve| {
        created(&pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]));
        created(&pve.does(create(TokenScope::Operator, "other-1"), TokenScope::Operator, &[]));
        let remove = ["ecobox@pve!lap-1", "ecobox@pve!never-was", "root@pam!gone"];
        let answer = pve.does(create(TokenScope::Operator, "lap-2"), TokenScope::Operator, &remove);
        created(&answer);
        assert_eq!(answer.removed.iter().map(ToString::to_string).collect::<Vec<_>>(), remove);
        assert_eq!(pve.names("tokens"), ["ecobox@pve!lap-2", "ecobox@pve!other-1"]);
        assert_eq!(pve.names("acl"), ["ecobox@pve Ecobox", "ecobox@pve!lap-2 Ecobox", "ecobox@pve!other-1 Ecobox"]);
    });
}

#[test]
fn revoking_leaves_what_others_use() {
    on_each("9.2.11", |pve| {
        created(&pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]));
        created(&pve.does(create(TokenScope::Monitor, "other-1"), TokenScope::Monitor, &[]));
        let revoke = |id: &str| pve.does(Action::Revoke, TokenScope::Operator, &[id]).result;
        assert_eq!(revoke("ecobox@pve!lap-1"), Ok(Done::Removed { user_removed: false }));
        assert_eq!((pve.names("tokens"), pve.names("roles").len()), (vec!["ecobox@pve!other-1".to_owned()], 2));
        // The last one takes user and roles along; one of them somebody changed.
        pve.put("roles/Ecobox", "VM.Allocate");
        assert_eq!(revoke("ecobox@pve!other-1"), Ok(Done::Removed { user_removed: true }));
        assert_eq!(pve.names("roles"), ["Ecobox"]);
        assert_eq!((pve.names("users"), pve.names("acl").len()), (vec!["root@pam".to_owned()], 0));
        // Once more there is nothing to do.
        assert_eq!(revoke("ecobox@pve!other-1"), Ok(Done::Removed { user_removed: false }));

        // A user of that name whom somebody else made, and a role that somebody else uses.
        pve.put("users/ecobox@pve", "a person");
        created(&pve.does(create(TokenScope::Operator, "lap-2"), TokenScope::Operator, &[]));
        assert_eq!(revoke("ecobox@pve!lap-2"), Ok(Done::Removed { user_removed: false }));
        pve.put("users/ecobox@pve", "made by ecobox");
        pve.put("acl/x@pve Ecobox", "");
        assert_eq!(revoke("ecobox@pve!lap-2"), Ok(Done::Removed { user_removed: true }));
        assert_eq!(pve.names("roles"), ["Ecobox"]);
    });
}

#[test]
fn full_rights_are_the_login_users_own() {
    on_each("9.2.11", |pve| {
        let answer = pve.does(create(TokenScope::Full, "lap-1"), TokenScope::Full, &[]);
        assert_eq!(created(&answer).id.to_string(), "root@pam!lap-1");
        assert_eq!((pve.names("roles").len(), pve.names("users").len()), (0, 1));
        let id = "ann@pam!lap-1".parse().unwrap();
        let ann = Action::Create { token: id, comment: String::new(), replaces: None };
        let failure = Failure::NoSuchUser { userid: "ann@pam".to_owned() };
        assert_eq!(pve.does(ann, TokenScope::Full, &[]).result, Err(failure));
    });
}

#[test]
fn rights_come_from_root_or_sudo() {
    let make = || create(TokenScope::Operator, "lap-1");
    on_each("9.2.11", |pve| {
        pve.login(Some("[ \"$1 $2\" = '-n --' ] || exit 1; shift 2; AS_ROOT=1 exec \"$@\""));
        let answer = pve.does(make(), TokenScope::Operator, &[]);
        created(&answer);
        assert!(answer.host.ca_pem.is_some());
    });
    let denied = "echo 'sudo: a password is required' >&2; exit 1";
    let other = "echo 'Sorry, user ann is not allowed to execute /usr/sbin/pveum as root on pve1.' >&2; exit 1";
    for (sudo, part) in [(None, "sudo is not installed"), (Some(denied), "a password is"), (Some(other), "not allowed")]
    {
        on_each("9.2.11", |pve| {
            pve.login(sudo);
            let answer = pve.does(make(), TokenScope::Operator, &[]);
            match &answer.result {
                Err(Failure::NoRights { detail, hint }) => {
                    assert!(detail.contains(part) && !hint.is_empty(), "{detail}");
                }
                other => panic!("{other:?}"),
            }
            assert!(!answer.leftover && pve.names("roles").is_empty());
        });
    }
}

#[test]
fn a_busy_lock_is_tried_three_times() {
    let text = "cfs-lock 'file-user_cfg' error: got lock request timeout";
    on_each("9.2.11", |pve| {
        pve.fail("fail", "user-token-add", 2, 255, text);
        pve.fail("fail", "role-add", 2, 255, text);
        created(&pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]));
        pve.fail("fail", "user-token-add", 3, 255, text);
        let answer = pve.does(create(TokenScope::Operator, "lap-2"), TokenScope::Operator, &[]);
        assert_eq!((answer.result, answer.leftover), (Err(Failure::Busy), false));
        assert_eq!(pve.names("tokens"), ["ecobox@pve!lap-1"]);
    });
}

#[test]
fn a_token_without_rights_is_not_left_behind() {
    on_each("9.2.11", |pve| {
        // After the user's ACL was set, the token's cannot be.
        pve.host.program(
            "usr/bin/sudo",
            "shift 2; case $* in *'acl modify / --tokens'*) echo 'error with '\"'file-user_cfg'\"': no quorum!' >&2; exit 255;; esac; AS_ROOT=1 exec \"$@\"",
        );
        pve.login(None);
        let answer = pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]);
        assert_eq!((answer.result, answer.leftover), (Err(Failure::NoQuorum), false));
        assert!(pve.names("tokens").is_empty());
        // And when that cannot be undone either, it is said.
        pve.fail("fail", "user-token-remove", 1, 255, "no quorum!");
        let answer = pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]);
        assert_eq!((answer.result, answer.leftover), (Err(Failure::NoQuorum), true));
        assert_eq!(pve.names("tokens"), ["ecobox@pve!lap-1"]);
    });
}

#[test]
fn failures_have_names() {
    let refused = "ipcc_send_rec[1] failed: Connection refused\nUnable to load access control list: Connection refused";
    let other = |step: &str, text: &str| Failure::Other { step: step.to_owned(), stderr: text.to_owned() };
    let locale = "perl: warning: Setting locale failed.\n\tLANGUAGE = (unset),\n\tLC_ALL = \"x\",\nit broke\nand more";
    let cases = [
        ("role-add", refused, Failure::PmxcfsDown, false),
        ("user-add", "cfs-lock 'file-user_cfg' error: no quorum!", Failure::NoQuorum, false),
        ("acl-modify", "ACL update failed: disk full", other("acl-user", "ACL update failed: disk full"), false),
        ("user-token-add", "no such user ('ecobox@pve')", Failure::NoSuchUser { userid: "ecobox@pve".into() }, false),
        ("user-token-add", locale, other("token-add", "it broke; and more"), true),
        ("user-token-add", "", other("token-add", "it said nothing"), true),
    ];
    for (key, text, want, leftover) in cases {
        on_each("9.2.11", |pve| {
            pve.fail("fail", key, 9, 13, text);
            let answer = pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]);
            assert_eq!((answer.result.as_ref().err(), answer.leftover), (Some(&want), leftover), "{key} {text}");
        });
    }
    on_each("9.2.11", |pve| {
        created(&pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]));
        let answer = pve.does(create(TokenScope::Operator, "lap-1"), TokenScope::Operator, &[]);
        let exists = Failure::TokenExists("ecobox@pve!lap-1".parse().unwrap());
        assert_eq!((answer.result, answer.leftover), (Err(exists), false));
        // It worked, and said that it did not.
        pve.fail("fail_after", "user-token-add", 1, 1, "timeout");
        let answer = pve.does(create(TokenScope::Operator, "lap-2"), TokenScope::Operator, &[]);
        assert!(answer.result.is_err() && answer.leftover);
        fs::remove_file(pve.host.0.path().join("usr/sbin/pveum")).unwrap();
        assert_eq!(
            pve.does(create(TokenScope::Operator, "a1"), TokenScope::Operator, &[]).result,
            Err(Failure::NotPve)
        );
    });
}

#[test]
fn a_private_key_beside_the_certificate_stays_on_the_host() {
    let pve = Pve::new(&["sh"], "9.2.11");
    let key = "-----BEGIN PRIVATE KEY-----\nS0VZ\n-----END PRIVATE KEY-----\n";
    let own = CERTIFICATE.replace("QUJD", "T1dO");
    pve.host.file("etc/pve/nodes/pve1/pveproxy-ssl.pem", &format!("{key}{own}{CERTIFICATE}{key}"));
    let look = request(Action::Remove, TokenScope::Operator, &[]);
    assert_eq!(pve.ask(&look).1.host.leaf_pem.as_deref(), Some(CERTIFICATE), "not served without its key");
    pve.host.file("etc/pve/nodes/pve1/pveproxy-ssl.key", key);
    let (text, answer) = pve.ask(&look);
    assert_eq!(answer.host.leaf_pem, Some(own));
    assert!(!text.contains("S0VZ") && !text.contains("PRIVATE"));
}

#[test]
fn values_stay_words() {
    for comment in ["$(touch pwned)", "`id`; rm x", "a'b\"c\\d", "-o x", "* ? [a]", "!!", "%s %n", "é\u{202e}"] {
        on_each("9.2.11", |pve| {
            let token = token_id(TokenScope::Operator, "root", "lap-1").unwrap();
            let action = Action::Create { token, comment: comment.to_owned(), replaces: None };
            pve.ask(&request(action, TokenScope::Operator, &[]));
            assert!(pve.log().iter().any(|call| call.contains(&format!("[--comment][{comment}]"))), "{comment}");
        });
    }
}
