//! One mail over SMTP.
//!
//! Each mail has a connection of its own: lettre's idle pooled connections break when a server closes them
//! (<https://github.com/lettre/lettre/issues/743>), and a bridge sends few mails. The caller bounds the time of the whole.

use std::error::Error;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::send::Attempted;
use crate::rules::provider::{Meaning, Outgoing, SmtpSecurity, SmtpTarget, Verdict};

/// The longest to connect; the attempt's own time-out bounds the rest, which lettre's doesn't
/// (<https://github.com/lettre/lettre/issues/1027>).
const CONNECT: Duration = Duration::from_secs(10);

/// Sends one mail to the recipient of `outgoing`.
pub(super) async fn send(target: &SmtpTarget, outgoing: &Outgoing<'_>) -> Attempted {
    let mail = match mail(target, outgoing) {
        Ok(mail) => mail,
        Err(reason) => return Attempted::impossible(reason),
    };
    let transport = match transport(target) {
        Ok(transport) => transport,
        Err(reason) => return Attempted::failed(reason),
    };
    match transport.send(mail).await {
        Ok(answer) => {
            let status = status(answer.code());
            let words = answer.message().collect::<Vec<_>>().join(" ");
            Attempted {
                verdict: Verdict { meaning: Meaning::Sent, detail: tidy(&format!("SMTP {status} {words}")) },
                status: Some(status),
            }
        }
        Err(e) => {
            let code = e.status().map(status);
            let meaning =
                if e.is_permanent() { Meaning::Final } else { Meaning::Retry { after: None } };
            let mut detail = match code {
                Some(code) => format!("SMTP {code}"),
                None => format!("{}: {e}", target.host),
            };
            let mut cause = e.source();
            while let Some(error) = cause {
                detail.push_str(&format!(": {error}"));
                cause = error.source();
            }
            if let Some((_, password)) = &target.credentials {
                detail = detail.replace(password.expose(), "***");
            }
            Attempted { verdict: Verdict { meaning, detail: tidy(&detail) }, status: code }
        }
    }
}

fn status(code: lettre::transport::smtp::response::Code) -> u16 {
    code.into()
}

/// One line of at most 200 characters.
fn tidy(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

fn transport(target: &SmtpTarget) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let tls = match target.security {
        SmtpSecurity::None => Tls::None,
        SmtpSecurity::StartTls => Tls::Required(parameters(&target.host)?),
        SmtpSecurity::Tls => Tls::Wrapper(parameters(&target.host)?),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(target.host.as_str())
        .port(target.port)
        .tls(tls)
        .timeout(Some(CONNECT));
    if let Some((user, password)) = &target.credentials {
        transport =
            transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(transport.build())
}

/// The machine's certificates, or Mozilla's where the machine has none.
fn parameters(host: &str) -> Result<TlsParameters, String> {
    let of = |store| {
        TlsParameters::builder(host.to_owned()).certificate_store(store).build_rustls()
    };
    of(CertificateStore::Default)
        .or_else(|_| of(CertificateStore::WebpkiRoots))
        .map_err(|e| format!("TLS can't be set up: {e}"))
}

/// Mail's dates have whole seconds.
fn date(at: jiff::Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_second()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn mail(target: &SmtpTarget, outgoing: &Outgoing<'_>) -> Result<Message, String> {
    let from: Mailbox = target.from.parse().map_err(|e| format!("`from` is no address: {e}"))?;
    let recipient = outgoing.recipient.ok_or("a mail needs a recipient: set `to`")?;
    let to: Mailbox = recipient.parse().map_err(|e| format!("`{recipient}` is no address: {e}"))?;
    // The same on every attempt of one notification: mail programs show a mail that comes twice once.
    let id = format!("<{}@{}>", outgoing.key, from.email.domain());
    let subject = outgoing.message.subject.as_deref().unwrap_or(outgoing.rule);
    let mail = Message::builder()
        .from(from)
        .to(to)
        .subject(subject)
        .date(date(outgoing.now))
        .message_id(Some(id))
        // Nobody's holiday responder should answer to this (RFC 3834).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
    let text = outgoing.message.text.clone();
    match &outgoing.message.html {
        Some(html) => mail.multipart(MultiPart::alternative_plain_html(text, html.clone())),
        None => mail.singlepart(
            SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text),
        ),
    }
    .map_err(|e| format!("the mail can't be built: {e}"))
}
