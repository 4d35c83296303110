//! Onboarding: a token of its own for this machine, with a role that allows no more than its scope needs, made
//! over SSH; and the way back.
//!
//! `script` says what is to be run on the host and writes it as one script; `answer` reads what came back;
//! `saga` orders the steps so that a crash between any two of them neither loses nor leaks a token.

// A place that was found in foreign text is no promise: what is not there must be an answer, and not the end.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::indexing_slicing))]

pub(crate) mod answer;
pub(crate) mod saga;
pub(crate) mod script;
pub(crate) mod setup;
pub(crate) mod visit;

use crate::model::access::scope::TokenScope;
use crate::model::id::TokenId;

/// The user that tokens of limited scope belong to. It has no password: nobody can log in as it.
pub(crate) const SERVICE_USER: &str = "ecobox@pve";

/// How long a visit may take at most: seven `pveum` calls of a second or two, and PVE's lock of 10 s three times.
pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

/// The name of this machine's token: its host name as far as PVE allows it, six hex digits of its own that keep
/// two machines of the same name apart, and from the second token on its number.
pub(crate) fn token_name(hostname: &str, suffix: &str, generation: u32) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let short = hostname.split('.').next().unwrap_or_default();
    let mut name: String = short.chars().filter(allowed).take(32).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 'h');
    }
    let suffix: String = suffix.chars().filter(char::is_ascii_hexdigit).take(6).collect();
    match generation {
        0 | 1 => format!("{name}-{suffix}"),
        _ => format!("{name}-{suffix}-{generation}"),
    }
}

/// The token of that name for a scope: the service user's, or for full rights the login user's own.
pub(crate) fn token_id(scope: TokenScope, ssh_user: &str, name: &str) -> Result<TokenId, crate::model::id::InvalidId> {
    match scope {
        TokenScope::Full => format!("{ssh_user}@pam!{name}").parse(),
        TokenScope::Monitor | TokenScope::Operator | TokenScope::Manager => format!("{SERVICE_USER}!{name}").parse(),
    }
}

/// The number after the highest that these tokens of ours have.
pub(crate) fn next_generation<'a>(ours: impl IntoIterator<Item = &'a TokenId>, suffix: &str) -> u32 {
    let generation = |id: &TokenId| -> u32 {
        match id.name.rsplit_once(suffix) {
            Some((_, "")) => 1,
            Some((_, rest)) => rest.strip_prefix('-').and_then(|number| number.parse().ok()).unwrap_or(1),
            None => 0,
        }
    };
    ours.into_iter().map(generation).max().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_names_are_pves_and_this_machines() {
        let cases = [
            ("laptop", 1, "laptop-0a1b2c"),
            ("laptop.example.org", 2, "laptop-0a1b2c-2"),
            ("7-of-nine", 1, "h7-of-nine-0a1b2c"),
            ("büro_pc; rm -rf /", 1, "bropcrm-rf-0a1b2c"),
            ("", 1, "h-0a1b2c"),
            (&"x".repeat(100), 0, &format!("{}-0a1b2c", "x".repeat(32))),
        ];
        for (hostname, generation, want) in cases {
            let name = token_name(hostname, "0a1b2c", generation);
            assert_eq!(name, want);
            assert!(token_id(TokenScope::Monitor, "root", &name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_new_token_has_a_number_of_its_own() {
        let id = |name: &str| token_id(TokenScope::Operator, "root", name).unwrap();
        let cases: [(&[&str], u32); 4] = [
            (&[], 1),
            (&["laptop-0a1b2c"], 2),
            (&["laptop-0a1b2c-9", "laptop-0a1b2c", "other"], 10),
            (&["other", "laptop-0a1b2c-x"], 2),
        ];
        for (names, want) in cases {
            let ours: Vec<TokenId> = names.iter().map(|name| id(name)).collect();
            assert_eq!(next_generation(&ours, "0a1b2c"), want, "{names:?}");
        }
    }

    #[test]
    fn full_rights_are_the_login_users() {
        assert_eq!(token_id(TokenScope::Full, "root", "ab").unwrap().to_string(), "root@pam!ab");
        assert_eq!(token_id(TokenScope::Monitor, "root", "ab").unwrap().to_string(), "ecobox@pve!ab");
        assert!(token_id(TokenScope::Full, "a b", "ab").is_err());
    }
}
