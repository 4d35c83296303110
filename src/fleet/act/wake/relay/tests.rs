//! Runs the script with the shells of this machine, which find only the programs that they are given.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::fleet::host::facts::run_tests::shells;
use crate::model::host::magic_packet::{SecureOn, magic_packet};

const MAC: &str = "d0:50:99:0a:0b:0c";
const IP: &str = "echo '1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever'\n\
    echo '2: eno1    inet 127.0.0.5/24 brd 127.0.0.1 scope global eno1\\       valid_lft forever'\n\
    echo '3: wg0    inet 10.2.0.2/32 scope global wg0\\       valid_lft forever'\n";

/// A folder of programs: real ones, and scripts.
fn programs(real: &[&str], scripts: &[(&str, &str)]) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["sh", "grep"].iter().chain(real) {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let Some(found) = found.iter().find(|path| path.is_file()) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: {name} is not installed: it sent no magic packet");
            return None;
        };
        symlink(found, folder.path().join(name)).unwrap();
    }
    for (name, text) in scripts {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    Some(folder)
}

fn run(shell: &[&str], folder: &Path, script: &str) -> String {
    let shell_path = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(shell[0]));
    let program = shell_path.into_iter().find(|path| path.is_file()).unwrap();
    let mut command = Command::new(program);
    let output = command.args(&shell[1..]).args(["-c", script]).env_clear().env("PATH", folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn order(packet: &[u8], port: u16) -> Order<'_> {
    Order { label: "pve1", packet, broadcast: None, interface: None, port: Some(port), last_address: None }
}

#[test]
fn a_relay_sends_the_packet_with_what_it_has() {
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let password: SecureOn = "00:11:22:33:44:55".parse().unwrap();
    let mac: Mac = MAC.parse().unwrap();
    let packet = magic_packet(mac, Some(&password));
    for program in ["perl", "python3"] {
        let Some(folder) = programs(&[program], &[("ip", IP)]) else { continue };
        for shell in shells() {
            let here = Order { broadcast: Some(Ipv4Addr::LOCALHOST), ..order(&packet, port) };
            let text = run(&shell, folder.path(), &script(&here, mac, true));
            assert_eq!(text, format!("by {program}\nsent 127.0.0.1 {port}\n"), "{shell:?}");
            assert_eq!(read(&text, None, true).unwrap().sent, [format!("127.0.0.1:{port}")]);
            let mut bytes = [0; 200];
            let (length, from) = listener.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..length], from.ip()), (packet.as_slice(), Ipv4Addr::LOCALHOST.into()), "{program}");

            // To the networks that `ip` shows, from the address there, and to the last address.
            let all = Order { last_address: Some(Ipv4Addr::LOCALHOST.into()), ..order(&packet, port) };
            let text = run(&shell, folder.path(), &script(&all, mac, true));
            let sent = read(&text, None, true).unwrap();
            let to = |address: &str| sent.sent.iter().filter(|sent| **sent == format!("{address}:{port}")).count();
            assert_eq!(to("127.0.0.1"), 2, "{text}");
            assert_eq!(to("255.255.255.255") + sent.failed.len(), 1, "{text}");
            for want in ["127.0.0.5", "127.0.0.1"] {
                let (length, from) = listener.recv_from(&mut bytes).unwrap();
                assert_eq!((&bytes[..length], from.ip().to_string().as_str()), (packet.as_slice(), want), "{program}");
            }

            // An interface that is not there.
            let lost = Order { interface: Some("eth9"), ..order(&packet, port) };
            let text = run(&shell, folder.path(), &script(&lost, mac, true));
            let why = read(&text, Some("eth9"), true).unwrap_err();
            assert!(why.starts_with(&format!("255.255.255.255:{port} by eth9: No such device")), "{program}: {why}");
        }
    }
}

#[test]
fn a_relay_without_them_sends_frames_or_says_that_it_cannot() {
    let mac: Mac = MAC.parse().unwrap();
    let packet = magic_packet(mac, None);
    let order = order(&packet, 9);
    let says = "echo \"$*\" >> \"${0%/*}/../said\"; [ \"$3\" != wlan0 ] || { echo 'no\ncard'; exit 1; }\n";
    let said = |folder: &Path, script: &str, shell: &[&str]| {
        let said = folder.join("../said");
        let _ = fs::remove_file(&said);
        let text = run(shell, folder, script);
        (text, fs::read_to_string(said).unwrap_or_default())
    };
    let two = format!("{IP}echo '4: wlan0    inet 127.0.1.5/24 brd 127.0.1.1 scope global wlan0'\n");
    let home = tempfile::tempdir().unwrap();
    for shell in shells() {
        let plain = script(&order, mac, false);
        for (name, args) in [("etherwake", ""), ("ether-wake", ""), ("busybox", "ether-wake ")] {
            let body = match name {
                "busybox" => {
                    format!("[ \"$1\" != --list ] || {{ echo ether-wake; exit; }}\n{}", says.replace("$3", "$4"))
                }
                _ => says.to_owned(),
            };
            let folder = programs(&[], &[("ip", &two), (name, &body)]).unwrap();
            let inner = home.path().join("bin");
            let _ = fs::remove_file(&inner);
            symlink(folder.path(), &inner).unwrap();
            let _ = fs::remove_file(folder.path().join("../said"));
            let (text, said) = said(folder.path(), &plain, &shell);
            assert_eq!(said, format!("{args}-b -i eno1 {MAC}\n{args}-b -i wlan0 {MAC}\n"), "{name} {shell:?}");
            let sent = read(&text, None, false).unwrap();
            assert_eq!(
                (sent.sent, sent.failed),
                (vec!["a frame by eno1".into()], vec!["a frame by wlan0: no card".into()])
            );
            // They would show the password to all users.
            let text = run(&shell, folder.path(), &script(&order, mac, true));
            let why = read(&text, None, true).unwrap_err();
            assert_eq!(why, "it has neither perl nor python3, and other programs would show SecureOn's password");
        }
        let folder = programs(&[], &[("ip", IP), ("wakeonlan", says)]).unwrap();
        let (text, said) = said(folder.path(), &plain, &shell);
        assert_eq!(said, format!("-i 255.255.255.255 -p 9 {MAC}\n-i 127.0.0.1 -p 9 {MAC}\n"));
        assert_eq!(read(&text, None, false).unwrap().sent, ["255.255.255.255:9", "127.0.0.1:9"]);
        let folder = programs(&[], &[]).unwrap();
        let why = read(&run(&shell, folder.path(), &plain), None, false).unwrap_err();
        assert_eq!(why, "it has none of perl, python3, etherwake, ether-wake and wakeonlan");
    }
}

#[test]
fn what_a_relay_says_is_read_with_care() {
    for (text, want) in [
        ("", Err("it does not say what it sent")),
        ("by perl\n", Err("it does not say what it sent")),
        ("failed 10.0.0.255 9 Network is unreachable\n", Err("10.0.0.255:9: Network is unreachable")),
        ("sent 10.0.0.255 9\nnoise\nsent\nsent x\n", Ok("10.0.0.255:9")),
        ("sent \u{1b}[2J 9\n", Ok("\\u{1b}[2J:9")),
        ("none\n", Err("it has none of perl, python3, etherwake, ether-wake and wakeonlan")),
    ] {
        let got = read(text, None, false);
        match want {
            Ok(want) => assert_eq!(got.unwrap().sent, [want], "{text}"),
            Err(want) => assert_eq!(got.unwrap_err(), want, "{text}"),
        }
    }
}
