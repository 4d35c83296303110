use proptest::prelude::*;

use super::*;

const IDS: &str = "machine\t3d1219c7c4c5404aaa1f6d2a48adfda4\nboot\t3f39dcff-3b06-442c-9fdf-2778c2f46a00\n";

const PVE9: &str = "os\t\"Debian GNU/Linux 13 (trixie)\"\nsystem\tLinux\nkernel\t6.17.2-1-pve\nhostname\tpve1\nuid\t0\n\
    pkg\tpve-manager install ok installed 9.2.11\ndpkg\tyes\nlocal\t/etc/pve/nodes/pve1\nlocalmode\t755\n\
    sleep\tfreeze mem disk\nmasked\tno\n\
    type\t1\nnic\teno1\nmac\ta8:a1:59:00:00:01\nassigned\t0\ncarrier\t1\noperstate\tup\nmaster\tvmbr0\n\
    Settings for eno1:\n\tSupported ports: [ TP ]\n\tSupports Wake-on: pumbg\n\tWake-on: g\n\tLink detected: yes\n\
    type\t1\nnic\teno2\nmac\ta8:a1:59:00:00:02\noperstate\tdown\n\tSupports Wake-on: pumbg\n\tWake-on: d\n\
    route\tvmbr0\nroute\teno1\n\
    1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n\
    4: vmbr0    inet 192.168.1.10/24 scope global vmbr0\\       valid_lft forever preferred_lft forever\n\
    4: vmbr0    inet6 fe80::aaa1:59ff:fe00:1/64 scope link \\       valid_lft forever preferred_lft forever\n\
    9: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0\\       valid_lft forever\n";

/// The facts in one line; unknown ones are not mentioned.
fn sketch(facts: &HostFacts) -> String {
    let flag = |value: Option<bool>, name: &str| match value {
        Some(true) => format!(" {name}"),
        Some(false) => format!(" !{name}"),
        None => String::new(),
    };
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let product = match &facts.product {
        Product::Pve(pve) => format!(
            "pve {} {} {}{}",
            or_dash(&pve.node.as_ref().map(ToString::to_string)),
            or_dash(&pve.version),
            if pve.pmxcfs { "mounted" } else { "down" },
            flag(pve.quorate, "quorate"),
        ),
        Product::OtherProxmox { product, version } => format!("{product} {}", or_dash(version)),
        Product::Linux => "linux".to_owned(),
        Product::Other { system } => format!("other {system}"),
        Product::Unknown => "unknown".to_owned(),
    };
    let mut parts = vec![product];
    parts.extend([&facts.hostname, &facts.os, &facts.kernel].into_iter().flatten().cloned());
    for nic in &facts.nics {
        let master = nic.master.as_ref().map_or(String::new(), |master| format!(" in {master}"));
        let route = if nic.default_route { " route" } else { "" };
        let wake = flag(nic.wol_armed, "armed") + &flag(nic.wol_supported, "wol");
        parts.push(format!("{} {}{}{master}{route}{wake}", nic.name, nic.mac, flag(nic.link, "link")));
    }
    parts.extend(facts.addresses.iter().map(|a| format!("{}/{}@{}", a.ip, a.prefix, a.interface)));
    let sleep = &facts.sleep;
    let sleep = [(sleep.suspend, "suspend"), (sleep.hibernate, "hibernate"), (sleep.masked, "masked")];
    parts.extend(sleep.into_iter().filter_map(|(value, name)| Some(format!("{name}={}", value?))));
    if facts.privilege != Privilege::Unknown {
        parts.push(format!("{:?}", facts.privilege));
    }
    parts.join("; ")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn outputs_of_many_hosts() {
    let with = |extra: &str| format!("system\tLinux\n{extra}");
    let pve = |status: &str, more: &str| with(&format!("dpkg\tyes\npkg\tpve-manager {status}\n{more}"));
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "PVE 9 as root",
            PVE9.to_owned(),
            "pve pve1 9.2.11 mounted quorate; pve1; Debian GNU/Linux 13 (trixie); 6.17.2-1-pve; \
             eno1 a8:a1:59:00:00:01 link in vmbr0 route armed wol; eno2 a8:a1:59:00:00:02 !link !armed wol; \
             192.168.1.10/24@vmbr0; suspend=true; hibernate=true; masked=false; Root",
        ),
        (
            "PVE 8, a user with sudo",
            pve("install ok installed 8.4.1", "local\tnodes/pve-b\nlocalmode\t755\nuid\t1000\nsudo\tyes\n"),
            "pve pve-b 8.4.1 mounted quorate; Sudo",
        ),
        (
            "PVE 7, no sudo, without quorum",
            pve("install ok installed 7.4-3", "local\tnodes/a\nlocalmode\t555\nuid\t1000\nsudo\tnone\n"),
            "pve a 7.4-3 mounted !quorate; Nosudo",
        ),
        (
            "pmxcfs down",
            pve("install ok installed 9.2.11", "hostname\tpve1\nuid\t0\n"),
            "pve - 9.2.11 down; pve1; Root",
        ),
        ("PVE on hold", pve("hold ok installed 9.2.11", "local\tnodes/a\n"), "pve a 9.2.11 mounted"),
        ("PVE in the middle of an upgrade", pve("install ok half-configured 9.2.11", ""), "pve - 9.2.11 down"),
        ("PVE removed, its configuration left", pve("deinstall ok config-files 8.4.1", ""), "linux"),
        ("PVE removed, a copy of /etc/pve left", pve("deinstall ok config-files 8.4.1", "local\tnodes/a\n"), "linux"),
        ("an empty /etc/pve", with("dpkg\tyes\n"), "linux"),
        (
            "no dpkg-query, pveversion answers",
            with("pveversion\tpve-manager/8.4.1/2a5fa54a8503f96d (running kernel: 6.8.12-1-pve)\nlocal\tnodes/a\n"),
            "pve a 8.4.1 mounted",
        ),
        ("neither dpkg-query nor pveversion, but the link", with("local\t/etc/pve/nodes/a\n"), "pve a - mounted"),
        (
            "the file /etc/pve/version",
            with("hostname\tpve9.lan\npveversionfile\tpve-manager/7.4-3/9002ab8a (running kernel: 5.15)\n"),
            "pve pve9 7.4-3 mounted; pve9.lan",
        ),
        ("the file /etc/pve/version without sense", with("pveversionfile\t???\n"), "pve - - mounted"),
        ("a link that leads elsewhere", with("local\t/root\nlocalmode\t755\n"), "linux"),
        ("a node that is no name", pve("install ok installed 9.0.3", "local\tnodes/a_b c\n"), "pve - 9.0.3 mounted"),
        (
            "Backup Server",
            with("dpkg\tyes\npkg\tproxmox-backup-server install ok installed 4.0.14-1\n"),
            "Proxmox Backup Server 4.0.14-1",
        ),
        ("Mail Gateway", with("dpkg\tyes\npkg\tpmg-api install ok installed 8.2.0\n"), "Proxmox Mail Gateway 8.2.0"),
        (
            "Datacenter Manager",
            with("dpkg\tyes\npkg\tproxmox-datacenter-manager install ok installed 1.0.1\n"),
            "Proxmox Datacenter Manager 1.0.1",
        ),
        (
            "Backup Server beside PVE",
            pve("install ok installed 9.2.11", "pkg\tproxmox-backup-server install ok installed 4.0.14-1\n"),
            "pve - 9.2.11 down",
        ),
        (
            "Debian, password for sudo",
            with("os\t\"Debian GNU/Linux 12 (bookworm)\"\nuid\t1000\nsudo\tno\nsleep\tfreeze mem\nmasked\tyes\n"),
            "linux; Debian GNU/Linux 12 (bookworm); suspend=true; hibernate=false; masked=true; Denied",
        ),
        (
            "Alpine, without ip and ethtool",
            with(
                "os\t\"Alpine Linux v3.22\"\nkernel\t6.12.31-0-virt\nuid\t0\nnic\teth0\nmac\t52:54:00:12:34:56\n\
                  carrier\t1\nnet\teth0 0002A8C0 00FFFFFF\nnet\teth0 0000A8C0 0000FFFF\nroute\teth0\nlocal4\t127.0.0.1\n\
                  local4\t192.168.2.7\nlocal4\t192.168.2.7\nlocal4\t10.9.9.9\n\
                  inet6\tfe80000000000000505400fffe123456 02 40 20 80     eth0\n\
                  inet6\tfd000000000000000000000000000002 02 40 00 82     eth0\n\
                  inet6\tfd00000000000000aaaa000000000003 02 40 00 01     eth0\n",
            ),
            "linux; Alpine Linux v3.22; 6.12.31-0-virt; eth0 52:54:00:12:34:56 link route; \
             fd00::2/64@eth0; 192.168.2.7/24@eth0; Root",
        ),
        (
            "RHEL",
            with(
                "os\t\"Red Hat Enterprise Linux 9.6 (Plow)\"\nuid\t1000\nsudo\tyes\nnic\tens3\nmac\tFA:16:3E:00:00:09\n\
                  \tSupports Wake-on: d\n\tWake-on: d\n2: ens3    inet 10.0.0.5/22 brd 10.0.3.255 scope global \
                  dynamic noprefixroute ens3\\       valid_lft 3000sec\n",
            ),
            "linux; Red Hat Enterprise Linux 9.6 (Plow); ens3 fa:16:3e:00:00:09 !armed !wol; 10.0.0.5/22@ens3; Sudo",
        ),
        (
            "FreeBSD",
            "os\t\"FreeBSD 14.3-RELEASE\"\nuname\tFreeBSD nas.lan 14.3-RELEASE\nuid\t0\n".to_owned(),
            "other FreeBSD; nas.lan; FreeBSD 14.3-RELEASE; 14.3-RELEASE; Root",
        ),
        (
            "a bond: the port's own address counts",
            with(
                "nic\teno1\nmac\t02:00:00:00:00:99\nperm\ta8:a1:59:00:00:01\nmaster\tbond0\nnic\teno2\n\
                  mac\t02:00:00:00:00:99\nperm\tPermanent\nmaster\tbond0\nroute\tvmbr0.10\nroute\tvmbr0\n\
                  route\tbond0\nroute\teno1\nroute\teno2\n",
            ),
            "linux; eno1 a8:a1:59:00:00:01 in bond0 route; eno2 02:00:00:00:00:99 in bond0 route",
        ),
        (
            "Wake-on-LAN not readable, or odd",
            with(
                "nic\teth0\nmac\t52:54:00:12:34:56\n\tWake-on: \n\tSupports Wake-on: ???\nnic\teth1\n\
                  mac\t52:54:00:12:34:57\n\tCannot get wake-on-lan settings: Operation not permitted\n",
            ),
            "linux; eth0 52:54:00:12:34:56; eth1 52:54:00:12:34:57",
        ),
        (
            "ports without a usable address",
            with(
                "nic\tib0\nmac\t80:00:02:08:fe:80:00:00:00:00:00:00\nnic\teth1\nmac\t00:00:00:00:00:00\nnic\teth2\n\
                  mac\t01:00:5e:00:00:01\nnic\teth3\nmac\tzz:00:00:00:00:01\nnic\teth4\nnic\teth5\nmac\t+1:00:00:00:00:1\n",
            ),
            "linux",
        ),
        (
            "addresses of all kinds",
            with(
                "2: eth0@if7    inet 10.0.0.1 peer 10.0.0.2/32 scope global eth0\n2: eth0    inet 169.254.3.4/16 scope link\n\
                  2: eth0    inet6 2001:db8::1/64 scope global temporary dynamic \n2: eth0    inet6 2001:db8::2/64 scope global \n\
                  3: veth1a2b3c@if2    inet 10.1.1.1/24 scope global\n4: br-0123456789ab    inet 172.18.0.1/16 scope global\n\
                  5: br-lan    inet 10.5.0.1/16 scope global\n6: wg0    inet 10.6.0.1/33 scope global\n\
                  7: x    inet nonsense/24 scope global\n8: y    link/ether aa\n9: vmbr0    inet6 2001:db8::3/129 scope global\n",
            ),
            "linux; 10.0.0.1/32@eth0; 2001:db8::2/64@eth0; 10.5.0.1/16@br-lan",
        ),
        ("nothing", String::new(), "unknown"),
        ("noise", "Welcome!\n\n  \t \n\u{7}\u{1b}[2J\n= = =\nos\n\tx\n1\n".to_owned(), "unknown"),
        ("a web page", "<html>\n<body>no\tthing</body>\n</html>".to_owned(), "unknown"),
        ("cut off in a line", "os\t\"Debian\"\nsystem\tLinux\nnic\teth0\nmac\t52:54:00:12".to_owned(), "linux; Debian"),
        (
            "cut off between lines",
            PVE9.split("masked").next().unwrap_or_default().to_owned(),
            "pve pve1 9.2.11 mounted quorate; pve1; Debian GNU/Linux 13 (trixie); 6.17.2-1-pve; \
             suspend=true; hibernate=true; Root",
        ),
        (
            "hostile values",
            with(
                "os\t\"\u{1b}]0;owned\u{7}De\tbian\u{9b}\"\nhostname\tev\u{1b}[31mil\u{0}\nkernel\t6.1\tuid\t0\nuid\t-1\n\
                  sudo\tmaybe\nsleep\t\nmachine\t../../etc\nboot\t$(id)\nnic\ta/../b\nmac\t52:54:00:12:34:56\n\
                  nic\t0123456789abcdef\nmac\t52:54:00:12:34:57\nroute\t\u{1b}\nlocalmode\t9z\nmasked\tperhaps\n",
            ),
            "linux; ev[31mil; ]0;ownedDebian; 6.1uid0; suspend=false; hibernate=false",
        ),
        ("carriage returns", "system\tLinux\r\nhostname\tx\r\n".to_owned(), "linux; x"),
        ("a name twice", with("hostname\ta\nhostname\tb\n"), "linux; b"),
    ];
    assert!(cases.len() >= 30);
    for (name, text, want) in cases {
        assert_eq!(sketch(&parse(&text)), want, "{name}");
    }
}

#[test]
fn identifiers_are_kept_only_when_they_are_some() {
    let facts = parse(IDS);
    assert_eq!(facts.machine_id.as_deref(), Some("3d1219c7c4c5404aaa1f6d2a48adfda4"));
    assert_eq!(facts.boot_id.as_deref(), Some("3f39dcff-3b06-442c-9fdf-2778c2f46a00"));
    assert_eq!(parse("machine\tuninitialized\nboot\tx\n"), HostFacts::default());
}

#[test]
fn endless_lists_are_cut() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for i in 0..3000_u32 {
        let _ = writeln!(text, "nic\te{i}\nmac\t52:54:00:12:{:02x}:{:02x}", i / 256 % 256, i % 256);
        let _ = writeln!(text, "{i}: e{i}    inet 10.0.{}.{}/24 scope global", i / 256, i % 256);
    }
    let facts = parse(&text);
    assert_eq!((facts.nics.len(), facts.addresses.len()), (MAX_NICS, MAX_ADDRESSES));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*|(?s).*") {
        parse(&text);
    }

    #[test]
    fn any_known_key_with_any_value_is_read(
        lines in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "os", "system", "uname", "uid", "sudo", "pkg", "pveversion", "pveversionfile", "local", "localmode",
                    "sleep", "masked", "nic", "mac", "perm", "carrier", "master", "route", "net", "local4", "inet6", "",
                    "1: eth0    inet", "2: eth0    inet6",
                ]),
                "[ -~\t]{0,40}|[0-9a-f:./ ]{0,45}|(?s).{0,20}",
            ),
            0..40,
        ),
    ) {
        let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key}\t{value}")).collect();
        let facts = parse(&lines.join("\n"));
        prop_assert!(facts.nics.iter().all(|nic| nic.mac.len() == 17));
        prop_assert!(facts.hostname.is_none_or(|name| !name.contains(char::is_control)));
    }

    #[test]
    fn a_captured_output_cut_anywhere_is_read(at in 0..PVE9.len()) {
        parse(&PVE9[..at]);
    }
}
