//! What the API says of guests, and of what was.

use super::*;

#[tokio::test]
async fn guests_answers() {
    let (identity, trust) = trusted();
    let (node, vmid) = ("pve2".parse().unwrap(), "102".parse().unwrap());
    let agent = include_str!("../../../../tests/fixtures/pve/agent-network.json");
    let error = |reason: &str| Answer::Close(json(reason, r#"{"data":null}"#));
    let answers = vec![
        Answer::Keep(json("200 OK", agent)),
        error("500 No QEMU guest agent configured"),
        error("500 QEMU guest agent is not running"),
        error("500 VM 102 is not running"),
        error("500 Configuration file 'nodes/pve2/qemu-server/102.conf' does not exist"),
        Answer::Close(json("200 OK", &" ".repeat((1 << 20) + 1))),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust.clone());
    let first = client.agent_addresses(&node, vmid).await.unwrap();
    assert!(matches!(first, AgentAnswer::Addresses(list) if list.len() == 4));
    assert_eq!(client.agent_addresses(&node, vmid).await.unwrap(), AgentAnswer::NotConfigured);
    assert_eq!(client.agent_addresses(&node, vmid).await.unwrap(), AgentAnswer::NotRunning);
    assert_eq!(client.agent_addresses(&node, vmid).await.unwrap(), AgentAnswer::NotRunning);
    assert!(matches!(client.agent_addresses(&node, vmid).await, Err(Error::Api { status: 500, .. })));
    assert!(matches!(client.agent_addresses(&node, vmid).await, Err(Error::Protocol { .. })));
    for request in server.requests(client).await {
        assert!(
            request.starts_with("GET /api2/json/nodes/pve2/qemu/102/agent/network-get-interfaces HTTP"),
            "{request}"
        );
    }

    let answers = vec![
        Answer::Keep(json("200 OK", include_str!("../../../../tests/fixtures/pve/lxc-interfaces-9.json"))),
        Answer::Keep(json("200 OK", r#"{"data":null}"#)),
        error("501 Method 'GET /nodes/pve2/lxc/102/interfaces' not implemented"),
        error("500 CT 102 not running"),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    let told = client.container_addresses(&node, vmid).await.unwrap();
    assert!(matches!(told, AgentAnswer::Addresses(list) if list.len() == 4));
    for _ in 0..3 {
        let told = client.container_addresses(&node, vmid).await.unwrap();
        assert!(matches!(told, AgentAnswer::NotTold(_)), "{told:?}");
    }
    let requests = server.requests(client).await;
    assert!(requests[0].starts_with("GET /api2/json/nodes/pve2/lxc/102/interfaces HTTP/1.1\r\n"));
}

#[tokio::test]
async fn what_a_guests_agent_says_of_file_systems() {
    let (identity, trust) = trusted();
    let (node, vmid) = ("pve2".parse().unwrap(), "102".parse().unwrap());
    let error = |reason: &str| Answer::Close(json(&format!("500 {reason}"), r#"{"data":null}"#));
    let one = r#"{"data":{"result":[{"name":"a","mountpoint":"/","type":"ext4","used-bytes":1,"total-bytes":2}]}}"#;
    let answers = vec![
        Answer::Keep(json("200 OK", one)),
        Answer::Keep(json("200 OK", r#"{"data":null}"#)),
        error("VM 102 qmp command 'guest-get-fsinfo' failed - The command guest-get-fsinfo has not been found"),
        error("No QEMU guest agent configured"),
        error("VM 102 qmp command 'guest-get-fsinfo' failed - got timeout"),
        error("VM 102 qmp command 'guest-get-fsinfo' failed - failed to open /proc/self/mounts"),
        Answer::Close(json("403 Permission check failed (/vms/102, VM.GuestAgent.Audit)", r#"{"data":null}"#)),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    let told = client.agent_filesystems(&node, vmid).await.unwrap();
    assert!(matches!(told, AgentFilesystems::Told(told) if !told.list.is_empty() && told.reason.is_none()));
    for _ in 0..2 {
        let told = client.agent_filesystems(&node, vmid).await.unwrap();
        assert!(matches!(told, AgentFilesystems::Told(told) if told.list.is_empty() && told.reason.is_some()));
    }
    assert_eq!(client.agent_filesystems(&node, vmid).await.unwrap(), AgentFilesystems::NotConfigured);
    assert_eq!(client.agent_filesystems(&node, vmid).await.unwrap(), AgentFilesystems::NotRunning);
    assert!(matches!(client.agent_filesystems(&node, vmid).await, Err(Error::Api { status: 500, .. })));
    assert!(matches!(client.agent_filesystems(&node, vmid).await, Err(Error::Denied { .. })));
    for request in server.requests(client).await {
        assert!(request.starts_with("GET /api2/json/nodes/pve2/qemu/102/agent/get-fsinfo HTTP"), "{request}");
    }
}

#[tokio::test]
async fn histories_and_a_nodes_status() {
    let (identity, trust) = trusted();
    let (node, vmid) = ("pve2".parse().unwrap(), "102".parse().unwrap());
    let unrecorded = "500 RRD error: rrd_fetch_r failed: opening '/var/lib/rrdcached/db/pve-vm-9.0/102': No such file or \
        directory";
    let denied = json("403 Permission check failed (/nodes/pve2, Sys.Audit)", r#"{"data":null}"#);
    // More than what a guest may say: a month of steps of 30 minutes is nearly a megabyte.
    let month = format!(r#"{{"data":[{}{{"time":60}}]}}"#, r#"{"time":120},"#.repeat(90_000));
    let answers = vec![
        Answer::Keep(json("200 OK", include_str!("../../../../tests/fixtures/pve/rrd-vm-average.json"))),
        Answer::Keep(json("200 OK", &month)),
        Answer::Close(json(unrecorded, r#"{"data":null}"#)),
        Answer::Close(json("500 RRD error: out of memory", r#"{"data":null}"#)),
        Answer::Close(denied),
        Answer::Keep(json("200 OK", include_str!("../../../../tests/fixtures/pve/rrd-node.json"))),
    ];
    let server = Server::start(&identity, answers).await;
    let client = server.client(trust);
    let guest =
        async |timeframe| client.guest_rrd(&node, GuestKind::Qemu, vmid, timeframe, Consolidation::Average).await;
    assert_eq!(guest(Timeframe::Hour).await.unwrap().rows.len(), 7);
    assert_eq!(guest(Timeframe::Month).await.unwrap().rows.len(), 2);
    assert_eq!(guest(Timeframe::Year).await.unwrap().rows, [], "nothing was recorded");
    assert!(matches!(guest(Timeframe::Day).await, Err(Error::Api { status: 500, .. })));
    let of_node = async || client.node_rrd(&node, Timeframe::Week, Consolidation::Max).await;
    assert!(matches!(of_node().await, Err(Error::Denied { .. })));
    assert_eq!(of_node().await.unwrap().rows.len(), 3);
    let paths: Vec<String> =
        server.requests(client).await.iter().filter_map(|text| text.split(' ').nth(1).map(str::to_owned)).collect();
    for path in ["qemu/102/rrddata?timeframe=hour&cf=AVERAGE", "rrddata?timeframe=week&cf=MAX"] {
        assert!(paths.contains(&format!("/api2/json/nodes/pve2/{path}")), "{path}: {paths:?}");
    }
}
