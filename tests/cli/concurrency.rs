//! Many runs on one state file, and runs that are killed at any moment.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecobox_sim::Sim;

use super::env::Env;
use super::fleets::{api, cluster, env_for, full_token, three};

/// How many run at a time.
const AT_ONCE: usize = 8;

#[test]
fn two_hundred_runs_at_once_lose_nothing() {
    const RUNS: usize = 200;
    let clusters: Vec<Sim> = (0..5_u32)
        .map(|i| {
            let one = cluster("one").node("pve");
            let vm = |one: ecobox_sim::Cluster, j| {
                one.vm(100 + 10 * i + j, &format!("vm-{i}-{j}"), |vm| vm.running().agent_ip("10.99.0.7"))
            };
            Sim::start((0..5).fold(one, vm))
        })
        .collect();
    let mut env = Env::new();
    env.config(&(0..).zip(&clusters).map(|(i, sim)| api(&format!("h{i}"), sim, "pve")).collect::<String>());
    for i in 0..5 {
        env.set(&format!("ECOBOX_TOKEN_H{i}"), full_token());
    }
    let next = AtomicUsize::new(0);
    let (env, next) = (&env, &next);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(move || {
                loop {
                    let run = next.fetch_add(1, Ordering::SeqCst);
                    if run >= RUNS {
                        break;
                    }
                    let host = format!("h{}", run % 5);
                    // Each discover of one host, each status of all.
                    let args = if run.is_multiple_of(2) { ["discover", &host, "-q"] } else { ["status", "-o", "json"] };
                    let _ = env.run(&args).exits(0);
                }
            });
        }
    });
    assert_eq!(env.rows("SELECT count(*) FROM guests WHERE gone_at IS NULL AND addresses IS NOT NULL"), ["25"]);
    assert_eq!(env.rows("SELECT count(*) FROM members"), ["5"]);
    assert_eq!(env.rows("SELECT count(DISTINCT cluster) FROM members"), ["5"]);
    assert_eq!(env.rows("SELECT count(*) FROM events"), ["0"]);
    // Also of two runs that end in one millisecond.
    assert_eq!(env.rows("SELECT count(*) FROM checks"), ["600"]);
    assert_eq!(env.rows("PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn killed_at_any_moment_the_state_file_opens() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["discover"]).exits(0);
    let known = env.rows("SELECT vmid FROM guests");
    // As long as a run takes.
    let begun = std::time::Instant::now();
    let _ = env.run(&["status"]).exits(0);
    let whole = begun.elapsed();
    for round in 0..30_u32 {
        let args = if round % 2 == 0 { ["discover", "-q"] } else { ["status", "-q"] };
        let mut child = env.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Thirty moments over the length of a run; a busy wait, for the moment is the point.
        let until = std::time::Instant::now() + whole * round / 30;
        while std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
        let run = env.run(&["status", "--cached", "-o", "json"]).exits(0);
        assert_eq!(run.stderr, "", "{run}");
        assert_eq!(
            run.states().iter().filter(|line| line.contains("-vm-") || line.contains("-ct-")).count(),
            4,
            "{run}"
        );
    }
    assert_eq!(env.rows("SELECT vmid FROM guests"), known);
    assert_eq!(env.rows("PRAGMA integrity_check"), ["ok"]);
}

/// The very first runs make the file: killed meanwhile, or all at once.
#[test]
fn killed_while_the_file_is_made() {
    let sim = three();
    for round in 0..10_u32 {
        let env = env_for(&sim, &["pve1"]);
        let mut child = env.command(&["status"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_millis(4) * round;
        while std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(env.run(&["status"]).exits(0).stderr, "");
    }
}

#[test]
fn the_first_runs_at_once_make_one_file() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| assert_eq!(env.run(&["status"]).exits(0).stderr, ""));
        }
    });
    assert_eq!(env.rows("SELECT count(*) FROM guests"), ["5"]);
}
