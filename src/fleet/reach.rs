//! How a server is reached: an SSH session, its API with token and certificate, and what it has shown of itself.

pub(crate) mod api;
pub(crate) mod bounded;
pub(crate) mod hint;
pub(crate) mod look;
pub(crate) mod membership;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod trust;
