use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::model::host::magic_packet::{Mac, SecureOn, magic_packet};

fn order(packet: &[u8]) -> Order<'_> {
    Order { label: "pve1", packet, broadcast: None, interface: None, port: None, last_address: None }
}

fn network(name: &str, ip: [u8; 4], broadcast: Option<[u8; 4]>, is_lan: bool) -> Network {
    Network { name: name.to_owned(), ip: ip.into(), broadcast: broadcast.map(Ipv4Addr::from), is_lan }
}

#[test]
fn packets_go_to_every_network_or_where_the_configuration_says() {
    let networks = [
        network("lo", [127, 0, 0, 1], Some([127, 255, 255, 255]), false),
        network("eno1", [10, 0, 0, 2], Some([10, 0, 0, 255]), true),
        // A second address in the same network.
        network("eno1", [10, 0, 0, 3], Some([10, 0, 0, 255]), true),
        network("wlan0", [10, 1, 0, 2], Some([10, 1, 255, 255]), true),
        network("wg0", [10, 2, 0, 2], None, false),
        network("eno2", [10, 3, 0, 2], None, true),
    ];
    let last = Some(IpAddr::from([10, 0, 0, 9]));
    let base = order(&[]);
    let all = "255.255.255.255:9<10.0.0.2@eno1 255.255.255.255:7<10.0.0.2@eno1 10.0.0.255:9<10.0.0.2@eno1 \
        10.0.0.255:7<10.0.0.2@eno1 255.255.255.255:9<10.1.0.2@wlan0 255.255.255.255:7<10.1.0.2@wlan0 \
        10.1.255.255:9<10.1.0.2@wlan0 10.1.255.255:7<10.1.0.2@wlan0 255.255.255.255:9<10.3.0.2@eno2 \
        255.255.255.255:7<10.3.0.2@eno2";
    let routed = "255.255.255.255:9 255.255.255.255:7";
    let there = Some(Ipv4Addr::new(192, 0, 2, 255));
    for (order, networks, want) in [
        (base, &networks[..], all.to_owned()),
        (Order { last_address: last, ..base }, &networks, format!("{all} 10.0.0.9:9 10.0.0.9:7")),
        (Order { port: Some(40000), last_address: last, ..base }, &[], "255.255.255.255:40000 10.0.0.9:40000".into()),
        (base, &networks[..1], routed.to_owned()),
        (Order { broadcast: there, port: Some(9), ..base }, &networks, "192.0.2.255:9".to_owned()),
        (
            Order { broadcast: there, last_address: last, ..base },
            &networks,
            "192.0.2.255:9 192.0.2.255:7 10.0.0.9:9 10.0.0.9:7".into(),
        ),
        (
            Order { broadcast: Some([10, 0, 0, 9].into()), last_address: last, ..base },
            &networks,
            "10.0.0.9:9 10.0.0.9:7".into(),
        ),
        (
            Order { interface: Some("wlan0"), port: Some(9), last_address: last, ..base },
            &networks,
            "255.255.255.255:9<10.1.0.2@wlan0 10.1.255.255:9<10.1.0.2@wlan0 10.0.0.9:9<10.1.0.2@wlan0".into(),
        ),
        // Asked for by name, a tunnel is one.
        (Order { interface: Some("wg0"), port: Some(9), ..base }, &networks, "255.255.255.255:9<10.2.0.2@wg0".into()),
        (Order { interface: Some("eth9"), port: Some(9), ..base }, &networks, "255.255.255.255:9@eth9".into()),
        (
            Order { interface: Some("eno2"), broadcast: there, port: Some(9), ..base },
            &networks,
            "192.0.2.255:9<10.3.0.2@eno2".into(),
        ),
        (
            Order { port: Some(9), last_address: Some("fd00::1".parse().unwrap()), ..base },
            &[],
            "255.255.255.255:9 [fd00::1]:9".into(),
        ),
    ] {
        let got: Vec<String> = plan(&order, networks)
            .iter()
            .map(|way| {
                let from = way.from.map(|own| format!("<{own}")).unwrap_or_default();
                format!("{}{from}{}", way.to, way.via.as_ref().map(|via| format!("@{via}")).unwrap_or_default())
            })
            .collect();
        assert_eq!(got.join(" "), want, "{order:?}");
    }
}

#[test]
fn what_could_not_be_sent_is_said() {
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = Some(listener.local_addr().unwrap().port());
    let here = Order { broadcast: Some(Ipv4Addr::LOCALHOST), port, ..order(b"magic") };
    let round = send(&here).unwrap();
    assert_eq!((round.sent.len(), round.failed.len()), (1, 0), "{round:?}");
    let mut bytes = [0; 200];
    assert_eq!(listener.recv(&mut bytes).unwrap(), 5);
    assert_eq!(&bytes[..5], b"magic");

    // One that goes is no error; the other is in the answer.
    let lost = Way { to: ([10, 0, 0, 255], 9).into(), via: Some("eno1".to_owned()), from: None };
    let round = Round { failed: vec![(lost, "why".to_owned())], ..round }.or_error("pve1").unwrap();
    assert_eq!(round.failures(), ["10.0.0.255:9 by eno1: why"]);
    let lost = Order { interface: Some("no-such-card"), ..order(b"magic") };
    let error = send(&lost).unwrap_err().to_string();
    let says = "pve1: no magic packet could be sent: 255.255.255.255:9 by no-such-card: No such device";
    assert!(error.starts_with(says), "{error}");
    assert!(error.contains("; 255.255.255.255:7 by no-such-card: "), "{error}");
    let nothing = Round::default().or_error("pve1").unwrap_err().to_string();
    assert_eq!(nothing, "pve1: no magic packet could be sent: there is no network to send it to");
}

/// Which part of the test below this process plays.
const PART: &str = "ECOBOX_TEST_WOL_PART";

fn part(program: &[&str], test: &str, name: &str) -> Child {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(PART, name);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

fn ip(line: &str) -> bool {
    Command::new("ip").args(line.split_whitespace()).status().is_ok_and(|status| status.success())
}

/// Two namespaces with a cable between them: packets are sent in one, and a listener in the other writes down all it
/// gets, byte by byte, by the address that they were sent to.
#[test]
fn packets_on_a_wire_are_right_to_the_byte() {
    let possible = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link add w0 type veth peer name w1 && unshare -n true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        skipped("no network namespaces for this user here (unshare -rn, ip): packets on a wire were not looked at");
        return;
    }
    let sender = part(&["unshare", "-rn"], "transport::wol::tests::sender_in_a_namespace", "sender");
    let output = sender.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.lines().any(|line| line == "all was seen"), "{text}");
}

#[test]
#[ignore = "a part of packets_on_a_wire_are_right_to_the_byte"]
fn sender_in_a_namespace() {
    if std::env::var(PART).as_deref() != Ok("sender") {
        return;
    }
    let mut listener = part(&["unshare", "-n"], "transport::wol::tests::listener_in_a_namespace", "listener");
    let mut out = BufReader::new(listener.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut to_listener = listener.stdin.take().unwrap();
    // It has its namespace.
    assert!(out.any(|line| line.ends_with("there")));
    let pid = listener.id();
    assert!(
        ip("link set lo up") && ip("link add w0 type veth peer name w1") && ip(&format!("link set w1 netns {pid}"))
    );
    assert!(ip("addr add 10.9.0.1/24 dev w0") && ip("link set w0 up"));
    // Down, and so nothing for it.
    assert!(ip("link add d0 type veth peer name d1") && ip("addr add 10.8.0.1/24 dev d0"));
    writeln!(to_listener, "go").unwrap();
    assert!(out.any(|line| line == "listening"));
    // On a busy machine the kernel takes a moment to see that both ends are up.
    let carried = "until ip link show w0 | grep -q LOWER_UP; do :; done";
    assert!(Command::new("timeout").args(["30", "sh", "-c", carried]).status().unwrap().success());

    let mac: Mac = "d0:50:99:0a:0b:0c".parse().unwrap();
    let body = "ffffffffffff".to_owned() + &"d050990a0b0c".repeat(16);
    let password: SecureOn = "00:11:22:33:44:55".parse().unwrap();
    let (plain, secure) = (magic_packet(mac, None), magic_packet(mac, Some(&password)));
    let last = IpAddr::from([10, 9, 0, 2]);
    let base = Order { label: "host", ..order(&plain) };
    let both = |address: &str| vec![format!("{address}:9"), format!("{address}:7")];
    for (order, at, bytes) in [
        (base, [both("255.255.255.255"), both("10.9.0.255")].concat(), body.clone()),
        (
            Order { packet: &secure, last_address: Some(last), ..base },
            [both("255.255.255.255"), both("10.9.0.255"), both("10.9.0.2")].concat(),
            body.clone() + "001122334455",
        ),
        (
            Order { broadcast: Some([10, 9, 0, 255].into()), port: Some(7), ..base },
            vec!["10.9.0.255:7".into()],
            body.clone(),
        ),
        (
            Order { interface: Some("w0"), port: Some(9), ..base },
            vec!["255.255.255.255:9".into(), "10.9.0.255:9".into()],
            body.clone(),
        ),
    ] {
        let round = send(&order).unwrap();
        assert_eq!(round.sent.len(), at.len(), "{round:?}");
        assert!(round.failed.is_empty(), "{round:?}");
        let mut seen: Vec<String> = out.by_ref().take(at.len()).collect();
        let mut want: Vec<String> = at.iter().map(|at| format!("{at} from 10.9.0.1 {bytes}")).collect();
        seen.sort();
        want.sort();
        assert_eq!(seen, want);
    }
    // What comes after the end is more than there should be.
    drop(to_listener);
    assert_eq!(out.find(|line| line.contains(" from ")), None);
    assert!(listener.wait().unwrap().success());
    let _ = writeln!(std::io::stdout(), "\nall was seen");
}

#[test]
#[ignore = "a part of packets_on_a_wire_are_right_to_the_byte"]
fn listener_in_a_namespace() {
    if std::env::var(PART).as_deref() != Ok("listener") {
        return;
    }
    let say = |line: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    say("there");
    let mut lines = std::io::stdin().lines();
    assert!(lines.next().is_some());
    assert!(ip("addr add 10.9.0.2/24 dev w1") && ip("link set w1 up"));
    // A socket that is bound to a broadcast address gets what is sent to that address.
    for address in ["255.255.255.255", "10.9.0.255", "10.9.0.2"] {
        for port in PORTS {
            let socket = UdpSocket::bind((address, port)).unwrap();
            std::thread::spawn(move || {
                let mut bytes = [0; 2000];
                while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                    let hex = bytes[..length].iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
                    say(&format!("{address}:{port} from {} {hex}", from.ip()));
                }
            });
        }
    }
    // Packets are lost until the cable has a carrier at both ends.
    while std::fs::read_to_string("/sys/class/net/w1/carrier").is_ok_and(|text| text.trim() != "1") {
        std::thread::yield_now();
    }
    say("listening");
    assert!(lines.next().is_none());
}
