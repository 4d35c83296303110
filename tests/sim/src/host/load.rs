//! How hard a host works: what /proc, /sys and `df` show of it, and the passing of its time.
//!
//! Nothing moves by itself. A script's short `sleep`, or [`Host::advance`], lets time pass at the host's [`Pace`]; the
//! other methods set or add numbers between two looks.

use std::fmt::Write;
use std::process::Command;

use super::tree::Tree;
use super::{Host, Kind};

/// What a host does each second.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// The kernel's ticks (100 a second for each CPU): user, system, idle, iowait.
    pub cpu: [f64; 4],
    /// Port, bytes received, bytes sent.
    pub ports: Vec<(String, f64, f64)>,
    /// Disk, bytes read, bytes written.
    pub disks: Vec<(String, f64, f64)>,
}

impl Default for Pace {
    /// Two CPUs that are busy for a fifth, and a little traffic on the usual port and disk.
    fn default() -> Pace {
        Pace {
            cpu: [30.0, 10.0, 156.0, 4.0],
            ports: vec![("enp3s0".into(), 125_000.0, 25_000.0)],
            disks: vec![("sda".into(), 40_960.0, 81_920.0)],
        }
    }
}

/// A mounted file system. Sizes in KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub device: String,
    pub mount: String,
    /// The type's name in /proc/mounts.
    pub kind: String,
    pub used: u64,
    pub available: u64,
}

impl Disk {
    pub fn new(device: &str, mount: &str, kind: &str, used: u64, available: u64) -> Disk {
        Disk { device: device.into(), mount: mount.into(), kind: kind.into(), used, available }
    }

    fn mounts_line(&self) -> String {
        let escape = |text: &str| {
            text.chars()
                .map(|c| if " \t\n\\".contains(c) { format!("\\{:03o}", u32::from(c)) } else { c.to_string() })
                .collect::<String>()
        };
        format!("{} {} {} rw,relatime 0 0\n", escape(&self.device), escape(&self.mount), self.kind)
    }

    fn df_line(&self) -> String {
        let mount: String = self.mount.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let (used, total) = (self.used, self.used + self.available);
        let percent = (used * 100).div_ceil(total.max(1));
        // A twentieth is kept for root, as ext4 has it.
        let blocks = total + total / 19;
        format!("{mount}\t{:<15} {blocks} {used} {} {percent}% {mount}\n", self.device, self.available)
    }
}

/// The files of a host as it was built.
pub(super) fn write(tree: &Tree, kind: Kind) {
    let put = |path: &str, text: &str| tree.write(path, text);
    put("proc/uptime", "93784.21 370012.55\n");
    put("proc/loadavg", "0.42 0.38 0.31 1/512 4242\n");
    put(
        "proc/stat",
        "cpu  1000000 2000 300000 36000000 40000 0 5000 0 0 0\ncpu0 500000 1000 150000 18000000 20000 0 2500 0 0 0\n\
         cpu1 500000 1000 150000 18000000 20000 0 2500 0 0 0\nintr 123456\nctxt 654321\nbtime 1795380000\nprocesses 4242\n\
         procs_running 1\nprocs_blocked 0\n",
    );
    put(
        "proc/meminfo",
        "MemTotal:       16326428 kB\nMemFree:         2097152 kB\nMemAvailable:   10485760 kB\nBuffers:          262144 kB\n\
         Cached:          6291456 kB\nSwapCached:            0 kB\nShmem:            131072 kB\nSReclaimable:     524288 kB\n\
         SwapTotal:       8388604 kB\nSwapFree:        8388604 kB\nHugePages_Total:       0\n",
    );
    let virtuals = if kind.is_pve() { "dm-0 dm-1 loop0 zram0" } else { "loop0 loop1" };
    let mut stats = String::new();
    for (index, name) in virtuals.split_whitespace().enumerate() {
        put(&format!("sys/block/{name}/size"), "1048576\n");
        let _ = writeln!(stats, " 253 {index:>7} {name} 9000 0 790000 4000 19000 0 1590000 8000 0 6000 12000");
    }
    put("sys/block/sda/device/vendor", "ATA\n");
    stats += "   8       0 sda 10000 100 800000 5000 20000 200 1600000 9000 0 7000 14000\n   \
              8       1 sda1 100 0 8000 50 0 0 0 0 0 70 140\n   \
              8       3 sda3 9900 100 792000 4950 20000 200 1600000 9000 0 7000 13900\n";
    put("proc/diskstats", &stats);
    // Nobody is connected; sshd listens.
    let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let listening = |address: &str| {
        format!(
            "   0: {address}:0016 {}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100 0 0 10 0\n",
            address
        )
    };
    put("proc/net/tcp", &(header.to_owned() + &listening("00000000")));
    put("proc/net/tcp6", &(header.to_owned() + &listening(&"0".repeat(32))));
    // Alpine's kernel has it too; one kind of host without it is wanted.
    if kind.is_debian() {
        for (name, percent) in [("cpu", "1.25"), ("memory", "0.00"), ("io", "0.50")] {
            pressure(tree, name, percent);
        }
    }
    let root = match kind {
        kind if kind.is_pve() => Disk::new("/dev/mapper/pve-root", "/", "ext4", 5_242_880, 62_914_560),
        Kind::Alpine => Disk::new("/dev/sda3", "/", "ext4", 524_288, 7_864_320),
        _ => Disk::new("/dev/sda1", "/", "ext4", 3_145_728, 28_311_552),
    };
    let mut disks = vec![root];
    if kind.is_pve() {
        disks.push(Disk::new("/dev/fuse", "/etc/pve", "fuse", 28, 131_044));
    }
    filesystems(tree, &disks);
    pace(tree, &Pace::default());
}

/// A system without /proc has its df.
pub(super) fn write_df_alone(tree: &Tree) {
    tree.write(".sim/df", &Disk::new("zroot/ROOT/default", "/", "zfs", 2_097_152, 18_874_368).df_line());
}

fn pressure(tree: &Tree, name: &str, percent: &str) {
    let line = |word: &str| format!("{word} avg10=0.10 avg60={percent} avg300=0.05 total=34722116\n");
    tree.write(&format!("proc/pressure/{name}"), &(line("some") + &line("full")));
}

fn filesystems(tree: &Tree, disks: &[Disk]) {
    let usual = "sysfs /sys sysfs rw,nosuid 0 0\nproc /proc proc rw,relatime 0 0\n\
                 udev /dev devtmpfs rw,nosuid 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n";
    tree.write("proc/mounts", &(usual.to_owned() + &disks.iter().map(Disk::mounts_line).collect::<String>()));
    tree.write(".sim/df", &disks.iter().map(Disk::df_line).collect::<String>());
}

fn pace(tree: &Tree, pace: &Pace) {
    let [user, system, idle, iowait] = pace.cpu;
    let mut text = format!("cpu all {user} {system} {idle} {iowait}\n");
    for (what, list) in [("port", &pace.ports), ("disk", &pace.disks)] {
        for (name, first, second) in list {
            let _ = writeln!(text, "{what} {name} {first} {second}");
        }
    }
    tree.write(".sim/pace", &text);
}

impl Host {
    /// What the host does each second from now on.
    pub fn set_pace(&self, wanted: &Pace) {
        pace(&self.inner.tree, wanted);
    }

    /// Lets that many seconds pass: the clock and the counters move at the host's pace.
    pub fn advance(&self, seconds: f64) {
        let program = self.inner.tree.path(".sim/advance");
        let status = Command::new(program).arg(seconds.to_string()).status().expect("the program starts");
        assert!(status.success(), "advance {seconds}");
    }

    /// Seconds since boot.
    pub fn set_uptime(&self, seconds: f64) {
        self.write_file("/proc/uptime", &format!("{seconds:.2} {:.2}\n", seconds * 1.9));
    }

    /// The ticks of all CPUs since boot: user nice system idle iowait irq softirq steal guest `guest_nice`.
    pub fn set_cpu_ticks(&self, ticks: [u64; 10]) {
        let line: String = ticks.iter().map(|ticks| format!(" {ticks}")).collect();
        self.change("/proc/stat", |old| if old.starts_with("cpu ") { format!("cpu {line}") } else { old.to_owned() });
    }

    /// Adds ticks of work and of idleness to all CPUs together.
    pub fn add_cpu(&self, busy: u64, idle: u64) {
        self.add_fields("/proc/stat", 0, "cpu", &[(1, busy), (4, idle)]);
    }

    /// Adds received and sent bytes to a port.
    pub fn add_traffic(&self, port: &str, received: u64, sent: u64) {
        for (file, bytes) in [("rx_bytes", received), ("tx_bytes", sent)] {
            self.add_fields(&format!("/sys/class/net/{port}/statistics/{file}"), 0, "", &[(0, bytes)]);
        }
    }

    /// Sets a port's counters of received and sent bytes.
    pub fn set_traffic(&self, port: &str, received: u64, sent: u64) {
        self.write_file(&format!("/sys/class/net/{port}/statistics/rx_bytes"), &format!("{received}\n"));
        self.write_file(&format!("/sys/class/net/{port}/statistics/tx_bytes"), &format!("{sent}\n"));
    }

    /// Adds read and written bytes to a disk, in whole sectors of 512 bytes.
    pub fn add_disk_io(&self, disk: &str, read: u64, written: u64) {
        self.add_fields("/proc/diskstats", 2, disk, &[(5, read / 512), (9, written / 512)]);
    }

    /// Replaces the physical disks; the counters of each are zero.
    pub fn set_disks(&self, names: &[&str]) {
        self.remove_file("/sys/block");
        let mut stats = String::from("   7       0 loop0 5 0 100 0 0 0 0 0 0 0 0\n");
        self.write_file("/sys/block/loop0/size", "0\n");
        for (index, name) in names.iter().enumerate() {
            self.write_file(&format!("/sys/block/{}/device/vendor", name.replace('/', "!")), "ATA\n");
            let _ = writeln!(stats, "   8 {:>7} {name} 0 0 0 0 0 0 0 0 0 0 0", index * 16);
        }
        self.write_file("/proc/diskstats", &stats);
    }

    /// One line of /proc/meminfo, in KiB, as `MemAvailable`; `None` takes it away.
    pub fn set_memory(&self, name: &str, kib: Option<u64>) {
        let path = "/proc/meminfo";
        let old = self.read_file(path).unwrap_or_default();
        let mut text: String =
            old.lines().filter(|line| line.split(':').next() != Some(name)).map(|line| format!("{line}\n")).collect();
        if let Some(kib) = kib {
            let _ = writeln!(text, "{name}: {kib:>10} kB");
        }
        self.write_file(path, &text);
    }

    /// Replaces the CPUs, whose counters begin anew.
    pub fn set_cpus(&self, cpus: u32) {
        let one = "500000 1000 150000 18000000 20000 0 2500 0 0 0";
        let sum: String = one
            .split(' ')
            .map(|ticks| format!(" {}", ticks.parse::<u64>().unwrap_or_default() * u64::from(cpus)))
            .collect();
        let mut text = format!("cpu {sum}\n");
        for cpu in 0..cpus {
            let _ = writeln!(text, "cpu{cpu} {one}");
        }
        text += "intr 123456\nctxt 654321\nbtime 1795380000\nprocesses 4242\nprocs_running 1\nprocs_blocked 0\n";
        self.write_file("/proc/stat", &text);
    }

    /// Load averages over one, five and fifteen minutes.
    pub fn set_load(&self, [one, five, fifteen]: [f64; 3]) {
        self.write_file("/proc/loadavg", &format!("{one:.2} {five:.2} {fifteen:.2} 1/512 4242\n"));
    }

    /// The size of ZFS's cache in bytes.
    pub fn set_arc(&self, bytes: u64) {
        let text = format!(
            "13 1 0x01 147 39984 8446523812 2415519812309\nname                            type data\n\
             hits                            4    1234\nsize                            4    {bytes}\n\
             uncompressed_size               4    99\noverhead_size                   4    7\n"
        );
        self.write_file("/proc/spl/kstat/zfs/arcstats", &text);
    }

    /// Percent of the last minute in which somebody waited for a CPU, for memory, for a disk.
    pub fn set_pressure(&self, cpu: f64, memory: f64, io: f64) {
        for (name, percent) in [("cpu", cpu), ("memory", memory), ("io", io)] {
            pressure(&self.inner.tree, name, &format!("{percent:.2}"));
        }
    }

    /// Replaces the mounted file systems, in the order of mounting.
    pub fn set_filesystems(&self, disks: &[Disk]) {
        filesystems(&self.inner.tree, disks);
    }

    /// The mount points that df was asked for until now, control characters as question marks.
    pub fn df_asked(&self) -> Vec<String> {
        self.read_file("/.sim/df-asked").unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Whether `sleep` takes whole seconds only.
    pub fn set_whole_sleep(&self, whole: bool) {
        if whole { self.write_file("/.sim/whole-sleep", "") } else { self.remove_file("/.sim/whole-sleep") }
    }

    /// The clock and the CPUs' counters of a boot that was half a minute ago.
    pub(super) fn restart_counters(&self) {
        if self.read_file("/proc/uptime").is_some() {
            self.set_uptime(30.5);
            self.set_cpu_ticks([400, 0, 200, 5000, 100, 0, 10, 0, 0, 0]);
        }
    }

    /// Adds to numbers of the lines that have this word at this place; an empty word is every line.
    fn add_fields(&self, path: &str, at: usize, word: &str, adds: &[(usize, u64)]) {
        let mut hit = false;
        self.change(path, |old| {
            let mut words: Vec<String> = old.split_whitespace().map(str::to_owned).collect();
            if !word.is_empty() && words.get(at).is_none_or(|one| one != word) {
                return old.to_owned();
            }
            hit = true;
            for (field, add) in adds {
                let number: u64 = words[*field].parse().expect("a counter");
                words[*field] = (number + add).to_string();
            }
            words.join(" ")
        });
        assert!(hit, "{path}: no {word}");
    }

    fn change(&self, path: &str, mut line: impl FnMut(&str) -> String) {
        let old = self.read_file(path).unwrap_or_else(|| panic!("{path}: no such file"));
        let new: String = old.lines().map(|old| line(old) + "\n").collect();
        self.write_file(path, &new);
    }
}

#[cfg(test)]
mod tests;
