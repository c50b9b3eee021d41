//! A definition and a destination's settings become a [`Destination`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::definition::{Definition, Protocol};
use super::settings::{Filled, check};
use super::{Common, Destination, HttpTarget, SettingError, SettingValue, Transport, smtp};

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
        Ok(Self::with(name, definition, recipients, common, transport))
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

    fn with(
        name: &str,
        definition: &Definition,
        recipients: Vec<Arc<str>>,
        common: Common,
        transport: Transport,
    ) -> Self {
        Self {
            name: name.into(),
            provider: definition.name.as_str().into(),
            channel: definition.channel,
            recipients,
            concurrency: common.concurrency.unwrap_or(definition.concurrency).max(1),
            timeout: common.timeout.unwrap_or(TIMEOUT),
            retry: common.retry,
            transport,
        }
    }
}
