//! Nodes that a cluster does not see: which of them should be there.

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::model::check::CheckId;
use crate::model::check::diagnosis::Chart;
use crate::model::check::fix::Fix;
use crate::model::check::host::{self as of_host, HostSeen, UpkeepSeen};
use crate::model::hint::HintId;
use crate::model::id::NodeName;

impl Fleet<'_> {
    /// Judges the nodes that clusters with quorum miss. One that is configured and does not answer has a finding of its
    /// own, or may be off.
    pub(super) fn judge_members(
        &self,
        hosts: &[&ServerConfig],
        seen: &[HostSeen],
        upkeep: &[(usize, UpkeepSeen)],
        charts: &mut [Chart],
    ) {
        for (place, upkeep) in upkeep {
            let has_quorum = matches!(&seen[*place].api, Some(Ok(api)) if api.quorate != Some(false));
            for node in upkeep.offline.iter().filter(|_| has_quorum) {
                let is_it = |config: &&ServerConfig| {
                    self.cluster_of(&config.id) == self.cluster_of(&hosts[*place].id)
                        && self.node_of(&config.id).as_ref() == Some(node)
                };
                match self.hosts().find(is_it) {
                    Some(config) => {
                        let at = hosts.iter().position(|host| host.id == config.id);
                        if let Some(at) = at.filter(|at| seen[*at].answers()) {
                            of_host::lost_by_its_cluster(self.fix_of_lost(config, node), &mut charts[at]);
                        }
                    }
                    None => self.judge_stranger(hosts, seen, node, &mut charts[*place]),
                }
            }
        }
    }

    /// A node that nobody configured, as far as is known.
    fn judge_stranger(&self, hosts: &[&ServerConfig], seen: &[HostSeen], node: &NodeName, chart: &mut Chart) {
        let may_be = |(host, seen): &(&&ServerConfig, &HostSeen)| !seen.answers() && self.node_of(&host.id).is_none();
        if let Some((host, _)) = hosts.iter().zip(seen).find(may_be) {
            let why =
                format!("node {node} of its cluster is not online: that may be {}, which does not answer", host.id);
            return chart.unknown(CheckId::NodeLost, why);
        }
        of_host::misses_a_node(node, Fix::say(HintId::NodeOffline.text()), chart);
    }

    fn fix_of_lost(&self, config: &ServerConfig, node: &NodeName) -> Fix {
        let command = self.command_on(config, Some(node), "systemctl status corosync pve-cluster");
        Fix::of(CheckId::NodeLost, &[("command", &command)])
    }
}
