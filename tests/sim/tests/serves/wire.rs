//! Connections and requests as pveproxy treats them.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use ecobox_sim::Sim;

use crate::common::{ask, connect, exchange};
use crate::{TOKEN, lab, request};

#[test]
fn keeps_a_connection_for_a_while() {
    let sim = Sim::start(lab());
    let mut connection = connect(&sim, "pve1").unwrap();
    let text = request("GET", "/version", TOKEN, "");
    for _ in 0..3 {
        let reply = exchange(&mut connection, text.as_bytes()).unwrap();
        assert_eq!(reply.header("connection"), Some("Keep-Alive"));
    }
    assert_eq!(sim.node("pve1").connections(), 1);
    // A client that is too slow for the first request meets the same end.
    let mut cluster = lab();
    cluster.timing.idle = Duration::from_millis(50);
    let sim = Sim::start(cluster);
    let mut connection = connect(&sim, "pve1").unwrap();
    let _ = exchange(&mut connection, text.as_bytes());
    assert_eq!(connection.read(&mut [0; 16]).unwrap_or(0), 0, "closed after being idle");
}

#[test]
fn closes_after_an_error_and_after_a_hundred_requests() {
    let sim = Sim::start(lab());
    let mut connection = connect(&sim, "pve1").unwrap();
    let reply = exchange(&mut connection, request("GET", "/nope", TOKEN, "").as_bytes()).unwrap();
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(connection.read(&mut [0; 16]).unwrap_or(0), 0);
    let mut connection = connect(&sim, "pve1").unwrap();
    let text = request("GET", "/version", TOKEN, "");
    let kept = (0..100).filter(|_| {
        let reply = exchange(&mut connection, text.as_bytes()).unwrap();
        reply.header("connection") == Some("Keep-Alive")
    });
    assert_eq!(kept.count(), 99);
}

#[test]
fn sends_plain_http_to_https_and_notes_what_came() {
    let sim = Sim::start(lab());
    for (method, status) in [("GET", "301 Moved Permanently"), ("POST", "308 Permanent Redirect")] {
        let mut stream = TcpStream::connect(sim.node("pve1").address()).unwrap();
        let reply = exchange(&mut stream, request(method, "/version", TOKEN, "").as_bytes()).unwrap();
        assert_eq!(format!("{} {}", reply.status, reply.reason), status);
        assert_eq!(reply.header("location"), Some("https://pve1:8006/api2/json/version"));
    }
    assert!(sim.requests().iter().all(|request| !request.tls && request.authorization.is_some()));
}

#[test]
fn refuses_what_pveproxy_does_not_understand() {
    let sim = Sim::start(lab());
    let auth = format!("Host: x\r\nAuthorization: PVEAPIToken={TOKEN}\r\n");
    let chunked = format!("POST /api2/json/version HTTP/1.1\r\n{auth}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(ask(&sim, "pve1", &chunked).reason, "chunked transfer encoding not supported");
    let head = format!("HEAD /api2/json/version HTTP/1.1\r\n{auth}\r\n");
    assert_eq!(ask(&sim, "pve1", &head).reason, "method 'HEAD' not available");
    let page = ask(&sim, "pve1", &format!("GET / HTTP/1.1\r\n{auth}\r\n"));
    assert_eq!(page.reason, "file error - /usr/share/pve-manager/index.html.tpl: not found");
    let empty = format!(
        "POST /api2/json/version HTTP/1.1\r\n{auth}Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(ask(&sim, "pve1", &empty).reason.starts_with("malformed JSON string"));
}

#[test]
fn the_other_format_is_always_200() {
    let sim = Sim::start(lab());
    let text = request("GET", "/nodes/pve1/qemu/999/config", TOKEN, "").replace("/json/", "/extjs/");
    let reply = ask(&sim, "pve1", &text);
    let body = reply.json();
    assert_eq!((reply.status, &body["success"], &body["status"]), (200, &0.into(), &500.into()));
}

#[test]
fn refuses_wrong_tokens_slowly_and_without_a_body() {
    let sim = Sim::start(lab());
    for (token, reason) in [("", "No ticket"), ("root@pam!t=wrong", "Authentication failed!")] {
        let reply = ask(&sim, "pve1", &request("GET", "/version", token, ""));
        assert_eq!((reply.status, reply.reason.as_str(), reply.body.as_str()), (401, reason, ""));
    }
}
