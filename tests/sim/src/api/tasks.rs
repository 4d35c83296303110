//! Tasks: lists, status, log, stop.

use serde_json::{Value, json};

use crate::api::{Context, Data, Refusal, Reply};
use crate::tasks::Task;

/// `user` and `tokenid` as the lists and the status write them.
fn who(entry: &mut Value, task: &Task) {
    match task.user.rsplit_once('!') {
        Some((user, token)) => {
            entry["user"] = json!(user);
            entry["tokenid"] = json!(token);
        }
        None => entry["user"] = json!(task.user),
    }
}

fn common(task: &Task) -> Value {
    json!({ "upid": task.upid, "node": task.node, "type": task.kind, "id": task.id, "starttime": task.start })
}

/// Tasks of one node: the caller's own, or all with Sys.Audit.
pub(crate) fn list(context: &mut Context<'_>) -> Reply {
    let call = context.call;
    let source = call.parameters.get("source").map_or("archive", String::as_str);
    let all = context.may(&format!("/nodes/{}", context.node), &["Sys.Audit"]);
    let lingering = source == "active" && context.cluster.lingering;
    let wanted = |task: &&Task| {
        let ended = task.exit.is_some();
        let failed = task.exit.as_deref().is_some_and(|exit| exit != "OK");
        let parameter = |name: &str| call.parameters.get(name);
        !context.cluster.unlisted
            && task.node == context.node
            && (all || task.belongs_to(context.caller))
            && (source == "all" || ended == (source == "archive") || (ended && lingering))
            && (!call.flag("errors") || failed)
            && parameter("vmid").is_none_or(|vmid| *vmid == task.id)
            && parameter("typefilter").is_none_or(|kind| *kind == task.kind)
            && parameter("userfilter").is_none_or(|user| task.user.contains(user.as_str()))
            && call.number("since").is_none_or(|since| task.start >= since)
            && call.number("until").is_none_or(|until| task.start <= until)
    };
    let tasks: Vec<&Task> = context.cluster.tasks.iter().rev().filter(wanted).collect();
    let skip = usize::try_from(call.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(call.number("limit").unwrap_or(50)).unwrap_or(usize::MAX);
    let rows = tasks.iter().skip(skip).take(limit).map(|task| {
        let mut row = common(task);
        row["pid"] = json!(task.pid);
        row["pstart"] = json!(task.pstart);
        if let Some(exit) = &task.exit {
            row["status"] = json!(exit);
            row["endtime"] = json!(task.end);
            who(&mut row, task);
            if lingering {
                row["saved"] = json!("1");
            }
        } else {
            row["status"] = json!("RUNNING");
            row["saved"] = json!("0");
            row["user"] = json!(task.user);
        }
        row
    });
    Ok(Data { total: Some(tasks.len()), ..Data::from(rows.collect::<Value>()) })
}

/// The newest tasks of all nodes.
pub(crate) fn cluster_list(context: &mut Context<'_>) -> Reply {
    let all = context.may("/", &["Sys.Audit"]);
    let visible = context.cluster.tasks.iter().rev().filter(|task| all || task.belongs_to(context.caller));
    let rows = visible.take(25).map(|task| {
        let mut row = common(task);
        who(&mut row, task);
        if let Some(exit) = &task.exit {
            row["status"] = json!(exit);
            row["endtime"] = json!(task.end);
            row["saved"] = json!("1");
        } else {
            row["pid"] = json!(task.pid);
        }
        row
    });
    Ok(rows.collect::<Value>().into())
}

/// The task of the path, if the caller may see it.
fn find(context: &Context<'_>, privilege: &str) -> Result<usize, Refusal> {
    let upid = context.path.get(1).map_or("", String::as_str);
    let parts: Vec<&str> = upid.split(':').collect();
    let [tag, node, pid, pstart, start, _, _, user, ""] = parts.as_slice() else {
        return Err(Refusal::parameter("upid", "unable to parse worker upid"));
    };
    let hex = [pid, pstart, start].iter().all(|part| part.len() >= 8 && u64::from_str_radix(part, 16).is_ok());
    if *tag != "UPID" || !hex {
        return Err(Refusal::parameter("upid", "unable to parse worker upid"));
    }
    let path = format!("/nodes/{}", context.node);
    if *user != context.caller && !context.may(&path, &[privilege]) {
        return Err(Refusal::forbidden(&path, &[privilege]));
    }
    let known = context.cluster.tasks.iter().position(|task| task.upid == upid && task.node == *node && !task.gone);
    known.filter(|_| *node == context.node).ok_or_else(|| Refusal::parameter("upid", "no such task"))
}

pub(crate) fn status(context: &mut Context<'_>) -> Reply {
    let task = &context.cluster.tasks[find(context, "Sys.Audit")?];
    let mut entry = common(task);
    who(&mut entry, task);
    entry["pid"] = json!(task.pid);
    entry["pstart"] = json!(task.pstart);
    entry["status"] = json!(if task.exit.is_some() { "stopped" } else { "running" });
    if let Some(exit) = &task.exit {
        entry["exitstatus"] = json!(exit);
    }
    Ok(entry.into())
}

pub(crate) fn log(context: &mut Context<'_>) -> Reply {
    let task = &context.cluster.tasks[find(context, "Sys.Audit")?];
    let lines = task.log_at(context.cluster.clock.now());
    let lines = if lines.is_empty() { vec!["no content".to_owned()] } else { lines };
    let skip = usize::try_from(context.call.number("start").unwrap_or(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(context.call.number("limit").unwrap_or(50)).unwrap_or(usize::MAX);
    let rows = lines.iter().enumerate().skip(skip).take(limit);
    let rows: Value = rows.map(|(index, line)| json!({ "n": index + 1, "t": line })).collect();
    Ok(Data { total: Some(lines.len()), ..Data::from(rows) })
}

pub(crate) fn stop(context: &mut Context<'_>) -> Reply {
    let index = find(context, "Sys.Modify")?;
    context.cluster.abort(index);
    Ok(Value::Null.into())
}
