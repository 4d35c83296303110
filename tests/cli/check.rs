//! `check`: the states of a fleet for a monitor.

use super::env::{Env, Run};
use super::fleets::{CLOSED, Open, env_for, homelab, plain, three};

/// The first line of a plugin's output, apart from its performance data.
pub(crate) fn first(run: &Run) -> (String, String) {
    let line = run.stdout.lines().next().unwrap_or_else(|| panic!("nothing was printed\n{run}"));
    let (text, perf) = line.split_once(" | ").unwrap_or((line, ""));
    assert!(!text.contains('|') && !perf.contains('|'), "{run}");
    (text.to_owned(), perf.to_owned())
}

fn service(name: &str, port: u16) -> String {
    format!("[[servers.services]]\nname = \"{name}\"\nport = {port}\ntype = \"http\"\n")
}

#[test]
fn a_fleet_as_expected_is_ok_in_one_line() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let run = env.run(&["check"]).exits(0);
    insta::assert_snapshot!(run, @r#"
    ECOBOX OK - 7 servers as expected | 'servers'=7 'on'=6;;;0;7 'asleep'=0;;;0;7 'unexpected'=0;;;0;7 'services'=0 'closed'=0
    "#);
    let cached = env.run(&["check", "--cached"]).exits(0);
    assert_eq!(cached.stdout, run.stdout, "the last run saw the same");
    sim.clear_requests();
    let _ = env.run(&["check", "--cached", "-w", "cpu>80", "-w", "age>10m"]).exits(0);
    assert_eq!(sim.requests().len(), 0, "nobody is asked");
}

#[test]
fn what_is_wrong_is_named_and_goes_away() {
    let (sim, nas) = (homelab(), Open::new());
    let env = env_for(&sim, &["pve1"]);
    let web = "[[servers]]\nid = \"pve1-vm-101\"\nparent_server_id = \"pve1\"\nexpected = \"on\"\n";
    env.add_config(&(web.to_owned() + &plain("nas", nas.port()) + &service("shop", CLOSED)));
    // A guest that QEMU has halted is wrong whatever is expected.
    let run = env.run(&["check"]).exits(2);
    insta::assert_snapshot!(run, @r#"
    ECOBOX CRITICAL - 2 critical: broken was halted by QEMU: io-error; nas: shop (port 1) does not answer: connection refused | 'servers'=10 'on'=5;;;0;10 'asleep'=0;;;0;10 'unexpected'=0;;;0;10 'services'=2 'closed'=1;;;0;2
    CRITICAL: broken was halted by QEMU: io-error
    CRITICAL: nas: shop (port 1) does not answer: connection refused
    [exit status: 2]
    "#);
    sim.cluster().change_guest(107, ecobox_sim::Guest::running);
    let run = env.run(&["check"]).exits(2);
    assert!(first(&run).0.starts_with("ECOBOX CRITICAL - nas: shop (port 1) does not answer"), "{run}");
    let fixed = std::fs::read_to_string(env.config_path()).unwrap().replace(&service("shop", CLOSED), "");
    env.config(&fixed);
    let _ = env.run(&["check"]).exits(0);
    sim.cluster().crash_guest(101);
    let run = env.run(&["check"]).exits(2);
    assert!(first(&run).0.contains("web-01 is stopped, and should be on"), "{run}");
    let _ = env.run(&["check", "nas", "pve1"]).exits(0);
}

#[test]
fn one_service_of_one_server() {
    let (sim, nas, shop) = (three(), Open::new(), Open::new());
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    env.add_config(&(plain("nas", nas.port()) + &service("shop", shop.port()) + &service("smb", CLOSED)));
    let good = env.run(&["check", "nas", "--service", "shop"]).exits(0);
    let (text, perf) = first(&good);
    assert_eq!(text, "ECOBOX OK - shop of 1 server answers");
    assert!(perf.starts_with("'nas_shop_response'=0.") && perf.ends_with('s'), "{perf}");
    let bad = env.run(&["check", "nas", "--service", "smb"]).exits(2);
    assert!(first(&bad).0.starts_with("ECOBOX CRITICAL - nas: smb (port 1) does not answer"), "{bad}");
    let none = env.run(&["check", "nas", "--service", "ftp"]).exits(3);
    insta::assert_snapshot!(none, @r#"
    ECOBOX UNKNOWN - no selected server has a service `ftp`: there are shop, smb
    [exit status: 3]
    "#);
    let slow = env.run(&["check", "nas", "--service", "shop", "-c", "response>0"]).exits(2);
    assert!(first(&slow).0.contains("nas shop: answered in"), "{slow}");
    let cached = env.run(&["check", "nas", "--service", "smb", "--cached"]).exits(2);
    assert!(first(&cached).0.contains("smb (port 1) does not answer"), "{cached}");
}

#[test]
fn who_cannot_be_asked_is_critical_or_unknown_and_who_may_sleep_is_fine() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let _ = env.run(&["check"]).exits(0);
    sim.cluster().stop_node("pve3");
    let run = env.run(&["check"]).exits(2);
    assert!(first(&run).0.contains("pve3"), "{run}");
    env.execute("INSERT INTO wishes (server, asleep, at) VALUES ('pve3', 1, 0)");
    let run = env.run(&["check"]).exits(0);
    assert!(first(&run).0.contains("1 asleep"), "{run}");
    assert!(first(&run).1.contains("'asleep'=1;;;"), "{run}");
    // Whoever refuses says nothing of what is so.
    let mut env = env;
    env.set("ECOBOX_TOKEN_PVE1", "ecobox@pve!test=00000000-0000-4000-8000-000000000000");
    env.set("ECOBOX_TOKEN_PVE2", "ecobox@pve!test=00000000-0000-4000-8000-000000000000");
    let run = env.run(&["check"]).exits(3);
    assert!(first(&run).0.starts_with("ECOBOX UNKNOWN - "), "{run}");
}

#[test]
fn what_is_too_old_is_unknown() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let never = env.run(&["check", "--cached"]).exits(3);
    assert!(first(&never).0.contains("nobody has looked yet"), "{never}");
    let _ = env.run(&["status"]).exits(0);
    let _ = env.run(&["check", "--cached"]).exits(0);
    env.execute("UPDATE clusters SET listed_at = listed_at - 1200000; UPDATE states SET at = at - 1200000");
    env.execute("UPDATE guests SET last_seen = last_seen - 1200000");
    let old = env.run(&["check", "--cached"]).exits(3);
    assert!(first(&old).0.contains("last seen 20m0"), "{old}");
    let _ = env.run(&["check", "--cached", "--max-age", "1h"]).exits(0);
    let age = env.run(&["check", "--cached", "--max-age", "1h", "-w", "age>10m"]).exits(1);
    assert!(first(&age).0.contains("(above 10m00s)"), "{age}");
}

#[test]
fn usage_and_configuration_are_unknown_with_a_line_for_the_monitor() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    for (args, text) in [
        (&["check", "--nothing"][..], "unexpected argument '--nothing' found"),
        (&["check", "-w", "heat>80"], "heat"),
        (&["-o", "json", "check", "-w"], "-w"),
        (&["check", "nobody"], "no server matches `nobody`"),
        (&["check", "--json"], "`--json` is not an option"),
        (&["--config", "/nowhere.toml", "check"], "/nowhere.toml"),
        (&["check", "-o", "html"], "this command has no page"),
    ] {
        let run = env.run(args).exits(3);
        let (line, _) = first(&run);
        assert!(line.starts_with("ECOBOX UNKNOWN - ") && line.contains(text), "{args:?}\n{run}");
    }
    let _ = env.run(&["status", "-o", "checkmk"]).exits(2).says("only `ecobox check` has it");
    let broken = Env::new();
    broken.config("[[servers]]\nid = 7\n");
    let run = broken.run(&["check"]).exits(3);
    assert!(first(&run).0.starts_with("ECOBOX UNKNOWN - "), "{run}");
    let empty = Env::new();
    empty.config("");
    let run = empty.run(&["check"]).exits(3);
    assert!(first(&run).0.contains("no servers are configured"), "{run}");
}

#[test]
fn names_of_guests_and_services_break_neither_lines_nor_data() {
    let sim = three();
    sim.cluster().rename_guest(101, "a|'x'=1;2\n\u{1b}[31mCRITICAL");
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let web = "[[servers]]\nid = \"pve1-vm-101\"\nparent_server_id = \"pve1\"\nexpected = \"on\"\n";
    env.add_config(&(web.to_owned() + &plain("nas", CLOSED) + &service("a'b=|c d", CLOSED)));
    sim.cluster().crash_guest(101);
    let run = env.run(&["check", "-w", "memory>0", "-w", "response>1s", "--states"]).exits(2);
    let (_, perf) = first(&run);
    assert!(run.stdout.matches('|').count() == 1 && !run.stdout.contains('\u{1b}'), "{run}");
    for one in perf.split(' ') {
        let (label, value) = one.split_once("'=").unwrap_or_else(|| panic!("{one} in {run}"));
        assert!(label.starts_with('\'') && !label[1..].contains('\''), "{one}");
        assert!(value.starts_with(|c: char| c.is_ascii_digit()), "{one}");
    }
}

#[test]
fn other_forms_carry_the_same_verdict() {
    let (sim, nas) = (three(), Open::new());
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    env.add_config(&(plain("nas", nas.port()) + &service("smb", CLOSED)));
    let json = env.run(&["check", "-o", "json"]).exits(2).json();
    assert_eq!(json["schema"], "ecobox.check/1");
    assert_eq!((json["status"].as_str(), json["exit_status"].as_u64()), (Some("critical"), Some(2)));
    let finding = &json["findings"][0];
    assert_eq!((finding["check"].as_str(), finding["server"].as_str()), (Some("service"), Some("nas")));
    let perf = json["performance"].as_array().unwrap();
    assert!(perf.iter().any(|one| one["label"] == "closed" && one["value"] == 1.0), "{json}");
    let line = env.run(&["check", "-o", "checkmk", "--name", "Home fleet"]).exits(2).stdout;
    assert!(line.starts_with("2 \"Home fleet\" servers=8|on=") && line.lines().count() == 1, "{line}");
    let csv = env.run(&["check", "-o", "csv"]).exits(2).stdout;
    assert!(csv.starts_with("status,check,server,message\r\nCRITICAL,service,nas,"), "{csv}");
    let failed = env.run(&["check", "nobody", "-o", "json"]).exits(3).json();
    assert_eq!(failed["status"], "unknown");
}
