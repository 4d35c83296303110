use super::*;

type Mounts = &'static [(&'static str, &'static str)];
type Want = &'static [(&'static str, u64, u64)];

#[test]
fn lines_of_df_are_known_by_their_end() {
    let cases: &[(Mounts, &str, Want)] = &[
        (&[], "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 10 4 5 45% /", &[("/", 4, 9)]),
        // FreeBSD: more is taken than users may.
        (&[], "zroot/ROOT/default 10 11 -1 110% /", &[("/", 11, 11)]),
        // A device of several words, and one that looks like numbers.
        (&[], "a b 1 2 3 4% 10 4 5 45% /", &[("/", 4, 9)]),
        (&[], "none 0 0 0 - /", &[]),
        (&[], "none 0 0 0 0% /", &[]),
        // In a changed root.
        (&[], "/dev/sda1 10 4 5 45% /srv/chroot", &[("/", 4, 9)]),
        (&[], "/dev/sda1 1.5 4 5 45% /", &[]),
        (&[], "/dev/sda1 10 4 5 45%", &[]),
        (&[], "45% /", &[]),
        (&[("x", "/a\\040b")], "x 10 4 5 45% /\nx 10 1 1 50% /a b", &[("/", 4, 9), ("/a b", 1, 2)]),
        (&[("x", "/a\\012b")], "x 10 4 5 45% /\nx 10 1 1 50% /a?b", &[("/", 4, 9), ("/a\nb", 1, 2)]),
        (&[("x", "/\\1\\999\\")], "x 10 4 5 45% /\nx 10 1 1 50% /\\1\\999\\", &[("/", 4, 9), ("/\\1\\999\\", 1, 2)]),
        // The end of another's name.
        (&[("x", "/a 5% /")], "x 10 4 5 45% /\nx 10 1 1 50% /a 5% /", &[("/", 4, 9), ("/a 5% /", 1, 2)]),
        (&[("x", "/a 5% /")], "x 10 1 1 50% /a 5% /", &[("/a 5% /", 1, 2)]),
        // One that df leaves out does not move the others.
        (&[("x", "/a"), ("y", "/b")], "r 10 4 5 45% /\ny 10 1 1 50% /b", &[("/", 4, 9), ("/b", 1, 2)]),
        // Seen as the root, and elsewhere.
        (&[("x", "/a"), ("x", "/")], "x 10 4 5 45% /\nx 10 4 5 45% /a", &[("/", 4, 9)]),
    ];
    for (mounts, df, want) in cases {
        let found = filesystems(mounts, &df.lines().collect::<Vec<_>>());
        let list: Vec<_> =
            found.list.iter().map(|f| (f.mount.as_str(), f.used_bytes / 1024, f.size_bytes / 1024)).collect();
        assert_eq!(list, *want, "{df}");
        assert_eq!(
            found.reasons.is_empty(),
            list.len() == want.len() && want.first().is_some_and(|w| w.0 == "/") && !df.starts_with("r "),
            "{df}: {:?}",
            found.reasons
        );
    }
}
