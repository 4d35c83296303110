//! What has to be looked after: the ends of certificates and tokens, storages, backups.

#[cfg(test)]
mod tests;

use crate::model::check::CheckId;
use crate::model::check::diagnosis::Chart;
use crate::model::check::fix::Fix;
use crate::model::id::{NodeName, ServerId, TokenId};
use crate::model::text::units::{human_bytes, human_seconds};
use crate::model::upkeep::{Storage, each_once};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Proxmox VE renews its certificates two weeks before they end: one that is left with less was not renewed.
const CERTIFICATE_SOON: i64 = 13 * DAY;
const TOKEN_SOON: i64 = 14 * DAY;
/// From here on it is no longer a matter for the next weekend.
const VERY_SOON: i64 = 2 * DAY;
/// Percent of a storage in use.
const NEARLY_FULL: f64 = 90.0;
const FULL: f64 = 97.0;

/// What the API of one member tells of its whole cluster.
#[derive(Debug, Default)]
pub(crate) struct UpkeepSeen {
    /// The nodes that its cluster does not see.
    pub(crate) offline: Vec<NodeName>,
    pub(crate) token: Option<TokenId>,
    /// How many seconds the token is accepted yet; `None`: for ever. `Err`: nobody says.
    pub(crate) token_left: Option<Result<Option<i64>, String>>,
    /// The storages that are enabled, and whether their node can use them; `Err`: nobody says.
    pub(crate) storages: Option<Result<Vec<Storage>, String>>,
    /// Guests whose last backup failed: what they are called, how many seconds ago, and why. `Err`: nobody says.
    #[expect(clippy::type_complexity, reason = "said in the line above")]
    pub(crate) failed_backups: Option<Result<Vec<(String, i64, String)>, String>>,
    /// What gives another token.
    pub(crate) token_is_given: bool,
}

/// How long the certificate of a host's API is valid yet.
pub(super) fn certificate(server: &ServerId, left: Option<i64>, chart: &mut Chart) {
    let Some(left) = left else {
        return chart.unknown(CheckId::CertificateExpiring, "nobody says until when it is valid");
    };
    if left >= CERTIFICATE_SOON {
        return chart.fine(CheckId::CertificateExpiring, format!("valid for {} days", left / DAY));
    }
    let fix = Fix::on(server, "pvecm updatecerts --force")
        .and("; then `systemctl reload pveproxy` there. A certificate of your own is renewed where it comes from");
    let finding = match left {
        ..=0 => format!("the API's certificate ended {} ago", words(-left)),
        left => format!("the API's certificate ends in {}, and was not renewed", words(left)),
    };
    if left < VERY_SOON {
        chart.problem(CheckId::CertificateExpiring, finding, Some(fix));
    } else {
        chart.warning(CheckId::CertificateExpiring, finding, Some(fix));
    }
}

/// What is told of a cluster by the first of its hosts that answers.
pub(crate) fn judge(server: &ServerId, seen: &UpkeepSeen, chart: &mut Chart) {
    token(server, seen, chart);
    match &seen.storages {
        None => {}
        Some(Err(why)) => {
            chart.unknown(CheckId::StorageUnavailable, why.as_str());
            chart.unknown(CheckId::StorageFull, why.as_str());
        }
        Some(Ok(storages)) => self::storages(server, storages, chart),
    }
    match &seen.failed_backups {
        None => {}
        Some(Err(why)) => chart.unknown(CheckId::BackupFailed, why.as_str()),
        Some(Ok(failed)) if failed.is_empty() => chart.ok(CheckId::BackupFailed),
        Some(Ok(failed)) => {
            for (guest, ago, why) in failed {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                let finding = format!("the last backup of {guest} failed {} ago{why}", words(*ago));
                chart.problem(CheckId::BackupFailed, finding, Some(Fix::of(CheckId::BackupFailed, &[])));
            }
        }
    }
}

fn token(server: &ServerId, seen: &UpkeepSeen, chart: &mut Chart) {
    let left = match &seen.token_left {
        None => return,
        Some(Err(why)) => return chart.unknown(CheckId::TokenExpiring, why.as_str()),
        Some(Ok(None)) => return chart.fine(CheckId::TokenExpiring, "it never ends"),
        Some(Ok(Some(left))) => *left,
    };
    if left >= TOKEN_SOON {
        return chart.fine(CheckId::TokenExpiring, format!("accepted for {} days", left / DAY));
    }
    // Its end was set by somebody, and is kept by `setup-token --rotate`.
    let later = seen.token.as_ref().map(|token| {
        let command = format!("pveum user token modify '{}' {} --expire 0", token.userid(), token.name);
        Fix::on(server, &command).and(": it never ends then (else give the seconds since 1970)")
    });
    let fix = match later {
        Some(fix) if !seen.token_is_given => fix,
        _ => Fix::say(
            "give another token, or move the end of this one in Proxmox VE (Datacenter, Permissions, API Tokens)",
        ),
    };
    let finding = format!("the API token ends in {}", words(left.max(0)));
    if left < VERY_SOON {
        chart.problem(CheckId::TokenExpiring, finding, Some(fix));
    } else {
        chart.warning(CheckId::TokenExpiring, finding, Some(fix));
    }
}

fn storages(server: &ServerId, storages: &[Storage], chart: &mut Chart) {
    let (usable, broken): (Vec<&Storage>, Vec<&Storage>) = storages.iter().partition(|storage| storage.available);
    // One that several nodes share is away once.
    let mut away: Vec<(&Storage, Vec<&str>)> = Vec::new();
    for storage in &broken {
        match away.iter_mut().find(|(known, _)| known.shared && storage.shared && known.name == storage.name) {
            Some((_, nodes)) => nodes.push(storage.node.as_str()),
            None => away.push((storage, vec![storage.node.as_str()])),
        }
    }
    for (storage, nodes) in away {
        let plugin = storage.plugin.as_deref().map(|plugin| format!(" ({plugin})")).unwrap_or_default();
        let on = nodes.join(", ");
        let finding = format!("storage {}{plugin} is enabled and not available on {on}", storage.name);
        let text =
            format!("`pvesm status --storage {}` on {} says why; or disable it there", storage.name, storage.node);
        let fix = Fix { on: Some(server.clone()), ..Fix::say(text) };
        chart.problem(CheckId::StorageUnavailable, finding, Some(fix));
    }
    if broken.is_empty() {
        chart.ok(CheckId::StorageUnavailable);
    }
    let mut full = false;
    for storage in each_once(usable.into_iter().cloned().collect()) {
        let Some(percent) = storage.used_percent().filter(|percent| *percent >= NEARLY_FULL) else { continue };
        full = true;
        let free = storage.size_bytes.unwrap_or(0).saturating_sub(storage.used_bytes.unwrap_or(0));
        let finding = format!("storage {} is {percent:.0} % full, {} are left", storage.called(), human_bytes(free));
        let fix = Some(Fix::of(CheckId::StorageFull, &[]));
        if percent >= FULL {
            chart.problem(CheckId::StorageFull, finding, fix);
        } else {
            chart.warning(CheckId::StorageFull, finding, fix);
        }
    }
    if !full {
        chart.ok(CheckId::StorageFull);
    }
}

fn words(seconds: i64) -> String {
    match u64::try_from(seconds).unwrap_or_default() {
        days @ 172_800.. => format!("{} days", days / 86400),
        seconds => human_seconds(seconds),
    }
}
