//! `[idle]` and `[servers.idle]`: what counts as idle, for `power --if-idle`. What a server's table leaves out is that of
//! `[idle]`; a list replaces the other one.

use super::error::Checked;
use super::read::Reader;
use super::validate;
use super::values::{command, decimal, each, expecting, size};
use crate::model::host::idle::IdleSettings;
use crate::model::host::idle::hours::Hours;
use crate::model::text::quoted;

/// The keys of both tables; the last one is also a key of other tables.
pub(super) const KEYS: &[&str] = &[
    "cpu_percent",
    "load",
    "network",
    "disk",
    "ports",
    "ignore_ports",
    "ignore_users",
    "ignore_timers",
    "not_between",
    "command",
];
/// Those that mean nothing else anywhere: under another header they are misplaced, not misspelt.
pub(super) const ONLY_HERE: &[&str] = match KEYS {
    [only_here @ .., _command] => only_here,
    [] => &[],
};
pub(super) const PLACE: &str = "in [idle]";
pub(super) const OF_SERVER: &str = "in [servers.idle]";

/// More bytes a second than any server moves.
const MOST_BYTES: u64 = 1 << 40;

/// Reads a table; what it leaves out is `usual`.
pub(super) fn read(table: &Reader<'_>, usual: &IdleSettings, elsewhere: &[(&[&str], &str)]) -> Checked<IdleSettings> {
    table.only(KEYS, elsewhere)?;
    #[expect(clippy::cast_possible_truncation, reason = "a percentage and a load average are small")]
    let small = |value: f64| value as f32;
    #[expect(clippy::cast_precision_loss, reason = "a threshold needs no more places")]
    let bytes = |value: u64| value as f64;
    Ok(IdleSettings {
        cpu_percent: decimal(table, "cpu_percent", 0.0..=100.0)?.map_or(usual.cpu_percent, small),
        load: decimal(table, "load", 0.0..=1000.0)?.map_or(usual.load, small),
        network: size(table, "network", MOST_BYTES)?.map_or(usual.network, bytes),
        disk: size(table, "disk", MOST_BYTES)?.map_or(usual.disk, bytes),
        ports: table.ports("ports")?.unwrap_or_else(|| usual.ports.clone()),
        ignore_ports: table.ports("ignore_ports")?.unwrap_or_else(|| usual.ignore_ports.clone()),
        ignore_users: strings(table, "ignore_users", validate::user)?.unwrap_or_else(|| usual.ignore_users.clone()),
        ignore_timers: strings(table, "ignore_timers", timer)?.unwrap_or_else(|| usual.ignore_timers.clone()),
        command: on_host(table)?.or_else(|| usual.command.clone()),
        not_between: hours(table)?.unwrap_or_else(|| usual.not_between.clone()),
    })
}

fn strings(
    table: &Reader<'_>,
    key: &str,
    rule: impl Fn(&str) -> Result<String, String>,
) -> Checked<Option<Vec<String>>> {
    table.strings(key)?.map(|list| each(&list.value, key, rule)).transpose()
}

/// A unit's name, or a pattern of one.
fn timer(text: &str) -> Result<String, String> {
    let bad = text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control());
    if bad {
        Err(format!("{} is not a name of a timer, as `backup.timer` or `apt-*`", quoted(text)))
    } else {
        Ok(text.to_owned())
    }
}

/// What runs on the host: its words travel inside a script, one line each.
fn on_host(table: &Reader<'_>) -> Checked<Option<Vec<String>>> {
    let words = command(table, "command")?;
    if let (Some(words), Some(key)) = (&words, table.key("command"))
        && words.iter().any(|word| word.contains(['\n', '\r']))
    {
        return Err(key.problem("`command` contains a line break: put it into a script on the host"));
    }
    Ok(words)
}

fn hours(table: &Reader<'_>) -> Checked<Option<Vec<Hours>>> {
    let list = expecting(table.strings("not_between"), "a list of strings", "a list like [\"Mon-Fri 08:00-18:00\"]")?;
    let Some(list) = list else { return Ok(None) };
    let read = |entry: &super::read::At<&str>| {
        Hours::parse(entry.value).ok_or_else(|| {
            let shown = quoted(entry.value);
            entry.problem(format!(
                "`not_between`: {shown} is not a time of the week, as `Mon-Fri 08:00-18:00`, `Sat,Sun` or `22:00-06:00`"
            ))
        })
    };
    list.value.iter().map(read).collect::<Checked<_>>().map(Some)
}
