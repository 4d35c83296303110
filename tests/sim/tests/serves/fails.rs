//! Failures on demand, and certificates that change.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use ecobox_sim::{Ca, Fault, Identity, Service, Sim};

use crate::common::{connect, exchange};
use crate::{TOKEN, data, get, lab, post, request};

/// What a GET of the version at `pve1` comes to: its status line, or the kind of error.
/// Who hangs is waited for but a moment: the others may take longer on a busy machine.
fn outcome(sim: &Sim, hangs: bool) -> String {
    let mut connection = match connect(sim, "pve1") {
        Ok(connection) => connection,
        Err(error) => return error.kind().to_string(),
    };
    connection.sock.set_read_timeout(Some(Duration::from_millis(if hangs { 300 } else { 20_000 }))).unwrap();
    match exchange(&mut connection, request("GET", "/version", TOKEN, "").as_bytes()) {
        Ok(reply) => format!("{} {} {}", reply.status, reply.reason, reply.header("content-type").unwrap_or("-")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => "nothing comes".to_owned(),
        Err(error) if error.kind() == ErrorKind::InvalidData => error.to_string(),
        Err(_) => "closed".to_owned(),
    }
}

#[test]
fn fails_in_every_way() {
    let sim = Sim::start(lab());
    let cases = [
        (Fault::HangAtConnect, "nothing comes"),
        (Fault::HangAtTls, "nothing comes"),
        (Fault::HangAtRequest, "nothing comes"),
        (Fault::HangInBody, "nothing comes"),
        (Fault::DropAtConnect, "closed"),
        (Fault::DropBeforeAnswer, "closed"),
        (Fault::DropAfterAction, "closed"),
        (Fault::DropInBody, "closed"),
        (Fault::Delay(Duration::from_millis(20)), "200 OK application/json;charset=UTF-8"),
        (Fault::Status(599, "Too many redirections".to_owned()), "599 Too many redirections -"),
        (Fault::Status(503, "Service Unavailable".to_owned()), "503 Service Unavailable -"),
        (Fault::Garbage, "200 OK application/json;charset=UTF-8"),
        (Fault::Html, "200 OK text/html; charset=utf-8"),
        (Fault::WrongContentType, "200 OK text/plain"),
        (Fault::Redirect("https://elsewhere.example/".to_owned()), "302 Found -"),
    ];
    for (fault, expected) in cases {
        sim.node("pve1").fail(fault.clone());
        assert_eq!(outcome(&sim, expected == "nothing comes"), expected, "{fault:?}");
        sim.node("pve1").heal();
    }
    assert_eq!(outcome(&sim, false), "200 OK application/json;charset=UTF-8");
}

#[test]
fn a_huge_body_comes_in_pieces() {
    let sim = Sim::start(lab());
    sim.node("pve1").fail(Fault::HugeBody(1 << 30));
    let mut connection = connect(&sim, "pve1").unwrap();
    std::io::Write::write_all(&mut connection, request("GET", "/version", TOKEN, "").as_bytes()).unwrap();
    let mut some = vec![0; 1 << 20];
    connection.read_exact(&mut some).unwrap();
}

#[test]
fn fails_only_as_often_and_where_told() {
    let sim = Sim::start(lab());
    let fault = Fault::Status(596, "Connection timed out".to_owned());
    sim.node("pve1").fail_on(Some("GET"), Some("/cluster"), Some(2), fault);
    assert_eq!(get(&sim, "pve1", "/version").status, 200);
    let statuses: Vec<u16> = (0..3).map(|_| get(&sim, "pve1", "/cluster/status").status).collect();
    assert_eq!(statuses, [596, 596, 200]);
}

#[test]
fn an_unanswered_post_was_carried_out() {
    let sim = Sim::start(lab());
    sim.node("pve1").fail_on(Some("POST"), None, Some(1), Fault::DropAfterAction);
    let mut connection = connect(&sim, "pve1").unwrap();
    let text = request("POST", "/nodes/pve2/qemu/102/status/start", TOKEN, "");
    assert!(exchange(&mut connection, text.as_bytes()).is_err());
    assert_eq!(sim.cluster().task_history()[0].0, "qmstart");
    let log = sim.requests();
    assert_eq!((log[0].method.as_str(), log[0].status), ("POST", None));
}

#[test]
fn services_go_down_one_by_one() {
    let sim = Sim::start(lab());
    sim.cluster().set_service("pve1", Service::PvedaemonDown);
    assert_eq!(get(&sim, "pve1", "/nodes/pve1/qemu").status, 595);
    assert_eq!(post(&sim, "pve1", "/nodes/pve1/qemu/101/status/stop", "").status, 595);
    assert_eq!(get(&sim, "pve1", "/cluster/resources").status, 200);
    sim.cluster().set_service("pve1", Service::PmxcfsDown);
    assert_eq!(get(&sim, "pve1", "/version").status, 500);
}

#[test]
fn certificates_change() {
    let sim = Sim::start(lab());
    let prints = || (sim.node("pve1").fingerprint(), sim.node("pve1").public_key_fingerprint());
    let first = prints();
    assert_eq!(data(&sim, "pve2", "/nodes")[0]["ssl_fingerprint"], first.0.as_str());
    sim.cluster().renew_certificate("pve1", true);
    let renewed = prints();
    assert!(renewed.0 != first.0 && renewed.1 == first.1, "the key is kept");
    sim.cluster().renew_certificate("pve1", false);
    assert_ne!(prints().1, first.1);
    assert_eq!(get(&sim, "pve1", "/version").status, 200, "the CA is the same");

    sim.cluster().expire_certificate("pve1");
    assert!(outcome(&sim, false).contains("expired"), "{}", outcome(&sim, false));
    let other = sim.cluster().identity("pve2");
    sim.cluster().serve_certificate("pve1", other);
    assert!(outcome(&sim, false).contains("not valid for name"), "{}", outcome(&sim, false));

    let old_ca = sim.ca_pem();
    sim.cluster().replace_ca();
    assert_ne!(sim.ca_pem(), old_ca);
    assert_eq!(get(&sim, "pve1", "/version").status, 200, "verified against the new CA");

    for stranger in [Identity::self_signed(&["pve1"]), Ca::foreign("Example").issue_for(&["pve1"])] {
        sim.clear_requests();
        sim.cluster().serve_certificate("pve1", stranger);
        assert!(outcome(&sim, false).contains("certificate"), "{}", outcome(&sim, false));
        assert!(sim.node("pve1").authorizations().is_empty(), "no token reached it");
    }
}
