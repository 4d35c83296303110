//! `ecobox watch --html`: a page in a file, which is replaced as the fleet changes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::env::CANARY;
use super::fleets::three;
use super::watching::fast;
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
fn the_page_says_what_is_wrong_with_a_cluster() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let path = env.home().join("fleet.html");
    let child = env
        .command(&["watch", "--html", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let page = || fs::read_to_string(&path).unwrap_or_default();
    until(|| page().contains("othing is wrong"));
    sim.cluster().set_quorate(false);
    sim.node("pve3").stop();
    until(|| page().contains("its cluster has no quorum") && page().contains("node pve3 of its cluster is offline"));
    assert!(!page().contains("othing is wrong"), "{}", page());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let _ = env.finish(child.wait_with_output().unwrap()).exits(143);
}

#[test]
fn a_folder_that_does_not_exist_ends_it_at_once() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let run = env.run(&["watch", "--html", "/proc/none/fleet.html"]).exits(1);
    assert_eq!(run.stderr.matches("error: cannot write /proc/none/fleet.html: ").count(), 1, "{run}");
}

#[test]
fn a_page_that_cannot_be_written_any_more_is_said_once() {
    let sim = three();
    let env = fast(&sim, &["pve1"]);
    let (folder, away) = (env.home().join("pages"), env.home().join("away"));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("fleet.html");
    let mut child = env
        .command(&["watch", "--html", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| path.exists());
    let begin = sim.requests().len();
    fs::rename(&folder, &away).unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(first.contains("warning: cannot write ") && first.contains("pages/fleet.html: "), "{first}");
    // As long again, and longer.
    let noticed = sim.requests().len();
    until(|| sim.requests().len() >= noticed + 3 * (noticed - begin));
    // And when its folder is there again, so is the page.
    fs::create_dir(&folder).unwrap();
    until(|| path.exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let run = env.finish(child.wait_with_output().unwrap()).exits(143);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "{run}");
}
