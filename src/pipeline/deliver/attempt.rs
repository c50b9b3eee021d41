//! One attempt: rendered, sent and settled, and what it tells about its destination.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::flow::Sign;
use crate::clock;
use crate::journal::{Claim, InboxMessage, Next, Outcome, Successor};
use crate::pipeline::send::{Attempted, Progress};
use crate::rules::Rules;
use crate::rules::provider::{Destination, Meaning, OnAmbiguous, Outgoing, Transport, Verdict};
use crate::rules::retry::{self, Retry};
use crate::rules::template::{Context, Message};

/// What was refused because its destination is gone is due again after so long: by then its lane has heard of it and
/// sends nothing more.
const HALTING: SignedDuration = SignedDuration::from_secs(1);

/// What an attempt tells about its destination.
#[derive(Debug)]
pub(super) struct Told {
    /// None if it says nothing: there was no attempt after all, or the message itself is to blame.
    pub(super) sign: Option<Sign>,
    /// How long the destination asks to be left alone.
    pub(super) wait: Option<Duration>,
    /// How it ended, for a person.
    pub(super) detail: String,
}

/// One attempt, from its claim to its settlement.
pub(super) async fn attempt(
    delivery: Arc<Delivery>,
    rules: Arc<Rules>,
    destination: Arc<Destination>,
    claim: Claim,
    abandon: CancellationToken,
) -> Told {
    let Delivery { journal, clock, metrics, .. } = &*delivery;
    let context =
        Context { event: &claim.event, rule: &claim.rule, destination: &claim.destination };
    let message = rules.templates.render(claim.template.as_deref(), destination.form(), context);
    if let Some(error) = &message.fallback {
        metrics.fallback(&destination.name);
        tracing::warn!(
            notification = claim.id,
            template = claim.template.as_deref().unwrap_or_default(),
            error = %error,
            "the template failed: the built-in text goes out instead"
        );
    }
    let progress = Progress::default();
    let attempted = tokio::select! {
        biased;
        attempted = make(&delivery, &destination, &claim, &message, &progress) => Some(attempted),
        () = abandon.cancelled() => progress.may_be_sent().then(|| Attempted {
            ambiguous: true,
            ..Attempted::failed("the bridge stopped before an answer came; it may have been sent".to_owned())
        }),
    };
    let ended = clock.now();
    let status = attempted.as_ref().and_then(|a| a.status);
    let sign = attempted.as_ref().and_then(sign);
    let wait = attempted.as_ref().and_then(|a| match a.verdict.meaning {
        Meaning::Retry { after } => after,
        Meaning::Sent | Meaning::Final | Meaning::Stop => None,
    });
    let (next, detail) = match attempted {
        Some(attempted) => follow(&destination, &claim, attempted, ended),
        None => (Next::HandBack, "the bridge stopped before anything was sent".to_owned()),
    };
    // Each destination's own words are masked already; a provider may also repeat what belongs to another.
    let detail = rules.redact(detail);
    metrics.attempt(&destination.name, word(next));
    if next == Next::Sent {
        metrics.end_to_end(clock::elapsed(claim.event.received, ended));
    }
    tell(&claim, next, &detail);
    let successor = matches!(next, Next::GaveUp | Next::Parked)
        .then(|| successor(&rules, &destination))
        .flatten();
    let outcome = Outcome {
        next,
        ended,
        detail: detail.clone(),
        status,
        fallback_text: message.fallback.clone(),
        successor,
    };
    let id = claim.id;
    if let Err(error) = journal.settle(claim, outcome).await {
        // Only a journal that must be reopened refuses; recovery then says that this attempt was interrupted.
        tracing::error!(notification = id, error = %error, "how an attempt ended is not recorded");
    }
    Told { sign, wait, detail }
}

/// Who takes over from `destination`.
pub(super) fn successor(rules: &Rules, destination: &Destination) -> Option<Arc<Successor>> {
    let to = rules.destination(&destination.fallback.as_ref()?.to)?;
    Some(Arc::new(Successor {
        destination: Arc::clone(&to.name),
        recipients: to.recipients.clone(),
    }))
}

fn sign(attempted: &Attempted) -> Option<Sign> {
    match (attempted.verdict.meaning, attempted.status) {
        (Meaning::Sent, _) => Some(Sign::Well),
        // A request that can't even be made says nothing of the other side.
        (Meaning::Final, status) => status.map(|_| Sign::Well),
        (Meaning::Stop, _) => Some(Sign::Gone),
        (Meaning::Retry { .. }, Some(429)) => Some(Sign::Busy),
        (Meaning::Retry { .. }, _) => Some(Sign::Failure),
    }
}

async fn make(
    delivery: &Delivery,
    destination: &Destination,
    claim: &Claim,
    message: &Message,
    progress: &Progress,
) -> Attempted {
    let now = delivery.clock.now();
    match &destination.transport {
        Transport::Inbox => {
            let kept = delivery.journal.keep_in_inbox(InboxMessage {
                notification: claim.id,
                destination: destination.name.to_string(),
                provider: destination.provider.to_string(),
                rule: claim.rule.to_string(),
                recipient: claim.recipient.as_deref().map(str::to_owned),
                subject: message.subject.clone(),
                text: message.text.clone(),
                html: message.html.clone(),
                at: now,
            });
            match kept.await {
                Ok(()) => Attempted::sent("kept in the inbox"),
                Err(e) => Attempted::failed(e.to_string()),
            }
        }
        Transport::Http(_) | Transport::Smtp(_) | Transport::Console => {
            let outgoing = Outgoing {
                message,
                key: claim.key,
                rule: &claim.rule,
                destination: &claim.destination,
                recipient: claim.recipient.as_deref(),
                event: &claim.event,
                now,
            };
            delivery.sender.attempt(destination, &outgoing, progress).await
        }
    }
}

/// What follows from a verdict, and what a person reads of it.
fn follow(
    destination: &Destination,
    claim: &Claim,
    attempted: Attempted,
    now: Timestamp,
) -> (Next, String) {
    let Attempted { verdict: Verdict { meaning, detail }, ambiguous, .. } = attempted;
    let hint = match meaning {
        Meaning::Sent => return (Next::Sent, detail),
        Meaning::Final => return (Next::GaveUp, detail),
        // The destination is at fault and not the message: it waits for the destination, or its fallback.
        Meaning::Stop => return (Next::RetryAt(now + HALTING), detail),
        Meaning::Retry { .. } if ambiguous && destination.on_ambiguous == OnAmbiguous::Park => {
            let why = "not tried again, for it may have been sent (`on_ambiguous` is \"park\")";
            return (Next::Parked, format!("{why}: {detail}"));
        }
        Meaning::Retry { after } => after,
    };
    let policy = &destination.retry;
    match retry::after(policy, claim.attempt, claim.created, now, hint, fastrand::f64()) {
        Retry::At(at) => (Next::RetryAt(at), detail),
        Retry::GiveUp(reason) => (Next::GaveUp, format!("{reason}; the last: {detail}")),
    }
}

fn word(next: Next) -> &'static str {
    match next {
        Next::Sent => "sent",
        Next::RetryAt(_) => "retry",
        Next::GaveUp => "gave_up",
        Next::Parked => "parked",
        Next::HandBack => "handed_back",
    }
}

fn tell(claim: &Claim, next: Next, detail: &str) {
    let Claim { id, destination, rule, attempt, .. } = claim;
    match next {
        Next::Sent => {
            tracing::debug!(notification = id, %destination, %rule, attempt, detail, "sent");
        }
        Next::RetryAt(at) => {
            tracing::info!(notification = id, %destination, %rule, attempt, detail, %at, "will be tried again");
        }
        Next::GaveUp | Next::Parked => {
            tracing::warn!(notification = id, %destination, %rule, attempt, detail, "gave up");
        }
        Next::HandBack => {}
    }
}
