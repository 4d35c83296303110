//! Why Proxmox VE refuses a token: its API says no more than that; its user database gives the reason, if it may be
//! read.

use jiff::Timestamp;
use serde_json::Value;

use crate::config::{Access, ServerConfig};
use crate::fleet::Fleet;
use crate::model::hint::HintId;
use crate::model::id::TokenId;
use crate::transport::script::quote;
use crate::transport::ssh::HostKeyPolicy;

/// What is wrong with a token or its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Somebody disabled the user.
    Disabled {
        userid: String,
    },
    /// The user's account has ended.
    Expired {
        userid: String,
    },
    NoUser {
        userid: String,
    },
    /// The token was removed.
    NoToken,
    /// The token has ended.
    Ended(Timestamp),
}

impl Refused {
    pub(crate) fn why(&self) -> String {
        match self {
            Refused::Disabled { userid } => format!("its user {userid} is disabled in Proxmox VE"),
            Refused::Expired { userid } => format!("its user {userid} is expired in Proxmox VE"),
            Refused::NoUser { userid } => format!("Proxmox VE has no user {userid} any more"),
            Refused::NoToken => "Proxmox VE has no such token any more".to_owned(),
            Refused::Ended(at) => format!("the token ended on {}", at.strftime("%Y-%m-%d")),
        }
    }

    /// What to do about it, where no new token helps.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Refused::Disabled { userid } => Some(enable(userid, false)),
            Refused::Expired { userid } => Some(enable(userid, true)),
            Refused::NoUser { .. } | Refused::NoToken | Refused::Ended(_) => None,
        }
    }
}

/// How an administrator lets a user's tokens work again.
pub(crate) fn enable(userid: &str, expired: bool) -> String {
    let option = if expired { "--expire 0" } else { "--enable 1" };
    HintId::UserDisabled.say(&[("user", userid), ("option", option)])
}

impl Fleet<'_> {
    /// Why a token is refused, looked up over SSH; `None`: that tells nothing.
    pub(crate) async fn why_refused(&self, server: &ServerConfig, token: &TokenId) -> Option<Refused> {
        if server.access == Access::Api {
            return None;
        }
        let script = format!(
            "ask() {{ if [ \"$(id -u)\" = 0 ]; then \"$@\"; else sudo -n -- \"$@\"; fi; }}\n\
             ask /usr/sbin/pveum user list --output-format json\nprintf '\\n'\n\
             ask /usr/sbin/pveum user token list {} --output-format json\n",
            quote(&token.userid()).ok()?
        );
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script).await.ok()?;
        let mut lists = output.stdout.lines().filter_map(|line| serde_json::from_str::<Vec<Value>>(line.trim()).ok());
        judge(&lists.next()?, lists.next().as_deref(), token, self.now())
    }
}

/// What the lists of users, and of this user's tokens, say against the token.
fn judge(users: &[Value], tokens: Option<&[Value]>, token: &TokenId, now: Timestamp) -> Option<Refused> {
    let userid = token.userid();
    let Some(user) = users.iter().find(|user| user["userid"] == userid.as_str()) else {
        return Some(Refused::NoUser { userid });
    };
    if number(&user["enable"]) == Some(0) {
        return Some(Refused::Disabled { userid });
    }
    if ended(user, now).is_some() {
        return Some(Refused::Expired { userid });
    }
    match tokens?.iter().find(|one| one["tokenid"] == token.name.as_str()) {
        None => Some(Refused::NoToken),
        Some(one) => ended(one, now).map(Refused::Ended),
    }
}

/// Proxmox VE writes numbers as numbers or texts.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// When it ended, if it has; 0 is never.
fn ended(row: &Value, now: Timestamp) -> Option<Timestamp> {
    let at = number(&row["expire"]).filter(|at| *at > 0)?;
    Timestamp::from_second(at).ok().filter(|at| *at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_against_a_token() {
        let token: TokenId = "ecobox@pve!lap-1".parse().unwrap();
        let userid = || "ecobox@pve".to_owned();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let good = r#"[{"enable":1,"expire":0,"userid":"ecobox@pve"}]"#;
        let there = r#"[{"expire":0,"privsep":1,"tokenid":"lap-1"}]"#;
        let cases = [
            (good, there, None),
            ("[]", there, Some(Refused::NoUser { userid: userid() })),
            (r#"[{"enable":0,"expire":0,"userid":"ecobox@pve"}]"#, there, Some(Refused::Disabled { userid: userid() })),
            (r#"[{"enable":"0","userid":"ecobox@pve"}]"#, there, Some(Refused::Disabled { userid: userid() })),
            (r#"[{"enable":1,"expire":5,"userid":"ecobox@pve"}]"#, there, Some(Refused::Expired { userid: userid() })),
            (good, r#"[{"expire":0,"tokenid":"lap-2"}]"#, Some(Refused::NoToken)),
            (
                good,
                r#"[{"comment":"x","expire":"1700000000","tokenid":"lap-1"}]"#,
                Some(Refused::Ended(Timestamp::from_second(1_700_000_000).unwrap())),
            ),
            (good, r#"[{"expire":1900000000,"tokenid":"lap-1"}]"#, None),
        ];
        for (users, tokens, want) in cases {
            let list = |text| serde_json::from_str::<Vec<Value>>(text).unwrap();
            assert_eq!(judge(&list(users), Some(&list(tokens)), &token, now), want, "{users} {tokens}");
        }
    }
}
