//! Whether it is still the same guest: its number may be another one's now.

use super::Named;
use crate::fleet::Fleet;
use crate::model::check::fault::Fault;
use crate::model::guest::{GuestConfig, GuestIdentity};
use crate::model::power::Finding;
use crate::state::StateError;

impl Fleet<'_> {
    /// Whether it is still the guest that was learned under this number.
    pub(in crate::fleet::act) fn compare_identity(
        &self,
        named: Named<'_>,
        config: &GuestConfig,
    ) -> Result<Option<Finding>, StateError> {
        let Some((known, at)) = self.state.identity(named.cluster, named.vmid)? else { return Ok(None) };
        let known = GuestIdentity::new(&known);
        // Who has lost all that it was told by may be anybody.
        let now = match &config.identity {
            Some(now) if now.is_same(&known) => return Ok(None),
            Some(now) => now.as_str(),
            None => "without SMBIOS UUID and address",
        };
        let day = at.to_string();
        let day = day.split('T').next().unwrap_or(&day);
        let id = &named.server.id;
        Ok(Some(Finding::of(Fault::number_reused(id, day, &known.to_string(), now), id)))
    }

    /// Keeps who has the number now: none was known, or a person confirmed that this one is meant.
    pub(in crate::fleet::act) fn keep_identity(
        &self,
        named: Named<'_>,
        config: &GuestConfig,
    ) -> Result<(), StateError> {
        let Some(now) = &config.identity else { return Ok(()) };
        match self.state.identity(named.cluster, named.vmid)? {
            Some((known, _)) if known == now.as_str() => Ok(()),
            _ => self.state.put_identity(named.cluster, named.vmid, now.as_str(), self.now()),
        }
    }
}
