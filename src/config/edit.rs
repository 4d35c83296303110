//! Adds servers to a configuration file; what a person wrote there stays as it is, byte for byte.

use std::path::Path;

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::error::{ConfigError, Problem};
use super::{Config, EXAMPLE};
use crate::file::{self, FileRole};
use crate::model::id::ServerId;

/// A server to be added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NewServer {
    pub(crate) id: String,
    /// Left out of the file where it is the id.
    pub(crate) name: String,
    /// Left out for this machine.
    pub(crate) hostname: String,
    pub(crate) ssh_user: Option<String>,
    pub(crate) ssh_port: Option<u16>,
    pub(crate) proxy_jump: Option<String>,
    /// It is this machine.
    pub(crate) local: bool,
}

impl NewServer {
    fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![("id", Value::from(&self.id))];
        if !self.name.is_empty() && self.name != self.id {
            fields.push(("name", Value::from(&self.name)));
        }
        if self.local {
            fields.push(("local", Value::from(true)));
        } else {
            fields.push(("hostname", Value::from(&self.hostname)));
        }
        fields.extend(self.ssh_user.as_ref().map(|user| ("ssh_user", Value::from(user))));
        fields.extend(self.ssh_port.map(|port| ("ssh_port", Value::from(i64::from(port)))));
        fields.extend(self.proxy_jump.as_ref().map(|jump| ("proxy_jump", Value::from(jump))));
        fields
    }
}

/// The text of the file with `new` servers at its end. A blank file gets the example's settings first. The
/// result is checked: an id that is there already, or a value that is no good, is an error, whose path is
/// `config.toml` until [`ConfigError::in_file`] gives it another.
pub(crate) fn add_servers(text: &str, new: &[NewServer]) -> Result<String, ConfigError> {
    let path = Path::new("config.toml");
    let mut out = if text.trim_start_matches('\u{feff}').trim().is_empty() { settings() } else { text.to_owned() };
    if !new.is_empty() {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let span = error.span().unwrap_or(text.len()..text.len());
            Problem::new(span, error.message().trim_end()).locate(text, path)
        })?;
        match document.get("servers") {
            Some(Item::Value(Value::Array(_))) => out = extend_array(document, new),
            _ => append_tables(&mut out, new),
        }
    }
    Config::parse(&out, path)?;
    Ok(out)
}

/// The part of the example that comes before its servers.
fn settings() -> String {
    let mut lines =
        EXAMPLE.lines().take_while(|line| !line.starts_with("# ---- servers")).collect::<Vec<_>>().join("\n");
    lines.truncate(lines.trim_end().len());
    lines.push('\n');
    lines
}

/// New tables are written behind everything else: a comment at the end of the file belongs to the table above
/// it, and an editor of documents would put the new table between the two.
fn append_tables(text: &mut String, new: &[NewServer]) {
    let mut tables = ArrayOfTables::new();
    for server in new {
        let mut table = Table::new();
        for (key, field) in server.fields() {
            table.insert(key, value(field));
        }
        table.decor_mut().set_prefix("\n");
        tables.push(table);
    }
    let mut document = DocumentMut::new();
    document.insert("servers", Item::ArrayOfTables(tables));
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(newline);
    }
    text.push_str(&document.to_string().replace('\n', newline));
}

/// `servers = [{ .. }, ..]`: the only other way to write the list; a `[[servers]]` cannot follow it.
fn extend_array(mut document: DocumentMut, new: &[NewServer]) -> String {
    if let Some(array) = document.get_mut("servers").and_then(Item::as_array_mut) {
        let prefix = spacing(array);
        for server in new {
            let mut entry = Value::InlineTable(server.fields().into_iter().collect::<InlineTable>());
            entry.decor_mut().set_prefix(prefix.as_str());
            array.push_formatted(entry);
        }
    }
    document.to_string()
}

/// What stands before the last entry of the list, without its comments: a line break or a blank.
fn spacing(array: &Array) -> String {
    let before = array.iter().last().and_then(|entry| entry.decor().prefix()).and_then(|raw| raw.as_str());
    match before {
        None if array.is_empty() => String::new(),
        Some(text) if text.contains('\n') => format!("\n{}", text.rsplit('\n').next().unwrap_or_default()),
        _ => " ".to_owned(),
    }
}

/// Writes `text` to `path` so that a reader, or a crash at any moment, finds the old file or the new one.
///
/// A symbolic link, the mode and the owner stay (see [`FileRole::Edited`]).
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<(), ConfigError> {
    file::replace(path, FileRole::Edited, |out| out.write_all(text.as_bytes()))
        .map_err(|source| ConfigError::Write { path: path.to_owned(), source })
}

/// An id for the server at `hostname` that is not `taken`: the first label of its name, or its address.
pub(crate) fn suggest_id(hostname: &str, taken: &[ServerId]) -> String {
    let host = hostname.rsplit('@').next().unwrap_or_default().trim_matches(['[', ']', '.']);
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let stem = if is_address { host } else { host.split('.').next().unwrap_or_default() };
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let stem: String = stem.chars().take(60).map(clean).collect();
    let stem = stem.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    // A bare number, `vm-101` and `ct-201` are how one names guests.
    let number = stem.strip_prefix("vm-").or_else(|| stem.strip_prefix("ct-")).unwrap_or(stem);
    let names_a_guest = number.bytes().all(|b| b.is_ascii_digit());
    let stem = match stem {
        "" => "server".to_owned(),
        _ if is_address || names_a_guest => format!("host-{stem}"),
        _ => stem.to_owned(),
    };
    let is_taken = |id: &str| taken.iter().any(|other| other.as_str().eq_ignore_ascii_case(id));
    let numbered = (2_u32..).map(|number| format!("{stem}-{number}"));
    std::iter::once(stem.clone()).chain(numbered).find(|id| !is_taken(id)).unwrap_or(stem)
}

#[cfg(test)]
mod tests;
