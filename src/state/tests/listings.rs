//! What a second listing changes: a table of pairs.

use super::{at, cluster, guest, listing, node, server, vmid};
use crate::model::id::GuestKind;
use crate::model::inventory::server::{Address, Guest, Listing};
use crate::model::power::PowerState;
use crate::state::{Edit, GuestChange, GuestChangeKind, KnownGuest, State};

use PowerState::{Running, Stopped, Unknown};

fn put(state: &State, listing: &Listing, seconds: i64) -> Vec<GuestChange> {
    let power = state.record_listing(&cluster("ca:1"), listing, &server("pve1"), at(seconds)).unwrap().power;
    let mut changes = state.take_changes(&cluster("ca:1")).unwrap();
    changes.extend(power);
    changes.sort_by_key(|change| change.vmid);
    changes
}

fn known(state: &State, number: u32) -> KnownGuest {
    let guests = state.guests(&cluster("ca:1")).unwrap();
    guests.into_iter().find(|guest| guest.vmid == vmid(number)).unwrap()
}

/// As a listing shows a guest of a dead node: without name, settings or state.
fn blank(number: u32, on: &str) -> Guest {
    Guest { name: None, tags: [].into(), raw_status: "unknown".into(), ..guest(number, on, Unknown) }
}

fn changed(change: impl FnOnce(&mut Guest)) -> Guest {
    let mut changed = guest(101, "pve1", Running);
    change(&mut changed);
    changed
}

const ALL_ONLINE: [(&str, bool); 2] = [("pve1", true), ("pve2", true)];

/// A name, the nodes, the guests, what changed, and whether the guest is gone.
type Case<'a> = (&'a str, &'a [(&'a str, bool)], Vec<Guest>, Vec<GuestChangeKind>, bool);

#[test]
fn what_a_second_listing_says() {
    let here = || guest(101, "pve1", Running);
    let moved = GuestChangeKind::Moved { from: node("pve1"), to: node("pve2") };
    let renamed = GuestChangeKind::Renamed { from: "guest101".into(), to: "web".into() };
    let power = GuestChangeKind::Power { from: Running, to: Stopped };
    let edited = |field: &str, from, to| GuestChangeKind::edited(Edit::of(field, from, to).into_iter().collect());
    let replaced = GuestChangeKind::Replaced { from: GuestKind::Qemu, name: None };
    let only_1 = [("pve1", true)];
    let (dead_1, dead_2) = ([("pve1", false), ("pve2", true)], [("pve1", true), ("pve2", false)]);
    // First listing: guest 101 runs on pve1, both nodes are online.
    let cases: Vec<Case<'_>> = vec![
        ("the same", &ALL_ONLINE, vec![here()], vec![], false),
        ("twice in one listing", &ALL_ONLINE, vec![guest(101, "pve2", Stopped), here()], vec![], false),
        ("moved", &ALL_ONLINE, vec![guest(101, "pve2", Running)], vec![moved.clone()], false),
        ("stopped", &ALL_ONLINE, vec![guest(101, "pve1", Stopped)], vec![power.clone()], false),
        ("moved and stopped", &ALL_ONLINE, vec![guest(101, "pve2", Stopped)], vec![moved.clone(), power], false),
        ("renamed", &ALL_ONLINE, vec![changed(|g| g.name = Some("web".into()))], vec![renamed], false),
        ("locked", &ALL_ONLINE, vec![changed(|g| g.lock = Some("backup".into()))], vec![], false),
        (
            "tagged",
            &ALL_ONLINE,
            vec![changed(|g| g.tags = ["a".into()].into())],
            vec![edited("tags", Some("a;b"), Some("a"))],
            false,
        ),
        (
            "the same tags in another order",
            &ALL_ONLINE,
            vec![changed(|g| g.tags = ["b".into(), "a".into()].into())],
            vec![],
            false,
        ),
        (
            "in a pool",
            &ALL_ONLINE,
            vec![changed(|g| g.pool = Some("p".into()))],
            vec![edited("pool", None, Some("p"))],
            false,
        ),
        (
            "a template",
            &ALL_ONLINE,
            vec![changed(|g| g.template = true)],
            vec![edited("template", Some("no"), Some("yes"))],
            false,
        ),
        (
            "managed",
            &ALL_ONLINE,
            vec![changed(|g| g.ha_state = Some("started".into()))],
            vec![edited("ha_state", None, Some("started"))],
            false,
        ),
        ("another kind", &ALL_ONLINE, vec![changed(|g| g.kind = GuestKind::Lxc)], vec![replaced], false),
        ("missing, all online", &ALL_ONLINE, vec![], vec![GuestChangeKind::Gone], true),
        ("missing, its node online", &dead_2, vec![], vec![GuestChangeKind::Gone], true),
        ("missing, its node dead", &dead_1, vec![], vec![], false),
        ("missing, its node left the cluster", &[("pve2", true)], vec![], vec![GuestChangeKind::Gone], true),
        ("missing, its node unlisted, another dead", &[("pve2", false)], vec![], vec![], false),
        ("missing, nothing listed", &[], vec![], vec![], false),
        ("a dead node's guest", &dead_1, vec![blank(101, "pve1")], vec![], false),
        ("a blank guest that moved", &dead_2, vec![blank(101, "pve2")], vec![moved], false),
        ("the node alone", &only_1, vec![here()], vec![], false),
    ];
    for (case, nodes, guests, want, gone) in cases {
        let state = State::in_memory().unwrap();
        let first = put(&state, &listing(&ALL_ONLINE, vec![here()]), 0);
        assert_eq!(first.iter().map(|change| &change.what).collect::<Vec<_>>(), [&GuestChangeKind::New], "{case}");
        let got = put(&state, &listing(nodes, guests), 10);
        assert!(got.iter().all(|change| change.vmid == vmid(101) && change.name.is_some()), "{case}");
        assert_eq!(got.into_iter().map(|change| change.what).collect::<Vec<_>>(), want, "{case}");
        let known = known(&state, 101);
        assert_eq!(known.gone_at, gone.then(|| at(10)), "{case}");
        assert!(known.name.is_some() && !known.tags.is_empty(), "{case}");
        assert_ne!(known.known_state, Unknown, "{case}");
        // What was said once is not said again, except that nothing is known of a listing without nodes.
        let events = state.events(at(0)).unwrap().len();
        assert_eq!(
            events,
            usize::from(want.iter().any(|what| matches!(what, GuestChangeKind::Power { .. }))),
            "{case}"
        );
    }
}

#[test]
fn nobody_is_gone_by_a_listing_that_could_not_be_read_whole() {
    let state = State::in_memory().unwrap();
    let both = || vec![guest(101, "pve1", Running), guest(102, "pve2", Running)];
    put(&state, &listing(&ALL_ONLINE, both()), 0);
    state.put_identity(&cluster("ca:1"), vmid(101), "uuid:x", at(0)).unwrap();
    let torn = Listing { unreadable: 1, ..listing(&ALL_ONLINE, vec![guest(102, "pve2", Running)]) };
    let recorded = state.record_listing(&cluster("ca:1"), &torn, &server("pve1"), at(10)).unwrap();
    assert_eq!((recorded.power, recorded.complete), (vec![], false));
    assert_eq!(state.take_changes(&cluster("ca:1")).unwrap(), []);
    let kept = known(&state, 101);
    assert_eq!((kept.gone_at, kept.name.as_deref(), kept.last_seen), (None, Some("guest101"), at(0)));
    assert!(state.identity(&cluster("ca:1"), vmid(101)).unwrap().is_some());
    // The same rows, and all of them could be read: now it is gone.
    let whole = Listing { unreadable: 0, ..torn };
    assert_eq!(put(&state, &whole, 20)[0].what, GuestChangeKind::Gone);
}

#[test]
fn a_dead_node_and_its_guests() {
    let state = State::in_memory().unwrap();
    let dead = [("pve1", false), ("pve2", true)];
    put(&state, &listing(&ALL_ONLINE, vec![guest(101, "pve1", Running), guest(102, "pve2", Running)]), 0);
    for second in [300, 600] {
        let changes = put(&state, &listing(&dead, vec![blank(101, "pve1"), guest(102, "pve2", Running)]), second);
        assert_eq!(changes, []);
        let guest = known(&state, 101);
        assert_eq!((guest.state, guest.known_state, guest.changed_at), (Unknown, Running, at(0)));
        assert_eq!((guest.name.as_deref(), guest.raw.as_str()), (Some("guest101"), "unknown"));
    }
    // Back, and another state than before the node died: that is a change of power.
    let changes =
        put(&state, &listing(&ALL_ONLINE, vec![guest(101, "pve1", Stopped), guest(102, "pve2", Running)]), 900);
    assert_eq!(
        changes.into_iter().map(|c| c.what).collect::<Vec<_>>(),
        [GuestChangeKind::Power { from: Running, to: Stopped }]
    );
    assert_eq!(known(&state, 101).changed_at, at(900));
    assert_eq!(state.events(at(0)).unwrap().len(), 1);
}

#[test]
fn a_guest_that_goes_and_returns() {
    let state = State::in_memory().unwrap();
    let with = |state| listing(&ALL_ONLINE, vec![guest(101, "pve1", state), guest(102, "pve2", Running)]);
    let without = listing(&ALL_ONLINE, vec![guest(102, "pve2", Running)]);
    let address = Address { ip: "10.0.0.9".parse().unwrap(), prefix: None, interface: "eth0".into(), mac: None };
    put(&state, &with(Running), 0);
    state.record_addresses(&cluster("ca:1"), &[(vmid(101), vec![address])], at(1)).unwrap();
    put(&state, &with(Running), 10);
    assert_eq!(known(&state, 101).last_seen, at(10));
    let gone = put(&state, &without, 20);
    assert_eq!((gone.len(), &gone[0].what, gone[0].name.as_deref()), (1, &GuestChangeKind::Gone, Some("guest101")));
    assert_eq!(put(&state, &without, 30), []);
    let guest = known(&state, 101);
    assert_eq!((guest.gone_at, guest.last_seen, guest.addresses.len()), (Some(at(20)), at(10), 1));
    let back = put(&state, &with(Stopped), 40);
    let back: Vec<_> = back.into_iter().map(|change| change.what).collect();
    assert_eq!(back, [GuestChangeKind::Returned, GuestChangeKind::Power { from: Running, to: Stopped }]);
    let guest = known(&state, 101);
    assert_eq!((guest.gone_at, guest.last_seen, guest.first_seen), (None, at(40), at(0)));
    assert_eq!((guest.addresses, guest.addresses_at), (vec![], None), "another guest may have the number now");
    assert_eq!(known(&state, 102).last_seen, at(40));
}

#[test]
fn a_missing_guest_of_a_dead_node_keeps_when_it_was_seen() {
    let state = State::in_memory().unwrap();
    let dead = [("pve1", false), ("pve2", true)];
    put(&state, &listing(&ALL_ONLINE, vec![guest(101, "pve1", Running)]), 0);
    put(&state, &listing(&dead, vec![]), 10);
    put(&state, &listing(&dead, vec![]), 20);
    assert_eq!((known(&state, 101).last_seen, known(&state, 101).gone_at), (at(0), None));
    assert_eq!(put(&state, &listing(&ALL_ONLINE, vec![guest(101, "pve1", Running)]), 30), []);
    assert_eq!(known(&state, 101).last_seen, at(30));
    put(&state, &listing(&dead, vec![]), 40);
    assert_eq!(put(&state, &listing(&ALL_ONLINE, vec![]), 50)[0].what, GuestChangeKind::Gone);
    assert_eq!((known(&state, 101).last_seen, known(&state, 101).gone_at), (at(30), Some(at(50))));
}

#[test]
fn late_answers_and_wrong_clocks() {
    let year = 365 * 86400;
    let running = listing(&ALL_ONLINE, vec![guest(101, "pve1", Running)]);
    let stopped = listing(&ALL_ONLINE, vec![guest(101, "pve1", Stopped)]);
    // When the first (running) and the second (stopped) were asked for, and whether the second counts.
    let cases = [
        (0, 0, true),
        (0, 60, true),
        (60, 0, false),  // a parallel run that asked earlier and was slower
        (year, 0, true), // the clock was a year ahead
        (0, year, true),
    ];
    for (first, second, counts) in cases {
        let state = State::in_memory().unwrap();
        put(&state, &running, first);
        assert_eq!(put(&state, &stopped, second).len(), usize::from(counts), "{first} {second}");
        let want = if counts { (Stopped, second) } else { (Running, first) };
        assert_eq!((known(&state, 101).state, known(&state, 101).last_seen), (want.0, at(want.1)), "{first} {second}");
    }
}

#[test]
fn changes_read_well_as_json() {
    let state = State::in_memory().unwrap();
    put(&state, &listing(&ALL_ONLINE, vec![guest(101, "pve1", Running)]), 0);
    let changes = put(&state, &listing(&ALL_ONLINE, vec![guest(101, "pve2", Running)]), 1);
    let want =
        r#"[{"vmid":101,"kind":"qemu","name":"guest101","node":"pve2","change":"moved","from":"pve1","to":"pve2"}]"#;
    assert_eq!(serde_json::to_string(&changes).unwrap(), want);
}
