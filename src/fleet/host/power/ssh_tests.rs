//! The look, the trigger and the waiting against simulated hosts behind simulated SSH servers.

use std::path::Path;
use std::time::Duration;

use ecobox_sim::host::{Builder, Host, Nic, Rights};
use ecobox_sim::keys::{ClientKey, KeyType};
use ecobox_sim::ssh::{SshFault, SshServer};
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

use super::arm::ArmedWol;
use super::gone_or_back::Waited;
use super::preflight::Wanted;
use super::trigger::{HostOrder, Trace, Triggered};
use crate::config::Config;
use crate::consent::Confirmed;
use crate::fleet::{Fleet, Limits};
use crate::model::host::power::{HostCall, NoWay};
use crate::model::id::Secret;
use crate::state::State;
use crate::transport::Error;
use crate::transport::ssh::Ask;

mod gone;

const SOON: Duration = Duration::from_secs(60);

/// Nobody is there to ask.
struct Nobody;

impl Ask for Nobody {
    fn accept_host_key<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn passphrase<'a>(&'a self, _: &'a Path) -> LocalBoxFuture<'a, Option<Secret>> {
        Box::pin(std::future::ready(None))
    }
}

/// A served host, and a fleet that knows it as `h1`.
struct World {
    host: Host,
    ssh: SshServer,
    home: tempfile::TempDir,
    config: Config,
    state: State,
}

impl World {
    async fn new(host: Builder, login: &str) -> World {
        let host = host.build();
        host.outlive_connections();
        let home = tempfile::tempdir().unwrap();
        let key = ClientKey::create(&home.path().join("key"), None);
        let ssh = SshServer::start_with(&host, &[key.public], KeyType::Ed25519).await;
        let dot_ssh = home.path().join(".ssh");
        std::fs::create_dir(&dot_ssh).unwrap();
        std::fs::write(dot_ssh.join("known_hosts"), ssh.known_hosts_line()).unwrap();
        let text = format!(
            "[ssh]\nconfig = false\n[[servers]]\nid = \"h1\"\nhostname = \"127.0.0.1\"\nssh_port = {}\nssh_user = \"{login}\"\n\
             ssh_key_path = \"{}\"\n",
            ssh.port(),
            home.path().join("key").display()
        );
        let config = Config::parse(&text, &home.path().join("config.toml")).unwrap();
        let state = State::open(&home.path().join("state/state.db"), Timestamp::now()).unwrap();
        World { host, ssh, home, config, state }
    }

    fn fleet(&self) -> Fleet<'_> {
        let mut fleet =
            Fleet::without_credentials(&self.config, &self.state, &Nobody, Limits::new(Some(SOON))).unwrap();
        fleet.ssh = fleet.ssh.at_home(self.home.path().to_owned());
        fleet
    }

    async fn trigger(&self, call: HostCall) -> Result<Triggered, Error> {
        let fleet = self.fleet();
        let result = fleet.trigger(&self.config.servers[0], HostOrder::from(call), &Confirmed::by_command()).await;
        fleet.close().await;
        result
    }

    /// Waits until so many power events happened; more must not come.
    async fn events(&self, count: usize) -> Vec<String> {
        let seen = async {
            while self.host.events().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, seen).await.unwrap();
        self.host.events()
    }
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work);
}

fn deadline() -> Instant {
    Instant::now() + SOON
}

/// Waits in vain, and what was seen last has these words: at the first deadline that is long enough to see it on a machine
/// that others use, too.
async fn in_vain(words: &str, wait: impl AsyncFn(Instant) -> Waited) {
    let mut seen = Vec::new();
    for seconds in [0.2, 4.0, 16.0, 64.0] {
        match wait(Instant::now() + Duration::from_secs_f64(seconds)).await {
            Waited::NotConfirmed { last } if last == words => return,
            Waited::NotConfirmed { last } => seen.push(last),
            other => panic!("{other:?}"),
        }
    }
    panic!("not `{words}`, but {seen:?}");
}

#[test]
fn each_call_is_armed_once_and_fires() {
    run(async {
        for (login, call, event) in [
            ("root", HostCall::Suspend, "suspend"),
            ("admin", HostCall::Hibernate, "hibernate"),
            ("admin", HostCall::Shutdown, "poweroff"),
            ("root", HostCall::Reboot, "reboot"),
        ] {
            let world = World::new(Host::debian("nas"), login).await;
            let Ok(Triggered::Armed { by, trace: Some(Trace::Unit(_)) }) = world.trigger(call).await else {
                panic!("{call:?}")
            };
            assert_eq!(by, "systemd-run", "{call:?}");
            assert_eq!(world.events(1).await, [event]);
            let timers = world.host.timers();
            let [timer] = timers.as_slice() else { panic!("{timers:?}") };
            assert!(timer.starts_with("--on-active=2 --timer-property=AccuracySec=100ms /"), "{timer}");
            assert!(timer.ends_with(&format!("/usr/bin/systemctl {event}")), "{timer}");
            assert_eq!(world.ssh.execs(), 1, "one round trip");
        }
    });
}

#[test]
fn without_systemd_something_else_is_armed() {
    run(async {
        for (host, login, call, by, event) in [
            (Host::alpine("a"), "root", HostCall::Suspend, "sys-power-state", "suspend"),
            (Host::alpine("a").login("admin", Rights::Sudo), "admin", HostCall::Suspend, "sys-power-state", "suspend"),
            (Host::alpine("a"), "root", HostCall::Shutdown, "poweroff", "poweroff"),
            (Host::debian("d").without_systemd(), "admin", HostCall::Reboot, "reboot", "reboot"),
        ] {
            let world = World::new(host, login).await;
            let Ok(Triggered::Armed { by: armed, trace: Some(Trace::File(_)) }) = world.trigger(call).await else {
                panic!("{call:?}")
            };
            assert_eq!(armed, by);
            assert_eq!(world.events(1).await, [event]);
            assert!(world.host.timers().is_empty());
        }
    });
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    run(async {
        let bob = |rights| Host::debian("nas").login("bob", rights);
        for (host, login, call, want, hint) in [
            (bob(Rights::SudoPassword), "bob", HostCall::Suspend, "no rights", "bob ALL=(root) NOPASSWD: "),
            (bob(Rights::SudoListed), "bob", HostCall::Suspend, "no rights", "bob ALL=(root) NOPASSWD: "),
            (
                Host::debian("nas").without_login("admin").login("bob", Rights::NoSudo),
                "bob",
                HostCall::Shutdown,
                "there is no sudo",
                "root",
            ),
            (
                Host::debian("nas").sleep_masked(),
                "root",
                HostCall::Suspend,
                "sleep.target is masked",
                "systemctl unmask",
            ),
            (Host::debian("nas").sleep_states("freeze"), "root", HostCall::Suspend, "no such state (mem)", ""),
            (Host::alpine("a").login("bob", Rights::NoSudo), "bob", HostCall::Reboot, "there is no sudo", "root"),
        ] {
            let world = World::new(host, login).await;
            let Ok(Triggered::Refused { reason }) = world.trigger(call).await else { panic!("{want}") };
            assert!(reason.to_string().contains(want), "{reason}");
            assert!(reason.hint().unwrap_or_default().contains(hint), "{reason:?}");
            assert!(world.host.events().is_empty() && world.host.timers().is_empty(), "{want}");
        }
        // The host's own refusal: nothing else is tried.
        let world = World::new(Host::debian("nas"), "root").await;
        world.host.refuse_timers(true);
        let detail = "Failed to start transient timer unit: Connection timed out".to_owned();
        let want = Triggered::Refused { reason: NoWay::Failed { detail } };
        assert_eq!(world.trigger(HostCall::Suspend).await.unwrap(), want);
        assert!(world.host.events().is_empty());
    });
}

/// systemd 257 holds root by a lock as well: what fires there fails when nobody looks any more, and only the unit itself
/// gets past it. Before, the plain verb does.
#[test]
fn a_lock_stops_what_fired_and_its_words_are_read() {
    run(async {
        let locked =
            |version: &str| Host::pve("nas").version(version).inhibitor("tape", "sleep:shutdown", "x", "block");
        let yes = Confirmed::by_command();
        let world = World::new(locked("9.2.11"), "root").await;
        let (fleet, server) = (world.fleet(), &world.config.servers[0]);
        let Ok(Triggered::Armed { trace, .. }) = world.trigger(HostCall::Suspend).await else { panic!("armed") };
        let words = tokio::time::timeout(SOON, fleet.failure_of(server, trace.as_ref())).await.unwrap();
        assert_eq!(words, "Call to Suspend failed: Access denied");
        assert!(world.host.events().is_empty());
        for (version, call, command, event) in [
            ("9.2.11", HostCall::Suspend, "systemctl start suspend.target", "suspend"),
            (
                "9.2.11",
                HostCall::Reboot,
                "systemctl start --job-mode=replace-irreversibly --no-block reboot.target",
                "reboot",
            ),
            ("8.4.1", HostCall::Suspend, "systemctl suspend", "suspend"),
        ] {
            let world = World::new(locked(version), "root").await;
            let (fleet, server) = (world.fleet(), &world.config.servers[0]);
            let seen = fleet.host_preflight(server, &Wanted { past_locks: true, ..Wanted::default() }).await.unwrap();
            assert!(seen.goes_past_locks(call, true) && !seen.goes_past_locks(call, false));
            assert_eq!(seen.way_past(call), Some(&Ok("systemd-run".to_owned())));
            let order = HostOrder { call, over_inhibitors: true };
            assert!(matches!(fleet.trigger(server, order, &yes).await, Ok(Triggered::Armed { .. })));
            assert_eq!(world.events(1).await, [event], "{version}");
            assert!(world.host.timers()[0].ends_with(command), "{:?}", world.host.timers());
        }
    });
}

#[test]
fn a_connection_that_is_cut_never_makes_two() {
    run(async {
        // Before: nothing was done, and nothing says that it was.
        for fault in [SshFault::CloseAtOnce, SshFault::CloseAfterBanner] {
            let world = World::new(Host::debian("nas"), "root").await;
            world.ssh.set_fault(Some(fault));
            assert!(world.trigger(HostCall::Suspend).await.is_err(), "{fault:?}");
            assert!(world.host.timers().is_empty());
        }
        // When the command begins: nobody here can know how far it came.
        let world = World::new(Host::debian("nas"), "root").await;
        world.ssh.set_fault(Some(SshFault::CloseInExec));
        assert!(matches!(world.trigger(HostCall::Suspend).await, Ok(Triggered::Lost { .. })));
        assert_eq!((world.host.timers().len(), world.ssh.execs()), (0, 1));
        // After: it fires, once, and its answer is lost.
        let world = World::new(Host::debian("nas"), "admin").await;
        world.host.cut_after_timer();
        let lost = world.trigger(HostCall::Suspend).await;
        assert!(matches!(lost, Ok(Triggered::Lost { .. })), "{lost:?}");
        assert_eq!(world.events(1).await, ["suspend"]);
        assert_eq!((world.host.timers().len(), world.ssh.execs()), (1, 1));
        // The answer is there and its status is not: that is no loss.
        let world = World::new(Host::debian("nas"), "root").await;
        world.ssh.set_fault(Some(SshFault::NoExitStatus));
        assert!(matches!(world.trigger(HostCall::Shutdown).await, Ok(Triggered::Armed { .. })));
        assert_eq!(world.events(1).await, ["poweroff"]);
    });
}

#[test]
fn wake_on_lan_is_armed_and_read_back() {
    run(async {
        let off = || Host::debian("nas").nics(vec![Nic::physical("enp3s0", "bc:24:11:00:00:01").wol("pumbg", "d")]);
        let yes = Confirmed::by_command();
        for login in ["root", "admin"] {
            let world = World::new(off(), login).await;
            let (fleet, server) = (world.fleet(), &world.config.servers[0]);
            assert_eq!(fleet.host_preflight(server, &Wanted::default()).await.unwrap().wol_armed(None), Some(false));
            assert_eq!(fleet.arm_wol(server, "enp3s0", &yes).await.unwrap(), ArmedWol::Armed);
            assert_eq!(world.host.wol_armed("enp3s0").as_deref(), Some("g"));
            let seen = fleet.host_preflight(server, &Wanted::default()).await.unwrap();
            assert_eq!(seen.wol_armed(Some("BC:24:11:00:00:01")), Some(true));
            let ArmedWol::Failed { detail } = fleet.arm_wol(server, "nope", &yes).await.unwrap() else {
                panic!("nope")
            };
            assert_eq!(detail, "netlink error: No such device");
        }
        let world = World::new(off().login("bob", Rights::SudoPassword), "bob").await;
        let (fleet, server) = (world.fleet(), &world.config.servers[0]);
        assert_eq!(fleet.host_preflight(server, &Wanted::default()).await.unwrap().wol_armed(None), None);
        let failed = ArmedWol::Failed { detail: "sudo: a password is required".to_owned() };
        assert_eq!(fleet.arm_wol(server, "enp3s0", &yes).await.unwrap(), failed);
        assert_eq!(world.host.wol_armed("enp3s0").as_deref(), Some("d"));
    });
}

#[test]
fn the_look_finds_what_speaks_against_it() {
    run(async {
        let host = Host::pve("pve1")
            .logged_in("anna", "pts/0", "10.0.0.5")
            .logged_in("backup", "-", "10.0.0.6")
            .inhibitor("my tape", "sleep:shutdown", "it \"writes\"", "block")
            .inhibitor("NetworkManager", "sleep", "networks", "delay")
            .running_guest_pid(101);
        let world = World::new(host, "root").await;
        let (fleet, server) = (world.fleet(), &world.config.servers[0]);
        let seen = fleet.host_preflight(server, &Wanted::default()).await.unwrap();
        let users: Vec<_> = seen.users.as_ref().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(users, ["anna on pts/0 from 10.0.0.5", "backup from 10.0.0.6"]);
        let blocks = seen.blocks(HostCall::Suspend).unwrap();
        assert_eq!((blocks.len(), blocks[0].who.as_str(), blocks[0].why.as_str()), (1, "my tape", "it \"writes\""));
        assert_eq!(seen.guests.iter().map(ToString::to_string).collect::<Vec<_>>(), ["101"]);
        assert!(seen.tasks.as_ref().unwrap().is_empty());
        assert_eq!(seen.way(HostCall::Suspend), Some(&Ok("systemd-run".to_owned())));
        assert!(seen.facts.pve().is_some() && seen.facts.boot_id.is_some());
        assert_eq!(seen.identity().itself(&seen.identity()), Some(crate::model::host::power::Itself::ThisMachine));
        assert_eq!(world.ssh.execs(), 1, "one round trip");
        // Nobody but us, and another init.
        for host in [Host::debian("nas"), Host::alpine("a")] {
            let world = World::new(host, "root").await;
            let seen = world.fleet().host_preflight(&world.config.servers[0], &Wanted::default()).await.unwrap();
            assert_eq!(seen.inhibitors, Some(Vec::new()), "{seen:?}");
            assert!(seen.users.unwrap_or_default().is_empty() && seen.guests.is_empty() && seen.tasks.is_none());
        }
    });
}

#[test]
fn this_machine_knows_itself() {
    run(async {
        let world = World::new(Host::debian("nas"), "root").await;
        let fleet = world.fleet();
        let (here, again) = (fleet.local_identity().await.unwrap(), fleet.local_identity().await.unwrap());
        if here.boot_id.is_some() {
            assert_eq!(here.itself(&again), Some(crate::model::host::power::Itself::ThisMachine));
        }
        let there = fleet.host_preflight(&world.config.servers[0], &Wanted::default()).await.unwrap();
        assert_eq!(here.itself(&there.identity()), None);
        let local = "[[servers]]\nid = \"me\"\nlocal = true\n";
        let config = Config::parse(local, &world.home.path().join("config.toml")).unwrap();
        assert_eq!(fleet.wait_gone(&config.servers[0], deadline()).await.unwrap(), Waited::Local);
    });
}
