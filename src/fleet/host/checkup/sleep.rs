//! Reads what a host says of its sleep. Reading is lenient: a line that is missing or senseless costs that one fact.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

use super::MOST;
use crate::fleet::host::facts::word;
use crate::fleet::host::power::preflight::inhibitors_of;
use crate::model::check::sleep::{Held, LinkFile, SleepFacts};

/// Ticks of the kernel's clock for programs in a second, on all that Linux runs on.
const TICKS: u64 = 100;

/// What the script's output tells.
pub(super) fn parse(text: &str) -> SleepFacts {
    let mut facts = SleepFacts::default();
    let mut uptime: Option<u64> = None;
    let mut since: Vec<(u32, u64)> = Vec::new();
    let mut holders: Vec<(String, String, u32)> = Vec::new();
    let (mut states, mut memory) = (None, None);
    for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        let value = value.trim();
        let two = || value.split_once(' ').map(|(first, rest)| (first.to_owned(), rest.trim().to_owned()));
        match key {
            "sleep" => states = word(value),
            "memsleep" => memory = word(value),
            "virt" => facts.virtual_machine = word(value).filter(|virt| virt != "none"),
            "inhibitors" => {
                let locks = inhibitors_of(value).unwrap_or_default();
                holders = locks.into_iter().map(|(lock, pid)| (lock.who, lock.why, pid)).collect();
            }
            "uptime" => uptime = value.split('.').next().and_then(|seconds| seconds.parse().ok()),
            "since" if since.len() < MOST => {
                let line = value.split_once(' ');
                since.extend(line.and_then(|(pid, ticks)| Some((pid.parse().ok()?, ticks.parse().ok()?))));
            }
            "members" => {
                facts.members = super::members(value)
                    .map(|nodes| (nodes.len(), nodes.iter().filter(|(_, online)| *online).count()));
            }
            "sender" => facts.senders.extend(word(value)),
            _ => take_boot(&mut facts, key, value, two()),
        }
    }
    facts.states = states.map(|states| match memory {
        Some(memory) => format!("{states} ({memory})"),
        None => states,
    });
    let runs = |pid: u32| {
        let started = since.iter().find(|(known, _)| *known == pid)?.1 / TICKS;
        Some(uptime?.saturating_sub(started))
    };
    facts.held = holders.into_iter().map(|(who, why, pid)| Held { who, why, seconds: runs(pid) }).collect();
    facts
}

/// What says whether Wake-on-LAN will be armed after the next boot.
fn take_boot(facts: &mut SleepFacts, key: &str, value: &str, two: Option<(String, String)>) {
    let boot = &mut facts.boot;
    match key {
        // Only where systemd runs the facts script says it.
        "masked" => boot.systemd = true,
        "link" | "linkshut" if boot.links.len() < MOST => {
            let file = two.and_then(|(folder, name)| {
                let lines = (key == "link").then(Vec::new);
                Some(LinkFile { folder: folder.parse().ok()?, name, lines })
            });
            boot.links.extend(file);
        }
        "linkline" => {
            let lines = boot.links.last_mut().and_then(|file| file.lines.as_mut());
            if let Some(lines) = lines.filter(|lines| lines.len() < MOST) {
                lines.extend(word(value));
            }
        }
        "applied" => boot.applied.extend(two),
        "driver" => boot.drivers.extend(two),
        "connection" => boot.connections.extend(two),
        "connectionwol" => boot.connection_wol.extend(two),
        "defaultwol" => boot.default_wol = word(value),
        "ifline" if boot.interfaces.len() < MOST => boot.interfaces.extend(word(value)),
        "ifupdown2" => boot.ifupdown2 = true,
        "ifethtool" => boot.if_ethtool = true,
        "armer" if boot.armers.len() < MOST => boot.armers.extend(two),
        "wanted" if boot.wanted.len() < MOST => boot.wanted.extend(word(value)),
        // Its default is to switch it off.
        "tlp" => {
            boot.tlp_disarms.get_or_insert(true);
        }
        "tlpwol" => {
            let value = value.trim_matches(['"', '\'']);
            boot.tlp_disarms = boot.tlp_disarms.map(|_| !matches!(value, "N" | "0"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_of_its_sleep_is_read() {
        let text = "sleep\tfreeze mem disk\nmasked\tno\n\
            inhibitors\ta(ssssuu) 1 \"sleep\" \"Backup\" \"a job\" \"block\" 0 812\n\
            members\t{\"nodelist\":{\"a\":{\"online\":1},\"b\":{\"online\":0}}}\n\
            memsleep\ts2idle [deep]\nvirt\tnone\n\
            uptime\t93784.21\nsince\t812 9300000\n\
            link\t1 50-eno1.link\nlinkline\t[Match]\nlinkline\tMACAddress=a8:a1:59:00:00:01\n\
            linkshut\t4 90-x.link\nlinkline\tlost\napplied\teno1 50-eno1.link\ndriver\teno1 igc\n\
            connection\teno1 Wired connection 1\nconnectionwol\teno1 default\ndefaultwol\t64\n\
            ifline\tiface eno1 inet manual\nifupdown2\tyes\narmer\twol@.service ExecStart=ethtool -s %i wol g\n\
            wanted\twol@eno1.service\ntlp\tyes\ntlpwol\t\"N\"\nsender\tperl\n";
        let facts = parse(text);
        assert_eq!(facts.states.as_deref(), Some("freeze mem disk (s2idle [deep])"));
        assert_eq!(facts.virtual_machine, None);
        assert_eq!((facts.held[0].seconds, facts.members), (Some(784), Some((2, 1))));
        let boot = facts.boot;
        assert_eq!(boot.links[0].lines.as_deref().unwrap().len(), 2);
        assert_eq!((boot.links[1].name.as_str(), &boot.links[1].lines), ("90-x.link", &None));
        assert_eq!(boot.connections, [("eno1".to_owned(), "Wired connection 1".to_owned())]);
        assert_eq!(boot.armers[0].0, "wol@.service");
        assert_eq!((boot.systemd, boot.ifupdown2, boot.tlp_disarms), (true, true, Some(false)));
        // TLP switches it off unless it is told not to.
        assert_eq!(parse("tlp\tyes\n").boot.tlp_disarms, Some(true));
        assert_eq!(parse("tlpwol\tY\n").boot.tlp_disarms, None);
        for senseless in ["since\tx", "link\t", "linkline\tx", "members\t[]", "inhibitors\tx 1"] {
            let facts = parse(senseless);
            assert!(facts.held.is_empty() && facts.members.is_none() && facts.boot.links.is_empty(), "{senseless}");
        }
    }
}
