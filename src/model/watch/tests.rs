use super::*;
use crate::model::inventory::ServiceCheck;
use crate::model::inventory::server::ServiceType;
use crate::model::inventory::tests::server;
use crate::model::load::usage::Count;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn lab() -> ClusterId {
    ClusterId::of_host(&id("pve1"))
}

fn id(text: &str) -> ServerId {
    text.parse().unwrap()
}

/// A host of the cluster.
fn host(name: &str, state: PowerState) -> Server {
    let mut host = server(name, None, None);
    host.cluster = Some(lab());
    host.seen.state = state;
    host
}

/// A guest on a host, with what its services answer.
fn guest(parent: &str, vmid: u32, state: PowerState, services: &[(&str, Option<bool>)]) -> Server {
    let mut guest = server(&format!("{parent}-vm-{vmid}"), Some(parent), Some(vmid));
    guest.cluster = Some(lab());
    guest.seen.state = state;
    let check = |(name, open): &(&str, Option<bool>)| ServiceCheck {
        name: (*name).to_owned(),
        port: 80,
        kind: ServiceType::Http,
        open: *open,
        response_seconds: None,
        error: None,
    };
    guest.seen.checks = services.iter().map(check).collect();
    guest
}

fn plain(name: &str, state: PowerState) -> Server {
    let mut plain = server(name, None, None);
    plain.seen.state = state;
    plain
}

fn in_flight(action: &str) -> InFlight {
    InFlight { action: action.to_owned(), since: NOW, until: Timestamp::MAX, by: "root".to_owned() }
}

fn failed(server: &str, kind: FailureKind, message: &str) -> Failed {
    Failed { server: id(server), kind, message: message.to_owned(), advice: None, about: None }
}

/// What is configured and remembered: `nas` between the hosts of one cluster.
fn watched() -> Watched {
    let servers = vec![
        host("pve1", PowerState::Online),
        guest("pve1", 101, PowerState::Running, &[]),
        plain("nas", PowerState::Online),
        host("pve2", PowerState::Online),
    ];
    let mut watched = Watched::new(Inventory { servers, failures: Vec::new(), unasked: Vec::new(), torn: Vec::new() });
    assert_eq!(watched.parts(vec![Part::Cluster(lab()), Part::Server(id("nas"))]), []);
    watched
}

fn look_at_lab(watched: &mut Watched, servers: Vec<Server>, failures: Vec<Failed>) -> Vec<String> {
    said(&watched.look(Look { part: Part::Cluster(lab()), servers, failures, at: NOW }))
}

fn look_at_nas(watched: &mut Watched, state: PowerState, failures: Vec<Failed>) -> Vec<String> {
    let servers = vec![plain("nas", state)];
    said(&watched.look(Look { part: Part::Server(id("nas")), servers, failures, at: NOW }))
}

fn said(changes: &[Change]) -> Vec<String> {
    let one = |change: &Change| match change {
        Change::Added { id } => format!("added {}", id.as_str()),
        Change::Gone { server } => format!("gone {}", server.id.as_str()),
        Change::Moved { id, from } => format!("moved {} {}", from.as_str(), id.as_str()),
        Change::State { id, from, to } => format!("state {} {from} {to}", id.as_str()),
        Change::Service { id, service, from, to } => format!("service {} {service} {from:?} {to}", id.as_str()),
        Change::Action { id, from, to } => {
            let word = |action: &Option<InFlight>| action.as_ref().map_or("-".to_owned(), |a| a.action.clone());
            format!("action {} {} {}", id.as_str(), word(from), word(to))
        }
        Change::Failure(failed) => format!("failure {} {}", failed.server.as_str(), failed.message),
        Change::Recovered { id } => format!("recovered {}", id.as_str()),
    };
    changes.iter().map(one).collect()
}

fn order(watched: &Watched) -> Vec<String> {
    watched.inventory().servers.iter().map(|s| format!("{}{}", "  ".repeat(s.depth), s.id.as_str())).collect()
}

#[test]
fn what_changed_between_two_looks_is_said_once() {
    use PowerState::{Running, Stopped, Unknown};
    type Case<'a> = (&'a str, fn(&mut Vec<Server>), &'a [&'a str]);
    let base = || {
        vec![
            host("pve1", PowerState::Online),
            guest("pve1", 101, Running, &[("http", Some(true))]),
            guest("pve1", 102, Stopped, &[]),
        ]
    };
    let cases: [Case<'_>; 13] = [
        ("nothing", |_| {}, &[]),
        ("numbers", |s| s[1].seen.usage.cpu_percent = Some(50.0), &[]),
        ("a name and an age", |s| (s[1].name, s[1].seen.age_seconds) = ("x".to_owned(), Some(9)), &[]),
        ("a state", |s| s[2].seen.state = Running, &["state pve1-vm-102 stopped running"]),
        ("a host", |s| s[0].seen.state = Unknown, &["state pve1 online unknown"]),
        ("closed", |s| s[1].seen.checks[0].open = Some(false), &["service pve1-vm-101 http Some(true) false"]),
        ("not asked", |s| s[1].seen.checks[0].open = None, &[]),
        ("no more asked", |s| s[1].seen.checks.clear(), &[]),
        (
            "started, and its service answers",
            |s| s[2] = guest("pve1", 102, Running, &[("ssh", Some(true))]),
            &["state pve1-vm-102 stopped running", "service pve1-vm-102 ssh None true"],
        ),
        ("new", |s| s.push(guest("pve1", 103, Running, &[("http", Some(true))])), &["added pve1-vm-103"]),
        ("gone", |s| drop(s.remove(1)), &["gone pve1-vm-101"]),
        ("moved", |s| s[1] = guest("pve2", 101, Running, &[("http", Some(true))]), &["moved pve1-vm-101 pve2-vm-101"]),
        ("in flight", |s| s[2].seen.action = Some(in_flight("start").into()), &["action pve1-vm-102 - start"]),
    ];
    for (what, change, want) in cases {
        let mut watched = watched();
        look_at_lab(&mut watched, base(), Vec::new());
        assert_eq!(look_at_lab(&mut watched, base(), Vec::new()), [] as [&str; 0], "{what}");
        let mut after = base();
        change(&mut after);
        assert_eq!(look_at_lab(&mut watched, after.clone(), Vec::new()), want, "{what}");
        assert_eq!(look_at_lab(&mut watched, after, Vec::new()), [] as [&str; 0], "{what}");
    }
}

#[test]
fn an_action_that_ends_is_said_before_the_state_that_it_made() {
    let mut watched = watched();
    let mut starting = guest("pve1", 101, PowerState::Stopped, &[]);
    starting.seen.action = Some(in_flight("start").into());
    look_at_lab(&mut watched, vec![host("pve1", PowerState::Online), starting], Vec::new());
    let running = guest("pve1", 101, PowerState::Running, &[]);
    let changes = look_at_lab(&mut watched, vec![host("pve1", PowerState::Online), running], Vec::new());
    assert_eq!(changes, ["action pve1-vm-101 start -", "state pve1-vm-101 stopped running"]);
}

#[test]
fn the_order_is_the_configurations_whoever_answers_first() {
    let mut watched = watched();
    let all = ["pve1", "  pve1-vm-101", "nas", "pve2"];
    assert_eq!(order(&watched), all);
    let cluster = || {
        vec![
            host("pve1", PowerState::Online),
            host("pve2", PowerState::Online),
            guest("pve2", 102, PowerState::Running, &[]),
            guest("pve1", 101, PowerState::Running, &[]),
            guest("pve1", 100, PowerState::Running, &[]),
        ]
    };
    let all = ["pve1", "  pve1-vm-100", "  pve1-vm-101", "nas", "pve2", "  pve2-vm-102"];
    look_at_nas(&mut watched, PowerState::Online, Vec::new());
    look_at_lab(&mut watched, cluster(), Vec::new());
    assert_eq!(order(&watched), all);
    look_at_nas(&mut watched, PowerState::Online, Vec::new());
    assert_eq!(order(&watched), all);
}

#[test]
fn a_round_is_a_look_at_everything() {
    let mut watched = watched();
    assert_eq!(watched.rounds(), 0);
    for _ in 0..3 {
        look_at_nas(&mut watched, PowerState::Online, Vec::new());
    }
    assert_eq!(watched.rounds(), 0);
    look_at_lab(&mut watched, vec![host("pve1", PowerState::Online)], Vec::new());
    assert_eq!(watched.rounds(), 1);
    assert_eq!(Watched::default().rounds(), 0);
}

#[test]
fn who_fails_is_said_until_it_recovers() {
    use FailureKind::{Denied, Unreachable};
    use PowerState::{Offline, Online};
    let mut watched = watched();
    let fails = |kind, message: &str| vec![failed("nas", kind, message)];
    for (state, failures, want) in [
        (
            Offline,
            fails(Unreachable, "no answer within 4.9 s"),
            &["state nas online offline", "failure nas no answer within 4.9 s"][..],
        ),
        (Offline, fails(Unreachable, "no answer within 5.1 s"), &[]),
        // Another look at another part has nothing to do with it.
        (Online, fails(Denied, "refused"), &["state nas offline online", "failure nas refused"]),
        (Online, Vec::new(), &["recovered nas"]),
        (Online, Vec::new(), &[]),
    ] {
        assert_eq!(look_at_nas(&mut watched, state, failures), want);
        assert_eq!(
            look_at_lab(
                &mut watched,
                vec![host("pve1", Online), guest("pve1", 101, PowerState::Running, &[]), host("pve2", Online)],
                Vec::new()
            ),
            [] as [&str; 0]
        );
    }
}

#[test]
fn a_hosts_own_numbers_stand_beside_what_is_listed() {
    let usage = |cpu, memory| Usage { cpu_percent: cpu, memory_bytes: memory, ..Usage::default() };
    let load = |usage| Load { server: id("pve1"), source: Source::Ssh, usage, at: NOW };
    let listed = || {
        let mut one = host("pve1", PowerState::Online);
        (one.seen.usage, one.seen.usage_source) = (usage(Some(9.0), Some(Count::new(5))), Source::Api);
        vec![one, host("pve2", PowerState::Online), guest("pve1", 101, PowerState::Running, &[])]
    };
    let mut watched = watched();
    look_at_lab(&mut watched, listed(), Vec::new());
    assert_eq!(watched.load(load(Ok(usage(Some(7.0), None)))), []);
    let seen = |watched: &Watched| watched.inventory().servers[0].seen.clone();
    let want = (usage(Some(7.0), Some(Count::new(5))), Source::Ssh);
    assert_eq!((seen(&watched).usage, seen(&watched).usage_source), want);
    // The next look has only what is listed.
    look_at_lab(&mut watched, listed(), Vec::new());
    assert_eq!((seen(&watched).usage, seen(&watched).usage_source), want);
    // Of a host that is up, that its script fails is a failure of its own.
    let failure = || Err(failed("pve1", FailureKind::Denied, "no key"));
    assert_eq!(said(&watched.load(load(failure()))), ["failure pve1 no key"]);
    look_at_lab(&mut watched, listed(), Vec::new());
    assert_eq!(seen(&watched).usage_source, Source::Api);
    let off = || {
        let mut servers = listed();
        servers[0].seen.state = PowerState::Offline;
        servers
    };
    let silent = || vec![failed("pve1", FailureKind::Unreachable, "silent")];
    assert_eq!(look_at_lab(&mut watched, off(), silent()), ["state pve1 online offline", "failure pve1 silent"]);
    assert_eq!(watched.inventory().failures.len(), 1);
    assert_eq!(look_at_lab(&mut watched, listed(), Vec::new()), ["state pve1 offline online", "failure pve1 no key"]);
    assert_eq!(said(&watched.load(load(Ok(Usage::default())))), ["recovered pve1"]);
}

#[test]
fn of_two_numbers_the_newer_one_counts() {
    let later = |seconds| Timestamp::from_second(seconds).unwrap();
    let usage = |cpu, memory| Usage { cpu_percent: cpu, memory_bytes: memory, ..Usage::default() };
    let load = |seconds| {
        let usage = Ok(Usage { load: Some(0.5), ..usage(Some(7.0), None) });
        Load { server: id("pve1"), source: Source::Ssh, usage, at: later(seconds) }
    };
    let look = |watched: &mut Watched, seconds, usage| {
        let mut one = host("pve1", PowerState::Online);
        (one.seen.usage, one.seen.usage_source, one.seen.at) = (usage, Source::Api, Some(later(seconds)));
        look_at_lab(watched, vec![one], Vec::new());
    };
    let seen = |watched: &Watched| {
        let seen = &watched.inventory().servers[0].seen;
        (seen.usage.cpu_percent, seen.usage.memory_bytes.map(Count::get), seen.usage.load, seen.usage_source)
    };
    let mut watched = watched();
    look(&mut watched, 10, usage(Some(9.0), Some(Count::new(5))));
    watched.load(load(20));
    assert_eq!(seen(&watched), (Some(7.0), Some(5), Some(0.5), Source::Ssh));
    // What only the host itself tells stays.
    look(&mut watched, 30, usage(Some(99.0), Some(Count::new(6))));
    assert_eq!(seen(&watched), (Some(99.0), Some(6), Some(0.5), Source::Api));
    // A script that was overtaken.
    watched.load(load(25));
    assert_eq!(seen(&watched), (Some(99.0), Some(6), Some(0.5), Source::Api));
    watched.load(load(40));
    assert_eq!(seen(&watched), (Some(7.0), Some(6), Some(0.5), Source::Ssh));
    // A look that has no numbers takes none away.
    look(&mut watched, 50, Usage::default());
    assert_eq!(seen(&watched), (Some(7.0), None, Some(0.5), Source::Ssh));
}

#[test]
fn parts_that_are_no_more_take_their_servers_with_them() {
    let mut watched = watched();
    look_at_nas(&mut watched, PowerState::Offline, vec![failed("nas", FailureKind::Unreachable, "silent")]);
    let changes = said(&watched.parts(vec![Part::Cluster(lab())]));
    assert_eq!(changes, ["gone nas", "recovered nas"]);
    assert_eq!(order(&watched), ["pve1", "  pve1-vm-101", "pve2"]);
    // Whoever was asked before it was known changes nothing.
    assert_eq!(look_at_nas(&mut watched, PowerState::Online, Vec::new()), [] as [&str; 0]);
    // Only some are watched from the beginning: nobody is gone.
    let mut some = Watched::new(Inventory {
        servers: vec![plain("nas", PowerState::Online), plain("zbox", PowerState::Online)],
        ..Inventory::default()
    });
    assert_eq!(some.parts(vec![Part::Server(id("zbox"))]), []);
    assert_eq!(order(&some), ["zbox"]);
}

#[test]
fn an_age_is_the_time_since_it_was_seen() {
    let mut watched = watched();
    let mut nas = plain("nas", PowerState::Online);
    nas.seen.at = Some(NOW);
    watched.look(Look { part: Part::Server(id("nas")), servers: vec![nas], failures: Vec::new(), at: NOW });
    watched.age(Timestamp::from_second(90).unwrap());
    let ages: Vec<_> = watched.inventory().servers.iter().map(|server| server.seen.age_seconds).collect();
    assert_eq!(ages, [None, None, Some(90), None]);
    watched.age(Timestamp::from_second(-90).unwrap());
    assert_eq!(watched.inventory().servers[2].seen.age_seconds, None);
}
