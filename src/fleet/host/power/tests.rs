//! What scripts printed on real-looking hosts, read.

use proptest::prelude::*;

use super::arm::{self, ArmedWol};
use super::preflight::parse;
use super::trigger::{self, Triggered};
use crate::model::host::power::{HostCall, NoWay, SwapLack};
use crate::transport::script::ScriptOutput;

fn users(text: &str) -> Option<Vec<String>> {
    parse(text).users.map(|users| users.iter().map(ToString::to_string).collect())
}

/// Lines with a key before each.
fn keyed(key: &str, text: &str) -> String {
    text.lines().flat_map(|line| [key, "\t", line, "\n"]).collect()
}

#[test]
fn people_are_told_apart_from_ourselves() {
    // Debian 13 and PVE 9: our own session 5, a user's systemd, a console, somebody over SSH.
    let sessions = "Id=5\nName=root\nTTY=\nRemote=yes\nRemoteHost=10.0.0.9\nClass=user\nState=active\nIdleHint=no\n\n\
        Id=1\nName=root\nTTY=tty1\nRemote=no\nRemoteHost=\nClass=user\nState=active\nIdleHint=yes\n\n\
        Id=6\nName=root\nTTY=\nRemote=no\nRemoteHost=\nClass=manager\nState=active\nIdleHint=no\n\n\
        Id=9\nName=anna\nTTY=pts/0\nRemote=yes\nRemoteHost=10.0.0.5\nClass=user\nState=active\nIdleHint=no\n\n\
        Id=11\nName=ansible\nTTY=\nRemote=yes\nRemoteHost=10.0.0.6\nClass=user\nState=active\nIdleHint=no\n\n\
        Id=c3\nName=gdm\nTTY=tty2\nRemote=no\nRemoteHost=\nClass=greeter\nState=online\nIdleHint=no\n\n\
        Id=4\nName=bob\nTTY=pts/4\nRemote=yes\nRemoteHost=x\nClass=user\nState=closing\nIdleHint=no\n";
    let logind = format!("own\t5\nlogind\tyes\n{}", keyed("sess", sessions));
    let want = ["root on tty1 (idle)", "anna on pts/0 from 10.0.0.5", "ansible from 10.0.0.6"];
    assert_eq!(users(&logind).unwrap(), want);
    // utmp knows of a terminal of tmux besides.
    let who = "root     sshd         2026-11-25 09:00 (10.0.0.9)\nanna     pts/0        2026-11-25 10:00 (10.0.0.5)\n\
        anna     pts/1        2026-11-25 10:01 (tmux(4711).%0)";
    let both = format!("{logind}utmp\tyes\n{}", keyed("who", who));
    assert_eq!(users(&both).unwrap()[3..], ["anna on pts/1 from tmux(4711).%0"]);
    // Debian 13: no terminal in logind, the service before it in `who`, and this very session there as well.
    let sessions = "Id=5\nName=root\nTTY=\nRemoteHost=10.0.0.9\nService=sshd\nClass=user\nState=active\n\n\
        Id=9\nName=anna\nTTY=\nRemoteHost=10.0.0.5\nService=sshd\nClass=user\nState=active\n\n\
        Id=10\nName=anna\nTTY=\nService=systemd-user\nClass=manager-early\nState=active\n\n\
        Id=12\nName=root\nTTY=\nRemoteHost=10.0.0.9\nService=sshd\nClass=user\nState=active\n\n\
        Id=13\nName=root\nTTY=\nRemoteHost=10.0.0.9\nService=sshd\nClass=user\nState=active\n\n\
        Id=14\nName=root\nTTY=\nRemoteHost=10.0.0.9\nService=sshd\nClass=user\nState=active\n";
    let who = "root     sshd         2026-11-25 09:00 (10.0.0.9)\nanna     sshd pts/0   2026-11-25 10:00 (10.0.0.5)";
    let trixie = format!(
        "ssh\t10.0.0.9 50022 10.0.0.1 22\nown\t5\nlogind\tyes\n{}inside\t14 pts/3\nruns\t13 rsync\nutmp\tyes\n{}",
        keyed("sess", sessions),
        keyed("who", who)
    );
    // 12 is ecobox's own, as of `watch`; in 13 somebody's copy runs, and 14 has a terminal.
    let want = ["anna on pts/0 from 10.0.0.5", "root from 10.0.0.9", "root on pts/3 from 10.0.0.9"];
    assert_eq!(users(&trixie).unwrap(), want);
    assert_eq!(users(&format!("utmp\tyes\n{}", keyed("who", who))).unwrap(), ["anna on pts/0 from 10.0.0.5"]);
    // RHEL 9 in the C locale, without logind's answer.
    let who = "root     tty1         Nov 25 10:00\nanna     pts/0        Nov 25 10:00 (10.0.0.5)";
    let want = ["root on tty1", "anna on pts/0 from 10.0.0.5"];
    assert_eq!(users(&format!("utmp\tyes\n{}", keyed("who", who))).unwrap(), want);
    // busybox.
    let who = "USER\t\tTTY\t\tIDLE\tTIME\t\t HOST\nroot            pts/0           00:00   Nov 25 10:00:00  10.0.0.5";
    assert_eq!(users(&format!("utmp\tyes\n{}", keyed("who", who))).unwrap(), ["root on pts/0 from 10.0.0.5"]);
    // No book of logins at all.
    assert_eq!(users("pty\tpts/0 anna\npty\tpts/1 \nutmp\tpts\n").unwrap(), ["anna on pts/0", "somebody on pts/1"]);
    assert_eq!(users("utmp\tyes\n").unwrap(), [""; 0]);
    assert_eq!(users("own\t5\n"), None);
}

#[test]
fn inhibitors_in_each_form() {
    let of = |text: &str| {
        let found = parse(text).inhibitors;
        found.map(|list| list.into_iter().map(|i| format!("{}|{}|{}", i.who, i.what, i.why)).collect::<Vec<_>>())
    };
    let bus = r#"inhibitors	a(ssssuu) 3 "sleep" "NetworkManager" "needs to turn off networks" "delay" 0 812 "shutdown:sleep" "Unattended \"Upgrades\"" "dpkg \303\244" "block" 0 900 "idle" "x" "" "block-weak" 1000 901"#;
    let want = ["Unattended \"Upgrades\"|shutdown:sleep|dpkg ä", "x|idle|"];
    assert_eq!(of(bus).unwrap(), want);
    assert_eq!(of("inhibitors\ta(ssssuu) 0\n").unwrap(), [""; 0]);
    for cut in ["inhibitors\ta(ssssuu) 1\n", "inhibitors\ta(ssssuu) 1 \"sleep\" \"x", "inhibitors\ts \"x\"\n"] {
        assert_eq!(of(cut), None, "{cut}");
    }
    // systemd 252 (Debian 12, RHEL 9) and 257 (Debian 13, PVE 9).
    let list = "Unattended Upgrades Shutdown 0    root 731 unattended-upgr shutdown Stop ongoing upgrades before shutdown delay\n\
        My Backup                    1000 anna 4711 sh -c backup sleep:shutdown writes the tape block\n\
        NetworkManager 0 root 812 NetworkManager sleep NetworkManager needs to turn off networks delay";
    let list = format!("inhibitlist\tyes\n{}", keyed("inhibit", list));
    assert_eq!(of(&list).unwrap(), ["My Backup|sleep:shutdown|writes the tape"]);
    // Before 240.
    let old = "     Who: my backup (UID 0/root, PID 4711/sh)\n    What: sleep:idle\n     Why: tape\n    Mode: block\n\n\
        \x20    Who: other (UID 0/root, PID 1/x)\n    What: sleep\n     Why: y\n    Mode: delay";
    let old = format!("inhibitlist\tyes\n{}", keyed("inhibit", old));
    assert_eq!(of(&old).unwrap(), ["my backup|sleep:idle|tape"]);
    assert_eq!(of("inhibitlist\tnone\n").unwrap(), [""; 0]);
    assert_eq!(of(""), None);
}

#[test]
fn guests_tasks_and_ways() {
    let upid = "UPID:pve1:00001092:0000B1B1:6743A1F0:vzdump::root@pam:";
    let found = parse(&format!(
        "uid\t1000\nsudo\tno\nvm\t101\nvm\t101\nct\t201\nct\tx\ntasks\tyes\ntask\t{upid}   \ntask\trm\n\
         cannot\tsuspend masked sleep.target\ncannot\thibernate no-swap \ncan\tshutdown systemd-run\n\
         cannot\treboot no-rights /usr/bin/systemctl reboot\ncan\tsuspend again\nuser\tanna\nssh\t10.0.0.9 5 10.0.0.1 22\n"
    ));
    let guests: Vec<u32> = found.guests.iter().map(|vmid| vmid.to_string().parse().unwrap()).collect();
    assert_eq!(guests, [101, 201]);
    assert_eq!(found.tasks.as_ref().unwrap().iter().collect::<Vec<_>>(), [upid]);
    assert_eq!(found.ssh_client, Some("10.0.0.9".parse().unwrap()));
    let masked = NoWay::Masked { unit: "sleep.target".to_owned() };
    assert_eq!(found.way(HostCall::Suspend), Some(&Err(masked)));
    assert_eq!(found.way(HostCall::Hibernate), Some(&Err(NoWay::NoSwap { why: SwapLack::None })));
    assert_eq!(found.way(HostCall::Shutdown), Some(&Ok("systemd-run".to_owned())));
    let command = "/usr/bin/systemctl reboot".to_owned();
    let rights = NoWay::Rights { user: Some("anna".to_owned()), sudo: true, command };
    assert_eq!(found.way(HostCall::Reboot), Some(&Err(rights)));
    let nothing = parse("");
    assert_eq!((nothing.users, nothing.tasks, nothing.ways, nothing.ssh_client), (None, None, Vec::new(), None));
}

#[test]
fn triggers_say_what_they_did() {
    let of = |stdout: &str, stderr: &str| {
        trigger::parse(&ScriptOutput { stdout: stdout.into(), stderr: stderr.into(), status: 0 })
    };
    let armed = Triggered::Armed { by: "systemd-run".to_owned(), trace: None };
    assert_eq!(of("armed\tsystemd-run\t/usr/bin/systemctl suspend\n", "Running timer as unit"), armed);
    let traced = |trace| Triggered::Armed { by: "zzz".to_owned(), trace: Some(trace) };
    let unit = trigger::Trace::Unit("run-u7.service".to_owned());
    assert_eq!(of("unit\trun-u7.service\t\narmed\tzzz\tx\n", ""), traced(unit));
    let file = trigger::Trace::File("/tmp/tmp.x y".to_owned());
    assert_eq!(of("file\t/tmp/tmp.x y\t\narmed\tzzz\tx\n", ""), traced(file));
    let reason = NoWay::Failed { detail: "Failed to start transient timer unit".to_owned() };
    assert_eq!(of("refused\tfailed\tFailed to start transient timer unit\n", ""), Triggered::Refused { reason });
    let reason = NoWay::Rights { user: Some("anna".to_owned()), sudo: false, command: "x y".to_owned() };
    assert_eq!(of("user\tanna\tnone\nrefused\tno-rights\tx y\n", ""), Triggered::Refused { reason });
    for (stdout, stderr) in [("", ""), ("refused\tnew-word\t\n", "x"), ("arme", "sh: out of memory\n")] {
        assert!(matches!(of(stdout, stderr), Triggered::Lost { .. }), "{stdout:?}");
    }
}

#[test]
fn arming_is_believed_when_it_was_read_back() {
    let failed = |detail: &str| ArmedWol::Failed { detail: detail.to_owned() };
    for (text, want) in [
        ("Settings for eno1:\n\tSupports Wake-on: pumbg\n\tWake-on: g\n", ArmedWol::Armed),
        ("\tSupports Wake-on: pumbg\n\tWake-on: d\n", ArmedWol::NotArmed),
        ("", ArmedWol::Unread),
        ("failed\tnetlink error: Operation not supported\n", failed("netlink error: Operation not supported")),
        ("failed\t\n", failed("ethtool failed")),
    ] {
        assert_eq!(arm::parse(text), want, "{text:?}");
    }
    for bad in ["", "-s", "a/b", "a\nb", "abcdefghijklmnop"] {
        assert!(arm::script(bad).is_err(), "{bad:?}");
    }
    assert!(arm::script("eno1; reboot").unwrap().contains("nic='eno1; reboot'"));
}

proptest! {
    #[test]
    fn nothing_that_is_printed_breaks_the_reading(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        parse(&text);
        arm::parse(&text);
    }

    #[test]
    fn nor_lines_that_look_right(
        lines in proptest::collection::vec(
            ("(sess|who|pty|own|inhibitors|inhibit|inhibitlist|vm|ct|task|can|cannot|ssh|uuid|utmp|logind)",
             r#"(Id=|Who: |What: |Mode: |a\(ssssuu\) [0-9]{1,12} |"\\[0-9x]{0,4}|suspend |pts/0 )?[ -~äß\t"\\]{0,40}"#),
            0..30,
        )
    ) {
        let text: String = lines.iter().flat_map(|(key, value)| [key.as_str(), "\t", value, "\n"]).collect();
        let found = parse(&text);
        prop_assert!(found.ways.len() <= 4);
    }
}
