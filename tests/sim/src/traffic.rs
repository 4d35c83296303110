//! What arrived at the nodes: for tests that count requests, or look where a token went.

use std::collections::BTreeMap;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The node whose port it came to.
    pub node: String,
    /// Number of the connection, over all nodes.
    pub connection: u64,
    /// `GET`, `POST`, ..
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What came as the body, as text; empty until it has come.
    pub body: String,
    /// The `Authorization` header, token and all.
    pub authorization: Option<String>,
    /// False: it came as plain HTTP.
    pub tls: bool,
    /// The status it was answered with, None while (or because) there is no answer.
    pub status: Option<u16>,
}

impl Recorded {
    /// Which call of the API it is: `GET /nodes/{node}/qemu/{vmid}/config`, without the query.
    pub fn call(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("/api2/json").or_else(|| path.strip_prefix("/api2/extjs")).unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let parts = parts.iter().enumerate().map(|(index, part)| match *part {
            part if part.starts_with("UPID") => "{upid}",
            part if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) => "{vmid}",
            _ if index > 0 && parts[index - 1] == "nodes" => "{node}",
            part => part,
        });
        format!("{} {}", self.method, parts.collect::<Vec<_>>().join("/"))
    }
}

/// Counters and log of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: Vec<Recorded>,
    nodes: BTreeMap<String, Load>,
    connections: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Load {
    connections: usize,
    in_flight: usize,
    most: usize,
}

impl Traffic {
    /// Counts a connection and numbers it.
    pub(crate) fn connect(&mut self, node: &str) -> u64 {
        self.nodes.entry(node.to_owned()).or_default().connections += 1;
        self.connections += 1;
        self.connections
    }

    /// Notes a request and gives its place in the log.
    pub(crate) fn begin(&mut self, request: Recorded) -> usize {
        let load = self.nodes.entry(request.node.clone()).or_default();
        load.in_flight += 1;
        load.most = load.most.max(load.in_flight);
        self.requests.push(request);
        self.requests.len() - 1
    }

    pub(crate) fn end(&mut self, node: &str) {
        if let Some(load) = self.nodes.get_mut(node) {
            load.in_flight -= 1;
        }
    }

    pub(crate) fn connections(&self, node: &str) -> usize {
        self.nodes.get(node).map_or(0, |load| load.connections)
    }

    pub(crate) fn most_in_flight(&self, node: &str) -> usize {
        self.nodes.get(node).map_or(0, |load| load.most)
    }

    /// Forgets the past; requests in flight go on being counted.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        for load in self.nodes.values_mut() {
            *load = Load { connections: 0, in_flight: load.in_flight, most: load.in_flight };
        }
    }
}
