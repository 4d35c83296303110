//! The token's secret is in nothing but the header that the right API sees. Every test's transcripts and tables are
//! looked through for it as well (`env`).

use std::io::Read as _;
use std::process::Stdio;

use ecobox_sim::{Fault, Identity};

use super::env::{CANARY, Env, skipped};
use super::fleets::{api, env_for, full_token, three};
use super::pace::deadline;

/// Whatever happens, however much is logged.
#[test]
fn the_log_never_has_it() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let faults = [
        None,
        Some(Fault::Status(401, format!("Authentication failed for PVEAPIToken={}", "x"))),
        Some(Fault::Garbage),
        Some(Fault::DropBeforeAnswer),
        Some(Fault::Redirect("https://127.0.0.1:1/".to_owned())),
        Some(Fault::HangAtRequest),
    ];
    for fault in faults {
        if let Some(fault) = fault {
            sim.node("pve1").fail(fault);
        }
        for format in ["text", "json"] {
            for command in ["discover", "status"] {
                // `run` looks for the secret.
                let run = env.run(&[command, "-vvv", "--log-format", format, "--timeout", &deadline(2)]);
                assert!(run.stderr.contains("api call") || run.code != 0, "{run}");
                assert!(!run.stderr.to_lowercase().contains("authorization:"), "{run}");
            }
        }
        sim.node("pve1").heal();
    }
}

#[test]
fn an_environment_that_asks_for_everything_does_not_get_it() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let all =
        [("ECOBOX_LOG", "trace"), ("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full"), ("SSLKEYLOGFILE", "/dev/stderr")];
    let run = env.run_with(&["discover", "--log-format", "json"], &all).exits(0);
    assert!(run.stderr.contains("api call"), "{run}");
}

/// JSON logs are one object a line.
#[test]
fn logs_are_json_when_asked() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-vv", "--log-format", "json"]).exits(0);
    let lines: Vec<serde_json::Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let call = lines.iter().find(|line| line["fields"]["message"] == "api call").expect("an api call");
    for field in ["server", "method", "path", "status", "milliseconds"] {
        assert!(!call["fields"][field].is_null(), "{field}: {call}");
    }
    let info = lines.iter().find(|line| line["level"] == "INFO").expect("what was discovered");
    assert!(info["fields"]["vm_count"].is_number() && info["fields"]["proxmox_host"].is_string(), "{info}");
}

/// Nobody sees it in the process list, whichever way it came.
#[test]
fn no_command_line_has_it() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1"]);
    env.unset("ECOBOX_TOKEN_PVE1");
    let file = env.home().join("token");
    std::fs::write(&file, full_token()).unwrap();
    let entry = api("pve1", &sim, "pve1").trim_end().to_owned();
    env.config(&format!("{entry}\ntoken_command = [\"cat\", \"{}\"]\n", file.display()));
    sim.node("pve1").fail(Fault::HangAtRequest);
    let mut child = env.command(&["discover"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while sim.requests().is_empty() {
        std::thread::yield_now();
    }
    let mut line = Vec::new();
    std::fs::File::open(format!("/proc/{}/cmdline", child.id())).unwrap().read_to_end(&mut line).unwrap();
    let mut environment = Vec::new();
    match std::fs::File::open(format!("/proc/{}/environ", child.id())) {
        Ok(mut file) => drop(file.read_to_end(&mut environment).unwrap()),
        // Nobody but root looks into a process that keeps to itself.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    let _ = child.kill();
    let _ = child.wait();
    for bytes in [line, environment] {
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    }
}

/// Nor do others than the API: not one who answers in its place, and not over HTTP.
#[test]
fn no_stranger_sees_it() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.cluster().serve_certificate("pve1", Identity::self_signed(&["127.0.0.1", "pve1", "localhost"]));
    for command in ["status", "discover"] {
        let _ = env.run(&[command]).exits(6);
    }
    assert!(sim.requests().is_empty(), "{:?}", sim.requests());
    // A listener that speaks no TLS at all.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 4096];
        let length = stream.read(&mut bytes).unwrap_or(0);
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        bytes.truncate(length);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        [bytes, rest].concat()
    });
    let mut env = Env::new();
    env.config(&format!("{}verify_tls = false\n", super::fleets::untrusted("pve1", port)));
    env.set("ECOBOX_TOKEN_PVE1", full_token());
    let run = env.run(&["discover", "--timeout", "3s"]);
    assert_ne!(run.code, 0, "{run}");
    let heard = heard.join().unwrap();
    assert!(!heard.windows(8).any(|window| window == &CANARY.as_bytes()[..8]), "{}", String::from_utf8_lossy(&heard));
}

/// What ecobox starts gets no token, whoever it is: `token_command`, the shell for this machine, `ssh -G`, `ProxyCommand`.
#[test]
fn no_program_that_is_started_inherits_it() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1", "pve2"]);
    let folder = env.home().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let path = std::env::var("PATH").unwrap();
    // Each notes its environment, and does what it should.
    for name in ["ssh", "sh", "token"] {
        let seen = env.home().join(format!("seen-{name}"));
        let real = match name {
            "token" => format!("echo '{}'", full_token()),
            name => format!("PATH='{path}' exec {name} \"$@\""),
        };
        let file = folder.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n/usr/bin/env >> {}\n{real}\n", seen.display())).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    env.set("PATH", format!("{}:{path}", folder.display()));
    env.unset("ECOBOX_TOKEN_PVE1");
    let ssh_config = env.home().join("ssh_config");
    let proxy = env.home().join("seen-proxy");
    std::fs::write(&ssh_config, format!("Host nas\n  ProxyCommand env > {}; exit 1\n", proxy.display())).unwrap();
    let entries = [
        format!("[ssh]\nconfig = \"{}\"\n\n", ssh_config.display()),
        format!("{}\ntoken_command = [\"token\"]\n", api("pve1", &sim, "pve1").trim_end()),
        api("pve2", &sim, "pve2"),
        "[[servers]]\nid = \"here\"\nlocal = true\n\n[[servers]]\nid = \"nas\"\nhostname = \"nas\"\n".to_owned(),
    ];
    env.config(&entries.concat());
    let _ = env.run(&["stats"]).exits(8);
    let _ = env.run(&["status"]).exits(8);
    for name in ["ssh", "sh", "token", "proxy"] {
        let seen = std::fs::read_to_string(env.home().join(format!("seen-{name}"))).unwrap();
        assert!(seen.contains("PATH=") && seen.contains("HOME="), "{name}: {seen}");
        assert!(!seen.contains("ECOBOX_TOKEN") && !seen.contains(CANARY), "{name} has the token");
    }
}

/// Its memory and its environment are for nobody, not even for other programs of the same user.
#[test]
#[cfg(target_os = "linux")]
fn nobody_looks_into_the_process() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    sim.node("pve1").fail(Fault::HangAtRequest);
    let mut command = env.command(&["discover"]);
    if rustix::process::geteuid().is_root() {
        // What is root's is always root's: as another user the difference shows.
        for path in
            [env.home().to_owned(), env.home().join(".config"), env.home().join(".config/ecobox"), env.config_path()]
        {
            std::os::unix::fs::chown(path, Some(54321), Some(54321)).unwrap();
        }
        command.uid(54321).gid(54321);
    }
    let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
        skipped("another user cannot run the binary where it is");
        return;
    };
    while sim.requests().is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let owner = std::fs::metadata(format!("/proc/{}/environ", child.id())).map(|meta| meta.uid());
    let _ = child.kill();
    let _ = child.wait();
    assert!(!sim.requests().is_empty(), "it did not run");
    assert_eq!(owner.unwrap(), 0);
}
