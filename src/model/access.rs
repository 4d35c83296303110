//! What a token may do, and what an API has to show before it gets one.

pub(crate) mod certificate;
pub(crate) mod right;
pub(crate) mod scope;
