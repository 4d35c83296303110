//! The screen on a terminal of its own: this test binary runs itself there, as the program.

use std::process::Command;
use std::time::Duration;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _, Session};
use futures::StreamExt as _;

use super::*;

/// Says to the child that it is one, and how it ends.
const HOW: &str = "ECOBOX_TEST_SCREEN";

/// What a terminal is told when the screen gives it back: paste as ever, cursor shown, the usual screen.
const GIVEN_BACK: &str = "\u{1b}[?2004l\u{1b}[?25h\u{1b}[?1049l";

/// Not a test: the program that the tests below look at.
#[test]
#[ignore = "the tests of a real terminal run it"]
fn the_program() {
    let Ok(how) = std::env::var(HOW) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = State::new(SETUP, at(0));
    let first = futures::stream::iter([Event::Tick(at(3)), Event::Fleet(Box::new(fleet()))]);
    let rest: futures::stream::BoxStream<'static, Event> = match how.as_str() {
        "over" => futures::stream::empty().boxed(),
        _ => futures::stream::pending().boxed(),
    };
    let effects = |effect: Effect| match effect {
        Effect::Refresh if how == "panic" => panic!("as wanted"),
        _ => {}
    };
    let work = super::super::run(state, first.chain(rest), effects);
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        tokio::select! {
            result = work => result.unwrap(),
            _ = terminate.recv() => {}
        }
    });
    runtime.shutdown_background();
}

fn start(how: &str) -> OsSession {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tui::tests::real::the_program", "--ignored", "--nocapture"]);
    command.env(HOW, how).env("TERM", "xterm-256color");
    let mut session = Session::spawn(command).unwrap();
    session.get_process_mut().set_window_size(100, 30).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    session
}

/// The rest of what it says, after the terminal was given back.
fn end(mut session: OsSession) -> (String, WaitStatus) {
    session.expect(GIVEN_BACK).unwrap();
    let rest = session.expect(Eof).unwrap();
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    (text, session.get_process().wait().unwrap())
}

fn send_signal(session: &OsSession, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(session.get_process().pid().as_raw()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn it_is_drawn_and_keys_work() {
    let mut session = start("keys");
    session.expect("\u{1b}[?1049h").unwrap();
    session.expect("should be on").unwrap();
    // ^L: all is drawn anew. Blanks in plain text are not written, so that only words come in one piece.
    session.send("?\u{c}").unwrap();
    session.expect("cleanly").unwrap();
    // A paste that looks like a key.
    session.send("\u{1b}[200~q\u{1b}[201~").unwrap();
    session.send("x/kind=host\r\u{c}").unwrap();
    session.expect("3 shown").unwrap();
    // A click on the third row, the wheel, and a screen that is small.
    session.send("\u{1b}[<0;8;6M\u{1b}[<0;8;6m\u{1b}[<65;8;6M").unwrap();
    session.get_process_mut().set_window_size(40, 12).unwrap();
    session.expect("3 shown").unwrap();
    session.send("q").unwrap();
    let (text, status) = end(session);
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?} {text}");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let (_, status) = end(start("over"));
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let mut session = start("signal");
        session.expect("should be on").unwrap();
        send_signal(&session, signal);
        let (_, status) = end(session);
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{signal:?} {status:?}");
    }
    let mut session = start("panic");
    session.expect("should be on").unwrap();
    session.send("\u{12}").unwrap();
    // Whoever looks sees why.
    let (text, status) = end(session);
    assert!(text.contains("as wanted"), "{text}");
    assert!(matches!(status, WaitStatus::Exited(_, 101)), "{status:?}");
}

#[test]
fn the_shell_gets_it_and_gives_it_back() {
    let mut session = start("stop");
    session.expect("should be on").unwrap();
    session.send("\u{1a}").unwrap();
    session.expect(GIVEN_BACK).unwrap();
    send_signal(&session, rustix::process::Signal::CONT);
    session.expect("\u{1b}[?1049h").unwrap();
    session.expect("should be on").unwrap();
    session.send("q").unwrap();
    let (text, status) = end(session);
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?} {text}");
}
