//! Sets alarms with the shells of this machine: on folders that look like hosts, and with a stand-in bound over the real
//! `/sys/class`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::fleet::host::facts::run_tests::{Host, shells};
use crate::fleet::host::power::preflight::{self, Wanted};

const NOW: u64 = 1_796_000_000;
/// What the kernel's file does: a time that is over switches the alarm off, one that is set refuses another.
const TEE: &str = "for f; do :; done\nread -r v\necho \"$v\"\nread -r now < \"${f%/*}/since_epoch\"\n\
    [ \"$v\" -gt \"$now\" ] || { : > \"$f\"; exit 0; }\n\
    [ -s \"$f\" ] && { echo \"tee: $f: Device or resource busy\" >&2; exit 1; }\n";

/// A Debian with the clock of an ordinary mainboard.
fn host(kernel: &str) -> Host {
    let host = Host::debian();
    for (file, text) in [("name", "rtc_cmos"), ("hctosys", "1"), ("device/power/wakeup", "enabled")] {
        host.file(&format!("sys/class/rtc/rtc0/{file}"), &format!("{text}\n"));
    }
    host.file("sys/class/rtc/rtc0/since_epoch", &format!("{NOW}\n"));
    host.file("sys/class/rtc/rtc0/wakealarm", "");
    host.program("usr/bin/tee", &format!("{TEE}{kernel}"));
    host
}

const TAKES: &str = "echo \"$v\" > \"$f\"";

fn shown(host: &Host) -> String {
    fs::read_to_string(host.0.path().join("sys/class/rtc/rtc0/wakealarm")).unwrap().trim().to_owned()
}

/// What comes of a script in each shell, on a host that is made anew for it.
fn each(make: impl Fn() -> Host, script: &str, clears: bool) -> (Result<Shown, NoAlarm>, String) {
    let mut all = shells().into_iter().map(|shell| {
        let host = make();
        let said = parse(&host.run(&shell, script), clears);
        let clock = if host.0.path().join("sys/class/rtc").exists() { shown(&host) } else { String::new() };
        ((said, clock), shell)
    });
    let (first, _) = all.next().unwrap();
    for (other, shell) in all {
        assert_eq!(other, first, "{shell:?}");
    }
    first
}

fn with_alarm(kernel: &'static str, alarm: u64) -> impl Fn() -> Host {
    move || {
        let host = host(kernel);
        host.file("sys/class/rtc/rtc0/wakealarm", &format!("{alarm}\n"));
        host
    }
}

#[test]
fn an_alarm_is_set_and_read_back() {
    let at = NOW + 28_800;
    let set = set_script(28_800);
    assert_eq!(each(|| host(TAKES), &set, false), (Ok(Some(at)), at.to_string()));
    // One that is set refuses another, whoever set it.
    assert_eq!(each(with_alarm(TAKES, NOW + 60), &set, false), (Ok(Some(at)), at.to_string()));
    // The clock is what counts, and not what the system's says: local time, or a wrong one.
    let local = || {
        let host = host(TAKES);
        host.file("sys/class/rtc/rtc0/since_epoch", "1200\n");
        host.file("etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n");
        host
    };
    assert_eq!(each(local, &set, false), (Ok(Some(30_000)), "30000".to_owned()));
}

#[test]
fn an_alarm_that_is_not_taken_is_said() {
    let set = set_script(28_800);
    let failed = |detail: &str| Err(NoAlarm::NoWay(NoWay::Failed { detail: detail.to_owned() }));
    let deaf = NoAlarm::NotReadBack { shows: String::new() };
    assert_eq!(each(|| host(":"), &set, false), (Err(deaf), String::new()));
    let other = NoAlarm::NotReadBack { shows: "42".to_owned() };
    assert_eq!(each(|| host("echo 42 > \"$f\""), &set, false).0, Err(other));
    let refused = || host("echo 'tee: wakealarm: Invalid argument' >&2; exit 1");
    assert_eq!(each(refused, &set, false).0, failed("tee: wakealarm: Invalid argument"));
    let mute = || host("exit 1");
    assert_eq!(each(mute, &set, false).0, failed("it was refused"));
    let timeless = || {
        let host = host(TAKES);
        fs::remove_file(host.0.path().join("sys/class/rtc/rtc0/since_epoch")).unwrap();
        host
    };
    assert_eq!(each(timeless, &set, false).0, failed("its clock does not say its time"));
    assert_eq!(each(Host::debian, &set, false).0, Err(NoAlarm::NoClock));
    // The clock of ACPI's Time and Alarm Device has no alarm.
    let tad = || {
        let host = Host::debian();
        host.file("sys/class/rtc/rtc0/name", "acpi-tad\n");
        host.file("sys/class/rtc/rtc0/wakealarm.none", "");
        host.program("usr/bin/tee", TAKES);
        host
    };
    let said: Vec<_> = shells().iter().map(|shell| parse(&tad().run(shell, &set), false)).collect();
    assert!(said.iter().all(|said| *said == Err(NoAlarm::NoClock)), "{said:?}");
}

#[test]
fn only_the_own_alarm_is_taken_away() {
    let at = NOW + 28_800;
    let clear = clear_script(Some(at));
    assert_eq!(each(with_alarm(TAKES, at), &clear, true), (Ok(None), String::new()));
    assert_eq!(each(with_alarm(TAKES, NOW + 60), &clear, true), (Ok(None), (NOW + 60).to_string()));
    assert_eq!(each(|| host(TAKES), &clear, true), (Ok(None), String::new()));
}

/// The same by an ioctl, where the kernel shows no file, and where a login may run nothing else.
#[test]
fn rtcwake_does_where_the_file_is_not_to_be_had() {
    let by_ioctl = |shows: &'static str| {
        move || {
            let host = Host::debian();
            host.program("run/current-system/sw/bin/date", &format!("echo {NOW}"));
            host.file("proc/driver/rtc", "rtc_time\t: 23:00:08\nrtc_date\t: 2026-11-30\nalarm_IRQ\t: no\n");
            let rtc = host.0.path().join("proc/driver/rtc").display().to_string();
            let set = format!("printf 'rtc_time\\t: 23:00:08\\n{shows}' > {rtc}");
            host.program("usr/sbin/rtcwake", &format!("[ \"$*\" = '-m no -t {}' ] || exit 1\n{set}", NOW + 28_800));
            host
        }
    };
    let set = set_script(28_800);
    let good = by_ioctl("alrm_time\\t: 07:00:08\\nalrm_date\\t: ****-**-**\\nalarm_IRQ\\t: yes\\n");
    assert_eq!(each(good, &set, false).0, Ok(None));
    for bad in [
        "alrm_time\\t: 07:00:08\\nalarm_IRQ\\t: no\\n",
        "alrm_time\\t: 08:09:08\\nalarm_IRQ\\t: yes\\n",
        "alarm_IRQ\\t: yes\\n",
    ] {
        let not = NoAlarm::NotReadBack { shows: String::new() };
        assert_eq!(each(by_ioctl(bad), &set, false).0, Err(not), "{bad}");
    }
    let disable = || {
        let host = by_ioctl("")();
        host.program("usr/sbin/rtcwake", "[ \"$*\" = '-m disable' ]");
        host
    };
    assert_eq!(each(disable, &clear_script(None), true).0, Ok(None));
}

#[test]
fn who_may_set_it_is_read_from_sudos_rules() {
    let with = |rule: &'static str| {
        move || {
            let host = host(TAKES);
            host.not_root();
            host.program("run/current-system/sw/bin/id", "echo 1000");
            let root = host.0.path().display().to_string();
            let rule = rule.replace("/usr/", &format!("{root}/usr/")).replace("/sys/", &format!("{root}/sys/"));
            host.file("rules", &format!("\nUser anna may run the following commands on nas:\n    (root) {rule}\n"));
            host.program("usr/sbin/rtcwake", "exit 1");
            host.program(
                "usr/bin/sudo",
                &format!("[ \"$*\" = '-n -l' ] && exec cat {root}/rules\n[ \"$2\" = -- ] && shift 2 && exec \"$@\""),
            );
            host
        }
    };
    let way = |make: &dyn Fn() -> Host| {
        let host = make();
        let script = preflight::script(&Wanted { clocks: true, ..Wanted::default() });
        let root = host.0.path().display().to_string();
        let clocks = preflight::parse(&host.run(&["sh"], &script)).clocks;
        clocks.way.map(|way| way.map_err(|no_way| no_way.hint().unwrap_or_default().replace(&root, "")))
    };
    let free = with("NOPASSWD: /usr/bin/tee /sys/class/rtc/rtc0/wakealarm");
    assert_eq!(way(&free), Some(Ok("wakealarm".to_owned())));
    assert_eq!(each(free, &set_script(600), false).0, Ok(Some(NOW + 600)));
    let rtcwake = with("NOPASSWD: /usr/sbin/rtcwake -m no -t [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]");
    assert_eq!(way(&rtcwake), Some(Ok("rtcwake".to_owned())));
    let line = "NOPASSWD: /usr/bin/tee /sys/class/rtc/rtc0/wakealarm";
    for rule in ["NOPASSWD: /usr/bin/true", "PASSWD: ALL", "NOPASSWD: /usr/bin/tee /sys/class/rtc/rtc1/wakealarm"] {
        let Some(Err(hint)) = way(&with(rule)) else { panic!("{rule}") };
        assert!(hint.ends_with(line), "{hint}");
        for shell in shells() {
            let said = parse(&with(rule)().run(&shell, &set_script(600)), false);
            assert!(matches!(said, Err(NoAlarm::NoWay(NoWay::Rights { sudo: true, .. }))), "{shell:?}: {said:?}");
        }
    }
}

/// Runs a script as it is, with a stand-in bound over the real `/sys/class`; `None`: this machine does not let us.
fn bound(shell: &[&str], class: &Path, more: &str, script: &str) -> Option<String> {
    let mount = format!("mount --bind {} /sys/class && {{ {more}; }} && exec \"$@\"", class.display());
    let mut child = Command::new("unshare")
        .args(["-rm", "sh", "-c", &mount, "sh"])
        .args(shell)
        .arg("-s")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // One that ended already takes nothing.
    let _ = child.stdin.take()?.write_all(format!("{{\n{script}\n}} </dev/null").as_bytes());
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_very_script_sets_a_clock_that_is_bound_over_the_real_one() {
    for shell in shells() {
        let folder = tempfile::tempdir().unwrap();
        let rtc = folder.path().join("rtc/rtc0");
        fs::create_dir_all(rtc.join("device/power")).unwrap();
        let put = |file: &str, text: &str| fs::write(rtc.join(file), text).unwrap();
        // Six hours ahead of UTC.
        let now = NOW + 6 * 3600;
        for (file, text) in [("name", "rtc_cmos\n"), ("hctosys", "1\n"), ("device/power/wakeup", "enabled\n")] {
            put(file, text);
        }
        put("since_epoch", &format!("{now}\n"));
        put("wakealarm", "");
        let Some(said) = bound(&shell, folder.path(), ":", &set_script(28_800)) else {
            eprintln!("SKIPPED: unshare may not bind a folder here");
            return;
        };
        assert_eq!(parse(&said, false), Ok(Some(now + 28_800)), "{shell:?}: {said}");
        assert_eq!(fs::read_to_string(rtc.join("wakealarm")).unwrap().trim(), (now + 28_800).to_string());
        // What is written there is lost.
        let deaf = "mount --bind /dev/null /sys/class/rtc/rtc0/wakealarm";
        let said = bound(&shell, folder.path(), deaf, &set_script(28_800)).unwrap();
        assert_eq!(parse(&said, false), Err(NoAlarm::NotReadBack { shows: String::new() }), "{shell:?}: {said}");
        let read_only = "mount -o remount,bind,ro /sys/class";
        let said = bound(&shell, folder.path(), read_only, &set_script(28_800)).unwrap();
        let Err(NoAlarm::NoWay(NoWay::Failed { detail })) = parse(&said, false) else { panic!("{shell:?}: {said}") };
        assert!(detail.ends_with("Read-only file system"), "{detail}");
        let said = bound(&shell, folder.path(), ":", &clear_script(Some(now + 28_800))).unwrap();
        assert_eq!(parse(&said, true), Ok(None), "{shell:?}: {said}");
    }
}
