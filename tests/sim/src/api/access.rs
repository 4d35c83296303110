//! `/access`: what the token may do, and the lists that `pveum` also gives.

use serde_json::{Value, json};

use crate::access::{Access, AuthError};
use crate::api::{Context, Refusal, Reply, nodes};
use crate::cluster::Cluster;

pub(crate) fn index(_: &mut Context<'_>) -> Reply {
    Ok(nodes::subdirs("subdir", &["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"])
        .into())
}

pub(crate) fn permissions(context: &mut Context<'_>) -> Reply {
    let access = context.cluster.access();
    Ok(match context.call.parameters.get("path") {
        Some(path) => json!({ path: access.permissions_on(context.caller, path) }),
        None => json!(access.permissions(context.caller)),
    }
    .into())
}

/// Asks `pveum`, whose JSON is that of the API.
fn pveum(access: &mut Access, words: &[&str]) -> Result<Value, Refusal> {
    let words: Vec<String> = words.iter().chain(&["--output-format", "json"]).map(|word| (*word).to_owned()).collect();
    let outcome = access.pveum(&words);
    if outcome.code == 0 {
        return Ok(serde_json::from_str(&outcome.stdout).unwrap_or(Value::Null));
    }
    let text = outcome.stderr;
    if let Some((_, rest)) = text.split_once("400 Parameter verification failed.\n") {
        let (name, problem) = rest.lines().next().and_then(|line| line.split_once(": ")).unwrap_or(("", ""));
        return Err(Refusal::parameter(name, problem));
    }
    Err(Refusal::died(text.trim_end()))
}

/// As [`pveum`] for what only reads: nothing is left in its log of commands.
fn look(context: &Context<'_>, words: &[&str]) -> Result<Value, Refusal> {
    let mut copy = context.cluster.access().clone();
    pveum(&mut copy, words)
}

/// 200 with an empty list for whoever may see nobody: no proof of a privilege.
pub(crate) fn users(context: &mut Context<'_>) -> Reply {
    if !context.may("/access/groups", &["Sys.Audit", "User.Modify"]) {
        return Ok(json!([]).into());
    }
    let full = context.call.flag("full");
    let mut list = look(context, &["user", "list", "--full", "1"]).unwrap_or_else(|_| json!([]));
    for user in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if full {
            user.entry("groups").or_insert(json!(""));
        } else {
            user.remove("tokens");
            user.remove("groups");
        }
    }
    Ok(list.into())
}

/// With `Sys.Audit`, which a role on `/` gives, the ends of all tokens are told, also to a token.
pub(crate) fn user(context: &mut Context<'_>) -> Reply {
    if !context.may("/access/groups", &["Sys.Audit", "User.Modify"]) {
        return Err(Refusal::status(403, "Permission check failed"));
    }
    let access = context.cluster.access();
    let Some(user) = access.users.get(&context.path[0]) else {
        return Err(Refusal::died(format!("no such user ('{}')", context.path[0])));
    };
    let tokens = user
        .tokens
        .iter()
        .map(|(name, token)| (name.clone(), json!({ "privsep": u8::from(token.privsep), "expire": token.expire })));
    let tokens: serde_json::Map<String, Value> = tokens.collect();
    Ok(json!({ "enable": u8::from(user.enabled), "expire": user.expire, "groups": [], "tokens": tokens }).into())
}

pub(crate) fn roles(context: &mut Context<'_>) -> Reply {
    Ok(look(context, &["role", "list"])?.into())
}

pub(crate) fn acl(context: &mut Context<'_>) -> Reply {
    if !context.may("/access", &["Sys.Audit", "Permissions.Modify"]) {
        return Ok(json!([]).into());
    }
    Ok(look(context, &["acl", "list"])?.into())
}

/// Tokens are shown to those who may change users: a token is not "self" for its own user's tokens.
fn may_see_tokens(context: &Context<'_>) -> Result<(), Refusal> {
    if context.may("/access/groups", &["User.Modify"]) {
        return Ok(());
    }
    Err(Refusal::status(403, "Permission check failed"))
}

pub(crate) fn tokens(context: &mut Context<'_>) -> Reply {
    may_see_tokens(context)?;
    let user = context.path[0].clone();
    Ok(look(context, &["user", "token", "list", &user])?.into())
}

pub(crate) fn token(context: &mut Context<'_>) -> Reply {
    may_see_tokens(context)?;
    let (user, name) = (context.path[0].clone(), context.path[1].clone());
    let list = look(context, &["user", "token", "list", &user])?;
    let found = list.as_array().into_iter().flatten().find(|entry| entry["tokenid"] == name.as_str());
    let Some(mut entry) = found.cloned() else {
        return Err(Refusal::died(format!("no such token '{name}' for user '{user}'")));
    };
    entry.as_object_mut().map(|entry| entry.remove("tokenid"));
    Ok(entry.into())
}

pub(crate) fn add_token(context: &mut Context<'_>) -> Reply {
    may_see_tokens(context)?;
    let mut words = vec!["user", "token", "add", context.path[0].as_str(), context.path[1].as_str()];
    let options: Vec<(String, &String)> =
        context.call.parameters.iter().map(|(name, value)| (format!("--{name}"), value)).collect();
    for (name, value) in &options {
        words.extend([name.as_str(), value.as_str()]);
    }
    Ok(pveum(&mut context.cluster.access(), &words)?.into())
}

pub(crate) fn remove_token(context: &mut Context<'_>) -> Reply {
    may_see_tokens(context)?;
    let words = ["user", "token", "remove", &context.path[0], &context.path[1]];
    pveum(&mut context.cluster.access(), &words)?;
    Ok(Value::Null.into())
}

/// The reason phrase of a 401. Older versions tell more.
pub(crate) fn refusal_text(cluster: &Cluster, error: AuthError, token: &str) -> String {
    match error {
        AuthError::NoTicket => "No ticket".to_owned(),
        AuthError::Failed if cluster.version.hides_401_reason() => "Authentication failed!".to_owned(),
        AuthError::Failed => {
            let id = token.split_once('=').map_or(token, |(id, _)| id);
            match id.rsplit_once('!') {
                Some(_) if cluster.access().tokens().iter().any(|known| known == id) => {
                    "invalid token value!".to_owned()
                }
                Some((user, _)) if !cluster.access().users().iter().any(|known| known == user) => {
                    format!("no such user ('{user}')")
                }
                Some((user, name)) => format!("no such token '{name}' for user '{user}'"),
                None => format!("no tokenid specified in '{id}'"),
            }
        }
    }
}
