use super::*;

fn permissions(list: &[(&str, &[&str])]) -> Permissions {
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Permissions(list.iter().map(|(path, names)| ((*path).to_owned(), set(names))).collect())
}

/// Held by path, missing, too much.
type Case<'a> = (&'a [(&'a str, &'a [&'a str])], &'a [&'a str], &'a [&'a str]);

#[test]
fn too_little_and_too_much_are_both_said() {
    let exact = ["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.GuestAgent.Audit", "VM.PowerMgmt"];
    let cases: [Case<'_>; 4] = [
        (&[("/", &exact), ("/vms", &exact)], &[], &[]),
        (&[("/vms", &exact)], &exact, &[]),
        (&[("/", &exact), ("/vms/101", &["VM.Allocate"])], &[], &["VM.Allocate"]),
        (&[("/", &exact[..4])], &["VM.PowerMgmt"], &[]),
    ];
    for (held, missing, excess) in cases {
        let got = permissions(held).compare(TokenScope::Operator, 9);
        assert_eq!(
            (got.missing.as_slice(), got.excess.as_slice()),
            (
                missing.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>().as_slice(),
                excess.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>().as_slice(),
            ),
            "{held:?}"
        );
    }
    assert!(!permissions(&[("/", &[])]).allows("VM.Audit"));
}

#[test]
fn what_is_held_on_a_path_is_what_stands_nearest() {
    let held =
        permissions(&[("/", &["VM.Audit"]), ("/vms", &["VM.Audit", "VM.PowerMgmt"]), ("/vms/101", &["VM.Audit"])]);
    for (path, privilege, want) in [
        ("/", "VM.Audit", true),
        ("/", "VM.PowerMgmt", false),
        ("/vms/102", "VM.PowerMgmt", true),
        ("/vms/101", "VM.PowerMgmt", false),
        ("/vms/1010", "VM.PowerMgmt", true),
        ("/nodes/pve1", "VM.Audit", true),
        ("/nodes/pve1", "Sys.Audit", false),
    ] {
        assert_eq!(held.allows_on(path, privilege), want, "{path} {privilege}");
    }
    assert!(!permissions(&[]).allows_on("/vms/101", "VM.Audit"));
    // What repeats the path above needs no place of its own; what is less or more does.
    let short = held.condensed();
    assert_eq!(short, held);
    let long = permissions(&[
        ("/", &["VM.Audit"]),
        ("/nodes", &["VM.Audit"]),
        ("/nodes/pve1", &["VM.Audit"]),
        ("/vms", &["VM.Audit", "VM.PowerMgmt"]),
        ("/vms/101", &["VM.Audit"]),
        ("/vms/102", &["VM.Audit", "VM.PowerMgmt"]),
    ]);
    assert_eq!(long.condensed(), held);
    for path in ["/", "/nodes/pve1", "/vms/101", "/vms/102", "/vms/103"] {
        assert_eq!(long.allows_on(path, "VM.PowerMgmt"), long.condensed().allows_on(path, "VM.PowerMgmt"), "{path}");
    }
}

#[test]
fn the_guest_agents_privilege_depends_on_the_version() {
    assert!(TokenScope::Monitor.privileges(9).contains(&"VM.GuestAgent.Audit"));
    for major in [7, 8] {
        assert_eq!(
            TokenScope::Operator.privileges(major),
            ["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.PowerMgmt"]
        );
        assert_eq!(
            TokenScope::Manager.privileges(major),
            ["Datastore.Audit", "Sys.Audit", "VM.Audit", "VM.Migrate", "VM.PowerMgmt", "VM.Snapshot"]
        );
    }
}

/// Each scope has what the one below it has; a manager's two more, and nothing else.
#[test]
fn scopes_build_on_each_other() {
    for major in [7, 8, 9] {
        let set = |scope: TokenScope| scope.privileges(major).into_iter().collect::<BTreeSet<_>>();
        assert!(set(TokenScope::Monitor).is_subset(&set(TokenScope::Operator)));
        assert!(set(TokenScope::Operator).is_subset(&set(TokenScope::Manager)));
        let more: Vec<_> = set(TokenScope::Manager).difference(&set(TokenScope::Operator)).copied().collect();
        assert_eq!(more, ["VM.Migrate", "VM.Snapshot"]);
        for scope in TokenScope::WITH_ROLE {
            let listed = scope.privileges(major);
            assert!(listed.is_sorted(), "Proxmox VE lists a role's privileges sorted: {listed:?}");
            assert!(scope.role().is_some());
        }
    }
    assert!(TokenScope::Monitor < TokenScope::Operator && TokenScope::Operator < TokenScope::Manager);
    assert!(TokenScope::Manager < TokenScope::Full && TokenScope::Full.role().is_none());
}
