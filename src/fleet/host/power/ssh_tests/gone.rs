//! Whether a host is gone or back, also behind a jump host.

use super::*;

#[test]
fn gone_and_back_are_seen() {
    run(async {
        let world = World::new(Host::debian("nas"), "root").await;
        let (fleet, server) = (world.fleet(), &world.config.servers[0]);
        in_vain("it still answers", async |deadline| fleet.wait_gone(server, deadline).await.unwrap()).await;
        let before = fleet.host_preflight(server, &Wanted::default()).await.unwrap().facts.boot_id;
        let back = async |deadline| fleet.wait_back(server, before.as_deref(), false, deadline).await.unwrap();
        in_vain("it answers, and has not restarted yet", back).await;
        fleet.trigger(server, HostCall::Shutdown.into(), &Confirmed::by_command()).await.unwrap();
        assert_eq!(fleet.wait_gone(server, deadline()).await.unwrap(), Waited::Seen);
        world.host.wake();
        assert_eq!(fleet.wait_back(server, before.as_deref(), true, deadline()).await.unwrap(), Waited::Seen);
        assert_eq!(fleet.wait_back(server, None, true, deadline()).await.unwrap(), Waited::Seen);
        // Somebody else under its address.
        world.ssh.change_host_key();
        let error = fleet.wait_back(server, before.as_deref(), true, deadline()).await.unwrap_err();
        assert!(matches!(error, Error::Untrusted { .. }), "{error}");
        assert_eq!(world.host.events(), ["poweroff", "wake"]);
    });
}

/// A world whose host is reached through a jump host, which is configured as `gate`.
async fn behind_a_jump_host() -> (World, Host, SshServer) {
    let mut world = World::new(Host::debian("nas"), "root").await;
    let jump = Host::debian("jump").build();
    let key = ClientKey::create(&world.home.path().join("jump"), None);
    let gate = SshServer::start(&jump, std::slice::from_ref(&key.public)).await;
    world.ssh.authorize(&key.public);
    jump.map_port(2, world.ssh.port());
    let known = world.ssh.known_hosts_line().replace(&format!(":{} ", world.ssh.port()), ":2 ");
    std::fs::write(world.home.path().join(".ssh/known_hosts"), known + &gate.known_hosts_line()).unwrap();
    std::fs::copy(world.home.path().join("jump"), world.home.path().join(".ssh/id_ed25519")).unwrap();
    let text = format!(
        "[ssh]\nconfig = false\n[[servers]]\nid = \"h1\"\nhostname = \"127.0.0.1\"\nssh_port = 2\nssh_user = \"root\"\n\
         proxy_jump = \"admin@127.0.0.1:{port}\"\n[[servers]]\nid = \"gate\"\nhostname = \"127.0.0.1\"\nssh_port = {port}\n",
        port = gate.port()
    );
    world.config = Config::parse(&text, &world.home.path().join("config.toml")).unwrap();
    (world, jump, gate)
}

async fn until(seen: impl Fn() -> bool) {
    let seen = async {
        while !seen() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, seen).await.unwrap();
}

#[test]
fn a_jump_host_that_cut_us_off_is_asked_anew() {
    run(async {
        let (world, jump, gate) = behind_a_jump_host().await;
        let (fleet, server) = (world.fleet(), &world.config.servers[0]);
        let cut = async {
            until(|| gate.forwards() > 0).await;
            jump.cut_connections();
            until(|| gate.connections() > 1).await;
            world.host.suspend();
        };
        let (waited, ()) = tokio::join!(fleet.wait_gone(server, deadline()), cut);
        assert_eq!(waited.unwrap(), Waited::Seen);
    });
}

/// Its connection looks as if it stood.
#[test]
fn a_jump_host_that_falls_silent_says_nothing_of_the_host() {
    run(async {
        let gone = async |deadline| {
            let (world, jump, gate) = behind_a_jump_host().await;
            let (fleet, server) = (world.fleet(), &world.config.servers[0]);
            let freeze = async {
                until(|| gate.forwards() > 0).await;
                jump.suspend();
            };
            tokio::join!(fleet.wait_gone(server, deadline), freeze).0.unwrap()
        };
        in_vain("its jump host does not answer", gone).await;
    });
}

#[test]
fn a_host_is_not_back_because_its_jump_host_is() {
    run(async {
        let back = async |deadline| {
            let (world, _, gate) = behind_a_jump_host().await;
            let (fleet, server) = (world.fleet(), &world.config.servers[0]);
            gate.set_fault(Some(SshFault::CloseAtOnce));
            let heal = async {
                until(|| gate.connections() > 0).await;
                gate.set_fault(None);
            };
            tokio::join!(fleet.wait_back(server, None, false, deadline), heal).0.unwrap()
        };
        in_vain("it answers, and was never seen to go", back).await;
    });
}

#[test]
fn behind_a_jump_host_the_jump_host_is_asked() {
    run(async {
        let (world, _, gate) = behind_a_jump_host().await;
        let fleet = world.fleet();
        let [server, gate_server] = world.config.servers.as_slice() else { panic!("two servers") };
        assert!(fleet.leads_through(gate_server, server).await.unwrap());
        assert!(!fleet.leads_through(server, gate_server).await.unwrap());
        fleet.trigger(server, HostCall::Suspend.into(), &Confirmed::by_command()).await.unwrap();
        assert_eq!(fleet.wait_gone(server, deadline()).await.unwrap(), Waited::Seen);
        assert_eq!((world.host.events(), gate.execs()), (vec!["suspend".to_owned()], 0));
    });
}
