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
    for (path, cause) in [(circle.as_path(), "too many symbolic links"), (folder.path(), "it is not a regular file")] {
        let error = write_atomically(path, "x").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), cause);
    }
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
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
