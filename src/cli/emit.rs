//! `hookbell emit`: signs an event as its source would, and posts it.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;
use serde_json::value::RawValue;

use super::client::{Reply, exchange, reachable};
use super::{Answer, Config, Failure, block_on, did_you_mean, print, print_json, sample, terminal};
use crate::clock::Clock;
use crate::config::{self, Loaded, Secrets};
use crate::pipeline::send;
use crate::rules::Rules;
use crate::rules::source::{Outgoing, Source};
use crate::secret::Secret;

/// The options of `emit`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The event, posted byte for byte; `-` reads standard input [default: the source's sample, with an id of its own]
    #[arg(value_name = "EVENT.json")]
    event: Option<PathBuf>,
    /// Where to post it [default: the configuration's `server.listen`, /hooks/SOURCE]
    #[arg(long, value_name = "URL", value_parser = url)]
    to: Option<String>,
    /// As which source to sign it [default: the only one]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The event's type, for a source that says it in a header (GitHub, Shopify)
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// A file with the sender's private key (`whsk_…`), for a source whose `secret` is only the public one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Sign with the stand-ins that `hookbell demo` uses for secrets that aren't set
    #[arg(long)]
    demo: bool,
    /// Print one JSON object: url, status, body
    #[arg(long)]
    json: bool,
}

fn url(text: &str) -> Result<String, String> {
    let parsed = reqwest::Url::parse(text).map_err(|e| e.to_string())?;
    match parsed.scheme() {
        "http" | "https" => Ok(text.to_owned()),
        _ => Err("write http://… or https://…".to_owned()),
    }
}

/// Posts the event; yes is the answer if the bridge took it.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let loaded = if args.demo {
        config::load(config.path_or_example(), Secrets::StandIns)
    } else {
        config::load(Some(config.path()), Secrets::Required)
    };
    let loaded = loaded.map_err(Failure::Problems)?;
    let source = source(&loaded.rules, args.source.as_deref(), "as")?;
    let body = body(args.event.as_deref(), source)?;
    let event = Event { kind: kind(args, source)?, key: key(args, source)?, body };
    let to = match &args.to {
        Some(url) => url.clone(),
        None => default_url(&loaded, source)?,
    };
    let reply = block_on(async {
        post(&to, source, event).await?.map_err(|why| {
            Failure::Unreachable(format!(
                "can't reach {} ({why}): is a bridge running there?",
                shown(&to)
            ))
        })
    })?;
    if args.json {
        let body = RawValue::from_string(reply.body.clone());
        let body = body.map_or_else(|_| json!(reply.body), |raw| json!(raw));
        print_json(&json!({"url": shown(&to), "status": reply.status, "body": body}))?;
    } else {
        let said = terminal::lines(reply.body.trim_end()).join("\n");
        print(format!("{} {said}\n", reply.status).as_bytes())?;
    }
    Ok(Answer::yes_if((200..300).contains(&reply.status)))
}

/// What is posted.
pub(super) struct Event {
    pub(super) body: Vec<u8>,
    /// Its type, where the body doesn't say it.
    pub(super) kind: Option<String>,
    /// The sender's private key, where it takes one.
    pub(super) key: Option<Secret>,
}

/// Signs `event` as `source` does and posts it to `url`. The inner error says why there is no answer.
pub(super) async fn post(
    url: &str,
    source: &Source,
    event: Event,
) -> Result<Result<Reply, String>, Failure> {
    let unique = format!("msg_{}", sample::unique());
    let out = Outgoing {
        now: Clock::system().now(),
        unique: &unique,
        kind: event.kind.as_deref(),
        private_key: event.key.as_ref(),
    };
    let signed = source.sign(&event.body, out).map_err(|why| Failure::No(anyhow!(why)))?;
    let mut request = send::client()?.post(url).header("content-type", source.content_type());
    for (name, value) in signed {
        request = request.header(name, value);
    }
    Ok(exchange(request.body(event.body)).await)
}

/// The type that goes into a header, if the source has such a header.
fn kind(args: &Args, source: &Source) -> Result<Option<String>, Failure> {
    let Some(header) = source.type_header() else {
        return match args.kind {
            Some(_) => Err(Failure::Usage(format!(
                "a `{}` says the type in the body: leave out --type",
                source.definition.name
            ))),
            None => Ok(None),
        };
    };
    let sample = source.definition.sample.as_ref().filter(|_| args.event.is_none());
    let kind = args.kind.clone().or_else(|| sample?.kind.clone());
    kind.map(Some).ok_or_else(|| {
        let name = &source.definition.name;
        Failure::Usage(format!("a `{name}` says the type in `{header}`: --type TYPE"))
    })
}

/// The sender's private key, if the source signs with one.
fn key(args: &Args, source: &Source) -> Result<Option<Secret>, Failure> {
    match (&args.key, source.needs_private_key()) {
        (Some(path), true) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("can't read the key {}", path.display()))?;
            Ok(Some(Secret::new(text)))
        }
        (None, true) => Err(Failure::Usage(format!(
            "source `{}` has the sender's public key only: to sign, name a file with the private one by --key FILE",
            source.name
        ))),
        (Some(_), false) => Err(Failure::Usage(format!(
            "source `{}` signs with its `secret`: leave out --key",
            source.name
        ))),
        (None, false) => Ok(None),
    }
}

/// The source that is wanted, or the only one; where there are several, the question begins with `asking` (`as`, `of`).
pub(super) fn source<'r>(
    rules: &'r Rules,
    wanted: Option<&str>,
    asking: &str,
) -> Result<&'r Source, Failure> {
    let names = || rules.sources.iter().map(|s| &*s.name);
    match (wanted, &*rules.sources) {
        (Some(name), _) => rules.source(name).ok_or_else(|| {
            let hint = did_you_mean(name, names());
            Failure::Usage(format!("there is no source `{}`: {hint}", terminal::line(name)))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Failure::No(anyhow!("the configuration has no source"))),
        (None, _) => {
            let names: Vec<_> = names().collect();
            let names = names.join(" or ");
            Err(Failure::Usage(format!("{asking} which source? --source with {names}")))
        }
    }
}

fn body(event: Option<&Path>, source: &Source) -> Result<Vec<u8>, Failure> {
    match event {
        Some(path) if path == Path::new("-") => {
            let mut body = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut body);
            read.context("can't read the event from standard input")?;
            Ok(body)
        }
        Some(path) => {
            let read = std::fs::read(path);
            Ok(read.with_context(|| format!("can't read the event {}", path.display()))?)
        }
        None if source.definition.name == sample::KIND => Ok(sample::fresh().into_bytes()),
        None => match &source.definition.sample {
            Some(sample) => Ok(sample.body.replace("{unique}", &sample::unique()).into_bytes()),
            None => Err(Failure::Usage(format!(
                "there is no sample event of a `{}` source: name a file",
                source.definition.name
            ))),
        },
    }
}

fn default_url(loaded: &Loaded, source: &Source) -> Result<String, Failure> {
    let listen = reachable(loaded.settings.server.listen);
    if listen.port() == 0 {
        let message = "`server.listen` has port 0, so the port isn't known: use --to URL";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(format!("http://{listen}/hooks/{}", source.name))
}

/// A URL for people: a password or a token in it stays out.
fn shown(url: &str) -> String {
    let Ok(parsed) = reqwest::Url::parse(url) else { return terminal::line(url) };
    format!("{}{}", parsed.origin().ascii_serialization(), parsed.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_secrets() {
        assert_eq!(
            shown("http://me:secret@127.0.0.1:8080/hooks/x?token=1#f"),
            "http://127.0.0.1:8080/hooks/x"
        );
        assert_eq!(shown("https://bell.example/hooks/x"), "https://bell.example/hooks/x");
    }

    #[test]
    fn only_http_is_posted_to() {
        assert!(url("https://bell.example/hooks/replicer").is_ok());
        for wrong in ["ftp://x/y", "bell.example/hooks", "/hooks/x"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_posted_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("event.json");
        let bytes = b"{ \"n\" : 12.50 }\r\n\xff";
        std::fs::write(&path, bytes).unwrap();
        let rules = config::load(None, Secrets::StandIns).unwrap().rules;
        let source = &rules.sources[0];
        assert_eq!(body(Some(&path), source).unwrap(), bytes);
        assert!(matches!(body(Some(&folder.path().join("none")), source), Err(Failure::No(_))));
        let fresh = body(None, source).unwrap();
        assert_ne!(fresh, body(None, source).unwrap());
    }

    #[test]
    fn an_unknown_source_gets_a_hint() {
        let rules = config::load(None, Secrets::StandIns).unwrap().rules;
        let Err(Failure::Usage(message)) = source(&rules, Some("replicr"), "as") else { panic!() };
        assert_eq!(message, "there is no source `replicr`: did you mean `replicer`?");
        assert_eq!(&*source(&rules, None, "as").unwrap().name, "replicer");
    }
}
