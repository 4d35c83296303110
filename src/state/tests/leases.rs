//! Leases, and servers that are up because of them.

use super::{at, cluster, folder, key, wake};
use crate::model::inventory::server::ServerKey;
use crate::model::lease::{Lease, LeaseKind, Leased, Process, Then, Woken};
use crate::model::load::usage::Source;
use crate::model::power::outcome::ActionOutcome;
use crate::model::power::{PowerAction, PowerState};
use crate::state::{GoingDown, NewAction, State};

fn state() -> State {
    State::in_memory().unwrap()
}

fn process(pid: u32) -> Process {
    Process { pid, started: 77, boot: "boot".to_owned() }
}

fn lease(servers: &[&str]) -> Lease {
    let leased = |(i, name): (usize, &&str)| Leased { key: key(name), name: (*name).to_owned(), asked: i == 0 };
    Lease {
        id: 0,
        kind: LeaseKind::Run,
        by: "root".to_owned(),
        reason: Some("restic".to_owned()),
        since: at(0),
        until: Some(at(60)),
        then: Some(Then::Shutdown),
        process: Some(process(7)),
        servers: servers.iter().enumerate().map(leased).collect(),
    }
}

fn woken(name: &str, back: PowerAction, since: i64) -> Woken {
    Woken { key: key(name), name: name.to_owned(), back, at: at(since), was_down: false }
}

#[test]
fn a_lease_is_there_until_it_is_ended() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let (one, other) = (State::open(&path, at(0)).unwrap(), State::open(&path, at(0)).unwrap());
    let first = one.begin_lease(&lease(&["nas", "switch"])).unwrap();
    let hold = Lease { kind: LeaseKind::Hold, until: None, then: None, reason: None, process: None, ..lease(&["nas"]) };
    let second = other.begin_lease(&hold).unwrap();
    let want = [Lease { id: first, ..lease(&["nas", "switch"]) }, Lease { id: second, ..hold }];
    assert_eq!(one.leases().unwrap(), want);
    other.end_leases(&[first], at(9)).unwrap();
    assert_eq!(one.leases().unwrap(), want[1..]);
    assert_eq!(one.lock().query_row("SELECT count(*) FROM leased", [], |row| row.get::<_, i64>(0)), Ok(1));
    // A number is never given again: locks on hosts are named by it.
    other.end_leases(&[second], at(9)).unwrap();
    assert!(one.begin_lease(&lease(&["nas"])).unwrap() > second);
}

#[test]
fn who_was_down_meanwhile_is_up_because_of_somebody_else() {
    let state = state();
    let see = |what, second| state.record_states(&[(key("nas"), what, Source::Tcp)], at(second)).unwrap();
    see(PowerState::Asleep, 0);
    state.put_woken(&[woken("nas", PowerAction::Suspend, 10)]).unwrap();
    see(PowerState::Online, 20);
    assert_eq!(state.woken().unwrap(), [woken("nas", PowerAction::Suspend, 10)]);
    see(PowerState::Offline, 30);
    see(PowerState::Online, 40);
    assert!(state.woken().unwrap()[0].was_down);
    state.put_woken(&[woken("nas", PowerAction::Shutdown, 50)]).unwrap();
    assert_eq!(state.woken().unwrap(), [woken("nas", PowerAction::Shutdown, 50)]);
    state.forget_woken(&[key("nas"), key("nobody")]).unwrap();
    assert_eq!(state.woken().unwrap(), []);
}

#[test]
fn guests_keep_their_leases_when_their_cluster_gets_another_name() {
    let state = state();
    let (old, new) = (cluster("host:pve1"), cluster("ca:1234"));
    let of = |cluster: &str| ServerKey(format!("{cluster}/101"));
    let mut guest = lease(&["pve1-vm-101"]);
    guest.servers[0].key = of("host:pve1");
    let id = state.begin_lease(&guest).unwrap();
    state.put_woken(&[Woken { key: of("host:pve1"), ..woken("pve1-vm-101", PowerAction::Shutdown, 1) }]).unwrap();
    state.rename_cluster(&old, &new).unwrap();
    assert_eq!((state.leases().unwrap()[0].id, &state.leases().unwrap()[0].servers[0].key), (id, &of("ca:1234")));
    assert_eq!(state.woken().unwrap()[0].key, of("ca:1234"));
}

#[test]
fn how_a_host_went_down_last_is_known() {
    let state = state();
    let act = |action: &str, outcome| {
        let action = NewAction { action: action.to_owned(), ..wake("nas", at(0), at(100)) };
        let id = state.begin_action(&action).unwrap();
        state.end_action(id, outcome, 1.0, None).unwrap();
    };
    let last = || state.last_way_down(&key("nas")).unwrap();
    assert_eq!(last(), None);
    act("shutdown", ActionOutcome::Done);
    act("wake", ActionOutcome::Done);
    act("suspend", ActionOutcome::Refused);
    assert_eq!(last(), Some(PowerAction::Shutdown));
    act("hibernate", ActionOutcome::Unconfirmed);
    assert_eq!(last(), Some(PowerAction::Hibernate));
}

#[test]
fn who_takes_a_server_down_is_told_while_that_is_in_flight() {
    let state = state();
    let suspend = NewAction { action: "suspend".to_owned(), process: Some(process(9)), ..wake("nas", at(10), at(100)) };
    let id = state.begin_action(&suspend).unwrap();
    state.begin_action(&wake("other", at(10), at(100))).unwrap();
    let going = GoingDown { key: key("nas"), action: "suspend".to_owned(), since: at(10), process: Some(process(9)) };
    assert_eq!(state.going_down(at(20)).unwrap(), [going]);
    assert_eq!(state.going_down(at(100)).unwrap(), []);
    state.end_action(id, ActionOutcome::Done, 1.0, None).unwrap();
    assert_eq!(state.going_down(at(20)).unwrap(), []);
}
