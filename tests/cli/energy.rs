//! How much power hosts draw, and the energy of it: by meters, sensors, counters of the CPU, and by the configuration.

use ecobox_sim::host::{Domain, Host, RANGE};
use ecobox_sim::prometheus::Prometheus;
use serde_json::{Value, json};

use super::env::Run;
use super::stats::fields;
use super::world::{FAST, Served, World, until};

const WATTS: [&str; 5] = ["power_watts", "power_least_watts", "power_most_watts", "power_source", "power_covers"];
const JSON: [&str; 3] = ["stats", "-o", "json"];

/// A plain server with this in its `[servers.energy]`.
fn nas(energy: &str) -> (World, Served) {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    configure(&world, &nas, energy);
    (world, nas)
}

fn configure(world: &World, nas: &Served, energy: &str) {
    world.configure(&format!("{FAST}{}\n[servers.energy]\n{energy}\n", nas.wakeable()));
}

/// So many seconds later: for the host, and for what ecobox remembers.
fn later(world: &World, nas: &Served, seconds: u32) {
    nas.host.advance(seconds.into());
    earlier(world, seconds);
}

/// What ecobox remembers was so many seconds before.
fn earlier(world: &World, seconds: u32) {
    let millis = i64::from(seconds) * 1000;
    world.env.execute(&format!(
        "UPDATE readings SET at = at - {millis}; UPDATE samples SET at = at - {millis};
         UPDATE energy_looks SET at = at - {millis};"
    ));
}

fn watts(world: &World) -> [Value; 5] {
    fields(&world.run(&JSON).exits(0).server("nas"), WATTS)
}

fn why(run: &Run) -> String {
    run.server("nas")["reasons"]["watts"].as_str().unwrap_or_default().to_owned()
}

fn unknown() -> [Value; 5] {
    [const { Value::Null }; 5]
}

#[test]
fn a_meter_is_asked_here_and_believed_within_reason() {
    let (world, nas) = nas("");
    let fine = |watts: f64| [json!(watts), json!(watts), json!(watts), json!("meter"), json!("whole server")];
    for (command, want) in [
        (r#"["echo", "85.5"]"#, 85.5),
        (r#""echo '137 Watts'""#, 137.0),
        (
            r#"["printf", "    Instantaneous power reading:    64 Watts\\n    Power reading state is:   activated\\n"]"#,
            64.0,
        ),
    ] {
        configure(&world, &nas, &format!("power_command = {command}"));
        assert_eq!(watts(&world), fine(want), "{command}");
    }
    // What it cannot say is unknown, and never 0.
    for (command, says) in [
        ("exec sleep 600", "it did not end within 0."),
        ("sleep 600 & sleep 600", "it did not end within 0."),
        ("exec yes", "it printed more than 4 KiB"),
        ("true", "it printed nothing"),
        ("echo -5", "-5 W is negative"),
        ("echo 10000", "10000 W is more than 5000 W, the most that is believed without `max_watts`"),
        ("echo 0", "it says 0 W while the server is up"),
        ("echo NaN", "it printed `NaN`, which is not a number of watts"),
        ("printf '\\\\033[2Jx'", "it printed `\\u{1b}[2Jx`, which is not a number of watts"),
        ("printf '\\\\377'", "it printed no text"),
        ("echo 85; exit 3", "it failed (exit status: 3)"),
        ("echo no route to plug >&2; exit 7", "it failed (exit status: 7): `no route to plug`"),
    ] {
        configure(&world, &nas, &format!("power_command = \"{command}\""));
        let run = world.run(&[&JSON[..], &["--timeout", "4s"]].concat()).exits(0);
        assert_eq!(fields(&run.server("nas"), WATTS), unknown(), "{command}");
        let why = why(&run);
        assert!(why.starts_with(&format!("`power_command`: {}", says.replace("0.", ""))), "{command}: {why}");
        // What else is known of the server is known all the same.
        assert!(run.server("nas")["cpu_percent"].is_number(), "{command}");
    }
    configure(&world, &nas, r#"power_command = ["/no/such/meter"]"#);
    let run = world.run(&JSON).exits(0);
    assert!(why(&run).starts_with("`power_command`: `/no/such/meter` does not start: "), "{}", why(&run));
    // Who says that a server draws more is believed.
    configure(&world, &nas, "power_command = \"echo 10000\"\nmax_watts = 8000");
    assert_eq!(watts(&world)[0], 10_000.0);
}

#[test]
fn a_meter_is_asked_while_its_server_sleeps() {
    let (world, nas) = nas("power_command = \"echo 61\"");
    let _ = world.run(&["power", "suspend", "nas", "--yes"]).exits(0);
    for (energy, want, says) in [
        ("power_command = \"echo 2.5\"", json!([2.5, 2.5, 2.5, "meter", "whole server"]), ""),
        ("power_command = \"echo 0\"", json!([0.0, 0.0, 0.0, "meter", "whole server"]), ""),
        (
            "power_command = \"false\"\nsleep_watts = 3",
            json!([3.0, 3.0, 3.0, "model", "whole server"]),
            "`power_command`: it failed (exit status: 1)",
        ),
        ("sleep_watts = 3\nidle_watts = 40\nmax_watts = 90", json!([3.0, 3.0, 3.0, "model", "whole server"]), ""),
        (
            "idle_watts = 40\nmax_watts = 90",
            json!([null, null, null, null, null]),
            "it is asleep, and neither `power_command` nor `sleep_watts` is configured",
        ),
    ] {
        configure(&world, &nas, energy);
        let run = world.run(&JSON).exits(0);
        assert_eq!((json!(fields(&run.server("nas"), WATTS)), why(&run)), (want, says.to_owned()), "{energy}");
        assert_eq!(run.server("nas")["state"], "asleep");
    }
    // What was kept says that it slept.
    assert_eq!(world.column("energy_looks", "phase"), ["asleep"]);
}

#[test]
fn a_cpu_counts_a_part_and_says_so() {
    let (world, nas) = nas("");
    nas.host.set_energy(&Domain::package(23.0, 100_000_000_000));
    // Over the second that the first run measures.
    let rapl = |watts: f64, covers: &str| [json!(watts), json!(watts), Value::Null, json!("rapl"), json!(covers)];
    assert_eq!(watts(&world), rapl(23.0, "CPU package"));
    let _ = world.run(&["stats"]).exits(0).prints("≥23W");
    later(&world, &nas, 60);
    let wide = world.run(&["stats", "-o", "wide"]).exits(0);
    assert!(wide.stdout.contains("rapl, CPU package"), "{wide}");
    // Two packages with their memory, which are a part of the board.
    let two = |psys: Option<f64>| {
        let mut all = Domain::package(23.0, 5_000_000);
        all.push(Domain::new("intel-rapl:0:1", "dram", 4.0, 5_000_000));
        all.push(Domain::new("intel-rapl:1", "package-1", 20.0, 5_000_000));
        all.push(Domain::new("intel-rapl:1:1", "dram", 3.0, 5_000_000));
        all.extend(psys.map(|watts| Domain::new("intel-rapl:2", "psys", watts, 5_000_000)));
        all
    };
    world.env.execute("DELETE FROM readings");
    nas.host.set_energy(&two(None));
    assert_eq!(watts(&world), rapl(50.0, "CPU package + DRAM"));
    world.env.execute("DELETE FROM readings");
    nas.host.set_energy(&two(Some(70.0)));
    assert_eq!(watts(&world), rapl(70.0, "CPU package + board"));
    // Over a minute, in which all of them began again at 0.
    let mut wraps = two(None);
    for domain in &mut wraps {
        domain.microjoules = RANGE - 100_000_000;
    }
    world.env.execute("DELETE FROM readings");
    nas.host.set_energy(&wraps);
    let _ = world.run(&JSON).exits(0);
    later(&world, &nas, 60);
    assert_eq!(watts(&world), rapl(50.0, "CPU package + DRAM"));
    // What was reset jumped; what slept stood still; what may have wrapped twice is unknown.
    later(&world, &nas, 60);
    nas.host.set_counter("intel-rapl:0", 7);
    let run = world.run(&JSON).exits(0);
    assert_eq!((watts_of(&run), why(&run).as_str()), (unknown(), "the energy counter intel-rapl:0 jumped"));
    later(&world, &nas, 60);
    nas.host.set_sleeps(1);
    let run = world.run(&JSON).exits(0);
    assert_eq!((watts_of(&run), why(&run).as_str()), (unknown(), "the server slept between the two readings"));
    later(&world, &nas, 500);
    let run = world.run(&JSON).exits(0);
    assert!(
        why(&run).contains(" may have wrapped in the 500 s between two readings; look more often"),
        "{}",
        why(&run)
    );
    configure(&world, &nas, "max_watts = 150");
    later(&world, &nas, 500);
    assert_eq!(watts(&world), rapl(50.0, "CPU package + DRAM"));
    // Only root may read them.
    for folder in ["intel-rapl:0", "intel-rapl:0:1", "intel-rapl:1", "intel-rapl:1:1"] {
        nas.host.hide_energy(folder);
    }
    later(&world, &nas, 60);
    let run = world.run(&JSON).exits(0);
    assert_eq!((watts_of(&run), why(&run).as_str()), (unknown(), "only root may read the energy counters of its CPU"));
}

fn watts_of(run: &Run) -> [Value; 5] {
    fields(&run.server("nas"), WATTS)
}

#[test]
fn the_best_source_counts_and_a_model_has_a_range() {
    let (world, nas) = nas("idle_watts = 40\nmax_watts = 140");
    // A fifth of its CPUs: 60 W, and 15 percent of 100 W more or less.
    assert_eq!(watts(&world), [json!(60.0), json!(45.0), json!(75.0), json!("model"), json!("whole server")]);
    let _ = world.run(&["stats"]).exits(0).prints("45–75W");
    nas.host.set_power_sensor("hwmon1", "amdgpu", 9_000_000);
    nas.host.set_power_sensor("hwmon2", "power_meter", 71_000_000);
    later(&world, &nas, 60);
    assert_eq!(watts(&world)[3], "sensors");
    let _ = world.run(&["stats"]).exits(0).prints(" 71W");
    configure(&world, &nas, "power_command = \"echo 75\"\nidle_watts = 40\nmax_watts = 140");
    assert_eq!(watts(&world)[3], "meter");
    configure(&world, &nas, "power_command = \"echo ouch\"\nidle_watts = 40\nmax_watts = 140");
    let run = world.run(&JSON).exits(0);
    assert_eq!(
        (&watts_of(&run)[3], why(&run).as_str()),
        (&json!("sensors"), "`power_command`: it printed `ouch`, which is not a number of watts")
    );
}

#[test]
fn energy_is_kept_counted_and_drawn() {
    let (world, nas) = nas("power_command = \"echo 90\"");
    let metrics = || world.run(&["stats", "-o", "openmetrics"]).exits(0).stdout;
    let first = metrics();
    assert!(first.contains("\necobox_host_power_watts{id=\"nas\",source=\"meter\"} 90\n"), "{first}");
    assert!(!first.contains("ecobox_host_energy_joules_total{"), "{first}");
    for _ in 0..3 {
        later(&world, &nas, 1200);
        let _ = world.run(&JSON).exits(0);
    }
    // An hour of 90 W, and what this test itself took.
    let joules = |text: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with("ecobox_host_energy_joules_total{")).unwrap();
        assert!(line.starts_with("ecobox_host_energy_joules_total{id=\"nas\",source=\"meter\"} "), "{line}");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = joules(&metrics());
    assert!((324_000.0..330_000.0).contains(&before), "{before}");
    // Hours of which nobody knows anything add nothing; the counter never goes back.
    earlier(&world, 20 * 3600);
    let _ = world.run(&JSON).exits(0);
    let after = joules(&metrics());
    assert!(before <= after && after < before + 6000.0, "{before} {after}");
    // The hours were this one or the one before, as the test moved only its looks.
    let run = world.run(&["stats", "--since", "3h", "--metric", "watts", "-o", "json"]).exits(0);
    let series = run.json()["series"][0].clone();
    assert_eq!(fields(&series, ["metric", "unit"]), [json!("watts"), json!("watts")], "{run}");
    assert_eq!(series["energy"]["sources"], json!(["meter"]), "{run}");
    let kwh = series["energy"]["kwh"].as_f64().unwrap();
    let known = series["energy"]["known_seconds"].as_f64().unwrap();
    assert!((kwh - 90.0 * known / 3_600_000.0).abs() < 0.001 && known > 1000.0, "{kwh} {known}");
    let table = world.run(&["stats", "--since", "3h"]).exits(0);
    assert!(table.stdout.contains("Wh") && table.stdout.contains("watts"), "{table}");
    assert!(
        format!("{table}").contains("energy is of the time that is known: `-o wide` says how much that is"),
        "{table}"
    );
    let wide = world.run(&["stats", "--since", "3h", "-o", "wide"]).exits(0);
    assert!(wide.stdout.contains("  ENERGY OF ") && wide.stdout.contains(" of 3.0 h "), "{wide}");
    let chart = world.run(&["stats", "--chart", "watts", "--since", "3h"]).exits(0);
    assert!(chart.stdout.contains("watts since") && chart.stdout.contains('W'), "{chart}");
    let page = world.run(&["status", "-o", "html"]).exits(0);
    assert!(page.stdout.contains("<b>Power</b>"), "{page}");
}

#[test]
fn watch_measures_it_too_and_what_sleeps_has_its_own() {
    let (world, nas) = nas("");
    let config = |energy: &str| {
        world.configure(&format!("{}{}\n[servers.energy]\n{energy}\n", super::watching::FAST, nas.entry()));
    };
    config("power_command = \"echo 61.5\"");
    let _ = world.run(&["status"]).exits(0);
    let looked = |of: &str| world.column("energy_looks", "measured_by") == [of];
    let watching = super::watching::watch(&world.env, &[]);
    until(|| looked("meter"));
    drop(watching);
    nas.host.set_energy(&Domain::package(23.0, 100_000_000_000));
    config("");
    let _watching = super::watching::watch(&world.env, &[]);
    until(|| looked("rapl-package"));
}

#[test]
fn watts_of_two_sources_are_one_series_in_prometheus() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (world, nas) = nas("");
    for energy in ["power_command = \"echo 90\"", "idle_watts = 40\nmax_watts = 40"] {
        let url = format!("http://127.0.0.1:{}", prometheus.port());
        let history = format!("[history]\nremote_write = \"{url}/api/v1/write\"\nquery = \"{url}\"\n\n");
        world.configure(&format!("{FAST}{history}{}\n[servers.energy]\n{energy}\n", nas.wakeable()));
        let _ = world.run(&JSON).exits(0);
    }
    let run = world.run(&["stats", "--since", "1h", "--metric", "watts", "-o", "json"]).exits(0);
    let series = run.json()["series"][0].clone();
    assert_eq!(series["source"], "prometheus", "{run}");
    let summary = fields(&series["summary"], ["min", "max"]);
    assert_eq!(summary, [json!(40.0), json!(90.0)], "{run}");
    // What was known of the energy when the second run looked.
    earlier(&world, 600);
    for _ in 0..2 {
        let _ = world.run(&JSON).exits(0);
    }
    let answer = prometheus.get("/api/v1/query?query=ecobox_host_energy_joules_total");
    assert!(answer.contains(r#""id":"nas""#) && answer.contains(r#""source":"model""#), "{answer}");
}
