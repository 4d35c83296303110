//! How a guest is described: each method takes it, and gives it back with one thing said of it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::guest::{Agent, Guest, Interface, Kind, Power};

impl Guest {
    /// Puts the guest on this node (else the first one).
    #[must_use]
    pub fn on(mut self, node: &str) -> Guest {
        node.clone_into(&mut self.node);
        self
    }

    /// Runs, for an hour already unless [`Guest::uptime`] says otherwise.
    #[must_use]
    pub fn running(mut self) -> Guest {
        self.power = Power::Running;
        if self.uptime.is_zero() {
            self.uptime = Duration::from_secs(3600);
        }
        if self.memory_used == 0 {
            self.memory_used = self.memory / 2;
        }
        self
    }

    /// Does not run.
    #[must_use]
    pub fn stopped(mut self) -> Guest {
        self.power = Power::Stopped;
        self.uptime = Duration::ZERO;
        self
    }

    /// Runs, but its vCPUs are stopped.
    #[must_use]
    pub fn paused(self) -> Guest {
        let mut guest = self.running();
        guest.power = Power::Paused;
        guest
    }

    /// Has a process in this state of QEMU's (`io-error`, `prelaunch`, `internal-error`, ..).
    #[must_use]
    pub fn in_state(self, qmpstatus: &str) -> Guest {
        let mut guest = self.running();
        guest.power = Power::Other(qmpstatus.to_owned());
        guest
    }

    /// Suspended to disk: stopped, with lock `suspended`.
    #[must_use]
    pub fn hibernated(self) -> Guest {
        let vmid = self.vmid;
        self.locked("suspended")
            .config("vmstate", format!("local:{vmid}/vm-{vmid}-state-suspend.raw"))
            .config("runningcpu", "kvm64")
            .config("runningmachine", "pc-i440fx-10.0+pve0")
    }

    /// Has a lock in its configuration (`backup`, `migrate`, `snapshot`, ..).
    #[must_use]
    pub fn locked(mut self, lock: &str) -> Guest {
        self.lock = Some(lock.to_owned());
        self
    }

    /// Nothing is locked any more.
    #[must_use]
    pub fn unlocked(mut self) -> Guest {
        self.lock = None;
        self
    }

    /// Its interfaces have no addresses: no lease came.
    #[must_use]
    pub fn without_addresses(mut self) -> Guest {
        self.interfaces.iter_mut().for_each(|interface| interface.addresses.clear());
        self
    }

    /// Is a template.
    #[must_use]
    pub fn template(mut self) -> Guest {
        self.template = true;
        self
    }

    /// Tags, separated by `;`.
    #[must_use]
    pub fn tags(mut self, tags: &str) -> Guest {
        self.tags = Some(tags.to_owned());
        self
    }

    /// Member of this pool.
    #[must_use]
    pub fn pool(mut self, pool: &str) -> Guest {
        self.pool = Some(pool.to_owned());
        self
    }

    /// Managed by HA, in this state (`started`, `stopped`, `error`, ..).
    #[must_use]
    pub fn ha(mut self, state: &str) -> Guest {
        self.ha = Some(state.to_owned());
        self
    }

    /// What the guest agent does.
    #[must_use]
    pub fn agent(mut self, agent: Agent) -> Guest {
        self.agent = agent;
        self
    }

    /// An answering agent that reports loopback, and one interface with this address (`a.b.c.d` or with `/prefix`).
    /// For a container: what its interfaces show.
    #[must_use]
    pub fn agent_ip(self, address: &str) -> Guest {
        let guest = if self.kind == Kind::Qemu { self.agent(Agent::Answers) } else { self };
        let mac = guest.mac_or_default().to_lowercase();
        let guest = if guest.interfaces.is_empty() {
            guest.interface("lo", "00:00:00:00:00:00", &["127.0.0.1/8", "::1/128"])
        } else {
            guest
        };
        guest.interface("eth0", &mac, &[address])
    }

    /// One more interface; addresses with or without `/prefix`.
    #[must_use]
    pub fn interface(mut self, name: &str, mac: &str, addresses: &[&str]) -> Guest {
        let addresses = addresses.iter().map(|text| parse_address(text)).collect();
        self.interfaces.push(Interface { name: name.to_owned(), mac: mac.to_owned(), addresses });
        self
    }

    /// The agent takes this long (real time) to answer.
    #[must_use]
    pub fn agent_takes(mut self, delay: Duration) -> Guest {
        self.agent_delay = delay;
        self
    }

    /// What the agent answers to a command such as `get-osinfo` or `info`.
    #[must_use]
    pub fn agent_says(mut self, command: &str, result: Value) -> Guest {
        self.agent_data.insert(command.to_owned(), result);
        self
    }

    /// vCPUs and memory in MiB.
    #[must_use]
    pub fn size(mut self, cores: u32, memory_mib: u64) -> Guest {
        self.cores = cores;
        self.memory = memory_mib << 20;
        if self.memory_used > 0 {
            self.memory_used = self.memory / 2;
        }
        self
    }

    /// Size of the boot disk (root file system) in bytes, and what a container uses of it.
    #[must_use]
    pub fn disk(mut self, size: u64, used: u64) -> Guest {
        self.disk = size;
        self.disk_used = used;
        self
    }

    /// CPU use as a fraction of its vCPUs, and memory in use in bytes.
    #[must_use]
    pub fn load(mut self, cpu: f64, memory_used: u64) -> Guest {
        self.cpu = cpu;
        self.memory_used = memory_used;
        self
    }

    /// Bytes received and sent since it started, until now.
    #[must_use]
    pub fn traffic(mut self, received: u64, sent: u64) -> Guest {
        self.counters.bytes[..2].copy_from_slice(&[received, sent]);
        self
    }

    /// Bytes read from disks and written since it started, until now.
    #[must_use]
    pub fn disk_io(mut self, read: u64, written: u64) -> Guest {
        self.counters.bytes[2..].copy_from_slice(&[read, written]);
        self
    }

    /// By how many bytes a second these counters grow while it runs: received, sent, read, written.
    #[must_use]
    pub fn rates(mut self, received: u64, sent: u64, read: u64, written: u64) -> Guest {
        self.counters.rates = [received, sent, read, written];
        self
    }

    /// One more file system that the agent tells of, with what is used of what users may fill, in bytes.
    #[must_use]
    pub fn filesystem(mut self, mount: &str, kind: &str, used: u64, size: u64) -> Guest {
        let told = self.agent_data.entry("get-fsinfo".to_owned()).or_insert_with(|| json!([]));
        let list = told.as_array_mut().expect("a list of file systems");
        let name = format!("sda{}", list.len() + 1);
        let device = format!("/dev/{name}");
        list.push(json!({
            "name": name, "mountpoint": mount, "type": kind, "used-bytes": used, "total-bytes": size,
            "disk": [{
                "bus-type": "scsi", "bus": 0, "target": 0, "unit": 0, "dev": device, "serial": "0QEMU_QEMU_HARDDISK_drive-scsi0",
                "pci-controller": { "domain": 0, "bus": 1, "slot": 1, "function": 0 },
            }],
        }));
        self
    }

    /// How long it has been running, in seconds.
    #[must_use]
    pub fn uptime(mut self, seconds: u64) -> Guest {
        self.uptime = Duration::from_secs(seconds);
        self
    }

    /// Hardware address of `net0`.
    #[must_use]
    pub fn mac(mut self, mac: &str) -> Guest {
        self.mac = Some(mac.to_owned());
        self
    }

    /// `smbios1` uuid of a VM.
    #[must_use]
    pub fn uuid(mut self, uuid: &str) -> Guest {
        uuid.clone_into(&mut self.uuid);
        self
    }

    /// A further entry of its configuration (`startup`, `protection`, `onboot`, ..).
    #[must_use]
    pub fn config(mut self, key: &str, value: impl Into<Value>) -> Guest {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// Its disk's volume does not exist: it cannot start.
    #[must_use]
    pub fn missing_disk(mut self) -> Guest {
        self.missing_disk = true;
        self
    }

    /// Its tasks succeed with so many warnings.
    #[must_use]
    pub fn warns(mut self, warnings: u32) -> Guest {
        self.warnings = warnings;
        self
    }

    /// Ignores the request to shut down.
    #[must_use]
    pub fn ignores_shutdown(mut self) -> Guest {
        self.deaf = true;
        self
    }

    /// `startup: down=` of its configuration, in seconds.
    #[must_use]
    pub fn shutdown_limit(mut self, seconds: u32) -> Guest {
        self.shutdown_limit = Some(seconds);
        self
    }
}

fn parse_address(text: &str) -> (IpAddr, u8) {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().expect("an IP address");
    let default = if address.is_ipv4() { 24 } else { 64 };
    (address, prefix.map_or(default, |prefix| prefix.parse().expect("a prefix length")))
}
