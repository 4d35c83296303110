//! Whole files: those that others wrote, those that are wrong, and the example.

use std::path::{Path, PathBuf};

use super::super::*;
use super::parse_bytes;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Mute;

#[test]
fn the_example_of_ecobox_server_loads_as_it_stands() {
    let text = r#"[dashboard]
vm_discovery_interval = 300  # seconds

[[servers]]
id = "proxmox-host"
name = "Proxmox Host"
hostname = "proxmox.example.com"
mac_address = "aa:bb:cc:dd:ee:ff"
ssh_user = "root"
ssh_port = 22
ssh_key_path = "/path/to/ssh/key"

[[servers.services]]
name = "Proxmox Web UI"
port = 8006
type = "https"
"#;
    let config = Config::parse(text, Path::new("/etc/x/config.toml")).unwrap();
    assert_eq!(config.settings, Settings::default());
    assert!(config.ignored.is_empty());
    let [server] = config.servers.as_slice() else { panic!("{config:?}") };
    assert_eq!((server.id.as_str(), server.name.as_str()), ("proxmox-host", "Proxmox Host"));
    assert_eq!((server.hostname.as_str(), server.access), ("proxmox.example.com", Access::Ssh));
    assert_eq!(server.ssh_key_path.as_deref(), Some(Path::new("/path/to/ssh/key")));
    assert_eq!((server.ssh_port, server.api_port()), (Some(22), 8006));
    assert_eq!(server.services[0].port, 8006);
}

/// The fixtures of one folder: name and bytes, sorted.
fn fixtures(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs").join(folder);
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// The value of a comment such as `# servers: a b` at the beginning of a fixture.
fn note<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let lines = text.trim_start_matches('\u{feff}').lines().take_while(|line| line.starts_with('#'));
    lines.filter_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(':')).map(str::trim).next()
}

#[test]
fn good_configurations_load() {
    let files = fixtures("valid");
    assert!(files.len() >= 25, "{}", files.len());
    for (name, bytes) in files {
        let config = parse_bytes(&bytes, Path::new("config.toml")).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = String::from_utf8(bytes).unwrap();
        let ids: Vec<&str> = config.servers.iter().map(|server| server.id.as_str()).collect();
        assert_eq!(Some(ids.join(" ").as_str()), note(&text, "servers"), "{name}");
        let ignored: Vec<String> = config.ignored.iter().map(|key| key.replace(' ', "_")).collect();
        assert_eq!(ignored.join(" "), note(&text, "ignored").unwrap_or_default(), "{name}");
    }
}

#[test]
fn bad_configurations_are_explained() {
    let files = fixtures("invalid");
    assert!(files.len() >= 80, "{}", files.len());
    let mut wrong = Vec::new();
    for (name, bytes) in files {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let expected = note(&text, "expect").unwrap_or_else(|| panic!("{name} begins with no `# expect: `"));
        let error = parse_bytes(&bytes, Path::new(&name)).expect_err(&name);
        let shown = error.to_string();
        let first = shown.lines().next().unwrap().strip_prefix(&format!("{name}:")).unwrap();
        if first != expected {
            wrong.push(format!("{name}\t{first}"));
        }
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(!shown.contains("c0ffee"), "{shown}");
        assert!(!shown.replace('\n', "").contains(crate::model::text::is_unsafe), "{shown:?}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_muted_is_a_check() {
    let path = Path::new("/etc/eco/config.toml");
    for (text, want) in [
        ("mute = [{ id = \"clock-of\" }]", "`clock-of` is not the id of a check; did you mean `clock-off`?"),
        ("mute = [{ server = \"nas\" }]", "an entry of `mute` needs an `id`"),
        ("mute = [{ id = \"clock-off\", why = \"x\" }]", "unknown key `why`"),
        ("mute = \"clock-off\"", "`mute` must be a list of tables"),
        ("mutes = []", "unknown key `mutes`; did you mean `mute`?"),
    ] {
        let error = Config::parse(&format!("[doctor]\n{text}\n"), path).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
    let text = "[doctor]\n[[doctor.mute]]\nid = \"clock-off\"\n";
    let mute = Mute { id: CheckId::ClockOff, server: None, reason: None };
    assert_eq!(Config::parse(text, path).unwrap().settings.mute, [mute]);
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let path = Path::new("/etc/eco/config.toml");
    let as_is = Config::parse(EXAMPLE, path).unwrap();
    assert_eq!(as_is.settings, Settings::default());

    let commented = |line: &str| {
        let rest = line.strip_prefix("# ")?;
        let (key, _) = rest.split_once(" = ")?;
        key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_').then(|| rest.to_owned())
    };
    let lines = EXAMPLE.lines().map(|line| commented(line).unwrap_or_else(|| line.to_owned()));
    let text: String = lines.map(|line| line + "\n").collect();
    let whole = Config::parse_at_home(&text, path, Some(Path::new("/home/me"))).unwrap();
    assert!(whole.ignored.is_empty());
    let ssh_config = SshConfigSetting::File(PathBuf::from("/home/me/.ssh/config"));
    let password = SecretFrom::Command {
        key: "password_command",
        command: ["pass", "show", "ecobox/prometheus"].map(str::to_owned).into(),
    };
    let history = HistorySettings {
        remote_write: Some("http://127.0.0.1:9090/api/v1/write".to_owned()),
        query: Some("http://127.0.0.1:9090".to_owned()),
        auth: HistoryAuth::Basic { username: "ecobox".to_owned(), password },
        ca_file: Some("/etc/eco/prometheus-ca.pem".into()),
        ..HistorySettings::default()
    };
    let mute = vec![Mute {
        id: CheckId::NoRoot,
        server: Some("nas".to_owned()),
        reason: Some("it is only looked at".to_owned()),
    }];
    let energy = EnergyPrice { price: Some(0.3), currency: Some("EUR".to_owned()), co2_g_per_kwh: Some(380.0) };
    let shown =
        Settings { log_level: Some("warn".to_owned()), history, ssh_config, mute, energy, ..Settings::default() };
    assert_eq!(whole.settings, shown);

    // What would exclude a key shown above it stands behind an `or`, and loads in its place.
    let password_file = text.replace("password_command = ", "# ").replace("# or password_file", "password_file");
    let bearer = password_file.replace("username = ", "# ").replace("password_file = ", "# ");
    let command = bearer.replace("# or bearer_token_command", "bearer_token_command");
    let file = bearer.replace("# or bearer_token_file", "bearer_token_file");
    let on_command = file.replace("secure_on = ", "# ").replace("# or secure_on_command", "secure_on_command");
    let on_file = file.replace("secure_on = ", "# ").replace("# or secure_on_file", "secure_on_file");
    let mut shown = std::collections::HashSet::new();
    for text in [&text, &password_file, &command, &file, &on_command, &on_file] {
        let config = Config::parse_at_home(text, path, Some(Path::new("/home/me"))).unwrap();
        assert!(config.settings.history.auth != HistoryAuth::None);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        shown.extend(lines.filter_map(|line| Some(line.split_once(" = ")?.0)));
    }
    for key in schema::documented() {
        assert!(shown.contains(key), "{key} is missing in config.example.toml");
    }
    let (plain, shown) = (&as_is.servers[0], &whole.servers[0]);
    assert_eq!((plain.access, plain.verify_tls, plain.api_port()), (shown.access, shown.verify_tls, shown.api_port()));
}
