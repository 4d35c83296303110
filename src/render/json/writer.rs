//! Values as JSON on one line, for scripts and for terminals: besides what JSON wants escaped, what a terminal could act
//! on is: DEL, C1 controls, and characters that turn the direction of text.
//!
//! `serde_json` writes the numbers. Of thousands of servers with the same thirty keys it would look at each byte of each
//! key, and what it wrote would have to be looked at again.

use std::fmt;
use std::io::{self, Write};

use serde::ser::{self, Serialize, Serializer};

use crate::model::text::is_unsafe;

/// How much is gathered before it is passed on.
const FULL: usize = 64 * 1024;

/// Writes values to `out`, many at a time.
pub(super) struct Writer<W> {
    out: W,
    text: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Writer<W> {
        Writer { out, text: Vec::new() }
    }

    /// A value on a line of its own.
    pub(super) fn line<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        value.serialize(&mut *self)?;
        self.text.push(b'\n');
        Ok(())
    }

    /// Passes on what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&self.text)?;
        self.out.flush()
    }

    fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn number<T: Serialize>(&mut self, number: T) -> Result<(), Failed> {
        serde_json::to_writer(&mut self.text, &number).map_err(|error| Failed(error.into()))
    }

    fn string(&mut self, text: &str) {
        self.text.push(b'"');
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.push(text);
        } else {
            text.chars().for_each(|c| self.escaped(c));
        }
        self.text.push(b'"');
    }

    fn escaped(&mut self, c: char) {
        match c {
            '"' => self.push("\\\""),
            '\\' => self.push("\\\\"),
            '\n' => self.push("\\n"),
            '\r' => self.push("\\r"),
            '\t' => self.push("\\t"),
            '\u{8}' => self.push("\\b"),
            '\u{c}' => self.push("\\f"),
            c if is_unsafe(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    self.push(&format!("\\u{unit:04x}"));
                }
            }
            c => self.push(c.encode_utf8(&mut [0; 4])),
        }
    }

    /// Begins a list or an object.
    fn open(&mut self, begin: &str, end: &'static str) -> Open<'_, W> {
        self.push(begin);
        Open { writer: self, is_empty: true, end }
    }

    /// Begins what stands under the name of an enum's variant.
    fn open_variant(&mut self, variant: &str, begin: &str, end: &'static str) -> Open<'_, W> {
        self.push("{");
        self.string(variant);
        self.open(begin, end)
    }
}

/// A value could not be written.
#[derive(Debug)]
pub(super) struct Failed(io::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Failed {
        Failed(io::Error::other(message.to_string()))
    }
}

impl From<Failed> for io::Error {
    fn from(Failed(error): Failed) -> io::Error {
        error
    }
}

/// The methods of a serializer that write numbers.
macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(self, value: $number) -> Result<(), Failed> {
            self.number(value)
        })*
    };
}

impl<'w, W: Write> Serializer for &'w mut Writer<W> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Open<'w, W>;
    type SerializeTuple = Open<'w, W>;
    type SerializeTupleStruct = Open<'w, W>;
    type SerializeTupleVariant = Open<'w, W>;
    type SerializeMap = Open<'w, W>;
    type SerializeStruct = Open<'w, W>;
    type SerializeStructVariant = Open<'w, W>;

    numbers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    numbers!(serialize_f32: f32, serialize_f64: f64);

    fn serialize_bool(self, value: bool) -> Result<(), Failed> {
        self.push(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Failed> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Failed> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Failed> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Failed> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Failed> {
        self.push("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Failed> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<(), Failed> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), Failed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Failed> {
        let mut object = self.open("{", "}");
        ser::SerializeMap::serialize_entry(&mut object, variant, value)?;
        object.close()
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Open<'w, W>, Failed> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Open<'w, W>, Failed> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Open<'w, W>, Failed> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Open<'w, W>, Failed> {
        Ok(self.open_variant(variant, ":[", "]}"))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Open<'w, W>, Failed> {
        Ok(self.open("{", "}"))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Open<'w, W>, Failed> {
        Ok(self.open("{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Open<'w, W>, Failed> {
        Ok(self.open_variant(variant, ":{", "}}"))
    }
}

/// A list or an object that has begun.
pub(super) struct Open<'w, W> {
    writer: &'w mut Writer<W>,
    is_empty: bool,
    end: &'static str,
}

impl<W: Write> Open<'_, W> {
    fn next(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.text.push(b',');
        }
    }

    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.next();
        value.serialize(&mut *self.writer)
    }

    /// A key that is a name in the code: there is nothing to escape in it.
    fn add_named<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Failed> {
        self.next();
        self.writer.text.push(b'"');
        self.writer.push(name);
        self.writer.push("\":");
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Failed> {
        let Writer { out, text } = self.writer;
        text.extend_from_slice(self.end.as_bytes());
        if text.len() >= FULL {
            out.write_all(text).map_err(Failed)?;
            text.clear();
        }
        Ok(())
    }
}

impl<W: Write> ser::SerializeMap for Open<'_, W> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failed> {
        self.next();
        let begin = self.writer.text.len();
        key.serialize(&mut *self.writer)?;
        // A number is no key in JSON.
        if self.writer.text.get(begin) != Some(&b'"') {
            self.writer.text.insert(begin, b'"');
            self.writer.text.push(b'"');
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
        self.writer.text.push(b':');
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Failed> {
        self.close()
    }
}

/// The traits of lists, and those of objects whose keys are names in the code.
macro_rules! compounds {
    ($(list $list:ident . $element:ident),*; $(object $object:ident),*) => {
        $(impl<W: Write> ser::$list for Open<'_, W> {
            type Ok = ();
            type Error = Failed;

            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failed> {
                self.add(value)
            }

            fn end(self) -> Result<(), Failed> {
                self.close()
            }
        })*
        $(impl<W: Write> ser::$object for Open<'_, W> {
            type Ok = ();
            type Error = Failed;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Failed> {
                self.add_named(name, value)
            }

            fn end(self) -> Result<(), Failed> {
                self.close()
            }
        })*
    };
}

compounds!(
    list SerializeSeq.serialize_element, list SerializeTuple.serialize_element,
    list SerializeTupleStruct.serialize_field, list SerializeTupleVariant.serialize_field;
    object SerializeStruct, object SerializeStructVariant
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    fn written<T: Serialize>(value: &T) -> String {
        let mut written = Vec::new();
        let mut out = Writer::new(&mut written);
        out.line(value).unwrap();
        out.finish().unwrap();
        String::from_utf8(written).unwrap()
    }

    #[derive(Serialize)]
    enum Kind {
        Unit,
        New(u8),
        Pair(u8, i64),
        Named { a: Option<bool>, b: () },
    }

    #[test]
    fn every_shape_is_written_as_serde_json_does() {
        #[derive(Serialize)]
        struct All {
            kinds: Vec<Kind>,
            numbers: (u64, i8, f32, f64, f64, f64),
            by_number: BTreeMap<i16, char>,
            nothing: [u8; 0],
            empty: BTreeMap<u8, u8>,
            #[serde(flatten)]
            flat: BTreeMap<&'static str, &'static str>,
        }
        let all = All {
            kinds: vec![Kind::Unit, Kind::New(1), Kind::Pair(2, -3), Kind::Named { a: Some(true), b: () }],
            numbers: (u64::MAX, -1, 0.1, 1e300, f64::NAN, f64::INFINITY),
            by_number: [(-7, 'x'), (8, '"')].into(),
            nothing: [],
            empty: BTreeMap::new(),
            flat: [("a\"b", "c\\d")].into(),
        };
        assert_eq!(written(&all), serde_json::to_string(&all).unwrap() + "\n");
    }

    #[test]
    fn what_a_terminal_acts_on_is_escaped() {
        let text = "\"\\\u{8}\u{c}\n\r\t\0\u{1f}/ grün \u{202e}x \u{9b}2J \u{7f}\u{e0001}";
        let want = r#""\"\\\b\f\n\r\t\u0000\u001f/ grün \u202ex \u009b2J \u007f\udb40\udc01""#;
        assert_eq!(written(&text), want.to_owned() + "\n");
        assert_eq!(serde_json::from_str::<String>(want).unwrap(), text);
    }

    #[test]
    fn more_than_is_gathered_comes_whole() {
        let many = vec![vec!["x".repeat(100); 10]; 200];
        let json = written(&many);
        assert!(json.len() > 3 * FULL);
        assert_eq!(serde_json::from_str::<Vec<Vec<String>>>(&json).unwrap(), many);
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_it_was(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
