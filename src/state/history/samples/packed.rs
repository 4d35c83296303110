//! What one run learned, packed as it will stand in the file.

use crate::model::id::{ClusterId, ServerId, VmId};
use crate::model::load::usage::Sample;
use crate::state::history::sample_blocks;
use crate::state::subjects::vmid;

/// What one run learned of all servers. A sample without any number is left out: most guests may be stopped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    pub(super) guests: Vec<(ClusterId, Packed)>,
    /// Configured servers.
    pub(super) servers: Vec<(ServerId, Sample)>,
}

/// Samples as they stand in the file, a third as large as in the model, each with its subject and where it ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    ends: Vec<(i64, usize)>,
}

impl Packed {
    pub(super) fn add(&mut self, subject: i64, sample: &Sample) {
        if says_something(sample) {
            sample_blocks::write(&mut self.bytes, subject, sample);
            self.ends.push((subject, self.bytes.len()));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |(subject, end)| (*subject, &self.bytes[std::mem::replace(&mut begin, *end)..*end]))
    }
}

impl Samples {
    /// Adds a configured server's.
    pub(crate) fn add_server(&mut self, server: &ServerId, sample: Sample) {
        self.servers.push((server.clone(), sample));
    }

    /// Adds a guest's.
    pub(crate) fn add_guest(&mut self, cluster: &ClusterId, vmid: VmId, sample: &Sample) {
        let known = self.guests.iter().position(|(known, _)| known == cluster);
        let at = known.unwrap_or_else(|| {
            self.guests.push((cluster.clone(), Packed::default()));
            self.guests.len() - 1
        });
        self.guests[at].1.add(i64::from(vmid.get()), sample);
    }

    /// Those of configured servers.
    pub(crate) fn servers(&self) -> &[(ServerId, Sample)] {
        &self.servers
    }

    /// Those of guests.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (&ClusterId, VmId, Sample)> {
        self.guests.iter().flat_map(|(cluster, packed)| {
            packed.iter().filter_map(move |(subject, mut bytes)| {
                Some((cluster, vmid(subject)?, sample_blocks::read_one(&mut bytes)?.1))
            })
        })
    }
}

/// Whether anything was measured: sizes alone are no measurement.
pub(super) fn says_something(sample: &Sample) -> bool {
    let Sample { usage: u, pressure: p, watts, .. } = sample;
    let numbers = [u.cpu_percent, u.load, p.cpu_percent, p.memory_percent, p.io_percent];
    let counts = [u.memory_bytes, u.disk_bytes, u.receive_bytes, u.transmit_bytes, u.read_bytes, u.write_bytes];
    watts.is_some()
        || u.uptime_seconds.is_some()
        || numbers.iter().any(Option::is_some)
        || counts.iter().any(Option::is_some)
}
