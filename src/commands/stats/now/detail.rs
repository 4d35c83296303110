//! What a server told beyond its cluster's listing, and why numbers of it are unknown.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Row;
use crate::fleet::observe::measure::AskedAgent;
use crate::model::inventory::Server;
use crate::model::inventory::server::ServerKind;
use crate::model::load::energy::{MeasuredWatts, Watts};
use crate::model::load::reading::{Filesystem, HostLoad, is_root};
use crate::model::load::usage::{Count, Source};
use crate::model::power::PowerState;

/// What a server told beyond its cluster's listing.
#[derive(Debug, Default)]
pub(super) struct Detail {
    /// What a host or plain server told itself.
    pub(super) load: Option<HostLoad>,
    /// What a guest's agent told of its file systems, the root first.
    pub(super) inside: Vec<Filesystem>,
    /// The size of a virtual machine's disk as the hypervisor knows it, where file systems inside of it are told.
    pub(super) virtual_disk: Option<Count>,
    /// Who gave a number, where that is not the row's source.
    pub(super) sources: BTreeMap<&'static str, Source>,
    /// Why a number is unknown, or what is to be known of it, as far as that is not plain from the numbers.
    pub(super) reasons: Reasons<'static>,
    /// What it draws.
    pub(super) watts: Option<Watts>,
}

/// Why numbers are unknown, in the order of their names, each once.
pub(super) type Reasons<'r> = Vec<(&'static str, Cow<'r, str>)>;

impl Detail {
    /// What there is of the server; the file systems of a guest complete its numbers.
    pub(super) fn of(
        server: &mut Server,
        load: Option<Result<HostLoad, String>>,
        agent: Option<AskedAgent>,
    ) -> Option<Detail> {
        match (load, agent) {
            (Some(Ok(load)), _) => Some(Detail::of_load(load)),
            (Some(Err(error)), _) => Some(Detail::unknown_of_host(server, error.into())),
            (None, _) if server.vmid.is_none() => {
                let why = "only SSH could report it, and the server is configured without SSH";
                Some(Detail::unknown_of_host(server, why.into()))
            }
            (None, Some(Ok(filesystems))) => Detail::of_filesystems(server, filesystems),
            (None, Some(Err(error))) => Some(Detail { reasons: vec![("disk", error.into())], ..Detail::default() }),
            (None, None) => None,
        }
    }

    /// Like this, with what the server draws, or why that is unknown.
    pub(super) fn with_watts(mut self, drawn: Option<Result<MeasuredWatts, Option<String>>>) -> Detail {
        // Why the host itself says nothing matters only if nobody else does.
        self.reasons.retain(|(name, _)| *name != "watts");
        let (watts, reason) = match drawn {
            Some(Ok(drawn)) => (Some(drawn.watts), drawn.note),
            Some(Err(why)) => (None, why),
            None => (None, None),
        };
        self.watts = watts;
        self.reasons.extend(reason.map(|reason| ("watts", reason.into())));
        self
    }

    fn of_load(mut load: HostLoad) -> Detail {
        let reasons = std::mem::take(&mut load.reasons).into_iter().map(|(name, reason)| (name, reason.into()));
        let (reasons, sources) = (sorted(reasons), std::mem::take(&mut load.sources));
        Detail { load: Some(load), reasons, sources, ..Detail::default() }
    }

    /// What the API's listing has of a host is there; the rest only the host itself tells.
    fn unknown_of_host(server: &Server, why: Cow<'static, str>) -> Detail {
        let Server { seen, .. } = server;
        let usage = &seen.usage;
        let unknown = [
            ("cpu", usage.cpu_percent.is_none()),
            ("load", usage.load.is_none()),
            ("memory", usage.memory_bytes.is_none()),
            ("disk", usage.disk_bytes.is_none()),
            ("network", usage.receive_bytes.is_none()),
            ("io", usage.read_bytes.is_none()),
            ("uptime", usage.uptime_seconds.is_none()),
            ("pressure", true),
        ];
        let why = seen.reason.clone().filter(|_| !seen.state.is_up()).map_or(why, Cow::Owned);
        let unknown = unknown.into_iter().filter(|(_, unknown)| *unknown);
        let reasons = sorted(unknown.map(|(name, _)| (name, why.clone())));
        Detail { reasons, ..Detail::default() }
    }

    fn of_filesystems(server: &mut Server, inside: Vec<Filesystem>) -> Option<Detail> {
        let main = Filesystem::main_of(&inside)?;
        let usage = &mut server.seen.usage;
        usage.disk_bytes = Some(Count::new(main.used_bytes));
        let virtual_disk = usage.disk_max_bytes.replace(Count::new(main.size_bytes));
        let sources = [("disk", Source::Agent)].into();
        let why = || format!("no usable root file system is reported; the disk is the largest, {}", main.mount);
        let reasons = if is_root(&main.mount) { Vec::new() } else { vec![("disk", why().into())] };
        Some(Detail { inside, virtual_disk, sources, reasons, ..Detail::default() })
    }
}

impl<'r> Row<'r> {
    /// Why numbers are unknown, and what is to be known of others.
    pub(super) fn reasons(&self) -> Reasons<'r> {
        let told = self.detail.map_or(&[][..], |detail| &detail.reasons);
        let told = told.iter().map(|(name, reason)| (*name, Cow::Borrowed(reason.as_ref())));
        if self.server.vmid.is_none() {
            return told.collect();
        }
        let plain = self.reasons_of_guest();
        if told.len() == 0 {
            return plain;
        }
        // What was told counts.
        sorted(told.chain(plain))
    }

    fn reasons_of_guest(&self) -> Reasons<'r> {
        let (usage, seen) = (&self.server.seen.usage, &self.server.seen);
        let off: Option<Cow<'r, str>> = match seen.state {
            PowerState::Running => None,
            PowerState::Unknown => Some(seen.reason.as_deref().unwrap_or("its state is unknown").into()),
            state => Some(format!("it is {state}").into()),
        };
        let missing = || off.clone().unwrap_or("its node did not say".into());
        let of_rate = |total: Option<Count>| match total {
            Some(_) => "a rate needs two readings of it running: the next run within ten minutes has both".into(),
            None => missing(),
        };
        let of_disk = || match (self.server.kind, &off) {
            (ServerKind::Qemu, None) => "the hypervisor does not know it; `--agent` asks inside the guest".into(),
            _ => missing(),
        };
        let reasons = [
            ("cpu", usage.cpu_percent.is_none().then(missing)),
            ("disk", usage.disk_bytes.is_none().then(of_disk)),
            ("io", self.rates.read.is_none().then(|| of_rate(usage.read_bytes))),
            ("memory", usage.memory_bytes.is_none().then(missing)),
            ("network", self.rates.receive.is_none().then(|| of_rate(usage.receive_bytes))),
            ("uptime", usage.uptime_seconds.is_none().then(missing)),
        ];
        reasons.into_iter().filter_map(|(name, reason)| Some((name, reason?))).collect()
    }
}

/// Reasons in their order; of two with one name the first stays.
fn sorted<'r>(reasons: impl Iterator<Item = (&'static str, Cow<'r, str>)>) -> Reasons<'r> {
    let mut reasons: Reasons<'r> = reasons.collect();
    reasons.sort_by_key(|(name, _)| *name);
    reasons.dedup_by_key(|(name, _)| *name);
    reasons
}
