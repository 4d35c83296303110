//! Roles and ACLs.

use super::*;

pub(super) fn role_add(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let name = role_name(access, call)?;
    let privs = privileges(access, call)?;
    access.begin_write()?;
    if access.roles.contains_key(name) {
        return Err(Failure::die(format!("create role failed: role '{name}' already exists")));
    }
    access.roles.insert(name.to_owned(), Role { privs, special: false });
    Ok(Answer::Nothing)
}

pub(super) fn role_modify(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let name = call.positional[0].as_str();
    let mut privs = privileges(access, call)?;
    access.begin_write()?;
    let role = access.roles.get_mut(name);
    let role = role.ok_or_else(|| Failure::die(format!("modify role failed: role '{name}' does not exist")))?;
    if role.special {
        return Err(Failure::die(format!("modify role failed: auto-generated role '{name}' cannot be modified")));
    }
    if call.flag("append") {
        privs.extend(role.privs.iter().cloned());
    }
    role.privs = privs;
    Ok(Answer::Nothing)
}

pub(super) fn role_delete(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let name = call.positional[0].as_str();
    access.begin_write()?;
    match access.roles.get(name) {
        None => Err(Failure::die(format!("delete role failed: role '{name}' does not exist"))),
        Some(role) if role.special => {
            Err(Failure::die(format!("delete role failed: auto-generated role '{name}' cannot be deleted")))
        }
        Some(_) => {
            access.roles.remove(name);
            Ok(Answer::Nothing)
        }
    }
}

pub(super) fn roles(access: &Access) -> Vec<Value> {
    let row = |(name, role): (&String, &Role)| {
        let privs: Vec<&str> = role.privs.iter().map(String::as_str).collect();
        json!({ "roleid": name, "privs": privs.join(","), "special": u8::from(role.special) })
    };
    access.roles.iter().map(row).collect()
}

pub(super) fn acl(access: &mut Access, call: &Call, delete: bool) -> Result<Answer, Failure> {
    let path = normal_path(&call.positional[0]);
    let roles = call.list("roles");
    if call.option("roles").is_none() {
        return Err(Failure::parameter("roles", "property is missing and it is not optional", &call.usage));
    }
    let Some(path) = path else {
        return Err(Failure::parameter("path", format!("invalid ACL path '{}'", call.positional[0]), &call.usage));
    };
    if ["users", "tokens", "groups"].iter().all(|kind| call.option(kind).is_none()) {
        let text = "at least one of 'users', 'groups' or 'tokens' is required";
        return Err(Failure::die(format!(
            "400 Parameter verification failed.\ngroups: {text}\ntokens: {text}\nusers: {text}\n{}",
            call.usage
        )));
    }
    access.begin_write()?;
    let failed = |text: String| Failure::die(format!("ACL update failed: {text}"));
    if let Some(role) = roles.iter().find(|role| !access.roles.contains_key(**role)) {
        return Err(failed(format!("role '{role}' does not exist")));
    }
    if let Some(group) = call.list("groups").first() {
        return Err(failed(format!("group '{group}' does not exist")));
    }
    let mut grantees = Vec::new();
    for userid in call.list("users") {
        if !access.users.contains_key(userid) {
            return Err(failed(format!("user '{userid}' does not exist")));
        }
        grantees.push(userid);
    }
    for full in call.list("tokens") {
        let Some((userid, name)) = access::split_token(full) else {
            return Err(failed(format!("'{full}' is not a valid token ID")));
        };
        let user = access.users.get(userid).ok_or_else(|| failed(format!("no such user ('{userid}')")))?;
        if !user.tokens.contains_key(name) {
            return Err(failed(format!("no such token '{name}' for user '{userid}'")));
        }
        grantees.push(full);
    }
    for who in grantees {
        for role in &roles {
            access.revoke_role(&path, who, role);
            if !delete {
                let propagate = call.option("propagate") != Some("0");
                access.acl.push(Entry { path: path.clone(), who: who.into(), role: (*role).into(), propagate });
            }
        }
    }
    Ok(Answer::Nothing)
}

pub(super) fn acl_list(access: &Access) -> Answer {
    let known =
        access.acl.iter().filter(|entry| access.roles.contains_key(&entry.role) && !access.is_dangling(&entry.who));
    let row = |entry: &Entry| {
        let kind = if access::split_token(&entry.who).is_some() { "token" } else { "user" };
        let Entry { path, who, role, propagate } = entry;
        json!({ "path": path, "ugid": who, "roleid": role, "propagate": u8::from(*propagate), "type": kind })
    };
    let columns = &["path", "propagate", "roleid", "type", "ugid"];
    Answer::List { rows: known.map(row).collect(), columns, right: &[] }
}

/// A path without doubled or trailing slashes, if PVE has such paths.
fn normal_path(path: &str) -> Option<String> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let fine = path.starts_with('/')
        && match steps.as_slice() {
            [] | ["access" | "nodes" | "pool" | "sdn" | "storage" | "vms" | "mapping"] => true,
            ["vms", id] => id.len() >= 3 && id.bytes().all(|byte| byte.is_ascii_digit()),
            ["access", "groups" | "realm"] | ["access", "groups" | "realm", _] => true,
            ["nodes" | "storage", _] | ["pool" | "sdn" | "mapping", ..] => true,
            _ => false,
        };
    fine.then(|| format!("/{}", steps.join("/")))
}
