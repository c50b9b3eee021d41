//! What holds for every text and every event.

use proptest::prelude::*;

use super::*;

/// Texts that look like conditions more often than chance would have it.
fn soup() -> impl Strategy<Value = String> {
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
fn condition() -> impl Strategy<Value = String> {
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
    let leaf = prop_oneof![
        field().prop_map(str::to_owned),
        (field(), proptest::sample::select(vec!["==", "!="]), literal())
            .prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (literal(), field()).prop_map(|(a, b)| format!("{a} == {b}")),
        (
            field(),
            proptest::sample::select(vec!["<", "<=", ">", ">="]),
            proptest::sample::select(vec!["1", "2.5", "\"a\""])
        )
            .prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (field(), field()).prop_map(|(a, b)| format!("{a} <= {b}")),
        (field(), field(), literal()).prop_map(|(a, b, c)| format!("{a} in [{b}, {c}]")),
        (literal(), field()).prop_map(|(a, b)| format!("{a} in {b}")),
        field().prop_map(|a| format!("has({a})")),
        (field(), proptest::sample::select(vec!["startsWith", "endsWith", "contains", "matches"]))
            .prop_map(|(a, f)| format!("{a}.{f}(\"a\")")),
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

fn body() -> impl Strategy<Value = String> {
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

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in soup()) {
        match Condition::compile(&text, &mut Fields::default()) {
            Ok(condition) => prop_assert!(condition.tree().height <= MAX_DEPTH),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
                    prop_assert!(error.message.len() < 300 && error.hint.is_some(), "{:?}", error);
                }
            }
        }
    }

    #[test]
    fn what_is_printed_parses_to_the_same(text in prop_oneof![soup(), condition()]) {
        if let Ok(condition) = Condition::compile(&text, &mut Fields::default()) {
            let printed = condition.tree().to_string();
            let (again, _) = compile(&printed);
            prop_assert_eq!(again.tree().to_string(), printed);
        }
    }

    #[test]
    fn evaluation_trace_and_blame_agree_and_printing_keeps_the_meaning(text in condition(), body in body()) {
        let (condition, fields) = compile(&text);
        let event = event(&body);
        let values = fields.read(&event, Some("data"));
        let truth = condition.eval(&values);
        let trace = condition.trace(&values);
        prop_assert_eq!(trace.value, truth);
        prop_assert!(trace.decides);
        prop_assert_eq!(condition.unknown_fields(&values).is_empty(), truth != Truth::Unknown);
        let (printed, fields) = compile(&condition.tree().to_string());
        prop_assert_eq!(printed.eval(&fields.read(&event, Some("data"))), truth);
    }

    #[test]
    fn the_laws_of_kleene_hold(a in condition(), b in condition(), c in condition(), body in body()) {
        let event = event(&body);
        let eval = |text: String| {
            let (condition, fields) = compile(&text);
            condition.eval(&fields.read(&event, Some("data")))
        };
        prop_assert_eq!(eval(format!("not (({a}) and ({b}))")), eval(format!("not ({a}) or not ({b})")));
        prop_assert_eq!(eval(format!("not (({a}) or ({b}))")), eval(format!("not ({a}) and not ({b})")));
        prop_assert_eq!(eval(format!("({a}) and ({b})")), eval(format!("({b}) and ({a})")));
        prop_assert_eq!(eval(format!("not not ({a})")), eval(a.clone()));
        prop_assert_eq!(
            eval(format!("({a}) and (({b}) or ({c}))")),
            eval(format!("(({a}) and ({b})) or (({a}) and ({c}))"))
        );
    }

    #[test]
    fn equality_is_never_unknown_and_has_its_opposite(
        a in proptest::sample::select(vec!["a", "m.x", "l[0]", "nope"]),
        b in proptest::sample::select(vec!["b", "1", "\"a\"", "null", "[1, \"a\"]", "m"]),
        body in body(),
    ) {
        let event = event(&body);
        let eval = |text: String| {
            let (condition, fields) = compile(&text);
            condition.eval(&fields.read(&event, Some("data")))
        };
        let equal = eval(format!("{a} == {b}"));
        prop_assert_ne!(equal, Truth::Unknown);
        prop_assert_eq!(eval(format!("{b} == {a}")), equal);
        prop_assert_eq!(eval(format!("{a} != {b}")), !equal);
        prop_assert_eq!(eval(format!("{a} in [{b}]")), equal);
    }
}
