//! The client against a TLS server in this process.

mod guests;
mod posts;
mod power;
mod simulated;
mod trusted;

use std::time::Duration;

use crate::model::access::certificate::Trust;
use crate::model::id::GuestKind;
use crate::transport::{ConnectFailure, Error};

use super::client::{Client, Limits};
use super::filesystems::AgentFilesystems;
use super::rrd::{Consolidation, Timeframe};
use super::testing::{Answer, Ca, Identity, SECRET, Server, endpoint, http, json, quick};
use super::{AgentAnswer, presented_over};

const VERSION: &str = r#"{"data":{"version":"9.2.11","release":"9.2","repoid":"14a2"}}"#;

fn cluster_ca(ca: &Ca) -> Trust {
    Trust::ClusterCa { ca: ca.der.clone(), node: "pve1".parse().unwrap() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A certificate that everything here trusts, and the trust.
fn trusted() -> (Identity, Trust) {
    let identity = Identity::self_signed(&["pve1"], false);
    let trust = Trust::PublicKey { spki: identity.spki };
    (identity, trust)
}

/// The result of `version()` against a server that gives these answers, and all that it was sent.
async fn ask(answers: Vec<Answer>) -> (Result<String, Error>, Vec<String>) {
    ask_with(quick(), answers).await
}

async fn ask_with(limits: Limits, answers: Vec<Answer>) -> (Result<String, Error>, Vec<String>) {
    let (identity, trust) = trusted();
    let server = Server::start(&identity, answers).await;
    let client = server.client_with(trust, limits);
    let result = client.version().await.map(|version| version.version);
    (result, server.requests(client).await)
}

#[tokio::test]
async fn a_listing_is_one_plain_request_and_the_connection_is_kept() {
    let (identity, trust) = trusted();
    let resources = include_str!("../../../tests/fixtures/pve/resources.json");
    let answers = vec![Answer::Keep(json("200 OK", resources)), Answer::Keep(json("200 OK", VERSION))];
    let mut server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    assert!(!format!("{client:?}").contains(SECRET));
    assert_eq!(client.listing().await.unwrap().guests.len(), 10);
    assert_eq!(client.version().await.unwrap().major(), Some(9));
    drop(client);
    let received = server.ended().await.received.to_ascii_lowercase();
    let requests: Vec<&str> = received.split_terminator("\r\n\r\n").collect();
    assert_eq!(requests.len(), 2, "{received}");
    assert!(requests[0].starts_with("get /api2/json/cluster/resources http/1.1\r\n"), "{received}");
    assert!(requests[1].starts_with("get /api2/json/version http/1.1\r\n"), "{received}");
    for request in requests {
        let mut names: Vec<&str> = request.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "authorization", "host", "user-agent"], "{request}");
        assert!(request.contains(&format!("authorization: pveapitoken=ecobox@pve!test={SECRET}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn errors_in_proxmoxs_own_words() {
    let message = |text: &str| json(text, &format!(r#"{{"data":null,"message":"{}\n"}}"#, &text[4..]));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (http("401 Authentication failed!", "", ""), "pve1 refused: token ecobox@pve!test: Authentication failed!"),
        (http("401 invalid token value!", "", ""), "pve1 refused: token ecobox@pve!test: invalid token value!"),
        (
            http("401 token 'test' access expired", "", ""),
            "pve1 refused: token ecobox@pve!test: token 'test' access expired",
        ),
        (http("401 No ticket", "", ""), "pve1 refused: token ecobox@pve!test: No ticket"),
        (http("401 Unauthorized", "", ""), "pve1 refused: token ecobox@pve!test: Unauthorized"),
        (
            message("403 Permission check failed (/vms/101, VM.Audit)"),
            "pve1 refused: token ecobox@pve!test: Permission check failed (/vms/101, VM.Audit)",
        ),
        (
            json("403 Permission check failed (/, Sys.Audit)", r#"{"data":null}"#),
            "pve1 refused: token ecobox@pve!test: Permission check failed (/, Sys.Audit)",
        ),
        (
            json("400 Parameter verification failed.", r#"{"errors":{"type":"no such value\n","a":7},"data":null}"#),
            "pve1 answered 400 to GET /version: Parameter verification failed (a: 7; type: no such value)",
        ),
        (
            json("500 Internal Server Error", r#"{"data":null,"message":"cluster not ready - no quorum?\n"}"#),
            "pve1 answered 500 to GET /version: cluster not ready - no quorum?",
        ),
        (message("500 hostname lookup 'x' failed"), "pve1 answered 500 to GET /version: hostname lookup 'x' failed"),
        (http("500 ", "", "<html>not json"), "pve1 answered 500 to GET /version: Internal Server Error"),
        (
            message("501 Method 'GET /version' not implemented"),
            "pve1 answered 501 to GET /version: Method 'GET /version' not implemented",
        ),
        (http("597 odd", "", ""), "pve1 answered 597 to GET /version: odd"),
        (
            http("301 Moved Permanently", "Location: https://127.0.0.1:1/\r\n", ""),
            "pve1 answered 301 to GET /version: Moved Permanently, to https://127.0.0.1:1/",
        ),
    ];
    for (answer, want) in cases {
        let denied = answer.starts_with(b"HTTP/1.1 40") && !answer.starts_with(b"HTTP/1.1 400");
        let (result, requests) = ask(vec![Answer::Close(answer)]).await;
        let error = result.unwrap_err();
        assert_eq!(matches!(error, Error::Denied { .. }), denied, "{want}");
        // What stands before it redirects: Proxmox VE itself does not.
        let expected = if want.contains("301") {
            matches!(error, Error::Stranger { .. })
        } else {
            matches!(error, Error::Api { .. })
        };
        assert_eq!(expected, !denied, "{want}");
        assert_eq!((error.to_string().as_str(), requests.len()), (want, 1), "asked once, nowhere else");
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_for_again() {
    let gone = || Answer::Close(http("595 No route to host", "", ""));
    let good = || Answer::Keep(json("200 OK", VERSION));
    let cut =
        || Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{".to_vec());
    let silent = || Answer::Close(Vec::new());
    let cases = [
        (vec![gone(), gone(), good()], true, 3),
        (vec![gone()], false, 3),
        (vec![Answer::Close(http("596 certificate verify failed", "", "")), good()], true, 2),
        (vec![Answer::Close(http("599 Too many redirections", "", "")), good()], true, 2),
        (vec![Answer::Close(http("598 aborted", "", "")), good()], false, 1),
        (vec![Answer::Close(http("500 got lock request timeout", "", "")), good()], false, 1),
        (vec![cut(), silent(), good()], true, 3),
        (vec![silent()], false, 3),
        (vec![Answer::Keep(json("200 OK", "{")), good()], false, 1),
    ];
    for (at, (answers, good, count)) in cases.into_iter().enumerate() {
        let (result, requests) = ask(answers).await;
        assert_eq!((result.is_ok(), requests.len()), (good, count), "case {at}: {result:?}");
    }
    let patient = Limits { retry_within: Duration::ZERO, ..quick() };
    let (result, requests) = ask_with(patient, vec![gone()]).await;
    assert_eq!(requests.len(), 1, "a slow failure is not repeated: {result:?}");
}

#[tokio::test]
async fn unusable_answers() {
    let big = "x".repeat(3000);
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let many = "A: b\r\n".repeat(100_000);
    let until_closed = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{big}");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (json("200 OK", &big), "more than 2000 bytes"),
        (format!("{chunked}bb8\r\n{big}\r\n0\r\n\r\n").into_bytes(), "more than 2000 bytes"),
        (until_closed.into_bytes(), "more than 2000 bytes"),
        (format!("{chunked}zzz\r\n").into_bytes(), "pve1 sent an unusable answer"),
        (http("200 OK", "Content-Type: text/html\r\n", "<html>login</html>"), "text/html where JSON should be"),
        (http("200 OK", "", VERSION), "nothing where JSON should be"),
        (json("200 OK", "<html>"), "/version: "),
        (json("200 OK", ""), "/version: "),
        (json("200 OK", &"[".repeat(1999)), "/version: "),
        (http("200 OK", &many, VERSION), "no valid HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), "no valid HTTP"),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), "nothing where JSON should be"),
    ];
    for (answer, want) in cases {
        let limits = Limits { body: 2000, ..quick() };
        let (result, _) = ask_with(limits, vec![Answer::Close(answer)]).await;
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. } | Error::Stranger { .. }), "{want}: {error:?}");
        assert!(error.to_string().contains(want), "{error} lacks {want}");
    }
}

#[tokio::test]
async fn who_hangs_is_left() {
    let limits = || Limits {
        connect: Duration::from_secs(2),
        read: Duration::from_millis(60),
        proxied: Duration::from_millis(60),
        slowest: 1 << 20,
        ..quick()
    };
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n".to_vec();
    for answer in [Answer::Hang(Vec::new()), Answer::Hang(head.clone()), Answer::Drip(head)] {
        // Over one connection that stands, so that the limit is not spent on the handshake.
        let (identity, trust) = trusted();
        let server = Server::start(&identity, vec![Answer::Keep(json("200 OK", VERSION)), answer]).await;
        let mut client = server.client_with(trust, Limits { read: Duration::from_secs(5), ..limits() });
        client.version().await.unwrap();
        client.limits = limits();
        let error = client.version().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert_eq!(server.requests(client).await.len(), 2);
    }
    // Not even who is fast enough may go on for ever: the command has an end.
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n".to_vec();
    let (identity, trust) = trusted();
    let server = Server::start(&identity, vec![Answer::Drip(head)]).await;
    let limits = Limits { slowest: 0, ..quick() };
    let client = server.client_with(trust, limits).within(std::time::Instant::now(), Duration::from_millis(500));
    let error = client.version().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn who_cannot_be_reached() {
    let (_, trust) = trusted();
    let short = || Limits { connect: Duration::from_millis(100), retry_within: Duration::ZERO, ..quick() };
    let failure = async |client: Client| match client.version().await.unwrap_err() {
        Error::Connect { peer, failure, .. } => (peer, failure),
        error => panic!("{error:?}"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = format!("pve1 (127.0.0.1:{port})");

    // Accepts and says nothing.
    let client = Client::with_limits(endpoint(port, trust.clone()), short()).unwrap();
    assert_eq!(failure(client).await, (peer.clone(), ConnectFailure::Timeout));

    // Accepts and closes, as pveproxy does with those in DENY_FROM.
    let closing = tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let client = Client::with_limits(endpoint(port, trust.clone()), quick()).unwrap();
    let (_, how) = failure(client).await;
    assert_eq!(how, ConnectFailure::Closed);
    closing.abort();
    let _ = closing.await;

    let client = Client::with_limits(endpoint(port, trust.clone()), quick()).unwrap();
    assert_eq!(failure(client).await, (peer, ConnectFailure::Refused));
}

#[tokio::test]
async fn a_server_without_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let answer = http("301 Moved Permanently", "Location: https://pve1:8006/\r\n", "");
        tokio::io::AsyncWriteExt::write_all(&mut tcp, &answer).await.unwrap();
        tokio::io::AsyncReadExt::read_to_end(&mut tcp, &mut Vec::new()).await
    });
    let client = Client::with_limits(endpoint(port, trusted().1), quick()).unwrap();
    let error = client.version().await.unwrap_err();
    assert!(error.to_string().contains("does not speak TLS there"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_verified_is_no_client() {
    let node = "pve1".parse().unwrap();
    for trust in [
        Trust::ClusterCa { ca: b"no certificate".to_vec(), node },
        Trust::CaFile { pem: "-----BEGIN CERTIFICATE-----\n".to_owned(), node: None },
    ] {
        assert!(matches!(Client::new(endpoint(1, trust)), Err(Error::Untrusted { .. })));
    }
    for host in ["", "a b", "a/b", "user@host"] {
        let bad = super::Endpoint { host: host.to_owned(), ..endpoint(1, Trust::Insecure) };
        assert!(Client::new(bad).is_err(), "{host}");
    }
    let v6 = super::Endpoint { host: "::1".to_owned(), ..endpoint(1, Trust::Insecure) };
    assert!(Client::new(v6).is_ok());
}
