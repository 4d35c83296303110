//! Locks against sleep and shutdown that programs hold, as logind's bus and `systemd-inhibit` list them.

use super::MOST;
use crate::fleet::host::power::way::text;
use crate::model::host::power::Inhibitor;

/// `block`, and since systemd 257 `block-weak`, which spares who is asked politely.
pub(super) fn blocks(mode: &str) -> bool {
    mode.trim().starts_with("block")
}

/// The locks of mode `block` in the bus's answer. `None`: it is no such answer, or it was cut off.
pub(super) fn of_bus(value: &str) -> Option<Vec<Inhibitor>> {
    Some(inhibitors_of(value)?.into_iter().map(|(inhibitor, _)| inhibitor).collect())
}

/// `a(ssssuu) 2 "sleep" "NetworkManager" "why" "delay" 0 812 "shutdown:sleep" ...`: what, who, why, mode, uid, pid. Gives
/// those of mode `block`, and the process that holds each.
pub(in crate::fleet::host) fn inhibitors_of(value: &str) -> Option<Vec<(Inhibitor, u32)>> {
    let rest = value.strip_prefix("a(ssssuu) ")?;
    let (count, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let count: usize = count.parse().ok().filter(|count| *count <= MOST)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let mut strings: [String; 4] = Default::default();
        for string in &mut strings {
            *string = quoted(&mut rest)?;
        }
        let mut pid = 0;
        for _ in 0..2 {
            let number = rest.trim_start();
            let (number, after) = number.split_once(' ').unwrap_or((number, ""));
            pid = number.parse::<u32>().ok()?;
            rest = after;
        }
        let [what, who, why, mode] = strings;
        if blocks(&mode) {
            found.push((Inhibitor { who: text(&who), what: text(&what), why: text(&why) }, pid));
        }
    }
    Some(found)
}

/// Takes one string in double quotes, with C's escapes, from the front.
fn quoted(rest: &mut &str) -> Option<String> {
    let inner = rest.trim_start().strip_prefix('"')?;
    let mut bytes = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                *rest = chars.as_str();
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
            '\\' => match chars.next()? {
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'r' => bytes.push(b'\r'),
                digit @ '0'..='7' => {
                    let mut value = u32::from(digit) - 48;
                    for _ in 0..2 {
                        value = value * 8 + chars.next()?.to_digit(8)?;
                    }
                    bytes.push(u8::try_from(value).ok()?);
                }
                'x' => {
                    let high = chars.next()?.to_digit(16)?;
                    bytes.push(u8::try_from(high * 16 + chars.next()?.to_digit(16)?).ok()?);
                }
                other => bytes.extend(other.to_string().bytes()),
            },
            c => bytes.extend(c.to_string().bytes()),
        }
    }
    None
}

/// A line of `systemd-inhibit --list`: WHO UID USER PID COMM WHAT WHY MODE, the names perhaps with blanks.
pub(super) fn of_columns(line: &str) -> Option<(Inhibitor, String)> {
    const WORDS: [&str; 8] = [
        "shutdown",
        "sleep",
        "idle",
        "handle-power-key",
        "handle-suspend-key",
        "handle-hibernate-key",
        "handle-lid-switch",
        "handle-reboot-key",
    ];
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at).is_some_and(|word| word.parse::<u32>().is_ok());
    // COMM may have blanks as well: the PID stands somewhere before WHAT, the UID two before it.
    let uid_before = |what: usize| (1..what.saturating_sub(3)).find(|uid| number(*uid) && number(*uid + 2));
    let (at, what, uid) = words.iter().enumerate().skip(5).find_map(|(at, word)| {
        word.split(':').all(|what| WORDS.contains(&what)).then(|| Some((at, *word, uid_before(at)?)))?
    })?;
    let (who, (mode, why)) = (words.get(..uid)?, words.get(at + 1..)?.split_last()?);
    let inhibitor = Inhibitor { who: text(&who.join(" ")), what: what.to_owned(), why: text(&why.join(" ")) };
    Some((inhibitor, (*mode).to_owned()))
}
