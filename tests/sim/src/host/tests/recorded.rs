//! Recorded commands, answered by the stubs of a host.

use super::cluster;
use crate::host::{Host, Rights};

/// What was recorded as other users than root, and of other programs than pveum, here through the host's own stubs.
#[test]
fn recorded_commands_answer_the_same() {
    let replayed = [
        "ecobox-detect-1",
        "ecobox-detect-2",
        "ecobox-detect-3",
        "env-perl-locale-warning",
        "etc-pve-members",
        "etc-pve-version",
        "pvesh-get-unknown",
        "pvesh-get-version",
        "pvesh-token-add",
        "pvesh-token-delete",
        "pveversion",
        "sudo-pvesh",
        "sudo-pveum-token-add",
        "sudo-pveum-token-remove",
        "token-add-sudo-user-at-pam",
        "user-add-pam-then-token",
        "user-cat-etc-pve",
        "user-pvesh",
        "user-pveum",
        "user-pveum-full-path",
        "user-pveum-token-add",
        "user-pveversion",
        "user-sudo-n",
    ];
    let access = cluster();
    for token in ["expired", "nopriv", "ecobox", "sepvm"] {
        access.lock().unwrap().add_token(&format!("root@pam!{token}"), "s", token == "nopriv" || token == "sepvm");
    }
    access.lock().unwrap().set_token_expire("root@pam!expired", 1_700_000_000);
    let builder = Host::pve("pve1").login("ecosudo", Rights::Sudo).login("ecoadmin", Rights::SudoPassword);
    let host = builder.access(access).build();
    let recorded = include_str!("../../../../fixtures/pve-9.2/cli.jsonl").lines();
    let mut done = 0;
    for line in recorded {
        let recorded: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| recorded[field].as_str().unwrap();
        let name = text("name");
        if !replayed.contains(&name) {
            continue;
        }
        let got = host.run(text("user"), text("command"), "");
        let here = |text: &str| plain(text, host.root().to_str().unwrap());
        assert_eq!(i64::from(got.code), recorded["exit"].as_i64().unwrap(), "{name}: {got:?}");
        assert_eq!(here(&got.stdout), here(text("stdout")), "{name}");
        if name != "user-pveum" {
            // Which shell complains there is no matter of PVE's.
            assert_eq!(here(&got.stderr), here(text("stderr")), "{name}");
        }
        done += 1;
    }
    assert_eq!(done, replayed.len());
}

/// Without what differs between runs: the folder, UUIDs, the kernel, the order of JSON lists.
fn plain(text: &str, root: &str) -> String {
    let text = text.replace(&format!("{root}/.sim/plain"), "").replace(root, "");
    let text = text.replace("6.14.8-2-pve", "KERNEL").replace("6.18.44", "KERNEL");
    let text = match text.split_once("\"value\":\"") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    match serde_json::from_str::<Vec<serde_json::Value>>(&text) {
        Ok(mut items) => {
            items.sort_by_key(ToString::to_string);
            serde_json::Value::from(items).to_string()
        }
        Err(_) => text,
    }
}
