//! `/access`: what the token may do, and the lists that `pveum` also gives.

use serde_json::{Map, Value, json};

use crate::access::AuthError;
use crate::api::{Context, Refusal, Reply, nodes};
use crate::cluster::Cluster;

pub(crate) fn index(_: &mut Context<'_>) -> Reply {
    Ok(nodes::subdirs("subdir", &["users", "groups", "roles", "acl", "domains", "openid", "tfa", "ticket", "password"])
        .into())
}

pub(crate) fn permissions(context: &mut Context<'_>) -> Reply {
    let access = &context.cluster.access;
    let Some(path) = context.call.parameters.get("path") else {
        return Ok(json!(access.permissions(context.caller)).into());
    };
    let held: Map<String, Value> =
        access.privileges(context.caller, path).into_iter().map(|name| (name, json!(1))).collect();
    Ok(json!({ path: held }).into())
}

/// Asks `pveum`, whose JSON is that of the API.
fn pveum(cluster: &mut Cluster, words: &[&str]) -> Result<Value, Refusal> {
    let words: Vec<String> = words.iter().chain(&["--output-format", "json"]).map(|word| (*word).to_owned()).collect();
    let outcome = cluster.access.pveum(&words);
    if outcome.code == 0 {
        return Ok(serde_json::from_str(&outcome.stdout).unwrap_or(Value::Null));
    }
    let text = outcome.stderr;
    if let Some(rest) = text.strip_prefix("400 Parameter verification failed.\n") {
        let (name, problem) = rest.lines().next().and_then(|line| line.split_once(": ")).unwrap_or(("", ""));
        return Err(Refusal::parameter(name, problem));
    }
    Err(Refusal::died(text.trim_end()))
}

/// 200 with an empty list for whoever may see nobody: no proof of a privilege.
pub(crate) fn users(context: &mut Context<'_>) -> Reply {
    if !context.may("/access/groups", &["Sys.Audit", "User.Modify"]) {
        return Ok(json!([]).into());
    }
    let full = context.call.flag("full");
    let mut list = pveum(context.cluster, &["user", "list", "--full", "1"]).unwrap_or_else(|_| json!([]));
    for user in list.as_array_mut().into_iter().flatten() {
        if let (false, Some(user)) = (full, user.as_object_mut()) {
            user.remove("tokens");
            user.remove("groups");
        }
    }
    Ok(list.into())
}

pub(crate) fn roles(context: &mut Context<'_>) -> Reply {
    Ok(pveum(context.cluster, &["role", "list"])?.into())
}

pub(crate) fn acl(context: &mut Context<'_>) -> Reply {
    if !context.may("/access", &["Sys.Audit", "Permissions.Modify"]) {
        return Ok(json!([]).into());
    }
    Ok(pveum(context.cluster, &["acl", "list"])?.into())
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
    Ok(pveum(context.cluster, &["user", "token", "list", &user])?.into())
}

pub(crate) fn token(context: &mut Context<'_>) -> Reply {
    may_see_tokens(context)?;
    let (user, name) = (context.path[0].clone(), context.path[1].clone());
    let list = pveum(context.cluster, &["user", "token", "list", &user])?;
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
    Ok(pveum(context.cluster, &words)?.into())
}

pub(crate) fn remove_token(context: &mut Context<'_>) -> Reply {
    may_see_tokens(context)?;
    pveum(context.cluster, &["user", "token", "remove", &context.path[0], &context.path[1]])?;
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
                Some(_) if cluster.access.is_token(id) => "invalid token value!".to_owned(),
                Some((user, _)) if !cluster.access.is_user(user) => format!("no such user ('{user}')"),
                Some((user, name)) => format!("no such token '{name}' for user '{user}'"),
                None => format!("no tokenid specified in '{id}'"),
            }
        }
    }
}
