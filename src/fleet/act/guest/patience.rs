//! How long a call to a guest may take.

use std::time::Duration;

use crate::model::guest::{GuestCall, Startup};
use crate::model::id::GuestKind;
use crate::model::power::PowerState;

/// After how many seconds Proxmox VE takes a shutdown for failed. A container's `down` time is for the end of its node only.
pub(in crate::fleet::act) fn gives_up_after(kind: GuestKind, timeout: Option<u32>, startup: Startup) -> u64 {
    let own = startup.down_seconds.filter(|_| kind == GuestKind::Qemu);
    u64::from(timeout.or(own).unwrap_or(60))
}

/// How long Proxmox VE itself may take, and a while more to see it.
pub(in crate::fleet::act) fn usual_patience(
    kind: GuestKind,
    call: Option<GuestCall>,
    startup: Startup,
    state: PowerState,
    ha_managed: bool,
) -> Duration {
    const SLACK: u64 = 30;
    // What it waits for the lock.
    const LOCK: u64 = 10;
    let down = |timeout: Option<u32>| {
        let seconds = gives_up_after(kind, timeout, startup);
        match kind {
            // A silent agent costs a ping of 3 s.
            GuestKind::Qemu => seconds + 5,
            // Where `lxc-stop` fails at its timeout, the container's command socket is polled for as long again, and 5 s
            // (pve-container, `vm_stop`).
            GuestKind::Lxc => seconds + seconds + 5,
        }
    };
    let seconds = match call {
        Some(GuestCall::Shutdown { timeout, .. }) => down(timeout) + LOCK,
        Some(GuestCall::Reboot { timeout }) => down(timeout) + LOCK + 60,
        // Memory goes to disk, or comes back from it.
        Some(GuestCall::Hibernate) => 600,
        Some(GuestCall::Start) if state == PowerState::Hibernated => 600,
        Some(GuestCall::Start | GuestCall::Resume) | None => 120,
        Some(GuestCall::Stop { .. } | GuestCall::Reset | GuestCall::Suspend) => 60,
    };
    // HA acts in rounds of its own.
    let ha = if ha_managed { 90 } else { 0 };
    Duration::from_secs(seconds + ha + SLACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_outlasts_proxmox() {
        let shutdown = |timeout| Some(GuestCall::Shutdown { timeout, force_stop: false });
        let startup = |down_seconds| Startup { down_seconds, ..Startup::default() };
        // What Proxmox VE takes until a shutdown that is ignored has failed, the wait for the lock included.
        for (kind, call, down, takes) in [
            (GuestKind::Qemu, shutdown(None), None, 10 + 60),
            (GuestKind::Qemu, shutdown(None), Some(180), 10 + 180),
            (GuestKind::Qemu, shutdown(Some(300)), None, 10 + 300),
            (GuestKind::Lxc, shutdown(None), None, 10 + 60 + 65),
            // Recorded: 3 s, and 8 s more.
            (GuestKind::Lxc, shutdown(Some(3)), None, 10 + 3 + 8),
            (GuestKind::Lxc, shutdown(Some(180)), None, 10 + 180 + 185),
            (GuestKind::Lxc, shutdown(None), Some(600), 10 + 60 + 65),
            (GuestKind::Lxc, Some(GuestCall::Reboot { timeout: None }), None, 10 + 60 + 65),
        ] {
            let patience = usual_patience(kind, call, startup(down), PowerState::Running, false).as_secs();
            assert!((takes + 30..takes + 120).contains(&patience), "{kind:?} {call:?} {down:?}: {patience}");
            let managed = usual_patience(kind, call, startup(down), PowerState::Running, true).as_secs();
            assert_eq!(managed, patience + 90);
        }
    }
}
