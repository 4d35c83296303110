//! Why nothing on a host can make a call, in words, and the line that helps.

use std::fmt;

/// Why nothing on a host can make a call. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoWay {
    /// Neither root nor a sudo that asks for no password; the line of sudoers that would do, where sudo is there.
    Rights { user: Option<String>, sudo: bool, command: String },
    /// The unit is masked.
    Masked { unit: String },
    /// `sleep.conf` says `no` to this key.
    Disallowed { key: String },
    /// The kernel offers no such state: `mem`, `disk`.
    Unsupported { state: String },
    /// `/sys/power/state` cannot be written, as in a container.
    ReadOnly,
    /// logind says so, without a reason that was found: its answer.
    Logind { answer: String },
    /// No swap to hibernate to.
    NoSwap { why: SwapLack },
    /// No program for it.
    NoMeans,
    /// It was tried, and failed before anything was armed; its words.
    Failed { detail: String },
}

/// What is missing of a swap to hibernate to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwapLack {
    /// There is none.
    None,
    /// It lies in memory, which loses it.
    Zram,
    /// None has room for the memory in use.
    Small,
}

impl SwapLack {
    /// The script's word for it.
    pub(crate) fn of(word: &str) -> SwapLack {
        match word {
            "zram" => SwapLack::Zram,
            "small" => SwapLack::Small,
            _ => SwapLack::None,
        }
    }
}

impl NoWay {
    /// Whether it is a matter of `sleep-masked`.
    pub(crate) fn is_masked(&self) -> bool {
        matches!(self, NoWay::Masked { .. } | NoWay::Disallowed { .. })
    }

    /// The line that removes it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            NoWay::Rights { user, sudo: true, command } => {
                // sudoers gives these a meaning of their own inside a command's arguments.
                let escaped = command.chars().fold(String::new(), |mut out, c| {
                    if matches!(c, ',' | ':' | '=' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                    out
                });
                let user = user.as_deref().unwrap_or("USER");
                Some(format!("add to sudoers (visudo): {user} ALL=(root) NOPASSWD: {escaped}"))
            }
            NoWay::Rights { sudo: false, .. } => Some("set ssh_user = \"root\", or install sudo there".to_owned()),
            NoWay::Masked { unit } => Some(format!("systemctl unmask {unit}")),
            NoWay::Disallowed { key } => Some(format!("set {key}=yes in /etc/systemd/sleep.conf")),
            NoWay::NoSwap { .. } => Some("add swap space on a disk, at least as large as the memory in use".to_owned()),
            NoWay::Unsupported { .. }
            | NoWay::ReadOnly
            | NoWay::Logind { .. }
            | NoWay::NoMeans
            | NoWay::Failed { .. } => None,
        }
    }
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoWay::Rights { sudo: true, .. } => {
                f.write_str("no rights: the login is not root, and sudo wants a password")
            }
            NoWay::Rights { sudo: false, .. } => f.write_str("no rights: the login is not root, and there is no sudo"),
            NoWay::Masked { unit } => write!(f, "{unit} is masked"),
            NoWay::Disallowed { key } => write!(f, "its sleep.conf says {key}=no"),
            NoWay::Unsupported { state } => write!(f, "its kernel offers no such state ({state})"),
            NoWay::ReadOnly => f.write_str("/sys/power/state cannot be written there, as in a container"),
            NoWay::Logind { answer } => write!(f, "its logind says that it cannot ({answer})"),
            NoWay::NoSwap { why: SwapLack::None } => f.write_str("it has no swap space to hibernate to"),
            NoWay::NoSwap { why: SwapLack::Zram } => {
                f.write_str("its swap space lies in memory (zram), which is lost when it is off")
            }
            NoWay::NoSwap { why: SwapLack::Small } => f.write_str("its swap space is too small for the memory in use"),
            NoWay::NoMeans => f.write_str("no program there can do it"),
            NoWay::Failed { detail } => write!(f, "it failed before anything was sent: {detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_has_words_and_a_line_that_helps() {
        let rights = |sudo| NoWay::Rights {
            user: Some("anna".to_owned()),
            sudo,
            command: "/usr/bin/systemd-run --on-active=2 /usr/bin/systemctl suspend".to_owned(),
        };
        let line = "add to sudoers (visudo): anna ALL=(root) NOPASSWD: /usr/bin/systemd-run --on-active\\=2 \
                    /usr/bin/systemctl suspend";
        assert_eq!(rights(true).hint().as_deref(), Some(line));
        assert!(rights(false).hint().unwrap().contains("root"));
        let masked = NoWay::Masked { unit: "sleep.target".to_owned() };
        assert_eq!((masked.to_string().as_str(), masked.is_masked()), ("sleep.target is masked", true));
        assert_eq!(masked.hint().as_deref(), Some("systemctl unmask sleep.target"));
        assert!(!NoWay::NoSwap { why: SwapLack::None }.is_masked());
    }
}
