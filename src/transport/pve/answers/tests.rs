use super::*;
use crate::model::access::scope::TokenScope;
use crate::transport::pve::repair_json::parse;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/pve/", $name, ".json"))
    };
}

fn address(ip: &str, prefix: Option<u8>, interface: &str, mac: Option<&str>) -> Address {
    let mac = mac.map(str::to_owned);
    Address { ip: ip.parse().unwrap(), prefix, interface: interface.to_owned(), mac }
}

#[test]
fn addresses_from_the_agent_and_from_both_generations_of_containers() {
    let expected = |last: u8, mac: &str, v6: &str| {
        vec![
            address("127.0.0.1", Some(8), "lo", Some("00:00:00:00:00:00")),
            address("::1", Some(128), "lo", Some("00:00:00:00:00:00")),
            address(&format!("10.99.0.{last}"), Some(24), "eth0", Some(mac)),
            address(v6, Some(64), "eth0", Some(mac)),
        ]
    };
    let agent = parse::<Entry<AgentInterfaces>>(fixture!("agent-network")).unwrap().0.unwrap().0.unwrap();
    assert_eq!(agent, expected(101, "bc:24:11:00:01:01", "fe80::be24:11ff:fe00:101"));
    for body in [&fixture!("lxc-interfaces-8")[..], &fixture!("lxc-interfaces-9")[..]] {
        let container = parse::<ContainerInterfaces>(body).unwrap().0.unwrap();
        assert_eq!(container, expected(201, "bc:24:11:00:02:01", "fe80::be24:11ff:fe00:201"));
    }
}

#[test]
fn what_a_guest_invents_is_dropped() {
    let body = br#"{"data":{"result":[7,null,{"name":"a"},{"ip-addresses":"x"},
        {"name":"\u001b[31meth0","hardware-address":"not a mac","ip-addresses":[3,{},
            {"ip-address":"999.1.1.1","prefix":8},{"ip-address":"$(reboot)"},{"ip-address":["10.0.0.1"]},
            {"ip-address":"10.0.0.1","prefix":33},{"ip-address":"fe80::1%eth0","prefix":-1},
            {"ip-address":"10.0.0.2","prefix":"24"}]}]}}"#;
    let found = parse::<Entry<AgentInterfaces>>(body).unwrap().0.unwrap().0.unwrap();
    let name = "\u{1b}[31meth0";
    let expected = [
        address("10.0.0.1", None, name, None),
        address("fe80::1", None, name, None),
        address("10.0.0.2", Some(24), name, None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn hardware_addresses_in_any_notation() {
    let own = Some("bc:24:11:00:00:64");
    for (text, want) in [
        ("bc:24:11:00:00:64", own),
        ("BC:24:11:00:00:64", own),
        ("BC-24-11-00-00-64", own),
        ("bc24.1100.0064", own),
        ("BC2411000064", own),
        ("00:00:00:00:00:00", Some("00:00:00:00:00:00")),
        ("bc:24:11:00:00:64:65", None),
        ("bc:24-11:00:00:64", None),
        ("bc::24:11:00:0064", None),
        ("bc2411.00.0064", None),
        ("fe80::be24:11ff:f", None),
        ("ümlaut:24:11:00:0", None),
        ("", None),
    ] {
        for field in ["hardware-address", "hwaddr"] {
            let addresses = r#""ip-addresses":[{"ip-address":"10.0.0.5","prefix":24}]"#;
            let body = format!(r#"{{"data":[{{"name":"eth0","{field}":"{text}",{addresses}}}]}}"#);
            let found = parse::<ContainerInterfaces>(body.as_bytes()).unwrap().0.unwrap();
            assert_eq!(found, [address("10.0.0.5", Some(24), "eth0", want)], "{text}");
        }
    }
}

#[test]
fn only_a_list_says_what_addresses_there_are() {
    let error = |desc: &str| Err(Some(desc.to_owned()));
    for (answer, want) in [
        ("[]", Ok(vec![])),
        (r#"[{"name":"lo"},7]"#, Ok(vec![])),
        ("[7,null]", Err(None)),
        ("null", Err(None)),
        ("{}", Err(None)),
        ("7", Err(None)),
        ("true", Err(None)),
        (r#""""#, Err(None)),
        (r#"{"error":null}"#, Err(None)),
        (r#"{"error":{"class":"GenericError","desc":"Permission denied"}}"#, error("Permission denied")),
        (r#"{"error":{"class":"CommandNotFound"}}"#, error("CommandNotFound")),
    ] {
        let container = format!(r#"{{"data":{answer}}}"#);
        assert_eq!(parse::<ContainerInterfaces>(container.as_bytes()).unwrap().0, want, "{answer}");
        let agent = format!(r#"{{"data":{{"result":{answer}}}}}"#);
        let agent = parse::<Entry<AgentInterfaces>>(agent.as_bytes()).unwrap().0.unwrap_or_default();
        assert_eq!(agent.0, want, "{answer}");
    }
    for body in [r#"{"data":null}"#, r#"{"data":[]}"#, r#"{"data":{}}"#] {
        let agent = parse::<Entry<AgentInterfaces>>(body.as_bytes()).unwrap().0.unwrap_or_default();
        assert_eq!(agent.0, Err(None), "{body}");
    }
}

#[test]
fn permissions_are_held_whether_inherited_or_not() {
    let told = |body: &[u8]| parse::<Entry<PermissionMap>>(body).unwrap().0.and_then(PermissionMap::told);
    let read = |body: &[u8]| told(body).unwrap();
    let auditor = read(fixture!("permissions-auditor"));
    assert_eq!(auditor.0.len(), 9);
    assert_eq!(auditor.compare(TokenScope::Operator, 9).missing, ["VM.PowerMgmt"]);
    assert!(read(br#"{"data":{}}"#).0.is_empty());
    // An answer of another shape does not say that nothing is held.
    for answer in [
        "null",
        "[]",
        "7",
        "true",
        r#""/""#,
        r#"[{"/":{"VM.Audit":1}}]"#,
        r#"{"error":{"class":"GenericError"}}"#,
        r#"{"/":null}"#,
        r#"{"/":["VM.Audit"],"/vms":1}"#,
        r#"{"VM.Audit":{}}"#,
    ] {
        assert_eq!(told(format!(r#"{{"data":{answer}}}"#).as_bytes()), None, "{answer}");
    }
    let mixed = read(br#"{"data":{"/":{"VM.Audit":0,"Sys.Audit":"1"},"/vms":null}}"#);
    assert_eq!(mixed.0["/"], ["Sys.Audit", "VM.Audit"].map(str::to_owned).into());
}

#[test]
fn nodes() {
    let nodes = parse::<Nodes>(fixture!("nodes")).unwrap().0;
    assert_eq!((nodes.len(), nodes[0].name.as_str(), nodes[0].online), (1, "pve1", Some(true)));
    assert!(nodes[0].fingerprint.unwrap().to_string().starts_with("4D:04:0C:F6"));
    let odd = br#"{"data":[{"node":"a"},{"node":"b","status":"offline","ssl_fingerprint":"x"},{"node":"c d"},3]}"#;
    let odd: Vec<_> = parse::<Nodes>(odd).unwrap().0.into_iter().map(|n| (n.online, n.fingerprint)).collect();
    assert_eq!(odd, [(None, None), (Some(false), None)]);
}

#[test]
fn the_node_that_answers_is_the_local_one() {
    let local = |body: &str| parse::<LocalNode>(body.as_bytes()).unwrap().0.map(|node| node.to_string());
    let rows = r#"{"type":"cluster","name":"lab","quorate":0},{"name":"pve2","local":0,"online":0,"type":"node"}"#;
    for (more, want) in [
        (r#"{"name":"pve1","type":"node","online":1,"local":1}"#, Some("pve1")),
        (r#"{"name":"pve1","type":"node","local":"1"}"#, Some("pve1")),
        (r#"{"name":"pve1","type":"node"}"#, None),
        (r#"{"name":"no node","type":"node","local":1}"#, None),
        (r#"{"name":"lab","type":"cluster","local":1}"#, None),
        (r#"{"name":"pve1","type":"node","local":1},{"name":"pve3","type":"node","local":1}"#, None),
    ] {
        assert_eq!(local(&format!(r#"{{"data":[{rows},{more}]}}"#)).as_deref(), want, "{more}");
    }
    assert_eq!(local(r#"{"data":null}"#), None);
}

#[test]
fn versions() {
    let read = |body: &[u8]| parse::<Entry<Version>>(body).unwrap().0.unwrap_or_default();
    let new = read(br#"{"data":{"repoid":"14a22df35955d97d","release":"9.2","version":"9.2.11"}}"#);
    assert_eq!((new.major(), new.release.as_str(), new.repoid.as_str()), (Some(9), "9.2", "14a22df35955d97d"));
    assert_eq!(read(br#"{"data":{"release":7.4,"version":"7.4-3"}}"#).major(), Some(7));
    assert_eq!(read(br#"{"data":null}"#).major(), None);
}
