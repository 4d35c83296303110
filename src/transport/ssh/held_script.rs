//! A script on a host that goes on until its input ends.

use std::time::Duration;

use russh::{ChannelMsg, client};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::transport::held_script::{Begin, Begun, HERE, Held, SIGN};
use crate::transport::ssh::session::Session;
use crate::transport::{ConnectFailure, Error};

type Channel = russh::Channel<client::Msg>;

impl Session {
    /// Runs a script that goes on until its input ends, once it has printed `MARK held`, where `$mark` is MARK. It gets a
    /// line a minute: one that hears nothing for long should end. Where it ended instead: what it said.
    ///
    /// # Errors
    /// Those of a script.
    pub(crate) async fn hold(&self, script: &str, deadline: Duration) -> Result<Result<Held, String>, Error> {
        let peer = || self.peer().to_owned();
        let late = |_| Error::Timeout { peer: peer(), doing: "running a script", after: deadline };
        let begun = timeout(deadline, async {
            let mut channel = self.channel().await?;
            let words = begin(&mut channel, script).await.map_err(|_| Error::Connect {
                peer: peer(),
                failure: ConnectFailure::Closed,
                source: None,
            })?;
            Ok((channel, words))
        });
        let (channel, words) = begun.await.map_err(late)??;
        Ok(match words {
            Some(words) => Err(words),
            None => Ok(Held::new(|stopped| tokio::spawn(keep(channel, stopped)))),
        })
    }
}

/// Sends the script and waits until it has begun; gives what it said instead, if it ends.
async fn begin(channel: &mut Channel, script: &str) -> Result<Option<String>, russh::Error> {
    let mut begin = Begin::new(script);
    // The word is not read: it marks that the input goes on after the script.
    channel.exec(true, "sh -s held").await?;
    channel.data(begin.stdin()).await?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, ext: 1 }) => match begin.hear(&data) {
                Some(Begun::Runs) => return Ok(None),
                Some(Begun::Over) => return Ok(Some(begin.words())),
                None => {}
            },
            Some(ChannelMsg::Close | ChannelMsg::Failure) | None => return Ok(Some(begin.words())),
            Some(_) => {}
        }
    }
}

/// Lets it run until it is to stop, or ends by itself.
async fn keep(mut channel: Channel, mut stopped: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            // The holder is gone without stopping it.
            _ = &mut stopped => break,
            () = tokio::time::sleep(SIGN) => if channel.data(HERE).await.is_err() { return },
            message = channel.wait() => if let None | Some(ChannelMsg::Close) = message { return },
        }
    }
    if channel.eof().await.is_ok() {
        while !matches!(channel.wait().await, None | Some(ChannelMsg::Close)) {}
    }
}
