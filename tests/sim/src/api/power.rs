//! `POST .../status/{action}`.

use serde_json::json;

use crate::api::{Context, Refusal, Reply};
use crate::guest::{Guest, Kind};
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
    let here = context.cluster.find(vmid).filter(|found| found.kind == guest && found.node == node);
    let managed = here.is_some_and(Guest::is_ha_managed);
    if action == Action::Suspend && call.flag("todisk") {
        // In the order of vm_suspend in qemu-server's API2/Qemu.pm.
        if here.is_none_or(|found| !found.is_active()) {
            return Err(Refusal::died(format!("VM {vmid} not running")));
        }
        if managed {
            return Err(Refusal::died("Cannot suspend HA managed VM to disk"));
        }
        let path = format!("/vms/{vmid}");
        if !context.may(&path, &["VM.Config.Disk"]) {
            return Err(Refusal::forbidden(&path, &["VM.Config.Disk"]));
        }
        if here.is_some_and(|found| found.config.keys().any(|key| key.starts_with("hostpci"))) {
            let what = "cannot suspend VM to disk due to passed-through PCI device(s)";
            let text = format!("{what}, which lack the possibility to save/restore their internal state");
            return Err(Refusal::died(text));
        }
        let storage =
            call.parameters.get("statestorage").map_or("/storage/local".to_owned(), |s| format!("/storage/{s}"));
        if !context.may(&storage, &["Datastore.AllocateSpace"]) {
            return Err(Refusal::forbidden(&storage, &["Datastore.AllocateSpace"]));
        }
        action = Action::Hibernate;
    }
    let work = Work {
        node: node.clone(),
        guest,
        vmid,
        action,
        timeout: call.number("timeout").and_then(|seconds| u32::try_from(seconds).ok()),
        force_stop: call.flag("forceStop"),
        overrules_shutdown: call.flag("overrule-shutdown"),
        through_ha: managed && matches!(action, Action::Start | Action::Stop | Action::Shutdown),
        migration: None,
    };
    if let Some(text) = refusal(context.cluster, &work) {
        return Err(Refusal::died(text));
    }
    let upid = context.cluster.spawn(&node, work.task_kind(), &vmid.to_string(), context.caller, work);
    Ok(json!(upid).into())
}
