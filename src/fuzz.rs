//! The root of `fuzz/`: all that ecobox reads of what others send, for libFuzzer. ecobox is a program without a library, so
//! its rooms are taken in as they are; `main` knows nothing of this file.
#![no_main]
#![allow(dead_code, unused_imports, reason = "what only the program uses is not used here")]

mod config;
mod consent;
mod error;
mod exit;
mod file;
mod fleet;
mod foreign;
mod model;
mod state;
mod transport;
mod ui;

libfuzzer_sys::fuzz_target!(|input: &[u8]| foreign::read(input));
