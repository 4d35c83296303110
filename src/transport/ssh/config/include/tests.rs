use super::*;

#[test]
fn names_match_as_glob_says() {
    for (pattern, good, bad) in [
        ("*.conf", "a.conf", "a.conf~"),
        (".*", ".conf", "conf"),
        ("??", "ab", "abc"),
        ("[ab]*", "beta", "gamma"),
        ("[!ab]*", "gamma", "beta"),
        ("[0-9][0-9]-*", "10-lan", "1-lan"),
        ("[]a]", "]", "b"),
        ("[a-]", "-", "b"),
        ("a[b", "a[b", "ab"),
        ("a\\*b", "a*b", "axb"),
        ("*a*b*", "xaxbx", "xbxax"),
    ] {
        assert!(matches(pattern, good), "{pattern} {good}");
        assert!(!matches(pattern, bad), "{pattern} {bad}");
    }
    assert!(!matches("*.conf", ".a.conf"), "a hidden file");
}

#[test]
fn wildcards_may_stand_in_every_part() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b/x.conf", "a/x.conf", "a/y.conf", "a/.z.conf", "c d/x.conf"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let find = |pattern: &str| {
        let mut searched = Vec::new();
        let found = expand(&folder.path().join(pattern), &mut searched);
        let names = |paths: &[PathBuf]| {
            let name = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
            paths.iter().map(name).collect::<Vec<_>>()
        };
        (names(&found), names(&searched))
    };
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(find("*/x.conf"), (owned(&["a/x.conf", "b/x.conf", "c d/x.conf"]), owned(&[""])));
    assert_eq!(find("[ab]/*.conf").0, ["a/x.conf", "a/y.conf", "b/x.conf"]);
    assert_eq!(find("missing"), (owned(&["missing"]), Vec::new()));
    assert_eq!(find("no/*"), (Vec::new(), owned(&["no"])));
}
