use super::*;

#[test]
fn token_ids_split_from_the_right() {
    let cases = [
        ("root@pam!x1", Some(("root", "pam", "x1"))),
        ("a!b@c@pve!tok-1.a", Some(("a!b@c", "pve", "tok-1.a"))),
        ("root@pam!x", None),
        ("root@pam!1ab", None),
        ("root!ab", None),
        ("@pam!ab", None),
        ("ro ot@pam!ab", None),
    ];
    for (text, want) in cases {
        let got = text.parse::<TokenId>().ok();
        let got = got.as_ref().map(|t| (t.user.as_str(), t.realm.as_str(), t.name.as_str()));
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn secrets_say_nothing() {
    let token: Token = "ecobox@pve!a1=c0ffee".parse().unwrap();
    assert!(!format!("{token:?}").contains("c0ffee"));
    assert!(!format!("{:?}", "x=c0ffee".parse::<Token>().unwrap_err()).contains("c0ffee"));
    assert_eq!(token.secret.expose(), "c0ffee");
}
