//! One SSH connection: the login, commands, forwardings.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session as Russh, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::{Counts, Shared, SshFault, exec};

/// The server's side of one connection.
pub(super) struct Session {
    shared: Arc<Shared>,
    login: String,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Session {
        Session { shared, login: String::new(), channels: HashMap::new() }
    }

    fn fault(&self) -> Option<SshFault> {
        self.shared.settings().fault
    }

    /// Where a forwarding leads: a mapped port, or a port of this machine. Nothing else can be reached.
    fn forward_target(&self, host: &str, port: u32) -> Option<SocketAddr> {
        let port = u16::try_from(port).ok()?;
        if let Some(real) = self.shared.host.mapped_port(port) {
            return Some(real);
        }
        let ip = if host == "localhost" { IpAddr::from([127, 0, 0, 1]) } else { host.parse().ok()? };
        ip.is_loopback().then(|| SocketAddr::new(ip, port))
    }
}

impl Handler for Session {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if self.fault() == Some(SshFault::HangInAuth) {
            std::future::pending::<()>().await;
        }
        let known = self.shared.host.logins().iter().any(|login| login.name == user);
        let offered = key.public_key.key_data();
        let authorized = self.shared.settings().authorized.iter().any(|key| key.key_data() == offered);
        if known && authorized && !self.shared.host.has_no_keys_of(user) {
            user.clone_into(&mut self.login);
            Counts::add(&self.shared.counts.logins);
            Ok(Auth::Accept)
        } else {
            Counts::add(&self.shared.counts.refused_logins);
            Ok(Auth::reject())
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), Self::Error> {
        Counts::add(&self.shared.counts.channels);
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Russh) -> Result<(), Self::Error> {
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        let command = String::from_utf8_lossy(command).into_owned();
        Counts::add(&self.shared.counts.commands);
        self.shared.settings().commands.push(command.clone());
        session.channel_success(id)?;
        match self.fault() {
            Some(SshFault::HangInExec) => {
                self.channels.insert(id, channel);
            }
            Some(SshFault::CloseInExec) => return Err(russh::Error::Disconnect),
            Some(SshFault::EndlessOutput) => {
                tokio::spawn(exec::endless(channel));
            }
            fault => {
                let with_status = fault != Some(SshFault::NoExitStatus);
                tokio::spawn(exec::run(channel, self.shared.host.clone(), self.login.clone(), command, with_status));
            }
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Russh,
    ) -> Result<(), Self::Error> {
        if self.shared.settings().refuse_forwarding {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        let Some(target) = self.forward_target(host, port) else {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        };
        let counts = Arc::clone(&self.shared.counts);
        tokio::spawn(async move {
            let Ok(mut stream) = TcpStream::connect(target).await else {
                return reply.reject(ChannelOpenFailure::ConnectFailed).await;
            };
            let _ = stream.set_nodelay(true);
            Counts::add(&counts.channels);
            Counts::add(&counts.forwards);
            reply.accept().await;
            let _ = copy_bidirectional(&mut stream, &mut channel.into_stream()).await;
        });
        Ok(())
    }
}
