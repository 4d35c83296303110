//! The hints: what can go wrong, why, and what to run or change about it. One table, in one place.
//!
//! Each row has a name, a cause and a fix. Which row fits an error on a kind of server is decided by `fleet/hint.rs`;
//! `tests/cli/hints` makes each situation and follows the fix.

use crate::model::check::CheckId;

/// How the fix refers to what only the error knows: `{server}`, `{config}`, ...
type Values<'a> = &'a [(&'a str, &'a str)];

macro_rules! table {
    ({ $($check:ident,)* } $($row:ident $name:literal $cause:literal => $fix:expr,)*) => {
        /// A row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum HintId {
            $($check,)*
            $($row,)*
        }

        impl HintId {
            /// Each once.
            pub(crate) const ALL: &[HintId] = &[$(HintId::$check,)* $(HintId::$row,)*];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(HintId::$check => CheckId::$check.as_str(),)*
                    $(HintId::$row => $name,)*
                }
            }

            /// What is wrong.
            pub(crate) fn cause(self) -> &'static str {
                match self {
                    $(HintId::$check => CheckId::$check.text().fault,)*
                    $(HintId::$row => $cause,)*
                }
            }

            /// What to do about it, with `{names}` for what the error knows.
            pub(crate) fn fix(self) -> &'static str {
                match self {
                    $(HintId::$check => CheckId::$check.text().fix,)*
                    $(HintId::$row => $fix,)*
                }
            }

            /// The check of `doctor` that looks for this cause.
            pub(crate) fn check(self) -> Option<CheckId> {
                match self {
                    $(HintId::$check => Some(CheckId::$check),)*
                    other => other.of_check(),
                }
            }
        }
    };
}

table! {
    // What a check looks for has its words there.
    {
        HostKeyUnknown,
        HostKeyChanged,
        HostKeyRevoked,
        HostKeyUnproven,
        KeyRefused,
        NoKey,
        KeyLocked,
        KeyNotEnough,
        KeysNotTaken,
        LoginSlow,
        NameUnknown,
        SshPortClosed,
        ApiPortClosed,
        SshCloses,
        ApiCloses,
        JumpHost,
        CertificateChanged,
        CertificateOther,
        NoToken,
        TokenRefused,
        PrivilegeMissing,
        NotPve,
        Redirected,
        ProxyLogin,
        ProxyFailed,
        PmxcfsDown,
        PvedaemonDown,
        UserDisabled,
        NodeLost,
        PrometheusLogin,
        PrometheusCertificate,
        PrometheusPath,
        PrometheusAway,
    }
    // SSH: who the host is.
    // SSH: who we are.
    // Reaching it.
    LookAgain "look-again" "a host is off" =>
        "run `ecobox {command}` again when the hosts that did not answer are on",
    NoSsh "no-ssh" "it goes over SSH, and the server is configured without" =>
        "remove `type = \"proxmox\"` of `{server}` in {config}, and let ecobox log in there",
    // The API: who it is.
    // The API: who we are.
    NoTokenApi "no-token-api" "there is no API token for the server, and no SSH to make one over" =>
        "give a token for `{server}` by `token_command` in {config}, or by the environment variable {variable}",
    TokenRefusedGiven "token-refused-given" "Proxmox VE does not take the token that was given" =>
        "the token comes from {source}: put one there that Proxmox VE takes",
    PrivilegeMissingGiven "privilege-missing-given" "the token that was given may not do it" =>
        "the token comes from {source}: give it the missing privileges in Proxmox VE (Datacenter, Permissions)",
    HibernateRights "hibernate-rights" "no scope of tokens has the rights to hibernate" =>
        "to hibernate a virtual machine a token needs VM.Config.Disk and Datastore.AllocateSpace, which `operator` \
         lacks: see \"Privileges\" in docs/power.md",
    StorageMapRights "storage-map-rights" "no scope of tokens has the rights to move disks to another storage" =>
        "to put disks on another storage a token needs VM.Config.Disk and Datastore.AllocateSpace, which `manager` lacks: \
         see \"Privileges\" in docs/migrate.md",
    NodeWakeRights "node-wake-rights" "no scope of tokens has the right to have a node send magic packets" =>
        "to have a node send magic packets a token needs Sys.PowerMgmt, which `operator` lacks: see \"Privileges\" in \
         docs/power.md, or put `mac` under [servers.wol]",
    // What stands where the API should be.
    // setup-token.
    SudoPveum "sudo-pveum" "the login may not run pveum" =>
        "log in as root, or allow it there without a password: {user} ALL=(root) NOPASSWD: /usr/sbin/pveum",
    SudoMissing "sudo-missing" "the login is not root, and there is no sudo" =>
        "log in as root, or install sudo there",
    UserUnknown "user-unknown" "Proxmox VE does not know the login's user" =>
        "use `--scope operator`, or add {user} in Proxmox VE",
    RootKeysAway "root-keys-away" "root's keys of a Proxmox VE host are not accepted, or are out of reach" =>
        "if this login has worked before, pve-cluster may be down there: root's keys lie in /etc/pve/priv; look on the \
         host's console: `systemctl status pve-cluster`",
    NoQuorum "no-quorum" "the cluster has no quorum" =>
        "bring its other nodes back; `pvecm status` on a node says which votes are missing",
    NodeOffline "node-offline" "a node that is not configured is off" =>
        "a node that may be off can be configured as a server with `expected = \"any\"`; then run `ecobox status` once \
         while it is on, so that ecobox knows which node it is",
    PveBusy "pve-busy" "somebody else changes users there" =>
        "run `ecobox setup-token` again",
    TokensLeft "tokens-left" "tokens of an interrupted run may be on the host" =>
        "run `ecobox setup-token` again to remove them",
    NoPveHost "no-pve-host" "no configured server is a Proxmox VE host that is reached over SSH" =>
        "run `ecobox init --host root@pve1.lan`",
    NoPveKnown "no-pve-known" "no configured server is known to be a Proxmox VE host" =>
        "run `ecobox init` to look at them, then `ecobox setup-token`",
    // Configuration and state file.
    NoConfig "no-config" "there is no configuration" =>
        "run `ecobox init` to make one",
    NoServers "no-servers" "no servers are configured" =>
        "run `ecobox init --host user@host`",
    NobodyNamed "nobody-named" "`init` has no server to write into a configuration" =>
        "run `ecobox init --host root@pve1.lan`, or `ecobox init --from-ssh-config`",
    StateDamaged "state-damaged" "the state file was damaged, and set aside" =>
        "run `ecobox setup-token`, then `ecobox discover`",
    // The command line.
    NoTarget "no-target" "no server is called so, or several are" =>
        "run `ecobox status --cached` to see the names",
    NoMetrics "no-metrics" "the command has no metrics" =>
        "run `ecobox stats -o openmetrics`",
    NoPage "no-page" "the command has no page" =>
        "run `ecobox status -o html`",
    NoStream "no-stream" "`watch` writes no report that ends" =>
        "run `ecobox watch -o jsonl`, or `ecobox status` for one look",
    NotConfirmed "not-confirmed" "there is no terminal to ask on" =>
        "add `--yes` to go on without a question",
    // Power.
    NoMac "no-mac" "the MAC address of the network card is not known" =>
        "put `mac = \"aa:bb:cc:dd:ee:ff\"` under [servers.wol] of `{server}`, or run `ecobox init` while it is awake",
    WakeFirst "wake-first" "the host is asleep or off, and has to be awake for it" =>
        "run `ecobox power wake {server}` first",
    StillComing "still-coming" "the outcome was not seen" =>
        "it may still come: look with `ecobox status {server}`",
    TriggerFailed "trigger-failed" "the host did not carry out the call" =>
        "nothing will come of it any more: run the command again, which looks again at what holds the host",
    NotAwake "not-awake" "magic packets were sent, and the host did not answer" =>
        "look whether Wake-on-LAN is armed there, and at `ecobox status {server}`",
    NotReady "not-ready" "the host is awake, and cannot start guests yet" =>
        "look at `ecobox status {server}`, and run the command again",
    GuestBusy "guest-busy" "something else works on the guest" =>
        "something else works on the guest: see the tasks of its node, and run the command again",
    Paused "paused" "the guest was started and is paused" =>
        "run `ecobox power resume {server}`",
    // Prometheus.
}

impl HintId {
    /// The check of rows that have their own words: several of them may share one cause.
    fn of_check(self) -> Option<CheckId> {
        Some(match self {
            HintId::RootKeysAway => CheckId::KeyRefused,
            HintId::NoTokenApi => CheckId::NoToken,
            HintId::TokenRefusedGiven => CheckId::TokenRefused,
            HintId::PrivilegeMissingGiven
            | HintId::HibernateRights
            | HintId::StorageMapRights
            | HintId::NodeWakeRights => CheckId::PrivilegeMissing,
            HintId::SudoPveum | HintId::SudoMissing => CheckId::NoRoot,
            HintId::NoQuorum => CheckId::QuorumLost,
            HintId::NoConfig => CheckId::ConfigMissing,
            HintId::StateDamaged => CheckId::StateDamaged,
            HintId::NoMac => CheckId::NoWakePath,
            _ => return None,
        })
    }

    /// Whether a hint is about privileges that no scope of tokens has: nothing is wrong with a token that lacks them.
    pub(crate) fn is_beyond_scopes(hint: &str) -> bool {
        [HintId::HibernateRights, HintId::StorageMapRights, HintId::NodeWakeRights].iter().any(|row| row.fix() == hint)
    }

    /// The fix with its names filled in.
    pub(crate) fn say(self, values: Values<'_>) -> String {
        let mut text = self.fix().to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    /// The fix of a row that needs nothing filled in.
    pub(crate) fn text(self) -> String {
        self.say(&[])
    }
}

/// The global options that decide which files a run uses, as they were typed: a command that a hint names needs them, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Carried(String);

impl Carried {
    /// `words` for the shell, e.g. `--config x.toml`.
    pub(crate) fn new(words: &[String]) -> Carried {
        Carried(words.iter().flat_map(|word| [" ", word]).collect())
    }

    /// The text with ecobox commands that work where they are pasted.
    pub(crate) fn to_paste<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        const COMMAND: &str = "`ecobox ";
        if self.0.is_empty() || !text.contains(COMMAND) {
            return text.into();
        }
        text.replace(COMMAND, &format!("`ecobox{} ", self.0)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_name_of_its_own_and_reads_as_a_hint() {
        let mut names = std::collections::HashSet::new();
        for row in HintId::ALL {
            let name = row.as_str();
            assert!(names.insert(name), "{name} twice");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            for text in [row.cause(), row.fix()] {
                assert!(!text.ends_with('.') && !text.contains("  "), "{name}: {text}");
                assert!(text.chars().next().is_some_and(|c| !c.is_uppercase()) || text.starts_with("Pro"), "{name}");
            }
        }
    }

    #[test]
    fn names_are_filled_in() {
        assert_eq!(HintId::Paused.say(&[("server", "pve1-vm-101")]), "run `ecobox power resume pve1-vm-101`");
        assert_eq!(HintId::NoConfig.text(), "run `ecobox init` to make one");
    }

    #[test]
    fn commands_keep_the_files_that_were_named() {
        let carried = Carried::new(&["--config".to_owned(), "'my file'".to_owned()]);
        for (text, want) in [
            ("run `ecobox init` to make one", "run `ecobox --config 'my file' init` to make one"),
            ("`ecobox a`, then `ecobox b`", "`ecobox --config 'my file' a`, then `ecobox --config 'my file' b`"),
            ("ecobox logs in", "ecobox logs in"),
        ] {
            assert_eq!(carried.to_paste(text), want);
            assert_eq!(Carried::default().to_paste(text), text);
        }
    }
}
