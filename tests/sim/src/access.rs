//! Users, roles, ACLs and API tokens of a simulated Proxmox VE cluster, with PVE's rules for combining them.

mod effective;
mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// The paths that PVE lists in `/access/permissions` even when no ACL names them.
const TOP_PATHS: [&str; 8] = ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// There was no token at all (PVE's `No ticket`).
    NoTicket,
    /// The token is unknown, expired or wrong, or its user is disabled (`Authentication failed!`).
    Failed,
}

/// What a command printed and its exit status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    pub(crate) enabled: bool,
    /// Seconds since the epoch, 0: never.
    pub(crate) expire: u64,
    pub(crate) comment: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) tokens: BTreeMap<String, Token>,
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) secret: String,
    pub(crate) privsep: bool,
    /// Seconds since the epoch, 0: never.
    pub(crate) expire: u64,
    pub(crate) comment: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Role {
    pub(crate) privs: BTreeSet<String>,
    /// Built in: can be neither changed nor deleted.
    pub(crate) special: bool,
}

/// One line of the access control list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) path: String,
    /// A user, or a full token id.
    pub(crate) who: String,
    pub(crate) role: String,
    pub(crate) propagate: bool,
}

/// The access control of one cluster; every node of it shares one.
#[derive(Debug, Clone)]
pub struct Access {
    pub(crate) version: (u32, u32),
    pub(crate) quorate: bool,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) acl: Vec<Entry>,
    pools: BTreeMap<String, BTreeSet<u32>>,
    pub(crate) audit: Vec<String>,
}

impl Access {
    /// The newest release of this major version: `root@pam` and the built-in roles, nothing else.
    pub fn new(pve_major: u32) -> Access {
        let minor = match pve_major {
            0..=8 => 4,
            _ => 2,
        };
        Access::with_version(pve_major, minor)
    }

    /// A particular release, e.g. `(8, 1)`, which lacks `pveum user token delete`.
    pub fn with_version(major: u32, minor: u32) -> Access {
        let root = User { enabled: true, ..User::default() };
        Access {
            version: (major, minor),
            quorate: true,
            users: BTreeMap::from([("root@pam".to_owned(), root)]),
            roles: roles::built_in(major),
            acl: Vec::new(),
            pools: BTreeMap::new(),
            audit: Vec::new(),
        }
    }

    /// The release, major and minor.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Whether the user exists.
    pub fn is_user(&self, userid: &str) -> bool {
        self.users.contains_key(userid)
    }

    /// Whether the token exists.
    pub fn is_token(&self, full_id: &str) -> bool {
        split_token(full_id)
            .is_some_and(|(userid, name)| self.users.get(userid).is_some_and(|u| u.tokens.contains_key(name)))
    }

    /// Without quorum nothing can be written.
    pub fn set_quorate(&mut self, quorate: bool) {
        self.quorate = quorate;
    }

    /// Adds an enabled user without any rights; does nothing if the user exists.
    pub fn add_user(&mut self, userid: &str) {
        self.users.entry(userid.to_owned()).or_insert_with(|| User { enabled: true, ..User::default() });
    }

    /// Enables or disables a user.
    pub fn set_user_enabled(&mut self, userid: &str, enabled: bool) {
        self.add_user(userid);
        if let Some(user) = self.users.get_mut(userid) {
            user.enabled = enabled;
        }
    }

    /// When a user's account ends, in seconds since the epoch; 0: never.
    pub fn set_user_expire(&mut self, userid: &str, expire: u64) {
        self.users.get_mut(userid).expect("an existing user").expire = expire;
    }

    /// The comment beside a token.
    pub fn set_token_comment(&mut self, full_id: &str, comment: &str) {
        self.token_mut(full_id).expect("an existing token").comment = Some(comment.to_owned());
    }

    /// When a token ends, and the comment beside it.
    pub fn token_settings(&mut self, full_id: &str) -> (u64, Option<String>) {
        let token = self.token_mut(full_id).expect("an existing token");
        (token.expire, token.comment.clone())
    }

    /// Adds a token `user@realm!name` (and its user), or replaces it.
    pub fn add_token(&mut self, full_id: &str, secret: &str, privsep: bool) {
        let (userid, name) = split_token(full_id).expect("a full token id: user@realm!name");
        self.add_user(userid);
        let token = Token { secret: secret.to_owned(), privsep, expire: 0, comment: None };
        self.users.get_mut(userid).expect("just added").tokens.insert(name.to_owned(), token);
    }

    /// Takes all ACLs of a user or token away.
    pub fn revoke_all(&mut self, who: &str) {
        self.acl.retain(|entry| entry.who != who);
    }

    /// When the token ends, in seconds since the epoch; 0: never.
    pub fn set_token_expire(&mut self, full_id: &str, expire: u64) {
        self.token_mut(full_id).expect("an existing token").expire = expire;
    }

    /// Takes a token away, as an administrator would in the web interface. False: there was none.
    pub fn remove_token(&mut self, full_id: &str) -> bool {
        let Some((userid, name)) = split_token(full_id) else { return false };
        self.users.get_mut(userid).is_some_and(|user| user.tokens.remove(name).is_some())
    }

    /// Gives a user or token (added if unknown user) these privileges on a path, through a role of their own.
    pub fn grant(&mut self, path: &str, who: &str, privs: &[&str], propagate: bool) {
        let privs: BTreeSet<String> = privs.iter().map(|p| (*p).to_owned()).collect();
        let same = self.roles.iter().find(|(name, role)| name.starts_with("Sim") && role.privs == privs);
        let role = match same {
            Some((name, _)) => name.clone(),
            None => {
                let name = format!("Sim{}", self.roles.keys().filter(|n| n.starts_with("Sim")).count() + 1);
                self.roles.insert(name.clone(), Role { privs, special: false });
                name
            }
        };
        self.grant_role(path, who, &role, propagate);
    }

    /// Gives a user or token a role on a path.
    pub fn grant_role(&mut self, path: &str, who: &str, role: &str, propagate: bool) {
        if split_token(who).is_none() {
            self.add_user(who);
        }
        self.revoke_role(path, who, role);
        self.acl.push(Entry { path: path.into(), who: who.into(), role: role.into(), propagate });
    }

    pub(crate) fn revoke_role(&mut self, path: &str, who: &str, role: &str) {
        self.acl.retain(|entry| !(entry.path == path && entry.who == who && entry.role == role));
    }

    /// Says which guests are in a pool: rights on `/pool/{pool}` count for them too.
    pub fn set_pool(&mut self, pool: &str, vmids: &[u32]) {
        self.pools.insert(pool.to_owned(), vmids.iter().copied().collect());
    }

    /// Checks a token and answers the caller's name for [`Access::privileges`]: the full token id.
    pub fn authenticate(&self, full_token_id: &str, secret: &str) -> Result<String, AuthError> {
        if full_token_id.is_empty() {
            return Err(AuthError::NoTicket);
        }
        let (userid, name) = split_token(full_token_id).ok_or(AuthError::Failed)?;
        let user = self.users.get(userid).ok_or(AuthError::Failed)?;
        let token = user.tokens.get(name).ok_or(AuthError::Failed)?;
        let now = now();
        let over = |expire: u64| expire != 0 && expire <= now;
        if !user.enabled || over(user.expire) || over(token.expire) || token.secret != secret {
            return Err(AuthError::Failed);
        }
        Ok(full_token_id.to_owned())
    }

    /// All full token ids, sorted.
    pub fn tokens(&self) -> Vec<String> {
        let ids = |(userid, user): (&String, &User)| -> Vec<String> {
            user.tokens.keys().map(|name| format!("{userid}!{name}")).collect()
        };
        self.users.iter().flat_map(ids).collect()
    }

    /// The secret of a token, so that tests can look for it where it must not be.
    pub fn secret(&self, full_id: &str) -> Option<&str> {
        let (userid, name) = split_token(full_id)?;
        Some(&self.users.get(userid)?.tokens.get(name)?.secret)
    }

    /// All users, sorted.
    pub fn users(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    /// Roles that are not built in, with their privileges.
    pub fn own_roles(&self) -> BTreeMap<String, BTreeSet<String>> {
        let own = self.roles.iter().filter(|(_, role)| !role.special);
        own.map(|(name, role)| (name.clone(), role.privs.clone())).collect()
    }

    /// The access control list as `path who role propagate` lines, sorted.
    pub fn acl_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .acl
            .iter()
            .map(|entry| format!("{} {} {} {}", entry.path, entry.who, entry.role, u8::from(entry.propagate)))
            .collect();
        lines.sort();
        lines
    }

    /// Every pveum command line that was run, oldest first, without secrets (pveum never gets any).
    pub fn audit(&self) -> &[String] {
        &self.audit
    }

    pub(crate) fn token_mut(&mut self, full_id: &str) -> Option<&mut Token> {
        let (userid, name) = split_token(full_id)?;
        self.users.get_mut(userid)?.tokens.get_mut(name)
    }
}

/// Splits `user@realm!name` from the right: `!` and `@` may stand in the user part.
pub(crate) fn split_token(full_id: &str) -> Option<(&str, &str)> {
    let (userid, name) = full_id.rsplit_once('!')?;
    userid.contains('@').then_some((userid, name))
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A random UUID (version 4), as PVE's token secrets are.
pub fn random_uuid() -> String {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("random bytes");
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests;
