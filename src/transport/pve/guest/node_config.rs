//! What a node's own configuration says, as far as waking it needs it.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::first;
use crate::transport::pve::lenient::{Record, Value, mac, skip};

/// `/nodes/{node}/config`
#[derive(Default)]
pub(in crate::transport::pve) struct NodeConfig {
    /// Of `wakeonlan`, which is an address, or since 8.2 `mac=…,bind-interface=…` as well.
    mac: Option<String>,
    /// There is a `wakeonlan` without an address.
    is_odd: bool,
}

impl NodeConfig {
    /// The address, if there is one.
    ///
    /// # Errors
    /// Unknown.
    pub(in crate::transport::pve) fn told(self) -> Result<Option<String>, ()> {
        if self.is_odd { Err(()) } else { Ok(self.mac) }
    }
}

impl<'de> Record<'de> for NodeConfig {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "wakeonlan" {
            let value = map.next_value::<Value<'_>>()?;
            let is_empty = value == Value::Null || value == Value::Text(Cow::Borrowed(""));
            self.mac = value.text().and_then(|text| first(&text, "mac").and_then(mac));
            self.is_odd = self.mac.is_none() && !is_empty;
            return Ok(());
        }
        skip(map)
    }
}
