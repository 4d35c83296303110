//! Whether Wake-on-LAN will be armed after the next boot, by what a host's files say, and the file to write where nothing
//! says so.

use super::links::{self, Link, LinkFile};
use crate::model::check::fix::Fix;
use crate::model::host::facts::Nic;
use crate::model::id::ServerId;

/// What a host has that could arm a card at its next boot, or switch it off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BootFiles {
    /// systemd runs there.
    pub(crate) systemd: bool,
    pub(crate) links: Vec<LinkFile>,
    /// The `.link` file that each card got when it was found last, by its name alone.
    pub(crate) applied: Vec<(String, String)>,
    /// The driver of each card.
    pub(crate) drivers: Vec<(String, String)>,
    /// Lines of /etc/network/interfaces.
    pub(crate) interfaces: Vec<String>,
    /// ifupdown2, which does not know `ethernet-wol`.
    pub(crate) ifupdown2: bool,
    /// The hook of the package ethtool, by which ifupdown knows it.
    pub(crate) if_ethtool: bool,
    /// The connection of `NetworkManager`'s that each card has, and its `wake-on-lan`.
    pub(crate) connections: Vec<(String, String)>,
    pub(crate) connection_wol: Vec<(String, String)>,
    /// The same for all that say nothing themselves.
    pub(crate) default_wol: Option<String>,
    /// Lines of units and scripts that arm something, by the files' names.
    pub(crate) armers: Vec<(String, String)>,
    /// Units that are started at boot.
    pub(crate) wanted: Vec<String>,
    /// TLP is installed, and whether it is told to switch Wake-on-LAN off; `None`: it is not installed.
    pub(crate) tlp_disarms: Option<bool>,
}

/// Whether a card will be armed after the next boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lasts {
    Yes {
        by: String,
    },
    /// Nothing says so.
    No {
        fix: Fix,
    },
    /// Something switches it off.
    Undone {
        by: String,
        fix: Fix,
    },
    /// Files could not be read.
    Unsure {
        why: String,
    },
}

/// `NetworkManager`'s flag for the magic packet.
const MAGIC: u32 = 0x40;

impl BootFiles {
    /// What the files say of this card of this host.
    pub(crate) fn lasts(&self, server: &ServerId, port: &Nic) -> Lasts {
        if self.tlp_disarms == Some(true) {
            let fix =
                Fix { on: Some(server.clone()), ..Fix::say(format!("set WOL_DISABLE=N in /etc/tlp.conf on {server}")) };
            return Lasts::Undone { by: "TLP (WOL_DISABLE=Y)".to_owned(), fix };
        }
        let links = links::in_order(&self.links);
        let link = self.link(&links, port);
        let by = match &link {
            Ok(Some(link)) if link.arms() == Some(true) => Some(link.name.to_owned()),
            _ => self.by_others(port),
        };
        match (by, link) {
            (Some(by), _) => Lasts::Yes { by },
            (None, Err(why)) => Lasts::Unsure { why },
            (None, Ok(link)) => Lasts::No { fix: self.fix(server, port, link) },
        }
    }

    /// The `.link` file that the card gets: the first that is for it.
    fn link<'l, 'a>(&self, links: &'l [Link<'a>], port: &Nic) -> Result<Option<&'l Link<'a>>, String> {
        let of = |list: &[(String, String)]| list.iter().find(|(name, _)| *name == port.name).map(|(_, is)| is.clone());
        let (driver, applied) = (of(&self.drivers), of(&self.applied));
        for link in links {
            match link.is_for(port, driver.as_deref()) {
                Some(true) => return Ok(Some(link)),
                Some(false) => {}
                // udev knew when it found the card.
                None if applied.as_deref() == Some(link.name) => return Ok(Some(link)),
                None if applied.is_some() => {}
                None => return Err(format!("whether {} is for {} is not known", link.name, port.name)),
            }
        }
        Ok(None)
    }

    /// What else arms it.
    fn by_others(&self, port: &Nic) -> Option<String> {
        let of = |list: &[(String, String)]| list.iter().find(|(name, _)| *name == port.name).map(|(_, is)| is.clone());
        let network_manager = of(&self.connections).and_then(|connection| {
            let own = of(&self.connection_wol).filter(|wol| wol != "default");
            let wol = own.or_else(|| self.default_wol.clone())?;
            is_magic(&wol).then(|| format!("the connection {connection} of NetworkManager"))
        });
        network_manager.or_else(|| self.by_interfaces(port)).or_else(|| self.by_unit(port))
    }

    /// Whether /etc/network/interfaces arms it.
    fn by_interfaces(&self, port: &Nic) -> Option<String> {
        let mut own = false;
        for line in self.interfaces.iter().map(|line| line.trim()).filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["iface", name, ..] => own = *name == port.name,
                [key, modes, ..]
                    if key.trim_end_matches(':') == "ethernet-wol"
                        && own
                        && modes.contains('g')
                        && self.if_ethtool
                        && !self.ifupdown2 =>
                {
                    return Some("/etc/network/interfaces".to_owned());
                }
                ["up" | "post-up" | "pre-up", ..]
                    if arms(line) && (names(line, &port.name) || own && line.contains('$')) =>
                {
                    return Some("/etc/network/interfaces".to_owned());
                }
                _ => {}
            }
        }
        None
    }

    /// Whether a unit or a script that runs at boot arms it.
    fn by_unit(&self, port: &Nic) -> Option<String> {
        let is_started = |file: &str| match file.strip_suffix(".service") {
            Some(unit) if unit.ends_with('@') => {
                self.wanted.iter().any(|wanted| *wanted == format!("{unit}{}.service", port.name))
            }
            Some(_) => self.wanted.iter().any(|wanted| wanted == file),
            None => true,
        };
        let of_port = |line: &str| names(line, &port.name) || line.contains(['$', '%']);
        let found = self.armers.iter().find(|(file, line)| arms(line) && of_port(line) && is_started(file));
        found.map(|(file, _)| file.clone())
    }

    /// What is to be written so that it lasts.
    fn fix(&self, server: &ServerId, port: &Nic, link: Option<&Link<'_>>) -> Fix {
        if !self.systemd {
            let command = format!("post-up ethtool -s {} wol g", port.name);
            let text = format!("add `{command}` below its `iface` line in /etc/network/interfaces on {server}");
            return Fix { on: Some(server.clone()), ..Fix::say(text) };
        }
        let magic = "WakeOnLan=magic".to_owned();
        match link {
            // It gives the card its name, too: a file before it would take that away.
            Some(link) if link.name != "99-default.link" => {
                let file = format!("/etc/systemd/network/{}.d/ecobox-wol.conf", link.name);
                Fix::write(server, &file, &["[Link]".to_owned(), magic])
            }
            // Only one file is applied: the new one says all that the other did.
            default => {
                let file = format!("/etc/systemd/network/50-ecobox-{}.link", port.name);
                let mut lines = vec!["[Match]".to_owned(), format!("PermanentMACAddress={}", port.mac)];
                lines.extend([String::new(), "[Link]".to_owned()]);
                lines.extend(default.map(Link::rest).unwrap_or_default());
                lines.push(magic);
                Fix::write(server, &file, &lines)
            }
        }
    }
}

/// Whether a value of `NetworkManager`'s says the magic packet: flags as a number, or words.
fn is_magic(value: &str) -> bool {
    match value.trim().parse::<u32>() {
        Ok(flags) => flags & MAGIC != 0,
        Err(_) => value.split([',', ' ']).any(|word| word.trim() == "magic"),
    }
}

/// Whether a line runs ethtool to arm the magic packet.
fn arms(line: &str) -> bool {
    let mut words = line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';'));
    words.by_ref().any(|word| word == "wol")
        && words
            .find(|word| !word.is_empty())
            .is_some_and(|modes| modes.contains('g') && modes.chars().all(|c| c.is_ascii_lowercase()))
}

/// Whether a line names this card.
fn names(line: &str, port: &str) -> bool {
    line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))).any(|word| word == port)
}
