//! The one integration test binary: the real `ecobox` against the simulated fleet on loopback.
//!
//! A file per command in `cli/`; `layers` holds the sources to the direction of the architecture; `generated` compares
//! what is committed with what the binary makes. Whole transcripts are snapshots: `INSTA_UPDATE=always cargo test`
//! rewrites them.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be set up fails the test")]

mod cli {
    mod discover;
    mod env;
    mod first_run;
    mod init;
    mod init_facts;
    mod init_terminal;
    mod jump;
    mod real_sshd;
    mod saga;
    mod setup_token;
    mod setup_token_again;
    mod status;
    mod trust;
    mod world;
}
mod layers;
