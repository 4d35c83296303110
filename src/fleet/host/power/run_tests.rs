//! Runs the look before a call with the shells of this machine, on folders that look like hosts.

use super::preflight::{IdleQuestions, Wanted, parse, script};
use crate::fleet::host::facts::run_tests::{Host, shells};
use crate::model::host::power::{HostCall, HostPreflight, NoWay, SwapLack};

/// All that can be asked.
fn wanted() -> Wanted {
    let command = Some(["sh", "-c", "echo it\\'s busy; echo more"].map(str::to_owned).to_vec());
    Wanted {
        past_locks: false,
        clocks: true,
        due: false,
        ports: Some([22, 445, 8192].into()),
        idle: Some(IdleQuestions { command }),
    }
}

/// What the script finds on a host, the same from every shell.
fn of(host: &Host) -> HostPreflight {
    let run = |shell: Vec<&'static str>| {
        let mut found = parse(&host.run(&shell, &script(&wanted())));
        // Between two shells a second may have passed.
        if let Some(activity) = &mut found.activity {
            activity.clock = None;
        }
        (found, shell)
    };
    let mut all = shells().into_iter().map(run);
    let (mut first, _) = all.next().unwrap();
    for (other, shell) in all {
        assert_eq!(other, first, "{shell:?}");
    }
    // Whoever runs the tests over SSH.
    first.ssh_client = None;
    first
}

fn ways(found: &HostPreflight) -> Vec<Result<String, NoWay>> {
    HostCall::ALL.iter().map(|call| found.way(*call).cloned().unwrap()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "what ways are compared with")]
fn by(name: &str) -> Result<String, NoWay> {
    Ok(name.to_owned())
}

fn no_swap() -> Result<String, NoWay> {
    Err(NoWay::NoSwap { why: SwapLack::None })
}

#[test]
fn a_host_with_systemd() {
    let host = Host::debian();
    host.file("run/systemd/system/x", "");
    host.file("sys/power/state", "freeze mem disk\n");
    host.file("proc/swaps", "Filename\tType\n/dev/dm-1\tpartition\n");
    host.program("usr/bin/systemctl", "exit 1");
    assert_eq!(ways(&of(&host)), [by("systemctl"), by("systemctl"), by("systemctl"), by("systemctl")]);
    host.program("usr/bin/systemd-run", "exit 1");
    let found = of(&host);
    assert_eq!(ways(&found), [by("systemd-run"), by("systemd-run"), by("systemd-run"), by("systemd-run")]);
    assert_eq!((found.users, found.inhibitors, found.tasks), (None, None, None));
    assert_eq!(found.facts.nics.len(), 1);

    host.file("proc/swaps", "Filename\tType\n");
    host.file("etc/systemd/sleep.conf", "[Sleep]\n#AllowSuspend=yes\nAllowSuspend=no\n");
    let disallowed = NoWay::Disallowed { key: "AllowSuspend".to_owned() };
    assert_eq!(ways(&of(&host))[..2], [Err(disallowed), no_swap()]);
    host.file("etc/systemd/sleep.conf.d/10-x.conf", "[Sleep]\nAllowSuspend=yes\n");
    assert_eq!(ways(&of(&host))[0], by("systemd-run"));
    host.link("run/systemd/system/suspend.target", "/dev/null");
    host.link("etc/systemd/system/reboot.target", "/dev/null");
    let masked = |unit: &str| Err(NoWay::Masked { unit: unit.to_owned() });
    assert_eq!(ways(&of(&host)), [masked("suspend.target"), no_swap(), by("systemd-run"), masked("reboot.target")]);
    let other = Host::debian();
    other.file("run/systemd/system/x", "");
    other.file("sys/power/state", "freeze\n");
    assert_eq!(ways(&of(&other))[0], Err(NoWay::Unsupported { state: "mem".to_owned() }));
}

/// logind decides where it answers; else all folders' drop-ins count, by their names.
#[test]
fn systemd_is_asked_or_its_files_are_read_as_it_does() {
    let host = Host::debian();
    host.file("run/systemd/system/x", "");
    host.file("sys/power/state", "freeze mem disk\n");
    host.file("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0\tpartition\t8388604\t0\t100\n");
    host.program("usr/bin/systemctl", "exit 1");
    let suspend = || ways(&of(&host))[0].clone();
    let hibernate = || ways(&of(&host))[1].clone();
    let lacks = |why| Err(NoWay::NoSwap { why });
    assert_eq!((suspend(), hibernate()), (by("systemctl"), lacks(SwapLack::Zram)));
    host.file("proc/meminfo", "Active(anon):  100 kB\n");
    host.file("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2\tpartition\t101\t0\t100\n");
    assert_eq!(hibernate(), lacks(SwapLack::Small));
    let no = || Err(NoWay::Disallowed { key: "AllowSuspend".to_owned() });
    for (path, text, want) in [
        ("etc/systemd/sleep.conf.d/40-y.conf", "[Sleep]\nAllowSuspend=yes\n", by("systemctl")),
        ("usr/lib/systemd/sleep.conf.d/50-x.conf", " [Sleep] \n  AllowSuspend = No \n", no()),
        ("etc/systemd/sleep.conf.d/50-x.conf", "", by("systemctl")),
        ("etc/systemd/sleep.conf.d/50-x.conf", "AllowSuspend=no\n[Other]\nAllowSuspend=no\n", by("systemctl")),
        ("etc/systemd/sleep.conf.d/50-x.conf", "[Sleep]\nAllowSuspend=\"no\"\nAllowSuspend=no # c\n", by("systemctl")),
        ("etc/systemd/sleep.conf.d/50-x.conf", "[Sleep]\nAllowSuspend=\\\n OFF\n", no()),
        ("etc/systemd/sleep.conf.d/50-x.conf", "[Sleep]\nAllowSuspend=no\nAllowSuspend=\n", by("systemctl")),
    ] {
        host.file(path, text);
        assert_eq!(suspend(), want, "{path}: {text}");
    }
    host.file("proc/mounts", "sysfs /sys sysfs ro,nosuid 0 0\n");
    assert_eq!(suspend(), Err(NoWay::ReadOnly));
    host.file("proc/mounts", "sysfs /sys sysfs rw,nosuid 0 0\n");
    for (answer, want) in [
        ("yes", by("systemctl")),
        ("na", Err(NoWay::Logind { answer: "na".to_owned() })),
        ("no", Err(NoWay::Logind { answer: "no".to_owned() })),
        ("inhibitor-blocked", by("systemctl")),
        ("perhaps", Err(NoWay::Logind { answer: "perhaps".to_owned() })),
    ] {
        host.program(
            "usr/bin/busctl",
            &format!("case \"$*\" in *CanSuspend) echo 's \"{answer}\"' ;; *) exit 1 ;; esac"),
        );
        assert_eq!(suspend(), want, "{answer}");
    }
    // logind does not see this one.
    host.program("usr/bin/busctl", "echo 's \"yes\"'");
    host.file("etc/systemd/system/sleep.target", "");
    assert_eq!(suspend(), Err(NoWay::Masked { unit: "sleep.target".to_owned() }));
}

/// NixOS has its programs nowhere else.
#[test]
fn programs_are_found_on_the_path() {
    let host = Host::debian();
    host.file("run/systemd/system/x", "");
    host.program("run/current-system/sw/bin/systemctl", "exit 1");
    assert_eq!(ways(&of(&host))[2], by("systemctl"));
}

#[test]
fn rights() {
    let host = Host::debian();
    host.not_root();
    host.file("run/systemd/system/x", "");
    host.program("usr/bin/systemctl", "exit 1");
    host.program("usr/bin/systemd-run", "exit 1");
    let shutdown = |found: &HostPreflight| ways(found)[2].clone();
    let command = |found: &HostPreflight| match shutdown(found) {
        Err(NoWay::Rights { command, sudo, .. }) => (command.rsplit_once('/').unwrap().1.to_owned(), sudo),
        other => panic!("{other:?}"),
    };
    assert_eq!(command(&of(&host)), ("systemctl poweroff".to_owned(), false));
    host.program("usr/bin/sudo", "exit 1");
    assert_eq!(command(&of(&host)), ("systemctl poweroff".to_owned(), true));
    // Only this is allowed.
    let run = "/usr/bin/systemd-run --on-active\\=2 --timer-property\\=AccuracySec\\=100ms";
    let list = |rules: &str| {
        let rules = rules.replace("/usr/", &format!("{}/usr/", host.0.path().display()));
        host.file("rules", &format!("\nUser anna may run the following commands on nas:\n{rules}\n"));
        host.program("usr/bin/sudo", &format!("[ \"$*\" = '-n -l' ] && cat {}/rules", host.0.path().display()));
    };
    list(&format!("    (root) NOPASSWD: {run} /usr/bin/systemctl poweroff"));
    let found = of(&host);
    assert_eq!(shutdown(&found), by("systemd-run"));
    assert!(matches!(ways(&found)[3], Err(NoWay::Rights { .. })));
    // No list, as of something else that is called sudo: whoever may run anything may run this.
    host.program("usr/bin/sudo", "[ \"$*\" = '-n -- true' ]");
    assert_eq!(shutdown(&of(&host)), by("systemd-run"));
}

/// Lists of Debian 12's sudo, which breaks long lines, and of others. The last rule that matches counts.
#[test]
fn what_sudo_asks_for_a_password_is_no_way() {
    let host = Host::debian();
    host.not_root();
    host.file("run/systemd/system/x", "");
    host.program("usr/bin/systemctl", "exit 1");
    host.program("usr/bin/systemd-run", "exit 1");
    let head = "Matching Defaults entries for anna on nas:\n    env_reset, mail_badpass,\n    \
        secure_path=/usr/local/sbin\\:/usr/local/bin, use_pty";
    let free = "/usr/bin/systemd-run --on-active\\=2\n        --timer-property\\=AccuracySec\\=100ms \
        /usr/bin/systemctl poweroff";
    let cases = [
        ("    (ALL : ALL) ALL\n    (root) NOPASSWD: /usr/bin/true", "", false),
        ("    (root) NOPASSWD: /usr/bin/true\n    (ALL : ALL) ALL", "", false),
        ("    (ALL : ALL) NOPASSWD: ALL", "", true),
        ("    (ALL : ALL) NOPASSWD: ALL\n    (ALL : ALL) ALL", "", false),
        ("    (ALL) NOPASSWD: ALL, PASSWD: /usr/bin/systemd-run", "", false),
        ("    (ALL) NOPASSWD: ALL, !/usr/bin/systemd-run", "", false),
        ("    (ALL) NOPASSWD: ALL, PASSWD: /usr/*/systemd-*", "", false),
        ("    (ALL) NOPASSWD: ALL, !/usr/bin/passwd, PASSWD: /usr/bin/vi", "", true),
        (&format!("    (ALL : ALL) ALL\n    (root) NOPASSWD: {free}"), "", true),
        (&format!("    (root) NOPASSWD: {free}\n    (ALL : ALL) ALL"), "", false),
        (&format!("    (root) SETENV: NOPASSWD: /usr/bin/true, {free}"), "", true),
        ("    (root) NOPASSWD: /usr/bin/systemd-run", "", true),
        ("    (root) NOPASSWD: /usr/bin/", "", true),
        ("    (root) NOPASSWD: /usr/*", "", false),
        ("    (root) NOPASSWD: /usr/bin/systemd-*", "", true),
        ("    (root) NOPASSWD: /usr/bin/systemd-run * /usr/bin/systemctl *", "", true),
        ("    (root) NOPASSWD: /usr/bin/systemd-run \"\"", "", false),
        ("    (root) NOPASSWD: sha256:abc= /usr/bin/systemd-run", "", true),
        ("    (www-data) NOPASSWD: ALL", "", false),
        ("    (ALL, !root) NOPASSWD: ALL", "", false),
        ("    (www-data, root) NOPASSWD: ALL", "", true),
        ("    (ALL) ALL", ", !authenticate", true),
        ("    (ALL) PASSWD: ALL", ", !authenticate", false),
        (
            "    (ALL) ALL",
            "\n\nRunas and Command-specific defaults for anna:\n    Defaults!/usr/bin/x !authenticate",
            false,
        ),
    ];
    for (rules, defaults, want) in cases {
        let root = host.0.path().display();
        let rules = rules.replace("/usr/", &format!("{root}/usr/"));
        let text = format!("{head}{defaults}\n\nUser anna may run the following commands on nas:\n{rules}\n");
        host.file("rules", &text);
        // It runs `true`, and lists what it would ask a password for.
        host.program(
            "usr/bin/sudo",
            &format!("case \"$*\" in '-n -l') cat {root}/rules;; '-n -- true') ;; *) exit 1;; esac"),
        );
        assert_eq!(ways(&of(&host))[2].is_ok(), want, "{rules}{defaults}");
    }
}

#[test]
fn a_host_without_systemd() {
    let host = Host::debian();
    host.file("sys/power/state", "mem disk\n");
    host.file("etc/systemd/sleep.conf", "AllowSuspend=no\n");
    let none = Err(NoWay::NoMeans);
    assert_eq!(ways(&of(&host)), [none.clone(), none.clone(), none.clone(), none.clone()]);
    host.program("usr/bin/tee", "exit 1");
    host.program("sbin/poweroff", "exit 1");
    host.program("sbin/reboot", "exit 1");
    assert_eq!(ways(&of(&host)), [by("sys-power-state"), by("sys-power-state"), by("poweroff"), by("reboot")]);
    host.program("usr/sbin/pm-suspend", "exit 1");
    assert_eq!(ways(&of(&host))[0], by("pm-suspend"));
    host.program("usr/sbin/zzz", "exit 1");
    assert_eq!(ways(&of(&host))[0], by("zzz"));
    host.program("usr/bin/loginctl", "exit 1");
    host.file("run/elogind.pid", "1\n");
    assert_eq!(ways(&of(&host))[..2], [by("loginctl"), by("loginctl")]);
    // Nobody can hold a lock where there is no logind.
    assert_eq!(of(&Host::debian()).inhibitors, Some(Vec::new()));
    assert_eq!(of(&host).inhibitors, None);
}

#[test]
fn people_locks_guests_and_tasks() {
    let host = Host::debian();
    host.file("run/systemd/system/x", "");
    host.file("proc/self/cgroup", "0::/user.slice/user-0.slice/session-5.scope\n");
    host.program(
        "usr/bin/loginctl",
        "case $1 in list-sessions) printf '      5    0 root -    \\n      9 1000 anna -    pts/0\\n';; \
         show-session) for i; do case $i in 5|9) printf 'Id=%s\\nName=u%s\\nTTY=\\nClass=user\\nState=active\\n' $i $i;; esac; \
         [ \"$i\" = 5 ] && echo; done;; esac; exit 0",
    );
    host.program("usr/bin/busctl", "echo 'a(ssssuu) 1 \"sleep\" \"tape\" \"$(touch x)\" \"block\" 0 5'");
    host.file("run/qemu-server/101.pid", "4000\n");
    host.file("run/qemu-server/102.pid", "4001\n");
    host.file(
        "proc/4000/cmdline",
        "/usr/bin/kvm\0-id\x00101\0-smbios\0type=1,uuid=3562338d-cdfb,manufacturer=x\0-device\0\
         virtio-net-pci,mac=BC:24:11:00:01:01,netdev=net0\0-device\0e1000,mac=BC:24:11:00:01:02,netdev=net1\0",
    );
    host.file("sys/fs/cgroup/qemu.slice/103.scope/cgroup.procs", "4005\n");
    host.file("proc/4005/cmdline", "/usr/bin/kvm\0-device\0virtio-net-pci,mac=BC:24:11:00:01:03,netdev=net0\0");
    host.file("sys/fs/cgroup/qemu.slice/104.scope/cgroup.procs", "");
    host.file("sys/fs/cgroup/lxc/201/cgroup.events", "populated 1\nfrozen 0\n");
    host.file("sys/fs/cgroup/lxc/202/cgroup.events", "populated 0\nfrozen 0\n");
    host.file("etc/pve/x", "");
    host.file("proc/4002/cmdline", "task UPID:pve1:00000FA2:0000B1B1:6743A1F0:vzdump::root@pam:\0\0\0");
    host.file("proc/4003/cmdline", "");
    let found = of(&host);
    let users: Vec<_> = found.users.unwrap().iter().map(ToString::to_string).collect();
    // XDG_SESSION_ID of whoever runs the tests would name another one.
    if std::env::var_os("XDG_SESSION_ID").is_none() {
        assert_eq!(users, ["u9"]);
    }
    let inhibitors = found.inhibitors.unwrap();
    assert_eq!((inhibitors[0].who.as_str(), inhibitors[0].why.as_str()), ("tape", "$(touch x)"));
    let guests: Vec<_> = found.guests.iter().map(ToString::to_string).collect();
    assert_eq!(guests, ["101", "103", "104", "201"]);
    let carries = found.carries.iter().map(|(vmid, carried)| {
        let macs: Vec<_> = carried.macs.iter().map(|mac| mac.rsplit(':').next().unwrap_or_default()).collect();
        format!("{vmid} {} {}", carried.uuid.as_deref().unwrap_or("-"), macs.join(","))
    });
    assert_eq!(carries.collect::<Vec<_>>(), ["101 3562338d-cdfb 01,02", "103 - 03"]);
    let tasks: Vec<_> = found.tasks.unwrap().into_iter().collect();
    assert_eq!(tasks, ["UPID:pve1:00000FA2:0000B1B1:6743A1F0:vzdump::root@pam:"]);
}

#[test]
fn who_is_connected_and_what_works() {
    let host = Host::debian();
    let line = |local: &str, remote: &str, state: &str| {
        format!(
            "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 4 24 10 -1\n"
        )
    };
    let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let any = "00000000:0000";
    let v4 = [
        line("00000000:01BD", any, "0A"),
        line("0A00620A:01BD", "0500620A:C001", "01"),
        line("0A00620A:01BD", "0500620A:C002", "01"),
        line("0A00620A:01BD", "0600620A:C001", "06"),
        line("0A00620A:9C40", "0700620A:01BB", "01"),
    ];
    host.file("proc/net/tcp", &format!("{header}{}", v4.concat()));
    let mapped = "0000000000000000FFFF00000A00620A:2000";
    let v6 = line(mapped, "0000000000000000FFFF00000800620A:D000", "01");
    let v6 = v6 + &line("00000000000000000000000000000000:2000", "00000000000000000000000000000000:0000", "0A");
    host.file("proc/net/tcp6", &format!("{header}{v6}"));
    host.file("sys/block/md0/md/sync_action", "check\n");
    host.file("sys/block/md1/md/sync_action", "idle\n");
    host.file("sys/fs/btrfs/0a1b/exclusive_operation", "balance\n");
    host.file("proc/4100/comm", "restic\n");
    host.file("proc/4100/cmdline", "restic\0backup\0/home\0");
    host.file("proc/4101/comm", "rsync\n");
    host.file("proc/4101/cmdline", "/usr/bin/rsync\0--daemon\0--no-detach\0");
    let activity = of(&host).activity.unwrap();
    let seen = activity.connections.iter().flatten().map(|one| format!("{} {} {}", one.local, one.port, one.remote));
    assert_eq!(seen.collect::<Vec<_>>(), ["10.98.0.10 445 10.98.0.5", "10.98.0.10 8192 10.98.0.8"]);
    assert_eq!(activity.listening, [445, 8192].into());
    assert_eq!(activity.command.map(|answer| (answer.status, answer.line)), Some((0, "it's busy".to_owned())));
    assert_eq!(activity.work, ["btrfs (balance)", "md0 (check)", "restic"].map(str::to_owned).into());
    // Where nothing can be read nothing is known, which is not the same as nobody.
    assert_eq!(of(&Host::debian()).activity.and_then(|activity| activity.connections), None);
}
