use super::*;
use crate::model::check::diagnosis::Verdict;
use crate::model::check::host::SystemSeen;
use crate::model::host::facts::{HostFacts, Privilege};
use crate::model::host::power::Inhibitor;
use crate::model::host::power::rtc::{Clocks, Rtc};

fn id() -> ServerId {
    "nas".parse().unwrap()
}

fn port(name: &str, last: u8, armed: Option<bool>) -> Nic {
    Nic {
        name: name.to_owned(),
        mac: format!("bc:24:11:00:00:{last:02x}"),
        link: Some(last == 1),
        master: None,
        default_route: last == 1,
        wol_armed: armed,
        wol_supported: Some(true),
    }
}

fn link(folder: u8, name: &str, lines: &[&str]) -> LinkFile {
    LinkFile { folder, name: name.to_owned(), lines: Some(lines.iter().map(|line| (*line).to_owned()).collect()) }
}

const DEFAULT: [&str; 4] = ["[Match]", "OriginalName=*", "[Link]", "NamePolicy=keep kernel"];
const OWN: [&str; 4] = ["[Match]", "MACAddress=BC:24:11:00:00:01", "[Link]", "WakeOnLan=magic"];

fn boot(links: Vec<LinkFile>) -> BootFiles {
    let mut all = vec![link(4, "99-default.link", &DEFAULT)];
    all.extend(links);
    BootFiles { systemd: true, links: all, ..BootFiles::default() }
}

fn healthy() -> SystemSeen {
    let facts = HostFacts {
        nics: vec![port("eno1", 1, Some(true)), port("eno2", 2, Some(false))],
        privilege: Privilege::Root,
        ..HostFacts::default()
    };
    let rtc = Rtc { name: "rtc0".to_owned(), has_alarm: true, wakes: Some(true), is_system: true };
    let preflight = HostPreflight {
        facts,
        clocks: Clocks { rtcs: Some(vec![rtc]), ..Clocks::default() },
        inhibitors: Some(vec![]),
        ways: vec![(HostCall::Suspend, Ok("systemctl".to_owned()))],
        ..HostPreflight::default()
    };
    let sleep = SleepFacts { boot: boot(vec![link(1, "50-eno1.link", &OWN)]), ..SleepFacts::default() };
    SystemSeen { preflight, sleep, ..SystemSeen::default() }
}

fn known() -> SleepSeen {
    SleepSeen { way: Some(Way::By("by a magic packet".to_owned())), ..SleepSeen::default() }
}

fn chart(seen: &SleepSeen, system: &SystemSeen) -> Chart {
    let mut chart = Chart::of(Some(&id()));
    let system = System { preflight: &system.preflight, sleep: &system.sleep };
    judge(&id(), seen, Some(system), None, &mut chart);
    chart
}

fn wrong(seen: &SleepSeen, system: &SystemSeen) -> Vec<CheckId> {
    chart(seen, system).list.iter().filter(|one| one.verdict.is_wrong()).map(|one| one.id).collect()
}

fn with(change: impl FnOnce(&mut SystemSeen)) -> SystemSeen {
    let mut system = healthy();
    change(&mut system);
    system
}

#[test]
fn each_fault_is_one_finding() {
    use CheckId as C;
    let way = |system: &mut SystemSeen, no_way| system.preflight.ways[0].1 = Err(no_way);
    let unsupported = || with(|s| way(s, NoWay::Unsupported { state: "mem".to_owned() }));
    let lock = |s: &mut SystemSeen, who: &str, seconds| {
        let text = |text: &str| text.to_owned();
        s.preflight.inhibitors = Some(vec![Inhibitor { who: text(who), what: text("sleep"), why: text("a long job") }]);
        s.sleep.held = vec![Held { who: text(who), why: text("a long job"), seconds }];
    };
    let fix = || Fix::say("x");
    let meant = || SleepSeen { meant: true, ..known() };
    let mac = |mac: &str| SleepSeen { mac: Some(mac.to_owned()), ..known() };
    let woke = |tries: &[Option<f64>]| SleepSeen { wakes: Wakes::of(tries), ..known() };
    let unarmed = || with(|s| s.preflight.facts.nics[0].wol_armed = Some(false));
    let incapable = || {
        with(|s| {
            s.preflight.facts.nics[0].wol_armed = Some(false);
            s.preflight.facts.nics[0].wol_supported = Some(false);
        })
    };
    let virtual_machine = |mut system: SystemSeen| {
        system.sleep.virtual_machine = Some("kvm".to_owned());
        system
    };
    let no_way = || Some(Way::None { why: "x".to_owned(), fix: fix() });
    let unlearned = || Some(Way::Unlearned { why: "x".to_owned(), fix: fix() });
    let far = || Some(Way::Far { why: "x".to_owned(), fix: fix() });
    let cases: Vec<(&str, SleepSeen, SystemSeen, &[CheckId])> = vec![
        ("healthy", known(), healthy(), &[]),
        ("masked", known(), with(|s| way(s, NoWay::Masked { unit: "sleep.target".to_owned() })), &[C::SleepMasked]),
        (
            "disallowed, and more",
            known(),
            with(|s| {
                way(s, NoWay::Disallowed { key: "AllowSuspend".to_owned() });
                s.preflight.facts.nics[0].wol_armed = Some(false);
            }),
            &[C::SleepMasked],
        ),
        ("no such state, and nobody wants it", known(), unsupported(), &[]),
        ("no such state", meant(), unsupported(), &[C::SleepUnsupported]),
        ("a lock", known(), with(|s| lock(s, "backup", Some(600))), &[]),
        ("a lock of unknown age", known(), with(|s| lock(s, "backup", None)), &[]),
        ("a lock for days", known(), with(|s| lock(s, "backup", Some(200_000))), &[C::SleepInhibited]),
        ("a lease", known(), with(|s| lock(s, "ecobox", Some(200_000))), &[]),
        ("not armed", known(), unarmed(), &[C::WolNotArmed]),
        ("not armed in a virtual machine", known(), virtual_machine(unarmed()), &[]),
        (
            "not armed in a virtual machine that is to wake",
            mac("bc:24:11:00:00:01"),
            virtual_machine(unarmed()),
            &[C::WolNotArmed],
        ),
        ("cannot be armed, and nobody wants it", known(), incapable(), &[]),
        ("cannot be armed", meant(), incapable(), &[C::WolNotArmed]),
        ("not told", known(), with(|s| s.preflight.facts.nics[0].wol_armed = None), &[]),
        ("no cards are told", known(), with(|s| s.preflight.facts.nics.clear()), &[]),
        ("the right address", mac("BC:24:11:00:00:01"), healthy(), &[]),
        ("another card's address", mac("bc:24:11:00:00:99"), healthy(), &[C::MacWrong]),
        ("a card without a link", mac("bc:24:11:00:00:02"), healthy(), &[C::MacWrong]),
        ("not after the next boot", known(), with(|s| s.sleep.boot = boot(vec![])), &[C::WolNotPersistent]),
        ("TLP", known(), with(|s| s.sleep.boot.tlp_disarms = Some(true)), &[C::WolNotPersistent]),
        ("no way", SleepSeen { way: no_way(), ..known() }, healthy(), &[C::NoWakePath]),
        ("no way, and it woke", SleepSeen { way: no_way(), ..woke(&[Some(40.0)]) }, healthy(), &[]),
        ("far away, and not meant to sleep", SleepSeen { way: far(), ..known() }, healthy(), &[]),
        ("an address that nobody asked for", SleepSeen { way: unlearned(), ..known() }, healthy(), &[]),
        ("an address that is needed", SleepSeen { way: unlearned(), ..meant() }, healthy(), &[C::NoWakePath]),
        ("far away", SleepSeen { way: far(), ..meant() }, healthy(), &[C::NoWakePath]),
        ("woke", woke(&[None, Some(40.0)]), healthy(), &[]),
        ("did not wake", woke(&[Some(40.0), None]), healthy(), &[C::WakeFailed]),
        ("no clock", known(), with(|s| s.preflight.clocks.rtcs = None), &[]),
        ("no alarm", known(), with(|s| s.preflight.clocks.rtcs.as_mut().unwrap()[0].has_alarm = false), &[]),
        (
            "a clock that may not",
            known(),
            with(|s| s.preflight.clocks.rtcs.as_mut().unwrap()[0].wakes = Some(false)),
            &[C::NoRtc],
        ),
        ("a battery", known(), with(|s| s.preflight.clocks.battery = Some("dead".to_owned())), &[C::NoRtc]),
        ("HA", SleepSeen { managed: vec!["nas-vm-1".to_owned()], ..known() }, healthy(), &[]),
        (
            "HA, and it is to sleep",
            SleepSeen { managed: vec!["nas-vm-1".to_owned()], ..meant() },
            healthy(),
            &[C::HaManaged],
        ),
        ("one of two nodes", known(), with(|s| s.sleep.members = Some((2, 2))), &[]),
        ("one of two nodes that is to sleep", meant(), with(|s| s.sleep.members = Some((2, 2))), &[C::QuorumLost]),
        ("one of three nodes that is to sleep", meant(), with(|s| s.sleep.members = Some((3, 3))), &[]),
        ("no clue", known(), with(|s| s.preflight.ways.clear()), &[]),
    ];
    for (what, seen, system, want) in cases {
        assert_eq!(wrong(&seen, &system), want, "{what}");
    }
}

#[test]
fn whoever_sleeps_now_is_judged_by_what_is_known() {
    let mut chart = Chart::of(Some(&id()));
    let way = Some(Way::None { why: "x".to_owned(), fix: Fix::say("y") });
    let seen = SleepSeen { meant: true, way, ..SleepSeen::default() };
    judge(&id(), &seen, None, Some(CheckId::HostAway), &mut chart);
    let verdict = |id| chart.list.iter().find(|one| one.id == id).map(|one| one.verdict);
    assert_eq!(verdict(CheckId::NoWakePath), Some(Verdict::Warning));
    assert_eq!(verdict(CheckId::WolNotArmed), Some(Verdict::Skipped));
}

#[test]
fn what_could_not_be_read_is_unknown() {
    let chart = chart(
        &known(),
        &with(|s| {
            s.preflight.facts.nics[0].wol_armed = None;
            s.preflight.facts.privilege = Privilege::Nosudo;
            s.preflight.inhibitors = None;
            s.preflight.clocks.rtcs = None;
        }),
    );
    for id in [CheckId::WolNotArmed, CheckId::SleepInhibited, CheckId::NoRtc] {
        let found = chart.list.iter().find(|one| one.id == id).unwrap();
        assert_eq!(found.verdict, Verdict::Unknown, "{id}");
    }
}

#[test]
fn wakes_are_counted_in_words() {
    for (tries, want) in [
        (&[Some(40.0)][..], "woke 1 of 1 time, 40 s median"),
        (&[Some(39.0), None, Some(41.4), Some(50.0)], "woke 3 of 4 times, 41 s median"),
        (&[None, None], "woke 0 of 2 times"),
    ] {
        assert_eq!(Wakes::of(tries).to_string(), want);
    }
}

/// What arms the first port, or what is to be written.
fn lasts(boot: &BootFiles) -> String {
    match boot.lasts(&id(), &port("eno1", 1, Some(true))) {
        Lasts::Yes { by } => format!("by {by}"),
        Lasts::No { fix } => format!("write {}", fix.file.or(fix.run.map(|run| run.join(" "))).unwrap_or_default()),
        Lasts::Undone { by, .. } => format!("undone by {by}"),
        Lasts::Unsure { why } => format!("unsure: {why}"),
    }
}

#[test]
fn the_first_link_file_that_is_for_a_card_counts() {
    const NEW: &str = "write /etc/systemd/network/50-ecobox-eno1.link";
    let usb =
        || link(4, "73-usb-net-by-mac.link", &["[Match]", "Property=ID_USB_DRIVER=*", "[Link]", "NamePolicy=mac"]);
    let cases: Vec<(&str, Vec<LinkFile>, &str)> = vec![
        ("only the usual one", vec![], NEW),
        ("one of its own", vec![link(1, "50-eno1.link", &OWN)], "by 50-eno1.link"),
        ("behind the usual one", vec![link(1, "99-wol.link", &OWN)], NEW),
        ("without a condition", vec![link(1, "10-x.link", &["[Link]", "WakeOnLan=magic"])], NEW),
        (
            "another card's",
            vec![link(1, "10-x.link", &["[Match]", "MACAddress=bc:24:11:00:00:02", "[Link]", "WakeOnLan=magic"])],
            NEW,
        ),
        (
            "one of several addresses",
            vec![link(
                1,
                "10-x.link",
                &[
                    "[Match]",
                    "PermanentMACAddress=bc:24:11:00:00:02 bc:24:11:00:00:01",
                    "[Link]",
                    "WakeOnLan=phy magic",
                ],
            )],
            "by 10-x.link",
        ),
        (
            "an earlier one says nothing",
            vec![link(1, "10-x.link", &OWN[..3]), link(1, "50-y.link", &OWN)],
            "write /etc/systemd/network/10-x.link.d/ecobox-wol.conf",
        ),
        (
            "a drop-in",
            vec![link(1, "10-x.link", &OWN[..3]), link(1, "10-x.link.d/a.conf", &["[Link]", "WakeOnLan=magic"])],
            "by 10-x.link",
        ),
        (
            "a drop-in says off",
            vec![link(1, "10-x.link", &OWN), link(1, "10-x.link.d/a.conf", &["[Link]", "WakeOnLan=off"])],
            "write /etc/systemd/network/10-x.link.d/ecobox-wol.conf",
        ),
        ("masked in /etc", vec![link(1, "10-x.link", &[]), link(4, "10-x.link", &OWN)], NEW),
        ("replaced in /etc", vec![link(1, "10-x.link", &OWN), link(4, "10-x.link", &OWN[..3])], "by 10-x.link"),
        (
            "by its type",
            vec![link(1, "10-x.link", &["[Match]", "Type=ether", "[Link]", "WakeOnLan=magic"])],
            "by 10-x.link",
        ),
        (
            "a condition that is not known",
            vec![usb()],
            "unsure: whether 73-usb-net-by-mac.link is for eno1 is not known",
        ),
        ("before that", vec![usb(), link(1, "50-eno1.link", &OWN)], "by 50-eno1.link"),
        (
            "not to be read",
            vec![LinkFile { lines: None, ..link(1, "10-x.link", &[]) }],
            "unsure: whether 10-x.link is for eno1 is not known",
        ),
    ];
    for (what, links, want) in cases {
        assert_eq!(lasts(&boot(links)), want, "{what}");
    }
    // udev said when it found the card that the file is another one's, or this one's.
    let applied = |name: &str| BootFiles { applied: vec![("eno1".to_owned(), name.to_owned())], ..boot(vec![usb()]) };
    assert_eq!(lasts(&applied("99-default.link")), NEW);
    assert_eq!(
        lasts(&applied("73-usb-net-by-mac.link")),
        "write /etc/systemd/network/73-usb-net-by-mac.link.d/ecobox-wol.conf"
    );
}

#[test]
fn the_new_file_keeps_what_the_old_one_said() {
    let Lasts::No { fix } = boot(vec![]).lasts(&id(), &port("eno1", 1, Some(true))) else { panic!() };
    assert_eq!(
        fix.content.as_deref(),
        Some("[Match]\nPermanentMACAddress=bc:24:11:00:00:01\n\n[Link]\nNamePolicy=keep kernel\nWakeOnLan=magic\n")
    );
    assert!(
        fix.text.contains("printf '%s\\n' '[Match]' 'PermanentMACAddress=bc:24:11:00:00:01' '' '[Link]'"),
        "{fix:?}"
    );
    // And it is found by the next look.
    let lines: Vec<&str> = fix.content.as_deref().unwrap().lines().filter(|line| !line.is_empty()).collect();
    let name = fix.file.as_deref().unwrap().rsplit('/').next().unwrap();
    assert_eq!(lasts(&boot(vec![link(1, name, &lines)])), "by 50-ecobox-eno1.link");
}

#[test]
fn what_else_arms_a_card_counts() {
    const FILE: &str = "by /etc/network/interfaces";
    const NEW: &str = "write /etc/systemd/network/50-ecobox-eno1.link";
    const UNIT: &str = "ExecStart=/usr/sbin/ethtool -s %i wol g";
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let interfaces = |lines: &[&str], ifupdown2| BootFiles {
        interfaces: lines.iter().map(|line| (*line).to_owned()).collect(),
        if_ethtool: true,
        ifupdown2,
        ..boot(vec![])
    };
    let armer = |file: &str, line: &str, wanted: &[&str]| BootFiles {
        armers: vec![pair(file, line)],
        wanted: wanted.iter().map(|unit| (*unit).to_owned()).collect(),
        ..boot(vec![])
    };
    let manager = |own: &str, default: Option<&str>| BootFiles {
        connections: vec![pair("eno1", "Wired connection 1")],
        connection_wol: vec![pair("eno1", own)],
        default_wol: default.map(str::to_owned),
        ..boot(vec![])
    };
    let cases: Vec<(BootFiles, &str)> = vec![
        (interfaces(&["iface eno1 inet manual", "\tethernet-wol g"], false), FILE),
        (interfaces(&["iface eno1 inet manual", "\tethernet-wol g"], true), NEW),
        (interfaces(&["iface eno2 inet manual", "\tethernet-wol g"], false), NEW),
        (interfaces(&["iface eno1 inet manual", "\tethernet-wol d"], false), NEW),
        (interfaces(&["iface vmbr0 inet static", "\tpost-up /usr/sbin/ethtool -s eno1 wol g"], true), FILE),
        (interfaces(&["iface eno1 inet manual", "\tup ethtool -s $IFACE wol g"], true), FILE),
        (interfaces(&["iface eno1 inet manual", "\tpost-up ethtool -s eno2 wol g"], true), NEW),
        (interfaces(&["iface eno1 inet manual", "\t#post-up ethtool -s eno1 wol g"], true), NEW),
        (armer("wol@.service", UNIT, &["wol@eno1.service"]), "by wol@.service"),
        (armer("wol@.service", UNIT, &["wol@eno2.service"]), NEW),
        (armer("wol.service", "ExecStart=/sbin/ethtool --change eno1 wol g", &["wol.service"]), "by wol.service"),
        (armer("wol.service", "ExecStart=/sbin/ethtool --change eno1 wol g", &[]), NEW),
        (armer("81-wol.rules", "RUN+=\"/usr/sbin/ethtool -s $name wol g\"", &[]), "by 81-wol.rules"),
        (armer("rc.local", "ethtool -s eno2 wol g", &[]), NEW),
        (manager("magic", None), "by the connection Wired connection 1 of NetworkManager"),
        (manager("64", None), "by the connection Wired connection 1 of NetworkManager"),
        (manager("default", Some("64")), "by the connection Wired connection 1 of NetworkManager"),
        (manager("default", None), NEW),
        (manager("0", Some("64")), NEW),
    ];
    for (boot, want) in cases {
        assert_eq!(lasts(&boot), want, "{boot:?}");
    }
    let bare = BootFiles::default();
    let Lasts::No { fix } = bare.lasts(&id(), &port("eno1", 1, Some(true))) else { panic!() };
    assert!(fix.text.contains("post-up ethtool -s eno1 wol g"), "{fix:?}");
}
