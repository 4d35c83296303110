//! What never comes: files that do not answer, servers that drip, programs that do not end, a state file that others keep.
//! The report is printed all the same, and signals and deadlines hold.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ecobox_sim::host::Host;

use super::env::{CANARY, Env};
use super::fleets::{api, env_for, full_token, homelab, plain, three, untrusted};
use super::pace::deadline;
use super::world::World;

/// A pipe that nobody writes to: who opens it waits for ever, as for a file on a server that does not answer.
fn pipe(env: &Env, name: &str) -> PathBuf {
    let path = env.home().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

fn is_alive(pid: &str) -> bool {
    // What was killed and not yet waited for is a zombie.
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn files_that_do_not_come_cost_only_what_needs_them() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1"]);
    let (ca, credentials) = (pipe(&env, "ca.pem"), env.home().join("credentials"));
    std::fs::create_dir(&credentials).unwrap();
    pipe(&env, "credentials/ecobox-pve3");
    env.set("CREDENTIALS_DIRECTORY", credentials.display().to_string());
    env.set("ECOBOX_TOKEN_PVE2", full_token());
    let waiting = format!("{}ca_file = \"{}\"\n\n", untrusted("pve2", sim.node("pve2").port()), ca.display());
    env.config(&(api("pve1", &sim, "pve1") + &waiting + &api("pve3", &sim, "pve3")));
    let run = env.run(&["status", "-o", "json", "--timeout", &deadline(3)]).exits(8);
    assert!(run.states().iter().any(|row| row.ends_with("vm-101 running")), "{run}");
    let said = |text: &str| assert!(run.stderr.contains(text), "no `{text}` in {run}");
    said("pve2: ca_file ~/ca.pem: nothing came within");
    said("cannot read ~/credentials/ecobox-pve3: nothing came within");
}

#[test]
fn a_secret_that_does_not_come_keeps_no_report() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    let token = pipe(&env, "token");
    let history = "[history]\nremote_write = \"http://127.0.0.1:1/api/v1/write\"\nbearer_token_file";
    env.add_config(&format!("{history} = \"{}\"\n", token.display()));
    for _ in 0..2 {
        let run = env.run(&["status", "--timeout", &deadline(2)]).exits(0);
        assert!(run.stdout.contains("web-01"), "{run}");
        let _ = run.says("cannot read `bearer_token_file` ~/token: nothing came within");
    }
}

#[test]
fn a_certificate_that_does_not_come_is_none() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.know(&nas);
    world.configure(&nas.entry());
    pipe(&world.env, ".ssh/id_ed25519-cert.pub");
    let run = world.run(&["status"]).exits(0);
    assert!(run.stdout.contains("nas"), "{run}");
    let _ = world.run(&["stats"]).exits(0);
    // Nor is a pipe a key.
    std::fs::remove_file(world.env.home().join(".ssh/id_ed25519")).unwrap();
    pipe(&world.env, ".ssh/id_ed25519");
    let _ = world.run(&["stats"]).exits(4).says("it is not a key file");
}

/// Another process that keeps `known_hosts` locked is waited for, and not for ever.
#[test]
fn a_host_key_that_cannot_be_written_down_costs_only_its_host() {
    let world = World::new();
    let (nas, box_) = (world.serve(Host::debian("nas").build()), world.serve(Host::debian("backup").build()));
    world.know(&nas);
    world.configure(&(nas.entry() + &box_.entry()));
    let lock = std::fs::OpenOptions::new().append(true).open(world.known_hosts()).unwrap();
    lock.lock().unwrap();
    let run = world.run(&["init", "--accept-new", "-o", "json", "--timeout", "30s"]).exits(8);
    assert_eq!(run.server("nas")["facts"]["hostname"], "nas", "{run}");
    let _ = run.says("cannot add its host key to ~/.ssh/known_hosts: it did not end in time: is the file locked");
    drop(lock);
    let _ = world.run(&["init", "--accept-new"]).exits(0);
}

#[test]
fn a_pipe_in_place_of_known_hosts_is_no_file() {
    let world = World::new();
    let nas = world.serve(Host::debian("nas").build());
    world.configure(&nas.entry());
    pipe(&world.env, ".ssh/known_hosts");
    let run = world.run(&["init", "--accept-new", "--timeout", "30s"]).exits(1);
    let _ = run.says("cannot read ~/.ssh/known_hosts: it is not a file");
}

/// A server that sends a little now and then: no floor of bytes a second ends that.
fn drip(head: &'static str) -> (u16, std::thread::JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        stream.write_all(head.as_bytes()).unwrap();
        // 20 KB a second, for as long as any test may run.
        for _ in 0..10_000 {
            if stream.write_all(&[b' '; 400]).is_err() {
                return true;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        false
    });
    (port, served)
}

#[test]
fn a_prometheus_that_drips_ends_with_the_command() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 30000000\r\n\r\n";
    let (port, served) = drip(head);
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    env.add_config(&format!("[history]\nquery = \"http://127.0.0.1:{port}\"\n"));
    let _ = env.run(&["status"]).exits(0);
    let run = env.run(&["stats", "--since", "1h", "--timeout", &deadline(2), "-o", "json"]);
    assert!(!run.stdout.is_empty(), "{run}");
    let _ = run.says("Prometheus did not answer within");
    assert!(served.join().unwrap(), "it was hung up on");
}

/// The shell is not all that a command starts.
#[test]
fn a_token_command_that_does_not_end_ends_with_its_children() {
    let sim = three();
    let mut env = env_for(&sim, &["pve1", "pve2"]);
    env.unset("ECOBOX_TOKEN_PVE2");
    let pid = env.home().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; sleep 1000", pid.display());
    let entry = format!("{}\ntoken_command = [\"sh\", \"-c\", \"{script}\"]\n", api("pve2", &sim, "pve2").trim_end());
    env.config(&(api("pve1", &sim, "pve1") + &entry));
    let run = env.run(&["status", "--timeout", &deadline(2)]).exits(8);
    assert!(run.stdout.contains("web-01"), "{run}");
    let pid = std::fs::read_to_string(pid).unwrap();
    while is_alive(&pid) {
        std::thread::yield_now();
    }
    // One that prints without end is no token either.
    let entry = format!("{}\ntoken_command = [\"yes\", \"{CANARY}\"]\n", api("pve2", &sim, "pve2").trim_end());
    env.config(&(api("pve1", &sim, "pve1") + &entry));
    let _ = env.run(&["status"]).exits(8).says("token_command `yes` prints more than 64 KiB");
}

#[test]
fn a_proxy_command_ends_with_its_children() {
    let env = Env::new();
    let (config, pid) = (env.home().join("ssh_config"), env.home().join("pid"));
    let command = format!("sh -c 'sleep 1000 & echo $! > {}; sleep 1000'", pid.display());
    std::fs::write(&config, format!("Host nas\n  ProxyCommand {command}\n")).unwrap();
    env.config(&format!(
        "[ssh]\nconfig = \"{}\"\n\n{}",
        config.display(),
        plain("nas", 22).replace("127.0.0.1", "nas")
    ));
    let _ = env.run(&["stats", "--timeout", &deadline(2)]).exits(5);
    let pid = std::fs::read_to_string(pid).unwrap();
    while is_alive(&pid) {
        std::thread::yield_now();
    }
}

/// The thread that would hear the signal waits for another process's lock.
#[test]
fn a_signal_ends_a_run_that_waits_for_the_state_file() {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["discover"]).exits(0);
    for (signal, code) in [(rustix::process::Signal::TERM, 143), (rustix::process::Signal::INT, 130)] {
        sim.clear_requests();
        let lock = env.state();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let child = env.command(&["discover"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let id = rustix::process::Pid::from_child(&child);
        while sim.requests().is_empty() {
            std::thread::yield_now();
        }
        rustix::process::kill_process(id, signal).unwrap();
        let status = child.wait_with_output().unwrap().status;
        assert_eq!(status.code(), Some(code));
        lock.execute_batch("ROLLBACK").unwrap();
    }
}
