//! Clusters that get their lasting name, or turn out to be one, and the names for completion.

use super::{at, cluster, furnish, guest, key, listing, node, server, token, vmid};
use crate::model::access::scope::TokenScope;
use crate::model::inventory::server::ServerKey;
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::{HostCheck, State, Target};

fn state() -> State {
    State::in_memory().unwrap()
}

#[test]
fn a_cluster_that_gets_its_lasting_name_keeps_everything() {
    let state = state();
    furnish(&state);
    let (old, new) = (cluster("host:pve1"), cluster("ca:99"));
    let (old_key, new_key) = (ServerKey::of_guest(&old, vmid(101)), ServerKey::of_guest(&new, vmid(101)));
    let stopped = listing(&[("pve1", true)], vec![guest(101, "pve1", PowerState::Stopped)]);
    state.record_listing(&old, &stopped, &server("pve1"), at(60)).unwrap();
    state.record_state(&old_key, PowerState::Stopped, Source::Api, at(60)).unwrap();
    let run = HostCheck { server: old_key.clone(), ok: true, millis: None, detail: None };
    state.record_host_checks(&[run], at(60)).unwrap();
    let neighbour = key("host:pve10/101");
    state.record_state(&neighbour, PowerState::Running, Source::Api, at(60)).unwrap();
    let before = state.guests(&old).unwrap();

    state.rename_cluster(&old, &new).unwrap();
    assert_eq!((state.token(&old).unwrap(), state.guests(&old).unwrap()), (None, vec![]));
    assert!(state.token(&new).unwrap().is_some());
    let renamed: Vec<_> =
        before.into_iter().map(|guest| crate::state::KnownGuest { cluster: new.clone(), ..guest }).collect();
    assert_eq!(state.guests(&new).unwrap(), renamed);
    assert_eq!(state.members().unwrap()[0].cluster, new);
    assert_eq!(state.events(at(0)).unwrap()[0].server, new_key);
    assert_eq!(state.host_checks(at(0)).unwrap()[0].server, new_key);
    let states: Vec<_> = state.states().unwrap().into_keys().collect();
    assert_eq!(states, [new_key, neighbour], "`host:pve10` is another cluster");
}

#[test]
fn merging_clusters_keeps_the_younger_token_and_removes_the_other() {
    let (old, new) = (cluster("host:pve1"), cluster("ca:99"));
    // The tokens' names and ages, then the secret that stays and the intents.
    let cases = [
        ("root@pam!box", 1, "root@pam!box", 2, "new", vec![]),
        ("root@pam!box", 2, "root@pam!box", 1, "old", vec![]),
        ("root@pam!box", 1, "ecobox@pve!box", 2, "new", vec![("pve1", "root@pam!box")]),
        ("root@pam!box", 2, "ecobox@pve!box", 1, "old", vec![("pve2", "ecobox@pve!box")]),
    ];
    for (old_id, old_at, new_id, new_at, stays, intents) in cases {
        let state = state();
        let put = |cluster, id, secret, via: &str, second| {
            state
                .finish_intent(cluster, &token(id, secret), TokenScope::Operator, None, &server(via), at(second))
                .unwrap();
        };
        put(&old, old_id, "old", "pve1", old_at);
        put(&new, new_id, "new", "pve2", new_at);
        for (cluster, numbers) in [(&old, [100, 101]), (&new, [101, 102])] {
            let guests = numbers.map(|number| guest(number, "pve1", PowerState::Running)).to_vec();
            let at = if cluster == &old { at(0) } else { at(50) };
            state.record_listing(cluster, &listing(&[("pve1", true)], guests), &server("pve1"), at).unwrap();
            let key = ServerKey::of_guest(cluster, vmid(101));
            let run = HostCheck { server: key.clone(), ok: true, millis: None, detail: None };
            state.record_host_checks(&[run], at).unwrap();
            state.record_state(&key, PowerState::Running, Source::Api, at).unwrap();
        }
        state.rename_cluster(&old, &new).unwrap();
        let case = format!("{old_id} {old_at} {new_id} {new_at}");
        let tokens: Vec<_> = state.tokens().unwrap().iter().map(|t| t.token.secret.expose().to_owned()).collect();
        assert_eq!(tokens, [stays], "{case}");
        let left = state.all_intents().unwrap();
        let left: Vec<_> = left.iter().map(|i| (i.server.as_str().to_owned(), i.token.to_string())).collect();
        let want: Vec<_> = intents.into_iter().map(|(server, id)| (server.to_owned(), id.to_owned())).collect();
        assert_eq!(left, want, "{case}");
        let guests = state.all_guests().unwrap();
        let guests: Vec<_> = guests.iter().map(|g| (g.cluster.as_str(), g.vmid.get(), g.last_seen)).collect();
        assert_eq!(guests, [("ca:99", 100, at(0)), ("ca:99", 101, at(50)), ("ca:99", 102, at(50))], "{case}");
        let runs: Vec<_> = state.host_checks(at(0)).unwrap().into_iter().map(|run| (run.server.0, run.at)).collect();
        assert_eq!(runs, [("ca:99/101".to_owned(), at(0)), ("ca:99/101".to_owned(), at(50))], "{case}");
        assert_eq!(state.states().unwrap().into_keys().map(|key| key.0).collect::<Vec<_>>(), ["ca:99/101"], "{case}");
    }
}

#[test]
fn names_for_completion() {
    let state = state();
    furnish(&state);
    let names = state.names().unwrap();
    for (id, name, what) in [("pve1-vm-101", "guest101", "qemu on pve1"), ("pve1", "pve1", "server")] {
        let name = Target { id: id.to_owned(), name: name.to_owned(), what: what.to_owned() };
        assert!(names.contains(&name), "{names:?}");
    }
    // The node's server is not configured, and the cluster has several: only the short id is sure.
    state.put_member(&server("pve2"), &cluster("host:pve1"), Some(&node("pve2")), at(0)).unwrap();
    state.put_member(&server("pve1"), &cluster("host:pve1"), None, at(0)).unwrap();
    assert!(state.names().unwrap().iter().any(|name| name.id == "vm-101"));
}
