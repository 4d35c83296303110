//! What moving a guest comes down to: the call, what stands against it, and what is to be known before.

use super::against::{against_guest, against_node, final_word, local_disks};
use super::choose::choose;
use super::claims::Claims;
use super::{Destination, MigrateCall, MigrateOptions, Move, MoveVerdict, MovingGuest, TargetNode};
use crate::model::check::fault::Fault;
use crate::model::id::GuestKind;
use crate::model::power::PowerState;

/// What moving the guest there comes down to. `claims`: what others were promised before it, to which it adds its own.
pub(crate) fn judge_move(
    guest: &MovingGuest,
    to: &Destination,
    nodes: &[TargetNode],
    claims: &mut Claims,
    options: &MigrateOptions,
) -> MoveVerdict {
    if guest.state == PowerState::Unknown {
        let (why, fix) = ("its current state is unknown", "look at `ecobox status`");
        return MoveVerdict::Cannot { why: why.to_owned(), fix: Some(fix.to_owned()) };
    }
    if matches!(to, Destination::Node(node) if *node == guest.node) {
        return MoveVerdict::Already;
    }
    let mut against = against_guest(guest, options);
    let (target, why) = match to {
        Destination::Node(name) => {
            let Some(node) = nodes.iter().find(|node| node.name == *name) else {
                let known: Vec<_> = nodes.iter().map(|node| &node.name).collect();
                against.insert(0, final_word(Fault::no_such_node(name, &known)));
                return MoveVerdict::Nowhere(against);
            };
            (node, None)
        }
        Destination::Any => match choose(guest, nodes, claims, options) {
            Ok((node, why)) => (node, Some(why)),
            Err(fault) => {
                against.push(final_word(*fault));
                return MoveVerdict::Nowhere(against);
            }
        },
    };
    against.extend(against_node(guest, target, nodes, claims, options));
    claims.add(guest, target);
    let is_vm = guest.kind == GuestKind::Qemu;
    let call = MigrateCall {
        target: target.name.clone(),
        online: is_vm && guest.runs(),
        restart: !is_vm && guest.runs(),
        with_local_disks: is_vm && guest.runs() && local_disks(guest).next().is_some(),
        target_storage: options.target_storage.clone(),
        through_ha: guest.is_managed(),
    };
    let bytes = bytes(guest);
    let planned = Move { call, from: guest.node.clone(), why, notes: notes(guest), bytes };
    MoveVerdict::Move(Box::new(planned), against)
}

/// What is to be known before it is agreed to.
fn notes(guest: &MovingGuest) -> Vec<String> {
    let mut notes = Vec::new();
    let precondition = guest.precondition.clone().unwrap_or_default();
    if !precondition.dependent.is_empty() {
        notes.push(format!("HA moves {} along", precondition.dependent.join(", ")));
    }
    if guest.kind == GuestKind::Lxc && guest.runs() {
        notes.push("it is shut down for that, and started again there".to_owned());
    }
    if local_disks(guest).next().is_some() {
        notes.push("its local disks are copied".to_owned());
    }
    notes
}

/// How much is copied.
fn bytes(guest: &MovingGuest) -> u64 {
    let memory = guest.memory.filter(|_| guest.runs() && guest.kind == GuestKind::Qemu).unwrap_or_default();
    let disks: u64 = local_disks(guest).filter_map(|disk| disk.size).sum();
    let volumes: u64 = guest.volumes.iter().filter(|volume| !volume.shared).filter_map(|volume| volume.size).sum();
    memory.saturating_add(disks).saturating_add(volumes)
}
