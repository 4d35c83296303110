use std::os::unix::fs::{chown, symlink};

use super::*;

#[test]
fn who_may_write() {
    // owner, group, mode, who runs it
    for (case, want) in [
        ((0, 0, 0o644, 0), false),
        ((0, 0, 0o755, 1000), false),
        ((1000, 1000, 0o700, 1000), false),
        ((1000, 1000, 0o775, 1000), false),
        ((1000, 100, 0o775, 1000), true),
        ((1000, 1000, 0o777, 1000), true),
        ((1000, 1000, 0o702, 1000), true),
        ((1000, 1000, 0o644, 0), true),
        ((1000, 1000, 0o644, 1001), true),
        ((0, 0, 0o664, 0), true),
        ((0, 0, 0o1777, 0), true),
    ] {
        let (owner, group, mode, me) = case;
        assert_eq!(exposed(owner, group, mode, me), want, "{case:?}");
    }
}

#[test]
fn links_of_others_are_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for name in ["shared", "own", "own/deep"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("own/file"), "").unwrap();
    symlink("../own/file", at("shared/link")).unwrap();
    symlink("../own", at("shared/folder")).unwrap();
    symlink("nothing", at("shared/dangling")).unwrap();
    symlink(at("shared/link"), at("own/indirect")).unwrap();
    symlink("file", at("own/link")).unwrap();
    symlink("circle", at("own/circle")).unwrap();
    fs::set_permissions(at("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
    for name in ["shared/link", "shared/folder/file", "shared/folder/new", "shared/dangling", "own/indirect"] {
        let error = refuse_foreign_links(&at(name)).unwrap_err().to_string();
        assert!(error.contains("/shared/") && error.contains("is a symbolic link in a folder"), "{name}: {error}");
    }
    for name in ["own/link", "own/circle", "own/none/x", "own/deep/../link", "shared/new", "own/file/x"] {
        refuse_foreign_links(&at(name)).unwrap();
    }
    refuse_foreign_links(Path::new("/proc/self/exe")).unwrap();
}

#[test]
fn nothing_is_made_in_the_home_of_somebody_else() {
    let home = tempfile::tempdir().unwrap();
    let new = home.path().join(".local/state/ecobox");
    make_folder(&new).unwrap();
    assert_eq!(fs::metadata(home.path().join(".local")).unwrap().mode() & 0o7777, 0o700);
    if chown(home.path(), Some(54321), None).is_err() {
        eprintln!("SKIPPED: the home of somebody else: only root can make one");
        return;
    }
    let error = make_folder(&home.path().join(".config/ecobox")).unwrap_err().to_string();
    let want = format!("{} belongs to user 54321, not to 0 who runs this: run it as", home.path().display());
    assert!(error.starts_with(&want) && error.ends_with("`sudo -H`"), "{error}");
    assert!(!home.path().join(".config").exists());
}
