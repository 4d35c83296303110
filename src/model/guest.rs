//! A guest as one asks about it before and after a power action: calls, tasks, status, configuration, members.

pub(crate) mod address;

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::model::id::{GuestKind, NodeName, Upid};
use crate::model::power::PowerState;

/// A power call of the API, with Proxmox VE's meaning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestCall {
    Start,
    /// Clean: the guest is asked to end.
    Shutdown {
        /// Seconds; `None`: what the guest's `startup` says, else 60.
        timeout: Option<u32>,
        /// Kills it where it has not ended by then.
        force_stop: bool,
    },
    /// Hard.
    Stop {
        /// Ends a shutdown that is under way first. Proxmox VE before 8.2 does not know it and refuses the call.
        overrule_shutdown: bool,
    },
    Reboot {
        /// Seconds; `None`: as for a shutdown.
        timeout: Option<u32>,
    },
    /// Of virtual machines only.
    Reset,
    /// Halts the virtual CPUs; memory stays allocated.
    Suspend,
    /// Saves memory to disk and ends. Of virtual machines only; refused for one that HA manages.
    Hibernate,
    Resume,
}

impl GuestCall {
    /// The verb of `ecobox power`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            GuestCall::Start => "start",
            GuestCall::Shutdown { .. } => "shutdown",
            GuestCall::Stop { .. } => "stop",
            GuestCall::Reboot { .. } => "reboot",
            GuestCall::Reset => "reset",
            GuestCall::Suspend => "suspend",
            GuestCall::Hibernate => "hibernate",
            GuestCall::Resume => "resume",
        }
    }

    /// The word in the path `/status/…` of the API, and the parameters.
    pub(crate) fn request(self) -> (&'static str, Vec<(&'static str, String)>) {
        let yes = |name: &'static str, wanted: bool| wanted.then(|| (name, "1".to_owned()));
        let seconds = |timeout: Option<u32>| timeout.map(|seconds| ("timeout", seconds.to_string()));
        match self {
            GuestCall::Shutdown { timeout, force_stop } => {
                ("shutdown", seconds(timeout).into_iter().chain(yes("forceStop", force_stop)).collect())
            }
            GuestCall::Stop { overrule_shutdown } => {
                ("stop", yes("overrule-shutdown", overrule_shutdown).into_iter().collect())
            }
            GuestCall::Reboot { timeout } => ("reboot", seconds(timeout).into_iter().collect()),
            GuestCall::Hibernate => ("suspend", yes("todisk", true).into_iter().collect()),
            GuestCall::Start | GuestCall::Reset | GuestCall::Suspend | GuestCall::Resume => (self.as_str(), vec![]),
        }
    }

    /// Whether Proxmox VE cannot carry it out without quorum. A start is refused then. To hibernate the configuration
    /// is written, and where that fails the image of the memory is left behind. A virtual machine's reboot ends with a
    /// start of its own (`qm cleanup`), so that it stays off. What HA does is written down for HA.
    pub(crate) fn needs_quorum(self, kind: GuestKind, ha_managed: bool) -> bool {
        match self {
            GuestCall::Start | GuestCall::Hibernate => true,
            GuestCall::Reboot { .. } => kind == GuestKind::Qemu,
            GuestCall::Shutdown { .. } | GuestCall::Stop { .. } => ha_managed,
            GuestCall::Reset | GuestCall::Suspend | GuestCall::Resume => false,
        }
    }

    /// The types of the tasks that it may start. For a guest that HA manages a request is queued instead.
    pub(crate) fn task_types(self, kind: GuestKind) -> &'static [&'static str] {
        match (kind, self) {
            (GuestKind::Qemu, GuestCall::Start) => &["qmstart", "hastart"],
            (GuestKind::Qemu, GuestCall::Shutdown { .. }) => &["qmshutdown", "hastop"],
            (GuestKind::Qemu, GuestCall::Stop { .. }) => &["qmstop", "hastop"],
            (GuestKind::Qemu, GuestCall::Reboot { .. }) => &["qmreboot"],
            (GuestKind::Qemu, GuestCall::Reset) => &["qmreset"],
            (GuestKind::Qemu, GuestCall::Suspend) => &["qmpause"],
            (GuestKind::Qemu, GuestCall::Hibernate) => &["qmsuspend"],
            (GuestKind::Qemu, GuestCall::Resume) => &["qmresume"],
            (GuestKind::Lxc, GuestCall::Start) => &["vzstart", "hastart"],
            (GuestKind::Lxc, GuestCall::Shutdown { .. }) => &["vzshutdown", "hastop"],
            (GuestKind::Lxc, GuestCall::Stop { .. }) => &["vzstop", "hastop"],
            (GuestKind::Lxc, GuestCall::Reboot { .. }) => &["vzreboot"],
            (GuestKind::Lxc, GuestCall::Suspend) => &["vzsuspend"],
            (GuestKind::Lxc, GuestCall::Resume) => &["vzresume"],
            (GuestKind::Lxc, GuestCall::Reset | GuestCall::Hibernate) => &[],
        }
    }
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskState {
    Running,
    Ended(TaskEnd),
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskEnd {
    Ok,
    /// It succeeded, with so many warnings in its log.
    Warnings(u32),
    /// Proxmox VE's own words.
    Failed(String),
    /// Its log has no final line, as after a crash: what it did is unknown. Proxmox VE's words for that.
    Unclear(String),
    /// Proxmox VE knows no such task any more.
    Gone,
}

impl TaskEnd {
    /// What a task's `exitstatus` means. The unclear ones are those of `read_status` in pve-common's `UPID.pm`.
    pub(crate) fn of_exit_status(text: &str) -> TaskEnd {
        const UNCLEAR: [&str; 5] = [
            "unexpected status",
            "unable to open file - ",
            "unable to extract last line",
            "unable to read tail (",
            "unable to get last line",
        ];
        let text = text.trim();
        if text == "OK" {
            return TaskEnd::Ok;
        }
        if let Some(count) = text.strip_prefix("WARNINGS: ").and_then(|count| count.parse().ok()) {
            return TaskEnd::Warnings(count);
        }
        if text.is_empty() || UNCLEAR.iter().any(|start| text.starts_with(start)) {
            return TaskEnd::Unclear(text.to_owned());
        }
        TaskEnd::Failed(text.to_owned())
    }
}

/// A task that runs on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveTask {
    pub(crate) upid: Upid,
    /// e.g. `vzdump`
    pub(crate) kind: String,
    /// What it works on: a vmid in digits, or empty.
    pub(crate) id: String,
    /// `user@realm` or `user@realm!name`
    pub(crate) user: String,
    /// By the node's clock.
    pub(crate) since: Timestamp,
}

impl From<Upid> for ActiveTask {
    fn from(upid: Upid) -> ActiveTask {
        let (kind, id, user) = (upid.kind().to_owned(), upid.id().to_owned(), upid.user().to_owned());
        ActiveTask { kind, id, user, since: upid.started(), upid }
    }
}

/// What a guest does right now, asked of its own node and not of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestStatus {
    pub(crate) state: PowerState,
    /// Proxmox VE's own word behind `state`: QEMU's `qmpstatus`, else `status`.
    pub(crate) raw: String,
    pub(crate) lock: Option<String>,
    pub(crate) ha_managed: bool,
    /// The HA manager's state, e.g. `started`, `error`.
    pub(crate) ha_state: Option<String>,
    /// Whether the guest agent is configured; containers have none.
    pub(crate) agent: bool,
    pub(crate) template: bool,
    pub(crate) name: Option<String>,
    /// 0 while it does not run.
    pub(crate) uptime_seconds: Option<u64>,
}

/// What makes a guest the one it is, whatever its number and name: a vmid is given to another guest once it is free.
///
/// `uuid:…` of a virtual machine's `smbios1`, or of one without it `net0:…`, its address; `net0:… rootfs:…`, address and
/// volume, of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GuestIdentity(String);

impl GuestIdentity {
    /// One that was written before.
    pub(crate) fn new(text: &str) -> GuestIdentity {
        GuestIdentity(text.to_owned())
    }

    /// `uuid` is `smbios1`'s. `None` where there is neither.
    pub(crate) fn of_vm(uuid: Option<&str>, hwaddr: Option<&str>) -> Option<GuestIdentity> {
        let uuid = uuid.map(|uuid| format!("uuid:{}", uuid.to_ascii_lowercase()));
        uuid.or_else(|| hwaddr.map(net0)).map(GuestIdentity)
    }

    /// `None` where there is neither; one alone is better than nothing.
    pub(crate) fn of_container(hwaddr: Option<&str>, rootfs: Option<&str>) -> Option<GuestIdentity> {
        let net0 = hwaddr.map(net0);
        let rootfs = rootfs.map(|volume| format!("rootfs:{volume}"));
        let parts: Vec<String> = net0.into_iter().chain(rootfs).collect();
        (!parts.is_empty()).then(|| GuestIdentity(parts.join(" ")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are of one guest. A container that is made anew under a number often gets a volume of the same
    /// name: where both have an address, it decides.
    pub(crate) fn is_same(&self, other: &GuestIdentity) -> bool {
        let address =
            |identity: &GuestIdentity| identity.0.split(' ').find(|part| part.starts_with("net0:")).map(str::to_owned);
        match (address(self), address(other)) {
            (Some(one), Some(two)) => one == two,
            _ => self == other,
        }
    }
}

fn net0(hwaddr: &str) -> String {
    format!("net0:{}", hwaddr.to_ascii_lowercase())
}

impl fmt::Display for GuestIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// When a guest is started and ended among others: its configuration's `startup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Startup {
    /// Lower ones start first; none: after all others.
    pub(crate) order: Option<u32>,
    /// How long a clean shutdown may take.
    pub(crate) down_seconds: Option<u32>,
}

impl Startup {
    /// `order=2,up=30,down=60`, or the order alone (pve-guest-common, `pve-startup-order`). What is unreadable is left out.
    pub(crate) fn parse(text: &str) -> Startup {
        let mut startup = Startup::default();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or(("order", part));
            let value = value.trim().parse().ok();
            match key.trim() {
                "order" => startup.order = value,
                // `up`, a fixed time after the start of one before the next, is for boots: a step is waited for.
                "down" => startup.down_seconds = value,
                _ => {}
            }
        }
        startup
    }
}

/// What a guest's configuration says, as far as power needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the configuration's own switches")]
pub(crate) struct GuestConfig {
    /// `None`: it says nothing that lasts.
    pub(crate) identity: Option<GuestIdentity>,
    /// A virtual machine's `name`, a container's `hostname`.
    pub(crate) name: Option<String>,
    pub(crate) startup: Startup,
    /// Whether the guest agent is configured.
    pub(crate) agent: bool,
    /// Starts with its node.
    pub(crate) onboot: bool,
    /// Must not be removed; power actions are allowed.
    pub(crate) protection: bool,
    pub(crate) template: bool,
    /// Uses a PCI device of its node (`hostpci0` and so on): it cannot hibernate.
    pub(crate) passthrough: bool,
    /// Begins halted, until somebody lets it go on.
    pub(crate) freeze: bool,
    /// Of its interfaces in the order of their numbers, lower case.
    pub(crate) macs: Vec<String>,
    pub(crate) lock: Option<String>,
    /// When a virtual machine was made; a container does not say.
    pub(crate) made_at: Option<Timestamp>,
}

/// The members of a cluster, as one of them sees them. What the same answer says of quorum may be minutes old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterStatus {
    pub(crate) nodes: Vec<MemberNode>,
}

/// A member of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberNode {
    pub(crate) name: NodeName,
    /// By corosync's membership.
    pub(crate) online: bool,
    /// It is the one that answered.
    pub(crate) local: bool,
    /// Of the cluster's network.
    pub(crate) ip: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exit_status_means() {
        let failed = |text: &str| TaskEnd::Failed(text.to_owned());
        let unclear = |text: &str| TaskEnd::Unclear(text.to_owned());
        for (text, want) in [
            ("OK", TaskEnd::Ok),
            ("WARNINGS: 2", TaskEnd::Warnings(2)),
            ("WARNINGS: many", failed("WARNINGS: many")),
            ("VM 105 already running", failed("VM 105 already running")),
            ("received interrupt", failed("received interrupt")),
            ("can't lock file 'x' - got timeout", failed("can't lock file 'x' - got timeout")),
            (
                "unable to open file '/etc/pve/x' - Permission denied",
                failed("unable to open file '/etc/pve/x' - Permission denied"),
            ),
            ("ok", failed("ok")),
            ("unexpected status", unclear("unexpected status")),
            ("unable to read tail (got 0 bytes)", unclear("unable to read tail (got 0 bytes)")),
            (
                "unable to open file - No such file or directory",
                unclear("unable to open file - No such file or directory"),
            ),
            ("", unclear("")),
        ] {
            assert_eq!(TaskEnd::of_exit_status(text), want, "{text}");
        }
    }

    #[test]
    fn calls_as_the_api_wants_them() {
        for (call, want) in [
            (GuestCall::Start, "start"),
            (GuestCall::Shutdown { timeout: None, force_stop: false }, "shutdown"),
            (GuestCall::Shutdown { timeout: Some(90), force_stop: true }, "shutdown timeout=90 forceStop=1"),
            (GuestCall::Stop { overrule_shutdown: false }, "stop"),
            (GuestCall::Stop { overrule_shutdown: true }, "stop overrule-shutdown=1"),
            (GuestCall::Reboot { timeout: Some(5) }, "reboot timeout=5"),
            (GuestCall::Reset, "reset"),
            (GuestCall::Suspend, "suspend"),
            (GuestCall::Hibernate, "suspend todisk=1"),
            (GuestCall::Resume, "resume"),
        ] {
            let (word, parameters) = call.request();
            let parameters = parameters.iter().map(|(name, value)| format!(" {name}={value}"));
            assert_eq!(word.to_owned() + &parameters.collect::<String>(), want);
        }
    }

    #[test]
    fn when_a_guest_starts_among_others() {
        let startup = |order, down_seconds| Startup { order, down_seconds };
        for (text, want) in [
            ("order=2,up=30,down=60", startup(Some(2), Some(60))),
            ("2", startup(Some(2), None)),
            ("3,down=5", startup(Some(3), Some(5))),
            ("down=180", startup(None, Some(180))),
            ("order=-1,up=x,left=1,", startup(None, None)),
            ("", startup(None, None)),
        ] {
            assert_eq!(Startup::parse(text), want, "{text}");
        }
    }

    #[test]
    fn identities() {
        for (uuid, hwaddr, want) in [
            (Some("3562338D-CDFB"), Some("BC:24:11:00:02:01"), Some("uuid:3562338d-cdfb")),
            (None, Some("BC:24:11:00:02:01"), Some("net0:bc:24:11:00:02:01")),
            (None, None, None),
        ] {
            assert_eq!(GuestIdentity::of_vm(uuid, hwaddr).as_ref().map(GuestIdentity::as_str), want);
        }
        for (hwaddr, rootfs, want) in [
            (Some("BC:24:11:00:02:01"), Some("local:201/a.raw"), Some("net0:bc:24:11:00:02:01 rootfs:local:201/a.raw")),
            (None, Some("local:201/a.raw"), Some("rootfs:local:201/a.raw")),
            (None, None, None),
        ] {
            let identity = GuestIdentity::of_container(hwaddr, rootfs);
            assert_eq!(identity.as_ref().map(GuestIdentity::as_str), want);
            assert_eq!(identity.as_ref().map(|one| GuestIdentity::new(one.as_str())), identity);
        }
    }

    #[test]
    fn a_container_is_known_by_its_address() {
        for (one, two, same) in [
            ("uuid:a", "uuid:a", true),
            ("uuid:a", "uuid:b", false),
            ("net0:aa rootfs:x", "net0:aa rootfs:y", true),
            ("net0:aa rootfs:x", "net0:bb rootfs:x", false),
            ("rootfs:x", "net0:aa rootfs:x", false),
            ("rootfs:x", "rootfs:x", true),
        ] {
            assert_eq!(GuestIdentity::new(one).is_same(&GuestIdentity::new(two)), same, "{one}, {two}");
        }
    }

    #[test]
    fn each_call_has_its_tasks() {
        let calls = [
            GuestCall::Start,
            GuestCall::Shutdown { timeout: None, force_stop: false },
            GuestCall::Stop { overrule_shutdown: false },
            GuestCall::Reboot { timeout: None },
            GuestCall::Reset,
            GuestCall::Suspend,
            GuestCall::Hibernate,
            GuestCall::Resume,
        ];
        let all = |kind| calls.map(|call| call.task_types(kind).join(" ")).join(", ");
        assert_eq!(
            all(GuestKind::Qemu),
            "qmstart hastart, qmshutdown hastop, qmstop hastop, qmreboot, qmreset, qmpause, qmsuspend, qmresume"
        );
        assert_eq!(
            all(GuestKind::Lxc),
            "vzstart hastart, vzshutdown hastop, vzstop hastop, vzreboot, , vzsuspend, , vzresume"
        );
    }
}
