//! Placeholder until the full module is merged; same signatures.

use std::collections::{BTreeMap, BTreeSet};

/// Users, tokens and their privileges.
#[derive(Debug, Default)]
pub struct Access {
    tokens: BTreeMap<String, (String, bool)>,
    grants: Vec<(String, String, BTreeSet<String>, bool)>,
}

/// Why an authentication was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// Nothing that looks like a token was sent.
    NoTicket,
    /// The token is unknown, wrong or expired.
    Failed,
}

/// What a `pveum` call printed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status.
    pub code: i32,
}

impl Access {
    /// Only root@pam exists.
    pub fn new(_pve_major: u32) -> Access {
        Access::default()
    }
    /// Adds a user.
    pub fn add_user(&mut self, _userid: &str) {}
    /// Adds a token.
    pub fn add_token(&mut self, full_id: &str, secret: &str, privsep: bool) {
        self.tokens.insert(full_id.to_owned(), (secret.to_owned(), privsep));
    }
    /// Grants privileges.
    pub fn grant(&mut self, path: &str, who: &str, privs: &[&str], propagate: bool) {
        let privs = privs.iter().map(|p| (*p).to_owned()).collect();
        self.grants.push((path.to_owned(), who.to_owned(), privs, propagate));
    }
    /// Checks a token.
    pub fn authenticate(&self, full_token_id: &str, secret: &str) -> Result<String, AuthError> {
        match self.tokens.get(full_token_id) {
            Some((known, _)) if known == secret => Ok(full_token_id.to_owned()),
            _ => Err(AuthError::Failed),
        }
    }
    /// Effective privileges on a path.
    pub fn privileges(&self, caller: &str, path: &str) -> BTreeSet<String> {
        let privsep = self.tokens.get(caller).is_some_and(|(_, privsep)| *privsep);
        let user = caller.rsplit_once('!').map_or(caller, |(user, _)| user);
        if user == "root@pam" && !privsep {
            return PRIVS.iter().map(|p| (*p).to_owned()).collect();
        }
        let of = |who: &str| -> BTreeSet<String> {
            self.grants
                .iter()
                .filter(|(at, w, _, propagate)| {
                    w == who && (at == path || (*propagate && (at == "/" || path.starts_with(&format!("{at}/")))))
                })
                .flat_map(|(_, _, privs, _)| privs.clone())
                .collect()
        };
        match (privsep, user) {
            (true, "root@pam") => of(caller),
            (true, _) => of(caller).intersection(&of(user)).cloned().collect(),
            (false, _) => of(user),
        }
    }
    /// As GET /access/permissions.
    pub fn permissions(&self, caller: &str) -> BTreeMap<String, BTreeMap<String, u8>> {
        ["/", "/access", "/nodes", "/vms", "/storage", "/pool", "/sdn"]
            .into_iter()
            .map(str::to_owned)
            .chain(self.grants.iter().map(|grant| grant.0.clone()))
            .map(|path| (path.clone(), self.privileges(caller, &path).into_iter().map(|p| (p, 1)).collect()))
            .filter(|(_, privs): &(String, BTreeMap<String, u8>)| !privs.is_empty())
            .collect()
    }
    /// Whether the user exists.
    pub fn is_user(&self, userid: &str) -> bool {
        userid == "root@pam" || self.tokens.keys().any(|id| id.starts_with(&format!("{userid}!")))
    }
    /// Whether the token exists.
    pub fn is_token(&self, full_id: &str) -> bool {
        self.tokens.contains_key(full_id)
    }
    /// The `pveum` command.
    pub fn pveum(&mut self, _args: &[String]) -> Outcome {
        Outcome { stdout: String::new(), stderr: "not here yet\n".to_owned(), code: 255 }
    }
}

const PRIVS: &[&str] = &[
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Group.Allocate",
    "Mapping.Audit",
    "Mapping.Modify",
    "Mapping.Use",
    "Permissions.Modify",
    "Pool.Allocate",
    "Pool.Audit",
    "Realm.Allocate",
    "Realm.AllocateUser",
    "SDN.Allocate",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "Sys.Syslog",
    "User.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Replicate",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];
