//! What all guests of a host used at the same time.

/// The sums of what the guests of a host used in each hour: each guest by its highest in that hour, so that nothing that
/// happened at once is missed, and what happened at different times of day is not added up.
#[derive(Debug, Clone, Default)]
pub(crate) struct HourSums {
    cores: Vec<f32>,
    memory: Vec<f32>,
}

impl HourSums {
    pub(crate) fn add(&mut self, hour: usize, cores: f32, memory: f32) {
        if hour >= self.cores.len() {
            self.cores.resize(hour + 1, 0.0);
            self.memory.resize(hour + 1, 0.0);
        }
        self.cores[hour] += cores;
        self.memory[hour] += memory;
    }

    /// The highest sum of cores, and of memory in bytes.
    pub(crate) fn highest(&self) -> (f64, f64) {
        let highest = |sums: &[f32]| sums.iter().copied().fold(0.0, f32::max);
        (highest(&self.cores).into(), highest(&self.memory).into())
    }
}
