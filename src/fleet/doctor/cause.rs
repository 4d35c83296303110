//! Which check looks for the cause of an error.

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::reach::hint::Doing;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Trouble;
use crate::model::check::fix::Fix;
use crate::model::id::ServerId;
use crate::transport::{ConnectFailure, Denial, Error, probe};

/// By which protocol a server was asked, and how far that had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Up to the login.
    Ssh,
    /// The login stood.
    Script,
    Api,
}

impl Fleet<'_> {
    /// The trouble that an error is.
    pub(super) fn trouble(&self, server: &ServerConfig, error: &Error, by: By) -> Trouble {
        let cause = self.cause(&server.id, error, Doing::Look);
        let id = cause.as_ref().and_then(|cause| cause.row.check()).unwrap_or_else(|| fallback(error, by));
        let id = refined(id, error);
        let file = self.config.path.display().to_string();
        let values = [("server", server.id.as_str()), ("config", file.as_str())];
        let fix = match cause {
            Some(cause) if cause.row.check() == Some(id) => Fix::say(cause.fix),
            _ => Fix::of(id, &values),
        };
        Trouble { id, finding: finding(server, error), fix: Some(fix), at: self.met_at(server, error) }
    }

    /// The other configured server that an error names, as a jump host by its id or by what is dialled.
    fn met_at(&self, server: &ServerConfig, error: &Error) -> Option<ServerId> {
        let (named, rest) = error.peer().split_once(" (").unwrap_or((error.peer(), ""));
        let address = if rest.is_empty() { named } else { rest.trim_end_matches(')') };
        let others = self.hosts().filter(|other| other.id != server.id);
        let is_it = |other: &&ServerConfig| {
            let port = other.ssh_port.unwrap_or(22);
            named == other.id.as_str()
                || named == other.hostname && port == 22
                || address == probe::peer(&other.hostname, port)
        };
        if named == server.id.as_str() {
            return None;
        }
        others.into_iter().find(is_it).map(|other| other.id.clone())
    }
}

/// The error without its server's name, which stands in a column of its own.
fn finding(server: &ServerConfig, error: &Error) -> String {
    let text = error.to_string();
    let name = server.id.as_str();
    let text = text.strip_prefix(&format!("{name}: ")).unwrap_or(&text);
    text.to_owned()
}

/// What no hint knows.
fn fallback(error: &Error, by: By) -> CheckId {
    match (error, by) {
        (Error::Connect { failure: ConnectFailure::NoNetwork, .. }, _) => CheckId::NoNetwork,
        (Error::Connect { .. } | Error::Timeout { .. }, By::Api) => CheckId::ApiUnreachable,
        (Error::Connect { .. }, _) => CheckId::HostAway,
        (Error::Denied { why: Denial::Use, .. }, _) => CheckId::ShellUnusable,
        (Error::Local { detail, .. }, By::Api) if detail.contains("ca_file") => CheckId::CertificateOther,
        (Error::Local { detail, .. }, By::Api) if detail.contains("token") => CheckId::NoToken,
        (Error::Local { detail, .. }, By::Ssh | By::Script) if detail.contains("cannot read") => {
            CheckId::KnownHostsUnreadable
        }
        (Error::Local { .. }, By::Ssh | By::Script) => CheckId::SshConfigInvalid,
        (_, By::Api) => CheckId::ApiFails,
        (_, By::Script) => CheckId::ShellUnusable,
        (_, By::Ssh) => CheckId::SshForeign,
    }
}

/// What the words of a refusal tell besides its kind.
fn refined(id: CheckId, error: &Error) -> CheckId {
    let text = error.to_string();
    match id {
        CheckId::CertificateChanged | CheckId::CertificateOther if text.contains("its certificate expired at") => {
            CheckId::CertificateExpiring
        }
        // Whoever says something else than SSH is not sshd; one that is busy says so in words, too.
        CheckId::SshCloses if text.contains("(it says: ") && !text.contains("MaxStartups") => CheckId::SshForeign,
        CheckId::TokenRefused if text.contains("' is disabled") || text.contains("' access expired") => {
            CheckId::UserDisabled
        }
        id => id,
    }
}
