//! What is wrong with a definition that has the right shape: placeholders that name nothing, a host that data could
//! choose, limits of leaves that are not there.

use std::collections::BTreeSet;

use super::definition::{Auth, Definition, Kind, Protocol, RequestDefinition};
use super::pattern::{Hole, Part, Pattern, Variable};
use super::verdict::Row;
use crate::clock::parse_duration;

impl Definition {
    /// What is wrong, each with the text that is meant.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut names = BTreeSet::new();
        for s in &self.settings {
            if !names.insert(s.name.as_str()) {
                found.push((s.name.clone(), format!("setting `{}` is defined twice", s.name)));
            }
            if s.kind == Kind::Choice && s.choices.is_empty() {
                found.push((s.name.clone(), format!("setting `{}` has no choices", s.name)));
            }
            if Variable::named(&s.name).is_some() || RESERVED.contains(&s.name.as_str()) {
                found.push((s.name.clone(), format!("setting `{}` has a reserved name", s.name)));
            }
        }
        if self.settings.iter().filter(|s| s.recipient).count() > 1 {
            found.push((self.name.clone(), "only one setting can be the recipient".to_owned()));
        }
        if let Some(rate) = &self.rate
            && (rate.max == 0 || parse_duration(&rate.per).is_none_or(|per| per.is_zero()))
        {
            let message = "write `rate` as { max = 1, per = \"1s\" }, both more than nothing";
            found.push(("rate".to_owned(), message.to_owned()));
        }
        for name in self.one_of.iter().flatten() {
            if !self.setting(name).is_some_and(|s| s.optional) {
                found.push((
                    name.clone(),
                    format!("one_of names `{name}`, which is no optional setting"),
                ));
            }
        }
        match (&self.request, self.protocol) {
            (Some(request), Protocol::Http) => self.request_problems(request, &mut found),
            (None, Protocol::Http) => {
                found.push((self.name.clone(), "a provider over http needs [request]".to_owned()));
            }
            (Some(_), _) => {
                found.push((
                    "[request]".to_owned(),
                    "[request] is for protocol = \"http\" only".to_owned(),
                ));
            }
            (None, _) => {}
        }
        for pointer in self.words.iter().chain(self.verdicts.iter().filter_map(Row::pointer)) {
            if !pointer.starts_with('/') {
                found.push((
                    pointer.clone(),
                    format!("`{pointer}` is no JSON pointer such as `/message`"),
                ));
            }
        }
        found
    }

    fn request_problems(&self, request: &RequestDefinition, found: &mut Vec<(String, String)>) {
        let mut check = |text: &str| match Pattern::parse(text) {
            Err(message) => {
                found.push((text.to_owned(), message));
                None
            }
            Ok(pattern) => {
                for hole in pattern.holes() {
                    if let Hole::Setting(name, _) = hole {
                        match self.setting(name) {
                            None => found.push((text.to_owned(), format!("`{{{name}}}` is no setting and no variable"))),
                            Some(s) if s.recipient => found.push((
                                text.to_owned(),
                                format!("write `{{recipient}}` instead of `{{{name}}}`: each recipient gets its own request"),
                            )),
                            Some(_) => {}
                        }
                    }
                }
                Some(pattern)
            }
        };
        let url = check(&request.url);
        let mut patterns: Vec<&str> = vec![&request.method];
        patterns.extend(request.headers.values().filter_map(toml::Value::as_str));
        match &request.auth {
            Some(Auth::Bearer(value) | Auth::Header { value, .. }) => patterns.push(value),
            Some(Auth::Basic { user, password }) => patterns.extend([user.as_str(), password]),
            None => {}
        }
        if let Some(json) = &request.json {
            leaves(json, &mut patterns);
        }
        for value in request.form.iter().flat_map(toml::Table::values) {
            leaves(value, &mut patterns);
        }
        for pattern in patterns {
            check(pattern);
        }
        if request.json.is_some() && request.form.is_some() {
            found.push(("form".to_owned(), "a body is either json or form".to_owned()));
        }
        if let Some(url) = url
            && let Err(message) = self.check_host(&url)
        {
            found.push((request.url.clone(), message));
        }
        for name in [request.extra_headers.as_ref(), request.sign.as_ref().map(|s| &s.secret)]
            .into_iter()
            .flatten()
        {
            if self.setting(name).is_none() {
                found.push((name.clone(), format!("`{name}` is no setting")));
            }
        }
        for limit in &request.limits {
            let body =
                request.json.clone().or_else(|| request.form.clone().map(toml::Value::Table));
            if !body.is_some_and(|b| has_leaf(&b, &limit.at)) {
                found.push((
                    limit.at.clone(),
                    format!("the limit's `{}` is no leaf of the body", limit.at),
                ));
            }
        }
    }

    /// The host comes from the file or from settings, never from an event.
    fn check_host(&self, url: &Pattern) -> Result<(), String> {
        let is_url = |name: &str| self.setting(name).is_some_and(|s| s.kind == Kind::Url);
        let rest = match url.parts.first() {
            Some(Part::Hole(Hole::Setting(name, _))) if is_url(name) => {
                return match url.parts.get(1) {
                    None => Ok(()),
                    Some(Part::Text(t)) if t.starts_with(['/', '?']) => Ok(()),
                    Some(_) => Err("a url setting is followed by `/`, `?` or nothing".to_owned()),
                };
            }
            Some(Part::Text(t)) => {
                t.strip_prefix("https://").ok_or("a url begins with https:// or a url setting")?
            }
            _ => return Err("a url begins with https:// or a setting of kind url".to_owned()),
        };
        if url.parts.len() > 1 && !rest.contains('/') {
            return Err(
                "the host can't come from a placeholder; use a setting of kind url".to_owned()
            );
        }
        Ok(())
    }
}

/// Keys of `[destinations.NAME]` that every provider has.
const RESERVED: [&str; 6] = ["provider", "concurrency", "timeout", "retry", "fallback", "if"];

/// Every text of a body tree.
fn leaves<'a>(value: &'a toml::Value, into: &mut Vec<&'a str>) {
    match value {
        toml::Value::String(s) => into.push(s),
        toml::Value::Array(list) => list.iter().for_each(|v| leaves(v, into)),
        toml::Value::Table(table) => table.values().for_each(|v| leaves(v, into)),
        _ => {}
    }
}

/// Whether `pointer` leads to a text of the tree.
fn has_leaf(value: &toml::Value, pointer: &str) -> bool {
    let Some(pointer) = pointer.strip_prefix('/') else { return value.is_str() };
    let (head, rest) = match pointer.find('/') {
        Some(at) => pointer.split_at(at),
        None => (pointer, ""),
    };
    let next = match value {
        toml::Value::Table(t) => t.get(head),
        toml::Value::Array(a) => head.parse::<usize>().ok().and_then(|i| a.get(i)),
        _ => None,
    };
    next.is_some_and(|v| if rest.is_empty() { v.is_str() } else { has_leaf(v, rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        let text = format!(
            "name = \"x\"\nchannel = \"text\"\n[[settings]]\nname = \"url\"\nkind = \"url\"\n[[settings]]\nname = \"who\"\nrecipient = true\n{body}"
        );
        let problems = Definition::parse(&text).expect_err("it should be refused");
        problems.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_definition_says_what_is_wrong_with_it() {
        let cases = [
            ("", "a provider over http needs [request]"),
            ("[request]\nurl = \"{text}\"", "a url begins with https:// or a setting of kind url"),
            (
                "[request]\nurl = \"https://{event_type}.example.com/\"",
                "the host can't come from a placeholder",
            ),
            ("[request]\nurl = \"{url}.example.com\"", "a url setting is followed by"),
            ("[request]\nurl = \"http://example.com/\"", "a url begins with https://"),
            (
                "[request]\nurl = \"{url}\"\njson = { a = \"{nope}\" }",
                "`{nope}` is no setting and no variable",
            ),
            ("[request]\nurl = \"{url}\"\njson = { a = \"{who}\" }", "write `{recipient}`"),
            ("[request]\nurl = \"{url}\"\njson = { a = \"{text\" }", "`{` is never closed"),
            ("[request]\nurl = \"{url}\"\njson = {}\nform = {}", "either json or form"),
            (
                "[request]\nurl = \"{url}\"\njson = { a = 1 }\n[[request.limit]]\nat = \"/a\"\nmax = 3",
                "no leaf of the body",
            ),
            ("[request]\nurl = \"{url}\"\nbogus = 1", "unknown field `bogus`"),
            (
                "[request]\nurl = \"{url}\"\n[[verdict]]\nstatus = 99\nthen = \"sent\"",
                "no HTTP status",
            ),
        ];
        for (body, expected) in cases {
            let got = refused(body);
            assert!(got.contains(expected), "{body}\n{got}");
        }
    }
}
