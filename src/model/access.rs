//! What a token may do, and what an API has to show before it gets one.

pub(crate) mod scope;
pub(crate) mod trust;
