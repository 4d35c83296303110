//! Which keys log in: of files, of an agent, with certificates; and what is said where none does.

use super::*;

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
    assert!(failure(&bench, &host, config()).await.to_string().contains("line 1 is not a public key"));
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
