//! systemd's `.link` files: which one is applied to a network card, and what it says of Wake-on-LAN (systemd.link(5)).

use crate::model::host::facts::Nic;

/// A `.link` file, or a drop-in of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkFile {
    /// The place of its folder: a file of an earlier one replaces one of the same name.
    pub(crate) folder: u8,
    /// `50-x.link`, or `50-x.link.d/y.conf`.
    pub(crate) name: String,
    /// Without comments; `None`: it could not be read.
    pub(crate) lines: Option<Vec<String>>,
}

/// A `.link` file with its drop-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link<'a> {
    pub(super) name: &'a str,
    /// `section`, `key`, `value`; `None`: it could not be read.
    settings: Option<Vec<(&'a str, &'a str, &'a str)>>,
}

/// The files that count, in the order in which they are tried.
pub(super) fn in_order(files: &[LinkFile]) -> Vec<Link<'_>> {
    let mut mains: Vec<&LinkFile> = files.iter().filter(|file| !file.name.contains('/')).collect();
    mains.sort_by(|a, b| (&a.name, a.folder).cmp(&(&b.name, b.folder)));
    mains.dedup_by(|later, first| later.name == first.name);
    // One that is empty, or leads to /dev/null, masks its name.
    mains.retain(|file| file.lines.as_ref().is_none_or(|lines| !lines.is_empty()));
    let link = |main: &&'_ LinkFile| -> Link<'_> {
        let file = files.iter().find(|file| file.name == main.name && file.folder == main.folder);
        let mut drop_ins: Vec<&LinkFile> = files
            .iter()
            .filter(|file| {
                file.name.strip_suffix(".conf").is_some_and(|_| file.name.starts_with(&format!("{}.d/", main.name)))
            })
            .collect();
        drop_ins.sort_by(|a, b| (&a.name, a.folder).cmp(&(&b.name, b.folder)));
        drop_ins.dedup_by(|later, first| later.name == first.name);
        let all = file.into_iter().chain(drop_ins);
        let settings = all.map(|file| file.lines.as_deref().map(settings)).collect::<Option<Vec<_>>>();
        Link { name: file.map_or("", |file| file.name.as_str()), settings: settings.map(|list| list.concat()) }
    };
    mains.iter().map(link).collect()
}

fn settings(lines: &[String]) -> Vec<(&str, &str, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in lines {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=') {
            found.push((section, key.trim(), value.trim()));
        }
    }
    found
}

impl Link<'_> {
    /// Whether it is for this card; `None`: nobody can tell.
    pub(super) fn is_for(&self, port: &Nic, driver: Option<&str>) -> Option<bool> {
        let settings = self.settings.as_ref()?;
        let conditions: Vec<_> = settings.iter().filter(|(section, ..)| *section == "Match").collect();
        // Without a condition the file is ignored.
        if conditions.is_empty() {
            return Some(false);
        }
        let mut sure = true;
        for (_, key, value) in conditions {
            let is_met = match *key {
                "MACAddress" | "PermanentMACAddress" => {
                    let mac = port.mac.to_ascii_lowercase();
                    let is_it = |word: &str| word.to_ascii_lowercase().replace('-', ":") == mac;
                    Some(value.split_whitespace().any(is_it))
                }
                "OriginalName" if value.split_whitespace().any(|word| word == "*") => Some(true),
                "Driver" => driver.map(|driver| value.split_whitespace().any(|word| word == driver)),
                "Type" => Some(value.split_whitespace().any(|word| word == "ether" || word == "*")),
                // Names of the kernel, paths and properties are not known here.
                _ => None,
            };
            match is_met {
                Some(false) => return Some(false),
                Some(true) => {}
                None => sure = false,
            }
        }
        sure.then_some(true)
    }

    /// Whether it arms Wake-on-LAN by magic packet; `None`: it leaves that alone.
    pub(super) fn arms(&self) -> Option<bool> {
        let settings = self.settings.as_ref()?;
        let last = settings.iter().rev().find(|(section, key, _)| (*section, *key) == ("Link", "WakeOnLan"))?;
        Some(last.2.split_whitespace().any(|word| word == "magic"))
    }

    /// What else it says in its section `[Link]`, as lines.
    pub(super) fn rest(&self) -> Vec<String> {
        let settings = self.settings.iter().flatten();
        let rest = settings.filter(|(section, key, _)| *section == "Link" && *key != "WakeOnLan");
        rest.map(|(_, key, value)| format!("{key}={value}")).collect()
    }
}
