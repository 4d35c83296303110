//! How a server is reached: an SSH session, its API with token and certificate, and what it has shown of itself.

pub(crate) mod api;
pub(crate) mod bounded;
pub(crate) mod certificate;
pub(crate) mod cluster_members;
pub(crate) mod hint;
pub(crate) mod host_certificates;
pub(crate) mod secret;
pub(crate) mod session;
