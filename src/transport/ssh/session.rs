//! A connection to a host, logged in: scripts and forwarded connections over it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use russh::{ChannelMsg, ChannelOpenFailure, Disconnect, Sig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use crate::transport::script::{Framed, Outputs, ScriptOutput, overdue};
use crate::transport::ssh::hop::{Link, REKEYED, direct};
use crate::transport::{ConnectFailure, Denial, Error};

/// sshd refuses the eleventh channel (`MaxSessions 10`), and counts those that end in the moment new ones are opened.
const MOST_CHANNELS: usize = 5;
/// How long a polite end may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// An open SSH connection. Dropped, it ends at once, with all that is forwarded over it.
pub(crate) struct Session {
    /// The jump hosts' connections, then the host's own.
    links: Vec<Link>,
    last: Link,
    label: String,
    peer: String,
    channels: Arc<Semaphore>,
}

impl Session {
    pub(super) fn new(links: Vec<Link>, last: Link, label: String, peer: String) -> Session {
        Session { links, last, label, peer, channels: Arc::new(Semaphore::new(MOST_CHANNELS)) }
    }

    /// The key that the host proved to have: `ssh-ed25519 SHA256:..`.
    pub(crate) fn host_key(&self) -> &str {
        &self.last.host_key
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.last.handle.is_closed() || self.links().any(|link| link.rekeyed.load(Ordering::Relaxed))
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().chain([&self.last])
    }

    /// Whether the host answers now: an open connection alone looks as if it did, long after the host is gone.
    pub(crate) async fn answers(&self, deadline: Duration) -> bool {
        let asked = tokio::time::timeout(deadline, self.last.handle.send_ping()).await;
        matches!(asked, Ok(Ok(()))) && !self.is_closed()
    }

    /// Runs a POSIX sh script by `sh -s`. At the deadline the shell is sent TERM and left alone.
    ///
    /// Errors: `Connect` if the connection is gone before anything was sent, `Denied` if the server allows no command,
    /// `Protocol` if the output is too long, cut off, or not the script's; `Timeout`.
    pub(crate) async fn run_script(&self, script: &str, deadline: Duration) -> Result<ScriptOutput, Error> {
        let begun = Instant::now();
        let until = tokio::time::Instant::now() + deadline;
        let mut outputs = Outputs::default();
        let result = self.converse(&Framed::new(script), &mut outputs, until).await;
        tracing::debug!(server = self.label, ms = begun.elapsed().as_millis(), ok = result.is_ok(), "script ended");
        result.unwrap_or_else(|Late| Err(overdue(&self.peer, deadline, &outputs.stderr)))
    }

    async fn converse(
        &self,
        framed: &Framed,
        outputs: &mut Outputs,
        until: tokio::time::Instant,
    ) -> Result<Result<ScriptOutput, Error>, Late> {
        let opened = tokio::time::timeout_at(until, async {
            let turn = Arc::clone(&self.channels).acquire_owned().await;
            (turn, self.last.handle.channel_open_session().await)
        });
        let (turn, opened) = opened.await.map_err(|_| Late)?;
        let mut channel = match opened {
            Ok(channel) => channel,
            Err(russh::Error::ChannelOpenFailure(why)) => return Ok(Err(self.no_channel(&why))),
            Err(_) => {
                return Ok(Err(Error::Connect {
                    peer: self.peer.clone(),
                    failure: ConnectFailure::Closed,
                    source: None,
                }));
            }
        };
        let talk = tokio::time::timeout_at(until, self.talk(&mut channel, framed, outputs)).await;
        if let Ok(Err(_)) = talk {
            // Whatever still comes is not wanted.
            let _ = channel.close().await;
        } else {
            if talk.is_err() {
                // Only a request. What ignores it goes on, and loses its pipes when the session ends.
                let _ = channel.signal(Sig::TERM).await;
            }
            // sshd counts the channel until its shell has ended; only the next in the queue waits for that. It must
            // close first: after an own close russh 0.65 never tells of the server's.
            tokio::spawn(async move {
                while !matches!(channel.wait().await, None | Some(ChannelMsg::Close)) {}
                drop(turn);
            });
        }
        talk.map_err(|_| Late)
    }

    async fn talk(
        &self,
        channel: &mut russh::Channel<russh::client::Msg>,
        framed: &Framed,
        outputs: &mut Outputs,
    ) -> Result<ScriptOutput, Error> {
        let unusable = |detail: String| Error::Protocol { peer: self.peer.clone(), detail };
        let lost = |_| unusable("the connection was lost while a script ran".to_owned());
        let rekeyed = || self.links().any(|link| link.rekeyed.load(Ordering::Relaxed));
        channel.exec(true, "sh -s").await.map_err(lost)?;
        channel.data(framed.stdin().as_bytes()).await.map_err(lost)?;
        channel.eof().await.map_err(lost)?;
        let (mut status, mut ended) = (None, None);
        while !framed.complete(&outputs.stdout, &outputs.stderr) {
            let kept = match channel.wait().await {
                Some(ChannelMsg::Data { data }) => outputs.stdout(&data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => outputs.stderr(&data),
                // It may come before the last of the output.
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    status = i32::try_from(exit_status).ok();
                    Ok(())
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    ended = Some(format!("; it was ended by signal {signal_name:?}"));
                    Ok(())
                }
                Some(ChannelMsg::Failure) => {
                    let detail = "it runs no commands for this user".to_owned();
                    return Err(Error::Denied { peer: self.peer.clone(), why: Denial::Use, detail });
                }
                Some(_) => Ok(()),
                None if rekeyed() => return Err(unusable(REKEYED.to_owned())),
                None => break,
            };
            kept.map_err(unusable)?;
        }
        let ended = ended.unwrap_or_default();
        let parsed = framed.parse(&outputs.stdout, &outputs.stderr, status);
        parsed.map_err(|detail| unusable(format!("{detail}{ended}")))
    }

    /// Who this is with, for messages.
    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    /// A channel of its own, for as long as somebody wants it: it is not one of those that take turns.
    pub(super) async fn channel(&self) -> Result<russh::Channel<russh::client::Msg>, Error> {
        self.last.handle.channel_open_session().await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(why) => self.no_channel(&why),
            _ => Error::Connect { peer: self.peer.clone(), failure: ConnectFailure::Closed, source: None },
        })
    }

    fn no_channel(&self, why: &ChannelOpenFailure) -> Error {
        let detail = match why {
            ChannelOpenFailure::AdministrativelyProhibited => "it allows no commands".to_owned(),
            why => format!("it opens no more channels ({why:?}; MaxSessions in its sshd_config)"),
        };
        Error::Denied { peer: self.peer.clone(), why: Denial::Use, detail }
    }

    /// A TCP connection to `host:port` as seen from the server. It ends with the session.
    ///
    /// Errors: `Connect` if the server cannot reach it, `Denied` if it does not forward.
    pub(crate) async fn forward(
        &self,
        host: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Error> {
        direct(&self.last.handle, &self.peer, host, port).await
    }

    /// Says goodbye to the host, then to the jump hosts, and waits half a second for it at most.
    pub(crate) async fn close(self) {
        let all = async {
            for link in std::iter::once(self.last).chain(self.links.into_iter().rev()) {
                // A dropped connection would lose the packet: the task that sends it must end by itself.
                if link.handle.disconnect(Disconnect::ByApplication, "", "en").await.is_ok() {
                    let _ = link.handle.await;
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

/// The deadline has passed.
struct Late;
