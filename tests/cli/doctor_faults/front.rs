//! What stands in front of an API, or in its place.

use ecobox_sim::Fault;

use super::super::doctor::{check, finds_with};
use super::super::fleets::{env_for, three};

/// pve2 does something else at its port, where the configuration looks for pve1; the fix names the entry, and what is
/// meant is set there.
#[test]
fn something_else_at_the_port() {
    for (fault, id) in [
        (Fault::Redirect("https://sso.example.com/login".to_owned()), "redirected"),
        (Fault::Proxy(401), "proxy-login"),
        (Fault::Proxy(403), "proxy-login"),
        (Fault::Proxy(502), "proxy-failed"),
        (Fault::Proxy(503), "proxy-failed"),
        (Fault::Html, "not-pve"),
    ] {
        let sim = three();
        let env = env_for(&sim, &["pve1"]);
        let right = std::fs::read_to_string(env.config_path()).unwrap();
        let trust = |node: &str| (sim.node(node).port().to_string(), sim.node(node).fingerprint());
        let ((port, print), (other, other_print)) = (trust("pve1"), trust("pve2"));
        env.config(&right.replace(&port, &other).replace(&print, &other_print));
        sim.node("pve2").fail(fault);
        let run = finds_with(&env, &[], &[&format!("{id} pve1 problem")]);
        let found = check(&run, id, Some("pve1"));
        let text = found["fix"]["text"].as_str().unwrap();
        for part in ["`hostname`", "`api_port`", "`pve1`", "config.toml"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        // What lies behind was not asked, and is no finding.
        assert_eq!(check(&run, "privilege-missing", Some("pve1"))["because"], id);
        env.config(&right);
        drop(finds_with(&env, &[], &[]));
    }
}
