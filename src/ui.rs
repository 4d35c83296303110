//! All of stderr: progress, warnings, errors, hints, questions, the log. Stdout belongs to `render`.
//!
//! Whatever is said here may hold the words of others: an answer of the API, a banner, a guest's name. So each call makes
//! one line, whose begin is ours, of safe characters, and not too long (`shown`).

pub(crate) mod log;
mod progress;
mod question;

use std::io::{IsTerminal, Write};
use std::path::Path;

use futures::future::LocalBoxFuture;
use tokio::sync::Mutex;

pub(crate) use self::progress::Progress;
pub(crate) use self::question::give_back;
use crate::consent::Confirmed;
use crate::error::Failure;
use crate::exit::Exit;
use crate::model::hint::{Carried, HintId};
use crate::model::id::Secret;
use crate::model::text::shown;
use crate::transport::ssh::Ask;

/// Why the process ends at once, from beside the run.
pub(crate) fn last_words(message: &str) {
    line(&format!("error: {message}"));
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorWhen {
    /// Whether a stream is written in colour: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, `TERM=dumb`, then whether
    /// it is a terminal.
    pub(crate) fn decide(self, stream: &impl IsTerminal) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto if set("NO_COLOR") => false,
            ColorWhen::Auto if std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| v != "0" && !v.is_empty()) => true,
            ColorWhen::Auto if std::env::var_os("TERM").is_some_and(|term| term == "dumb") => false,
            ColorWhen::Auto => stream.is_terminal(),
        }
    }
}

/// The way to speak with the person at the terminal, if there is one.
#[derive(Debug)]
pub(crate) struct Ui {
    quiet: bool,
    color: bool,
    /// Both ends of a conversation: questions can be asked.
    interactive: bool,
    /// One question at a time.
    asking: Mutex<()>,
    moving: progress::Lines,
    /// What commands in hints need.
    carried: Carried,
}

impl Ui {
    /// Looks once whether there is a terminal, and whether it shall be in colour.
    pub(crate) fn new(quiet: bool, color: ColorWhen, carried: Carried) -> Ui {
        let stderr = std::io::stderr();
        let interactive = stderr.is_terminal() && std::io::stdin().is_terminal();
        let moving = progress::Lines::new(interactive && !quiet);
        Ui { quiet, color: color.decide(&stderr), interactive, asking: Mutex::default(), moving, carried }
    }

    /// Whether questions can be asked.
    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// How many columns the terminal has.
    #[expect(clippy::unused_self, reason = "stderr is the Ui's")]
    pub(crate) fn columns(&self) -> usize {
        terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0.into())
    }

    /// Silences the log for as long as a screen has the terminal.
    #[expect(clippy::unused_self, reason = "who may write to stderr may also silence it")]
    pub(crate) fn suspend_log(&self) -> log::LogSuspended {
        log::LogSuspended::begin()
    }

    /// What was done or found besides the report. Silent with `-q`.
    pub(crate) fn status(&self, message: &str) {
        if !self.quiet {
            line(&self.carried.to_paste(message));
        }
    }

    /// A text whose commands work where they are pasted: with the files that were named.
    pub(crate) fn to_paste(&self, text: &str) -> String {
        self.carried.to_paste(text).into_owned()
    }

    /// Whether only the report, and what is new of troubles, is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What has ended of that which was said before.
    #[expect(clippy::unused_self, reason = "stderr is the Ui's")]
    pub(crate) fn over(&self, message: &str) {
        line(message);
    }

    /// What the user should know or fix.
    pub(crate) fn warning(&self, message: &str) {
        self.labelled("warning", anstyle::AnsiColor::Yellow, message);
    }

    /// How a run ended that somebody ended.
    #[expect(clippy::unused_self, reason = "stderr is the Ui's")]
    pub(crate) fn ended(&self, message: &str) {
        line(message);
    }

    /// Why the command failed.
    pub(crate) fn error(&self, message: &str) {
        self.labelled("error", anstyle::AnsiColor::Red, message);
    }

    /// Which command to run next.
    pub(crate) fn hint(&self, message: &str) {
        self.labelled("hint", anstyle::AnsiColor::Cyan, message);
    }

    fn labelled(&self, label: &str, color: anstyle::AnsiColor, message: &str) {
        let style =
            if self.color { anstyle::Style::new().fg_color(Some(color.into())).bold() } else { anstyle::Style::new() };
        let _ =
            writeln!(std::io::stderr().lock(), "{style}{label}{style:#}: {}", shown(&self.carried.to_paste(message)));
    }

    /// Lines of a file of the user's own, as `config` draws them: each begins with its number or its gutter.
    #[expect(clippy::unused_self, reason = "stderr is the Ui's")]
    pub(crate) fn excerpt(&self, lines: &str) {
        for part in lines.lines().filter(|part| !part.is_empty()) {
            line(part);
        }
    }

    /// Asks `question`; `yes` answers it beforehand.
    ///
    /// # Errors
    /// `Exit::Refused` when the answer is no, or when there is no terminal to ask on.
    pub(crate) async fn confirm(&self, question: &str, yes: bool) -> Result<Confirmed, Failure> {
        if yes {
            return Ok(Confirmed::by_answer());
        }
        if !self.interactive {
            return Err(Failure::new(Exit::Refused, "not confirmed: there is no terminal to ask on")
                .hint(HintId::NotConfirmed.text()));
        }
        let agreed = self.ask_yes_no("", question).await;
        if agreed { Ok(Confirmed::by_answer()) } else { Err(Failure::new(Exit::Refused, "not confirmed")) }
    }

    /// Like `confirm`, if several servers are meant: their number is to be typed, so that a habitual yes is not enough.
    ///
    /// # Errors
    /// As `confirm`.
    pub(crate) async fn confirm_many(&self, question: &str, number: usize, yes: bool) -> Result<Confirmed, Failure> {
        if yes || !self.interactive {
            return self.confirm(question, yes).await;
        }
        let typed = self.ask_line(&format!("{question} type {number} to go on:")).await;
        let agreed = typed.is_some_and(|typed| typed == number.to_string());
        if agreed { Ok(Confirmed::by_answer()) } else { Err(Failure::new(Exit::Refused, "not confirmed")) }
    }

    /// Asks for a line of text; `None` if there is no terminal to ask on or nothing was typed.
    pub(crate) async fn ask_line(&self, question: &str) -> Option<String> {
        if !self.interactive {
            return None;
        }
        self.ask_about("", question).await
    }

    async fn ask_yes_no(&self, about: &str, question: &str) -> bool {
        let answer = self.ask_about(about, &format!("{question} [y/N]")).await;
        matches!(answer.as_deref(), Some("y" | "Y" | "yes" | "Yes"))
    }

    /// Says a line, asks a question about it, and waits for the answer. Nothing comes in between.
    async fn ask_about(&self, about: &str, question: &str) -> Option<String> {
        let _turn = self.asking.lock().await;
        let _still = self.moving.pause();
        if !about.is_empty() {
            line(about);
        }
        prompt(question);
        let answer = question::line().await.ok()?;
        Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
    }

    /// Lines that move while `message` is being done: only on a terminal, and gone when dropped.
    pub(crate) fn progress(&self, message: &str) -> Progress {
        Progress::new(self.moving.clone(), message)
    }
}

/// What is typed next stands behind it.
fn prompt(question: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{} ", shown(question));
    let _ = stderr.flush();
}

fn line(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(message));
}

impl Ask for Ui {
    fn accept_host_key<'a>(
        &'a self,
        peer: &'a str,
        algorithm: &'a str,
        fingerprint: &'a str,
    ) -> LocalBoxFuture<'a, bool> {
        Box::pin(async move {
            if !self.interactive {
                return false;
            }
            let about = format!("the host key of {peer} is not known yet: {algorithm} {fingerprint}");
            self.ask_yes_no(&about, "trust it from now on?").await
        })
    }

    fn passphrase<'a>(&'a self, key: &'a Path) -> LocalBoxFuture<'a, Option<Secret>> {
        Box::pin(async move {
            if !self.interactive {
                return None;
            }
            let _turn = self.asking.lock().await;
            let _still = self.moving.pause();
            prompt(&format!("passphrase of {}:", key.display()));
            let typed = question::secret().await.ok()?;
            Some(Secret::new(typed.to_string()))
        })
    }
}
