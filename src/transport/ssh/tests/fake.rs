//! SSH servers in this process that do what sshd does not.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use russh::keys::{Algorithm, PrivateKey, ssh_key::LineEnding};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Preferred};

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    NoSession,
    NoExec,
    Silent,
    Flood,
    /// Exit status, EOF and close before the output's end mark.
    CutOff,
    /// Output and end, no exit status and no close.
    NoStatus,
    HangUp,
    /// Opens channels of its own to the client.
    Curious,
    SecondFactor,
    HangAtLogin,
    /// Knows who comes by other means, as Tailscale does.
    NoKey,
    /// Wants new keys as soon as a little was said.
    Rekey,
}

#[derive(Clone)]
struct Fake {
    manner: Manner,
    /// Channels that the client let the server open.
    opened: Arc<AtomicUsize>,
    input: HashMap<ChannelId, Vec<u8>>,
}

impl server::Handler for Fake {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        Ok(if self.manner == Manner::NoKey { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        match self.manner {
            Manner::HangAtLogin => std::future::pending().await,
            Manner::SecondFactor => {
                let methods = MethodSet::from(&[MethodKind::KeyboardInteractive][..]);
                Ok(Auth::Reject { proceed_with_methods: Some(methods), partial_success: true })
            }
            _ => Ok(Auth::Accept),
        }
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        if self.manner == Manner::NoSession {
            return Ok(());
        }
        reply.accept().await;
        if self.manner == Manner::Curious {
            let (handle, opened) = (session.handle(), Arc::clone(&self.opened));
            tokio::spawn(async move {
                let agent = handle.channel_open_agent().await.is_ok();
                let x11 = handle.channel_open_x11("127.0.0.1", 1).await.is_ok();
                let forwarded = handle.channel_open_forwarded_tcpip("a", 1, "b", 2).await.is_ok();
                let count = [agent, x11, forwarded].iter().filter(|open| **open).count();
                opened.store(100 + count, Ordering::SeqCst);
            });
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        match self.manner {
            Manner::NoExec => session.channel_failure(channel),
            Manner::HangUp => Err(russh::Error::Disconnect),
            _ => session.channel_success(channel),
        }
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _: &mut server::Session) -> Result<(), russh::Error> {
        self.input.entry(channel).or_default().extend_from_slice(data);
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut server::Session) -> Result<(), russh::Error> {
        if self.manner == Manner::Silent {
            return Ok(());
        }
        if self.manner == Manner::Flood {
            let handle = session.handle();
            tokio::spawn(async move { while handle.data(channel, vec![b'x'; 30_000]).await.is_ok() {} });
            return Ok(());
        }
        let input = self.input.remove(&channel).unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn()?;
        child.stdin.take().unwrap().write_all(&input)?;
        let mut output = child.wait_with_output()?;
        if self.manner == Manner::CutOff {
            session.exit_status_request(channel, 0)?;
            output.stdout.truncate(output.stdout.len() - 10);
        }
        session.data(channel, output.stdout)?;
        session.extended_data(channel, 1, output.stderr)?;
        if self.manner != Manner::NoStatus {
            session.exit_status_request(channel, 5)?;
            session.eof(channel)?;
            session.close(channel)?;
        }
        Ok(())
    }
}

/// A folder with a user's key, and a server that knows neither it nor any other.
struct Scene {
    home: tempfile::TempDir,
    host: SshHost,
    fake: Fake,
}

impl Scene {
    async fn new(manner: Manner, preferred: Preferred) -> Scene {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let key = || PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let (user, server) = (key(), key());
        let file = home.path().join("key");
        fs::write(&file, user.to_openssh(LineEnding::LF).unwrap()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let known = format!("[127.0.0.1]:{port} {}\n", server.public_key().to_openssh().unwrap());
        fs::write(home.path().join(".ssh/known_hosts"), known).unwrap();
        let fake = Fake { manner, opened: Arc::default(), input: HashMap::new() };
        let config = Arc::new(server::Config {
            keys: vec![server],
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            preferred,
            limits: russh::Limits {
                rekey_read_limit: if manner == Manner::Rekey { 2500 } else { 1 << 30 },
                ..russh::Limits::default()
            },
            ..server::Config::default()
        });
        let template = fake.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (config, fake) = (Arc::clone(&config), template.clone());
                tokio::spawn(async move {
                    if let Ok(running) = server::run_stream(config, socket, fake).await {
                        let _ = running.await;
                    }
                });
            }
        });
        Scene { host: Bench::host_of("root", port, Some(&file)), home, fake }
    }

    async fn connect(&self) -> Result<Session, Error> {
        let configured = Configured(vec![("*".to_owned(), Bench::alone())]);
        if self.fake.manner == Manner::NoKey {
            fs::remove_file(self.home.path().join("key")).unwrap();
        }
        let limit = if self.fake.manner == Manner::HangAtLogin { Duration::from_millis(500) } else { SOON };
        let route = Route::resolve(&self.host, &configured, self.home.path(), limit).await.unwrap();
        connect(&route, &Keys::default(), HostKeyPolicy::Refuse, &Answers::default()).await
    }
}

#[tokio::test]
async fn sessions_end_as_the_server_makes_them() {
    let cases = [
        (Manner::Good, Ok(())),
        (Manner::NoKey, Ok(())),
        (Manner::NoStatus, Ok(())),
        (Manner::Curious, Ok(())),
        (Manner::NoSession, Err("refused: it allows no commands")),
        (Manner::NoExec, Err("refused: it runs no commands for this user")),
        (Manner::Flood, Err("more than 1024 KiB on stdout")),
        (Manner::CutOff, Err("the script was cut off after")),
        (Manner::HangUp, Err("no shell ran the script, and nothing was said")),
        (Manner::Silent, Err("did not answer within 0.5 s (running a script)")),
    ];
    for (manner, want) in cases {
        let scene = Scene::new(manner, Preferred::DEFAULT).await;
        let session = scene.connect().await.unwrap();
        let deadline = if manner == Manner::Silent { Duration::from_millis(500) } else { SOON };
        let begun = Instant::now();
        let result = session.run_script("echo hello; exit 3", deadline).await;
        assert!(begun.elapsed() < SOON, "{manner:?}: {:?}", begun.elapsed());
        match (result, want) {
            (Ok(output), Ok(())) => assert_eq!((output.stdout.as_str(), output.status), ("hello\n", 3), "{manner:?}"),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{manner:?}: {error}"),
            (got, _) => panic!("{manner:?}: {got:?}"),
        }
        if manner == Manner::Curious {
            while scene.fake.opened.load(Ordering::SeqCst) < 100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(scene.fake.opened.load(Ordering::SeqCst), 100, "no channel may be opened to a client");
        }
        session.close().await;
    }
}

#[tokio::test]
async fn logins_that_need_more_or_never_end_are_told() {
    let scene = Scene::new(Manner::SecondFactor, Preferred::DEFAULT).await;
    let error = scene.connect().await.err().unwrap();
    assert!(matches!(&error, Error::Denied { .. }), "{error}");
    assert!(error.to_string().contains("but not enough; it also wants keyboard-interactive"), "{error}");
    let scene = Scene::new(Manner::HangAtLogin, Preferred::DEFAULT).await;
    let error = scene.connect().await.err().unwrap();
    assert!(matches!(&error, Error::Timeout { doing: "logging in", .. }), "{error}");
}

/// russh shows nobody the host key of a later exchange: no such connection is gone on with.
#[tokio::test]
async fn a_connection_ends_where_keys_are_exchanged_again() {
    let scene = Scene::new(Manner::Rekey, Preferred::DEFAULT).await;
    let session = scene.connect().await.unwrap();
    let long = format!(": {}\necho hello", "x".repeat(8000));
    let error = session.run_script(&long, SOON).await.unwrap_err();
    assert!(error.to_string().contains("its host key cannot be compared: the connection was ended"), "{error}");
    assert!(session.is_closed());
    let error = session.run_script("true", SOON).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error:?}");
    // The next one begins with the check of the key.
    assert!(!scene.connect().await.unwrap().is_closed());
}

#[tokio::test]
async fn a_lost_connection_is_known_before_the_next_script() {
    let scene = Scene::new(Manner::HangUp, Preferred::DEFAULT).await;
    let session = scene.connect().await.unwrap();
    assert!(session.run_script("true", SOON).await.is_err());
    let error = session.run_script("true", SOON).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error:?}");
    assert!(session.is_closed());
}

#[tokio::test]
async fn servers_of_all_ages_have_an_algorithm_in_common() {
    use russh::{cipher, kex, mac};
    type Kex = &'static [kex::Name];
    type Cipher = &'static [cipher::Name];
    type Mac = &'static [mac::Name];
    let cases: [(Kex, Cipher, Mac); 7] = [
        (&[kex::MLKEM768X25519_SHA256], &[cipher::CHACHA20_POLY1305], &[mac::HMAC_SHA256_ETM]),
        (&[kex::CURVE25519], &[cipher::AES_256_GCM], &[mac::HMAC_SHA512_ETM]),
        (&[kex::ECDH_SHA2_NISTP256], &[cipher::AES_128_GCM], &[mac::HMAC_SHA512_ETM]),
        (&[kex::ECDH_SHA2_NISTP384], &[cipher::AES_256_GCM], &[mac::HMAC_SHA512_ETM]),
        (&[kex::ECDH_SHA2_NISTP521], &[cipher::AES_256_GCM], &[mac::HMAC_SHA512_ETM]),
        (&[kex::DH_G16_SHA512], &[cipher::AES_256_CTR], &[mac::HMAC_SHA512]),
        (&[kex::DH_G14_SHA256], &[cipher::AES_128_CTR], &[mac::HMAC_SHA256]),
    ];
    for (kex, cipher, mac) in cases {
        let preferred = Preferred { kex: kex.into(), cipher: cipher.into(), mac: mac.into(), ..Preferred::DEFAULT };
        let scene = Scene::new(Manner::Good, preferred).await;
        scene.connect().await.unwrap_or_else(|e| panic!("{kex:?}: {e}")).close().await;
    }
    let sha1 = [
        (
            Preferred {
                mac: (&[mac::HMAC_SHA1][..]).into(),
                cipher: (&[cipher::AES_256_CTR][..]).into(),
                ..Preferred::DEFAULT
            },
            "no MAC that ecobox takes, only hmac-sha1; ecobox takes hmac-sha2-512-etm@openssh.com, ",
        ),
        (
            Preferred { kex: (&[kex::DH_G14_SHA1, kex::DH_G1_SHA1][..]).into(), ..Preferred::DEFAULT },
            "no key exchange that ecobox takes, only diffie-hellman-group14-sha1, diffie-hellman-group1-sha1; ecobox takes",
        ),
    ];
    for (preferred, want) in sha1 {
        let error = Scene::new(Manner::Good, preferred).await.connect().await.err().unwrap();
        assert!(matches!(&error, Error::Protocol { .. }) && error.to_string().contains(want), "{error}");
    }
}
