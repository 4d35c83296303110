//! Each row of the table of hints: the situation is made, the hint is seen, what it says is done, and the error is gone.
//!
//! `ecobox generate hints` writes the table; `each_row_has_its_case` fails for a row without a case here. A case cannot
//! pass without having seen its row: only `Row::gone` makes a `Followed`, of what `Row::seen` gave.
#![expect(clippy::unnecessary_wraps, reason = "each case has the form of those that need a program")]

mod api;
mod local;
mod power;
mod setup;
mod ssh;

pub(crate) use self::local::answering;
use super::env::{Env, Run, skipped};

/// A row of the table.
struct Row {
    id: String,
    /// With `{names}` for what the error knows.
    fix: String,
}

/// A hint that was printed.
struct Seen<'r> {
    row: &'r Row,
    line: String,
    values: Vec<(String, String)>,
}

/// What it said was done, and it is not printed any more.
struct Followed;

fn table() -> Vec<Row> {
    let env = Env::new();
    let folder = env.home().join("out");
    let _ = env.run(&["generate", "hints", folder.to_str().unwrap()]).exits(0);
    let rows: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("hints.json")).unwrap()).expect("a table");
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| Row { id: text(row, "id"), fix: text(row, "fix") }).collect()
}

impl Row {
    /// The hint of this row, which the run must have printed.
    #[track_caller]
    fn seen(&self, run: &Run) -> Seen<'_> {
        let text = format!("{}{}", run.stdout, run.stderr);
        let mut lines = text.lines().filter_map(|line| Some((line.to_owned(), self.values(line)?)));
        let Some((line, values)) = lines.next() else { panic!("no hint `{}` in\n{run}", self.id) };
        Seen { row: self, line, values }
    }

    /// What stands for the names of the fix in a line; `None`: it is another hint.
    fn values(&self, line: &str) -> Option<Vec<(String, String)>> {
        let mut parts = self.fix.split('{');
        let first = parts.next()?;
        let mut rest = line.split_once(first)?.1;
        let mut values = Vec::new();
        for part in parts {
            let (name, literal) = part.split_once('}')?;
            let (value, after) = if literal.is_empty() { (rest, "") } else { rest.split_once(literal)? };
            values.push((name.to_owned(), value.to_owned()));
            rest = after;
        }
        Some(values)
    }
}

impl Seen<'_> {
    /// What the hint says for a name of the fix.
    #[track_caller]
    fn value(&self, name: &str) -> &str {
        let found = self.values.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no {name} in {}", self.line), |(_, value)| value.as_str())
    }

    /// Runs a command that the hint names, as it is printed.
    #[track_caller]
    fn follow(&self, env: &Env, command: &str) -> Run {
        assert!(self.line.contains(&format!("`{command}`")), "no `{command}` in {}", self.line);
        env.paste(command)
    }

    /// The run that shows that it helped.
    #[track_caller]
    fn gone(self, run: &Run) -> Followed {
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(!text.lines().any(|line| self.row.values(line).is_some()), "still there:\n{run}");
        Followed
    }
}

macro_rules! cases {
    ($($name:ident: $module:ident $id:literal,)*) => {
        const CASES: &[&str] = &[$($id,)*];

        $(
            #[test]
            fn $name() {
                let row = table().into_iter().find(|row| row.id == $id).expect("a row of this name");
                let followed: Option<Followed> = $module::$name(&row);
                if followed.is_none() {
                    skipped(concat!("the hint ", $id, " needs programs that are not installed"));
                }
            }
        )*
    };
}

cases! {
    host_key_unknown: ssh "host-key-unknown",
    host_key_changed: ssh "host-key-changed",
    host_key_revoked: ssh "host-key-revoked",
    host_key_unproven: ssh "host-key-unproven",
    key_refused: ssh "key-refused",
    no_key: ssh "no-key",
    key_locked: ssh "key-locked",
    key_not_enough: ssh "key-not-enough",
    keys_not_taken: ssh "keys-not-taken",
    login_slow: ssh "login-slow",
    name_unknown: ssh "name-unknown",
    ssh_port_closed: ssh "ssh-port-closed",
    api_port_closed: api "api-port-closed",
    ssh_closes: ssh "ssh-closes",
    api_closes: api "api-closes",
    jump_host: ssh "jump-host",
    look_again: ssh "look-again",
    no_ssh: power "no-ssh",
    certificate_changed: api "certificate-changed",
    certificate_other: api "certificate-other",
    no_token: api "no-token",
    no_token_api: api "no-token-api",
    token_refused: api "token-refused",
    token_refused_given: api "token-refused-given",
    privilege_missing: api "privilege-missing",
    privilege_missing_given: api "privilege-missing-given",
    hibernate_rights: power "hibernate-rights",
    storage_map_rights: power "storage-map-rights",
    node_wake_rights: power "node-wake-rights",
    not_pve: api "not-pve",
    redirected: api "redirected",
    proxy_login: api "proxy-login",
    proxy_failed: api "proxy-failed",
    sudo_pveum: setup "sudo-pveum",
    sudo_missing: setup "sudo-missing",
    user_unknown: setup "user-unknown",
    pmxcfs_down: setup "pmxcfs-down",
    root_keys_away: setup "root-keys-away",
    pvedaemon_down: api "pvedaemon-down",
    no_quorum: setup "no-quorum",
    node_offline: api "node-offline",
    node_lost: api "node-lost",
    user_disabled: setup "user-disabled",
    pve_busy: setup "pve-busy",
    tokens_left: setup "tokens-left",
    no_pve_host: setup "no-pve-host",
    no_pve_known: setup "no-pve-known",
    no_config: local "no-config",
    no_servers: local "no-servers",
    nobody_named: local "nobody-named",
    state_damaged: local "state-damaged",
    no_target: local "no-target",
    no_metrics: local "no-metrics",
    no_page: local "no-page",
    no_stream: local "no-stream",
    not_confirmed: power "not-confirmed",
    no_mac: power "no-mac",
    wake_first: power "wake-first",
    still_coming: power "still-coming",
    trigger_failed: power "trigger-failed",
    not_awake: power "not-awake",
    not_ready: power "not-ready",
    guest_busy: power "guest-busy",
    paused: power "paused",
    prometheus_login: local "prometheus-login",
    prometheus_certificate: local "prometheus-certificate",
    prometheus_path: local "prometheus-path",
    prometheus_away: local "prometheus-away",
}

#[test]
fn each_row_has_its_case() {
    let rows: Vec<String> = table().into_iter().map(|row| row.id).collect();
    let without: Vec<_> = rows.iter().filter(|id| !CASES.contains(&id.as_str())).collect();
    assert!(without.is_empty(), "rows that nothing tries: {without:?}");
    assert_eq!(rows.len(), CASES.len(), "a case is there twice, or for no row");
}

/// A command of a hint works where it is pasted: with the files that were named.
#[test]
fn commands_keep_the_files_that_were_named() {
    let env = Env::new();
    let files = "--config 'my files/c.toml' --state s.db";
    let run = env.paste(&format!("mkdir -m 700 'my files'; ecobox {files} status"));
    let row = table().into_iter().find(|row| row.id == "no-config").unwrap();
    assert!(row.values(&run.stderr).is_none(), "{run}");
    let run = run.exits(3).says(&format!("hint: run `ecobox {files} init` to make one"));
    let _ = env.paste(&format!("ecobox {files} init --local")).exits(0).stdout;
    let next = env.paste(&format!("ecobox {files} init")).exits(0);
    assert!(next.stdout.contains(&format!("next: `ecobox {files} status`")), "{next}\n{run}");
    let _ = env.paste(&format!("ecobox {files} status")).exits(0);
}
