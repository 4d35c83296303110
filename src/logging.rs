//! The log on stderr: how much of it, and in which form.

use std::io;

use crate::cli::{Global, LogFormat};
use crate::ui;

/// `-q`, `-v..`, `ECOBOX_LOG`, then the configuration's `log_level`, in this order; warnings if nothing is said.
pub(crate) fn start_log(global: &Global, configured: Option<&str>) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;
    let level = match (global.quiet, global.verbose) {
        (true, _) => Some(LevelFilter::ERROR),
        (_, 0) => None,
        (_, 1) => Some(LevelFilter::INFO),
        (_, 2) => Some(LevelFilter::DEBUG),
        _ => Some(LevelFilter::TRACE),
    };
    // Libraries stay at warnings: at trace they would print packets.
    let ours = |level: LevelFilter| Targets::new().with_default(LevelFilter::WARN).with_target("ecobox", level);
    let environment = || std::env::var("ECOBOX_LOG").ok().and_then(|text| text.parse::<LevelFilter>().ok());
    let file = || configured.and_then(|text| text.parse::<LevelFilter>().ok());
    let filter = ours(level.or_else(environment).or_else(file).unwrap_or(LevelFilter::WARN));
    let registry = tracing_subscriber::registry().with(filter);
    let ansi = global.color.decide(&io::stderr());
    let layer = tracing_subscriber::fmt::layer().with_writer(ui::log::writer);
    match global.log_format {
        LogFormat::Text => {
            registry.with(layer.with_ansi(ansi).with_target(false).fmt_fields(ui::log::fields())).init();
        }
        LogFormat::Json => registry.with(layer.event_format(ui::log::JsonLine)).init(),
    }
}
