//! What configurations mean.

mod any;
mod files;

use super::*;

/// What `read` and `parse` make of bytes, as `load` does with a file's.
fn parse_bytes(bytes: &[u8], path: &Path) -> Result<Config, ConfigError> {
    let text = decode(bytes.to_vec(), path)?;
    Config::parse_at_home(&text, path, Some(Path::new("/home/me")))
}

fn parse(text: &str) -> Config {
    Config::parse_at_home(text, Path::new("/etc/eco/config.toml"), Some(Path::new("/home/me"))).unwrap()
}

fn only_server(keys: &str) -> ServerConfig {
    parse(&format!("[[servers]]\nid = \"a\"\nhostname = \"a.lan\"\n{keys}")).servers.remove(0)
}

#[test]
fn what_is_not_said_has_a_default() {
    let server = only_server("");
    let want = ServerConfig {
        id: "a".parse().unwrap(),
        name: "a".to_owned(),
        hostname: "a.lan".to_owned(),
        access: Access::Ssh,
        mac: None,
        idle: IdleSettings::default(),
        energy: EnergySettings::default(),
        wol: WolSettings::default(),
        ssh_user: None,
        ssh_port: None,
        ssh_key_path: None,
        proxy_jump: None,
        parent_server_id: None,
        services: Vec::new(),
        api_port: None,
        verify_tls: true,
        ca_file: None,
        fingerprint: None,
        token_command: None,
        tags: Vec::new(),
        expected: None,
    };
    assert_eq!(server, want);
    assert_eq!(server.api_port(), 8006);
    assert_eq!(parse("").settings, Settings::default());
    let here = parse("[[servers]]\nid = \"here\"\nlocal = true\n").servers.remove(0);
    assert_eq!((here.access, here.hostname.as_str()), (Access::Local, "localhost"));
}

#[test]
fn intervals_are_seconds_or_a_text() {
    for (value, want) in [
        ("300", 300),
        ("0", 30),
        ("0x10", 16),
        ("'90'", 90),
        ("'90s'", 90),
        ("'5m'", 300),
        ("'1h 30m'", 5400),
        ("'1h30m'", 5400),
        ("'2d'", 172_800),
        ("'1w'", 604_800),
        ("' 5m '", 300),
        ("31622400", 31_622_400),
    ] {
        let settings = parse(&format!("[dashboard]\nupdate_interval = {value}\n")).settings;
        assert_eq!(settings.update_interval, Duration::from_secs(want), "{value}");
    }
}

#[test]
fn the_history_is_kept_and_sent_as_the_file_says() {
    let history = |keys: &str| parse(&format!("[history]\n{keys}")).settings.history;
    let usual = HistorySettings::default();
    assert_eq!(history(""), usual);
    for (keys, want) in [
        ("raw = '2d'\nhourly = '3650d'", HistorySettings { raw: days(2), hourly: days(3650), ..usual.clone() }),
        ("raw = 3600", HistorySettings { raw: Duration::from_secs(3600), ..usual.clone() }),
        ("queue = 1_000", HistorySettings { queue: 1000, ..usual.clone() }),
        ("queue = 0", HistorySettings { queue: 0, ..usual.clone() }),
        ("queue = '512k'", HistorySettings { queue: 512 << 10, ..usual.clone() }),
        ("queue = ' 2 GiB '", HistorySettings { queue: 2 << 30, ..usual.clone() }),
        (
            "query = 'https://[::1]:9/p/'",
            HistorySettings { query: Some("https://[::1]:9/p".to_owned()), ..usual.clone() },
        ),
    ] {
        assert_eq!(history(keys), want, "{keys}");
    }
    let file = |key| SecretFrom::File { key, path: "/etc/eco/secret".into() };
    let command = |key| SecretFrom::Command { key, command: ["sh", "-c", "pass x"].map(str::to_owned).into() };
    for (keys, want) in [
        (
            "username = 'me'\npassword_file = 'secret'",
            HistoryAuth::Basic { username: "me".to_owned(), password: file("password_file") },
        ),
        (
            "username = 'me'\npassword_command = 'pass x'",
            HistoryAuth::Basic { username: "me".to_owned(), password: command("password_command") },
        ),
        ("bearer_token_file = 'secret'", HistoryAuth::Bearer(file("bearer_token_file"))),
        ("bearer_token_command = ['sh', '-c', 'pass x']", HistoryAuth::Bearer(command("bearer_token_command"))),
    ] {
        assert_eq!(history(keys).auth, want, "{keys}");
    }
}

fn days(number: u64) -> Duration {
    Duration::from_secs(number * 24 * 3600)
}

#[test]
fn a_secret_without_tls_is_told_from_one_that_stays_here() {
    for (url, exposed) in [
        ("http://127.0.0.1:9090/x", false),
        ("http://localhost/x", false),
        ("http://[::1]:9090", false),
        ("https://prom.lan/x", false),
        ("http://prom.lan:9090", true),
        ("http://127.0.0.1.example.com", true),
        ("http://192.0.2.1/127.0.0.1", true),
    ] {
        let keys = format!("[history]\nremote_write = \"{url}\"\n");
        assert!(parse(&keys).settings.history.secret_in_the_clear().is_empty(), "{url}: there is no secret");
        let history = parse(&format!("{keys}bearer_token_file = \"x\"\n")).settings.history;
        let want: &[&str] = if exposed { &["remote_write"] } else { &[] };
        assert_eq!(history.secret_in_the_clear(), want, "{url}");
    }
}

#[test]
fn paths_start_at_home_or_at_the_file() {
    for (text, want) in [
        ("~/.ssh/id", "/home/me/.ssh/id"),
        ("/abs/id", "/abs/id"),
        ("keys/id", "/etc/eco/keys/id"),
        ("../id", "/etc/eco/../id"),
    ] {
        let path = Some(Path::new(want));
        let server = only_server(&format!("ssh_key_path = \"{text}\"\nca_file = \"{text}\"\n"));
        assert_eq!((server.ssh_key_path.as_deref(), server.ca_file.as_deref()), (path, path));
        let settings = parse(&format!("[ssh]\nconfig = \"{text}\"\n")).settings;
        assert_eq!(settings.ssh_config, SshConfigSetting::File(PathBuf::from(want)));
    }
    let text = "[ssh]\nconfig = \"~/x\"\n";
    let homeless = Config::parse_at_home(text, Path::new("c.toml"), None).unwrap_err().to_string();
    assert!(homeless.starts_with("c.toml:2:10: `config`: `~/x`: HOME is not set"), "{homeless}");
    assert_eq!(parse("[ssh]\nconfig = false\n").settings.ssh_config, SshConfigSetting::Off);
    assert_eq!(parse("[ssh]\nconfig = true\n").settings.ssh_config, SshConfigSetting::Default);
}

#[test]
fn values_are_brought_into_one_form() {
    let fingerprint = "ab".repeat(32);
    let server = only_server(&format!(
        "mac_address = \"AA-BB-CC-DD-EE-0F\"\nfingerprint = \"{fingerprint}\"\ntoken_command = \"pass show x\"\n\
        proxy_jump = \"NONE\"\ntags = [\"b\", \"a\", \"b\"]\nexpected = \"asleep\"\n[[servers.services]]\ntype = \"SSH\"\n"
    ));
    assert_eq!(server.mac.unwrap().to_string(), "aa:bb:cc:dd:ee:0f");
    assert_eq!(server.fingerprint.map(|digest| digest.hex()), Some(fingerprint));
    assert_eq!(server.token_command.unwrap(), ["sh", "-c", "pass show x"]);
    assert_eq!(server.proxy_jump.as_deref(), Some("none"));
    assert_eq!(server.tags, ["b", "a"]);
    assert_eq!(server.expected, Some(Expected::Asleep));
    let service = &server.services[0];
    assert_eq!((service.name.as_str(), service.port, service.kind.as_str()), ("ssh", 22, "ssh"));
    assert_eq!(only_server("token_command = [\"a\", \"\"]\n").token_command.unwrap(), ["a", ""]);
}

#[test]
fn a_server_is_woken_as_its_entry_says() {
    let usual = WolSettings::default();
    let file = SecretFrom::File { key: "secure_on_file", path: "/etc/eco/so".into() };
    for (keys, want) in [
        ("", usual.clone()),
        ("broadcast = '192.168.1.255'", WolSettings { broadcast: Some([192, 168, 1, 255].into()), ..usual.clone() }),
        (
            "interface = 'eno1'\nport = 7",
            WolSettings { interface: Some("eno1".into()), port: Some(7), ..usual.clone() },
        ),
        (
            "secure_on = '00:11:22:33:44:55'",
            WolSettings { secure_on: "00:11:22:33:44:55".parse().ok().map(SecureOnFrom::Given), ..usual.clone() },
        ),
        ("secure_on_file = 'so'", WolSettings { secure_on: Some(SecureOnFrom::Elsewhere(file)), ..usual.clone() }),
    ] {
        assert_eq!(only_server(&format!("[servers.wol]\n{keys}\n")).wol, want, "{keys}");
    }
    for keys in [
        "mac_address = 'AA-BB-CC-DD-EE-0F'",
        "[servers.wol]\nmac = 'AA-BB-CC-DD-EE-0F'",
        "mac_address = 'aa:bb:cc:dd:ee:0f'\n[servers.wol]\nmac = 'AA-BB-CC-DD-EE-0F'",
    ] {
        assert_eq!(only_server(&format!("{keys}\n")).mac.unwrap().to_string(), "aa:bb:cc:dd:ee:0f");
    }
    let relay = "[[servers]]\nid = 'nas'\nhostname = 'nas.lan'\n";
    let config = parse(&format!("[[servers]]\nid = 'a'\nhostname = 'a'\nwol = {{ relay = 'nas' }}\n{relay}"));
    assert_eq!(config.servers[0].wol.relay.as_ref(), Some(&config.servers[1].id));
    for (text, millis) in [("'100ms'", 100), ("'0.25s'", 250), ("'1s 500ms'", 1500), ("2", 2000), ("0", 10_000)] {
        let settings = parse(&format!("[dashboard]\nwol_retry_interval = {text}\n")).settings;
        assert_eq!(settings.wol_retry_interval, Duration::from_millis(millis), "{text}");
    }
}

#[test]
fn an_entry_under_a_guests_id_is_about_that_guest() {
    let host = "[[servers]]\nid = \"pve1\"\nhostname = \"pve1.lan\"\n";
    for (id, want) in [
        ("pve1-vm-101", Some(("vm", 101))),
        ("pve1-ct-201", Some(("ct", 201))),
        ("pve1-vm-0101", None),
        ("pve1-vm-99", None),
        ("pve1-lxc-101", None),
        ("pve1-vm-101x", None),
        ("pve2-vm-101", None),
        ("pve1vm-101", None),
        ("web", None),
    ] {
        let entry = format!("[[servers]]\nid = \"{id}\"\nparent_server_id = \"pve1\"\nhostname = \"x\"\n");
        let config = parse(&format!("{host}{entry}"));
        let got = config.servers.iter().find(|server| server.id.as_str() == id).unwrap().guest_ref();
        let got = got.as_ref().map(|(_, kind, vmid)| (kind.short(), vmid.get()));
        assert_eq!(got, want, "{id}");
    }
}

#[test]
fn the_file_is_found_in_one_order() {
    let find = |flag: Option<&str>, set: &[(&str, &str)]| {
        let var = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        super::find(flag.map(Path::new), var).to_string_lossy().into_owned()
    };
    let all = [("ECOBOX_CONFIG", "/e.toml"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
    assert_eq!(find(Some("f.toml"), &all), "f.toml");
    assert_eq!(find(None, &all), "/e.toml");
    assert_eq!(find(None, &all[1..]), "/x/ecobox/config.toml");
    assert_eq!(find(None, &all[2..]), "/h/.config/ecobox/config.toml");
    let unusable = [("ECOBOX_CONFIG", ""), ("XDG_CONFIG_HOME", "relative"), ("HOME", "/h")];
    assert_eq!(find(None, &unusable), "/h/.config/ecobox/config.toml");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    assert!(matches!(load(&path, crate::file::PATIENCE), Err(ConfigError::NotFound { .. })));
    assert!(matches!(load(folder.path(), crate::file::PATIENCE), Err(ConfigError::Read { .. })));
    std::fs::write(&path, "[dashboard]\nx = 1\n").unwrap();
    let error = load(&path, crate::file::PATIENCE).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2:1: unknown key `x`", path.display())), "{error}");
    std::fs::write(&path, vec![b'#'; 4 * 1024 * 1024 + 1]).unwrap();
    assert!(matches!(load(&path, crate::file::PATIENCE), Err(ConfigError::Read { .. })));
}

#[test]
fn what_counts_as_idle_is_said_for_all_and_for_one() {
    let text = "[idle]\ncpu_percent = 5\nload = 0.5\nnetwork = \"1M\"\nports = [445, 8096]\nignore_users = [\"monitor\"]\n\
        not_between = [\"Mon-Fri 08:00-18:00\"]\n[[servers]]\nid = \"a\"\nhostname = \"a.lan\"\n[servers.idle]\n\
        cpu_percent = 12.5\ndisk = 4096\nports = [9000]\ncommand = \"pgrep ffmpeg\"\nnot_between = []\n\
        [[servers]]\nid = \"b\"\nhostname = \"b.lan\"\n";
    let config = parse(text);
    let (a, b) = (&config.servers[0].idle, &config.servers[1].idle);
    assert_eq!((a.cpu_percent, a.load, a.network, a.disk), (12.5, 0.5, 1_048_576.0, 4096.0));
    assert_eq!((a.ports.as_slice(), a.ignore_users.as_slice()), (&[9000][..], &["monitor".to_owned()][..]));
    assert_eq!(a.command.as_deref(), Some(&["sh", "-c", "pgrep ffmpeg"].map(str::to_owned)[..]));
    assert!(a.not_between.is_empty());
    assert_eq!((b.cpu_percent, b.ports.as_slice(), b.not_between.len()), (5.0, &[445, 8096][..], 1));
    let usual = only_server("");
    assert_eq!((usual.idle.cpu_percent, usual.idle.network, usual.idle.disk), (10.0, 102_400.0, 1_048_576.0));
    for (line, want) in [
        ("cpu_percent = 101", "`cpu_percent`: 101 is not within 0 to 100"),
        ("cpu_percent = \"10\"", "`cpu_percent` must be a number"),
        ("network = \"fast\"", "is not a valid size"),
        ("ports = [0]", "is not within 1 to 65535"),
        ("ports = [\"smb\"]", "a list of ports"),
        ("ports = 445", "a list of ports"),
        ("not_between = [\"weekends\"]", "is not a time of the week"),
        ("command = [\"a\\nb\"]", "contains a line break"),
        ("ignore_timers = [\"a b\"]", "is not a name of a timer"),
        ("window = \"30m\"", "unknown key `window`"),
    ] {
        for head in ["[idle]\n", "[[servers]]\nid = \"a\"\nhostname = \"a.lan\"\n[servers.idle]\n"] {
            let error =
                Config::parse_at_home(&format!("{head}{line}\n"), Path::new("/c"), None).unwrap_err().to_string();
            assert!(error.contains(want), "{line}: {error}");
        }
    }
    let misplaced = Config::parse_at_home("[dashboard]\nnot_between = []\n", Path::new("/c"), None).unwrap_err();
    assert!(misplaced.to_string().contains("it belongs in [idle]"), "{misplaced}");
}
