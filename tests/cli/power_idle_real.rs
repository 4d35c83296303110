//! `--if-idle` against this machine's own kernel, sshd and logind, in namespaces of their own: a real connection from another
//! network, a real login, a real lock of a package manager, a real inhibitor. Nothing is put to sleep: all of it is `--dry-run`.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::env::skipped;
use super::world::{World, entry, until};

/// Set where the test runs in namespaces.
const INSIDE: &str = "ECOBOX_TEST_NAMESPACES";

/// Whoever asks logind not to sleep.
const LIST: &str = "busctl --system --no-pager call org.freedesktop.login1 /org/freedesktop/login1 \
                    org.freedesktop.login1.Manager ListInhibitors 2>/dev/null || :";

/// Where the other network is, and this one's address there.
const HERE: &str = "10.77.0.1";
const THERE: &str = "10.77.0.2";

#[test]
fn real_needs_keep_a_real_host_awake() {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can make the namespaces");
        return;
    }
    for program in
        ["unshare", "nsenter", "ip", "dbus-daemon", "/usr/lib/systemd/systemd-logind", "systemd-inhibit", "ssh", "perl"]
    {
        if Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", program]).status().unwrap().success() {
            continue;
        }
        skipped(&format!("{program} is not installed"));
        return;
    }
    let namespaces = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let run = Command::new("unshare")
        .args(namespaces)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "cli::power_idle_real::inside_namespaces", "--ignored", "--nocapture"])
        .env(INSIDE, "yes")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    if text.contains("unshare: unshare failed") {
        skipped("namespaces cannot be made here");
        return;
    }
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
    print!("{text}");
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begin(program: &str, args: &[&str]) -> Running {
    let mut command = Command::new(program);
    Running(command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn sh(script: &str) -> String {
    let run = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// What needs the host, by a look at it.
fn needs(world: &World) -> Vec<String> {
    let run = world.run(&["power", "suspend", "here", "--if-idle", "30m", "--dry-run", "-o", "json"]).exits(0);
    let needs = run.json()["steps"][0]["needs"].clone();
    let needs = needs.as_array().unwrap_or_else(|| panic!("it was not looked at: {run}"));
    needs.iter().map(|need| format!("{}: {}", need["kind"].as_str().unwrap(), need["what"].as_str().unwrap())).collect()
}

#[test]
#[ignore = "it is run by the test above, in namespaces of its own"]
fn inside_namespaces() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    sh("mount --make-rprivate /; mount -t tmpfs tmpfs /run
        mkdir -p /run/dbus /run/systemd/system /run/systemd/seats /run/systemd/users /run/systemd/sessions /run/sshd
        : >/run/utmp; ip link set lo up");
    let _bus = begin("dbus-daemon", &["--system", "--nofork", "--nopidfile"]);
    until(|| fs::exists("/run/dbus/system_bus_socket").unwrap());
    let _logind = begin("/usr/lib/systemd/systemd-logind", &[]);
    until(|| sh(LIST).starts_with("a(ssssuu)"));
    let there = begin("unshare", &["--net", "sleep", "1000"]);
    let pid = there.0.id();
    let own_net = fs::read_link("/proc/self/ns/net").unwrap();
    until(|| fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|net| net != own_net));
    sh(&format!(
        "ip link add near type veth peer name far netns {pid}
         ip addr add {HERE}/24 dev near; ip link set near up
         nsenter -t {pid} -n ip addr add {THERE}/24 dev far; nsenter -t {pid} -n ip link set far up"
    ));

    let world = World::new();
    let programs = world.env.home().join("programs");
    fs::create_dir(&programs).unwrap();
    let Some(sshd) = world.serve_this_machine(&programs) else { return };
    world.know_line(&sshd.known_hosts_line());
    let service = TcpListener::bind((HERE, 0)).unwrap();
    let port = service.local_addr().unwrap().port();
    // Who runs tests beside this one must not matter.
    let quiet = "cpu_percent = 100\nload = 1000\nnetwork = '1T'\ndisk = '1T'\n";
    world.configure(&format!("[idle]\n{quiet}ports = [{port}]\n{}", entry("here", &sshd.user(), sshd.port(), None)));
    assert_eq!(needs(&world), [""; 0]);

    // A connection from the machine to itself is nobody's.
    let own = std::net::TcpStream::connect((HERE, port)).unwrap();
    let (kept, _) = service.accept().unwrap();
    assert_eq!(needs(&world), [""; 0]);
    drop((own, kept));
    let connect = format!("use IO::Socket::INET; $s = IO::Socket::INET->new('{HERE}:{port}') or die; sleep 1000");
    let client = begin("nsenter", &["-t", &pid.to_string(), "-n", "perl", "-e", &connect]);
    let (accepted, from) = service.accept().unwrap();
    assert_eq!(
        (needs(&world), from.ip().to_string()),
        (vec![format!("connection: port {port} from {THERE}")], THERE.into())
    );
    drop((client, accepted));
    until(|| needs(&world).is_empty());

    // apt and dpkg lock a file that is always there.
    let lock = "/run/lock-frontend";
    fs::File::create(lock).unwrap().write_all(b"").unwrap();
    let frontend = "/var/lib/dpkg/lock-frontend";
    if fs::exists(frontend).unwrap() {
        sh(&format!("mount --bind {lock} {frontend}"));
        let file = fs::File::options().write(true).open(frontend).unwrap();
        assert_eq!(needs(&world), [""; 0], "the file is there and nobody holds it");
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(needs(&world), ["work: a package manager at work"]);
        drop(file);
        assert_eq!(needs(&world), [""; 0]);
    } else {
        skipped("dpkg is not installed");
    }

    let what = ["--what=sleep", "--who=tape", "--why=a backup", "--mode=block", "sleep", "1000"];
    let inhibitor = begin("systemd-inhibit", &what);
    until(|| sh(LIST).contains("tape"));
    assert_eq!(needs(&world), ["inhibitor: tape asks not to suspend (a backup)"]);
    drop(inhibitor);
    until(|| !sh(LIST).contains("tape"));
    let delay = begin("systemd-inhibit", &["--what=sleep", "--who=late", "--mode=delay", "sleep", "1000"]);
    until(|| sh(LIST).contains("late"));
    assert_eq!(needs(&world), [""; 0], "one that only delays is none");
    drop(delay);

    let key = world.env.home().join(".ssh/id_ed25519");
    let known = format!("UserKnownHostsFile={}", world.known_hosts().display());
    let (to, at) = (format!("{}@127.0.0.1", sshd.user()), sshd.port().to_string());
    let args = ["-tt", "-F", "none", "-o", &known, "-i", key.to_str().unwrap(), "-p", &at, &to, "sleep 1000"];
    let login = begin("ssh", &args);
    until(|| sh("who").contains("pts/"));
    let found = needs(&world);
    assert!(
        matches!(found.as_slice(), [one] if one.starts_with(&format!("login: login of {}", sshd.user()))),
        "{found:?}"
    );
    drop(login);
    until(|| needs(&world).is_empty());
}
