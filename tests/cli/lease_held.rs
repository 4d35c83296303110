//! What others see of a lease: the check `held`, the lock on the host, `hold`, `hold --list` and `release`.

use ecobox_sim::host::{Host, Rights};

use super::lease::{Waiting, events, kept, sleeping};
use super::world::{FAST, Served, World, assert_transcript, until};

/// The locks that the host shows to whoever asks there.
fn locks(nas: &Served) -> String {
    let call = "busctl --system call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager ListInhibitors";
    nas.host.run("root", call, "").stdout
}

macro_rules! assert_leases {
    ($name:expr, $run:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\b(run|hold|ssh) by [^,;]+, without a terminal", "$1 by USER, without a terminal");
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\dZ?", "WHEN");
        settings.add_filter(r"lease (\d+)-[0-9a-f]{6}", "lease $1-MACHINE");
        settings.add_filter(r"\b[a-z]+, without a terminal", "USER, without a terminal");
        settings.bind(|| assert_transcript!($name, $run));
    }};
}

#[test]
fn nobody_puts_to_sleep_what_is_held() {
    let world = World::new();
    let nas = sleeping(&world);
    let waiting = Waiting::begin(&world, &["run", "nas", "--reason", "nightly backup"]);
    assert_leases!("held_suspend", world.run(&["power", "suspend", "nas", "--yes"]).exits(11));
    for action in ["hibernate", "shutdown", "reboot"] {
        let _ = world.run(&["power", action, "nas", "--yes"]).exits(11).says("it is held: run by");
    }
    let run = world.run(&["power", "wake", "nas", "--dry-run"]).exits(0);
    assert!(!run.stderr.contains("held"), "{run}");
    assert_eq!(events(&nas), ["wake"]);
    // Its own lock is no other program's, and one may go past it.
    let run = world.run(&["power", "suspend", "nas", "--yes", "--allow", "held"]).exits(0);
    assert!(!run.stderr.contains("sleep-inhibited"), "{run}");
    assert_eq!(events(&nas), ["wake", "suspend"]);
    let run = waiting.end(&world).exits(7);
    assert_eq!(events(&nas), ["wake", "suspend"], "{run}");
}

#[test]
fn a_lock_on_the_host_shows_the_lease_to_others() {
    let world = World::new();
    let nas = sleeping(&world);
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    let seen = locks(&nas);
    assert!(seen.starts_with("a(ssssuu) 1 ") && seen.contains(r#""sleep:idle" "ecobox" "sh ("#), "{seen}");
    assert!(!seen.contains("began"), "arguments are nobody's business: {seen}");
    // Another machine's ecobox knows of it by the lock alone.
    let other = world.env.home().join("other.db").display().to_string();
    let run = world.run(&["--state", &other, "power", "suspend", "nas", "--yes"]).exits(11);
    assert_leases!("held_elsewhere", run);
    let _ = waiting.end(&world).exits(7);
    assert!(locks(&nas).starts_with("a(ssssuu) 0"));
}

#[test]
fn who_may_not_lock_is_told_and_who_knows_no_locks_is_not() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").login("bob", Rights::NoSudo).build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}{}", nas.entry_as("bob").trim_end(), nas.wol("")));
    let run = world.run(&["run", "nas", "--", "true"]).exits(0);
    let _ = run.says("other programs on nas do not see the lease: the login is not root");
    assert_eq!(world.run(&["-q", "run", "nas", "--", "true"]).exits(0).stderr, "");
    let world = World::new();
    let alpine = world.serve(Host::alpine("alpine").build());
    world.know(&alpine);
    world.configure(&format!("{FAST}{}", alpine.wakeable()));
    assert_eq!(world.run(&["run", "alpine", "--", "true"]).exits(0).stderr, "");
    // By sudo it can be locked.
    let world = World::new();
    let nas = world.serve(Host::debian("nas").login("anna", Rights::Sudo).build());
    world.know(&nas);
    world.configure(&format!("{FAST}{}{}", nas.entry_as("anna").trim_end(), nas.wol("")));
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    assert!(locks(&nas).contains("ecobox"));
    assert_eq!(waiting.end(&world).exits(7).stderr, "");
}

#[test]
fn a_hold_outlives_its_command_until_it_is_released() {
    let world = World::new();
    let nas = sleeping(&world);
    let run = world.run(&["hold", "nas", "--reason", "disk test", "-o", "json"]).exits(0);
    let lease = run.json()["leases"][0].clone();
    assert_eq!(
        (&lease["kind"], &lease["targets"][0], &lease["pid"]),
        (&"hold".into(), &"nas".into(), &().into()),
        "{run}"
    );
    assert_eq!(events(&nas), ["wake"]);
    // A unit that is started takes its lock a moment later.
    until(|| locks(&nas).contains(r#""ecobox" "disk test ("#));
    assert_leases!("hold_list", world.run(&["hold", "--list"]).exits(0));
    assert_leases!("hold_suspend", world.run(&["power", "suspend", "nas", "--yes"]).exits(11));
    // A command in between does not end it.
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0).says("nas stays up: hold by ");
    assert_eq!(events(&nas), ["wake"]);
    assert_leases!("release", world.run(&["release", "nas"]).exits(0));
    assert_eq!((events(&nas), kept(&world)), (vec!["wake".to_owned(), "suspend".to_owned()], (0, 0)));
    assert!(locks(&nas).starts_with("a(ssssuu) 0"), "{}", locks(&nas));
    assert_leases!("release_nothing", world.run(&["release"]).exits(0));
    let _ = world.run(&["hold"]).exits(2);
    let _ = world.run(&["hold", "nas", "--for", "2h", "--until", "23:00"]).exits(2);
    let _ = world.run(&["hold", "nobody"]).exits(7);
}

#[test]
fn a_hold_ends_at_its_time() {
    let world = World::new();
    let nas = sleeping(&world);
    let run = world.run(&["hold", "nas", "--for", "2h", "-o", "json"]).exits(0);
    assert!(run.json()["leases"][0]["until"].is_string(), "{run}");
    // Two hours later.
    world.env.execute("UPDATE leases SET until = until - 7200000");
    let list = world.run(&["hold", "--list", "-o", "json"]).exits(0).json();
    assert_eq!((list["leases"].as_array().unwrap().len(), &list["left"][0]["server"]), (0, &"nas".into()), "{list}");
    let _ = world.run(&["release"]).exits(0);
    assert_eq!((events(&nas), kept(&world).1), (vec!["wake".to_owned(), "suspend".to_owned()], 0));
}

#[test]
fn what_becomes_of_a_host_is_said_or_is_what_it_did_before() {
    let world = World::new();
    let nas = sleeping(&world);
    let _ = world.run(&["run", "nas", "--keep", "--", "true"]).exits(0);
    assert_eq!((events(&nas), kept(&world)), (vec!["wake".to_owned()], (0, 0)));
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(events(&nas), ["wake"], "nobody's lease woke it");
    let _ = world.run(&["power", "shutdown", "nas", "--yes"]).exits(0);
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(events(&nas), ["wake", "poweroff", "wake", "poweroff"], "as it was before");
    let _ = world.run(&["run", "nas", "--then", "suspend", "--", "true"]).exits(0);
    assert_eq!(events(&nas)[4..], ["wake", "suspend"]);
    // Who asks for it by hand meanwhile keeps it.
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    let _ = world.run(&["power", "wake", "nas"]).exits(0);
    let _ = waiting.end(&world).exits(7);
    assert_eq!((events(&nas).len(), kept(&world)), (7, (0, 0)));
}

#[test]
fn people_keep_it_awake_past_the_end() {
    let world = World::new();
    let nas = sleeping(&world);
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    nas.host.log_in("anna", "pts/0", "10.0.0.5");
    assert_leases!("run_people", waiting.end(&world).exits(7));
    assert_eq!((events(&nas), kept(&world)), (vec!["wake".to_owned()], (0, 1)));
    let run = world.run(&["release", "nas", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["result"], "needed", "{run}");
    // It is still up only because of a lease; once it is allowed, it sleeps.
    let _ = world.run(&["run", "nas", "--allow", "logged-in-users", "--", "true"]).exits(0);
    assert_eq!((events(&nas), kept(&world)), (vec!["wake".to_owned(), "suspend".to_owned()], (0, 0)));
}

#[test]
fn who_is_connected_keeps_it_awake_past_the_end() {
    let world = World::new();
    let nas = sleeping(&world);
    let waiting = Waiting::begin(&world, &["run", "nas"]);
    let line = |local: &str, remote: &str, state: &str| format!("0: {local} {remote} {state} 0:0 0:0 0 0 0 1\n");
    let listening = line("00000000:01BD", "00000000:0000", "0A");
    nas.host.write_file("proc/net/tcp", &(listening.clone() + &line("0A01A8C0:01BD", "0500000A:C001", "01")));
    assert_leases!("run_connected", waiting.end(&world).exits(7));
    assert_eq!(events(&nas), ["wake"]);
    // `power` itself asks for people and programs, not for connections.
    nas.host.write_file("proc/net/tcp", &listening);
    let _ = world.run(&["run", "nas", "--", "true"]).exits(0);
    assert_eq!(events(&nas), ["wake", "suspend"]);
}
