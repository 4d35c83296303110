//! What users and tokens may do in the end: by roles, paths and pools, as PVE combines them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Access, TOP_PATHS, split_token};

impl Access {
    /// What a user or token may do on a path.
    pub fn privileges(&self, caller: &str, path: &str) -> BTreeSet<String> {
        self.effective(caller, path).into_keys().collect()
    }

    /// Effective privileges by path, as GET /access/permissions shows them: 1 where they reach further down, else 0.
    pub fn permissions(&self, caller: &str) -> BTreeMap<String, BTreeMap<String, u8>> {
        let mut paths: BTreeSet<&str> = TOP_PATHS.into_iter().collect();
        for entry in &self.acl {
            paths.extend(ancestors(&entry.path));
        }
        let pools: Vec<String> = self.pools.keys().map(|pool| format!("/pool/{pool}")).collect();
        paths.extend(pools.iter().map(String::as_str));
        let per_path = |path: &str| {
            let privs = self.effective(caller, path);
            (path.to_owned(), privs.into_iter().map(|(name, down)| (name, u8::from(down))).collect())
        };
        paths.into_iter().map(per_path).filter(|(_, privs): &(_, BTreeMap<_, _>)| !privs.is_empty()).collect()
    }

    /// The same for one path, named or not.
    pub fn permissions_on(&self, caller: &str, path: &str) -> BTreeMap<String, u8> {
        self.effective(caller, path).into_iter().map(|(name, down)| (name, u8::from(down))).collect()
    }

    /// Privileges with their propagate flag. A privsep token has what both it and its user have; root@pam has everything,
    /// so that a privsep token of root@pam has exactly its own.
    fn effective(&self, caller: &str, path: &str) -> BTreeMap<String, bool> {
        if caller == "root@pam" {
            let all = self.roles.get("Administrator").map(|role| role.privs.clone()).unwrap_or_default();
            return all.into_iter().map(|name| (name, true)).collect();
        }
        let Some((userid, name)) = split_token(caller) else { return self.granted(caller, path) };
        let Some(token) = self.users.get(userid).and_then(|user| user.tokens.get(name)) else { return BTreeMap::new() };
        let of_user = self.effective(userid, path);
        if !token.privsep {
            return of_user;
        }
        let of_token = self.granted(caller, path).into_iter();
        of_token.filter_map(|(name, down)| of_user.get(&name).map(|user_down| (name, down && *user_down))).collect()
    }

    fn granted(&self, who: &str, path: &str) -> BTreeMap<String, bool> {
        let mut roles = self.roles_on(who, path);
        if let Some(vmid) = path.strip_prefix("/vms/").and_then(|id| id.parse::<u32>().ok())
            && !roles.contains_key("NoAccess")
        {
            for (pool, _) in self.pools.iter().filter(|(_, members)| members.contains(&vmid)) {
                roles.extend(self.roles_on(who, &format!("/pool/{pool}")));
            }
        }
        if roles.contains_key("NoAccess") {
            return BTreeMap::new();
        }
        let mut privs = BTreeMap::new();
        for (role, propagate) in roles {
            for name in self.roles.get(role).into_iter().flat_map(|role| &role.privs) {
                *privs.entry(name.clone()).or_insert(false) |= propagate;
            }
        }
        privs
    }

    /// The roles in force on a path: those of the deepest entry win; one above counts only if it propagates.
    fn roles_on(&self, who: &str, path: &str) -> BTreeMap<&str, bool> {
        let mut roles = BTreeMap::new();
        for step in ancestors(path) {
            let here = self.acl.iter().filter(|entry| entry.who == who && entry.path == step);
            let here: BTreeMap<&str, bool> = here
                .filter(|entry| step == path || entry.propagate)
                .map(|entry| (entry.role.as_str(), entry.propagate))
                .collect();
            if !here.is_empty() {
                roles = here;
            }
        }
        roles
    }
}

/// `/`, `/vms`, `/vms/101` for `/vms/101`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| &path[..at]);
    let own = (path != "/").then_some(path);
    std::iter::once("/").chain(inner).chain(own)
}
