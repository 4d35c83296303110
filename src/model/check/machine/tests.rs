use super::*;
use crate::model::check::diagnosis::Verdict;

fn healthy() -> MachineSeen {
    let state =
        StateSeen { path: "/s/state.db".to_owned(), bytes: 1 << 20, free: Some(10 << 30), ..StateSeen::default() };
    let ssh = SshSeen {
        config: Some(Ok(())),
        agent: Some(Ok(2)),
        keys: 3,
        known_hosts: vec![("/h/known_hosts".to_owned(), Ok(Vec::new()))],
        ..SshSeen::default()
    };
    MachineSeen {
        state,
        ssh,
        clocks: vec![Clock { least: -1.0, most: 1.0 }; 2],
        prometheus: Some(Ok(())),
        queue: Some((10, 1000)),
        discover: Some(Schedule { by: "ecobox-discover.timer".to_owned(), every: 300, ago: Some(310) }),
        ..MachineSeen::default()
    }
}

fn with(change: impl FnOnce(&mut MachineSeen)) -> MachineSeen {
    let mut seen = healthy();
    change(&mut seen);
    seen
}

fn wrong(seen: &MachineSeen) -> Vec<(CheckId, Verdict)> {
    let chart = judge(seen);
    chart.list.iter().filter(|one| one.verdict.is_wrong()).map(|one| (one.id, one.verdict)).collect()
}
/// What is wrong, how it looks, and what is found.
type Case = (&'static str, MachineSeen, Vec<(CheckId, Verdict)>);

#[test]
fn each_fault_is_one_finding() {
    use CheckId as C;
    use Verdict::{Problem, Warning};
    let id = |text: &str| text.parse::<ServerId>().unwrap();
    let away = Trouble { id: C::PrometheusAway, finding: "refused".to_owned(), fix: None, at: None };
    let off = Clock { least: 598.0, most: 600.0 };
    let cases: Vec<Case> = vec![
        ("healthy", healthy(), vec![]),
        ("nothing is known", MachineSeen::default(), vec![]),
        (
            "twice",
            with(|m| m.twice = vec![(id("a"), id("b"), "10.0.0.1:22".to_owned())]),
            vec![(C::ServerTwice, Warning)],
        ),
        ("no such guest", with(|m| m.unused = vec![id("pve1-vm-999")]), vec![(C::GuestEntryUnused, Warning)]),
        ("damaged", with(|m| m.state.damage = Some(Ok("row 1 missing".to_owned()))), vec![(C::StateDamaged, Problem)]),
        ("not checked", with(|m| m.state.damage = Some(Err("busy".to_owned()))), vec![]),
        ("large", with(|m| m.state.bytes = 3 << 30), vec![(C::StateLarge, Warning)]),
        (
            "leftovers",
            with(|m| m.state.leftovers = vec!["/s/.state-new-1-x".to_owned()]),
            vec![(C::StateLeftovers, Warning)],
        ),
        ("little room", with(|m| m.state.free = Some(100 << 20)), vec![(C::DiskFull, Warning)]),
        ("no room", with(|m| m.state.free = Some(1 << 20)), vec![(C::DiskFull, Problem)]),
        (
            "completions",
            with(|m| m.completions = Some(("/a".to_owned(), "/b".to_owned()))),
            vec![(C::CompletionsElsewhere, Warning)],
        ),
        ("all clocks are off", with(|m| m.clocks = vec![off; 3]), vec![(C::ClockWrong, Problem)]),
        ("one clock of two is off", with(|m| m.clocks = vec![off, Clock { least: -1.0, most: 1.0 }]), vec![]),
        ("the only clock is off", with(|m| m.clocks = vec![off]), vec![]),
        (
            "the only clock is off, and here none is kept",
            with(|m| (m.clocks, m.synchronised) = (vec![off], Some(false))),
            vec![(C::ClockWrong, Problem)],
        ),
        ("clocks that do not agree", with(|m| m.clocks = vec![off, Clock { least: -900.0, most: -899.0 }]), vec![]),
        ("no network", with(|m| m.without_network = 2), vec![(C::NoNetwork, Problem)]),
        ("ssh_config", with(|m| m.ssh.config = Some(Err("line 3".to_owned()))), vec![(C::SshConfigInvalid, Problem)]),
        (
            "agent",
            with(|m| m.ssh.agent = Some(Err(("/a".to_owned(), "gone".to_owned())))),
            vec![(C::AgentUnreachable, Warning)],
        ),
        ("key", with(|m| m.ssh.exposed = vec![("/k".to_owned(), 0o644)]), vec![(C::KeyExposed, Problem)]),
        (
            "known_hosts",
            with(|m| m.ssh.known_hosts[0].1 = Err("denied".to_owned())),
            vec![(C::KnownHostsUnreadable, Problem)],
        ),
        ("a line", with(|m| m.ssh.known_hosts[0].1 = Ok(vec![3])), vec![(C::KnownHostsLine, Warning)]),
        (
            "quiet",
            with(|m| m.discover = Some(Schedule { by: "cron".to_owned(), every: 300, ago: Some(901) })),
            vec![(C::DiscoverQuiet, Warning)],
        ),
        (
            "never",
            with(|m| m.discover = Some(Schedule { by: "cron".to_owned(), every: 300, ago: None })),
            vec![(C::DiscoverQuiet, Warning)],
        ),
        ("prometheus", with(|m| m.prometheus = Some(Err(away.clone()))), vec![(C::PrometheusAway, Problem)]),
        (
            "prometheus, with a queue",
            with(|m| (m.prometheus, m.queue) = (Some(Err(away.clone())), Some((900, 1000)))),
            vec![(C::PrometheusAway, Problem)],
        ),
        ("queue", with(|m| m.queue = Some((500, 1000))), vec![(C::QueueFull, Warning)]),
    ];
    for (what, seen, want) in cases {
        assert_eq!(wrong(&seen), want, "{what}");
    }
}

#[test]
fn lines_are_named_and_removed() {
    let seen = with(|m| m.ssh.known_hosts[0].1 = Ok(vec![3, 7]));
    let chart = judge(&seen);
    let found = chart.list.iter().find(|one| one.verdict.is_wrong()).unwrap();
    assert_eq!(found.finding.as_deref(), Some("lines 3, 7 of /h/known_hosts are not readable"));
    assert_eq!(
        found.fix.as_ref().unwrap().text,
        "run `sed -i '3d;7d;' /h/known_hosts`; `ecobox init` shows the keys of hosts that only stood there, and asks"
    );
}
