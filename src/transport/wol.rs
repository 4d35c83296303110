//! Magic packets over UDP. A packet that was sent proves nothing: there is never an answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use if_addrs::IfAddr;
use socket2::{Domain, Protocol, Socket, Type};

use crate::transport::Error;

/// The ports of which network cards' makers speak: discard and echo. The card itself looks at none.
pub(crate) const PORTS: [u16; 2] = [9, 7];

/// What is sent, and what is said about where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// The server's id, for messages.
    pub(crate) label: &'a str,
    /// It may hold a secret.
    pub(crate) packet: &'a [u8],
    /// In place of every network's broadcast.
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// What leaves, leaves by this interface.
    pub(crate) interface: Option<&'a str>,
    /// In place of [`PORTS`].
    pub(crate) port: Option<u16>,
    /// Where the server was last: a switch may still know the way to it.
    pub(crate) last_address: Option<IpAddr>,
}

impl Order<'_> {
    /// The ports to send to.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.port.map_or_else(|| PORTS.to_vec(), |port| vec![port])
    }
}

/// One packet's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) to: SocketAddr,
    /// The interface that it leaves by; `None`: the routes decide.
    pub(crate) via: Option<String>,
    /// The own address that it leaves from.
    from: Option<Ipv4Addr>,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.via {
            Some(via) => write!(f, "{} by {via}", self.to),
            None => self.to.fmt(f),
        }
    }
}

/// What became of one round of packets.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) sent: Vec<Way>,
    /// What could not be sent, and the system's reason.
    pub(crate) failed: Vec<(Way, String)>,
}

impl Round {
    /// What could not be sent: where to, and why.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failed.iter().map(|(way, why)| format!("{way}: {why}")).collect()
    }

    /// The round, or the error that it is if nothing was sent.
    pub(crate) fn or_error(self, peer: &str) -> Result<Round, Error> {
        if !self.sent.is_empty() {
            return Ok(self);
        }
        let mut reasons = self.failures();
        if reasons.is_empty() {
            reasons.push("there is no network to send it to".to_owned());
        }
        let detail = format!("no magic packet could be sent: {}", reasons.join("; "));
        Err(Error::Local { peer: peer.to_owned(), detail })
    }
}

/// One IPv4 address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    name: String,
    ip: Ipv4Addr,
    /// Of a network with more than two addresses.
    broadcast: Option<Ipv4Addr>,
    /// It is up, and neither loopback nor a tunnel's end.
    is_lan: bool,
}

/// Sends one round of packets from this machine.
///
/// # Errors
/// `Local` if not a single packet could be sent.
pub(crate) fn send(order: &Order<'_>) -> Result<Round, Error> {
    let networks = networks().map_err(|error| Error::Local {
        peer: order.label.to_owned(),
        detail: format!("cannot list this machine's networks: {error}"),
    })?;
    let mut round = Round::default();
    for way in plan(order, &networks) {
        match send_one(&way, order.packet) {
            Ok(()) => {
                tracing::debug!(server = order.label, to = %way, "magic packet sent");
                round.sent.push(way);
            }
            Err(error) => {
                tracing::debug!(server = order.label, to = %way, %error, "magic packet not sent");
                round.failed.push((way, error.to_string()));
            }
        }
    }
    round.or_error(order.label)
}

fn networks() -> io::Result<Vec<Network>> {
    let all = if_addrs::get_if_addrs()?.into_iter();
    Ok(all
        .filter_map(|interface| {
            let is_lan = interface.is_oper_up() && !interface.is_loopback() && !interface.is_p2p();
            let IfAddr::V4(v4) = interface.addr else { return None };
            let computed = Ipv4Addr::from(u32::from(v4.ip) | !u32::from(v4.netmask));
            // Only an address that was given with its broadcast tells it; the kernel routes the computed one as well.
            let broadcast = v4.broadcast.filter(|told| !told.is_unspecified() && *told != v4.ip).unwrap_or(computed);
            let broadcast = (v4.prefixlen < 31).then_some(broadcast);
            Some(Network { name: interface.name, ip: v4.ip, broadcast, is_lan })
        })
        .collect())
}

/// Whether an address is in a network that this machine is in itself; `None`: unknown.
pub(crate) fn is_in_own_network(ip: Ipv4Addr) -> Option<bool> {
    let same = |v4: &if_addrs::Ifv4Addr| (v4.ip.to_bits() ^ ip.to_bits()) & v4.netmask.to_bits() == 0;
    let interfaces = if_addrs::get_if_addrs().ok()?;
    Some(
        interfaces
            .iter()
            .filter(|one| one.is_oper_up() && !one.is_loopback() && !one.is_p2p())
            .any(|one| matches!(&one.addr, IfAddr::V4(v4) if same(v4))),
    )
}

/// Which packets go where. Every network gets one to 255.255.255.255, which leaves by one interface only, and one to its
/// own broadcast, as some switches and cards pass only the one or the other.
fn plan(order: &Order<'_>, networks: &[Network]) -> Vec<Way> {
    let named = |network: &&Network| order.interface.is_none_or(|name| name == network.name);
    let via = order.interface.map(str::to_owned);
    let own = networks.iter().find(|network| order.interface.is_some() && named(network)).map(|network| network.ip);
    let mut targets: Vec<(IpAddr, Option<Ipv4Addr>, Option<String>)> = Vec::new();
    if let Some(address) = order.broadcast {
        targets.push((address.into(), own, via.clone()));
    } else {
        for network in networks.iter().filter(named).filter(|network| network.is_lan || order.interface.is_some()) {
            let name = Some(network.name.clone());
            targets.push((Ipv4Addr::BROADCAST.into(), Some(network.ip), name.clone()));
            targets.extend(network.broadcast.map(|address| (address.into(), Some(network.ip), name)));
        }
        if targets.is_empty() {
            // Then the system says why not.
            targets.push((Ipv4Addr::BROADCAST.into(), None, via.clone()));
        }
    }
    if let Some(address) = order.last_address.filter(|last| targets.iter().all(|(to, ..)| to != last)) {
        targets.push((address, own.filter(|_| address.is_ipv4()), via));
    }
    let mut ways: Vec<Way> = Vec::new();
    for (to, from, via) in targets {
        for port in order.ports() {
            let way = Way { to: (to, port).into(), via: via.clone(), from };
            // Two addresses of one network have one broadcast.
            if !ways.iter().any(|other| other.to == way.to && other.via == way.via) {
                ways.push(way);
            }
        }
    }
    ways
}

fn send_one(way: &Way, packet: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(way.to), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if way.to.is_ipv4() {
        socket.set_broadcast(true)?;
    }
    if let Some(name) = &way.via
        && let Err(error) = socket.bind_device(Some(name.as_bytes()))
        // Before Linux 5.7 only root could; the own address leads broadcasts to the interface as well.
        && !(error.kind() == io::ErrorKind::PermissionDenied && way.from.is_some())
    {
        return Err(error);
    }
    if let Some(own) = way.from {
        socket.bind(&SocketAddr::from((own, 0)).into())?;
    }
    let sent = socket.send_to(packet, &way.to.into())?;
    if sent == packet.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests;
