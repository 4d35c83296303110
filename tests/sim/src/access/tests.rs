use super::*;

fn power_user() -> Access {
    let mut access = Access::new(9);
    access.add_token("power@pve!full", "s", false);
    access.add_token("power@pve!sep", "s", true);
    access.grant_role("/vms", "power@pve", "PVEVMUser", true);
    access
}

#[test]
fn privileges_combine_as_in_pve() {
    let mut access = power_user();
    access.add_token("root@pam!full", "s", false);
    access.add_token("root@pam!sep", "s", true);
    access.grant("/vms/101", "root@pam!sep", &["VM.Audit"], true);
    access.add_token("power@pve!both", "s", true);
    access.grant("/", "power@pve!both", &["VM.Audit", "Sys.Audit"], true);
    access.grant("/vms/105", "power@pve", &[], true);
    access.grant("/nodes", "power@pve", &["Sys.Audit"], false);
    access.grant_role("/vms/106", "power@pve", "NoAccess", true);
    access.grant("/vms/106", "power@pve", &["VM.Audit"], true);
    access.set_pool("lab", &[107]);
    access.grant("/pool/lab", "pooled@pve", &["VM.Audit"], true);
    for (caller, path, privilege, allowed) in [
        ("root@pam", "/vms/1", "Sys.Modify", true),
        ("root@pam!full", "/", "Sys.Modify", true),
        ("root@pam!sep", "/vms/101", "VM.Audit", true),
        ("root@pam!sep", "/vms/102", "VM.Audit", false),
        ("power@pve!full", "/vms/101", "VM.PowerMgmt", true),
        ("power@pve!full", "/", "VM.PowerMgmt", false),
        ("power@pve!sep", "/vms/101", "VM.PowerMgmt", false),
        ("power@pve!both", "/vms/101", "VM.Audit", true),
        ("power@pve!both", "/vms/101", "VM.PowerMgmt", false),
        ("power@pve!both", "/nodes", "Sys.Audit", true),
        ("power@pve!both", "/nodes/pve1", "Sys.Audit", false),
        ("power@pve", "/vms/105", "VM.Audit", false),
        ("power@pve", "/vms/106", "VM.Audit", false),
        ("pooled@pve", "/vms/107", "VM.Audit", true),
        ("pooled@pve", "/vms/108", "VM.Audit", false),
        ("ghost@pve", "/", "VM.Audit", false),
        ("root@pam!gone", "/", "VM.Audit", false),
    ] {
        assert_eq!(access.privileges(caller, path).contains(privilege), allowed, "{caller} {path} {privilege}");
    }
}

#[test]
fn permissions_list_only_paths_with_rights() {
    let mut access = power_user();
    access.grant_role("/vms/101", "root@pam!sepvm", "PVEVMUser", true);
    let seen = access.permissions("power@pve!full");
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["/vms", "/vms/101"]);
    assert_eq!(seen["/vms"]["VM.PowerMgmt"], 1);
    assert!(access.permissions("power@pve!sep").is_empty());
    access.grant("/nodes", "power@pve", &["Sys.Audit"], false);
    assert_eq!(access.permissions("power@pve")["/nodes"]["Sys.Audit"], 0);
}

#[test]
fn tokens_authenticate() {
    let mut access = power_user();
    assert_eq!(access.authenticate("power@pve!full", "s").as_deref(), Ok("power@pve!full"));
    access.add_token("off@pve!tok", "s", false);
    access.set_user_enabled("off@pve", false);
    access.add_token("root@pam!expired", "s", false);
    access.set_token_expire("root@pam!expired", 1_700_000_000);
    for id in ["power@pve!no", "ghost@pam!x", "root!x", "off@pve!tok", "root@pam!expired"] {
        assert_eq!(access.authenticate(id, "s"), Err(AuthError::Failed), "{id}");
    }
    assert_eq!(access.authenticate("power@pve!full", "t"), Err(AuthError::Failed));
    assert_eq!(access.authenticate("", ""), Err(AuthError::NoTicket));
}
