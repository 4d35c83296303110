//! Faults of this machine that need another program, or a past.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::super::doctor::{check, findings, finds, follow, found_and_fixed, healthy};
use super::super::env::skipped;
use super::super::hints::answering;

/// cron should run `discover` each minute, and has not run it for an hour. Programs of the system are found first, so that
/// a `crontab` is laid over them.
#[test]
fn cron_runs_discover_no_more() {
    const OVER: &str = "mount -t overlay overlay -o \"lowerdir=$HOME/over:/usr/sbin\" /usr/sbin";
    let (world, pve) = healthy();
    world.env.config(&format!("[dashboard]\nvm_discovery_interval = \"60s\"\n\n{}", pve.entries()));
    fs::create_dir(world.env.home().join("over")).unwrap();
    let crontab = world.env.home().join("over/crontab");
    fs::write(&crontab, "#!/bin/sh\n[ \"$1\" = -l ] && echo '* * * * * ecobox -q discover --if-stale'\n").unwrap();
    fs::set_permissions(&crontab, fs::Permissions::from_mode(0o755)).unwrap();
    if world.env.paste(&format!("unshare -rm sh -c '{OVER} && crontab -l'")).code != 0 {
        return skipped("no mount namespaces for this user here (unshare -rm, overlay)");
    }
    let doctor = || world.env.paste(&format!("exec unshare -rm sh -c '{OVER} && exec ecobox doctor -o json'"));
    assert_eq!(findings(&doctor()), [""; 0]);
    world.env.execute("UPDATE clusters SET discovered_at = discovered_at - 3600000");
    let run = doctor().exits(1);
    assert_eq!(findings(&run), ["discover-quiet - warning"], "{run}");
    let finding = check(&run, "discover-quiet", None)["finding"].as_str().unwrap().to_owned();
    assert_eq!(finding, "your crontab should run `ecobox discover` every minute; it ran 60 minutes ago");
    // Its job runs again.
    drop(world.env.paste("ecobox -q discover --if-stale").exits(0));
    assert_eq!(findings(&doctor()), [""; 0]);
}

/// The same of a timer, as the real systemctl tells of it: what says why it does not run is its own unit.
#[test]
fn a_timer_runs_discover_no_more() {
    let (mut world, _pve) = healthy();
    let units = world.env.home().join(".config/systemd/user");
    fs::create_dir_all(units.join("timers.target.wants")).unwrap();
    let unit = units.join("ecobox-discover.timer");
    fs::write(&unit, "[Timer]\nOnUnitActiveSec=300\n[Install]\nWantedBy=timers.target\n").unwrap();
    std::os::unix::fs::symlink(&unit, units.join("timers.target.wants/ecobox-discover.timer")).unwrap();
    // It reads the files itself, whoever runs there.
    world.env.set("SYSTEMCTL_INSTALL_CLIENT_SIDE", "1");
    if world.env.paste("systemctl --user is-enabled ecobox-discover.timer").stdout.trim() != "enabled" {
        return skipped("no systemctl that tells of a user's units");
    }
    drop(finds(&world, &[]));
    world.env.execute("UPDATE clusters SET discovered_at = discovered_at - 3600000");
    let run = finds(&world, &["discover-quiet - warning"]);
    let fix = check(&run, "discover-quiet", None)["fix"]["text"].as_str().unwrap().to_owned();
    assert_eq!(fix, "run `systemctl --user status ecobox-discover.timer`, which says why it does not run");
    drop(world.run(&["discover"]).exits(0));
    drop(finds(&world, &[]));
}

/// More than half of what may wait for Prometheus waits, and Prometheus is there: the next look sends it.
#[test]
fn numbers_are_piling_up() {
    let (world, pve) = healthy();
    let port = answering("204 No Content");
    let history = format!("[history]\nremote_write = \"http://127.0.0.1:{port}/api/v1/write\"\nqueue = \"64K\"\n");
    world.configure(&format!("{}\n{history}", pve.entries()));
    drop(finds(&world, &[]));
    world.env.execute("INSERT INTO outbox (at, body) VALUES (1, zeroblob(40000))");
    let run = finds(&world, &["queue-full - warning"]);
    let finding = check(&run, "queue-full", None)["finding"].as_str().unwrap().to_owned();
    assert!(finding.ends_with("for Prometheus are waiting"), "{finding}");
    // As it says: `queue` is raised.
    world.configure(&format!("{}\n{}", pve.entries(), history.replace("64K", "1M")));
    drop(finds(&world, &[]));
    // While Prometheus is away that is the cause.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.configure(&format!("{}\n{}", pve.entries(), history.replace(&port.to_string(), &closed.to_string())));
    let run = finds(&world, &["prometheus-away - problem"]);
    assert_eq!(check(&run, "queue-full", None)["because"], "prometheus-away");
}

/// The state file is damaged: it is said, and nothing is done to it. What is printed makes another one.
#[test]
fn a_damaged_state_file() {
    let (world, pve) = healthy();
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(world.env.state_path().with_file_name(file));
    }
    let mut bytes = fs::read(world.env.state_path()).unwrap();
    bytes[100..].fill(b'x');
    fs::write(world.env.state_path(), &bytes).unwrap();
    let run = finds(&world, &["state-damaged - problem"]);
    assert_eq!(fs::read(world.env.state_path()).unwrap(), bytes);
    follow(&world.env, &pve, &check(&run, "state-damaged", None));
    drop(world.run(&["discover"]).exits(0));
    // What was set aside still holds tokens: it is told of until it is deleted.
    found_and_fixed(&world, &pve, "state-leftovers - warning");
}

/// A configuration that others may write names commands that ecobox runs.
#[test]
fn a_configuration_that_others_may_write() {
    let (world, pve) = healthy();
    world.configure(&pve.entries().replacen("\n\n", "\ntoken_command = [\"true\"]\n\n", 1));
    fs::set_permissions(world.env.config_path(), fs::Permissions::from_mode(0o666)).unwrap();
    let run = world.run(&["doctor", "-o", "json"]).exits(12);
    assert_eq!(findings(&run), ["config-invalid - problem"], "{run}");
    follow(&world.env, &pve, &check(&run, "config-invalid", None));
    let run = world.run(&["doctor", "-o", "json"]);
    assert!(!findings(&run).contains(&"config-invalid - problem".to_owned()), "{run}");
}
