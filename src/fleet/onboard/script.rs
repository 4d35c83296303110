//! What is run on a Proxmox VE host, as a script and as commands to read.

use crate::fleet::onboard::SERVICE_USER;
use crate::model::access::scope::TokenScope;
use crate::model::id::TokenId;
use crate::transport::script;

const PROGRAM: &str = include_str!("setup.sh");

/// How the service user's comment begins. By it a user is known as made by ecobox.
const USER_MARK: &str = "made by ecobox";
const USER_COMMENT: &str = "made by ecobox setup-token; each of its tokens belongs to one machine";

/// What to do on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) action: Action,
    pub(crate) scope: TokenScope,
    /// Tokens to remove first. They must be ours: by an intent, or because the state file holds them.
    pub(crate) remove: Vec<Removal>,
    /// Who logs in over SSH.
    pub(crate) ssh_user: String,
}

/// What to do after the removals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make role and user what they should be, then this token; the comment stands beside it in PVE. What others gave or set
    /// to the token that it replaces, it gets too: ACLs, when it ends, a comment that is not ecobox's own.
    Create { token: TokenId, comment: String, replaces: Option<TokenId> },
    /// Nothing more.
    Remove,
    /// User and role go too, if no other token uses them.
    Revoke,
}

/// A token to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) token: TokenId,
    /// Its scope; `None`: not known, then all roles are tried.
    pub(crate) scope: Option<TokenScope>,
}

impl Removal {
    fn roles(&self) -> Vec<&'static str> {
        if self.token.userid() != SERVICE_USER {
            return Vec::new();
        }
        match self.scope.and_then(TokenScope::role) {
            Some(role) => vec![role],
            None => TokenScope::WITH_ROLE.into_iter().rev().filter_map(TokenScope::role).collect(),
        }
    }
}

/// One visit, ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// POSIX sh, for the SSH session's `run_script`.
    pub(crate) script: String,
    /// The commands as a person would type them, one a line; lines that begin with `#` are remarks.
    pub(crate) commands: Vec<String>,
}

/// A value that cannot be written into a script: it holds a control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot be part of a command", .0.escape_debug())]
pub(crate) struct Unquotable(pub(crate) String);

/// The visit that a request asks for. `major` matters to `commands` only, the script looks on the host;
/// `None` means 9.
pub(crate) fn plan(request: &Request, major: Option<u32>) -> Result<Plan, Unquotable> {
    Ok(Plan { script: text(request)?, commands: commands(request, major.unwrap_or(9))? })
}

fn text(request: &Request) -> Result<String, Unquotable> {
    let (action, token, comment) = match &request.action {
        Action::Create { token, comment, .. } => ("create", Some(token), comment.as_str()),
        Action::Remove => ("remove_ours", None, ""),
        Action::Revoke => ("revoke", None, ""),
    };
    let userid = token.map_or_else(|| owner(request), TokenId::userid);
    let privileges = |scope: TokenScope, major| scope.privileges(major).join(",");
    let replaces = match &request.action {
        // Without separation a token has its user's rights, and no ACL adds to them.
        Action::Create { replaces: Some(replaces), .. } if request.scope != TokenScope::Full => replaces.to_string(),
        _ => String::new(),
    };
    let old = match &request.action {
        Action::Create { replaces, .. } => replaces.as_ref(),
        Action::Remove | Action::Revoke => None,
    };
    let values = [
        ("action", action.to_owned()),
        ("userid", userid),
        ("token", token.map(|token| token.name.clone()).unwrap_or_default()),
        ("privsep", privsep(request.scope).to_owned()),
        ("role", request.scope.role().unwrap_or_default().to_owned()),
        ("privs_new", privileges(request.scope, 9)),
        ("privs_old", privileges(request.scope, 8)),
        ("replaces", replaces),
        ("old_user", old.map(TokenId::userid).unwrap_or_default()),
        ("old_name", old.map(|old| old.name.clone()).unwrap_or_default()),
        ("comment", comment.to_owned()),
        ("user_comment", USER_COMMENT.to_owned()),
        ("user_mark", USER_MARK.to_owned()),
        ("read_role", TokenScope::Monitor.role().unwrap_or_default().to_owned()),
        ("read_new", privileges(TokenScope::Monitor, 9)),
        ("read_old", privileges(TokenScope::Monitor, 8)),
        ("power_role", TokenScope::Operator.role().unwrap_or_default().to_owned()),
        ("power_new", privileges(TokenScope::Operator, 9)),
        ("power_old", privileges(TokenScope::Operator, 8)),
        ("manage_role", TokenScope::Manager.role().unwrap_or_default().to_owned()),
        ("manage_new", privileges(TokenScope::Manager, 9)),
        ("manage_old", privileges(TokenScope::Manager, 8)),
    ];
    let mut text = String::new();
    for (name, value) in values {
        text += &[name, "=", &quote(&value)?, "\n"].concat();
    }
    text += "remove_ours() {\n";
    for removal in &request.remove {
        let mut words = vec!["remove".to_owned(), quote(&removal.token.userid())?, quote(&removal.token.name)?];
        words.extend(removal.roles().into_iter().map(str::to_owned));
        text += &["\t", &words.join(" "), " || return 1\n"].concat();
    }
    text += "\t:\n}\n";
    text += PROGRAM;
    Ok(text)
}

/// Whose tokens a request without a new token is about.
fn owner(request: &Request) -> String {
    match request.scope {
        TokenScope::Full => format!("{}@pam", request.ssh_user),
        TokenScope::Monitor | TokenScope::Operator | TokenScope::Manager => SERVICE_USER.to_owned(),
    }
}

fn privsep(scope: TokenScope) -> &'static str {
    if scope == TokenScope::Full { "0" } else { "1" }
}

/// The calls of the usual course: whatever a host has already is made again, or changed, without harm.
fn commands(request: &Request, major: u32) -> Result<Vec<String>, Unquotable> {
    let mut list = Commands { sudo: request.ssh_user != "root", lines: Vec::new() };
    for removal in &request.remove {
        for role in removal.roles() {
            list.call(&["acl", "delete", "/", "--tokens", &removal.token.to_string(), "--roles", role])?;
        }
        if removal.token.userid() == SERVICE_USER {
            list.remark("and its other ACLs, if it has more");
        }
        list.call(&["user", "token", "remove", &removal.token.userid(), &removal.token.name])?;
    }
    match &request.action {
        Action::Remove => {}
        Action::Create { token, comment, replaces } => {
            let userid = token.userid();
            if let Some(role) = request.scope.role() {
                let privileges = request.scope.privileges(major).join(",");
                list.call(&["role", "add", role, "--privs", &privileges])?;
                list.remark("if that role exists with other privileges:");
                list.call(&["role", "modify", role, "--privs", &privileges])?;
                list.call(&["user", "add", &userid, "--comment", USER_COMMENT])?;
                list.call(&["acl", "modify", "/", "--users", &userid, "--roles", role])?;
            }
            let separate = privsep(request.scope);
            let add = ["user", "token", "add", &userid, &token.name, "--privsep", separate, "--comment", comment];
            list.call(&[&add[..], &["--output-format", "json"]].concat())?;
            if let Some(replaces) = replaces {
                list.remark(&format!("with `--expire`, and the `--comment`, if somebody set them on {replaces}"));
            }
            if let Some(role) = request.scope.role() {
                list.call(&["acl", "modify", "/", "--tokens", &token.to_string(), "--roles", role])?;
                if let Some(replaces) = replaces {
                    list.remark(&format!("the same for each other ACL that {replaces} has"));
                }
            }
        }
        Action::Revoke => {
            if request.scope != TokenScope::Full {
                list.call(&["user", "token", "list", SERVICE_USER, "--output-format", "json"])?;
                list.remark("if it has no other token:");
                list.call(&["user", "delete", SERVICE_USER])?;
                list.remark("each, if no ACL names it:");
                for role in TokenScope::WITH_ROLE.into_iter().filter_map(TokenScope::role) {
                    list.call(&["role", "delete", role])?;
                }
            }
        }
    }
    Ok(list.lines)
}

struct Commands {
    sudo: bool,
    lines: Vec<String>,
}

impl Commands {
    fn call(&mut self, words: &[&str]) -> Result<(), Unquotable> {
        let mut line = if self.sudo { "sudo /usr/sbin/pveum" } else { "/usr/sbin/pveum" }.to_owned();
        for word in words {
            let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c));
            line += " ";
            line += &if plain { (*word).to_owned() } else { quote(word)? };
        }
        self.lines.push(line);
        Ok(())
    }

    fn remark(&mut self, text: &str) {
        self.lines.push(format!("# {text}"));
    }
}

/// One word of sh, whatever it holds; control characters are refused, they have no business in names and comments.
fn quote(value: &str) -> Result<String, Unquotable> {
    let refused = || Unquotable(value.to_owned());
    if value.contains(char::is_control) {
        return Err(refused());
    }
    script::quote(value).map_err(|_| refused())
}

#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tests;
