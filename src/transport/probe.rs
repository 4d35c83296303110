//! TCP: does a port answer, and the connections for everything that speaks over TCP.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep_until, timeout};

use crate::transport::{ConnectFailure, Error};

/// How long a name may take to become addresses.
pub(crate) const DNS_LIMIT: Duration = Duration::from_secs(3);
/// How long a connection may take to stand.
pub(crate) const TCP_LIMIT: Duration = Duration::from_secs(5);
/// The next address is tried when the one before did not answer for so long (RFC 8305 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);
/// More addresses of one name are not tried.
const MOST_ADDRESSES: usize = 8;
/// When the packets of a knock leave. The system itself repeats a lost one after a second.
const KNOCKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(120), Duration::from_millis(240)];

/// What a port said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Probe {
    pub(crate) open: bool,
    /// From the first packet to the connection, without the look-up of the name.
    pub(crate) millis: Option<f64>,
    /// Why it is not open.
    pub(crate) failure: Option<ConnectFailure>,
}

/// Tries whether a TCP port answers, at any address of the name, and closes the connection again.
pub(crate) async fn tcp(host: &str, port: u16, deadline: Duration) -> Probe {
    match race(host, port, deadline).await {
        Ok((_, took)) => Probe { open: true, millis: Some(took.as_secs_f64() * 1000.0), failure: None },
        Err((failure, _)) => Probe { open: false, millis: None, failure: Some(failure) },
    }
}

/// Like `tcp`, for a host that is likely to sleep: three packets to each of its addresses, and who is there has answered one
/// of them within `deadline`. The look-up of the name is not part of it, but for names in `.local`: for these the host
/// itself answers, so that a name without an answer is a silent host.
pub(crate) async fn knock(host: &str, port: u16, deadline: Duration) -> Probe {
    let closed = |failure| Probe { open: false, millis: None, failure: Some(failure) };
    let by_host = host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local");
    let addresses = match resolve(host, port, if by_host { deadline } else { DNS_LIMIT }).await {
        Ok(addresses) => addresses,
        Err(_) if by_host => return closed(ConnectFailure::Timeout),
        Err((failure, _)) => return closed(failure),
    };
    let until = tokio::time::Instant::now() + deadline;
    let mut knocks: FuturesUnordered<_> = addresses.into_iter().map(knock_at).collect();
    let mut worst: Option<ConnectFailure> = None;
    loop {
        let failure = tokio::select! {
            ended = knocks.next() => match ended {
                Some(Ok(took)) => {
                    return Probe { open: true, millis: Some(took.as_secs_f64() * 1000.0), failure: None };
                }
                Some(Err(failure)) => failure,
                None => return closed(worst.unwrap_or(ConnectFailure::Resolve)),
            },
            () = sleep_until(until) => {
                let said = worst.filter(|known| telling(*known) > telling(ConnectFailure::Timeout));
                return closed(said.unwrap_or(ConnectFailure::Timeout));
            }
        };
        if worst.is_none_or(|known| telling(failure) > telling(known)) {
            worst = Some(failure);
        }
    }
}

/// The packets of a knock at one address. A refusal is an answer; what a router says may be as old as its memory, and
/// does not keep the next packet back.
async fn knock_at(address: SocketAddr) -> Result<Duration, ConnectFailure> {
    let one = |after: Duration| async move {
        tokio::time::sleep(after).await;
        let begun = Instant::now();
        TcpStream::connect(address).await.map(|_| begun.elapsed()).map_err(|error| ConnectFailure::of(&error))
    };
    let mut packets: FuturesUnordered<_> = KNOCKS.into_iter().map(one).collect();
    let mut last = ConnectFailure::Timeout;
    while let Some(ended) = packets.next().await {
        match ended {
            Ok(took) => return Ok(took),
            Err(ConnectFailure::Refused) => return Err(ConnectFailure::Refused),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// A TCP connection without Nagle's algorithm, to the first address of the name that answers. Every error is `Connect`.
pub(crate) async fn dial(host: &str, port: u16, deadline: Duration) -> Result<TcpStream, Error> {
    let fail = |failure, source| Error::Connect { peer: peer(host, port), failure, source };
    let (stream, took) = race(host, port, deadline).await.map_err(|(failure, source)| fail(failure, source))?;
    stream.set_nodelay(true).map_err(|e| fail(ConnectFailure::of(&e), Some(e)))?;
    tracing::debug!(peer = peer(host, port), ms = took.as_millis(), "connected");
    Ok(stream)
}

/// The address of a name that the system prefers; `None` if it has none, or if no answer came in time.
pub(crate) async fn address(host: &str) -> Option<IpAddr> {
    let found = timeout(DNS_LIMIT, lookup_host((host, 0))).await.ok()?.ok()?;
    found.map(|address| address.ip()).next()
}

/// Each address of a name, and why it does not take a connection, where it does not. One that cannot be had from here (no
/// IPv6) is left out: that says nothing of it. `None`: the name has no address. A single address is not tried: whoever
/// connects to it tells.
pub(crate) async fn each_address(
    host: &str,
    port: u16,
    deadline: Duration,
) -> Option<Vec<(IpAddr, Option<ConnectFailure>)>> {
    let addresses = resolve(host, port, DNS_LIMIT.min(deadline)).await.ok()?;
    if let [only] = addresses.as_slice() {
        return Some(vec![(only.ip(), None)]);
    }
    let tries = addresses.into_iter().map(|address| async move {
        let failure = match timeout(deadline, TcpStream::connect(address)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(ConnectFailure::of(&error)),
            Err(_) => Some(ConnectFailure::Timeout),
        };
        (address.ip(), failure)
    });
    let outcomes = futures::future::join_all(tries).await;
    Some(outcomes.into_iter().filter(|(_, failure)| failure.is_none_or(ConnectFailure::reached_host)).collect())
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn peer(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

type Failure = (ConnectFailure, Option<std::io::Error>);

async fn race(host: &str, port: u16, deadline: Duration) -> Result<(TcpStream, Duration), Failure> {
    let addresses = resolve(host, port, DNS_LIMIT.min(deadline)).await?;
    first_of(addresses, tokio::time::Instant::now() + deadline).await
}

/// The addresses of a name, in the order to try them.
async fn resolve(host: &str, port: u16, deadline: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match timeout(deadline, lookup_host((name, port))).await {
        Ok(Ok(addresses)) => Ok(interleave(addresses.collect())),
        Ok(Err(e)) => Err((ConnectFailure::Resolve, Some(e))),
        Err(_) => Err((ConnectFailure::Resolve, None)),
    }
}

/// Connects to the addresses, each a moment after the one before, and keeps the first connection.
async fn first_of(addresses: Vec<SocketAddr>, until: tokio::time::Instant) -> Result<(TcpStream, Duration), Failure> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut worst: Option<Failure> = None;
    loop {
        if let Some(address) = waiting.next() {
            trying.push(async move {
                let begun = Instant::now();
                TcpStream::connect(address).await.map(|stream| (stream, begun.elapsed()))
            });
        }
        let next = tokio::time::Instant::now() + STAGGER;
        let more = waiting.len() > 0;
        let ended = tokio::select! {
            ended = trying.next() => ended,
            () = sleep_until(until) => {
                // One address was silent: that another one cannot be had from here says less.
                let said = worst.filter(|(known, _)| telling(*known) > telling(ConnectFailure::Timeout));
                return Err(said.unwrap_or((ConnectFailure::Timeout, None)));
            }
            () = sleep_until(next), if more => continue,
        };
        match ended {
            Some(Ok(connected)) => return Ok(connected),
            Some(Err(e)) => {
                let failure = ConnectFailure::of(&e);
                if worst.as_ref().is_none_or(|(known, _)| telling(failure) > telling(*known)) {
                    worst = Some((failure, Some(e)));
                }
            }
            None if more => {}
            None => return Err(worst.unwrap_or((ConnectFailure::Resolve, None))),
        }
    }
}

/// Which of several addresses' failures says most about the host.
fn telling(failure: ConnectFailure) -> u8 {
    match failure {
        ConnectFailure::Refused => 4,
        ConnectFailure::Closed => 3,
        ConnectFailure::Timeout | ConnectFailure::NotForwarded => 2,
        ConnectFailure::Unreachable => 1,
        ConnectFailure::Resolve
        | ConnectFailure::NoNetwork
        | ConnectFailure::JumpHostFailed(_)
        | ConnectFailure::NoFiles
        | ConnectFailure::Other => 0,
    }
}

/// The families in turn, beginning with the one that the resolver prefers, so that one broken family costs one wait.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair.iter().all(Option::is_none) || mixed.len() >= MOST_ADDRESSES {
            mixed.truncate(MOST_ADDRESSES);
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn closed_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn open_and_closed_ports_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
            let probe = tcp(host, port, SOON).await;
            assert!(probe.open && probe.failure.is_none() && probe.millis.unwrap() < 5000.0, "{host} {probe:?}");
            assert!(dial(host, port, SOON).await.unwrap().nodelay().unwrap());
        }
        let closed = closed_port();
        let probe = tcp("127.0.0.1", closed, SOON).await;
        assert_eq!(probe, Probe { open: false, millis: None, failure: Some(ConnectFailure::Refused) });
        let error = dial("::1", closed, SOON).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot reach [::1]:{closed}: ")), "{error}");
    }

    #[tokio::test]
    async fn names_without_an_address_and_silence_are_told_apart() {
        let probe = tcp("no-such-name.invalid", 1, SOON).await;
        assert_eq!(probe.failure, Some(ConnectFailure::Resolve));
        // A deadline in the past: nothing can have answered.
        let addresses = vec![SocketAddr::from(([127, 0, 0, 1], closed_port()))];
        let past = tokio::time::Instant::now();
        let (failure, _) = first_of(Vec::new(), past).await.err().unwrap();
        assert_eq!(failure, ConnectFailure::Resolve);
        let failure = first_of(addresses, past).await.err().unwrap().0;
        assert!(matches!(failure, ConnectFailure::Timeout | ConnectFailure::Refused), "{failure:?}");
    }

    #[tokio::test]
    async fn the_second_address_is_tried_when_the_first_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let bad = SocketAddr::from(([127, 0, 0, 1], closed_port()));
        let until = tokio::time::Instant::now() + SOON;
        let (stream, _) = first_of(vec![bad, good], until).await.ok().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert_eq!(first_of(vec![bad, bad], until).await.err().unwrap().0, ConnectFailure::Refused);
    }

    /// Its backlog is full: it never answers.
    fn silent() -> (socket2::Socket, SocketAddr, std::net::TcpStream) {
        let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        silent.listen(0).unwrap();
        let address = silent.local_addr().unwrap().as_socket().unwrap();
        let full = std::net::TcpStream::connect(address).unwrap();
        (silent, address, full)
    }

    #[tokio::test]
    async fn a_knock_is_heard_refused_or_met_with_silence() {
        let short = Duration::from_millis(300);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let probe = knock("127.0.0.1", listener.local_addr().unwrap().port(), SOON).await;
        assert!(probe.open && probe.millis.is_some(), "{probe:?}");
        let (_silent, address, _full) = silent();
        for (host, port, want) in [
            ("127.0.0.1", closed_port(), ConnectFailure::Refused),
            ("127.0.0.1", address.port(), ConnectFailure::Timeout),
            ("224.0.0.1", 1, ConnectFailure::NoNetwork),
            ("no-such-name.invalid", 1, ConnectFailure::Resolve),
            // Only the host itself answers for it.
            ("no-such-host.local", 1, ConnectFailure::Timeout),
        ] {
            let deadline = if want == ConnectFailure::Refused { SOON } else { short };
            let probe = knock(host, port, deadline).await;
            assert_eq!(probe, Probe { open: false, millis: None, failure: Some(want) }, "{host}");
        }
    }

    /// The queue has no place for the first packet, and has one for a later one.
    #[tokio::test]
    async fn a_packet_that_is_lost_is_made_up_for() {
        let (silent, address, full) = silent();
        let accepted = async {
            tokio::time::sleep(KNOCKS[1] / 2).await;
            drop((full, silent.accept().unwrap()));
        };
        let (probe, ()) = tokio::join!(knock("127.0.0.1", address.port(), SOON), accepted);
        // The system's own second packet would come after a second.
        assert!(probe.open && probe.millis.is_some(), "{probe:?}");
    }

    /// The system has no way to a TCP connection with a multicast address, on any machine.
    #[tokio::test]
    async fn a_network_that_cannot_be_reached_says_less_than_silence() {
        let nowhere = SocketAddr::from(([224, 0, 0, 1], 1));
        let probe = tcp("224.0.0.1", 1, SOON).await;
        assert_eq!(probe.failure, Some(ConnectFailure::NoNetwork));
        let (_silent, address, _full) = silent();
        let until = tokio::time::Instant::now() + Duration::from_millis(700);
        let (failure, _) = first_of(vec![nowhere, address], until).await.err().unwrap();
        assert_eq!(failure, ConnectFailure::Timeout);
    }

    #[test]
    fn families_take_turns() {
        let v4 = |n: u8| SocketAddr::from(([10, 0, 0, n], 1));
        let v6 = |n: u16| SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, n], 1));
        let cases: [(Vec<SocketAddr>, Vec<SocketAddr>); 4] = [
            (vec![], vec![]),
            (vec![v4(1), v4(2)], vec![v4(1), v4(2)]),
            (vec![v6(1), v6(2), v6(3), v4(1)], vec![v6(1), v4(1), v6(2), v6(3)]),
            (vec![v4(1), v6(1), v6(2)], vec![v4(1), v6(1), v6(2)]),
        ];
        for (addresses, want) in cases {
            assert_eq!(interleave(addresses), want);
        }
        assert_eq!(interleave((0..100).map(v4).collect()).len(), MOST_ADDRESSES);
    }

    #[test]
    fn peers_are_written_as_one_reads_them() {
        assert_eq!(peer("pve1.lan", 22), "pve1.lan:22");
        assert_eq!(peer("fe80::1", 8006), "[fe80::1]:8006");
        let refused = std::io::Error::from(ErrorKind::ConnectionRefused);
        assert_eq!(ConnectFailure::of(&refused), ConnectFailure::Refused);
    }
}
