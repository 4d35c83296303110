use std::io::Write as _;
use std::process::{Command, Stdio};

use ecobox_sim::prometheus::{NodeExporter, promtool_check_metrics};

use super::*;
use crate::model::inventory::FailureKind;
use crate::model::load::energy::{Watts, WattsSource};
use crate::model::load::usage::{Count, Pressure, Usage};
use crate::model::past::metrics::{self, Families};
use crate::model::power::PowerState;

/// What a guest may be called by people who mean no good.
const HOSTILE: &str = "a\"} 1\n# EOF\r\\ \\\" \\n {x=\"y\",\t\u{1b}[31m \u{202e}\u{2028} grün 日本 # TYPE x counter";

/// Each family with a number, and foreign text in each label.
fn everything() -> Families {
    let mut families = Families::default();
    let count = |number| Some(Count::new(number));
    let usage = Usage {
        cpu_percent: Some(12.3),
        cpus: Some(0.5),
        load: Some(1.07),
        memory_bytes: count(1 << 60),
        memory_max_bytes: count(u64::MAX),
        disk_bytes: count(0),
        disk_max_bytes: count(10),
        receive_bytes: count(1),
        transmit_bytes: count(2),
        read_bytes: count(3),
        write_bytes: count(4),
        uptime_seconds: count(5),
    };
    for id in ["pve1", HOSTILE, ""] {
        families.usage(id, &usage);
        families
            .pressure(id, &Pressure { cpu_percent: Some(0.001), memory_percent: Some(0.0), io_percent: Some(100.0) });
        families.power(id, id == "pve1", PowerState::Unknown);
        families.power(id, id != "pve1", PowerState::Running);
        families.failed(id, FailureKind::Denied);
        for definition in [&metrics::MEMORY_ARC, &metrics::SWAP_USED, &metrics::SWAP_SIZE, &metrics::DISK_SIZE] {
            families.add(definition, &[("id", id)], 1e-300);
        }
        // The same twice would make a reader refuse the whole file.
        for up in [true, false] {
            families.add(&metrics::SERVICE_UP, &[("id", id), ("service", HOSTILE)], up);
            families.add(&metrics::SERVICE_RESPONSE, &[("id", id), ("service", HOSTILE)], 0.000_123);
        }
        families.host_power(id, &Watts::modelled(40.0, 120.0, 12.5));
        families.host_energy(id, &[(WattsSource::Rapl, 1e9), (WattsSource::Meter, 0.5)].into());
        let info = [("id", id), ("name", HOSTILE), ("tags", ""), ("pool", "a,b;c=d")];
        families.add(&metrics::GUEST_INFO, &info, 1.0);
        families.add(&metrics::HOST_INFO, &info[..2], 1.0);
    }
    families.last_run("2026-11-25T12:00:00Z".parse().unwrap());
    families
}

fn text(families: Families) -> String {
    let mut out = Vec::new();
    write(&mut out, &families.finish()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_text_of_some_metrics() {
    let mut families = Families::default();
    families.add(&metrics::UPTIME, &[("id", "pve1")], 5.0);
    families.add(&metrics::NETWORK_RECEIVE, &[("id", "pve1")], 123_456_789_012_u64);
    families.add(&metrics::HOST_INFO, &[("id", "pve1"), ("name", "a \"b\" \\ \n c")], 1.0);
    families.add(&metrics::LAST_RUN, &[], 1.5);
    let want = "# HELP ecobox_network_receive_bytes_total Received over the network since boot.\n\
        ecobox_network_receive_bytes_total{id=\"pve1\"} 123456789012\n\
        # HELP ecobox_uptime_seconds Time since boot.\n\
        # TYPE ecobox_uptime_seconds gauge\n\
        # UNIT ecobox_uptime_seconds seconds\n\
        ecobox_uptime_seconds{id=\"pve1\"} 5\n\
        # HELP ecobox_host_info What and where the host is.\n\
        # TYPE ecobox_host_info gauge\n\
        ecobox_host_info{id=\"pve1\",name=\"a \\\"b\\\" \\\\ \\\\u{a} c\"} 1\n\
        # HELP ecobox_last_run_timestamp_seconds When these numbers were collected.\n\
        # TYPE ecobox_last_run_timestamp_seconds gauge\n\
        # UNIT ecobox_last_run_timestamp_seconds seconds\n\
        ecobox_last_run_timestamp_seconds 1.5\n\
        # EOF\n";
    assert_eq!(text(families), want);
    assert_eq!(text(Families::default()), "# EOF\n");
    assert_eq!(escaped("\\ \" \n"), "\\\\ \\\" \\n");
}

/// Any text of `label="value"` lines that comes of it is one line a number.
#[test]
fn foreign_text_makes_no_line_of_its_own() {
    let text = text(everything());
    for line in text.lines() {
        assert!(
            line.starts_with("# HELP ecobox_")
                || line.starts_with("# TYPE ecobox_")
                || line.starts_with("# UNIT ecobox_")
                || line.starts_with("ecobox_")
                || line == "# EOF",
            "{line}"
        );
    }
    assert!(text.ends_with("\n# EOF\n") && text.matches("\n# EOF\n").count() == 1);
    assert!(!text.replace('\n', "").contains(crate::model::text::is_unsafe));
    let families = everything().finish();
    assert_eq!(families.len(), metrics::ALL.len(), "each family of the catalogue is looked at");
}

#[test]
fn promtool_has_no_complaint() {
    let Some(said) = promtool_check_metrics(&text(everything())) else { return };
    assert_eq!(said, "");
    // It does look.
    assert!(promtool_check_metrics("# TYPE a_total gauge\na_total 1\n").unwrap().contains("a_total"));
}

#[test]
fn node_exporter_serves_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ecobox.prom"), text(everything())).unwrap();
    let Some(exporter) = NodeExporter::start(folder.path()) else { return };
    let scraped = exporter.scrape();
    assert!(scraped.contains("node_textfile_scrape_error 0\n"), "{scraped}");
    for family in everything().finish() {
        let Definition { name, help, kind, .. } = family.definition;
        assert!(scraped.contains(&format!("# HELP {name} {help}\n")), "{name}\n{scraped}");
        let kind = if *kind == Kind::Counter { "untyped" } else { "gauge" };
        assert!(scraped.contains(&format!("# TYPE {name} {kind}\n")), "{name}\n{scraped}");
        let numbers = scraped
            .lines()
            .filter(|line| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}{{")));
        assert_eq!(numbers.count(), family.samples.len(), "{name}");
    }
    // It would say so.
    std::fs::write(folder.path().join("ecobox.prom"), "ecobox_up{id=\"a\"} 1\necobox_up{id=\"a\"} 1\n# TYPE x foo\n")
        .unwrap();
    assert!(exporter.scrape().contains("node_textfile_scrape_error 1\n"));
}

/// The reference parser of OpenMetrics: prints each number, sorted, or what it complains about.
const PARSE: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.read()):
    print(family.type, family.unit, len(family.samples), family.name)
";

#[test]
fn the_reference_parser_of_openmetrics_takes_it() {
    let python = std::env::var_os("ECOBOX_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let known = Command::new(&python)
        .args(["-c", "import prometheus_client.openmetrics.parser"])
        .stderr(Stdio::null())
        .status();
    if !known.is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: python3 with prometheus_client is not installed");
        return;
    }
    let parse = |text: &str| {
        let mut child = Command::new(&python)
            .args(["-c", PARSE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let parsed = parse(&text(everything()));
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let of_family = |family: &Family| {
        let Definition { name, unit, kind, .. } = family.definition;
        let (kind, unit) = if *kind == Kind::Counter { ("unknown", "") } else { ("gauge", unit.unwrap_or_default()) };
        format!("{kind} {unit} {} {name}\n", family.samples.len())
    };
    let want: String = everything().finish().iter().map(of_family).collect();
    assert_eq!(String::from_utf8_lossy(&parsed.stdout), want);
    assert!(!parse("a 1\n").status.success(), "it would complain");
}
