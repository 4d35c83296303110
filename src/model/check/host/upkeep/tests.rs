use super::*;
use crate::model::check::diagnosis::Verdict;

const GIB: u64 = 1 << 30;

fn id() -> ServerId {
    "pve1".parse().unwrap()
}

fn storage(name: &str, used: u64, size: u64) -> Storage {
    Storage {
        node: "pve1".parse().unwrap(),
        name: name.to_owned(),
        plugin: Some("nfs".to_owned()),
        used_bytes: Some(used),
        size_bytes: Some(size),
        available: true,
        shared: true,
    }
}

fn wrong(chart: &Chart) -> Vec<(CheckId, Verdict)> {
    chart.list.iter().filter(|one| one.verdict.is_wrong()).map(|one| (one.id, one.verdict)).collect()
}

/// What is looked after, and what is found: each fault is one finding.
#[test]
fn each_fault_is_one_finding() {
    use CheckId as C;
    use Verdict::{Problem, Warning};
    let fine = || UpkeepSeen {
        token: Some("ecobox@pve!box-1".parse().unwrap()),
        token_left: Some(Ok(None)),
        storages: Some(Ok(vec![storage("tank", 10 * GIB, 100 * GIB)])),
        failed_backups: Some(Ok(Vec::new())),
        ..UpkeepSeen::default()
    };
    let token = |left: i64| UpkeepSeen { token_left: Some(Ok(Some(left))), ..fine() };
    let storages = |list: Vec<Storage>| UpkeepSeen { storages: Some(Ok(list)), ..fine() };
    let away =
        |node: &str| Storage { node: node.parse().unwrap(), available: false, ..storage("tank", 10 * GIB, 100 * GIB) };
    let local = |node: &str| Storage { shared: false, ..away(node) };
    let elsewhere = |used| Storage { node: "pve2".parse().unwrap(), ..storage("tank", used, 100 * GIB) };
    let failed = |ago| ("web (101)".to_owned(), ago, "no space left".to_owned());
    let unsaid = || Some(Err("no answer".to_owned()));
    for (what, seen, want) in [
        ("all is well", fine(), vec![]),
        ("a token for months", token(90 * DAY), vec![]),
        ("a token for a week", token(7 * DAY), vec![(C::TokenExpiring, Warning)]),
        ("a token for a day", token(DAY), vec![(C::TokenExpiring, Problem)]),
        ("a token that has just ended", token(-5), vec![(C::TokenExpiring, Problem)]),
        ("a storage at 89 percent", storages(vec![storage("tank", 89 * GIB, 100 * GIB)]), vec![]),
        ("at 90", storages(vec![storage("tank", 90 * GIB, 100 * GIB)]), vec![(C::StorageFull, Warning)]),
        ("at 97", storages(vec![storage("tank", 97 * GIB, 100 * GIB)]), vec![(C::StorageFull, Problem)]),
        (
            "one storage that two nodes share",
            storages(vec![storage("tank", 98 * GIB, 100 * GIB), elsewhere(98 * GIB)]),
            vec![(C::StorageFull, Problem)],
        ),
        ("of a size that nobody tells", storages(vec![Storage { size_bytes: None, ..storage("tank", 1, 1) }]), vec![]),
        ("one that is away", storages(vec![away("pve1")]), vec![(C::StorageUnavailable, Problem)]),
        (
            "one that is away on two nodes that share it",
            storages(vec![away("pve1"), away("pve2")]),
            vec![(C::StorageUnavailable, Problem)],
        ),
        (
            "two that are local",
            storages(vec![local("pve1"), local("pve2")]),
            vec![(C::StorageUnavailable, Problem), (C::StorageUnavailable, Problem)],
        ),
        (
            "backups of two guests",
            UpkeepSeen { failed_backups: Some(Ok(vec![failed(HOUR), failed(DAY)])), ..fine() },
            vec![(C::BackupFailed, Problem), (C::BackupFailed, Problem)],
        ),
        (
            "nobody says",
            UpkeepSeen {
                token_left: unsaid().map(|said: Result<(), String>| said.map(|()| None)),
                storages: unsaid().map(|said: Result<(), String>| said.map(|()| Vec::new())),
                failed_backups: unsaid().map(|said: Result<(), String>| said.map(|()| Vec::new())),
                ..fine()
            },
            vec![],
        ),
        ("not asked", UpkeepSeen::default(), vec![]),
    ] {
        let mut chart = Chart::of(Some(&id()));
        judge(&id(), &seen, &mut chart);
        assert_eq!(wrong(&chart), want, "{what}");
        assert!(chart.list.iter().filter(|one| one.verdict.is_wrong()).all(|one| one.fix.is_some()), "{what}");
    }
}

#[test]
fn a_certificate_that_was_not_renewed() {
    for (left, want) in [
        (Some(300 * DAY), None),
        // Proxmox VE renews its own two weeks before: it may do so tonight.
        (Some(13 * DAY), None),
        (Some(12 * DAY), Some(Verdict::Warning)),
        (Some(DAY), Some(Verdict::Problem)),
        (Some(-HOUR), Some(Verdict::Problem)),
        (None, None),
    ] {
        let mut chart = Chart::of(Some(&id()));
        certificate(&id(), left, &mut chart);
        assert_eq!(wrong(&chart).first().map(|(_, verdict)| *verdict), want, "{left:?}");
        let fix = chart.list.first().and_then(|one| one.fix.clone());
        assert_eq!(fix.and_then(|fix| fix.on), want.map(|_| id()), "{left:?}");
    }
}

/// Its end is kept by a new token: it is moved where it was set.
#[test]
fn what_lets_a_token_go_on() {
    let seen = UpkeepSeen {
        token: Some("ecobox@pve!box-1".parse().unwrap()),
        token_left: Some(Ok(Some(DAY))),
        ..UpkeepSeen::default()
    };
    let fix = |seen: &UpkeepSeen| {
        let mut chart = Chart::of(Some(&id()));
        judge(&id(), seen, &mut chart);
        chart.list.iter().find_map(|one| one.fix.clone()).unwrap()
    };
    let command = "pveum user token modify ecobox@pve box-1 --expire 0";
    let own = fix(&seen);
    assert_eq!((own.run.unwrap().join(" ").as_str(), own.on), (command, Some(id())));
    let given = fix(&UpkeepSeen { token_is_given: true, ..seen });
    assert_eq!(given.run, None, "whoever gave it has to give another");
}
