use jiff::Timestamp;

use super::*;
use crate::model::inventory::tests::server;
use crate::model::load::usage::{Count, Source};
use crate::model::past::series::Measurement;
use crate::model::power::PowerState;

#[test]
fn only_who_was_on_before_ecobox_looked_is_asked_for() {
    let until: Timestamp = "2026-11-29T18:00:00Z".parse().unwrap();
    let ago = |hours: i64| until.saturating_sub(SignedDuration::from_hours(hours)).unwrap();
    let window = Window::new(ago(24), until, None);
    // State, hours of uptime, since how many hours ecobox looks, and whether Proxmox VE is asked.
    for (state, uptime, looks, want) in [
        (PowerState::Running, Some(100), 24, false),
        (PowerState::Running, Some(100), 2, true),
        (PowerState::Running, Some(100), 0, true),
        (PowerState::Running, None, 2, true),
        (PowerState::Running, Some(2), 2, false),
        (PowerState::Stopped, None, 2, false),
        (PowerState::Online, Some(100), 22, true),
        (PowerState::Online, Some(100), 23, false),
    ] {
        let mut one = server("pve1-vm-101", Some("pve1"), Some(101));
        one.cluster = Some(ClusterId::of_host(&one.id));
        one.seen.state = state;
        one.seen.usage.uptime_seconds = uptime.map(|hours| Count::new(hours * 3600));
        let measured = (0..looks).map(|hours| Measurement::one(ago(hours + 1), 1.0));
        let series = [Series::of(Metric::Cpu, Source::Cache, window, measured)];
        assert_eq!(is_short(&one, &series, window), want, "{state} {uptime:?} {looks}");
    }
    assert!(!is_short(&server("nas", None, None), &[], window));
}
