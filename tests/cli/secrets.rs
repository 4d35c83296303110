//! The token's secret is in nothing but the header that the right API sees. Every test's transcripts and tables are
//! looked through for it as well (`env`).

use std::io::Read as _;
use std::process::Stdio;

use ecobox_sim::{Fault, Identity};

use super::env::{CANARY, Env};
use super::fleets::{api, env_for, full_token, three};

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
                let run = env.run(&[command, "-vvv", "--log-format", format, "--timeout", "2s"]);
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
    std::fs::File::open(format!("/proc/{}/environ", child.id())).unwrap().read_to_end(&mut environment).unwrap();
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
