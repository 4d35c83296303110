//! Runs a command of a login and carries its input, output and exit status over a channel.

use std::process::Stdio;
use std::sync::Arc;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

use crate::host::{Host, kill_group};

/// How much is read from the command before it is sent.
const CHUNK: usize = 32 * 1024;

/// Runs a command in the host's login shell until it ends or the client is gone.
pub(super) async fn run(channel: Channel<Msg>, host: Host, login: String, command: String, with_status: bool) {
    let (reader, writer) = channel.split();
    let writer = Arc::new(writer);
    let spawned = Command::new(host.login_program())
        .arg(login)
        .env_clear()
        .env("SSH_ORIGINAL_COMMAND", command)
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let _ = writer.extended_data_bytes(1, format!("simulator: {error}\n").into_bytes()).await;
            let _ = writer.close().await;
            return;
        }
    };
    let mut group = Group { id: child.id().map(|id| id.to_string()), host };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let output = async {
        let copy_out = send(stdout, &writer, None);
        let copy_err = send(stderr, &writer, Some(1));
        let ((), (), status) = tokio::join!(copy_out, copy_err, child.wait());
        status.ok().and_then(|status| status.code())
    };
    let ended = tokio::select! {
        code = output => Some(code),
        () = feed(reader, stdin) => None,
    };
    if let Some(code) = ended {
        group.id = None;
        if with_status {
            let _ = writer.exit_status(code.and_then(|code| u32::try_from(code).ok()).unwrap_or(255)).await;
        }
        let _ = writer.eof().await;
        let _ = writer.close().await;
    }
}

/// A command's processes, which end with the connection or the server unless the host was told otherwise.
struct Group {
    id: Option<String>,
    host: Host,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id.take()
            && !self.host.control().outlives_connections()
        {
            kill_group(&id);
        }
    }
}

/// Prints without end, until the client is gone.
pub(super) async fn endless(channel: Channel<Msg>) {
    let (mut reader, writer) = channel.split();
    let print = async {
        let chunk = "all work and no play makes a dull host\n".repeat(CHUNK / 40);
        while writer.data_bytes(chunk.clone().into_bytes()).await.is_ok() {}
    };
    let gone = async { while reader.wait().await.is_some_and(|message| !matches!(message, ChannelMsg::Close)) {} };
    tokio::select! { () = print => {}, () = gone => {} }
}

/// Hands the client's input to the command, and its end; returns when the client closed the channel.
async fn feed(mut reader: ChannelReadHalf, mut stdin: Option<ChildStdin>) {
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                // A command that does not read its input is no reason to end.
                if let Some(pipe) = &mut stdin
                    && pipe.write_all(&data).await.is_err()
                {
                    stdin = None;
                }
            }
            ChannelMsg::Eof => stdin = None,
            ChannelMsg::Close | ChannelMsg::Signal { .. } => return,
            _ => {}
        }
    }
}

async fn send(pipe: Option<impl AsyncRead + Unpin>, writer: &ChannelWriteHalf<Msg>, stream: Option<u32>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        let data = chunk[..count].to_vec();
        let sent = match stream {
            None => writer.data_bytes(data).await,
            Some(stream) => writer.extended_data_bytes(stream, data).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
