//! The screen without a terminal: keys and events in, state, effects and drawn cells out.

mod actions;
mod any;
mod filter;
mod frames;
mod keys;
mod real;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::{SignedDuration, Timestamp};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::view::draw;
use super::{Choices, Effect, Entry, Event, Offers, Plan, Point, Setup, State, update};
use crate::model::check::fault::Fault;
use crate::model::inventory::server::{Address, Expected, ServerKey, ServerKind, ServiceType};
use crate::model::inventory::tests::server;
use crate::model::inventory::{Failed, FailureKind, Inventory, Server, ServiceCheck};
use crate::model::load::usage::{Count, Source, Usage};
use crate::model::power::{Finding, PowerAction, PowerState};

pub(super) const SETUP: Setup =
    Setup { read_only: false, color: true, utf8: true, interval: SignedDuration::from_secs(5) };

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// A server that was seen at second 0.
pub(super) fn seen(id: &str, parent: Option<&str>, vmid: Option<u32>, name: &str, state: PowerState) -> Server {
    let mut one = server(id, parent, vmid);
    name.clone_into(&mut one.name);
    (one.seen.state, one.seen.source, one.seen.at) = (state, Source::Api, Some(at(0)));
    if state.is_up() {
        one.seen.usage = Usage {
            cpu_percent: Some(12.5),
            cpus: Some(4.0),
            memory_bytes: Some(Count::new(3 << 30)),
            memory_max_bytes: Some(Count::new(8 << 30)),
            uptime_seconds: Some(Count::new(273_600)),
            ..Usage::default()
        };
    }
    one
}

pub(super) fn check(name: &str, port: u16, open: Option<bool>) -> ServiceCheck {
    let closed = open == Some(false);
    ServiceCheck {
        name: name.to_owned(),
        port,
        kind: ServiceType::Custom,
        open,
        response_seconds: open.filter(|open| *open).map(|_| 0.0123),
        error: closed.then(|| "connection refused".to_owned()),
    }
}

/// Two hosts with guests, a plain server that is off, and one whose name is an attack.
pub(super) fn fleet() -> Inventory {
    use PowerState::{Hibernated, Offline, Online, Paused, Running, Stopped, Unknown};
    let mut pve1 = seen("pve1", None, None, "pve1", Online);
    pve1.kind = ServerKind::Pve;
    pve1.seen.usage.cpu_percent = Some(91.0);
    pve1.seen.usage.load = Some(3.25);
    pve1.addresses =
        vec![Address { ip: "192.0.2.10".parse().unwrap(), prefix: Some(24), interface: "eth0".into(), mac: None }];
    pve1.seen.checks = vec![check("ssh", 22, Some(true)), check("proxmox", 8006, Some(true))];
    let mut web = seen("pve1-vm-101", Some("pve1"), Some(101), "web", Running);
    web.node = "pve1".parse().ok();
    web.tags = ["prod".to_owned(), "blue".to_owned()].into();
    web.hostname = Some("web.lan".to_owned());
    web.seen.checks = vec![check("http", 80, Some(true)), check("https", 443, Some(false)), check("dns", 53, None)];
    let mut db = seen("pve1-vm-102", Some("pve1"), Some(102), "db", Paused);
    (db.expected, db.seen.raw_status) = (Expected::Any, Some("io-error".into()));
    let mut wide = seen("pve1-vm-103", Some("pve1"), Some(103), "数据库服务器主节点和备用节点", Stopped);
    wide.expected = Expected::Any;
    let mut evil = seen("pve1-ct-104", Some("pve1"), Some(104), "\u{1b}[2Jx\u{202e}evil", Hibernated);
    (evil.kind, evil.expected) = (ServerKind::Lxc, Expected::Any);
    let mut pve2 = seen("pve2", None, None, "pve2", Online);
    (pve2.kind, pve2.seen.at) = (ServerKind::Pve, Some(at(-725)));
    let mut lost = seen("pve2-vm-200", Some("pve2"), Some(200), "lost", Unknown);
    lost.seen.at = None;
    lost.seen.reason = Some("its node did not answer".to_owned());
    let nas = seen("nas", None, None, "nas", Offline);
    let mut fleet = Inventory {
        servers: vec![pve1, web, db, wide, evil, pve2, lost, nas],
        failures: vec![Failed {
            server: "pve2".parse().unwrap(),
            kind: FailureKind::Unreachable,
            message: "pve2: no answer within 10 s".to_owned(),
            advice: None,
            about: None,
        }],
        unasked: Vec::new(),
        torn: Vec::new(),
    };
    fleet.sort();
    fleet
}

/// So many guests on ten hosts.
pub(super) fn large(guests: u32) -> Inventory {
    let mut servers: Vec<Server> = Vec::new();
    for host in 0..10_u32 {
        let id = format!("pve{host}");
        servers.push(seen(&id, None, None, &id, PowerState::Online));
        for guest in (0..guests).filter(|guest| guest % 10 == host) {
            let state = if guest % 3 == 0 { PowerState::Stopped } else { PowerState::Running };
            let name = format!("guest-{guest}");
            let mut one = seen(&format!("{id}-vm-{}", 100 + guest), Some(&id), Some(100 + guest), &name, state);
            one.expected = Expected::Any;
            one.seen.checks = vec![check("http", 80, Some(guest % 7 != 0)), check("ssh", 22, Some(true))];
            servers.push(one);
        }
    }
    let mut fleet = Inventory { servers, failures: Vec::new(), unasked: Vec::new(), torn: Vec::new() };
    fleet.sort();
    fleet
}

pub(super) fn point(second: i64, cpu: f32) -> Point {
    let known = (second % 11 != 5).then_some(cpu);
    Point {
        at: at(second),
        cpu_percent: known,
        memory_percent: Some(37.5),
        receive: known.map(|cpu| cpu * 40_000.0),
        transmit: Some(100_000.0),
    }
}

/// Measurements like a wave.
pub(super) fn wave(server: &str) -> Event {
    let cpu = |second: i64| {
        let phase = u8::try_from(second.rem_euclid(60)).unwrap_or(0);
        50.0 + 45.0 * (f32::from(phase) / 60.0 * std::f32::consts::TAU).sin()
    };
    let points = (-120..=0).map(|second| point(second * 5, cpu(second))).collect();
    Event::Samples { server: ServerKey(server.to_owned()), points }
}

/// A screen of this size that shows the fleet.
pub(super) fn screen(setup: Setup, size: (u16, u16), fleet: Inventory) -> State {
    let mut state = State::new(setup, at(3));
    update(&mut state, Event::Resize(size.0, size.1));
    update(&mut state, Event::Fleet(Box::new(fleet)));
    state
}

pub(super) fn code(code: KeyCode) -> Event {
    Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

pub(super) fn control(letter: char) -> Event {
    Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
}

/// Types letters; gives what came of them.
pub(super) fn press(state: &mut State, letters: &str) -> Vec<Effect> {
    letters.chars().flat_map(|letter| update(state, code(KeyCode::Char(letter)))).collect()
}

/// The name of the chosen server.
pub(super) fn chosen(state: &State) -> &str {
    state.current().map_or("", |server| &server.name)
}

/// The names of all rows.
pub(super) fn names(state: &State) -> Vec<&str> {
    state.rows.iter().map(|row| state.fleet.servers[row.place].name.as_str()).collect()
}

pub(super) fn drawn(state: &State) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal.backend().buffer().clone()
}

/// The drawn screen as lines.
pub(super) fn text(state: &State) -> String {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal.backend().to_string()
}

/// A click, or a turn of the wheel: down, up.
pub(super) fn mouse(kind: usize, column: u16, row: u16) -> Event {
    let kinds = [MouseEventKind::Down(MouseButton::Left), MouseEventKind::ScrollDown, MouseEventKind::ScrollUp];
    Event::Mouse(MouseEvent { kind: kinds[kind], column, row, modifiers: KeyModifiers::NONE })
}

/// A plan for what was asked for last.
pub(super) fn plan(state: &State, changes: usize, findings: Vec<Finding>) -> Plan {
    let action = state.request.as_ref().map_or(PowerAction::Start, |request| request.action);
    let steps = (0..changes).map(|i| format!("{action} pve1-vm-{} (web), qemu on pve1, running for 3d 4h", 101 + i));
    Plan { number: state.requests, action, changes, steps: steps.collect(), findings, offers: Offers::default() }
}

pub(super) fn finding() -> Finding {
    let id = "pve1-vm-101".parse().unwrap();
    Finding::of(Fault::backup_of_it("12 minutes (vzdump)"), &id)
}

pub(super) fn log(server: &str) -> Event {
    Event::Log {
        server: ServerKey(server.to_owned()),
        events: vec![
            Entry { at: Some(at(-60)), text: "running, was stopped".to_owned() },
            Entry { at: Some(at(-7200)), text: "shutdown: done (anna, on a terminal)".to_owned() },
        ],
        tasks: vec![Entry { at: Some(at(-30)), text: "vzdump by root@pam".to_owned() }],
    }
}
