//! Reading JSON as Perl writes it: numbers as strings, strings as numbers, booleans as 0, 1 or "", fields that
//! are null or missing. No field's value can fail an answer; only text that is no JSON can.

mod value;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use self::value::AnyValue;
pub(super) use self::value::{Value, flag, mac};

/// The most entries that a list may have.
pub(super) const MAX_ENTRIES: usize = 100_000;

/// What is read from a JSON object, field by field. Of a key that comes twice the last value counts.
pub(super) trait Record<'de>: Default {
    /// Takes the value of `key` from `map`, or skips it.
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Skips a value, for `Record::field`.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// An object, or `None` where something else stands.
pub(super) struct Entry<R>(pub(super) Option<R>);

impl<'de, R: Record<'de>> Deserialize<'de> for Entry<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor(PhantomData))
    }
}

struct EntryVisitor<R>(PhantomData<R>);

/// The methods of a visitor that give `$none` for every value that is neither a list nor an object.
macro_rules! scalars_are {
    ($none:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($none)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($none)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($none)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($none)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($none)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($none)
        }
    };
}

impl<'de, R: Record<'de>> Visitor<'de> for EntryVisitor<R> {
    type Value = Entry<R>;

    scalars_are!(Entry(None));

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Entry<R>, A::Error> {
        AnyValue.visit_seq(seq).map(|_| Entry(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<R>, A::Error> {
        let mut record = R::default();
        while let Some(Key(key)) = map.next_key()? {
            record.field(&key, &mut map)?;
        }
        Ok(Entry(Some(record)))
    }
}

#[path = "lenient/texts.rs"]
mod texts;
pub(super) use self::texts::Texts;

/// The key of an object, borrowed where it holds no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// A list of objects. What is no object is left out and counted; what is no list is an empty one.
#[derive(Debug)]
pub(super) struct Entries<R> {
    pub(super) list: Vec<R>,
    pub(super) dropped: usize,
}

impl<R> Default for Entries<R> {
    fn default() -> Self {
        Entries { list: Vec::new(), dropped: 0 }
    }
}

impl<'de, R: Record<'de>> Deserialize<'de> for Entries<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<R>(PhantomData<R>);

impl<'de, R: Record<'de>> Visitor<'de> for EntriesVisitor<R> {
    type Value = Entries<R>;

    scalars_are!(Entries::default());

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries<R>, A::Error> {
        let mut entries = Entries::default();
        while let Some(Entry(entry)) = seq.next_element()? {
            match entry {
                Some(record) => entries.list.push(record),
                None => entries.dropped += 1,
            }
            if entries.list.len() + entries.dropped > MAX_ENTRIES {
                return Err(too_many());
            }
        }
        Ok(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entries<R>, A::Error> {
        AnyValue.visit_map(map).map(|_| Entries::default())
    }
}

/// A list of objects, or why there is none: only a list says what there is, and nothing else may stand for an empty one.
pub(super) enum Told<R> {
    List(Entries<R>),
    /// An error's own words, where there are some.
    Nothing(Option<String>),
}

impl<R> Told<R> {
    /// The entries; if none of its entries could be read, the content of the list is unknown.
    pub(super) fn entries(self) -> Result<Entries<R>, Option<String>> {
        match self {
            Told::List(entries) if entries.list.is_empty() && entries.dropped > 0 => Err(None),
            Told::List(entries) => Ok(entries),
            Told::Nothing(why) => Err(why),
        }
    }
}

impl<'de, R: Record<'de>> Deserialize<'de> for Told<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToldVisitor(PhantomData))
    }
}

struct ToldVisitor<R>(PhantomData<R>);

impl<'de, R: Record<'de>> Visitor<'de> for ToldVisitor<R> {
    type Value = Told<R>;

    scalars_are!(Told::Nothing(None));

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Told<R>, A::Error> {
        EntriesVisitor(PhantomData).visit_seq(seq).map(Told::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Told<R>, A::Error> {
        let failed = EntryVisitor::<Failed>(PhantomData).visit_map(map)?.0.unwrap_or_default();
        Ok(Told::Nothing(failed.0.and_then(|error| error.desc.or(error.class))))
    }
}

/// What QEMU sends instead of an answer: `{"error":{"class":"GenericError","desc":"..."}}`.
#[derive(Default)]
struct Failed(Option<QmpError>);

#[derive(Default)]
struct QmpError {
    class: Option<String>,
    desc: Option<String>,
}

impl<'de> Record<'de> for Failed {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key == "error" {
            self.0 = map.next_value::<Entry<QmpError>>()?.0;
            return Ok(());
        }
        skip(map)
    }
}

impl<'de> Record<'de> for QmpError {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "class" => self.class = map.next_value::<Value<'_>>()?.string(),
            "desc" => self.desc = map.next_value::<Value<'_>>()?.string(),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A list of objects where nothing but a list will do: an empty list says that there is nothing, which an answer of
/// another kind does not.
pub(super) struct Rows<R>(pub(super) Vec<R>);

impl<'de, R: Record<'de>> Deserialize<'de> for Rows<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entries { list, dropped } = deserializer.deserialize_seq(EntriesVisitor(PhantomData))?;
        if list.is_empty() && dropped > 0 {
            return Err(D::Error::custom("none of its entries is an object"));
        }
        Ok(Rows(list))
    }
}

pub(super) fn too_many<E: Error>() -> E {
    E::custom(format_args!("a list has more than {MAX_ENTRIES} entries"))
}

/// PVE's envelope: what stands under `data`.
pub(super) struct Envelope<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<T> {
            type Value = Envelope<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `data`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<T>, A::Error> {
                let mut data = None;
                while let Some(Key(key)) = map.next_key()? {
                    if key == "data" {
                        data = Some(map.next_value()?);
                    } else {
                        skip(&mut map)?;
                    }
                }
                data.map(Envelope).ok_or_else(|| A::Error::missing_field("data"))
            }
        }
        deserializer.deserialize_map(EnvelopeVisitor(PhantomData))
    }
}
