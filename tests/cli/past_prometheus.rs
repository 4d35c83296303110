//! A real Prometheus that gets and gives the history: the same numbers, and none lost whatever fails on the way.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ecobox_sim::Sim;
use ecobox_sim::prometheus::{PASSWORD, Prometheus};
use serde_json::Value;

use super::env::{Env, ended};
use super::fleets::{CLOSED, Open, cluster, env_for, homelab};
use super::packed;
use super::past::{document, known, now, rfc3339, series};

/// `[history]` with a Prometheus on this port; `more` are further keys.
fn history(port: u16, more: &str) -> String {
    format!("[history]\nremote_write = \"http://127.0.0.1:{port}/api/v1/write\"\n{more}\n")
}

fn query(port: u16) -> String {
    format!("query = \"http://127.0.0.1:{port}\"\n")
}

/// The same world with another `[history]`.
pub(crate) fn with_history(env: &Env, history: &str) {
    let config = std::fs::read_to_string(env.config_path()).unwrap();
    let rest = config.split("[history]").next().unwrap();
    env.config(&format!("{rest}{history}"));
}

/// How many samples Prometheus has of a name.
fn counted(prometheus: &Prometheus, name: &str) -> i64 {
    let answer = prometheus.get(&format!("/api/v1/query?query=sum(count_over_time({name}%5B1h%5D))"));
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    answer["data"]["result"][0]["value"][1].as_str().map_or(0, |count| count.parse().unwrap())
}

fn number(env: &Env, sql: &str) -> i64 {
    env.rows(sql)[0].parse().unwrap()
}

/// Prometheus has exactly the samples that the state file has, and nothing waits.
#[track_caller]
fn assert_nothing_lost(env: &Env, prometheus: &Prometheus) {
    assert_eq!(number(env, "SELECT count(*) FROM outbox"), 0);
    let samples = packed::samples(env);
    for (name, column) in [
        ("ecobox_cpu_usage_ratio", "cpu"),
        ("ecobox_memory_used_bytes", "memory"),
        ("ecobox_network_receive_bytes_total", "receive"),
        ("ecobox_uptime_seconds", "uptime"),
    ] {
        let kept = samples.iter().filter(|sample| sample.known.contains(&column)).count();
        let kept = i64::try_from(kept).unwrap();
        assert!(kept > 0, "{column}");
        assert_eq!(counted(prometheus, name), kept, "{name}");
    }
}

#[test]
fn both_memories_say_the_same() {
    let Some(prometheus) = Prometheus::start() else { return };
    let sim = Sim::start(
        cluster("homelab").node("pve1").vm(101, "web", |vm| vm.running().load(0.123, 3 << 28).rates(5000, 300, 20, 7)),
    );
    let env = env_for(&sim, &["pve1"]);
    env.add_config("[[servers]]\nid = \"here\"\nlocal = true\n\n");
    let open = Open::new();
    env.add_config(&format!("[[servers.services]]\nname = \"web\"\nport = {}\n", open.port()));
    with_history(&env, &history(prometheus.port(), ""));
    let begun = now();
    for command in ["status", "stats", "discover", "stats", "status", "stats"] {
        let run = env.run(&[command]).exits(0);
        assert!(!run.stderr.contains("Prometheus"), "{run}");
        sim.cluster().clock.advance(Duration::from_secs(60));
        sim.cluster().change_guest(101, |vm| vm.load(0.123, (3 << 28) + 12_345));
    }
    assert_nothing_lost(&env, &prometheus);
    let since = rfc3339(begun);
    let metrics =
        ["cpu", "memory", "disk", "load", "receive", "transmit", "read", "write", "pressure-cpu", "pressure-io"];
    let mut args = vec!["stats", "--since", since.as_str(), "--step", "1s", "-o", "json"];
    args.extend(metrics.iter().flat_map(|metric| ["--metric", metric]));
    let own = document(&env, &args, 0);
    with_history(&env, &history(prometheus.port(), &query(prometheus.port())));
    sim.clear_requests();
    let theirs = document(&env, &args, 0);
    let mut compared = 0;
    for id in ["pve1", "pve1-vm-101", "here"] {
        for metric in metrics {
            let (own, theirs) = (series(&own, id, metric), series(&theirs, id, metric));
            assert_eq!(known(own), known(theirs), "{metric} of {id}");
            assert_eq!(own["summary"], theirs["summary"], "{metric} of {id}");
            assert_eq!(theirs["source"], "prometheus");
            if !known(own).is_empty() {
                compared += 1;
                // What only the state file has stays there: no RRD was asked.
                assert_eq!(own["source"], "cache", "{metric} of {id}");
            }
        }
    }
    assert!(compared >= 10, "{compared}\n{own:#}");
    for (id, metric) in [("pve1-vm-101", "cpu"), ("pve1-vm-101", "receive"), ("here", "memory"), ("here", "cpu")] {
        assert!(!known(series(&own, id, metric)).is_empty(), "{metric} of {id}\n{own:#}");
    }
    // The simulated clock runs on between its leaps.
    let fastest = series(&own, "pve1-vm-101", "receive")["summary"]["max"].as_f64().unwrap();
    assert!((4900.0..5200.0).contains(&fastest), "{fastest}");
    assert_eq!(sim.requests().len(), 0);
    // What no sample has goes there, too.
    for name in ["ecobox_up", "ecobox_power_state", "ecobox_service_up", "ecobox_filesystem_size_bytes"] {
        assert!(counted(&prometheus, name) > 0, "{name}");
    }
}

#[test]
fn what_cannot_be_sent_waits_and_goes_first() {
    let Some(prometheus) = Prometheus::start() else { return };
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, &history(CLOSED, ""));
    for waiting in ["1 batch of numbers", "2 batches of numbers"] {
        let run = env.run(&["status"]).exits(0);
        assert_eq!(run.stderr.lines().count(), 1, "{run}");
        let _ =
            run.says("cannot reach Prometheus").says(&format!("waiting in the state file for the next run: {waiting}"));
    }
    // In cron, too: nothing is lost, so nothing is said.
    assert_eq!(env.run(&["stats", "-q"]).exits(0).stderr, "");
    with_history(&env, &history(prometheus.port(), ""));
    let run = env.run(&["status"]).exits(0);
    assert_eq!(run.stderr, "", "the queue went first, and in order");
    assert_nothing_lost(&env, &prometheus);
}

/// Between ecobox and Prometheus: lets so many bytes pass, then cuts everything and calls `on_cut`, once.
struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    budget: Arc<AtomicI64>,
}

impl Proxy {
    fn start(target: u16, budget: i64, on_cut: impl Fn() + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            target: Arc::new(target.into()),
            budget: Arc::new(budget.into()),
        };
        let (target, budget, on_cut) = (proxy.target.clone(), proxy.budget.clone(), Arc::new(on_cut));
        let cut = Arc::new(AtomicBool::new(false));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))) else { continue };
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (budget, on_cut, cut) = (budget.clone(), on_cut.clone(), cut.clone());
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = from.read(&mut bytes) {
                        let passing = i64::try_from(length).unwrap();
                        let left = budget.fetch_sub(passing, Ordering::SeqCst) - passing;
                        if left < 0 {
                            if !cut.swap(true, Ordering::SeqCst) {
                                on_cut();
                            }
                            break;
                        }
                        if to.write_all(&bytes[..length]).is_err() {
                            break;
                        }
                    }
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
                std::thread::spawn(move || {
                    let (mut server, mut client) = (server, client);
                    let _ = std::io::copy(&mut server, &mut client);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        proxy
    }
}

/// Thousands of guests, whose numbers need several bodies.
fn many_guests(count: u32) -> Sim {
    let guests = (0..count).fold(cluster("big").node("pve1"), |cluster, i| {
        cluster.vm(1000 + i, &format!("vm-{i}"), |vm| vm.running().rates(1000, 10, 10, 10))
    });
    Sim::start(guests)
}

/// Prometheus is killed while it gets the third of many bodies.
#[test]
fn killing_prometheus_in_the_middle_of_a_run_loses_no_sample() {
    let Some(mut prometheus) = Prometheus::start() else { return };
    let sim = many_guests(2000);
    let env = env_for(&sim, &["pve1"]);
    let id = rustix::process::Pid::from_raw(prometheus.id().try_into().unwrap()).unwrap();
    let kill = move || rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    let proxy = Proxy::start(prometheus.port(), 150_000, kill);
    with_history(&env, &history(proxy.port, ""));
    let run = env.run(&["stats"]).exits(0).says("waiting in the state file for the next run: ");
    let waiting = number(&env, "SELECT count(*) FROM outbox");
    let all = number(&env, "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
    assert!(0 < waiting && waiting < all, "{waiting} of {all} bodies wait\n{}", run.stderr);
    prometheus.kill();
    prometheus.restart();
    assert!(counted(&prometheus, "ecobox_cpu_usage_ratio") > 0 || counted(&prometheus, "ecobox_up") > 0);
    proxy.target.store(prometheus.port(), Ordering::SeqCst);
    proxy.budget.store(i64::MAX, Ordering::SeqCst);
    let run = env.run(&["stats"]).exits(0);
    assert_eq!(run.stderr, "");
    assert_nothing_lost(&env, &prometheus);
}

/// The connection is cut at many places: before, in and behind a body.
#[test]
fn a_connection_that_is_cut_anywhere_loses_no_sample() {
    let Some(prometheus) = Prometheus::start() else { return };
    let sim = many_guests(600);
    let env = env_for(&sim, &["pve1"]);
    for budget in [0, 100, 5000, 20_000, 60_000, 90_000] {
        let proxy = Proxy::start(prometheus.port(), budget, || {});
        with_history(&env, &history(proxy.port, ""));
        let _ = env.run(&["status"]).exits(0);
    }
    with_history(&env, &history(prometheus.port(), ""));
    assert_eq!(env.run(&["status"]).exits(0).stderr, "");
    assert_nothing_lost(&env, &prometheus);
}

/// In place of Prometheus: lets requests through to a real one, if there is one to name, and answers none. Each time that
/// Prometheus has all of a request, or would have it, it says so.
fn never_answers(target: Option<u16>) -> (u16, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (says, told) = channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, says) = (client.unwrap(), says.clone());
            std::thread::spawn(move || {
                if let Some(target) = target {
                    let mut server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                    // Its answer: it has taken what was sent.
                    assert!(server.read(&mut [0; 4096]).unwrap() > 0);
                } else {
                    assert!(client.read(&mut [0; 4096]).unwrap() > 0);
                }
                says.send(()).unwrap();
                let _ = std::io::copy(&mut client, &mut std::io::sink());
            });
        }
    });
    (port, told)
}

/// Killed while it waits for the answer, with Prometheus having taken what was sent, or not: the next run sends all, and
/// waits for nobody who is dead.
#[test]
fn a_run_that_is_killed_while_it_sends_is_made_up_for_by_the_next_one() {
    let Some(prometheus) = Prometheus::start() else { return };
    let sim = many_guests(600);
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, &history(CLOSED, ""));
    let _ = env.run(&["status"]).exits(0);
    for (target, command) in [(None, "status"), (Some(prometheus.port()), "stats")] {
        let (port, told) = never_answers(target);
        with_history(&env, &history(port, ""));
        let mut child = env.command(&[command]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        told.recv_timeout(Duration::from_secs(60)).expect("it sends");
        // Meanwhile nobody else does.
        let waiting = number(&env, "SELECT count(*) FROM outbox");
        with_history(&env, &history(prometheus.port(), ""));
        assert_eq!(env.run(&["status"]).exits(0).stderr, "");
        assert!(number(&env, "SELECT count(*) FROM outbox") > waiting);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(env.run(&["status"]).exits(0).stderr, "");
        assert_nothing_lost(&env, &prometheus);
    }
}

#[test]
fn runs_at_once_send_everything_once() {
    let Some(prometheus) = Prometheus::start() else { return };
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, &history(CLOSED, ""));
    let _ = env.run(&["status"]).exits(0);
    with_history(&env, &history(prometheus.port(), ""));
    let spawn = |command: &str| {
        let mut command: Command = env.command(&[command]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<_> = ["status", "stats", "discover", "status"].into_iter().map(spawn).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("are not in Prometheus"), "{said}");
    }
    // Who came when another one had just sent its last leaves its own to the next run.
    let _ = env.run(&["status"]).exits(0);
    assert_nothing_lost(&env, &prometheus);
}

#[test]
fn more_than_the_queue_allows_is_given_up_the_oldest_first() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, &history(CLOSED, "queue = \"64K\""));
    let _ = env.run(&["status"]).exits(0);
    for _ in 0..3 {
        env.execute("INSERT INTO outbox (at, body) VALUES (1, zeroblob(30000))");
    }
    // A loss is said to those, too, who want to hear little.
    let run = env.run(&["status", "-q"]).exits(0).says("warning: given up: 2 batches of numbers for Prometheus");
    let _ = run.says("`queue` in [history]");
    assert_eq!(number(&env, "SELECT count(*) FROM outbox"), 3);
    assert_eq!(number(&env, "SELECT count(*) FROM outbox WHERE id > 2"), 3, "the oldest are gone");
}

#[test]
fn a_body_that_is_refused_for_good_keeps_nobody_waiting() {
    let Some(prometheus) = Prometheus::start() else { return };
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, &history(CLOSED, ""));
    let _ = env.run(&["status"]).exits(0);
    env.execute("UPDATE outbox SET body = x'00ff'; DELETE FROM samples");
    let _ = env.run(&["status"]).exits(0);
    with_history(&env, &history(prometheus.port(), ""));
    let run = env.run(&["status"]).exits(0).says("are not in Prometheus: ");
    assert_eq!(run.stderr.lines().count(), 1, "{run}");
    assert_nothing_lost(&env, &prometheus);
}

#[test]
fn a_password_is_shown_and_a_wrong_one_is_said() {
    let Some(prometheus) = Prometheus::start_with_password() else { return };
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let file = env.home().join("password");
    let login = format!("username = \"ecobox\"\npassword_file = \"{}\"\n{}", file.display(), query(prometheus.port()));
    with_history(&env, &history(prometheus.port(), &login));
    let wrong = "not-this-one";
    std::fs::write(&file, wrong).unwrap();
    let failed = env.run(&["-vvv", "status"]).exits(0);
    assert!(failed.stderr.contains("401") && failed.stderr.contains("check `username` and the password"), "{failed}");
    assert!(failed.stderr.contains("for the next run: 1 batch of numbers"), "{failed}");
    let reading = env.run(&["-vvv", "stats", "--since", "1h", "-o", "json"]).exits(8);
    assert_eq!(reading.failures(), ["prometheus denied"]);
    std::fs::remove_file(&file).unwrap();
    let missing = env.run(&["status"]).exits(0).says("cannot read `password_file` ~/password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let sent = env.run(&["-vvv", "status"]).exits(0);
    assert_nothing_lost(&env, &prometheus);
    let read = env.run(&["-vvv", "stats", "--since", "1h", "-o", "json"]).exits(0);
    assert!(read.stdout.contains("\"source\":\"prometheus\""), "{read}");
    let state = std::fs::read(env.state_path()).unwrap();
    for secret in [wrong, PASSWORD] {
        for run in [&failed, &reading, &missing, &sent, &read] {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{run}");
        }
        assert!(!state.windows(secret.len()).any(|window| window == secret.as_bytes()), "in the state file");
    }
}

#[test]
fn the_state_file_stands_in_for_a_prometheus_that_does_not_answer() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let since = rfc3339(now());
    let _ = env.run(&["status"]).exits(0);
    with_history(&env, &format!("[history]\n{}", query(CLOSED)));
    let run = env.run(&["stats", "101", "--since", &since, "-o", "json"]).exits(8);
    assert_eq!(run.failures(), ["prometheus unreachable"]);
    let run = run.says("Prometheus").says("the state file is used instead");
    let memory = run.json()["series"].as_array().unwrap().iter().any(|series| series["source"] == "cache");
    assert!(memory, "{run}");
    // Nothing of it stops those who only look at the present.
    let output = ended(&mut env.command(&["status"]));
    assert!(output.status.success() && output.stderr.is_empty());
}
