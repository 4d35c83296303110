//! `ecobox stats`: how hard every server works, now (`now`) or over time (`since`).

pub(crate) mod now;
pub(crate) mod since;

use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};
use jiff::SignedDuration;

use crate::commands::args::GLOBAL_OPTIONS;
use crate::commands::complete;
use crate::model::past::series::Metric;

pub(crate) use now::run as now;
pub(crate) use since::run as since;

const USAGE: &str = "ecobox stats [TARGET]... [--all-disks] [--agent] [--interval DURATION]\n       ecobox stats [TARGET]... --since WHEN [--step DURATION] [--metric METRIC]...\n       ecobox stats [TARGET]... --chart METRIC [--since WHEN] [--step DURATION]";

const EXAMPLES: &str = "Examples:\n\
    \x20 ecobox stats                             # the load of everything\n\
    \x20 ecobox stats nas --all-disks             # every local file system\n\
    \x20 ecobox stats kind=vm --agent             # with the disks of virtual machines\n\
    \x20 ecobox stats --since 7d --chart cpu 'pve*'\n\
    \x20 ecobox stats --since 24h --step 5m --metric cpu -o csv\n\
    \x20 ecobox -q stats -o openmetrics --out /var/lib/prometheus/node-exporter/ecobox.prom";

/// Show how hard every server works
///
/// Hosts and plain servers are asked over SSH by one script each, guests through the Proxmox VE API, one request for a
/// whole cluster. CPU and rates compare two readings: the last run's if it is younger than ten minutes, else a second
/// one after `--interval`. What is not known is `-`; `-o wide` and `-o json` say why.
///
/// With `--since`, the numbers of the past: those of earlier runs, those of Proxmox VE if it goes further back, or those of
/// a Prometheus server if the configuration names one.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = GLOBAL_OPTIONS, after_long_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("past").args(["since", "chart"]).multiple(true)))]
pub(crate) struct StatsArgs {
    /// Only these: a name, an id, `vm-101`, `host/101`, a glob, `tag=`, `node=`, `kind=`, `pool=`, `state=`, `!` excludes
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(complete::target))]
    targets: Vec<String>,
    /// Show all local file systems of hosts and plain servers, not only the root
    #[arg(long, conflicts_with = "past")]
    all_disks: bool,
    /// Ask guest agents for the file systems of virtual machines, which only they know
    #[arg(long, conflicts_with = "past")]
    agent: bool,
    /// With `--agent`: also ask those that did not answer within the last hour
    #[arg(long, requires = "agent")]
    all_agents: bool,
    /// Time between two readings, unless an earlier run left one
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = crate::commands::args::duration)]
    #[arg(conflicts_with = "past")]
    interval: Duration,
    /// Show the time since then: `2h`, `7d`, or a time like `2026-11-24T08:00:00Z`
    #[arg(long, value_name = "WHEN", value_parser = crate::commands::args::since)]
    since: Option<crate::commands::args::Since>,
    /// Length of a step of the series [default: one that suits the time]
    #[arg(long, value_name = "DURATION", value_parser = crate::commands::args::span, requires = "past")]
    step: Option<SignedDuration>,
    /// Which series (can be repeated) [default: cpu, memory, receive, transmit]
    #[arg(long = "metric", value_name = "METRIC", value_parser = metric, requires = "since")]
    #[arg(add = ArgValueCandidates::new(complete::metric))]
    metrics: Vec<Metric>,
    /// Draw this series as a chart, of the last 24 hours unless `--since` says otherwise
    #[arg(long, value_name = "METRIC", value_parser = metric, conflicts_with = "metrics")]
    #[arg(add = ArgValueCandidates::new(complete::metric))]
    chart: Option<Metric>,
}

impl StatsArgs {
    /// Whether the past is asked for.
    pub(crate) fn looks_back(&self) -> bool {
        self.since.is_some() || self.chart.is_some()
    }
}

fn metric(text: &str) -> Result<Metric, String> {
    Metric::parse(text).ok_or_else(|| {
        let all: Vec<&str> = Metric::ALL.into_iter().map(Metric::as_str).collect();
        format!("there are {}", all.join(", "))
    })
}
