//! Which process of this machine is which: numbers are reused after a while, and start again with each boot.

use rustix::process::{Pid, test_kill_process};

use crate::model::lease::Process;

/// This process. Where the kernel does not tell when it began (no `/proc`), its number has to do.
pub(crate) fn this() -> Process {
    of(std::process::id())
}

/// Whether a process still runs, and is the one that was meant. A zombie does not.
pub(crate) fn runs(process: &Process) -> bool {
    if process.boot.is_empty() {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        return pid.is_some_and(|pid| test_kill_process(pid).is_ok());
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    boot() == process.boot && began(&stat) == Some(process.started)
}

fn of(pid: u32) -> Process {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    match (began(&stat), boot()) {
        (Some(started), boot) if !boot.is_empty() => Process { pid, started, boot },
        _ => Process { pid, started: 0, boot: String::new() },
    }
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When the process of a `/proc/PID/stat` began; `None` for one that has ended. Its name may have any characters in it.
fn began(stat: &str) -> Option<i64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    // Field 22 of proc(5); the state is the third.
    let began = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X" | "x")).then_some(began)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_with_its_number() {
        let this = this();
        assert!(runs(&this) && this.started > 0, "{this:?}");
        assert!(!runs(&Process { started: this.started + 1, ..this.clone() }));
        assert!(!runs(&Process { boot: "another".to_owned(), ..this.clone() }));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let other = of(child.id());
        assert!(runs(&other) && other != this);
        child.kill().unwrap();
        // It is a zombie until it is waited for.
        while runs(&other) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!runs(&other));
    }

    #[test]
    fn without_proc_the_number_has_to_do() {
        let unknown = |pid| Process { pid, started: 0, boot: String::new() };
        assert!(runs(&unknown(std::process::id())));
        assert!(!runs(&unknown(u32::MAX)) && !runs(&unknown(0)));
    }

    #[test]
    fn names_may_have_any_characters() {
        let stat = |name: &str, state: &str| {
            format!(
                "42 ({name}) {state} 1 42 42 0 -1 4194560 300 0 0 0 1 2 0 0 20 0 1 0 98765 7000000 200 18446744073709551615"
            )
        };
        for name in ["sh", "a b", "x) R 1 (y", ") Z 9 9"] {
            assert_eq!(began(&stat(name, "S")), Some(98765), "{name}");
            assert_eq!(began(&stat(name, "Z")), None, "{name}");
        }
        for bad in ["", "42 (sh", "42 (sh) R 1 2"] {
            assert_eq!(began(bad), None, "{bad}");
        }
    }
}
