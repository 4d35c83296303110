//! The life of a person with Proxmox VE, from the first command to the last: one text, two worlds. It runs against the
//! simulated cluster always, and against a real one where somebody names it:
//!
//! ```sh
//! ECOBOX_TEST_PVE=root@HOST:PORT ECOBOX_TEST_KEY=~/.ssh/id_ed25519 ECOBOX_TEST_GUESTS=vm-101,ct-201 cargo test real_pve
//! ```
//!
//! The guests are stopped, started, suspended and reset, snapshots of them are taken and rolled back to; the tokens of this machine are made and removed. PORT is SSH's;
//! `ECOBOX_TEST_API_PORT` says where the API is, if it is not 8006. `ECOBOX_TEST_VERBS=reboot,hibernate`: the guests obey a clean
//! end, and the memory of virtual machines can be saved; else these verbs are left out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use ecobox_sim::{Cluster, Guest};

use super::env::{Run, skipped};
use super::world::{World, until};

/// Locks a guest's configuration, or unlocks it.
type Lock = Box<dyn Fn(&str, bool)>;

/// A host that somebody lives with.
struct Place {
    world: World,
    /// Its entry in the configuration.
    entry: String,
    /// Guests that may be started and stopped: `vm-101`, `ct-201`.
    guests: Vec<String>,
    /// Whether they obey a clean end.
    reboots: bool,
    /// Whether the memory of virtual machines can be written to a storage.
    hibernates: bool,
    /// Runs `pveum` with these arguments on it.
    pveum: Box<dyn Fn(&str)>,
    /// Locks the configuration of a guest as a backup does (`true`), or unlocks it.
    lock: Lock,
    /// Gives its API a new certificate.
    renew: Box<dyn Fn()>,
}

impl Place {
    #[track_caller]
    fn run(&self, words: &str, code: i32) -> Run {
        self.world.run(&words.split(' ').collect::<Vec<_>>()).exits(code)
    }

    /// What `power` made of its one step, and the state that it saw.
    #[track_caller]
    fn power(&self, words: &str) -> String {
        let run = self.run(&format!("power {words} --yes -o json"), 0);
        let step = run.json()["steps"][0].clone();
        format!("{} {}", step["result"].as_str().unwrap_or("-"), step["state"].as_str().unwrap_or("-"))
    }

    /// What `status` says of one guest.
    #[track_caller]
    fn state(&self, guest: &str) -> String {
        let report = self.run(&format!("status {guest} -o json"), 0).json();
        report["servers"][0]["state"].as_str().unwrap_or("-").to_owned()
    }
}

fn a_life(place: &Place) {
    place.world.configure(&place.entry);
    let facts = place.run("init --accept-new -o json", 0).json();
    assert!(facts["servers"][0]["facts"]["product"]["node"].is_string(), "{facts:#}");
    let guest = &place.guests[0];

    // Each scope: what it may, and what it may not.
    place.run("setup-token --scope monitor", 0);
    place.run("setup-token --check", 0);
    place.run("discover", 0);
    // What is looked after is told to whoever may only look.
    place.run("check -w certificate<1d -w token<1d -w cpu>100 -c backup>9000d", 0);
    let before = place.state(guest);
    let word = if before == "running" { "stop" } else { "start" };
    let refused = place.world.run(&["power", word, guest, "--yes"]);
    assert!(matches!(refused.code, 4 | 11), "a monitor starts and stops nothing\n{refused}");
    assert_eq!(place.state(guest), before);
    for scope in ["full", "operator"] {
        place.run(&format!("setup-token --scope {scope}"), 0);
        place.run("setup-token --check", 0);
        let report = place.run("status -o json", 0).json();
        assert_eq!(report["servers"][0]["state"], "online", "{report:#}");
    }

    if place.hibernates {
        may_hibernate(place, guest);
    }
    for guest in &place.guests {
        right_after_its_opposite(place, guest);
        until_it_is(place, guest);
    }

    snapshots(place);
    nowhere_to_go(place);

    place.run("setup-token --rotate", 0);
    place.run("setup-token --check", 0);
    (place.renew)();
    // Whoever restarts is away for a moment.
    until(|| place.world.run(&["status"]).code == 0);
    place.run("discover", 0);
    let first = &place.guests[0];
    place.power(&format!("stop {first}"));
    assert_eq!(place.power(&format!("start {first}")), "done running");
    if place.hibernates {
        // What the token was given besides, the new one has, too.
        assert_eq!(place.power(&format!("hibernate {first}")), "done hibernated");
        assert_eq!(place.power(&format!("start {first}")), "done running");
        (place.pveum)("acl delete / --users ecobox@pve --roles EcoboxHibernate");
    }

    place.run("setup-token --revoke", 0);
    let refused = place.world.run(&["status"]);
    assert!(matches!(refused.code, 4 | 5 | 8), "without a token nobody tells of guests\n{refused}");
}

/// What no operator may, a manager may: the line that the refusal names gives it.
fn snapshots(place: &Place) {
    let first = &place.guests[0];
    let refused = place.run(&format!("snapshot create {first} --name ecobox-test"), 4);
    assert!(refused.stderr.contains("VM.Snapshot on /vms/"), "{refused}");
    let line = refused.stderr.split('`').find(|part| part.contains("--scope manager")).expect("the line that gives it");
    place.run(line.strip_prefix("ecobox ").unwrap(), 0);
    place.run("setup-token --check --scope manager", 0);
    for guest in &place.guests {
        of_guest(place, guest);
    }
    place.run("setup-token --scope operator", 0);
}

/// What became of the one step.
#[track_caller]
fn snapshot(place: &Place, words: &str) -> String {
    let run = place.run(&format!("snapshot {words} -o json"), 0);
    let step = run.json()["steps"][0].clone();
    format!("{} {}", step["result"].as_str().unwrap_or("-"), step["state"].as_str().unwrap_or("-"))
}

fn of_guest(place: &Place, guest: &str) {
    let names = || {
        let report = place.run(&format!("snapshot list {guest} -o json"), 0).json();
        let list = report["snapshots"].as_array().unwrap().clone();
        list.iter().filter_map(|entry| Some(entry["snapshot"].as_str()?.to_owned())).collect::<Vec<_>>()
    };
    assert!(!names().contains(&"ecobox-test".to_owned()));
    place.power(&format!("start {guest}"));
    let create = format!("snapshot create {guest} --name ecobox-test --description first --label test");
    (place.lock)(guest, true);
    let locked = place.run(&create, 11);
    (place.lock)(guest, false);
    assert!(locked.stderr.contains("is locked (backup)"), "{locked}");
    let made = place.world.run(&create.split(' ').collect::<Vec<_>>());
    if made.code == 11 && made.stderr.contains("snapshot-unsupported") {
        skipped(&format!("{guest} is on a storage without snapshots: {}", made.stderr.trim()));
        return;
    }
    assert_eq!(made.code, 0, "{made}");
    assert_eq!(names(), ["ecobox-test"]);
    place.run(&create, 11);
    // Two more of the series, of which one stays.
    assert_eq!(snapshot(place, &format!("create {guest} --name ecobox-test-2 --label test")), "done running");
    place.run(&format!("snapshot create {guest} --name ecobox-test-3 --label test --keep 2"), 0);
    let mut left = names();
    left.sort();
    assert_eq!(left, ["ecobox-test-2", "ecobox-test-3"]);
    place.run(&format!("snapshot rollback ecobox-test-3 {guest} --dry-run"), 0);
    assert_eq!(snapshot(place, &format!("rollback ecobox-test-3 {guest} --yes")), "done stopped");
    assert_eq!(place.state(guest), "stopped");
    assert_eq!(snapshot(place, &format!("rollback ecobox-test-3 {guest} --start --yes")), "done running");
    assert_eq!(snapshot(place, &format!("delete ecobox-test-* {guest} --yes")), "done running");
    assert_eq!(names(), [""; 0]);
    place.run(&format!("snapshot delete ecobox-test {guest} --yes"), 7);
    place.run(&format!("snapshot rollback ecobox-test {guest} --yes"), 11);
}

/// A host that is in no cluster has no other node: what Proxmox VE says of that is said beforehand, and nothing is sent.
fn nowhere_to_go(place: &Place) {
    place.run("setup-token --scope manager", 0);
    place.run("setup-token --check", 0);
    let members = place.run("status -o json", 0).json();
    let node = |server: &serde_json::Value| server["kind"] == "pve";
    let alone = members["servers"].as_array().is_some_and(|all| all.iter().filter(|server| node(server)).count() == 1);
    for guest in place.guests.iter().filter(|_| alone) {
        let before = place.state(guest);
        for to in ["any", "nosuchnode"] {
            let refused = place.run(&format!("migrate {guest} --to {to} --restart --with-local-disks --yes"), 11);
            assert!(refused.stderr.contains("its cluster has no other node than"), "{refused}");
        }
        let report = place.run(&format!("status {guest} -o json"), 0).json();
        let own = report["servers"][0]["node"].as_str().unwrap_or("-").to_owned();
        let there = place.run(&format!("migrate {guest} --to {own} -o json"), 0);
        assert_eq!(there.json()["steps"][0]["result"], "already", "{there}");
        assert_eq!(place.state(guest), before);
    }
    place.run("setup-token --scope operator", 0);
}

/// To hibernate takes what no scope has: it is named, and given as README says.
fn may_hibernate(place: &Place, guest: &str) {
    let begin = place.power(&format!("start {guest}"));
    assert!(matches!(begin.as_str(), "done running" | "already running"), "{begin}");
    let refused = place.run(&format!("power hibernate {guest} --yes"), 4);
    assert!(refused.stderr.contains("VM.Config.Disk"), "{refused}");
    assert_eq!(place.state(guest), "running");
    let token = place.world.env.rows("SELECT token_id FROM tokens").remove(0);
    (place.pveum)("role add EcoboxHibernate --privs VM.Config.Disk,Datastore.AllocateSpace");
    (place.pveum)("acl modify / --users ecobox@pve --roles EcoboxHibernate");
    (place.pveum)(&format!("acl modify / --tokens {token} --roles EcoboxHibernate"));
}

/// Each verb right after its opposite, without a pause: what the listing says is always old.
fn right_after_its_opposite(place: &Place, guest: &str) {
    let verb = |verb: &str| place.power(&format!("{verb} {guest}"));
    // It may be in any state to begin with.
    let begin = verb("stop");
    assert!(matches!(begin.as_str(), "done stopped" | "already stopped"), "{begin}");
    let mut steps = vec![
        ("start", "done running"),
        ("start", "already running"),
        ("stop", "done stopped"),
        ("stop", "already stopped"),
        ("start", "done running"),
    ];
    if guest.starts_with("vm-") {
        steps.extend([
            ("suspend", "done paused"),
            ("suspend", "already paused"),
            ("resume", "done running"),
            ("suspend", "done paused"),
            ("start", "done running"),
            ("reset", "done running"),
            ("suspend", "done paused"),
            ("stop", "done stopped"),
            ("start", "done running"),
        ]);
    }
    steps.extend([("shutdown --then-stop", "done stopped"), ("start", "done running")]);
    if place.reboots {
        steps.extend([("reboot", "done running"), ("shutdown", "done stopped"), ("start", "done running")]);
        steps.extend([("reboot", "done running"), ("stop", "done stopped"), ("start", "done running")]);
    }
    if place.hibernates && guest.starts_with("vm-") {
        steps.extend([
            ("hibernate", "done hibernated"),
            ("hibernate", "already hibernated"),
            ("resume", "done running"),
            ("hibernate", "done hibernated"),
            ("start", "done running"),
            ("stop", "done stopped"),
            ("start", "done running"),
            ("hibernate", "done hibernated"),
            ("stop", "already hibernated"),
            ("resume", "done running"),
            ("suspend", "done paused"),
            ("resume", "done running"),
        ]);
    }
    for (number, (action, want)) in steps.iter().enumerate() {
        assert_eq!(verb(action), *want, "{guest}: step {number}, {action}");
        let state = want.rsplit(' ').next().unwrap();
        assert_eq!(place.state(guest), state, "{guest}: `status` after step {number}, {action}");
    }
}

/// A condition in a script, right after an action.
fn until_it_is(place: &Place, guest: &str) {
    for (action, is, is_not) in [("stop", "stopped", "running"), ("start", "running", "stopped")] {
        place.power(&format!("{action} {guest}"));
        place.run(&format!("watch --until {guest}={is_not} --interval 1s --count 1"), 10);
        place.run(&format!("watch --until {guest}={is} --interval 1s --timeout 60s"), 0);
    }
}

#[test]
fn with_the_simulated_one() {
    let world = World::new();
    let cluster = Cluster::new("single").node("pve1").thin_pool("local-lvm", 100 << 30, 9 << 30, 10);
    let cluster = cluster.vm(101, "web", |vm| vm.qcow2().running());
    let pve = world.cluster(cluster.ct(201, "dns", |ct| ct.volume("local-lvm:vm-201-disk-0")));
    let entry = pve.entries();
    let pve = std::rc::Rc::new(pve);
    let of = pve.clone();
    let renew = Box::new(move || {
        of.sim.cluster().renew_certificate("pve1", false);
        of.publish_certificates();
    });
    let guests = ["vm-101", "ct-201"].map(str::to_owned).to_vec();
    let of = pve.clone();
    let pveum = Box::new(move |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let outcome = of.sim.cluster().access().pveum(&words);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{line}");
    });
    let of = pve.clone();
    let lock = Box::new(move |guest: &str, locked: bool| {
        let vmid = guest.split_once('-').unwrap().1.parse().unwrap();
        let change = |guest: Guest| if locked { guest.locked("backup") } else { guest.unlocked() };
        of.sim.cluster().change_guest(vmid, change);
    });
    a_life(&Place { world, entry, guests, renew, reboots: true, hibernates: true, pveum, lock });
    assert_eq!(pve.tokens(), [""; 0], "nothing is left behind");
}

#[test]
fn with_a_real_one() {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let (Some(target), Some(key), Some(guests)) =
        (variable("ECOBOX_TEST_PVE"), variable("ECOBOX_TEST_KEY"), variable("ECOBOX_TEST_GUESTS"))
    else {
        skipped("ECOBOX_TEST_PVE, ECOBOX_TEST_KEY and ECOBOX_TEST_GUESTS name no Proxmox VE");
        return;
    };
    let (user, place) = target.split_once('@').expect("ECOBOX_TEST_PVE is user@host:port");
    let (host, port) = place.rsplit_once(':').expect("ECOBOX_TEST_PVE is user@host:port");
    let world = World::new();
    let own_key = world.env.home().join(".ssh/id_ed25519");
    fs::copy(&key, &own_key).unwrap();
    fs::set_permissions(&own_key, fs::Permissions::from_mode(0o600)).unwrap();
    let api_port = variable("ECOBOX_TEST_API_PORT").map(|port| format!("api_port = {port}\n")).unwrap_or_default();
    let entry = format!(
        "[[servers]]\nid = \"real\"\nhostname = \"{host}\"\nssh_user = \"{user}\"\nssh_port = {port}\n{api_port}"
    );
    let known = world.env.home().join("known");
    let (login, port) = (format!("{user}@{host}"), port.to_owned());
    let on_it = std::rc::Rc::new(move |command: &str| {
        let mut ssh = Command::new("ssh");
        ssh.arg("-i").arg(&own_key).args(["-p", &port, "-o", "BatchMode=yes"]);
        ssh.args(["-o", "StrictHostKeyChecking=accept-new"]);
        ssh.arg("-o").arg(format!("UserKnownHostsFile={}", known.display())).arg(&login);
        let done = ssh.arg(command).output().expect("ssh");
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    });
    let there = on_it.clone();
    let renew =
        Box::new(move || there("pvecm updatecerts --force && (systemctl restart pveproxy || pveproxy restart)"));
    let there = on_it.clone();
    let lock = Box::new(move |guest: &str, locked: bool| {
        let (kind, vmid) = guest.split_once('-').expect("vm-101 or ct-201");
        let tool = if kind == "ct" { "pct" } else { "qm" };
        there(&if locked { format!("{tool} set {vmid} --lock backup") } else { format!("{tool} unlock {vmid}") });
    });
    let pveum = Box::new(move |line: &str| on_it(&format!("pveum {}", line.replace('!', "'!'"))));
    let may = |word: &str| variable("ECOBOX_TEST_VERBS").is_some_and(|verbs| verbs.split(',').any(|verb| verb == word));
    let (reboots, hibernates) = (may("reboot"), may("hibernate"));
    let guests = guests.split(',').map(|guest| guest.trim().to_owned()).collect();
    a_life(&Place { world, entry, guests, reboots, hibernates, pveum, lock, renew });
}
