//! What is wrong with a definition that has the right shape: placeholders that name nothing, a host that data could
//! choose, limits of leaves that are not there.

use std::collections::BTreeSet;

use regex::Regex;

use super::definition::{
    Auth, Definition, Found, Kind, Overflow, Protocol, RequestDefinition, SignDefinition, Unit,
};
use super::pattern::{Field, Hole, Name, Part, Pattern, VARIABLES, Variable};
use crate::clock::parse_duration;

impl Definition {
    /// Everything that is wrong.
    pub(super) fn problems(&self) -> Vec<Found> {
        let mut check = Check { definition: self, found: Vec::new() };
        check.head();
        check.settings();
        check.values();
        match (&self.request, self.protocol) {
            (Some(request), Protocol::Http) => check.request(request),
            (None, Protocol::Http) => {
                check.add(&["protocol"], "a provider over http needs [request]");
            }
            (Some(_), _) => {
                check.add(&["request"], "[request] is for protocol = \"http\" only");
            }
            (None, _) => {}
        }
        check.answers();
        check.found
    }
}

struct Check<'a> {
    definition: &'a Definition,
    found: Vec<Found>,
}

/// Keys of `[destinations.NAME]` that every provider has, or may come to have.
const RESERVED: [&str; 14] = [
    "provider",
    "concurrency",
    "timeout",
    "retry",
    "fallback",
    "rate",
    "pace",
    "enabled",
    "circuit",
    "max_age",
    "on_ambiguous",
    "template",
    "rich",
    "if",
];

/// Where a pattern stands decides which placeholders it may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Anywhere in the request.
    Request,
    /// In the body, within `$each`.
    Item,
    /// What is signed, and with what: not the signature itself.
    Sign,
    /// Settings only.
    Constant,
}

impl Check<'_> {
    fn add(&mut self, path: &[&str], message: impl Into<String>) {
        self.found.push(Found::at(path, message));
    }

    fn head(&mut self) {
        let d = self.definition;
        let word = |n: &str| {
            !n.is_empty()
                && n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !word(&d.name) {
            self.add(
                &["name"],
                format!("`{}` is no provider name: small letters, digits and -", d.name),
            );
        }
        if d.mentions.as_ref().is_some_and(|m| !m.bytes().all(|b| b.is_ascii_punctuation())) {
            self.add(&["mentions"], "mentions are ASCII signs such as \"@<\"");
        }
        if d.concurrency == 0 {
            self.add(&["concurrency"], "without an attempt at once nothing is ever sent");
        }
        if let Some(rate) = &d.rate
            && (rate.max == 0 || parse_duration(&rate.per).is_none_or(|per| per.is_zero()))
        {
            let found = Found::at(
                &["rate"],
                "a rate is so many messages in so long, both more than nothing",
            );
            self.found.push(found.hint("write rate = { max = 1, per = \"1s\" }"));
        }
    }

    fn settings(&mut self) {
        let d = self.definition;
        let mut names = BTreeSet::new();
        for (i, s) in d.settings.iter().enumerate() {
            let at = i.to_string();
            let mut add = |key: &str, message: String| {
                self.found.push(Found::at(&["settings", &at, key], message));
            };
            if !names.insert(s.name.as_str()) {
                add("name", format!("setting `{}` is defined twice", s.name));
            }
            if Variable::named(&s.name).is_some() || RESERVED.contains(&s.name.as_str()) {
                add("name", format!("setting `{}` has a reserved name", s.name));
            }
            if s.name.is_empty() || !s.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                add("name", format!("`{}` is no setting's name: letters, digits and _", s.name));
            }
            if s.kind == Kind::Choice && s.choices.is_empty() {
                add("kind", format!("setting `{}` has no choices", s.name));
            }
            if s.kind != Kind::Choice && !s.choices.is_empty() {
                add("choices", "choices are for kind = \"choice\"".to_owned());
            }
            if s.kind != Kind::Integer && (s.min.is_some() || s.max.is_some()) {
                add(
                    if s.min.is_some() { "min" } else { "max" },
                    "min and max are for kind = \"integer\"".to_owned(),
                );
            }
            if s.min.zip(s.max).is_some_and(|(min, max)| min > max) {
                add("max", "max is less than min".to_owned());
            }
            if s.kind != Kind::Url && s.plain_http {
                add("plain_http", "plain_http is for kind = \"url\"".to_owned());
            }
            if let Some(Err(e)) = s.pattern.as_deref().map(Regex::new) {
                add(
                    "pattern",
                    format!("it is no regular expression: {}", last_line(&e.to_string())),
                );
            }
            if let Some(text) = s.default.as_ref().and_then(toml::Value::as_str) {
                for name in self.defaults(text, i) {
                    self.add(&["settings", &at, "default"], name);
                }
            }
        }
        if let Some(second) = d.settings.iter().enumerate().filter(|(_, s)| s.recipient).nth(1) {
            self.add(
                &["settings", &second.0.to_string(), "recipient"],
                "only one setting can be the recipient",
            );
        }
        for (key, groups) in [("one_of", &d.one_of), ("all_of", &d.all_of)] {
            for name in groups.iter().flatten() {
                if !d.setting(name).is_some_and(|s| s.optional) {
                    self.add(&[key], format!("{key} names `{name}`, which is no optional setting"));
                }
            }
        }
    }

    /// What is wrong with the default of the setting at `index`: its placeholders are settings before it.
    fn defaults(&self, text: &str, index: usize) -> Vec<String> {
        let pattern = match Pattern::parse(text) {
            Ok(pattern) => pattern,
            Err(message) => return vec![message],
        };
        let earlier = |hole: &Hole| match &hole.name {
            Name::Own(name, Field::Whole) => {
                self.definition.settings[..index].iter().any(|s| s.name == *name)
            }
            _ => false,
        };
        let wrong = pattern.holes().filter(|hole| !earlier(hole));
        wrong
            .map(|_| format!("`{text}` may only name settings that are defined before it"))
            .collect()
    }

    fn values(&mut self) {
        let d = self.definition;
        for (name, value) in &d.values {
            let path = ["values", name.as_str()];
            if d.setting(name).is_some()
                || Variable::named(name).is_some()
                || RESERVED.contains(&name.as_str())
            {
                self.add(&path, format!("`{name}` is the name of something else"));
            }
            for text in &value.from {
                let at = ["values", name.as_str(), "from"];
                self.pattern(&at, text, At::Request);
                // A value of a value would need an order.
                let parsed = Pattern::parse(text).ok();
                let nested = parsed
                    .iter()
                    .flat_map(Pattern::holes)
                    .any(|h| matches!(&h.name, Name::Own(n, _) if d.values.contains_key(n)));
                if nested {
                    self.add(&at, "a value can't be made from another of [values]");
                }
            }
            let scalars = value.map.iter().flat_map(toml::Table::values).chain(&value.otherwise);
            for scalar in scalars {
                if matches!(
                    scalar,
                    toml::Value::Table(_) | toml::Value::Array(_) | toml::Value::Datetime(_)
                ) {
                    self.add(&path, "what is put for a value is a text, a number or a boolean");
                }
            }
        }
    }

    /// Checks one pattern; gives it back if it can be read.
    fn pattern(&mut self, path: &[&str], text: &str, at: At) -> Option<Pattern> {
        let pattern = match Pattern::parse(text) {
            Ok(pattern) => pattern,
            Err(message) => {
                self.add(path, message);
                return None;
            }
        };
        for hole in pattern.holes() {
            if let Some((message, hint)) = self.hole(hole, at) {
                let found = Found::at(path, message);
                self.found.push(match hint {
                    Some(hint) => found.hint(hint),
                    None => found,
                });
            }
        }
        Some(pattern)
    }

    fn hole(&self, hole: &Hole, at: At) -> Option<(String, Option<String>)> {
        let d = self.definition;
        let signs = matches!(
            d.request.as_ref().and_then(|r| r.sign.as_ref()),
            Some(SignDefinition::HmacSha256 { .. })
        );
        let plain = |message: &str| Some((message.to_owned(), None));
        match &hole.name {
            Name::Variable(Variable::Item) if at != At::Item => {
                plain("`{item}` is for what stands in a table with $each")
            }
            Name::Variable(Variable::Signature) if !signs || at == At::Sign => {
                plain("`{signature}` is what request.sign = { hmac-sha256 = … } makes")
            }
            Name::Variable(_) | Name::Rich(_) if at == At::Constant => {
                plain("only settings can stand here")
            }
            Name::Variable(Variable::Recipient) if !d.settings.iter().any(|s| s.recipient) => {
                plain("`{recipient}` needs a setting with recipient = true")
            }
            Name::Variable(_) | Name::Rich(_) => None,
            Name::Own(name, field) => match d.setting(name) {
                None if d.values.contains_key(name)
                    && *field == Field::Whole
                    && at != At::Constant =>
                {
                    None
                }
                None => {
                    let names = d.settings.iter().map(|s| s.name.as_str());
                    let all = names.chain(d.values.keys().map(String::as_str));
                    let all = all.chain(VARIABLES.into_iter().map(|(n, _)| n));
                    let close = all.max_by(|a, b| {
                        strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))
                    });
                    let hint = close.map(|c| format!("did you mean `{{{c}}}`?"));
                    Some((format!("`{{{name}}}` is no setting and no variable"), hint))
                }
                Some(s) if s.recipient => Some((
                    format!(
                        "write `{{recipient}}` instead of `{{{name}}}`: each recipient gets its own request"
                    ),
                    None,
                )),
                Some(s) if *field != Field::Whole && s.kind != Kind::Mailbox => {
                    plain(".address and .name are parts of a setting of kind mailbox")
                }
                Some(_) => None,
            },
        }
    }

    fn request(&mut self, request: &RequestDefinition) {
        self.pattern(&["request", "method"], &request.method, At::Constant);
        if let Some(url) = self.pattern(&["request", "url"], &request.url, At::Request)
            && let Err(message) = self.host(&url)
        {
            self.add(&["request", "url"], message);
        }
        for (key, table) in [("headers", &request.headers), ("query", &request.query)] {
            for (name, value) in table {
                let path = ["request", key, name.as_str()];
                match value.as_str() {
                    Some(text) => drop(self.pattern(&path, text, At::Request)),
                    None => self.add(&path, "it must be a text"),
                }
                if key == "headers" && hyper::header::HeaderName::try_from(name.as_str()).is_err() {
                    self.add(&path, format!("`{name}` is no header name"));
                }
            }
        }
        let auth = ["request", "auth"];
        match &request.auth {
            Some(Auth::Bearer(value) | Auth::Header { value, .. }) => {
                self.pattern(&auth, value, At::Request);
            }
            Some(Auth::Basic { user, password }) => {
                self.pattern(&auth, user, At::Constant);
                self.pattern(&auth, password, At::Constant);
            }
            None => {}
        }
        self.sign(request);
        let bodies = [request.json.is_some(), request.form.is_some(), request.text.is_some()];
        if bodies.into_iter().filter(|b| *b).count() > 1 {
            self.add(&["request"], "a body is one of json, form and text");
        }
        if let Some(json) = &request.json {
            self.tree(&mut vec!["request".to_owned(), "json".to_owned()], json, At::Request);
        }
        for (name, value) in request.form.iter().flatten() {
            let path = ["request", "form", name.as_str()];
            match value {
                toml::Value::String(text) => drop(self.pattern(&path, text, At::Request)),
                toml::Value::Table(_) | toml::Value::Array(_) => {
                    self.add(&path, "a form's value is a text");
                }
                _ => {}
            }
        }
        if let Some(text) = &request.text {
            self.pattern(&["request", "text"], text, At::Request);
        }
        if let Some(name) = &request.extra_headers
            && self.definition.setting(name).is_none_or(|s| s.kind != Kind::Header)
        {
            self.add(
                &["request", "extra_headers"],
                format!("`{name}` is no setting of kind header"),
            );
        }
        self.limits(request);
    }

    fn sign(&mut self, request: &RequestDefinition) {
        let path = ["request", "sign"];
        match &request.sign {
            None => {}
            Some(SignDefinition::StandardWebhooks { secret }) => {
                let found = self.definition.setting(secret);
                if !found.is_some_and(|s| s.kind == Kind::SigningKey) {
                    self.add(&path, format!("`{secret}` is no setting of kind signing-key"));
                }
            }
            Some(SignDefinition::HmacSha256 { key, content, .. }) => {
                self.pattern(&path, key, At::Sign);
                self.pattern(&path, content, At::Sign);
            }
            Some(SignDefinition::AwsSigv4 {
                service,
                region,
                access_key,
                secret_key,
                session_token,
            }) => {
                for text in
                    [service, region, access_key, secret_key].into_iter().chain(session_token)
                {
                    self.pattern(&path, text, At::Constant);
                }
            }
        }
    }

    fn limits(&mut self, request: &RequestDefinition) {
        let body = request.json.clone().or_else(|| request.form.clone().map(toml::Value::Table));
        let body = body.or_else(|| request.text.clone().map(toml::Value::String));
        for (i, limit) in request.limits.iter().enumerate() {
            let at = i.to_string();
            let path = ["request", "limit", &at, "at"];
            let leaf = body.as_ref().and_then(|b| leaf(b, &limit.at));
            match leaf {
                None => {
                    self.add(&path, format!("the limit's `{}` is no leaf of the body", limit.at));
                }
                Some(text) if limit.overflow == Overflow::Split => {
                    let whole = Pattern::parse(text).ok();
                    if !whole
                        .as_ref()
                        .and_then(Pattern::single)
                        .is_some_and(|h| h.is(Variable::Text))
                    {
                        self.add(
                            &path,
                            "only a leaf that is `{text}` and nothing else can be split",
                        );
                    }
                }
                Some(_) => {}
            }
            if limit.max == 0 || (limit.unit == Unit::Segments && limit.max > 100) {
                self.add(
                    &["request", "limit", &at, "max"],
                    format!("{} is no useful limit", limit.max),
                );
            }
        }
        let splits = request.limits.iter().filter(|l| l.overflow == Overflow::Split).count();
        if splits > 1 {
            self.add(&["request", "limit"], "only one leaf can be split");
        }
    }

    /// Every text of a body tree.
    fn tree(&mut self, path: &mut Vec<String>, value: &toml::Value, at: At) {
        match value {
            toml::Value::String(text) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.pattern(&path, text, at);
            }
            toml::Value::Array(list) => {
                for (i, item) in list.iter().enumerate() {
                    path.push(i.to_string());
                    self.tree(path, item, at);
                    path.pop();
                }
            }
            toml::Value::Table(table) => {
                let each = table.contains_key("$each");
                for (key, value) in table {
                    path.push(key.clone());
                    let steps: Vec<&str> = path.iter().map(String::as_str).collect();
                    match key.as_str() {
                        "$if" | "$unless" | "$each" => {
                            let pattern = value.as_str().and_then(|t| self.pattern(&steps, t, at));
                            if pattern.is_none_or(|p| p.single().is_none()) {
                                self.add(
                                    &steps,
                                    format!("{key} is one placeholder such as {{html}}"),
                                );
                            }
                            if key == "$each" && at == At::Item {
                                self.add(&steps, "$each can't stand within another");
                            }
                        }
                        _ if key.starts_with('$') => {
                            self.add(
                                &steps,
                                format!("`{key}` is unknown; there are $if, $unless and $each"),
                            );
                        }
                        _ => self.tree(path, value, if each { At::Item } else { at }),
                    }
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// The host comes from the file or from settings, never from an event.
    fn host(&self, url: &Pattern) -> Result<(), String> {
        let is_url = |hole: &Hole| match &hole.name {
            Name::Own(name, Field::Whole) => {
                hole.filter.is_none()
                    && self.definition.setting(name).is_some_and(|s| s.kind == Kind::Url)
            }
            _ => false,
        };
        let rest = match url.parts.first() {
            Some(Part::Hole(hole)) if is_url(hole) => {
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
                "the host can't come from a placeholder; use a setting of kind url, whose default may have one"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn answers(&mut self) {
        let d = self.definition;
        for (i, pointer) in d.words.iter().enumerate() {
            if !pointer.starts_with('/') {
                self.add(&["words", &i.to_string()], no_pointer(pointer));
            }
        }
        for (i, row) in d.verdicts.iter().enumerate() {
            for pointer in row.pointers().filter(|p| !p.starts_with('/')) {
                self.add(&["verdict", &i.to_string(), "json"], no_pointer(pointer));
            }
            for message in row.problems() {
                self.add(&["verdict", &i.to_string()], message);
            }
        }
        for (i, wait) in d.waits.iter().enumerate() {
            if let Some(message) = wait.problem() {
                self.add(&["wait", &i.to_string()], message);
            }
        }
    }
}

fn no_pointer(pointer: &str) -> String {
    format!("`{pointer}` is no JSON pointer such as `/message`")
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default().trim()
}

/// The text of the tree that `pointer` leads to.
fn leaf<'a>(value: &'a toml::Value, pointer: &str) -> Option<&'a str> {
    let Some(pointer) = pointer.strip_prefix('/') else {
        return value.as_str().filter(|_| pointer.is_empty());
    };
    let (head, rest) = match pointer.find('/') {
        Some(at) => pointer.split_at(at),
        None => (pointer, ""),
    };
    let next = match value {
        toml::Value::Table(t) => t.get(head),
        toml::Value::Array(a) => head.parse::<usize>().ok().and_then(|i| a.get(i)),
        _ => None,
    };
    next.and_then(|v| leaf(v, rest))
}

#[cfg(test)]
mod tests;
