//! The source definitions in the binary.

/// Their names and texts, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("basic", include_str!("../../../sources/basic.toml")),
    ("bearer", include_str!("../../../sources/bearer.toml")),
    ("github", include_str!("../../../sources/github.toml")),
    ("gitlab", include_str!("../../../sources/gitlab.toml")),
    ("hmac", include_str!("../../../sources/hmac.toml")),
    ("none", include_str!("../../../sources/none.toml")),
    ("replicer", include_str!("../../../sources/replicer.toml")),
    ("retell", include_str!("../../../sources/retell.toml")),
    ("shopify", include_str!("../../../sources/shopify.toml")),
    ("slack", include_str!("../../../sources/slack.toml")),
    ("standard-webhooks", include_str!("../../../sources/standard-webhooks.toml")),
    ("stripe", include_str!("../../../sources/stripe.toml")),
    ("svix", include_str!("../../../sources/svix.toml")),
    ("twilio", include_str!("../../../sources/twilio.toml")),
    ("vapi", include_str!("../../../sources/vapi.toml")),
];

/// The text of the built-in definition `name`.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::Definition;
    use super::*;

    #[test]
    fn every_built_in_definition_can_be_read_and_bears_its_name() {
        assert!(BUILT_IN.len() >= 15 && BUILT_IN.is_sorted());
        for (name, text) in BUILT_IN {
            let definition = Definition::parse(text).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(&definition.name, name);
            assert!(!definition.title.is_empty(), "{name} has a title");
            assert!(definition.sample.is_some(), "{name} has a sample");
        }
    }

    #[test]
    fn every_shipped_definition_is_built_in() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sources");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let built_in: Vec<_> = BUILT_IN.iter().map(|(name, _)| format!("{name}.toml")).collect();
        assert_eq!(names, built_in);
    }
}
