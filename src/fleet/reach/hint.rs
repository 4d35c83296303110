//! Which row of the hints fits an error, on this kind of server, for what is being done.

use crate::config::{Access, ServerConfig};
use crate::file::shell_word;
use crate::fleet::Fleet;
use crate::fleet::reach::api::token_variable;
use crate::model::access::right::GuestRight;
use crate::model::access::scope::TokenScope;
use crate::model::hint::HintId;
use crate::model::id::{NodeName, ServerId};
use crate::model::inventory::Failed;
use crate::transport::{Account, ConnectFailure, Denial, Error, Mismatch, PVEDAEMON, Stranger};

/// What is being done, where that decides what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// `init` visits servers.
    Init,
    /// `setup-token` makes a token.
    SetUp,
    /// Anything that only asks.
    Look,
}

/// Why something failed, as the table of hints calls it, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) row: HintId,
    pub(crate) fix: String,
}

impl Cause {
    fn plain(row: HintId) -> Cause {
        Cause { row, fix: row.text() }
    }

    fn say(row: HintId, values: &[(&str, &str)]) -> Cause {
        Cause { row, fix: row.say(values) }
    }
}

/// The server that an error is about, and what kind it is.
struct Place<'a> {
    config: &'a ServerConfig,
    /// The configuration file.
    file: String,
    /// What gives its token, where that is not the state file.
    given: Option<String>,
}

impl Place<'_> {
    fn id(&self) -> &str {
        self.config.id.as_str()
    }

    fn api_only(&self) -> bool {
        self.config.access == Access::Api
    }

    /// The hint with the server's and the file's name.
    fn say(&self, row: HintId, more: &[(&str, &str)]) -> Cause {
        let names = [("server", self.id()), ("config", self.file.as_str())];
        Cause::say(row, &[&names, more].concat())
    }
}

impl Fleet<'_> {
    /// The failure that an error is in a report, with what helps.
    pub(crate) fn failed(&self, server: &ServerId, error: &Error) -> Failed {
        let text = error.to_string();
        // Some errors know only where was dialled.
        let message = if text.contains(server.as_str()) { text } else { format!("{server}: {text}") };
        Failed {
            server: server.clone(),
            kind: error.kind(),
            message,
            advice: self.hint(server, error, Doing::Look),
            about: None,
        }
    }

    /// What helps against an error that was met at `server`, or at the one that the error names.
    pub(crate) fn hint(&self, server: &ServerId, error: &Error, doing: Doing) -> Option<String> {
        self.cause(server, error, doing).map(|cause| cause.fix)
    }

    /// Why an error came, and what helps.
    pub(crate) fn cause(&self, server: &ServerId, error: &Error, doing: Doing) -> Option<Cause> {
        let named = error.peer().split(" (").next().unwrap_or_default();
        let find = |id: &str| self.config.servers.iter().find(|config| config.id.as_str() == id);
        let config = find(named).or_else(|| find(server.as_str()))?;
        let file = self.config.path.display().to_string();
        let place = Place { config, file, given: self.given_by(config) };
        let known_node = self.node_of(&config.id);
        match error {
            Error::UnknownHostKey { .. } => Some(Cause::plain(HintId::HostKeyUnknown)),
            Error::Revoked { .. } => Some(Cause::plain(HintId::HostKeyRevoked)),
            Error::Unproven { .. } => Some(Cause::plain(HintId::HostKeyUnproven)),
            Error::Untrusted { what: Mismatch::HostKey { file, name }, .. } => {
                let (file, name) = (shell_word(file).to_string(), shell_word(name.as_ref()).to_string());
                Some(Cause::say(HintId::HostKeyChanged, &[("file", &file), ("name", &name)]))
            }
            Error::Untrusted { what: Mismatch::Certificate { presented }, .. } => {
                self.certificate(&place, presented.as_deref(), doing)
            }
            Error::Denied { why, detail, .. } => self.denied(&place, why, detail, doing),
            Error::NoToken { .. } if place.given.is_some() => refused(&place, HintId::TokenRefusedGiven),
            Error::NoToken { .. } if place.api_only() => {
                let variable = token_variable(&place.config.id);
                Some(place.say(HintId::NoTokenApi, &[("variable", &variable)]))
            }
            Error::NoToken { .. } => Some(Cause::plain(HintId::NoToken)),
            Error::Connect { peer, failure, .. } => unreached(&place, peer, *failure, doing),
            Error::Timeout { doing: "logging in", .. } => Some(Cause::plain(HintId::LoginSlow)),
            Error::Timeout { .. } => again(doing),
            Error::Stranger { who: Stranger::Service, .. } => Some(place.say(HintId::NotPve, &[])),
            Error::Stranger { who: Stranger::Redirect, .. } => Some(place.say(HintId::Redirected, &[])),
            Error::Stranger { who: Stranger::Login, .. } => Some(place.say(HintId::ProxyLogin, &[])),
            // Proxmox VE itself never answers so.
            Error::Api { status: 502..=504, .. } => Some(place.say(HintId::ProxyFailed, &[])),
            Error::ServiceDown { service: PVEDAEMON, node, .. } => {
                let node = node.as_ref().or(known_node.as_ref());
                Some(Cause::say(
                    HintId::PvedaemonDown,
                    &[("command", &self.command_on(config, node, "systemctl status pvedaemon"))],
                ))
            }
            Error::ServiceDown { .. } => Some(Cause::plain(HintId::PmxcfsDown)),
            Error::Api { .. } | Error::Protocol { .. } | Error::Local { .. } => None,
        }
    }

    /// A command as it is typed here to run on a node: that of `config`, unless it is another one that is configured.
    pub(crate) fn command_on(&self, config: &ServerConfig, node: Option<&NodeName>, command: &str) -> String {
        self.ssh_command(config, node, command).unwrap_or_else(|| match node {
            Some(node) => format!("{command}` on {node}, as in `ssh root@{node} {command}"),
            None => format!("{command}` on that host, as in `ssh root@HOST {command}"),
        })
    }

    /// Like `command_on`; `None`: there is no way to it from here.
    pub(crate) fn ssh_command(&self, config: &ServerConfig, node: Option<&NodeName>, command: &str) -> Option<String> {
        let cluster = self.cluster_of(&config.id);
        let is_it = |server: &&ServerConfig| {
            self.cluster_of(&server.id) == cluster && node.is_some() && self.node_of(&server.id).as_ref() == node
        };
        let server = if node.is_none() { Some(config) } else { self.hosts().find(is_it) };
        match server.map(|server| (server, server.access)) {
            Some((_, Access::Local)) => Some(command.to_owned()),
            Some((ServerConfig { hostname, ssh_user, ssh_port, ssh_key_path, proxy_jump, .. }, Access::Ssh)) => {
                let mut words = vec!["ssh".to_owned()];
                words.extend(ssh_key_path.as_ref().map(|path| format!("-i {}", shell_word(path))));
                words.extend(proxy_jump.as_ref().map(|jump| format!("-J {}", shell_word(jump.as_ref()))));
                words.extend(ssh_port.filter(|port| *port != 22).map(|port| format!("-p {port}")));
                let user = ssh_user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
                words.push(shell_word(format!("{user}{hostname}").as_ref()).to_string());
                words.push(command.to_owned());
                Some(words.join(" "))
            }
            Some((_, Access::Api)) | None => None,
        }
    }

    fn denied(&self, place: &Place<'_>, why: &Denial, detail: &str, doing: Doing) -> Option<Cause> {
        match why {
            // root's keys are in reach only while pmxcfs runs.
            Denial::Key(account)
                if account.user == "root" && account.label == place.id() && self.is_pve(place.config) =>
            {
                Some(Cause::plain(HintId::RootKeysAway))
            }
            Denial::Key(account) => Some(place.say(HintId::KeyRefused, &[("target", &target(place, account))])),
            Denial::NoKey(account) => Some(Cause::say(HintId::NoKey, &[("target", &target(place, account))])),
            Denial::Locked(file) => Some(Cause::say(HintId::KeyLocked, &[("file", &shell_word(file).to_string())])),
            Denial::NotEnough => Some(Cause::plain(HintId::KeyNotEnough)),
            Denial::NoKeysTaken => Some(Cause::plain(HintId::KeysNotTaken)),
            // The words of the refusal name the option.
            Denial::Use => None,
            Denial::NoSsh => Some(place.say(HintId::NoSsh, &[])),
            Denial::Token if place.given.is_some() => refused(place, HintId::TokenRefusedGiven),
            // It was made in this very run.
            Denial::Token | Denial::Privilege if doing == Doing::SetUp => None,
            Denial::Token if place.api_only() => {
                let variable = token_variable(&place.config.id);
                Some(place.say(HintId::NoTokenApi, &[("variable", &variable)]))
            }
            Denial::Token => Some(Cause::plain(HintId::TokenRefused)),
            Denial::Privilege => {
                let needed = GuestRight::scope_of_refusal(detail);
                Some(beyond_scopes(detail).unwrap_or_else(|| self.lacking_privileges(place.config, needed)))
            }
        }
    }

    fn certificate(&self, place: &Place<'_>, presented: Option<&str>, doing: Doing) -> Option<Cause> {
        if place.config.is_trust_configured() || place.api_only() {
            return Some(place.say(HintId::CertificateOther, &[("fingerprint", presented?)]));
        }
        // It was looked at over SSH just now.
        if doing == Doing::SetUp {
            return None;
        }
        // What was learned once is looked up again without a change on the host.
        let learned = self.state.trust(&place.config.id).ok().flatten().is_some();
        Some(place.say(HintId::CertificateChanged, &[("check", if learned { " --check" } else { "" })]))
    }

    /// What gives the token of a server's cluster what it lacks for a scope.
    pub(crate) fn privileges(&self, server: &ServerConfig, scope: TokenScope) -> String {
        self.lacking_privileges(server, scope).fix
    }

    fn lacking_privileges(&self, server: &ServerConfig, needed: TokenScope) -> Cause {
        if let Some(source) = self.given_by(server) {
            return Cause::say(HintId::PrivilegeMissingGiven, &[("source", &source)]);
        }
        let stored = self.state.token(&self.cluster_of(&server.id)).ok().flatten();
        let is_beyond = stored.is_some_and(|stored| stored.scope < needed);
        let words = match needed {
            // One token serves all that a cluster has, and more is given to one cluster only.
            TokenScope::Manager if is_beyond => format!(" {} --scope {}", server.id, needed.as_str()),
            _ if is_beyond => format!(" --scope {}", needed.as_str()),
            _ => String::new(),
        };
        Cause::say(HintId::PrivilegeMissing, &[("scope", &words)])
    }
}

fn refused(place: &Place<'_>, row: HintId) -> Option<Cause> {
    let source = place.given.as_deref()?;
    Some(place.say(row, &[("source", source)]))
}

fn unreached(place: &Place<'_>, peer: &str, failure: ConnectFailure, doing: Doing) -> Option<Cause> {
    let is_port = |port: u16| peer.trim_end_matches(')').ends_with(&format!(":{port}"));
    let is_api = place.api_only() || is_port(place.config.api_port()) && !place.config.ssh_port.is_some_and(is_port);
    match failure {
        ConnectFailure::Resolve => Some(place.say(HintId::NameUnknown, &[])),
        ConnectFailure::JumpHostFailed(_) => Some(place.say(HintId::JumpHost, &[])),
        ConnectFailure::Refused if is_api => Some(place.say(HintId::ApiPortClosed, &[])),
        ConnectFailure::Refused => Some(place.say(HintId::SshPortClosed, &[])),
        ConnectFailure::Closed if is_api => Some(Cause::plain(HintId::ApiCloses)),
        ConnectFailure::Closed => Some(Cause::plain(HintId::SshCloses)),
        ConnectFailure::Unreachable
        | ConnectFailure::NoNetwork
        | ConnectFailure::Timeout
        | ConnectFailure::NotForwarded
        | ConnectFailure::NoFiles
        | ConnectFailure::Other => again(doing),
    }
}

/// For a server that is off: nothing is wrong with it.
fn again(doing: Doing) -> Option<Cause> {
    let command = match doing {
        Doing::Init => "init",
        Doing::SetUp => "setup-token",
        Doing::Look => return None,
    };
    Some(Cause::say(HintId::LookAgain, &[("command", command)]))
}

/// What `ssh-copy-id` is to be called with, to reach the account that refused.
fn target(place: &Place<'_>, account: &Account) -> String {
    let Account { label, user, host, port } = account;
    let mut words = Vec::new();
    let mut name = host.as_str();
    if label == place.id() {
        let ServerConfig { hostname, ssh_key_path, proxy_jump, .. } = place.config;
        // ssh itself knows what a name of its configuration stands for.
        name = hostname;
        words.extend(ssh_key_path.as_ref().map(|path| format!("-i {}", shell_word(path))));
        words
            .extend(proxy_jump.as_ref().map(|jump| format!("-o {}", shell_word(format!("ProxyJump={jump}").as_ref()))));
    }
    if *port != 22 {
        words.push(format!("-p {port}"));
    }
    words.push(shell_word(format!("{user}@{name}").as_ref()).to_string());
    words.join(" ")
}

/// What a token lacks that no scope but `full` would give it: Proxmox VE names the privilege (`Permission check failed
/// (/vms/105, VM.Config.Disk)`).
fn beyond_scopes(detail: &str) -> Option<Cause> {
    if detail.contains("VM.Config.Disk") || detail.contains("Datastore.AllocateSpace") {
        return Some(Cause::plain(HintId::HibernateRights));
    }
    detail.contains("Sys.PowerMgmt").then(|| Cause::plain(HintId::NodeWakeRights))
}
