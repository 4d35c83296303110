use super::*;

#[test]
fn hosts_are_read_as_typed() {
    let new = |user: Option<&str>, host: &str, port| NewHost { user: user.map(str::to_owned), host: host.into(), port };
    for (text, want) in [
        ("pve1", Some(new(None, "pve1", None))),
        ("root@pve1.lan:2222", Some(new(Some("root"), "pve1.lan", Some(2222)))),
        ("fd00::1", Some(new(None, "fd00::1", None))),
        ("root@[fd00::1]:22", Some(new(Some("root"), "fd00::1", Some(22)))),
        ("[fd00::1]", Some(new(None, "fd00::1", None))),
        ("", None),
        ("@pve1", None),
        ("pve1:0", None),
        ("pve1:x", None),
        ("[fd00::1", None),
    ] {
        assert_eq!(host(text).ok(), want, "{text}");
    }
}
