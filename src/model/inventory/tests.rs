use super::*;

/// A server with nothing but a name, for tables.
pub(crate) fn server(id: &str, parent: Option<&str>, vmid: Option<u32>) -> Server {
    Server {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        kind: if vmid.is_some() { ServerKind::Qemu } else { ServerKind::Linux },
        parent: parent.map(|p| p.parse().unwrap()),
        cluster: None,
        node: None,
        vmid: vmid.map(|n| VmId::try_from(n).unwrap()),
        hostname: None,
        addresses: Vec::new(),
        services: Vec::new(),
        tags: Tags::default(),
        pool: None,
        lock: None,
        ha_state: None,
        expected: Expected::On,
        origin: Source::Config,
        template: false,
        depth: 0,
        seen: Observation::unknown(Source::Cache),
    }
}

fn in_flight(action: &str) -> InFlight {
    let (since, until) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    InFlight { action: action.to_owned(), since, until, by: "root".to_owned() }
}

#[test]
fn children_stand_under_their_parents() {
    let mut inventory = Inventory {
        servers: vec![
            server("nas", None, None),
            server("pve1", None, None),
            server("pve1-vm-200", Some("pve1"), Some(200)),
            server("zbox", Some("pve1-vm-101"), None),
            server("pve1-vm-101", Some("pve1"), Some(101)),
            server("orphan", Some("gone"), None),
        ],
        ..Inventory::default()
    };
    inventory.sort();
    let names: Vec<_> = inventory.servers.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(names, ["nas", "pve1", "pve1-vm-101", "zbox", "pve1-vm-200", "orphan"]);
    let depths: Vec<_> = inventory.servers.iter().map(|s| s.depth).collect();
    assert_eq!(depths, [0, 0, 1, 2, 1, 0]);
}

#[test]
fn what_is_no_alarm_depends_on_what_is_expected() {
    use PowerState::*;
    let cases = [
        (Expected::On, Online, false),
        (Expected::On, Running, false),
        (Expected::On, Offline, true),
        (Expected::On, Unknown, true),
        (Expected::On, Stopped, true),
        (Expected::On, Asleep, false),
        (Expected::Asleep, Asleep, false),
        (Expected::Asleep, Offline, false),
        (Expected::Asleep, Online, false),
        (Expected::Asleep, Unknown, true),
        (Expected::Any, Offline, false),
        (Expected::Any, Unknown, false),
    ];
    for (expected, state, alarm) in cases {
        let mut one = server("a", None, None);
        (one.expected, one.seen.state) = (expected, state);
        assert_eq!(one.is_alarming(), alarm, "{expected:?} {state}");
        // While something is being done about it nothing is.
        one.seen.action = Some(in_flight("wake").into());
        assert!(!one.is_alarming(), "{expected:?} {state}");
    }
}

#[test]
fn what_is_in_flight_is_said_of_its_server() {
    use PowerState::{Offline, Online, Unknown};
    let mut one = server("nas", None, None);
    assert_eq!(one.doing(), None);
    one.seen.action = Some(in_flight("start").into());
    for (state, doing) in [(Unknown, Some("waking")), (Offline, Some("waking")), (Online, None)] {
        one.seen.state = state;
        assert_eq!(one.doing(), doing, "{state}");
    }
    let mut guest = server("pve1-vm-101", Some("pve1"), Some(101));
    guest.seen.action = Some(in_flight("start").into());
    assert_eq!(guest.doing(), Some("starting"));
}
