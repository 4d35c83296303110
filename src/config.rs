//! The configuration file: where it is, what it says, and that it makes sense.
//!
//! `schema` knows the tables and keys (`doctor`, `energy`, `history`, `idle` and `wol` those of one table each), `validate` what a value looks like, `read` walks the parsed file,
//! `error` gives every complaint its place, `writable_by_others` says whose commands are run, and `edit` adds servers without touching what is there.

mod doctor;
mod edit;
mod energy;
mod error;
mod history;
mod idle;
mod read;
mod schema;
mod secret;
#[cfg(test)]
mod tests;
mod validate;
mod values;
mod wol;
mod writable_by_others;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

pub(crate) use self::edit::{NewServer, add_servers, suggest_id, write_atomically};
pub(crate) use self::error::ConfigError;
use self::error::Problem;
pub(crate) use self::history::{HistoryAuth, HistorySettings};
pub(crate) use self::secret::SecretFrom;
pub(crate) use self::validate::{host as host_name, user as user_name};
pub(crate) use self::wol::{SecureOnFrom, WolSettings};
use crate::file::{self, Contents};
use crate::model::access::certificate::Fingerprint;
use crate::model::check::diagnosis::Mute;
use crate::model::host::idle::IdleSettings;
use crate::model::host::magic_packet::Mac;
use crate::model::id::{GuestKind, ServerId, VmId};
use crate::model::inventory::server::{Expected, Service};
use crate::model::load::energy::{EnergyPrice, EnergySettings};

/// The port of the Proxmox VE API unless `api_port` says another.
pub(crate) const API_PORT: u16 = 8006;

/// What ecobox writes for a newcomer; every key with its default.
pub(crate) const EXAMPLE: &str = include_str!("../config.example.toml");

/// A configuration is text that a person wrote; more than this is some other file.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The whole file, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    /// In the order of the file.
    pub(crate) servers: Vec<ServerConfig>,
    /// Settings that were accepted and have no effect: those of ecobox-server's web server, and SSH settings
    /// of servers that are reached by the API only.
    pub(crate) ignored: Vec<String>,
}

/// `[dashboard]`, `[history]`, `[ssh]`, `[doctor]` and `[energy]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// How old the list of guests may grow.
    pub(crate) vm_discovery_interval: Duration,
    /// How often `watch` looks again.
    pub(crate) update_interval: Duration,
    /// How old what was found out about a host may grow.
    pub(crate) system_check_interval: Duration,
    pub(crate) wol_retry_interval: Duration,
    pub(crate) wol_max_retries: u32,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) log_level: Option<String>,
    pub(crate) history: HistorySettings,
    pub(crate) ssh_config: SshConfigSetting,
    /// Findings of `doctor` that do not count.
    pub(crate) mute: Vec<Mute>,
    /// What energy costs.
    pub(crate) energy: EnergyPrice,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            vm_discovery_interval: Duration::from_secs(300),
            update_interval: Duration::from_secs(30),
            system_check_interval: Duration::from_secs(300),
            wol_retry_interval: Duration::from_secs(10),
            wol_max_retries: 5,
            log_level: None,
            history: HistorySettings::default(),
            ssh_config: SshConfigSetting::Default,
            mute: Vec::new(),
            energy: EnergyPrice::default(),
        }
    }
}

/// Which `ssh_config` counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SshConfigSetting {
    /// None at all.
    Off,
    /// The user's and the system's, as for `ssh`.
    Default,
    /// This file alone, as for `ssh -F`.
    File(PathBuf),
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Ssh,
    /// It is this machine.
    Local,
    /// By the Proxmox VE API only.
    Api,
}

/// One `[[servers]]` entry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServerConfig {
    pub(crate) id: ServerId,
    /// The id unless given.
    pub(crate) name: String,
    /// What one dials; `localhost` for this machine, empty for a guest whose address is found out.
    pub(crate) hostname: String,
    pub(crate) access: Access,
    /// `mac_address`, or `mac` of `[servers.wol]`.
    pub(crate) mac: Option<Mac>,
    pub(crate) wol: WolSettings,
    /// `[servers.idle]`, completed by `[idle]`.
    pub(crate) idle: IdleSettings,
    /// `[servers.energy]`.
    pub(crate) energy: EnergySettings,
    pub(crate) ssh_user: Option<String>,
    pub(crate) ssh_port: Option<u16>,
    pub(crate) ssh_key_path: Option<PathBuf>,
    /// `none`, or hops as OpenSSH's `ProxyJump` writes them.
    pub(crate) proxy_jump: Option<String>,
    pub(crate) parent_server_id: Option<ServerId>,
    pub(crate) services: Vec<Service>,
    pub(crate) api_port: Option<u16>,
    pub(crate) verify_tls: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Program and arguments; prints `user@realm!tokenid=secret`.
    pub(crate) token_command: Option<Vec<String>>,
    pub(crate) tags: Vec<String>,
    pub(crate) expected: Option<Expected>,
}

impl ServerConfig {
    /// The port of the API.
    pub(crate) fn api_port(&self) -> u16 {
        self.api_port.unwrap_or(API_PORT)
    }

    /// Whether it says what the API's certificate must satisfy; else that is learned.
    pub(crate) fn is_trust_configured(&self) -> bool {
        self.fingerprint.is_some() || self.ca_file.is_some() || !self.verify_tls
    }

    /// The guest that this entry is about, where its id is one that a guest of its parent has:
    /// `pve1-vm-101` under `pve1`.
    pub(crate) fn guest_ref(&self) -> Option<(ServerId, GuestKind, VmId)> {
        let parent = self.parent_server_id.as_ref()?;
        let rest = self.id.as_str().strip_prefix(parent.as_str())?.strip_prefix('-')?;
        let (kind, number) = rest.split_once('-')?;
        let kind = [GuestKind::Qemu, GuestKind::Lxc].into_iter().find(|guest| guest.short() == kind)?;
        let vmid: VmId = number.parse().ok()?;
        // `pve1-vm-0101` is no id that a guest gets.
        (ServerId::of_guest(parent, kind, vmid) == self.id).then(|| (parent.clone(), kind, vmid))
    }
}

impl Config {
    /// Reads a configuration from its text; `path` is for messages, and its folder for relative paths.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        Config::parse_at_home(text, path, std::env::home_dir().as_deref())
    }

    fn parse_at_home(text: &str, path: &Path, home: Option<&Path>) -> Result<Config, ConfigError> {
        // Editors on other systems put a byte order mark first; toml would count it into the columns.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let folders = values::Folders { config: path.parent().unwrap_or(Path::new("")), home };
        let read = || {
            let map = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
            schema::read(text, map.get_ref(), &folders)
        };
        let tables = read().map_err(|problem: Problem| problem.locate(text, path))?;
        let schema::Tables { settings, servers, ignored } = tables;
        Ok(Config { path: path.to_owned(), settings, servers, ignored })
    }

    /// What holds before there is a file: no server, the usual settings.
    pub(crate) fn empty(path: PathBuf) -> Config {
        Config { path, settings: Settings::default(), servers: Vec::new(), ignored: Vec::new() }
    }
}

/// toml's own error, in the form of ours.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let message = error.message().trim_end();
    Problem::new(error.span().unwrap_or(text.len()..text.len()), message)
}

/// Where the configuration file is: `--config`, else `ECOBOX_CONFIG`, else
/// `$XDG_CONFIG_HOME/ecobox/config.toml`. Never in the current folder. `var` reads the environment.
pub(crate) fn find(flag: Option<&Path>, var: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = flag {
        return path.to_owned();
    }
    if let Some(path) = set("ECOBOX_CONFIG") {
        return path;
    }
    // The XDG base directory specification: a relative path there is to be ignored.
    let folder = set("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute()).unwrap_or_else(|| {
        let home = set("HOME").or_else(std::env::home_dir).unwrap_or_else(|| PathBuf::from("/"));
        home.join(".config")
    });
    folder.join("ecobox").join("config.toml")
}

/// Reads and checks the file at `path`, and waits for it no longer than `patience`.
pub(crate) fn load(path: &Path, patience: Duration) -> Result<Config, ConfigError> {
    let Contents { bytes, meta } = read(path, patience)?;
    let config = Config::parse(&decode(bytes, path)?, path)?;
    writable_by_others::check(&config, &meta)?;
    Ok(config)
}

/// The text of the file at `path`.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    decode(read(path, file::PATIENCE)?.bytes, path)
}

fn read(path: &Path, patience: Duration) -> Result<Contents, ConfigError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => ConfigError::NotFound { path: path.to_owned() },
        _ => ConfigError::Read { path: path.to_owned(), source },
    };
    file::refuse_foreign_links(path).map_err(|link| failed(link.into()))?;
    file::read_blocking(path, MAX_BYTES, patience).map_err(failed)
}

fn decode(bytes: Vec<u8>, path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        Problem::new(valid..valid + 1, "this is not UTF-8 text").locate(&text, path)
    })
}
