//! `ecobox watch --html`: a page in a file, which is replaced as the fleet changes.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::env::CANARY;
use super::fleets::three;
use super::watch::fast;
use super::world::until;

#[test]
fn the_page_follows_the_fleet() {
    let sim = three();
    let env = fast(&sim, &["pve1", "pve2", "pve3"]);
    let path = env.home().join("fleet.html");
    let child = env
        .command(&["watch", "--html", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let page = || fs::read_to_string(&path).unwrap_or_default();
    until(|| page().contains("web-03"));
    let first = page();
    assert!(first.to_lowercase().starts_with("<!doctype html>") && first.trim_end().ends_with("</html>"), "{first}");
    assert!(first.contains("stopped") && !first.contains(CANARY), "{first}");
    sim.cluster().remove_guest(103);
    // Never half a page, whenever one looks.
    until(|| {
        let page = page();
        assert!(page.trim_end().ends_with("</html>"), "half a page");
        !page.contains("web-03")
    });
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let run = env.finish(child.wait_with_output().unwrap()).exits(143);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn a_page_that_cannot_be_written_is_said_once() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let run = env.run(&["watch", "--html", "/proc/none/fleet.html", "--count", "8"]).exits(0);
    assert_eq!(run.stderr.matches("/proc/none/fleet.html").count(), 1, "{run}");
}
