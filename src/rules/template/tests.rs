//! Templates: what is rendered, what is refused at load, what is bounded.

use hyper::body::Bytes;

use super::*;

const CALL: &str = include_str!("../../../tests/events/call.ended.json");

fn event(body: &str) -> Event {
    Event {
        source: "replicer".into(),
        id: "evt-1".to_owned(),
        kind: "call.ended".to_owned(),
        time: "2026-04-05T14:04:00Z".parse().ok(),
        received: "2026-04-05T14:04:01Z".parse().unwrap(),
        body: Bytes::from(body.to_owned()),
    }
}

fn data(data: serde_json::Value) -> Event {
    event(&serde_json::json!({ "id": "evt-1", "event": "call.ended", "data": data }).to_string())
}

fn files(list: &[(&str, &str)]) -> Vec<TemplateFile> {
    list.iter()
        .map(|(file, text)| TemplateFile { file: (*file).to_owned(), text: (*text).to_owned() })
        .collect()
}

fn compile(list: &[(&str, &str)]) -> Templates {
    Templates::compile(&files(list)).unwrap_or_else(|p| panic!("{p:#?}"))
}

fn render(templates: &Templates, name: &str, channel: Channel, event: &Event) -> Message {
    templates.render(
        Some(name),
        Form::of(channel),
        Context { event, rule: "won deal", destination: "sales" },
    )
}

/// The text of a one-file template for plain text.
fn text(template: &str, event: &Event) -> String {
    let message = render(&compile(&[("t.hbs", template)]), "t", Channel::Text, event);
    assert_eq!(message.fallback, None, "{template}");
    message.text
}

fn problems(list: &[(&str, &str)]) -> Vec<TemplateProblem> {
    Templates::compile(&files(list)).err().unwrap_or_default()
}

/// The templates that a user begins with.
fn shipped() -> Templates {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("templates").unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        found.push(TemplateFile { file, text: std::fs::read_to_string(&path).unwrap() });
    }
    assert!(found.len() >= 10, "found only {} templates", found.len());
    Templates::compile(&found).unwrap_or_else(|p| panic!("{p:#?}"))
}

#[test]
fn the_shipped_templates_read_well_for_the_documented_call() {
    let templates = shipped();
    let event = event(CALL);
    let message = |name, channel| {
        let message = render(&templates, name, channel, &event);
        assert_eq!(message.fallback, None, "{name}");
        message
    };
    let slack = message("won-deal", Channel::Slack).text;
    assert_eq!(
        slack,
        ":tada: *Won: John Doe*\nSales Agent closed it in 4m 0s.\n> Discussed enterprise pricing. Customer interested in annual plan.\nCall back: +1234567890"
    );
    let mail = message("unhappy-customer", Channel::Email);
    assert_eq!(mail.subject.as_deref(), Some("Unhappy customer: John Doe"));
    assert_eq!(
        mail.text,
        "John Doe was not happy with a call by Sales Agent. Somebody should call back.\n\nDiscussed enterprise pricing. Customer interested in annual plan.\n\nNumber:   +1234567890\nCall:     4m 0s, outbound, 2026-04-05 14:00 UTC\nEnded:    agent_hangup\nCall id:  clx-call-001"
    );
    let sms = message("failed-call", Channel::Sms).text;
    assert_eq!(sms, "Call failed: John Doe, Sales Agent. Reason: agent_hangup");
}

#[test]
fn every_shipped_template_copes_with_nulls_and_shows_no_transcript() {
    let templates = shipped();
    let nulls = data(serde_json::json!({
        "callId": "c", "agentName": "A", "customerName": null, "customerPhone": "+15550001111", "direction": "OUTBOUND",
        "status": "failed", "duration": 0, "disconnectionReason": null, "sentiment": null, "summary": null,
        "transcript": "SECRETWORDS", "callSuccessful": null, "tokenCost": 0, "startedAt": null, "endedAt": null, "metadata": null
    }));
    let long = data(serde_json::json!({
        "callId": "c", "agentName": "A".repeat(500), "customerName": "B".repeat(500), "customerPhone": "+15550001111",
        "duration": 86_399, "disconnectionReason": "C".repeat(500), "summary": "D".repeat(5000), "transcript": "SECRETWORDS"
    }));
    let names = templates.names();
    assert_eq!(names, ["failed-call", "unhappy-customer", "won-deal"]);
    for name in names {
        for channel in [Channel::Slack, Channel::Email, Channel::Sms, Channel::Text] {
            assert!(templates.has(name, channel), "{name} {channel:?}");
            for event in [&nulls, &long, &event(CALL)] {
                let message = render(&templates, name, channel, event);
                assert_eq!(message.fallback, None, "{name}");
                assert!(
                    !message.text.contains("SECRETWORDS") && !message.text.contains("{{"),
                    "{}",
                    message.text
                );
                assert!(!message.text.contains("\n\n\n"), "{name} {channel:?}: {:?}", message.text);
                if channel == Channel::Sms {
                    assert!(
                        message.text.is_ascii() && message.text.len() <= 160,
                        "{}",
                        message.text
                    );
                }
            }
        }
    }
}

#[test]
fn numbers_keep_their_digits_and_the_envelope_wins() {
    let event = event(
        r#"{"id":"evt-1","event":"x","timestamp":"2026-04-05T14:04:00Z","data":{"tokenCost":12.50,"big":12345678901234567890.10,"id":"hidden","metadata":{"a":{"b":"deep"}}}}"#,
    );
    let got = text(
        "{{tokenCost}} {{big}} {{id}} {{data.id}} {{event}} {{timestamp}} {{source}} {{rule}} {{destination}} {{metadata.a.b}} {{data.metadata.a.b}} {{missing.thing}}",
        &event,
    );
    assert_eq!(
        got,
        "12.50 12345678901234567890.10 evt-1 hidden call.ended 2026-04-05T14:04:00Z replicer won deal sales deep deep"
    );
}

#[test]
fn the_helpers_say_it_as_a_person_would() {
    let event = data(serde_json::json!({
        "startedAt": "2026-04-05T14:00:00Z", "unix": 1_775_397_841, "duration": 3723, "zero": 0, "float": 61.9, "null": null,
        "empty": "", "summary": "Grüße an alle", "metadata": { "a": [1, "x"] }, "bad": "yesterday"
    }));
    let cases = [
        ("{{date startedAt}}", "2026-04-05 14:00 UTC"),
        ("{{date startedAt \"Europe/Berlin\" \"%d.%m.%Y %H:%M\"}}", "05.04.2026 16:00"),
        ("{{date unix}}", "2026-04-05 14:04 UTC"),
        ("{{date bad}}|{{date null}}|{{date missing}}", "yesterday||"),
        ("{{duration duration}}, {{duration}}", "1h 2m 3s, 3723"),
        (
            "{{duration zero}} {{duration float}}|{{duration null}}|{{duration bad}}",
            "0s 1m 1s||yesterday",
        ),
        ("{{truncate summary 6}} {{truncate summary 99}}", "Grüße… Grüße an alle"),
        (
            "{{default empty \"none\"}} {{default missing \"none\"}} {{default zero 5}}",
            "none none 0",
        ),
        ("{{json metadata}}", "{\"a\":[1,\"x\"]}"),
        ("{{upper summary}} {{lower summary}}", "GRÜSSE AN ALLE grüße an alle"),
        ("{{#if (eq duration 3723)}}yes{{else}}no{{/if}} {{gt duration 60}}", "yes true"),
        (
            "{{#each metadata.a as |item i|}}{{i}}={{item}}{{#unless @last}},{{/unless}}{{/each}}",
            "0=1,1=x",
        ),
        (
            "{{#each metadata}}{{@key}}:{{#each this}}{{this}}{{../../zero}}{{/each}}{{/each}}",
            "a:10x0",
        ),
        (
            "{{#each missing}}a{{else}}nothing{{/each}} {{#with metadata}}{{a.[1]}}{{/with}}",
            "nothing x",
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(text(template, &event), expected, "{template}");
    }
}

#[test]
fn event_text_is_escaped_by_the_channel_wherever_it_passes() {
    let hostile = "<!channel> & \"x\"\r\nBcc: a@b\u{202e}{{id}}";
    let event = data(serde_json::json!({ "customerName": hostile, "list": [hostile] }));
    let body = "*b* {{customerName}}|{{truncate customerName 999}}|{{default nope customerName}}|{{lookup this \"customerName\"}}|{{list}}|{{json list}}|{{#each list}}{{this}}{{/each}}|{{> _p}}";
    let templates = compile(&[
        ("t.hbs", body),
        ("t.email.hbs", "---\nsubject: S {{customerName}}\n---\ntext"),
        ("t.email.html.hbs", "<p>{{customerName}}{{upper customerName}}{{> _p}}</p>"),
        ("_p.hbs", "{{customerName}}"),
    ]);
    let slack = render(&templates, "t", Channel::Slack, &event);
    assert_eq!(slack.fallback, None);
    assert!(
        !slack.text.contains('<') && slack.text.matches("&lt;!").count() == 8,
        "{}",
        slack.text
    );
    assert!(
        slack.text.starts_with("*b* &lt;!channel&gt; &amp; \"x\"\nBcc: a@b{{id}}|"),
        "{}",
        slack.text
    );
    let sms = render(&templates, "t", Channel::Sms, &event).text;
    assert!(!sms.chars().any(|c| c.is_control() || c == '\u{202e}'), "{sms}");
    let mail = render(&templates, "t", Channel::Email, &event);
    assert_eq!(mail.subject.as_deref(), Some("S <!channel> & \"x\" Bcc: a@b{{id}}"));
    let html = mail.html.unwrap();
    assert!(!html.contains("<!") && html.matches("&lt;!").count() == 3, "{html}");
}

#[test]
fn a_template_that_fails_is_replaced_by_the_built_in_text() {
    let templates = compile(&[
        ("t.hbs", "{{#each list}}{{#each ../list}}x{{/each}}{{/each}}"),
        ("empty.hbs", "{{nothing}}"),
        ("big.hbs", "{{#each list}}{{../summary}}{{/each}}"),
    ]);
    let list: Vec<u32> = (0..200).collect();
    let event = data(
        serde_json::json!({ "customerName": "Ann <x>", "callId": "c-1", "transcript": "SECRETWORDS", "list": list, "summary": "y".repeat(2000) }),
    );
    for (name, error) in [
        ("t", "more than 10000 turns"),
        ("empty", "an empty text"),
        ("big", "past 256 KiB"),
        ("nope", "no template `nope`"),
    ] {
        let message = render(&templates, name, Channel::Slack, &event);
        let fallback = message.fallback.unwrap();
        assert!(fallback.contains(error), "{fallback}");
        assert!(
            message.text.starts_with("won deal: call.ended\ncustomerName: Ann &lt;x&gt;\n"),
            "{}",
            message.text
        );
        assert!(
            message.text.ends_with("\ncallId: c-1") && !message.text.contains("SECRETWORDS"),
            "{}",
            message.text
        );
    }
    let context = Context { event: &event, rule: "won\ndeal", destination: "d" };
    let mail = Templates::default().render(None, Form::of(Channel::Email), context);
    assert_eq!((mail.subject.as_deref(), mail.fallback), (Some("won deal: call.ended"), None));
    assert!(
        Templates::default().render(None, Form::of(Channel::Sms), context).text.chars().count()
            <= 300
    );
}

#[test]
fn a_long_empty_loop_and_copies_in_loops_are_bounded() {
    let list: Vec<u32> = (0..9_999).collect();
    let event = data(serde_json::json!({ "list": list, "filler": "z".repeat(300_000) }));
    let templates = compile(&[
        ("t.hbs", "{{#each list}}{{> _p ../this}}{{/each}}"),
        ("u.hbs", "{{#each list}}{{#if (truncate ../filler 1)}}{{/if}}{{/each}}"),
        ("_p.hbs", "{{nothing}}"),
    ]);
    for name in ["t", "u"] {
        let fallback = render(&templates, name, Channel::Text, &event).fallback.unwrap();
        assert!(fallback.contains("too much work"), "{fallback}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let deep = format!("{}{}", "{{#if a}}".repeat(3_000), "{{/if}}".repeat(3_000));
    let chain = format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}x".repeat(3_000));
    let brackets = format!("{{{{a {}", "(b ".repeat(20_000));
    // Files, what is said, and the text that is meant.
    type Case<'a> = (Vec<(&'a str, &'a str)>, &'a str, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            vec![("t.hbs", "a\n{{#if x}}\nb")],
            "{{#if}} opened at line 2 is never closed",
            "{{#if x}}",
        ),
        (
            vec![("t.hbs", "{{#if x}}{{#each y}}{{/if}}{{/each}}")],
            "{{/if}} stands where {{#each}}",
            "{{/if}}",
        ),
        (vec![("t.hbs", "a {{/if}}")], "closes a block that is not open", "{{/if}}"),
        (vec![("t.hbs", "a {{b")], "never closed with }}", "{"),
        (vec![("t.hbs", "a {{b c=}}")], "this tag can't be read", "{{b c=}}"),
        (vec![("t.hbs", "ü {{{raw}}}")], "would skip escaping", "{{{raw}}}"),
        (vec![("t.hbs", "{{&raw}}")], "would skip escaping", "{{&raw}}"),
        (vec![("t.hbs", "{{#*inline \"a\"}}x{{/inline}}")], "not supported", "{{#*inline \"a\"}}"),
        (vec![("t.hbs", "{{> (lookup a \"b\")}}")], "can't be computed", "{{> (lookup a \"b\")}}"),
        (vec![("t.hbs", "{{{{raw}}}}{{{{/raw}}}}")], "raw blocks", "{{{{raw}}}}"),
        (vec![("t.hbs", "{{#> _a}}x{{/_a}}"), ("_a.hbs", "x")], "not supported", "{{#> _a}}"),
        (vec![("t.hbs", "{{> _nope}}")], "no partial `_nope`", "{{> _nope}}"),
        (
            vec![("t.hbs", "{{> other}}"), ("other.hbs", "x")],
            "`other` is no partial",
            "{{> other}}",
        ),
        (vec![("t.hbs", "x {{dat startedAt}}")], "no helper `dat`", "{{dat startedAt}}"),
        (vec![("t.hbs", "{{#items}}x{{/items}}")], "no helper `items`", "{{#items}}"),
        (vec![("t.hbs", "{{each a}}")], "`each` is a block", "{{each a}}"),
        (vec![("t.hbs", "{{default a}}")], "2 to 2 arguments", "{{default a}}"),
        (
            vec![("t.hbs", "{{date a \"Europe/Berln\"}}")],
            "no time zone",
            "{{date a \"Europe/Berln\"}}",
        ),
        (
            vec![("t.hbs", "{{date a \"UTC\" \"%Q!%\"}}")],
            "no date format",
            "{{date a \"UTC\" \"%Q!%\"}}",
        ),
        (vec![("t.hbs", "{{log a}}")], "no helper `log`", "{{log a}}"),
        (
            vec![(
                "t.hbs",
                "{{#each a}}{{#each b}}{{#each c}}{{#each d}}x{{/each}}{{/each}}{{/each}}{{/each}}",
            )],
            "more than 3 levels",
            "{{#each d}}",
        ),
        (vec![("t.hbs", &deep)], "more than 32 levels", "{{#if a}}"),
        (vec![("t.hbs", &chain)], "more than 32 levels", "{{else if b}}"),
        (vec![("t.hbs", &brackets)], "never closed", "{"),
        (
            vec![("t.email.html.hbs", "---\nsubject: x\n---\n"), ("t.email.hbs", "x")],
            "no front matter of its own",
            "---\nsubject: x\n---\n",
        ),
        (
            vec![("t.slack.hbs", "---\nseverity: bad\n---\nx")],
            "`bad` is no severity",
            "severity: bad",
        ),
        (
            vec![("t.email.hbs", "---\nsubjekt: x\n---\n")],
            "`subjekt: x` is not known",
            "subjekt: x",
        ),
        (
            vec![("t.email.hbs", "---\nsubject: {{#if}}\n---\n")],
            "{{#if}} opened at line 1",
            "{{#if}}",
        ),
        (vec![("t.email.hbs", "---\nsubject: x\n")], "never closed", "---"),
    ];
    for (list, expected, at) in cases {
        let found = problems(&list);
        let shown = || list[0].1.chars().take(60).collect::<String>();
        let problem = found.iter().find(|p| p.message.contains(expected));
        let problem = problem.unwrap_or_else(|| panic!("{}: {expected}: {found:#?}", shown()));
        let span = problem.span.clone().unwrap();
        assert!(list[0].1[span.clone()].starts_with(at), "{}: {:?}", shown(), &list[0].1[span]);
    }
    for (file, expected) in [
        ("t.txt", "does not end"),
        ("a b.hbs", "no name"),
        ("../x.hbs", "no kind"),
        ("t.telex.hbs", "`telex`"),
        ("t.email.html.hbs", "needs a text part"),
    ] {
        let found = problems(&[(file, "x")]);
        assert!(found.iter().any(|p| p.message.contains(expected)), "{file}: {found:#?}");
    }
}

#[test]
fn cycles_of_partials_are_named() {
    let found = problems(&[
        ("t.hbs", "{{> _a}}"),
        ("_a.hbs", "{{#if x}}{{> _b}}{{/if}}"),
        ("_b.hbs", "{{> _a}}"),
    ]);
    assert!(found.iter().any(|p| p.message.ends_with("_a -> _b -> _a")), "{found:#?}");
    let mut chain: Vec<(String, String)> = (0..20)
        .map(|i| (format!("_p{i}.hbs"), format!("{{{{> _p{}}}}}{{{{> _p{}}}}}", i + 1, i + 1)))
        .collect();
    chain.push(("_p20.hbs".to_owned(), "x".to_owned()));
    let chain: Vec<(&str, &str)> = chain.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
    assert!(problems(&chain).iter().any(|p| p.message.contains("nested more than 8")));
    assert!(
        problems(&chain[13..]).iter().all(|p| p.message.contains("comes to more than")),
        "{:#?}",
        problems(&chain[13..])
    );
}

#[test]
fn the_fields_that_a_template_reads_are_known_with_their_places() {
    let source = "---\nsubject: {{ status }}\n---\nü {{customerName}} {{#if (eq metadata.kind \"x\")}}{{date startedAt}}{{/if}}{{#each items as |it|}}{{name}}{{../agentName}}{{it.x}}{{@root.callId}}{{/each}}{{> _p}}";
    let templates = compile(&[("t.email.hbs", source), ("_p.hbs", "{{summary}}")]);
    let found = templates.variables("t", Channel::Email);
    let paths: Vec<String> = found.iter().map(|v| v.path.join(".")).collect();
    assert_eq!(
        paths,
        [
            "customerName",
            "metadata.kind",
            "startedAt",
            "items",
            "items.[].name",
            "agentName",
            "items.[].x",
            "callId",
            "summary",
            "status"
        ]
    );
    for variable in found.iter().filter(|v| v.file == "t.email.hbs") {
        let last = variable.path.last().unwrap();
        assert!(source[variable.span.clone()].ends_with(last), "{variable:?}");
    }
}

#[test]
fn the_front_matter_gives_what_stands_beside_the_text() {
    let front = "---\nsubject: Lost {{customerName}}\nseverity: \"{{#if n}}Critical{{/if}}\"\ndedup: call-{{callId}}\nlink: https://crm.example.com/{{callId}}\n---\nx";
    let templates = compile(&[("t.hbs", front), ("u.hbs", "---\nlink: \"{{url}}\"\n---\nx")]);
    let event = data(serde_json::json!({
        "customerName": "A & <B>\nC", "n": 1, "callId": "c 1", "url": "javascript:alert(1)"
    }));
    let message = render(&templates, "t", Channel::Slack, &event);
    assert_eq!(message.subject.as_deref(), Some("Lost A & <B> C"));
    assert_eq!(message.severity, Some(Severity::Critical));
    assert_eq!(message.dedup.as_deref(), Some("call-c 1"));
    assert_eq!(message.link, None, "no URL has a space");
    assert_eq!(render(&templates, "u", Channel::Text, &event).link, None);
    let link = |url: &str| {
        render(&templates, "u", Channel::Text, &data(serde_json::json!({ "url": url }))).link
    };
    assert_eq!(link("https://a.example/<!channel>"), None, "no URL has a `<`");
    let good = "https://a.example/@b?c[d]=e%20f#g";
    assert_eq!(link(good).as_deref(), Some(good));
}

#[test]
fn a_partial_reads_what_it_is_given() {
    let source = "{{#with customer}}{{> _p}}{{/with}}{{#each calls}}{{> _p}}{{/each}}{{> _p other}}{{> _p a=b}}\
                  {{#with customer as |c|}}{{c.phone}}{{/with}}{{#each map as |v k|}}{{k}}{{v.z}}{{/each}}";
    let templates = compile(&[("t.hbs", source), ("_p.hbs", "{{name}}{{@root.id}}")]);
    let found = templates.variables("t", Channel::Text);
    let mut paths: Vec<String> = found.iter().map(|v| v.path.join(".")).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "b",
            "calls",
            "calls.[].name",
            "customer",
            "customer.name",
            "customer.phone",
            "id",
            "map",
            "map.[].z",
            "other",
            "other.name"
        ]
    );
}
