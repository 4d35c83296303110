//! The client against a TLS server in this process.

mod posts;
mod power;
mod simulated;

use std::time::Duration;

use crate::model::access::trust::Trust;
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
#[expect(clippy::too_many_lines, reason = "a table")]
async fn who_is_trusted_and_who_gets_no_byte() {
    let (ca, other_ca) = (Ca::new(), Ca::new());
    let old = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 2, 3);
    };
    let future = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2995, 4, 5);
        params.not_after = rcgen::date_time_ymd(2996, 1, 1);
    };
    let pve1 = ca.issue(&["127.0.0.1", "localhost", "pve1"]);
    let self_signed = Identity::self_signed(&["pve1"], false);
    let own_ca = Identity::self_signed(&["pve1"], true);
    let key_of = |identity: &Identity| Trust::PublicKey { spki: identity.spki };
    let print_of = |identity: &Identity| Trust::Certificate { fingerprint: identity.fingerprint() };
    let file = |pem: &str, node: Option<&str>| Trust::CaFile {
        pem: pem.to_owned(),
        node: node.map(|node| node.parse().unwrap()),
    };
    let both = format!("{}\n{}", other_ca.pem, ca.pem);
    let not_ours = format!("not issued by the cluster's CA (SHA-256 {}", crate::transport::tls::rule::sha256(&ca.der));
    let expired = ca.issue_with(&["pve1"], old);
    let early = ca.issue_with(&["pve1"], future);
    let stranger = other_ca.issue(&["pve1"]);
    // What is presented, what is expected, and the words of a refusal.
    let cases: Vec<(&str, Identity, Trust, Vec<String>)> = vec![
        ("the node's", pve1.clone(), cluster_ca(&ca), words(&[])),
        ("renewed, new key, without the dialled address", ca.issue(&["pve1"]), cluster_ca(&ca), words(&[])),
        (
            "another node's, though it names the dialled address",
            ca.issue(&["127.0.0.1", "localhost", "pve2"]),
            cluster_ca(&ca),
            words(&["is for ", "pve2", "127.0.0.1", ", not for pve1 (presented: SHA-256 "]),
        ),
        (
            "another cluster's",
            stranger.clone(),
            cluster_ca(&ca),
            words(&[&not_ours, &stranger.fingerprint().to_string()]),
        ),
        ("self-signed", self_signed.clone(), cluster_ca(&ca), words(&[&not_ours])),
        ("expired", expired.clone(), cluster_ca(&ca), words(&["expired at 2002-02-03T00:00:00Z, and here it is 20"])),
        ("not yet valid", early, cluster_ca(&ca), words(&["not valid before 2995-04-05T00:00:00Z, and here it is 20"])),
        (
            "a CA as server",
            own_ca.clone(),
            file(&own_ca.pem, None),
            words(&["certificate of a CA", "only a fingerprint"]),
        ),
        ("CA file, dialled name", pve1.clone(), file(&both, None), words(&[])),
        ("CA file, node", ca.issue(&["pve1"]), file(&both, Some("pve1")), words(&[])),
        ("CA file, no such name", ca.issue(&["pve1"]), file(&both, None), words(&["is for pve1, not for 127.0.0.1"])),
        (
            "CA file, another CA",
            stranger.clone(),
            file(&ca.pem, Some("pve1")),
            words(&["not issued by a CA of the CA file"]),
        ),
        ("no public CA's", self_signed.clone(), Trust::PublicCa, words(&["certificate"])),
        ("key", self_signed.clone(), key_of(&self_signed), words(&[])),
        ("key, expired, another name", ca.issue_with(&["x"], old), Trust::Insecure, words(&[])),
        ("key of an expired one", expired.clone(), key_of(&expired), words(&[])),
        (
            "another key",
            pve1.clone(),
            key_of(&stranger),
            words(&["public key", &pve1.spki.to_string(), &stranger.spki.to_string()]),
        ),
        ("fingerprint", own_ca.clone(), print_of(&own_ca), words(&[])),
        (
            "another fingerprint",
            pve1.clone(),
            print_of(&stranger),
            words(&["certificate is", &pve1.fingerprint().to_string(), &stranger.fingerprint().to_string()]),
        ),
        ("stolen, pinned key", pve1.with_key_of(&stranger), key_of(&pve1), words(&["does not hold the key"])),
        ("stolen, fingerprint", pve1.with_key_of(&stranger), print_of(&pve1), words(&["does not hold the key"])),
        ("stolen, CA", pve1.with_key_of(&stranger), cluster_ca(&ca), words(&["does not hold the key"])),
        ("anything", pve1.with_key_of(&stranger), Trust::Insecure, words(&[])),
    ];
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        for (case, identity, trust, words) in &cases {
            let mut server =
                Server::start_with(identity.acceptor(versions), vec![Answer::Keep(json("200 OK", VERSION))]).await;
            let client = server.client(trust.clone());
            let result = client.version().await;
            // Who has not the key of a certificate presented nothing, also where anybody is let pass. Of a refused one that
            // was not asked.
            let stolen = !words.is_empty() || *case == "anything";
            let presented = client.presented().map(|presented| (presented.leaf, presented.spki));
            assert_eq!(presented, (!stolen).then(|| (identity.fingerprint(), identity.spki)), "{case}");
            drop(client);
            let received = server.ended().await.received;
            if words.is_empty() {
                assert!(result.is_ok(), "{case}: {result:?}");
                assert!(received.contains(SECRET), "{case}");
                continue;
            }
            assert!(matches!(result, Err(Error::Untrusted { .. })), "{case}: {result:?}");
            let text = result.unwrap_err().to_string();
            for word in words {
                assert!(text.contains(word.as_str()), "{case}: {text} lacks {word}");
            }
            assert_eq!(received, "", "{case}: nothing is sent to a stranger");
        }
    }
}

#[tokio::test]
async fn a_handshake_alone_learns_what_is_presented() {
    let ca = Ca::new();
    let identity = ca.issue(&["pve1"]);
    let mut server = Server::start(&identity, vec![]).await;
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let presented = presented_over(tcp, "127.0.0.1").await.unwrap();
    assert_eq!((presented.leaf, presented.spki), (identity.fingerprint(), identity.spki));
    assert_eq!(presented.chain, std::slice::from_ref(&identity.der));
    assert_eq!(server.ended().await.received, "");

    let thief = identity.with_key_of(&ca.issue(&["pve1"]));
    let server = Server::start(&thief, vec![]).await;
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    assert!(matches!(presented_over(tcp, "pve1").await, Err(Error::Untrusted { .. })));
    let (near, far) = tokio::io::duplex(64);
    drop(far);
    let closed = presented_over(near, "pve1").await.unwrap_err();
    assert!(matches!(closed, Error::Connect { failure: ConnectFailure::Closed, .. }), "{closed:?}");
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
    assert!(error.to_string().contains("no TLS there"), "{error}");
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

#[tokio::test]
async fn guests_answers() {
    let (identity, trust) = trusted();
    let (node, vmid) = ("pve2".parse().unwrap(), "102".parse().unwrap());
    let agent = include_str!("../../../tests/fixtures/pve/agent-network.json");
    let error = |reason: &str| Answer::Close(json(reason, r#"{"data":null}"#));
    let answers = vec![
        Answer::Keep(json("200 OK", agent)),
        error("500 No QEMU guest agent configured"),
        error("500 QEMU guest agent is not running"),
        error("500 VM 102 is not running"),
        error("500 Configuration file 'nodes/pve2/qemu-server/102.conf' does not exist"),
        Answer::Close(json("200 OK", &" ".repeat((1 << 20) + 1))),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust.clone());
    let first = client.agent_addresses(&node, vmid).await.unwrap();
    assert!(matches!(first, AgentAnswer::Addresses(list) if list.len() == 4));
    assert_eq!(client.agent_addresses(&node, vmid).await.unwrap(), AgentAnswer::NotConfigured);
    assert_eq!(client.agent_addresses(&node, vmid).await.unwrap(), AgentAnswer::NotRunning);
    assert_eq!(client.agent_addresses(&node, vmid).await.unwrap(), AgentAnswer::NotRunning);
    assert!(matches!(client.agent_addresses(&node, vmid).await, Err(Error::Api { status: 500, .. })));
    assert!(matches!(client.agent_addresses(&node, vmid).await, Err(Error::Protocol { .. })));
    for request in server.requests(client).await {
        assert!(
            request.starts_with("GET /api2/json/nodes/pve2/qemu/102/agent/network-get-interfaces HTTP"),
            "{request}"
        );
    }

    let answers = vec![
        Answer::Keep(json("200 OK", include_str!("../../../tests/fixtures/pve/lxc-interfaces-9.json"))),
        Answer::Keep(json("200 OK", r#"{"data":null}"#)),
        error("501 Method 'GET /nodes/pve2/lxc/102/interfaces' not implemented"),
        error("500 CT 102 not running"),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    let told = client.container_addresses(&node, vmid).await.unwrap();
    assert!(matches!(told, AgentAnswer::Addresses(list) if list.len() == 4));
    for _ in 0..3 {
        let told = client.container_addresses(&node, vmid).await.unwrap();
        assert!(matches!(told, AgentAnswer::NotTold(_)), "{told:?}");
    }
    let requests = server.requests(client).await;
    assert!(requests[0].starts_with("GET /api2/json/nodes/pve2/lxc/102/interfaces HTTP/1.1\r\n"));
}

#[tokio::test]
async fn what_a_guests_agent_says_of_file_systems() {
    let (identity, trust) = trusted();
    let (node, vmid) = ("pve2".parse().unwrap(), "102".parse().unwrap());
    let error = |reason: &str| Answer::Close(json(&format!("500 {reason}"), r#"{"data":null}"#));
    let one = r#"{"data":{"result":[{"name":"a","mountpoint":"/","type":"ext4","used-bytes":1,"total-bytes":2}]}}"#;
    let answers = vec![
        Answer::Keep(json("200 OK", one)),
        Answer::Keep(json("200 OK", r#"{"data":null}"#)),
        error("VM 102 qmp command 'guest-get-fsinfo' failed - The command guest-get-fsinfo has not been found"),
        error("No QEMU guest agent configured"),
        error("VM 102 qmp command 'guest-get-fsinfo' failed - got timeout"),
        error("VM 102 qmp command 'guest-get-fsinfo' failed - failed to open /proc/self/mounts"),
        Answer::Close(json("403 Permission check failed (/vms/102, VM.GuestAgent.Audit)", r#"{"data":null}"#)),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    let told = client.agent_filesystems(&node, vmid).await.unwrap();
    assert!(matches!(told, AgentFilesystems::Told(told) if !told.list.is_empty() && told.reason.is_none()));
    for _ in 0..2 {
        let told = client.agent_filesystems(&node, vmid).await.unwrap();
        assert!(matches!(told, AgentFilesystems::Told(told) if told.list.is_empty() && told.reason.is_some()));
    }
    assert_eq!(client.agent_filesystems(&node, vmid).await.unwrap(), AgentFilesystems::NotConfigured);
    assert_eq!(client.agent_filesystems(&node, vmid).await.unwrap(), AgentFilesystems::NotRunning);
    assert!(matches!(client.agent_filesystems(&node, vmid).await, Err(Error::Api { status: 500, .. })));
    assert!(matches!(client.agent_filesystems(&node, vmid).await, Err(Error::Denied { .. })));
    for request in server.requests(client).await {
        assert!(request.starts_with("GET /api2/json/nodes/pve2/qemu/102/agent/get-fsinfo HTTP"), "{request}");
    }
}

#[tokio::test]
async fn histories_and_a_nodes_status() {
    let (identity, trust) = trusted();
    let (node, vmid) = ("pve2".parse().unwrap(), "102".parse().unwrap());
    let unrecorded = "500 RRD error: rrd_fetch_r failed: opening '/var/lib/rrdcached/db/pve-vm-9.0/102': No such file or \
        directory";
    let denied = json("403 Permission check failed (/nodes/pve2, Sys.Audit)", r#"{"data":null}"#);
    // More than what a guest may say: a month of steps of 30 minutes is nearly a megabyte.
    let month = format!(r#"{{"data":[{}{{"time":60}}]}}"#, r#"{"time":120},"#.repeat(90_000));
    let answers = vec![
        Answer::Keep(json("200 OK", include_str!("../../../tests/fixtures/pve/rrd-vm-average.json"))),
        Answer::Keep(json("200 OK", &month)),
        Answer::Close(json(unrecorded, r#"{"data":null}"#)),
        Answer::Close(json("500 RRD error: out of memory", r#"{"data":null}"#)),
        Answer::Close(denied),
        Answer::Keep(json("200 OK", include_str!("../../../tests/fixtures/pve/rrd-node.json"))),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    let guest =
        async |timeframe| client.guest_rrd(&node, GuestKind::Qemu, vmid, timeframe, Consolidation::Average).await;
    assert_eq!(guest(Timeframe::Hour).await.unwrap().rows.len(), 7);
    assert_eq!(guest(Timeframe::Month).await.unwrap().rows.len(), 2);
    assert_eq!(guest(Timeframe::Year).await.unwrap().rows, [], "nothing was recorded");
    assert!(matches!(guest(Timeframe::Day).await, Err(Error::Api { status: 500, .. })));
    let of_node = async || client.node_rrd(&node, Timeframe::Week, Consolidation::Max).await;
    assert!(matches!(of_node().await, Err(Error::Denied { .. })));
    assert_eq!(of_node().await.unwrap().rows.len(), 3);
    let paths: Vec<String> =
        server.requests(client).await.iter().filter_map(|text| text.split(' ').nth(1).map(str::to_owned)).collect();
    for path in ["qemu/102/rrddata?timeframe=hour&cf=AVERAGE", "rrddata?timeframe=week&cf=MAX"] {
        assert!(paths.contains(&format!("/api2/json/nodes/pve2/{path}")), "{path}: {paths:?}");
    }
}
