//! The servers through a real client: the same script over russh and over sshd, forwardings, faults.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::access::{Access, Outcome};
use crate::host::{Kind, Rights};
use crate::keys::ClientKey;
use crate::sshd::RealSshd;

/// A detection script as a careful client sends it.
const DETECT: &str = r#"{
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH; export LC_ALL PATH; umask 077
echo '<<begin-1f3a'
p() { printf '%s\t%s\n' "$1" "$2"; }
while IFS= read -r v || [ -n "$v" ]; do case $v in PRETTY_NAME=*) p os "${v#*=}" ;; esac; done </etc/os-release
for f in /proc/sys/kernel/ostype /proc/sys/kernel/osrelease /etc/machine-id /sys/power/state; do
	[ -r "$f" ] && IFS= read -r v <"$f" && p "${f##*/}" "$v"
done
while read -r a b c d; do case $a in Uid:) p uid "$c"; break ;; esac; done </proc/self/status
[ -x /usr/bin/dpkg-query ] && /usr/bin/dpkg-query -W -f='pkg\t${Package} ${Status} ${Version}\n' pve-manager 2>/dev/null
if [ -L /etc/pve/local ]; then
	if cd -P /etc/pve/local 2>/dev/null; then p local "${PWD##*/etc/pve/}"; cd /; fi
	p localmode "$(/usr/bin/stat -c %a /etc/pve/local)"
fi
for d in /sys/class/net/*; do
	[ -e "$d/device" ] || continue
	n=${d##*/}
	p nic "$n"
	read -r v <"$d/address" && p mac "$v"
	if cd -P "$d/master" 2>/dev/null; then p master "${PWD##*/}"; cd /; fi
	/usr/sbin/ethtool "$n" 2>/dev/null | grep Wake-on
done
[ -r /etc/pve/pve-root-ca.pem ] && cat /etc/pve/pve-root-ca.pem || p ca unreadable
test -x /usr/sbin/pveum && /usr/sbin/pveum user list --output-format json
/usr/sbin/ip -o addr
echo oops >&2
echo 'end-1f3a>>'
} </dev/null
"#;

struct Anyone;

impl client::Handler for Anyone {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

async fn connect(address: SocketAddr, user: &str, key: &ClientKey) -> Result<Handle<Anyone>, russh::Error> {
    let config = client::Config { nodelay: true, ..client::Config::default() };
    let mut handle = client::connect(Arc::new(config), address, Anyone).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key.private.clone()), None);
    match handle.authenticate_publickey(user, key).await? {
        AuthResult::Success => Ok(handle),
        AuthResult::Failure { .. } => Err(russh::Error::NotAuthenticated),
    }
}

async fn run(handle: &Handle<Anyone>, command: &str, input: &str) -> Result<Outcome, russh::Error> {
    let mut channel = handle.channel_open_session().await?;
    channel.exec(true, command).await?;
    channel.data(input.as_bytes()).await?;
    channel.eof().await?;
    let (mut outcome, mut code) = (Outcome::default(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => outcome.stdout += &String::from_utf8_lossy(&data),
            ChannelMsg::ExtendedData { data, .. } => outcome.stderr += &String::from_utf8_lossy(&data),
            ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
            _ => {}
        }
    }
    outcome.code = code.map_or(-1, u32::cast_signed);
    Ok(outcome)
}

struct Fixture {
    host: Host,
    key: ClientKey,
    server: SshServer,
    access: Arc<Mutex<Access>>,
    _folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let key = ClientKey::create(&folder.path().join("id"), None);
    let access = Arc::new(Mutex::new(Access::new(9)));
    let host =
        Host::pve("pve1").login("ops", Rights::Sudo).certificates("CA\n", "LEAF\n").access(Arc::clone(&access)).build();
    let server = SshServer::start(&host, std::slice::from_ref(&key.public)).await;
    Fixture { host, key, server, access, _folder: folder }
}

fn test(body: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(60), body()).await.expect("the test ends in time") });
}

#[test]
fn a_detection_script_answers_the_same_over_russh_and_sshd() {
    test(async || {
        let f = fixture().await;
        for login in ["root", "ops"] {
            let client = connect(f.server.address(), login, &f.key).await.unwrap();
            let simulated = run(&client, "sh -s", DETECT).await.unwrap();
            let fact = |line: &str| assert!(simulated.stdout.lines().any(|l| l == line), "{line:?}: {simulated:?}");
            for line in ["os\t\"Debian GNU/Linux 13 (trixie)\"", "ostype\tLinux", "state\tfreeze mem disk"] {
                fact(line);
            }
            for line in ["pkg\tpve-manager install ok installed 9.2.11", "local\tnodes/pve1", "localmode\t755"] {
                fact(line);
            }
            for line in ["nic\tenp3s0", "master\tvmbr0", "<<begin-1f3a", "end-1f3a>>"] {
                fact(line);
            }
            if login == "root" {
                for line in ["uid\t0", "CA", "\tWake-on: g"] {
                    fact(line);
                }
                assert_eq!((simulated.stderr.as_str(), simulated.code), ("oops\n", 0));
            } else {
                for line in ["uid\t1001", "ca\tunreadable"] {
                    fact(line);
                }
                assert!(simulated.stderr.contains("Unable to load access control list: Unknown error -1"));
            }
            if let Some(real) = RealSshd::start_as(&f.host, std::slice::from_ref(&f.key.public), login).await {
                let client = connect(real.address(), &real.user(), &f.key).await.unwrap();
                assert_eq!(run(&client, "sh -s", DETECT).await.unwrap(), simulated, "{login}");
                assert_eq!(run(&client, "echo hi; exit 7", "").await.unwrap().code, 7);
            }
        }
    });
}

#[test]
fn commands_have_input_output_and_status() {
    test(async || {
        let f = fixture().await;
        let client = connect(f.server.address(), "root", &f.key).await.unwrap();
        let sorted = run(&client, "sort; echo gone >&2; exit 5", "b\na\n").await.unwrap();
        assert_eq!(sorted, Outcome { stdout: "a\nb\n".into(), stderr: "gone\n".into(), code: 5 });
        let big = run(&client, "head -c 3000000 /dev/zero | tr '\\0' x", "").await.unwrap();
        assert_eq!(big.stdout.len(), 3_000_000);
        let unread = run(&client, "true", &"x".repeat(300_000)).await.unwrap();
        assert_eq!(unread.code, 0);
        assert_eq!((f.server.connections(), f.server.logins(), f.server.execs()), (1, 1, 3));
        assert_eq!(f.server.commands()[2], "true");
    });
}

#[test]
fn eight_scripts_call_pveum_at_once() {
    test(async || {
        let f = fixture().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (address, key) = (f.server.address(), f.key.clone());
            tasks.spawn(async move {
                let client = connect(address, "root", &key).await.unwrap();
                let script =
                    format!("pveum user add u{n}@pve && pveum user token add u{n}@pve tok --output-format json\n");
                run(&client, "sh -s", &script).await.unwrap()
            });
        }
        for outcome in tasks.join_all().await {
            assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
            assert!(outcome.stdout.starts_with("{\"full-tokenid\":\"u"), "{outcome:?}");
        }
        assert_eq!(f.access.lock().unwrap().tokens().len(), 8);
    });
}

#[test]
fn only_known_users_and_keys_get_in() {
    test(async || {
        let f = fixture().await;
        let other = ClientKey::create(&f.host.root().join("tmp/other"), Some("geheim"));
        assert!(connect(f.server.address(), "root", &other).await.is_err());
        assert!(connect(f.server.address(), "nobody", &f.key).await.is_err());
        assert_eq!((f.server.logins(), f.server.refused_logins()), (0, 2));
        f.server.authorize(&other.public);
        assert!(connect(f.server.address(), "root", &other).await.is_ok());
        assert!(russh::keys::load_secret_key(&other.path, None).is_err());
        let read = russh::keys::load_secret_key(&other.path, Some("geheim")).unwrap();
        assert_eq!(read.public_key().key_data(), other.public.key_data());
    });
}

#[test]
fn host_keys_change_on_demand() {
    struct Recorder(Arc<Mutex<Option<PublicKey>>>);
    impl client::Handler for Recorder {
        type Error = russh::Error;
        async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
            *self.0.lock().unwrap() = Some(key.public_key().clone());
            Ok(true)
        }
    }
    async fn presented(address: SocketAddr) -> PublicKey {
        let seen = Arc::new(Mutex::new(None));
        client::connect(Arc::default(), address, Recorder(Arc::clone(&seen))).await.unwrap();
        seen.lock().unwrap().clone().unwrap()
    }
    test(async || {
        let f = fixture().await;
        let first = f.server.host_key();
        assert_eq!(presented(f.server.address()).await.key_data(), first.key_data());
        assert!(f.server.known_hosts_line().starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", f.server.port())));
        f.server.change_host_key();
        assert_ne!(presented(f.server.address()).await.key_data(), first.key_data());
        let ecdsa = SshServer::start_with(&f.host, &[], KeyType::Ecdsa).await;
        assert_eq!(presented(ecdsa.address()).await.algorithm().as_str(), "ecdsa-sha2-nistp256");
    });
}

#[test]
fn forwardings_reach_mapped_ports_and_loopback_only() {
    async fn echo(client: &Handle<Anyone>, host: &str, port: u32) -> Option<String> {
        let channel = client.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await.ok()?;
        let mut stream = channel.into_stream();
        stream.write_all(b"ping").await.ok()?;
        stream.shutdown().await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }
    test(async || {
        let f = fixture().await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                let _ = stream.read_to_string(&mut text).await;
                let _ = stream.write_all(text.to_uppercase().as_bytes()).await;
            }
        });
        f.host.map_port(8006, port);
        let client = connect(f.server.address(), "ops", &f.key).await.unwrap();
        assert_eq!(echo(&client, "127.0.0.1", 8006).await.as_deref(), Some("PING"));
        assert_eq!(echo(&client, "localhost", port.into()).await.as_deref(), Some("PING"));
        assert_eq!(echo(&client, "192.0.2.1", 22).await, None);
        assert_eq!(echo(&client, "127.0.0.1", 1).await, None);
        assert_eq!(f.server.forwards(), 2);
        // A jump: a session inside a forwarding.
        let inner = SshServer::start(&Host::debian("nas").build(), std::slice::from_ref(&f.key.public)).await;
        let channel = client.channel_open_direct_tcpip("127.0.0.1", inner.port().into(), "127.0.0.1", 0).await.unwrap();
        let mut second = client::connect_stream(Arc::default(), channel.into_stream(), Anyone).await.unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(f.key.private.clone()), None);
        assert!(second.authenticate_publickey("admin", key).await.unwrap().success());
        assert_eq!(run(&second, "hostname", "").await.unwrap().stdout, "nas\n");
        f.server.refuse_forwarding(true);
        assert_eq!(echo(&client, "127.0.0.1", 8006).await, None);
    });
}

#[test]
fn faults_before_the_login() {
    const SHORT: Duration = Duration::from_millis(200);
    test(async || {
        let f = fixture().await;
        for (fault, hangs) in [
            (SshFault::CloseAtOnce, false),
            (SshFault::CloseAfterBanner, false),
            (SshFault::GarbageBanner, false),
            (SshFault::HangAtBanner, true),
            (SshFault::HangInKex, true),
            (SshFault::HangInAuth, true),
        ] {
            f.server.set_fault(Some(fault));
            let patience = if hangs { SHORT } else { Duration::from_secs(20) };
            let result = timeout(patience, connect(f.server.address(), "root", &f.key)).await;
            assert!(result.is_err() == hangs && !matches!(result, Ok(Ok(_))), "{fault:?}");
        }
        f.server.set_fault(Some(SshFault::EndlessBanner));
        let mut stream = TcpStream::connect(f.server.address()).await.unwrap();
        let mut lines = vec![0; 100_000];
        stream.read_exact(&mut lines).await.unwrap();
        f.server.set_fault(None);
        assert!(connect(f.server.address(), "root", &f.key).await.is_ok());
    });
}

#[test]
fn faults_of_commands() {
    const SHORT: Duration = Duration::from_millis(300);
    test(async || {
        let f = fixture().await;
        f.server.set_fault(Some(SshFault::NoExitStatus));
        let client = connect(f.server.address(), "root", &f.key).await.unwrap();
        let outcome = run(&client, "echo a", "").await.unwrap();
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("a\n", -1));
        f.server.set_fault(Some(SshFault::HangInExec));
        assert!(timeout(SHORT, run(&client, "echo a", "")).await.is_err());
        f.server.set_fault(Some(SshFault::EndlessOutput));
        let mut channel = client.channel_open_session().await.unwrap();
        channel.exec(true, "true").await.unwrap();
        let mut seen = 0;
        while seen < 4_000_000 {
            if let Some(ChannelMsg::Data { data }) = channel.wait().await {
                seen += data.len();
            }
        }
        channel.close().await.unwrap();
        f.server.set_fault(Some(SshFault::CloseInExec));
        let broken = run(&client, "echo a", "").await;
        assert!(broken.as_ref().is_err() || broken.as_ref().is_ok_and(|outcome| outcome.code == -1), "{broken:?}");
        f.server.set_fault(None);
        f.host.set_hanging(true);
        let client = connect(f.server.address(), "root", &f.key).await.unwrap();
        assert!(timeout(SHORT, run(&client, "echo a", "")).await.is_err());
    });
}

/// The connection breaks after the second command, over russh and over sshd; what the script did until then stays.
#[test]
fn the_connection_breaks_after_a_pveum_command() {
    test(async || {
        let f = fixture().await;
        let keys = std::slice::from_ref(&f.key.public);
        let real = RealSshd::start(&f.host, keys).await;
        let mut servers = vec![("sim", f.server.address(), "root".to_owned())];
        servers.extend(real.as_ref().map(|real| ("real", real.address(), real.user())));
        for (name, address, user) in servers {
            let client = connect(address, &user, &f.key).await.unwrap();
            f.host.kill_after_pveum(2);
            let script: String = (1..=4).map(|n| format!("pveum user add {name}{n}@pve\n")).collect();
            let outcome = run(&client, "sh -s", &script).await;
            assert!(outcome.as_ref().is_err() || outcome.as_ref().is_ok_and(|o| o.code == -1), "{name}: {outcome:?}");
            let users = f.access.lock().unwrap().users();
            let added: Vec<&String> = users.iter().filter(|user| user.starts_with(name)).collect();
            assert_eq!(added.len(), 2, "{name}: {added:?}");
            let _ = client.disconnect(Disconnect::ByApplication, "", "").await;
        }
    });
}

#[test]
fn a_script_may_outlive_its_connection() {
    test(async || {
        let f = fixture().await;
        let client = connect(f.server.address(), "root", &f.key).await.unwrap();
        f.host.drop_after_pveum(1);
        let script = "pveum user add a1@pve; pveum user add a2@pve; pveum user add a3@pve\n";
        let outcome = run(&client, "sh -s", script).await;
        assert!(outcome.as_ref().is_err() || outcome.as_ref().is_ok_and(|o| o.code == -1), "{outcome:?}");
        while f.host.pveum_count() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_sleeping_host_answers_nothing_until_it_wakes() {
    const SHORT: Duration = Duration::from_millis(300);
    test(async || {
        let f = fixture().await;
        let client = connect(f.server.address(), "root", &f.key).await.unwrap();
        assert_eq!(run(&client, "sh -s", "systemctl suspend\n").await.unwrap().code, 0);
        f.host.asleep().wait_for(|asleep| *asleep).await.unwrap();
        assert!(timeout(SHORT, run(&client, "true", "")).await.is_err(), "the old connection is frozen");
        // The port changes hands within a moment; then nobody answers, as opposed to a refusal.
        while timeout(SHORT, TcpStream::connect(f.server.address())).await.is_ok() {
            tokio::task::yield_now().await;
        }
        f.host.wake();
        let client = loop {
            match timeout(10 * SHORT, connect(f.server.address(), "root", &f.key)).await {
                Ok(Ok(client)) => break client,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        assert_eq!(run(&client, "echo back", "").await.unwrap().stdout, "back\n");
        assert_eq!(f.host.events(), ["suspend", "wake"]);
        assert_eq!(f.host.kind(), Kind::Pve);
    });
}
