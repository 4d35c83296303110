//! A simulated fleet for ecobox's tests and its demo.
#![expect(clippy::expect_used, reason = "a test helper may panic; it never meets a user's data")]

pub mod access;
pub mod host;
pub mod keys;
mod pveum;
pub mod ssh;
pub mod sshd;
