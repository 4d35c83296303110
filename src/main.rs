mod config;
mod fleet;
mod model;
mod state;
mod transport;

fn main() {}
