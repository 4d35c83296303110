//! What may happen to certificates while the cluster runs, and what it claims to be.

use crate::cluster::Cluster;
use crate::tls::{Ca, Identity};

impl Cluster {
    /// A new certificate from the same CA, with the same or a new key.
    pub fn renew_certificate(&mut self, name: &str, keep_key: bool) {
        let ip = self.node_mut(name).ip;
        let old = self.node_mut(name).identity.clone();
        self.node_mut(name).identity = self.ca.issue_node(name, ip, keep_key.then_some(&old));
    }

    /// A certificate from the same CA with the same key that is no longer valid.
    pub fn expire_certificate(&mut self, name: &str) {
        let ip = self.node_mut(name).ip;
        let old = self.node_mut(name).identity.clone();
        self.node_mut(name).identity = self.ca.issue_expired_node(name, ip, &old);
    }

    /// A new CA, and new certificates of all nodes from it.
    pub fn replace_ca(&mut self) {
        self.ca = Ca::pve();
        for index in 0..self.nodes.len() {
            let (name, ip) = (self.nodes[index].name.clone(), self.nodes[index].ip);
            self.nodes[index].identity = self.ca.issue_node(&name, ip, None);
        }
    }

    /// Serves this certificate instead (`pveproxy-ssl.pem`, or a machine in the middle).
    pub fn serve_certificate(&mut self, name: &str, identity: Identity) {
        self.node_mut(name).identity = identity;
    }

    /// Serves this certificate, and goes on naming the node's own in `/nodes`: a reverse proxy stands before it.
    pub fn serve_through_proxy(&mut self, name: &str, identity: Identity) {
        let node = self.node_mut(name);
        let own = std::mem::replace(&mut node.identity, identity);
        node.listed = Some(node.listed.take().unwrap_or_else(|| own.fingerprint()));
    }

    /// Says of these nodes, with the fingerprints of their certificates, that they are of this cluster: whoever wants may
    /// repeat what others are heard to say.
    pub fn claim_nodes(&mut self, nodes: &[(String, String)]) {
        self.claimed = nodes.to_vec();
    }
}
