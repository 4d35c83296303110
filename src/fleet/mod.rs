pub(crate) mod host_facts;
pub(crate) mod onboard;
