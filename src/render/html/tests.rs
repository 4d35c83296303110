use super::*;
use crate::model::inventory::server::{Address, Expected, ServerKind, ServiceType};
use crate::model::inventory::tests::server;
use crate::model::inventory::{FailureKind, ServiceCheck};
use crate::model::load::usage::{Count, Source};
use crate::model::past::series::{Measurement, Metric, Window};
use crate::model::power::PowerState;
use crate::model::power::outcome::InFlight;
use crate::model::text::is_unsafe;

fn now() -> Timestamp {
    "2026-11-25T18:00:00Z".parse().unwrap()
}

fn page<'a>(servers: &'a [Server], past: &'a [Vec<Series>], failures: &'a [Failed]) -> Page<'a> {
    Page { made_at: now(), every: None, servers: servers.iter().collect(), past, failures }
}

fn text(page: &Page<'_>) -> String {
    let mut out = Vec::new();
    write(&mut out, page).unwrap();
    String::from_utf8(out).unwrap()
}

fn day() -> Window {
    Window::new(now().saturating_sub(SignedDuration::from_hours(24)).unwrap(), now(), None)
}

/// A day of half hours, of which `value` tells the numbers.
fn series(metric: Metric, value: impl Fn(i64) -> Option<f64>) -> Series {
    let measured = (0..48_i64).filter_map(|i| {
        let at = now().saturating_sub(SignedDuration::from_mins(30 * (48 - i))).unwrap();
        Some(Measurement::one(at, value(i)?))
    });
    Series::of(metric, Source::Cache, day(), measured)
}

fn guest(number: u32) -> Server {
    let mut guest = server(&format!("pve1-vm-{number}"), Some("pve1"), Some(number));
    guest.depth = 1;
    guest.node = Some("pve1".parse().unwrap());
    guest.expected = Expected::Any;
    guest.seen.state = PowerState::Running;
    guest.seen.at = Some(now());
    guest.seen.source = Source::Api;
    guest.seen.usage.cpu_percent = Some(25.0);
    guest.seen.usage.cpus = Some(2.0);
    guest.seen.usage.memory_bytes = Some(Count::new(3 << 30));
    guest.seen.usage.memory_max_bytes = Some(Count::new(4 << 30));
    guest.seen.usage.uptime_seconds = Some(Count::new(273_600));
    guest
}

fn check(name: &str, open: Option<bool>) -> ServiceCheck {
    let response_seconds = (open == Some(true)).then_some(0.0034);
    let error = (open == Some(false)).then(|| "connection refused".to_owned());
    ServiceCheck { name: name.to_owned(), port: 443, kind: ServiceType::Https, open, response_seconds, error }
}

fn fleet() -> (Vec<Server>, Vec<Vec<Series>>) {
    let mut host = server("pve1", None, None);
    (host.kind, host.node) = (ServerKind::Pve, Some("pve1".parse().unwrap()));
    (host.seen.state, host.seen.at, host.seen.source) = (PowerState::Online, Some(now()), Source::Api);
    host.hostname = Some("192.0.2.1".to_owned());
    let (mut web, mut old) = (guest(101), guest(102));
    web.name = "web-01".to_owned();
    web.tags = ["prod".to_owned(), "web".to_owned()].into();
    web.seen.checks = vec![check("api", Some(true)), check("shop", Some(false))];
    let (ip, mac) = ("10.99.0.101".parse().unwrap(), Some("bc:24:11:00:00:65".to_owned()));
    web.addresses = vec![Address { ip, prefix: Some(24), interface: "eth0".to_owned(), mac }];
    old.seen.state = PowerState::Stopped;
    old.seen.usage = crate::model::load::usage::Usage::default();
    let (since, until) = (now(), Timestamp::MAX);
    let in_flight = InFlight { action: "start".to_owned(), since, until, by: "root, on a terminal".to_owned() };
    old.seen.action = Some(in_flight.into());
    let course = |i: i64| (!(10..14).contains(&i)).then(|| f64::from(i32::try_from(i).unwrap()));
    (vec![host, web, old], vec![vec![], vec![series(Metric::Cpu, course)], vec![]])
}

fn refused(message: &str) -> Failed {
    Failed {
        server: "pve2".parse().unwrap(),
        kind: FailureKind::Denied,
        message: message.to_owned(),
        advice: None,
        about: None,
    }
}

#[test]
fn a_small_page() {
    let (servers, past) = fleet();
    let failures = [refused("pve2 refused: token ecobox@pve!lab: no")];
    let text = text(&page(&servers, &past, &failures));
    let text = text.replace(STYLE, "STYLE").replace(SCRIPT, "SCRIPT");
    let text = text.replace(&hash(STYLE), "HASH-OF-STYLE").replace(&hash(SCRIPT), "HASH-OF-SCRIPT");
    let text = text.replace(concat!("ecobox ", env!("CARGO_PKG_VERSION")), "ecobox VERSION");
    let begin = text.find("<svg class=\"defs\"").unwrap();
    let end = begin + text[begin..].find("</svg><header>").unwrap();
    // A tag a line is easier to compare.
    insta::assert_snapshot!((text[..begin].to_owned() + &text[end..]).replace("><", ">\n<"));
}

#[test]
fn the_policy_names_what_stands_in_the_page() {
    let (servers, past) = fleet();
    let text = text(&page(&servers, &past, &[]));
    for (name, source) in [("style", STYLE), ("script", SCRIPT)] {
        let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
        let found = text.split_once(&begin).unwrap().1.split_once(&end).unwrap().0;
        assert_eq!(found, source);
        assert!(text.contains(&format!("{name}-src '{}'", hash(found)).replace('\'', "'")), "{name}");
    }
    // Whatever they say.
    let page = "<style>a{content:'</td>'}</style><script>f('<li></li>')</script><table><td>1</td><td>2</td></table>";
    let want = "<style>a{content:'</td>'}</style><script>f('<li></li>')</script><table><td>1<td>2</table>";
    assert_eq!(without_needless_ends(page), want);
}

#[test]
fn nothing_foreign_is_more_than_text() {
    const HOSTILE: [&str; 6] = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>'",
        "</script></style></title>--><b>",
        "a\u{202e}b\u{1b}[31m\u{9b}c\n\r\t\u{2028}d\0",
        "&lt;&amp;#x3c;",
        "`${alert(1)}` javascript:alert(1)",
    ];
    for hostile in HOSTILE {
        let (mut servers, past) = fleet();
        for server in &mut servers {
            let name = || hostile.to_owned();
            (server.name, server.hostname) = (name(), Some(name()));
            (server.tags, server.pool, server.lock, server.ha_state) =
                ([name(), name()].into(), Some(name()), Some(name()), Some(name()));
            server.addresses =
                vec![Address { ip: "10.0.0.1".parse().unwrap(), prefix: None, interface: name(), mac: Some(name()) }];
            server.seen.reason = Some(name());
            server.seen.raw_status = Some(name().into());
            server.seen.checks = [Some(true), Some(false), None]
                .map(|open| ServiceCheck { error: Some(name()), ..check(hostile, open) })
                .to_vec();
            let in_flight = InFlight { action: name(), since: now(), until: Timestamp::MAX, by: name() };
            server.seen.action = Some(in_flight.into());
        }
        servers[2].seen.state = PowerState::Unknown;
        let failures = [refused(hostile), Failed { server: servers[0].id.clone(), ..refused(hostile) }];
        let text = text(&page(&servers, &past, &failures));
        let bare = text.replace(STYLE, "").replace(SCRIPT, "");
        assert!(!bare.contains(|c: char| is_unsafe(c) && c != '\n'), "{hostile:?}");
        for mark in ["<script", "</script", "<style", "</style"] {
            assert_eq!(bare.matches(mark).count(), 1, "{mark} by {hostile:?}");
        }
        for mark in ["<img", "<b>al", "--><b", "</title></"] {
            assert!(!bare.contains(mark), "{mark} by {hostile:?}");
        }
        // Nothing ends an attribute: outside of quotes and tags there are no quotes of ours.
        let attributes = bare.split('<').skip(1).filter_map(|tag| tag.split_once('>').map(|(tag, _)| tag));
        for tag in attributes {
            assert!(tag.matches('"').count() % 2 == 0, "{tag} by {hostile:?}");
            assert!(!tag.split('"').step_by(2).any(|part| part.contains("onerror")), "{tag}");
        }
    }
    let mut servers = vec![guest(101)];
    servers[0].name = HOSTILE[0].to_owned();
    assert!(text(&page(&servers, &[], &[])).contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn the_page_asks_nobody_for_anything() {
    let (servers, past) = fleet();
    let text = text(&page(&servers, &past, &[]));
    for mark in ["http:", "https:", "//", "url(", "@import", "src=", " on=", "onclick", "style=", "<base", "<iframe"] {
        assert!(!text.contains(mark), "{mark}");
    }
    assert!(text.contains("default-src 'none'; style-src 'sha256-"));
    // What would end the elements that they stand in.
    for part in [STYLE, SCRIPT] {
        assert!(!part.contains("</") && !part.contains("<!--"));
    }
}

#[test]
fn numbers_say_how_sure_they_are() {
    let mut servers = vec![guest(101)];
    let seen = &mut servers[0].seen;
    seen.usage.memory_bytes = Some(Count::new(227 << 20));
    seen.usage.memory_max_bytes = Some(Count::new(128 << 20));
    seen.at = Some(now().saturating_sub(SignedDuration::from_secs(2)).unwrap());
    seen.lag = Some(SignedDuration::from_secs(10));
    let text = text(&page(&servers, &[], &[]));
    assert!(
        text.contains(r#"data-v="177.34""#) && text.contains("227M<span class=\"q\">/128M</span> (177%)"),
        "{text}"
    );
    assert!(text.contains(
        r#"<td class="w-seen">&lt;<time datetime="2026-11-25T17:59:48Z">12s</time><span class="by"> by api"#
    ));
    assert!(text.contains("2026-11-25T17:59:58Z by api, up to 10 s before"));
    // What its own node says now is not older than the answer.
    servers[0].seen.lag = None;
    let text = self::text(&page(&servers, &[], &[]));
    assert!(
        text.contains(r#"<td class="w-seen"><time datetime="2026-11-25T17:59:58Z">2s</time><span class="by"> by api"#),
        "{text}"
    );
}

/// Proxmox VE calls it stopped, which says less.
#[test]
fn hibernated_is_not_stopped() {
    let mut servers = vec![guest(101), guest(102)];
    (servers[0].seen.state, servers[0].seen.raw_status) = (PowerState::Hibernated, Some("stopped".into()));
    (servers[1].seen.state, servers[1].seen.raw_status) = (PowerState::Paused, Some("io-error".into()));
    let text = text(&page(&servers, &[], &[]));
    assert!(!text.contains("stopped)") && !text.contains(r#"title="stopped""#), "{text}");
    assert!(text.contains("paused (io-error)") && text.contains(r#"title="io-error""#), "{text}");
}

#[test]
fn ids_of_tokens_stay_out() {
    let mut host = server("pve1", None, None);
    host.seen.reason = Some("token root@pam!old: expired".to_owned());
    host.seen.checks = vec![ServiceCheck { error: Some("a@pve!b".to_owned()), ..check("x", Some(false)) }];
    let servers = [host];
    let text = text(&page(&servers, &[], &[refused("token ecobox@pve!test: Authentication failed!")]));
    for id in ["root@pam", "ecobox@pve", "a@pve", "pam!old", "pve!test"] {
        assert!(!text.contains(id), "{id}");
    }
    assert!(text.contains("token \u{2026}: Authentication failed!"));
}

#[test]
fn a_page_knows_for_how_long_it_is_fresh() {
    let servers = [guest(101)];
    let mut page = page(&servers, &[], &[]);
    assert!(text(&page).contains("data-patience=\"600\""));
    page.every = Some(SignedDuration::from_secs(30));
    let text = text(&page);
    assert!(text.contains("data-patience=\"60\"") && text.contains("for more than 1 minute."));
}

#[test]
fn an_average_says_of_how_much_time_it_is() {
    let servers = [guest(101)];
    for (hours, want) in [(24, None), (23, None), (3, Some("avg 50%, max 50%, of the 3 h that are known"))] {
        let past = [vec![series(Metric::Cpu, |i| (i >= 48 - 2 * hours).then_some(50.0))]];
        let text = text(&page(&servers, &past, &[]));
        assert_eq!(text.contains("that are known"), want.is_some(), "{hours}");
        assert!(want.is_none_or(|want| text.contains(want)), "{text}");
    }
}

#[test]
fn a_fleet_without_servers_says_so() {
    let text = text(&page(&[], &[], &[]));
    assert!(text.contains("there is no server to show") && !text.contains("nothing is wrong"));
}

#[test]
fn five_hundred_guests_are_a_small_file() {
    // A busy day that is nowhere level: level pieces are shorter to write.
    let noise = |seed: i64, top: f64| {
        move |i: i64| {
            let jump = f64::from(i32::try_from((i * 7919 + seed * 104_729) * 31_337 % 1000).unwrap()) / 1000.0;
            let wave = (f64::from(i32::try_from(i + seed % 48).unwrap()) / 8.0).sin();
            Some(top * (0.5 + 0.25 * wave + 0.25 * jump))
        }
    };
    let mut servers = vec![server("pve1", None, None)];
    servers.extend((101..601).map(|number| {
        let mut guest = guest(number);
        guest.name = format!("customer-web-{number}");
        guest.tags = ["prod".to_owned(), "web".to_owned()].into();
        guest.seen.checks = vec![check("https", Some(true)), check("ssh", Some(true))];
        guest.hostname = Some(format!("10.99.{}.{}", number / 200, number % 200));
        guest
    }));
    let past: Vec<Vec<Series>> = (0..501)
        .map(|seed| {
            vec![
                series(Metric::Cpu, noise(seed, 100.0)),
                series(Metric::Memory, |i| Some(3e9 + if i % 5 == 0 { 2e8 } else { 0.0 })),
                series(Metric::Receive, noise(seed + 7, 4e6)),
                series(Metric::Transmit, noise(seed + 9, 4e5)),
            ]
        })
        .collect();
    let page = page(&servers, &past, &[]);
    let begin = std::time::Instant::now();
    let text = text(&page);
    // `cargo test --release five_hundred -- --nocapture` tells; no time is asserted.
    let said = format!("a page of 500 guests: {} bytes in {:?}\n", text.len(), begin.elapsed());
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    assert!(text.len() < 1_500_000, "{}", text.len());
}

#[test]
fn hashes_are_written_as_policies_have_them() {
    for (bytes, want) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
    {
        assert_eq!(base64(bytes.as_bytes()), want);
    }
    assert_eq!(hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}
