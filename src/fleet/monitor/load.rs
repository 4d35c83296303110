//! How hard servers work: now, and on average.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Fleet;
use crate::fleet::monitor::{Look, metric, not_up, of_server};
use crate::fleet::observe::measure::AskedAgent;
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKind;
use crate::model::load::reading::{Filesystem, HostLoad};
use crate::model::load::usage::{Count, percent};
use crate::model::monitor::condition::Key;
use crate::model::monitor::judge::{Item, Reading};
use crate::model::past::series::{Series, Window};
use crate::model::text::units::human_seconds;
use crate::state::StateError;

impl Fleet<'_> {
    /// What was measured in this look, or kept of the last one.
    pub(super) async fn load_items(&self, look: &Look<'_>, key: Key) -> Result<Vec<Item>, StateError> {
        let mut agents = HashMap::new();
        if let (Key::Disk, Some(clients)) = (key, look.clients) {
            agents = self.filesystems(look.servers, clients, false).await?;
        }
        let judged = look.servers.iter().filter(|server| has(server, key));
        Ok(judged.map(|server| of_server(server, reading(look, server, key, agents.get(&server.id)))).collect())
    }

    /// Averages over a window that ends now, from history. Of `least` of it something has to be known.
    pub(super) async fn averages(
        &self,
        look: &Look<'_>,
        key: Key,
        over: SignedDuration,
        least: SignedDuration,
    ) -> Result<Vec<Item>, StateError> {
        let Some(metric) = metric(key) else { return Ok(Vec::new()) };
        let servers: Vec<Server> = look.servers.iter().filter(|server| has(server, key)).cloned().collect();
        let since = look.now.checked_sub(over).unwrap_or(Timestamp::UNIX_EPOCH);
        let window = Window::new(since, look.now, None);
        let past = if look.clients.is_some() {
            self.past(&servers, &[metric], window, &|_, _| {}).await?.series
        } else {
            self.kept_past(&servers, &[metric], window).await?
        };
        let one = |(server, series): (&Server, Vec<Series>)| {
            let known = series.into_iter().find_map(|series| Some((series.summary().avg?, series.seen(held(window)))));
            let known = known.map(|(avg, seen)| if seen >= least { Ok(avg) } else { Err(seen) });
            let nothing = || {
                let over = human_seconds(over.unsigned_abs().as_secs());
                let why = format!("nothing was measured in the last {over}");
                if may_lack(server, key) { Reading::Untold(why) } else { Reading::Unknown(why) }
            };
            let reading = match known {
                Some(Ok(avg)) => Reading::Known(avg),
                Some(Err(seen)) => not_up(look, server).unwrap_or_else(|| too_little(server, seen, over)),
                None => not_up(look, server).unwrap_or_else(nothing),
            };
            of_server(server, reading)
        };
        Ok(servers.iter().zip(past).map(one).collect())
    }
}

/// For how long one measurement speaks: whoever looks every few minutes has seen the whole window.
fn held(window: Window) -> SignedDuration {
    let window_third = window.until.duration_since(window.since) / 3;
    window_third.min(SignedDuration::from_hours(1)).max(window.step)
}

/// Why an average of less than half of its time is none.
fn too_little(server: &Server, seen: SignedDuration, over: SignedDuration) -> Reading {
    let words = |span: SignedDuration| human_seconds(span.unsigned_abs().as_secs());
    let up = server.seen.usage.uptime_seconds.and_then(|uptime| i64::try_from(uptime.get()).ok());
    match up.map(SignedDuration::from_secs).filter(|up| *up < over / 2) {
        Some(up) => Reading::Excused(format!("it has been up for {} only", words(up))),
        None => Reading::Unknown(format!("it was seen for {} of {}", words(seen), words(over))),
    }
}

/// Whether a server can have the number at all: a guest has no load average of its own that anybody tells.
fn has(server: &Server, key: Key) -> bool {
    matches!(key, Key::Cpu | Key::Memory | Key::Disk) || server.vmid.is_none()
}

/// Whether it is no fault where a server that is up lacks the number: nobody sees into a virtual machine's disk, and old
/// kernels know of no pressure.
fn may_lack(server: &Server, key: Key) -> bool {
    match key {
        Key::Disk => server.kind == ServerKind::Qemu,
        Key::PressureCpu | Key::PressureMemory | Key::PressureIo => true,
        _ => false,
    }
}

fn reading(look: &Look<'_>, server: &Server, key: Key, agent: Option<&AskedAgent>) -> Reading {
    if let Some(reading) = not_up(look, server) {
        return reading;
    }
    if look.clients.is_none()
        && let Some(reading) = server.seen.usage_at.and_then(|at| look.is_old(at))
    {
        return reading;
    }
    let load = look.loads.get(&server.id);
    let told = load.and_then(|load| load.as_ref().ok());
    let known = number(server, key, told).or_else(|| inside(key, agent));
    known.map_or_else(|| missing(look, server, key, load, agent), Reading::Known)
}

fn number(server: &Server, key: Key, told: Option<&HostLoad>) -> Option<f64> {
    let usage = told.map_or(server.seen.usage, |load| load.usage.or(server.seen.usage));
    let pressure = told.map(|load| load.pressure);
    match key {
        Key::Cpu => usage.cpu_percent.map(f64::from),
        Key::Memory => usage.memory_percent(),
        Key::Disk => usage.disk_percent(),
        Key::Load => told.and_then(|load| load.load).map(|load| load[0]).or(usage.load).map(f64::from),
        Key::PressureCpu => pressure?.cpu_percent.map(f64::from),
        Key::PressureMemory => pressure?.memory_percent.map(f64::from),
        Key::PressureIo => pressure?.io_percent.map(f64::from),
        _ => None,
    }
}

/// What the agent inside of a virtual machine says of its disk.
fn inside(key: Key, agent: Option<&AskedAgent>) -> Option<f64> {
    let Some(Ok(filesystems)) = agent.filter(|_| key == Key::Disk) else { return None };
    let main = Filesystem::main_of(filesystems)?;
    percent(Count::new(main.used_bytes), Count::new(main.size_bytes))
}

/// Why there is no number.
fn missing(
    look: &Look<'_>,
    server: &Server,
    key: Key,
    load: Option<&Result<HostLoad, String>>,
    agent: Option<&AskedAgent>,
) -> Reading {
    let why = match (load, agent) {
        (Some(Err(why)), _) | (_, Some(Err(why))) => why.clone(),
        _ if look.clients.is_none() => "no earlier run has measured it".to_owned(),
        _ if server.vmid.is_some() && key == Key::Disk => "only a guest agent could report it".to_owned(),
        _ if server.vmid.is_some() => "its node did not say".to_owned(),
        _ => "the host did not say".to_owned(),
    };
    if may_lack(server, key) { Reading::Untold(why) } else { Reading::Unknown(why) }
}
