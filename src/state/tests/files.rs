//! Who may read the file, what is refused, and files of other makings.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{at, cluster, folder, furnish, guest, listing, server, token};
use crate::model::access::scope::TokenScope;
use crate::model::power::PowerState;
use crate::state::file::schema;
use crate::state::{State, StateError};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A folder with a state file that has something in it.
fn furnished() -> (TempDir, std::path::PathBuf) {
    let folder = folder();
    let path = folder.path().join("state.db");
    furnish(&State::open(&path, at(0)).unwrap());
    (folder, path)
}

/// Run by `modes_do_not_depend_on_the_umask` in a process of its own.
#[test]
#[ignore = "a helper of another test"]
fn child_furnishes() {
    let Some(path) = std::env::var_os("ECOBOX_TEST_STATE") else { return };
    let state = State::open(Path::new(&path), at(0)).unwrap();
    furnish(&state);
    let folder = Path::new(&path).parent().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&folder.join(format!("state.db{suffix}"))), 0o600, "{suffix}");
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["000", "022", "027", "077", "177", "777"] {
        let folder = folder();
        let path = folder.path().join("local/state/ecobox/state.db");
        let test = "state::tests::files::child_furnishes";
        let status = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" --exact {test} --ignored --quiet")])
            .arg(std::env::current_exe().unwrap())
            .env("ECOBOX_TEST_STATE", &path)
            .output()
            .unwrap();
        assert!(status.status.success(), "{umask}: {status:?}");
        for folder in path.ancestors().skip(1).take(3) {
            assert_eq!(mode(folder), 0o700, "{umask} {}", folder.display());
        }
        assert_eq!(mode(&path), 0o600, "{umask}");
        assert_eq!(entries(path.parent().unwrap()), ["state.db", "state.db-shm", "state.db-wal"], "{umask}");
    }
}

#[test]
fn what_others_can_read_is_refused_with_the_chmod_to_run() {
    for wide in [0o644, 0o660, 0o640, 0o604, 0o601, 0o610, 0o777, 0o4755] {
        for suffix in ["", "-wal"] {
            let (_folder, path) = furnished();
            let wide_one = path.with_file_name(format!("state.db{suffix}"));
            fs::set_permissions(&wide_one, Permissions::from_mode(wide)).unwrap();
            let bytes = fs::read(&path).unwrap();
            let error = State::open(&path, at(1)).unwrap_err().to_string();
            let command = format!("run `chmod 600 {}`", wide_one.display());
            assert!(error.contains(&command) && error.contains(&format!("(mode {wide:04o})")), "{error}");
            State::open_read_only(&path).unwrap_err();
            assert_eq!((fs::read(&path).unwrap(), mode(&wide_one)), (bytes, wide), "nothing was changed");
            fs::set_permissions(&wide_one, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(State::open(&path, at(1)).unwrap().tokens().unwrap().len(), 1);
        }
    }
    // Narrower than asked for is fine, and odd names are quoted for the shell.
    let folder = folder();
    let path = folder.path().join("it's mine.db");
    drop(State::open(&path, at(0)).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let error = State::open(&path, at(1)).unwrap_err().to_string();
    assert!(error.contains(&format!("chmod 600 '{}/it'\\''s mine.db'", folder.path().display())), "{error}");
}

#[test]
fn another_users_file_is_refused() {
    let (_folder, path) = furnished();
    if chown(&path, Some(54321), None).is_err() {
        eprintln!("SKIPPED: another user's state file: only root can make one");
        return;
    }
    let error = State::open(&path, at(1)).unwrap_err().to_string();
    assert!(error.contains("belongs to user 54321, not to 0"), "{error}");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    type Make = fn(&Path);
    let fifo: Make = |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let cases: [(&str, Make, &str); 8] = [
        ("state.db", |path| fs::create_dir(path).unwrap(), "is not a file"),
        ("state.db", fifo, "is not a file"),
        ("state.db", |path| symlink(path, path).unwrap(), "symbolic link"),
        ("state.db", |path| symlink("nowhere", path).unwrap(), "is a symbolic link to nothing"),
        ("state.db", |path| symlink("/dev/zero", path).unwrap(), "is not a file"),
        ("state.db-wal", fifo, "state.db-wal is not a file"),
        ("state.db-journal", fifo, "state.db-journal is not a file"),
        ("state.db-shm", |path| fs::create_dir(path).unwrap(), "state.db-shm is not a file"),
    ];
    for (name, make, why) in cases {
        let folder = folder();
        let path = folder.path().join("state.db");
        if name != "state.db" {
            drop(State::open(&path, at(0)).unwrap());
            let _ = fs::remove_file(folder.path().join(name));
        }
        make(&folder.path().join(name));
        let before = entries(folder.path());
        let error = State::open(&path, at(1)).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        State::open_read_only(&path).unwrap_err();
        assert_eq!(entries(folder.path()), before, "{why}");
    }
    let folder = folder();
    File::create(folder.path().join("file")).unwrap();
    State::open(&folder.path().join("file/state.db"), at(1)).unwrap_err();
}

#[test]
fn a_link_to_a_good_file_is_followed() {
    let (folder, path) = furnished();
    let link = folder.path().join("link.db");
    symlink(&path, &link).unwrap();
    let state = State::open(&link, at(1)).unwrap();
    assert_eq!((state.tokens().unwrap().len(), state.path()), (1, fs::canonicalize(&path).unwrap().as_path()));
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    for mode in [0o777, 0o1777, 0o702] {
        let (folder, path) = furnished();
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        for error in [State::open(&path, at(1)).unwrap_err(), State::open_read_only(&path).unwrap_err()] {
            let error = error.to_string();
            let want = format!("lies in a folder that others may write (mode {mode:04o}): run `chmod go-w /");
            assert!(error.contains(&want), "{error}");
        }
        // Nor is a new one made there.
        State::open(&folder.path().join("new.db"), at(1)).unwrap_err();
        assert!(!folder.path().join("new.db").exists());
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(State::open(&path, at(1)).unwrap().tokens().unwrap().len(), 1);
    }
}

#[test]
fn links_and_folders_of_others_are_refused() {
    let (own, path) = furnished();
    let shared = folder();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o777)).unwrap();
    symlink(&path, shared.path().join("link.db")).unwrap();
    symlink(own.path(), shared.path().join("folder")).unwrap();
    for name in ["link.db", "folder/state.db", "folder/new.db"] {
        let error = State::open(&shared.path().join(name), at(1)).unwrap_err().to_string();
        assert!(error.contains("is a symbolic link in a folder that others may write"), "{name}: {error}");
        State::open_read_only(&shared.path().join(name)).unwrap_err();
    }
    assert!(!own.path().join("new.db").exists());
    if chown(shared.path(), Some(54321), None).is_err() {
        eprintln!("SKIPPED: another user's folder: only root can make one");
        return;
    }
    fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    let error = State::open(&shared.path().join("state.db"), at(1)).unwrap_err().to_string();
    assert!(error.contains("which belongs to user 54321, not to 0 who runs this"), "{error}");
    State::open(&shared.path().join("new/state.db"), at(1)).unwrap_err();
    assert_eq!(entries(shared.path()), ["folder", "link.db"]);
}

#[test]
fn a_folder_without_the_right_to_write() {
    for beside in ["journal and index", "journal", "nothing"] {
        let (folder, path) = furnished();
        if beside != "journal and index" {
            fs::remove_file(folder.path().join("state.db-shm")).unwrap();
        }
        if beside == "nothing" {
            // The last connection of any other program takes the journal with it.
            let conn = Connection::open(&path).unwrap();
            conn.execute_batch("PRAGMA wal_checkpoint").unwrap();
            conn.close().unwrap();
            assert_eq!(entries(folder.path()), ["state.db"]);
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
        if File::create(folder.path().join("probe")).is_ok() {
            let _ = fs::remove_file(folder.path().join("probe"));
            eprintln!("SKIPPED: a folder without the right to write: this user may write everywhere");
        } else if beside == "journal" {
            let error = State::open(&path, at(1)).unwrap_err();
            assert!(matches!(error, StateError::Sqlite { .. }), "{error:?}");
        }
        let state = State::open_read_only(&path).unwrap().unwrap();
        assert_eq!(state.guests(&cluster("host:pve1")).unwrap().len(), 40, "{beside}");
        state.mark_asleep(&server("nas"), at(1)).unwrap_err();
        drop(state);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(State::open(&path, at(1)).unwrap().tokens().unwrap().len(), 1, "{beside}");
    }
}

/// Whoever types does not wait for a file that another process keeps to itself.
#[test]
fn reading_only_does_not_wait_for_long() {
    let (_folder, path) = furnished();
    let state = State::open_read_only(&path).unwrap().unwrap();
    let patience: i64 = state.lock().pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap();
    assert_eq!(patience, 200);
}

#[test]
fn what_a_killed_run_has_left_is_removed() {
    let folder = folder();
    let own = std::process::id();
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let kept = format!(".state-new-{own}-abc");
    for name in [format!(".state-new-{}-abc", dead.id()), ".state-new-abc".to_owned(), kept.clone()] {
        File::create(folder.path().join(name)).unwrap();
    }
    drop(State::open(&folder.path().join("state.db"), at(0)).unwrap());
    let left: Vec<String> = entries(folder.path()).into_iter().filter(|name| !name.starts_with("state.db")).collect();
    assert_eq!(left, [kept], "but for what somebody is just making");
}

#[test]
fn reading_only_makes_nothing() {
    let folder = folder();
    assert!(State::open_read_only(&folder.path().join("a/state.db")).unwrap().is_none());
    assert!(State::open_read_only(&folder.path().join("state.db")).unwrap().is_none());
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn an_empty_file_becomes_a_state_file() {
    let folder = folder();
    let path = folder.path().join("state.db");
    File::create(&path).unwrap().set_permissions(Permissions::from_mode(0o600)).unwrap();
    let state = State::open(&path, at(0)).unwrap();
    furnish(&state);
    assert_eq!((state.tokens().unwrap().len(), state.notice()), (1, None));
    let journal: String = state.lock().pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(journal, "wal");
}

#[test]
fn a_newer_file_is_refused_and_stays_as_it_is() {
    let (_folder, path) = furnished();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 77).unwrap();
    let bytes = fs::read(&path).unwrap();
    for error in [State::open(&path, at(1)).unwrap_err(), State::open_read_only(&path).unwrap_err()] {
        let want = format!("was made by a newer ecobox (schema 77, this one knows {})", schema::newest());
        assert!(error.to_string().contains(&want), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn another_programs_database_is_refused() {
    for (sql, what) in [
        ("CREATE TABLE moz_places (id INTEGER)", "no numbers"),
        ("PRAGMA application_id = 7", "another id"),
        ("PRAGMA user_version = 1; CREATE TABLE a (b)", "a version"),
    ] {
        let folder = folder();
        let path = folder.path().join("state.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let bytes = fs::read(&path).unwrap();
        let error = State::open(&path, at(1)).unwrap_err().to_string();
        assert!(error.contains("is a database of another program"), "{what}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
    }
}

#[test]
fn an_older_file_is_brought_up_to_date_whole_or_not_at_all() {
    let (_folder, path) = furnished();
    let conn = Connection::open(&path).unwrap();
    let next = |step| [schema::STEPS, &[step]].concat();
    let failing = next("CREATE TABLE half (a INTEGER) STRICT; ALTER TABLE nothing ADD COLUMN b");
    schema::migrate(&conn, &failing).unwrap_err();
    assert_eq!(schema::header(&conn).unwrap(), (schema::APPLICATION_ID, schema::newest()));
    conn.prepare("SELECT * FROM half").unwrap_err();

    schema::migrate(&conn, &next("ALTER TABLE wishes ADD COLUMN why TEXT")).unwrap();
    schema::migrate(&conn, &next("this is not done twice")).unwrap();
    assert_eq!(schema::header(&conn).unwrap().1, schema::newest() + 1);
    conn.prepare("SELECT why FROM wishes").unwrap();
    let guests: i64 = conn.query_row("SELECT count(*) FROM guests", [], |row| row.get(0)).unwrap();
    assert_eq!(guests, 40);
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let (_folder, path) = furnished();
    let state = State::open(&path, at(1)).unwrap();
    let full = |pages: i64| {
        let conn = state.lock();
        let limit = conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0));
        limit.unwrap()
    };
    full(1); // SQLite raises it to what the file has already
    let home = cluster("host:pve1");
    let many = (1000..3000).map(|number| guest(number, "pve1", PowerState::Running)).collect();
    let error = state.record_listing(&home, &listing(&[("pve1", true)], many), &server("pve1"), at(1)).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error:?}");
    assert!(error.to_string().starts_with("no space is left for the state file /"), "{error}");
    // A token is not begun either: its intent does not fit.
    let mut refused = 0;
    for n in 0..500 {
        let id = token(&format!("root@pam!box-{n}"), "x").id;
        refused += usize::from(state.begin_intent(&server("pve3"), None, &id, at(2)).is_err());
    }
    assert!(refused > 0, "the file was not full");
    assert_eq!((state.guests(&home).unwrap().len(), state.tokens().unwrap().len()), (40, 1));
    full(1_000_000);
    let made = token("root@pam!box-2", "s");
    state.finish_intent(&home, &made, TokenScope::Monitor, None, &server("pve1"), at(3)).unwrap();
    assert_eq!(state.token(&home).unwrap().unwrap().token, made);
}

#[test]
fn the_journal_does_not_grow_for_ever() {
    // Also where every run is killed before it has ended.
    for (killed, most) in [(false, 2 << 20), (true, 5 << 20)] {
        let (folder, path) = furnished();
        let size = || fs::metadata(folder.path().join("state.db-wal")).unwrap().len();
        let mut largest = 0;
        for run in 0..40 {
            let state = State::open(&path, at(run)).unwrap();
            for n in 0..25 {
                state.put_ssh_answer(&format!("alias{n}"), &run.to_string(), &"x".repeat(5000)).unwrap();
            }
            largest = largest.max(size());
            if !killed {
                state.close();
            }
        }
        assert!(largest < most, "{largest} bytes");
        assert_eq!(size() < 1 << 20, !killed);
    }
}

#[test]
fn a_long_journal_that_somebody_reads_stays_for_another_run() {
    let (folder, path) = furnished();
    let size = || fs::metadata(folder.path().join("state.db-wal")).unwrap().len();
    let reader = State::open(&path, at(0)).unwrap();
    let state = State::open(&path, at(0)).unwrap();
    let write = |state: &State, n| {
        let answers = (0..100).map(|i| format!("alias{i}"));
        for alias in answers {
            state.put_ssh_answer(&alias, &format!("{n}"), &"x".repeat(5000)).unwrap();
        }
    };
    write(&state, 0);
    let conn = reader.lock();
    conn.execute_batch("BEGIN; SELECT count(*) FROM guests;").unwrap();
    write(&state, 1);
    schema::empty_long_journal(&state.lock(), size(), 0);
    // It waits for nobody: others have half a minute for each other.
    let patience: i64 = state.lock().pragma_query_value(None, "busy_timeout", |row| row.get(0)).unwrap();
    assert_eq!(patience, 0);
    state.close();
    assert!(size() > 1 << 20);
    conn.execute_batch("COMMIT").unwrap();
    drop(conn);
    reader.close();
    assert_eq!(size(), 0);
}
