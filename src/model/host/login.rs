//! Names of hosts and users, as OpenSSH takes them.

/// Whether ssh takes a text for a host: a name, an address, or an alias of `ssh_config`. These are OpenSSH's rules
/// (`valid_hostname` in its ssh.c), so that the name cannot be an option, and means nothing to a shell. What stands
/// before an `@` would be a user.
pub(crate) fn is_host_name(text: &str) -> bool {
    let bad = |c: char| "'`\"$\\;&<>|(){},@".contains(c) || c.is_whitespace() || c.is_control();
    (1..=253).contains(&text.len()) && !text.starts_with('-') && !text.contains(bad)
}

/// Whether ssh takes a text for a user, also where another system knows the user: `CORP\user`, `user@corp.example`.
/// OpenSSH's rules again (`valid_ruser` in its ssh.c), which mean nothing to a shell.
pub(crate) fn is_user_name(text: &str) -> bool {
    let bad = |c: char| "'`\";&<>|(){}".contains(c) || c.is_control();
    let an_option = |(c, next): (char, char)| c.is_whitespace() && next == '-';
    (1..=255).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('\\')
        && !text.contains(bad)
        && !text.chars().zip(text.chars().skip(1)).any(an_option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_what_openssh_takes_for_one() {
        for good in ["box", "10.0.0.1", "fe80::7%eth0", "büro", "nas+backup", "machine/.host", ".host", "h%h", "a=b"] {
            assert!(is_host_name(good), "{good}");
        }
        let long = "a".repeat(254);
        for bad in
            ["", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a\nb", "a'b", "a\"b", "a,b", "git@host", "a\\b", &long]
        {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    #[test]
    fn users_are_what_openssh_takes_for_one() {
        for good in ["root", "svc$", "1a", "user@corp.example", "CORP\\user", "alice:target:22", "first last", "jürgen"]
        {
            assert!(is_user_name(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in ["", "-l", "a;b", "$(x)", "a\n", "a'b", "a -l", "a\\", "a|b", &long] {
            assert!(!is_user_name(bad), "{bad}");
        }
    }
}
