use std::os::unix::fs::symlink;

use super::*;

fn publish(path: &Path, text: &str) -> Result<(), String> {
    replace(path, FileRole::Published, |out| out.write_all(text.as_bytes())).map_err(|error| error.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_published_can_be_read_by_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ecobox.prom");
    publish(&path, "one\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    // Whatever it was before, and whatever the umask is (tempfile makes it 0600).
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    publish(&path, "two\n").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    assert_eq!(names(folder.path()), ["ecobox.prom"]);
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old"), "old").unwrap();
    symlink(at("old"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    fs::create_dir(at("sub")).unwrap();
    for (path, says) in [
        (at("link"), "it is a symbolic link"),
        (at("dangling"), "it is a symbolic link"),
        (at("sub"), "it is not a regular file"),
        (PathBuf::from("/dev/full"), "it is not a regular file"),
        (at("missing/x"), &format!("no file can be made in {}: entity not found", at("missing").display())),
        (at("old/x"), "Not a directory"),
    ] {
        let error = publish(&path, "new").unwrap_err();
        assert!(error.starts_with(says), "{}: {error}", path.display());
    }
    let full = replace(&at("old"), FileRole::Published, |out| {
        out.write_all(&vec![b'x'; 1 << 20])?;
        Err(io::ErrorKind::StorageFull.into())
    });
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read_to_string(at("old")).unwrap(), "old");
    assert_eq!(names(folder.path()), ["dangling", "link", "old", "sub"]);
}

#[test]
fn what_another_user_keeps_private_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "secret").unwrap();
    if std::os::unix::fs::chown(&path, Some(54321), None).is_err() {
        eprintln!("SKIPPED: a file of another user: only root can make one");
        return;
    }
    for mode in [0o600, 0o640] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let want = format!("it belongs to user 54321 and is not for everybody (mode {mode:04o})");
        assert_eq!(publish(&path, "new"), Err(want));
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    publish(&path, "new").unwrap();
}

#[test]
fn a_folder_without_the_right_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
    let result = publish(&path, "new");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    if result.is_ok() {
        eprintln!("SKIPPED: a folder without the right to write: this user may write everywhere");
        return;
    }
    let want = format!("no file can be made in {}: permission denied", folder.path().display());
    assert_eq!(result, Err(want));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn a_reader_sees_one_or_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let text = |n: usize| format!("{n}").repeat(100_000);
    publish(&path, &text(0)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..40).for_each(|n| publish(&path, &text(n % 10)).unwrap()));
        while !writer.is_finished() {
            let seen = fs::read_to_string(&path).unwrap();
            assert_eq!(seen.len(), 100_000);
            assert!(seen.bytes().all(|b| b == seen.as_bytes()[0]));
        }
    });
}
