//! The exact requests for one message. What is the same for every message was done when the destination was compiled.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::definition::{Auth, Definition, Encoding, Kind, RequestDefinition, SignDefinition};
use super::pattern::Scope;
use super::settings::{Filled, header};
use super::sign::{AwsSigv4, StandardWebhooks, hmac_sha256};
use super::{HttpRequest, Outgoing};

mod body;
mod fill;
mod limit;

use body::Body;
use fill::{Piece, Settings, join};

/// An HTTP API with a destination's settings filled in.
pub struct HttpTarget {
    definition: Arc<Definition>,
    method: Method,
    url: UrlPlan,
    query: Vec<(String, Vec<Piece>)>,
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

enum Signer {
    StandardWebhooks(StandardWebhooks),
    Hmac { key: Vec<Piece>, content: Vec<Piece>, encoding: Encoding },
    AwsSigv4(AwsSigv4),
}

/// What stays as it is in a query value: RFC 3986's unreserved characters.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path, and the colon: bot tokens and room names have one, and not everybody decodes it.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b':');

/// The most requests that one message is split into.
const MOST_PARTS: usize = 10;

impl HttpTarget {
    /// Fills the definition's request with checked settings.
    pub(super) fn compile(
        definition: &Arc<Definition>,
        filled: &BTreeMap<String, Filled>,
    ) -> Result<Self, String> {
        let request = definition.request.as_ref().ok_or("the provider has no [request]")?;
        let settings = Settings { definition, filled };
        let method = settings.constant(&request.method)?.unwrap_or_default();
        let (headers, variable_headers) = headers(&settings, request)?;
        let mut query = Vec::new();
        for (name, value) in &request.query {
            let text = value.as_str().ok_or("a query parameter is a text")?;
            query.extend(settings.fill(text, |_, v| v.to_owned())?.map(|p| (name.clone(), p)));
        }
        Ok(Self {
            method: Method::from_bytes(method.as_bytes())
                .map_err(|_| format!("`{method}` is no HTTP method"))?,
            url: url(&settings, &request.url)?,
            query,
            body: Body::compile(&settings, request)?,
            signer: signer(&settings, request)?,
            secrets: secrets(definition, filled, &headers),
            headers,
            variable_headers,
            definition: Arc::clone(definition),
        })
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The requests for `outgoing`, to be sent in this order; or the reason why none can be made (such a notification
    /// is given up). There is one, unless the text is longer than the provider takes and its definition splits it.
    pub fn requests(&self, outgoing: &Outgoing<'_>) -> Result<Vec<HttpRequest>, String> {
        let texts = self.body.parts(&outgoing.message.text, MOST_PARTS);
        let part =
            |(i, text): (usize, &String)| self.request(outgoing, text, part_key(outgoing.key, i));
        if texts.is_empty() {
            return self.request(outgoing, &outgoing.message.text, outgoing.key).map(|r| vec![r]);
        }
        texts.iter().enumerate().map(part).collect()
    }

    fn request(
        &self,
        outgoing: &Outgoing<'_>,
        text: &str,
        key: Uuid,
    ) -> Result<HttpRequest, String> {
        let escape = self.definition.form().escape;
        let mut scope = Scope { outgoing, text, key, signature: None, item: None, escape };
        let signature = match &self.signer {
            Some(Signer::Hmac { key, content, encoding }) => {
                match (
                    join(key, &scope, |_, v| v.to_owned()),
                    join(content, &scope, |_, v| v.to_owned()),
                ) {
                    (Some(key), Some(content)) => {
                        Some(hmac_sha256(key.as_bytes(), content.as_bytes(), *encoding)?)
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        scope.signature = signature.as_deref();
        let mut url = match &self.url {
            UrlPlan::Constant(url) => url.clone(),
            UrlPlan::Variable(pieces, host) => variable_url(pieces, host, &scope)?,
        };
        for (name, pieces) in &self.query {
            if let Some(value) = join(pieces, &scope, |_, v| v.to_owned()) {
                set_query(&mut url, name, &value);
            }
        }
        let body = self.body.build(&scope)?;
        let mut headers = self.headers.clone();
        for (name, pieces) in &self.variable_headers {
            if let Some(value) = join(pieces, &scope, |_, v| v.to_owned()) {
                let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                    format!("header `{name}` would hold a line break or another control character")
                })?;
                headers.insert(name.clone(), value);
            }
        }
        match &self.signer {
            Some(Signer::StandardWebhooks(signer)) => {
                signer.sign(&key.to_string(), outgoing.now.as_second(), &body, &mut headers)?;
            }
            Some(Signer::AwsSigv4(signer)) => {
                signer.sign(&self.method, &url, &body, outgoing.now, &mut headers)?;
            }
            Some(Signer::Hmac { .. }) | None => {}
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

/// The key of the part at `index`: the notification's own for the first, and for each other one that nobody else has.
fn part_key(key: Uuid, index: usize) -> Uuid {
    if index == 0 {
        return key;
    }
    let digest =
        Sha256::new().chain_update(key.as_bytes()).chain_update(index.to_string()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn url(settings: &Settings<'_>, text: &str) -> Result<UrlPlan, String> {
    let whole = super::pattern::Pattern::parse(text)?.parts.len() == 1;
    let pieces = settings.fill(text, |before, value| {
        if before.is_empty() {
            let url = if whole { value } else { value.trim_end_matches('/') };
            url.to_owned()
        } else {
            encode(before, value)
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

fn encode(before: &str, value: &str) -> String {
    let set = if before.contains('?') { IN_QUERY } else { IN_PATH };
    utf8_percent_encode(value, set).to_string()
}

type Headers = (HeaderMap, Vec<(HeaderName, Vec<Piece>)>);

fn headers(settings: &Settings<'_>, request: &RequestDefinition) -> Result<Headers, String> {
    let mut constant = HeaderMap::new();
    let mut variable = Vec::new();
    let agent = concat!("hookbell/", env!("CARGO_PKG_VERSION"));
    constant.insert(USER_AGENT, HeaderValue::from_static(agent));
    let kind = match request {
        RequestDefinition { json: Some(_), .. } => Some("application/json"),
        RequestDefinition { form: Some(_), .. } => Some("application/x-www-form-urlencoded"),
        RequestDefinition { text: Some(_), .. } => Some("text/plain; charset=utf-8"),
        _ => None,
    };
    constant.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
    let mut add = |name: HeaderName, text: &str| {
        match settings.fill(text, |_, value| value.to_owned())? {
            None => {}
            Some(pieces) => match pieces.as_slice() {
                [Piece::Text(text)] => drop(constant.insert(name, sensitive(text)?)),
                _ => variable.push((name, pieces)),
            },
        }
        Ok::<(), String>(())
    };
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))?;
        add(name, value.as_str().ok_or("a header's value is a text")?)?;
    }
    match &request.auth {
        Some(Auth::Bearer(token)) => add(AUTHORIZATION, &format!("Bearer {token}"))?,
        Some(Auth::Header { name, value }) => {
            let name =
                HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))?;
            add(name, value)?;
        }
        Some(Auth::Basic { user, password }) => {
            if let (Some(user), Some(password)) =
                (settings.constant(user)?, settings.constant(password)?)
            {
                let encoded = STANDARD.encode(format!("{user}:{password}"));
                constant.insert(AUTHORIZATION, sensitive(&format!("Basic {encoded}"))?);
            }
        }
        None => {}
    }
    if let Some(lines) = request.extra_headers.as_ref().and_then(|n| settings.filled.get(n)) {
        for line in lines.texts() {
            let (name, value) = header(line)?;
            constant.append(name, value);
        }
    }
    Ok((constant, variable))
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "a header's value has characters that no header may have")?;
    value.set_sensitive(true);
    Ok(value)
}

fn signer(settings: &Settings<'_>, request: &RequestDefinition) -> Result<Option<Signer>, String> {
    let Some(sign) = &request.sign else { return Ok(None) };
    let needed = |text: &str| {
        settings
            .constant(text)?
            .ok_or_else(|| "the signature needs a setting that is left out".to_owned())
    };
    Ok(match sign {
        SignDefinition::StandardWebhooks { secret } => match settings.filled.get(secret) {
            None => None,
            Some(secrets) => {
                Some(Signer::StandardWebhooks(StandardWebhooks::new(secrets.texts())?))
            }
        },
        SignDefinition::HmacSha256 { key, content, encoding } => {
            let fill = |text: &str| settings.fill(text, |_, v| v.to_owned());
            match (fill(key)?, fill(content)?) {
                (Some(key), Some(content)) => {
                    Some(Signer::Hmac { key, content, encoding: *encoding })
                }
                _ => None,
            }
        }
        SignDefinition::AwsSigv4 { service, region, access_key, secret_key, session_token } => {
            Some(Signer::AwsSigv4(AwsSigv4 {
                service: needed(service)?,
                region: needed(region)?,
                access_key: needed(access_key)?,
                secret_key: needed(secret_key)?,
                session_token: match session_token {
                    Some(text) => settings.constant(text)?,
                    None => None,
                },
            }))
        }
    })
}

fn variable_url(pieces: &[Piece], host: &str, scope: &Scope<'_>) -> Result<Url, String> {
    for piece in pieces {
        // `.` and `..` as a whole segment would be taken as a step in the path, encoded or not (WHATWG URL).
        if let Piece::Dynamic(d) = piece
            && matches!(d.value(scope).into_text().as_deref(), Some("" | "." | ".."))
        {
            return Err("a value of the url is empty, `.` or `..`".to_owned());
        }
    }
    let text = join(pieces, scope, encode).ok_or("a value that the url needs is missing")?;
    let url = Url::parse(&text).map_err(|e| format!("the url is unusable: {e}"))?;
    if authority(&url) != host {
        return Err("the url's host would come from data".to_owned());
    }
    Ok(url)
}

/// Sets a query parameter and leaves the others as they are, their encoding too: a secret may be among them.
fn set_query(url: &mut Url, name: &str, value: &str) {
    let name = utf8_percent_encode(name, IN_QUERY).to_string();
    let mut pairs: Vec<String> = url.query().map_or_else(Vec::new, |query| {
        let others =
            query.split('&').filter(|p| !p.is_empty() && p.split('=').next() != Some(&name));
        others.map(str::to_owned).collect()
    });
    pairs.push(format!("{name}={}", utf8_percent_encode(value, IN_QUERY)));
    url.set_query(Some(&pairs.join("&")));
}

fn authority(url: &Url) -> String {
    format!(
        "{}://{}:{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.port().unwrap_or_default()
    )
}

/// What must not be shown: secret settings, as they are and percent-encoded, the telling pieces of secret URLs, and
/// what `Basic` makes of a password.
fn secrets(
    definition: &Definition,
    filled: &BTreeMap<String, Filled>,
    headers: &HeaderMap,
) -> Vec<String> {
    let mut found = Vec::new();
    let authorization = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    found.extend(authorization.and_then(|v| v.strip_prefix("Basic ")).map(str::to_owned));
    for setting in definition.settings.iter().filter(|s| s.secret) {
        for text in filled.get(&setting.name).map(Filled::texts).unwrap_or_default() {
            found.push(text.to_owned());
            found.extend([IN_PATH, IN_QUERY].map(|set| utf8_percent_encode(text, set).to_string()));
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
    found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    found.dedup();
    found
}

#[cfg(test)]
pub(super) mod tests;
