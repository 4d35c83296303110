//! What a real Proxmox VE said second by second after each action, told by the simulator again.

use std::path::Path;
use std::time::Duration;

use ecobox_sim::Sim;
use serde_json::Value;

use super::{common, host};

/// The client of one course.
struct Course {
    sim: Sim,
    vmid: u32,
    kind: &'static str,
    /// The tasks that were begun, in their order.
    tasks: Vec<String>,
    passed: u64,
}

impl Course {
    /// `<vmid> <how it is>`
    fn begin(given: &str) -> Course {
        let vmid: u32 = given.split(' ').next().unwrap().parse().unwrap();
        let sim = host::alone();
        host::reset(&sim, &[given.to_owned()], None);
        // A dead agent costs its ping.
        sim.cluster().timing.agent_timeout = 3.0;
        sim.cluster().broadcast();
        let kind = if (200..300).contains(&vmid) { "lxc" } else { "qemu" };
        Course { sim, vmid, kind, tasks: Vec::new(), passed: 0 }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> common::Reply {
        let form = if body.is_empty() { "" } else { "Content-Type: application/x-www-form-urlencoded\r\n" };
        let token = format!("PVEAPIToken=root@pam!ecobox={}", host::SECRET);
        let text = format!(
            "{method} /api2/json{path} HTTP/1.1\r\nHost: pve1:8006\r\nAuthorization: {token}\r\n{form}Content-Length: \
             {}\r\n\r\n{body}",
            body.len()
        );
        common::ask(&self.sim, "pve1", &text)
    }

    fn data(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, "");
        assert_eq!(reply.status, 200, "{path}: {}", reply.reason);
        reply.json()["data"].clone()
    }

    /// What is said at this second, in the words of the course.
    fn said(&mut self, second: u64, what: &str, words: &str) -> String {
        self.sim.cluster().clock.advance(Duration::from_secs(second - self.passed));
        self.passed = second;
        match what {
            "POST" => {
                let mut call = words.split(" -> ").next().unwrap().split(' ');
                let path = format!("/nodes/pve1/{}/{}/status/{}", self.kind, self.vmid, call.next().unwrap());
                let reply = self.ask("POST", &path, call.next().unwrap_or_default());
                let result = match reply.json()["data"].as_str() {
                    Some(upid) => {
                        self.tasks.push(upid.to_owned());
                        "task".to_owned()
                    }
                    None => format!("{} {}", reply.status, reply.reason),
                };
                format!("{} -> {result}", words.split(" -> ").next().unwrap())
            }
            "task" => {
                let back: usize =
                    words.strip_prefix('-').and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0);
                let upid = self.tasks[self.tasks.len() - 1 - back].replace('!', "%21");
                let task = self.data(&format!("/nodes/pve1/tasks/{upid}/status"));
                let said = task["exitstatus"].as_str().or(task["status"].as_str()).unwrap().to_owned();
                if back > 0 { format!("-{back} {said}") } else { said }
            }
            "now" => {
                let now = self.data(&format!("/nodes/pve1/{}/{}/status/current", self.kind, self.vmid));
                let word = |key: &str| now[key].as_str().unwrap_or("-").to_owned();
                let mut said = format!("{} {}", word("status"), word("qmpstatus"));
                if now["lock"].is_string() {
                    said += &format!(" lock={}", word("lock"));
                }
                // A reboot takes as long as the guest takes.
                if let Some(up) = words.split(" up=").nth(1) {
                    let uptime = now["uptime"].as_u64().unwrap();
                    let near = uptime.abs_diff(up.parse().unwrap()) <= 1;
                    said += &format!(" up={}", if near { up.to_owned() } else { uptime.to_string() });
                }
                said
            }
            "list" => {
                let rows = self.data("/cluster/resources");
                let row = rows.as_array().unwrap().iter().find(|row| row["vmid"] == self.vmid).unwrap();
                let lock = row["lock"].as_str().map(|lock| format!(" lock={lock}")).unwrap_or_default();
                format!("{}{lock}", row["status"].as_str().unwrap())
            }
            other => panic!("`{other}` is no line of a course"),
        }
    }
}

#[test]
fn courses_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/pve-9.2/courses.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut course, mut name, mut lines, mut wrong) = (None, "", 0, Vec::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("=>")) {
        if let Some(head) = line.strip_prefix("course ") {
            let (title, given) = head.rsplit_once(": ").unwrap();
            (course, name) = (Some(Course::begin(given)), title);
            continue;
        }
        let (second, rest) = line.split_once(' ').unwrap();
        let (what, words) = rest.split_once(' ').unwrap();
        let said = course.as_mut().unwrap().said(second.parse().unwrap(), what, words);
        lines += 1;
        if said != words {
            wrong.push(format!("{name}: {line}\n    said: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {lines} lines are not as recorded:\n{}", wrong.len(), wrong.join("\n"));
    assert!(lines > 120, "only {lines} lines");
}
