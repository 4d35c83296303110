//! The hints: what can go wrong, why, and what to run or change about it. One table, in one place.
//!
//! Each row has a name, a cause and a fix. Which row fits an error on a kind of server is decided by `fleet/hint.rs`;
//! `tests/cli/hints` makes each situation and follows the fix.

/// How the fix refers to what only the error knows: `{server}`, `{config}`, ...
type Values<'a> = &'a [(&'a str, &'a str)];

macro_rules! table {
    ($($row:ident $name:literal $cause:literal => $fix:expr,)*) => {
        /// A row of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum HintId {
            $($row,)*
        }

        impl HintId {
            /// Each once.
            pub(crate) const ALL: &[HintId] = &[$(HintId::$row,)*];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(HintId::$row => $name,)*
                }
            }

            /// What is wrong.
            pub(crate) fn cause(self) -> &'static str {
                match self {
                    $(HintId::$row => $cause,)*
                }
            }

            /// What to do about it, with `{names}` for what the error knows.
            pub(crate) fn fix(self) -> &'static str {
                match self {
                    $(HintId::$row => $fix,)*
                }
            }
        }
    };
}

table! {
    // SSH: who the host is.
    HostKeyUnknown "host-key-unknown" "no known_hosts file has the SSH host key" =>
        "run `ecobox init` on a terminal to see the key and accept it, or `ecobox init --accept-new` to trust every key \
         that is not known yet",
    HostKeyChanged "host-key-changed" "known_hosts has another SSH host key" =>
        "if the host was reinstalled, run `ssh-keygen -f {file} -R {name}`, then `ecobox init`",
    HostKeyRevoked "host-key-revoked" "the SSH host key was revoked" =>
        "somebody declared this key stolen: do not log in there; a host that is yours needs a new host key, then run \
         `ecobox init`",
    HostKeyUnproven "host-key-unproven" "the host cannot prove who it is" =>
        "look at the host's key and certificate on its own console (HostKey and HostCertificate in its sshd_config)",
    // SSH: who we are.
    KeyRefused "key-refused" "no key is accepted" =>
        "run `ssh-copy-id {target}`, or name another `ssh_user` or `ssh_key_path` for `{server}` in {config}",
    NoKey "no-key" "there is no key to log in with" =>
        "make a key by `ssh-keygen -t ed25519`, and put it there by `ssh-copy-id {target}`",
    KeyLocked "key-locked" "the key has a passphrase, and no agent has it" =>
        "load the key into an agent: `ssh-add {file}` (`eval \"$(ssh-agent)\"` starts one), or run ecobox on a \
         terminal, where it asks for the passphrase",
    KeyNotEnough "key-not-enough" "the server wants more than a key" =>
        "ecobox logs in by a key alone: let its sshd_config say `AuthenticationMethods publickey` for this user",
    KeysNotTaken "keys-not-taken" "the server takes no keys" =>
        "let its sshd_config say `PubkeyAuthentication yes`: ecobox logs in by keys only",
    LoginSlow "login-slow" "the login took too long" =>
        "an agent may ask a person, and the server somebody else: give the login more time by `--timeout`",
    // Reaching it.
    NameUnknown "name-unknown" "the name has no address" =>
        "check `hostname` of `{server}` in {config}",
    SshPortClosed "ssh-port-closed" "nothing listens at the port of SSH" =>
        "start sshd there, or check `ssh_port` of `{server}` in {config}",
    ApiPortClosed "api-port-closed" "nothing listens at the port of the API" =>
        "start pveproxy there (`systemctl start pveproxy`), or check `api_port` of `{server}` in {config}",
    SshCloses "ssh-closes" "the port of SSH closes before anything is said" =>
        "look there at MaxStartups in sshd_config, and at what shuts addresses out (fail2ban, hosts.deny)",
    ApiCloses "api-closes" "the port of the API closes before anything is said" =>
        "the peer closes before it speaks: for a Proxmox VE host look at ALLOW_FROM in /etc/default/pveproxy",
    JumpHost "jump-host" "a jump host on the way fails" =>
        "look at the jump host first: `proxy_jump` of `{server}` in {config}, or ProxyJump in ssh_config, names it",
    LookAgain "look-again" "a host is off" =>
        "run `ecobox {command}` again when the hosts that did not answer are on",
    NoSsh "no-ssh" "it goes over SSH, and the server is configured without" =>
        "remove `type = \"proxmox\"` of `{server}` in {config}, and let ecobox log in there",
    // The API: who it is.
    CertificateChanged "certificate-changed" "the API's certificate is not the one that was learned over SSH" =>
        "run `ecobox setup-token{check} {server}` to look at the certificate over SSH; if it is refused again, somebody else \
         answers there",
    CertificateOther "certificate-other" "the API's certificate is not the one that the configuration names" =>
        "if {fingerprint} is its certificate, set `fingerprint = \"{fingerprint}\"` of `{server}` in {config}, or \
         `ca_file` to a copy of the host's /etc/pve/pve-root-ca.pem",
    // The API: who we are.
    NoToken "no-token" "there is no API token for the server" =>
        "run `ecobox setup-token`, or give a token by `token_command` or ECOBOX_TOKEN_<ID> (see config.example.toml)",
    NoTokenApi "no-token-api" "there is no API token for the server, and no SSH to make one over" =>
        "give a token for `{server}` by `token_command` in {config}, or by the environment variable {variable}",
    TokenRefused "token-refused" "Proxmox VE does not take the token" =>
        "run `ecobox setup-token` to make another one",
    TokenRefusedGiven "token-refused-given" "Proxmox VE does not take the token that was given" =>
        "the token comes from {source}: put one there that Proxmox VE takes",
    PrivilegeMissing "privilege-missing" "the token may not do it" =>
        "run `ecobox setup-token{scope}` to give it what is missing",
    PrivilegeMissingGiven "privilege-missing-given" "the token that was given may not do it" =>
        "the token comes from {source}: give it the missing privileges in Proxmox VE (Datacenter, Permissions)",
    HibernateRights "hibernate-rights" "no scope of tokens has the rights to hibernate" =>
        "to hibernate a virtual machine a token needs VM.Config.Disk and Datastore.AllocateSpace, which `operator` \
         lacks: see \"Privileges\" in docs/power.md",
    NodeWakeRights "node-wake-rights" "no scope of tokens has the right to have a node send magic packets" =>
        "to have a node send magic packets a token needs Sys.PowerMgmt, which `operator` lacks: see \"Privileges\" in \
         docs/power.md, or put `mac` under [servers.wol]",
    // What stands where the API should be.
    NotPve "not-pve" "something else answers where the API should be" =>
        "check `hostname` and `api_port` of `{server}` in {config}: something else answers there",
    Redirected "redirected" "something in front of the API redirects" =>
        "something in front of the API sends ecobox elsewhere: set `hostname` and `api_port` of `{server}` in {config} \
         to the host itself",
    ProxyLogin "proxy-login" "a proxy in front of the API refuses ecobox, or wants a login of its own" =>
        "a proxy in front of the API refuses ecobox before the token is looked at: set `hostname` and `api_port` of \
         `{server}` in {config} to the host itself",
    ProxyFailed "proxy-failed" "a proxy in front of the API does not reach it" =>
        "a proxy stands in front of the API and does not reach it: start pveproxy on the host, or set `hostname` and \
         `api_port` of `{server}` in {config} to the host itself",
    // setup-token.
    SudoPveum "sudo-pveum" "the login may not run pveum" =>
        "log in as root, or allow it there without a password: {user} ALL=(root) NOPASSWD: /usr/sbin/pveum",
    SudoMissing "sudo-missing" "the login is not root, and there is no sudo" =>
        "log in as root, or install sudo there",
    UserUnknown "user-unknown" "Proxmox VE does not know the login's user" =>
        "use `--scope operator`, or add {user} in Proxmox VE",
    PmxcfsDown "pmxcfs-down" "the cluster's file system is not mounted" =>
        "look on the host's console: `systemctl status pve-cluster`; until it runs, root's SSH keys in /etc/pve/priv do \
         not work",
    RootKeysAway "root-keys-away" "root's keys of a Proxmox VE host are not accepted, or are out of reach" =>
        "if this login has worked before, pve-cluster may be down there: root's keys lie in /etc/pve/priv; look on the \
         host's console: `systemctl status pve-cluster`",
    PvedaemonDown "pvedaemon-down" "pveproxy answers, and pvedaemon behind it does not" =>
        "look at it with `{command}`; a restart of pvedaemon stops no guest",
    NoQuorum "no-quorum" "the cluster has no quorum" =>
        "bring its other nodes back; `pvecm status` on a node says which votes are missing",
    NodeOffline "node-offline" "a node that nobody configured is off" =>
        "a node that may be off can be configured as a server with `expected = \"any\"`; then run `ecobox status` once \
         while it is on, so that ecobox knows which node it is",
    NodeLost "node-lost" "a host answers, and its cluster does not see it" =>
        "look at its place in the cluster with `{command}`",
    UserDisabled "user-disabled" "the user of the token is disabled, or its account has ended" =>
        "let its tokens work again, on that host: `pveum user modify {user} {option}`",
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
    NobodyNamed "nobody-named" "`init` is to make a configuration of nobody" =>
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
    TriggerFailed "trigger-failed" "the host did not do what it was told" =>
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
    PrometheusLogin "prometheus-login" "Prometheus refuses the credentials" =>
        "check `username` and the password, or the bearer token, in [history] of the configuration",
    PrometheusCertificate "prometheus-certificate" "the certificate of Prometheus is not trusted" =>
        "set `ca_file` in [history] to the CA that signed the certificate of Prometheus",
    PrometheusPath "prometheus-path" "Prometheus does not know the URL" =>
        "check `remote_write` and `query` in [history]; Prometheus takes numbers only when started with \
         --web.enable-remote-write-receiver",
    PrometheusAway "prometheus-away" "Prometheus is not there" =>
        "check `remote_write` and `query` in [history], and that Prometheus runs",
}

impl HintId {
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

    /// The same text, whose commands of ecobox work where they are pasted.
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
