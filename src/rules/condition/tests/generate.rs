//! Conditions and events to try out what holds for all of them.

use proptest::prelude::*;

/// Texts that look like conditions more often than chance would have it.
pub(super) fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "a",
            "b.c",
            "data",
            "event",
            "==",
            "!=",
            "<",
            ">=",
            "in",
            "and",
            "or",
            "not",
            "&&",
            "||",
            "!",
            "(",
            ")",
            "[",
            "]",
            ",",
            ".",
            "?",
            ":",
            "-",
            "+",
            "=",
            "1",
            "2.5e3",
            "0x1f",
            "1u",
            "\"t\"",
            "'",
            "\"",
            "\\",
            "r\"\\d\"",
            "true",
            "null",
            "has(",
            "size(",
            ".size()",
            ".contains(",
            ".matches(",
            ".lowerAscii()",
            ".exists(",
            "is",
            "like",
            "NOT",
            "True",
            "//",
            "\n",
            "\"\"\"",
            "{",
            "ß",
            "“",
            "timestamp(",
            "[0]",
            "[\"k\"]",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    (proptest::collection::vec(piece, 0..24), any::<bool>())
        .prop_map(|(pieces, spaced)| pieces.join(if spaced { " " } else { "" }))
}

/// Conditions that are right, without impossible types.
pub(in crate::rules) fn condition() -> impl Strategy<Value = String> {
    let field = || {
        proptest::sample::select(vec![
            "a",
            "b",
            "c",
            "m.x",
            "m[\"y z\"]",
            "l[1]",
            "l",
            "id",
            "data.id",
        ])
    };
    let literal = || {
        proptest::sample::select(vec![
            "null",
            "true",
            "1",
            "-2.50",
            "1e2",
            "007",
            "\"a\"",
            "'q\\n\"'",
            "r'\\'",
            "[1, \"a\"]",
            "[]",
        ])
    };
    let bound = || proptest::sample::select(vec!["1", "2.5", "-2.50", "1e400", "100", "\"a\""]);
    let text = || proptest::sample::select(vec!["", "a", "b", "ab", "ba", "abab", "ü", "A"]);
    let leaf = prop_oneof![
        field().prop_map(str::to_owned),
        (field(), proptest::sample::select(vec!["==", "!="]), literal())
            .prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (literal(), field()).prop_map(|(a, b)| format!("{a} == {b}")),
        (field(), proptest::sample::select(vec!["<", "<=", ">", ">="]), bound(), any::<bool>())
            .prop_map(|(a, o, b, turned)| if turned {
                format!("{b} {o} {a}")
            } else {
                format!("{a} {o} {b}")
            }),
        (field(), field()).prop_map(|(a, b)| format!("{a} <= {b}")),
        (field(), field(), literal()).prop_map(|(a, b, c)| format!("{a} in [{b}, {c}]")),
        (literal(), field()).prop_map(|(a, b)| format!("{a} in {b}")),
        field().prop_map(|a| format!("has({a})")),
        (field(), proptest::collection::vec(literal(), 0..4))
            .prop_map(|(a, list)| format!("{a} in [{}]", list.join(", "))),
        (
            field(),
            proptest::sample::select(vec!["startsWith", "endsWith", "contains", "matches"]),
            text()
        )
            .prop_map(|(a, f, t)| format!("{a}.{f}(\"{t}\")")),
        field().prop_map(|a| format!("size({a}) > 1")),
        field().prop_map(|a| format!("{a}.lowerAscii() == \"a\"")),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) || ({b}) || ({c})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) == ({b})")),
        ]
    })
}

pub(in crate::rules) fn body() -> impl Strategy<Value = String> {
    let value = || {
        proptest::sample::select(vec![
            "null",
            "true",
            "false",
            "1",
            "2.5",
            "100",
            "-2.5",
            "1e400",
            "\"a\"",
            "\"A\"",
            "\"abab\"",
            "\"üba\"",
            "\"\\u0061\"",
            "[1,\"a\"]",
            "[]",
            "{\"x\":1}",
            "{\"x\":\"a\",\"y z\":null}",
        ])
    };
    let key = proptest::sample::select(vec!["a", "b", "c", "m", "l", "id"]);
    proptest::collection::vec((key, value()), 0..7).prop_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{\"data\": {{{}}}}}", members.join(", "))
    })
}
