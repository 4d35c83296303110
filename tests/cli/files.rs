//! The configuration and the state file: who may read them, and what happens to ones that cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::env::{Env, skipped};
use super::fleets::{CLOSED, env_for, plain, three};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_state_file_is_private_whatever_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let env = Env::new();
        env.config(&plain("nas", CLOSED));
        let ecobox = env.command(&["status"]);
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"])
            .arg(ecobox.get_program())
            .args(ecobox.get_args());
        command.env_clear().envs(ecobox.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let _ = env.finish(super::env::ended(&mut command)).exits(5);
        assert_eq!(mode(&env.state_path()), 0o600, "umask {umask}");
        assert_eq!(mode(env.state_path().parent().unwrap()), 0o700, "umask {umask}");
        let names = fs::read_dir(env.state_path().parent().unwrap()).unwrap();
        for entry in names.map(Result::unwrap) {
            assert_eq!(mode(&entry.path()) & 0o077, 0, "{entry:?} with umask {umask}");
        }
    }
}

#[test]
fn exit_3_a_state_file_that_others_can_read() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let _ = env.run(&["status"]).exits(5);
    for wide in [0o640, 0o604, 0o666, 0o660] {
        set_mode(&env.state_path(), wide);
        let run = env.run(&["status"]).exits(3);
        assert!(run.stderr.contains("run `chmod 600 ~/.local/state/ecobox/state.db`"), "{run}");
        assert_eq!(run.stdout, "");
    }
    set_mode(&env.state_path(), 0o600);
    let _ = env.run(&["status"]).exits(5);
}

#[test]
fn a_damaged_state_file_is_set_aside_and_never_deleted() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    let folder = env.state_path().parent().unwrap().to_owned();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.join(format!("state.db{suffix}")));
    }
    let damaged = format!("SQLite format 3\0{}", "this was somebody's file".repeat(2));
    fs::write(env.state_path(), damaged).unwrap();
    let run = env.run(&["status"]).exits(0);
    assert!(run.stderr.contains("was damaged") && run.stderr.contains("run `ecobox setup-token`"), "{run}");
    assert!(run.stdout.contains("web-01"), "{run}");
    let names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let aside = names.iter().find(|name| name.starts_with("state.db.damaged-")).expect("the damaged file is kept");
    assert!(fs::read_to_string(folder.join(aside)).unwrap().contains("somebody's file"));
    assert_eq!(env.run(&["status"]).exits(0).stderr, "", "said once");
}

/// `--state` names a private key by a slip, or leads to it over a link that somebody else has made.
#[test]
fn exit_3_a_file_that_is_no_state_file_stays_where_it_is() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let key = env.home().join("id_ed25519");
    let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    fs::write(&key, text).unwrap();
    set_mode(&key, 0o600);
    let shared = env.home().join("shared");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o777);
    let link = shared.join("state.db");
    std::os::unix::fs::symlink(&key, &link).unwrap();
    for (path, says) in [
        (&key, "id_ed25519 is no database, and stays as it is: name another file by `--state`"),
        (&link, "~/shared/state.db is a symbolic link in a folder that others may write"),
    ] {
        for command in [&["status"][..], &["status", "--cached"], &["discover"]] {
            let run = env.run(&[command, &["--state", path.to_str().unwrap()]].concat()).exits(3);
            assert!(run.stderr.contains(says), "{run}");
        }
    }
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    let mut names: Vec<String> =
        fs::read_dir(env.home()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".config", "id_ed25519", "shared"], "nothing was moved or made");
}

/// Whoever may write the folder could put a file of their own in the place of ours.
#[test]
fn exit_3_a_state_folder_that_others_can_write() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let _ = env.run(&["status"]).exits(5);
    let folder = env.state_path().parent().unwrap().to_owned();
    set_mode(&folder, 0o777);
    let run = env.run(&["status"]).exits(3);
    assert!(
        run.stderr.contains("lies in a folder that others may write (mode 0777): run `chmod go-w ~/.local"),
        "{run}"
    );
    set_mode(&folder, 0o700);
    let _ = env.run(&["status"]).exits(5);
}

/// As `sudo -E` has it: root in another user's home, who could not enter what root makes there.
#[test]
fn exit_3_nothing_is_made_in_another_users_home() {
    let env = Env::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = elsewhere.path().join("config.toml");
    fs::write(&config, format!("[ssh]\nconfig = false\n{}", plain("nas", CLOSED))).unwrap();
    if std::os::unix::fs::chown(env.home(), Some(54321), None).is_err() {
        skipped("the home of another user: only root can make one");
        return;
    }
    let variables = [("ECOBOX_CONFIG", config.to_str().unwrap())];
    let run = env.run_with(&["status"], &variables).exits(3);
    assert!(
        run.stderr.contains("~ belongs to user 54321, not to 0 who runs this: run it as that user, or with `sudo -H`"),
        "{run}"
    );
    let state = elsewhere.path().join("state.db");
    let init = ["init", "--host", "root@127.0.0.1:1", "--state", state.to_str().unwrap()];
    let run = env.run(&init).exits(3);
    assert!(run.stderr.contains("~ belongs to user 54321"), "{run}");
    assert_eq!(fs::read_dir(env.home()).unwrap().count(), 0, "nothing was made");
}

/// Whoever may write the configuration could name any command.
#[test]
fn exit_3_a_configuration_that_others_can_write_runs_no_command() {
    let env = Env::new();
    let trace = env.home().join("ran");
    let command = format!("token_command = [\"touch\", \"{}\"]\n", trace.display());
    let text =
        format!("[[servers]]\nid = \"pve1\"\nhostname = \"127.0.0.1\"\ntype = \"proxmox\"\napi_port = {CLOSED}\n");
    env.config(&(text.clone() + &command));
    set_mode(&env.config_path(), 0o666);
    let run = env.run(&["status"]).exits(3);
    assert!(
        run.stderr.contains("config.toml may be written by others (mode 0666), so its `token_command` of pve1"),
        "{run}"
    );
    assert!(run.stderr.contains("run `chmod go-w ~/.config/ecobox/config.toml`"), "{run}");
    set_mode(&env.config_path(), 0o644);
    if std::os::unix::fs::chown(env.config_path(), Some(54321), None).is_ok() {
        let run = env.run(&["status"]).exits(3);
        assert!(run.stderr.contains("config.toml belongs to user 54321, not to 0 who runs this"), "{run}");
    } else {
        skipped("a configuration of another user: only root can make one");
    }
    assert!(!trace.exists(), "the command ran");
    // Without one there is nothing to be misled to.
    env.config(&text);
    set_mode(&env.config_path(), 0o666);
    assert!(!env.run(&["status"]).stderr.contains("mode 0666"));
    // Nor is a link followed that somebody else may have made.
    let shared = env.home().join("shared");
    fs::create_dir(&shared).unwrap();
    std::os::unix::fs::symlink(env.config_path(), shared.join("config.toml")).unwrap();
    set_mode(&shared, 0o777);
    let run = env.run(&["status", "--config", shared.join("config.toml").to_str().unwrap()]).exits(3);
    assert!(run.stderr.contains("~/shared/config.toml is a symbolic link in a folder that others may write"), "{run}");
}

#[test]
fn what_is_published_replaces_nobodys_secret() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let shared = env.home().join("shared");
    fs::create_dir(&shared).unwrap();
    set_mode(&shared, 0o777);
    fs::create_dir(env.home().join("own")).unwrap();
    std::os::unix::fs::symlink("../own", shared.join("folder")).unwrap();
    let run = env.run(&["status", "--out", shared.join("folder/x").to_str().unwrap()]);
    assert!(
        run.code != 5 && run.stderr.contains("~/shared/folder is a symbolic link in a folder that others"),
        "{run}"
    );
    assert_eq!(fs::read_dir(env.home().join("own")).unwrap().count(), 0);
    let file = env.home().join("x");
    fs::write(&file, "secret").unwrap();
    set_mode(&file, 0o600);
    if std::os::unix::fs::chown(&file, Some(54321), None).is_err() {
        skipped("a file of another user: only root can make one");
        return;
    }
    let run = env.run(&["status", "--out", file.to_str().unwrap()]);
    assert!(run.stderr.contains("it belongs to user 54321 and is not for everybody (mode 0600)"), "{run}");
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("secret", 0o600));
}

/// A pipe that nobody writes to: as a file on a server that does not answer.
#[test]
fn exit_3_a_configuration_that_does_not_come() {
    let env = Env::new();
    let pipe = env.home().join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let run = env.run(&["status", "--timeout", "300ms", "--config", pipe.to_str().unwrap()]).exits(3);
    assert!(run.stderr.contains("error: cannot read ~/pipe.toml: nothing came within 300ms"), "{run}");
}

#[test]
fn exit_3_a_state_file_of_a_newer_ecobox() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let _ = env.run(&["status"]).exits(5);
    env.execute("PRAGMA user_version = 4711");
    let before = fs::read(env.state_path()).unwrap();
    for args in [&["status"][..], &["status", "--cached"], &["discover"]] {
        let run = env.run(args).exits(3);
        assert!(run.stderr.contains("made by a newer ecobox (schema 4711"), "{run}");
    }
    assert_eq!(fs::read(env.state_path()).unwrap(), before, "it was not touched");
}

#[test]
fn exit_3_a_folder_that_cannot_be_made() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let file = env.home().join("file");
    fs::write(&file, "").unwrap();
    let path = file.join("state.db");
    let run = env.run(&["status", "--state", path.to_str().unwrap()]).exits(3);
    assert!(run.stderr.contains("~/file"), "{run}");
    // What is no file at all.
    let run = env.run(&["status", "--state", "/dev/null"]).exits(3);
    assert!(run.stderr.contains("/dev/null"), "{run}");
    let folder = env.home().join("folder");
    fs::create_dir(&folder).unwrap();
    let run = env.run(&["status", "--state", folder.to_str().unwrap()]).exits(3);
    assert!(run.stderr.contains("is not a file"), "{run}");
}

/// Root may write everywhere, so that only others see this.
#[test]
fn exit_3_a_folder_that_cannot_be_written() {
    if rustix::process::geteuid().is_root() {
        skipped("root may write everywhere");
        return;
    }
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let folder = env.home().join("locked");
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o500);
    let run = env.run(&["status", "--state", folder.join("state.db").to_str().unwrap()]).exits(3);
    set_mode(&folder, 0o700);
    assert!(run.stderr.contains("~/locked"), "{run}");
}

#[test]
fn the_state_file_is_where_it_was_told() {
    let env = Env::new();
    env.config(&plain("nas", CLOSED));
    let (flag, variable, xdg) =
        (env.home().join("a/b/flag.db"), env.home().join("variable.db"), env.home().join("xdg"));
    let variables = [("ECOBOX_STATE", variable.to_str().unwrap()), ("XDG_STATE_HOME", xdg.to_str().unwrap())];
    let _ = env.run_with(&["status", "--state", flag.to_str().unwrap()], &variables).exits(5);
    assert!(flag.exists() && !variable.exists() && !xdg.exists());
    let _ = env.run_with(&["status"], &variables).exits(5);
    assert!(variable.exists() && !xdg.exists());
    let _ = env.run_with(&["status"], &variables[1..]).exits(5);
    assert!(xdg.join("ecobox/state.db").exists() && !env.state_path().exists());
}

#[test]
fn exit_3_no_configuration_has_a_hint() {
    let env = Env::new();
    insta::assert_snapshot!(env.run(&["status"]).exits(3), @"
    ------- stderr -------
    error: no configuration file at ~/.config/ecobox/config.toml
    hint: run `ecobox init` to make one
    [exit status: 3]
    ");
}

#[test]
fn exit_3_each_error_in_the_configuration_has_its_place() {
    let env = Env::new();
    let first = |text: &str| {
        env.config(&format!("[ssh]\nconfig = false\n{text}"));
        let run = env.run(&["status"]).exits(3);
        assert!(!env.state_path().exists(), "nothing was written");
        run
    };
    insta::assert_snapshot!(first("[[servers]]\nid = \"a\"\nhostnam = \"b\"\n"), @r#"
    ------- stderr -------
    error: ~/.config/ecobox/config.toml:5:1: unknown key `hostnam`; did you mean `hostname`?
      |
    5 | hostnam = "b"
      | ^^^^^^^
    hint: run `ecobox doctor`
    [exit status: 3]
    "#);
    insta::assert_snapshot!(first("[[servers]]\nid = \"a\"\nhostname = \"-oProxyCommand=x\"\n"), @r#"
    ------- stderr -------
    error: ~/.config/ecobox/config.toml:5:12: `hostname`: `-oProxyCommand=x` is not a valid host name: no blanks, quotes or `$\;&<>|(){},` in it, no `-` first, at most 253
      |
    5 | hostname = "-oProxyCommand=x"
      |            ^^^^^^^^^^^^^^^^^^
    hint: run `ecobox doctor`
    [exit status: 3]
    "#);
    insta::assert_snapshot!(first("[[servers]]\nid = \"a\"\nhostname = \"b\"\nssh_port = 99999\n"), @"
    ------- stderr -------
    error: ~/.config/ecobox/config.toml:6:12: `ssh_port`: `99999` is not within 1 to 65535
      |
    6 | ssh_port = 99999
      |            ^^^^^
    hint: run `ecobox doctor`
    [exit status: 3]
    ");
    insta::assert_snapshot!(first("[[servers]\n"), @"
    ------- stderr -------
    error: ~/.config/ecobox/config.toml:3:11: unclosed array table, expected `]`
      |
    3 | [[servers]
      |           ^
    hint: run `ecobox doctor`
    [exit status: 3]
    ");
    for text in [
        "[[servers]]\nid = \"a\"\nhostname = \"b\"\n[[servers]]\nid = \"a\"\nhostname = \"c\"\n",
        "[[servers]]\nhostname = \"b\"\n",
        "[[servers]]\nid = \"a\"\nhostname = \"b\"\nfingerprint = \"AA:BB\"\n",
        "[[servers]]\nid = \"a\"\nhostname = \"b\"\nparent_server_id = \"nobody\"\n",
        "[[servers]]\nid = \"a\"\nhostname = \"b\"\nexpected = \"maybe\"\n",
        "[dashboard]\nvm_discovery_interval = -1\n",
        "[dashboard]\nlog_level = \"loud\"\n",
    ] {
        let run = first(text);
        assert!(run.stderr.contains("config.toml:") && run.stderr.contains(" | "), "{run}");
    }
}

#[test]
fn keys_of_the_web_server_are_named_once() {
    let env = Env::new();
    env.config(&format!("[dashboard]\nport = 8080\niap_auth = true\nupdate_interval = 30\n\n{}", plain("nas", CLOSED)));
    let run = env.run(&["status"]).exits(5);
    let warnings: Vec<_> = run.stderr.lines().filter(|line| line.contains("dashboard.port")).collect();
    assert_eq!(warnings.len(), 1, "{run}");
    assert!(warnings[0].contains("dashboard.iap_auth") && !warnings[0].contains("update_interval"), "{run}");
}

#[test]
fn the_configuration_is_where_it_was_told_and_never_here() {
    let env = Env::new();
    let (flag, variable) = (env.home().join("flag.toml"), env.home().join("variable.toml"));
    let entry = |id: &str| format!("[ssh]\nconfig = false\n{}", plain(id, CLOSED));
    fs::write(&flag, entry("flag")).unwrap();
    fs::write(&variable, entry("variable")).unwrap();
    fs::write(env.home().join("config.toml"), entry("here")).unwrap();
    env.config(&entry("home"));
    let shown = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = env.command(args);
        let run =
            env.finish(super::env::ended(command.current_dir(env.home()).envs(variables.iter().copied()))).exits(5);
        run.states()[0].split(' ').next().unwrap().to_owned()
    };
    let variables = [("ECOBOX_CONFIG", variable.to_str().unwrap())];
    assert_eq!(shown(&["status", "-o", "json", "--config", flag.to_str().unwrap()], &variables), "flag");
    assert_eq!(shown(&["status", "-o", "json"], &variables), "variable");
    assert_eq!(shown(&["status", "-o", "json"], &[]), "home");
}

#[test]
fn the_example_of_ecobox_server_loads_as_it_stands() {
    let env = Env::new();
    env.config(
        "[dashboard]\nvm_discovery_interval = 300  # seconds\n\n[[servers]]\nid = \"proxmox-host\"\nname = \"Proxmox Host\"\n\
         hostname = \"proxmox.invalid\"\nmac_address = \"aa:bb:cc:dd:ee:ff\"\nssh_user = \"root\"\nssh_port = 22\n\
         ssh_key_path = \"/path/to/ssh/key\"\n\n[[servers.services]]\nname = \"Proxmox Web UI\"\nport = 8006\ntype = \"https\"\n",
    );
    let run = env.run(&["status", "-o", "json", "--timeout", "5s"]).exits(5);
    assert_eq!(run.server("proxmox-host")["name"], "Proxmox Host");
}
