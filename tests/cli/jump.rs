//! Hosts that are reached through others: by `proxy_jump`, and by what `ssh_config` says. The API comes through, too.

use ecobox_sim::Cluster;
use ecobox_sim::host::Host;

use super::world::{Pve, Served, World};

/// A jump host, and a node behind it whose API and SSH ports are at other numbers than it is asked for: nothing but
/// the way through the jump host leads there.
struct Behind {
    world: World,
    jump: Served,
    pve: Pve,
    /// The port of the node's SSH as seen from the jump host.
    inner_ssh: u16,
    /// The port of the node's API as seen from the node.
    inner_api: u16,
}

fn behind() -> Behind {
    let world = World::new();
    let jump = world.serve(Host::debian("jump").build());
    let pve = world.cluster(Cluster::new("single").node("pve1").vm(101, "web-01", ecobox_sim::Guest::running));
    let (inner_ssh, inner_api) = (2, 3);
    jump.host.map_port(inner_ssh, pve.nodes[0].ssh.port());
    pve.nodes[0].host.map_port(inner_api, pve.nodes[0].api_port.unwrap());
    world.know(&jump);
    let line = pve.nodes[0].ssh.known_hosts_line();
    world.know_line(&line.replace(&format!(":{} ", pve.nodes[0].ssh.port()), &format!(":{inner_ssh} ")));
    Behind { world, jump, pve, inner_ssh, inner_api }
}

impl Behind {
    fn four_commands(&self) {
        let world = &self.world;
        let run = world.run(&["init", "-o", "json"]).exits(0);
        assert_eq!(run.json()["servers"][0]["facts"]["product"]["node"], "pve1");
        world.run(&["setup-token"]).exits(0);
        world.run(&["discover"]).exits(0);
        self.pve.sim.clear_requests();
        let before = (self.jump.ssh.connections(), self.pve.nodes[0].ssh.connections());
        let run = world.run(&["status", "-o", "json"]).exits(0);
        let report = run.json();
        let states: Vec<_> = report["servers"].as_array().unwrap().iter().map(|row| row["state"].as_str()).collect();
        assert_eq!(states, [Some("online"), Some("running")], "{run}");
        assert_eq!(self.pve.sim.requests().len(), 1);
        let after = (self.jump.ssh.connections(), self.pve.nodes[0].ssh.connections());
        assert_eq!(after, (before.0 + 1, before.1 + 1), "one connection for each host and run");
        self.pve.assert_one_usable_token(world);
        assert_eq!(world.column("trust", "json_extract(trust, '$.mode')"), ["cluster-ca"]);
        assert_eq!(self.jump.ssh.execs(), 0, "nothing is run on the jump host");
    }
}

#[test]
fn proxy_jump_leads_ssh_and_the_api() {
    let behind = behind();
    let entry = super::world::entry("pve1", "root", behind.inner_ssh, Some(behind.inner_api));
    let jump = format!("proxy_jump = \"admin@127.0.0.1:{}\"\n", behind.jump.ssh.port());
    behind.world.configure(&(entry.trim_end().to_owned() + "\n" + &jump));
    behind.four_commands();
}

#[test]
fn watching_keeps_one_connection_to_each() {
    let behind = behind();
    let entry = super::world::entry("pve1", "root", behind.inner_ssh, Some(behind.inner_api));
    let jump = format!("proxy_jump = \"admin@127.0.0.1:{}\"\n", behind.jump.ssh.port());
    let pace = "[dashboard]\nupdate_interval = \"100ms\"\nsystem_check_interval = \"100ms\"\n\n";
    behind.world.configure(&(pace.to_owned() + entry.trim_end() + "\n" + &jump));
    behind.world.run(&["setup-token"]).exits(0);
    let (jump, node) = (&behind.jump.ssh, &behind.pve.nodes[0].ssh);
    let before = (jump.connections(), node.connections());
    let forwards = node.forwards();
    let run = behind.world.run(&["watch", "-o", "jsonl", "--count", "8"]).exits(0);
    assert_eq!(run.stdout.lines().count(), 1, "{run}");
    assert_eq!((jump.connections(), node.connections()), (before.0 + 1, before.1 + 1));
    // The API's connection stands, too. Discovery has one of its own, and its guest's agent.
    let forwards = node.forwards() - forwards;
    assert!((1..=3).contains(&forwards), "{forwards}");
}

#[test]
fn ssh_config_leads_by_jump_hosts_and_by_commands() {
    for command in [false, true] {
        let behind = behind();
        let world = &behind.world;
        let (jump, known, key) = (behind.jump.ssh.port(), world.known_hosts(), world.key.path.display());
        let ssh =
            format!("ssh -F {} -W 127.0.0.1:{} jump", world.env.home().join("ssh_config").display(), behind.inner_ssh);
        let way = if command { format!("ProxyCommand {ssh}") } else { "ProxyJump jump".to_owned() };
        let text = format!(
            "Host jump\n  HostName 127.0.0.1\n  Port {jump}\n  User admin\n\
             Host pve1\n  HostName 127.0.0.1\n  Port {}\n  User root\n  {way}\n\
             Host *\n  UserKnownHostsFile {}\n  IdentityFile {key}\n  IdentitiesOnly yes\n",
            behind.inner_ssh,
            known.display(),
        );
        std::fs::write(world.env.home().join("ssh_config"), text).unwrap();
        world.env.config(&format!(
            "[ssh]\nconfig = \"{}\"\n\n[[servers]]\nid = \"pve1\"\nhostname = \"pve1\"\napi_port = {}\n",
            world.env.home().join("ssh_config").display(),
            behind.inner_api
        ));
        behind.four_commands();
    }
}

#[test]
fn a_plain_server_behind_a_jump_host_is_seen() {
    let world = World::new();
    let (jump, plain) = (world.serve(Host::debian("jump").build()), world.serve(Host::debian("nas").build()));
    jump.host.map_port(2, plain.ssh.port());
    world.know(&jump);
    world.know_line(&plain.ssh.known_hosts_line().replace(&format!(":{} ", plain.ssh.port()), ":2 "));
    let entry = super::world::entry("nas", "admin", 2, None);
    let way = format!("proxy_jump = \"admin@127.0.0.1:{}\"\n", jump.ssh.port());
    world.configure(&(entry.trim_end().to_owned() + "\n" + &way));
    let run = world.run(&["init", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["facts"]["hostname"], "nas");
    let run = world.run(&["status", "-o", "json"]).exits(0);
    assert_eq!(run.json()["servers"][0]["state"], "online", "{run}");
}

/// What a dead jump host hides is not known to be off; what it looked for itself is.
#[test]
fn a_server_is_offline_only_where_its_jump_host_says_so() {
    let world = World::new();
    let jump = world.serve(Host::debian("jump").build());
    jump.host.map_port(2, super::fleets::CLOSED);
    world.know(&jump);
    let entry = super::world::entry("nas", "admin", 2, None);
    let seen = |port: u16, code: i32| {
        world.configure(&format!("{}\nproxy_jump = \"admin@127.0.0.1:{port}\"\n", entry.trim_end()));
        let row = world.run(&["status", "-o", "json"]).exits(code).json()["servers"][0].clone();
        (row["state"].as_str().unwrap().to_owned(), row["reason"].as_str().unwrap().to_owned())
    };
    let (state, reason) = seen(jump.ssh.port(), 5);
    assert_eq!(
        (state.as_str(), reason.as_str()),
        ("offline", "cannot reach 127.0.0.1:2: its jump host cannot connect to it")
    );
    let hidden = "its jump host does not answer: cannot reach 127.0.0.1:1: connection refused";
    let (state, reason) = seen(1, 5);
    assert_eq!((state.as_str(), reason.as_str()), ("unknown", hidden));
    // ecobox put it to sleep: that it still sleeps nobody saw, and it is no alarm.
    world.env.execute("INSERT INTO wishes VALUES ('nas', 1, 0)");
    assert_eq!(seen(jump.ssh.port(), 0).0, "asleep");
    assert_eq!(seen(1, 0), ("unknown".to_owned(), hidden.to_owned()));
}

/// A command may lead through a jump host, too: why it failed, nobody else can know.
#[test]
fn a_server_behind_a_command_that_fails_is_unknown() {
    let world = World::new();
    let config = world.env.home().join("ssh_config");
    std::fs::write(&config, "Host nas\n  ProxyCommand echo bastion is down >&2; exit 1\n").unwrap();
    world.env.config(&format!(
        "[ssh]\nconfig = \"{}\"\n\n[[servers]]\nid = \"nas\"\nhostname = \"nas\"\n",
        config.display()
    ));
    let run = world.run(&["status", "-o", "json"]).exits(5);
    assert_eq!(run.json()["servers"][0]["state"], "unknown", "{run}");
    // Its own words are all that there is of a reason.
    let said = "connection closed (its ProxyCommand says: bastion is down)";
    assert!(run.json()["servers"][0]["reason"].as_str().unwrap().contains(said), "{run}");
    assert_eq!(world.run(&["stats"]).exits(5).says(said).stderr.matches("bastion").count(), 1);
}

#[test]
fn a_jump_host_that_fails_is_named() {
    let behind = behind();
    let world = &behind.world;
    let entry = super::world::entry("pve1", "root", behind.inner_ssh, Some(behind.inner_api));
    let configure = |way: &str| world.configure(&format!("{}\nproxy_jump = \"{way}\"\n", entry.trim_end()));
    configure("admin@127.0.0.1:1");
    let run = world.run(&["setup-token"]).exits(5);
    assert!(run.stderr.contains("cannot reach 127.0.0.1:1: connection refused"), "{run}");
    configure(&format!("nobody@127.0.0.1:{}", behind.jump.ssh.port()));
    let run = world.run(&["setup-token"]).exits(4);
    assert!(run.stderr.contains("no key is accepted for nobody"), "{run}");
    configure(&format!("admin@127.0.0.1:{}", behind.jump.ssh.port()));
    behind.jump.ssh.refuse_forwarding(true);
    let run = world.run(&["setup-token"]).exits(4);
    let name = format!("127.0.0.1:{} refused: it does not forward connections", behind.jump.ssh.port());
    assert!(run.stderr.contains(&name) && run.stderr.contains("AllowTcpForwarding"), "{run}");
    assert!(!run.stderr.contains("SHA256:"), "{run}");
    behind.jump.ssh.refuse_forwarding(false);
    behind.jump.ssh.change_host_key();
    let run = world.run(&["setup-token"]).exits(6);
    assert!(run.stderr.contains("is not the one recorded"), "{run}");
    assert_eq!(behind.pve.nodes[0].ssh.connections(), 0);
}
