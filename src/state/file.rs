//! The file itself: where it is, who may read it, its tables, and what becomes of a damaged one.

pub(crate) mod access;
pub(crate) mod damage;
pub(crate) mod error;
pub(crate) mod inspect;
pub(crate) mod open;
pub(crate) mod read_only;
pub(crate) mod schema;
