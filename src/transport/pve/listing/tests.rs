use proptest::prelude::*;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/pve/", $name, ".json"))
    };
}

fn read(body: &[u8]) -> Listing {
    listing(body, "pve1").unwrap()
}

/// Rows as an answer.
fn rows(rows: &str) -> Listing {
    read(format!("{{\"data\":[{rows}]}}").as_bytes())
}

fn guest(listing: &Listing, vmid: u32) -> &Guest {
    listing.guests.iter().find(|guest| guest.vmid.get() == vmid).unwrap()
}

#[test]
fn a_recorded_listing() {
    let listing = read(fixture!("resources"));
    assert_eq!(listing.guests.len(), 10);
    let web = guest(&listing, 101);
    assert_eq!(
        (web.kind, web.name.as_deref(), web.state, web.node.as_str()),
        (GuestKind::Qemu, Some("web-01"), PowerState::Running, "pve1")
    );
    assert_eq!(*web.tags, ["prod", "web"]);
    assert_eq!((web.usage.cpus, web.usage.uptime_seconds), (Some(1.0), Some(Count::new(333))));
    assert_eq!(
        (web.usage.memory_bytes, web.usage.memory_max_bytes),
        (Some(Count::new(228_298_752)), Some(Count::new(268_435_456)))
    );
    assert!((web.usage.cpu_percent.unwrap() - 3.687).abs() < 0.001);
    // Zeros of what runs are counted, those of a virtual machine's disk are not known.
    assert_eq!((web.usage.disk_bytes, web.usage.disk_max_bytes), (None, None));
    let counters = [web.usage.receive_bytes, web.usage.transmit_bytes, web.usage.read_bytes, web.usage.write_bytes];
    assert_eq!(counters, [290, 936, 0, 0].map(|count| Some(Count::new(count))));
    // PVE reports zeros for what is off; nobody measured them.
    let db = guest(&listing, 102);
    let configured = Usage {
        cpus: Some(2.0),
        memory_max_bytes: Some(Count::new(134_217_728)),
        disk_max_bytes: Some(Count::new(1 << 30)),
        ..Usage::default()
    };
    assert_eq!((db.state, db.usage), (PowerState::Stopped, configured));
    assert!(guest(&listing, 103).template && guest(&listing, 202).template && !web.template);
    assert_eq!(guest(&listing, 104).lock.as_deref(), Some("backup"));
    assert_eq!(guest(&listing, 106).state, PowerState::Hibernated);
    assert_eq!(guest(&listing, 201).kind, GuestKind::Lxc);
    assert_eq!(listing.nodes.len(), 1);
    assert_eq!((listing.nodes[0].online, listing.nodes[0].usage.uptime_seconds), (Some(true), Some(Count::new(2224))));
    let Usage { disk_bytes, disk_max_bytes, receive_bytes, .. } = listing.nodes[0].usage;
    assert_eq!(
        (disk_bytes, disk_max_bytes, receive_bytes),
        (Some(Count::new(20_606_328_832)), Some(Count::new(270_553_174_016)), None)
    );
}

#[test]
fn a_node_that_is_gone_makes_its_guests_unknown() {
    let listing = read(fixture!("resources-offline-node"));
    let lost = guest(&listing, 301);
    assert_eq!((lost.state, lost.name.as_ref(), lost.usage), (PowerState::Unknown, None, Usage::default()));
    assert_eq!(guest(&listing, 101).state, PowerState::Running);
    let just_started = read(fixture!("resources-just-started"));
    assert_eq!(just_started.guests.len(), 10);
    for guest in &just_started.guests {
        assert_eq!((guest.state, guest.usage), (PowerState::Unknown, Usage::default()), "{}", guest.vmid);
        assert_eq!((guest.raw_status.as_ref(), guest.name.as_ref()), ("unknown", None));
    }
    assert_eq!((just_started.nodes[0].online, just_started.nodes[0].usage), (None, Usage::default()));
    let nothing_allowed = read(fixture!("resources-no-acl"));
    assert_eq!((nothing_allowed.guests.len(), nothing_allowed.nodes[0].online), (0, Some(true)));
}

#[test]
fn a_guests_state_needs_its_nodes() {
    let running = r#"{"type":"qemu","vmid":100,"node":"a","status":"running","cpu":0.5,"mem":1,"uptime":9}"#;
    let cases = [
        // Only the guest: `type=vm` was asked for.
        ("", PowerState::Running),
        (r#",{"type":"node","node":"a","status":"online"}"#, PowerState::Running),
        (r#",{"type":"node","node":"a","status":"offline"}"#, PowerState::Unknown),
        (r#",{"type":"node","node":"a","status":"unknown"}"#, PowerState::Unknown),
        (r#",{"type":"node","node":"a"}"#, PowerState::Unknown),
        (r#",{"type":"node","node":"b","status":"online"}"#, PowerState::Unknown),
    ];
    for (nodes, want) in cases {
        for listing in [rows(&format!("{running}{nodes}")), rows(&format!("{}{running}", swap(nodes)))] {
            let Guest { state, usage, .. } = &listing.guests[0];
            assert_eq!(*state, want, "{nodes}");
            assert_eq!(usage.cpu_percent.is_some(), want == PowerState::Running, "{nodes}");
            assert_eq!(usage.uptime_seconds.is_some(), want == PowerState::Running, "{nodes}");
        }
    }
}

#[test]
fn disks_and_counters_of_what_runs() {
    // Kind, status, lock; the disk's use and size; whether the counters count.
    let cases = [
        ("qemu", "running", "", None, Some(9), true),
        ("qemu", "paused", "", None, Some(9), true),
        ("qemu", "io-error", "", None, Some(9), true),
        ("qemu", "stopped", "", None, Some(9), false),
        ("qemu", "stopped", "suspended", None, Some(9), false),
        ("qemu", "unknown", "", None, Some(9), false),
        ("lxc", "running", "", Some(5), Some(9), true),
        ("lxc", "stopped", "", None, Some(9), false),
        ("lxc", "unknown", "", None, Some(9), false),
    ];
    for (kind, status, lock, disk, disk_max, counts) in cases {
        let listing = rows(&format!(
            r#"{{"type":"{kind}","vmid":100,"node":"a","status":"{status}","lock":"{lock}","disk":5,"maxdisk":9,
                "netin":0,"netout":2,"diskread":"3","diskwrite":4.0}}"#
        ));
        let counted = |number: u64| counts.then(|| Count::new(number));
        let want = Usage {
            disk_bytes: disk.map(Count::new),
            disk_max_bytes: disk_max.map(Count::new),
            receive_bytes: counted(0),
            transmit_bytes: counted(2),
            read_bytes: counted(3),
            write_bytes: counted(4),
            ..Usage::default()
        };
        assert_eq!(listing.guests[0].usage, want, "{kind} {status} {lock}");
    }
    for (value, want) in [("0", None), ("-1", None), ("NaN", None), ("\"\"", None), ("7", Some(7))] {
        let listing = rows(&format!(
            r#"{{"type":"lxc","vmid":100,"node":"a","status":"running","disk":{value},"maxdisk":{value}}},
               {{"type":"node","node":"a","status":"online","disk":{value},"maxdisk":{value},"netin":7,"diskread":7}}"#
        ));
        let want = Usage { disk_bytes: want.map(Count::new), disk_max_bytes: want.map(Count::new), ..Usage::default() };
        assert_eq!((listing.guests[0].usage, listing.nodes[0].usage), (want, want), "{value}");
    }
}

/// `,row` as `row,`.
fn swap(nodes: &str) -> String {
    nodes.strip_prefix(',').map(|row| format!("{row},")).unwrap_or_default()
}

#[test]
fn fields_may_be_anything() {
    // Of a running guest: the field and what it becomes.
    let cpu: [(&str, Option<f32>); 13] = [
        ("0.25", Some(25.0)),
        ("\"0.25\"", Some(25.0)),
        ("1", Some(100.0)),
        ("0", Some(0.0)),
        ("-1", None),
        ("1.04", Some(100.0)),
        ("10", Some(100.0)),
        ("10.1", None),
        ("1e308", None),
        ("1e999", None),
        ("NaN", None),
        ("\"nan\"", None),
        ("[1]", None),
    ];
    for (value, want) in cpu {
        let listing = rows(&format!(r#"{{"type":"lxc","vmid":100,"node":"a","status":"running","cpu":{value}}}"#));
        assert_eq!(listing.guests[0].usage.cpu_percent, want, "{value}");
    }
    let memory: [(&str, Option<u64>); 12] = [
        ("1024", Some(1024)),
        ("\"1024\"", Some(1024)),
        ("1024.7", Some(1024)),
        ("0", Some(0)),
        ("-1", None),
        ("18446744073709551615", None),
        ("99999999999999999999999", None),
        ("-inf", None),
        ("null", None),
        ("\"\"", None),
        ("true", None),
        ("{\"a\":[]}", None),
    ];
    for (value, want) in memory {
        let listing = rows(&format!(r#"{{"type":"lxc","vmid":100,"node":"a","status":"running","mem":{value}}}"#));
        assert_eq!(listing.guests[0].usage.memory_bytes.map(Count::get), want, "{value}");
    }
    let listing = rows(
        r#"{"type":"qemu","vmid":"100","node":"a","status":"running","name":100,"tags":"b;a,, c","template":"",
            "maxcpu":"1.5","maxmem":0,"uptime":0,"pool":"","hastate":"started","lock":null,"new":{"x":[[{}]]}},
           {"type":"lxc","vmid":1e2,"node":"a","status":"stopped","template":"1","maxcpu":0,"uptime":0,
            "name":"a","name":"b"}"#,
    );
    let guest = &listing.guests[0];
    assert_eq!(listing.guests.len(), 1, "the same vmid: the last counts");
    assert_eq!((guest.kind, guest.template, guest.name.as_deref()), (GuestKind::Lxc, true, Some("b")));
    assert_eq!(guest.usage, Usage::default());
    let listing = rows(
        r#"{"type":"qemu","vmid":"100","node":"a","status":"running","name":100,"tags":"b;a,, c","template":"",
            "maxcpu":"1.5","maxmem":0,"uptime":0,"pool":"","hastate":"started","lock":null}"#,
    );
    let guest = &listing.guests[0];
    assert_eq!((guest.name.as_deref(), guest.pool.as_deref()), (Some("100"), None));
    assert_eq!(*guest.tags, ["b", "a", "c"]);
    assert_eq!((guest.ha_state.as_deref(), guest.lock.as_ref(), guest.template), (Some("started"), None, false));
    let usage = Usage { cpus: Some(1.5), uptime_seconds: Some(Count::new(0)), ..Usage::default() };
    assert_eq!(guest.usage, usage);
}

#[test]
fn a_bad_entry_drops_nothing_but_itself() {
    let good = r#"{"type":"qemu","vmid":100,"node":"a","status":"stopped"}"#;
    for bad in [
        r#"{"type":"qemu","node":"a","status":"running"}"#,
        r#"{"type":"qemu","vmid":99,"node":"a"}"#,
        r#"{"type":"qemu","vmid":100.5,"node":"a"}"#,
        r#"{"type":"qemu","vmid":101,"node":"../a"}"#,
        r#"{"type":"qemu","vmid":101}"#,
        r#"{"vmid":101,"node":"a"}"#,
        r#"{"type":"openvz","vmid":101,"node":"a"}"#,
        r#"{"type":"node","node":"a b"}"#,
        r#""text""#,
        "null",
        "-7",
        "[[[[]]]]",
        "NaN",
    ] {
        let listing = rows(&format!("{bad},{good}"));
        assert_eq!((listing.guests.len(), listing.nodes.len()), (1, 0), "{bad}");
    }
    // A name that is no UTF-8, and half a surrogate pair.
    for name in [&b"w\xe9b"[..], br"w\ud83db"] {
        let body = [br#"{"data":[{"type":"lxc","vmid":100,"node":"a","name":""#, name, br#""}]}"#].concat();
        assert_eq!(read(&body).guests[0].name.as_deref(), Some("w\u{FFFD}b"));
    }
}

#[test]
fn what_is_no_listing_is_an_error() {
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"data":null}"#,
        r#"{"data":{}}"#,
        r#"{"data":[}"#,
        r#"{"data":[]} x"#,
        "<html>",
        r#"{"data":[{"type":"node""#,
    ] {
        assert!(listing(body.as_bytes(), "pve1").is_err(), "{body}");
    }
    let deep = format!(r#"{{"data":{}"#, "[".repeat(100_000));
    assert!(listing(deep.as_bytes(), "pve1").is_err());
    let many = format!(r#"{{"data":[{}0]}}"#, "0,".repeat(MAX_ENTRIES));
    assert!(listing(many.as_bytes(), "pve1").unwrap_err().to_string().contains("100000 entries"));
    assert!(listing(many.replacen("0,", "", 1).as_bytes(), "pve1").is_ok());
}

fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<f64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1e400".to_owned()),
    ];
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![number, text, Just("null".to_owned()), Just("true".to_owned()), Just("\"0x1\"".to_owned())];
    let key = prop::sample::select(vec![
        "type",
        "vmid",
        "node",
        "name",
        "status",
        "cpu",
        "maxcpu",
        "mem",
        "maxmem",
        "disk",
        "maxdisk",
        "netin",
        "diskwrite",
        "uptime",
        "tags",
        "lock",
        "x",
    ]);
    leaf.prop_recursive(4, 64, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key.clone(), inner), 0..12).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_json_panics(rows in prop::collection::vec(json(), 0..5), cut in any::<prop::sample::Index>()) {
        let body = format!("{{\"data\":[{}]}}", rows.join(","));
        prop_assert!(listing(body.as_bytes(), "pve1").is_ok(), "{}", body);
        let _ = listing(&body.as_bytes()[..cut.index(body.len())], "pve1");
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = listing(&body, "pve1");
        let _ = listing(&[br#"{"data":["#, body.as_slice(), b"]}"].concat(), "pve1");
    }

    #[test]
    fn numbers_are_in_range_or_unknown(number in any::<f64>(), whole in any::<i64>()) {
        for value in [number.to_string(), whole.to_string(), format!("\"{number}\"")] {
            let row = format!(
                r#"{{"type":"lxc","vmid":100,"node":"a","status":"running","cpu":{value},"maxcpu":{value},
                    "mem":{value},"maxmem":{value},"disk":{value},"maxdisk":{value},"netin":{value},
                    "netout":{value},"diskread":{value},"diskwrite":{value},"uptime":{value}}}"#
            );
            let usage = rows(&row).guests[0].usage;
            for percent in [usage.cpu_percent, usage.cpus].into_iter().flatten() {
                prop_assert!((0.0..=1e6).contains(&percent));
            }
            let bytes = [usage.memory_bytes, usage.memory_max_bytes, usage.disk_bytes, usage.disk_max_bytes];
            let counters = [usage.receive_bytes, usage.transmit_bytes, usage.read_bytes, usage.write_bytes];
            for count in bytes.into_iter().chain(counters).chain([usage.uptime_seconds]).flatten() {
                prop_assert!(count.get() <= 1 << 60);
            }
            if value.starts_with('-') && value != "-0" {
                prop_assert_eq!(usage, Usage::default());
            }
        }
    }
}

/// One look per guest at a map, not at all nodes: this ends.
#[test]
fn as_many_nodes_as_guests() {
    let nodes = (0..49_990).map(|number| format!("{{\"type\":\"node\",\"node\":\"n{number}\",\"status\":\"online\"}}"));
    let guests = (0..50_000).map(|number| {
        let (vmid, node) = (100 + number, number % 49_990);
        format!("{{\"type\":\"qemu\",\"vmid\":{vmid},\"node\":\"n{node}\",\"status\":\"running\"}}")
    });
    let body = format!("{{\"data\":[{}]}}", nodes.chain(guests).collect::<Vec<_>>().join(","));
    let listing = listing(body.as_bytes(), "pve1").unwrap();
    assert_eq!((listing.nodes.len(), listing.guests.len()), (49_990, 50_000));
    assert!(listing.guests.iter().all(|guest| guest.state == PowerState::Running));
}

#[test]
fn texts_are_kept_as_long_as_anybody_reads() {
    let long = "\u{e4}".repeat(5000);
    let tags = (0..100).map(|number| format!("{number}{long}")).collect::<Vec<_>>().join(";");
    let body = format!(
        "{{\"data\":[{{\"type\":\"lxc\",\"vmid\":101,\"node\":\"p\",\"name\":\"{long}\",\"status\":\"{long}\",\
         \"tags\":\"{tags}\",\"hastate\":\"\\u00e4{long}\"}}]}}"
    );
    let listing = listing(body.as_bytes(), "pve1").unwrap();
    let guest = &listing.guests[0];
    let length = |text: &str| text.chars().count();
    assert_eq!(guest.name.as_deref().map(length), Some(128));
    assert_eq!(guest.ha_state.as_deref().map(length), Some(128));
    assert_eq!(length(&guest.raw_status), 128);
    assert_eq!(guest.tags.iter().map(|tag| length(tag)).collect::<Vec<_>>(), [64; 64]);
}
