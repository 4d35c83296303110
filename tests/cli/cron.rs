//! What cron mails: with `-q` a trouble when it begins, changes or ends, and nothing while it lasts.

use ecobox_sim::Fault;

use super::env::{Env, Run};
use super::fleets::{CLOSED, Open, env_for, homelab, plain};

/// What was said besides the report.
fn mail(run: Run, code: i32) -> String {
    run.exits(code).stderr
}

#[test]
fn a_host_that_is_off_is_said_once() {
    let mut door = Some(Open::new());
    let port = door.as_ref().unwrap().port();
    let env = Env::new();
    env.config(&(plain("backup", CLOSED) + &plain("nas", port)));
    let look = |code| mail(env.run(&["-q", "status"]), code);
    assert_eq!(look(8), "warning: backup is offline: connection refused\n");
    assert_eq!(look(8), "");
    door.take();
    assert_eq!(look(5), "warning: nas is offline: connection refused\n");
    assert_eq!(look(5), "");
    // Whoever looks by hand sees all that is wrong.
    let by_hand = env.run(&["status"]).exits(5).stderr;
    assert!(by_hand.contains("backup is offline") && by_hand.contains("nas is offline"), "{by_hand}");
    assert_eq!(look(5), "");
    env.execute("UPDATE told SET since = since - 11400000");
    let awake = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert_eq!(look(8), "over after 3h10m: nas is offline: connection refused\n");
    assert_eq!(look(8), "");
    drop(awake);
    assert_eq!(look(5), "warning: nas is offline: connection refused\n");
}

#[test]
fn what_lasts_is_said_again_where_that_is_wanted() {
    let env = Env::new();
    env.config(&plain("backup", CLOSED));
    let look = || mail(env.run(&["-q", "--repeat", "24h", "status"]), 5);
    let said = "warning: backup is offline: connection refused\n";
    assert_eq!((look().as_str(), look().as_str()), (said, ""));
    env.execute("UPDATE told SET said_at = said_at - 23 * 3600000");
    assert_eq!(look(), "");
    env.execute("UPDATE told SET said_at = said_at - 3600000");
    assert_eq!((look().as_str(), look().as_str()), (said, ""));
    // It goes with `-q`, as all is said without.
    let _ = env.run(&["--repeat", "24h", "status"]).exits(2);
}

#[test]
fn another_trouble_of_a_host_is_news() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["-q", "status"]).exits(0);
    sim.node("pve1").fail(Fault::Status(401, "authentication failure".to_owned()));
    let first = mail(env.run(&["-q", "status"]), 4);
    assert!(first.contains("warning: pve1") && first.contains("hint: "), "{first}");
    assert_eq!(mail(env.run(&["-q", "status"]), 4), "");
    sim.node("pve1").heal();
    sim.node("pve1").fail(Fault::Status(500, "no space left".to_owned()));
    let second = mail(env.run(&["-q", "status"]), 1);
    assert!(second.contains("no space left") && !second.contains("over after"), "{second}");
    assert_eq!(mail(env.run(&["-q", "status"]), 1), "");
}

/// `discover` does not ask the plain server, nor any host when it is fresh: it ends no trouble that another command met.
#[test]
fn each_job_tells_for_itself() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&plain("nas", CLOSED));
    let _ = env.run(&["-q", "discover"]).exits(0);
    assert_eq!(mail(env.run(&["-q", "stats"]), 8), "warning: nas is offline: connection refused\n");
    for _ in 0..2 {
        assert_eq!(mail(env.run(&["-q", "discover", "--if-stale"]), 0), "");
        assert_eq!(mail(env.run(&["-q", "discover"]), 0), "");
        assert_eq!(mail(env.run(&["-q", "stats"]), 8), "");
        assert_eq!(mail(env.run(&["-q", "stats", "pve1"]), 0), "");
    }
    // One that failed, and was not asked since, has not ended.
    sim.node("pve1").fail(Fault::Status(500, "broken".to_owned()));
    assert_ne!(mail(env.run(&["-q", "discover"]), 1), "");
    assert_eq!(mail(env.run(&["-q", "discover", "--if-stale"]), 0), "");
    sim.node("pve1").heal();
    assert!(mail(env.run(&["-q", "discover"]), 0).starts_with("over after "));
    // Another configuration is another fleet, though it shares the state file.
    let other = env.home().join("other.toml");
    std::fs::write(&other, format!("[ssh]\nconfig = false\n\n{}", plain("nas", CLOSED))).unwrap();
    let other = other.to_str().unwrap();
    let run = env.run(&["-q", "--config", other, "stats"]);
    assert_eq!(mail(run, 5), "warning: nas is offline: connection refused\n");
    assert_eq!(mail(env.run(&["-q", "stats"]), 8), "");
    assert_eq!(mail(env.run(&["-q", "status", "--cached"]), 0), "");
}

#[test]
fn what_cannot_be_remembered_is_said_again() {
    let env = Env::new();
    env.config(&plain("backup", CLOSED));
    let _ = env.run(&["status"]).exits(5);
    let _reader = env.lengthen_log();
    for _ in 0..2 {
        let run = env.run_on_full_disk(0, &["-q", "status"]).exits(3);
        let _ = run.says("warning: backup is offline: connection refused");
    }
}
