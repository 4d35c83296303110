//! What goes wrong on demand while pveum or a timer of systemd-run is at work.

use std::time::Duration;

use super::Host;

impl Host {
    /// After the n-th pveum command from now (1: the next) everything that ran it dies, and the connections with it.
    pub fn kill_after_pveum(&self, n: u64) {
        self.inner.control.hooks().kill_after(n);
    }

    /// After the n-th pveum command from now the connections break; the script goes on, as under a real sshd.
    pub fn drop_after_pveum(&self, n: u64) {
        self.inner.control.hooks().drop_after(n);
    }

    /// The n-th pveum command from now does nothing and fails.
    pub fn fail_pveum(&self, n: u64, stderr: &str, code: i32) {
        self.inner.control.hooks().fail(n, stderr, code);
    }

    /// Each pveum command takes that many milliseconds more.
    pub fn slow_pveum(&self, ms: u64) {
        self.inner.control.hooks().slow = Duration::from_millis(ms);
    }

    /// Scripts go on when their connection is gone, as under a real sshd. Without it they end, so that none is left over.
    pub fn outlive_connections(&self) {
        self.inner.control.hooks().outlive();
    }

    /// When the next timer is set by systemd-run, the connections break before anybody is told; scripts go on, as under
    /// a real sshd.
    pub fn cut_after_timer(&self) {
        self.inner.control.hooks().outlive();
        self.inner.tree.write(".sim/cut-after-timer", "");
    }

    /// Whether systemd-run fails, and sets no timer.
    pub fn refuse_timers(&self, refuse: bool) {
        if refuse {
            self.inner.tree.write(".sim/no-timers", "");
        } else {
            self.inner.tree.remove(".sim/no-timers");
        }
    }

    /// The timers that systemd-run set, with its arguments.
    pub fn timers(&self) -> Vec<String> {
        self.read_file(".sim/timers").unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// How many pveum commands were run here.
    pub fn pveum_count(&self) -> u64 {
        self.inner.control.hooks().count
    }
}
