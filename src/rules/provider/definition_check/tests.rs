//! Definitions with mistakes, and what is said of them.

use super::*;

fn refused(body: &str) -> String {
    let text = format!(
        "name = \"x\"\nchannel = \"text\"\n[[settings]]\nname = \"url\"\nkind = \"url\"\n[[settings]]\nname = \"who\"\nrecipient = true\n{body}"
    );
    let problems = Definition::parse(&text).expect_err("it should be refused");
    let shown = problems.into_iter().map(|p| {
        let place = p.span.map(|s| text[s].to_owned()).unwrap_or_default();
        format!("{} [{place}] {}", p.message, p.hint.unwrap_or_default())
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_definition_says_what_is_wrong_with_it_and_where() {
    let cases = [
        ("", "a provider over http needs [request]"),
        (
            "[request]\nurl = \"{text}\"",
            "a url begins with https:// or a setting of kind url [\"{text}\"]",
        ),
        (
            "[request]\nurl = \"https://{event_type}.example.com/\"",
            "the host can't come from a placeholder",
        ),
        ("[request]\nurl = \"{url}.example.com\"", "a url setting is followed by"),
        ("[request]\nurl = \"http://example.com/\"", "a url begins with https://"),
        (
            "[request]\nurl = \"{url}\"\njson = { a = [{ b = \"{txt}\" }] }",
            "`{txt}` is no setting and no variable [\"{txt}\"] did you mean `{text}`?",
        ),
        ("[request]\nurl = \"{url}\"\njson = { a = \"{who}\" }", "write `{recipient}`"),
        ("[request]\nurl = \"{url}\"\njson = { a = \"{text\" }", "`{` is never closed"),
        ("[request]\nurl = \"{url}\"\njson = { a = \"{text|slack}\" }", "escaped already"),
        ("[request]\nurl = \"{url}\"\njson = { a = \"{rule|upper}\" }", "`upper` is no filter"),
        ("[request]\nurl = \"{url}\"\njson = { a = \"{item}\" }", "$each"),
        ("[request]\nurl = \"{url}\"\njson = { a = \"{signature}\" }", "hmac-sha256"),
        ("[request]\nurl = \"{url}\"\njson = { \"$when\" = \"{text}\" }", "`$when` is unknown"),
        ("[request]\nurl = \"{url}\"\njson = { \"$if\" = \"a{text}\" }", "$if is one placeholder"),
        ("[request]\nurl = \"{url}\"\nmethod = \"{event_type}\"", "only settings can stand here"),
        ("[request]\nurl = \"{url}\"\njson = {}\nform = {}", "one of json, form and text"),
        (
            "[request]\nurl = \"{url}\"\njson = { a = 1 }\n[[request.limit]]\nat = \"/a\"\nmax = 3",
            "no leaf of the body [\"/a\"]",
        ),
        (
            "[request]\nurl = \"{url}\"\njson = { a = \"x {text}\" }\n[[request.limit]]\nat = \"/a\"\nmax = 30\noverflow = \"split\"",
            "only a leaf that is `{text}`",
        ),
        ("[request]\nurl = \"{url}\"\nbogus = 1", "unknown field `bogus`"),
        ("[request]\nurl = \"{url}\"\n[[verdict]]\nstatus = 99\nthen = \"sent\"", "no HTTP status"),
        (
            "[request]\nurl = \"{url}\"\n[[verdict]]\nmatches = \"(\"\nthen = \"sent\"",
            "no regular expression",
        ),
        ("[request]\nurl = \"{url}\"\n[[wait]]\nunit = \"seconds\"", "either header or json"),
        ("[request]\nurl = \"{url}\"\n[[wait]]\njson = \"retry\"", "is no JSON pointer"),
        ("[request]\nurl = \"{url}\"\n[values.a]\nfrom = \"{b}\"", "`{b}` is no setting"),
    ];
    for (body, expected) in cases {
        let got = refused(body);
        assert!(got.contains(expected), "{body}\n{got}");
    }
}
