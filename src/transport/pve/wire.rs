//! `/cluster/resources`: one answer with all guests and nodes of a cluster, read in one pass into the model.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::model::id::{GuestKind, NodeName, VmId};
use crate::model::power::PowerState;
use crate::model::server::{Guest, Listing, Node};
use crate::model::usage::{Count, Usage};

use super::lenient::{Entry, MAX_ENTRIES, Record, Value, skip, too_many};
use super::repair;

/// What one row says. A field is `None` where it is missing or makes no sense.
#[derive(Default)]
struct Row<'a> {
    kind: Option<Cow<'a, str>>,
    vmid: Option<u32>,
    node: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    lock: Option<Cow<'a, str>>,
    tags: Option<Cow<'a, str>>,
    pool: Option<Cow<'a, str>>,
    ha_state: Option<Cow<'a, str>>,
    template: bool,
    usage: Usage,
}

impl<'de> Record<'de> for Row<'de> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value::<Value<'_>>()?.text(),
            "vmid" => self.vmid = map.next_value::<Value<'_>>()?.exact(),
            "node" => self.node = map.next_value::<Value<'_>>()?.text(),
            "name" => self.name = map.next_value::<Value<'_>>()?.text(),
            "status" => self.status = map.next_value::<Value<'_>>()?.text(),
            "lock" => self.lock = map.next_value::<Value<'_>>()?.text(),
            "tags" => self.tags = map.next_value::<Value<'_>>()?.text(),
            "pool" => self.pool = map.next_value::<Value<'_>>()?.text(),
            "hastate" => self.ha_state = map.next_value::<Value<'_>>()?.text(),
            "template" => self.template = map.next_value::<Value<'_>>()?.flag() == Some(true),
            "cpu" => self.usage.cpu_percent = map.next_value::<Value<'_>>()?.number(MOST_CPU).map(cpu_percent),
            "maxcpu" => self.usage.cpus = map.next_value::<Value<'_>>()?.number(1e6).and_then(cpus),
            "mem" => self.usage.memory_bytes = map.next_value::<Value<'_>>()?.bytes().map(Count::new),
            "maxmem" => self.usage.memory_max_bytes = map.next_value::<Value<'_>>()?.bytes().and_then(size),
            "uptime" => self.usage.uptime_seconds = map.next_value::<Value<'_>>()?.seconds().map(Count::new),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// PVE's `cpu` is a fraction of the server's CPUs. Threads of QEMU's own take it above 1 now and then; what is far
/// above is no measurement.
const MOST_CPU: f64 = 10.0;

/// Percent of the server's CPUs, at most all of them.
#[expect(clippy::cast_possible_truncation, reason = "seven places of a measurement are enough")]
fn cpu_percent(fraction: f64) -> f32 {
    (fraction * 100.0).min(100.0) as f32
}

#[expect(clippy::cast_possible_truncation, reason = "a small number")]
fn cpus(number: f64) -> Option<f32> {
    (number > 0.0).then_some(number as f32)
}

/// A size of nothing is one that is not known.
fn size(bytes: u64) -> Option<Count> {
    (bytes > 0).then(|| Count::new(bytes))
}

/// What became of a row.
enum Resource {
    Guest(Guest),
    Node(Node),
    /// A storage, a pool, a network.
    Other,
    /// Its type, number or node is missing or invalid.
    Unusable,
}

impl Row<'_> {
    /// `names` are the nodes' names so far: thousands of guests share a few.
    fn resource(self, names: &mut Vec<NodeName>) -> Resource {
        let kind = match self.kind.as_deref() {
            Some("qemu") => GuestKind::Qemu,
            Some("lxc") => GuestKind::Lxc,
            Some("node") => return self.node(),
            Some(_) => return Resource::Other,
            None => return Resource::Unusable,
        };
        let vmid = self.vmid.and_then(|number| VmId::try_from(number).ok());
        let node = self.node.as_deref().and_then(|name| shared(name, names));
        let (Some(vmid), Some(node)) = (vmid, node) else { return Resource::Unusable };
        Resource::Guest(Guest {
            kind,
            vmid,
            node,
            name: self.name.map(Cow::into_owned),
            state: PowerState::Unknown,
            raw_status: self.status.map(raw_status).unwrap_or_default(),
            template: self.template,
            lock: self.lock.map(Cow::into_owned),
            tags: self.tags.as_deref().map(tags).unwrap_or_default(),
            pool: self.pool.map(Cow::into_owned),
            ha_state: self.ha_state.map(Cow::into_owned),
            usage: self.usage,
        })
    }

    fn node(self) -> Resource {
        let Some(name) = self.node.as_deref().and_then(|name| name.parse().ok()) else { return Resource::Unusable };
        let online = online(self.status.as_deref());
        let usage = if online == Some(false) { Usage::default() } else { self.usage };
        Resource::Node(Node { name, online, usage })
    }
}

/// PVE's word for a state; the usual ones take no memory of their own.
fn raw_status(text: Cow<'_, str>) -> Cow<'static, str> {
    match text.as_ref() {
        "running" => "running".into(),
        "stopped" => "stopped".into(),
        "unknown" => "unknown".into(),
        _ => text.into_owned().into(),
    }
}

/// The node's name, one of those known where it is one.
fn shared(name: &str, names: &mut Vec<NodeName>) -> Option<NodeName> {
    if let Some(known) = names.iter().find(|known| known.as_str() == name) {
        return Some(known.clone());
    }
    let new: NodeName = name.parse().ok()?;
    names.push(new.clone());
    Some(new)
}

/// Corosync's membership, from the status of a node's row.
pub(super) fn online(status: Option<&str>) -> Option<bool> {
    match status {
        Some("online") => Some(true),
        Some("offline") => Some(false),
        _ => None,
    }
}

/// PVE writes `a;b`, and takes commas and spaces for the same (pve-common, `JSONSchema.pm` `pve-tag-list`).
fn tags(text: &str) -> Vec<String> {
    let words = text.split(|c: char| matches!(c, ';' | ',') || c.is_whitespace());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The listing, and how many rows could not be used or named a guest again, whose last row counts.
#[derive(Default)]
struct Resources {
    listing: Listing,
    by_vmid: HashMap<VmId, usize>,
    unusable: usize,
    repeated: usize,
}

impl Resources {
    fn add(&mut self, resource: Resource) {
        match resource {
            Resource::Guest(guest) => {
                let guests = &mut self.listing.guests;
                let at = *self.by_vmid.entry(guest.vmid).or_insert(guests.len());
                if let Some(earlier) = guests.get_mut(at) {
                    self.repeated += 1;
                    *earlier = guest;
                } else {
                    guests.push(guest);
                }
            }
            Resource::Node(node) => self.listing.nodes.push(node),
            Resource::Other => {}
            Resource::Unusable => self.unusable += 1,
        }
    }

    /// The guests' states follow from their nodes', which may come after them.
    ///
    /// A node without a row is no member of the cluster (any more): every token sees the rows of all nodes,
    /// only their numbers need a privilege. An answer without any node (`type=vm`) says nothing about them;
    /// then a guest's own status is believed.
    fn finish(mut self) -> Listing {
        let Listing { nodes, guests } = &mut self.listing;
        // A handful of nodes: looking through them beats a map.
        let online = |guest: &Guest| {
            nodes.is_empty() || nodes.iter().any(|node| node.name == guest.node && node.online == Some(true))
        };
        for guest in guests {
            guest.state = PowerState::of_guest(&guest.raw_status, None, guest.lock.as_deref(), online(guest));
            let usage = &mut guest.usage;
            if guest.state != PowerState::Running {
                (usage.cpu_percent, usage.memory_bytes) = (None, None);
            }
            if !matches!(guest.state, PowerState::Running | PowerState::Paused) {
                usage.uptime_seconds = None;
            }
        }
        self.listing
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = Resources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of resources")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Resources, A::Error> {
                let mut resources = Resources::default();
                let (mut count, mut names) = (0, Vec::new());
                while let Some(Entry(row)) = seq.next_element::<Entry<Row<'_>>>()? {
                    count += 1;
                    if count > MAX_ENTRIES {
                        return Err(too_many());
                    }
                    resources.add(row.map_or(Resource::Unusable, |row| row.resource(&mut names)));
                }
                Ok(resources)
            }
        }
        // Nothing but a list will do: an inventory must not look empty because the answer was strange.
        deserializer.deserialize_seq(Rows)
    }
}

/// Reads the whole body of an answer to `/cluster/resources`. `server` is for the log.
pub(super) fn listing(body: &[u8], server: &str) -> Result<Listing, serde_json::Error> {
    let resources: Resources = repair::parse(body)?;
    let Resources { unusable, repeated, .. } = resources;
    if unusable + repeated > 0 {
        tracing::warn!(server, unusable, repeated, "entries of the listing are left out");
    }
    Ok(resources.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/fixtures/pve/", $name, ".json"))
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
        assert_eq!(web.tags, ["prod", "web"]);
        assert_eq!((web.usage.cpus, web.usage.uptime_seconds), (Some(1.0), Some(Count::new(333))));
        assert_eq!(
            (web.usage.memory_bytes, web.usage.memory_max_bytes),
            (Some(Count::new(228_298_752)), Some(Count::new(268_435_456)))
        );
        assert!((web.usage.cpu_percent.unwrap() - 3.687).abs() < 0.001);
        // PVE reports zeros for what is off; nobody measured them.
        let db = guest(&listing, 102);
        let configured = Usage { cpus: Some(2.0), memory_max_bytes: Some(Count::new(134_217_728)), ..Usage::default() };
        assert_eq!((db.state, db.usage), (PowerState::Stopped, configured));
        assert!(guest(&listing, 103).template && guest(&listing, 202).template && !web.template);
        assert_eq!(guest(&listing, 104).lock.as_deref(), Some("backup"));
        assert_eq!(guest(&listing, 106).state, PowerState::Hibernated);
        assert_eq!(guest(&listing, 201).kind, GuestKind::Lxc);
        assert_eq!(listing.nodes.len(), 1);
        assert_eq!(
            (listing.nodes[0].online, listing.nodes[0].usage.uptime_seconds),
            (Some(true), Some(Count::new(2224)))
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
        assert_eq!(guest.tags, ["b", "a", "c"]);
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
        let leaf =
            prop_oneof![number, text, Just("null".to_owned()), Just("true".to_owned()), Just("\"0x1\"".to_owned())];
        let key = prop::sample::select(vec![
            "type", "vmid", "node", "name", "status", "cpu", "maxcpu", "mem", "maxmem", "uptime", "tags", "lock", "x",
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
                    r#"{{"type":"qemu","vmid":100,"node":"a","status":"running","cpu":{value},"maxcpu":{value},
                        "mem":{value},"maxmem":{value},"uptime":{value}}}"#
                );
                let usage = rows(&row).guests[0].usage;
                for percent in [usage.cpu_percent, usage.cpus].into_iter().flatten() {
                    prop_assert!((0.0..=1e6).contains(&percent));
                }
                for count in [usage.memory_bytes, usage.memory_max_bytes, usage.uptime_seconds].into_iter().flatten() {
                    prop_assert!(count.get() <= 1 << 60);
                }
                if value.starts_with('-') && value != "-0" {
                    prop_assert_eq!(usage, Usage::default());
                }
            }
        }
    }
}
