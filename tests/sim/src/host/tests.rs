//! Hosts without SSH: path rules, views, stubs.

mod recorded;

use std::sync::{Arc, Mutex};
use std::thread;

use super::*;
use crate::access::Access;

fn cluster() -> Arc<Mutex<Access>> {
    Arc::new(Mutex::new(Access::new(9)))
}

fn script(host: &Host, login: &str, text: &str) -> Outcome {
    host.run(login, "sh -s", text)
}

#[test]
fn absolute_paths_are_led_into_the_root() {
    let host = Host::pve("pve1").login("ops", Rights::Sudo).build();
    let root = host.root().to_str().unwrap().to_owned();
    for (text, root_view, user_view) in [
        ("cat /etc/os-release", "cat @/etc/os-release", "cat @/etc/os-release"),
        ("ls /etc/pve/nodes", "ls @/etc/pve/nodes", "ls @/.sim/plain/etc/pve/nodes"),
        ("[ -e /etc/pve ]", "[ -e @/etc/pve ]", "[ -e @/.sim/plain/etc/pve ]"),
        ("/etc/pvex /etc/pve-old", "@/etc/pvex @/etc/pve-old", "@/etc/pvex @/etc/pve-old"),
        ("echo x >/dev/null 2>&1", "echo x >/dev/null 2>&1", "echo x >/dev/null 2>&1"),
        (
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH",
            "PATH=@/usr/sbin:@/usr/bin:@/sbin:@/bin:$PATH",
            "PATH=@/usr/sbin:@/usr/bin:@/sbin:@/bin:$PATH",
        ),
        ("\"$d/etc/x\" ${d}/sys/y a/proc/z ./usr/q ../var/r", "=", "="),
        ("</proc/stat; (/usr/bin/id)", "<@/proc/stat; (@/usr/bin/id)", "<@/proc/stat; (@/usr/bin/id)"),
        ("a=/run/x,b='/var/lib/y'", "a=@/run/x,b='@/var/lib/y'", "a=@/run/x,b='@/var/lib/y'"),
        (
            "/sys/class/net/* /sys/class/net/$n",
            "@/sys/class/net/* @/sys/class/net/$n",
            "@/sys/class/net/* @/sys/class/net/$n",
        ),
        ("/proc/self/status", "@/.sim/self/0/status", "@/.sim/self/1001/status"),
        (
            "/tmp/x /home/me /etcetera https://host/etc",
            "/tmp/x @/home/me /etcetera https://host/etc",
            "/tmp/x @/home/me /etcetera https://host/etc",
        ),
        ("s/etc/pve/ *//usr/bin", "=", "="),
    ] {
        for (login, expected) in [("root", root_view), ("ops", user_view)] {
            let expected = if expected == "=" { text.to_owned() } else { expected.replace('@', &root) };
            let uid = if login == "root" { "0" } else { "1001" };
            let rules = host.root().join(format!(".sim/rewrite-{uid}"));
            let once = sed(&rules, text);
            assert_eq!(once, expected, "{login}: {text}");
            assert_eq!(sed(&rules, &once), once, "{login}, twice: {text}");
        }
        let user = sed(&host.root().join(".sim/rewrite-1001"), text);
        let up = sed(&host.root().join(".sim/rewrite-0"), &user);
        let expected = if root_view == "=" { text.to_owned() } else { root_view.replace('@', &root) };
        assert_eq!(up, expected, "through sudo: {text}");
    }
}

fn sed(rules: &Path, text: &str) -> String {
    let mut child =
        Command::new("sed").args(["-E", "-f"]).arg(rules).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn logins_have_their_own_rights() {
    let host = Host::pve("pve1")
        .login("ops", Rights::Sudo)
        .login("bob", Rights::SudoPassword)
        .certificates("THE CA\n", "THE LEAF\n")
        .access(cluster())
        .build();
    let ipc = "ipcc_send_rec[1] failed: Unknown error -1";
    let denied = "Permission denied";
    for (login, command, stdout, stderr, code) in [
        ("root", "id -u; id -un", "0\nroot\n", "", 0),
        ("ops", "id -u; id -un", "1001\nops\n", "", 0),
        ("ops", "sudo -n id -un", "root\n", "", 0),
        ("ops", "sudo -n -- true", "", "", 0),
        ("bob", "sudo -n true", "", "sudo: a password is required", 1),
        ("bob", "sudo true", "", "sudo: a terminal is required", 1),
        ("ops", "sudo -n nosuch", "", "sudo: nosuch: command not found", 1),
        ("root", "cat /etc/pve/pve-root-ca.pem", "THE CA\n", "", 0),
        ("ops", "cat /etc/pve/pve-root-ca.pem", "", denied, 1),
        ("ops", "[ -r /etc/pve/pve-root-ca.pem ] || echo no", "no\n", "", 0),
        ("ops", "cat /etc/pve/local/pve-ssl.pem", "", denied, 1),
        ("ops", "ls /etc/pve/priv", "", denied, 2),
        ("ops", "sudo -n cat /etc/pve/local/pve-ssl.pem", "THE LEAF\n", "", 0),
        ("ops", "sudo -n sh -c 'cat /etc/pve/pve-root-ca.pem'", "THE CA\n", "", 0),
        ("ops", "echo 'cat /etc/pve/pve-root-ca.pem' | sudo -n sh -s", "THE CA\n", "", 0),
        ("ops", "readlink /etc/pve/local; stat -c %a /etc/pve/local", "nodes/pve1\n755\n", "", 0),
        (
            "ops",
            "grep Uid: /proc/self/status; sudo -n grep Uid: /proc/self/status",
            "Uid:\t1001\t1001\t1001\t1001\nUid:\t0\t0\t0\t0\n",
            "",
            0,
        ),
        ("ops", "pveum user list", "", "pveum: not found", 127),
        ("ops", "/usr/sbin/pveum user list", "", ipc, 255),
        ("ops", "pvesh get /version", "", ipc, 255),
        (
            "ops",
            "sudo -n pveum user list --output-format json",
            "[{\"enable\":1,\"expire\":0,\"realm-type\":\"pam\",\"userid\":\"root@pam\"}]\n",
            "",
            0,
        ),
        ("root", "pveum user token remove root@pam x1", "", "no such token 'x1' for user 'root@pam'", 255),
        (
            "root",
            "test -x /usr/sbin/pveum && command -v pveversion >/dev/null && pveversion",
            "pve-manager/9.2.11/14a22df35955d97d (running kernel: 6.14.8-2-pve)\n",
            "",
            0,
        ),
        (
            "root",
            "pvesh get /version --output-format json",
            "{\"release\":\"9.2\",\"repoid\":\"14a22df35955d97d\",\"version\":\"9.2.11\"}\n",
            "",
            0,
        ),
        (
            "root",
            "pvesh get /nodes/$(hostname)/status --output-format json | grep -o '\"uptime\":[0-9]*'",
            "\"uptime\":93784\n",
            "",
            0,
        ),
        ("root", "pvesh get /nope", "", "No 'get' handler defined for '/nope'", 1),
        ("root", "hostname; uname -n; uname -s -r", "pve1\npve1\nLinux 6.14.8-2-pve\n", "", 0),
        ("ops", "dpkg-query -W -f='${Status} ${Version}\\n' pve-manager", "install ok installed 9.2.11\n", "", 0),
        (
            "ops",
            "dpkg-query -W -f='${Package}\\t${db:Status-Status}\\n' nope",
            "",
            "no packages found matching nope",
            1,
        ),
        ("ops", "systemctl is-active pve-cluster; systemctl is-enabled sleep.target", "active\nstatic\n", "", 0),
        ("ops", "systemctl suspend", "", "Interactive authentication required", 1),
        ("ops", "/usr/sbin/ethtool enp3s0 | grep Wake", "", "Operation not permitted", 1),
        ("root", "ethtool enp3s0 | grep Wake", "\tSupports Wake-on: pumbg\n\tWake-on: g\n", "", 0),
        ("root", "ethtool -s enp4s0 wol g; ethtool enp4s0 | grep '	Wake-on'", "\tWake-on: g\n", "", 0),
        (
            "root",
            "ip -6 route show default; ip route show default",
            "default via 192.168.1.1 dev vmbr0 proto kernel onlink \n",
            "",
            0,
        ),
        ("root", "readlink -f /sys/class/net/enp3s0/master | grep -o 'net/.*'", "net/vmbr0\n", "", 0),
        (
            "root",
            "ls /sys/class/net; cat /sys/class/net/vmbr0/lower_enp3s0/operstate",
            "enp3s0\nenp4s0\ntap101i0\nvmbr0\nup\n",
            "",
            0,
        ),
        ("root", "[ -e /sys/class/net/enp3s0/device ] && ! [ -e /sys/class/net/vmbr0/device ]", "", "", 0),
        (
            "root",
            "LC_ALL=xx_YY.UTF-8 pveum acl list --output-format json",
            "[]\n",
            "perl: warning: Setting locale failed.",
            0,
        ),
        ("root", "LC_ALL=C.UTF-8 pveum user token add root@pam utf | head -1 | cut -c1-3", "┌", "", 0),
    ] {
        let got = host.run(login, command, "");
        if stdout == "┌" {
            assert!(got.stdout.starts_with('┌'), "{command}: {got:?}");
            continue;
        }
        assert_eq!((got.stdout.as_str(), got.code), (stdout, code), "{login}: {command}: {got:?}");
        assert!(
            got.stderr.contains(stderr) && (stderr.is_empty() == got.stderr.is_empty()),
            "{login}: {command}: {got:?}"
        );
    }
    assert_eq!(host.wol_armed("enp4s0").as_deref(), Some("g"));
}

#[test]
fn kinds_of_hosts_differ() {
    let ask = "[ -L /etc/pve/local ] && echo link; [ -d /etc/pve ] && echo folder; [ -e /etc/pve/version ] && echo file\n\
        [ -x /usr/bin/dpkg-query ] && dpkg-query -W -f='${Package} ${Status}\\n' pve-manager proxmox-backup-server 2>/dev/null\n\
        for p in pveum sudo ethtool systemctl; do command -v $p | sed 's|.*/||'; done; uname; [ -r /proc/stat ] && echo proc; true";
    let facts = |builder: Builder| script(&builder.build(), "root", ask).stdout.replace('\n', ";");
    let pve = "pve-manager install ok installed;pveum;ethtool;systemctl;Linux;proc;";
    assert_eq!(facts(Host::pve("a")), format!("link;folder;{pve}"));
    assert_eq!(facts(Host::etc_pve_version("a")), format!("link;folder;file;{pve}"));
    assert_eq!(facts(Host::pve_pmxcfs_down("a")), format!("folder;{pve}"));
    assert_eq!(
        facts(Host::leftover_etc_pve("a")),
        "folder;pve-manager deinstall ok config-files;ethtool;systemctl;Linux;proc;"
    );
    assert_eq!(facts(Host::debian("a")), "sudo;ethtool;systemctl;Linux;proc;");
    assert_eq!(facts(Host::pbs("a")), "proxmox-backup-server install ok installed;ethtool;systemctl;Linux;proc;");
    assert_eq!(facts(Host::alpine("a")), "Linux;proc;");
    assert_eq!(facts(Host::freebsd("a")), "FreeBSD;");
    let down = script(&Host::pve_pmxcfs_down("a").build(), "root", "pveum user list");
    assert_eq!(down.code, 111);
    assert!(down.stderr.ends_with("Unable to load access control list: Connection refused\n"), "{down:?}");
    let old = Host::pve("a").version("8.4.1").login("ops", Rights::NoSudo).build();
    assert_eq!(script(&old, "ops", "/usr/sbin/pveum user list").stderr, "please run as root\n");
    assert_eq!(script(&old, "ops", "sudo -n true").code, 127);
    let masked = Host::debian("a").sleep_masked().no_quorum().build();
    assert_eq!(
        script(&masked, "root", "[ /etc/systemd/system/sleep.target -ef /dev/null ] && systemctl suspend").code,
        1
    );
    let split = Host::pve("a").no_quorum().build();
    assert_eq!(script(&split, "root", "stat -c %a /etc/pve/local").stdout, "555\n");
}

#[test]
fn a_script_that_is_cut_off_does_not_run() {
    let host = Host::debian("nas").build();
    assert_eq!(script(&host, "root", "{ echo a\n} </dev/null\n").stdout, "a\n");
    let cut = script(&host, "root", "{ echo a\n");
    assert_eq!((cut.stdout.as_str(), cut.code), ("", 2), "{cut:?}");
}

#[test]
fn noise_surrounds_the_output() {
    let host = Host::debian("nas").noisy().build();
    let stdout = script(&host, "root", "echo answer; exit 3");
    assert_eq!(stdout.code, 3);
    assert!(
        stdout.stdout.contains("AUTHORIZED USE ONLY") && stdout.stdout.ends_with("answer\nbye from .bash_logout\n")
    );
}

#[test]
fn pveum_works_for_many_at_once() {
    let access = cluster();
    let host = Host::pve("pve1").access(Arc::clone(&access)).build();
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let host = host.clone();
            thread::spawn(move || {
                let line = |n| format!("pveum user token add root@pam t{caller}-{n} --comment 'it'\\''s \"me\" \\ {n}' --output-format json\n");
                script(&host, "root", &(0..4).map(line).collect::<String>())
            })
        })
        .collect();
    let outcomes: Vec<Outcome> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    for outcome in &outcomes {
        assert_eq!((outcome.stderr.as_str(), outcome.stdout.lines().count()), ("", 4), "{outcome:?}");
    }
    let access = access.lock().unwrap();
    assert_eq!((access.tokens().len(), host.pveum_count()), (32, 32));
    assert!(access.audit().iter().any(|line| line.contains("it's \"me\" \\ 3")), "{:?}", access.audit());
    assert_eq!(
        fs::read_dir(host.root().join(".sim"))
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("reply"))
            .count(),
        0
    );
}

#[test]
fn pveum_fails_on_demand() {
    let host = Host::pve("pve1").access(cluster()).build();
    host.fail_pveum(2, "got lock request timeout\n", 255);
    host.kill_after_pveum(4);
    let text = "for i in 1 2 3 4 5; do pveum user add u$i@pve; echo $?; done";
    let outcome = script(&host, "root", text);
    assert_eq!(outcome.stdout, "0\n255\n0\n");
    assert_eq!(outcome.stderr, "got lock request timeout\n");
    assert_eq!(host.pveum_count(), 4);
    let list = script(&host, "root", "pveum user list --noborder 1 --noheader 1 | cut -c1-6");
    assert_eq!(list.stdout, "root@p\nu1@pve\nu3@pve\nu4@pve\n");
}

#[test]
fn suspend_is_noted() {
    let host = Host::debian("nas").build();
    host.set_sleep_delay(Duration::ZERO);
    let mut asleep = host.asleep();
    let outcome = host.run("admin", "sudo -n systemctl suspend", "");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(asleep.wait_for(|asleep| *asleep)).unwrap();
    let boot = host.read_file("/proc/sys/kernel/random/boot_id");
    host.wake();
    assert_eq!(host.events(), ["suspend", "wake"]);
    assert!(!*host.asleep().borrow());
    assert_eq!(host.read_file("/proc/sys/kernel/random/boot_id"), boot);
}

#[test]
fn people_locks_guests_and_timers() {
    let host = Host::debian("nas")
        .logged_in("anna", "pts/0", "10.0.0.5")
        .logged_in("backup", "-", "10.0.0.6")
        .inhibitor("tape", "sleep", "it \"writes\"", "block")
        .running_guest_pid(101)
        .build();
    host.outlive_connections();
    host.set_sleep_delay(Duration::ZERO);
    let bus = "a(ssssuu) 1 \"sleep\" \"tape\" \"it \\\"writes\\\"\" \"block\" 0 812\n";
    for (login, command, stdout, code) in [
        ("root", "who | cut -c1-21", "root     sshd        \nanna     sshd pts/0  \nbackup   sshd        \n", 0),
        ("admin", "busctl call org.freedesktop.login1 / x CanSuspend", "s \"challenge\"\n", 0),
        ("root", "systemctl suspend -i 2>&1", "Call to Suspend failed: Interactive authentication required.\n", 1),
        ("root", "systemctl suspend 2>&1", "Call to Suspend failed: Access denied\n", 1),
        ("root", "loginctl list-sessions --no-legend | wc -l | tr -d ' '", "3\n", 0),
        ("admin", "loginctl show-session $XDG_SESSION_ID 2 | grep Name", "Name=admin\nName=backup\n", 0),
        ("root", "busctl call org.freedesktop.login1 / x ListInhibitors", bus, 0),
        ("root", "systemd-inhibit --list", "tape 0 root 812 tape sleep it \"writes\" block\n", 0),
        ("root", "read -r pid </run/qemu-server/101.pid; [ -d /proc/$pid ] && echo lives", "lives\n", 0),
        ("admin", "systemd-run --on-active=2 systemctl poweroff", "", 1),
        ("root", "systemd-run --on-active=2 systemctl poweroff", "", 0),
    ] {
        let got = host.run(login, command, "");
        assert_eq!((got.stdout.as_str(), got.code), (stdout, code), "{login}: {command}: {got:?}");
    }
    assert_eq!(host.timers(), ["--on-active=2 systemctl poweroff"]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(host.asleep().wait_for(|asleep| *asleep)).unwrap();
    assert_eq!(host.events(), ["poweroff"]);

    let other = Host::alpine("a").login("bob", Rights::NoSudo).build();
    other.set_sleep_delay(Duration::ZERO);
    assert_eq!(other.run("bob", "echo mem | tee /sys/power/state", "").code, 1);
    assert_eq!(other.run("bob", "/sbin/reboot", "").code, 1);
    assert_eq!(other.run("root", "echo x | tee /tmp/x", "").stdout, "x\n");
    assert_eq!(other.run("root", "echo disk | tee /sys/power/state", "").code, 0);
    runtime.block_on(other.asleep().wait_for(|asleep| *asleep)).unwrap();
    assert_eq!(other.events(), ["hibernate"]);
}
