//! Answers as recorded from Proxmox VE 9.2, and as nobody should write them.

use proptest::prelude::*;

use super::*;

fn read<R: for<'de> Record<'de>>(data: &str) -> R {
    repair_json::parse::<Entry<R>>(format!(r#"{{"data":{data}}}"#).as_bytes()).unwrap().0.unwrap()
}

fn status(data: &str) -> GuestStatus {
    read::<StatusAnswer>(data).status()
}

fn config(kind: GuestKind, data: &str) -> GuestConfig {
    read::<ConfigAnswer>(data).config(kind)
}

#[test]
fn statuses() {
    let paused = status(
        r#"{"name":"plain-bios","ha":{"managed":0},"uptime":1,"status":"running","pid":602,"cpus":1,
        "vmid":105,"qmpstatus":"paused","clipboard":null,"nics":{"tap105i0":{"netin":0}}}"#,
    );
    let want = GuestStatus {
        state: PowerState::Paused,
        raw: "paused".to_owned(),
        lock: None,
        ha_managed: false,
        ha_state: None,
        agent: false,
        template: false,
        name: Some("plain-bios".to_owned()),
        uptime_seconds: Some(1),
    };
    assert_eq!(paused, want);
    let hibernated =
        status(r#"{"ha":{"managed":0},"uptime":0,"lock":"suspended","qmpstatus":"stopped","status":"stopped"}"#);
    assert_eq!((hibernated.state, hibernated.lock.as_deref()), (PowerState::Hibernated, Some("suspended")));
    let managed = status(
        r#"{"ha":{"managed":"1","state":"error","group":""},"agent":1,"template":"1","status":"running","uptime":"7"}"#,
    );
    assert_eq!((managed.state, managed.raw.as_str()), (PowerState::Running, "running"));
    assert_eq!((managed.ha_managed, managed.ha_state.as_deref()), (true, Some("error")));
    assert_eq!((managed.agent, managed.template, managed.uptime_seconds), (true, true, Some(7)));
    assert!(!status(r#"{"ha":{"managed":1,"state":"ignored"}}"#).ha_managed);
    assert_eq!(status(r#"{"status":["running"],"ha":7}"#).state, PowerState::Unknown);
}

#[test]
fn configurations() {
    let vm = config(
        GuestKind::Qemu,
        r#"{"onboot":1,"memory":"256","name":"web-01","smbios1":"base64=1,uuid=3562338D-cdfb-4be1-969b-4ad98e351cf5",
        "net1":"e1000=AA:24:11:00:01:02,bridge=vmbr0","net0":"virtio=BC:24:11:00:01:01,bridge=vmbr0","net2":"user",
        "agent":"1","startup":"order=2,up=30,down=60","hostpci0":"0000:01:00.0,pcie=1","protection":1,"lock":"backup",
        "meta":"creation-qemu=10.0.2,ctime=1795381239"}"#,
    );
    let want = GuestConfig {
        identity: Some(GuestIdentity::new("uuid:3562338d-cdfb-4be1-969b-4ad98e351cf5")),
        name: Some("web-01".to_owned()),
        startup: Startup { order: Some(2), down_seconds: Some(60) },
        agent: true,
        onboot: true,
        protection: true,
        template: false,
        passthrough: true,
        freeze: false,
        macs: vec!["bc:24:11:00:01:01".to_owned(), "aa:24:11:00:01:02".to_owned()],
        lock: Some("backup".to_owned()),
        made_at: Some(Timestamp::from_second(1_795_381_239).unwrap()),
        cpu: None,
        volumes: Vec::new(),
    };
    assert_eq!(vm, want);
    let container = config(
        GuestKind::Lxc,
        r#"{"hostname":"ct-web","rootfs":"local:201/vm-201-disk-0.raw,size=1G","startup":3,"template":1,
        "net0":"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:01,ip=dhcp,type=veth"}"#,
    );
    let identity = "net0:bc:24:11:00:02:01 rootfs:local:201/vm-201-disk-0.raw";
    assert_eq!(container.identity, Some(GuestIdentity::new(identity)));
    assert_eq!(
        (container.name.as_deref(), container.startup.order, container.template),
        (Some("ct-web"), Some(3), true)
    );
    assert_eq!(container.macs, ["bc:24:11:00:02:01"]);
    assert_eq!(container.volumes.first().and_then(|volume| volume.storage.as_deref()), Some("local"));
    for (text, want) in [("host", "host"), ("host,flags=+aes", "host"), ("cputype=x86-64-v3", "x86-64-v3")] {
        let vm = config(GuestKind::Qemu, &format!(r#"{{"cpu":"{text}"}}"#));
        assert_eq!(vm.cpu.as_deref(), Some(want), "{text}");
    }
    assert_eq!(
        config(GuestKind::Qemu, r#"{"smbios1":"uuid=","rootfs":"a","net0":"hwaddr=x"}"#),
        GuestConfig::default()
    );
}

#[test]
fn cards_in_any_notation() {
    let card = ["bc:24:11:00:00:64"];
    let cases: [(&str, &[&str]); 14] = [
        (r#""net0":"virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1""#, &card),
        (r#""net0":"virtio=bc:24:11:00:00:64""#, &card),
        (r#""net0":"virtio=BC-24-11-00-00-64,bridge=vmbr0""#, &card),
        (r#""net0":"e1000=bc2411000064,bridge=vmbr0""#, &card),
        (r#""net0":"model=vmxnet3,macaddr=BC:24:11:00:00:64,bridge=vmbr0""#, &card),
        (r#""net0":"bridge=vmbr0,virtio=BC:24:11:00:00:64""#, &card),
        (r#""net0":"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:64,ip=dhcp,type=veth""#, &card),
        (r#""net0":"name=aabbccddeeff,bridge=0123456789ab,hwaddr=BC:24:11:00:00:64""#, &card),
        (r#""net31":"virtio=BC2411000064""#, &card),
        (
            r#""net1":"rtl8139=BC:24:11:00:00:65","net0":"virtio=BC:24:11:00:00:64""#,
            &["bc:24:11:00:00:64", "bc:24:11:00:00:65"],
        ),
        (r#""net0":"virtio,bridge=vmbr0""#, &[]),
        (r#""net0":"virtio=BC:24-11:00:00:64""#, &[]),
        (r#""net0":"virtio=BC:24:11:00:00""#, &[]),
        (r#""net0":["virtio=BC:24:11:00:00:64"],"net":"virtio=BC:24:11:00:00:64","netin":1"#, &[]),
    ];
    for (fields, want) in cases {
        for kind in [GuestKind::Qemu, GuestKind::Lxc] {
            assert_eq!(config(kind, &format!("{{{fields}}}")).macs, want, "{fields}");
        }
    }
}

#[test]
fn agents_and_wakeonlan() {
    for (value, want) in [
        (r#""1""#, true),
        ("1", true),
        ("true", true),
        (r#""enabled=1,fstrim_cloned_disks=1""#, true),
        (r#""fstrim_cloned_disks=1,enabled=1""#, true),
        (r#""1,type=isa""#, true),
        (r#""enabled=0""#, false),
        (r#""0""#, false),
        ("0", false),
        (r#""fstrim_cloned_disks=1""#, false),
        (r#""""#, false),
        ("null", false),
        ("[1]", false),
    ] {
        assert_eq!(config(GuestKind::Qemu, &format!(r#"{{"agent":{value}}}"#)).agent, want, "{value}");
    }
    for (value, want) in [
        (r#""0C:C4:7A:00:00:01""#, Ok(Some("0c:c4:7a:00:00:01"))),
        (r#""0c-c4-7a-00-00-01""#, Ok(Some("0c:c4:7a:00:00:01"))),
        (r#""mac=0C:C4:7A:00:00:01,bind-interface=vmbr0""#, Ok(Some("0c:c4:7a:00:00:01"))),
        (r#""bind-interface=vmbr0,mac=0C:C4:7A:00:00:01""#, Ok(Some("0c:c4:7a:00:00:01"))),
        ("null", Ok(None)),
        (r#""""#, Ok(None)),
        // There is a setting, and nobody can tell what it says.
        (r#""bind-interface=vmbr0""#, Err(())),
        (r#""0C:C4:7A""#, Err(())),
        ("7", Err(())),
        ("[]", Err(())),
        (r#"{"mac":"0C:C4:7A:00:00:01"}"#, Err(())),
    ] {
        let told = read::<NodeConfig>(&format!(r#"{{"wakeonlan":{value}}}"#)).told();
        assert_eq!(told, want.map(|mac| mac.map(str::to_owned)), "{value}");
    }
    assert_eq!(read::<NodeConfig>(r#"{"description":"a"}"#).told(), Ok(None));
}

#[test]
fn tasks_and_their_rows() {
    let ended = |text: &str| Some(TaskState::Ended(TaskEnd::of_exit_status(text)));
    for (data, want) in [
        (r#"{"status":"running","pid":796}"#, Some(TaskState::Running)),
        (r#"{"status":"stopped","exitstatus":"OK"}"#, ended("OK")),
        (r#"{"status":"stopped","exitstatus":"received interrupt"}"#, ended("received interrupt")),
        (r#"{"status":"stopped"}"#, ended("")),
        (r#"{"exitstatus":"WARNINGS: 1"}"#, ended("WARNINGS: 1")),
        (r#"{"status":"odd"}"#, None),
        ("{}", None),
    ] {
        assert_eq!(read::<TaskAnswer>(data).state(), want, "{data}");
    }
    let upid = "UPID:pve1:0000031C:00039ED3:6B035B48:qmshutdown:105:root@pam!ecobox:";
    for (rest, want) in [
        (r#""user":"root@pam!ecobox","status":"RUNNING","saved":"0""#, false),
        (r#""user":"root@pam","tokenid":"ecobox","endtime":1795383070,"status":"OK""#, true),
        (r#""user":"root@pam!ecobox","endtime":"1795383070","saved":"1""#, true),
        (r#""status":"unexpected status""#, true),
        (r#""endtime":null,"status":null"#, false),
    ] {
        let row = read::<TaskRow>(&format!(r#"{{"upid":"{upid}",{rest}}}"#));
        assert_eq!((row.upid.unwrap().as_str(), row.ended), (upid, want), "{rest}");
    }
}

#[test]
fn logs() {
    let answer = LogAnswer::parse(br#"{"data":[{"t":"a\u0007b","n":1},7,{"n":2,"t":"TASK OK"}],"total":"2"}"#).unwrap();
    assert_eq!((answer.lines, answer.total), (vec!["a\u{7}b".to_owned(), "TASK OK".to_owned()], Some(2)));
    let answer = LogAnswer::parse(b"{\"total\":null,\"data\":[{\"n\":1,\"t\":\"\xff\"}]}").unwrap();
    assert_eq!((answer.lines, answer.total), (vec!["\u{fffd}".to_owned()], None));
    assert!(LogAnswer::parse(b"<html>").is_err());
}

#[test]
fn members() {
    let row = |data: &str| read::<MemberRow>(data);
    let node =
        row(r#"{"id":"node/pve1","ip":"192.0.2.2","nodeid":0,"type":"node","local":1,"name":"pve1","online":1}"#);
    let node = node.node().unwrap();
    assert_eq!((node.name.as_str(), node.online, node.local), ("pve1", true, true));
    assert_eq!(node.ip, Some("192.0.2.2".parse().unwrap()));
    let cluster = row(r#"{"id":"cluster","type":"cluster","name":"homelab","nodes":3,"quorate":"0","version":4}"#);
    assert!(cluster.node().is_none());
    assert!(row(r#"{"type":"node","name":"a/b"}"#).node().is_none());
}

#[test]
fn quorum() {
    let row = |data: &str| read::<HaRow>(data);
    for (data, want) in [
        (r#"{"node":"pve1","type":"quorum","status":"OK","id":"quorum","quorate":1}"#, (true, Some(true))),
        (r#"{"node":"pve1","type":"quorum","status":"No quorum!","id":"quorum","quorate":"0"}"#, (true, Some(false))),
        (r#"{"id":"quorum","type":"quorum"}"#, (true, None)),
        (r#"{"timestamp":1795964973,"status":"pve1 (active)","node":"pve1","type":"master"}"#, (false, None)),
    ] {
        let row = row(data);
        assert_eq!((row.is_quorum, row.quorate), want, "{data}");
    }
}

/// Any JSON.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1e308".to_owned()),
        ".{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[a-z0-9=,:]{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop_oneof!["running", "stopped", "suspended", "enabled=1", "uuid=A,b=c"].prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|list| format!("[{}]", list.join(","))),
            ("[a-z]{0,7}", inner).prop_map(|(key, value)| format!("{{{key:?}:{value}}}")),
        ]
    })
}

proptest! {
    #[test]
    fn no_field_breaks_an_answer(
        fields in prop::collection::vec((prop_oneof![
            "(status|qmpstatus|lock|ha|agent|template|name|uptime|exitstatus|upid|endtime|t|total)",
            "(smbios1|rootfs|startup|onboot|protection|hostname|net[0-9]{0,3}|hostpci[0-9]?|wakeonlan)",
            "(type|quorate|online|local|ip|[a-z]{0,5})",
        ], json()), 0..8)
    ) {
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
        let data = format!("{{{}}}", fields.join(","));
        let _ = status(&data);
        let vm = config(GuestKind::Qemu, &data);
        let container = config(GuestKind::Lxc, &data);
        prop_assert_eq!(vm.macs, container.macs);
        let _ = read::<TaskAnswer>(&data).state();
        let _ = read::<MemberRow>(&data).node();
        let _ = read::<NodeConfig>(&data);
        let rows = repair_json::parse::<Entries<TaskRow>>(format!(r#"{{"data":[{data},{data}]}}"#).as_bytes());
        prop_assert_eq!(rows.unwrap().list.len(), 2);
        prop_assert_eq!(LogAnswer::parse(format!(r#"{{"data":[{data}]}}"#).as_bytes()).unwrap().lines.len(), 1);
    }
}
