//! What a host is asked by script, one folder a question: each script stands beside who reads its answer.

pub(crate) mod checkup;
pub(crate) mod facts;
pub(crate) mod inhibit;
pub(crate) mod load;
pub(crate) mod power;
pub(crate) mod silent_agents;
