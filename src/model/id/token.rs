//! API tokens: their public names, and secrets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{InvalidId, invalid};

/// The name of an API token: `user@realm!name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TokenId {
    pub(crate) user: String,
    pub(crate) realm: String,
    pub(crate) name: String,
}

impl TokenId {
    /// `user@realm`, what pveum calls the userid.
    pub(crate) fn userid(&self) -> String {
        format!("{}@{}", self.user, self.realm)
    }
}

impl FromStr for TokenId {
    type Err = InvalidId;

    /// Splits from the right: `!` and `@` are legal inside the user part (pve-access-control, Auth/Plugin.pm).
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || invalid("token id", text, "user@realm!name");
        let (userid, name) = text.rsplit_once('!').ok_or_else(bad)?;
        let (user, realm) = userid.rsplit_once('@').ok_or_else(bad)?;
        let word = |w: &str| {
            w.len() >= 2
                && w.starts_with(|c: char| c.is_ascii_alphabetic())
                && w.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        let user_ok = !user.is_empty() && !user.contains(|c: char| c.is_whitespace() || c == ':' || c == '/');
        if word(name) && word(realm) && user_ok && userid.len() <= 64 {
            Ok(TokenId { user: user.to_owned(), realm: realm.to_owned(), name: name.to_owned() })
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}!{}", self.user, self.realm, self.name)
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for TokenId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

/// A secret: an API token's, or a passphrase. It has no `Display` and no `Serialize`, its `Debug` says
/// nothing, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The secret itself, for the one place that must send or store it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A token: its public name and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: TokenId,
    pub(crate) secret: Secret,
}

/// Without blanks and one pair of quotes around it.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

impl FromStr for Token {
    type Err = InvalidId;

    /// `user@realm!tokenid=secret`, as PVE writes it in the Authorization header; also with the header's `PVEAPIToken=` or
    /// the quotes that it was copied with. The secret is never echoed.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || invalid("token", "***", "user@realm!tokenid=secret");
        let text = unquoted(text);
        let text = text.strip_prefix("Authorization:").map_or(text, str::trim_start);
        let text = text.strip_prefix("PVEAPIToken").and_then(|rest| rest.strip_prefix(['=', ' '])).unwrap_or(text);
        let (id, secret) = unquoted(text).rsplit_once('=').ok_or_else(bad)?;
        let secret = unquoted(secret);
        if id.starts_with(['"', '\'']) {
            return Err(bad());
        }
        let clean = |c: char| c.is_ascii_graphic() && !matches!(c, ';' | '"' | '\'');
        if secret.is_empty() || !secret.chars().all(clean) {
            return Err(bad());
        }
        Ok(Token { id: id.parse().map_err(|_| bad())?, secret: Secret::new(secret.to_owned()) })
    }
}

#[cfg(test)]
mod tests;
