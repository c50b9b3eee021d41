//! `hookbell send`: one real test message, over the real sender, without a running bridge.

use std::sync::Arc;

use anyhow::anyhow;
use hyper::body::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::terminal::{BAD, GOOD};
use super::{Answer, Config, Failure, block_on, did_you_mean, print, print_json, sample, terminal};
use crate::clock::Clock;
use crate::config::{self, Secrets};
use crate::event::Event;
use crate::pipeline;
use crate::rules::Rules;
use crate::rules::provider::{Destination, Meaning, Outgoing, Transport, Verdict};
use crate::rules::template::{Context, Message};

/// What a test message begins with, so that nobody takes it for a real one.
const MARK: &str = "[TEST]";
/// The rule that a test message names.
const RULE: &str = "hookbell send";

/// The options of `send`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The destination's name in the configuration; each of its recipients gets the message
    destination: String,
    /// The words of this template instead of the built-in text
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Print one JSON object: destination, and the outcome for each recipient
    #[arg(long)]
    json: bool,
}

/// Sends; yes is the answer if the provider took it.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let loaded = config::load(Some(config.path()), Secrets::Required).map_err(Failure::Problems)?;
    let rules = &loaded.rules;
    let name = args.destination.as_str();
    let Some(destination) = rules.destination(name) else {
        let hint = did_you_mean(name, rules.destinations.iter().map(|d| &*d.name));
        return Err(Failure::No(anyhow!(
            "there is no destination `{}`: {hint}",
            terminal::line(name)
        )));
    };
    if matches!(destination.transport, Transport::Inbox) {
        let mend = "post an event instead: `hookbell emit`";
        return Err(Failure::No(anyhow!(
            "`{name}` is an inbox, which the running bridge keeps: {mend}"
        )));
    }
    let event = event();
    let message = message(rules, destination, args.template.as_deref(), &event)?;
    let mut attempts = block_on(attempts(destination, &message, &event))?;
    for attempt in &mut attempts {
        attempt.verdict.detail = rules.redact(std::mem::take(&mut attempt.verdict.detail));
    }
    if args.json {
        let outcomes: Vec<_> = attempts.iter().map(Attempt::json).collect();
        print_json(&json!({
            "destination": name,
            "provider": &*destination.provider,
            "template_error": message.fallback,
            "outcomes": outcomes,
        }))?;
    } else {
        let lines: String = attempts.iter().map(|a| a.told(destination)).collect();
        print(lines.as_bytes())?;
        if let Some(why) = &message.fallback {
            print(
                format!(
                    "the template failed, so the built-in text was sent: {}\n",
                    terminal::line(why)
                )
                .as_bytes(),
            )?;
        }
    }
    Ok(Answer::yes_if(message.fallback.is_none() && attempts.iter().all(Attempt::sent)))
}

/// How it went with one recipient.
struct Attempt {
    recipient: Option<Arc<str>>,
    verdict: Verdict,
}

impl Attempt {
    fn sent(&self) -> bool {
        self.verdict.meaning == Meaning::Sent
    }

    /// The word for scripts.
    fn outcome(&self) -> &'static str {
        match self.verdict.meaning {
            Meaning::Sent => "sent",
            Meaning::Retry { .. } => "retry",
            Meaning::Final | Meaning::Stop => "refused",
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "recipient": self.recipient.as_deref(),
            "outcome": self.outcome(),
            "detail": self.verdict.detail,
        })
    }

    fn told(&self, destination: &Destination) -> String {
        let to = match &self.recipient {
            Some(recipient) => format!("{}: {recipient}", destination.name),
            None => destination.name.to_string(),
        };
        let (style, word) = match self.verdict.meaning {
            Meaning::Sent => (GOOD, "sent"),
            Meaning::Retry { .. } => (BAD, "not sent now (the bridge would try again)"),
            Meaning::Final | Meaning::Stop => (BAD, "refused"),
        };
        let (to, detail) = (terminal::line(&to), terminal::line(&self.verdict.detail));
        format!("{to}: {style}{word}{style:#}: {detail}\n")
    }
}

/// One attempt for each recipient, or one where the destination has none.
async fn attempts(
    destination: &Destination,
    message: &Message,
    event: &Event,
) -> Result<Vec<Attempt>, Failure> {
    let mut recipients: Vec<_> = destination.recipients.iter().cloned().map(Some).collect();
    if recipients.is_empty() {
        recipients.push(None);
    }
    let sender = pipeline::send::Sender::new(Clock::system())?;
    let mut attempts = Vec::new();
    for recipient in recipients {
        let outgoing = Outgoing {
            message,
            key: Uuid::from_u128(fastrand::u128(..)),
            rule: RULE,
            destination: &destination.name,
            recipient: recipient.as_deref(),
            event,
            now: Clock::system().now(),
        };
        let verdict = sender.send(destination, &outgoing).await.verdict;
        attempts.push(Attempt { recipient, verdict });
    }
    Ok(attempts)
}

/// The sample as if it had just come in. It tells of a call that never was, so nothing hangs on who signed it, and it
/// is never written down.
fn event() -> Event {
    let now = Clock::system().now();
    Event {
        source: sample::KIND.into(),
        id: "evt-test".to_owned(),
        kind: "call.ended".to_owned(),
        time: Some(now),
        received: now,
        body: Bytes::from_static(sample::DOCUMENTED.as_bytes()),
    }
}

fn message(
    rules: &Rules,
    destination: &Destination,
    template: Option<&str>,
    event: &Event,
) -> Result<Message, Failure> {
    if let Some(name) = template
        && !rules.templates.has(name, destination.channel)
    {
        let hint = did_you_mean(name, rules.templates.names().into_iter());
        let name = terminal::line(name);
        return Err(Failure::No(anyhow!("there is no template `{name}` for this channel: {hint}")));
    }
    let context = Context { event, rule: RULE, destination: &destination.name };
    Ok(marked(rules.templates.render(template, destination.form(), context)))
}

/// The message with its mark where a person looks first.
fn marked(message: Message) -> Message {
    Message {
        subject: message.subject.map(|subject| format!("{MARK} {subject}")),
        text: format!("{MARK} {}", message.text),
        // A subject goes with every HTML part and carries the mark; a word before `<html>` could break the part.
        ..message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_message_says_that_it_is_one() {
        let message = marked(Message {
            subject: Some("Unhappy".to_owned()),
            text: "Call".to_owned(),
            ..Message::default()
        });
        assert_eq!(message.subject.as_deref(), Some("[TEST] Unhappy"));
        assert_eq!(message.text, "[TEST] Call");
    }

    #[test]
    fn the_event_of_a_test_is_what_its_body_says() {
        let event = event();
        let body: serde_json::Value = serde_json::from_str(event.text()).unwrap();
        assert_eq!(body["event"], event.kind.as_str());
    }

    #[test]
    fn an_outcome_has_the_providers_words_and_nothing_a_terminal_obeys() {
        let attempt = Attempt {
            recipient: Some("+1555".into()),
            verdict: Verdict { meaning: Meaning::Final, detail: "404 no\u{1b}[2J".to_owned() },
        };
        assert!(!attempt.sent());
        assert_eq!(attempt.json()["outcome"], "refused");
        assert_eq!(attempt.json()["detail"], "404 no\u{1b}[2J");
        assert!(!attempt.json().to_string().contains('\u{1b}'));
    }
}
