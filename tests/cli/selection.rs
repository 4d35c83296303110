//! The words of a command line, from end to end.

use ecobox_sim::Sim;

use super::env::Env;
use super::fleets::{cluster, env_for, three};

fn picked(env: &Env, words: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["status", "-o", "json", "--"].into_iter().chain(words.iter().copied()).collect();
    let run = env.run(&args).exits(0);
    let ids = run.states().into_iter().map(|line| line.split(' ').next().unwrap().to_owned());
    ids.collect()
}

#[test]
fn each_form_of_the_grammar_selects() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    for (words, want) in [
        (&["pve1-vm-101"][..], &["pve1-vm-101"][..]),
        (&["vm-101"], &["pve1-vm-101"]),
        (&["ct-201"], &["pve2-ct-201"]),
        (&["101"], &["pve1-vm-101"]),
        (&["dns"], &["pve2-ct-201"]),
        (&["DNS"], &["pve2-ct-201"]),
        (&["pve2/102"], &["pve2-vm-102"]),
        (&["pve2/dns"], &["pve2-ct-201"]),
        (&["web-*"], &["pve1-vm-101", "pve2-vm-102", "pve3-vm-103"]),
        (&["web-0[12]"], &["pve1-vm-101", "pve2-vm-102"]),
        (&["tag=web"], &["pve1-vm-101", "pve2-vm-102"]),
        (&["tag=web,node=pve2"], &["pve2-vm-102"]),
        (&["node=pve2"], &["pve2-vm-102", "pve2-ct-201"]),
        (&["kind=lxc"], &["pve2-ct-201"]),
        (&["kind=host"], &["pve1", "pve2", "pve3"]),
        (&["pool=live"], &["pve2-vm-102"]),
        (&["web-*", "!web-02"], &["pve1-vm-101", "pve3-vm-103"]),
        (&["!web-*", "!kind=host"], &["pve2-ct-201"]),
        (&["dns", "pve1", "dns"], &["pve1", "pve2-ct-201"]),
    ] {
        assert_eq!(picked(&env, words), want, "{words:?}");
    }
}

#[test]
fn exit_7_ambiguous_lists_the_candidates() {
    let sim = Sim::start(cluster("twins").node("pve1").vm(101, "web", ecobox_sim::Guest::stopped).vm(
        102,
        "web",
        ecobox_sim::Guest::stopped,
    ));
    let env = env_for(&sim, &["pve1"]);
    insta::assert_snapshot!(env.run(&["status", "web"]).exits(7), @"
    ------- stderr -------
    error: `web` is ambiguous: pve1-vm-101, pve1-vm-102
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
}

#[test]
fn exit_7_not_found_asks_did_you_mean() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    insta::assert_snapshot!(env.run(&["status", "wbe-01"]).exits(7), @"
    ------- stderr -------
    error: no server matches `wbe-01`; did you mean `web-01`?
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
    insta::assert_snapshot!(env.run(&["status", "nothing-like-it"]).exits(7), @"
    ------- stderr -------
    error: no server matches `nothing-like-it`
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
    insta::assert_snapshot!(env.run(&["status", "tga=web"]).exits(7), @"
    ------- stderr -------
    error: target `tga=web`: unknown selector `tga=`; did you mean `tag=`?
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
    insta::assert_snapshot!(env.run(&["status", "kind=virtual"]).exits(7), @"
    ------- stderr -------
    error: target `kind=virtual`: `virtual` is not a kind; there are pve, linux, qemu, lxc, vm, ct, guest, host
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
    insta::assert_snapshot!(env.run(&["status", "web-01", "!web-*"]).exits(7), @"
    ------- stderr -------
    error: no server is left after the exclusions
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
    insta::assert_snapshot!(env.run(&["discover", "pve9"]).exits(7), @"
    ------- stderr -------
    error: no server matches `pve9`; did you mean `pve1`?
    hint: run `ecobox status --cached` to see the names
    [exit status: 7]
    ");
}

#[test]
fn who_is_excluded_is_not_asked_but_exists() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    env.add_config("[[servers]]\nid = \"nas\"\nname = \"nas\"\nhostname = \"127.0.0.1\"\nssh_port = 1\n");
    let others = ["pve1", "pve1-vm-101", "pve2", "pve2-vm-102", "pve2-ct-201", "pve3", "pve3-vm-103"];
    let hosts = ["pve1", "pve2", "pve3"];
    // Before anything is remembered, and after.
    for _ in 0..2 {
        for (words, want) in [
            (&["!nas"][..], &others[..]),
            (&["*", "!nas"], &others),
            (&["!kind=linux"], &others),
            (&["!NAS", "!kind=guest"], &hosts),
            (&["kind=host,!nas"], &hosts),
            (&["dns", "!pve1"], &["pve2-ct-201"]),
        ] {
            assert_eq!(picked(&env, words), want, "{words:?}");
        }
    }
    // It is still an error to exclude who does not exist: the one that was meant would be acted on.
    let run = env.run(&["status", "--", "!nsa"]).exits(7);
    assert!(run.stderr.contains("no server matches `nsa`; did you mean `nas`?"), "{run}");
    let _ = env.run(&["stats", "--", "pve1", "!nas"]).exits(0);
    let run = env.run(&["power", "shutdown", "--dry-run", "--", "dns", "!nas"]).exits(0);
    assert!(run.stdout.contains("pve2-ct-201 (dns)  shutdown  planned"), "{run}");
    let run = env.run(&["watch", "--count", "1", "-o", "jsonl", "--", "!nas"]).exits(0);
    assert!(!run.stdout.contains("nas"), "{run}");
    // A guest that has moved is still the one that is excluded.
    sim.cluster().migrate_guest(102, "pve3");
    assert_eq!(picked(&env, &["tag=web", "!vm-102"]), ["pve1-vm-101"]);
}

#[test]
fn only_the_failures_of_what_was_selected_count() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve3").stop();
    let _ = env.run(&["status"]).exits(8);
    let _ = env.run(&["status", "web-01"]).exits(0);
    let _ = env.run(&["status", "web-03"]).exits(5);
    let _ = env.run(&["status", "web-01", "web-03"]).exits(8);
}

#[test]
fn hostile_words_are_quoted() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    for word in ["\u{1b}]0;x\u{7}", "a\u{202e}b", "x\ny", &"z".repeat(5000), "tag=\u{9b}2J"] {
        let run = env.run(&["status", word]).exits(7);
        let loud = run.stderr.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(loud, None, "{run}");
        assert!(run.stderr.len() < 1000, "{run}");
    }
}
