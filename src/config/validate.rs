//! What the text of a value must look like. An error is a fragment that says what is wrong with it.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::access::certificate::Fingerprint;
use crate::model::host::login::{is_host_name, is_user_name};
use crate::model::id::ServerId;
use crate::model::inventory::server::{Expected, ServiceType};
use crate::model::text::{did_you_mean, quoted};

/// Longer than any useful interval; sums with a clock's time stay in range.
pub(super) const LONGEST: u64 = 366 * 24 * 3600;

pub(super) fn server_id(text: &str) -> Result<ServerId, String> {
    text.parse::<ServerId>().map_err(|error| format!("{} is not a valid server id: {}", quoted(text), error.rule))
}

/// A text to show: not empty, without control characters.
pub(super) fn label(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("is empty".to_owned())
    } else if text.contains(char::is_control) {
        Err(format!("{} contains control characters", quoted(text)))
    } else {
        Ok(text.to_owned())
    }
}

/// A DNS name, an address, or whatever else ssh takes for a host, as an alias of `ssh_config`.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let shown = quoted(text);
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains("://") {
        return Err(format!("{shown} is a URL; write the host name alone"));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Err(format!("{shown}: write the address without brackets, {}", quoted(inside)));
    }
    if let Some((_, address)) = text.rsplit_once('@') {
        return Err(format!("{shown}: write the host name alone, {}; a user goes into `ssh_user`", quoted(address)));
    }
    if !is_host_name(text) {
        return Err(format!(
            "{shown} is not a valid host name: no blanks, quotes or `$\\;&<>|(){{}},` in it, no `-` first, at most 253"
        ));
    }
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    if text.contains(':') && address.parse::<Ipv6Addr>().is_err() {
        return Err(format!("{shown} is not a valid IPv6 address; a port goes into `ssh_port` or `api_port`"));
    }
    Ok(text.to_owned())
}

/// The name of a host that is asked over HTTPS, or of one in a URL.
pub(super) fn api_host(text: &str) -> Result<String, String> {
    let name = host(text)?;
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c)) {
        return Ok(name);
    }
    // No URL can say it (RFC 6874 was withdrawn), and over SSH the API is reached through the host itself.
    if name.contains('%') {
        return Err(format!(
            "{} names an interface, and the API cannot be asked so: write another address of the host, or leave \
             `type = \"proxmox\"` out to go through SSH",
            quoted(text)
        ));
    }
    Err(format!("{} is not a valid host name for the API: letters, digits, `.`, `_`, `:` and `-`", quoted(text)))
}

/// A user name as ssh takes it. A blank is allowed where `ssh_config` says it; here it is more often a slip.
pub(crate) fn user(text: &str) -> Result<String, String> {
    if is_user_name(text) && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    let rule = "no blanks, quotes or `;&<>|(){}` in it, no `-` first, no `\\` last, at most 255";
    Err(format!("{} is not a valid user name: {rule}", quoted(text)))
}

/// `none`, or hops of the form `[user@]host[:port]` separated by commas, as in OpenSSH's `ProxyJump`.
pub(super) fn proxy_jump(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty; `none` means no jump host".to_owned());
    }
    if text.eq_ignore_ascii_case("none") {
        return Ok("none".to_owned());
    }
    for hop in text.split(',') {
        let (name, rest) = hop.rsplit_once('@').map_or((None, hop), |(name, rest)| (Some(name), rest));
        if let Some(name) = name {
            user(name)?;
        }
        let (address, port) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((address, "")) => (address, None),
            Some((address, tail)) => (address, Some(tail.strip_prefix(':').unwrap_or("?"))),
            None => match rest.split_once(':') {
                Some((_, tail)) if tail.contains(':') => (rest, None),
                Some((address, port)) => (address, Some(port)),
                None => (rest, None),
            },
        };
        let good_port =
            |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
        if host(address).is_err() || !port.is_none_or(good_port) {
            return Err(format!(
                "{} is not a valid jump host: `[user@]host[:port]`, several separated by commas",
                quoted(hop)
            ));
        }
    }
    Ok(text.to_owned())
}

pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    if let Ok(fingerprint) = text.parse() {
        return Ok(fingerprint);
    }
    let digits: Vec<char> = text.trim().chars().filter(|c| *c != ':').collect();
    let shown = quoted(text);
    if digits.len() == 40 && digits.iter().all(char::is_ascii_hexdigit) {
        return Err(format!(
            "{shown} is a SHA-1 fingerprint; the SHA-256 is needed, which `openssl x509 -noout -fingerprint -sha256` prints"
        ));
    }
    Err(format!("{shown} is not a SHA-256 fingerprint: 32 bytes as AA:BB:.."))
}

pub(super) fn service_type(text: &str) -> Result<ServiceType, String> {
    let found = ServiceType::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| unknown("service type", text, &ServiceType::ALL.map(ServiceType::as_str)))
}

pub(super) fn expected(text: &str) -> Result<Expected, String> {
    match text {
        "on" => Ok(Expected::On),
        "asleep" => Ok(Expected::Asleep),
        "any" => Ok(Expected::Any),
        _ => Err(unknown("state to expect", text, &["on", "asleep", "any"])),
    }
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let lower = text.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) { Ok(lower) } else { Err(unknown("log level", text, &LEVELS)) }
}

/// The complaint about a word that is not one of a fixed list.
pub(super) fn unknown(what: &str, text: &str, known: &[&str]) -> String {
    let hint = did_you_mean(text, known.iter().copied());
    format!(
        "{} is not a valid {what}{}",
        quoted(text),
        hint.unwrap_or_else(|| format!("; there are {}", known.join(", ")))
    )
}

/// A tag, by PVE's own rule (`pve-tag` in pve-common).
pub(super) fn tag(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if first && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+.".contains(c)) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{} is not a valid tag: letters, digits, `_`, `-`, `+` and `.`, a letter, digit or `_` first",
            quoted(text)
        ))
    }
}

/// `90`, `5m`, `1h 30m`, `2d`; a day has 24 hours. At most `longest` seconds, which are whole days.
pub(super) fn duration(text: &str, longest: u64) -> Result<Duration, String> {
    let bad = || format!("{} is not a valid duration: seconds, or a text like `90s`, `5m`, `1h 30m`", quoted(text));
    let trimmed = text.trim();
    let duration = if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(trimmed.parse().map_err(|_| bad())?)
    } else {
        let span: jiff::Span = trimmed.parse().map_err(|_| bad())?;
        let signed = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
        Duration::try_from(signed).map_err(|_| bad())?
    };
    if duration.as_secs() > longest {
        return Err(format!("{} is longer than {} days", quoted(text), longest / (24 * 3600)));
    }
    Ok(duration)
}

/// Bytes: `4096`, `64K`, `64M`, `2GiB`; the units are those of 1024. At most `largest`.
pub(super) fn size(text: &str, largest: u64) -> Result<u64, String> {
    let bad = || format!("{} is not a valid size: bytes, or a text like `512K`, `64M`, `1G`", quoted(text));
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let unit = match unit.trim_start().trim_end_matches("iB").to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(bad()),
    };
    let bytes = number.parse::<u128>().map_err(|_| bad())?.checked_mul(1 << unit).ok_or_else(bad)?;
    match u64::try_from(bytes) {
        Ok(bytes) if bytes <= largest => Ok(bytes),
        _ => Err(format!("{} is more than {} GiB", quoted(text), largest >> 30)),
    }
}

/// An http or https URL without a user or a password. It is not echoed: it may contain one.
pub(super) fn url(text: &str) -> Result<String, String> {
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
        return Err("is not a valid URL: it begins with `http://` or `https://`".to_owned());
    };
    // RFC 3986, without what only escapes may stand for.
    let outside = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}#".contains(c);
    if let Some(c) = text.chars().find(|c| outside(*c)) {
        return Err(format!("is not a valid URL: it contains {}", quoted(&c.to_string())));
    }
    let until = rest.find(['/', '?']).unwrap_or(rest.len());
    if rest[..until].contains('@') {
        return Err("contains a user or a password; use `username` and `password_command`".to_owned());
    }
    let (name, port) = authority(rest);
    let good_port =
        port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|p: u16| p > 0));
    if !good_port {
        return Err(format!(
            "is not a valid URL: after the host comes {}, which is not a port",
            quoted(port.unwrap_or_default())
        ));
    }
    match api_host(name) {
        Err(_) if name.is_empty() => Err("is not a valid URL: it names no host".to_owned()),
        Ok(_) => Ok(format!("{scheme}://{rest}")),
        Err(_) => Err(format!("is not a valid URL: {} is not a valid host name", quoted(name))),
    }
}

/// Host and port of what stands behind a URL's `://`; an IPv6 address without its brackets.
pub(super) fn authority(rest: &str) -> (&str, Option<&str>) {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if let Some((address, tail)) = authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return (address, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').unwrap_or(tail)) });
    }
    authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
}

/// Whether what is sent to this host stays on this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A path: `~/` is the home folder, what is relative starts at the configuration file's folder.
pub(super) fn path(text: &str, folder: &Path, home: Option<&Path>) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains(char::is_control) {
        return Err(format!("{} contains control characters", quoted(text)));
    }
    if let Some(rest) = text.strip_prefix("~/") {
        return home.map(|home| home.join(rest)).ok_or_else(|| format!("{}: HOME is not set", quoted(text)));
    }
    if text.starts_with('~') {
        return Err(format!("{}: only `~/` is expanded", quoted(text)));
    }
    Ok(folder.join(text))
}

/// An argument of a command: anything but NUL, which no argument can contain.
pub(super) fn argument(text: &str) -> Result<String, String> {
    if text.contains('\0') { Err("contains a NUL character".to_owned()) } else { Ok(text.to_owned()) }
}
