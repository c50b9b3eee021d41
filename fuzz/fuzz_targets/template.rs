//! A template over an event, on every channel: a message comes out, whatever both say.
//! The input is the template, a NUL, the event's body.

#![no_main]

use std::sync::Arc;

use hookbell::event::Event;
use hookbell::rules::template::{Channel, Context, Form, TemplateFile, Templates};
use hyper::body::Bytes;

libfuzzer_sys::fuzz_target!(|input: &str| {
    let (text, body) = input.split_once('\0').unwrap_or((input, "{}"));
    let file =
        |name: &str, text: &str| TemplateFile { file: name.to_owned(), text: text.to_owned() };
    let files = [file("note.hbs", text), file("_part.hbs", text), file("_plain.hbs", "{{event}}")];
    let templates = match Templates::compile(&files) {
        Ok(templates) => templates,
        Err(problems) => {
            assert!(!problems.is_empty());
            for p in problems {
                let inside = |f: &TemplateFile| {
                    p.file != f.file
                        || p.span.as_ref().is_none_or(|s| f.text.get(s.clone()).is_some())
                };
                assert!(files.iter().all(inside), "{p:?}");
            }
            return;
        }
    };
    let event = Event {
        source: Arc::from("open"),
        id: "evt-1".to_owned(),
        kind: "call.ended".to_owned(),
        time: None,
        received: jiff::Timestamp::UNIX_EPOCH,
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    let context = Context { event: &event, rule: "a rule", destination: "sales" };
    for (_, channel) in Channel::ALL {
        let message = templates.render(Some("note"), Form::of(channel), context);
        assert!(!message.text.trim().is_empty(), "{channel:?}: {message:?}");
        let subject = message.subject.as_deref().unwrap_or_default();
        assert!(!subject.contains(['\r', '\n']), "{channel:?}: {subject:?}");
    }
    // The input of a template that reads no field is all there is to see: escaping is looked at with a plain field.
    let slack = templates.render(None, Form::of(Channel::Slack), context);
    assert!(!slack.text.contains("<!channel>"), "{}", slack.text);
});
