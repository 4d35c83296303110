//! Whose commands a configuration runs: not those of a file that somebody else could have written.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Config, ConfigError, HistoryAuth, SecretFrom, SecureOnFrom, SshConfigSetting};
use crate::file;

/// Refuses a configuration that names commands where others may write it, or its folder, or where it is another user's.
///
/// # Errors
/// `Exposed`.
pub(super) fn check(config: &Config, meta: &Metadata) -> Result<(), ConfigError> {
    let Some(command) = first_command(config).filter(|_| meta.is_file()) else { return Ok(()) };
    let path = &config.path;
    let exposed = |reason: String| Err(ConfigError::Exposed { path: path.clone(), reason });
    if file::others_may_write(meta) {
        return exposed(describe("", path, meta, &command));
    }
    // In a folder with the sticky bit, users can rename only their own files.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let Some(folder) = real.parent() else { return Ok(()) };
    match fs::metadata(folder) {
        Ok(meta) if file::others_may_write(&meta) && meta.mode() & 0o1000 == 0 => {
            exposed(describe("lies in a folder that ", folder, &meta, &command))
        }
        _ => Ok(()),
    }
}

fn describe(place: &str, path: &Path, meta: &Metadata, command: &str) -> String {
    let me = file::own_uid();
    if file::is_own(meta) {
        let (mode, word) = (meta.mode() & 0o7777, file::shell_word(path));
        let who = if place.is_empty() { "may be written by others" } else { "others may write" };
        format!("{place}{who} (mode {mode:04o}), so its {command} is not run: run `chmod go-w {word}`")
    } else {
        let owner = meta.uid();
        format!("{place}belongs to user {owner}, not to {me} who runs this, so its {command} is not run")
    }
}

/// The first key that names a program, or a file that may name some.
fn first_command(config: &Config) -> Option<String> {
    let of_history = match &config.settings.history.auth {
        HistoryAuth::None => None,
        HistoryAuth::Basic { password: secret, .. } | HistoryAuth::Bearer(secret) => key_of(secret),
    };
    let of_history = of_history.map(|key| format!("`{key}` in [history]"));
    let of_ssh =
        matches!(config.settings.ssh_config, SshConfigSetting::File(_)).then(|| "`config` in [ssh]".to_owned());
    let of_servers = config.servers.iter().find_map(|server| {
        let key = match &server.wol.secure_on {
            _ if server.token_command.is_some() => "token_command",
            _ if server.energy.power_command.is_some() => "power_command",
            Some(SecureOnFrom::Elsewhere(secret)) => key_of(secret)?,
            _ => return None,
        };
        Some(format!("`{key}` of {}", server.id))
    });
    of_history.or(of_ssh).or(of_servers)
}

fn key_of(secret: &SecretFrom) -> Option<&'static str> {
    match secret {
        SecretFrom::Command { key, .. } => Some(key),
        SecretFrom::File { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::super::load;
    use super::*;

    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

    #[test]
    fn commands_of_others_are_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let server = "[[servers]]\nid = \"a\"\nhostname = \"a\"\n";
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let history = "[history]\nremote_write = \"https://h/w\"\nbearer_token_command = [\"a\"]\n";
        for (text, says) in [
            (format!("{server}token_command = [\"a\"]\n"), "`token_command` of a"),
            (format!("{server}[servers.wol]\nsecure_on_command = [\"a\"]\n"), "`secure_on_command` of a"),
            (format!("{server}[servers.energy]\npower_command = [\"a\"]\n"), "`power_command` of a"),
            (history.to_owned(), "`bearer_token_command` in [history]"),
            ("[ssh]\nconfig = \"/x\"\n".to_owned(), "`config` in [ssh]"),
        ] {
            fs::write(&path, text).unwrap();
            set(&path, 0o644);
            load(&path, PATIENCE).unwrap();
            set(&path, 0o666);
            let error = load(&path, PATIENCE).unwrap_err().to_string();
            let shown = path.display();
            let want = format!("{shown} may be written by others (mode 0666), so its {says} is not run");
            assert_eq!(error, format!("{want}: run `chmod go-w {shown}`"));
            set(&path, 0o644);
            set(folder.path(), 0o777);
            let error = load(&path, PATIENCE).unwrap_err().to_string();
            assert!(error.contains("lies in a folder that others may write (mode 0777)"), "{error}");
            set(folder.path(), 0o1777);
            load(&path, PATIENCE).unwrap();
            set(folder.path(), 0o700);
        }
        if chown(&path, Some(54321), None).is_err() {
            eprintln!("SKIPPED: a configuration of another user: only root can make one");
            return;
        }
        let error = load(&path, PATIENCE).unwrap_err().to_string();
        assert!(error.contains("belongs to user 54321, not to 0 who runs this, so its `config` in [ssh]"), "{error}");
        // Without a command it is read.
        fs::write(&path, server).unwrap();
        load(&path, PATIENCE).unwrap();
    }
}
