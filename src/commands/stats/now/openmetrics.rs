//! The report for Prometheus.

use super::StatsReport;
use crate::model::id::NodeName;
use crate::model::past::metrics::{self, Families};

/// The report for Prometheus. Servers that did not answer have no numbers in it: old ones would look new.
pub(super) fn families(report: &StatsReport) -> Families {
    let mut families = Families::default();
    families.last_run(report.generated_at);
    for failed in &report.failures {
        families.failed(failed.server.as_str(), failed.kind);
    }
    for row in report.rows() {
        let server = row.server;
        let id = &report.ids.of(server);
        let is_guest = server.vmid.is_some();
        families.power(id, is_guest, server.seen.state);
        match row.load() {
            Some(load) => families.host_load(id, load),
            None => match row.detail.filter(|detail| !detail.inside.is_empty()) {
                Some(detail) => families.usage_inside(id, &server.seen.usage, &detail.inside, detail.virtual_disk),
                None => families.usage(id, &server.seen.usage),
            },
        }
        if let Some(watts) = row.watts() {
            families.host_power(id, watts);
        }
        if let Some(joules) = report.energy.get(&server.id) {
            families.host_energy(id, joules);
        }
        families.services(id, &server.seen.checks);
        let text = |node: Option<&NodeName>| node.map(|node| node.as_str().to_owned()).unwrap_or_default();
        let node = text(server.node.as_ref());
        let (name, kind) = (server.name.as_str(), server.kind.as_str());
        if let Some(vmid) = server.vmid {
            let (vmid, tags) = (vmid.to_string(), server.tags.join(";"));
            let labels = [
                ("id", id.as_str()),
                ("server", server.id.as_str()),
                ("name", name),
                ("kind", kind),
                ("node", node.as_str()),
                ("vmid", vmid.as_str()),
                ("cluster", server.cluster.as_ref().map_or("", |cluster| report.ids.of_cluster(cluster))),
                ("pool", server.pool.as_deref().unwrap_or_default()),
                ("tags", tags.as_str()),
            ];
            families.add(&metrics::GUEST_INFO, &labels, 1.0);
        } else {
            let address = server.hostname.as_deref().unwrap_or_default();
            let labels =
                [("id", id.as_str()), ("name", name), ("kind", kind), ("node", node.as_str()), ("address", address)];
            families.add(&metrics::HOST_INFO, &labels, 1.0);
        }
    }
    families
}
