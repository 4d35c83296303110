//! What `ecobox power` prints: at 80 columns, and what others wrote.

use std::time::Duration;

use expectrl::{Eof, Expect, Session};

use super::power::{Lab, call, guests, lab_of};
use super::world::assert_transcript;

/// Runs it on a terminal of 80 columns, where this is typed.
fn on_a_terminal(lab: &Lab, args: &[&str], typed: Option<&str>) -> String {
    let mut session = Session::spawn(lab.env.command_of_terminal(args, "dumb")).unwrap();
    session.get_process_mut().set_window_size(80, 24).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    let mut question = String::new();
    if let Some(typed) = typed {
        let asked = session.expect("] ").unwrap();
        question = String::from_utf8_lossy(&[asked.before(), b"] "].concat()).into_owned();
        session.send_line(typed).unwrap();
    }
    let output = session.expect(Eof).unwrap();
    let text = (question + &String::from_utf8_lossy(output.as_bytes())).replace('\r', "");
    // Without what the terminal is told about the progress.
    let shown: Vec<&str> = text.lines().filter(|line| !line.contains('\u{1b}')).collect();
    shown.join("\n")
}

#[test]
fn a_plan_fits_eighty_columns() {
    let mut cluster = guests();
    cluster.rename_guest(106, "a-guest-with-a-rather-long-name.example.org");
    let lab = lab_of(cluster);
    let args = ["power", "start", "vm-101", "vm-102", "vm-103", "vm-107", "ct-202", "--dry-run"];
    let plan = on_a_terminal(&lab, &args, None);
    assert!(plan.lines().all(|line| line.chars().count() <= 80), "{plan}");
    assert_transcript!("power_plan_80", plan);
    let done = on_a_terminal(&lab, &args[..7], None);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r", \d+\.\d s\b", ", TIME");
    let _bound = settings.bind_to_scope();
    assert_transcript!("power_done_80", done.split(" 1. ").nth(1).map(|rest| format!(" 1. {rest}")).unwrap());
}

#[test]
fn the_words_of_others_are_cleaned() {
    let mut cluster = guests();
    cluster.timing.task = 1e4;
    cluster.rename_guest(102, "evil\u{1b}]0;owned\u{7}");
    cluster.after("GET", "/tasks/", |c| c.end_tasks(102, "bad \u{1b}[31mred\u{202e}"));
    let lab = lab_of(cluster);
    let run = lab.power("start vm-102 -o wide").exits(9).says("bad ");
    for text in [&run.stdout, &run.stderr] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn a_person_is_asked() {
    let lab = lab_of(guests());
    let refused = on_a_terminal(&lab, &["power", "stop", "vm-101"], Some("n"));
    assert!(refused.contains("pve1-vm-101 (web), qemu on pve1, running"), "{refused}");
    assert!(refused.contains("stop pve1-vm-101? [y/N]") && refused.contains("not confirmed"), "{refused}");
    assert_eq!(lab.sim.posts(), [""; 0]);
    let done = on_a_terminal(&lab, &["power", "stop", "vm-101"], Some("y"));
    assert!(done.contains("stopped"), "{done}");
    assert_eq!(lab.sim.posts(), [call(101, "stop")]);
}
