//! Whether a host is idle: what needs it now, and for how long nothing has, as far as somebody looked.

pub(crate) mod average;
pub(crate) mod explain;
pub(crate) mod hours;
pub(crate) mod need;
pub(crate) mod settings;
pub(crate) mod window;

pub(crate) use self::need::{Need, NeedKind};
pub(crate) use self::settings::IdleSettings;
pub(crate) use self::window::{IdleRecord, Look, Verdict};

#[cfg(test)]
mod tests;
