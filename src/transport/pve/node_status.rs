//! `/nodes/{node}/status`: what a node says of its own load, for hosts that nobody can ask over SSH.

use std::collections::BTreeMap;

use serde::de::MapAccess;

use crate::model::reading::{Filesystem, HostLoad};
use crate::model::usage::{Count, Usage};

use super::lenient::{Entry, Numbers, Record, Value, skip};
use super::wire::{MOST_CPU, cpu_percent, cpus};

/// The answer. Counters are not among what it tells, so there are no rates.
#[derive(Debug, Default)]
pub(super) struct NodeStatus {
    /// A fraction of all CPUs.
    cpu: Option<f64>,
    cpus: Option<f64>,
    load: [Option<f64>; 3],
    memory: Amounts,
    swap: Amounts,
    root: Amounts,
    uptime: Option<u64>,
}

/// Bytes of memory, of swap, of the root file system.
#[derive(Debug, Clone, Copy, Default)]
struct Amounts {
    used: Option<u64>,
    total: Option<u64>,
    /// What users may still fill of a file system.
    avail: Option<u64>,
    /// ZFS's cache, where the version tells it.
    arc: Option<u64>,
}

/// The `cpus` of `cpuinfo`.
#[derive(Default)]
struct CpuInfo(Option<f64>);

impl<'de> Record<'de> for NodeStatus {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "cpu" => self.cpu = map.next_value::<Value<'_>>()?.number(MOST_CPU),
            "cpuinfo" => self.cpus = map.next_value::<Entry<CpuInfo>>()?.0.unwrap_or_default().0,
            "loadavg" => self.load = map.next_value::<Numbers<3>>()?.0,
            "memory" => self.memory = map.next_value::<Entry<Amounts>>()?.0.unwrap_or_default(),
            "swap" => self.swap = map.next_value::<Entry<Amounts>>()?.0.unwrap_or_default(),
            "rootfs" => self.root = map.next_value::<Entry<Amounts>>()?.0.unwrap_or_default(),
            "uptime" => self.uptime = map.next_value::<Value<'_>>()?.seconds(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Record<'de> for Amounts {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let slot = match key {
            "used" => &mut self.used,
            "total" => &mut self.total,
            "avail" => &mut self.avail,
            "arcsize" => &mut self.arc,
            _ => return skip(map),
        };
        *slot = map.next_value::<Value<'_>>()?.bytes();
        Ok(())
    }
}

impl<'de> Record<'de> for CpuInfo {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "cpus" => self.0 = map.next_value::<Value<'_>>()?.number(1e6),
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Amounts {
    /// What is used and what there is. More used than there is makes no sense of the use.
    fn used_of_total(&self) -> (Option<u64>, Option<u64>) {
        let used = self.used.filter(|used| self.total.is_none_or(|total| *used <= total));
        (used, self.total)
    }
}

impl NodeStatus {
    pub(super) fn load(&self) -> HostLoad {
        let mut reasons = BTreeMap::new();
        // Each worker of the API measures since it was asked last, and has nothing to compare with when it is first asked:
        // then it says 0, which no node that answers can be.
        let cpu = self.cpu.filter(|cpu| *cpu > 0.0);
        if self.cpu.is_some() && cpu.is_none() {
            reasons.insert("cpu", "the API has not measured the CPU yet".to_owned());
        }
        let ((used, memory_max), arc) = (self.memory.used_of_total(), self.memory.arc);
        let arc = arc.filter(|arc| used.is_none_or(|used| *arc <= used));
        if used.is_some() && arc.is_none() {
            reasons.insert("memory", "may contain ZFS's cache, which the API does not tell apart".to_owned());
        }
        let (disk, disk_max) = self.root.used_of_total();
        let (swap_bytes, swap_max_bytes) = self.swap.used_of_total();
        #[expect(clippy::cast_possible_truncation, reason = "seven places of a measurement are enough")]
        let [one, five, fifteen] = self.load.map(|load| load.map(|load| load as f32));
        let usage = Usage {
            cpu_percent: cpu.map(cpu_percent),
            cpus: self.cpus.and_then(cpus),
            load: one,
            memory_bytes: used.map(|used| Count::new(used - arc.unwrap_or(0))),
            memory_max_bytes: memory_max.filter(|total| *total > 0).map(Count::new),
            disk_bytes: disk.map(Count::new),
            disk_max_bytes: disk_max.filter(|total| *total > 0).map(Count::new),
            uptime_seconds: self.uptime.map(Count::new),
            ..Usage::default()
        };
        let unknown = [
            ("cpu", usage.cpu_percent.is_none()),
            ("load", one.is_none()),
            ("memory", usage.memory_bytes.is_none()),
            ("disk", usage.disk_bytes.is_none()),
            ("swap", swap_bytes.is_none()),
        ];
        for (name, _) in unknown.into_iter().filter(|(_, unknown)| *unknown) {
            reasons.entry(name).or_insert_with(|| "the API tells no number that makes sense".to_owned());
        }
        let root = disk.zip(self.root.avail).map(|(used_bytes, avail)| Filesystem {
            mount: "/".to_owned(),
            used_bytes,
            size_bytes: used_bytes.saturating_add(avail),
        });
        HostLoad {
            usage,
            load: one.zip(five).zip(fifteen).map(|((one, five), fifteen)| [one, five, fifteen]),
            swap_bytes,
            swap_max_bytes,
            arc_bytes: arc,
            filesystems: root.into_iter().collect(),
            reasons,
            ..HostLoad::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transport::pve::repair::parse;

    fn read(body: &[u8]) -> HostLoad {
        parse::<Entry<NodeStatus>>(body).unwrap().0.unwrap_or_default().load()
    }

    fn data(fields: &str) -> HostLoad {
        read(format!(r#"{{"data":{{{fields}}}}}"#).as_bytes())
    }

    #[test]
    fn a_recorded_status() {
        let load = read(include_bytes!("../../../tests/fixtures/pve/node-status.json"));
        let usage = Usage {
            cpu_percent: Some(58.449_387),
            cpus: Some(2.0),
            load: Some(3.26),
            memory_bytes: Some(Count::new(1_381_666_816)),
            memory_max_bytes: Some(Count::new(25_276_502_016)),
            disk_bytes: Some(Count::new(20_606_808_064)),
            disk_max_bytes: Some(Count::new(270_553_174_016)),
            uptime_seconds: Some(Count::new(2229)),
            ..Usage::default()
        };
        assert_eq!(load.usage, usage);
        assert_eq!(load.load, Some([3.26, 3.85, 2.55]));
        assert_eq!((load.swap_bytes, load.swap_max_bytes, load.arc_bytes), (Some(0), Some(0), None));
        // What users may fill is less than the file system: the rest is reserved.
        let size_bytes = 20_606_808_064 + 76_965_941_248;
        assert_eq!(load.filesystems, [Filesystem { mount: "/".to_owned(), used_bytes: 20_606_808_064, size_bytes }]);
        assert_eq!(load.reasons.keys().copied().collect::<Vec<_>>(), ["memory"]);
    }

    #[test]
    fn zfs_cache_is_not_in_use() {
        let of = |fields: &str| {
            let load = data(&format!(r#""memory":{{"total":100,"used":60,{fields}}}"#));
            (load.usage.memory_bytes.map(Count::get), load.arc_bytes, load.reasons.contains_key("memory"))
        };
        assert_eq!(of(r#""arcsize":40"#), (Some(20), Some(40), false));
        assert_eq!(of(r#""arcsize":0"#), (Some(60), Some(0), false));
        // More than all that is used: no number.
        assert_eq!(of(r#""arcsize":61"#), (Some(60), None, true));
        assert_eq!(of(r#""arcsize":null"#), (Some(60), None, true));
    }

    #[test]
    fn what_makes_no_sense_is_unknown_and_the_rest_stands() {
        let unsaid = "the API tells no number that makes sense";
        for (fields, name, want) in [
            (r#""cpu":0"#, "cpu", "the API has not measured the CPU yet"),
            (r#""cpu":11"#, "cpu", unsaid),
            (r#""cpu":"x""#, "cpu", unsaid),
            (r#""x":0"#, "cpu", unsaid),
            (r#""memory":{"used":3,"total":2}"#, "memory", unsaid),
            (r#""memory":7"#, "memory", unsaid),
            (r#""rootfs":{"used":3,"total":2}"#, "disk", unsaid),
            (r#""swap":[]"#, "swap", unsaid),
            (r#""loadavg":["x","1","2"]"#, "load", unsaid),
            (r#""loadavg":"1""#, "load", unsaid),
        ] {
            let load = data(&format!(r#""uptime":"9",{fields}"#));
            assert_eq!(load.reasons.get(name).map(String::as_str), Some(want), "{fields}");
            assert_eq!(load.usage.uptime_seconds, Some(Count::new(9)), "{fields}");
        }
        for body in [r#"{"data":null}"#, r#"{"data":[]}"#, r#"{"data":{}}"#] {
            let load = read(body.as_bytes());
            assert_eq!((load.usage, load.load, load.reasons.len()), (Usage::default(), None, 5), "{body}");
        }
        // Two of three averages: the one over a minute is known.
        let load = data(r#""loadavg":[1,"2"],"cpuinfo":{"cpus":"4"},"rootfs":{"used":1,"total":9}"#);
        assert_eq!((load.usage.load, load.load, load.usage.cpus), (Some(1.0), None, Some(4.0)));
        assert_eq!((load.usage.disk_bytes, load.filesystems.len()), (Some(Count::new(1)), 0));
        assert_eq!(data(r#""loadavg":["0.5",1,2,3,4]"#).load, Some([0.5, 1.0, 2.0]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_numbers_are_in_range(
            body in prop::collection::vec(any::<u8>(), 0..64),
            number in any::<f64>(),
            whole in any::<i64>(),
        ) {
            let _ = parse::<Entry<NodeStatus>>(&body);
            let _ = parse::<Entry<NodeStatus>>(&[br#"{"data":{"loadavg":"#, body.as_slice(), b"}}"].concat());
            for value in [number.to_string(), whole.to_string(), format!("\"{number}\"")] {
                let load = data(&format!(
                    r#""cpu":{value},"cpuinfo":{{"cpus":{value}}},"loadavg":[{value},{value},{value}],"uptime":{value},
                       "memory":{{"used":{value},"total":{whole},"arcsize":{value}}},
                       "rootfs":{{"used":{value},"total":{value},"avail":{value}}}"#
                ));
                prop_assert!(load.usage.cpu_percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
                prop_assert!(load.load.is_none_or(|load| load.into_iter().all(|load| (0.0..=1e6).contains(&load))));
                for count in [load.usage.memory_bytes, load.usage.disk_bytes, load.usage.uptime_seconds] {
                    prop_assert!(count.is_none_or(|count| count.get() <= 1 << 60));
                }
                prop_assert!(load.filesystems.iter().all(|root| root.used_bytes <= root.size_bytes));
            }
        }
    }
}
