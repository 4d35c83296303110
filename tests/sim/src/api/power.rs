//! `POST .../status/{action}`.

use serde_json::json;

use crate::api::{Context, Refusal, Reply};
use crate::guest::Kind;
use crate::power::{Action, Work, refusal};

/// Whether this is a power action of the kind of guest in the pattern.
pub(crate) fn is_action(pattern: &str, word: &str) -> bool {
    parse(word).is_some() && (word != "reset" || pattern.contains("/qemu/"))
}

fn parse(word: &str) -> Option<Action> {
    Some(match word {
        "start" => Action::Start,
        "stop" => Action::Stop,
        "shutdown" => Action::Shutdown,
        "reboot" => Action::Reboot,
        "reset" => Action::Reset,
        "suspend" => Action::Suspend,
        "resume" => Action::Resume,
        _ => return None,
    })
}

pub(crate) fn post(context: &mut Context<'_>) -> Reply {
    let guest = if context.call.segments[2] == "lxc" { Kind::Lxc } else { Kind::Qemu };
    let (vmid, node, call) = (context.vmid(), context.node.clone(), context.call);
    if let Some(option) = ["skiplock", "keepActive"].into_iter().find(|name| call.flag(name)) {
        return Err(Refusal::parameter(option, "Only root may use this option."));
    }
    let mut action = parse(&context.path[2]).unwrap_or(Action::Start);
    if action == Action::Suspend && call.flag("todisk") {
        let path = format!("/vms/{vmid}");
        if !context.may(&path, &["VM.Config.Disk"]) {
            return Err(Refusal::forbidden(&path, &["VM.Config.Disk"]));
        }
        let storage =
            call.parameters.get("statestorage").map_or("/storage/local".to_owned(), |s| format!("/storage/{s}"));
        if !context.may(&storage, &["Datastore.AllocateSpace"]) {
            return Err(Refusal::forbidden(&storage, &["Datastore.AllocateSpace"]));
        }
        action = Action::Hibernate;
    }
    let managed = context.cluster.find(vmid).is_some_and(|guest| guest.ha.is_some());
    let work = Work {
        node: node.clone(),
        guest,
        vmid,
        action,
        timeout: call.number("timeout").and_then(|seconds| u32::try_from(seconds).ok()),
        force_stop: call.flag("forceStop"),
        overrules_shutdown: call.flag("overrule-shutdown"),
        through_ha: managed && matches!(action, Action::Start | Action::Stop | Action::Shutdown),
    };
    if let Some(text) = refusal(context.cluster, &work) {
        return Err(Refusal::died(text));
    }
    let upid = context.cluster.spawn(&node, work.task_kind(), &vmid.to_string(), context.caller, work);
    Ok(json!(upid).into())
}
