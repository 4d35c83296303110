//! What is said of the checks of this machine: what each looks at, why it matters, and how to fix it by hand.

use crate::model::check::{CheckId, Text};

pub(in crate::model::check) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::ConfigMissing,
        Text {
            fault: "there is no configuration",
            looks: "the configuration file",
            why: "without it ecobox knows no servers",
            fix: "run `ecobox init` to make one",
        },
    ),
    (
        CheckId::ConfigInvalid,
        Text {
            fault: "the configuration cannot be used",
            looks: "the configuration file: whether it can be read and is valid, and whether others may write what \
                    names commands",
            why: "every other command ends at once with exit status 3",
            fix: "correct the file at the place that is named; `config.example.toml` has every key",
        },
    ),
    (
        CheckId::ServerTwice,
        Text {
            fault: "two servers of the configuration are one host",
            looks: "the addresses and ports of the configured hosts",
            why: "a host that is configured twice is asked twice and counted twice, and each entry hides what the \
                  other one learned",
            fix: "remove one of the two entries",
        },
    ),
    (
        CheckId::GuestEntryUnused,
        Text {
            fault: "an entry of the configuration is for a guest that does not exist",
            looks: "entries of the configuration that add something to a guest, and the guests that were discovered",
            why: "its services are never checked: the guest is gone, or its number is misspelt",
            fix: "correct the number in the id of `{server}`, or remove the entry; `ecobox discover` lists the \
                  guests",
        },
    ),
    (
        CheckId::StateUnusable,
        Text {
            fault: "the state file cannot be used",
            looks: "the state file and its folder: owner, modes, links, and the version that wrote it",
            why: "it holds API tokens: ecobox refuses to use one that others may read or replace",
            fix: "do what the message says, e.g. `chmod 600 FILE`",
        },
    ),
    (
        CheckId::StateDamaged,
        Text {
            fault: "the state file is damaged",
            looks: "the state file, by SQLite's own `quick_check`",
            why: "history and tokens may be lost; the next command sets the file aside and begins a new one",
            fix: "copy the file away, then run `ecobox setup-token` and `ecobox discover`",
        },
    ),
    (
        CheckId::StateLarge,
        Text {
            fault: "the state file is very large",
            looks: "the size of the state file",
            why: "a large history slows commands down and fills the disk",
            fix: "keep less: set `raw` and `hourly` in [history]",
        },
    ),
    (
        CheckId::StateLeftovers,
        Text {
            fault: "files of earlier runs are left beside the state file",
            looks: "files beside the state file that a killed run or a damaged file has left",
            why: "they take space, and a state file that was set aside still holds tokens",
            fix: "look at them, then delete them: `rm FILE`",
        },
    ),
    (
        CheckId::DiskFull,
        Text {
            fault: "the disk of the state file is full",
            looks: "the free space of the file system that has the state file",
            why: "nothing can be recorded on a full disk, and tokens cannot be stored",
            fix: "free some space there",
        },
    ),
    (
        CheckId::CompletionsElsewhere,
        Text {
            fault: "completions do not find the state file",
            looks: "where completions look for the state file: ECOBOX_STATE, else the usual place",
            why: "names of servers do not complete in the shell",
            fix: "let the shell's startup file say `export ECOBOX_STATE={file}`",
        },
    ),
    (
        CheckId::ClockWrong,
        Text {
            fault: "the clock of this machine is wrong",
            looks: "this machine's clock against the clocks of the hosts",
            why: "certificates and tokens are refused, and what is recorded has the wrong time",
            fix: "turn on time synchronisation: `timedatectl set-ntp true`",
        },
    ),
    (
        CheckId::NoNetwork,
        Text {
            fault: "this machine has no way to the network",
            looks: "whether this machine has a way to the network of its hosts",
            why: "nothing can be asked",
            fix: "connect this machine to the network, or bring its VPN up",
        },
    ),
    (
        CheckId::AgentUnreachable,
        Text {
            fault: "the SSH agent does not answer",
            looks: "the SSH agent that SSH_AUTH_SOCK or ssh_config names",
            why: "keys that only the agent has cannot be used: logins fail with keys that are there",
            fix: "start an agent, or let SSH_AUTH_SOCK name the one that runs: `eval \"$(ssh-agent)\"`, then \
                  `ssh-add`",
        },
    ),
    (
        CheckId::KeyExposed,
        Text {
            fault: "a private key may be read by others",
            looks: "the modes of the private keys that logins use",
            why: "SSH does not use a private key that others may read",
            fix: "run `chmod 600 {file}`",
        },
    ),
    (
        CheckId::KnownHostsUnreadable,
        Text {
            fault: "a known_hosts file cannot be read",
            looks: "the known_hosts files that logins use",
            why: "without them no host can be told from an impostor, so every login is refused",
            fix: "make it readable: `chmod u+r {file}`",
        },
    ),
    (
        CheckId::KnownHostsLine,
        Text {
            fault: "known_hosts has lines that cannot be read",
            looks: "each line of the user's known_hosts files",
            why: "the key on such a line is not known, so that its host is refused or asked about again",
            fix: "remove the lines, or copy them again",
        },
    ),
    (
        CheckId::SshConfigInvalid,
        Text {
            fault: "ssh_config cannot be used",
            looks: "the ssh configuration, as `ssh -G` reads it",
            why: "no host whose settings depend on it can be reached",
            fix: "correct the file at the line that is named",
        },
    ),
    (
        CheckId::DiscoverQuiet,
        Text {
            fault: "`discover` should run regularly, and has not run for a while",
            looks: "timers and cron entries that run `ecobox discover`, and when it ran last",
            why: "guests that are new, moved or gone are not noticed",
            fix: "look why it does not run: `systemctl status ecobox-discover.timer`, or the mail of cron",
        },
    ),
    (
        CheckId::PrometheusAway,
        Text {
            fault: "Prometheus is not there",
            looks: "whether Prometheus answers at the URLs of [history]",
            why: "measured numbers wait in the state file, and the oldest are dropped when the queue is full",
            fix: "check `remote_write` and `query` in [history], and that Prometheus runs",
        },
    ),
    (
        CheckId::PrometheusLogin,
        Text {
            fault: "Prometheus refuses the credentials",
            looks: "whether Prometheus takes the credentials of [history]",
            why: "measured numbers wait in the state file, and the oldest are dropped when the queue is full",
            fix: "check `username` and the password, or the bearer token, in [history] of the configuration",
        },
    ),
    (
        CheckId::PrometheusCertificate,
        Text {
            fault: "the certificate of Prometheus is not trusted",
            looks: "the certificate that Prometheus presents",
            why: "nothing is sent to whoever cannot prove to be Prometheus",
            fix: "set `ca_file` in [history] to the CA that signed the certificate of Prometheus",
        },
    ),
    (
        CheckId::PrometheusPath,
        Text {
            fault: "Prometheus does not know the URL",
            looks: "whether Prometheus takes and gives numbers at the URLs of [history]",
            why: "measured numbers wait in the state file, and the oldest are dropped when the queue is full",
            fix: "check `remote_write` and `query` in [history]; Prometheus takes numbers only when started with \
                  --web.enable-remote-write-receiver",
        },
    ),
    (
        CheckId::QueueFull,
        Text {
            fault: "numbers for Prometheus are piling up",
            looks: "how much waits in the state file to be sent to Prometheus",
            why: "the oldest numbers are dropped when the queue is full",
            fix: "bring Prometheus back, or raise `queue` in [history]",
        },
    ),
];
