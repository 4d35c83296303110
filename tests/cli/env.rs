//! A world of its own for each test: a home, a configuration, a state file, and the binary run in it.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// The secret that all tests' tokens have: it must never be seen.
pub(crate) const CANARY: &str = "c0ffee00-dead-4bee-8fee-5ec4e75ec4e7";

/// The table that may hold it.
const SECRET_TABLE: &str = "tokens";

/// More than any command may take, on a machine that others use, too.
const PATIENCE: Duration = Duration::from_secs(300);

/// Says that a test could not run, past the test harness, which shows nothing of a test that passes.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A home directory, and everything that was printed in it.
pub(crate) struct Env {
    home: tempfile::TempDir,
    replaced: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

/// What a run printed, and how it ended. Its display is the transcript.
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Env {
    pub(crate) fn new() -> Env {
        Env { home: tempfile::tempdir().unwrap(), replaced: Vec::new(), variables: Vec::new() }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.home().join(".config/ecobox/config.toml")
    }

    pub(crate) fn state_path(&self) -> PathBuf {
        self.home().join(".local/state/ecobox/state.db")
    }

    /// Writes the configuration.
    pub(crate) fn config(&self, text: &str) {
        let path = self.config_path();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The developer's own ssh_config and known hosts have no place in a test.
        let text = if text.contains("[ssh]") { text.to_owned() } else { format!("[ssh]\nconfig = false\n\n{text}") };
        std::fs::write(path, text).unwrap();
    }

    /// Adds to the configuration.
    pub(crate) fn add_config(&self, text: &str) {
        let old = std::fs::read_to_string(self.config_path()).unwrap_or_default();
        self.config(&format!("{old}\n{text}"));
    }

    /// Shows `text` as `name` in transcripts: for ports and other values that differ from run to run.
    pub(crate) fn replace(&mut self, text: impl fmt::Display, name: &str) {
        self.replaced.push((text.to_string(), name.to_owned()));
    }

    /// An environment variable of all runs.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// As if it were a quarter past noon here: a time of day of an example (`--until 07:00`) is never too close, whenever
    /// the tests run.
    pub(crate) fn at_noon(mut self) -> Env {
        let minutes = 12 * 60 + 15 - jiff::Timestamp::now().as_second().div_euclid(60).rem_euclid(24 * 60);
        // POSIX counts from here to Greenwich.
        let sign = if minutes < 0 { '+' } else { '-' };
        self.set("TZ", format!("<here>{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60));
        self
    }

    /// Takes an environment variable away again.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// The command, ready to run in this world.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecobox"));
        command.args(args).env_clear().env("HOME", self.home()).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("LANG", "C.UTF-8").stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The same for a terminal to run: that gives it its own three streams.
    pub(crate) fn command_of_terminal(&self, args: &[&str], terminal: &str) -> Command {
        let template = self.command(args);
        let mut command = Command::new(template.get_program());
        command.args(template.get_args()).env_clear().env("TERM", terminal);
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Runs `ecobox` with these arguments.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }

    /// The same with environment variables.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        self.finish(ended(&mut command))
    }

    /// Runs a line in a shell, as it is pasted: `ecobox` there is the one under test.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn paste(&self, line: &str) -> Run {
        let template = self.command(&[]);
        let folder = Path::new(env!("CARGO_BIN_EXE_ecobox")).parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.home()).env_clear().stdin(Stdio::null());
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
        self.finish(ended(&mut command))
    }

    /// The same as on a full disk: SQLite's log, made long before, has room for so many pages, and no file may be longer.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn run_on_full_disk(&self, pages: u64, args: &[&str]) -> Run {
        let blocks = (self.log_len() + pages * 4120).div_ceil(512);
        self.limited(&format!("trap '' XFSZ; ulimit -f {blocks}"), args)
    }

    /// The same under limits that a shell sets.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn limited(&self, limits: &str, args: &[&str]) -> Run {
        let ecobox = env!("CARGO_BIN_EXE_ecobox");
        let script = format!("{limits}; exec {ecobox} \"$@\"");
        let mut command = self.command(&[]);
        let inner: Vec<(OsString, OsString)> =
            command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        command = Command::new("sh");
        command.args(["-c", &script, "sh"]).args(args).env_clear().envs(inner).stdin(Stdio::null());
        self.finish(command.output().unwrap())
    }

    /// Makes SQLite's log longer than every other file. As long as the reader that it gives is there, it does not begin anew.
    #[must_use = "without the reader the log begins anew"]
    pub(crate) fn lengthen_log(&self) -> Connection {
        let (reader, writer) = (self.state(), self.state());
        reader.execute_batch("BEGIN; SELECT count(*) FROM tokens").unwrap();
        let version: i64 = writer.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        while self.log_len() < 1 << 18 {
            writer.execute_batch(&format!("PRAGMA user_version = {version}")).unwrap();
        }
        reader
    }

    fn log_len(&self) -> u64 {
        std::fs::metadata(self.state_path().with_extension("db-wal")).unwrap().len()
    }

    /// Takes what a command printed, and checks that no secret is in it.
    #[must_use = "look at the transcript, or at the exit status"]
    pub(crate) fn finish(&self, output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let code = output.status.code().unwrap_or(-1);
        let run = Run { stdout: text(output.stdout), stderr: text(output.stderr), code };
        for stream in [&run.stdout, &run.stderr] {
            assert!(!stream.contains(CANARY), "the secret was printed:\n{stream}");
            assert!(!stream.contains("panicked"), "a panic:\n{stream}");
        }
        crate::cli::schemas::fits(&run.stdout);
        let redact = |text: &str| {
            let mut text = same_time(&text.replace(&*self.home().to_string_lossy(), "~"));
            for (from, to) in &self.replaced {
                text = swapped(&text, from, to);
            }
            text
        };
        Run { stdout: redact(&run.stdout), stderr: redact(&run.stderr), code: run.code }
    }

    /// The state file, to look at and to change as no command can yet.
    pub(crate) fn state(&self) -> Connection {
        Connection::open_with_flags(self.state_path(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
    }

    /// The rows of a query on the state file, columns joined by `|`, NULL as `-`.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        rows(&self.state(), sql)
    }

    /// Changes the state file.
    pub(crate) fn execute(&self, sql: &str) {
        self.state().execute_batch(sql).unwrap();
    }
}

/// Whatever a test did, the secret is in no table but its own.
impl Drop for Env {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let Ok(state) = Connection::open_with_flags(self.state_path(), OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return;
        };
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let Ok(mut statement) = state.prepare(tables) else { return };
        let Ok(names) = statement.query_map([], |row| row.get::<_, String>(0)) else { return };
        for name in names.filter_map(Result::ok).filter(|name| name != SECRET_TABLE) {
            let found = rows(&state, &format!("SELECT * FROM {name}")).into_iter().find(|row| row.contains(CANARY));
            assert!(found.is_none(), "the secret is in the table {name}: {found:?}");
        }
    }
}

/// What a command prints until it ends; one that does not end fails the test.
pub(crate) fn ended(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = receiver.recv_timeout(PATIENCE) {
        return output.unwrap();
    }
    // It may yet say what it was waiting for.
    let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    let said = receiver.recv_timeout(Duration::from_secs(5)).ok().and_then(Result::ok);
    let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    let said = said.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    panic!("it did not end: {command:?}\n{}", said.unwrap_or_default())
}

fn rows(state: &Connection, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let mut statement = state.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => "-".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let rows = statement.query_map([], |row| {
        let cells: Result<Vec<String>, _> = (0..columns).map(|i| row.get_ref(i).map(text)).collect();
        Ok(cells?.join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The text with every time of this century as one and the same, of the same width.
fn same_time(text: &str) -> String {
    const SHAPE: &str = "2000-00-00T00:00:00Z";
    let bytes = text.as_bytes();
    let fits = |at: usize| {
        let shape = SHAPE.bytes().zip(&bytes[at..]);
        bytes.len() - at >= SHAPE.len()
            && bytes[at..].starts_with(b"20")
            && shape
                .clone()
                .all(|(want, have)| if want.is_ascii_digit() { have.is_ascii_digit() } else { want == *have })
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    while rest < text.len() {
        if fits(rest) {
            out.push_str("2026-01-02T03:04:05Z");
            rest += SHAPE.len();
        } else if let Some(c) = text[rest..].chars().next() {
            out.push(c);
            rest += c.len_utf8();
        }
    }
    out
}

impl Run {
    /// The document of `-o json`.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// One server of the report.
    #[track_caller]
    pub(crate) fn server(&self, id: &str) -> serde_json::Value {
        let report = self.json();
        let servers = report.get("servers").or(report.get("guests")).and_then(|list| list.as_array()).expect("a list");
        servers.iter().find(|server| server["id"] == id).unwrap_or_else(|| panic!("no {id}\n{self}")).clone()
    }

    /// `id state` of each server, in the report's order.
    pub(crate) fn states(&self) -> Vec<String> {
        let report = self.json();
        let servers = report["servers"].as_array().expect("a list of servers").clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        servers.iter().map(|server| format!("{} {}", text(&server["id"]), text(&server["state"]))).collect()
    }

    /// `server kind` of each failure.
    pub(crate) fn failures(&self) -> Vec<String> {
        let report = self.json();
        let failures = report["failures"].as_array().expect("a list of failures").clone();
        failures.iter().map(|f| format!("{} {}", f["server"].as_str().unwrap(), f["kind"].as_str().unwrap())).collect()
    }

    /// Fails the test unless the run ended so.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, code, "\n{self}");
        self
    }

    /// Fails the test unless stderr has this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Run {
        assert!(self.stderr.contains(text), "no `{text}` in\n{self}");
        self
    }

    /// Fails the test unless stdout has this text.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Run {
        assert!(self.stdout.contains(text), "no `{text}` in\n{self}");
        self
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stdout)?;
        if !self.stderr.is_empty() {
            write!(f, "------- stderr -------\n{}", self.stderr)?;
        }
        if self.code != 0 {
            write!(f, "[exit status: {}]", self.code)?;
        }
        Ok(())
    }
}

/// `to` in place of `from`; where `from` is a number, not inside of another number.
fn swapped(text: &str, from: &str, to: &str) -> String {
    let is_number = from.bytes().all(|byte| byte.is_ascii_digit());
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in text.match_indices(from) {
        let touches_digit = text[..at].ends_with(|c: char| c.is_ascii_digit())
            || text[at + from.len()..].starts_with(|c: char| c.is_ascii_digit());
        if !(is_number && touches_digit) {
            out.push_str(&text[done..at]);
            out.push_str(to);
            done = at + from.len();
        }
    }
    out + &text[done..]
}
