//! Conditions on the fleet, as a script waits for them: `vm-101=running`, `tag=web=stopped`, `web.http=open`.

use crate::model::inventory::{Inventory, Server};
use crate::model::load::usage::Source;
use crate::model::power::PowerState;
use crate::model::select::SelectError;
use crate::model::text::{did_you_mean, quoted};

/// What is to hold of all servers that a target means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// As it was typed.
    text: String,
    /// One word of the selection grammar.
    target: [String; 1],
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    State(PowerState),
    Service { name: String, open: bool },
}

/// Why nobody can say whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecidable {
    #[error(transparent)]
    Target(#[from] SelectError),
    #[error("{server} has no service {}{hint}", quoted(service))]
    NoService { server: String, service: String, hint: String },
}

impl Condition {
    /// Reads `TARGET=STATE`, `TARGET.SERVICE=open` or `TARGET.SERVICE=closed`.
    pub(crate) fn parse(text: &str) -> Result<Condition, String> {
        // The target may have a `=` of its own: `tag=web=running`.
        let shape = || "a condition like `vm-101=running` or `web.http=open`".to_owned();
        let (left, right) = text.rsplit_once('=').ok_or_else(shape)?;
        let open = match right {
            "open" => Some(true),
            "closed" => Some(false),
            _ => None,
        };
        let (target, wanted) = if let Some(open) = open {
            let split = left.rsplit_once('.').filter(|(target, name)| !target.is_empty() && !name.is_empty());
            let (target, name) = split.ok_or_else(|| format!("of which service? {}", shape()))?;
            (target, Wanted::Service { name: name.to_owned(), open })
        } else {
            let state = PowerState::ALL.into_iter().find(|state| state.as_str() == right).ok_or_else(|| {
                let words = PowerState::ALL.map(PowerState::as_str);
                let hint = did_you_mean(right, words);
                let hint = hint.unwrap_or_else(|| format!("; there are {}, open, closed", words.join(", ")));
                format!("{} is not a state{hint}", quoted(right))
            })?;
            (left, Wanted::State(state))
        };
        if target.is_empty() {
            return Err(shape());
        }
        Ok(Condition { text: text.to_owned(), target: [target.to_owned()], wanted })
    }

    /// As it was typed.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is about what a server does, not about a service of it.
    pub(crate) fn is_of_state(&self) -> bool {
        matches!(self.wanted, Wanted::State(_))
    }

    /// The words that say whom it is about.
    pub(crate) fn target(&self) -> &[String] {
        &self.target
    }

    /// Whether it holds. What is only remembered proves nothing.
    ///
    /// # Errors
    /// The target means nobody, or somebody that has no such service.
    pub(crate) fn holds(&self, inventory: &Inventory) -> Result<bool, Undecidable> {
        let mut all = true;
        for place in inventory.chosen(&self.target)? {
            all &= self.holds_for(&inventory.servers[place])?;
        }
        Ok(all)
    }

    fn holds_for(&self, server: &Server) -> Result<bool, Undecidable> {
        let seen = &server.seen;
        match &self.wanted {
            Wanted::State(state) => {
                let was_seen = seen.source != Source::Cache || *state == PowerState::Unknown;
                Ok(was_seen && seen.state == *state)
            }
            Wanted::Service { name, open } => {
                if let Some(check) = seen.checks.iter().find(|check| check.name == *name) {
                    return Ok(check.open == Some(*open));
                }
                if server.services.iter().any(|service| service.name == *name) {
                    // It is asked only while its server is up.
                    let is_down =
                        seen.source != Source::Cache && seen.state != PowerState::Unknown && !seen.state.is_up();
                    return Ok(!open && is_down);
                }
                // A plain server's own SSH port is known once it was asked.
                if seen.source == Source::Cache && server.vmid.is_none() && name == "ssh" {
                    return Ok(false);
                }
                let names = server.services.iter().map(|service| service.name.as_str());
                let names = names.chain(seen.checks.iter().map(|check| check.name.as_str()));
                let hint = did_you_mean(name, names).unwrap_or_default();
                Err(Undecidable::NoService { server: server.id.to_string(), service: name.clone(), hint })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::inventory::ServiceCheck;
    use crate::model::inventory::server::{Service, ServiceType};
    use crate::model::inventory::tests::server;

    #[test]
    fn conditions_are_read_from_their_end() {
        let state = |target: &str, state| Ok((target.to_owned(), Wanted::State(state)));
        let service =
            |target: &str, name: &str, open| Ok((target.to_owned(), Wanted::Service { name: name.to_owned(), open }));
        let shape = "a condition like `vm-101=running` or `web.http=open`";
        for (text, want) in [
            ("vm-101=running", state("vm-101", PowerState::Running)),
            ("tag=web=stopped", state("tag=web", PowerState::Stopped)),
            ("tag=web,node=pve1=stopped", state("tag=web,node=pve1", PowerState::Stopped)),
            ("big nas=online", state("big nas", PowerState::Online)),
            ("web.http=open", service("web", "http", true)),
            ("web.lan.http=closed", service("web.lan", "http", false)),
            ("tag=web.http=open", service("tag=web", "http", true)),
            ("vm-101", Err(shape.to_owned())),
            ("=running", Err(shape.to_owned())),
            ("", Err(shape.to_owned())),
            ("web=open", Err(format!("of which service? {shape}"))),
            (".http=open", Err(format!("of which service? {shape}"))),
            ("vm-101=runing", Err("`runing` is not a state; did you mean `running`?".to_owned())),
            (
                "vm-101=x",
                Err("`x` is not a state; there are running, stopped, paused, hibernated, online, offline, asleep, \
                     unknown, open, closed"
                    .to_owned()),
            ),
        ] {
            let read = Condition::parse(text).map(|read| (read.target[0].clone(), read.wanted));
            assert_eq!(read, want, "{text}");
        }
    }

    #[test]
    fn a_condition_holds_of_all_that_were_seen() {
        let mut web = server("web", None, None);
        (web.seen.state, web.seen.source) = (PowerState::Online, Source::Tcp);
        web.tags = ["a".to_owned()].into();
        let check = |name: &str, open| ServiceCheck {
            name: name.to_owned(),
            port: 80,
            kind: ServiceType::Http,
            open,
            response_seconds: None,
            error: None,
        };
        web.seen.checks = vec![check("http", Some(true)), check("smb", Some(false)), check("dns", None)];
        let mut db = server("db", None, None);
        (db.seen.state, db.seen.source) = (PowerState::Online, Source::Cache);
        db.tags = ["a".to_owned()].into();
        let mut off = server("pve1-vm-101", None, Some(101));
        (off.seen.state, off.seen.source) = (PowerState::Stopped, Source::Api);
        off.services = vec![Service { name: "http".to_owned(), port: 80, kind: ServiceType::Http }];
        let inventory =
            Inventory { servers: vec![web, db, off], failures: Vec::new(), unasked: Vec::new(), torn: Vec::new() };
        for (text, want) in [
            ("web=online", Ok(true)),
            ("web=offline", Ok(false)),
            ("vm-101=stopped", Ok(true)),
            // It is remembered, and nobody has looked.
            ("db=online", Ok(false)),
            ("tag=a=online", Ok(false)),
            ("kind=guest=stopped", Ok(true)),
            ("web.http=open", Ok(true)),
            ("web.http=closed", Ok(false)),
            ("web.smb=closed", Ok(true)),
            ("web.dns=open", Ok(false)),
            ("web.dns=closed", Ok(false)),
            ("vm-101.http=closed", Ok(true)),
            ("vm-101.http=open", Ok(false)),
            ("db.ssh=open", Ok(false)),
            ("web.htpp=open", Err("web has no service `htpp`; did you mean `http`?")),
            ("vm-101.ssh=open", Err("pve1-vm-101 has no service `ssh`")),
            ("nobody=online", Err("no server matches `nobody`")),
        ] {
            let holds = Condition::parse(text).unwrap().holds(&inventory).map_err(|error| error.to_string());
            assert_eq!(holds, want.map_err(str::to_owned), "{text}");
        }
    }
}
