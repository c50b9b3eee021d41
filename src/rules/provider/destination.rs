//! A definition and a destination's settings become a [`Destination`].

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::definition::{Definition, Protocol, Scope};
use super::settings::{Filled, check};
use super::{
    Common, Destination, HttpTarget, OnAmbiguous, Rate, SettingError, SettingValue, Transport, smtp,
};
use crate::clock::parse_duration;
use crate::rules::template::{Channel, Form};

/// The longest that one attempt takes unless the destination says otherwise. Standard Webhooks asks for 15 to 30 s.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Destination {
    /// Fills a definition with a destination's settings. Unknown and missing settings are errors too.
    pub fn compile(
        name: &str,
        definition: &Arc<Definition>,
        settings: &BTreeMap<String, SettingValue>,
        common: Common,
    ) -> Result<Self, Vec<SettingError>> {
        let filled = check(definition, settings)?;
        let whole = |message: String| vec![SettingError { setting: None, message, hint: None }];
        let transport = match definition.protocol {
            Protocol::Http => {
                Transport::Http(Box::new(HttpTarget::compile(definition, &filled).map_err(whole)?))
            }
            Protocol::Smtp => {
                let text = |name: &str| match filled.get(name) {
                    Some(Filled::Text(text)) => Ok(text.as_str()),
                    _ => Err(whole(format!("a provider over smtp needs the setting `{name}`"))),
                };
                Transport::Smtp(Box::new(smtp::parse(text("url")?, text("from")?).map_err(whole)?))
            }
            Protocol::Console => Transport::Console,
            Protocol::Inbox => Transport::Inbox,
        };
        let to = definition.settings.iter().find(|s| s.recipient).and_then(|s| filled.get(&s.name));
        let recipients =
            to.map(|v| v.texts().into_iter().map(Arc::from).collect()).unwrap_or_default();
        let published = definition.rate.as_ref().and_then(|rate| {
            parse_duration(&rate.per).map(|per| Rate { max: rate.max.max(1), per })
        });
        // A text message twice costs twice and alarms twice; most other places recognise or forgive a repetition.
        let on_ambiguous = match definition.channel {
            Channel::Sms => OnAmbiguous::Park,
            _ => OnAmbiguous::Retry,
        };
        let form = definition.form();
        Ok(Self {
            name: name.into(),
            provider: definition.name.as_str().into(),
            channel: form.channel,
            escape: form.escape,
            recipients,
            concurrency: common.concurrency.unwrap_or(definition.concurrency).max(1),
            timeout: common.timeout.unwrap_or(TIMEOUT),
            retry: common.retry,
            rate: common.rate.or(published),
            rate_group: rate_group(name, definition, &filled),
            on_ambiguous: common.on_ambiguous.unwrap_or(on_ambiguous),
            fallback: common.fallback,
            transport,
        })
    }

    /// How its messages are written.
    pub fn form(&self) -> Form {
        Form { channel: self.channel, escape: self.escape }
    }

    /// `text` with the destination's secrets replaced by `***`.
    pub fn redact(&self, text: String) -> String {
        match &self.transport {
            Transport::Http(target) => target.redact(&text),
            Transport::Smtp(target) => match &target.credentials {
                Some((_, password)) if !password.expose().is_empty() => {
                    text.replace(password.expose(), "***")
                }
                _ => text,
            },
            Transport::Console | Transport::Inbox => text,
        }
    }
}

/// What the provider counts together with this destination.
fn rate_group(
    name: &str,
    definition: &Definition,
    settings: &BTreeMap<String, Filled>,
) -> Arc<str> {
    match definition.rate.as_ref().map(|rate| rate.scope) {
        Some(Scope::Account) => {
            // A name that no destination can have, and nothing of the secrets themselves.
            let mut hash = DefaultHasher::new();
            for setting in definition.settings.iter().filter(|setting| setting.secret) {
                settings.get(&setting.name).map(Filled::texts).hash(&mut hash);
            }
            format!("{}/{:016x}", definition.name, hash.finish()).into()
        }
        Some(Scope::Destination) | None => name.into(),
    }
}
