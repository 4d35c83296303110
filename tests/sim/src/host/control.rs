//! What connects a host's stub programs with the simulator: pveum's command lines, power events, faults on demand.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fs, thread};

use tokio::sync::watch;

use super::PveumFn;
use crate::access::Outcome;

/// Faults that tests ask for. Numbers count pveum commands since the host was built.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub(super) count: u64,
    kill_at: Option<u64>,
    drop_at: Option<u64>,
    fail_at: Vec<(u64, String, i32)>,
    /// Scripts go on when their connection is gone.
    outlive: bool,
    pub(super) slow: Duration,
    pub(super) sleep_delay: Duration,
}

impl Hooks {
    pub(super) fn kill_after(&mut self, n: u64) {
        self.kill_at = Some(self.count + n);
    }

    pub(super) fn drop_after(&mut self, n: u64) {
        self.drop_at = Some(self.count + n);
        self.outlive = true;
    }

    /// Scripts go on when their connection is gone, as under a real sshd.
    pub(super) fn outlive(&mut self) {
        self.outlive = true;
    }

    pub(super) fn fail(&mut self, n: u64, stderr: &str, code: i32) {
        self.fail_at.push((self.count + n, stderr.to_owned(), code));
    }
}

/// The live part of a host: shared by its SSH servers and the thread that answers the stubs.
pub(crate) struct Control {
    fifo: PathBuf,
    pveum: Option<PveumFn>,
    hooks: Mutex<Hooks>,
    events: Mutex<Vec<String>>,
    /// Changes when all connections are to break.
    cut: watch::Sender<u64>,
    asleep: watch::Sender<bool>,
}

impl Control {
    /// Makes the request FIFO and starts the thread that reads it.
    pub(super) fn start(sim: &Path, pveum: Option<PveumFn>) -> Arc<Control> {
        let fifo = sim.join("requests");
        let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
        assert!(made.success(), "mkfifo {}", fifo.display());
        // Opened for writing too, so that the reader never sees the end when a stub closes it.
        let requests = OpenOptions::new().read(true).write(true).open(&fifo).expect("a FIFO of ours");
        let hooks = Hooks { sleep_delay: Duration::from_millis(100), ..Hooks::default() };
        let control = Arc::new(Control {
            fifo,
            pveum,
            hooks: Mutex::new(hooks),
            events: Mutex::default(),
            cut: watch::Sender::new(0),
            asleep: watch::Sender::new(false),
        });
        let reader = Arc::clone(&control);
        thread::Builder::new().name("sim-host".into()).spawn(move || reader.serve(requests)).expect("a thread");
        control
    }

    /// Ends the thread; stubs that come later find no FIFO.
    pub(super) fn stop(&self) {
        let requests = OpenOptions::new().read(true).write(true).open(&self.fifo);
        let _ = fs::remove_file(&self.fifo);
        let _ = requests.and_then(|mut requests| requests.write_all(b"quit\n"));
        self.cut();
    }

    pub(super) fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().expect("no panic under this lock")
    }

    pub(super) fn events(&self) -> Vec<String> {
        self.events.lock().expect("no panic under this lock").clone()
    }

    pub(crate) fn asleep(&self) -> watch::Receiver<bool> {
        self.asleep.subscribe()
    }

    pub(crate) fn outlives_connections(&self) -> bool {
        self.hooks().outlive
    }

    pub(crate) fn on_cut(&self) -> watch::Receiver<u64> {
        self.cut.subscribe()
    }

    pub(super) fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// Notes a power event and lets the machine sleep, or restart.
    pub(super) fn event(&self, what: &str) {
        self.events.lock().expect("no panic under this lock").push(what.to_owned());
        match what {
            "suspend" | "hibernate" | "poweroff" => {
                self.asleep.send_replace(true);
            }
            _ => {}
        }
        if what == "poweroff" || what == "reboot" {
            self.cut();
        }
    }

    /// Wakes the machine; true: it comes up from scratch.
    pub(super) fn wake(&self) -> bool {
        let mut events = self.events.lock().expect("no panic under this lock");
        let fresh = events.last().is_some_and(|last| last != "suspend" && last != "wake");
        events.push("wake".into());
        drop(events);
        if fresh {
            self.cut();
        }
        self.asleep.send_replace(false);
        fresh
    }

    fn serve(self: &Arc<Self>, requests: File) {
        for line in BufReader::new(requests).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            if line == "quit" {
                break;
            }
            if line == "cut" {
                self.cut();
                // A connection must be gone before the one who asked goes on, and answers.
                for _ in 0..100 {
                    if self.cut.receiver_count() == 0 {
                        break;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                let _ = fs::remove_file(self.fifo.with_file_name("cut-after-timer"));
                continue;
            }
            let control = Arc::clone(self);
            let answer = move || match line.strip_prefix("event\u{1f}") {
                Some(what) => {
                    let delay = control.hooks().sleep_delay;
                    thread::sleep(delay);
                    control.event(what);
                }
                None => control.answer(&line),
            };
            thread::Builder::new().name("sim-pveum".into()).spawn(answer).expect("a thread");
        }
    }

    /// `reply path, UTF-8 locale, arguments`, separated by the byte 0x1f; a newline in an argument came as 0x1e.
    fn answer(&self, line: &str) {
        let mut fields = line.split('\u{1f}').map(|field| field.replace('\u{1e}', "\n"));
        let (Some(reply), Some(utf8)) = (fields.next(), fields.next()) else { return };
        let args: Vec<String> = fields.collect();
        let (number, slow, failure) = {
            let mut hooks = self.hooks();
            hooks.count += 1;
            let number = hooks.count;
            let at = hooks.fail_at.iter().position(|(at, ..)| *at == number);
            (number, hooks.slow, at.map(|at| hooks.fail_at.swap_remove(at)))
        };
        thread::sleep(slow);
        let outcome = match (failure, &self.pveum) {
            (Some((_, stderr, code)), _) => Outcome { stdout: String::new(), stderr, code },
            (None, Some(pveum)) => pveum(&args, utf8 == "1"),
            (None, None) => {
                Outcome { stderr: "simulator: no cluster behind pveum\n".into(), code: 255, ..Outcome::default() }
            }
        };
        let reply = PathBuf::from(reply);
        if self.hooks().kill_at.take_if(|at| *at == number).is_some() {
            // The connections first: the client must not see how the script died.
            self.cut();
            for _ in 0..100 {
                if self.cut.receiver_count() == 0 {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
            kill_caller(&reply);
            return;
        }
        if self.hooks().drop_at.take_if(|at| *at == number).is_some() {
            self.cut();
        }
        let _ = send(&reply, &outcome);
    }
}

fn send(reply: &Path, outcome: &Outcome) -> std::io::Result<()> {
    fs::write(format!("{}.out", reply.display()), &outcome.stdout)?;
    fs::write(format!("{}.err", reply.display()), &outcome.stderr)?;
    let mut fifo = OpenOptions::new().read(true).write(true).open(reply)?;
    writeln!(fifo, "{}", outcome.code)
}

/// Kills the process group of the stub whose number is the reply FIFO's extension: the script dies with it.
fn kill_caller(reply: &Path) {
    let group_of = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let rest = stat.rsplit_once(')')?.1.to_owned();
        rest.split_whitespace().nth(2).map(str::to_owned)
    };
    let Some(pid) = reply.extension().and_then(|pid| pid.to_str()) else { return };
    match group_of(pid) {
        Some(group) if Some(&group) != group_of("self").as_ref() => kill_group(&group),
        _ => {}
    }
}

/// Kills every process of a group.
pub(crate) fn kill_group(group: &str) {
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{group}"), group]).output();
}
