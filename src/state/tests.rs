//! Tests of the state file as a whole. What more than one of them needs stands here.

mod actions;
mod alarms;
mod basics;
mod clusters;
mod damage;
mod energy;
mod files;
mod history;
mod hours;
mod leases;
mod listings;
mod processes;
mod samples;
mod speed;

use std::fmt::Write;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::{NewAction, State};
use crate::model::access::scope::TokenScope;
use crate::model::id::{ClusterId, GuestKind, NodeName, Secret, ServerId, Token, VmId};
use crate::model::inventory::server::{Guest, Listing, Node, ServerKey};
use crate::model::load::usage::Usage;
use crate::model::power::PowerState;
use crate::state::file::schema;

/// A folder in memory, where there is such: hundreds of files would otherwise each wait for the disk.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// 2026-01-01 and so many seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn server(id: &str) -> ServerId {
    id.parse().unwrap()
}

fn key(id: &str) -> ServerKey {
    ServerKey(id.to_owned())
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn vmid(number: u32) -> VmId {
    VmId::try_from(number).unwrap()
}

fn cluster(name: &str) -> ClusterId {
    ClusterId::new(name)
}

fn token(id: &str, secret: &str) -> Token {
    Token { id: id.parse().unwrap(), secret: Secret::new(secret.to_owned()) }
}

fn guest(number: u32, on: &str, state: PowerState) -> Guest {
    Guest {
        kind: GuestKind::Qemu,
        vmid: vmid(number),
        node: node(on),
        name: Some(format!("guest{number}")),
        state,
        raw_status: state.as_str().into(),
        template: false,
        lock: None,
        tags: ["a".to_owned(), "b".to_owned()].into(),
        pool: None,
        ha_state: None,
        usage: Usage::default(),
        seen_at: None,
    }
}

fn listing(nodes: &[(&str, bool)], guests: Vec<Guest>) -> Listing {
    let node =
        |(name, online): &(&str, bool)| Node { name: node(name), online: Some(*online), usage: Usage::default() };
    Listing { nodes: nodes.iter().map(node).collect(), guests, unreadable: 0 }
}

/// A wake that a terminal asked for.
fn wake(server: &str, at: Timestamp, until: Timestamp) -> NewAction {
    NewAction { server: key(server), action: "wake".into(), by: "root".into(), at, until, process: None }
}

/// Makes the file take it for granted that it is `now`, as some runs with this clock would.
fn believe(state: &State, now: Timestamp) {
    let conn = state.lock();
    conn.execute("DELETE FROM clock", []).unwrap();
    for _ in 0..6 {
        conn.execute("INSERT INTO clock (at) VALUES (?1)", [now.as_millisecond()]).unwrap();
    }
}

/// A cluster, a token and guests, so that there is something to lose.
fn furnish(state: &State) {
    let home = cluster("host:pve1");
    state
        .finish_intent(&home, &token("root@pam!box", "s3cret"), TokenScope::Operator, Some(9), &server("pve1"), at(0))
        .unwrap();
    state.begin_intent(&server("pve2"), None, &"root@pam!box".parse().unwrap(), at(0)).unwrap();
    state.put_member(&server("pve1"), &home, Some(&node("pve1")), at(0)).unwrap();
    let guests = (100..140).map(|number| guest(number, "pve1", PowerState::Running)).collect();
    state.record_listing(&home, &listing(&[("pve1", true)], guests), &server("pve1"), at(0)).unwrap();
}

/// All rows of all tables but the one that holds secrets, as text.
fn non_secret_dump(state: &State) -> String {
    let rows = |table: &str| match table {
        schema::SECRET_TABLE => "SELECT 0 WHERE 0".to_owned(),
        table => format!("SELECT * FROM {table}"),
    };
    dump(&state.lock(), rows)
}

/// The rows that a statement gives for each table, as text.
fn dump(conn: &Connection, statement: impl Fn(&str) -> String) -> String {
    let mut tables = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut dump = String::new();
    for table in tables {
        let mut rows = conn.prepare(&statement(&table)).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<Value> = (0..columns).map(|i| row.get(i).unwrap()).collect();
            writeln!(dump, "{table} {values:?}").unwrap();
        }
    }
    dump
}
