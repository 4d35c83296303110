pub(crate) mod host_facts;
