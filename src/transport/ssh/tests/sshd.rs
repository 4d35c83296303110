//! Against the real sshd.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::transport::script::STDOUT_CAP;

const SOON: Duration = Duration::from_secs(20);

/// What a failed connection says.
async fn failure(bench: &Bench, host: &SshHost, config: SshConfig) -> Error {
    match bench.connect_with(host, config, HostKeyPolicy::Refuse, &Answers::default()).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn logs_in_with_every_kind_of_key_and_runs_a_script() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = bench.authorize(&format!("key_{kind}"), kind, "");
        let session = bench.connect(&Bench::host(port, Some(&key))).await.unwrap();
        assert!(session.host_key().starts_with("ssh-ed25519 SHA256:"), "{}", session.host_key());
        let script = "echo \"$LC_ALL\"; umask; printf 'no newline'; echo oops >&2; cat; exit 3";
        let output = session.run_script(script, SOON).await.unwrap();
        assert_eq!((output.stdout.as_str(), output.status), ("C\n0077\nno newline", 3), "{kind}");
        assert_eq!(output.stderr, "oops\n");
        session.close().await;
    }
}

#[tokio::test]
async fn many_scripts_run_over_one_connection() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    let key = bench.authorize("key", "ed25519", "");
    let session = bench.connect(&Bench::host(port, Some(&key))).await.unwrap();
    let all = futures::future::join_all((0..20).map(|i| {
        let session = &session;
        async move { session.run_script(&format!("echo {i}; exit {i}"), SOON).await.unwrap() }
    }));
    for (i, output) in all.await.into_iter().enumerate() {
        assert_eq!((output.stdout, output.status), (format!("{i}\n"), i32::try_from(i).unwrap()));
    }
    session.close().await;
}

#[tokio::test]
async fn default_keys_are_found_and_bad_ones_named() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    keygen(&bench.path(".ssh/id_ed25519"), "ed25519", "");
    keygen(&bench.path(".ssh/id_rsa"), "rsa", "secret");
    keygen(&bench.path(".ssh/id_ecdsa"), "ecdsa", "");
    bench.chmod(".ssh/id_ecdsa", 0o644);
    let error = failure(&bench, &Bench::host(port, None), Bench::alone()).await;
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    let text = error.to_string();
    for part in
        ["offered id_ed25519;", "id_ecdsa: its mode 0644 lets others read it", "id_rsa: encrypted, and no agent has it"]
    {
        assert!(text.contains(part), "{text}");
    }
    let missing = bench.path("nowhere");
    let text = failure(&bench, &Bench::host(port, Some(&missing)), Bench::alone()).await.to_string();
    assert!(text.contains("there is no key") && text.contains("nowhere: no such file"), "{text}");
    bench.authorize(".ssh/id_ed25519_sk", "ed25519", "");
    bench.connect(&Bench::host(port, None)).await.unwrap().close().await;
}

#[tokio::test]
async fn an_encrypted_key_is_asked_for_once() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    let key = bench.authorize("locked", "ed25519", "right");
    let host = Bench::host(port, Some(&key));
    let route = bench.route(&host, Bench::alone()).await;
    let (keys, answers) = (Keys::default(), Answers { passphrases: vec!["wrong", "right"], ..Answers::default() });
    for _ in 0..2 {
        connect(&route, &keys, HostKeyPolicy::Refuse, &answers).await.unwrap().close().await;
    }
    assert_eq!(*answers.asked.lock().unwrap(), ["locked", "locked"]);
    let answers = Answers { passphrases: vec!["a", "b", "c", "right"], ..Answers::default() };
    let error = bench.connect_with(&host, Bench::alone(), HostKeyPolicy::Refuse, &answers).await.err().unwrap();
    assert!(error.to_string().contains("locked: the passphrase is wrong"), "{error}");
    assert_eq!(answers.asked.lock().unwrap().len(), 3);
}

/// ssh-agent in the foreground, ended with the test.
struct Agent(Child, PathBuf);

impl Agent {
    fn start(bench: &Bench) -> Agent {
        use std::io::{BufRead, BufReader};
        let socket = bench.path("agent.sock");
        let mut child =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn().unwrap();
        // It says where its socket is once it listens.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Agent(child, socket)
    }

    fn add(&self, key: &Path) {
        let added = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.1).output().unwrap();
        assert!(added.status.success(), "{added:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn keys_in_the_agent_are_used() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    let agent = Agent::start(&bench);
    let other = keygen(&bench.path("other"), "ed25519", "");
    assert!(other.contains("ssh-ed25519"));
    let rsa = bench.authorize("in_agent", "rsa", "");
    agent.add(&bench.path("other"));
    agent.add(&rsa);
    let with_agent = || SshConfig { identity_agent: Some(agent.1.display().to_string()), ..Bench::alone() };
    // No file at all: the agent's keys in turn.
    let host = Bench::host(port, None);
    let answers = Answers::default();
    let session = bench.connect_with(&host, with_agent(), HostKeyPolicy::Refuse, &answers).await.unwrap();
    session.close().await;
    // The file is encrypted, the agent has the key: nobody is asked, no other key is offered.
    run("ssh-keygen", &["-q", "-p", "-P", "", "-N", "secret", "-f", rsa.to_str().unwrap()]);
    let only = SshConfig { identities_only: true, ..with_agent() };
    let session = bench
        .connect_with(&Bench::host(port, Some(&rsa)), only.clone(), HostKeyPolicy::Refuse, &answers)
        .await
        .unwrap();
    session.close().await;
    assert!(answers.asked.lock().unwrap().is_empty());
    // Only listed keys: the agent's good one is not listed.
    let error = failure(&bench, &Bench::host(port, Some(&bench.path("other"))), only).await;
    assert!(error.to_string().ends_with("offered other"), "{error}");
    // The public half alone names a key of the agent.
    fs::remove_file(&rsa).unwrap();
    let only = SshConfig { identities_only: true, ..with_agent() };
    bench
        .connect_with(&Bench::host(port, Some(&rsa)), only, HostKeyPolicy::Refuse, &answers)
        .await
        .unwrap()
        .close()
        .await;
    // Nobody listens there.
    let gone = SshConfig { identity_agent: Some(bench.path("gone").display().to_string()), ..Bench::alone() };
    let error = failure(&bench, &host, gone).await.to_string();
    assert!(error.contains("skipped the agent: "), "{error}");
}

#[tokio::test]
async fn too_many_keys_are_told() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    bench.write("authorized_keys", "");
    let files: Vec<String> = (0..8).map(|i| bench.path(&format!("k{i}")).display().to_string()).collect();
    for file in &files {
        keygen(Path::new(file), "ed25519", "");
    }
    let config = SshConfig { identity_files: files, ..Bench::alone() };
    for (tries, offered, end) in
        [(2, "k0, k1", "; it closed the connection then (MaxAuthTries"), (20, "k0, k1, k2, k3, k4, k5, k6, k7", "")]
    {
        let port = bench.serve(&format!("MaxAuthTries {tries}"));
        bench.know(port);
        let text = failure(&bench, &Bench::host(port, None), config.clone()).await.to_string();
        assert!(text.contains(&format!("offered {offered}{end}")), "{text}");
    }
}

/// As many as the server wants to see: it hangs up when it has seen enough.
#[tokio::test]
async fn the_last_of_many_keys_in_the_agent_is_offered() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("MaxAuthTries 20");
    bench.know(port);
    let agent = Agent::start(&bench);
    for i in 0..9 {
        keygen(&bench.path(&format!("k{i}")), "ed25519", "");
        agent.add(&bench.path(&format!("k{i}")));
    }
    let good = bench.authorize("good", "ecdsa", "");
    agent.add(&good);
    let config = SshConfig { identity_agent: Some(agent.1.display().to_string()), ..Bench::alone() };
    let (host, no) = (Bench::host(port, None), Answers::default());
    bench.connect_with(&host, config.clone(), HostKeyPolicy::Refuse, &no).await.unwrap().close().await;
    // Where it wants to see fewer, a public half names the one to begin with.
    let port = bench.serve("MaxAuthTries 3");
    bench.know(port);
    let host = Bench::host(port, None);
    assert!(bench.connect_with(&host, config.clone(), HostKeyPolicy::Refuse, &no).await.is_err());
    fs::remove_file(&good).unwrap();
    let named = SshConfig { identity_files: vec![good.display().to_string()], ..config };
    bench.connect_with(&host, named, HostKeyPolicy::Refuse, &no).await.unwrap().close().await;
}

#[tokio::test]
async fn a_server_that_takes_no_key_says_what_it_takes() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("PubkeyAuthentication no\nKbdInteractiveAuthentication yes\nUsePAM yes");
    bench.know(port);
    let key = bench.authorize("key", "ed25519", "secret");
    let answers = Answers { passphrases: vec!["secret"], ..Answers::default() };
    let host = Bench::host(port, Some(&key));
    let error = bench.connect_with(&host, Bench::alone(), HostKeyPolicy::Refuse, &answers).await.err().unwrap();
    let want = "it takes no key to log in as";
    assert!(error.to_string().contains(want) && error.to_string().contains("keyboard-interactive"), "{error}");
    assert!(answers.asked.lock().unwrap().is_empty(), "a passphrase would not help");
}

#[tokio::test]
async fn keys_of_a_list_of_revoked_ones_are_refused() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    let key = bench.authorize("key", "ed25519", "");
    let host = Bench::host(port, Some(&key));
    let revoked = bench.path("revoked");
    let config = || SshConfig { revoked_host_keys: Some(revoked.display().to_string()), ..Bench::alone() };
    // As ssh: a list that is not there is no empty one.
    assert!(matches!(failure(&bench, &host, config()).await, Error::Local { .. }));
    fs::write(&revoked, "# nobody\n\n").unwrap();
    let no = Answers::default();
    bench.connect_with(&host, config(), HostKeyPolicy::Refuse, &no).await.unwrap().close().await;
    fs::copy(bench.path("host_ed25519.pub"), &revoked).unwrap();
    let error = failure(&bench, &host, config()).await;
    assert!(matches!(&error, Error::Revoked { detail, .. } if detail.contains("is revoked in")), "{error}");
    fs::write(&revoked, "no key\n").unwrap();
    assert!(failure(&bench, &host, config()).await.to_string().contains("line 1 is no public key"));
    run("ssh-keygen", &["-q", "-k", "-f", revoked.to_str().unwrap(), bench.path("host_ed25519.pub").to_str().unwrap()]);
    assert!(failure(&bench, &host, config()).await.to_string().contains("KRL"));
}

#[tokio::test]
async fn user_certificates_are_offered_from_files_and_agents() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    keygen(&bench.path("ca"), "ed25519", "");
    let port = bench.serve(&format!("TrustedUserCAKeys {}", bench.path("ca.pub").display()));
    bench.know(port);
    bench.write("authorized_keys", "");
    let (ca, me) = (bench.path("ca"), me());
    for kind in ["ed25519", "rsa"] {
        let key = bench.path(&format!("certified_{kind}"));
        keygen(&key, kind, "");
        let public = format!("{}.pub", key.display());
        run("ssh-keygen", &["-q", "-s", ca.to_str().unwrap(), "-I", "test", "-n", &me, &public]);
        bench.connect(&Bench::host(port, Some(&key))).await.unwrap().close().await;
        // The agent has the bare key, the certificate is a file elsewhere.
        let agent = Agent::start(&bench);
        let certificate = bench.path("moved-cert.pub");
        fs::rename(format!("{}-cert.pub", key.display()), &certificate).unwrap();
        agent.add(&key);
        fs::remove_file(&key).unwrap();
        let config = SshConfig {
            identity_agent: Some(agent.1.display().to_string()),
            certificate_files: vec![certificate.display().to_string()],
            ..Bench::alone()
        };
        let host = Bench::host(port, Some(&key));
        bench.connect_with(&host, config, HostKeyPolicy::Refuse, &Answers::default()).await.unwrap().close().await;
        drop(agent);
        fs::remove_file(bench.path("agent.sock")).ok();
    }
}

#[tokio::test]
async fn jump_hosts_and_proxy_commands_lead_to_the_host() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let (inner, outer) = (bench.serve("AllowTcpForwarding no"), bench.serve(""));
    bench.know(inner);
    let key = bench.authorize("key", "ed25519", "");
    let jump = format!("{}@127.0.0.1:{outer}", me());
    let host = SshHost { proxy_jump: Some(jump.clone()), ..Bench::host(inner, None) };
    let config = SshConfig { identity_files: vec![key.display().to_string()], ..Bench::alone() };
    // The jump host's key is checked on its own.
    let error = failure(&bench, &host, config.clone()).await;
    assert!(matches!(&error, Error::UnknownHostKey { peer, .. } if *peer == format!("127.0.0.1:{outer}")), "{error}");
    bench.know(outer);
    let answers = Answers::default();
    let session = bench.connect_with(&host, config.clone(), HostKeyPolicy::Refuse, &answers).await.unwrap();
    let output = session.run_script("echo \"$SSH_CONNECTION\"", SOON).await.unwrap();
    assert!(output.stdout.trim().ends_with(&format!(" 127.0.0.1 {inner}")), "{}", output.stdout);
    let refused = session.forward("127.0.0.1", outer).await.err().unwrap();
    assert!(matches!(&refused, Error::Denied { .. }), "{refused}");
    session.close().await;
    // ssh_config's ProxyJump does the same, `none` in ecobox's configuration turns it off.
    let jumping = SshConfig { proxy_jump: Some(jump), ..config.clone() };
    let by_config = Configured(vec![
        ("box".to_owned(), SshConfig { hostname: Some("127.0.0.1".to_owned()), ..jumping }),
        ("*".to_owned(), config.clone()),
    ]);
    let named = SshHost { host: "box".to_owned(), ..Bench::host(inner, None) };
    let route = Route::resolve(&named, &by_config, bench.folder.path(), LONG).await.unwrap();
    assert_eq!(route.hops().len(), 2);
    connect(&route, &Keys::default(), HostKeyPolicy::Refuse, &answers).await.unwrap().close().await;
    let direct = SshHost { proxy_jump: Some("none".to_owned()), ..named };
    assert_eq!(Route::resolve(&direct, &by_config, bench.folder.path(), LONG).await.unwrap().hops().len(), 1);
    // A port that nobody listens on, behind the jump host.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = failure(&bench, &SshHost { port: Some(closed), ..host.clone() }, config.clone()).await;
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    // ProxyCommand: ssh itself carries the bytes.
    let command = format!(
        "ssh -F none -o UserKnownHostsFile={} -o IdentityAgent=none -i {} -p {outer} -W %h:%p %r@127.0.0.1",
        bench.path(".ssh/known_hosts").display(),
        key.display()
    );
    let proxied = SshConfig { proxy_command: Some(command), ..config.clone() };
    let host = Bench::host(inner, None);
    let session = bench.connect_with(&host, proxied, HostKeyPolicy::Refuse, &answers).await.unwrap();
    assert_eq!(session.run_script("echo via", SOON).await.unwrap().stdout, "via\n");
    session.close().await;
    let broken = SshConfig { proxy_command: Some("sh -c 'echo no way >&2'".to_owned()), ..config };
    let error = failure(&bench, &host, broken).await;
    assert!(matches!(&error, Error::Connect { source: Some(e), .. } if e.to_string().contains("no way")), "{error:?}");
}

#[tokio::test]
async fn forwarded_connections_carry_bytes() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    let key = bench.authorize("key", "ed25519", "");
    let session = bench.connect(&Bench::host(port, Some(&key))).await.unwrap();
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = echo.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = echo.accept().await.unwrap();
        let (mut read, mut write) = socket.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    });
    let mut stream = session.forward("127.0.0.1", address.port()).await.unwrap();
    stream.write_all(b"there and back").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "there and back");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = session.forward("127.0.0.1", closed).await.err().unwrap();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    session.close().await;
}

#[tokio::test]
async fn host_keys_are_learned_only_when_allowed() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    let key = bench.authorize("key", "ed25519", "");
    let host = Bench::host(port, Some(&key));
    let known = bench.path(".ssh/known_hosts");
    let no = Answers::default();
    let error = bench.connect_with(&host, Bench::alone(), HostKeyPolicy::Ask, &no).await.err().unwrap();
    assert!(matches!(error, Error::UnknownHostKey { .. }), "{error}");
    assert!(no.asked.lock().unwrap()[0].starts_with(&format!("box (127.0.0.1:{port}) ssh-ed25519 SHA256:")));
    let strict = SshConfig { strict: true, ..Bench::alone() };
    assert!(bench.connect_with(&host, strict, HostKeyPolicy::AcceptNew, &no).await.is_err());
    assert!(!known.exists());
    let yes = Answers { accept: true, ..Answers::default() };
    let hashing = SshConfig { hash_known_hosts: true, ..Bench::alone() };
    bench.connect_with(&host, hashing, HostKeyPolicy::Ask, &yes).await.unwrap().close().await;
    assert!(fs::read_to_string(&known).unwrap().starts_with("|1|"));
    run("ssh-keygen", &["-F", &format!("[127.0.0.1]:{port}"), "-f", known.to_str().unwrap()]);
    bench.connect(&host).await.unwrap().close().await;
    // Another key under the name: refused, whatever the policy, and nothing is written.
    let before = fs::read(&known).unwrap();
    fs::remove_file(bench.path("host_ed25519")).unwrap();
    for kind in ["ed25519", "ecdsa"] {
        keygen(&bench.path("host_ed25519"), kind, "");
        let error = bench.connect_with(&host, Bench::alone(), HostKeyPolicy::AcceptNew, &yes).await.err().unwrap();
        assert!(matches!(error, Error::Untrusted { .. }), "{kind}: {error}");
        assert_eq!(fs::read(&known).unwrap(), before);
        fs::remove_file(bench.path("host_ed25519")).unwrap();
    }
    // What cannot be read is not empty.
    fs::remove_file(&known).unwrap();
    fs::create_dir(&known).unwrap();
    let error = bench.connect_with(&host, Bench::alone(), HostKeyPolicy::AcceptNew, &yes).await.err().unwrap();
    assert!(matches!(error, Error::Local { .. }), "{error}");
}

#[tokio::test]
async fn a_host_certificate_of_a_known_authority_is_enough() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let authority = keygen(&bench.path("ca"), "ecdsa", "");
    let certify = |principals: &str, validity: &str| {
        let (ca, key) = (bench.path("ca"), bench.path("host_ed25519.pub"));
        let (ca, key) = (ca.to_str().unwrap(), key.to_str().unwrap());
        run("ssh-keygen", &["-q", "-s", ca, "-I", "test", "-h", "-n", principals, "-V", validity, key]);
    };
    certify("127.0.0.1", "-1h:+1h");
    let port = bench.serve(&format!("HostCertificate {}", bench.path("host_ed25519-cert.pub").display()));
    bench.write(".ssh/known_hosts", &format!("@cert-authority * {authority}"));
    let key = bench.authorize("key", "ed25519", "");
    let host = Bench::host(port, Some(&key));
    bench.connect(&host).await.unwrap().close().await;
    for (principals, validity, why) in
        [("other", "-1h:+1h", "it is for other hosts"), ("127.0.0.1", "-2h:-1h", "it has expired")]
    {
        certify(principals, validity);
        let error = failure(&bench, &host, Bench::alone()).await;
        assert!(matches!(&error, Error::Unproven { detail, .. } if detail.ends_with(why)), "{error}");
    }
    // A bad certificate does no harm where the bare key is known.
    bench.know(port);
    bench.connect(&host).await.unwrap().close().await;
}

#[tokio::test]
async fn noise_around_a_script_is_ignored_and_told_if_it_is_all() {
    if !openssh() {
        return;
    }
    let cases = [
        ("echo MOTD; echo careful >&2; eval \"$SSH_ORIGINAL_COMMAND\"; echo bye; echo bye >&2", Ok("hello\n")),
        ("printf unfinished; sh -c \"$SSH_ORIGINAL_COMMAND\"", Ok("hello\n")),
        (
            "echo This account is currently not available.; exit 1",
            Err("\"This account is currently not available.\", exit status 1"),
        ),
        ("exit 7", Err("nothing was said, exit status 7")),
        ("kill -9 $$", Err("ended by signal KILL")),
    ];
    for (command, want) in cases {
        let bench = Bench::new();
        let port = bench.serve(&format!("ForceCommand {command}"));
        bench.know(port);
        let key = bench.authorize("key", "ed25519", "");
        let session = bench.connect(&Bench::host(port, Some(&key))).await.unwrap();
        match (session.run_script("echo hello; echo said >&2", SOON).await, want) {
            (Ok(output), Ok(want)) => assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (want, "said\n")),
            (Err(Error::Protocol { detail, .. }), Err(want)) => assert!(detail.contains(want), "{command}: {detail}"),
            (got, _) => panic!("{command}: {got:?}"),
        }
        session.close().await;
    }
}

#[tokio::test]
async fn too_much_output_and_hanging_scripts_end() {
    if !openssh() {
        return;
    }
    let bench = Bench::new();
    let port = bench.serve("");
    bench.know(port);
    let key = bench.authorize("key", "ed25519", "");
    let session = bench.connect(&Bench::host(port, Some(&key))).await.unwrap();
    let fits = format!("head -c {} /dev/zero | tr '\\0' x", STDOUT_CAP - 200);
    assert_eq!(session.run_script(&fits, SOON).await.unwrap().stdout.len(), STDOUT_CAP - 200);
    let error = session.run_script("cat /dev/zero", SOON).await.unwrap_err();
    assert!(error.to_string().contains("more than 1024 KiB on stdout"), "{error}");
    let error = session.run_script("cat /dev/zero >&2", SOON).await.unwrap_err();
    assert!(error.to_string().contains("more than 64 KiB on stderr"), "{error}");
    let begun = Instant::now();
    let error = session.run_script("sleep 20", Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "the script had gone on to its end");
    // A background job that keeps the pipes open does not keep us.
    let output = session.run_script("sleep 1000 & echo $!", SOON).await.unwrap();
    let kill = format!("kill {}", output.stdout.trim());
    assert_eq!(session.run_script(&kill, SOON).await.unwrap().status, 0);
    session.close().await;
}
