//! What answers mean, from a server that gives any.

use super::*;
use crate::model::inventory::FailureKind;

async fn sent_to(told: &Told) -> Result<(), Error> {
    sent_within(Limits::default(), told).await
}

async fn sent_within(limits: Limits, told: &Told) -> Result<(), Error> {
    Writer::with_limits(&told.url("/api/v1/write?x=y"), open(), limits).unwrap().send(b"body").await
}

#[tokio::test]
async fn a_body_goes_out_as_remote_write_wants_it() {
    let told = Told::http("204 No Content", "text/plain", "").await;
    sent_to(&told).await.unwrap();
    let asked = told.asked();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/v1/write?x=y HTTP/1.1\r\n"), "{head}");
    for line in [
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "x-prometheus-remote-write-version: 0.1.0",
        concat!("user-agent: ecobox/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|have| have == line), "{line}\n{head}");
    }
    assert_eq!(body, "body");
    assert!(!head.contains("authorization"));
}

#[tokio::test]
async fn each_way_to_say_who_asks() {
    let bearer = Access { auth: Auth::Bearer(secret()), ca_pem: None };
    for (access, want) in [
        (bearer, format!("authorization: Bearer {SECRET}")),
        (basic("pä:ss"), "authorization: Basic ZWNvYm94OnDDpDpzcw==".to_owned()),
    ] {
        let told = Told::http("200 OK", "text/plain", "").await;
        assert!(!format!("{access:?}").contains(SECRET));
        let writer = Writer::new(&told.url("/w"), access).unwrap();
        assert!(!format!("{writer:?}").contains(SECRET));
        writer.send(b"x").await.unwrap();
        let asked = told.asked();
        assert!(asked.lines().any(|line| line == want), "{asked}");
    }
    for bad in ["", "a\nb", "ä\u{0}"] {
        let access = Access { auth: Auth::Bearer(Secret::new(bad.to_owned())), ca_pem: None };
        let error = Writer::new("http://127.0.0.1/", access).unwrap_err().to_string();
        assert_eq!(error, "Prometheus: the bearer token is empty, or has invalid characters");
    }
}

#[tokio::test]
async fn a_refusal_is_about_the_numbers_or_about_the_server() {
    let html = "<html><body>Bad Gateway</body></html>";
    let long = "x".repeat(500);
    for (status, kind, body, is_final, says) in [
        (
            "400 Bad Request",
            "text/plain",
            "out of order sample\n",
            true,
            "Prometheus answered 400 to POST /api/v1/write: out of order sample",
        ),
        ("400 Bad Request", "text/plain", "a\x1b[2J\nb", true, "400 to POST /api/v1/write: a\\u{1b}[2J\\u{a}b"),
        ("400 Bad Request", "text/plain", &long, true, &format!("{}…", "x".repeat(300))),
        ("409 Conflict", "application/json", r#"{"error":"twice"}"#, true, "409 to POST /api/v1/write: twice"),
        ("413 Too Large", "text/plain", "", true, "413 to POST /api/v1/write: Payload Too Large"),
        ("422 Unprocessable", "text/plain", "no", true, "422 to POST"),
        ("400 Bad Request", "text/html", html, false, "400 to POST /api/v1/write: Bad Request"),
        ("200 OK", "text/html", html, false, "sent an unusable answer: a web page"),
        ("401 Unauthorized", "text/plain", "Unauthorized\n", false, "Prometheus refused: 401 Unauthorized"),
        ("403 Forbidden", "text/html", html, false, "Prometheus refused: 403 Forbidden"),
        ("404 Not Found", "text/plain", "remote write receiver needs to be enabled", false, "needs to be enabled"),
        ("429 Too Many Requests", "text/plain", "slow down", false, "429 to POST /api/v1/write: slow down"),
        ("302 Found", "text/html", "", false, "302 to POST /api/v1/write: Found"),
        ("500 Internal Server Error", "text/plain", "boom", false, "500 to POST /api/v1/write: boom"),
        ("502 Bad Gateway", "text/html", html, false, "502 to POST /api/v1/write: Bad Gateway"),
        ("503 Service Unavailable", "text/plain", "", false, "503 to POST"),
    ] {
        let told = Told::http(status, kind, body).await;
        let error = sent_to(&told).await.unwrap_err();
        assert!(error.to_string().ends_with(says) || error.to_string().contains(says), "{status}: {error}");
        assert_eq!(error.is_final(), is_final, "{status}");
        assert_eq!(error.advice().is_some(), ["401", "403", "404"].iter().any(|number| status.starts_with(number)));
        // Nothing is asked twice, and no redirect is followed.
        told.asked();
    }
}

#[tokio::test]
async fn who_does_not_answer_is_asked_again_later() {
    for (answer, says, kind) in [
        (None, "Prometheus did not answer within 0.3 s", FailureKind::Unreachable),
        (Some(String::new()), "Prometheus sent an unusable answer: the connection was closed", FailureKind::Failed),
        (Some("SSH-2.0-x\r\n".to_owned()), "Prometheus sent an unusable answer", FailureKind::Failed),
    ] {
        let limits = if answer.is_none() { quick() } else { Limits::default() };
        let told = Told::start(answer).await;
        let error = sent_within(limits, &told).await.unwrap_err();
        assert!(error.to_string().starts_with(says), "{error}");
        assert_eq!((error.kind(), error.is_final()), (kind, false), "{error}");
    }
}

#[test]
fn what_cannot_be_used_is_said_without_the_secret() {
    for url in
        [format!("http://me:{SECRET}@h/"), format!("ftp://{SECRET}/"), SECRET.to_owned(), format!("http://[{SECRET}/")]
    {
        let error = Writer::new(&url, open()).unwrap_err();
        assert!(error.to_string().starts_with("Prometheus: its URL cannot be used"), "{error}");
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
    let access = Access { auth: Auth::None, ca_pem: Some("nonsense".to_owned()) };
    let error = Reader::new("https://127.0.0.1/", access).unwrap_err();
    assert_eq!(error.to_string(), "Prometheus: the CA file holds no valid certificate");
}

async fn found(body: &str) -> Result<Vec<(std::collections::BTreeMap<String, String>, Vec<(Timestamp, f64)>)>, Error> {
    let told = Told::http("200 OK", "application/json", body).await;
    let reader = Reader::with_limits(&told.url("/prefix/"), open(), Limits::default()).unwrap();
    let found = reader.range("up", at(5000), at(9001)).await;
    let asked = told.asked();
    assert!(asked.starts_with("POST /prefix/api/v1/query HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\nquery=up%5B4002ms%5D&time=9.001"), "{asked}");
    found
}

#[tokio::test]
async fn only_numbers_within_the_time_are_found() {
    let values =
        r#"[4.999,"1"],[5,"2"],[5.001,"NaN"],[5.002,"+Inf"],[5.003,"-Inf"],[6.0004,"-1.5e3"],[7,"x"],[9.001,"0"]"#;
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[
            {{"metric":{{"__name__":"up","id":"a\u0000"}},"values":[{values}]}},
            {{"metric":{{"id":"b"}},"values":[[1,"1"]]}},
            {{"metric":{{"id":"c"}},"histograms":[[5,{{}}]]}},
            {{"metric":{{"id":"d"}},"values":[[-1e300,"1"],[1e300,"1"]]}}
        ]}},"warnings":["x"]}}"#
    );
    let found = found(&body).await.unwrap();
    let [(labels, samples)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(labels["id"], "a\0");
    assert_eq!(samples, &[(at(5000), 2.0), (at(6000), -1500.0), (at(9001), 0.0)]);
}

#[tokio::test]
async fn unusable_answers_are_no_numbers() {
    for (body, says) in [
        ("", "/api/v1/query: EOF while parsing"),
        ("<html>", "/api/v1/query: expected value"),
        ("[]", "/api/v1/query: "),
        (r#"{"status":"error","errorType":"x","error":"bo\u001bom"}"#, "status `error: bo\\u{1b}om`"),
        (r#"{"status":"success"}"#, "a result of type ``"),
        (r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#, "a result of type `vector`"),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[["a",1]]}]}}"#,
            "invalid type",
        ),
    ] {
        let error = found(body).await.unwrap_err().to_string();
        assert!(error.starts_with("Prometheus sent an unusable answer: "), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn more_than_one_answer_may_be_is_asked_for_in_pieces_and_then_given_up() {
    let told = Told::http("200 OK", "application/json", &" ".repeat(5000)).await;
    let limits = Limits { body: 4999, ..Limits::default() };
    let reader = Reader::with_limits(&told.url(""), open(), limits).unwrap();
    let error = reader.range("up", at(0), at(10 * 24 * 3_600_000)).await.unwrap_err();
    assert_eq!(error.to_string(), "Prometheus sent an unusable answer: more than 4999 bytes");
    let asked = told.asked.lock().unwrap().clone();
    let lengths: Vec<&str> =
        asked.iter().map(|asked| asked.split_once("query=up%5B").unwrap().1.split_once("ms%5D").unwrap().0).collect();
    assert_eq!(lengths[..3], ["86400000", "43200000", "21600000"]);
    assert_eq!((lengths.last(), lengths.len()), (Some(&"60000"), 12));

    // Prometheus's own limit, in its words.
    let error = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}"#;
    let told = Told::http("422 Unprocessable Entity", "application/json", error).await;
    let reader = Reader::new(&told.url(""), open()).unwrap();
    assert!(reader.range("up", at(0), at(200_000)).await.is_err());
    assert_eq!(told.asked.lock().unwrap().len(), 3, "200 s, 100 s, 60 s");
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_it_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..24), bytes in ".{0,40}") {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let values = format!("{HEAD}{{\"metric\":{{}},\"values\":[{text}]}}]}}}}");
        for text in [&text, &bytes, &format!("{HEAD}{text}]}}}}"), &values] {
            for (_, samples) in query::found(text.as_bytes(), 5).unwrap_or_default() {
                proptest::prop_assert!(samples.iter().all(|(at, value)| at.as_millisecond() >= 5 && value.is_finite()));
            }
        }
    }
}

/// Pieces of which texts are made that are nearly answers.
const HEAD: &str = r#"{"status":"success","data":{"resultType":"matrix","result":["#;
const PIECES: [&str; 16] = [
    "[1,\"2\"]",
    ",",
    "[9e99,\"1e999\"]",
    "[0.0049,\"-0\"]",
    "[null,\"1\"]",
    "{",
    "}",
    "[",
    "]",
    "\"values\":",
    "\"metric\":{},",
    "\"\\ud800\"",
    "[-1,\"inf\"]",
    "[1e308,\"\"]",
    "\u{0}",
    "[0.006,\"0x10\"]",
];

#[test]
fn label_values_stay_within_their_quotes() {
    for (matcher, want) in [
        (Matcher::Is("pve1"), r#"up{id="pve1"}"#),
        (Matcher::Is(""), r#"up{id=""}"#),
        (Matcher::Is(r#"a"} or up{b="c\"#), r#"up{id="a\"} or up{b=\"c\\"}"#),
        (Matcher::Is("a\nb\u{202e}"), r#"up{id="a\U0000000ab\U0000202e"}"#),
        (Matcher::OneOf(&["a"]), r#"up{id=~"a"}"#),
        (Matcher::OneOf(&["a.b", "c|d$"]), r#"up{id=~"a\\.b|c\\|d\\$"}"#),
        (Matcher::OneOf(&["\"\\"]), r#"up{id=~"\"\\\\"}"#),
        (Matcher::OneOf(&[]), r#"up{id="",id!=""}"#),
    ] {
        assert_eq!(selector("up", &[("id", matcher)]), want);
    }
    assert_eq!(selector("up", &[]), "up{}");
    let two = [("id", Matcher::Is("a")), ("mountpoint", Matcher::Is("/"))];
    assert_eq!(selector("x", &two), r#"x{id="a",mountpoint="/"}"#);
}
