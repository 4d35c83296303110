//! `status --cached`, and what runs leave in the state file.

use super::env::Env;
use super::fleets::{CLOSED, Open, env_for, homelab, plain, three};

#[test]
fn cached_asks_no_one_and_shows_how_old_its_answers_are() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let seen = env.run(&["status", "-o", "json"]).exits(0).states();
    sim.clear_requests();
    env.execute("UPDATE clusters SET listed_at = listed_at - 3600000; UPDATE states SET at = at - 7200000");
    let run = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    assert_eq!(run.states(), seen);
    assert_eq!(sim.requests().len(), 0, "{:?}", sim.requests());
    assert_eq!(sim.node("pve1").connections(), 0);
    let ages: Vec<_> =
        ["pve1-vm-101", "pve1"].map(|id| run.server(id)["age_seconds"].as_u64().unwrap() / 3600).into_iter().collect();
    assert_eq!(ages, [1, 2]);
    assert_eq!(run.server("pve1-vm-101")["source"], "cache");
    // A token is not needed either.
    let mut env = env;
    for node in ["PVE1", "PVE2", "PVE3"] {
        env.unset(&format!("ECOBOX_TOKEN_{node}"));
    }
    let run = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    assert_eq!(run.states(), seen);
}

/// What the last run saw is more than states.
#[test]
fn cached_shows_numbers_and_services_with_their_ages() {
    let (sim, nas, shop) = (homelab(), Open::new(), Open::new());
    let env = env_for(&sim, &["pve1"]);
    let service =
        |name: &str, port| format!("[[servers.services]]\nname = \"{name}\"\nport = {port}\ntype = \"http\"\n");
    env.add_config(&(plain("nas", nas.port()) + &service("shop", shop.port()) + &service("smb", CLOSED)));
    let live = env.run(&["status", "-o", "json"]).exits(0);
    sim.clear_requests();
    let cached = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    let same = ["cpu_percent", "cpus", "memory_bytes", "memory_max_bytes", "uptime_seconds"];
    for server in live.json()["servers"].as_array().unwrap() {
        let id = server["id"].as_str().unwrap();
        let then = cached.server(id);
        for field in same.iter().filter(|_| server["state"] != "stopped" && server["state"] != "hibernated") {
            assert_eq!(then[field], server[field], "{id} {field}");
        }
        let words = |server: &serde_json::Value| {
            let services = server["services"].as_array().unwrap().iter();
            services.map(|s| (s["name"].clone(), s["open"].clone(), s["port"].clone())).collect::<Vec<_>>()
        };
        let (mut then, mut now) = (words(&then), words(server));
        then.sort_by_key(|word| word.0.to_string());
        now.sort_by_key(|word| word.0.to_string());
        assert_eq!(then, now, "{id}");
    }
    assert_eq!(cached.server("nas")["services"].as_array().unwrap().len(), 3, "{cached}");
    // All of one look: nothing has an age of its own.
    assert!(cached.server("nas").get("checked_at").is_none() && cached.server("pve1").get("measured_at").is_none());
    // An hour later the states were seen again, and not the rest.
    env.execute("UPDATE samples SET at = at - 3600000; UPDATE checks SET at = at - 3600000");
    let cached = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    assert!(cached.server("nas")["checked_at"].is_string() && cached.server("pve1-vm-101")["measured_at"].is_string());
    let table = env.run(&["status", "--cached"]).exits(0).stdout;
    let header = table.lines().next().unwrap();
    let at = |name: &str| header.find(name).unwrap_or_else(|| panic!("{table}"));
    let row = |name: &str| table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
    let cell = |line: &str, name: &str| line[at(name)..].split_whitespace().next().unwrap().to_owned();
    assert_eq!(cell(row("web-01"), "CPU"), "25%", "{table}");
    // Each age is a time of its own; those are all the same in here.
    assert!(cell(row("web-01"), "MEASURED").ends_with('Z') && cell(row("nas"), "CHECKED").ends_with('Z'), "{table}");
    assert_eq!((cell(row("nas"), "MEASURED"), cell(row("web-01"), "CHECKED")), ("-".to_owned(), "-".to_owned()));
    assert!(env.run(&["status", "--cached", "-o", "wide"]).exits(0).stdout.contains("MEASURED"));
    assert!(env.run(&["status", "--cached", "-o", "html"]).exits(0).stdout.contains("measured then by api"));
    assert_eq!(sim.requests().len(), 0);
    // Of what was off then nothing is shown.
    sim.cluster().crash_guest(101);
    drop((nas, shop));
    let _ = env.run(&["status"]).exits(8);
    let cached = env.run(&["status", "--cached", "-o", "json"]).exits(0);
    assert_eq!(cached.server("pve1-vm-101")["cpu_percent"], serde_json::Value::Null);
    let open = |server: serde_json::Value| server["services"][0]["open"].clone();
    assert_eq!(open(cached.server("nas")), false);
}

#[test]
fn cached_before_any_run_knows_nothing() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let run = env.run(&["status", "--cached", "-o", "json"]);
    assert_eq!(run.server("nas")["state"], "unknown");
    assert_eq!(run.server("nas")["observed_at"], serde_json::Value::Null);
}

#[test]
fn changes_of_power_are_events() {
    let (sim, nas) = (homelab(), Open::new());
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&plain("nas", nas.port()));
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().crash_guest(101);
    sim.cluster().change_guest(202, ecobox_sim::Guest::running);
    drop(nas);
    let _ = env.run(&["status"]).exits(8);
    let _ = env.run(&["status"]).exits(8);
    let events = env.rows("SELECT server, before, after, source FROM events ORDER BY id");
    let has = |what: &str| events.iter().filter(|event| event.contains(what)).count();
    assert_eq!((has("101|running|stopped|api"), has("202|stopped|running|api")), (1, 1), "{events:?}");
    assert_eq!(has("nas|online|offline|tcp"), 1, "{events:?}");
    assert_eq!(events.len(), 3, "{events:?}");
}

#[test]
fn checks_and_runs_are_recorded() {
    let (sim, nas) = (homelab(), Open::new());
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&format!(
        "{}[[servers.services]]\nname = \"smb\"\nport = {CLOSED}\ntype = \"smb\"\n",
        plain("nas", nas.port())
    ));
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve1").stop();
    let _ = env.run(&["status"]).exits(8);
    let checks = env.rows(
        "SELECT service, ok, millis IS NOT NULL, detail FROM checks JOIN series ON series.id = series
         WHERE server = 'nas' AND service <> '' ORDER BY at, service",
    );
    assert_eq!(checks, ["smb|0|0|connection refused", "ssh|1|1|-", "smb|0|0|connection refused", "ssh|1|1|-"]);
    let runs = env.rows(
        "SELECT server, ok, millis IS NOT NULL, detail IS NOT NULL FROM checks JOIN series ON series.id = series
         WHERE service = '' ORDER BY server, at",
    );
    assert_eq!(runs, ["nas|1|1|0", "nas|1|1|0", "pve1|1|1|0", "pve1|0|0|1"]);
    let states = env.rows("SELECT server, state, source FROM states ORDER BY server");
    assert_eq!(states, ["nas|online|tcp", "pve1|offline|tcp"]);
}

#[test]
fn last_seen_of_a_host_is_when_it_last_answered() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    sim.node("pve1").stop();
    env.execute("UPDATE states SET last_online_at = 1700000000000");
    let run = env.run(&["status", "-o", "json"]).exits(5);
    assert!(run.stdout.contains("\"last_seen\":\"2026"), "{run}");
    assert!(run.server("pve1")["last_seen"].is_string());
    let wide = env.run(&["status", "-o", "wide"]).exits(5);
    assert!(wide.stdout.contains("LAST SEEN"), "{wide}");
}

#[test]
fn checks_older_than_a_week_are_summed_up_and_forgotten() {
    let nas = Open::new();
    let env = Env::new();
    env.config(&plain("nas", nas.port()));
    let _ = env.run(&["status"]).exits(0);
    env.execute("UPDATE checks SET at = at - 8 * 86400000; UPDATE unrolled SET hour = hour - 8 * 86400000");
    // A clock that was set wrong deletes nothing: earlier runs must have seen the same time.
    env.execute(
        "INSERT INTO clock (at)
         SELECT unixepoch() * 1000 - value * 3600000 FROM json_each('[12,11,10,9,8,7,6,5,4,3,2,1]')",
    );
    let _ = env.run(&["status"]).exits(0);
    let old = "FROM checks WHERE at < unixepoch() * 1000 - 7 * 86400000";
    assert_eq!(env.rows(&format!("SELECT count(*) {old}")), ["0"]);
    assert_eq!(env.rows("SELECT sum(n), sum(ok) FROM check_hours"), ["2|2"]);
}

#[test]
fn failures_of_one_run_are_no_failures_of_the_next() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").stop();
    let _ = env.run(&["status"]).exits(5);
    sim.node("pve1").start();
    let _ = env.run(&["status"]).exits(0);
}
