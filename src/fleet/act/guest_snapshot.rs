//! What was seen of a guest while the plan was made, for the step that acts on it a moment later.

use std::time::Instant;

use crate::model::guest::{GuestConfig, GuestStatus};
use crate::model::id::NodeName;

/// What was seen of a guest while the plan was made.
#[derive(Debug, Clone)]
pub(super) struct GuestSnapshot {
    pub(super) at: Instant,
    pub(super) node: NodeName,
    pub(super) status: GuestStatus,
    /// Where it is the guest that was known under this number before.
    pub(super) config: Option<GuestConfig>,
}
