//! One mail over SMTP.
//!
//! Each mail has a connection of its own: lettre's idle pooled connections break when a server closes them
//! (<https://github.com/lettre/lettre/issues/743>), and a bridge sends few mails. The dialogue is led here and not by
//! lettre's transport, which counts the goodbye as a part of sending: with it, a server that takes a mail and then
//! says nothing to `QUIT` would get that mail again and again.

use std::error::Error;
use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Code, Response};
use tokio::time::timeout;

use super::send::{Attempted, CONNECT, Progress};
use crate::rules::provider::{Meaning, Outgoing, SmtpSecurity, SmtpTarget, Verdict};

/// How long a server may take to say goodbye. How the attempt ended is known by then.
const GOODBYE: Duration = Duration::from_secs(1);

/// Sends one mail to the recipient of `outgoing`, within `limit`: lettre's own time-out bounds only connecting
/// (<https://github.com/lettre/lettre/issues/1027>).
pub(super) async fn send(
    target: &SmtpTarget,
    limit: Duration,
    outgoing: &Outgoing<'_>,
    progress: &Progress,
) -> Attempted {
    let mail = match mail(target, outgoing) {
        Ok(mail) => mail,
        Err(reason) => return Attempted::impossible(reason),
    };
    let mut connection = None;
    let dialogue = async {
        let connection = connection.insert(connect(target).await?);
        talk(connection, target, &mail, progress).await
    };
    let attempted = match timeout(limit, dialogue).await {
        Ok(Ok(answer)) => taken(&answer),
        Ok(Err(error)) => refused(target, &error, progress),
        // A dialogue that was cut off can't be ended politely.
        Err(_) => return Attempted::failed(progress.timed_out(&target.host, limit)),
    };
    if let Some(mut connection) = connection {
        let _ = timeout(GOODBYE, connection.abort()).await;
    }
    attempted
}

/// A connection that is as secure as was asked for, or none.
async fn connect(target: &SmtpTarget) -> Result<AsyncSmtpConnection, Refusal> {
    let hello = ClientId::default();
    let server = (target.host.as_str(), target.port);
    let tls = match target.security {
        SmtpSecurity::Tls => Some(parameters(&target.host)?),
        SmtpSecurity::None | SmtpSecurity::StartTls => None,
    };
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, tls, None).await?;
    if target.security == SmtpSecurity::StartTls {
        if !connection.can_starttls() {
            return Err(Refusal::Words("the server offers no STARTTLS".to_owned()));
        }
        connection.starttls(parameters(&target.host)?, &hello).await?;
    }
    if let Some((user, password)) = &target.credentials {
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
    }
    Ok(connection)
}

/// Hands the mail over; what the server says to its last byte is the answer.
async fn talk(
    connection: &mut AsyncSmtpConnection,
    target: &SmtpTarget,
    mail: &Message,
    progress: &Progress,
) -> Result<Response, Refusal> {
    let envelope = mail.envelope();
    let bytes = mail.formatted();
    let offered = |extension| connection.server_info().supports_feature(extension);
    let mut parameters = Vec::new();
    let addresses = envelope.from().into_iter().chain(envelope.to());
    if addresses.map(AsRef::<str>::as_ref).any(|address| !address.is_ascii()) {
        if !offered(Extension::SmtpUtfEight) {
            let words = format!("{} takes no addresses beyond ASCII", target.host);
            return Err(Refusal::Words(words));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !bytes.is_ascii() && offered(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection.command(Mail::new(envelope.from().cloned(), parameters)).await?;
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
    progress.writing();
    Ok(connection.message(&bytes).await?)
}

/// Why a dialogue ended without a mail taken.
enum Refusal {
    /// The server's answer, or the network's.
    Smtp(smtp::Error),
    /// Ours.
    Words(String),
}

impl From<smtp::Error> for Refusal {
    fn from(error: smtp::Error) -> Self {
        Self::Smtp(error)
    }
}

fn taken(answer: &Response) -> Attempted {
    let status = status(answer.code());
    let words = answer.message().collect::<Vec<_>>().join(" ");
    Attempted::sent(&tidy(&format!("SMTP {status} {words}"))).with_status(status)
}

fn refused(target: &SmtpTarget, refusal: &Refusal, progress: &Progress) -> Attempted {
    let error = match refusal {
        Refusal::Words(words) => return Attempted::failed(words.clone()),
        Refusal::Smtp(error) => error,
    };
    let code = error.status().map(status);
    let meaning =
        if error.is_permanent() { Meaning::Final } else { Meaning::Retry { after: None } };
    let mut detail = match code {
        Some(code) => format!("SMTP {code}"),
        None => target.host.clone(),
    };
    let mut cause = error.source();
    if cause.is_none() && code.is_none() {
        detail.push_str(&format!(": {error}"));
    }
    while let Some(error) = cause {
        detail.push_str(&format!(": {error}"));
        cause = error.source();
    }
    if let Some((_, password)) = &target.credentials {
        detail = detail.replace(password.expose(), "***");
    }
    let mut detail = tidy(&detail);
    if code.is_none() {
        // A refusal says that it was not sent; a broken line doesn't.
        detail.push_str(progress.doubt());
    }
    Attempted { verdict: Verdict { meaning, detail }, status: code, ambiguous: false }
}

fn status(code: Code) -> u16 {
    code.into()
}

/// One line of at most 200 characters.
fn tidy(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// The machine's certificates, or Mozilla's where the machine has none.
fn parameters(host: &str) -> Result<TlsParameters, Refusal> {
    let of =
        |store| TlsParameters::builder(host.to_owned()).certificate_store(store).build_rustls();
    of(CertificateStore::Default)
        .or_else(|_| of(CertificateStore::WebpkiRoots))
        .map_err(|e| Refusal::Words(format!("TLS can't be set up: {e}")))
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
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    let text = outgoing.message.text.clone();
    match &outgoing.message.html {
        Some(html) => mail.multipart(MultiPart::alternative_plain_html(text, html.clone())),
        None => mail.singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text)),
    }
    .map_err(|e| format!("the mail can't be built: {e}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::body::Bytes;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::event::Event;
    use crate::rules::template;

    /// A mail server on loopback that answers `RCPT`, the mail's end and `QUIT` with these; it falls silent where
    /// there is nothing to say. It gives back what it read.
    async fn server(
        rcpt: &'static str,
        end: &'static str,
        quit: &'static str,
    ) -> (u16, JoinHandle<String>) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let heard = TaskTracker::new().spawn(async move {
            let (stream, _) = socket.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 here\r\n").await.unwrap();
            let (mut heard, mut in_mail) = (String::new(), false);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return heard;
                }
                heard.push_str(&line);
                let answer = match line.split_whitespace().next().unwrap_or_default() {
                    "." if in_mail => {
                        in_mail = false;
                        end
                    }
                    _ if in_mail => "",
                    "RCPT" => rcpt,
                    "QUIT" => quit,
                    "DATA" => {
                        in_mail = true;
                        "354 go on\r\n"
                    }
                    _ => "250 fine\r\n",
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return heard;
                }
            }
        });
        (port, heard)
    }

    async fn send_to(port: u16, limit: Duration) -> (Attempted, Progress) {
        let target = SmtpTarget {
            security: SmtpSecurity::None,
            host: "127.0.0.1".to_owned(),
            port,
            credentials: None,
            from: "Hookbell <bell@example.com>".to_owned(),
        };
        let event = Event {
            source: Arc::from("replicer"),
            id: "evt-1".to_owned(),
            kind: "call.ended".to_owned(),
            time: None,
            received: jiff::Timestamp::UNIX_EPOCH,
            body: Bytes::from_static(b"{}"),
        };
        let message = template::Message {
            subject: Some("Zoë".to_owned()),
            text: "first\r\n.\r\nMAIL FROM:<eve@example.com>\n".to_owned(),
            ..template::Message::default()
        };
        let outgoing = Outgoing {
            message: &message,
            key: uuid::Uuid::from_u128(7),
            rule: "won deal",
            destination: "office",
            recipient: Some("office@example.com"),
            event: &event,
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let progress = Progress::default();
        (send(&target, limit, &outgoing, &progress).await, progress)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_mail_that_was_taken_is_sent_even_if_the_server_never_says_goodbye() {
        let (port, heard) = server("250 fine\r\n", "250 queued as 7\r\n", "").await;
        // The limit is shorter than the goodbye: it ends the dialogue, not the attempt.
        let (attempted, _) = send_to(port, Duration::from_millis(900)).await;
        assert_eq!(attempted.verdict.meaning, Meaning::Sent, "{attempted:?}");
        assert_eq!(
            (attempted.status, &*attempted.verdict.detail),
            (Some(250), "SMTP 250 queued as 7")
        );
        let heard = heard.await.unwrap();
        let id = "Message-ID: <00000000-0000-0000-0000-000000000007@example.com>";
        assert!(heard.contains(id), "{heard}");
        let froms = heard.lines().filter(|line| line.starts_with("MAIL FROM:")).count();
        assert_eq!(froms, 2, "one is the envelope's, one the text's, in one mail: {heard}");
        assert!(heard.contains("\r\n..\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn a_refused_recipient_is_final_and_a_busy_one_is_not() {
        let (port, _) = server("550 who?\r\n", "", "").await;
        let (attempted, progress) = send_to(port, LONG).await;
        assert_eq!(attempted.verdict.meaning, Meaning::Final, "{attempted:?}");
        assert!(attempted.verdict.detail.starts_with("SMTP 550"), "{attempted:?}");
        assert!(attempted.verdict.detail.contains("who?"), "{attempted:?}");
        assert!(!progress.may_be_sent());
        let (port, _) = server("450 later\r\n", "", "221 bye\r\n").await;
        let (attempted, _) = send_to(port, LONG).await;
        assert_eq!(attempted.verdict.meaning, Meaning::Retry { after: None }, "{attempted:?}");
        assert_eq!(attempted.status, Some(450));
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_after_the_mail_may_have_taken_it() {
        let (port, _) = server("250 fine\r\n", "", "").await;
        let (attempted, _) = send_to(port, Duration::from_millis(300)).await;
        let detail = &attempted.verdict.detail;
        assert!(detail.contains("timed out") && detail.contains("may have been sent"), "{detail}");
        let (port, _) = server("", "", "").await;
        let (attempted, _) = send_to(port, Duration::from_millis(300)).await;
        let detail = &attempted.verdict.detail;
        assert!(detail.contains("timed out") && !detail.contains("may have"), "{detail}");
    }
}
