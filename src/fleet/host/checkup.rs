//! The look of `doctor` at a host: the one before a power call, and what else is worth knowing, in one script that changes
//! nothing. Reading is lenient: a line that is missing or senseless costs that one fact.

mod sleep;

use std::time::SystemTime;

use serde_json::Value;

use crate::config::ServerConfig;
use crate::fleet::Fleet;
use crate::fleet::host::power::preflight::{self, Wanted};
use crate::model::check::host::{Clock, SystemSeen};
use crate::transport::Error;
use crate::transport::ssh::HostKeyPolicy;

/// The host's clock comes first: what comes after it takes time.
const CLOCK: &str = "printf 'clock\\t%s\\n' \"$(date +%s 2>/dev/null)\"\n";

/// More than this of a kind is not believed.
const MOST: usize = 256;

fn script() -> String {
    let more = concat!(include_str!("checkup.sh"), "\n", include_str!("checkup/sleep.sh"));
    format!("{CLOCK}{}\n{more}", preflight::script(&Wanted { clocks: true, ..Wanted::default() }))
}

/// When a script was sent, and when its output was there, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) from: f64,
    pub(crate) until: f64,
}

/// What the script's output tells.
pub(crate) fn parse(text: &str, sent: Sent) -> SystemSeen {
    let mut seen = SystemSeen { preflight: preflight::parse(text), sleep: sleep::parse(text), ..SystemSeen::default() };
    for (key, value) in text.lines().filter_map(|line| line.split_once('\t')) {
        let value = value.trim();
        match key {
            // It was some time between the two, and the second had begun.
            "clock" => {
                seen.clock = value
                    .parse::<u32>()
                    .ok()
                    .map(f64::from)
                    .map(|second| Clock { least: second - sent.until, most: second + 1.0 - sent.from });
            }
            "service" if seen.services.len() < MOST => {
                let service = value.split_once(' ').map(|(name, state)| (name.to_owned(), state.to_owned()));
                seen.services.extend(service);
            }
            "members" => seen.missing = missing(value),
            "pveproxy" if seen.pveproxy.len() < MOST => {
                let setting = value.split_once('=');
                let unquoted = |value: &str| value.trim_matches(['"', '\'']).to_owned();
                seen.pveproxy.extend(setting.map(|(key, value)| (key.to_owned(), unquoted(value))));
            }
            _ => {}
        }
    }
    seen
}

/// The nodes of `/etc/pve/.members` that are not online.
fn missing(text: &str) -> Option<Vec<String>> {
    Some(members(text)?.into_iter().filter(|(_, online)| !online).map(|(name, _)| name).collect())
}

/// The nodes of `/etc/pve/.members`, and whether each is online.
fn members(text: &str) -> Option<Vec<(String, bool)>> {
    let members: Value = serde_json::from_str(text).ok()?;
    let nodes = members.get("nodelist")?.as_object()?;
    let is_online = |node: &Value| node.get("online").and_then(Value::as_i64) == Some(1);
    Some(nodes.iter().map(|(name, node)| (name.clone(), is_online(node))).take(MOST).collect())
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Fleet<'_> {
    /// Looks what a host tells by one script, and changes nothing.
    ///
    /// # Errors
    /// Those of an SSH script; what the host does not tell is left out.
    pub(crate) async fn host_checkup(&self, server: &ServerConfig) -> Result<SystemSeen, Error> {
        let from = now();
        let output = self.run_script_in_time(server, HostKeyPolicy::Refuse, &script()).await?;
        Ok(parse(&output.stdout, Sent { from, until: now() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sent = Sent { from: 1000.0, until: 1002.0 };

    #[test]
    fn a_clock_is_right_within_the_time_that_the_look_took() {
        for (line, want) in [
            ("clock\t1001", Some(0.0)),
            ("clock\t1000", Some(0.0)),
            ("clock\t1600", Some(598.0)),
            ("clock\t400", Some(-599.0)),
            ("clock\t", None),
            ("clock\t1001.N", None),
        ] {
            let seen = parse(line, SENT);
            assert_eq!(seen.clock.map(Clock::surely_off), want, "{line}");
        }
    }

    #[test]
    fn services_and_members_are_read() {
        let text = "service\tpveproxy active\nservice\tpvestatd failed\npveproxy\tALLOW_FROM=\"10.0.0.0/8\"\n\
                    members\t{\"nodename\":\"a\",\"nodelist\":{\"a\":{\"id\":1,\"online\":1},\"b\":{\"id\":2,\"online\":0}}}\n";
        let seen = parse(text, SENT);
        assert_eq!(seen.services[1], ("pvestatd".to_owned(), "failed".to_owned()));
        assert_eq!(seen.missing, Some(vec!["b".to_owned()]));
        assert_eq!(seen.pveproxy, [("ALLOW_FROM".to_owned(), "10.0.0.0/8".to_owned())]);
        for senseless in ["members\t", "members\t{}", "members\t{\"nodelist\":[]}", "service\tx"] {
            let seen = parse(senseless, SENT);
            assert!(seen.missing.is_none() && seen.services.is_empty(), "{senseless}");
        }
    }
}
