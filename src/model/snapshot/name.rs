//! Names of snapshots and labels: Proxmox VE's rules, and the reserved names that it lets pass.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

/// The name of a snapshot that Proxmox VE takes, and that stands for no other thing there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SnapshotName(String);

/// The longest name that Proxmox VE takes.
const LONGEST: usize = 40;

/// Names that Proxmox VE uses itself. It refuses only some of them, and only in this spelling.
const RESERVED: [&str; 3] = ["current", "pending", "vzdump"];

impl FromStr for SnapshotName {
    type Err = String;

    /// A letter, then letters, digits, `-` and `_`; 2 to 40 characters (pve-common, `pve-configid`).
    fn from_str(text: &str) -> Result<SnapshotName, String> {
        if RESERVED.iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Err(format!("Proxmox VE uses the name `{text}` itself: choose another one"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) || !text.chars().all(allowed) {
            return Err("a name begins with a letter, and has letters, digits, `-` and `_` only".to_owned());
        }
        if !(2..=LONGEST).contains(&text.len()) {
            return Err(format!("a name has 2 to {LONGEST} characters"));
        }
        Ok(SnapshotName(text.to_owned()))
    }
}

impl SnapshotName {
    /// The name of a snapshot without one: `ecobox-20261129-210000`, `ecobox-daily-20261129-210000`. The time is UTC, so that
    /// names are in the order of their ages, and none comes twice when clocks are set back.
    pub(crate) fn by_default(label: Option<&Label>, at: Timestamp) -> SnapshotName {
        let time = at.strftime("%Y%m%d-%H%M%S");
        SnapshotName(match label {
            Some(label) => format!("ecobox-{label}-{time}"),
            None => format!("ecobox-{time}"),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What snapshots of one series have in common: `daily`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label(String);

/// So that a name with it fits.
const LONGEST_LABEL: usize = 16;

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Label, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if text.is_empty() || text.len() > LONGEST_LABEL || !text.chars().all(allowed) {
            return Err(format!("a label has 1 to {LONGEST_LABEL} lower-case letters, digits, `-` and `_`"));
        }
        Ok(Label(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_proxmox_takes_without_its_own() {
        let long = "a".repeat(40);
        for name in ["before", "s1", "S_1-x", "currently", "pending2", long.as_str()] {
            assert_eq!(name.parse::<SnapshotName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        let too_long = "a".repeat(41);
        for name in [
            "",
            "a",
            "1bad",
            "-a",
            "_a",
            "a b",
            "a.b",
            "ä1",
            "a/b",
            "a%2e",
            "current",
            "Current",
            "CURRENT",
            "pending",
            "PENDING",
            "vzdump",
            "VzDump",
            "a\n",
            too_long.as_str(),
        ] {
            assert!(name.parse::<SnapshotName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_by_default_is_one_that_proxmox_takes() {
        let at: Timestamp = "2026-11-29T21:00:00Z".parse().unwrap();
        let name = SnapshotName::by_default(None, at);
        assert_eq!(name.as_str(), "ecobox-20261129-210000");
        assert_eq!(name.as_str().parse(), Ok(name.clone()));
        let longest: Label = "a".repeat(LONGEST_LABEL).parse().unwrap();
        for label in [longest, "daily".parse().unwrap(), "7".parse().unwrap()] {
            let name = SnapshotName::by_default(Some(&label), at);
            assert_eq!(name.as_str().parse(), Ok(name.clone()), "{name}");
        }
        for label in ["", "Daily", "a b", "aaaaaaaaaaaaaaaaa", "ä", "a=b", "a]"] {
            assert!(label.parse::<Label>().is_err(), "{label:?}");
        }
    }
}
