//! Where an event's id, type and time stand, as a definition writes it: a path, a table, or a list of those.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Places in the order in which they are looked at; the first one that holds something wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(pub Vec<Place>);

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Names joined by dots, in the body.
    Path {
        /// For example `data.id`.
        path: String,
        /// What is put before the value that stands there.
        prefix: String,
    },
    /// A header.
    Header {
        /// Its name.
        name: String,
        /// Why it is believed though the signature doesn't cover it; none if it does.
        unsigned: Option<String>,
    },
    /// The SHA-256 of the body, in hex; for an id only.
    HashOfBody,
    /// Always this text; for a type only.
    Text(String),
}

/// Where the time of an event stands, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePlace {
    /// Names joined by dots, in the body.
    pub path: String,
    /// How the time is written there.
    pub unit: TimeUnit,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// RFC 3339 text.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// The table form of a place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceTable {
    path: Option<String>,
    prefix: Option<String>,
    header: Option<String>,
    unsigned: Option<String>,
    hash: Option<Hashed>,
    text: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Hashed {
    Body,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeTable {
    path: String,
    #[serde(default)]
    unit: TimeUnit,
}

impl TryFrom<PlaceTable> for Place {
    type Error = &'static str;

    fn try_from(table: PlaceTable) -> Result<Self, Self::Error> {
        let PlaceTable { path, prefix, header, unsigned, hash, text } = table;
        match (path, header, hash, text) {
            (Some(path), None, None, None) if unsigned.is_none() => {
                Ok(Self::Path { path, prefix: prefix.unwrap_or_default() })
            }
            (None, Some(name), None, None) if prefix.is_none() => {
                Ok(Self::Header { name, unsigned })
            }
            (None, None, Some(Hashed::Body), None) if prefix.is_none() && unsigned.is_none() => {
                Ok(Self::HashOfBody)
            }
            (None, None, None, Some(text)) if prefix.is_none() && unsigned.is_none() => {
                Ok(Self::Text(text))
            }
            _ => Err(
                "a place has exactly one of `path` (with or without `prefix`), `header` (with or without \
                 `unsigned`), `hash` and `text`",
            ),
        }
    }
}

/// Reads a `T` from text or from a table.
struct TextOrTable<T>(PhantomData<T>);

trait FromTextOrTable: Sized {
    type Table: for<'de> Deserialize<'de>;
    const EXPECTED: &'static str;
    fn from_text(text: &str) -> Self;
    fn from_table(table: Self::Table) -> Result<Self, &'static str>;
}

impl FromTextOrTable for Place {
    type Table = PlaceTable;
    const EXPECTED: &'static str =
        "a path such as \"data.id\" or a table such as { header = \"…\" }";

    fn from_text(text: &str) -> Self {
        Self::Path { path: text.to_owned(), prefix: String::new() }
    }

    fn from_table(table: PlaceTable) -> Result<Self, &'static str> {
        table.try_into()
    }
}

impl FromTextOrTable for TimePlace {
    type Table = TimeTable;
    const EXPECTED: &'static str = "a path such as \"timestamp\" or a table such as { path = \"created\", unit = \"seconds\" }";

    fn from_text(text: &str) -> Self {
        Self { path: text.to_owned(), unit: TimeUnit::Rfc3339 }
    }

    fn from_table(table: TimeTable) -> Result<Self, &'static str> {
        Ok(Self { path: table.path, unit: table.unit })
    }
}

impl<'de, T: FromTextOrTable> Visitor<'de> for TextOrTable<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let table = T::Table::deserialize(MapAccessDeserializer::new(map))?;
        T::from_table(table).map_err(Error::custom)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextOrTable(PhantomData))
    }
}

impl<'de> Deserialize<'de> for TimePlace {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextOrTable(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Places;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}, or a list of those", Place::EXPECTED)
            }

            fn visit_str<E>(self, text: &str) -> Result<Places, E> {
                Ok(Places(vec![Place::from_text(text)]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Places, A::Error> {
                TextOrTable(PhantomData).visit_map(map).map(|place| Places(vec![place]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Places, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Places)
            }
        }

        from.deserialize_any(OneOrMore)
    }
}
