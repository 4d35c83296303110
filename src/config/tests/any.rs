//! Any text at all: it is read, or its error has a place.

use std::path::Path;

use super::super::{Config, ConfigError};
use super::parse_bytes;

/// Pieces of which texts are made that are nearly configurations.
#[rustfmt::skip]
const PIECES: [&str; 45] = [
    "[[servers]]\n", "[dashboard]\n", "[ssh]\n", "[[servers.services]]\n", "[servers]\n", "id = \"a\"\n", "id = \"b\"\n",
    "hostname = \"h\"\n", "hostname = \"é\"\n", "local = true\n", "type = \"proxmox\"\n", "port = 22\n", "port = 0\n",
    "ssh_port = 70000\n", "parent_server_id = \"a\"\n", "parent_server_id = \"b\"\n", "wol = { relay = \"a\" }\n",
    "wol = { relay = \"b\" }\n", "[servers.wol]\n", "relay = \"b\"\n", "mac = \"aa:bb:cc:dd:ee:ff\"\n", "mac_address = \"1\"\n",
    "tags = [\"x\"]\n", "tags = [1]\n", "verify_tls = false\n", "ca_file = \"~/x\"\n", "fingerprint = \"ab\"\n",
    "token_command = [\"a\"]\n", "update_interval = \"5m\"\n", "update_interval = -1\n", "config = false\n", "x = 1\n",
    "\"\\u202e\" = 1\n", "a.b.c = {}\n", "expected = \"on\"\n", "\u{feff}", "\r\n", "\t", "\"\"\"", "'''\n", "{", "]",
    "= ", "# é\n", "\0",
];

fn check_position(text: &str) {
    let path = Path::new("c.toml");
    if let Err(error) = Config::parse_at_home(text, path, Some(Path::new("/home/me"))) {
        let ConfigError::Invalid { line, column, message, .. } = &error else { panic!("{error}") };
        let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').collect();
        assert!((1..=lines.len()).contains(line), "{error}");
        assert!((1..=lines[line - 1].chars().count() + 1).contains(column), "{error}");
        assert!(!message.is_empty() && !message.contains(crate::model::text::is_unsafe), "{error}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(2000))]

    #[test]
    fn bytes_never_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = parse_bytes(&bytes, Path::new("c.toml")).map_err(|error| error.to_string());
        check_position(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn every_error_has_its_place_in_the_file(pieces in proptest::collection::vec(0..PIECES.len(), 0..14)) {
        check_position(&pieces.into_iter().map(|index| PIECES[index]).collect::<String>());
    }
}
