//! One value of JSON, as far as a field can need it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::text::{LONGEST, LONGEST_NAME, cut};

/// The longest text that is kept, in characters: `smbios1` may have 512, with the names of its fields around them.
const LONGEST_TEXT: usize = 1024;

/// The greatest byte count that is believed: 1 EiB.
const MAX_BYTES: f64 = 1_152_921_504_606_846_976.0;

/// Any JSON value, as far as a field can need it. Texts are borrowed from the body where they hold no escapes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::transport::pve) enum Value<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A list or an object, where a field has none.
    Nested,
}

impl<'a> Value<'a> {
    /// A text that is not empty, up to the longest that Proxmox VE writes; a number as its digits, for Perl makes numbers
    /// of texts like `100`.
    pub(in crate::transport::pve) fn text(self) -> Option<Cow<'a, str>> {
        self.text_up_to(LONGEST_TEXT)
    }

    /// A name: of a guest, a pool, a lock, a state.
    pub(in crate::transport::pve) fn name(self) -> Option<Cow<'a, str>> {
        self.text_up_to(LONGEST_NAME)
    }

    /// A text of which no more is kept than so many characters: whatever is kept is shown, stored and sent on.
    pub(in crate::transport::pve) fn text_up_to(self, most: usize) -> Option<Cow<'a, str>> {
        match self {
            Value::Text(Cow::Borrowed(text)) if !text.is_empty() => Some(cut(text, most)),
            Value::Text(text) if text.len() > most => Some(cut(&text, most).into_owned().into()),
            Value::Text(text) if !text.is_empty() => Some(text),
            Value::Unsigned(number) => Some(number.to_string().into()),
            Value::Float(number) => Some(number.to_string().into()),
            _ => None,
        }
    }

    pub(in crate::transport::pve) fn string(self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }

    /// What somebody is told: as much of it as is shown.
    pub(in crate::transport::pve) fn line(self) -> Option<String> {
        self.text_up_to(LONGEST + 1).map(Cow::into_owned)
    }

    pub(in crate::transport::pve) fn name_string(self) -> Option<String> {
        self.name().map(Cow::into_owned)
    }

    /// A number from 0 to `max`; everything else is unknown.
    pub(in crate::transport::pve) fn number(&self, max: f64) -> Option<f64> {
        let number = match self {
            #[expect(clippy::cast_precision_loss, reason = "a measurement, not an id")]
            Value::Unsigned(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Text(text) => text.trim().parse().ok()?,
            Value::Null | Value::Bool(_) | Value::Nested => return None,
        };
        (0.0..=max).contains(&number).then_some(number.abs()) // not -0
    }

    /// A whole number from 0 to 2^53, its fraction cut off.
    fn whole(&self, max: f64) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`number` checked the range")]
        match self {
            Value::Unsigned(number) => self.number(max).map(|_| *number),
            _ => self.number(max).map(|number| number as u64),
        }
    }

    pub(in crate::transport::pve) fn bytes(&self) -> Option<u64> {
        self.whole(MAX_BYTES)
    }

    /// Seconds, up to some 300 years.
    pub(in crate::transport::pve) fn seconds(&self) -> Option<u64> {
        self.whole(1e10)
    }

    /// A small whole number that must be exact, as a vmid or the length of a prefix.
    pub(in crate::transport::pve) fn exact(&self) -> Option<u32> {
        match self {
            Value::Unsigned(number) => u32::try_from(*number).ok(),
            Value::Text(text) => text.parse().ok(),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared afterwards")]
            Value::Float(number) => Some(*number as u32).filter(|cut| f64::from(*cut).to_bits() == number.to_bits()),
            Value::Null | Value::Bool(_) | Value::Nested => None,
        }
    }

    /// PVE's booleans: 1, "1", `true`, "yes", "on", and their opposites; "" is false as in Perl.
    pub(in crate::transport::pve) fn flag(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            Value::Unsigned(number) => Some(*number != 0),
            Value::Float(number) => Some(*number != 0.0),
            Value::Text(text) => flag(text),
            Value::Null | Value::Nested => None,
        }
    }
}

/// A boolean as PVE's configuration files and answers spell it.
pub(in crate::transport::pve) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" | "" => Some(false),
        _ => None,
    }
}

/// A hardware address of six bytes, lower case and with colons. Proxmox VE writes `BC:24:11:…`, Windows `BC-24-11-…`,
/// switches `bc24.1100.0064`; agents and people copy each of them.
pub(in crate::transport::pve) fn mac(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups_of = |mark: char, length: usize| text.split(mark).all(|group| group.len() == length && digits(group));
    let is_one = match text.len() {
        17 => groups_of(':', 2) || groups_of('-', 2),
        14 => groups_of('.', 4),
        12 => digits(text),
        _ => false,
    };
    let bytes = text.chars().filter(char::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase());
    let colon = |place: usize| (place > 0 && place.is_multiple_of(2)).then_some(':');
    is_one.then(|| bytes.enumerate().flat_map(|(place, digit)| colon(place).into_iter().chain([digit])).collect())
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

pub(super) struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        #[expect(clippy::cast_precision_loss, reason = "serde_json gives only negative numbers here")]
        Ok(u64::try_from(value).map_or(Value::Float(value as f64), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Nested)
    }
}
