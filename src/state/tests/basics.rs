//! Everything that is put comes back, and what belongs together changes together.

use jiff::{SignedDuration, Timestamp};

use super::{at, cluster, folder, furnish, guest, key, listing, node, non_secret_dump, server, token, vmid};
use crate::model::access::certificate::{Fingerprint, Trust};
use crate::model::access::scope::TokenScope;
use crate::model::host::facts::{HostFacts, Nic, Product, PveFacts};
use crate::model::id::ClusterId;
use crate::model::inventory::server::{Address, ServerKey};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::state::history::events::Event;
use crate::state::{Check, HostCheck, State, StateError, is_fresh};

fn state() -> State {
    State::in_memory().unwrap()
}

#[test]
fn facts_come_back() {
    let state = state();
    let facts = HostFacts {
        product: Product::Pve(PveFacts {
            node: Some(node("pve1")),
            version: Some("9.2".into()),
            ..PveFacts::default()
        }),
        nics: vec![Nic {
            name: "eno1".into(),
            mac: "aa:bb:cc:dd:ee:ff".into(),
            link: Some(true),
            master: None,
            default_route: true,
            wol_armed: None,
            wol_supported: Some(true),
        }],
        ..HostFacts::default()
    };
    assert_eq!(state.facts(&server("pve1")).unwrap(), None);
    state.put_facts(&server("pve1"), &HostFacts::default(), at(1)).unwrap();
    state.put_facts(&server("pve1"), &facts, at(2)).unwrap();
    assert_eq!(state.facts(&server("pve1")).unwrap(), Some((facts.clone(), at(2))));
    assert_eq!(state.all_facts().unwrap(), [(server("pve1"), (facts, at(2)))].into());
    // Facts of another making are none; they are no damage.
    state.lock().execute("UPDATE facts SET facts = '{'", []).unwrap();
    assert_eq!(state.facts(&server("pve1")).unwrap(), None);
}

#[test]
fn every_kind_of_trust_comes_back() {
    let state = state();
    let print = Fingerprint([7; 32]);
    let kinds = [
        Trust::ClusterCa { ca: vec![0, 255, 7], node: node("pve1") },
        Trust::CaFile { pem: "-----BEGIN".into(), node: None },
        Trust::PublicCa,
        Trust::PublicKey { spki: print },
        Trust::Certificate { fingerprint: print },
        Trust::Insecure,
    ];
    for (n, trust) in (0..).zip(kinds) {
        state.put_trust(&server("pve1"), &trust, "ssh", at(n)).unwrap();
        let stored = state.trust(&server("pve1")).unwrap().unwrap();
        assert_eq!((&stored.trust, stored.learned_at, stored.via.as_str()), (&trust, at(n), "ssh"));
        assert_eq!(state.trusts().unwrap(), [stored]);
    }
}

#[test]
fn a_token_and_its_intent_change_together() {
    let state = state();
    let (home, pve1) = (cluster("host:pve1"), server("pve1"));
    let made = token("root@pam!box-1", "s3cret");
    state.begin_intent(&pve1, Some(&home), &made.id, at(1)).unwrap();
    state.begin_intent(&server("pve2"), None, &made.id, at(1)).unwrap();
    assert_eq!(state.intents(&pve1).unwrap()[0].token, made.id);
    assert_eq!(state.all_intents().unwrap().len(), 2);

    // A full disk while the secret is stored: the intent stays.
    state.lock().pragma_update(None, "query_only", true).unwrap();
    state.finish_intent(&home, &made, TokenScope::Operator, Some(9), &pve1, at(2)).unwrap_err();
    state.lock().pragma_update(None, "query_only", false).unwrap();
    assert_eq!((state.intents(&pve1).unwrap().len(), state.tokens().unwrap().len()), (1, 0));

    state.finish_intent(&home, &made, TokenScope::Operator, Some(9), &pve1, at(2)).unwrap();
    assert_eq!(state.intents(&pve1).unwrap(), []);
    assert_eq!(state.all_intents().unwrap().len(), 1, "another server's intent of the same name stays");
    let stored = state.token(&home).unwrap().unwrap();
    assert_eq!((&stored.token, stored.scope, stored.pve_major), (&made, TokenScope::Operator, Some(9)));
    assert_eq!((&stored.via, stored.at, state.tokens().unwrap()), (&pve1, at(2), vec![stored.clone()]));
    state.clear_intent(&server("pve2"), &made.id).unwrap();
    assert_eq!(state.all_intents().unwrap(), []);
    assert!(state.forget_token(&home).unwrap());
    assert_eq!(state.token(&home).unwrap(), None);
}

#[test]
fn the_machine_suffix_is_made_once() {
    let state = state();
    assert_eq!(state.machine_suffix(|| "a1b2c3".into()).unwrap(), "a1b2c3");
    assert_eq!(state.machine_suffix(|| panic!("made twice")).unwrap(), "a1b2c3");
}

#[test]
fn states_keep_since_and_last_online() {
    use PowerState::{Asleep, Offline, Online, Unknown};
    let state = state();
    let nas = ServerKey::of_server(&server("nas"));
    // Per look: when, what, the previous state if it changed, then since, at and last online as seconds.
    let looks = [
        (0, Unknown, None, None),
        (1, Online, None, Some((1, 1, Some(1)))),
        (5, Online, None, Some((1, 5, Some(5)))),
        (9, Offline, Some(Online), Some((9, 9, Some(5)))),
        (12, Unknown, None, Some((9, 9, Some(5)))),
        (8, Online, None, Some((9, 9, Some(5)))), // a late answer of a parallel run
        (20, Asleep, Some(Offline), Some((20, 20, Some(5)))),
        (86400, Online, Some(Asleep), Some((86400, 86400, Some(86400)))),
        (30, Online, None, Some((86400, 30, Some(30)))), // the clock was a day ahead
        (31, Offline, Some(Online), Some((31, 31, Some(30)))),
    ];
    for (seconds, seen, previous, want) in looks {
        assert_eq!(state.record_state(&nas, seen, Source::Tcp, at(seconds)).unwrap(), previous, "{seconds}");
        let known = state.states().unwrap().remove(&nas);
        let got = known.map(|known| (known.since, known.at, known.last_online_at));
        assert_eq!(got, want.map(|(since, last, online)| (at(since), at(last), online.map(at))), "{seconds}");
    }
    assert_eq!(state.events(at(21)).unwrap().len(), 2);
    let first = &state.events(at(0)).unwrap()[0];
    let want =
        Event { at: at(9), server: nas, from: Online, to: Offline, source: Source::Tcp, lag: SignedDuration::ZERO };
    assert_eq!(first, &want);
}

#[test]
fn wishes_stamps_and_ssh_answers_come_back() {
    let state = state();
    state.mark_asleep(&server("nas"), at(1)).unwrap();
    state.mark_woken(&server("nas"), at(2)).unwrap();
    let mark = state.intended_sleep().unwrap()[&server("nas")];
    assert_eq!((mark.asleep, mark.at), (false, at(2)));

    let home = cluster("ca:1");
    assert_eq!(state.discovered_at(&home).unwrap(), None);
    state.put_discovered(&home, at(3)).unwrap();
    assert_eq!(state.discovered_at(&home).unwrap(), Some(at(3)));

    state.put_ssh_answer("pve1", "stamp1", "hostname 10.0.0.1\n").unwrap();
    assert_eq!(state.ssh_answer("pve1", "stamp1").unwrap().as_deref(), Some("hostname 10.0.0.1\n"));
    assert_eq!(state.ssh_answer("pve1", "stamp2").unwrap(), None);
    state.put_ssh_answer("pve1", "stamp2", "x").unwrap();
    assert_eq!(state.ssh_answer("pve1", "stamp1").unwrap(), None);
}

#[test]
fn who_is_seen_awake_is_not_put_to_sleep_any_more() {
    use PowerState::{Asleep, Offline, Online, Unknown};
    // When it was put to sleep or woken, when it was seen how, and whether the mark is still there after that.
    let cases = [
        (true, 1000, 1200, Online, false),
        (true, 1000, 1060, Online, true), // a look that began before
        (true, 1000, 990, Online, true),
        (true, 1000, 1200, Offline, true),
        (true, 1000, 1200, Asleep, true),
        (true, 1000, 1200, Unknown, true),
        (true, 86_400, 1200, Online, false), // the clock was a day ahead
        (false, 1000, 1200, Online, true),
    ];
    for (asleep, wished, seen, power, stands) in cases {
        let state = state();
        let mark = if asleep { State::mark_asleep } else { State::mark_woken };
        mark(&state, &server("nas"), at(wished)).unwrap();
        state.mark_asleep(&server("nas2"), at(wished)).unwrap();
        // It was on before it was put to sleep: that says nothing.
        state.record_states(&[(key("nas2"), Online, Source::Tcp)], at(wished - 30)).unwrap();
        state.record_states(&[(key("nas"), power, Source::Tcp)], at(seen)).unwrap();
        let marks = state.intended_sleep().unwrap();
        assert_eq!(marks.contains_key(&server("nas")), stands, "{asleep} {wished} {seen} {power}");
        assert!(marks.contains_key(&server("nas2")));
    }
}

#[test]
fn the_future_is_never_fresh() {
    let hour = SignedDuration::from_hours(1);
    let cases = [(0, 0, true), (0, 3599, true), (0, 3600, false), (1, 0, false), (86400, 0, false)];
    for (stamp, now, fresh) in cases {
        assert_eq!(is_fresh(at(stamp), at(now), hour), fresh, "{stamp} {now}");
    }
    assert!(!is_fresh(Timestamp::MIN, Timestamp::MAX, hour));
    assert!(!is_fresh(Timestamp::MAX, Timestamp::MIN, hour));
}

#[test]
fn checks_and_runs_are_kept_apart() {
    let state = state();
    let check = |service: &str, ok| Check {
        server: key("nas"),
        service: service.into(),
        ok,
        millis: ok.then_some(1.5),
        detail: (!ok).then(|| "connection refused".into()),
    };
    for second in 0..10 {
        state.record_checks(&[check("ssh", true), check("http", second % 2 == 0)], at(second)).unwrap();
        let run = HostCheck { server: key("nas"), ok: true, millis: None, detail: None };
        state.record_host_checks(&[run], at(second)).unwrap();
    }
    let checks = state.checks(at(8)).unwrap();
    let got: Vec<_> = checks.iter().map(|c| (c.at, c.service.as_str(), c.ok, c.millis, c.detail.as_deref())).collect();
    let want = [
        (at(8), "http", true, Some(1.5), None),
        (at(8), "ssh", true, Some(1.5), None),
        (at(9), "http", false, None, Some("connection refused")),
        (at(9), "ssh", true, Some(1.5), None),
    ];
    assert_eq!(got, want);
    assert_eq!(state.host_checks(at(0)).unwrap().len(), 10);
}

#[test]
fn addresses_come_back() {
    let state = state();
    furnish(&state);
    let address = Address {
        ip: "fd00::1".parse().unwrap(),
        prefix: Some(64),
        interface: "eth0".into(),
        mac: Some("aa:bb:cc:00:11:22".into()),
    };
    let answers = [(vmid(101), vec![address.clone()]), (vmid(102), vec![]), (vmid(999), vec![])];
    state.record_addresses(&cluster("host:pve1"), &answers, at(7)).unwrap();
    let guests = state.guests(&cluster("host:pve1")).unwrap();
    let got: Vec<_> = guests[..3].iter().map(|g| (g.addresses.clone(), g.addresses_at)).collect();
    assert_eq!(got, [(vec![], None), (vec![address], Some(at(7))), (vec![], Some(at(7)))]);
    assert_eq!(guests.len(), 40);
}

#[test]
fn secrets_stand_in_one_table() {
    let state = state();
    furnish(&state);
    let canary = "c4nary-0c1d";
    let (home, pve1) = (cluster("host:pve1"), server("pve1"));
    let made = token("root@pam!box", canary);
    state.begin_intent(&pve1, Some(&home), &made.id, at(1)).unwrap();
    state.finish_intent(&home, &made, TokenScope::Full, None, &pve1, at(1)).unwrap();
    state.rename_cluster(&home, &cluster("ca:1")).unwrap();
    let dump = non_secret_dump(&state);
    assert!(dump.contains("guest101") && !dump.contains(canary), "{dump}");
    assert!(!format!("{state:?} {:?}", state.tokens().unwrap()).contains(canary));
}

#[test]
fn odd_texts_are_kept_as_they_are() {
    let state = state();
    let odd = "'; DROP TABLE guests; --\u{0} \u{202e}\u{1b}[31m\"";
    let mut strange = guest(100, "pve1", PowerState::Running);
    strange.name = Some(odd.to_owned());
    strange.pool = Some(odd.to_owned());
    let home = cluster(odd);
    for second in [0, 1] {
        let listing = listing(&[("pve1", true)], vec![strange.clone()]);
        state.record_listing(&home, &listing, &server("pve1"), at(second)).unwrap();
        assert_eq!(state.take_changes(&home).unwrap().len(), usize::from(second == 0));
    }
    let known = &state.guests(&home).unwrap()[0];
    assert_eq!((known.name.as_deref(), known.pool.as_deref()), (Some(odd), Some(odd)));
}

#[test]
fn writes_together_are_one() {
    let folder = folder();
    let path = folder.path().join("state.db");
    let (state, other) = (State::open(&path, at(0)).unwrap(), State::open(&path, at(0)).unwrap());
    let states = |state: &State| state.states().unwrap().len();
    let record = |name: &str, second| state.record_state(&key(name), PowerState::Online, Source::Tcp, at(second));
    let seen = state.together(|| {
        record("a", 1)?;
        record("b", 1)?;
        // Others see nothing of it yet.
        Ok((states(&state), states(&other)))
    });
    assert_eq!((seen.unwrap(), states(&other)), ((2, 0), 2));
    let failed: Result<(), StateError> = state.together(|| {
        record("c", 2)?;
        Err(StateError::InUse { path: path.clone() })
    });
    assert!(failed.is_err());
    assert_eq!((states(&state), states(&other)), (2, 2));
    record("c", 3).unwrap();
    assert_eq!(states(&other), 3);
}

/// Whoever keeps the numbers knows a guest by its label, which a new certificate authority must not change.
#[test]
fn the_label_of_numbers_outlives_certificate_authorities() {
    let state = State::in_memory().unwrap();
    let (host, first, second, third) =
        (cluster("host:pve1"), cluster("ca:11111111aa"), cluster("ca:22222222bb"), cluster("ca:33333333cc"));
    let label = |of: &ClusterId| state.labels().unwrap().of_guest(of, vmid(101));
    state.put_discovered(&host, at(0)).unwrap();
    state.rename_cluster(&host, &first).unwrap();
    assert_eq!(label(&first), "ca:11111111/101");
    state.rename_cluster(&first, &second).unwrap();
    assert_eq!(label(&second), "ca:11111111/101");
    // Somebody listed it under its newest name before it was known to be the same.
    state.put_discovered(&third, at(1)).unwrap();
    state.rename_cluster(&second, &third).unwrap();
    assert_eq!(label(&third), "ca:11111111/101");
    assert_eq!(label(&second), "ca:22222222/101");
}
