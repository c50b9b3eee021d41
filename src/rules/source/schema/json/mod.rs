//! JSON Schema as a person writes it, read with the place of every mistake.
//!
//! Read are `type` (also a list), `properties`, `required`, `enum`, `const`, `items`, `additionalProperties`,
//! `description`, `format: date-time`, `anyOf`, `oneOf`, and `$ref` to a place in the same file. What only narrows
//! values (`minLength`, `pattern`, …) means nothing to a check and is passed over; what changes the shape and isn't
//! read (`allOf`, `if`, …) gives a warning, and then nothing is known of that value.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Schema;
use crate::rules::source::FieldType;

/// How deep schemas may nest, references included: past that nothing is known, so that one that refers to itself ends.
const DEEPEST: usize = 24;

/// So many values are read in all, so that references can't multiply without end.
const MOST: usize = 20_000;

/// One thing that is wrong with a schema file, or suspicious in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    /// `bad-schema` or `schema-keyword`.
    pub code: &'static str,
    /// Whether the file can't be used.
    pub error: bool,
    /// The bytes that are meant.
    pub span: Range<usize>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Keywords that say nothing of a value's shape.
const PASSED_OVER: [&str; 31] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "$defs",
    "definitions",
    "$vocabulary",
    "id",
    "title",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "contentEncoding",
    "contentMediaType",
    "propertyNames",
];

/// Keywords that change a value's shape and aren't read.
const NOT_READ: [&str; 15] = [
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "patternProperties",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "prefixItems",
    "additionalItems",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
];

/// Keywords that are read.
const READ: [&str; 12] = [
    "type",
    "properties",
    "required",
    "enum",
    "const",
    "items",
    "additionalProperties",
    "description",
    "format",
    "anyOf",
    "oneOf",
    "$ref",
];

/// Reads the JSON Schema of an event type's data. The schema is there if no problem is an error.
pub fn read(text: &str) -> (Option<Schema>, Vec<SchemaProblem>) {
    let mut reader = Reader { text, problems: Vec::new(), root: None, left: MOST };
    let root = match serde_json::from_str::<&RawValue>(text) {
        Ok(root) => root,
        Err(e) => {
            let at = offset(text, e.line(), e.column());
            let message = e.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            reader.error(at..at, format!("this is no JSON: {message}"), None);
            return (None, reader.problems);
        }
    };
    reader.root = Some(root);
    let schema = reader.schema(root, 0);
    let span = reader.span(root);
    let object = schema.kinds.is_empty() || schema.is(FieldType::Object);
    if !object && reader.problems.iter().all(|p| !p.error) {
        let hint = "write `\"type\": \"object\"` with `\"properties\"`";
        reader.error(span, "an event's data is an object".to_owned(), Some(hint.to_owned()));
    }
    let sound = !reader.problems.iter().any(|p| p.error);
    // A file that is found through a reference more than once says its problems once.
    reader.problems.sort_by_key(|p| (p.span.start, p.span.end));
    reader.problems.dedup();
    (sound.then_some(schema), reader.problems)
}

/// Where a line and a column (in bytes, both from 1) are.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    text.floor_char_boundary((start + column.saturating_sub(1)).min(text.len()))
}

struct Reader<'t> {
    text: &'t str,
    problems: Vec<SchemaProblem>,
    root: Option<&'t RawValue>,
    left: usize,
}

/// An object's entries in the order of the file, with the place of each key.
type Entries<'t> = Vec<(Cow<'t, str>, Range<usize>, &'t RawValue)>;

impl<'t> Reader<'t> {
    fn schema(&mut self, value: &'t RawValue, depth: usize) -> Schema {
        self.left = self.left.saturating_sub(1);
        if depth > DEEPEST || self.left == 0 {
            return Schema::anything();
        }
        match value.get() {
            "true" => return Schema::anything(),
            "false" => {
                self.error(self.span(value), "`false` allows nothing".to_owned(), None);
                return Schema::anything();
            }
            _ => {}
        }
        let Some(entries) = self.object(value, "a schema") else { return Schema::anything() };
        let mut schema = Schema { nullable: false, ..Schema::anything() };
        let mut required: Option<Vec<(String, Range<usize>)>> = None;
        let (mut any, mut named, mut additional) = (false, false, None);
        let (mut typed, mut time) = (false, false);
        for (key, at, value) in entries {
            match &*key {
                "type" => {
                    typed = true;
                    self.types(value, &mut schema);
                }
                "description" => schema.doc = self.text(value, &key).unwrap_or_default(),
                "format" => {
                    let format = self.text(value, &key).unwrap_or_default();
                    time = ["date-time", "date"].contains(&&*format);
                }
                "enum" | "const" => {
                    let values = if &*key == "const" {
                        vec![value]
                    } else {
                        self.list(value, &key).unwrap_or_default()
                    };
                    self.values(&values, typed, &mut schema);
                }
                "properties" => {
                    named = true;
                    for (name, _, value) in self.object(value, "`properties`").unwrap_or_default() {
                        let field = self.schema(value, depth + 1);
                        schema.fields.insert(name.into_owned(), field);
                    }
                }
                "required" => {
                    let names = self.list(value, &key).unwrap_or_default();
                    let names = names.into_iter().filter_map(|name| {
                        Some((self.text(name, "an item of `required`")?, self.span(name)))
                    });
                    required = Some(names.collect());
                }
                "additionalProperties" => additional = Some(value.get() != "false"),
                "items" => schema.items = Some(Box::new(self.schema(value, depth + 1))),
                "anyOf" | "oneOf" => {
                    let options = self.list(value, &key).unwrap_or_default();
                    let options: Vec<_> =
                        options.into_iter().map(|o| self.schema(o, depth + 1)).collect();
                    any |= union(options, &mut schema);
                }
                "$ref" => {
                    if let Some(found) = self.refer(value, depth) {
                        let doc = std::mem::take(&mut schema.doc);
                        schema = found;
                        if !doc.is_empty() {
                            schema.doc = doc;
                        }
                        return schema;
                    }
                    any = true;
                }
                key if NOT_READ.contains(&key) => {
                    any = true;
                    let hint = "nothing is checked at this place; say the shape with `type`, `properties` and `items`";
                    self.warn(at, format!("`{key}` is not read"), hint.to_owned());
                }
                key if PASSED_OVER.contains(&key) || key.starts_with("x-") => {}
                key => {
                    let near = READ
                        .iter()
                        .map(|k| (strsim::jaro_winkler(k, key), k))
                        .filter(|(likeness, _)| *likeness > 0.84)
                        .max_by(|a, b| a.0.total_cmp(&b.0));
                    let hint = match near {
                        Some((_, near)) => format!("did you mean `{near}`?"),
                        None => {
                            "it means nothing here; a note of your own begins with `x-`".to_owned()
                        }
                    };
                    self.warn(at, format!("`{key}` is no keyword of JSON Schema"), hint);
                }
            }
        }
        // A person who lists the fields wants a typo to be found, so no word of others means that there are none.
        schema.open = additional.unwrap_or(!named) && (!typed || schema.is(FieldType::Object));
        if time {
            for kind in schema.kinds.iter_mut().filter(|k| **k == FieldType::String) {
                *kind = FieldType::Time;
            }
        }
        if named && schema.kinds.is_empty() && !any {
            schema.kinds.push(FieldType::Object);
        }
        let listed: Vec<&str> = required.iter().flatten().map(|(name, _)| name.as_str()).collect();
        for (name, field) in &mut schema.fields {
            field.nullable |= !listed.contains(&name.as_str());
        }
        if named {
            for (name, at) in required.iter().flatten() {
                if !schema.fields.contains_key(name) && !schema.open {
                    let message =
                        format!("`required` names `{name}`, which is not in `properties`");
                    self.warn(at.clone(), message, "add it, or remove it here".to_owned());
                }
            }
        }
        if any {
            return Schema { doc: schema.doc, ..Schema::anything() };
        }
        schema
    }

    fn types(&mut self, value: &'t RawValue, schema: &mut Schema) {
        let all = if value.get().starts_with('[') {
            self.list(value, "type").unwrap_or_default()
        } else {
            vec![value]
        };
        for value in all {
            let Some(name) = self.text(value, "type") else { continue };
            let kind = match &*name {
                "null" => {
                    schema.nullable = true;
                    continue;
                }
                "string" => FieldType::String,
                "integer" => FieldType::Integer,
                "number" => FieldType::Number,
                "boolean" => FieldType::Boolean,
                "object" => FieldType::Object,
                "array" => FieldType::List,
                other => {
                    let hint = match other {
                        "text" | "str" => "write \"string\"",
                        "int" | "long" => "write \"integer\"",
                        "float" | "double" => "write \"number\"",
                        "bool" => "write \"boolean\"",
                        "list" => "write \"array\"",
                        "time" | "datetime" | "date" | "timestamp" => {
                            "write \"string\" with `\"format\": \"date-time\"`"
                        }
                        _ => {
                            "the types are string, integer, number, boolean, object, array and null"
                        }
                    };
                    let message = format!("there is no type \"{other}\"");
                    self.error(self.span(value), message, Some(hint.to_owned()));
                    continue;
                }
            };
            if !schema.is(kind) {
                schema.kinds.push(kind);
            }
        }
    }

    /// The values of `enum` or `const`; they say the type where `type` doesn't.
    fn values(&mut self, values: &[&'t RawValue], typed: bool, schema: &mut Schema) {
        let mut texts = Vec::new();
        let mut others = false;
        for value in values {
            let kind = match value.get().as_bytes().first() {
                Some(b'"') => {
                    texts.extend(serde_json::from_str::<String>(value.get()).ok());
                    FieldType::String
                }
                Some(b'n') => {
                    schema.nullable |= !typed;
                    continue;
                }
                Some(b't' | b'f') => FieldType::Boolean,
                Some(b'{') => FieldType::Object,
                Some(b'[') => FieldType::List,
                _ => FieldType::Number,
            };
            others |= kind != FieldType::String;
            if !typed && !schema.is(kind) {
                schema.kinds.push(kind);
            }
        }
        if !others {
            schema.values = texts;
        }
    }

    /// `#/$defs/customer`.
    fn refer(&mut self, value: &'t RawValue, depth: usize) -> Option<Schema> {
        let written = self.text(value, "$ref")?;
        let at = self.span(value);
        let Some(pointer) = written.strip_prefix('#') else {
            let hint = "put what it refers to under `$defs` in this file: \"#/$defs/NAME\"";
            self.warn(at, "a `$ref` out of the file is not read".to_owned(), hint.to_owned());
            return None;
        };
        let mut here = self.root?;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let entries = serde_json::from_str::<Object<'t>>(here.get()).ok();
            let Some((_, inner)) = entries.and_then(|e| e.0.into_iter().find(|(k, _)| *k == step))
            else {
                let message = format!("there is nothing at \"{written}\" in this file");
                let hint = "it is written \"#/$defs/NAME\", with `$defs` at the top of the file";
                self.error(at, message, Some(hint.to_owned()));
                return None;
            };
            here = inner;
        }
        Some(self.schema(here, depth + 1))
    }

    fn object(&mut self, value: &'t RawValue, what: &str) -> Option<Entries<'t>> {
        let span = self.span(value);
        let Ok(object) = serde_json::from_str::<Object<'t>>(value.get()) else {
            self.error(span, format!("{what} is an object: {{ … }}"), None);
            return None;
        };
        let mut entries: Entries<'t> = Vec::with_capacity(object.0.len());
        let mut from = span.start;
        for (key, value) in object.0 {
            let value_span = self.span(value);
            // The key stands between the value before and its own.
            let before = &self.text[from..value_span.start];
            let start = before.find('"').map_or(from, |at| from + at);
            let end = before.rfind('"').map_or(value_span.start, |at| from + at + 1);
            from = value_span.end;
            if entries.iter().any(|(k, ..)| *k == key) {
                let hint = "remove one of them, or rename it";
                self.error(
                    start..end,
                    format!("`{key}` is here a second time"),
                    Some(hint.to_owned()),
                );
            }
            entries.push((key, start..end.max(start), value));
        }
        Some(entries)
    }

    fn list(&mut self, value: &'t RawValue, key: &str) -> Option<Vec<&'t RawValue>> {
        let list = serde_json::from_str::<List<'t>>(value.get()).ok();
        if list.is_none() {
            self.error(self.span(value), format!("`{key}` is a list: [ … ]"), None);
        }
        Some(list?.0)
    }

    fn text(&mut self, value: &'t RawValue, key: &str) -> Option<String> {
        let text = serde_json::from_str(value.get()).ok();
        if text.is_none() {
            self.error(self.span(value), format!("`{key}` is text"), None);
        }
        text
    }

    /// The bytes of a value of this text.
    fn span(&self, value: &RawValue) -> Range<usize> {
        let start = value.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let start = start.min(self.text.len());
        start..(start + value.get().len()).min(self.text.len())
    }

    fn error(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        self.problems.push(SchemaProblem { code: "bad-schema", error: true, span, message, hint });
    }

    fn warn(&mut self, span: Range<usize>, message: String, hint: String) {
        self.problems.push(SchemaProblem {
            code: "schema-keyword",
            error: false,
            span,
            message,
            hint: Some(hint),
        });
    }
}

/// Adds what any of `options` may be; true if one of them may be anything.
fn union(options: Vec<Schema>, into: &mut Schema) -> bool {
    let mut any = false;
    for option in options {
        into.nullable |= option.nullable;
        any |= option.kinds.is_empty() && option.open;
        for kind in option.kinds {
            if !into.is(kind) {
                into.kinds.push(kind);
            }
        }
        for (name, mut field) in option.fields {
            // In the other shapes it may not be there.
            field.nullable = true;
            into.fields.entry(name).or_insert(field);
        }
        into.values.extend(option.values);
        into.items = into.items.take().or(option.items);
    }
    any
}

struct Object<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    entries.push((Cow::Owned(key), value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

struct List<'t>(Vec<&'t RawValue>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = List<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(Items)
    }
}

#[cfg(test)]
mod tests;
