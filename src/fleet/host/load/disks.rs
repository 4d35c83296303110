//! What `df -P -k` says.
//!
//! Its columns are not safe to split: device and mount point may contain blanks. Which mount points were asked for is
//! known, so each line is recognised by its end.

use crate::model::load::reading::Filesystem;

/// File systems, the root first, and what is to be known about them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) list: Vec<Filesystem>,
    pub(super) reasons: Vec<String>,
}

/// The file systems of df's lines. `mounts` are device and mount point of what it was asked for, as /proc/mounts writes
/// them, in df's order; the root is always asked for, first.
pub(super) fn filesystems(mounts: &[(&str, &str)], df: &[&str]) -> Found {
    let root_device = mounts.iter().rev().find(|(_, mount)| *mount == "/").map(|(device, _)| *device);
    let named = |mount: String| (shown(&mount), mount);
    let mut asked = vec![named("/".to_owned())];
    // The root's device may be seen elsewhere before it is seen as the root.
    let others = mounts.iter().filter(|(device, mount)| *mount != "/" && Some(*device) != root_device);
    asked.extend(others.map(|(_, mount)| named(unescape(mount))));

    let mut found = Found::default();
    let mut next = 0;
    let mut broken = 0_usize;
    for line in df.iter().map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty()) {
        // df keeps the order; what it cannot tell it leaves out.
        let hit = asked.iter().enumerate().skip(next).find_map(|(at, (shown, mount))| {
            let sizes = columns(line, mount).or_else(|| columns(line, shown))?;
            Some((at, mount, sizes))
        });
        // In a changed root df may name another mount point; it was asked for one only.
        let only = || {
            let [(_, root)] = asked.as_slice() else { return None };
            let (_, mount) = line.rsplit_once("% ").filter(|_| next == 0)?;
            Some((0, root, columns(line, mount)?))
        };
        let Some((at, mount, sizes)) = hit.or_else(only) else { continue };
        next = at + 1;
        match sizes {
            Sizes::Bytes { used, size } => {
                found.list.push(Filesystem { mount: mount.clone(), used_bytes: used, size_bytes: size });
            }
            Sizes::Senseless => broken += 1,
        }
    }
    if found.list.first().is_none_or(|first| first.mount != "/") {
        found.reasons.push("df does not list the root file system".to_owned());
    }
    let others = found.list.iter().filter(|one| one.mount != "/").count();
    let missing = (asked.len() - 1).saturating_sub(others);
    if missing > 0 {
        found.reasons.push(format!("df does not list {missing} of {} other file systems", asked.len() - 1));
    }
    if broken > 0 {
        found.reasons.push(format!("{broken} lines of df make no sense"));
    }
    found
}

/// What a line of df says.
enum Sizes {
    /// In use, and what users may fill.
    Bytes {
        used: u64,
        size: u64,
    },
    Senseless,
}

/// The numbers of df's line that ends with this mount point; `None` if this line does not.
fn columns(line: &str, mount: &str) -> Option<Sizes> {
    let rest = line.strip_suffix(mount)?.strip_suffix(' ')?;
    // device, size, used, available, percent; the device may be of several words
    let mut words = rest.split_whitespace().rev();
    let percent = words.next()?;
    let (available, used, size) = (words.next()?, words.next()?, words.next()?);
    let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty();
    if !(percent == "-" || percent.strip_suffix('%').is_some_and(number))
        || ![size, used, available].iter().all(|w| number(w.trim_start_matches('-')))
    {
        return None;
    }
    let bytes = |word: &str| word.parse::<u64>().ok()?.checked_mul(1024);
    // Below zero: root has taken of what is kept for it, and users get nothing.
    let available = if available.starts_with('-') { Some(0) } else { bytes(available) };
    let sizes = || {
        let used = bytes(used)?;
        let size = used.checked_add(available?)?;
        // A file system without blocks has no percentage.
        (size > 0).then_some(Sizes::Bytes { used, size })
    };
    Some(sizes().unwrap_or(Sizes::Senseless))
}

/// How GNU df prints a name: control characters as question marks.
fn shown(mount: &str) -> String {
    mount.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The kernel writes blanks, tabs, line ends and backslashes as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        let octal = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
