//! Whatever bytes are found: opening neither hangs nor panics, the bytes are kept, and the next run works.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tempfile::TempDir;

use super::{at, cluster, folder, furnish, guest, key, listing, server, token, vmid};
use crate::model::access::certificate::Trust;
use crate::model::access::scope::TokenScope;
use crate::model::hint::HintId;
use crate::model::host::facts::HostFacts;
use crate::model::load::reading::Reading;
use crate::model::load::usage::{Count, Pressure, Sample, Source, Usage};
use crate::model::power::PowerState;
use crate::state::history::actions::Action;
use crate::state::history::samples::Samples;
use crate::state::{Check, Retention, State, StateError};

/// The bytes of a state file and its journal.
struct Original {
    file: Vec<u8>,
    journal: Vec<u8>,
}

impl Original {
    fn new() -> Original {
        let folder = folder();
        let path = folder.path().join("state.db");
        let state = State::open(&path, at(0)).unwrap();
        furnish(&state);
        use_it(&state, 1).unwrap();
        state.lock().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        // The journal has what came after.
        state.mark_asleep(&server("nas"), at(2)).unwrap();
        state.record_state(&key("nas"), PowerState::Asleep, Source::Ssh, at(2)).unwrap();
        drop(state);
        let read = |name| fs::read(folder.path().join(name)).unwrap();
        Original { file: read("state.db"), journal: read("state.db-wal") }
    }
}

/// Reads and writes everything once.
fn use_it(state: &State, second: i64) -> Result<(), StateError> {
    let (home, pve1) = (cluster("host:pve1"), server("pve1"));
    state.read_everything()?;
    let guests = (100..145).map(|number| guest(number, "pve1", PowerState::Stopped)).collect();
    state.record_listing(&home, &listing(&[("pve1", true)], guests), &pve1, at(second))?;
    state.record_state(&key("nas"), PowerState::Online, Source::Tcp, at(second))?;
    let check = Check { server: key("nas"), service: "ssh".into(), ok: true, millis: Some(1.0), detail: None };
    state.record_checks(&[check], at(second))?;
    state.put_facts(&pve1, &HostFacts::default(), at(second))?;
    state.put_trust(&pve1, &Trust::PublicCa, "ssh", at(second))?;
    state.finish_intent(&cluster("ca:2"), &token("root@pam!box", "s"), TokenScope::Full, None, &pve1, at(second))?;
    state.put_ssh_answer("a", "b", "c")?;
    state.machine_suffix(|| "abcdef".into())?;
    let uptime = Some(Count::new(second.unsigned_abs()));
    let sample = Sample {
        source: Source::Api,
        usage: Usage { uptime_seconds: uptime, ..Usage::default() },
        pressure: Pressure::default(),
        watts: None,
    };
    let mut samples = Samples::default();
    for number in 100..140 {
        samples.add_guest(&home, vmid(number), &sample);
    }
    samples.add_server(&pve1, sample);
    // Of an hour that is over, so that something is summed up.
    state.record_samples(&samples, at(second - 7200), Some(&|_| vec![vec![1; 300]]))?;
    state.put_readings(&[(pve1.clone(), Reading::default())], at(second))?;
    state.record_action(&Action {
        at: at(second),
        server: Some(key("nas")),
        action: "stop".into(),
        by: "root".into(),
        outcome: "done".into(),
        seconds: Some(1.5),
        detail: None,
    })?;
    state.tidy(at(second), &Retention::default())?;
    state.hours(&[key("nas"), key("host:pve1/101")], at(-9000), at(second))?;
    state.totals(&home, at(-9000), at(second))?;
    state.first_sample_at(&[key("pve1")])?;
    state.read_everything()
}

struct Case {
    folder: TempDir,
}

impl Case {
    fn new(file: Option<&[u8]>, journal: Option<&[u8]>) -> Case {
        let case = Case { folder: folder() };
        for (suffix, bytes) in [("", file), ("-wal", journal)] {
            if let Some(bytes) = bytes {
                let path = case.folder.path().join(format!("state.db{suffix}"));
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            }
        }
        case
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// The bytes of every file that was set aside.
    fn aside(&self) -> Vec<Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_aside = |path: &PathBuf| path.to_str().unwrap().contains(".damaged-20260101T0");
        entries.filter(is_aside).map(|path| fs::read(path).unwrap()).collect()
    }

    /// Opens and uses the file until all is well, as runs one after the other would. What was set aside is what was
    /// found; a refusal changes nothing. Gives whether the file had to be set aside.
    fn survive(&self, what: &str) -> bool {
        let found = fs::read(self.path()).ok();
        let (mut changed, mut details) = (false, Vec::new());
        for run in 1..=4 {
            let state = match State::open(&self.path(), at(run)) {
                Ok(state) => state,
                Err(StateError::Refused { .. } | StateError::Newer { .. }) => {
                    assert_eq!(fs::read(self.path()).ok(), found, "{what}");
                    return false;
                }
                Err(error) => panic!("{what}: {error:?}"),
            };
            if let Some(notice) = state.notice() {
                assert!(notice.text.contains("state.db.damaged-20260101T"), "{what}: {}", notice.text);
                if let Some(found) = found.as_ref().filter(|found| !found.is_empty() && !changed) {
                    assert!(self.aside().contains(found), "{what}: the bytes were not kept");
                }
            }
            match use_it(&state, run) {
                Ok(()) => return !self.aside().is_empty(),
                // Found only now: the next run looks closer.
                Err(StateError::Damaged { detail, .. }) => {
                    changed = true;
                    details.push(detail);
                }
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
        panic!("{what}: still damaged after four runs: {details:?}");
    }
}

#[test]
fn every_length() {
    let Original { file, journal } = Original::new();
    let lengths = (0..file.len()).filter(|length| *length < 120 || length % 2039 == 0 || length % 4096 < 2);
    for length in lengths {
        for journal in [Some(&journal[..]), None] {
            let what = format!("{length} bytes, journal: {}", journal.is_some());
            let case = Case::new(Some(&file[..length]), journal);
            let aside = case.survive(&what);
            // The journal may have the page that is cut off, and the last page may be empty.
            let whole = if journal.is_some() { file.len() - 8192 } else { file.len() - 4096 };
            // Without SQLite's name, and without a journal, it may be anybody's.
            let nobodys = length < 16 && journal.is_none();
            assert!(aside || length > whole || nobodys, "{what}");
            if nobodys && length > 0 {
                continue;
            }
            let tokens = State::open(&case.path(), at(9)).unwrap().tokens().unwrap();
            assert!(aside || length == 0 || tokens.len() == 2, "{what}");
        }
    }
    for length in (0..journal.len()).filter(|length| *length < 60 || length % 1999 == 0) {
        let case = Case::new(Some(&file), Some(&journal[..length]));
        assert!(!case.survive(&format!("a journal of {length} bytes")));
        assert_eq!(State::open(&case.path(), at(9)).unwrap().tokens().unwrap().len(), 2, "{length}");
    }
    assert!(Case::new(None, Some(&journal)).survive("a journal alone"));
}

#[test]
fn flipped_bits_and_blocks() {
    let Original { file, journal } = Original::new();
    let mut random = StdRng::seed_from_u64(1);
    let (mut aside, cases) = (0, 400);
    for n in 0..cases {
        let (mut file, mut journal) = (file.clone(), journal.clone());
        let part = if n % 8 == 0 { &mut journal } else { &mut file };
        let place = if n % 4 == 1 { random.random_range(0..200) } else { random.random_range(0..part.len()) };
        match n % 5 {
            // Blocks that never reached the disk, or were another file's.
            0 => part.iter_mut().skip(place / 512 * 512).take(512).for_each(|byte| *byte = 0),
            1 => random.fill_bytes(&mut part[place / 4096 * 4096..][..32]),
            _ => part[place] ^= 1 << random.random_range(0..8),
        }
        aside += usize::from(Case::new(Some(&file), Some(&journal)).survive(&format!("case {n}, byte {place}")));
    }
    eprintln!("{aside} of {cases} were set aside");
    assert!(aside > cases / 10);
}

/// An SSH key, say, that `--state` names by a slip: whoever needs it finds it where it was.
#[test]
fn what_never_was_a_state_file_stays() {
    let nuls = vec![0; 8192];
    let mut foreign = b"SQLite format 3\0".to_vec();
    foreign.resize(9000, b'x');
    let contents: [(&str, &[u8], &str); 7] = [
        ("text", b"host = 1\n", "no database"),
        ("a key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n", "no database"),
        ("a long text", &b"line\n".repeat(5000), "no database"),
        ("BOM", b"\xef\xbb\xbfSQLite format 3\0", "no database"),
        ("NULs", &nuls, "no database"),
        ("JSON", b"{\"tokens\": []}", "no database"),
        ("another program's, damaged", &foreign, "a database of another program"),
    ];
    for (what, bytes, says) in contents {
        for suffix in ["", "-wal"] {
            let case = Case::new((suffix.is_empty()).then_some(bytes), (suffix == "-wal").then_some(bytes));
            let names = || {
                let entries = fs::read_dir(case.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
                entries.collect::<Vec<_>>()
            };
            let before = names();
            let error = State::open(&case.path(), at(0)).unwrap_err().to_string();
            let says = if suffix.is_empty() { says } else { "no database" };
            assert!(error.contains(&format!("is {says}, and stays as it is: name another file by")), "{what}: {error}");
            if suffix.is_empty() {
                let error = State::open_read_only(&case.path()).unwrap_err().to_string();
                assert!(error.contains(says) && !error.contains("set it aside"), "{what}: {error}");
            }
            assert_eq!(names(), before, "{what}");
            assert_eq!(fs::read(case.folder.path().join(format!("state.db{suffix}"))).unwrap(), bytes, "{what}");
        }
    }
}

#[test]
fn a_state_file_of_which_only_the_begin_is_left() {
    let bytes = b"SQLite format 3\0";
    let case = Case::new(Some(bytes), None);
    let state = State::open(&case.path(), at(0)).unwrap();
    let notice = state.notice().unwrap();
    let aside = case.folder.path().canonicalize().unwrap().join("state.db.damaged-20260101T000000Z");
    assert!(notice.text.contains(&format!("kept as {}", aside.display())), "{}", notice.text);
    assert!(notice.text.ends_with("no token could be read from it"), "{}", notice.text);
    assert_eq!(notice.hint, HintId::StateDamaged);
    assert_eq!(fs::read(aside).unwrap(), bytes);
    use_it(&state, 1).unwrap();
}

#[test]
fn tokens_and_intents_come_over_where_they_can_be_read() {
    let Original { file, .. } = Original::new();
    let case = Case::new(Some(&file[..file.len() - 4096]), None);
    let state = State::open(&case.path(), at(0)).unwrap();
    let notice = &state.notice().unwrap().text;
    assert!(notice.ends_with("2 tokens could be read from it"), "{notice}");

    // Damage in one table only: everything worth it comes over.
    let case = Case::new(Some(&file), None);
    let state = State::open(&case.path(), at(0)).unwrap();
    let page: i64 = {
        let conn = state.lock();
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'guests'", [], |row| row.get(0)).unwrap()
    };
    drop(state);
    let mut file = file;
    let place = usize::try_from(page - 1).unwrap() * 4096;
    file[place..place + 4096].fill(0xff);
    let case = Case::new(Some(&file), None);
    let state = State::open(&case.path(), at(0)).unwrap();
    let error = state.all_guests().unwrap_err();
    assert!(error.to_string().contains("run the command again to set it aside"), "{error}");
    drop(state);
    let state = State::open(&case.path(), at(1)).unwrap();
    let notice = &state.notice().unwrap().text;
    assert!(notice.ends_with("2 tokens could be read from it"), "{notice}");
    assert_eq!((state.tokens().unwrap().len(), state.all_intents().unwrap().len()), (2, 1));
    assert_eq!(state.machine_suffix(|| panic!()).unwrap(), "abcdef");
    assert_eq!((state.trusts().unwrap().len(), state.actions(at(0), at(9)).unwrap().len()), (1, 1));
}

#[test]
fn who_guests_are_is_known_after_damage() {
    let case = Case::new(None, None);
    let (home, pve1) = (cluster("host:pve1"), server("pve1"));
    let list = |state: &State, numbers: &[u32], second| {
        let guests = numbers.iter().map(|number| guest(*number, "pve1", PowerState::Running)).collect();
        state.record_listing(&home, &listing(&[("pve1", true)], guests), &pve1, at(second)).unwrap();
    };
    let state = State::open(&case.path(), at(0)).unwrap();
    // So that its row has another number than the first one.
    state.put_discovered(&cluster("ca:0"), at(0)).unwrap();
    list(&state, &[101, 102, 103], 0);
    for number in [101, 102, 103] {
        state.put_identity(&home, vmid(number), &format!("uuid:{number}"), at(1)).unwrap();
    }
    let page: i64 = {
        let conn = state.lock();
        conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'guests'", [], |row| row.get(0)).unwrap()
    };
    drop(state);
    let mut file = fs::read(case.path()).unwrap();
    let place = usize::try_from(page - 1).unwrap() * 4096;
    file[place..place + 4096].fill(0xff);
    fs::write(case.path(), file).unwrap();
    let state = State::open(&case.path(), at(2)).unwrap();
    state.all_guests().unwrap_err();
    drop(state);
    let state = State::open(&case.path(), at(3)).unwrap();
    assert!(state.notice().is_some() && state.all_guests().unwrap().is_empty());
    let known = |number: u32| state.identity(&home, vmid(number)).unwrap().map(|(identity, _)| identity);
    assert_eq!(known(101).as_deref(), Some("uuid:101"));
    // The first listing after it: 103 went meanwhile, and who gets its number is new.
    list(&state, &[101, 102], 4);
    list(&state, &[101, 102, 103], 5);
    let found = [101, 102, 103].map(known);
    assert_eq!(found, [Some("uuid:101".to_owned()), Some("uuid:102".to_owned()), None]);
}

#[test]
fn many_at_once_set_aside_once() {
    let bytes = b"SQLite format 3\0 and nothing else";
    let case = Case::new(Some(bytes), None);
    let path = case.path();
    let threads: Vec<_> = (0..16)
        .map(|n| {
            let path = path.clone();
            std::thread::spawn(move || {
                let state = State::open(&path, at(0)).unwrap();
                state.mark_asleep(&server(&format!("nas{n}")), at(n)).unwrap();
                (state.notice().is_some(), state)
            })
        })
        .collect();
    let states: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(states.iter().filter(|(notice, _)| *notice).count(), 1);
    assert_eq!(case.aside(), [bytes]);
    assert_eq!(states[0].1.intended_sleep().unwrap().len(), 16);
}

#[test]
fn a_damaged_file_in_use_is_left_alone() {
    let case = Case::new(None, None);
    let state = State::open(&case.path(), at(0)).unwrap();
    let mut bytes = fs::read(case.path()).unwrap();
    bytes[100..].fill(b'x');
    fs::write(case.path(), bytes).unwrap();
    let error = State::open(&case.path(), at(1)).unwrap_err();
    assert!(matches!(error, StateError::InUse { .. }), "{error:?}");
    drop(state);
    assert!(State::open(&case.path(), at(2)).unwrap().notice().is_some());
}

#[test]
fn a_suspicion_that_proves_wrong_changes_nothing() {
    let Original { file, journal } = Original::new();
    let case = Case::new(Some(&file), Some(&journal));
    let mark = case.folder.path().join("state.db.suspect");
    fs::write(&mark, "").unwrap();
    let state = State::open(&case.path(), at(0)).unwrap();
    assert_eq!((state.notice(), mark.exists(), state.tokens().unwrap().len()), (None, false, 2));
}
