//! Who is trusted, and who gets no byte.

use super::*;

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
