//! A look at a Proxmox VE host: its node name, its version and its cluster's CA, in one script that changes nothing.

use crate::model::access::certificate::Fingerprint;
use crate::model::id::{ClusterId, NodeName};
use crate::transport::pve;
use crate::transport::script::ScriptOutput;

/// What a host says of its certificates over SSH.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostCertificates {
    pub(crate) node: Option<NodeName>,
    pub(crate) ca_pem: Option<String>,
    /// The certificate that its files say is served, where that is not the cluster's own or the visit read it.
    pub(crate) leaf_pem: Option<String>,
    pub(crate) version: Option<String>,
    /// The certificates that its cluster's other nodes serve, as it knows them.
    pub(crate) fellows: Vec<Fingerprint>,
    /// Why the CA could not be read.
    pub(crate) problem: Option<String>,
}

impl HostCertificates {
    /// The cluster that it says it is of, where its CA could be read. Anybody can say so: see `cluster_members`.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        let fingerprint = pve::ca_fingerprint(self.ca_pem.as_deref()?)?;
        Some(ClusterId::of_ca(&fingerprint.hex()))
    }
}

/// The script; POSIX sh.
pub(crate) const SCRIPT: &str = include_str!("host_certificates.sh");

/// Reads what the script printed.
pub(crate) fn parse(output: &ScriptOutput) -> HostCertificates {
    let mut learned = HostCertificates::default();
    let (mut pem, mut leaf, mut fellows) = (String::new(), String::new(), String::new());
    let mut file = &mut pem;
    for line in output.stdout.lines() {
        match line.split_once('\t') {
            Some(("node", node)) => learned.node = node.parse().ok(),
            Some(("version", version)) => learned.version = Some(version.to_owned()),
            Some(("leaf", _)) => file = &mut leaf,
            Some(("nodes", _)) => file = &mut fellows,
            Some(_) => {}
            None => {
                file.push_str(line);
                file.push('\n');
            }
        }
    }
    let certificate = |pem: String| Some(pem).filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
    (learned.ca_pem, learned.leaf_pem) = (certificate(pem), certificate(leaf));
    learned.fellows = pve::fingerprints_in(&fellows);
    if learned.ca_pem.is_none() {
        learned.problem = output.stderr.lines().last().map(|line| crate::model::text::clean(line).into_owned());
    }
    learned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_read_with_and_without_the_ca() {
        let output =
            |stdout: &str, stderr: &str| ScriptOutput { stdout: stdout.into(), stderr: stderr.into(), status: 0 };
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let learned = parse(&output(&format!("node\tpve1\nversion\t9.2.11\n{pem}"), ""));
        assert_eq!(learned.node.unwrap().as_str(), "pve1");
        assert_eq!((learned.version.as_deref(), learned.ca_pem.as_deref()), (Some("9.2.11"), Some(pem)));
        let learned = parse(&output("node\tpve1\n", "sudo: a password is required\n"));
        assert_eq!((learned.ca_pem, learned.problem.as_deref()), (None, Some("sudo: a password is required")));
    }
}
