//! What the model makes of text from elsewhere, for those who try any bytes on it.

use super::guest::{GuestIdentity, Startup, TaskEnd};
use super::id::{NodeName, TokenId, Upid};
use super::text::{clean, near, quoted, without_token_ids};
use crate::model::access::certificate::Fingerprint;
use crate::model::load::energy::{in_bounds, parse_meter};
use crate::model::select::glob;
use crate::model::upkeep::backup::read_log;

/// Something that reads what others wrote, and its name.
pub(crate) type Reader = (&'static str, fn(&[u8]));

/// Each reader with its name.
pub(crate) const READERS: &[Reader] = &[
    ("text", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        drop((clean(&text), quoted(&text), without_token_ids(&text)));
        drop(near(&text, ["hostname", "ssh_port"]));
    }),
    ("ids", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        drop((text.parse::<Upid>(), text.parse::<NodeName>(), text.parse::<TokenId>(), text.parse::<Fingerprint>()));
        drop((GuestIdentity::new(&text), TaskEnd::of_exit_status(&text)));
        let _ = Startup::parse(&text);
    }),
    ("meter", |bytes| {
        let watts = parse_meter(&String::from_utf8_lossy(bytes));
        drop(watts.and_then(|watts| in_bounds(watts, Some(200.0), true)));
    }),
    ("backup-log", |bytes| drop(read_log(String::from_utf8_lossy(bytes).lines()))),
    ("pattern", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (pattern, name) = text.split_once('\n').unwrap_or((&text, "web-01"));
        let _ = glob::matches(pattern, name);
    }),
];
