//! Hints of the configuration, the state file, the command line, and Prometheus.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::super::env::Env;
use super::super::fleets::{CLOSED, env_for, three};
use super::super::past_prometheus::with_history;
use super::super::setup_token_again::with_token;
use super::super::world::World;
use super::{Followed, Row};

pub(super) fn no_config(row: &Row) -> Option<Followed> {
    let env = Env::new();
    let run = env.run(&["status", "--cached"]).exits(3);
    let seen = row.seen(&run);
    // Nobody is there to be asked for hosts: this machine itself is one.
    let _ = env.run(&["init", "--local"]).exits(0);
    Some(seen.gone(&env.run(&["status", "--cached"]).exits(0)))
}

pub(super) fn no_servers(row: &Row) -> Option<Followed> {
    let env = Env::new();
    env.config("");
    let _ = row.seen(&env.run(&["status"]).exits(0));
    let _ = row.seen(&env.run(&["stats"]).exits(0));
    let run = env.run(&["watch", "-o", "jsonl"]).exits(7);
    let seen = row.seen(&run);
    let _ = env.run(&["init", "--local"]).exits(0);
    Some(seen.gone(&env.run(&["status"]).exits(0)))
}

pub(super) fn nobody_named(row: &Row) -> Option<Followed> {
    let env = Env::new();
    let run = env.run(&["init"]).exits(2);
    let seen = row.seen(&run);
    let run = env.run(&["init", "--host", &format!("root@127.0.0.1:{CLOSED}")]).exits(5);
    Some(seen.gone(&run))
}

pub(super) fn state_damaged(row: &Row) -> Option<Followed> {
    let world = World::new();
    let (_pve, _) = with_token(&world);
    let _ = world.run(&["discover"]).exits(0);
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(world.env.state_path().with_file_name(file));
    }
    let mut bytes = std::fs::read(world.env.state_path()).unwrap();
    bytes[100..].fill(b'x');
    std::fs::write(world.env.state_path(), bytes).unwrap();
    let run = world.run(&["status", "--cached"]);
    let seen = row.seen(&run);
    let _ = seen.follow(&world.env, "ecobox setup-token").exits(0);
    let _ = seen.follow(&world.env, "ecobox discover").exits(0);
    Some(seen.gone(&world.run(&["status"]).exits(0)))
}

pub(super) fn no_target(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let _ = env.run(&["status"]).exits(0);
    for command in [&["status", "nobody"][..], &["stats", "nobody"], &["power", "stop", "nobody"], &["discover", "no"]]
    {
        let _ = row.seen(&env.run(command).exits(7));
    }
    let run = env.run(&["status", "web-04"]).exits(7);
    let seen = row.seen(&run);
    let names = seen.follow(&env, "ecobox status --cached").exits(0).stdout;
    let name = names.split_whitespace().find(|word| word.starts_with("web-")).unwrap();
    Some(seen.gone(&env.run(&["status", name]).exits(0)))
}

pub(super) fn no_metrics(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "openmetrics"]).exits(2);
    let seen = row.seen(&run);
    let run = seen.follow(&env, "ecobox stats -o openmetrics").exits(0);
    Some(seen.gone(&run))
}

pub(super) fn no_page(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["discover", "-o", "html"]).exits(2);
    let seen = row.seen(&run);
    let run = seen.follow(&env, "ecobox status -o html").exits(0);
    Some(seen.gone(&run))
}

pub(super) fn no_stream(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let run = env.run(&["watch"]).exits(2);
    let seen = row.seen(&run);
    let run = seen.follow(&env, "ecobox status").exits(0);
    Some(seen.gone(&run))
}

/// A server that answers each request with this status.
pub(crate) fn answering(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            let length = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_ascii_lowercase();
                let head = text.split_once("\r\n\r\n")?.0.len() + 4;
                let body = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
                Some(head + body)
            };
            while length(&request).is_none_or(|wanted| request.len() < wanted) {
                match stream.read(&mut chunk) {
                    Ok(count) if count > 0 => request.extend_from_slice(&chunk[..count]),
                    _ => break,
                }
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// Numbers go to a Prometheus that does not take them so, and then to one that does.
fn sent(row: &Row, history: &str) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, history);
    let run = env.run(&["status"]).exits(0);
    let seen = row.seen(&run);
    let good = answering("204 No Content");
    with_history(&env, &format!("[history]\nremote_write = \"http://127.0.0.1:{good}/api/v1/write\"\n"));
    Some(seen.gone(&env.run(&["status"]).exits(0)))
}

fn writing_to(port: u16) -> String {
    format!("[history]\nremote_write = \"http://127.0.0.1:{port}/api/v1/write\"\n")
}

pub(super) fn prometheus_login(row: &Row) -> Option<Followed> {
    sent(row, &writing_to(answering("401 Unauthorized")))
}

pub(super) fn prometheus_path(row: &Row) -> Option<Followed> {
    sent(row, &writing_to(answering("404 Not Found")))
}

pub(super) fn prometheus_away(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    with_history(&env, &(writing_to(CLOSED) + &format!("query = \"http://127.0.0.1:{CLOSED}\"\n")));
    let run = env.run(&["stats", "--since", "1h"]);
    let seen = row.seen(&run);
    with_history(&env, "");
    Some(seen.gone(&env.run(&["stats", "--since", "1h"])))
}

/// The certificate of a Proxmox VE node stands for any that no public CA has signed.
pub(super) fn prometheus_certificate(row: &Row) -> Option<Followed> {
    let sim = three();
    let env = env_for(&sim, &["pve1"]);
    let port = sim.node("pve2").port();
    let history = format!("[history]\nremote_write = \"https://127.0.0.1:{port}/api/v1/write\"\n");
    with_history(&env, &history);
    let run = env.run(&["status"]).exits(0);
    let seen = row.seen(&run);
    std::fs::write(env.config_path().with_file_name("ca.pem"), sim.ca_pem()).unwrap();
    with_history(&env, &format!("{history}ca_file = \"ca.pem\"\n"));
    Some(seen.gone(&env.run(&["status"]).exits(0)))
}
