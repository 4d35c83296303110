//! What the script reads of the power of a host.

use super::*;

/// Folder, name, file, microwatts of each.
type Meters<'m> = &'m [(&'m str, &'m str, &'m str, &'m str)];

const CPU: &str = "sys/class/powercap/intel-rapl:0";

/// A counter of so many joules, which grows by 40 joules while the host sleeps: 20 W.
fn counter(host: &Host, folder: &str, name: &str, joules: u64) {
    host.file(&format!("{folder}/name"), &format!("{name}\n"));
    host.file(&format!("{folder}/max_energy_range_uj"), "262143328850\n");
    host.file(&format!("{folder}/energy_uj"), &format!("{}\n", joules * 1_000_000));
    host.file(&format!("later/{folder}/energy_uj"), &format!("{}\n", (joules + 40) * 1_000_000));
}

#[test]
fn packages_and_memory_are_read_and_parts_of_them_are_not() {
    let (reading, load, text) = by_all(
        || {
            let host = debian();
            counter(&host, CPU, "package-0", 100);
            counter(&host, "sys/class/powercap/intel-rapl:0:0", "core", 50);
            counter(&host, "sys/class/powercap/intel-rapl:0:1", "uncore", 50);
            counter(&host, "sys/class/powercap/intel-rapl:0:2", "dram", 7);
            counter(&host, "sys/class/powercap/intel-rapl:1", "package-1", 200);
            counter(&host, "sys/class/powercap/intel-rapl-mmio:0", "package-0", 100);
            host.file("sys/class/powercap/intel-rapl/enabled", "1\n");
            host.file("sys/power/suspend_stats/success", "3\n");
            host
        },
        false,
    );
    assert_eq!(load.cpu_watts, Some((60.0, WattsBy::PackageAndMemory)), "{text}");
    assert_eq!(reading.energy.keys().collect::<Vec<_>>(), ["intel-rapl:0", "intel-rapl:0:2", "intel-rapl:1"]);
    assert_eq!((reading.sleeps, load.reasons.get("watts")), (Some(3), None));
}

#[test]
fn counters_that_may_not_be_read_are_unknown() {
    let (reading, load, _) = by_all(
        || {
            let host = debian();
            counter(&host, CPU, "package-0", 100);
            remove(&host, &format!("{CPU}/energy_uj"));
            remove(&host, &format!("later/{CPU}/energy_uj"));
            host
        },
        false,
    );
    assert_eq!((load.cpu_watts, reading.energy.len()), (None, 0));
    assert_eq!(load.reasons["watts"], "only root may read the energy counters of its CPU");
}

#[test]
fn the_power_meter_is_read_wherever_the_kernel_has_it() {
    let meter = |host: &Host, folder: &str, name: &str, file: &str, microwatts: &str| {
        host.file(&format!("sys/class/hwmon/{folder}/name"), &format!("{name}\n"));
        host.file(&format!("sys/class/hwmon/{folder}/{file}"), &format!("{microwatts}\n"));
    };
    for (meters, want, why) in [
        (&[("hwmon0", "power_meter", "power1_average", "137000000")][..], Some(137.0), None),
        (&[("hwmon0/device", "power_meter", "power1_average", "137000000")], Some(137.0), None),
        (&[("hwmon1", "power_meter", "power1_input", "85500000")], Some(85.5), None),
        (
            &[("hwmon0", "corsairpsu", "power1_input", "85500000"), ("hwmon1", "amdgpu", "power1_average", "9000000")],
            None,
            None,
        ),
        (&[("hwmon0", "power_meter", "power1_average", "-5")], None, None),
        (
            &[("hwmon0", "power_meter", "power1_average", "1"), ("hwmon1", "power_meter", "power1_average", "2")],
            None,
            Some("it has 2 power meters, and how they add up is unknown"),
        ),
    ] as [(Meters<'_>, _, _); 6]
    {
        let make = || {
            let host = debian();
            for (folder, name, file, microwatts) in meters {
                meter(&host, folder, name, file, microwatts);
            }
            host
        };
        let (_, load, text) = by_all(make, false);
        assert_eq!((load.sensor_watts, load.reasons.get("watts").map(String::as_str)), (want, why), "{text}");
    }
    let battery = || {
        let host = debian();
        meter(&host, "hwmon0", "power_meter", "power1_average", "9000000");
        host.file("sys/class/hwmon/hwmon0/power1_is_battery", "1\n");
        host
    };
    assert_eq!(by_all(battery, false).1.sensor_watts, None);
}
