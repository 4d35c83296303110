//! Whether a cluster sees its nodes.

use crate::model::check::CheckId;
use crate::model::check::diagnosis::{Chart, Verdict};
use crate::model::check::fix::Fix;
use crate::model::id::NodeName;

/// A host that answers, and that its cluster does not see. That it sees no quorum itself is because of that.
pub(crate) fn lost_by_its_cluster(fix: Fix, chart: &mut Chart) {
    let finding = "it answers, and its cluster says that it is offline";
    chart.problem(CheckId::NodeLost, finding, Some(fix));
    for one in chart.list.iter_mut().filter(|one| one.id == CheckId::QuorumLost && one.verdict.is_wrong()) {
        (one.verdict, one.finding, one.fix) = (Verdict::Skipped, None, None);
        (one.because, one.shared) = (Some(CheckId::NodeLost), None);
    }
}

/// A node that nobody configured, and that ecobox can therefore not have put to sleep.
pub(crate) fn misses_a_node(node: &NodeName, fix: Fix, chart: &mut Chart) {
    let finding = format!("node {node} of its cluster is not online, and no configured server");
    chart.warning(CheckId::NodeLost, finding, Some(fix));
}
