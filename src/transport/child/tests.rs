use std::path::Path;

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Command {
    let mut command = command("sh");
    command.args(["-c", script]);
    command
}

fn is_alive(pid: &str) -> bool {
    // What was killed and not yet waited for is a zombie.
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn pid_in(path: &Path) -> String {
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test]
async fn what_is_given_up_ends_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let script =
        format!("(sleep 1000 & echo $! > {}; wait) & sleep 1000 & echo $! > {}; wait", one.display(), other.display());
    for is_group in [true, false] {
        let mut command = sh(&script);
        let command = if is_group { command.process_group(0) } else { &mut command };
        let (child, mut family) = spawn(command).unwrap();
        family.is_group = is_group;
        let pids = [pid_in(&one).await, pid_in(&other).await];
        assert!(pids.iter().all(|pid| is_alive(pid)));
        drop(family);
        drop(child);
        while pids.iter().any(|pid| is_alive(pid)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = (std::fs::remove_file(&one), std::fs::remove_file(&other));
    }
    // A command that does not end in time, and one that says too much.
    let script = format!("sleep 1000 & echo $! > {}; sleep 1000", one.display());
    let late = output(&mut sh(&script), Duration::from_millis(300), 10).await;
    assert!(matches!(late, Err(Unfinished::Late)));
    let pid = pid_in(&one).await;
    while is_alive(&pid) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(output(&mut sh("yes"), SOON, 1 << 20).await, Err(Unfinished::TooMuch)));
    let output = output(&mut sh("echo $((1 + 1)); cat; exit 3"), SOON, 10).await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"2\n"[..], Some(3)));
}
