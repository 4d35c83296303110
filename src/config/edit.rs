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
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn server(id: &str) -> NewServer {
        NewServer { id: id.to_owned(), hostname: format!("{id}.lan"), ..NewServer::default() }
    }

    #[test]
    fn what_is_there_stays_and_the_new_comes_last() {
        let texts = [
            "# top\n[[servers]] # first\nid = \"a\"   # inline\nhostname = 'a'\n# tail\n",
            "[[servers]]\nid = \"a\"\nhostname = \"a\"\n\n  [[servers.services]]\n  port = 22\n\n[ssh] # odd place\nconfig = false\n",
            "[dashboard]\nvm_discovery_interval = 60",
            "[[servers]]\r\nid = \"a\"\r\nhostname = \"a\"\r\n# end\r\n",
            "\u{feff}[ssh]\nconfig = false\n",
            "dashboard.log_level = \"info\"\n",
        ];
        for text in texts {
            let before = Config::parse(text, Path::new("x")).unwrap();
            let out = add_servers(text, &[server("pve1"), server("nas")]).unwrap();
            assert!(out.starts_with(text), "{text:?}\n{out}");
            assert_eq!(text.contains("\r\n"), !out.replace("\r\n", "").contains('\n'), "{out:?}");
            let after = Config::parse(&out, Path::new("x")).unwrap();
            assert_eq!(after.settings, before.settings);
            let ids: Vec<&str> = after.servers.iter().map(|server| server.id.as_str()).collect();
            assert_eq!(ids[ids.len() - 2..], ["pve1", "nas"]);
            assert_eq!(after.servers[..ids.len() - 2], before.servers);
            // The same once more.
            let again = add_servers(&out, &[server("third")]).unwrap();
            assert!(again.starts_with(&out));
        }
    }

    #[test]
    fn every_field_is_written_where_it_says_something() {
        let new = NewServer {
            id: "nas".to_owned(),
            name: "Big \"NAS\"".to_owned(),
            hostname: "nas.lan".to_owned(),
            ssh_user: Some("admin".to_owned()),
            ssh_port: Some(2222),
            proxy_jump: Some("me@jump:22".to_owned()),
            local: false,
        };
        let here = NewServer { id: "here".to_owned(), name: "here".to_owned(), local: true, ..NewServer::default() };
        let out = add_servers("[ssh]\n", &[new, here]).unwrap();
        let want = "[ssh]\n\n[[servers]]\nid = \"nas\"\nname = 'Big \"NAS\"'\nhostname = \"nas.lan\"\nssh_user = \"admin\"\n\
            ssh_port = 2222\nproxy_jump = \"me@jump:22\"\n\n[[servers]]\nid = \"here\"\nlocal = true\n";
        assert_eq!(out, want);
    }

    #[test]
    fn a_blank_file_gets_the_settings_of_the_example() {
        for text in ["", "\n \n"] {
            let out = add_servers(text, &[server("pve1")]).unwrap();
            assert!(EXAMPLE.starts_with(out.split("\n\n[[servers]]").next().unwrap()), "{out}");
            assert!(out.ends_with("\n\n[[servers]]\nid = \"pve1\"\nhostname = \"pve1.lan\"\n"), "{out}");
            assert_eq!(Config::parse(&out, Path::new("x")).unwrap().servers.len(), 1);
        }
        let only_settings = add_servers("", &[]).unwrap();
        assert!(EXAMPLE.starts_with(&only_settings) && !only_settings.contains("[[servers]]"), "{only_settings}");
    }

    #[test]
    fn a_list_in_one_value_is_extended_in_place() {
        for (text, want) in [
            (
                "servers = [{ id = \"a\", hostname = \"a\" }] # mine\n[ssh]\n",
                "servers = [{ id = \"a\", hostname = \"a\" }, { id = \"b\", hostname = \"b.lan\" }] # mine\n[ssh]\n",
            ),
            ("servers = []\n", "servers = [{ id = \"b\", hostname = \"b.lan\" }]\n"),
            (
                "servers = [\n  # first\n  { id = \"a\", hostname = \"a\" }, # x\n]\n",
                "servers = [\n  # first\n  { id = \"a\", hostname = \"a\" },\n  { id = \"b\", hostname = \"b.lan\" }, # x\n]\n",
            ),
        ] {
            assert_eq!(add_servers(text, &[server("b")]).unwrap(), want);
        }
    }

    #[test]
    fn what_would_not_load_is_not_made() {
        let text = "[[servers]]\nid = \"a\"\nhostname = \"a\"\n";
        let cases = [
            (text, server("a"), "duplicate server id `a`"),
            (text, server("-b"), "is not a valid server id"),
            (text, NewServer { hostname: "a b".to_owned(), ..server("b") }, "is not a valid host name"),
            ("servers = 1\n", server("b"), "duplicate key"),
            ("x = 1\n", server("b"), "unknown key `x`"),
            ("a = \n", server("b"), "config.toml:1:5:"),
        ];
        for (text, new, want) in cases {
            let error = add_servers(text, &[new]).unwrap_err().in_file(Path::new("config.toml")).to_string();
            assert!(error.contains(want), "{want}\n{error}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode_and_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let path = folder.path().join("new/sub/config.toml");
        write_atomically(&path, "a").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o644, 0o700));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        write_atomically(&path, "b").unwrap();
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap()), (0o600, "b".to_owned()));

        let link = folder.path().join("link.toml");
        std::os::unix::fs::symlink("new/sub/config.toml", &link).unwrap();
        write_atomically(&link, "c").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap()), (0o600, "c".to_owned()));

        let dangling = folder.path().join("dangling.toml");
        std::os::unix::fs::symlink("later.toml", &dangling).unwrap();
        write_atomically(&dangling, "d").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("later.toml")).unwrap(), "d");

        let circle = folder.path().join("circle.toml");
        std::os::unix::fs::symlink("circle.toml", &circle).unwrap();
        for (path, cause) in
            [(circle.as_path(), "too many symbolic links"), (folder.path(), "it is not a regular file")]
        {
            let error = write_atomically(path, "x").unwrap_err();
            assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), cause);
        }
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["config.toml"]);
    }

    #[test]
    fn ids_are_suggested() {
        let taken: Vec<ServerId> = ["nas", "nas-2", "PVE"].map(|id| id.parse().unwrap()).into();
        for (hostname, want) in [
            ("pve1.example.com", "pve1"),
            ("PVE1", "pve1"),
            ("root@pve1.lan", "pve1"),
            ("nas.lan", "nas-3"),
            ("pve", "pve-2"),
            ("192.0.2.10", "host-192.0.2.10"),
            ("2001:db8::1", "host-2001-db8--1"),
            ("[::1]", "host-1"),
            ("::", "server"),
            ("", "server"),
            ("101", "host-101"),
            ("vm-101", "host-vm-101"),
            ("my_host", "my_host"),
            ("_x", "x"),
            ("grün", "gr-n"),
        ] {
            let id = suggest_id(hostname, &taken);
            assert_eq!(id, want, "{hostname}");
            assert!(id.parse::<ServerId>().is_ok(), "{hostname}");
        }
    }
}
