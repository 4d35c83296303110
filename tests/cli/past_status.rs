//! `status --since`: thirty days of looks, as a cron job leaves them, which the runs themselves sum up and tell.

use ecobox_sim::Sim;
use serde_json::{Value, json};

use super::env::{Env, Run};
use super::fleets::{CLOSED, Open, api, cluster, full_token, plain, variable};
use super::past::{HOUR, MINUTE, now};
use super::stats::fields;
use super::world::assert_transcript;

const DAY: i64 = 24 * HOUR;

/// When the present hour began.
fn this_hour() -> i64 {
    now() / HOUR * HOUR
}

/// Times counted back from the end of the history.
pub(crate) type Ago = (i64, i64);

/// When nobody looked at anything.
const HOLIDAY: Ago = (10 * DAY, 9 * DAY);
const NAS_DOWN: [Ago; 2] = [(20 * DAY, 20 * DAY - 6 * HOUR), (3 * DAY, 3 * DAY - 30 * MINUTE)];
/// In the first outage of its server, in the second one, and once alone.
const WEB_DOWN: [Ago; 3] = [NAS_DOWN[0], (12 * DAY, 12 * DAY - 2 * HOUR), NAS_DOWN[1]];
const BACKUP_OFF: [Ago; 2] = [(40 * DAY, 15 * DAY), (15 * DAY - 2 * HOUR, -HOUR)];
const GUEST_OFF: [Ago; 1] = [(8 * DAY, 8 * DAY - 3 * HOUR)];

fn within(at: &str, base: i64, times: &[Ago]) -> String {
    let all = times.iter().map(|(from, to)| format!("{at} >= {} AND {at} < {}", base - from, base - to));
    all.collect::<Vec<_>>().join(" OR ")
}

/// A look each half hour of 31 days, the last at `base`: it speaks for all of the present hour. Every tenth answer took 200 ms, the others 20 ms.
pub(crate) fn looks(env: &Env, base: i64, server: &str, service: &str, down: &[Ago]) {
    let fails = if down.is_empty() { "0".to_owned() } else { within("at", base, down) };
    env.execute(&format!(
        "WITH RECURSIVE looks (i, at) AS (
             SELECT 0, {begin} UNION ALL SELECT i + 1, at + {step} FROM looks WHERE at + {step} <= {base}
         )
         INSERT INTO checks (series, at, ok, millis)
             SELECT id, at, NOT ({fails}), iif({fails}, NULL, iif(i % 10 = 9, 200.0, 20.0)) FROM series, looks
             WHERE server = '{server}' AND service = '{service}' AND NOT ({nobody});
         DELETE FROM switches;
         INSERT INTO switches (series, at, ok)
             SELECT series, at, ok FROM
                 (SELECT series, at, ok, lag(ok) OVER (PARTITION BY series ORDER BY at) AS before FROM checks)
             WHERE before IS NOT ok;
         INSERT OR IGNORE INTO unrolled (kind, hour) SELECT DISTINCT 'checks', at - at % {HOUR} FROM checks;",
        begin = base - 31 * DAY,
        step = 30 * MINUTE,
        nobody = within("at", base, &[HOLIDAY]),
    ));
}

/// Changes of power that those looks saw: `off` during these times.
pub(crate) fn events(env: &Env, base: i64, key: &str, [on, off]: [&str; 2], times: &[Ago]) {
    let ends = times.iter().flat_map(|(from, to)| [(*from, on, off), (*to, off, on)]);
    for (ago, before, after) in ends.filter(|(ago, ..)| (1..31 * DAY).contains(ago)) {
        env.execute(&format!(
            "INSERT INTO events (at, server, before, after, source)
             VALUES ({}, {key}, '{before}', '{after}', 'tcp')",
            base - ago
        ));
    }
}

/// Has runs sum up and delete what is due, until nothing is. A `discover` adds no check itself.
fn settle(env: &Env, base: i64) {
    // The file has known for long how late it is.
    env.execute("DELETE FROM clock");
    for _ in 0..6 {
        env.execute(&format!("INSERT INTO clock (at) VALUES ({base})"));
    }
    let due = || env.rows(&format!("SELECT count(*) FROM unrolled WHERE kind = 'checks' AND hour < {base}"));
    let old = || env.rows(&format!("SELECT count(*) FROM checks WHERE at < {}", base - 7 * DAY - 6 * HOUR));
    for _ in 0..100 {
        if due() == ["0"] && old() == ["0"] {
            return;
        }
        let _ = env.run(&["discover"]).exits(0);
    }
    panic!("{:?} hours are not summed up, {:?} old checks are left", due(), old());
}

/// A fleet at which somebody looked for 31 days, until now; but at `attic` nobody did.
fn month(base: i64) -> (Env, Open, Sim) {
    let sim = Sim::start(cluster("homelab").node("pve1").vm(101, "web-01", ecobox_sim::Guest::running));
    let open = Open::new();
    let mut env = Env::new();
    env.set(&variable("pve1"), full_token());
    let service = format!("[[servers.services]]\nname = \"web\"\nport = {}\n\n", open.port());
    let asleep = plain("backup", CLOSED).trim_end().to_owned() + "\nexpected = \"asleep\"\n\n";
    let guest = "[[servers]]\nid = \"pve1-vm-101\"\nparent_server_id = \"pve1\"\nexpected = \"on\"\n\n";
    env.config(&(plain("nas", open.port()) + &service + &asleep + &api("pve1", &sim, "pve1") + guest));
    let _ = env.run(&["status"]).exits(0);
    for (server, service, down) in [
        ("nas", "", &NAS_DOWN[..]),
        ("nas", "web", &WEB_DOWN),
        ("backup", "", &BACKUP_OFF),
        ("backup", "ssh", &BACKUP_OFF),
        ("pve1", "", &[]),
    ] {
        looks(&env, base, server, service, down);
    }
    events(&env, base, "'nas'", ["online", "offline"], &NAS_DOWN);
    events(&env, base, "'backup'", ["online", "offline"], &BACKUP_OFF);
    events(&env, base, "(SELECT name || '/101' FROM clusters)", ["running", "stopped"], &GUEST_OFF);
    env.execute(&format!("UPDATE states SET since = {} WHERE server = 'pve1'", base - 31 * DAY));
    settle(&env, base);
    env.add_config(&plain("attic", CLOSED));
    (env, open, sim)
}

/// The record of a server, or of one of its services.
#[track_caller]
pub(crate) fn record(run: &Run, id: &str, service: Option<&str>) -> Value {
    let report = run.json();
    let mut rows = report["servers"].as_array().expect("a list of servers").iter();
    let found = rows.find(|row| row["id"] == id && row["service"].as_str() == service);
    found.unwrap_or_else(|| panic!("no {service:?} of {id}\n{run}")).clone()
}

#[test]
fn thirty_days_of_looks() {
    // Which hours are whole depends on the present one: should it end meanwhile, all is done again.
    let once = || {
        let base = this_hour();
        let (env, _open, _sim) = month(base);
        let told = ["table", "json"].map(|form| env.run(&["status", "--since", "30d", "-o", form]).exits(0));
        (this_hour() == base).then_some(told)
    };
    let [table, json] = std::iter::repeat_with(once).flatten().next().unwrap();
    let seconds = |hours: f64| json!(std::time::Duration::from_secs_f64(hours * 3600.0).as_secs());
    let parts = ["on_seconds", "off_seconds", "asleep_seconds", "paused_seconds", "unknown_seconds"];
    // In hours, of which there are 720; 24 of them nobody looked.
    for (id, service, [on, off, asleep], outages) in [
        ("nas", None, [689.5, 6.5, 0.0], &[6.0, 0.5][..]),
        ("nas", Some("web"), [687.5, 8.5, 0.0], &[6.0, 2.0, 0.5]),
        ("backup", None, [2.0, 0.0, 694.0], &[]),
        ("backup", Some("ssh"), [2.0, 0.0, 694.0], &[]),
        ("pve1", None, [696.0, 0.0, 0.0], &[]),
        ("pve1-vm-101", None, [693.0, 3.0, 0.0], &[3.0]),
    ] {
        let record = record(&json, id, service);
        assert_eq!(fields(&record, parts), [on, off, asleep, 0.0, 24.0].map(seconds), "{record:#}");
        let lengths = record["outages"].as_array().unwrap().iter().map(|outage| outage["seconds"].clone());
        assert_eq!(lengths.collect::<Vec<_>>(), outages.iter().copied().map(seconds).collect::<Vec<_>>(), "{record:#}");
        let longest = outages.iter().copied().reduce(f64::max);
        assert_eq!(record["longest_outage_seconds"], longest.map_or(Value::Null, seconds), "{record:#}");
        let percent = record["available_percent"].as_f64().unwrap();
        assert!((percent - on / (on + off) * 100.0).abs() < 1e-6, "{record:#}");
    }
    // Of 30 days a look each half hour, but for a day; the first look of this hour, and that of the run that began it all.
    // The hour in which the window begins is not whole.
    let web = record(&json, "nas", Some("web"));
    assert_eq!(fields(&web, ["checks", "checks_ok"]), [json!(2 * (719 - 24) + 2), json!(2 * (719 - 24) + 2 - 17)]);
    let nobody = record(&json, "attic", None);
    assert_eq!(fields(&nobody, parts), [Value::Null, Value::Null, Value::Null, Value::Null, seconds(720.0)]);
    insta::assert_snapshot!(table, @"
    NAME      NOW      AVAILABLE  OUTAGES  LONGEST  ON      ASLEEP  OFF    PAUSED  UNKNOWN  CHECKS  P50   P95
    nas       online      99.06%  2          6h00m  28d17h      0s  6h30m      0s    1d00h  99.06%  19ms  196ms
      web     open        98.77%  3          6h00m  28d15h      0s  8h30m      0s    1d00h  98.77%  19ms  196ms
    backup    offline       100%  0        -         2h00m  28d22h     0s      0s    1d00h   0.28%  19ms  196ms
      ssh     closed        100%  0        -         2h00m  28d22h     0s      0s    1d00h   0.28%  19ms  196ms
    pve1      online        100%  0        -        29d00h      0s     0s      0s    1d00h    100%  19ms  196ms
      web-01  running     99.56%  1          3h00m  28d21h      0s  3h00m      0s    1d00h  -       -     -
    attic     unknown  -          -        -        -       -       -      -        30d00h  -       -     -
    ");
    // What a platform's logarithm makes of the last digits is its own business.
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(\d\.\d{6})\d+", "$1");
    settings.bind(|| assert_transcript!("status_since", format!("{:#}", json.json())));
}

/// A time in which nobody looked is no time in which nothing ran.
#[test]
fn at_what_nobody_looked_nothing_is_known() {
    let env = Env::new();
    env.config(&plain("attic", CLOSED));
    insta::assert_snapshot!(env.run(&["status", "--since", "30d"]).exits(0), @"
    NAME   NOW      AVAILABLE  OUTAGES  LONGEST  ON  ASLEEP  OFF  PAUSED  UNKNOWN  CHECKS  P50  P95
    attic  unknown  -          -        -        -   -       -    -        30d00h  -       -    -
    nothing was recorded in that time; each run of `ecobox status` or `ecobox stats` records the states
    ");
    let attic = record(&env.run(&["status", "--since", "30d", "-o", "json"]).exits(0), "attic", None);
    let parts =
        ["available_percent", "on_seconds", "off_seconds", "asleep_seconds", "paused_seconds", "outage_seconds"];
    assert!(fields(&attic, parts).iter().all(Value::is_null), "{attic:#}");
    assert_eq!(fields(&attic, ["unknown_seconds", "checks"]), [json!(30 * 24 * 3600), json!(0)]);
}
