use super::*;
use crate::model::access::scope::Comparison;
use crate::model::check::diagnosis::Verdict;
use crate::model::host::facts::{HostFacts, Product, PveFacts};
use crate::model::host::power::{HostCall, HostPreflight, NoWay};

fn id() -> ServerId {
    "pve1".parse().unwrap()
}

fn pve(version: &str, quorate: bool, pmxcfs: bool) -> HostPreflight {
    let pve = PveFacts {
        node: Some("pve1".parse().unwrap()),
        version: Some(version.to_owned()),
        quorate: Some(quorate),
        pmxcfs,
    };
    let ways = vec![(HostCall::Suspend, Ok("systemctl".to_owned())), (HostCall::Shutdown, Ok("systemctl".to_owned()))];
    HostPreflight {
        facts: HostFacts { product: Product::Pve(pve), ..HostFacts::default() },
        ways,
        ..HostPreflight::default()
    }
}

fn services(pvestatd: &str) -> Vec<(String, String)> {
    [("pveproxy", "active"), ("pvedaemon", "active"), ("pvestatd", pvestatd)]
        .map(|(name, state)| (name.to_owned(), state.to_owned()))
        .to_vec()
}

fn healthy() -> HostSeen {
    let system = SystemSeen {
        preflight: pve("9.2.11", true, true),
        services: services("active"),
        clock: Some(Clock { least: -1.0, most: 1.5 }),
        ..SystemSeen::default()
    };
    let api = ApiSeen {
        trust: "cluster-ca",
        privileges: Some(Ok(Comparison::default())),
        scope: Some(("operator", 9)),
        quorate: Some(true),
        ..ApiSeen::default()
    };
    HostSeen {
        is_pve: true,
        cluster: Some("homelab".to_owned()),
        login: Some(Ok(())),
        system: Some(Ok(system)),
        api: Some(Ok(api)),
        ..HostSeen::default()
    }
}

fn trouble(id: CheckId) -> Trouble {
    Trouble { id, finding: "it fails".to_owned(), fix: None, at: None }
}

/// What is wrong, by id and severity.
fn wrong(seen: &HostSeen) -> Vec<(CheckId, Verdict)> {
    let chart = judge(&id(), seen, &Chart::of(None));
    chart.list.iter().filter(|one| one.verdict.is_wrong()).map(|one| (one.id, one.verdict)).collect()
}

fn with_system(change: impl FnOnce(&mut SystemSeen)) -> HostSeen {
    let mut seen = healthy();
    if let Some(Ok(system)) = &mut seen.system {
        change(system);
    }
    seen
}

fn with_api(change: impl FnOnce(&mut ApiSeen)) -> HostSeen {
    let mut seen = healthy();
    if let Some(Ok(api)) = &mut seen.api {
        change(api);
    }
    seen
}
/// What is wrong, how it looks, and what is found.
type Case = (&'static str, HostSeen, Vec<(CheckId, Verdict)>);

#[test]
fn each_fault_is_one_finding() {
    use CheckId as C;
    use Verdict::{Problem, Warning};
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let rights = NoWay::Rights { user: Some("anna".to_owned()), sudo: true, command: "/usr/bin/x".to_owned() };
    let unreached = |login: CheckId, api: CheckId| HostSeen {
        login: Some(Err(trouble(login))),
        system: None,
        api: Some(Err(trouble(api))),
        ..healthy()
    };
    let cases: Vec<Case> = vec![
        ("healthy", healthy(), vec![]),
        ("no name", unreached(C::NameUnknown, C::NameUnknown), vec![(C::NameUnknown, Problem)]),
        ("off", unreached(C::HostAway, C::ApiUnreachable), vec![(C::HostAway, Problem)]),
        (
            "only SSH is closed",
            HostSeen { login: Some(Err(trouble(C::SshPortClosed))), system: None, ..healthy() },
            vec![(C::SshPortClosed, Problem)],
        ),
        (
            "both ports are closed",
            unreached(C::SshPortClosed, C::ApiPortClosed),
            vec![(C::SshPortClosed, Problem), (C::ApiPortClosed, Problem)],
        ),
        ("a jump host", unreached(C::JumpHost, C::JumpHost), vec![(C::JumpHost, Problem)]),
        ("no rights", with_system(|s| s.preflight.ways[0].1 = Err(rights.clone())), vec![(C::NoRoot, Warning)]),
        (
            "clock, a little",
            with_system(|s| s.clock = Some(Clock { least: 20.0, most: 22.0 })),
            vec![(C::ClockOff, Warning)],
        ),
        ("clock", with_system(|s| s.clock = Some(Clock { least: -601.0, most: -599.0 })), vec![(C::ClockOff, Problem)]),
        ("clock, unsure", with_system(|s| s.clock = Some(Clock { least: -30.0, most: 2.0 })), vec![]),
        ("old", with_system(|s| s.preflight = pve("6.4-15", true, true)), vec![(C::PveOld, Warning)]),
        ("pvestatd", with_system(|s| s.services = services("failed")), vec![(C::PvestatdDown, Problem)]),
        ("services are not told", with_system(|s| s.services.clear()), vec![]),
        ("no quorum", with_system(|s| s.preflight = pve("9.2.11", false, true)), vec![(C::QuorumLost, Problem)]),
        (
            "pmxcfs",
            HostSeen {
                api: Some(Err(trouble(C::PmxcfsDown))),
                ..with_system(|s| s.preflight = pve("9.2.11", true, false))
            },
            vec![(C::PmxcfsDown, Problem)],
        ),
        (
            "pveproxy",
            HostSeen {
                api: Some(Err(trouble(C::ApiPortClosed))),
                ..with_system(|s| s.services[0].1 = "failed".to_owned())
            },
            vec![(C::PveproxyDown, Problem)],
        ),
        (
            "pvedaemon",
            HostSeen {
                api: Some(Err(trouble(C::PvedaemonDown))),
                ..with_system(|s| s.services[1].1 = "inactive".to_owned())
            },
            vec![(C::PvedaemonDown, Problem)],
        ),
        ("no token", HostSeen { api: Some(Err(trouble(C::NoToken))), ..healthy() }, vec![(C::NoToken, Problem)]),
        (
            "firewall",
            HostSeen { api: Some(Err(trouble(C::ApiUnreachable))), ..healthy() },
            vec![(C::ApiUnreachable, Problem)],
        ),
        ("not verified", with_api(|a| a.trust = "insecure"), vec![(C::CertificateUnchecked, Warning)]),
        (
            "too little",
            with_api(|a| a.privileges = Some(Ok(Comparison { missing: list(&["VM.Audit"]), excess: vec![] }))),
            vec![(C::PrivilegeMissing, Problem)],
        ),
        (
            "of version 8",
            with_api(|a| {
                a.privileges = Some(Ok(Comparison { missing: list(&["VM.GuestAgent.Audit"]), excess: vec![] }));
            }),
            vec![(C::RoleOutdated, Warning)],
        ),
        (
            "too much",
            with_api(|a| a.privileges = Some(Ok(Comparison { missing: vec![], excess: list(&["VM.Allocate"]) }))),
            vec![(C::PrivilegeExcess, Warning)],
        ),
        ("not told", with_api(|a| a.privileges = Some(Err("500".to_owned()))), vec![]),
    ];
    for (what, seen, want) in cases {
        assert_eq!(wrong(&seen), want, "{what}");
    }
}

#[test]
fn whoever_may_be_away_is_no_finding() {
    let seen = HostSeen {
        login: Some(Err(trouble(CheckId::HostAway))),
        system: None,
        api: Some(Err(trouble(CheckId::ApiUnreachable))),
        may_be_away: Some("it may be off".to_owned()),
        ..healthy()
    };
    let chart = judge(&id(), &seen, &Chart::of(None));
    assert!(chart.list.iter().all(|one| !one.verdict.is_wrong()), "{:?}", chart.list);
    let skipped = chart.list.iter().filter(|one| one.verdict == Verdict::Skipped);
    assert!(skipped.clone().count() > 20 && skipped.clone().all(|one| one.because == Some(CheckId::HostAway)));
}

#[test]
fn what_is_wrong_here_is_not_said_of_each_host() {
    let seen = HostSeen { login: Some(Err(trouble(CheckId::KeyRefused))), system: None, ..healthy() };
    let mut machine = Chart::of(None);
    machine.problem(CheckId::KeyExposed, "mode 0644", None);
    let chart = judge(&id(), &seen, &machine);
    assert!(chart.list.iter().all(|one| !one.verdict.is_wrong()), "{:?}", chart.list);
    let login = chart.list.iter().find(|one| one.id == CheckId::KeyRefused).unwrap();
    assert_eq!((login.verdict, login.because), (Verdict::Skipped, Some(CheckId::KeyExposed)));
}

#[test]
fn one_dead_address_of_two() {
    let at = |ip: &str, dead| AddressSeen { ip: ip.parse().unwrap(), dead };
    let seen = HostSeen { addresses: vec![at("10.0.0.5", Some("no answer")), at("10.0.0.6", None)], ..healthy() };
    let chart = judge(&id(), &seen, &Chart::of(None));
    let found = chart.list.iter().find(|one| one.id == CheckId::AddressDead).unwrap();
    assert_eq!(found.verdict, Verdict::Warning);
    assert_eq!(found.finding.as_deref(), Some("10.0.0.5 does not answer (no answer), 10.0.0.6 does"));
}

#[test]
fn lines_for_visudo_are_a_file() {
    let no_way =
        NoWay::Rights { user: Some("anna".to_owned()), sudo: true, command: "/usr/bin/systemctl suspend".to_owned() };
    let seen = with_system(|system| system.preflight.ways[0].1 = Err(no_way));
    let chart = judge(&id(), &seen, &Chart::of(None));
    let fix = chart.list.iter().find(|one| one.id == CheckId::NoRoot).unwrap().fix.clone().unwrap();
    assert_eq!(fix.file.as_deref(), Some("/etc/sudoers.d/ecobox"));
    assert_eq!(fix.content.as_deref(), Some("anna ALL=(root) NOPASSWD: /usr/bin/systemctl suspend\n"));
    assert_eq!(fix.on, Some(id()));
}

#[test]
fn a_clock_is_wrong_by_words() {
    for (least, most, words) in [
        (20.0, 22.0, "20 seconds ahead of"),
        (-601.0, -599.0, "10 minutes behind"),
        (7200.0, 7201.0, "2 hours ahead of"),
        (-400_000.0, -399_999.0, "5 days behind"),
    ] {
        assert_eq!(Clock { least, most }.words(), words);
    }
}
