//! TLS trust: who is believed, and that nobody else ever sees a byte of the token.

use ecobox_sim::{Ca, Identity, Sim};

use super::env::{Env, Run};
use super::fleets::{api, env_for, full_token, three, untrusted};
use super::world::World;

/// A world that reaches pve1 with this line about its certificate.
pub(crate) fn env_with(sim: &Sim, line: &str) -> Env {
    let mut env = Env::new();
    let port = sim.node("pve1").port();
    env.config(&format!("{}{line}\n", untrusted("pve1", port)));
    env.set("ECOBOX_TOKEN_PVE1", full_token());
    env.replace(sim.node("pve1").fingerprint(), "FINGERPRINT");
    env.replace(sim.node("pve2").fingerprint(), "OTHER");
    env.replace(port, "PORT");
    env
}

/// As `setup-token` stores it: the cluster's CA and the node's name.
fn store_cluster_ca(sim: &Sim, env: &Env) {
    let pem = sim.ca_pem();
    let der = openssl_der(&pem);
    let ca = serde_json::to_string(&der).unwrap();
    env.execute(&format!(
        r#"INSERT OR REPLACE INTO trust VALUES ('pve1', '{{"mode":"cluster-ca","ca":{ca},"node":"pve1"}}', 'ssh', 0)"#
    ));
}

/// The bytes between the lines of a PEM file.
fn openssl_der(pem: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut der) = (0_u32, 0, Vec::new());
    for c in pem.lines().filter(|line| !line.starts_with('-')).flat_map(str::bytes).filter(|c| *c != b'=') {
        let value = alphabet.iter().position(|known| *known == c).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            der.push((bits >> held & 0xff) as u8);
        }
    }
    der
}

#[track_caller]
fn accepted(sim: &Sim, env: &Env) {
    sim.clear_requests();
    let _ = env.run(&["status"]).exits(0);
    assert!(!sim.node("pve1").authorizations().is_empty());
}

/// Refused, exit 6, and the server saw nothing of the token.
#[track_caller]
fn refused(sim: &Sim, env: &Env) -> Run {
    sim.clear_requests();
    let run = env.run(&["discover"]).exits(6);
    assert_eq!(run.stderr.lines().filter(|line| line.starts_with("warning: ")).count(), 1, "{run}");
    let status = env.run(&["status", "-o", "json"]).exits(6);
    assert_eq!(status.failures(), ["pve1 identity"]);
    assert_eq!(sim.node("pve1").authorizations(), Vec::<String>::new());
    assert_eq!(sim.requests().len(), 0);
    run
}

#[test]
fn a_fingerprint_is_enough() {
    let sim = three();
    let env = env_with(&sim, &format!("fingerprint = \"{}\"", sim.node("pve1").fingerprint()));
    accepted(&sim, &env);
    let plain = sim.node("pve1").fingerprint().replace(':', "").to_lowercase();
    accepted(&sim, &env_with(&sim, &format!("fingerprint = \"{plain}\"")));
}

#[test]
fn exit_6_another_certificate_than_the_fingerprint() {
    let sim = three();
    let env = env_with(&sim, &format!("fingerprint = \"{}\"", sim.node("pve2").fingerprint()));
    insta::assert_snapshot!(refused(&sim, &env), @r#"
    no guests could be read
    ------- stderr -------
    warning: pve1 is not who it should be: its certificate is FINGERPRINT, expected is OTHER (SHA-256)
    hint: if FINGERPRINT is its certificate, set `fingerprint = "FINGERPRINT"` of `pve1` in ~/.config/ecobox/config.toml, or `ca_file` to a copy of the host's /etc/pve/pve-root-ca.pem
    hint: run `ecobox doctor pve1`
    [exit status: 6]
    "#);
    // A renewed certificate is another one.
    let env = env_with(&sim, &format!("fingerprint = \"{}\"", sim.node("pve1").fingerprint()));
    accepted(&sim, &env);
    sim.cluster().renew_certificate("pve1", true);
    let _ = refused(&sim, &env);
}

#[test]
fn a_ca_file_is_enough_and_survives_renewals() {
    let sim = three();
    let env = env_with(&sim, "ca_file = \"ca.pem\"");
    std::fs::write(env.config_path().with_file_name("ca.pem"), sim.ca_pem()).unwrap();
    accepted(&sim, &env);
    sim.cluster().renew_certificate("pve1", false);
    accepted(&sim, &env);
    sim.cluster().replace_ca();
    let _ = refused(&sim, &env);
}

#[test]
fn a_ca_file_that_is_missing_or_no_certificate_is_said() {
    let sim = three();
    let env = env_with(&sim, "ca_file = \"ca.pem\"");
    let run = env.run(&["discover"]).says("ca_file ~/.config/ecobox/ca.pem: No such file");
    assert_eq!(run.code, 1, "{run}");
    std::fs::write(env.config_path().with_file_name("ca.pem"), "no certificate").unwrap();
    let run = env.run(&["discover"]);
    assert!(matches!(run.code, 1 | 6) && run.stderr.contains("pve1"), "{run}");
    assert_eq!(sim.requests().len(), 0);
}

#[test]
fn without_a_word_only_public_cas_count() {
    let sim = three();
    let env = env_with(&sim, "");
    insta::assert_snapshot!(refused(&sim, &env), @r#"
    no guests could be read
    ------- stderr -------
    warning: pve1 is not who it should be: its certificate was not issued by a public CA (presented: SHA-256 FINGERPRINT)
    hint: if FINGERPRINT is its certificate, set `fingerprint = "FINGERPRINT"` of `pve1` in ~/.config/ecobox/config.toml, or `ca_file` to a copy of the host's /etc/pve/pve-root-ca.pem
    hint: run `ecobox doctor pve1`
    [exit status: 6]
    "#);
}

#[test]
fn a_cluster_ca_that_was_learned_survives_renewals_and_refuses_strangers() {
    let sim = three();
    let env = env_with(&sim, "");
    let _ = env.run(&["status", "--cached"]).exits(0);
    store_cluster_ca(&sim, &env);
    accepted(&sim, &env);
    sim.cluster().renew_certificate("pve1", false);
    accepted(&sim, &env);
    // Another node's certificate, of the same CA.
    let other = sim.cluster().identity("pve2");
    sim.cluster().serve_certificate("pve1", other);
    insta::assert_snapshot!(refused(&sim, &env), @r#"
    no guests could be read
    ------- stderr -------
    warning: pve1 is not who it should be: its certificate is for 127.0.0.1, 0::1, 192.0.2.3, localhost, pve2, pve2.lan, not for pve1 (presented: SHA-256 OTHER)
    hint: if OTHER is its certificate, set `fingerprint = "OTHER"` of `pve1` in ~/.config/ecobox/config.toml, or `ca_file` to a copy of the host's /etc/pve/pve-root-ca.pem
    hint: run `ecobox doctor pve1`
    [exit status: 6]
    "#);
    // A machine in the middle with a certificate of its own for the same names.
    let stranger = Ca::pve().issue_for(&["pve1", "localhost"]);
    sim.cluster().serve_certificate("pve1", stranger);
    let _ = refused(&sim, &env);
    sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve1"]));
    let _ = refused(&sim, &env);
}

#[test]
fn a_public_key_that_was_learned_survives_renewals_with_the_same_key() {
    let sim = three();
    let env = env_with(&sim, "");
    let _ = env.run(&["status", "--cached"]).exits(0);
    env.execute(&format!(
        r#"INSERT INTO trust VALUES ('pve1', '{{"mode":"public-key","spki":"{}"}}', 'ssh', 0)"#,
        sim.node("pve1").public_key_fingerprint()
    ));
    accepted(&sim, &env);
    sim.cluster().renew_certificate("pve1", true);
    accepted(&sim, &env);
    sim.cluster().renew_certificate("pve1", false);
    let _ = refused(&sim, &env);
}

#[test]
fn an_expired_certificate_is_said_to_be_expired() {
    let sim = three();
    let env = env_with(&sim, "ca_file = \"ca.pem\"");
    std::fs::write(env.config_path().with_file_name("ca.pem"), sim.ca_pem()).unwrap();
    sim.cluster().expire_certificate("pve1");
    let run = refused(&sim, &env);
    assert!(run.stderr.contains("expired"), "{run}");
}

#[test]
fn without_verification_every_run_warns() {
    let sim = three();
    let env = env_with(&sim, "verify_tls = false");
    sim.cluster().replace_ca();
    for args in [&["status"][..], &["discover"], &["status", "--cached"], &["status", "-q"]] {
        let run = env.run(args).exits(0);
        assert!(run.stderr.contains("pve1: the API's certificate is not verified (verify_tls = false)"), "{run}");
    }
}

#[test]
fn a_stranger_among_the_members_is_said_although_another_answers() {
    let sim = three();
    let env = env_for(&sim, &["pve1", "pve2"]);
    let _ = env.run(&["status"]).exits(0);
    sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve1"]));
    sim.clear_requests();
    let run = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.failures(), ["pve1 identity"]);
    assert_eq!(run.server("pve1-vm-101")["state"], "running");
    assert_eq!(sim.node("pve1").authorizations(), Vec::<String>::new());
}

#[test]
fn one_stranger_among_many_is_partial() {
    let (one, two) = (three(), three());
    let mut env = env_for(&one, &["pve1"]);
    env.add_config(&api("two", &two, "pve1"));
    env.set("ECOBOX_TOKEN_TWO", full_token());
    two.cluster().replace_ca();
    let run = env.run(&["status", "-o", "json"]).exits(8);
    assert_eq!(run.failures(), ["two identity"]);
    assert_eq!(two.requests().len(), 0);
}

/// What works once works the next time, too: the state file has learned something by then.
#[track_caller]
fn again_and_again(kind: &str, run: impl Fn(&[&str]) -> Run) {
    for round in 1..=3 {
        for args in [&["discover"][..], &["status", "-o", "json"], &["setup-token", "--check"]] {
            let run = run(args);
            assert_eq!(run.code, 0, "{kind}, round {round}, {args:?}\n{run}");
            if args[0] == "status" {
                assert_eq!(
                    (run.failures(), &run.server("pve1")["node"]),
                    (vec![], &"pve1".into()),
                    "{kind} {round} {run}"
                );
            }
        }
    }
}

#[test]
fn each_trust_without_ssh_works_at_the_third_run() {
    let entry = |host: &str, port: u16, line: &str| {
        format!("[[servers]]\nid = \"pve1\"\ntype = \"proxmox\"\nhostname = \"{host}\"\napi_port = {port}\n{line}\n")
    };
    for kind in ["fingerprint", "insecure", "cluster-ca", "dialled address", "dialled name", "public-ca"] {
        let (sim, company) = (three(), Ca::foreign("Company"));
        let port = sim.node("pve1").port();
        let serve = |names: &[&str]| sim.cluster().serve_certificate("pve1", company.issue_for(names));
        let mut env = Env::new();
        env.set("ECOBOX_TOKEN_PVE1", full_token());
        let write = |env: &Env, text: &str| std::fs::write(env.config_path().with_file_name("ca.pem"), text).unwrap();
        let text = match kind {
            "fingerprint" => entry("127.0.0.1", port, &format!("fingerprint = \"{}\"", sim.node("pve1").fingerprint())),
            "insecure" => entry("127.0.0.1", port, "verify_tls = false"),
            "cluster-ca" => entry("127.0.0.1", port, "ca_file = \"ca.pem\""),
            "dialled address" => {
                serve(&["localhost", "127.0.0.1"]);
                entry("127.0.0.1", port, "ca_file = \"ca.pem\"")
            }
            "dialled name" => {
                serve(&["localhost"]);
                entry("localhost", port, "ca_file = \"ca.pem\"")
            }
            _ => {
                serve(&["localhost"]);
                let file = env.home().join("public.pem");
                std::fs::write(&file, company.pem()).unwrap();
                env.set("SSL_CERT_FILE", file.display().to_string());
                entry("localhost", port, "")
            }
        };
        env.config(&text);
        write(&env, &if kind == "cluster-ca" { sim.ca_pem() } else { company.pem().to_owned() });
        again_and_again(kind, |args| env.run(args));
    }
}

#[test]
fn each_trust_learned_over_ssh_works_at_the_third_run() {
    for kind in ["cluster-ca", "public-key", "node's name", "public-ca"] {
        let mut world = World::new();
        let pve = world.one_node();
        pve.sim.cluster().add_guest(ecobox_sim::Kind::Qemu, 101, "web", ecobox_sim::Guest::running);
        let company = Ca::foreign("Company");
        let file = world.env.home().join("company.pem");
        std::fs::write(&file, company.pem()).unwrap();
        let entry = pve.nodes[0].entry().trim_end().to_owned();
        let mut trust = kind;
        match kind {
            "cluster-ca" => {}
            "public-key" => pve.sim.cluster().serve_certificate("pve1", Identity::self_signed(&["pve.example.org"])),
            "node's name" => {
                pve.sim.cluster().serve_certificate("pve1", company.issue_for(&["pve1"]));
                world.configure(&format!("{entry}\nca_file = \"{}\"\n", file.display()));
                trust = "ca-file";
            }
            _ => {
                pve.sim.cluster().serve_certificate("pve1", company.issue_for(&["localhost"]));
                world.env.set("SSL_CERT_FILE", file.display().to_string());
                world.configure(&entry.replace("127.0.0.1", "localhost"));
                world.know_line(&pve.nodes[0].ssh.known_hosts_line().replace("127.0.0.1", "localhost"));
            }
        }
        for _ in 0..2 {
            let run = world.run(&["setup-token", "-o", "json"]).exits(0);
            assert_eq!(run.json()["servers"][0]["trust"], trust, "{run}");
        }
        again_and_again(kind, |args| world.run(args));
        pve.assert_one_usable_token(&world);
    }
}
