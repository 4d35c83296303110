//! What sizes a guest: the balloon driver inside a virtual machine, and changes that wait for the next start.

use serde_json::{Value, json};

use crate::guest::{Guest, Kind};

impl Guest {
    /// Its balloon driver runs and reports how much memory is free in it. To be said after its size.
    #[must_use]
    pub fn balloon(mut self) -> Guest {
        self.balloon = Some(self.memory);
        self
    }

    /// Its host was short of memory, and left it only so much.
    #[must_use]
    pub fn squeezed_to(mut self, mebibytes: u64) -> Guest {
        self.balloon = Some(mebibytes << 20);
        self
    }

    /// An entry of its configuration was changed, and waits until it is stopped and started.
    #[must_use]
    pub fn pending(mut self, key: &str, value: impl Into<Value>) -> Guest {
        self.pending.insert(key.to_owned(), value.into());
        self
    }

    /// QEMU's `query-balloon` with the guest's statistics, as `status/current` and the full list have it. A virtual machine
    /// without the device has none, one without the driver no `free_mem`.
    pub(crate) fn balloon_info(&self) -> Option<Value> {
        let has_device = self.config.get("balloon").and_then(Value::as_u64) != Some(0);
        let actual = self.balloon.filter(|_| self.kind == Kind::Qemu && self.is_active() && has_device)?;
        Some(json!({
            "actual": actual,
            "max_mem": self.memory,
            "total_mem": actual,
            "free_mem": actual.saturating_sub(self.memory_used),
            "mem_swapped_in": 0, "mem_swapped_out": 0, "major_page_faults": 12, "minor_page_faults": 3456,
            "last_update": 1_795_960_000,
        }))
    }
}
