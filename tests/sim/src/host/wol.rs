//! A network card that wakes its host by magic packets: UDP on a port of loopback.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread;

use super::{Host, Inner};

/// A packet that the card got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WolPacket {
    pub bytes: Vec<u8>,
    pub from: SocketAddr,
    /// It is the magic packet of this card, with its password if it has one.
    pub correct: bool,
}

/// The card of one host.
#[derive(Debug)]
pub(super) struct Card {
    port: u16,
    shared: Arc<Mutex<Settings>>,
}

#[derive(Debug)]
struct Settings {
    mac: [u8; 6],
    secure_on: Vec<u8>,
    wake_after: usize,
    /// Correct packets since it fell asleep.
    counted: usize,
    packets: Vec<WolPacket>,
}

impl Card {
    /// Listens until the host is gone.
    pub(super) fn start(host: &Arc<Inner>) -> Card {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a bound socket").port();
        let mac = bytes_of(&super::build::mac_of(&host.name)).try_into().expect("six bytes");
        let settings = Settings { mac, secure_on: Vec::new(), wake_after: 1, counted: 0, packets: Vec::new() };
        let shared = Arc::new(Mutex::new(settings));
        let (host, settings) = (Arc::downgrade(host), Arc::clone(&shared));
        thread::Builder::new()
            .name("sim-wol".into())
            .spawn(move || serve(&socket, &host, &settings))
            .expect("a thread");
        Card { port, shared }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.shared.lock().expect("no panic under this lock")
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // An empty packet ends the thread, as the host is gone.
        if let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            let _ = socket.send_to(&[], ("127.0.0.1", self.port));
        }
    }
}

fn serve(socket: &UdpSocket, host: &Weak<Inner>, shared: &Mutex<Settings>) {
    let mut buffer = [0; 2000];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some(inner) = host.upgrade() else { return };
        let host = Host { inner };
        let asleep = *host.asleep().borrow();
        let wakes = {
            let mut settings = shared.lock().expect("no panic under this lock");
            let mut magic = [vec![0xff; 6], settings.mac.repeat(16)].concat();
            magic.extend_from_slice(&settings.secure_on);
            let bytes = buffer[..length].to_vec();
            let correct = bytes == magic;
            settings.packets.push(WolPacket { bytes, from, correct });
            settings.counted = if asleep { settings.counted + usize::from(correct) } else { 0 };
            let wakes = asleep && settings.counted >= settings.wake_after;
            if wakes {
                settings.counted = 0;
            }
            wakes
        };
        if wakes {
            host.wake();
        }
    }
}

/// The bytes of `aa:bb:..`.
fn bytes_of(text: &str) -> Vec<u8> {
    text.split(':').map(|part| u8::from_str_radix(part, 16).expect("hexadecimal bytes")).collect()
}

impl Host {
    fn card(&self) -> &Card {
        self.inner.card.get_or_init(|| Card::start(&self.inner))
    }

    /// The UDP port of 127.0.0.1 at which magic packets wake the host while it sleeps. It is the same as long as the host
    /// is there.
    pub fn wol_port(&self) -> u16 {
        self.card().port
    }

    /// The address of the card, lower case with colons: that of the host's first port unless it was given its own.
    pub fn wol_mac(&self) -> String {
        let bytes = self.card().settings().mac.map(|byte| format!("{byte:02x}"));
        bytes.join(":")
    }

    /// Gives the card another address.
    pub fn set_wol_mac(&self, mac: &str) {
        self.card().settings().mac = bytes_of(mac).try_into().expect("six bytes");
    }

    /// `SecureOn`'s password that the card wants behind the packet; empty: none.
    pub fn set_secure_on(&self, password: &[u8]) {
        self.card().settings().secure_on = password.to_vec();
    }

    /// The n-th correct packet after it fell asleep wakes it (1: the first). `usize::MAX`: none does.
    pub fn wake_after(&self, n: usize) {
        self.card().settings().wake_after = n;
    }

    /// All packets that came, oldest first.
    pub fn wol_packets(&self) -> Vec<WolPacket> {
        self.card().settings().packets.clone()
    }

    /// Lets commands on the host find a real program of this machine, under `/usr/bin`. False: there is none.
    pub fn link_program(&self, name: &str) -> bool {
        // What lies in a home, as a version manager's stand-in, does not run on a host.
        let usual = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
        let real = usual.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        real.inspect(|real| self.inner.tree.link(&format!("usr/bin/{name}"), &real.to_string_lossy())).is_some()
    }

    /// Installs a program: a shell script.
    pub fn write_program(&self, path: &str, text: &str) {
        self.inner.tree.program(path, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_wakes_by_its_own_packets() {
        let host = Host::debian("nas").build();
        let (port, mac) = (host.wol_port(), bytes_of(&host.wol_mac()));
        let magic = [vec![0xff; 6], mac.repeat(16)].concat();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let send = |bytes: &[u8]| {
            let before = host.wol_packets().len();
            socket.send_to(bytes, ("127.0.0.1", port)).unwrap();
            while host.wol_packets().len() == before {
                thread::yield_now();
            }
        };
        host.wake_after(2);
        send(&magic);
        host.suspend();
        // The one that came while it was awake does not count.
        send(&magic);
        send(&magic[..101]);
        assert!(*host.asleep().borrow());
        send(&magic);
        while *host.asleep().borrow() {
            thread::yield_now();
        }
        host.set_secure_on(&[1, 2, 3, 4, 5, 6]);
        send(&magic);
        send(&[magic, vec![1, 2, 3, 4, 5, 6]].concat());
        let correct: Vec<bool> = host.wol_packets().iter().map(|packet| packet.correct).collect();
        assert_eq!(correct, [true, true, false, true, false, true]);
        assert_eq!(host.wol_packets()[0].from, socket.local_addr().unwrap());
        assert_eq!(host.events(), ["suspend", "wake"]);
    }
}
