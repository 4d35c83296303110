//! What a POST looks like on the wire, that it goes out once, and what is made of each answer.

use std::time::Duration;

use tokio::net::TcpListener;

use crate::model::guest::GuestCall;
use crate::model::id::GuestKind;
use crate::transport::pve::Posted;
use crate::transport::pve::client::{Client, Limits};
use crate::transport::pve::testing::{Answer, SECRET, Server, endpoint, http, json, quick};
use crate::transport::{ConnectFailure, Error};

use super::trusted;

const UPID: &str = "UPID:pve1:00000BD7:00051DF7:6B035F1D:qmstart:105:ecobox@pve!test:";

async fn start(client: &Client) -> Posted {
    client.guest_power(&"pve1".parse().unwrap(), GuestKind::Qemu, "105".parse().unwrap(), &GuestCall::Start).await
}

/// What becomes of a POST that is answered like this, in a word and with the error's text, and how many came.
async fn answered(answer: Answer, limits: Limits) -> (&'static str, String, usize) {
    let (identity, trust) = trusted();
    let server = Server::start(&identity, vec![answer]).await;
    let client = server.client_with(trust, limits);
    let (word, text) = word(start(&client).await);
    (word, text, server.requests(client).await.len())
}

fn word(posted: Posted) -> (&'static str, String) {
    match posted {
        Posted::Task(upid) => ("task", upid.to_string()),
        Posted::Done => ("done", String::new()),
        Posted::Refused(error) => ("refused", error.to_string()),
        Posted::Lost(error) => ("lost", error.to_string()),
    }
}

#[tokio::test]
async fn each_post_is_one_plain_request_on_a_connection_of_its_own() {
    let (identity, trust) = trusted();
    let task = || Answer::Keep(json("200 OK", &format!(r#"{{"data":"{UPID}"}}"#)));
    let mut server = Server::start(&identity, vec![task()]).await;
    let client = server.client(trust);
    let (node, vmid) = ("pve1".parse().unwrap(), "105".parse().unwrap());
    let kind = GuestKind::Qemu;
    let calls = [
        (GuestCall::Start, "start", ""),
        (GuestCall::Shutdown { timeout: Some(90), force_stop: true }, "shutdown", "timeout=90&forceStop=1"),
    ];
    for (call, path, body) in calls {
        let Posted::Task(upid) = client.guest_power(&node, kind, vmid, &call).await else { panic!("no task") };
        assert_eq!(upid.as_str(), UPID);
        // It ends although the client lives: nothing is kept for another request.
        let received = server.ended().await.received;
        let (head, sent) = received.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let first = format!("POST /api2/json/nodes/pve1/qemu/105/status/{path} HTTP/1.1");
        assert_eq!((lines.next(), sent), (Some(first.as_str()), body));
        let mut headers: Vec<String> =
            lines.map(|line| line.to_ascii_lowercase().split(": ").collect::<Vec<_>>().join("=")).collect();
        headers.sort_unstable();
        headers.retain(|line| !line.starts_with("host=") && !line.starts_with("user-agent=") && !line.contains(SECRET));
        let length = format!("content-length={}", body.len());
        let form = "content-type=application/x-www-form-urlencoded";
        let want: &[&str] = if body.is_empty() { &["accept=*/*", &length] } else { &["accept=*/*", &length, form] };
        assert_eq!(headers, want, "{head}");
    }
}

#[tokio::test]
async fn what_each_answer_says_of_what_happened() {
    let message = |text: &str| json(text, &format!(r#"{{"data":null,"message":"{}\n"}}"#, &text[4..]));
    let whole = json("200 OK", &format!(r#"{{"data":"{UPID}"}}"#));
    let half = whole[..whole.len() - 9].to_vec();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (whole, "task", UPID),
        (json("200 OK", r#"{"data":null}"#), "lost", "is not a valid task id"),
        (json("200 OK", r#"{"data":["UPID"]}"#), "lost", "is not a valid task id"),
        (json("200 OK", r#"{"data":"UPID:pve1:1:2:3:qmstart:105:a@pve:"}"#), "lost", "is not a valid task id"),
        (json("200 OK", r#"{"success":1}"#), "lost", "missing field `data`"),
        (json("200 OK", "<html>"), "lost", "status/start"),
        (http("200 OK", "Content-Type: text/html\r\n", "<html>"), "lost", "is this a Proxmox VE API?"),
        (http("204 No Content", "", ""), "lost", "nothing where JSON should be"),
        (half, "lost", "closed within the answer"),
        (b"HTTP/1.1 200 O".to_vec(), "lost", "pve1 sent an unusable answer"),
        (Vec::new(), "lost", "closed within the answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), "lost", "no valid HTTP"),
        (http("301 Moved Permanently", "Location: https://127.0.0.1:1/\r\n", ""), "refused", "301 to POST /nodes"),
        (http("308 Permanent Redirect", "Location: https://127.0.0.1:1/\r\n", ""), "refused", "308 to POST"),
        (
            json("400 Parameter verification failed.", r#"{"errors":{"timeout":"type check"},"data":null}"#),
            "refused",
            "answered 400 to POST /nodes/pve1/qemu/105/status/start: Parameter verification failed (timeout: type check)",
        ),
        (http("401 Authentication failed!", "", ""), "refused", "token ecobox@pve!test: Authentication failed!"),
        (message("403 Permission check failed (/vms/105, VM.PowerMgmt)"), "refused", "(/vms/105, VM.PowerMgmt)"),
        (message("500 VM 105 not running"), "refused", "500 to POST /nodes/pve1/qemu/105/status/start: VM 105 not"),
        // Where the reason phrase is lost, as behind a proxy, the body has it.
        (json("500 Internal Server Error", r#"{"message":"VM 105 not running\n"}"#), "refused", "VM 105 not"),
        (json("500 Internal Server Error", "{}"), "lost", "Internal Server Error"),
        (json("500 ", r#"{"message":"VM 105 not running\n"}"#), "refused", "VM 105 not running"),
        (message("500 can't lock file '/var/log/pve/tasks/.active.lock' - got timeout"), "lost", ".active.lock"),
        (http("500 VM 105 not running", "Content-Type: application/json\r\n", "{"), "refused", "VM 105 not running"),
        (message("501 Method 'POST /x' not implemented"), "refused", "not implemented"),
        (http("502 Bad Gateway", "", ""), "lost", "502 to POST"),
        (http("503 Service Unavailable", "", ""), "lost", "503 to POST"),
        (http("504 Gateway Timeout", "", ""), "lost", "504 to POST"),
        (http("595 Connection refused", "", ""), "refused", "595 to POST"),
        (http("595 No route to host", "", ""), "refused", "No route to host"),
        (http("596 Connection timed out", "", ""), "lost", "596 to POST"),
        (http("597 x", "", ""), "lost", "597 to POST"),
        (http("598 x", "", ""), "lost", "598 to POST"),
        (http("599 Too many redirections", "", ""), "lost", "Too many redirections"),
    ];
    for (answer, want, words) in cases {
        let case = String::from_utf8_lossy(&answer).into_owned();
        let (word, text, count) = answered(Answer::Close(answer), quick()).await;
        // Whether a service is down is asked with a GET.
        let asked = 1 + usize::from(case.starts_with("HTTP/1.1 595 Connection refused"));
        assert_eq!((word, count), (want, asked), "{case}: {text}");
        assert!(text.contains(words), "{case}: {text}");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_lost() {
    let limits = || Limits { proxied: Duration::from_millis(300), read: Duration::from_secs(20), ..quick() };
    let half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{".to_vec();
    for answer in [Answer::Hang(Vec::new()), Answer::Hang(half)] {
        let (word, text, count) = answered(answer, limits()).await;
        assert_eq!((word, count), ("lost", 1), "{text}");
        assert!(text.contains("did not answer within"), "{text}");
    }
}

#[tokio::test]
async fn what_fails_before_the_request_is_sent_did_nothing() {
    let (identity, trust) = trusted();
    // Nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::with_limits(endpoint(port, trust.clone()), quick()).unwrap();
    let refused = start(&client).await;
    assert!(matches!(refused, Posted::Refused(Error::Connect { failure: ConnectFailure::Refused, .. })), "{refused:?}");
    // Closed before TLS, as DENY_FROM does; something that speaks no TLS; something that is silent.
    for (greeting, hangs, words) in
        [("", false, "cannot reach"), ("220 mail ready\r\n", false, "TLS"), ("", true, "no answer")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut tcp, greeting.as_bytes()).await.unwrap();
            if hangs {
                std::future::pending::<()>().await;
            }
            // Whatever the client said is read, so that it sees an end and no reset.
            let _ = tokio::io::AsyncReadExt::read(&mut tcp, &mut [0; 4096]).await;
        });
        let connect = if hangs { Duration::from_millis(300) } else { quick().connect };
        let client = Client::with_limits(endpoint(port, trust.clone()), Limits { connect, ..quick() }).unwrap();
        let (word, text) = word(start(&client).await);
        assert_eq!(word, "refused", "{text}");
        assert!(text.contains(words), "{text}");
        accepting.abort();
    }
    // Not whom it should be: it does not get a byte.
    let (_, other) = trusted();
    let mut server = Server::start(&identity, vec![]).await;
    let refused = start(&server.client(other)).await;
    assert!(matches!(refused, Posted::Refused(Error::Untrusted { .. })), "{refused:?}");
    assert_eq!(server.ended().await.received, "");
}

#[tokio::test]
async fn cut_after_the_handshake_is_lost() {
    // Whether the request was read before, nobody can tell.
    let (identity, trust) = trusted();
    let acceptor = identity.acceptor(rustls::ALL_VERSIONS);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            drop(acceptor.accept(tcp).await);
        }
    });
    let client = Client::with_limits(endpoint(port, trust), quick()).unwrap();
    let lost = start(&client).await;
    assert!(matches!(lost, Posted::Lost(_)), "{lost:?}");
}
