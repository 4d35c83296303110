use super::*;
use crate::fleet::onboard::token_id;

fn request(action: Action, scope: TokenScope, remove: Vec<Removal>, ssh_user: &str) -> Request {
    Request { action, scope, remove, ssh_user: ssh_user.to_owned() }
}

fn create(scope: TokenScope, ssh_user: &str, name: &str) -> Action {
    Action::Create {
        token: token_id(scope, ssh_user, name).unwrap(),
        comment: "ecobox on a'b, 2026-01-02".to_owned(),
        replaces: None,
    }
}

#[test]
fn commands_read_as_one_would_type_them() {
    let scope = TokenScope::Operator;
    let old = Removal { token: token_id(scope, "root", "lap-1").unwrap(), scope: Some(scope) };
    let plan = plan(&request(create(scope, "root", "lap-2"), scope, vec![old], "root"), Some(8)).unwrap();
    assert_eq!(
        plan.commands,
        [
            "/usr/sbin/pveum acl delete / --tokens 'ecobox@pve!lap-1' --roles Ecobox",
            "# and its other ACLs, if it has more",
            "/usr/sbin/pveum user token remove ecobox@pve lap-1",
            "/usr/sbin/pveum role add Ecobox --privs Datastore.Audit,Sys.Audit,VM.Audit,VM.PowerMgmt",
            "# if that role exists with other privileges:",
            "/usr/sbin/pveum role modify Ecobox --privs Datastore.Audit,Sys.Audit,VM.Audit,VM.PowerMgmt",
            "/usr/sbin/pveum user add ecobox@pve --comment \
             'made by ecobox setup-token; each of its tokens belongs to one machine'",
            "/usr/sbin/pveum acl modify / --users ecobox@pve --roles Ecobox",
            r"/usr/sbin/pveum user token add ecobox@pve lap-2 --privsep 1 --comment 'ecobox on a'\''b, 2026-01-02' --output-format json",
            "/usr/sbin/pveum acl modify / --tokens 'ecobox@pve!lap-2' --roles Ecobox",
        ]
    );
}

#[test]
fn full_rights_need_no_role() {
    let plan = plan(&request(create(TokenScope::Full, "ann", "lap-1"), TokenScope::Full, vec![], "ann"), None).unwrap();
    let add = r"sudo /usr/sbin/pveum user token add ann@pam lap-1 --privsep 0 --comment 'ecobox on a'\''b, 2026-01-02' --output-format json";
    assert_eq!(plan.commands, [add]);
}

#[test]
fn the_guest_agents_privilege_is_asked_for_where_it_exists() {
    for (major, has) in [(Some(7), false), (Some(8), false), (Some(9), true), (None, true)] {
        let plan =
            plan(&request(create(TokenScope::Monitor, "root", "ab"), TokenScope::Monitor, vec![], "root"), major)
                .unwrap();
        let role = plan.commands.iter().find(|line| line.contains("role add EcoboxRead")).unwrap();
        assert_eq!(role.contains("VM.GuestAgent.Audit"), has, "{major:?}");
        assert!(!role.contains("VM.PowerMgmt"));
    }
}

#[test]
fn a_token_of_unknown_scope_loses_all_roles() {
    let token = token_id(TokenScope::Monitor, "root", "ab").unwrap();
    let full = token_id(TokenScope::Full, "root", "cd").unwrap();
    let remove = vec![Removal { token, scope: None }, Removal { token: full, scope: None }];
    let plan = plan(&request(Action::Remove, TokenScope::Operator, remove, "root"), None).unwrap();
    assert_eq!(
        plan.commands,
        [
            "/usr/sbin/pveum acl delete / --tokens 'ecobox@pve!ab' --roles EcoboxManager",
            "/usr/sbin/pveum acl delete / --tokens 'ecobox@pve!ab' --roles Ecobox",
            "/usr/sbin/pveum acl delete / --tokens 'ecobox@pve!ab' --roles EcoboxRead",
            "# and its other ACLs, if it has more",
            "/usr/sbin/pveum user token remove ecobox@pve ab",
            "/usr/sbin/pveum user token remove root@pam cd",
        ]
    );
}

#[test]
fn control_characters_are_refused() {
    for comment in ["a\nb", "a\0b", "a\x1bb"] {
        let token = token_id(TokenScope::Monitor, "root", "ab").unwrap();
        let action = Action::Create { token, comment: comment.to_owned(), replaces: None };
        assert!(plan(&request(action, TokenScope::Monitor, vec![], "root"), None).is_err(), "{comment:?}");
    }
}
