use super::*;
use crate::model::inventory::ServiceCheck;
use crate::model::inventory::server::{Service, ServiceType};
use crate::model::inventory::tests::server;

#[test]
fn conditions_are_read_from_their_end() {
    let state = |target: &str, state| Ok((target.to_owned(), Wanted::State(state)));
    let service =
        |target: &str, name: &str, open| Ok((target.to_owned(), Wanted::Service { name: name.to_owned(), open }));
    let shape = "a condition like `vm-101=running` or `web.http=open`";
    for (text, want) in [
        ("vm-101=running", state("vm-101", PowerState::Running)),
        ("tag=web=stopped", state("tag=web", PowerState::Stopped)),
        ("tag=web,node=pve1=stopped", state("tag=web,node=pve1", PowerState::Stopped)),
        ("big nas=online", state("big nas", PowerState::Online)),
        ("web.http=open", service("web", "http", true)),
        ("web.lan.http=closed", service("web.lan", "http", false)),
        ("tag=web.http=open", service("tag=web", "http", true)),
        ("vm-101", Err(shape.to_owned())),
        ("=running", Err(shape.to_owned())),
        ("", Err(shape.to_owned())),
        ("web=open", Err(format!("of which service? {shape}"))),
        (".http=open", Err(format!("of which service? {shape}"))),
        ("vm-101=runing", Err("`runing` is not a state; did you mean `running`?".to_owned())),
        (
            "vm-101=x",
            Err("`x` is not a state; there are running, stopped, paused, hibernated, online, offline, asleep, \
                     unknown, open, closed"
                .to_owned()),
        ),
    ] {
        let read = Condition::parse(text).map(|read| (read.target[0].clone(), read.wanted));
        assert_eq!(read, want, "{text}");
    }
}

#[test]
fn a_condition_holds_of_all_that_were_seen() {
    let mut web = server("web", None, None);
    (web.seen.state, web.seen.source) = (PowerState::Online, Source::Tcp);
    web.tags = ["a".to_owned()].into();
    let check = |name: &str, open| ServiceCheck {
        name: name.to_owned(),
        port: 80,
        kind: ServiceType::Http,
        open,
        response_seconds: None,
        error: None,
    };
    web.seen.checks = vec![check("http", Some(true)), check("smb", Some(false)), check("dns", None)];
    let mut db = server("db", None, None);
    (db.seen.state, db.seen.source) = (PowerState::Online, Source::Cache);
    db.tags = ["a".to_owned()].into();
    let mut off = server("pve1-vm-101", None, Some(101));
    (off.seen.state, off.seen.source) = (PowerState::Stopped, Source::Api);
    off.services = vec![Service { name: "http".to_owned(), port: 80, kind: ServiceType::Http }];
    let inventory =
        Inventory { servers: vec![web, db, off], failures: Vec::new(), unasked: Vec::new(), torn: Vec::new() };
    for (text, want) in [
        ("web=online", Ok(true)),
        ("web=offline", Ok(false)),
        ("vm-101=stopped", Ok(true)),
        // It is remembered, and nobody has looked.
        ("db=online", Ok(false)),
        ("tag=a=online", Ok(false)),
        ("kind=guest=stopped", Ok(true)),
        ("web.http=open", Ok(true)),
        ("web.http=closed", Ok(false)),
        ("web.smb=closed", Ok(true)),
        ("web.dns=open", Ok(false)),
        ("web.dns=closed", Ok(false)),
        ("vm-101.http=closed", Ok(true)),
        ("vm-101.http=open", Ok(false)),
        ("db.ssh=open", Ok(false)),
        ("web.htpp=open", Err("web has no service `htpp`; did you mean `http`?")),
        ("vm-101.ssh=open", Err("pve1-vm-101 has no service `ssh`")),
        ("nobody=online", Err("no server matches `nobody`")),
    ] {
        let holds = Condition::parse(text).unwrap().holds(&inventory).map_err(|error| error.to_string());
        assert_eq!(holds, want.map_err(str::to_owned), "{text}");
    }
}
