//! Actions in flight, who a guest is, and files of the schema before both.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::{at, cluster, dump, folder, guest, key, listing, server, vmid, wake};
use crate::model::id::{GuestKind, VmId};
use crate::model::inventory::server::{Address, ServerKey};
use crate::model::power::PowerState;
use crate::model::power::outcome::{ActionOutcome, InFlight};
use crate::state::file::schema;
use crate::state::{Action, State};

fn state() -> State {
    State::in_memory().unwrap()
}

#[test]
fn an_action_is_in_flight_until_it_ends_or_its_time_is_over() {
    let state = state();
    let id = state.begin_action(&wake("nas", at(100), at(400))).unwrap();
    let in_flight = InFlight { action: "wake".into(), since: at(100), until: at(400), by: "root".into() };
    // Before its begin it is of a clock that was wrong.
    for (now, there, outcome) in [
        (99, false, "unknown outcome"),
        (100, true, "in flight"),
        (399, true, "in flight"),
        (400, false, "unknown outcome"),
        (86_400, false, "unknown outcome"),
    ] {
        let found = state.actions_in_flight(at(now)).unwrap();
        assert_eq!(found, there.then(|| (key("nas"), in_flight.clone())).into_iter().collect(), "{now}");
        assert_eq!(state.actions(at(0), at(now)).unwrap()[0].outcome, outcome, "{now}");
    }
    state.end_action(id, ActionOutcome::Unconfirmed, 300.5, Some("no answer in 300 s")).unwrap();
    assert_eq!(state.actions_in_flight(at(200)).unwrap().len(), 0);
    let ended = Action {
        at: at(100),
        server: Some(key("nas")),
        action: "wake".into(),
        by: "root".into(),
        outcome: "unconfirmed".into(),
        seconds: Some(300.5),
        detail: Some("no answer in 300 s".into()),
    };
    assert_eq!(state.actions(at(0), at(200)).unwrap(), std::slice::from_ref(&ended));
    // What was said first stays.
    state.end_action(id, ActionOutcome::Done, 301.0, None).unwrap();
    assert_eq!(state.actions(at(0), at(200)).unwrap(), [ended]);
    assert_eq!(state.lock().query_row("SELECT count(*) FROM in_flight", [], |row| row.get::<_, i64>(0)), Ok(0));
}

#[test]
fn an_outcome_may_come_after_the_deadline() {
    let state = state();
    let id = state.begin_action(&wake("nas", at(0), at(10))).unwrap();
    assert_eq!(state.actions(at(0), at(20)).unwrap()[0].outcome, "unknown outcome");
    state.end_action(id, ActionOutcome::Done, 25.0, None).unwrap();
    assert_eq!(state.actions(at(0), at(30)).unwrap()[0].outcome, "done");
}

#[test]
fn of_two_actions_on_one_server_the_later_is_told() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let (one, other) = (State::open(&path, at(0)).unwrap(), State::open(&path, at(0)).unwrap());
    let first = one.begin_action(&wake("nas", at(0), at(600))).unwrap();
    let mut suspend = wake("nas", at(5), at(600));
    suspend.action = "suspend".into();
    let second = other.begin_action(&suspend).unwrap();
    let told = |state: &State| state.actions_in_flight(at(9)).unwrap().remove(&key("nas")).map(|one| one.action);
    assert_eq!((told(&one).as_deref(), told(&other).as_deref()), (Some("suspend"), Some("suspend")));
    other.end_action(second, ActionOutcome::Refused, 0.1, None).unwrap();
    assert_eq!(told(&one).as_deref(), Some("wake"));
    one.end_action(first, ActionOutcome::Interrupted, 9.0, None).unwrap();
    assert_eq!(told(&other), None);
}

#[test]
fn what_is_in_flight_moves_with_its_cluster() {
    let state = state();
    let (old, new) = (cluster("host:pve1"), cluster("ca:99"));
    let key = |cluster| ServerKey::of_guest(cluster, vmid(101));
    let id = state.begin_action(&wake(&key(&old).0, at(0), at(60))).unwrap();
    state.rename_cluster(&old, &new).unwrap();
    assert_eq!(state.actions_in_flight(at(1)).unwrap().into_keys().collect::<Vec<_>>(), [key(&new)]);
    state.end_action(id, ActionOutcome::Done, 1.0, None).unwrap();
    assert_eq!(state.actions(at(0), at(1)).unwrap()[0].outcome, "done");
}

#[test]
fn a_guest_keeps_its_identity_until_it_is_gone() {
    let state = state();
    let home = cluster("host:pve1");
    let running = |number| guest(number, "pve1", PowerState::Running);
    let list = |guests, second| {
        let listing = listing(&[("pve1", true), ("pve2", false)], guests);
        state.record_listing(&home, &listing, &server("pve1"), at(second)).unwrap();
    };
    let known = |number: u32| state.identity(&home, vmid(number)).unwrap();
    let without = || state.guests_without_identity(&home).unwrap().into_iter().map(VmId::get).collect::<Vec<_>>();
    assert_eq!((known(101), without()), (None, vec![]));

    let mut elsewhere = running(103);
    elsewhere.node = "pve2".parse().unwrap();
    let mut template = running(900);
    template.template = true;
    list(vec![running(101), running(102), elsewhere.clone(), template], 0);
    assert_eq!(without(), [101, 102, 103]);
    for (number, second) in [(101, 1), (102, 1), (103, 1), (101, 2)] {
        state.put_identity(&home, vmid(number), &format!("uuid {number} {second}"), at(second)).unwrap();
    }
    assert_eq!((known(101), without()), (Some(("uuid 101 2".to_owned(), at(2))), vec![]));
    assert_eq!(state.identity(&cluster("host:pve2"), vmid(101)).unwrap(), None);

    // Renamed, stopped, moved: the same guest. One whose node is away may still be there.
    let mut changed = guest(101, "pve2", PowerState::Stopped);
    changed.name = Some("other".to_owned());
    list(vec![changed.clone(), running(102)], 10);
    assert!(known(101).is_some() && known(102).is_some() && known(103).is_some());
    // Gone, and another kind of guest under its number.
    let mut container = changed;
    container.kind = GuestKind::Lxc;
    list(vec![container], 20);
    assert_eq!((known(101), known(102), known(103).is_some()), (None, None, true));
    assert_eq!(without(), [101]);
    // It comes back: whether it is the same guest is not known.
    list(vec![running(102)], 30);
    assert_eq!((known(102), without()), (None, vec![101, 102]));
    state.forget_identity(&home, vmid(103)).unwrap();
    assert_eq!(known(103), None);
}

#[test]
fn another_guest_does_not_inherit_addresses() {
    let state = state();
    let home = cluster("host:pve1");
    let guests = [101, 102].map(|number| guest(number, "pve1", PowerState::Running)).into();
    state.record_listing(&home, &listing(&[("pve1", true)], guests), &server("pve1"), at(0)).unwrap();
    let address =
        Address { ip: "10.99.0.1".parse().unwrap(), prefix: Some(24), interface: "eth0".to_owned(), mac: None };
    let addresses = [101, 102].map(|number| (vmid(number), vec![address.clone()]));
    state.record_addresses(&home, &addresses, at(1)).unwrap();
    let learned = [101, 102].map(|number| (vmid(number), format!("uuid:{number}")));
    state.put_identities(&home, &learned, &[vmid(102)].into(), at(2)).unwrap();
    for number in [101, 102] {
        assert_eq!(state.identity(&home, vmid(number)).unwrap(), Some((format!("uuid:{number}"), at(2))));
    }
    let known = state.guests(&home).unwrap().into_iter().map(|guest| guest.addresses.len()).collect::<Vec<_>>();
    assert_eq!(known, [1, 0]);
}

#[test]
fn identities_move_with_their_cluster() {
    let (old, new) = (cluster("host:pve1"), cluster("ca:99"));
    for is_known in [false, true] {
        let state = state();
        for (number, second) in [(101, 1), (102, 5), (103, 1)] {
            state.put_identity(&old, vmid(number), "old", at(second)).unwrap();
        }
        if is_known {
            for (number, second) in [(102, 3), (103, 3), (104, 3)] {
                state.put_identity(&new, vmid(number), "new", at(second)).unwrap();
            }
        }
        state.rename_cluster(&old, &new).unwrap();
        let found = [101, 102, 103, 104].map(|number| state.identity(&new, vmid(number)).unwrap());
        let found = found.map(|one| one.map(|(identity, _)| identity));
        // Of two the younger stays.
        let want = [Some("old"), Some("old"), Some(if is_known { "new" } else { "old" }), is_known.then_some("new")];
        assert_eq!(found, want.map(|one| one.map(str::to_owned)), "{is_known}");
        assert_eq!(state.identity(&old, vmid(101)).unwrap(), None);
    }
}

#[test]
fn a_file_of_schema_2_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(include_str!("schema_1.sql")).unwrap();
    conn.execute_batch("PRAGMA user_version = 1").unwrap();
    schema::migrate(&conn, &schema::STEPS[..2]).unwrap();
    conn.execute_batch(
        "INSERT INTO actions VALUES (1, 1767225600000, 'pve1', 'setup-token', 'root', 'created', NULL, 'root@pam!box');
         INSERT INTO actions VALUES (7, 1767225660000, NULL, 'setup-token', 'root (cron)', 'failed', 2.5, NULL);
         INSERT INTO outbox (at, body) VALUES (1767225600000, x'00ff');
         INSERT INTO subjects (server) VALUES ('nas');",
    )
    .unwrap();
    assert_eq!(schema::header(&conn).unwrap(), (schema::APPLICATION_ID, 2));
    let before = dump(&conn, |table| format!("SELECT * FROM {table}"));
    assert!(before.lines().count() > 140 && before.contains("setup-token"));
    drop(conn);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();

    let state = State::open(&path, at(0)).unwrap();
    assert!(state.notice().is_none());
    state.read_everything().unwrap();
    assert_eq!(schema::definitions(&state.lock()).unwrap(), schema::definitions(&self::state().lock()).unwrap());
    let after = dump(&state.lock(), |table| format!("SELECT * FROM {table}"));
    for line in before.lines() {
        // Columns that came later stand at the end.
        let values = line.trim_end_matches(']');
        assert!(after.lines().any(|one| one.starts_with(values)), "{line}");
    }
    let outcomes: Vec<_> = state.actions(at(0), at(9)).unwrap().into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, ["created", "failed"]);
    assert_eq!(state.actions_in_flight(at(9)).unwrap().len(), 0);
    // What is new works in it.
    state.begin_action(&wake("nas", at(100), at(160))).unwrap();
    assert_eq!(state.actions_in_flight(at(101)).unwrap().len(), 1);
    let guest = state.all_guests().unwrap().remove(0);
    assert!(state.guests_without_identity(&guest.cluster).unwrap().contains(&guest.vmid));
    state.put_identity(&guest.cluster, guest.vmid, "uuid", at(100)).unwrap();
    assert!(!state.guests_without_identity(&guest.cluster).unwrap().contains(&guest.vmid));
}
