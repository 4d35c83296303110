//! Who runs this, and where: what ssh asks the system for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The user id of this process.
pub(crate) fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

/// Who runs this: the owner of this process in /etc/passwd, else `USER` or `LOGNAME`.
pub(super) fn own_name() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let known = own_uid().and_then(|uid| passwd(|fields| fields.get(2) == Some(&uid.to_string().as_str())));
    known.map(|(name, _)| name).or_else(|| variable("USER")).or_else(|| variable("LOGNAME"))
}

/// The home that /etc/passwd gives to who runs this. It is what ssh goes by, whatever HOME says.
pub(super) fn own_home() -> Option<PathBuf> {
    let uid = own_uid()?.to_string();
    passwd(|fields| fields.get(2) == Some(&uid.as_str())).map(|(_, home)| home)
}

/// The home of another user.
pub(super) fn home_of(user: &str) -> Option<PathBuf> {
    passwd(|fields| fields.first() == Some(&user)).map(|(_, home)| home)
}

/// The name and home of the first account that is wanted.
fn passwd(wanted: impl Fn(&[&str]) -> bool) -> Option<(String, PathBuf)> {
    let text = String::from_utf8_lossy(&fs::read("/etc/passwd").ok()?).into_owned();
    let mut accounts = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = accounts.find(|fields| wanted(fields))?;
    Some(((*fields.first()?).to_owned(), PathBuf::from(*fields.get(5)?)))
}

/// The name of this machine.
pub(super) fn own_host_name() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())
}

/// A path that begins with `~/` or `~user/`, as ssh replaces it; others stay. None: there is no such user.
pub(super) fn tilde(text: &str, home: &std::path::Path) -> Option<PathBuf> {
    let Some(rest) = text.strip_prefix('~') else { return Some(text.into()) };
    let (user, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if user.is_empty() { home.to_owned() } else { home_of(user)? };
    Some(if rest.is_empty() { home } else { home.join(rest) })
}
