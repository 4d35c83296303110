//! The tables of the file: which keys there are, what they default to, and how they exclude each other.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::DeTable;

use super::doctor;
use super::energy;
use super::error::{Checked, Problem};
use super::history;
use super::idle;
use super::read::Reader;
use super::validate;
use super::values::{Folders, command, duration, each, expecting};
use super::wol;
use super::{Access, ServerConfig, Settings, SshConfigSetting};
use crate::model::access::certificate::Fingerprint;
use crate::model::host::idle::IdleSettings;
use crate::model::id::{ServerId, VmId};
use crate::model::inventory::server::{Service, ServiceType};
use crate::model::load::energy::EnergySettings;
use crate::model::text::{did_you_mean, quoted};

const TOP: &[&str] = &["dashboard", "history", "ssh", "doctor", "idle", "energy", "servers"];
const DASHBOARD: &[&str] = &[
    "vm_discovery_interval",
    "update_interval",
    "system_check_interval",
    "wol_retry_interval",
    "wol_max_retries",
    "log_level",
];
/// What only the web server of ecobox-server used, under `[dashboard]`.
const WEB: &[&str] = &[
    "port",
    "host",
    "log_file",
    "init_check_interval",
    "force_reinitialization",
    "metrics_data_dir",
    "metrics_flush_interval",
    "iap_auth",
    "session_key_file",
    "password_file",
];
const SSH: &[&str] = &["config"];
const SERVER: &[&str] = &[
    "id",
    "name",
    "hostname",
    "type",
    "local",
    "parent_server_id",
    "mac_address",
    "ssh_user",
    "ssh_port",
    "ssh_key_path",
    "proxy_jump",
    "api_port",
    "verify_tls",
    "ca_file",
    "fingerprint",
    "token_command",
    "tags",
    "expected",
    "services",
    "wol",
    "idle",
    "energy",
];
const SERVICE: &[&str] = &["name", "port", "type"];
/// The settings of a server that only matter where SSH is used.
const SSH_ONLY: [&str; 4] = ["ssh_user", "ssh_port", "ssh_key_path", "proxy_jump"];
const AT_TOP: &str = "at the top level";
const IN_DASHBOARD: &str = "in [dashboard]";
const IN_SSH: &str = "in [ssh]";
const IN_SERVER: &str = "in [[servers]]";
const IN_SERVICE: &str = "in [[servers.services]]";
const ELSEWHERE: &[(&[&str], &str)] = &[
    (SERVER, IN_SERVER),
    (DASHBOARD, IN_DASHBOARD),
    (history::ONLY_HERE, history::PLACE),
    (wol::ONLY_HERE, wol::PLACE),
    (doctor::KEYS, doctor::PLACE),
    (idle::ONLY_HERE, idle::PLACE),
    (energy::KEYS, energy::PLACE),
    (energy::OF_SERVER_KEYS, energy::OF_SERVER),
    (TOP, AT_TOP),
];

/// Every key that the example has to show.
#[cfg(test)]
pub(super) fn documented() -> Vec<&'static str> {
    let energy = [energy::KEYS, energy::OF_SERVER_KEYS].concat();
    let all = [DASHBOARD, history::KEYS, SSH, doctor::KEYS, idle::KEYS, &energy, SERVER, wol::KEYS, SERVICE].concat();
    all.into_iter().filter(|key| !matches!(*key, "services" | "wol" | "idle" | "energy")).collect()
}

/// Everything the file says.
pub(super) struct Tables {
    pub(super) settings: Settings,
    pub(super) servers: Vec<ServerConfig>,
    pub(super) ignored: Vec<String>,
}

pub(super) fn read(text: &str, map: &DeTable<'_>, folders: &Folders<'_>) -> Checked<Tables> {
    let top = Reader::new(map, 0..0, AT_TOP);
    top.only(TOP, ELSEWHERE)?;
    let mut ignored = Vec::new();
    let mut settings = Settings::default();
    if let Some(table) = top.table("dashboard", IN_DASHBOARD)? {
        dashboard(&table, &mut settings, &mut ignored)?;
    }
    if let Some(table) = top.table("history", history::PLACE)? {
        settings.history = history::read(&table, ELSEWHERE, folders)?;
    }
    if let Some(table) = top.table("ssh", IN_SSH)? {
        table.only(SSH, ELSEWHERE)?;
        settings.ssh_config = ssh_config(&table, folders)?;
    }
    if let Some(table) = top.table("doctor", doctor::PLACE)? {
        settings.mute = doctor::read(&table, ELSEWHERE)?;
    }
    let mut idle = IdleSettings::default();
    if let Some(table) = top.table("idle", idle::PLACE)? {
        idle = idle::read(&table, &idle, ELSEWHERE)?;
    }
    if let Some(table) = top.table("energy", energy::PLACE)? {
        settings.energy = energy::price(&table, ELSEWHERE)?;
    }
    let mut servers = Vec::new();
    let mut places = Vec::new();
    for table in top.tables("servers", IN_SERVER)? {
        let (config, place) = server(&table, folders, &idle, &mut ignored)?;
        servers.push(config);
        places.push(place);
    }
    relations(text, &servers, &places)?;
    Ok(Tables { settings, servers, ignored })
}

fn dashboard(table: &Reader<'_>, settings: &mut Settings, ignored: &mut Vec<String>) -> Checked<()> {
    table.only(&[DASHBOARD, WEB].concat(), ELSEWHERE)?;
    let web = table.keys().into_iter().filter(|key| WEB.contains(&key.value));
    ignored.extend(web.map(|key| format!("dashboard.{}", key.value)));
    for (key, interval) in [
        ("vm_discovery_interval", &mut settings.vm_discovery_interval),
        ("update_interval", &mut settings.update_interval),
        ("system_check_interval", &mut settings.system_check_interval),
        ("wol_retry_interval", &mut settings.wol_retry_interval),
    ] {
        // 0 is the default, as ecobox-server has it.
        let value = duration(table, key, validate::LONGEST)?.map(|value| value.value);
        if let Some(value) = value.filter(|value| !value.is_zero()) {
            *interval = value;
        }
    }
    let retries = table.number("wol_max_retries", 0..=1000)?.and_then(|count| u32::try_from(count.value).ok());
    if let Some(retries) = retries.filter(|count| *count > 0) {
        settings.wol_max_retries = retries;
    }
    settings.log_level = table.filled("log_level", validate::log_level)?.map(|level| level.value);
    Ok(())
}

fn ssh_config(table: &Reader<'_>, folders: &Folders<'_>) -> Checked<SshConfigSetting> {
    if table.is_string("config") {
        let path = table.parsed("config", |text| validate::path(text, folders.config, folders.home))?;
        return Ok(path.map_or(SshConfigSetting::Default, |path| SshConfigSetting::File(path.value)));
    }
    let flag = expecting(table.boolean("config"), "`true` or `false`", "`false` or a path")?;
    Ok(if flag.is_some_and(|flag| !flag.value) { SshConfigSetting::Off } else { SshConfigSetting::Default })
}

/// Where a server's id and parent stand, for complaints that need the other servers.
struct Place {
    id: Range<usize>,
    parent: Option<Range<usize>>,
    relay: Option<Range<usize>>,
}

fn server(
    table: &Reader<'_>,
    folders: &Folders<'_>,
    usual: &IdleSettings,
    ignored: &mut Vec<String>,
) -> Checked<(ServerConfig, Place)> {
    table.only(SERVER, ELSEWHERE)?;
    let id = table.parsed("id", validate::server_id)?;
    let id = id.ok_or_else(|| Problem::new(table.span.clone(), "a server needs an `id`"))?;
    let access = access(table, &id.value, ignored)?;
    let parent = table.filled("parent_server_id", validate::server_id)?;
    let trust = trust(table, folders)?;
    let wol = wol::read(table, ELSEWHERE, folders)?;
    if access == Access::Local && table.key("wol").is_some() {
        // This machine is awake.
        ignored.push(format!("wol of {}", id.value));
    }
    let idle = match table.table("idle", idle::OF_SERVER)? {
        Some(table) => idle::read(&table, usual, ELSEWHERE)?,
        None => usual.clone(),
    };
    let energy = match table.table("energy", energy::OF_SERVER)? {
        Some(table) => energy::of_server(&table, ELSEWHERE)?,
        None => EnergySettings::default(),
    };
    let path = |text: &str| validate::path(text, folders.config, folders.home);
    let host = if access == Access::Api { validate::api_host } else { validate::host };
    let mut server = ServerConfig {
        name: table.filled("name", validate::label)?.map_or_else(|| id.value.to_string(), |name| name.value),
        hostname: table.parsed("hostname", host)?.map(|host| host.value).unwrap_or_default(),
        access,
        mac: wol.mac,
        wol: wol.settings,
        idle,
        energy,
        ssh_user: table.filled("ssh_user", validate::user)?.map(|user| user.value),
        ssh_port: table.port("ssh_port")?,
        ssh_key_path: table.filled("ssh_key_path", path)?.map(|path| path.value),
        proxy_jump: table.parsed("proxy_jump", validate::proxy_jump)?.map(|jump| jump.value),
        parent_server_id: parent.as_ref().map(|parent| parent.value.clone()),
        services: table.tables("services", IN_SERVICE)?.iter().map(service).collect::<Checked<_>>()?,
        api_port: table.port("api_port")?,
        verify_tls: trust.verify,
        ca_file: trust.ca_file,
        fingerprint: trust.fingerprint,
        token_command: command(table, "token_command")?,
        tags: tags(table)?,
        expected: table.parsed("expected", validate::expected)?.map(|expected| expected.value),
        id: id.value,
    };
    if server.guest_ref().is_some() && server.energy != EnergySettings::default() {
        // What a guest uses is a share of its host's.
        ignored.push(format!("energy of {}", server.id));
        server.energy = EnergySettings::default();
    }
    if access == Access::Local {
        "localhost".clone_into(&mut server.hostname);
    } else if server.hostname.is_empty() && (access == Access::Api || server.guest_ref().is_none()) {
        return Err(without_host(table, &server));
    }
    Ok((server, Place { id: id.span, parent: parent.map(|parent| parent.span), relay: wol.relay }))
}

fn without_host(table: &Reader<'_>, server: &ServerConfig) -> Problem {
    let id = server.id.as_str();
    // Perhaps it is meant as a guest's entry, and only the parent is missing.
    let parent = ["-vm-", "-ct-"].into_iter().find_map(|infix| id.rsplit_once(infix)).and_then(|(parent, number)| {
        number.parse::<VmId>().ok()?;
        parent.parse::<ServerId>().ok()
    });
    let hint = match parent.filter(|parent| server.parent_server_id.as_ref() != Some(parent)) {
        Some(parent) => format!("; if it is a guest of `{parent}`, set parent_server_id = \"{parent}\""),
        None => String::new(),
    };
    Problem::new(table.span.clone(), format!("server `{id}` needs a `hostname`{hint}"))
}

/// How the server is reached, from `local` and `type`, and that the rest agrees with it.
fn access(table: &Reader<'_>, id: &ServerId, ignored: &mut Vec<String>) -> Checked<Access> {
    let kind = table.parsed("type", |text| match text {
        "linux" | "ssh" => Ok(Access::Ssh),
        "proxmox" => Ok(Access::Api),
        _ => Err(validate::unknown("type of server", text, &["linux", "ssh", "proxmox"])),
    })?;
    if !table.boolean("local")?.is_some_and(|local| local.value) {
        let access = kind.map_or(Access::Ssh, |kind| kind.value);
        if access == Access::Api {
            let unused = SSH_ONLY.into_iter().filter(|key| table.key(key).is_some());
            ignored.extend(unused.map(|key| format!("{key} of {id}")));
        }
        return Ok(access);
    }
    if let Some(kind) = kind.filter(|kind| kind.value == Access::Api) {
        return Err(kind.problem("`type = \"proxmox\"` and `local = true` exclude each other"));
    }
    let mut keys = table.keys().into_iter();
    match keys.find(|key| key.value == "hostname" || SSH_ONLY.contains(&key.value)) {
        Some(key) => {
            let what = format!("`{}` and `local = true` exclude each other", key.value);
            Err(key.problem(what + ": this machine is used without SSH"))
        }
        None => Ok(Access::Local),
    }
}

/// How the API's certificate is verified, as far as the file says.
struct Trust {
    verify: bool,
    ca_file: Option<PathBuf>,
    fingerprint: Option<Fingerprint>,
}

fn trust(table: &Reader<'_>, folders: &Folders<'_>) -> Checked<Trust> {
    let path = |text: &str| validate::path(text, folders.config, folders.home);
    let trust = Trust {
        verify: table.boolean("verify_tls")?.is_none_or(|flag| flag.value),
        ca_file: table.parsed("ca_file", path)?.map(|file| file.value),
        fingerprint: table.parsed("fingerprint", validate::fingerprint)?.map(|digest| digest.value),
    };
    let mut given = table.keys();
    given.retain(|key| key.value == "ca_file" || key.value == "fingerprint");
    match given.as_slice() {
        [_, second] => Err(second.problem("`ca_file` and `fingerprint` exclude each other: keep one")),
        [key] if !trust.verify => {
            Err(key.problem(format!("`{}` and `verify_tls = false` exclude each other", key.value)))
        }
        _ => Ok(trust),
    }
}

fn tags(table: &Reader<'_>) -> Checked<Vec<String>> {
    let Some(list) = table.strings("tags")? else { return Ok(Vec::new()) };
    let mut tags = each(&list.value, "tags", validate::tag)?;
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    Ok(tags)
}

/// The type may follow from the port and the port from the type; the name is the type's unless given.
fn service(table: &Reader<'_>) -> Checked<Service> {
    table.only(SERVICE, ELSEWHERE)?;
    let name = table.parsed("name", validate::label)?.map(|name| name.value);
    let port = table.port("port")?;
    let kind = table.filled("type", validate::service_type)?.map(|kind| kind.value);
    let missing = |what: &str| Problem::new(table.span.clone(), what);
    let (port, kind) = match (port, kind) {
        (Some(port), Some(kind)) => (port, kind),
        (Some(port), None) => {
            let usual = ServiceType::ALL.into_iter().find(|kind| kind.default_port() == Some(port));
            (port, usual.unwrap_or(ServiceType::Custom))
        }
        (None, Some(kind)) => {
            let usual = kind.default_port();
            (usual.ok_or_else(|| missing(&format!("a service of type `{}` needs a `port`", kind.as_str())))?, kind)
        }
        (None, None) => return Err(missing("a service needs a `port` or a `type`")),
    };
    Ok(Service { name: name.unwrap_or_else(|| kind.as_str().to_owned()), port, kind })
}

/// Ids are unique, parents exist, and no server is its own ancestor.
fn relations(text: &str, servers: &[ServerConfig], places: &[Place]) -> Checked<()> {
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (i, server) in servers.iter().enumerate() {
        if let Some(first) = index.insert(server.id.as_str(), i) {
            let line = text[..places[first].id.start].matches('\n').count() + 1;
            let message = format!("duplicate server id {}; the first is in line {line}", quoted(server.id.as_str()));
            return Err(Problem::new(places[i].id.clone(), message));
        }
    }
    let parent_of = |i: usize| servers[i].parent_server_id.as_ref().and_then(|id| index.get(id.as_str()).copied());
    for (i, server) in servers.iter().enumerate() {
        let (Some(parent), Some(span)) = (&server.parent_server_id, &places[i].parent) else { continue };
        if parent_of(i).is_none() {
            let others = servers.iter().filter(|other| other.id != server.id).map(|other| other.id.as_str());
            let near = did_you_mean(parent.as_str(), others).unwrap_or_default();
            let message = format!("`parent_server_id`: there is no server {}{near}", quoted(parent.as_str()));
            return Err(Problem::new(span.clone(), message));
        }
        let mut chain = vec![i];
        let mut at = i;
        // A circle that does not come back to `i` is found from one of its own members.
        while let Some(next) = parent_of(at).filter(|_| chain.len() <= servers.len()) {
            chain.push(next);
            if next == i {
                let names: Vec<&str> = chain.iter().map(|i| servers[*i].id.as_str()).collect();
                let message = format!("`parent_server_id`: the parents form a circle: {}", names.join(" -> "));
                return Err(Problem::new(span.clone(), message));
            }
            at = next;
        }
    }
    let relays: Vec<_> = places.iter().map(|place| place.relay.clone()).collect();
    wol::relations(servers, &index, &relays)
}
