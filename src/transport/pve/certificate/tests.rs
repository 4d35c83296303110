use super::*;
use crate::transport::pve::testing::{Ca, Identity};

#[test]
fn a_certificate_says_when_it_ends_whoever_issued_it() {
    let ca = Ca::new();
    let until = |year| {
        let params = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(year, 2, 3);
        presented(&ca.issue_with(&["pve1"], params)).ends()
    };
    let at = |text: &str| Some(text.parse::<jiff::Timestamp>().unwrap());
    assert_eq!(until(2036), at("2036-02-03T00:00:00Z"));
    assert_eq!(until(2021), at("2021-02-03T00:00:00Z"), "it is over");
    assert_eq!(until(2050), at("2050-02-03T00:00:00Z"), "its time is written in another way");
    let own = Identity::self_signed(&["pve1"], true);
    assert!(presented(&own).ends().is_some(), "it is its own issuer");
}

fn presented(identity: &Identity) -> Presented {
    Presented::new(&CertificateDer::from_slice(&identity.der), &[]).unwrap()
}

#[test]
fn the_key_is_hashed_as_openssl_writes_it() {
    for identity in [Ca::new().issue(&["pve1"]), Identity::self_signed(&["pve1"], true)] {
        let presented = presented(&identity);
        assert_eq!((presented.leaf, presented.spki), (identity.fingerprint(), identity.spki));
    }
    assert!(Presented::new(&CertificateDer::from_slice(b"0\x03\x02\x01\x01"), &[]).is_err());
}

#[test]
fn the_strongest_trust_that_fits_is_chosen() {
    let (ca, public, other) = (Ca::new(), Ca::new(), Ca::new());
    let roots = || vec![CertificateDer::from(public.der.clone())];
    let node: NodeName = "pve1".parse().unwrap();
    let cluster = Trust::ClusterCa { ca: ca.der.clone(), node: node.clone() };
    let key = |identity: &Identity| Trust::PublicKey { spki: identity.spki };
    let pve = ca.issue(&["pve1", "127.0.0.1"]);
    let acme = public.issue(&["pve.example.com"]);
    let foreign = other.issue(&["pve1"]);
    let two = format!("{}{}", other.pem, ca.pem);
    let cases = [
        ("the default", &pve, Some(ca.pem.as_str()), Some(&node), "10.0.0.1", cluster.clone()),
        ("after a change of the CA", &pve, Some(two.as_str()), Some(&node), "10.0.0.1", cluster),
        ("no CA readable", &pve, None, Some(&node), "10.0.0.1", key(&pve)),
        ("no node known", &pve, Some(ca.pem.as_str()), None, "pve1", key(&pve)),
        ("no PEM", &pve, Some("x"), Some(&node), "pve1", key(&pve)),
        ("ACME", &acme, Some(ca.pem.as_str()), Some(&node), "pve.example.com", Trust::PublicCa),
        ("ACME, dialled by address", &acme, Some(ca.pem.as_str()), Some(&node), "10.0.0.1", key(&acme)),
        ("a company's CA", &foreign, Some(ca.pem.as_str()), Some(&node), "pve1", key(&foreign)),
        ("no host name", &acme, None, None, "a b", key(&acme)),
    ];
    for (case, identity, pem, node, host, want) in cases {
        let got = choose(&presented(identity), pem, node, host, roots, UnixTime::now());
        assert_eq!(got, want, "{case}");
    }
    // A certificate that has expired satisfies no chain.
    let later = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1 << 36));
    let got = choose(&presented(&pve), Some(&ca.pem), Some(&node), "pve1", roots, later);
    assert_eq!(got, key(&pve));
}

#[test]
fn a_cluster_is_known_by_its_ca() {
    let ca = Ca::new();
    assert_eq!(ca_fingerprint(&ca.pem), Some(sha256(&ca.der)));
    assert_eq!(ca_fingerprint(&format!("text\n{}", ca.pem)), Some(sha256(&ca.der)));
    assert_eq!(ca_fingerprint(""), None);
}
