//! A host as it was found: its system and ports, its ways to sleep, how it is named, how it is woken.

pub(crate) mod activity;
pub(crate) mod facts;
pub(crate) mod idle;
pub(crate) mod login;
pub(crate) mod magic_packet;
pub(crate) mod next_job;
pub(crate) mod power;
