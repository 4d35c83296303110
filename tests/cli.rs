//! The one integration test binary: the real `ecobox` against the simulated fleet on loopback.
//!
//! A file per command or topic in `cli/`; `layers` holds the sources to the direction of the architecture; `generated`
//! compares what is committed with what the binary makes. Whole transcripts are snapshots beside the code:
//! `cargo insta review` shows and takes what changed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be set up fails the test")]
#![expect(clippy::too_many_lines, reason = "a table of cases is as long as it has cases")]

mod cli {
    mod addresses;
    mod advise;
    mod advise_history;
    mod asleep;
    mod broken;
    mod browser;
    mod cached;
    mod check;
    mod check_numbers;
    mod completions;
    mod concurrency;
    mod cron;
    #[cfg(feature = "demo")]
    mod demo;
    mod discover;
    mod doctor;
    mod doctor_faults;
    mod doctor_guests;
    mod doctor_leads;
    mod doctor_recorded;
    mod doctor_sleep;
    mod energy;
    pub(crate) mod env;
    mod examples;
    mod exits;
    mod exporter;
    mod faults;
    mod files;
    mod filters;
    mod first_run;
    mod fleets;
    mod formats;
    mod hangs;
    mod hints;
    mod hostile;
    mod html;
    mod html_look;
    mod identities;
    mod impostors;
    mod in_flight;
    mod init;
    mod init_facts;
    mod init_terminal;
    mod interrupted;
    mod jump;
    mod lease;
    mod lease_guests;
    mod lease_held;
    mod lease_killed;
    mod lease_signals;
    mod lease_ssh;
    mod link_local;
    mod monitors;
    mod nodes;
    mod pace;
    mod packed;
    pub(crate) mod past;
    mod past_places;
    mod past_prometheus;
    mod past_rrd;
    pub(crate) mod past_status;
    mod plain;
    pub(crate) mod power;
    mod power_bulk;
    mod power_checks;
    mod power_courses;
    mod power_down;
    mod power_faults;
    mod power_fresh;
    mod power_hosts;
    mod power_idle;
    mod power_idle_real;
    mod power_races;
    mod power_refusals;
    mod power_text;
    mod power_torn;
    mod power_until;
    mod power_wake;
    pub(crate) mod power_who;
    mod power_words;
    mod real_pve;
    mod real_sshd;
    mod real_stats;
    mod saga;
    mod schemas;
    mod secrets;
    mod selection;
    mod setup_token;
    mod setup_token_again;
    mod setup_trust;
    mod ssh_config;
    mod sshds;
    mod states;
    mod stats;
    mod stats_agent;
    mod stats_asked;
    mod status;
    mod tokens;
    mod trust;
    mod volume;
    mod watch;
    mod watch_ends;
    mod watch_page;
    mod watch_screen;
    mod watching;
    mod world;
}
mod circles;
mod generated;
mod layers;
