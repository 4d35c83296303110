//! What the tokens of `ssh_config`(5) stand for: `ssh -G` prints most of them as they were written.

use std::path::{Path, PathBuf};

use crate::transport::ssh::account::{own_host_name, own_name, own_uid, tilde};

/// The values for one host.
#[derive(Debug, Clone, Copy)]
pub(in crate::transport::ssh) struct Tokens<'a> {
    pub(in crate::transport::ssh) home: &'a Path,
    pub(in crate::transport::ssh) name: &'a str,
    pub(in crate::transport::ssh) alias: &'a str,
    pub(in crate::transport::ssh) port: u16,
    pub(in crate::transport::ssh) user: &'a str,
    pub(in crate::transport::ssh) key_alias: Option<&'a str>,
    /// The last jump host.
    pub(in crate::transport::ssh) jump: &'a str,
    /// Where ssh says what `%C` is.
    pub(in crate::transport::ssh) connection: Option<&'a str>,
}

impl Tokens<'_> {
    /// A path with `~`, tokens and `${NAME}`.
    pub(in crate::transport::ssh) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = self.tilde(text)?;
        Ok(PathBuf::from(self.replace(&text, true)?))
    }

    /// A path that ssh has expanded already; older versions left the `~`.
    pub(in crate::transport::ssh) fn expanded(&self, text: &str) -> Result<PathBuf, String> {
        self.tilde(text).map(PathBuf::from)
    }

    /// A command line: `${NAME}` is the shell's business.
    pub(in crate::transport::ssh) fn command(&self, text: &str) -> Result<String, String> {
        self.replace(text, false)
    }

    fn tilde(&self, text: &str) -> Result<String, String> {
        let path = tilde(text, self.home).ok_or_else(|| format!("{text}: there is no such user"))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Values are not looked at again.
    fn replace(&self, text: &str, variables: bool) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((plain, from)) = rest.find(['%', '$']).and_then(|at| rest.split_at_checked(at)) {
            expanded.push_str(plain);
            rest = from;
            if let Some(after) = rest.strip_prefix('%') {
                let mut after = after.chars();
                let token = after.next().ok_or("it ends with a %")?;
                expanded.push_str(&self.token(token)?);
                rest = after.as_str();
            } else if let Some(after) = rest.strip_prefix("${").filter(|_| variables) {
                let (name, after) = after.split_once('}').ok_or("a ${ is not closed")?;
                expanded.push_str(&std::env::var(name).map_err(|_| format!("${{{name}}} is not set"))?);
                rest = after;
            } else {
                expanded.push('$');
                rest = rest.strip_prefix('$').unwrap_or_default();
            }
        }
        Ok(expanded + rest)
    }

    fn token(&self, token: char) -> Result<String, String> {
        let here = || own_host_name().ok_or_else(|| format!("%{token}: this machine has no name"));
        let nobody = || format!("%{token}: the current user is unknown");
        Ok(match token {
            '%' => "%".to_owned(),
            'h' => self.name.to_owned(),
            'n' => self.alias.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'k' => self.key_alias.unwrap_or(self.alias).to_owned(),
            'j' => self.jump.to_owned(),
            'C' => self.connection.ok_or("%C is not understood: this version of ssh does not say it")?.to_owned(),
            'd' => self.home.to_string_lossy().into_owned(),
            'u' => own_name().ok_or_else(nobody)?,
            'i' => own_uid().ok_or_else(nobody)?.to_string(),
            'l' => here()?,
            'L' => here()?.split('.').next().unwrap_or_default().to_owned(),
            other => return Err(format!("%{other} is not understood")),
        })
    }
}
