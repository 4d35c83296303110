//! Secrets that do not stand in the file: by a command that prints one, or a file that contains one.

use std::path::PathBuf;

use super::error::{Checked, Problem};
use super::read::{At, Reader};
use super::validate;
use super::values::{Folders, command};

/// Where a secret comes from that does not stand in this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretFrom {
    /// Program and arguments; it prints the secret. `key` is where it is configured, for messages.
    Command { key: &'static str, command: Vec<String> },
    /// The file contains it.
    File { key: &'static str, path: PathBuf },
}

impl SecretFrom {
    /// Where it is configured.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            SecretFrom::Command { key, .. } | SecretFrom::File { key, .. } => key,
        }
    }
}

/// A secret by one of two keys, with the key's place.
pub(super) fn secret(
    table: &Reader<'_>,
    folders: &Folders<'_>,
    by_command: &'static str,
    by_file: &'static str,
) -> Checked<Option<At<SecretFrom>>> {
    let path = |text: &str| validate::path(text, folders.config, folders.home);
    let command = command(table, by_command)?;
    let file = table.parsed(by_file, path)?.map(|file| file.value);
    let at = |key: &str, value| Ok(table.key(key).map(|key| At { value, span: key.span }));
    match (command, file) {
        (None, None) => Ok(None),
        (Some(command), None) => at(by_command, SecretFrom::Command { key: by_command, command }),
        (None, Some(path)) => at(by_file, SecretFrom::File { key: by_file, path }),
        (Some(_), Some(_)) => {
            let mut keys = table.keys();
            keys.retain(|key| key.value == by_command || key.value == by_file);
            let message = format!("`{by_command}` and `{by_file}` exclude each other: keep one");
            Err(Problem::new(keys.last().map_or(table.span.clone(), |key| key.span.clone()), message))
        }
    }
}
