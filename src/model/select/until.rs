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

/// Why it is unknown whether a condition holds.
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
    /// The target matches no server, or one without such a service.
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
mod tests;
