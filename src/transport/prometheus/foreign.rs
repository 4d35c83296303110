//! What this room reads of what Prometheus sends, for those who try any bytes on it.

use super::{client, query};

/// Each reader with its name.
pub(crate) const READERS: &[(&str, fn(&[u8]))] = &[
    ("samples", |bytes| drop(query::found(bytes, 0))),
    ("prometheus-error", |bytes| {
        let _ = client::is_page(bytes);
        drop(client::shown(&String::from_utf8_lossy(bytes)));
    }),
];
