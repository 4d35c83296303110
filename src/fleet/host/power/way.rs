//! What all scripts of power have in front of them, and their word for what is in the way.

use crate::fleet::host::facts::word;
use crate::model::host::power::{NoWay, SwapLack};

/// What finds programs, and root's rights.
pub(in crate::fleet::host) const RIGHTS: &str = concat!(include_str!("../has.sh"), "\n", include_str!("sudo.sh"), "\n");
/// What decides by what a call is made; it stands after `RIGHTS`.
pub(super) const WAY: &str = concat!(include_str!("sleep.sh"), "\n", include_str!("way.sh"), "\n");

/// The script's word for what is in the way.
pub(super) fn no_way(why: &str, detail: &str, user: Option<&str>, sudo: bool) -> Option<NoWay> {
    let detail = text(detail);
    Some(match why {
        "no-rights" => NoWay::Rights { user: user.map(str::to_owned), sudo, command: detail },
        "masked" => NoWay::Masked { unit: detail },
        "disallowed" => NoWay::Disallowed { key: detail },
        "unsupported" => NoWay::Unsupported { state: detail },
        "no-swap" => NoWay::NoSwap { why: SwapLack::of(&detail) },
        "read-only" => NoWay::ReadOnly,
        "logind" => NoWay::Logind { answer: detail },
        "no-means" => NoWay::NoMeans,
        "failed" => NoWay::Failed { detail },
        _ => return None,
    })
}

pub(super) fn text(value: &str) -> String {
    word(value).unwrap_or_default()
}
