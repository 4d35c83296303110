//! A list of texts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::value::{AnyValue, Value};
use super::{MAX_ENTRIES, too_many};

/// The texts of a list; what is no text is left out, and what is no list is an empty one.
#[derive(Debug, Default)]
pub(in crate::transport::pve) struct Texts(pub(in crate::transport::pve) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    scalars_are!(Texts::default());

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
        let (mut texts, mut seen) = (Vec::new(), 0);
        while let Some(value) = seq.next_element::<Value<'_>>()? {
            texts.extend(value.name_string());
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(too_many());
            }
        }
        Ok(Texts(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Texts, A::Error> {
        AnyValue.visit_map(map).map(|_| Texts::default())
    }
}
