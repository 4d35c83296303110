//! A world of its own for each test: a home, a configuration, a state file, and the binary run in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The secret that all tests' tokens have: it must never be seen.
pub const CANARY: &str = "c0ffee00-dead-4bee-8fee-5ec4e75ec4e7";

/// A home directory, and everything that was printed in it.
pub struct Env {
    home: tempfile::TempDir,
    replaced: Vec<(String, String)>,
}

/// What a run printed, and how it ended. Its display is the transcript.
#[must_use = "look at the transcript, or at the exit status"]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Env {
    pub fn new() -> Env {
        Env { home: tempfile::tempdir().unwrap(), replaced: Vec::new() }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.home().join(".config/ecobox/config.toml")
    }

    pub fn state_path(&self) -> PathBuf {
        self.home().join(".local/state/ecobox/state.db")
    }

    /// Writes the configuration.
    pub fn config(&self, text: &str) {
        let path = self.config_path();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // The developer's own ssh_config and known hosts have no place in a test.
        let text = if text.contains("[ssh]") { text.to_owned() } else { format!("[ssh]\nconfig = false\n\n{text}") };
        std::fs::write(path, text).unwrap();
    }

    /// Shows `text` as `name` in transcripts: for ports and other values that differ from run to run.
    pub fn replace(&mut self, text: impl fmt::Display, name: &str) {
        self.replaced.push((text.to_string(), name.to_owned()));
    }

    /// The command, ready to run in this world.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecobox"));
        command.args(args).env_clear().env("HOME", self.home()).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("LANG", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// Runs `ecobox` with these arguments.
    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[])
    }

    /// The same with environment variables.
    pub fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        self.finish(command.output().unwrap())
    }

    /// Takes what a command printed, and checks that no secret is in it.
    pub fn finish(&self, output: std::process::Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let run =
            Run { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code().unwrap_or(-1) };
        for stream in [&run.stdout, &run.stderr] {
            assert!(!stream.contains(CANARY), "the secret was printed:\n{stream}");
        }
        let redact = |text: &str| {
            let mut text = text.replace(&*self.home().to_string_lossy(), "~");
            for (from, to) in &self.replaced {
                text = text.replace(from, to);
            }
            text
        };
        Run { stdout: redact(&run.stdout), stderr: redact(&run.stderr), code: run.code }
    }
}

impl Run {
    /// The document of `-o json`.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// Fails the test unless the run ended so.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, code, "\n{self}");
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
