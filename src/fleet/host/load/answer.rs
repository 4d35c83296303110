//! The script's answer in parts, and the numbers of each file of /proc and /sys.

use std::collections::BTreeMap;

use crate::model::load::rapl::{Domain, DomainKind, Domains};
use crate::model::load::reading::Ticks;
use crate::model::text::{is_unsafe, quoted};

/// More ports, disks or file systems than this are not believed.
const MOST_NAMES: usize = 1024;
/// A name of a port or a disk is not longer.
const LONGEST_NAME: usize = 64;
/// Three hundred years.
const LONGEST_UPTIME: f64 = 1e10;
/// More energy counters, or power meters, than this are not believed.
const MOST_DOMAINS: usize = 64;
const POWERCAP: &str = "../sys/class/powercap/";
/// What `/proc/diskstats` counts in, whatever the disk's own sectors are.
const SECTOR: u64 = 512;

/// What was printed, by its parts.
#[derive(Debug, Default)]
pub(super) struct Answer<'a> {
    pub(super) boot: Option<&'a str>,
    /// The interface that was taken for want of physical ports.
    pub(super) route: Option<&'a str>,
    /// The physical disks, as a pattern; empty where there are none.
    pub(super) disks: Option<&'a str>,
    /// The readings, oldest first.
    pub(super) blocks: Vec<Block<'a>>,
    /// Device and mount point of each file system that df was asked for, as the kernel writes them.
    pub(super) mounts: Vec<(&'a str, &'a str)>,
    pub(super) more_mounts: bool,
    /// There are energy counters that may not be read.
    pub(super) hidden_energy: bool,
    /// The lines of df, or nothing where the script did not come to it.
    pub(super) df: Vec<&'a str>,
}

impl<'a> Answer<'a> {
    pub(super) fn of(text: &'a str) -> Answer<'a> {
        let mut answer = Answer { blocks: vec![Block::default()], ..Answer::default() };
        let mut in_df = false;
        for line in text.lines() {
            let line = line.trim_end_matches('\r');
            if in_df {
                if answer.df.len() < MOST_NAMES {
                    answer.df.push(line);
                }
                continue;
            }
            // Folders of energy counters have a colon in their names.
            let split = if line.starts_with(POWERCAP) { line.rsplit_once(':') } else { line.split_once(['\t', ':']) };
            let Some((name, value)) = split else { continue };
            if line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')) {
                if let Some(block) = answer.blocks.last_mut() {
                    block.files.entry(name).or_default().push(value);
                }
                continue;
            }
            match name {
                "boot" => answer.boot = Some(value).filter(|id| is_boot_id(id)),
                "route" => answer.route = Some(value).filter(|name| is_name(name)),
                "disks" => answer.disks = Some(value),
                "mount" if answer.mounts.len() < MOST_NAMES => answer.mounts.extend(value.split_once('\t')),
                "more" => answer.more_mounts = true,
                "energy" => answer.hidden_energy = true,
                "again" if answer.blocks.len() < 2 => answer.blocks.push(Block::default()),
                "df" => in_df = true,
                _ => {}
            }
        }
        answer
    }
}

/// The lines of each file, read at one moment. File names are relative to /proc.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    files: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Block<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    fn lines(&self, file: &str) -> impl Iterator<Item = &'a str> {
        self.files.get(file).into_iter().flatten().copied()
    }

    /// The first line of a file.
    fn line(&self, file: &str) -> Result<&'a str, String> {
        self.lines(file).next().ok_or_else(|| format!("there is no /proc/{file}"))
    }

    /// Seconds since boot.
    pub(super) fn uptime(&self) -> Result<f64, String> {
        let line = self.line("uptime")?;
        let seconds: Option<f64> = line.split_whitespace().next().and_then(|word| word.parse().ok());
        let seconds = seconds.filter(|seconds| is_uptime(*seconds)).ok_or_else(|| senseless("uptime", line))?;
        // The kernel tells no more places, and no more are to be stored.
        Ok((seconds * 100.0).round() / 100.0)
    }

    /// The sum of all CPUs. A guest's time is in `user` already, as `proc_stat(5)` has it.
    pub(super) fn ticks(&self) -> Result<Ticks, String> {
        let line = self
            .lines("stat")
            .find(|line| line.starts_with("cpu "))
            .ok_or_else(|| "there is no /proc/stat with a line of all CPUs".to_owned())?;
        let ticks = || -> Option<Ticks> {
            let mut fields = [0_u64; 8];
            let mut count = 0;
            for (field, word) in fields.iter_mut().zip(line.split_whitespace().skip(1)) {
                *field = word.parse().ok()?;
                count += 1;
            }
            if count < 4 {
                return None;
            }
            let [user, nice, system, idle, iowait, irq, softirq, steal] = fields;
            // Stolen time is busy: somebody here wanted to work and had to wait for the hypervisor. Shown as idle, a
            // server that is starved would look as if it had nothing to do.
            let busy = [user, nice, system, irq, softirq, steal].into_iter().try_fold(0_u64, u64::checked_add)?;
            let total = busy.checked_add(idle)?.checked_add(iowait)?;
            Some(Ticks { busy, total })
        };
        ticks().ok_or_else(|| senseless("stat", line))
    }

    /// How many CPUs are online.
    pub(super) fn cpus(&self) -> Result<f32, String> {
        let own =
            |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        match u16::try_from(self.lines("stat").filter(own).count()) {
            Ok(0) => Err("/proc/stat does not list single CPUs".to_owned()),
            Ok(count) => Ok(f32::from(count)),
            Err(_) => Err("/proc/stat lists too many CPUs".to_owned()),
        }
    }

    /// Bytes received and sent by each port, and the ports whose numbers make no sense.
    pub(super) fn ports(&self) -> (BTreeMap<String, (u64, u64)>, Vec<String>) {
        let (mut ports, mut bad) = (BTreeMap::new(), Vec::new());
        for file in self.files.keys() {
            let Some(rest) = file.strip_prefix("../sys/class/net/") else { continue };
            let Some((name, "statistics/rx_bytes" | "statistics/tx_bytes")) = rest.split_once('/') else { continue };
            if !is_name(name) || ports.contains_key(name) || bad.iter().any(|bad| bad == name) {
                continue;
            }
            if ports.len() + bad.len() == MOST_NAMES {
                break;
            }
            let counter = |what: &str| {
                self.lines(&format!("../sys/class/net/{name}/statistics/{what}_bytes")).next()?.trim().parse().ok()
            };
            match (counter("rx"), counter("tx")) {
                (Some(rx), Some(tx)) => drop(ports.insert(name.to_owned(), (rx, tx))),
                _ => bad.push(name.to_owned()),
            }
        }
        (ports, bad)
    }

    /// Bytes read and written by each disk, and the disks whose numbers make no sense.
    pub(super) fn disks(&self) -> (BTreeMap<String, (u64, u64)>, Vec<String>) {
        let (mut disks, mut bad) = (BTreeMap::new(), Vec::new());
        for line in self.lines("diskstats").take(MOST_NAMES) {
            // major minor name, reads merged sectors ms, writes merged sectors ms
            let words: Vec<&str> = line.split_whitespace().take(10).collect();
            let Some(name) = words.get(2).filter(|name| is_name(name)) else { continue };
            let bytes = |at: usize| words.get(at)?.parse::<u64>().ok()?.checked_mul(SECTOR);
            match (bytes(5), bytes(9)) {
                (Some(read), Some(write)) => drop(disks.insert((*name).to_owned(), (read, write))),
                _ => bad.push((*name).to_owned()),
            }
        }
        (disks, bad)
    }

    /// The energy counters of the CPU, by the names of their folders: those that make sense.
    pub(super) fn energy(&self) -> Domains {
        let mut domains = Domains::new();
        for (file, lines) in &self.files {
            let Some(folder) = file.strip_prefix(POWERCAP).and_then(|rest| rest.strip_suffix("/energy_uj")) else {
                continue;
            };
            let first = |what: &str| self.lines(&format!("{POWERCAP}{folder}/{what}")).next().map(str::trim);
            let counter = || {
                Some(Domain {
                    kind: DomainKind::parse(first("name")?)?,
                    microjoules: lines.first()?.trim().parse().ok()?,
                    range: first("max_energy_range_uj")?.parse().ok()?,
                })
            };
            if is_name(folder)
                && domains.len() < MOST_DOMAINS
                && let Some(counter) = counter()
            {
                domains.insert(folder.to_owned(), counter);
            }
        }
        domains
    }

    /// How often the host has slept since its boot.
    pub(super) fn sleeps(&self) -> Option<u64> {
        self.lines("../sys/power/suspend_stats/success").next()?.trim().parse().ok()
    }

    /// What each power meter of the host says, in watts. The average where it has one, else the moment.
    pub(super) fn power_meters(&self) -> Vec<Result<f64, String>> {
        let mut meters: BTreeMap<&str, &str> = BTreeMap::new();
        for (file, lines) in &self.files {
            let Some(rest) = file.strip_prefix("../sys/class/hwmon/") else { continue };
            let Some((folder, "power1_average" | "power1_input")) = rest.rsplit_once('/') else { continue };
            // `power1_average` comes first.
            if let Some(line) = lines.first() {
                meters.entry(folder).or_insert(line);
            }
        }
        let watts = |line: &str| {
            #[expect(clippy::cast_precision_loss, reason = "microwatts of a server")]
            let watts = line.trim().parse::<u64>().ok().map(|microwatts| microwatts as f64 / 1e6);
            watts.ok_or_else(|| format!("its power meter makes no sense: {}", quoted(line)))
        };
        meters.into_values().take(MOST_DOMAINS).map(watts).collect()
    }

    /// Load averages over one, five and fifteen minutes.
    pub(super) fn averages(&self) -> Result<[f32; 3], String> {
        let line = self.line("loadavg")?;
        let mut words =
            line.split_whitespace().map(|word| word.parse::<f32>().ok().filter(|load| (0.0..1e6).contains(load)));
        let mut next = || words.next().flatten().ok_or_else(|| senseless("loadavg", line));
        Ok([next()?, next()?, next()?])
    }

    fn memory_line(&self, name: &str) -> Option<&'a str> {
        self.lines("meminfo").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }

    pub(super) fn has_memory(&self, name: &str) -> bool {
        self.memory_line(name).is_some()
    }

    /// One line of /proc/meminfo, in bytes.
    pub(super) fn memory(&self, name: &str) -> Result<u64, String> {
        self.line("meminfo")?;
        let text = self.memory_line(name).ok_or_else(|| format!("/proc/meminfo has no {name}"))?;
        let number = text.trim().strip_suffix("kB").and_then(|kib| kib.trim_end().parse::<u64>().ok());
        // No machine has more than an exbibyte.
        number
            .and_then(|kib| kib.checked_mul(1024))
            .filter(|bytes| *bytes <= 1 << 60)
            .ok_or_else(|| format!("{name} of /proc/meminfo makes no sense: {}", quoted(text.trim())))
    }

    /// What kernels before 3.14 leave to the reader.
    pub(super) fn available_of_old_kernels(&self) -> Result<u64, String> {
        let free = self.memory("MemFree")?;
        let cached = self.memory("Cached")?;
        let optional = |name: &str| if self.has_memory(name) { self.memory(name) } else { Ok(0) };
        let (buffers, shared, slab) = (optional("Buffers")?, optional("Shmem")?, optional("SReclaimable")?);
        // None is larger than 2^60: the sum fits. Shared memory is in the cache and cannot be given back.
        Ok(free + buffers + cached.saturating_sub(shared) + slab)
    }

    /// The size of ZFS's cache in bytes; `None` where there is no ZFS.
    pub(super) fn arc(&self) -> Option<Result<u64, String>> {
        let file = "spl/kstat/zfs/arcstats";
        let line = self.lines(file).find(|line| line.starts_with("size "))?;
        // name, type of the number, number
        let size = line.split_whitespace().nth(2).and_then(|size| size.parse().ok()).filter(|size| *size <= 1 << 60);
        Some(size.ok_or_else(|| senseless(file, line)))
    }

    /// Whether lxcfs shows a container its own memory, while ZFS's numbers are the host's.
    pub(super) fn memory_is_a_containers(&self) -> bool {
        self.lines("mounts").any(|line| line.starts_with("lxcfs "))
    }

    /// `some avg60` of one file, in percent.
    pub(super) fn pressure(&self, file: &str) -> Result<f32, String> {
        let line = self.line(file)?;
        let word = line.split_whitespace().find_map(|word| word.strip_prefix("avg60="));
        let percent = word.filter(|_| line.starts_with("some ")).and_then(|word| word.parse().ok());
        percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| senseless(file, line))
    }
}

fn senseless(file: &str, line: &str) -> String {
    format!("/proc/{file} makes no sense: {}", quoted(line))
}

/// Whether a port or a disk may be called so.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(|c: char| is_unsafe(c) || c.is_whitespace() || c == '/')
        || name.split_once('/').is_some_and(|(folder, disk)| is_name(folder) && is_name(disk))
}

/// A UUID, in the letters that need no quoting in a shell.
pub(super) fn is_boot_id(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Whether a server can have run that many seconds.
pub(super) fn is_uptime(seconds: f64) -> bool {
    (0.0..LONGEST_UPTIME).contains(&seconds)
}
