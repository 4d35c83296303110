//! All that ecobox reads of what others send. ecobox is a program without a library: its rooms are taken in here as they are.
#![no_main]
#![allow(dead_code, unused_imports, reason = "what only the program uses is not used here")]

#[path = "../../src/config/mod.rs"]
mod config;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/file.rs"]
mod file;
#[path = "../../src/fleet/mod.rs"]
mod fleet;
#[path = "../../src/foreign.rs"]
mod foreign;
#[path = "../../src/model/mod.rs"]
mod model;
#[path = "../../src/state/mod.rs"]
mod state;
#[path = "../../src/transport/mod.rs"]
mod transport;
#[path = "../../src/ui.rs"]
mod ui;

libfuzzer_sys::fuzz_target!(|input: &[u8]| foreign::read(input));
