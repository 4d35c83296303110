//! One scope after another on one host.

use super::*;

const MANAGER: &str = "Datastore.Audit,Sys.Audit,VM.Audit,VM.GuestAgent.Audit,VM.Migrate,VM.PowerMgmt,VM.Snapshot";

/// A manager's token is replaced by an operator's: the ACL that gave it more is ecobox's own, and is not kept.
#[test]
fn what_a_scope_gave_does_not_outlive_it() {
    on_each("9.2.11", |pve| {
        created(&pve.does(create(TokenScope::Manager, "lap-1"), TokenScope::Manager, &[]));
        assert_eq!(pve.role("EcoboxManager"), MANAGER);
        let replaces = Some("ecobox@pve!lap-1".parse().unwrap());
        let Action::Create { token, comment, .. } = create(TokenScope::Operator, "lap-2") else { panic!() };
        let next = Action::Create { token, comment, replaces };
        created(&pve.does(next, TokenScope::Operator, &["ecobox@pve!lap-1"]));
        assert_eq!(pve.names("acl"), ["ecobox@pve Ecobox", "ecobox@pve EcoboxManager", "ecobox@pve!lap-2 Ecobox"]);
        let revoke = |id: &str| pve.does(Action::Revoke, TokenScope::Operator, &[id]).result;
        assert_eq!(revoke("ecobox@pve!lap-2"), Ok(Done::Removed { user_removed: true }));
        assert_eq!((pve.names("roles").len(), pve.names("acl").len()), (0, 0));
    });
}
