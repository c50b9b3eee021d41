//! The provider definitions that are part of the binary.

use std::sync::{Arc, LazyLock};

use super::Definition;

/// Every file of `providers/`, in the order of their names; the build lists them.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/providers.rs"));

static PARSED: LazyLock<Vec<Arc<Definition>>> = LazyLock::new(|| {
    // A built-in file that doesn't parse is left out rather than a panic; a test holds that none is.
    FILES.iter().filter_map(|(_, text)| Definition::parse(text).ok().map(Arc::new)).collect()
});

/// Every built-in definition, by name.
pub fn builtins() -> &'static [Arc<Definition>] {
    &PARSED
}

/// Every built-in definition with its file's text, by name.
pub fn builtin_texts() -> impl Iterator<Item = (&'static Arc<Definition>, &'static str)> {
    builtins().iter().filter_map(|d| {
        let file = format!("providers/{}.toml", d.name);
        FILES.iter().find(|(name, _)| *name == file).map(|(_, text)| (d, *text))
    })
}

/// The built-in definition of this name, if there is one.
pub fn builtin(name: &str) -> Option<Arc<Definition>> {
    builtins().iter().find(|d| d.name == name).map(Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_parses_and_is_named_after_its_definition() {
        for (file, text) in FILES {
            let definition = Definition::parse(text).unwrap_or_else(|p| panic!("{file}: {p:#?}"));
            assert_eq!(*file, format!("providers/{}.toml", definition.name));
            assert!(!definition.title.is_empty(), "{file}");
        }
        assert_eq!(builtins().len(), FILES.len());
        let files = std::fs::read_dir("providers").unwrap().count();
        assert_eq!(files, FILES.len(), "each file of providers/ is built in");
    }

    #[test]
    fn every_example_of_every_built_in_file_holds() {
        let mut found = 0;
        for definition in builtins() {
            found += definition.examples().len();
            let problems = definition.run_examples();
            assert!(problems.is_empty(), "{}: {problems:#?}", definition.name);
        }
        assert!(found >= 7, "found only {found} examples");
    }

    #[test]
    fn a_definition_with_everything_that_the_format_has_holds_its_examples() {
        let text = include_str!("everything.toml");
        let definition = Definition::parse(text).unwrap_or_else(|p| panic!("{p:#?}"));
        let problems = definition.check_examples(text);
        assert!(problems.is_empty(), "{problems:#?}");
        // An example that comes out differently is found where it stands.
        let wrong = text.replacen("\"priority\":1", "\"priority\":2", 1);
        let problems = Definition::parse(&wrong).unwrap().check_examples(&wrong);
        let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
        let place = problem.span.clone().map(|s| &wrong[s]).unwrap();
        assert!(place.contains("\"priority\":2"), "{place}");
    }
}
