//! What each pveum command does to the cluster's access control.

mod roles;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::roles::{acl, acl_list, role_add, role_delete, role_modify, roles};
use super::{Answer, Call, Failure};
use crate::access::{self, Access, Entry, Role, Token, User};

const TOKEN_COLUMNS: &[&str] = &["tokenid", "comment", "expire", "privsep"];
const USER_COLUMNS: &[&str] = &["userid", "comment", "email", "enable", "expire", "realm-type"];

pub(super) fn run(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    match call.command {
        "user add" => user_add(access, call),
        "user delete" => user_delete(access, call),
        "user modify" => user_modify(access, call),
        "user list" => Ok(Answer::List { rows: users(access, call), columns: USER_COLUMNS, right: &["expire"] }),
        "user permissions" => user_permissions(access, call),
        "user token add" => token_add(access, call),
        "user token delete" => token_delete(access, call),
        "user token modify" => token_modify(access, call),
        "user token list" => token_list(access, call),
        "user token permissions" => token_permissions(access, call),
        "role add" => role_add(access, call),
        "role modify" => role_modify(access, call),
        "role delete" => role_delete(access, call),
        "role list" => Ok(Answer::List { rows: roles(access), columns: &["roleid", "privs", "special"], right: &[] }),
        "acl modify" => acl(access, call, false),
        "acl delete" => acl(access, call, true),
        "acl list" => Ok(acl_list(access)),
        other => Err(Failure::die(format!("pveum {other}: not simulated"))),
    }
}

fn user_add(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let userid = userid(call)?;
    let expire = call.integer("expire")?.unwrap_or(0);
    access.begin_write()?;
    if access.users.contains_key(userid) {
        // The errno left over from an earlier, unrelated failed open.
        return Err(Failure { stderr: format!("create user failed: user '{userid}' already exists\n"), code: 2 });
    }
    let realm = userid.rsplit_once('@').map_or("", |(_, realm)| realm);
    if !matches!(realm, "pam" | "pve") {
        return Err(Failure::die(format!("create user failed: domain '{realm}' does not exist")));
    }
    let user = User {
        enabled: call.option("enable") != Some("0"),
        expire,
        comment: call.option("comment").map(str::to_owned),
        email: call.option("email").map(str::to_owned),
        ..User::default()
    };
    access.users.insert(userid.to_owned(), user);
    Ok(Answer::Nothing)
}

fn user_delete(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let userid = userid(call)?;
    access.begin_write()?;
    if access.users.remove(userid).is_none() {
        return Err(Failure::die(format!("delete user failed: no such user ('{userid}')")));
    }
    access.acl.retain(|entry| entry.who != userid);
    Ok(Answer::Nothing)
}

/// What is not named stays as it is.
fn user_modify(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let userid = userid(call)?;
    let expire = call.integer("expire")?;
    access.begin_write()?;
    let user = access
        .users
        .get_mut(userid)
        .ok_or_else(|| Failure::die(format!("update user failed: no such user ('{userid}')")))?;
    user.enabled = call.option("enable").map_or(user.enabled, |text| text != "0");
    user.expire = expire.unwrap_or(user.expire);
    user.comment = call.option("comment").map(str::to_owned).or(user.comment.take());
    user.email = call.option("email").map(str::to_owned).or(user.email.take());
    Ok(Answer::Nothing)
}

fn users(access: &Access, call: &Call) -> Vec<Value> {
    let shown = |user: &User| call.option("enabled").is_none_or(|wanted| (wanted == "1") == user.enabled);
    let row = |(userid, user): (&String, &User)| {
        let mut row = Map::new();
        row.insert("userid".into(), json!(userid));
        row.insert("enable".into(), json!(u8::from(user.enabled)));
        row.insert("expire".into(), json!(user.expire));
        row.insert("realm-type".into(), json!(if userid.ends_with("@pam") { "pam" } else { "pve" }));
        optional(&mut row, "comment", user.comment.as_ref());
        optional(&mut row, "email", user.email.as_ref());
        if call.flag("full") {
            row.insert("tokens".into(), Value::from(tokens(user)));
        }
        Value::Object(row)
    };
    access.users.iter().filter(|(_, user)| shown(user)).map(row).collect()
}

fn user_permissions(access: &Access, call: &Call) -> Result<Answer, Failure> {
    let who = call.positional.first().map_or("root@pam", String::as_str);
    let userid = access::split_token(who).map_or(who, |(userid, _)| userid);
    if !access.users.contains_key(userid) {
        return Err(no_user(userid));
    }
    Ok(permissions(access, who, call))
}

fn permissions(access: &Access, who: &str, call: &Call) -> Answer {
    let all = match call.option("path") {
        Some(path) => json!({ path: access.permissions_on(who, path) }),
        None => json!(access.permissions(who)),
    };
    Answer::Permissions(all)
}

fn token_add(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let (userid, name) = token_ids(call)?;
    let expire = call.integer("expire")?;
    if !access.users.contains_key(userid) {
        return Err(no_user(userid));
    }
    access.begin_write()?;
    let user = access.users.get_mut(userid).ok_or_else(|| no_user(userid))?;
    if user.tokens.contains_key(name) {
        return Err(Failure::parameter("tokenid", "Token already exists.", &call.usage));
    }
    let secret = access::random_uuid();
    let token = Token {
        secret: secret.clone(),
        privsep: call.option("privsep") != Some("0"),
        expire: expire.unwrap_or(user.expire),
        comment: call.option("comment").map(str::to_owned),
    };
    user.tokens.insert(name.to_owned(), token);
    let mut info = given(call);
    info.entry("privsep").or_insert(json!(1));
    Ok(Answer::Record(json!({ "full-tokenid": format!("{userid}!{name}"), "info": info, "value": secret })))
}

fn token_delete(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let (userid, name) = token_ids(call)?;
    access.begin_write()?;
    let user = access.users.get_mut(userid).ok_or_else(|| no_user(userid))?;
    // Its ACL entries stay behind.
    user.tokens.remove(name).map(|_| Answer::Nothing).ok_or_else(|| no_token(userid, name))
}

fn token_modify(access: &mut Access, call: &Call) -> Result<Answer, Failure> {
    let (userid, name) = token_ids(call)?;
    let expire = call.integer("expire")?;
    if !access.users.contains_key(userid) {
        return Err(no_user(userid));
    }
    access.begin_write()?;
    let full = format!("{userid}!{name}");
    let token = access.token_mut(&full).ok_or_else(|| no_token(userid, name))?;
    token.expire = expire.unwrap_or(token.expire);
    token.privsep = call.option("privsep").map_or(token.privsep, |text| text == "1");
    token.comment = call.option("comment").map(str::to_owned).or(token.comment.take());
    if call.list("delete").contains(&"comment") {
        token.comment = None;
    }
    let mut info = token_info(token);
    info.extend(given(call));
    if call.flag("regenerate") {
        token.secret = access::random_uuid();
        info.insert("full-tokenid".into(), json!(full));
        info.insert("value".into(), json!(token.secret));
    }
    Ok(Answer::Record(Value::Object(info)))
}

fn token_list(access: &Access, call: &Call) -> Result<Answer, Failure> {
    let userid = userid(call)?;
    let user = access.users.get(userid).ok_or_else(|| no_user(userid))?;
    Ok(Answer::List { rows: tokens(user), columns: TOKEN_COLUMNS, right: &["expire"] })
}

fn token_permissions(access: &Access, call: &Call) -> Result<Answer, Failure> {
    let (userid, name) = token_ids(call)?;
    let user = access.users.get(userid).ok_or_else(|| no_user(userid))?;
    if !user.tokens.contains_key(name) {
        return Err(no_token(userid, name));
    }
    Ok(permissions(access, &format!("{userid}!{name}"), call))
}

fn tokens(user: &User) -> Vec<Value> {
    let row = |(name, token): (&String, &Token)| {
        let mut row = token_info(token);
        row.insert("tokenid".into(), json!(name));
        Value::Object(row)
    };
    user.tokens.iter().map(row).collect()
}

fn token_info(token: &Token) -> Map<String, Value> {
    let mut info = Map::new();
    info.insert("expire".into(), json!(token.expire));
    info.insert("privsep".into(), json!(u8::from(token.privsep)));
    optional(&mut info, "comment", token.comment.as_ref());
    info
}

/// The settings of the command line: strings, whatever their type is (Perl).
fn given(call: &Call) -> Map<String, Value> {
    let names = ["comment", "expire", "privsep"].into_iter();
    names.filter_map(|name| call.option(name).map(|text| (name.to_owned(), json!(text)))).collect()
}

fn optional(map: &mut Map<String, Value>, name: &str, value: Option<&String>) {
    if let Some(text) = value {
        map.insert(name.into(), json!(text));
    }
}

fn no_user(userid: &str) -> Failure {
    Failure::die(format!("no such user ('{userid}')"))
}

fn no_token(userid: &str, name: &str) -> Failure {
    Failure::die(format!("no such token '{name}' for user '{userid}'"))
}

/// `user@realm`: 3 to 64 characters, no colon, slash or blank in the user part.
fn userid(call: &Call) -> Result<&str, Failure> {
    let userid = call.positional[0].as_str();
    let wrong =
        || Failure::format("userid", format!("value '{userid}' does not look like a valid user name"), &call.usage);
    let (name, realm) = userid.rsplit_once('@').ok_or_else(wrong)?;
    let odd = |c: char| c.is_whitespace() || c == ':' || c == '/';
    if name.is_empty() || name.contains(odd) || !(3..=64).contains(&userid.len()) || !is_id(realm) {
        return Err(wrong());
    }
    Ok(userid)
}

fn token_ids(call: &Call) -> Result<(&str, &str), Failure> {
    let name = call.positional[1].as_str();
    let userid = userid(call)?;
    if !is_id(name) {
        return Err(Failure::parameter("tokenid", "value does not match the regex pattern", &call.usage));
    }
    Ok((userid, name))
}

/// The grammar of token ids and realms: at least two characters, the first a letter.
fn is_id(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn role_name<'a>(access: &Access, call: &'a Call) -> Result<&'a str, Failure> {
    let name = call.positional[0].as_str();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        let text = format!("role name '{name}' contains invalid characters");
        return Err(Failure::format("roleid", text, &call.usage));
    }
    if access.version.0 >= 8 && name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pve")) {
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        return Err(Failure::parameter("roleid", text, &call.usage));
    }
    Ok(name)
}

fn privileges(access: &Access, call: &Call) -> Result<BTreeSet<String>, Failure> {
    let names: BTreeSet<String> = call.list("privs").into_iter().map(str::to_owned).collect();
    let valid = access.roles.get("Administrator").map(|role| &role.privs);
    match names.iter().find(|name| !valid.is_some_and(|valid| valid.contains(*name))) {
        Some(name) => Err(Failure::format("privs", format!("invalid privilege '{name}'"), &call.usage)),
        None => Ok(names),
    }
}
