//! To which cluster a host goes that is set up.

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::onboard::setup::SetUpError;
use crate::fleet::reach::cluster_members::Shown;
use crate::model::id::ClusterId;

impl Fleet<'_> {
    /// The cluster of a host that its certificate does not prove to be of one: the one that it was of, if it may have its
    /// token; one whose member vouches for it; else its own.
    ///
    /// # Errors
    /// The state file's; and what kept its API from being seen, where it says that it is of a cluster that is known.
    pub(crate) async fn place(&self, server: &ServerConfig, shown: &mut Shown) -> Result<ClusterId, SetUpError> {
        let own = ClusterId::of_host(&server.id);
        if !shown.learned.is_pve() {
            return Ok(own);
        }
        let (before, claimed) = (self.cluster_of(&server.id), shown.learned.cluster());
        let says_otherwise = before.is_of_ca() && claimed.as_ref().is_some_and(|claimed| *claimed != before);
        if !says_otherwise && before != own && self.knows(server, &before)? {
            return Ok(before);
        }
        let groups = self.groups();
        for group in groups.iter().filter(|group| group.members.iter().any(|member| member.id != server.id)) {
            let named = group.cluster == before || claimed.as_ref() == Some(&group.cluster);
            if (named || !group.cluster.is_of_ca()) && self.vouched(server, shown, group).await {
                return Ok(group.cluster.clone());
            }
        }
        let known = claimed.filter(|claimed| self.has_others(server, claimed));
        let Some(other) = known.or_else(|| (before != own).then_some(before)) else { return Ok(own) };
        match shown.take_error() {
            Some(error) if shown.presented.is_none() => Err(error.into()),
            _ => {
                // Said once, when it becomes one of its own.
                if self.known.borrow().members.get(&server.id).is_none_or(|(known, _)| *known != own) {
                    self.notice(format!(
                        "{}: it names the CA of another cluster ({}), but its certificate does not show that it belongs \
                         there: it is taken for a cluster of its own",
                        server.id,
                        other.short()
                    ));
                }
                Ok(own)
            }
        }
    }
}
