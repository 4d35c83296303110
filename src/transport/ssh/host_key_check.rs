//! The check of a host key, and the refusal of everything that a server may want from a client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use russh::Names;
use russh::client::{self, DisconnectReason};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};

use crate::transport::Mismatch;
use crate::transport::ssh::known_hosts::{KnownHosts, Verdict};

/// Checks the host key, and refuses everything that a server may want from a client.
pub(crate) struct Checker {
    pub(super) known: KnownHosts,
    /// Under which it is recorded.
    pub(super) name: String,
    /// The accepted key, for `Session::host_key`.
    pub(super) presented: Arc<Mutex<String>>,
    /// Whether the first key exchange is over.
    pub(super) exchanged: bool,
    pub(super) rekeyed: Arc<AtomicBool>,
}

/// Why a connection ended before it stood.
#[derive(Debug)]
pub(crate) enum Stop {
    Ssh(russh::Error),
    Unknown(Box<PublicKey>),
    Untrusted(Mismatch, String),
    Revoked(String),
    Unproven(String),
    /// Keys were exchanged again.
    Rekeyed,
}

impl From<russh::Error> for Stop {
    fn from(error: russh::Error) -> Stop {
        Stop::Ssh(error)
    }
}

impl client::Handler for Checker {
    type Error = Stop;

    async fn check_server_key(&mut self, presented: &PublicKeyOrCertificate) -> Result<bool, Stop> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let key = presented.public_key();
        let shown = describe(&key);
        let (place, detail) = match self.known.check(presented, now) {
            Verdict::Trusted => {
                *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = shown;
                return Ok(true);
            }
            Verdict::Unknown => return Err(Stop::Unknown(Box::new(key))),
            Verdict::Changed(place) => {
                let detail = format!("its host key {shown} is not the one recorded in {place}");
                (place, detail)
            }
            Verdict::OtherType(place) => {
                let types = self.known.recorded_types();
                let detail =
                    format!("its host key {shown} is not recorded, but a key of another type is ({types} in {place})");
                (place, detail)
            }
            Verdict::Revoked(place) => {
                return Err(Stop::Revoked(format!("its host key {shown} is revoked in {place}")));
            }
            Verdict::BadCertificate(why) => {
                return Err(Stop::Unproven(format!("its host certificate is not acceptable: {why}")));
            }
        };
        // Only what is recorded under the very name can be another one: see `KnownHosts::check`.
        let what = Mismatch::HostKey { file: place.file.to_path_buf(), name: self.name.clone() };
        Err(Stop::Untrusted(what, detail))
    }

    /// In a later key exchange a host may present any key: russh 0.65 checks the signature by that very key, shows it to
    /// nobody (`check_server_key` is for the first exchange alone), and tells only that the exchange is done, before it
    /// uses the new keys. What cannot be compared is not gone on with: the connection ends, and the next one begins with
    /// a key that is checked.
    async fn kex_done(&mut self, _: Option<&[u8]>, _: &Names, _: &mut client::Session) -> Result<(), Stop> {
        if std::mem::replace(&mut self.exchanged, true) {
            self.rekeyed.store(true, Ordering::Relaxed);
            return Err(Stop::Rekeyed);
        }
        Ok(())
    }

    // ecobox asks for no forwarding, so a server has no reason to open a channel. To drop the reply is to refuse; the
    // default would accept.
    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        _: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Stop> {
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Stop>) -> Result<(), Stop> {
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(stop) => Err(stop),
        }
    }
}

/// `ssh-ed25519 SHA256:..`
pub(super) fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}
