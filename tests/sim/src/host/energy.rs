//! How much power a host draws, as its kernel shows it: the counters of its CPU under `/sys/class/powercap`, and the power meter
//! of ACPI under `/sys/class/hwmon`.

use std::fmt::Write;

use super::Host;

/// Where the counters of most CPUs of Intel begin again at 0, in microjoules.
pub const RANGE: u64 = 262_143_328_850;

/// One counter.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    /// `intel-rapl:0`, or `intel-rapl:0:1` of a part of it.
    pub folder: String,
    /// `package-0`, `core`, `uncore`, `dram`, `psys`.
    pub name: String,
    /// What it draws while time passes.
    pub watts: f64,
    pub microjoules: u64,
    pub range: u64,
}

impl Domain {
    pub fn new(folder: &str, name: &str, watts: f64, microjoules: u64) -> Domain {
        Domain { folder: folder.into(), name: name.into(), watts, microjoules, range: RANGE }
    }

    /// A package with its cores, and the same again through another register.
    pub fn package(watts: f64, microjoules: u64) -> Vec<Domain> {
        vec![
            Domain::new("intel-rapl:0", "package-0", watts, microjoules),
            Domain::new("intel-rapl:0:0", "core", watts * 0.7, microjoules / 2),
            Domain::new("intel-rapl-mmio:0", "package-0", watts, microjoules),
        ]
    }
}

impl Host {
    /// The counters of the CPU, which move as the host's time passes.
    pub fn set_energy(&self, domains: &[Domain]) {
        let mut moves = String::new();
        self.remove_file("/sys/class/powercap");
        self.write_file("/sys/power/suspend_stats/success", "0\n");
        for Domain { folder, name, watts, microjoules, range } in domains {
            let file = |what: &str| format!("/sys/class/powercap/{folder}/{what}");
            self.write_file(&file("name"), &format!("{name}\n"));
            self.write_file(&file("energy_uj"), &format!("{microjoules}\n"));
            self.write_file(&file("max_energy_range_uj"), &format!("{range}\n"));
            let _ = writeln!(moves, "{folder} {watts} {range}");
        }
        self.write_file("/.sim/energy", &moves);
    }

    /// Sets one counter.
    pub fn set_counter(&self, folder: &str, microjoules: u64) {
        self.write_file(&format!("/sys/class/powercap/{folder}/energy_uj"), &format!("{microjoules}\n"));
    }

    /// The counters are there, and who logs in may not read them.
    pub fn hide_energy(&self, folder: &str) {
        self.remove_file(&format!("/sys/class/powercap/{folder}/energy_uj"));
    }

    /// How often the host has slept since its boot.
    pub fn set_sleeps(&self, sleeps: u32) {
        self.write_file("/sys/power/suspend_stats/success", &format!("{sleeps}\n"));
    }

    /// A sensor of watts, in microwatts; `power_meter` is the whole host's. Older kernels show it below `device`.
    pub fn set_power_sensor(&self, folder: &str, name: &str, microwatts: u64) {
        self.write_file(&format!("/sys/class/hwmon/{folder}/name"), &format!("{name}\n"));
        self.write_file(&format!("/sys/class/hwmon/{folder}/power1_average"), &format!("{microwatts}\n"));
    }
}
