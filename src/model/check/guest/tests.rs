use super::*;
use crate::model::check::diagnosis::Verdict;

fn guest(vmid: u32) -> GuestSeen {
    GuestSeen {
        id: format!("pve1-vm-{vmid}").parse().unwrap(),
        cluster: "homelab".to_owned(),
        name: Some(format!("guest-{vmid}")),
        kind: GuestKind::Qemu,
        vmid: VmId::try_from(vmid).unwrap(),
        host: Some("pve1".parse().unwrap()),
        node: "pve1".to_owned(),
        node_online: Some(true),
        told: true,
        runs: true,
        uptime_seconds: Some(86_400),
        lock: None,
        agent: Agent::Addresses(1),
        has_hostname: false,
        services_need_agent: false,
        had_addresses: true,
        shutdown_failed: false,
        services: Vec::new(),
    }
}

fn judged(seen: &GuestSeen, of_host: Option<&Chart>) -> Chart {
    let mut chart = Chart::of(Some(&seen.id));
    judge(seen, of_host, &mut chart);
    chart
}

fn wrong(seen: &GuestSeen, of_host: Option<&Chart>) -> Vec<(CheckId, Verdict)> {
    let chart = judged(seen, of_host);
    chart.list.iter().filter(|one| one.verdict.is_wrong()).map(|one| (one.id, one.verdict)).collect()
}
/// What is wrong, how it looks, and what is found.
type Case = (&'static str, GuestSeen, Vec<(CheckId, Verdict)>);

#[test]
fn each_fault_is_one_finding() {
    use CheckId as C;
    use Verdict::{Problem, Warning};
    let lock = |name: &str, held| GuestSeen { lock: Some(Lock { name: name.to_owned(), held }), ..guest(101) };
    let agent = |agent| GuestSeen { agent, ..guest(101) };
    let service =
        |past| GuestSeen { services: vec![ServiceSeen { name: "web".to_owned(), port: 8080, past }], ..guest(101) };
    let never = || Past::Never { since: "2026-11-01".to_owned(), why: "connection refused".to_owned() };
    let container = |agent| GuestSeen { kind: GuestKind::Lxc, agent, ..guest(101) };
    let cases: Vec<Case> = vec![
        ("healthy", guest(101), vec![]),
        ("off", GuestSeen { runs: false, agent: Agent::Unasked, ..guest(101) }, vec![]),
        ("a lock that nobody holds", lock("backup", Some(false)), vec![(C::GuestLocked, Problem)]),
        ("a lock that a task holds", lock("backup", Some(true)), vec![]),
        ("a lock of which nobody says", lock("backup", None), vec![]),
        ("hibernated", lock("suspended", Some(false)), vec![]),
        ("a hibernation that broke off", lock("suspending", Some(false)), vec![(C::GuestLocked, Problem)]),
        ("a silent agent", agent(Agent::Silent), vec![(C::NoAgent, Warning)]),
        ("an agent that could not be asked", agent(Agent::Unread("403".to_owned())), vec![]),
        ("an agent with other words", agent(Agent::NotTold("it is too old".to_owned())), vec![]),
        ("no agent", agent(Agent::Off), vec![(C::AgentOff, Warning)]),
        ("no agent, and there never was one", GuestSeen { had_addresses: false, ..agent(Agent::Off) }, vec![]),
        (
            "no agent, and configured without an address",
            GuestSeen { had_addresses: false, services_need_agent: true, ..agent(Agent::Off) },
            vec![(C::AgentOff, Warning)],
        ),
        (
            "no agent, and its shutdown failed",
            GuestSeen { had_addresses: false, shutdown_failed: true, ..agent(Agent::Off) },
            vec![(C::AgentOff, Warning)],
        ),
        ("no address", agent(Agent::Addresses(0)), vec![(C::NoAddress, Warning)]),
        ("no address, and one is configured", GuestSeen { has_hostname: true, ..agent(Agent::Addresses(0)) }, vec![]),
        ("a container without an address", container(Agent::Addresses(0)), vec![(C::NoAddress, Warning)]),
        (
            "its node tells nothing",
            GuestSeen { told: false, runs: false, ..guest(101) },
            vec![(C::GuestStale, Warning)],
        ),
        ("its node is off", GuestSeen { told: false, node_online: Some(false), ..guest(101) }, vec![]),
        ("a service that never answered", service(never()), vec![(C::ServiceNeverAnswered, Warning)]),
        ("a service that is new", service(Past::New), vec![]),
        ("a service that answered", service(Past::Answered), vec![]),
    ];
    for (what, seen, want) in cases {
        assert_eq!(wrong(&seen, None), want, "{what}");
    }
}

#[test]
fn what_its_host_has_is_not_said_of_its_guests() {
    let skipped = |seen: &GuestSeen, cause: CheckId, ids: &[CheckId]| {
        let mut host = Chart::of(None);
        host.problem(cause, "x", None);
        assert_eq!(wrong(seen, Some(&host)), vec![], "{cause}");
        let chart = judged(seen, Some(&host));
        for id in ids {
            let found = chart.list.iter().find(|one| one.id == *id).unwrap();
            assert_eq!((found.verdict, found.because), (Verdict::Skipped, Some(cause)), "{id}");
        }
    };
    let untold = GuestSeen { told: false, ..guest(101) };
    skipped(&untold, CheckId::PvestatdDown, &[CheckId::GuestStale, CheckId::NoAgent]);
    skipped(&GuestSeen { node_online: Some(false), ..untold }, CheckId::HostAway, &[CheckId::GuestStale]);
    let unread = GuestSeen { agent: Agent::Unread("403".to_owned()), ..guest(101) };
    skipped(&unread, CheckId::RoleOutdated, &[CheckId::NoAgent, CheckId::NoAddress]);
}

#[test]
fn locks_are_removed_on_the_guests_own_node() {
    let lock = |kind, name: &str| {
        let lock = Some(Lock { name: name.to_owned(), held: Some(false) });
        let chart = judged(&GuestSeen { kind, lock, ..guest(105) }, None);
        let fix = chart.list.iter().find(|one| one.id == CheckId::GuestLocked).unwrap().fix.clone().unwrap();
        (fix.run.unwrap().join(" "), fix.on.unwrap().to_string())
    };
    let on = |command: &str| (command.to_owned(), "pve1".to_owned());
    assert_eq!(lock(GuestKind::Qemu, "backup"), on("qm unlock 105"));
    assert_eq!(lock(GuestKind::Lxc, "backup"), on("pct unlock 105"));
    assert_eq!(lock(GuestKind::Lxc, "mounted"), on("pct unmount 105"));
}

#[test]
fn names_and_numbers_that_are_used_twice() {
    let named = |vmid, name: &str| GuestSeen { name: Some(name.to_owned()), ..guest(vmid) };
    let elsewhere = |vmid| {
        let id = format!("lab-vm-{vmid}").parse().unwrap();
        let name = Some(format!("other-{vmid}"));
        GuestSeen { id, cluster: "lab".to_owned(), name, ..guest(vmid) }
    };
    let found = |guests: &[GuestSeen]| {
        let charts = twice(guests);
        let lines = charts.iter().flat_map(|(_, chart)| &chart.list);
        lines
            .map(|one| format!("{}: {}", one.server.as_ref().unwrap(), one.finding.as_ref().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&[guest(101), guest(102)]), Vec::<String>::new());
    assert_eq!(
        found(&[named(101, "web"), named(102, "Web")]),
        ["pve1-vm-102: its name `Web` is also that of pve1-vm-101: a command by name means neither"]
    );
    assert_eq!(
        found(&[guest(101), guest(102), elsewhere(101), elsewhere(102), elsewhere(103)]),
        ["lab-vm-101: the numbers 101, 102 are also used in the cluster of pve1-vm-101: `101` alone means neither"]
    );
    assert_eq!(
        found(&[guest(101), elsewhere(101)]),
        ["lab-vm-101: the number 101 is also used in the cluster of pve1-vm-101: `101` alone means neither"]
    );
}
