//! Runs the script with the shells of this machine, on folders that look like hosts.

mod network;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

/// A folder that stands for a host's root.
pub(crate) struct Host(pub(crate) TempDir);

impl Host {
    /// A Debian with one network port.
    pub(crate) fn debian() -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        host.file("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian");
        host.file("etc/machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
        host.file("proc/sys/kernel/ostype", "Linux\n");
        host.file("proc/sys/kernel/osrelease", "6.12.1\n");
        host.file("proc/sys/kernel/hostname", "h1\n");
        host.file("proc/sys/kernel/random/boot_id", "3f39dcff-3b06-442c-9fdf-2778c2f46a00\n");
        host.file("proc/self/status", "Name:\tsh\nUid:\t1000\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
        host.file("proc/net/route", "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n");
        host.nic("eno1", "a8:a1:59:00:00:01");
        host
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn program(&self, path: &str, text: &str) {
        self.file(path, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.0.path().join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn nic(&self, name: &str, mac: &str) {
        self.file(&format!("sys/class/net/{name}/device/vendor"), "0x8086\n");
        self.file(&format!("sys/class/net/{name}/address"), &format!("{mac}\n"));
        self.file(&format!("sys/class/net/{name}/carrier"), "1\n");
        self.file(&format!("sys/class/net/{name}/type"), "1\n");
        self.file(&format!("sys/class/net/{name}/addr_assign_type"), "0\n");
    }

    fn route(&self, lines: &str) {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        self.file("proc/net/route", &format!("{head}{lines}"));
    }

    pub(crate) fn not_root(&self) {
        self.file("proc/self/status", "Name:\tsh\nUid:\t0\t1000\t0\t0\n");
    }

    fn pve(&self, status: &str) {
        self.file("etc/pve/nodes/pve1/x", "");
        self.link("etc/pve/local", "nodes/pve1");
        self.packages(&[("pve-manager", status)]);
    }

    fn packages(&self, list: &[(&str, &str)]) {
        let line =
            |(name, status): &(&str, &str)| format!("case $a in {name}) printf 'pkg\t%s\n' '{name} {status}';; esac");
        let lines = list.iter().map(line).collect::<Vec<_>>().join(
            "
",
        );
        // Like the real one it leaves out what it does not know, and fails then.
        self.program("usr/bin/dpkg-query", &format!("for a; do\n{lines}\ndone; exit 1"));
        for (name, _) in list {
            self.file(&format!("var/lib/dpkg/info/{name}.list"), "/.\n");
        }
    }

    fn facts(&self, shell: &[&str]) -> HostFacts {
        parse(&self.run(shell, SCRIPT))
    }

    /// What a script prints here; it must end well and leave the shell alive.
    pub(crate) fn run(&self, shell: &[&str], script: &str) -> String {
        let script = format!("{{\n{}\n}} </dev/null\necho \"ended $?\"", moved(script, self.0.path()));
        // What this machine has installed is not on the host: PATH leads to the plainest tools, and to what the host has.
        let tools = self.0.path().join(".tools");
        link_tools(&tools);
        let path = format!("{}:{}", self.0.path().join("run/current-system/sw/bin").display(), tools.display());
        let mut child = Command::new(tools.join(shell[0]))
            .args(&shell[1..])
            .arg("-s")
            .env("LC_ALL", "C")
            .env("PATH", path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        // What a script waits for it says there, and nothing else.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let other = said.lines().find(|line| !["waiting for sudo", "sudo has answered"].contains(line));
        assert_eq!(other, None, "{shell:?}: {said}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.strip_suffix("ended 0\n").unwrap_or_else(|| panic!("{shell:?}: {text}")).to_owned()
    }
}

/// Fills a folder with the tools that every host has, and the shells.
fn link_tools(folder: &Path) {
    const NAMES: &str = "sh dash bash busybox cat grep sed sleep stat id tr cp touch mktemp rm sort head date uname readlink printf true";
    if fs::create_dir(folder).is_err() {
        return;
    }
    let path = std::env::var_os("PATH").unwrap();
    for name in NAMES.split(' ') {
        let found = std::env::split_paths(&path).map(|path| path.join(name)).find(|path| path.is_file());
        if let Some(real) = found {
            symlink(real, folder.join(name)).unwrap();
        }
    }
}

/// The script with every absolute path that begins a word moved under another root.
fn moved(script: &str, root: &Path) -> String {
    let root = root.to_str().unwrap();
    let mut out = String::new();
    let mut before = ' ';
    for (i, c) in script.char_indices() {
        let path = |top: &&str| script[i..].strip_prefix(*top).is_some_and(|rest| rest.starts_with('/'));
        let tops = ["/etc", "/proc", "/sys", "/usr", "/run", "/var", "/sbin", "/bin", "/dev/pts"];
        if c == '/' && (before.is_whitespace() || before == '(') && tops.iter().any(path) {
            out += root;
        }
        out.push(c);
        before = c;
    }
    out
}

/// The shells to try: `sh` always; `dash`, `bash` and `busybox` where they are something else.
pub(crate) fn shells() -> Vec<Vec<&'static str>> {
    let path = |shell: &str| {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", shell]).output().ok()?;
        fs::canonicalize(String::from_utf8(found.stdout).ok()?.trim()).ok()
    };
    let sh = path("sh");
    let mut shells = vec![vec!["sh"]];
    for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
        match path(shell[0]) {
            None => eprintln!("SKIPPED: {} is not installed, no script was run with it", shell[0]),
            found if found != sh => shells.push(shell.to_vec()),
            Some(_) => {}
        }
    }
    shells
}

/// The facts of a host, the same from every shell.
fn of(host: &Host) -> HostFacts {
    let mut all = shells().into_iter().map(|shell| (host.facts(&shell), shell));
    let (first, _) = all.next().unwrap();
    for (other, shell) in all {
        assert_eq!(other, first, "{shell:?}");
    }
    first
}

fn pve(host: &Host) -> (Option<String>, Option<String>, Option<bool>, bool) {
    let facts = of(host);
    let pve = facts.pve().unwrap_or_else(|| panic!("{facts:?}"));
    (pve.node.as_ref().map(ToString::to_string), pve.version.clone(), pve.quorate, pve.pmxcfs)
}

#[test]
fn a_plain_debian() {
    let host = Host::debian();
    let facts = of(&host);
    assert_eq!(facts.product, Product::Linux);
    assert_eq!(facts.os.as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
    assert_eq!((facts.kernel.as_deref(), facts.hostname.as_deref()), (Some("6.12.1"), Some("h1")));
    assert_eq!(facts.privilege, Privilege::Root);
    assert!(facts.machine_id.is_some() && facts.boot_id.is_some());
    assert_eq!(facts.nics.len(), 1);
    assert_eq!((facts.nics[0].mac.as_str(), facts.nics[0].link), ("a8:a1:59:00:00:01", Some(true)));
    assert_eq!((facts.sleep.suspend, facts.sleep.masked), (None, None));
}

#[test]
fn products() {
    let host = Host::debian();
    host.pve("install ok installed 9.2.11");
    host.program("usr/bin/stat", "[ \"$1 $2\" = '-c %a' ] && echo 755");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(pve(&host), (some("pve1"), some("9.2.11"), Some(true), true));
    host.program("usr/bin/stat", "echo 555");
    assert_eq!(pve(&host), (some("pve1"), some("9.2.11"), Some(false), true));

    // Removed, with its folder left behind.
    host.packages(&[("pve-manager", "deinstall ok config-files 9.2.11")]);
    assert_eq!(of(&host).product, Product::Linux);

    // Installed and pmxcfs down: the folder is there and empty.
    let host = Host::debian();
    host.packages(&[("pve-manager", "install ok installed 8.4.1")]);
    host.program("usr/bin/pveversion", "exit 1");
    assert_eq!(pve(&host), (None, some("8.4.1"), None, false));

    // A leftover folder alone.
    let host = Host::debian();
    host.file("etc/pve/storage.cfg", "");
    host.packages(&[("other", "install ok installed 1")]);
    assert_eq!(of(&host).product, Product::Linux);

    // Without dpkg-query pveversion is asked.
    let host = Host::debian();
    host.program("usr/bin/pveversion", "echo 'pve-manager/8.4.1/2a5fa5 (running kernel: 6.8)'; echo more");
    host.link("etc/pve/local", "nodes/pve7");
    assert_eq!(pve(&host), (some("pve7"), some("8.4.1"), None, true));

    let host = Host::debian();
    host.file("etc/pve/version", "8.1.3\n");
    assert_eq!(pve(&host), (some("h1"), some("8.1.3"), None, true));

    for (package, name) in [
        ("proxmox-backup-server", "Proxmox Backup Server"),
        ("pmg-api", "Proxmox Mail Gateway"),
        ("proxmox-datacenter-manager", "Proxmox Datacenter Manager"),
    ] {
        let host = Host::debian();
        host.packages(&[(package, "install ok installed 4.0.1-1")]);
        let want = Product::OtherProxmox { product: name.to_owned(), version: some("4.0.1-1") };
        assert_eq!(of(&host).product, want);
    }
}

#[test]
fn no_linux() {
    let host = Host(tempfile::tempdir().unwrap());
    // This machine's own uname answers; what matters is that the script ends well and finds nothing else.
    let facts = of(&host);
    assert_ne!(facts.product, Product::Unknown);
    assert!(facts.nics.is_empty() && facts.addresses.is_empty() && facts.os.is_none());
}

#[test]
fn sleep_and_its_masks() {
    let host = Host::debian();
    host.file("sys/power/state", "freeze mem disk\n");
    host.file("run/systemd/system/x", "");
    host.file("etc/systemd/system/sleep.target", "[Unit]\n");
    let sleep = of(&host).sleep;
    assert_eq!((sleep.suspend, sleep.hibernate, sleep.masked), (Some(true), Some(true), Some(false)));
    host.link("run/systemd/system/sleep.target", "/dev/null");
    assert_eq!(of(&host).sleep.masked, Some(true));
}

#[test]
fn rights() {
    let host = Host::debian();
    host.not_root();
    assert_eq!(of(&host).privilege, Privilege::Nosudo);
    host.program("usr/bin/sudo", "echo 'sudo: a password is required' >&2; exit 1");
    assert_eq!(of(&host).privilege, Privilege::Denied);
    host.program("usr/bin/sudo", "[ \"$1 $2\" = '-n --' ] || exit 1; shift 2; AS_ROOT=1 exec \"$@\"");
    assert_eq!(of(&host).privilege, Privilege::Sudo);
    // Wake-on-LAN shows to root only; one sudo serves both questions.
    host.program(
        "usr/sbin/ethtool",
        "printf 'Settings for %s:\\n' \"$1\"; [ -n \"$AS_ROOT\" ] && printf '\\tSupports Wake-on: g\\n\\tWake-on: d\\n'",
    );
    let facts = of(&host);
    assert_eq!(facts.privilege, Privilege::Sudo);
    assert_eq!((facts.nics[0].wol_armed, facts.nics[0].wol_supported), (Some(false), Some(true)));
    host.program("usr/bin/sudo", "exit 1");
    assert_eq!(of(&host).nics[0].wol_armed, None);
}

#[test]
fn hostile_values_stay_values() {
    let host = Host::debian();
    host.file("proc/sys/kernel/hostname", "a\tuid\t0\u{1b}[2J$(touch x)`id`%s\\n\nuid\t0\n");
    host.file("etc/os-release", "PRETTY_NAME=\"$(touch x) \\n %d\"\nPRETTY_NAME_X=y\n");
    host.not_root();
    let facts = of(&host);
    assert_eq!(facts.hostname.as_deref(), Some("auid0[2J$(touch x)`id`%s\\n"));
    assert_eq!(facts.os.as_deref(), Some("$(touch x) \\n %d"));
    assert_eq!(facts.privilege, Privilege::Nosudo);
}
