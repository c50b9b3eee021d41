//! What is read of a schema, and how a mistake in one is told.

use super::*;

fn schema(text: &str) -> Schema {
    let (schema, problems) = read(text);
    assert!(problems.is_empty(), "{problems:?}");
    schema.unwrap()
}

/// `code at text: message`, one line each.
fn problems(text: &str) -> Vec<String> {
    let (_, problems) = read(text);
    problems
        .iter()
        .map(|p| format!("{} at {}: {}", p.code, &text[p.span.clone()], p.message))
        .collect()
}

#[test]
fn what_a_person_writes_is_read() {
    let s = schema(
        r##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
          "required": ["id", "who", "tags"],
          "properties": {
            "id": {"type": "integer", "description": "number"},
            "at": {"format": "date-time", "type": ["string", "null"]},
            "state": {"enum": ["open", "closed", null]},
            "who": {"$ref": "#/$defs/person"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "extra": {"type": "object"},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]}
          },
          "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"},
            "boss": {"$ref": "#/$defs/person"}}, "required": ["name"]}}}"##,
    );
    assert!(!s.open);
    let field = |name: &str| &s.fields[name];
    assert_eq!((&*field("id").kinds, field("id").nullable), (&[FieldType::Integer][..], false));
    assert_eq!((&*field("at").kinds, field("at").nullable), (&[FieldType::Time][..], true));
    assert_eq!(field("state").values, ["open", "closed"]);
    assert_eq!(field("state").kinds, [FieldType::String]);
    assert!(field("extra").open && !field("who").open);
    assert!(!field("who").fields["name"].nullable && field("who").fields["boss"].nullable);
    assert_eq!(field("either").kinds, [FieldType::String]);
    assert_eq!(field("tags").items.as_ref().unwrap().kinds, [FieldType::String]);
}

#[test]
fn a_mistake_is_told_at_its_place() {
    assert_eq!(
        problems(r#"{"properties": {"a": {"type": "int"}, "a": {"typ": "string"}}}"#),
        [
            "bad-schema at \"int\": there is no type \"int\"",
            "bad-schema at \"a\": `a` is here a second time",
            "schema-keyword at \"typ\": `typ` is no keyword of JSON Schema",
        ]
    );
    assert_eq!(
        problems(r##"{"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}"##),
        ["bad-schema at \"#/$defs/b\": there is nothing at \"#/$defs/b\" in this file"]
    );
    assert_eq!(
        problems(r#"{"type": "array"}"#),
        ["bad-schema at {\"type\": \"array\"}: an event's data is an object"]
    );
    assert_eq!(problems("[]"), ["bad-schema at []: a schema is an object: { … }"]);
    assert_eq!(
        problems(r#"{"properties": {}, "required": ["x"], "allOf": []}"#),
        [
            "schema-keyword at \"x\": `required` names `x`, which is not in `properties`",
            "schema-keyword at \"allOf\": `allOf` is not read",
        ]
    );
    let broken = "{\n  \"type\": \"object\",\n}";
    let (_, found) = read(broken);
    assert_eq!(found[0].span.start, broken.rfind('}').unwrap(), "{found:?}");
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let tree = r##"{"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"$ref": "#"}}}"##;
    assert!(read(tree).0.is_some());
    let (schema, _) = read(r##"{"$ref": "#"}"##);
    assert_eq!(schema, Some(Schema::anything()));
}

#[test]
fn no_damage_can_make_it_panic() {
    let text =
        r##"{"type": ["object"], "properties": {"ü": {"enum": ["a", 1]}}, "required": ["ü"]}"##;
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        read(&text[..at]);
        for insert in ["\"", "}", "[", "{", "null", "ü", ","] {
            let damaged = format!("{}{insert}{}", &text[..at], &text[at..]);
            for p in read(&damaged).1 {
                assert!(damaged.get(p.span).is_some(), "{damaged}");
            }
        }
    }
}
