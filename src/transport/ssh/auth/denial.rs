//! Why a login was denied, in words that say what to do.

use super::Login;
use crate::transport::ssh::route::Hop;
use crate::transport::{Account, Denial};

impl Login<'_> {
    pub(super) fn denial(&self) -> Denial {
        let Hop { label, user, host, port, .. } = self.hop;
        let account =
            || Box::new(Account { label: label.clone(), user: user.clone(), host: host.clone(), port: *port });
        if self.wanted.is_some() {
            Denial::NotEnough
        } else if self.instead.is_some() {
            Denial::NoKeysTaken
        } else if let Some(file) = &self.locked {
            Denial::Locked(file.clone())
        } else if self.offered.is_empty() {
            Denial::NoKey(account())
        } else {
            Denial::Key(account())
        }
    }

    pub(super) fn why(&self) -> String {
        let user = &self.hop.user;
        let mut parts = match self.offered.as_slice() {
            [] if self.instead.is_some() => {
                let instead = self.instead.as_deref().filter(|methods| !methods.is_empty()).unwrap_or("nothing");
                return format!(
                    "it takes no key to log in as {user}, only {instead} (PubkeyAuthentication in its sshd_config)"
                );
            }
            [] => vec![format!("there is no key to log in as {user} with")],
            offered => vec![format!("no key is accepted for {user}; offered {}", offered.join(", "))],
        };
        if let Some(wanted) = &self.wanted {
            parts = vec![format!("a key is accepted for {user}, but not enough; it also wants {wanted}")];
        }
        if self.over && !self.offered.is_empty() && self.handle.is_closed() {
            parts.push(
                "it closed the connection then (MaxAuthTries in its sshd_config; `ssh_key_path` names the key to begin \
                 with, IdentitiesOnly in ssh_config offers no other)"
                    .to_owned(),
            );
        }
        if !self.skipped.is_empty() {
            parts.push(format!("skipped {}", self.skipped.join(", ")));
        }
        if self.hop.agent.is_none() && self.offered.is_empty() {
            parts.push("no agent".to_owned());
        }
        parts.join("; ")
    }
}
