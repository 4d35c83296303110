//! The energy counters of a CPU (RAPL, Intel's and AMD's), as the kernel shows them under `/sys/class/powercap`, and the
//! watts that two readings of them make. They count the CPU, and its memory where there is such a domain, but not the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::load::energy::{WattsBy, most_believed};

/// What a domain counts. Cores and the graphics unit are domains too, but parts of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DomainKind {
    Package,
    /// The memory of a package, which the package does not contain.
    Dram,
    /// The board as far as it counts itself; contains the packages.
    Psys,
}

impl DomainKind {
    /// The kernel's name of such a domain: `package-0`, `package-0-die-1`, `dram`, `psys`.
    pub(crate) fn parse(name: &str) -> Option<DomainKind> {
        match name {
            "dram" => Some(DomainKind::Dram),
            "psys" => Some(DomainKind::Psys),
            _ => name.strip_prefix("package-").map(|_| DomainKind::Package),
        }
    }

    /// The most that one can draw on average over a while. The largest CPUs that are sold draw 500 W.
    fn most_watts(self) -> f64 {
        match self {
            DomainKind::Package => 600.0,
            DomainKind::Dram => 200.0,
            DomainKind::Psys => 1000.0,
        }
    }
}

/// A domain's counter at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub(crate) kind: DomainKind,
    pub(crate) microjoules: u64,
    /// Where it begins again at 0 (`max_energy_range_uj`).
    pub(crate) range: u64,
}

/// The counters of a host, by the name of their folder.
pub(crate) type Domains = BTreeMap<String, Domain>;

/// The watts between two readings of one boot, without sleep, that many seconds apart; and what they are about. `max_watts` is
/// what the whole server can draw, where that is known.
///
/// # Errors
/// Why they cannot be told.
pub(crate) fn watts(
    before: &Domains,
    after: &Domains,
    seconds: f64,
    max_watts: Option<f64>,
) -> Result<(f64, WattsBy), String> {
    if seconds.is_nan() || seconds <= 0.0 {
        return Err("no time passed between the two readings".to_owned());
    }
    // Of all domains of a kind together; `None`: there is none.
    let sum = |kind: DomainKind| -> Option<Result<f64, String>> {
        let mut all = after.iter().filter(|(_, domain)| domain.kind == kind).peekable();
        all.peek()?;
        let one = |(name, domain): (&String, &Domain)| {
            let earlier = before.get(name).ok_or_else(|| format!("there is no earlier reading of {name}"))?;
            grown(name, earlier, domain, seconds, max_watts)
        };
        Some(all.map(one).sum())
    };
    let packages = sum(DomainKind::Package);
    // Boards on which it counts nothing, or other units, have it too: less than a part of it is no whole.
    if let Some(Ok(board)) = sum(DomainKind::Psys)
        && board > 0.0
        && packages.as_ref().is_none_or(|packages| packages.as_ref().is_ok_and(|packages| board >= *packages))
    {
        return Ok((board, WattsBy::Platform));
    }
    let packages = packages.ok_or("its CPU has no energy counter")??;
    match sum(DomainKind::Dram) {
        Some(Ok(memory)) => Ok((packages + memory, WattsBy::PackageAndMemory)),
        _ => Ok((packages, WattsBy::Package)),
    }
}

/// The watts of one domain.
fn grown(name: &str, before: &Domain, after: &Domain, seconds: f64, max_watts: Option<f64>) -> Result<f64, String> {
    let range = after.range;
    if range == 0 || before.range != range || before.microjoules > range || after.microjoules > range {
        return Err(format!("the energy counter {name} makes no sense"));
    }
    let most = after.kind.most_watts().min(most_believed(max_watts));
    #[expect(clippy::cast_precision_loss, reason = "a number of watts needs no more places")]
    let watts = |microjoules: u64| microjoules as f64 / 1e6 / seconds;
    // It begins again at 0 where its range ends; how often is unknown, unless once more would be more than it can draw.
    let grown = match after.microjoules.checked_sub(before.microjoules) {
        Some(grown) => grown,
        None => (range - before.microjoules).saturating_add(after.microjoules),
    };
    if watts(grown.saturating_add(range)) <= most {
        return Err(format!(
            "the energy counter {name} may have wrapped in the {seconds:.0} s between two readings; look more often, or \
             set `max_watts` in [servers.energy]"
        ));
    }
    let watts = watts(grown);
    // It was reset, or the host slept.
    if watts > most { Err(format!("the energy counter {name} jumped")) } else { Ok(watts) }
}

#[cfg(test)]
mod tests;
