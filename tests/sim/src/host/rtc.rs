//! The clock that runs on while a host sleeps, and wakes it at its alarm. It moves only when a test lets time pass.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Host;
use super::tree::Tree;

const DEVICE: &str = "sys/devices/pnp0/00:01";
const RTC: &str = "sys/class/rtc/rtc0";

/// Writes the clock of an ordinary mainboard.
pub(super) fn write(tree: &Tree) {
    tree.write(&format!("{DEVICE}/power/wakeup"), "enabled\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = format!("{now}\n");
    for (file, text) in [("name", "rtc_cmos 00:01\n"), ("hctosys", "1\n"), ("wakealarm", ""), ("since_epoch", &now)] {
        tree.write(&format!("{DEVICE}/rtc/rtc0/{file}"), text);
    }
    tree.link(&format!("{DEVICE}/rtc/rtc0/device"), "../../../00:01");
    tree.link(RTC, "../../devices/pnp0/00:01/rtc/rtc0");
    tree.write("proc/driver/rtc", "rtc_time\t: 10:00:00\nalarm_IRQ\t: no\nbatt_status\t: okay\n");
}

impl Host {
    fn rtc_number(&self, file: &str) -> Option<i64> {
        self.read_file(&format!("{RTC}/{file}"))?.trim().parse().ok()
    }

    /// How far ahead the alarm is; `None`: none is set.
    pub fn alarm(&self) -> Option<Duration> {
        let ahead = self.rtc_number("wakealarm")? - self.rtc_number("since_epoch")?;
        Some(Duration::from_secs(ahead.try_into().unwrap_or(0)))
    }

    /// Another program sets the alarm.
    pub fn set_alarm(&self, ahead: Duration) {
        let at = self.rtc_number("since_epoch").unwrap_or(0) + i64::try_from(ahead.as_secs()).expect("some years");
        self.write_file(&format!("{RTC}/wakealarm"), &format!("{at}\n"));
    }

    /// What was written to the alarm, line by line.
    pub fn alarm_writes(&self) -> Vec<String> {
        self.read_file(".sim/rtc-writes").unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The clock has the local time, so many seconds ahead of UTC, as another system on the same machine wants it.
    pub fn set_rtc_local(&self, ahead: i64) {
        let now = self.rtc_number("since_epoch").unwrap_or(0) + ahead;
        self.write_file(&format!("{RTC}/since_epoch"), &format!("{now}\n"));
        self.write_file("etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n");
    }

    /// The clock takes alarms, and shows none afterwards.
    pub fn make_rtc_deaf(&self) {
        self.write_file(".sim/rtc-mode", "deaf\n");
    }

    /// The clock takes no alarm that is farther than this, as one without a register for days.
    pub fn limit_rtc(&self, most: Duration) {
        self.write_file(".sim/rtc-mode", &format!("most {}\n", most.as_secs()));
    }

    /// The clock's device may not wake the host.
    pub fn disable_rtc(&self) {
        self.write_file(&format!("{DEVICE}/power/wakeup"), "disabled\n");
    }

    /// A machine without such a clock, as many virtual ones.
    pub fn remove_rtc(&self) {
        for path in ["sys/class/rtc", DEVICE, "proc/driver/rtc"] {
            self.remove_file(path);
        }
    }

    /// The timers of systemd, each with when it fires next and fired last, in seconds from now by a clock that is right.
    pub fn set_systemd_timers(&self, timers: &[(&str, i64, Option<i64>)]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let micros = |after: i64| (i64::try_from(now).expect("some years") + after) * 1_000_000;
        let rows = timers.iter().map(|(unit, next, last)| {
            serde_json::json!({
                "next": micros(*next), "left": micros(*next), "last": last.map_or(0, micros), "passed": 0, "unit": unit,
                "activates": unit.replace(".timer", ".service"),
            })
        });
        let rows: Vec<_> = rows.collect();
        self.write_file(".sim/list-timers.json", &format!("{}\n", serde_json::Value::from(rows)));
    }

    /// Lets time pass on the clock. Whether its alarm went off; if it did, and the host slept, it is awake now.
    pub fn pass(&self, span: Duration) -> bool {
        let rings = self.alarm().is_some_and(|ahead| ahead <= span);
        let now = self.rtc_number("since_epoch").unwrap_or(0) + i64::try_from(span.as_secs()).expect("some years");
        self.write_file(&format!("{RTC}/since_epoch"), &format!("{now}\n"));
        if rings {
            // It goes off once.
            self.write_file(&format!("{RTC}/wakealarm"), "");
            let wakes = self.read_file(&format!("{DEVICE}/power/wakeup")).is_some_and(|word| word.trim() == "enabled");
            if wakes && *self.asleep().borrow() {
                self.wake();
            }
        }
        rings
    }
}
