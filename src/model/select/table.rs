//! One table of filters for everybody who reads them: `tests/fixtures/filters.json`. The command line and the page are tried
//! with it from end to end by `tests/cli/filters.rs`.

use serde_json::Value;

use super::{filter, select};
use crate::model::inventory::server::{Address, Expected, ServerKind};
use crate::model::inventory::tests::server;
use crate::model::inventory::{Inventory, Server};
use crate::model::power::PowerState;
use crate::model::power::outcome::InFlight;

/// One text, and what comes of it.
pub(crate) struct Case {
    pub(crate) text: String,
    /// The ids that a filter lets through; else how the message begins.
    pub(crate) finds: Result<Vec<String>, String>,
    /// The ids that the words on a command line select; `None`: they are refused.
    pub(crate) selects: Option<Vec<String>>,
}

fn table() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/filters.json")).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |case: &Value| {
        let finds = match case["wrong"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(texts(&case["finds"])),
        };
        let selects = match case.get("selects") {
            None => finds.clone().ok(),
            Some(Value::Null) => None,
            Some(ids) => Some(texts(ids)),
        };
        Case { text: case["text"].as_str().unwrap().to_owned(), finds, selects }
    };
    table()["cases"].as_array().unwrap().iter().map(case).collect()
}

/// The fleet of the table.
pub(crate) fn fleet() -> Inventory {
    let mut fleet =
        Inventory { servers: table()["servers"].as_array().unwrap().iter().map(one).collect(), ..Inventory::default() };
    fleet.sort();
    fleet
}

fn one(said: &Value) -> Server {
    let text = |key: &str| said[key].as_str().map(str::to_owned);
    let id = text("id").unwrap();
    let kinds = [ServerKind::Pve, ServerKind::Linux, ServerKind::Qemu, ServerKind::Lxc];
    let kind = kinds.into_iter().find(|kind| Some(kind.as_str()) == said["kind"].as_str()).unwrap();
    let vmid = kind.guest().map(|_| id.rsplit('-').next().unwrap().parse().unwrap());
    let mut one = server(&id, said["on"].as_str(), vmid);
    one.kind = kind;
    one.name = text("name").unwrap();
    one.node = text(if kind == ServerKind::Pve { "name" } else { "on" }).and_then(|node| node.parse().ok());
    one.hostname = text("hostname").or_else(|| text("address"));
    let address = |ip: String| Address { ip: ip.parse().unwrap(), prefix: None, interface: "eth0".into(), mac: None };
    one.addresses = text("address").map(address).into_iter().collect();
    one.tags = texts(&said["tags"]).into();
    one.pool = text("pool");
    one.seen.state = PowerState::parse(said["state"].as_str().unwrap());
    if said["wrong"] != true {
        one.expected = Expected::Any;
    }
    if said["doing"] == "waking" {
        let (since, until) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX);
        one.seen.action = Some(InFlight { action: "wake".to_owned(), since, until, by: "root".to_owned() }.into());
    }
    one
}

fn ids(fleet: &Inventory, places: &[usize]) -> Vec<String> {
    places.iter().map(|place| fleet.servers[*place].id.to_string()).collect()
}

#[test]
fn a_filter_and_a_command_line_read_the_same_words() {
    let fleet = fleet();
    for Case { text, finds, selects } in cases() {
        match (fleet.filtered(&text), finds) {
            (Ok(found), Ok(want)) => assert_eq!(ids(&fleet, &found), want, "filter {text:?}"),
            (Err(why), Err(want)) => assert!(why.starts_with(&want), "filter {text:?}: {why}"),
            (found, want) => panic!("filter {text:?}: {found:?} and not {want:?}"),
        }
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let selected = fleet.chosen(&words);
        assert_eq!(selected.as_deref().map(|found| ids(&fleet, found)).ok(), selects, "words {text:?}: {selected:?}");
    }
}

#[test]
fn the_page_knows_the_same_words() {
    let script = include_str!("../../render/html/filter.js");
    let list = |name: &str| {
        let begin = script.split_once(&format!("{name}: [")).unwrap().1;
        let words = begin.split_once(']').unwrap().0.split(',');
        words.map(|word| word.trim().trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("kind"), super::terms::KINDS);
    assert_eq!(list("state"), super::terms::states());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[!*a-z0-9=,/ \\[\\]?-]{0,24}|.{0,16}") {
        if let Ok(found) = fleet().filtered(&text) {
            proptest::prop_assert!(found.is_sorted_by(|a, b| a < b));
        }
        proptest::prop_assert_eq!(filter(&text, &[]).unwrap_or_default(), Vec::<usize>::new());
        let _ = select(&[text], &[]);
    }
}
