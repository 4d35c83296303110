//! What the real Prometheus takes and gives.

use std::time::Instant;

use ecobox_sim::prometheus::{PASSWORD, Prometheus};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;
use crate::model::hint::HintId;
use crate::model::inventory::FailureKind;

/// Some moment in the past, to the millisecond.
const BEGIN: i64 = 1_700_000_000_123;
const HOUR: i64 = 3_600_000;

fn writer(prometheus: &Prometheus, access: Access) -> Writer {
    Writer::new(&format!("http://127.0.0.1:{}/api/v1/write", prometheus.port()), access).unwrap()
}

fn reader(prometheus: &Prometheus, access: Access) -> Reader {
    Reader::new(&format!("http://127.0.0.1:{}", prometheus.port()), access).unwrap()
}

async fn send(writer: &Writer, all: &[TimeSeries<'_>]) -> Result<(), Error> {
    for body in encode(all.iter().cloned()) {
        writer.send(&body).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_written_is_read_back() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (writer, reader) = (writer(&prometheus, open()), reader(&prometheus, open()));
    // Hours over some days, with numbers that have many places.
    let samples: Vec<_> = (0..200_i32).map(|n| (at(BEGIN + i64::from(n) * HOUR), f64::from(n) / 7.0)).collect();
    let hostile = "x\"} or {__name__=~\".+\"} # \\ \n \t \u{202e} grün . | $";
    let (one, other) = (labels(&[("id", "a")]), labels(&[("id", hostile), ("pool", "")]));
    send(&writer, &[series("m", &one, &samples), series("m", &other, &samples[..3])]).await.unwrap();
    // An answer that was lost: the same is taken again.
    send(&writer, &[series("m", &one, &samples[199..])]).await.unwrap();

    let (first, last) = (samples[0].0, samples[199].0);
    let all = reader.range("m", first, last).await.unwrap();
    assert_eq!(all.len(), 2);
    let id = |labels: &std::collections::BTreeMap<String, String>| labels["id"].clone();
    assert_eq!((id(&all[0].0).as_str(), &all[0].1), ("a", &samples));
    assert_eq!((id(&all[1].0).as_str(), all[1].1.as_slice()), (hostile, &samples[..3]));
    assert_eq!(all[0].0.len(), 2, "{:?}", all[0].0);

    // To the millisecond, both ends included.
    let millisecond = jiff::SignedDuration::from_millis(1);
    for (since, until, want) in [
        (samples[5].0, samples[60].0, &samples[5..=60]),
        (samples[5].0 + millisecond, samples[60].0 - millisecond, &samples[6..60]),
        (samples[7].0, samples[7].0, &samples[7..=7]),
        (last + millisecond, last + millisecond, &[]),
        (last, first, &[]),
    ] {
        let got = reader.range(&selector("m", &[("id", Matcher::Is("a"))]), since, until).await.unwrap();
        let got = got.first().map_or(&[][..], |(_, samples)| samples.as_slice());
        assert_eq!(got, want, "{since} {until}");
    }

    // Foreign text selects what it names and nothing else.
    for (matcher, want) in [
        (Matcher::Is(hostile), 1),
        (Matcher::OneOf(&[hostile]), 1),
        (Matcher::OneOf(&["a", hostile, "b"]), 2),
        (Matcher::OneOf(&["."]), 0),
        (Matcher::OneOf(&[]), 0),
        (Matcher::Is(""), 0),
    ] {
        let found = reader.range(&selector("m", &[("id", matcher)]), first, last).await.unwrap();
        assert_eq!(found.len(), want, "{matcher:?}");
    }

    // Answers that must be small take more questions, and say the same.
    let limits = Limits { body: 1500, ..Limits::default() };
    let small = Reader::with_limits(&format!("http://127.0.0.1:{}", prometheus.port()), open(), limits).unwrap();
    assert_eq!(small.range("m", first, last).await.unwrap(), all);
    let mut pieces = 0;
    small.each("m", first, last, |_| pieces += 1).await.unwrap();
    assert!(pieces > 5, "{pieces}");
}

#[tokio::test]
async fn its_own_words_say_what_is_wrong() {
    let Some(prometheus) = Prometheus::start() else { return };
    let (writer, reader) = (writer(&prometheus, open()), reader(&prometheus, open()));
    let (id, now) = (labels(&[("id", "a")]), Timestamp::now().as_millisecond());
    let one = |ms: i64, value| [(at(ms), value)];
    send(&writer, &[series("m", &id, &one(now, 1.0))]).await.unwrap();
    for (what, says) in [
        (send(&writer, &[series("m", &id, &one(now - 60_000, 1.0))]).await, "out of order sample"),
        (send(&writer, &[series("m", &id, &one(now, 2.0))]).await, "duplicate sample for timestamp"),
        (send(&writer, &[series("n", &id, &one(now - 30 * 24 * HOUR, 1.0))]).await, "out of bounds"),
        (writer.send(b"nonsense").await, "snappy: corrupt input"),
        (writer.send(&[]).await, "snappy: corrupt input"),
    ] {
        let error = what.unwrap_err();
        assert!(error.is_final(), "{says}: {error}\n{}", prometheus.log());
        assert!(error.to_string().starts_with("Prometheus answered 400 to POST /api/v1/write: "), "{error}");
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
    let error = reader.range("m{", at(now), at(now)).await.unwrap_err();
    assert!(error.to_string().contains("parse error"), "{error}");
    let error = Reader::new(&format!("http://127.0.0.1:{}/not/here", prometheus.port()), open()).unwrap();
    let error = error.range("m", at(now), at(now)).await.unwrap_err();
    assert!(error.advice() == Some(HintId::PrometheusPath), "{error}");
}

#[tokio::test]
async fn only_who_has_the_password_is_let_in() {
    let Some(prometheus) = Prometheus::start_with_password() else { return };
    let id = labels(&[("id", "a")]);
    let now = Timestamp::now().as_millisecond();
    let samples = [(at(now), 1.0)];
    send(&writer(&prometheus, basic(PASSWORD)), &[series("m", &id, &samples)]).await.unwrap();
    let found = reader(&prometheus, basic(PASSWORD)).range("m", at(now), at(now)).await.unwrap();
    assert_eq!(found[0].1, samples);
    for access in [open(), basic(SECRET), Access { auth: Auth::Bearer(secret()), ca_pem: None }] {
        let written = send(&writer(&prometheus, access.clone()), &[series("m", &id, &samples)]).await.unwrap_err();
        let read = reader(&prometheus, access).range("m", at(now), at(now)).await.unwrap_err();
        for error in [written, read] {
            assert_eq!(error.to_string(), "Prometheus refused: 401 Unauthorized");
            // The numbers are as good as before; the password may be put right.
            assert_eq!((error.kind(), error.is_final()), (FailureKind::Denied, false));
            assert_eq!(error.advice(), Some(HintId::PrometheusLogin));
            assert!(!format!("{error:?}").contains(SECRET));
        }
    }
}

#[tokio::test]
async fn over_tls_only_to_whom_the_ca_vouches_for() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let Some(prometheus) = Prometheus::start_with_tls(&leaf.pem(), &key.serialize_pem()) else { return };
    let url = format!("https://127.0.0.1:{}/api/v1/write", prometheus.port());
    let id = labels(&[("id", "a")]);
    let samples = [(Timestamp::now(), 1.0)];
    let trusting = |ca_pem| Access { auth: Auth::None, ca_pem };
    let good = Writer::new(&url, trusting(Some(ca))).unwrap();
    send(&good, &[series("m", &id, &samples)]).await.unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    for ca_pem in [None, Some(other)] {
        let error =
            send(&Writer::new(&url, trusting(ca_pem)).unwrap(), &[series("m", &id, &samples)]).await.unwrap_err();
        assert!(error.to_string().starts_with("Prometheus is not who it should be: "), "{error}");
        assert_eq!((error.kind(), error.is_final()), (FailureKind::Identity, false));
        assert_eq!(error.advice(), Some(HintId::PrometheusCertificate));
    }
    // Where only the URL is wrong, the numbers are not.
    let plain = Writer::new(&url.replace("https", "http"), open()).unwrap();
    let error = send(&plain, &[series("m", &id, &samples)]).await.unwrap_err();
    assert!(error.to_string().contains("HTTP request to an HTTPS server") && !error.is_final(), "{error}");
}

#[tokio::test]
async fn one_that_was_killed_is_asked_again_later() {
    let Some(mut prometheus) = Prometheus::start() else { return };
    let connected = writer(&prometheus, open());
    let id = labels(&[("id", "a")]);
    let samples = [(Timestamp::now(), 1.0)];
    send(&connected, &[series("m", &id, &samples)]).await.unwrap();
    prometheus.kill();
    let begun = Instant::now();
    assert!(!send(&connected, &[series("m", &id, &samples)]).await.unwrap_err().is_final());
    let error = send(&writer(&prometheus, open()), &[series("m", &id, &samples)]).await.unwrap_err();
    let want = format!("cannot reach Prometheus (127.0.0.1:{}): connection refused", prometheus.port());
    assert_eq!(error.to_string(), want);
    assert_eq!((error.kind(), error.is_final()), (FailureKind::Unreachable, false));
    assert!(begun.elapsed() < Limits::default().patience, "nobody waits for one that is not there");
}
