//! `advise` on energy: what hosts used and what it cost, what sleep saved and would save, and what guests had of it.

use serde_json::{Value, json};

use super::env::Env;
use super::past::{HOUR, MINUTE, now};
use super::past_status::{events, looks};
use super::stats::{fields, homelab};
use super::world::{Served, World};
use ecobox_sim::host::Host;

const DAY: i64 = 24 * HOUR;

/// A plain server at which somebody looked for a month, and when the present hour began.
fn nas(settings: &str) -> (World, Served, i64) {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&format!(
        "[energy]\nprice = 0.30\ncurrency = \"EUR\"\n\n{}\n[servers.energy]\n{settings}\n",
        nas.wakeable()
    ));
    let _ = world.run(&["status"]).exits(0);
    let base = now() / HOUR * HOUR;
    looks(&world.env, base, "nas", "", &[]);
    world.env.execute(&format!("UPDATE states SET since = {} WHERE server = 'nas'", base - 31 * DAY));
    (world, nas, base)
}

/// So many hours until `base`, each of so many watts. Without `most` they are of a part of the server.
fn hours(env: &Env, server: &str, base: i64, count: i64, by: &str, watts: (f64, f64, Option<f64>)) {
    let (watts, least, most) = watts;
    let most = most.map_or_else(|| "NULL".to_owned(), |most| (most * 3600.0).to_string());
    env.execute(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
         INSERT INTO energy_hours (hour, server, measured_by, phase, seconds, joules, least, most)
             SELECT {base} - n * {HOUR}, '{server}', '{by}', 'awake', 3600, {watts} * 3600.0, {least} * 3600.0, {most} FROM n"
    ));
}

fn stretch(env: &Env, kind: &str, since: i64, until: i64) {
    env.execute(&format!(
        "INSERT INTO idle_stretches (server, kind, what, since, until, text) VALUES ('nas', '{kind}', '', {since}, {until}, '')"
    ));
}

fn advise(world: &World, args: &[&str]) -> Value {
    world.run(&[&["advise", "--cached", "-o", "json"], args].concat()).exits(0).json()
}

fn line<'r>(report: &'r Value, id: &str, rule: &str) -> Option<&'r Value> {
    report["advice"].as_array().unwrap().iter().find(|line| line["id"] == id && line["rule"] == rule)
}

fn energy<const N: usize>(line: &Value, names: [&str; N]) -> [Value; N] {
    fields(&line["energy"], names)
}

#[test]
fn a_metered_server_has_energy_and_cost_of_the_hours_that_are_known() {
    let (world, _nas, base) = nas("");
    hours(&world.env, "nas", base, 600, "meter", (100.0, 100.0, Some(100.0)));
    events(&world.env, base, "'nas'", ["online", "asleep"], &[(5 * DAY, 4 * DAY)]);
    let report = advise(&world, &[]);
    let used = line(&report, "nas", "energy").unwrap();
    assert_eq!(
        energy(
            used,
            ["least_kwh", "most_kwh", "least_cost", "most_cost", "currency", "known_hours", "window_hours", "sources"]
        ),
        [
            json!(60.0),
            json!(60.0),
            json!(18.0),
            json!(18.0),
            json!("EUR"),
            json!(600.0),
            json!(720.0),
            json!(["meter"])
        ]
    );
    assert_eq!(fields(used, ["area", "verdict", "confidence"]), [json!("energy"), json!("fact"), json!("medium")]);
    let text = used["evidence"].as_str().unwrap();
    assert_eq!(
        text,
        "60 kWh, 18.00 EUR in 600 of 720 h (nothing is known of the others); 100 W on average while awake, by its meter"
    );
    // What it draws asleep is unknown: up to 15 W.
    let slept = line(&report, "nas", "slept").unwrap();
    assert_eq!(energy(slept, ["least_kwh", "most_kwh", "known_hours"]), [json!(2.04), json!(2.4), json!(24.0)]);
    // Nobody looked at whether it is idle.
    assert!(line(&report, "nas", "if-idle").is_none());
    let table = world.run(&["advise", "--cached"]).exits(0);
    assert!(table.stdout.contains("60kWh") && table.stdout.contains("18.00 EUR"), "{table}");
}

#[test]
fn a_modelled_server_has_a_range_and_one_whose_cpu_counts_a_lower_bound() {
    let (world, _nas, base) = nas("sleep_watts = 3\nidle_watts = 45\nmax_watts = 120");
    hours(&world.env, "nas", base, 700, "model", (60.0, 53.0, Some(67.0)));
    for day in 1..=28 {
        stretch(&world.env, "idle", base - day * DAY, base - day * DAY + 8 * HOUR);
        stretch(&world.env, "connection", base - day * DAY + 8 * HOUR, base - day * DAY + DAY);
    }
    let report = advise(&world, &[]);
    let used = line(&report, "nas", "energy").unwrap();
    assert_eq!(energy(used, ["least_kwh", "most_kwh", "sources"]), [json!(37.1), json!(46.9), json!(["model"])]);
    // 7.5 h a day for 30 days, of 50 to 64 W.
    let idle = line(&report, "nas", "if-idle").unwrap();
    assert_eq!(
        energy(idle, ["least_kwh", "most_kwh", "least_cost", "most_cost", "per"]),
        [json!(11.25), json!(14.4), json!(3.375), json!(4.32), json!("month")]
    );
    assert_eq!(
        fields(idle, ["verdict", "command"]),
        [json!("can-sleep"), json!("ecobox power suspend nas --if-idle 30m")]
    );
    let text = idle["evidence"].as_str().unwrap();
    assert!(
        text.starts_with("nobody needed it for 7.5 h a ") && text.contains("11–15 kWh, 3.30–4.40 EUR a month"),
        "{text}"
    );
    world.env.execute("DELETE FROM energy_hours");
    hours(&world.env, "nas", base, 700, "rapl-package", (20.0, 20.0, None));
    let report = advise(&world, &[]);
    let used = line(&report, "nas", "energy").unwrap();
    assert_eq!(
        energy(used, ["least_kwh", "most_kwh", "least_cost", "most_cost", "sources"]),
        [json!(14.0), Value::Null, json!(4.2), Value::Null, json!(["rapl"])]
    );
    assert!(used["evidence"].as_str().unwrap().contains("counted by its CPU (CPU package alone)"), "{used:#}");
    let table = world.run(&["advise", "--cached"]).exits(0);
    assert!(table.stdout.contains("≥14kWh"), "{table}");
    // Nothing is measured: nothing is said, and nothing is zero.
    world.env.execute("DELETE FROM energy_hours");
    let report = advise(&world, &["--all"]);
    assert!(report["advice"].as_array().unwrap().iter().all(|line| line["area"] != "energy"), "{report:#}");
}

#[test]
fn guests_have_shares_of_their_hosts_energy() {
    let lab = homelab();
    let base = now() / HOUR * HOUR;
    let _ = lab.world.run(&["stats"]).exits(0);
    hours(&lab.world.env, "pve1", base, 100, "sensors", (80.0, 80.0, Some(80.0)));
    hours(&lab.world.env, "nas", base, 50, "sensors", (20.0, 20.0, Some(20.0)));
    lab.world.env.execute(
        "UPDATE energy_hours SET joules = joules * 2, least = least * 2, most = most * 2 WHERE hour % 7200000 = 0",
    );
    let report = advise(&lab.world, &["--all"]);
    let whole = line(&report, "pve1", "energy").unwrap()["energy"]["least_kwh"].as_f64().unwrap();
    assert!((whole - 12.0).abs() < 0.01, "{whole}");
    let share = |id: &str| line(&report, id, "share").map(|line| line["energy"]["least_kwh"].as_f64().unwrap());
    let running = ["pve1-vm-101", "pve1-vm-102", "pve1-ct-201"].map(|id| share(id).unwrap());
    // More memory and more CPUs have more of it, and all together no more than there is.
    let [web, db, dns] = running;
    assert!(db > web && web > dns && dns > 0.0 && web + db + dns <= whole, "{running:?} of {whole}");
    assert_eq!(share("pve1-vm-103"), None, "what is off uses nothing");
    let table = lab.world.run(&["advise", "--cached"]).exits(0);
    assert!(
        table.stderr.contains("is known of 3 guests: `ecobox advise --all` shows it")
            || table.stdout.contains("is known of 3 guests"),
        "{table}"
    );
    assert!(!table.stdout.contains(" share "), "{table}");
    let all = format!("{}{}", table.stdout, table.stderr);
    assert!(
        all.contains("2 servers together: 13 kWh in 150 of 1440 h")
            || all.contains("2 servers together: 14 kWh in 150 of 1440 h"),
        "{table}"
    );
}

#[test]
fn hours_of_the_state_file_are_of_whole_hours() {
    let (world, _nas, base) = nas("");
    hours(&world.env, "nas", base, 10, "meter", (60.0, 60.0, Some(60.0)));
    let since = super::past::rfc3339(base - 5 * HOUR - 30 * MINUTE);
    let report = advise(&world, &["--since", &since]);
    let used = line(&report, "nas", "energy").unwrap();
    // The hour in which the window begins is not in it.
    assert_eq!(energy(used, ["known_hours", "least_kwh"]), [json!(5.0), json!(0.3)]);
}
