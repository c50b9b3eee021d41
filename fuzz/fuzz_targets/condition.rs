//! Any text as a condition: it compiles, or is refused with messages whose places lie in it.

#![no_main]

use hookbell::rules::condition::{Condition, parse_path};
use hookbell::rules::fields::Fields;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut fields = Fields::default();
    match Condition::compile(text, &mut fields) {
        Ok(condition) => {
            assert_eq!(condition.text(), text);
            for (path, span) in condition.paths() {
                assert!(!path.is_empty() && text.get(span.clone()).is_some(), "{path}: {span:?}");
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(text.get(error.span.clone()).is_some(), "{error:?}");
                assert!(!error.message.is_empty() && !error.code.is_empty(), "{error:?}");
            }
        }
    }
    if let Err(error) = parse_path(text) {
        assert!(text.get(error.span.clone()).is_some(), "{error:?}");
    }
});
