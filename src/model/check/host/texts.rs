//! What is said of the checks of hosts: what each looks at, why it matters, and how to fix it by hand.

use crate::model::check::{CheckId, Text};

pub(in crate::model::check) const TEXTS: &[(CheckId, Text)] = &[
    (
        CheckId::NameUnknown,
        Text {
            fault: "the name has no address",
            looks: "the name or address that the configuration or ssh_config has for the server",
            why: "nothing can be asked of a server whose address is not known",
            fix: "check `hostname` of `{server}` in {config}",
        },
    ),
    (
        CheckId::AddressDead,
        Text {
            fault: "one of several addresses does not answer",
            looks: "each address of the name, where it has several",
            why: "every connection may first wait for the address that does not answer",
            fix: "remove the address from DNS or /etc/hosts, or set `hostname` of `{server}` to the one that \
                  answers",
        },
    ),
    (
        CheckId::JumpHost,
        Text {
            fault: "a jump host on the way fails",
            looks: "the hosts that the way to the server leads through",
            why: "what is behind the jump host cannot be reached",
            fix: "look at the jump host first: `proxy_jump` of `{server}` in {config}, or ProxyJump in ssh_config, \
                  names it",
        },
    ),
    (
        CheckId::HostAway,
        Text {
            fault: "it does not answer",
            looks: "whether the server answers at all",
            why: "it is off, asleep, or cut off from the network, and is expected to be on",
            fix: "switch it on, or wake it: `ecobox power wake {server}`; if it may be off, set `expected = \
                  \"any\"` for it in {config}",
        },
    ),
    (
        CheckId::SshPortClosed,
        Text {
            fault: "nothing listens at the port of SSH",
            looks: "the port of SSH",
            why: "ecobox logs in over SSH: state, load and power of the server depend on it",
            fix: "start sshd there, or check `ssh_port` of `{server}` in {config}",
        },
    ),
    (
        CheckId::SshCloses,
        Text {
            fault: "the port of SSH closes before anything is said",
            looks: "the port of SSH",
            why: "ecobox logs in over SSH: state, load and power of the server depend on it",
            fix: "look there at MaxStartups in sshd_config, and at what shuts addresses out (fail2ban, hosts.deny)",
        },
    ),
    (
        CheckId::SshForeign,
        Text {
            fault: "something else than a usable SSH server answers at the port of SSH",
            looks: "what answers at the port of SSH",
            why: "ecobox logs in over SSH, and cannot speak with what answers there",
            fix: "check `hostname` and `ssh_port` of `{server}` in {config}",
        },
    ),
    (
        CheckId::HostKeyUnknown,
        Text {
            fault: "no known_hosts file has the SSH host key",
            looks: "the host key, by OpenSSH's rules and files",
            why: "whoever answers at the address might be somebody else: ecobox does not log in",
            fix: "run `ecobox init` on a terminal to see the key and accept it, or `ecobox init --accept-new` to \
                  trust every key that is not known yet",
        },
    ),
    (
        CheckId::HostKeyChanged,
        Text {
            fault: "known_hosts has another SSH host key",
            looks: "the host key, by OpenSSH's rules and files",
            why: "the host was reinstalled, or somebody else answers in its place: ecobox does not log in",
            fix: "if the host was reinstalled, run `ssh-keygen -f {file} -R {name}`, then `ecobox init`",
        },
    ),
    (
        CheckId::HostKeyRevoked,
        Text {
            fault: "the SSH host key was revoked",
            looks: "the host key, by `@revoked` lines and RevokedHostKeys",
            why: "whoever has a stolen key can pretend to be the host: ecobox does not log in",
            fix: "somebody declared this key stolen: do not log in there; a host that is yours needs a new host \
                  key, then run `ecobox init`",
        },
    ),
    (
        CheckId::HostKeyUnproven,
        Text {
            fault: "the host cannot prove who it is",
            looks: "the signature that goes with the host key, and the host's certificate",
            why: "whoever answers might be somebody else: ecobox does not log in",
            fix: "look at the host's key and certificate on its own console (HostKey and HostCertificate in its \
                  sshd_config)",
        },
    ),
    (
        CheckId::NoKey,
        Text {
            fault: "there is no key to log in with",
            looks: "the keys that ssh would offer: of the configuration, of ssh_config, the usual files, and the \
                    agent",
            why: "ecobox logs in by keys only",
            fix: "make a key by `ssh-keygen -t ed25519`, and put it there by `ssh-copy-id {target}`",
        },
    ),
    (
        CheckId::KeyLocked,
        Text {
            fault: "the key has a passphrase, and no agent has it",
            looks: "the keys that ssh would offer, and whether they can be used",
            why: "a key with a passphrase is of no use to cron, or without a terminal",
            fix: "load the key into an agent: `ssh-add {file}` (`eval \"$(ssh-agent)\"` starts one), or run ecobox \
                  on a terminal, where it asks for the passphrase",
        },
    ),
    (
        CheckId::KeyRefused,
        Text {
            fault: "no key is accepted",
            looks: "the login with every key that there is",
            why: "ecobox logs in by keys only",
            fix: "run `ssh-copy-id {target}`, or name another `ssh_user` or `ssh_key_path` for `{server}` in \
                  {config}",
        },
    ),
    (
        CheckId::KeysNotTaken,
        Text {
            fault: "the server takes no keys",
            looks: "the ways to log in that the server offers",
            why: "ecobox logs in by keys only",
            fix: "set `PubkeyAuthentication yes` in its sshd_config: ecobox logs in by keys only",
        },
    ),
    (
        CheckId::KeyNotEnough,
        Text {
            fault: "the server wants more than a key",
            looks: "the ways to log in that the server offers",
            why: "ecobox logs in by keys only",
            fix: "ecobox logs in by a key alone: set `AuthenticationMethods publickey` for this user in \
                  its sshd_config",
        },
    ),
    (
        CheckId::LoginSlow,
        Text {
            fault: "the login took too long",
            looks: "how long the login takes",
            why: "every command that logs in there runs into its deadline",
            fix: "an agent may ask a person, and the server somebody else: give the login more time by `--timeout`",
        },
    ),
    (
        CheckId::ShellUnusable,
        Text {
            fault: "the login does not run commands",
            looks: "whether the login runs a script by `sh -s`",
            why: "all that ecobox does over SSH is such a script: a forced command, a login without a shell, or a \
                  shell that prints too much are in the way",
            fix: "let the login have a usual shell, and its key no `command=` in authorized_keys",
        },
    ),
    (
        CheckId::NoRoot,
        Text {
            fault: "the login may not suspend the host or switch it off",
            looks: "whether the login is root, or may suspend and switch off by sudo without a password",
            why: "`power suspend`, `shutdown` and `reboot` of the server are refused",
            fix: "log in as root, or add the line that is named to sudoers with `visudo`",
        },
    ),
    (
        CheckId::ClockOff,
        Text {
            fault: "the clock of the host is wrong",
            looks: "the clock of the host, by SSH and by the `Date` of its API",
            why: "certificates, tasks and logs have the wrong time, and cluster nodes disagree",
            fix: "on the host, turn on time synchronisation: `timedatectl set-ntp true`",
        },
    ),
];
