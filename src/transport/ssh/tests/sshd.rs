//! Against the real sshd.

mod keys;

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
