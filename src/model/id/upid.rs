//! The id of a task of Proxmox VE.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::{InvalidId, NodeName, invalid};

/// A task's id: `UPID:{node}:{pid}:{pstart}:{start time}:{type}:{id}:{user}:`, numbers in hexadecimal (pve-common,
/// `UPID.pm`). The trailing colon is a part of it: without it Proxmox VE knows no such task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Upid {
    /// As Proxmox VE wrote it.
    text: String,
    node: NodeName,
    /// Clock ticks since the node's start.
    process_start: u64,
    started: Timestamp,
    kind: String,
    id: String,
    user: String,
}

impl Upid {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The node on which it runs, and which must be asked about it.
    pub(crate) fn node(&self) -> &NodeName {
        &self.node
    }

    /// When it began, by the node's clock, to the second.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// What tasks of one node are in order by: the later one is greater.
    pub(crate) fn age(&self) -> (Timestamp, u64) {
        (self.started, self.process_start)
    }

    /// Its type, e.g. `qmstart`.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// What it works on: a guest's vmid in digits, often empty for others.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Who started it: `user@realm`, or `user@realm!name` for a token.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }
}

impl FromStr for Upid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || invalid("task id", text, "UPID:node:pid:pstart:start:type:id:user:");
        let parts: Vec<&str> = text.split(':').collect();
        let [tag, node, pid, process_start, started, kind, id, user, end] = parts.as_slice() else { return Err(bad()) };
        let hex = |digits: &str, longest: usize| {
            let sound = (8..=longest).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            sound.then(|| u64::from_str_radix(digits, 16).ok()).flatten().ok_or_else(bad)
        };
        let word = |word: &str| !word.contains(|c: char| c.is_whitespace() || c == '/');
        if *tag != "UPID"
            || !end.is_empty()
            || kind.is_empty()
            || user.is_empty()
            || ![kind, id, user].iter().all(|w| word(w))
        {
            return Err(bad());
        }
        hex(pid, 8)?;
        let seconds = i64::try_from(hex(started, 8)?).map_err(|_| bad())?;
        Ok(Upid {
            text: text.to_owned(),
            node: node.parse().map_err(|_| bad())?,
            process_start: hex(process_start, 9)?,
            started: Timestamp::from_second(seconds).map_err(|_| bad())?,
            kind: (*kind).to_owned(),
            id: (*id).to_owned(),
            user: (*user).to_owned(),
        })
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_proxmox_gives_is_read_and_nothing_else() {
        let upid: Upid = "UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:power@pve!vm:".parse().unwrap();
        assert_eq!(
            (upid.node().as_str(), upid.kind(), upid.id(), upid.user()),
            ("pve1", "qmstart", "105", "power@pve!vm")
        );
        assert_eq!((upid.started().as_second(), upid.age().1), (1_795_383_069, 335_351));
        for (text, ok) in [
            ("UPID:pve1:00000BD7:100051DF7:6B035F1D:qmstart:105:power@pve!vm:", true),
            ("UPID:p-1:00000bd7:00051df7:6b035f1d:aptupdate::root@pam:", true),
            ("UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:power@pve!vm", false),
            ("UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:power@pve!vm::", false),
            ("UPID:pve1:BD7:00051DF7:6B035F1D:qmstart:105:root@pam:", false),
            ("UPID:pve1:00000BD7:0000051DF7:6B035F1D:qmstart:105:root@pam:", false),
            ("UPID:pve1:00000BD7:00051DF7:6B035F1D::105:root@pam:", false),
            ("UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:1/5:root@pam:", false),
            ("UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:ro ot@pam:", false),
            ("UPID:-pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:root@pam:", false),
            ("UPID:pve1:+0000BD7:00051DF7:6B035F1D:qmstart:105:root@pam:", false),
            ("upid:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:root@pam:", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Upid>().is_ok(), ok, "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_of_the_pattern_comes_out_as_it_went_in(
            text in "UPID:[a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[a-z]{1,12}:[^:\\s/]{0,9}:[a-z!@.%?#\u{e9}]{1,20}:"
        ) {
            prop_assert_eq!(text.parse::<Upid>().unwrap().to_string(), text);
        }

        #[test]
        fn nothing_else_breaks_it(text in ".{0,80}", cut in 0..70_usize) {
            let _ = text.parse::<Upid>();
            let whole = "UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:power@pve!vm:";
            prop_assert!(whole[..cut.min(whole.len() - 1)].parse::<Upid>().is_err());
        }
    }
}
