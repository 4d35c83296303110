//! What `init` writes into the configuration file, and the names that hosts give themselves.

use std::net::IpAddr;

use super::hosts::take;
use crate::commands::Context;
use crate::config::{self, Config, NewServer};
use crate::fleet::onboard::visit::Visit;
use crate::model::id::{NodeName, ServerId};

/// What was added to the configuration file.
pub(super) struct Written {
    new: Vec<NewServer>,
    /// The file's text without them, and with them.
    before: String,
    after: String,
    pub(super) config: Config,
}

pub(super) fn extend(config: &Config, new: Vec<NewServer>) -> anyhow::Result<Written> {
    let before = match config::read_text(&config.path) {
        Err(config::ConfigError::NotFound { .. }) => String::new(),
        text => text?,
    };
    let after = config::add_servers(&before, &new).map_err(|error| error.in_file(&config.path))?;
    config::write_atomically(&config.path, &after)?;
    let config = Config::parse(&after, &config.path)?;
    Ok(Written { new, before, after, config })
}

/// Who was added by an address gets the name that the host calls itself by, in the configuration, in the state file
/// and in `visits`: it becomes the id, and guests' ids begin with it. Gives the ids of all that were added.
pub(super) fn name_by_themselves(
    ctx: &Context,
    written: &Written,
    visits: &mut [Visit],
) -> anyhow::Result<Vec<String>> {
    let mut taken: Vec<ServerId> = written.config.servers.iter().map(|server| server.id.clone()).collect();
    let mut new = written.new.clone();
    let mut renamed = Vec::new();
    for server in new.iter_mut().filter(|server| server.hostname.parse::<IpAddr>().is_ok()) {
        let Some(at) = visits.iter().position(|visit| visit.server.as_str() == server.id) else { continue };
        let Some(Ok(facts)) = &visits[at].facts else { continue };
        let name = facts.pve().and_then(|pve| pve.node.as_ref()).map(NodeName::as_str);
        let Some(name) = name.or(facts.hostname.as_deref()).filter(|name| !name.starts_with("localhost")) else {
            continue;
        };
        server.id = take(name, &mut taken);
        renamed.push((at, server.id.parse::<ServerId>()?));
    }
    // If the file is edited in the meantime, the edit wins.
    if !renamed.is_empty() && config::read_text(&written.config.path)? == written.after {
        let text = config::add_servers(&written.before, &new).map_err(|error| error.in_file(&written.config.path))?;
        config::write_atomically(&written.config.path, &text)?;
        for (at, id) in renamed {
            ctx.state.rename_server(&visits[at].server, &id)?;
            visits[at].server = id;
        }
        return Ok(new.into_iter().map(|server| server.id).collect());
    }
    Ok(written.new.iter().map(|server| server.id.clone()).collect())
}
