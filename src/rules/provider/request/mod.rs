//! The exact request for one message. What is the same for every message was done when the destination was compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method};
use lettre::message::Mailbox;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use super::definition::{Auth, Definition, Kind, RequestDefinition};
use super::pattern::{Field, Hole, Part, Pattern, Variable};
use super::settings::{Filled, header};
use super::sign::Signer;
use super::{HttpRequest, Outgoing};

mod body;

use body::Body;

/// An HTTP API with a destination's settings filled in.
pub struct HttpTarget {
    definition: Arc<Definition>,
    method: Method,
    url: UrlPlan,
    headers: HeaderMap,
    variable_headers: Vec<(HeaderName, Vec<Piece>)>,
    body: Body,
    signer: Option<Signer>,
    /// What an answer may echo but nobody may read; the longest first.
    secrets: Vec<String>,
}

impl fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTarget")
            .field("provider", &self.definition.name)
            .finish_non_exhaustive()
    }
}

enum UrlPlan {
    Constant(Url),
    /// The pieces, values encoded for where they stand, and the only host that may come out.
    Variable(Vec<Piece>, String),
}

/// A piece of a pattern whose settings are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// What stays as it is in a path segment or a query value: RFC 3986's unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl HttpTarget {
    /// Fills the definition's request with checked settings.
    pub(super) fn compile(
        definition: &Arc<Definition>,
        filled: &BTreeMap<String, Filled>,
    ) -> Result<Self, String> {
        let request = definition.request.as_ref().ok_or("the provider has no [request]")?;
        let settings = Settings { definition, filled };
        let method = settings.constant(&request.method)?.unwrap_or_default();
        let signer = match request.sign.as_ref().and_then(|s| filled.get(&s.secret)) {
            Some(secrets) => Some(Signer::new(secrets.texts())?),
            None => None,
        };
        let (headers, variable_headers) = settings.headers(request)?;
        Ok(Self {
            method: Method::from_bytes(method.as_bytes())
                .map_err(|_| format!("`{method}` is no HTTP method"))?,
            url: settings.url(&request.url)?,
            body: Body::compile(&settings, request)?,
            headers,
            variable_headers,
            signer,
            secrets: secrets(definition, filled),
            definition: Arc::clone(definition),
        })
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The request for `outgoing`, or the reason why none can be made (such a notification is given up).
    pub fn request(&self, outgoing: &Outgoing<'_>) -> Result<HttpRequest, String> {
        let url = match &self.url {
            UrlPlan::Constant(url) => url.clone(),
            UrlPlan::Variable(pieces, host) => variable_url(pieces, host, outgoing)?,
        };
        let body = self.body.build(outgoing)?;
        let mut headers = self.headers.clone();
        for (name, pieces) in &self.variable_headers {
            if let Some(value) = join(pieces, outgoing, str::to_owned) {
                let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                    format!("header `{name}` would hold a line break or another control character")
                })?;
                headers.insert(name.clone(), value);
            }
        }
        if let Some(signer) = &self.signer {
            let id = outgoing.key.to_string();
            let seconds = outgoing.now.as_second();
            let signature = signer.sign(&id, seconds, &body);
            for (name, value) in [
                ("webhook-id", id),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", signature),
            ] {
                let value = HeaderValue::try_from(value).map_err(|e| e.to_string())?;
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Ok(HttpRequest { method: self.method.clone(), url, headers, body: Bytes::from(body) })
    }

    /// What nobody may read, the longest first.
    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// `text` with every secret of the destination replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), "***") } else { text }
        })
    }
}

/// Definition and checked settings, while a target is compiled.
struct Settings<'a> {
    definition: &'a Definition,
    filled: &'a BTreeMap<String, Filled>,
}

impl Settings<'_> {
    /// A pattern with its settings filled in and each value put through `encode`; none if one of its settings is
    /// optional and left out.
    fn fill(
        &self,
        text: &str,
        mut encode: impl FnMut(&str, &str) -> String,
    ) -> Result<Option<Vec<Piece>>, String> {
        let mut pieces = Vec::new();
        let mut before = String::new();
        for part in Pattern::parse(text)?.parts {
            let piece = match part {
                Part::Text(text) => text,
                Part::Hole(Hole::Variable(variable)) => {
                    pieces.push(Piece::Variable(variable));
                    continue;
                }
                Part::Hole(Hole::Setting(name, field)) => match self.text(&name, field) {
                    Some(value) => encode(&before, &value),
                    None => return Ok(None),
                },
            };
            before.push_str(&piece);
            match pieces.last_mut() {
                Some(Piece::Text(last)) => last.push_str(&piece),
                _ => pieces.push(Piece::Text(piece)),
            }
        }
        Ok(Some(pieces))
    }

    fn text(&self, name: &str, field: Field) -> Option<String> {
        let value = match self.filled.get(name)? {
            Filled::Text(text) => text.clone(),
            Filled::Integer(n) => n.to_string(),
            Filled::Boolean(b) => b.to_string(),
            Filled::List(list) => list.join(","),
        };
        match field {
            Field::Whole => Some(value),
            Field::Address => value.parse::<Mailbox>().ok().map(|m| m.email.to_string()),
            Field::Name => value.parse::<Mailbox>().ok()?.name,
        }
    }

    /// A pattern without variables as text; none if an optional setting of it is left out.
    fn constant(&self, text: &str) -> Result<Option<String>, String> {
        match self.fill(text, |_, value| value.to_owned())?.as_deref() {
            None => Ok(None),
            Some([]) => Ok(Some(String::new())),
            Some([Piece::Text(text)]) => Ok(Some(text.clone())),
            Some(_) => Err(format!("`{text}` can't hold a variable")),
        }
    }

    fn url(&self, text: &str) -> Result<UrlPlan, String> {
        let whole = Pattern::parse(text)?.parts.len() == 1;
        let pieces = self.fill(text, |before, value| {
            if before.is_empty() {
                let url = if whole { value } else { value.trim_end_matches('/') };
                url.to_owned()
            } else {
                utf8_percent_encode(value, UNRESERVED).to_string()
            }
        })?;
        let pieces = pieces.ok_or("the url needs a setting that is left out")?;
        let parse = |text: &str| Url::parse(text).map_err(|e| format!("the url is unusable: {e}"));
        match pieces.as_slice() {
            [Piece::Text(text)] => Ok(UrlPlan::Constant(parse(text)?)),
            [Piece::Text(text), ..] => {
                let url = parse(text)?;
                let host = authority(&url);
                Ok(UrlPlan::Variable(pieces, host))
            }
            _ => Err("the url begins with a variable".to_owned()),
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the two halves are named where they are taken apart"
    )]
    fn headers(
        &self,
        request: &RequestDefinition,
    ) -> Result<(HeaderMap, Vec<(HeaderName, Vec<Piece>)>), String> {
        let mut constant = HeaderMap::new();
        let mut variable = Vec::new();
        let agent = concat!("hookbell/", env!("CARGO_PKG_VERSION"));
        constant.insert(USER_AGENT, HeaderValue::from_static(agent));
        if request.json.is_some() {
            constant.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        } else if request.form.is_some() {
            constant.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
        }
        let mut add = |name: HeaderName, text: &str| {
            match self.fill(text, |_, value| value.to_owned())? {
                None => {}
                Some(pieces) => match pieces.as_slice() {
                    [Piece::Text(text)] => drop(constant.insert(name, sensitive(text)?)),
                    _ => variable.push((name, pieces)),
                },
            }
            Ok::<(), String>(())
        };
        for (name, value) in &request.headers {
            let name =
                HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))?;
            add(name, value.as_str().ok_or("a header's value is a text")?)?;
        }
        match &request.auth {
            Some(Auth::Bearer(token)) => add(AUTHORIZATION, &format!("Bearer {token}"))?,
            Some(Auth::Header { name, value }) => {
                add(
                    HeaderName::try_from(name)
                        .map_err(|_| format!("`{name}` is no header name"))?,
                    value,
                )?;
            }
            Some(Auth::Basic { user, password }) => {
                if let (Some(user), Some(password)) =
                    (self.constant(user)?, self.constant(password)?)
                {
                    let encoded = STANDARD.encode(format!("{user}:{password}"));
                    constant.insert(AUTHORIZATION, sensitive(&format!("Basic {encoded}"))?);
                }
            }
            None => {}
        }
        if let Some(lines) = request.extra_headers.as_ref().and_then(|name| self.filled.get(name)) {
            for line in lines.texts() {
                let (name, value) = header(line)?;
                constant.append(name, value);
            }
        }
        Ok((constant, variable))
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "a header's value has characters that no header may have")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The pieces as one text, each variable put through `encode`; none if a variable is absent.
fn join(
    pieces: &[Piece],
    outgoing: &Outgoing<'_>,
    encode: impl Fn(&str) -> String,
) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(t) => text.push_str(t),
            Piece::Variable(v) => text.push_str(&encode(&v.value(outgoing).into_text()?)),
        }
    }
    Some(text)
}

fn variable_url(pieces: &[Piece], host: &str, outgoing: &Outgoing<'_>) -> Result<Url, String> {
    for piece in pieces {
        // `.` and `..` as a whole segment would be taken as a step in the path, encoded or not (WHATWG URL).
        if let Piece::Variable(v) = piece
            && matches!(v.value(outgoing).into_text().as_deref(), Some("" | "." | ".."))
        {
            return Err("a value of the url is empty, `.` or `..`".to_owned());
        }
    }
    let encode = |value: &str| utf8_percent_encode(value, UNRESERVED).to_string();
    let text = join(pieces, outgoing, encode).ok_or("a value that the url needs is missing")?;
    let url = Url::parse(&text).map_err(|e| format!("the url is unusable: {e}"))?;
    if authority(&url) != host {
        return Err("the url's host would come from data".to_owned());
    }
    Ok(url)
}

fn authority(url: &Url) -> String {
    format!(
        "{}://{}:{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.port().unwrap_or_default()
    )
}

/// What must not be shown of the settings: secret values, their base64 in `Basic`, and the telling pieces of secret URLs.
fn secrets(definition: &Definition, filled: &BTreeMap<String, Filled>) -> Vec<String> {
    let mut found = Vec::new();
    for setting in definition.settings.iter().filter(|s| s.secret) {
        for text in filled.get(&setting.name).map(Filled::texts).unwrap_or_default() {
            found.push(text.to_owned());
            if setting.kind == Kind::Header
                && let Some((_, value)) = text.split_once(':')
            {
                found.push(value.trim().to_owned());
            }
            if setting.kind == Kind::Url
                && let Ok(url) = Url::parse(text)
            {
                found.extend(url.query().map(str::to_owned));
                found.extend(
                    url.query_pairs().map(|(_, v)| v.into_owned()).filter(|v| v.len() >= 8),
                );
                found.push(url.path().to_owned());
                found.extend(
                    url.path_segments()
                        .into_iter()
                        .flatten()
                        .filter(|s| s.len() >= 12)
                        .map(str::to_owned),
                );
            }
        }
    }
    // Shorter texts would star out half of every sentence and can't be kept secret anyway.
    found.retain(|s| s.len() >= 4);
    found.sort_by_key(|s| std::cmp::Reverse(s.len()));
    found.dedup();
    found
}

#[cfg(test)]
pub(super) mod tests;
