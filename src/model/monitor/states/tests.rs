use super::*;
use crate::model::inventory::server::{Expected, Service, ServiceType};
use crate::model::inventory::tests::server;

fn in_state(name: &str, parent: Option<&str>, vmid: Option<u32>, state: PowerState, expected: Expected) -> Server {
    let mut server = server(name, parent, vmid);
    (server.seen.state, server.expected) = (state, expected);
    server
}

fn check(name: &str, open: Option<bool>) -> ServiceCheck {
    let error = (open != Some(true)).then(|| "connection refused".to_owned());
    ServiceCheck { name: name.to_owned(), port: 80, kind: ServiceType::Http, open, response_seconds: None, error }
}

#[test]
fn what_should_be_on_and_is_not_is_critical_and_who_sleeps_is_fine() {
    use PowerState::{Asleep, Offline, Online, Running, Stopped, Unknown};
    for (state, expected, want) in [
        (Online, Expected::On, None),
        (Running, Expected::Asleep, None),
        (Stopped, Expected::On, Some(Level::Critical)),
        (Offline, Expected::On, Some(Level::Critical)),
        (Unknown, Expected::On, Some(Level::Unknown)),
        (Unknown, Expected::Asleep, Some(Level::Unknown)),
        (Asleep, Expected::On, None),
        (Offline, Expected::Asleep, None),
        (Stopped, Expected::Any, None),
        (Unknown, Expected::Any, None),
    ] {
        let server = in_state("web", None, None, state, expected);
        let found = of_states(&[&server], &[]);
        assert_eq!(found.first().map(|finding| finding.level), want, "{state} {expected:?}");
    }
}

#[test]
fn who_does_not_answer_is_down_and_who_refuses_is_not_known() {
    let nas = in_state("nas", None, None, PowerState::Unknown, Expected::On);
    for (kind, want) in [
        (FailureKind::Unreachable, Level::Critical),
        (FailureKind::Identity, Level::Critical),
        (FailureKind::NoQuorum, Level::Critical),
        (FailureKind::NodeOffline, Level::Warning),
        (FailureKind::Denied, Level::Unknown),
        (FailureKind::Failed, Level::Unknown),
    ] {
        let failed = Failed { server: nas.id.clone(), kind, message: "nas: no".to_owned(), advice: None, about: None };
        let found = of_states(&[&nas], std::slice::from_ref(&failed));
        assert_eq!(found.first().map(|finding| finding.level), Some(want), "{kind:?}");
    }
}

#[test]
fn a_service_is_judged_by_its_name() {
    let mut web = in_state("web", None, None, PowerState::Online, Expected::On);
    web.seen.checks = vec![check("http", Some(true)), check("smb", Some(false)), check("dns", None)];
    web.services = vec![Service { name: "new".to_owned(), port: 1, kind: ServiceType::Custom }];
    let mut asleep = in_state("nas", None, None, PowerState::Asleep, Expected::Any);
    asleep.services = vec![Service { name: "smb".to_owned(), port: 445, kind: ServiceType::Smb }];
    let all = [web, asleep];
    let rest = resting(&all);
    let judged = |name: &str| {
        let (found, count) = of_service(&all.iter().collect::<Vec<_>>(), &rest, name);
        (found.into_iter().map(|finding| (finding.level, finding.message)).collect::<Vec<_>>(), count)
    };
    assert_eq!(judged("http"), (vec![], 1));
    let closed = (Level::Critical, "web: smb (port 80) does not answer: connection refused".to_owned());
    assert_eq!(judged("smb"), (vec![closed], 2), "one of the two sleeps");
    assert_eq!(judged("dns").0[0].0, Level::Unknown);
    assert_eq!(judged("new").0[0].0, Level::Unknown);
    assert_eq!(judged("ftp"), (vec![], 0));
}

#[test]
fn services_may_be_older_than_states() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut all = vec![in_state("web", None, None, PowerState::Online, Expected::On)];
    all[0].seen.checks = vec![check("http", Some(false))];
    assert!(without_old_services(&mut all, now).is_empty(), "of the same look as the state");
    all[0].seen.checks_at = Some(now - SignedDuration::from_secs(1));
    let found = without_old_services(&mut all, now);
    assert_eq!((found.len(), found[0].level, all[0].seen.checks.len()), (1, Level::Unknown, 0));
}

#[test]
fn what_is_too_old_is_said_once_for_all_guests_of_a_listing() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let mut all = vec![
        in_state("pve1", None, None, PowerState::Online, Expected::On),
        in_state("web", Some("pve1"), Some(101), PowerState::Running, Expected::Any),
        in_state("dns", Some("pve1"), Some(102), PowerState::Running, Expected::Any),
        in_state("nas", None, None, PowerState::Asleep, Expected::Any),
        in_state("vm", Some("nas"), Some(103), PowerState::Running, Expected::Any),
        in_state("new", None, None, PowerState::Unknown, Expected::Any),
    ];
    let ago = |seconds| Some(now - SignedDuration::from_secs(seconds));
    for (server, at) in all.iter_mut().zip([ago(10), ago(7200), ago(7200), ago(90_000), ago(90_000), None]) {
        server.seen.at = at;
    }
    let (found, old) = too_old(&all, &resting(&all), now, SignedDuration::from_mins(15));
    let said: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
    let want = ["web and 1 more: last seen 2h00m ago, which is too long", "new: nobody has looked yet"];
    assert_eq!((said, old.len()), (want.to_vec(), 3));
    assert!(too_old(&all[..1], &HashSet::new(), now, SignedDuration::from_mins(15)).0.is_empty());
}
