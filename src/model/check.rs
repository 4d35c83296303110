//! The registry of checks: what ecobox can find wrong with this machine, a host, a guest, or an action.
//!
//! `doctor` looks for all of it, `power` looks for some before it acts, and the hints at errors take their words from here:
//! one id and one text for one cause. A family of checks is a file here (the texts, the facts and the rules) and a file in
//! `fleet/doctor` (who gathers the facts).

mod action;
mod before;
pub(crate) mod diagnosis;
pub(crate) mod fault;
pub(crate) mod fix;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod machine;
mod migration;
pub(crate) mod sleep;

use serde::{Serialize, Serializer};

use crate::model::text::did_you_mean;

/// What a check is about; `doctor` looks in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Area {
    /// This machine: its files, its SSH agent, its clock.
    Machine,
    /// A host or plain server, and the way to it.
    Host,
    /// Whether a host could sleep, and be woken again.
    Sleep,
    /// A guest.
    Guest,
    /// An action of `power`, and nothing that lasts.
    Action,
    /// A migration, likewise.
    Migration,
}

impl Area {
    /// The heading in the manual.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Area::Machine => "This machine",
            Area::Host => "Each host",
            Area::Sleep => "Sleep and wake",
            Area::Guest => "Each guest",
            Area::Action => "Before an action",
            Area::Migration => "Before a migration",
        }
    }
}

/// What is said of a check by `--explain`, in the manual and in hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    /// What is wrong, in a line.
    pub(crate) fault: &'static str,
    /// What the check looks at.
    pub(crate) looks: &'static str,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// How to fix it by hand, with `{names}` for what only a finding knows.
    pub(crate) fix: &'static str,
}

/// What is said of all checks.
const TEXTS: [&[(CheckId, Text)]; 7] =
    [machine::TEXTS, host::TEXTS, host::PVE_TEXTS, sleep::TEXTS, guest::TEXTS, action::TEXTS, migration::TEXTS];

macro_rules! checks {
    ($($area:ident { $($check:ident $name:literal,)* })*) => {
        /// A check. The names are a contract: `--allow ID`, `mute` and scripts use them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum CheckId {
            $($($check,)*)*
        }

        impl CheckId {
            /// Each once, in the order of the manual.
            pub(crate) const ALL: &[CheckId] = &[$($(CheckId::$check,)*)*];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $($(CheckId::$check => $name,)*)*
                }
            }

            pub(crate) fn area(self) -> Area {
                match self {
                    $($(CheckId::$check)|* => Area::$area,)*
                }
            }
        }
    };
}

checks! {
    Machine {
        ConfigMissing "config-missing",
        ConfigInvalid "config-invalid",
        ServerTwice "server-twice",
        GuestEntryUnused "guest-entry-unused",
        StateUnusable "state-unusable",
        StateDamaged "state-damaged",
        StateLarge "state-large",
        StateLeftovers "state-leftovers",
        DiskFull "disk-full",
        CompletionsElsewhere "completions-elsewhere",
        ClockWrong "clock-wrong",
        NoNetwork "no-network",
        AgentUnreachable "agent-unreachable",
        KeyExposed "key-exposed",
        KnownHostsUnreadable "known-hosts-unreadable",
        KnownHostsLine "known-hosts-line",
        SshConfigInvalid "ssh-config-invalid",
        DiscoverQuiet "discover-quiet",
        PrometheusAway "prometheus-away",
        PrometheusLogin "prometheus-login",
        PrometheusCertificate "prometheus-certificate",
        PrometheusPath "prometheus-path",
        QueueFull "queue-full",
    }
    Host {
        NameUnknown "name-unknown",
        AddressDead "address-dead",
        JumpHost "jump-host",
        HostAway "host-away",
        SshPortClosed "ssh-port-closed",
        SshCloses "ssh-closes",
        SshForeign "ssh-foreign",
        HostKeyUnknown "host-key-unknown",
        HostKeyChanged "host-key-changed",
        HostKeyRevoked "host-key-revoked",
        HostKeyUnproven "host-key-unproven",
        NoKey "no-key",
        KeyLocked "key-locked",
        KeyRefused "key-refused",
        KeysNotTaken "keys-not-taken",
        KeyNotEnough "key-not-enough",
        LoginSlow "login-slow",
        ShellUnusable "shell-unusable",
        NoRoot "no-root",
        ClockOff "clock-off",
        PveOld "pve-old",
        PmxcfsDown "pmxcfs-down",
        QuorumLost "quorum-lost",
        NodeLost "node-lost",
        PveproxyDown "pveproxy-down",
        PvedaemonDown "pvedaemon-down",
        PvestatdDown "pvestatd-down",
        ApiUnreachable "api-unreachable",
        ApiPortClosed "api-port-closed",
        ApiCloses "api-closes",
        NotPve "not-pve",
        Redirected "redirected",
        ProxyLogin "proxy-login",
        ProxyFailed "proxy-failed",
        ApiFails "api-fails",
        CertificateChanged "certificate-changed",
        CertificateOther "certificate-other",
        CertificateUnchecked "certificate-unchecked",
        CertificateExpiring "certificate-expiring",
        NoToken "no-token",
        TokenRefused "token-refused",
        UserDisabled "user-disabled",
        TokenExpiring "token-expiring",
        PrivilegeMissing "privilege-missing",
        PrivilegeExcess "privilege-excess",
        RoleOutdated "role-outdated",
        StorageUnavailable "storage-unavailable",
        StorageFull "storage-full",
        BackupFailed "backup-failed",
    }
    Sleep {
        SleepUnsupported "sleep-unsupported",
        SleepMasked "sleep-masked",
        SleepInhibited "sleep-inhibited",
        MacWrong "mac-wrong",
        WolNotArmed "wol-not-armed",
        WolNotPersistent "wol-not-persistent",
        NoWakePath "no-wake-path",
        WakeFailed "wake-failed",
        NoRtc "no-rtc",
        RunningGuests "running-guests",
        HaManaged "ha-managed",
    }
    Guest {
        GuestStale "guest-stale",
        GuestLocked "guest-locked",
        NoAgent "no-agent",
        AgentOff "agent-off",
        NoAddress "no-address",
        NameTwice "name-twice",
        NumberTwice "number-twice",
        ServiceNeverAnswered "service-never-answered",
    }
    Action {
        BackupRunning "backup-running",
        TasksRunning "tasks-running",
        LoggedInUsers "logged-in-users",
        Itself "self",
        IdentityChanged "identity-changed",
        Template "template",
        Held "held",
        InUse "in-use",
        SnapshotName "snapshot-name",
        SnapshotUnsupported "snapshot-unsupported",
        SnapshotMemory "snapshot-memory",
        SnapshotNewer "snapshot-newer",
        SnapshotBroken "snapshot-broken",
    }
    Migration {
        TargetAway "target-away",
        TargetFull "target-full",
        NoTarget "no-target",
        LocalDisks "local-disks",
        LocalResources "local-resources",
        StorageMissing "storage-missing",
        RestartNeeded "restart-needed",
        CpuType "cpu-type",
        Replicated "replicated",
        HaRules "ha-rules",
    }
}

impl CheckId {
    /// The check of this name.
    pub(crate) fn parse(name: &str) -> Option<CheckId> {
        CheckId::ALL.iter().copied().find(|id| id.as_str() == name)
    }

    /// The complaint about a name that no check has.
    pub(crate) fn unknown(name: &str) -> String {
        let near = did_you_mean(name, CheckId::ALL.iter().map(|id| id.as_str()));
        format!("`{name}` is not the id of a check{}", near.unwrap_or_default())
    }

    /// What is said of it.
    pub(crate) fn text(self) -> &'static Text {
        const NONE: &Text = &Text { fault: "", looks: "", why: "", fix: "" };
        TEXTS.iter().copied().flatten().find(|(id, _)| *id == self).map_or(NONE, |(_, text)| text)
    }

    /// How to fix it by hand, where nobody knows the names: `{server}` stands as `SERVER`.
    pub(crate) fn fix_by_hand(self) -> String {
        let mut out = String::new();
        let mut inside = false;
        for c in self.text().fix.chars() {
            match c {
                '{' => inside = true,
                '}' => inside = false,
                c if inside => out.extend(c.to_uppercase()),
                c => out.push(c),
            }
        }
        out
    }
}

impl std::fmt::Display for CheckId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_check_is_explained_once_and_in_its_area() {
        let mut names = HashSet::new();
        for id in CheckId::ALL {
            assert!(names.insert(id.as_str()), "{id} twice");
            assert_eq!(CheckId::parse(id.as_str()), Some(*id));
            let Text { fault, looks, why, fix } = id.text();
            for text in [fault, looks, why, fix] {
                assert!(!text.is_empty() && !text.ends_with('.') && !text.contains("  "), "{id}: {text:?}");
            }
            assert!(id.fix_by_hand().chars().all(|c| c != '{' && c != '}'), "{id}");
        }
        assert_eq!(TEXTS.iter().map(|texts| texts.len()).sum::<usize>(), CheckId::ALL.len(), "one text for each");
    }

    #[test]
    fn a_name_that_is_nearly_right_is_said() {
        assert_eq!(
            CheckId::unknown("wol-not-amed"),
            "`wol-not-amed` is not the id of a check; did you mean `wol-not-armed`?"
        );
        assert_eq!(CheckId::parse("nonsense"), None);
    }

    #[test]
    fn each_check_of_doctor_is_documented_once() {
        let text = include_str!("../../docs/doctor.md");
        for id in CheckId::ALL.iter().filter(|id| !matches!(id.area(), Area::Action | Area::Migration)) {
            let row = format!("\n| `{id}` | {} |\n", id.text().fault);
            assert_eq!(text.matches(&row).count(), 1, "docs/doctor.md has to have the row{row}");
        }
    }

    #[test]
    fn each_check_of_power_is_documented_once() {
        let text = include_str!("../../docs/power.md");
        let table =
            text.split_once("| check | found | how to fix it |").expect("docs/power.md has the table of checks").1;
        let table = table.split_once("\n\n").expect("the table ends").0;
        for id in CheckId::BEFORE_POWER {
            assert_eq!(table.matches(&format!("\n| `{id}` | ")).count(), 1, "{id}");
        }
        assert_eq!(table.matches("\n| `").count(), CheckId::BEFORE_POWER.len());
    }

    #[test]
    fn each_check_of_snapshot_is_documented_once() {
        let text = include_str!("../../docs/snapshot.md");
        let table = text.split_once("| check | found | how to fix it |").expect("docs/snapshot.md has the table").1;
        let table = table.split_once("\n\n").expect("the table ends").0;
        for id in CheckId::BEFORE_SNAPSHOT {
            assert_eq!(table.matches(&format!("\n| `{id}` | ")).count(), 1, "{id}");
        }
        assert_eq!(table.matches("\n| `").count(), CheckId::BEFORE_SNAPSHOT.len());
    }
}
