//! Ctrl-C and SIGTERM while a person is asked, or while servers are: it ends at once, and says what was sent.

use std::net::TcpListener;
use std::time::Duration;

use ecobox_sim::host::Host;
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};
use rustix::process::{Pid, Signal, kill_process};

use super::env::Env;
use super::fleets::{env_for, homelab, plain};
use super::watch_screen::Screen;
use super::world::{FAST, World, until};

/// The key that is Ctrl-C.
const CTRL_C: &str = "\u{3}";

/// How an end is asked for, the words for it, and the exit status.
const ENDS: [(Signal, &str, i32); 2] = [(Signal::INT, "interrupted", 130), (Signal::TERM, "terminated", 143)];

fn terminal(env: &Env, args: &[&str], kind: &str) -> OsSession {
    let mut session = Session::spawn(env.command_of_terminal(args, kind)).unwrap();
    session.get_process_mut().set_echo(true, None).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    session
}

/// Ctrl-C as it is typed; SIGTERM as others send it.
fn end_by(session: &mut OsSession, signal: Signal) {
    if signal == Signal::INT {
        session.send(CTRL_C).unwrap();
    } else {
        let pid = Pid::from_raw(session.get_process().pid().as_raw()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

/// It ends, without another key, so and with these words; what is typed is shown again.
#[track_caller]
fn ended(mut session: OsSession, word: &str, code: i32) -> String {
    let rest = session.expect(Eof).unwrap();
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    assert!(session.get_process().get_echo().unwrap_or(true), "what is typed is not shown\n{text}");
    let status = session.get_process().wait().unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, is) if is == code), "{status:?}\n{text}");
    assert!(text.contains(word), "{text}");
    text
}

#[test]
fn a_confirmation_ends_at_once_and_nothing_was_sent() {
    let sim = homelab();
    let env = env_for(&sim, &["pve1"]);
    for (args, asked) in [
        (&["power", "shutdown", "vm-101"][..], "shutdown pve1-vm-101? [y/N]"),
        (&["power", "shutdown", "vm-101", "ct-201"], "type 2 to go on:"),
    ] {
        for (signal, word, code) in ENDS {
            for typed in ["", "y"] {
                let mut session = terminal(&env, args, "xterm-256color");
                session.expect(asked).unwrap();
                // What is typed and not ended by Enter is no answer.
                session.send(typed).unwrap();
                end_by(&mut session, signal);
                ended(session, &format!("{word}, nothing was sent"), code);
            }
        }
    }
    assert_eq!(sim.posts(), [""; 0]);
    // The end of the input is a no.
    let mut session = terminal(&env, &["power", "shutdown", "vm-101"], "dumb");
    session.expect("[y/N]").unwrap();
    session.send("\u{4}").unwrap();
    ended(session, "not confirmed", 11);
    // And an answer is one.
    let mut session = terminal(&env, &["power", "shutdown", "vm-101"], "xterm-256color");
    session.expect("[y/N]").unwrap();
    session.send_line("y").unwrap();
    ended(session, "done", 0);
    assert_eq!(sim.posts().len(), 1);
}

#[test]
fn so_do_the_questions_of_init() {
    let world = World::new();
    let one = world.serve(Host::debian("one").build());
    for (signal, word, code) in ENDS {
        let mut session = terminal(&world.env, &["init"], "dumb");
        session.expect("host:").unwrap();
        end_by(&mut session, signal);
        ended(session, &format!("{word}, nothing was sent"), code);
        assert!(!world.env.config_path().exists());
    }
    world.configure(&one.entry());
    for (signal, word, code) in ENDS {
        let mut session = terminal(&world.env, &["init"], "dumb");
        session.expect("trust it from now on? [y/N]").unwrap();
        end_by(&mut session, signal);
        ended(session, &format!("{word}, nothing was sent"), code);
        assert!(!world.known_hosts().exists() && one.ssh.execs() == 0);
    }
    world.know(&one);
    let path = world.env.home().join(".ssh/id_ed25519");
    let key = ecobox_sim::keys::ClientKey::create(&path, Some("correct horse"));
    one.ssh.deauthorize_all();
    one.ssh.authorize(&key.public);
    for command in ["init", "stats"] {
        for (signal, word, code) in ENDS {
            let mut session = terminal(&world.env, &[command], "xterm-256color");
            session.expect("passphrase of").unwrap();
            until(|| !session.get_process().get_echo().unwrap());
            // A key comes after what was typed before it; a signal from elsewhere may overtake that in the terminal.
            if signal == Signal::INT {
                session.send("correct").unwrap();
            }
            end_by(&mut session, signal);
            let text = ended(session, word, code);
            assert!(!text.contains("correct"), "{text}");
        }
    }
    assert_eq!(one.ssh.execs(), 0);
}

#[test]
fn a_look_that_is_interrupted_says_so() {
    for (args, words) in [
        (&["stats", "nas"][..], ""),
        (&["power", "suspend", "nas"], ", nothing was sent"),
        (&["setup-token"], "; no token"),
    ] {
        for (signal, word, code) in ENDS {
            // It takes connections, and never says a word.
            let silent = TcpListener::bind("127.0.0.1:0").unwrap();
            let env = Env::new();
            env.config(&plain("nas", silent.local_addr().unwrap().port()));
            let mut child = env.command(args);
            child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            let child = child.spawn().unwrap();
            let _peer = silent.accept().unwrap();
            kill_process(Pid::from_child(&child), signal).unwrap();
            let run = env.finish(child.wait_with_output().unwrap()).exits(code);
            assert!(run.stderr.contains(&format!("{word}{words}")) && run.stdout.is_empty(), "{run}");
        }
    }
}

/// What runs now is seen with its time, what is over is not, and an interrupt leaves neither.
#[test]
fn what_is_waited_for_is_seen_with_its_time() {
    let world = World::new();
    let (nas, desk) = (world.serve(Host::debian("nas").build()), world.serve(Host::debian("desk").build()));
    world.know(&nas);
    world.know(&desk);
    world.configure(&format!("{FAST}{}{}", nas.wakeable(), desk.wakeable()));
    nas.host.wake_after(usize::MAX);
    let _ = world.run(&["power", "suspend", "nas", "desk", "--yes"]).exits(0);
    let mut screen = Screen::of(&world.env, &["power", "wake", "nas", "desk"], (24, 100));
    // The one that wakes leaves the terminal; the other one goes on.
    screen.line(&["waiting for nas to answer", "s of 5 min"]);
    screen.until("desk is over", |text| !text.contains("desk") && text.contains("1 step to go"));
    screen.line(&["waiting for nas to answer", "s of 5 min"]);
    screen.keys(CTRL_C);
    let text = screen.ends(130);
    assert!(text.contains("magic packets for nas were sent; nothing was cancelled"), "{text}");
    assert!(!text.contains("of 5 min") && !text.contains("to go"), "{text}");
    // In a pipe nothing moves.
    let run = world.run(&["power", "wake", "desk"]).exits(0);
    assert_eq!(run.stderr, "", "{run}");
}
