//! Simulated hosts sleep, and wake by the packets that really come.

use std::path::Path;
use std::time::Duration;

use ecobox_sim::host::{Host, WolPacket};
use ecobox_sim::keys::ClientKey;
use ecobox_sim::ssh::SshServer;
use ecobox_sim::{Cluster, Sim};
use futures::future::LocalBoxFuture;
use tokio::sync::Notify;

use super::*;
use crate::config::Config;
use crate::fleet::Limits;
use crate::fleet::reach::session::Shared;
use crate::model::host::facts::HostFacts;
use crate::model::id::Secret;
use crate::state::State;
use crate::transport::ssh::Ask;

const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody at a terminal.
struct NoOne;

impl Ask for NoOne {
    fn accept_host_key<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn passphrase<'a>(&'a self, _: &'a Path) -> LocalBoxFuture<'a, Option<Secret>> {
        Box::pin(std::future::ready(None))
    }
}

/// A home with a key, the hosts that it may log in to, and the configuration of them.
struct World {
    home: tempfile::TempDir,
    key: ClientKey,
    text: String,
    served: Vec<SshServer>,
}

impl World {
    fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        let key = ClientKey::create(&home.path().join(".ssh/id_ed25519"), None);
        let text = "[dashboard]\nwol_retry_interval = '100ms'\nwol_max_retries = 5\n[ssh]\nconfig = false\n".to_owned();
        World { home, key, text, served: Vec::new() }
    }

    /// Serves a host by SSH and puts it into the configuration, with these keys besides.
    async fn serve(&mut self, host: &Host, keys: &str) {
        let ssh = SshServer::start(host, std::slice::from_ref(&self.key.public)).await;
        let entry = format!(
            "[[servers]]\nid = '{}'\nhostname = '127.0.0.1'\nssh_port = {}\nssh_user = 'root'\nssh_key_path = '{}'\n{keys}\n",
            host.name(),
            ssh.port(),
            self.key.path.display()
        );
        self.text.push_str(&entry);
        self.served.push(ssh);
        let known: String = self.served.iter().map(SshServer::known_hosts_line).collect();
        std::fs::write(self.home.path().join(".ssh/known_hosts"), known).unwrap();
    }

    fn config(&self) -> Config {
        Config::parse(&self.text, &self.home.path().join("config.toml")).unwrap()
    }

    fn fleet<'a>(&self, config: &'a Config, state: &'a State) -> Fleet<'a> {
        let mut fleet = Fleet::without_credentials(config, state, &NoOne, Limits::new(None)).unwrap();
        fleet.ssh = Shared::new(config).at_home(self.home.path().to_owned());
        fleet
    }
}

/// The table that leads packets for a host to its simulated card.
fn wol(host: &Host, more: &str) -> String {
    format!("[servers.wol]\nmac = '{}'\nbroadcast = '127.0.0.1'\nport = {}\n{more}", host.wol_mac(), host.wol_port())
}

/// Wakes a server until it is awake, with all events in words.
async fn wake(fleet: &Fleet<'_>, server: &ServerConfig) -> (Result<Woken<Result<(), Error>>, NotWoken>, Vec<String>) {
    let mut said = Vec::new();
    let path = fleet.wake_path(server).unwrap();
    let until = async { tokio::time::timeout(PATIENCE, fleet.awake(server, |_| ())).await.ok() };
    let events = |event: WakeEvent<'_>| {
        said.push(match event {
            WakeEvent::Sent { round, of, sent } => format!("{round}/{of}: {}", sent.sent.join(" ")),
            WakeEvent::NotSent { round, of, error } => format!("{round}/{of}: {error}"),
        });
    };
    let woken = Box::pin(fleet.wake(server, &path, until, events, &Confirmed::by_command())).await;
    (woken, said)
}

fn all_correct(packets: &[WolPacket]) -> bool {
    packets.iter().all(|packet| packet.correct)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_answers_after_the_third_packet_is_woken() {
    let host = Host::pve("pve1").build();
    let mut world = World::new();
    world.serve(&host, &wol(&host, "")).await;
    let (config, state) = (world.config(), State::in_memory().unwrap());
    let fleet = world.fleet(&config, &state);
    // There is a session from before, which leads nowhere once the host sleeps.
    fleet.awake(&config.servers[0], |_| ()).await.unwrap();
    host.wake_after(3);
    host.suspend();
    assert_eq!(fleet.wake_path(&config.servers[0]), Ok(WakePath::Here));
    let (woken, said) = wake(&fleet, &config.servers[0]).await;
    let woken = woken.unwrap();
    woken.seen.unwrap();
    let packets = host.wol_packets();
    assert!(woken.rounds >= 3 && packets.len() >= 3 && all_correct(&packets), "{} {packets:?}", woken.rounds);
    assert_eq!(packets[0].bytes.len(), 102);
    assert_eq!(host.events(), ["suspend", "wake"]);
    let port = host.wol_port();
    assert_eq!(said[0], format!("1/5: 127.0.0.1:{port}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_answer_is_not_called_woken() {
    let host = Host::debian("nas").build();
    host.wake_after(usize::MAX);
    let mut world = World::new();
    world.text = world.text.replace("wol_max_retries = 5", "wol_max_retries = 3");
    world.serve(&host, &wol(&host, "")).await;
    host.suspend();
    let (config, state) = (world.config(), State::in_memory().unwrap());
    let fleet = world.fleet(&config, &state);
    let server = &config.servers[0];
    // The caller's deadline comes after the last round.
    let last = Notify::new();
    let until = async {
        last.notified().await;
        None::<()>
    };
    let events = |event: WakeEvent<'_>| {
        if let WakeEvent::Sent { round: 3, of: 3, .. } = event {
            last.notify_one();
        }
    };
    let error = fleet.wake(server, &WakePath::Here, until, events, &Confirmed::by_command()).await.unwrap_err();
    assert!(matches!(error, NotWoken::Silent { rounds: 3, .. }), "{error:?}");
    assert_eq!(error.to_string(), "nas did not answer after 3 rounds of magic packets");
    // Nothing is sent to who is awake before.
    let woken =
        fleet.wake(server, &WakePath::Here, async { Some(()) }, |_| (), &Confirmed::by_command()).await.unwrap();
    assert!(woken.rounds <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_where_the_configuration_says() {
    let host = Host::debian("nas").build();
    host.set_secure_on(&[192, 0, 2, 1]);
    for (key, want) in [
        ("secure_on = '192.0.2.1'", Ok(())),
        ("secure_on_command = 'echo 192.0.2.1'", Ok(())),
        ("secure_on_file = 'password'", Ok(())),
        (
            "secure_on_command = 'echo c0ffee'",
            Err("nas: what `secure_on_command` gives is not a valid SecureOn password: 6 bytes"),
        ),
        ("secure_on_command = 'exit 1'", Err("this machine: secure_on_command `sh` failed")),
        ("secure_on_file = 'nothing'", Err("nas: cannot read `secure_on_file` ")),
        ("secure_on_command = 'true'", Err("nas: `secure_on_command` of [servers.wol] gives an empty text")),
    ] {
        let mut world = World::new();
        std::fs::write(world.home.path().join("password"), "192.0.2.1\n").unwrap();
        world.serve(&host, &wol(&host, key)).await;
        let (config, state) = (world.config(), State::in_memory().unwrap());
        let fleet = world.fleet(&config, &state);
        host.suspend();
        let before = host.wol_packets().len();
        let (woken, _) = wake(&fleet, &config.servers[0]).await;
        match (woken, want) {
            (Ok(woken), Ok(())) => woken.seen.unwrap(),
            (Err(error), Err(want)) => {
                assert!(error.to_string().starts_with(want) && !error.to_string().contains("c0ffee"), "{error}");
                assert_eq!(host.wol_packets().len(), before);
                host.wake();
            }
            (got, _) => panic!("{key}: {got:?}"),
        }
    }
    assert!(all_correct(&host.wol_packets()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_wakes_it_and_without_the_relay_nobody_does() {
    let (host, relay) = (Host::pve("pve1").build(), Host::debian("nas").build());
    if !relay.link_program("perl") {
        eprintln!("SKIPPED: perl is not installed: no relay sent anything");
        return;
    }
    let mut world = World::new();
    host.set_secure_on(&[0, 0x11, 0x22, 0x33, 0x44, 0x55]);
    world.serve(&host, &wol(&host, "secure_on = '00:11:22:33:44:55'\nrelay = 'nas'")).await;
    world.serve(&relay, "").await;
    let (config, state) = (world.config(), State::in_memory().unwrap());
    let server = &config.servers[0];
    let fleet = world.fleet(&config, &state);
    assert_eq!(fleet.wake_path(server), Ok(WakePath::Relay("nas".parse().unwrap())));
    host.suspend();
    let (woken, said) = wake(&fleet, server).await;
    woken.unwrap().seen.unwrap();
    assert!(!host.wol_packets().is_empty() && all_correct(&host.wol_packets()));
    assert!(said[0].ends_with(&format!(": 127.0.0.1:{}", host.wol_port())), "{said:?}");

    host.suspend();
    let before = host.wol_packets().len();
    relay.remove_file("/usr/bin/perl");
    let (error, _) = wake(&fleet, server).await;
    let no_means = "the relay nas sent nothing: it has neither perl nor python3, and other programs would show SecureOn's password";
    assert_eq!(error.unwrap_err().to_string(), no_means);

    relay.suspend();
    state.mark_asleep(&"nas".parse().unwrap(), fleet.now()).unwrap();
    let fleet = world.fleet(&config, &state);
    let (error, said) = wake(&fleet, server).await;
    let error = error.unwrap_err();
    assert!(error.to_string().starts_with("the relay nas (asleep) sent nothing: "), "{error}");
    let NotWoken::NotSent(SendError::Relay { error: Error::Connect { .. } | Error::Timeout { .. }, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(said.is_empty() && host.wol_packets().len() == before);
    assert!(*host.asleep().borrow());
}

#[tokio::test]
async fn the_way_needs_an_address_that_somebody_knows() {
    let mut world = World::new();
    world.text += "[[servers]]\nid = 'a'\nhostname = 'a.lan'\nmac_address = 'aa:bb:cc:dd:ee:01'\n\
        [[servers]]\nid = 'b'\nhostname = 'b.lan'\n[[servers]]\nid = 'c'\nhostname = 'c.lan'\nwol = { relay = 'a' }\n\
        [[servers]]\nid = 'here'\nlocal = true\n";
    let (config, state) = (world.config(), State::in_memory().unwrap());
    let [a, b, c, here] = config.servers.as_slice() else { panic!() };
    let facts = |mac: &str| -> HostFacts {
        serde_json::from_value(serde_json::json!({
            "nics": [{ "name": "eno1", "mac": mac, "master": "vmbr0", "default_route": true }],
            "addresses": [
                { "ip": "192.168.1.9", "prefix": 24, "interface": "docker0" },
                { "ip": "fd00::5", "prefix": 64, "interface": "vmbr0" },
                { "ip": "10.0.0.5", "prefix": 24, "interface": "vmbr0" },
            ],
        }))
        .unwrap()
    };
    state.put_facts(&c.id, &facts("aa:bb:cc:dd:ee:03"), jiff::Timestamp::now()).unwrap();
    let fleet = world.fleet(&config, &state);
    assert_eq!(fleet.wake_path(a), Ok(WakePath::Here));
    assert_eq!(fleet.wake_mac(c).unwrap().to_string(), "aa:bb:cc:dd:ee:03");
    assert_eq!(fleet.wake_path(c), Ok(WakePath::Relay(a.id.clone())));
    assert_eq!(fleet.learned_address(c), Some([10, 0, 0, 5].into()));
    let unknown = fleet.wake_path(b).unwrap_err();
    assert_eq!(unknown.to_string(), "b cannot be woken: the MAC address of its network card is not known");
    let advice = unknown.advice().unwrap();
    assert!(advice.contains("[servers.wol] of `b`") && advice.contains("ecobox init"), "{advice}");
    let local = fleet.wake_path(here).unwrap_err();
    assert_eq!((local.to_string().as_str(), local.advice()), ("here is this machine, and awake", None));
    // What a visit found may be no address that a card has.
    state.put_facts(&b.id, &facts("00:00:00:00:00:00"), jiff::Timestamp::now()).unwrap();
    assert_eq!(world.fleet(&config, &state).wake_path(b), Err(unknown));
    // A node of the cluster that cannot be asked sends nothing.
    let node = WakePath::Node { via: a.id.clone(), node: "pve2".parse().unwrap() };
    let never = std::future::pending::<Option<()>>();
    let error = fleet.wake(a, &node, never, |_| (), &Confirmed::by_command()).await.unwrap_err();
    assert!(error.to_string().starts_with("a sent nothing to node pve2: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn awake_is_who_proves_it() {
    let host = Host::debian("nas").build();
    let cluster = Cluster::new("homelab").node("pve1").token("ecobox@pve!t1", "5ec4e7", "/", &["Sys.Audit"]);
    let sim = Sim::start(cluster);
    let node = sim.node("pve1");
    let mut world = World::new();
    world.serve(&host, "").await;
    for (id, fingerprint) in [("pve1", node.fingerprint().clone()), ("pve2", "ab".repeat(32))] {
        let entry = format!(
            "[[servers]]\nid = '{id}'\ntype = 'proxmox'\nhostname = '127.0.0.1'\napi_port = {}\n\
             fingerprint = '{fingerprint}'\ntoken_command = 'echo ecobox@pve!t1=5ec4e7'\n",
            node.port()
        );
        world.text.push_str(&entry);
    }
    let (config, state) = (world.config(), State::in_memory().unwrap());
    let [nas, pve1, pve2] = config.servers.as_slice() else { panic!() };
    let fleet = world.fleet(&config, &state);
    fleet.awake(nas, |_| ()).await.unwrap();
    fleet.awake(pve1, |_| ()).await.unwrap();
    let error = fleet.awake(pve2, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    world.served[0].change_host_key();
    let error = fleet.awake(nas, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");

    // Nobody can log in yet, and then somebody can.
    let late = Host::debian("late").build();
    let mut world = World::new();
    world.serve(&late, "").await;
    world.served[0].deauthorize_all();
    let (config, state) = (world.config(), State::in_memory().unwrap());
    let fleet = world.fleet(&config, &state);
    let mut refused = 0;
    let authorize = |error: &Error| {
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        refused += 1;
        if refused == 2 {
            world.served[0].authorize(&world.key.public);
        }
    };
    fleet.awake(&config.servers[0], authorize).await.unwrap();
    assert_eq!(refused, 2);
}
