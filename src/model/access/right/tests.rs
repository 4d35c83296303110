use super::*;

fn permissions(list: &[(&str, &[&str])]) -> Permissions {
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Permissions(list.iter().map(|(path, names)| ((*path).to_owned(), set(names))).collect())
}

#[test]
fn a_call_needs_what_proxmox_asks_for() {
    type Held = &'static [(&'static str, &'static [&'static str])];
    let start = GuestRight::Power;
    let (guest, disk) = ("VM.PowerMgmt on /vms/101", "VM.Config.Disk on /vms/101");
    let storage = "Datastore.AllocateSpace on the storage that takes its memory";
    let rolled = GuestRight::Rollback { starts: false };
    let started = GuestRight::Rollback { starts: true };
    let (snapshot, migrate) = ("VM.Snapshot on /vms/101", "VM.Migrate on /vms/101");
    let cases: [(Held, GuestRight, &[&str]); 16] = [
        (&[("/", &["VM.Audit"])], start, &[guest]),
        (&[("/", &["VM.PowerMgmt"])], start, &[]),
        (&[("/vms/102", &["VM.PowerMgmt"])], start, &[guest]),
        (&[("/", &["VM.PowerMgmt"])], GuestRight::Hibernate, &[disk, storage]),
        (
            &[("/", &["VM.PowerMgmt", "VM.Config.Disk"]), ("/storage/fast", &["Datastore.AllocateSpace"])],
            GuestRight::Hibernate,
            &[],
        ),
        (
            &[("/vms", &["VM.PowerMgmt", "VM.Config.Disk", "Datastore.AllocateSpace"])],
            GuestRight::Hibernate,
            &[storage],
        ),
        (&[], GuestRight::Hibernate, &[guest, disk, storage]),
        (&[("/", &["VM.PowerMgmt"])], GuestRight::Snapshot, &[snapshot]),
        (&[("/", &["VM.Snapshot.Rollback"])], GuestRight::Snapshot, &[snapshot]),
        (&[("/vms", &["VM.Snapshot"])], GuestRight::Snapshot, &[]),
        (&[("/", &["VM.Snapshot"])], rolled, &[]),
        (&[("/", &["VM.Snapshot.Rollback"])], rolled, &[]),
        (&[("/", &["VM.Snapshot"])], started, &[guest]),
        (&[], started, &[snapshot, guest]),
        (&[("/", &["VM.Snapshot"])], GuestRight::Migrate, &[migrate]),
        (&[("/", &["VM.Migrate"])], GuestRight::Migrate, &[]),
    ];
    for (held, call, missing) in cases {
        assert_eq!(permissions(held).lacks(call, "101".parse().unwrap()), missing, "{held:?} {call:?}");
    }
}

/// A role of the scope that is named for a right has all that the right needs.
#[test]
fn the_scope_that_is_named_is_enough() {
    for call in [GuestCall::Start, GuestCall::Reset, GuestCall::Hibernate] {
        assert_eq!(GuestRight::from(call) == GuestRight::Hibernate, call == GuestCall::Hibernate);
    }
    for right in [
        GuestRight::Power,
        GuestRight::Snapshot,
        GuestRight::Rollback { starts: false },
        GuestRight::Rollback { starts: true },
        GuestRight::Migrate,
    ] {
        for major in [7, 8, 9] {
            let scope = right.scope().unwrap();
            let held = |scope: TokenScope| permissions(&[("/", &scope.privileges(major))]);
            assert_eq!(held(scope).lacks(right, "101".parse().unwrap()), [""; 0], "{right:?}");
            for less in TokenScope::WITH_ROLE.into_iter().filter(|less| *less < scope) {
                assert_ne!(held(less).lacks(right, "101".parse().unwrap()), [""; 0], "{right:?} {less:?}");
            }
        }
    }
    assert_eq!(GuestRight::Hibernate.scope(), None);
}

#[test]
fn a_refusal_names_what_would_do() {
    for (detail, scope) in [
        ("Permission check failed (/vms/105, VM.PowerMgmt)", TokenScope::Operator),
        ("Permission check failed (/vms/105, VM.Snapshot)", TokenScope::Manager),
        ("Permission check failed (/vms/105, VM.Snapshot|VM.Snapshot.Rollback)", TokenScope::Manager),
        ("Permission check failed (/vms/105, VM.Migrate)", TokenScope::Manager),
        ("Permission check failed (/, Sys.Audit)", TokenScope::Operator),
    ] {
        assert_eq!(GuestRight::scope_of_refusal(detail), scope, "{detail}");
    }
}
