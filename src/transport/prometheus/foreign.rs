//! What this room reads of what Prometheus sends, for those who try any bytes on it.

use crate::model::foreign::Reader;

use super::{client, query};

/// Each reader with its name.
pub(crate) const READERS: &[Reader] = &[
    ("samples", |bytes| drop(query::found(bytes, 0))),
    ("prometheus-error", |bytes| {
        let _ = client::is_page(bytes);
        drop(client::shown(&String::from_utf8_lossy(bytes)));
    }),
];
