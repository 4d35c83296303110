//! `[doctor]`: findings that are known, and do not count.

use super::error::Checked;
use super::read::Reader;
use super::validate;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Mute;

/// The keys of the table.
pub(super) const KEYS: &[&str] = &["mute"];
pub(super) const PLACE: &str = "in [doctor]";

const ENTRY: &[&str] = &["id", "server", "reason"];
const IN_ENTRY: &str = "in an entry of `mute`";

/// What the table says.
pub(super) fn read(table: &Reader<'_>, elsewhere: &[(&[&str], &str)]) -> Checked<Vec<Mute>> {
    table.only(KEYS, elsewhere)?;
    table.tables("mute", IN_ENTRY)?.iter().map(entry).collect()
}

fn entry(table: &Reader<'_>) -> Checked<Mute> {
    table.only(ENTRY, &[])?;
    let id = table.parsed("id", |text| CheckId::parse(text).ok_or_else(|| CheckId::unknown(text)))?;
    let id = id.ok_or_else(|| super::error::Problem::new(table.span.clone(), "an entry of `mute` needs an `id`"))?;
    let server = table.parsed("server", validate::server_id)?;
    let reason = table.parsed("reason", validate::label)?;
    Ok(Mute {
        id: id.value,
        server: server.map(|server| server.value.to_string()),
        reason: reason.map(|reason| reason.value),
    })
}
