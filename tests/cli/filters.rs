//! One table of filters (`tests/fixtures/filters.json`), tried with the command line and with the page. The screen and the
//! rules themselves are tried with the same one beside `model/select`.

use std::fmt::Write as _;

use ecobox_sim::{Guest, Sim};
use serde_json::{Value, json};

use super::browser::Browser;
use super::env::Env;
use super::fleets::{CLOSED, Open, cluster, env_for};
use super::html::filter;

fn table() -> Value {
    serde_json::from_str(include_str!("../fixtures/filters.json")).unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// The fleet of the table, and the configuration that reaches it.
fn fleet(table: &Value, open: &Open) -> (Sim, Env) {
    let mut lab = cluster("lab").node("pve1").node("pve2");
    let mut plain = String::new();
    for server in table["servers"].as_array().unwrap() {
        let text = |key: &str| server[key].as_str();
        let (id, name) = (text("id").unwrap(), text("name").unwrap());
        let tags = texts(&server["tags"]);
        let guest = |guest: Guest| {
            let guest = guest.on(text("on").unwrap()).tags(&tags.join(";"));
            let guest = match text("pool") {
                Some(pool) => guest.pool(pool),
                None => guest,
            };
            let guest = match text("address") {
                Some(address) => guest.agent_ip(address),
                None => guest,
            };
            match text("state").unwrap() {
                "running" => guest.running(),
                "paused" => guest.paused(),
                _ => guest.stopped(),
            }
        };
        let number = || id.rsplit('-').next().unwrap().parse().unwrap();
        match text("kind").unwrap() {
            "qemu" => lab = lab.vm(number(), name, guest),
            "lxc" => lab = lab.ct(number(), name, guest),
            "linux" => {
                let port = if server["state"] == "online" { open.port() } else { CLOSED };
                let _ = write!(
                    plain,
                    "[[servers]]\nid = \"{id}\"\nname = \"{name}\"\nhostname = \"127.0.0.1\"\nssh_port = {port}\n\
                     tags = {tags:?}\n\n"
                );
            }
            _ => {}
        }
    }
    let sim = Sim::start(lab);
    let env = env_for(&sim, &["pve1", "pve2"]);
    env.add_config(&plain);
    // Addresses, what was seen last, and who is on its way.
    let _ = env.run(&["discover"]).exits(0);
    let _ = env.run(&["status"]).exits(8);
    env.execute(
        "INSERT INTO actions (at, server, action, asked_by, outcome)
             VALUES (unixepoch() * 1000, 'sleepy', 'wake', 'root (cron)', '');
         INSERT INTO in_flight (action, until) VALUES (last_insert_rowid(), (unixepoch() + 3000) * 1000);",
    );
    (sim, env)
}

#[test]
fn the_page_filters_as_the_table_says() {
    let Some(mut browser) = Browser::start() else { return };
    let (table, open) = (table(), Open::new());
    let (_sim, env) = fleet(&table, &open);
    let path = env.home().join("page.html");
    let _ = env.run(&["status", "-o", "html", "--out", path.to_str().unwrap()]).exits(8);
    browser.open(&path);
    let ids = "[...document.querySelectorAll('#fleet tbody')].filter(part => part.checkVisibility())
        .map(part => part.dataset.id)";
    for case in table["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        filter(&mut browser, text);
        let said = browser.eval("document.getElementById('count').textContent");
        match case["wrong"].as_str() {
            Some(why) => assert!(said.as_str().unwrap().starts_with(why), "{text:?}: {said}"),
            None => assert_eq!(browser.eval(ids), case["finds"], "{text:?}"),
        }
        assert_eq!(
            browser.eval("document.getElementById('q').getAttribute('aria-invalid')"),
            json!(case["wrong"].is_string().to_string()),
            "{text:?}"
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Who is shown without its host stands elsewhere.
fn sorted(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

/// Ids; `None`: exit status 7.
fn selected(env: &Env, command: &[&str], words: &[&str]) -> Option<Vec<String>> {
    let args: Vec<&str> = [command, &["-o", "json", "--"], words].concat();
    let run = env.run(&args);
    if run.code == 7 {
        assert_eq!(run.stdout, "", "{run}");
        return None;
    }
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run}"));
    let ids = report["servers"].as_array().unwrap_or_else(|| panic!("{run}")).iter();
    Some(sorted(ids.map(|server| server["id"].as_str().unwrap().to_owned())))
}

#[test]
fn commands_select_as_the_table_says() {
    let (table, open) = (table(), Open::new());
    let (_sim, env) = fleet(&table, &open);
    let _ = env.run(&["status"]).exits(8);
    let cases = table["cases"].as_array().unwrap();
    let want = |case: &Value| {
        let want = case.get("selects").unwrap_or(&case["finds"]);
        want.is_array().then(|| sorted(texts(want).into_iter().map(str::to_owned)))
    };
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        for command in [&["status", "--cached"][..], &["status"]] {
            assert_eq!(selected(&env, command, &words), want(case), "{command:?} {text:?}");
        }
    }
    // The other commands read the same. The plain servers here are no SSH servers, so only guests are measured.
    for text in ["node=pve1,state=stopped", "kind=vm,!state=running", "pve1/*,state=running"] {
        let case = cases.iter().find(|case| case["text"] == text).unwrap();
        assert_eq!(selected(&env, &["stats"], &[text]), want(case), "stats {text}");
    }
}

/// What the words of a state select when nobody is in it, and where nobody can tell.
#[test]
fn a_state_that_nobody_is_in_is_no_mistake() {
    let sim = Sim::start(cluster("lab").node("pve1").vm(101, "web", Guest::running).vm(102, "db", Guest::stopped));
    let env = env_for(&sim, &["pve1"]);
    let said = "no server is in the state that was asked for";
    for command in ["status", "stats"] {
        let run = env.run(&[command, "state=paused"]).exits(0);
        assert!(format!("{}{}", run.stdout, run.stderr).contains(said), "{run}");
    }
    let run = env.run(&["power", "stop", "state=paused", "--yes"]).exits(0);
    assert!(run.stderr.contains(&format!("{said}: nothing to do")), "{run}");
    // A typo is one still.
    let _ = env.run(&["status", "tag=nope,state=running"]).exits(7);
    let _ = env.run(&["status", "state=runing"]).exits(7).says("did you mean `running`?");
    // Nobody is not all.
    let _ = env.run(&["discover", "state=asleep"]).exits(7).says("no server matches `state=asleep`");
    let _ = env.run(&["discover", "state=online"]).exits(0);
    let _ = env.run(&["discover", "kind=pve"]).exits(0);
    // `watch` follows who comes into the state.
    let run = env.run(&["watch", "--count", "1", "-o", "jsonl", "state=stopped"]).exits(0);
    let snapshot: Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
    let ids: Vec<_> = snapshot["servers"].as_array().unwrap().iter().map(|server| &server["id"]).collect();
    assert_eq!(ids, ["pve1-vm-102"], "{run}");
    // What cannot be asked may be in any state: that is no success.
    sim.node("pve1").stop();
    for args in [&["status", "state=running"][..], &["stats", "state=running"]] {
        let run = env.run(args).exits(5);
        assert!(run.stderr.contains("pve1"), "{run}");
    }
    let run = env.run(&["power", "stop", "state=running", "--yes"]).exits(8);
    assert!(run.stderr.contains("pve1-vm-101 is not chosen, as its state is unknown"), "{run}");
}
