//! Real SSH servers that are not well, for hints and for `doctor`.

use std::fs::File;
use std::path::Path;

use ecobox_sim::host::Host;
use ecobox_sim::sshd::RealSshd;

use super::world::{World, entry};

/// A server that looks keys up elsewhere, and has to wait there: for how long, the test decides. It holds a lock.
pub(crate) struct SlowLogin {
    lock: File,
    _sshd: RealSshd,
    _host: Host,
}

impl SlowLogin {
    /// Configured as `nas`, its key known; `None`: sshd or flock is not installed.
    pub(crate) fn start(world: &World) -> Option<SlowLogin> {
        let (lock, keys) = (world.env.home().join("lock"), world.env.home().join("keys"));
        std::fs::write(&keys, world.key.authorized_line() + "\n").unwrap();
        let held = File::create(&lock).unwrap();
        let flock = Path::new("/usr/bin/flock");
        if !flock.exists() {
            return None;
        }
        let user = world.env.paste("id -un").stdout;
        let lines = format!(
            "AuthorizedKeysFile none\nAuthorizedKeysCommandUser {}\nAuthorizedKeysCommand {} {} /bin/cat {}",
            user.trim(),
            flock.display(),
            lock.display(),
            keys.display()
        );
        let (host, sshd) = real(world, &lines)?;
        held.lock().unwrap();
        Some(SlowLogin { lock: held, _sshd: sshd, _host: host })
    }

    /// From now on logins do not wait.
    pub(crate) fn go_on(&self) {
        self.lock.unlock().unwrap();
    }
}

/// A plain server behind a real sshd with these lines in its configuration, configured as `nas` and known.
pub(crate) fn real(world: &World, lines: &str) -> Option<(Host, RealSshd)> {
    let host = Host::debian("nas").build();
    let sshd = world.serve_configured(&host, lines)?;
    world.know_line(&sshd.known_hosts_line());
    world.configure(&entry("nas", &sshd.user(), sshd.port(), None));
    Some((host, sshd))
}

/// A server whose host certificate has expired, of an authority that is known.
pub(crate) struct Certified<'w> {
    world: &'w World,
    lines: String,
    host: Host,
    sshd: Option<RealSshd>,
}

impl<'w> Certified<'w> {
    /// Configured as `nas`; `None`: ssh-keygen or sshd is not installed.
    pub(crate) fn expired(world: &'w World) -> Option<Certified<'w>> {
        let key = world.env.home().join("host_key");
        keygen(world, "-t ecdsa -N '' -f ca")?;
        keygen(world, "-t ecdsa -N '' -f host_key")?;
        let authority = std::fs::read_to_string(world.env.home().join("ca.pub")).unwrap();
        world.know_line(&format!("@cert-authority * {authority}"));
        let lines = format!("HostKey {0}\nHostCertificate {0}-cert.pub", key.display());
        let mut certified = Certified { world, lines, host: Host::debian("nas").build(), sshd: None };
        certified.serve("20200101:20200102")?;
        Some(certified)
    }

    /// Its certificate is signed again.
    pub(crate) fn renew(&mut self) {
        self.serve("-1d:+1d").expect("it was served before");
    }

    fn serve(&mut self, validity: &str) -> Option<()> {
        keygen(self.world, &format!("-s ca -I nas -h -n 127.0.0.1 -V {validity} host_key.pub"))?;
        self.sshd = None;
        let sshd = self.world.serve_configured(&self.host, &self.lines)?;
        self.world.configure(&entry("nas", &sshd.user(), sshd.port(), None));
        self.sshd = Some(sshd);
        Some(())
    }
}

fn keygen(world: &World, line: &str) -> Option<()> {
    let run = world.env.paste(&format!("ssh-keygen -q {line} </dev/null"));
    (run.code == 0).then_some(())
}
