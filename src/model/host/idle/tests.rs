//! A month of a host with a rule, at a clock of its own: looks every five minutes, evening use, nights.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::explain::{Shown, Sighting, Stretch, explain};
use super::hours::Hours;
use super::settings::due_need;
use super::{IdleRecord, IdleSettings, Look, Need, NeedKind};
use crate::model::check::CheckId;
use crate::model::host::activity::{Activity, Answer, Connection, Counted, Timer};
use crate::model::host::power::{HostPreflight, LoggedIn};
use crate::model::load::reading::HostLoad;
use crate::model::power::Finding;

const WINDOW: SignedDuration = SignedDuration::from_mins(30);
const PACE: SignedDuration = SignedDuration::from_mins(5);

/// What a look finds on the host at a time, as the script and the API tell it.
#[derive(Default)]
struct Evidence {
    seen: HostPreflight,
    load: HostLoad,
    more: Vec<Need>,
}

impl Evidence {
    /// A host that nobody uses.
    fn quiet(at: Timestamp) -> Evidence {
        let mut evidence = Evidence::default();
        evidence.seen.users = Some(Vec::new());
        evidence.seen.activity = Some(Activity {
            connections: Some(Vec::new()),
            listening: [22, 445, 2049, 3260, 8096, 9000].into(),
            clock: Some(at),
            timers: Some(Vec::new()),
            ..Activity::default()
        });
        evidence.load.usage.cpu_percent = Some(1.0);
        evidence
    }

    fn activity(&mut self) -> &mut Activity {
        self.seen.activity.get_or_insert_default()
    }

    fn connect(&mut self, port: u16, remote: &str) {
        let local = "10.0.0.2".parse().unwrap();
        let connection = Connection { port, local, remote: remote.parse().unwrap() };
        self.activity().connections.get_or_insert_default().push(connection);
    }

    fn needs(&self, settings: &IdleSettings, now: &Zoned) -> Vec<Need> {
        let own = ["10.0.0.2".parse().unwrap()];
        let asked_from = Some("10.0.0.1".parse().unwrap());
        let counted = Counted {
            ports: &settings.ports,
            ignored: &settings.ignore_ports,
            own: &own,
            asked_from,
            ..Counted::default()
        };
        let activity = self.seen.activity.as_ref().unwrap();
        let mut needs = settings.seen_needs(&self.seen, &activity.uses(&counted));
        needs.extend(settings.load_needs(Some(&self.load)));
        needs.extend(activity.command.as_ref().and_then(|answer| settings.command_need(answer)));
        needs.extend(settings.timer_needs(activity, WINDOW));
        let hours = settings.not_between.iter().find(|hours| hours.contains(now.datetime()));
        needs.extend(hours.map(|hours| Need::new(NeedKind::Hours, format!("not between {hours}"))));
        needs.extend(self.more.iter().cloned());
        needs
    }
}

/// What happened to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Slept,
    Woken,
}

/// A host, and cron that runs the rule.
struct Night {
    settings: IdleSettings,
    record: Option<IdleRecord>,
    stretches: Vec<Stretch>,
    is_awake: bool,
    awake_since: Timestamp,
    sleeps: u64,
    events: Vec<(Zoned, Event)>,
}

impl Night {
    fn new(settings: IdleSettings, at: &Zoned) -> Night {
        Night {
            settings,
            record: None,
            stretches: Vec::new(),
            is_awake: true,
            awake_since: at.timestamp(),
            sleeps: 0,
            events: Vec::new(),
        }
    }

    /// Somebody wakes it, if it sleeps.
    fn wake(&mut self, at: &Zoned) {
        if !self.is_awake {
            self.is_awake = true;
            self.awake_since = at.timestamp();
            self.events.push((at.clone(), Event::Woken));
        }
    }

    /// A run of the rule.
    fn look(&mut self, at: &Zoned, evidence: &Evidence) {
        let now = at.timestamp();
        let before = self.record.take();
        let (after, shown) = if self.is_awake {
            let needs = evidence.needs(&self.settings, at);
            let look = Look {
                at: now,
                awake_since: Some(self.awake_since),
                sleeps: Some(self.sleeps),
                window: WINDOW,
                needs: &needs,
            };
            (IdleRecord::after(before.as_ref(), &look), Sighting::all(&needs))
        } else {
            (IdleRecord::after_asleep(before.as_ref(), now), vec![Sighting::plain(Shown::Asleep)])
        };
        let from = before.filter(|before| before.has_seen_until(now, WINDOW)).map_or(now, |before| before.looked_at);
        self.stretches.extend(shown.into_iter().map(|sighting| Stretch { sighting, since: from, until: now }));
        if self.is_awake && after.verdict(WINDOW).stays.is_none() {
            self.is_awake = false;
            self.sleeps += 1;
            self.events.push((at.clone(), Event::Slept));
        }
        self.record = Some(after);
    }
}

fn start() -> Zoned {
    // A Monday, with the end of summer time in its last week.
    "2026-10-05T00:00"
        .parse::<DateTime>()
        .unwrap()
        .to_zoned(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
        .unwrap()
}

fn is_between(at: &Zoned, from: &str, until: &str) -> bool {
    Hours::parse(&format!("{from}-{until}")).unwrap().contains(at.datetime())
}

/// The same sequence at each run.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn a_month_of_evenings_sleeps_every_night_and_never_while_needed() {
    let (mut at, mut seed) = (start(), 7_u64);
    let settings = IdleSettings { ports: vec![9000], ..IdleSettings::default() };
    let mut host = Night::new(settings, &at);
    let (mut asleep_at_four, mut needed_looks) = (0, 0);
    let mut use_until = at.clone();
    for day in 0..30 {
        for step in 0..288 {
            at = at.checked_add(PACE).unwrap();
            let mut evidence = Evidence::quiet(at.timestamp());
            // In the evening somebody comes every now and then, wakes the host, and stays for up to an hour.
            if is_between(&at, "18:00", "22:30") && random(&mut seed, 10) == 0 {
                let stay = i64::try_from(random(&mut seed, 60)).unwrap();
                use_until = at.checked_add(SignedDuration::from_mins(stay)).unwrap();
                host.wake(&at);
            }
            // A backup holds the host by a lease each night, and wakes it for that.
            let is_backup = is_between(&at, "02:00", "02:40");
            if is_backup {
                host.wake(&at);
                evidence.more.extend(found(CheckId::Held));
            }
            let is_used = at < use_until;
            if is_used {
                match random(&mut seed, 3) {
                    0 => evidence.connect(445, "10.0.0.5"),
                    1 => evidence.load.rates.transmit = Some(3e6),
                    _ => evidence.connect(9000, "10.0.0.7"),
                }
            }
            // A run is left out now and then, and on one day cron does not run for an hour.
            let left_out = random(&mut seed, 40) == 0 || (day == 12 && (120..132).contains(&step));
            if left_out {
                continue;
            }
            let was_awake = host.is_awake;
            host.look(&at, &evidence);
            if is_used || is_backup {
                needed_looks += 1;
                assert!(!was_awake || host.is_awake, "it slept while it was needed, at {at}");
            }
            asleep_at_four += u32::from(is_between(&at, "04:00", "04:05") && !host.is_awake);
        }
    }
    assert!(asleep_at_four >= 28, "it slept in {asleep_at_four} nights of 30");
    assert!(needed_looks > 700, "{needed_looks}");
    // Nothing flaps: whoever woke it has it for the whole window, and it does not sleep and wake by itself.
    for pair in host.events.windows(2) {
        if let [(woken, Event::Woken), (slept, Event::Slept)] = pair {
            let awake = slept.duration_since(woken);
            assert!(awake >= WINDOW, "it was awake for {awake:?} at {slept}");
        }
    }
    let (first, last) = (start().timestamp(), at.timestamp());
    let month = explain(&host.stretches, first, last, WINDOW);
    let hours = |span: SignedDuration| span.as_hours();
    assert!(hours(month.asleep) > 30 * 15, "{} h asleep", hours(month.asleep));
    assert!(hours(month.would_sleep) >= hours(month.asleep), "{month:?}");
    let kept: BTreeSet<&str> = month.kept.iter().map(|kept| kept.what.as_str()).collect();
    for what in ["SMB from 10.0.0.5", "port 9000 from 10.0.0.7", "network", "a lease holds it"] {
        assert!(kept.contains(what), "{what} in {kept:?}");
    }
}

type Use = fn(&mut Evidence);

/// Every need, by what the script or the API tells of it; and whether it only forbids sleep while it lasts.
fn all_needs() -> Vec<(&'static str, NeedKind, Use)> {
    vec![
        ("login of anna from 10.0.0.5", NeedKind::Login, |evidence| {
            let (user, from) = (Some("anna".to_owned()), Some("10.0.0.5".to_owned()));
            evidence.seen.users.get_or_insert_default().push(LoggedIn { user, terminal: None, from, idle: Some(true) });
        }),
        ("SMB from 10.0.0.5", NeedKind::Connection, |evidence| evidence.connect(445, "10.0.0.5")),
        ("NFS from 10.0.0.5", NeedKind::Connection, |evidence| evidence.connect(2049, "10.0.0.5")),
        ("iSCSI from 10.0.0.5", NeedKind::Connection, |evidence| evidence.connect(3260, "10.0.0.5")),
        ("Jellyfin from 10.0.0.5", NeedKind::Connection, |evidence| evidence.connect(8096, "10.0.0.5")),
        ("port 9000 from 10.0.0.5", NeedKind::Connection, |evidence| evidence.connect(9000, "10.0.0.5")),
        ("a package manager at work", NeedKind::Work, |evidence| {
            evidence.activity().work.insert("a package manager".to_owned());
        }),
        ("ZFS (resilver) at work", NeedKind::Work, |evidence| {
            evidence.activity().work.insert("ZFS (resilver)".to_owned());
        }),
        ("md0 (check) at work", NeedKind::Work, |evidence| {
            evidence.activity().work.insert("md0 (check)".to_owned());
        }),
        ("a test of the disk sda at work", NeedKind::Work, |evidence| {
            evidence.activity().work.insert("a test of the disk sda".to_owned());
        }),
        ("CPU", NeedKind::Load, |evidence| evidence.load.usage.cpu_percent = Some(11.0)),
        ("network", NeedKind::Load, |evidence| evidence.load.rates.receive = Some(200_000.0)),
        ("disks", NeedKind::Load, |evidence| evidence.load.rates.write = Some(2e6)),
        ("load", NeedKind::Load, |evidence| {
            (evidence.load.usage.load, evidence.load.usage.cpus) = (Some(9.0), Some(4.0));
        }),
        ("command is-needed", NeedKind::Command, |evidence| {
            evidence.activity().command = Some(Answer { status: 0, line: "a film is converted".to_owned() });
        }),
        ("command is-needed", NeedKind::Unknown, |evidence| {
            evidence.activity().command = Some(Answer { status: 127, line: String::new() });
        }),
        ("who is logged in is not known", NeedKind::Unknown, |evidence| evidence.seen.users = None),
        ("its connections could not be read", NeedKind::Unknown, |evidence| evidence.activity().connections = None),
        ("how hard it works could not be measured", NeedKind::Unknown, |evidence| {
            evidence.load.usage.cpu_percent = None;
        }),
        ("backup.timer", NeedKind::Timer, |evidence| {
            let next = evidence.activity().clock.unwrap().checked_add(SignedDuration::from_mins(20)).unwrap();
            let last = next.checked_sub(SignedDuration::from_hours(24)).ok();
            evidence.activity().timers = Some(vec![Timer { unit: "backup.timer".to_owned(), next, last }]);
        }),
        ("backup job nightly", NeedKind::Timer, |evidence| {
            evidence.more.push(due_need("backup job nightly", SignedDuration::from_mins(10)));
        }),
        ("guest vm-101 (plex) runs", NeedKind::Guest, |evidence| {
            evidence.more.push(Need::new(NeedKind::Guest, "guest vm-101 (plex) runs"));
        }),
        ("a backup runs", NeedKind::Backup, |evidence| evidence.more.extend(found(CheckId::BackupRunning))),
        ("tasks run", NeedKind::Task, |evidence| evidence.more.extend(found(CheckId::TasksRunning))),
        ("programs ask not to sleep", NeedKind::Inhibitor, |evidence| {
            evidence.more.extend(found(CheckId::SleepInhibited));
        }),
        ("a lease holds it", NeedKind::Lease, |evidence| evidence.more.extend(found(CheckId::Held))),
        ("its cluster would lose quorum", NeedKind::Quorum, |evidence| {
            evidence.more.extend(found(CheckId::QuorumLost));
        }),
    ]
}

fn found(id: CheckId) -> Option<Need> {
    let finding = Finding {
        id,
        server: "nas".parse().unwrap(),
        message: "as it was found".to_owned(),
        fix: None,
        overridable: true,
        allowed: false,
        lasts: false,
        remedy: None,
    };
    Need::of_finding(&finding, "")
}

#[test]
fn each_need_alone_keeps_the_host_awake_as_long_as_it_lasts() {
    let settings =
        IdleSettings { ports: vec![9000], command: Some(vec!["is-needed".to_owned()]), ..IdleSettings::default() };
    for (what, kind, need) in all_needs() {
        let mut at = start();
        let mut host = Night::new(settings.clone(), &at);
        let mut slept_at = None;
        while slept_at.is_none() && is_between(&at, "00:00", "23:00") {
            at = at.checked_add(PACE).unwrap();
            let mut evidence = Evidence::quiet(at.timestamp());
            if is_between(&at, "00:00", "12:00") {
                need(&mut evidence);
                let needs = evidence.needs(&settings, &at);
                assert!(needs.iter().any(|need| need.what == what && need.kind == kind), "{what}: {needs:?}");
            }
            host.look(&at, &evidence);
            slept_at = (!host.is_awake).then(|| at.clone());
        }
        let slept_at = slept_at.unwrap();
        // A use begins the window again; what only forbids sleep does not.
        let (earliest, latest) = if kind.is_use() { ("12:25", "12:35") } else { ("12:00", "12:05") };
        assert!(is_between(&slept_at, earliest, latest), "{what}: it slept at {slept_at}");
        let kept = explain(&host.stretches, start().timestamp(), at.timestamp(), WINDOW).kept;
        assert!(kept.iter().any(|one| one.what == what && one.total.as_hours() == 11), "{what}: {kept:?}");
    }
}

#[test]
fn times_at_which_it_stays_awake_are_kept() {
    let not_between = vec![Hours::parse("Mon-Fri 08:00-18:00").unwrap()];
    let mut at = start();
    let mut host = Night::new(IdleSettings { not_between, ..IdleSettings::default() }, &at);
    // Somebody wakes it each morning, and nobody uses it.
    for _ in 0..28 * 288 {
        at = at.checked_add(PACE).unwrap();
        if is_between(&at, "07:50", "07:55") {
            host.wake(&at);
        }
        host.look(&at, &Evidence::quiet(at.timestamp()));
        let is_weekday = at.weekday().to_monday_zero_offset() < 5;
        assert!(host.is_awake || !is_weekday || !is_between(&at, "08:00", "18:00"), "{at}");
    }
    let slept: Vec<String> = host
        .events
        .iter()
        .filter(|(_, event)| *event == Event::Slept)
        .map(|(at, _)| at.strftime("%a %H:%M").to_string())
        .collect();
    // After the window on the first night; then at six on weekdays, and after the window at weekends.
    assert_eq!(slept[..7], ["Mon 00:35", "Mon 18:00", "Tue 18:00", "Wed 18:00", "Thu 18:00", "Fri 18:00", "Sat 08:20"]);
    assert_eq!(slept.len(), 1 + 28);
}
