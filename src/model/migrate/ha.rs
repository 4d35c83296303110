//! What HA says of a guest that it was asked to move. The task of the request ends well once it is queued: HA takes it in
//! its next round, or drops it and says so only in the journal of its master.

use crate::model::id::NodeName;

/// What HA's status says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HaStatus {
    /// Whether the node that answered has quorum.
    pub(crate) quorate: Option<bool>,
    pub(crate) master: Option<NodeName>,
    /// Nodes in maintenance mode.
    pub(crate) maintenance: Vec<NodeName>,
    pub(crate) services: Vec<HaService>,
}

impl HaStatus {
    /// What it says of one guest: `vm:101`.
    pub(crate) fn service(&self, sid: &str) -> Option<&HaService> {
        self.services.iter().find(|service| service.sid == sid)
    }
}

/// One guest that HA manages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HaService {
    pub(crate) sid: String,
    pub(crate) node: Option<NodeName>,
    /// The state of the manager (`crm_state`), else the one that is shown.
    pub(crate) state: String,
}

/// A rule or group that leaves guests only some nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StrictNodes {
    pub(crate) guests: Vec<String>,
    pub(crate) nodes: Vec<NodeName>,
}

/// How far HA is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HaProgress {
    /// Nothing shows that it took the request.
    Waits,
    /// It moves the guest.
    Works,
    /// The guest is on the other node, and HA has done with it.
    There,
    /// It has tried, and left the guest where it was.
    GaveUp,
}

/// What is seen of a request; `took`: an earlier look has shown that HA works on it.
pub(crate) fn progress(service: Option<&HaService>, from: &NodeName, to: &NodeName, took: bool) -> HaProgress {
    let Some(service) = service else { return HaProgress::Waits };
    let works = matches!(service.state.as_str(), "migrate" | "relocate" | "request_start_balance");
    match &service.node {
        _ if works => HaProgress::Works,
        Some(node) if node == to => HaProgress::There,
        Some(node) if node == from && took => HaProgress::GaveUp,
        _ => HaProgress::Waits,
    }
}
