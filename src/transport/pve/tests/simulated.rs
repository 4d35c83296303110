//! The client against the simulated cluster, whose answers are held against recordings.

use ecobox_sim::{Agent, Cluster, Sim};
use jiff::SignedDuration;

use super::super::client::{Client, Endpoint};
use super::super::filesystems::AgentFilesystems;
use super::super::rrd::{Consolidation, RrdAnswer, Timeframe, merge};
use super::super::testing::SECRET;
use crate::model::access::certificate::Trust;
use crate::model::id::{GuestKind, NodeName, VmId};
use crate::model::load::usage::Count;
use crate::model::past::series::Metric;
use crate::transport::Error;

fn simulated(version: &str) -> Sim {
    let cluster = Cluster::new("lab").pve(version).node_with("pve1", |node| node.loadavg([1.5, 1.0, 0.5]).uptime(7200));
    let cluster = cluster
        .vm(101, "web", |vm| {
            let vm =
                vm.running().uptime(1800).load(0.25, 1 << 28).traffic(10, 20).disk_io(30, 40).rates(50, 60, 70, 80);
            vm.agent(Agent::Answers).disk(8 << 30, 0).filesystem("/srv", "xfs", 1, 4).filesystem("/", "ext4", 2, 3)
        })
        .vm(102, "off", |vm| vm.agent(Agent::Answers))
        .vm(103, "bare", ecobox_sim::Guest::running)
        .ct(201, "dns", |ct| ct.running().disk(4 << 30, 1 << 30))
        .token("ecobox@pve!test", SECRET, "/vms", &["VM.Audit", "VM.GuestAgent.Audit", "VM.Monitor"]);
    let mut cluster = cluster.token("ecobox@pve!all", SECRET, "/", &["VM.Audit", "Sys.Audit"]);
    cluster.clock.freeze();
    Sim::start(cluster)
}

pub(super) fn client(sim: &Sim, token: &str) -> Client {
    let token = format!("{token}={SECRET}").parse().unwrap();
    let port = sim.node("pve1").port();
    let endpoint = Endpoint {
        label: "pve1".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        name: "127.0.0.1".to_owned(),
        trust: Trust::Insecure,
        token,
    };
    Client::new(endpoint).unwrap()
}

/// The simulator has a runtime of its own, which must not end within another one.
pub(super) fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

fn pve1() -> NodeName {
    "pve1".parse().unwrap()
}

fn vmid(number: u32) -> VmId {
    VmId::try_from(number).unwrap()
}

#[test]
fn counters_disks_and_load() {
    let sim = simulated("9.2.11");
    run(async {
        let all = client(&sim, "ecobox@pve!all");
        let listing = all.listing().await.unwrap();
        let usage = |number: u32| listing.guests.iter().find(|guest| guest.vmid == vmid(number)).unwrap().usage;
        let web = usage(101);
        let counters = [web.receive_bytes, web.transmit_bytes, web.read_bytes, web.write_bytes];
        assert_eq!(counters, [10, 20, 30, 40].map(|count| Some(Count::new(count))));
        assert_eq!((web.disk_bytes, web.disk_max_bytes), (None, Some(Count::new(8 << 30))));
        assert_eq!(usage(201).disk_bytes, Some(Count::new(1 << 30)));
        assert_eq!((usage(102).receive_bytes, usage(102).disk_max_bytes.is_some()), (None, true));
        assert_eq!(listing.nodes[0].usage.disk_bytes, Some(Count::new(20 << 30)));
        let audits_only_guests = client(&sim, "ecobox@pve!test");
        let denied = audits_only_guests.node_rrd(&pve1(), Timeframe::Day, Consolidation::Max).await;
        assert!(matches!(denied, Err(Error::Denied { .. })));
    });
}

#[test]
fn histories() {
    // Of version 9, and of 8 with its coarser steps: the minutes of a step, and how many are measured.
    for (version, timeframe, minutes, count, measured) in [
        ("9.2.11", Timeframe::Hour, 1, 60, 30),
        ("9.2.11", Timeframe::Day, 1, 1440, 30),
        ("9.2.11", Timeframe::Month, 30, 1440, 1),
        ("8.4.1", Timeframe::Hour, 1, 60, 30),
        ("8.4.1", Timeframe::Day, 30, 70, 1),
    ] {
        let sim = simulated(version);
        run(async {
            let client = client(&sim, "ecobox@pve!all");
            let ask = async |number: u32, consolidation| {
                client.guest_rrd(&pve1(), GuestKind::Qemu, vmid(number), timeframe, consolidation).await.unwrap()
            };
            let (average, max) = (ask(101, Consolidation::Average).await, ask(101, Consolidation::Max).await);
            assert_eq!(
                (average.rows.len(), average.step()),
                (count, Some(SignedDuration::from_mins(minutes))),
                "{version}"
            );
            let times: Vec<u64> = average.rows.iter().map(|row| u64::try_from(row.ends.as_second()).unwrap()).collect();
            assert_eq!(times, sim.cluster().history_times(timeframe.as_str()));
            let merged = merge(&average, &max);
            let cpu = &merged[&Metric::Cpu];
            let known: Vec<_> = cpu.iter().filter(|step| step.avg.is_some()).collect();
            assert_eq!(known.len(), measured, "{version} {timeframe:?}");
            assert!(known.iter().all(|step| step.avg == Some(25.0) && step.max >= step.avg));
            assert!(!merged.contains_key(&Metric::Disk) && !merged.contains_key(&Metric::Load));
            assert_eq!(merged[&Metric::Write].last().unwrap().avg, Some(80.0));
            assert_eq!(merged.contains_key(&Metric::PressureCpu), version.starts_with('9'));
            assert!(!merge(&ask(102, Consolidation::Average).await, &RrdAnswer::default()).contains_key(&Metric::Cpu));
            assert_eq!(ask(999, Consolidation::Average).await.rows, []);
            let container =
                client.guest_rrd(&pve1(), GuestKind::Lxc, vmid(201), timeframe, Consolidation::Average).await.unwrap();
            assert_eq!(container.rows.last().unwrap().value(Metric::Disk), Some(1_073_741_824.0));
            let node = client.node_rrd(&pve1(), timeframe, Consolidation::Average).await.unwrap();
            assert_eq!(node.rows.last().unwrap().value(Metric::Load), Some(1.5));
        });
    }
}

#[test]
fn file_systems_from_the_agent() {
    let sim = simulated("9.2.11");
    run(async {
        let client = client(&sim, "ecobox@pve!test");
        let ask = async |number: u32| client.agent_filesystems(&pve1(), vmid(number)).await.unwrap();
        let AgentFilesystems::Told(told) = ask(101).await else { panic!("the agent answers") };
        let mounts: Vec<_> = told.list.iter().map(|entry| (entry.mount.as_str(), entry.used_bytes)).collect();
        assert_eq!((mounts, told.reason.as_ref()), (vec![("/", 2), ("/srv", 1)], None));
        assert_eq!(ask(102).await, AgentFilesystems::NotRunning);
        assert_eq!(ask(103).await, AgentFilesystems::NotConfigured);
    });
}
