//! What holds for every text and every event.

use proptest::prelude::*;

use super::generate::{body, condition, soup};
use super::*;

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
