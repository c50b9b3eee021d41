//! What the language refuses, and in which words.

use super::*;

#[track_caller]
fn refused(text: &str) -> Vec<ConditionError> {
    match Condition::compile(text, &mut Fields::default()) {
        Ok(condition) => panic!("{text} was taken as {}", condition.tree()),
        Err(errors) => errors,
    }
}

#[test]
fn what_the_language_leaves_out_is_refused_by_name_with_what_to_write() {
    for (text, code, said) in [
        ("duration / 60 > 1", "unsupported-arithmetic", "compare with the result"),
        (
            "duration > 60 * 2",
            "unsupported-arithmetic",
            "arithmetic is not supported in conditions",
        ),
        ("-duration > 1", "unsupported-arithmetic", "arithmetic"),
        ("metadata.campaign-id == 1", "unsupported-arithmetic", "metadata[\"campaign-id\"]"),
        ("a-b == 1", "unsupported-arithmetic", "data[\"a-b\"]"),
        ("answered ? true : false", "unsupported-ternary", "two rules"),
        ("(sentiment ?? \"x\") == \"x\"", "unsupported-operator", "`??`"),
        ("metadata?.x == 1", "unsupported-operator", "`?.`"),
        ("metadata.?x == 1", "unsupported-operator", "`?.`"),
        ("tags.exists(t, t == \"a\")", "unsupported-macro", "in metadata.tags"),
        ("tags.all(t, t > 1)", "unsupported-macro", "macros"),
        ("status.startswith(\"f\")", "unknown-function", "did you mean `x.startsWith(\"…\")`?"),
        ("status.starts_with(\"f\")", "unknown-function", "x.startsWith"),
        ("status.toLowerCase() == \"x\"", "unknown-function", "x.lowerAscii()"),
        ("status.includes(\"x\")", "unknown-function", "x.contains"),
        ("len(status) > 1", "unknown-function", "size(x)"),
        ("status.upperAscii() == \"X\"", "unknown-function", "lower case"),
        ("status.frobnicate()", "unknown-function", "the functions are"),
        ("contains(status, \"x\")", "wrong-arguments", "x.contains"),
        ("has(status == 1)", "wrong-arguments", "has(x)"),
        ("status.contains()", "wrong-arguments", "x.contains"),
        ("status = \"x\"", "unsupported-operator", "write `==`"),
        ("status === \"x\"", "unsupported-operator", "write `==`"),
        ("status !== \"x\"", "unsupported-operator", "write `!=`"),
        ("status <> \"x\"", "unsupported-operator", "write `!=`"),
        ("status =~ \"x\"", "unsupported-operator", "x.matches"),
        ("duration => 5", "unsupported-operator", "write `>=`"),
        ("duration =< 5", "unsupported-operator", "write `<=`"),
        ("answered & declined", "unsupported-operator", "`and` or `&&`"),
        ("answered | declined", "unsupported-operator", "`or` or `||`"),
        ("answered AND declined", "unsupported-operator", "`and` or `&&`"),
        ("answered OR declined", "unsupported-operator", "`or` or `||`"),
        ("NOT declined", "unsupported-operator", "`not` or `!`"),
        ("answered == True", "unsupported-literal", "write `true`"),
        ("answered == FALSE", "unsupported-literal", "write `false`"),
        ("sentiment == None", "unsupported-literal", "write `null`"),
        ("sentiment == nil", "unsupported-literal", "write `null`"),
        ("sentiment == undefined", "unsupported-literal", "data.undefined"),
        ("sentiment is null", "unsupported-operator", "== null"),
        ("sentiment IS NOT NULL", "unsupported-operator", "!= null"),
        ("status like \"x%\"", "unsupported-operator", "x.contains"),
        ("status contains \"x\"", "unsupported-operator", "x.contains"),
        ("status not in [\"x\"]", "unsupported-operator", "not (x in […])"),
        ("duration between 1 and 5", "unsupported-operator", "x >= 1 and x <= 5"),
        ("1 < duration < 5", "chained-comparison", "1 < x and x < 5"),
        ("not duration > 5", "ambiguous-not", "write `not (duration > 5)`"),
        ("!status == \"x\"", "ambiguous-not", "write `!(status == \"x\")`"),
        ("status == b\"x\"", "unsupported-bytes", "\"text\""),
        ("timestamp(startedAt) > 1", "unsupported-time", "text"),
        ("x > duration(\"1h\")", "unsupported-time", "no time"),
        ("int(status) > 1", "unsupported-conversion", "never converted"),
        ("status == \"x", "unclosed-string", "end it with \""),
        ("status == 'x\n'", "unclosed-string", "end it with '"),
        ("(answered", "unclosed-bracket", "add a `)`"),
        ("status in [\"x\"", "unclosed-bracket", "add a `]`"),
        ("answered)", "unexpected-token", "there is no ("),
        ("status == \"a\" \"b\"", "unexpected-token", "join"),
        ("answered declined", "unexpected-token", "join"),
        ("status ==", "unexpected-end", "ends where a value"),
        ("== 1", "unexpected-token", "before `==`"),
        ("and answered", "unexpected-token", "data[\"and\"]"),
        ("metadata. == 1", "unexpected-token", "behind the dot"),
        ("  ", "empty-condition", "leave `when` out"),
        ("status == “x”", "unexpected-character", "use \" or '"),
        ("duration ≥ 5", "unexpected-character", "write `>=`"),
        ("$.status == 1", "unexpected-character", "name alone"),
        ("duration > 60s", "invalid-number", "`60s`"),
        ("duration > 1_000", "invalid-number", "separators"),
        ("duration > 1.2.3", "invalid-number", "`1.2.3`"),
        ("duration > 1.5u", "invalid-number", "`1.5u`"),
        ("status == \"\\d\"", "invalid-escape", "r\"\\d+\""),
        ("status == \"\\ud800\"", "invalid-escape", "no escape"),
        ("status.matches(\"(\")", "invalid-regex", "unclosed group"),
        ("status.matches(\"(?=x)\")", "invalid-regex", "look-around"),
        ("status.matches(r\"\\w{1000}{1000}\")", "regex-too-big", "smaller"),
        ("status.matches(phone)", "impossible-type", "written out"),
        ("metadata[status] == 1", "unsupported-index", "metadata[\"key\"]"),
        ("metadata[-1] == 1", "unsupported-index", "from 0"),
        ("metadata == {\"a\": 1}", "unsupported-object", "one field at a time"),
        ("event.type == \"x\"", "envelope-field", "data.event.type"),
        ("\"x\"", "impossible-type", "this is a text"),
        ("size(status)", "impossible-type", "this is a number"),
        ("answered and 5", "impossible-type", "this is a number"),
        ("status > null", "impossible-type", "null has no order"),
        ("\"a\" < 5", "impossible-type", "have no order"),
        ("status in \"abc\"", "impossible-type", "x.contains"),
        ("status.contains(5)", "impossible-type", "works on texts"),
        ("size(5) > 1", "impossible-type", "works on texts, lists"),
        ("metadata == [status]", "impossible-type", "can hold only values"),
    ] {
        let errors = refused(text);
        let first = &errors[0];
        let all = format!("{} ({})", first.message, first.hint.as_deref().unwrap_or_default());
        assert_eq!(first.code, code, "{text}: {all}");
        assert!(all.contains(said), "{text}: {all}");
        assert_eq!(errors.len(), 1, "{text} is one mistake: {errors:#?}");
        assert!(!first.message.ends_with('.'), "{all}");
        assert!(text.get(first.span.clone()).is_some(), "{text}: {:?}", first.span);
    }
}

#[test]
fn several_mistakes_are_shown_in_one_run() {
    let codes: Vec<_> = refused("status = \"x\" & duration / 60 > 1 AND answered == True")
        .iter()
        .map(|e| e.code)
        .collect();
    assert_eq!(
        codes,
        [
            "unsupported-operator",
            "unsupported-operator",
            "unsupported-arithmetic",
            "unsupported-operator",
            "unsupported-literal"
        ]
    );
    assert_eq!(refused("status.matches(\"(\") or status > null").len(), 2);
}

#[test]
fn length_is_no_depth_and_depth_is_bounded() {
    let long = vec!["a == 1"; 1_400].join(" and ");
    assert_eq!(eval(&long), Truth::False);
    for (open, inner, close) in [
        ("(", "a", ")"),
        ("not ", "a", ""),
        ("[", "", "]"),
        ("x.contains(", "a", ")"),
        ("-", "a", ""),
    ] {
        for times in [MAX_DEPTH + 1, 1_000] {
            let text = format!("{}{inner}{}", open.repeat(times), close.repeat(times));
            let codes: Vec<_> = refused(&text).iter().map(|e| e.code).collect();
            assert!(codes.contains(&"condition-too-deep"), "{open}: {codes:?}");
        }
    }
    assert_eq!(
        refused(&format!("x{}", ".lowerAscii()".repeat(1_000)))[0].code,
        "condition-too-deep"
    );
    assert_eq!(refused(&format!("x{}", ".y".repeat(1_000)))[0].code, "condition-too-deep");
    assert_eq!(eval(&format!("{}answered{}", "(".repeat(60), ")".repeat(60))), Truth::True);
    assert_eq!(refused(&" ".repeat(MAX_LENGTH + 1))[0].code, "condition-too-long");
    let regexes = vec!["a.matches(\"x\")"; 33].join(" or ");
    assert_eq!(refused(&regexes)[0].code, "too-many-regexes");
}
