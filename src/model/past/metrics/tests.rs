use std::collections::HashSet;

use super::*;
use crate::model::load::energy::WattsBy;
use crate::model::load::reading::Filesystem;
use crate::model::load::usage::{Sample, Source};
use crate::model::past::series::{Measurement, rates, values};

#[test]
fn names_follow_the_conventions_of_prometheus() {
    let mut names = HashSet::new();
    for definition in ALL {
        let Definition { name, help, unit, kind } = definition;
        assert!(names.insert(name), "{name} twice");
        assert!(name.starts_with("ecobox_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'1'));
        assert!(help.ends_with('.') && !help.contains(['\\', '\n', '"']), "{name}: {help}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_info"), *kind == Kind::Info, "{name}");
        let of_unit = ["bytes", "seconds", "ratio", "watts", "joules"].into_iter().find(|unit| {
            let stem = name.strip_suffix("_total").unwrap_or(name);
            stem.ends_with(&format!("_{unit}"))
        });
        assert_eq!(*unit, of_unit, "{name}");
    }
}

/// The catalogue is a contract: what stands here may get more lines, and never changes.
#[test]
fn no_name_is_changed() {
    let names: Vec<&str> = ALL.iter().map(|definition| definition.name).collect();
    let contract = "ecobox_up ecobox_power_state ecobox_cpu_usage_ratio ecobox_cpus ecobox_load1 ecobox_memory_used_bytes \
        ecobox_memory_size_bytes ecobox_memory_arc_bytes ecobox_swap_used_bytes ecobox_swap_size_bytes \
        ecobox_filesystem_used_bytes ecobox_filesystem_size_bytes ecobox_network_receive_bytes_total \
        ecobox_network_transmit_bytes_total ecobox_disk_read_bytes_total ecobox_disk_written_bytes_total \
        ecobox_uptime_seconds ecobox_pressure_ratio ecobox_service_up ecobox_service_response_seconds ecobox_guest_info \
        ecobox_host_info ecobox_host_power_watts ecobox_host_energy_joules_total ecobox_last_run_timestamp_seconds ecobox_failed";
    for name in contract.split_whitespace() {
        assert!(names.contains(&name), "{name}");
    }
}

fn sample() -> Sample {
    let count = |number| Some(Count::new(number));
    let usage = Usage {
        cpu_percent: Some(12.3),
        cpus: Some(0.5),
        load: Some(1.07),
        memory_bytes: count(1 << 30),
        memory_max_bytes: count(4 << 30),
        disk_bytes: count(0),
        disk_max_bytes: count(10),
        receive_bytes: count(1000),
        transmit_bytes: count(2000),
        read_bytes: count(3000),
        write_bytes: count(4000),
        uptime_seconds: count(100),
    };
    let pressure = Pressure { cpu_percent: Some(0.07), memory_percent: Some(33.33), io_percent: Some(100.0) };
    Sample { source: Source::Api, usage, pressure, watts: Some(Watts::measured(WattsBy::Meter, 85.5)) }
}

fn shown(families: Families) -> Vec<String> {
    let line = |family: &Family, (labels, value): &(Labels, f64)| {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}{{{}}} {value}", family.definition.name, labels.join(","))
    };
    let families = families.finish();
    families.iter().flat_map(|family| family.samples.iter().map(|sample| line(family, sample))).collect()
}

#[test]
fn what_is_unknown_is_not_there_and_nothing_is_there_twice() {
    let mut families = Families::default();
    families.usage("a", &Usage::default());
    families.pressure("a", &Pressure::default());
    families.add(&CPUS, &[("id", "a")], f64::NAN);
    families.add(&CPUS, &[("id", "a")], f64::INFINITY);
    families.power("a", true, PowerState::Unknown);
    let states = ["running", "stopped", "paused", "hibernated", "unknown"];
    let want: Vec<String> =
        states.map(|state| format!("ecobox_power_state{{id=a,state={state}}} {}", u8::from(state == "unknown"))).into();
    assert_eq!(shown(families), want);

    let mut families = Families::default();
    families.add(&SERVICE_UP, &[("service", "web"), ("id", "a")], true);
    families.add(&SERVICE_UP, &[("id", "a"), ("service", "web")], false);
    families.add(&GUEST_INFO, &[("id", "a"), ("pool", "")], 1.0);
    families.add(&GUEST_INFO, &[("id", "a")], 1.0);
    families.add(&HOST_INFO, &[("id", "a"), ("name", "x\n\u{202e}\"\\")], 1.0);
    families.failed("b", FailureKind::Denied);
    families.last_run("2026-11-25T12:00:00.9Z".parse().unwrap());
    let want = [
        "ecobox_service_up{id=a,service=web} 1",
        "ecobox_guest_info{id=a,pool=} 1",
        "ecobox_host_info{id=a,name=x\\u{a}\\u{202e}\"\\} 1",
        "ecobox_last_run_timestamp_seconds{} 1795608000",
        "ecobox_failed{id=b,reason=denied} 1",
    ];
    assert_eq!(shown(families), want);
}

#[test]
fn a_hosts_root_file_system_is_there_once() {
    let mut load = HostLoad { swap_bytes: Some(0), arc_bytes: Some(7), ..HostLoad::default() };
    let system = |mount: &str, used_bytes| Filesystem { mount: mount.to_owned(), used_bytes, size_bytes: 9 };
    load.filesystems = vec![system("/", 5), system("/srv", 6)];
    let lines = |load: &HostLoad| {
        let mut families = Families::default();
        families.host_load("h", load);
        shown(families)
    };
    let rest =
        ["{id=h,mountpoint=/} 5", "{id=h,mountpoint=/srv} 6"].map(|line| format!("ecobox_filesystem_used_bytes{line}"));
    assert_eq!(lines(&load)[2..4], rest);
    assert_eq!(lines(&load)[..2], ["ecobox_memory_arc_bytes{id=h} 7", "ecobox_swap_used_bytes{id=h} 0"]);
    load.usage.disk_bytes = Some(Count::new(4));
    assert_eq!(lines(&load)[2], "ecobox_filesystem_used_bytes{id=h,mountpoint=/} 4");
    assert_eq!(lines(&load)[3], rest[1]);
}

/// What is sent and comes back is what the state file's own samples say.
#[test]
fn numbers_come_back_as_they_were() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let first = sample();
    let mut second = sample();
    second.usage.uptime_seconds = Some(Count::new(160));
    for total in [
        &mut second.usage.receive_bytes,
        &mut second.usage.transmit_bytes,
        &mut second.usage.read_bytes,
        &mut second.usage.write_bytes,
    ] {
        *total = total.map(|count| Count::new(count.get() * 3));
    }
    let samples = [(at(1000), first), (at(1061), second)];
    let points = |definition: &Definition, label: Option<(&'static str, &'static str)>| -> Vec<(Timestamp, f64)> {
        let of = |(at, sample): &(Timestamp, Sample)| {
            let mut families = Families::default();
            families.usage("a", &sample.usage);
            families.pressure("a", &sample.pressure);
            families.host_power("a", &sample.watts.unwrap());
            let family = families.finish().into_iter().find(|family| family.definition == definition).unwrap();
            let wanted = |labels: &Labels| label.is_none_or(|label| labels.contains(&(label.0, label.1.to_owned())));
            let (_, value) = family.samples.into_iter().find(|(labels, _)| wanted(labels)).unwrap();
            (*at, value)
        };
        samples.iter().map(of).collect()
    };
    for metric in Metric::ALL {
        let kept = kept(metric);
        let points = points(kept.definition, kept.label);
        let got: Vec<Measurement> = if metric.is_rate() {
            assert_eq!(kept.definition.kind, Kind::Counter);
            let uptime: Vec<(Timestamp, f64)> = vec![(at(1000), 100.0), (at(1061), 160.0)];
            rates(totals(&points, &uptime))
        } else {
            points.iter().map(|(at, value)| Measurement::one(*at, kept.value(*value))).collect()
        };
        let want = values(metric, &samples);
        assert_eq!(got, want, "{metric}");
        assert!(!got.is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn each_percentage_comes_back(percent in 0.0_f32..=100.0) {
        let kept = kept(Metric::Cpu);
        let back = kept.value(share(Some(percent)).unwrap());
        proptest::prop_assert_eq!(Some(back), Some(four_places(percent.into())));
    }
}
