//! The client of the running bridge's admin API, and of whatever `emit` posts to.
//!
//! What can't be reached is told apart from what answers no: exit 3 and a message that names the address.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, anyhow};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Config, Failure};
use crate::config;
use crate::pipeline::send;
use crate::secret::Secret;

/// The bridge accepts and answers within its own limits of 10 s each; past that it isn't going to.
const PATIENCE: Duration = Duration::from_secs(30);
/// A page of 1,000 notifications is below 1 MiB, a single event with its body a little above.
const LONGEST_ANSWER: usize = 64 << 20;
/// The most rows of one page; the journal's own bound.
const PAGE: u32 = 1_000;

/// Where the running bridge is, for every command that asks it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Reach {
    /// The admin listener [default: `server.admin` of the configuration]
    #[arg(long, value_name = "URL", value_parser = base_url)]
    admin: Option<String>,
}

/// `http://HOST:PORT` without a path, also from `HOST:PORT`.
fn base_url(text: &str) -> Result<String, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let parsed = reqwest::Url::parse(&url).map_err(|e| e.to_string())?;
    match (parsed.scheme(), parsed.path()) {
        ("http" | "https", "" | "/") => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err("write http://HOST:PORT".to_owned()),
    }
}

/// The admin API of a running bridge.
pub(crate) struct Api {
    client: reqwest::Client,
    base: String,
    token: Option<Secret>,
    /// What is asked of a person when nobody answers.
    hint: String,
}

/// An answer with any status.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body as text.
    pub(crate) body: String,
}

/// The list `key` of an answer, and where the next page begins.
struct Page {
    rows: Vec<Box<RawValue>>,
    next: Option<i64>,
}

impl Api {
    /// The API that `reach` or the configuration names. Only the addresses and the token have to be right in it.
    pub(crate) fn new(config: &Config, reach: &Reach) -> Result<Self, Failure> {
        let endpoint = config::admin_endpoint(config.path());
        let (base, token) = match (&reach.admin, endpoint) {
            (Some(url), endpoint) => (url.clone(), endpoint.ok().and_then(|(_, token)| token)),
            (None, Ok((address, token))) => (format!("http://{}", reachable(address)), token),
            (None, Err(problems)) => return Err(Failure::Problems(problems)),
        };
        let hint = match reach.admin {
            Some(_) => "is that the address of its admin listener?".to_owned(),
            None => format!("is `hookbell run{}` running with this configuration?", config.flag()),
        };
        Ok(Self { client: send::client()?, base, token, hint })
    }

    /// The API at `address`, without a token: the demo's own.
    pub(crate) fn at(address: SocketAddr) -> Result<Self, Failure> {
        let base = format!("http://{}", reachable(address));
        let hint = "has it stopped?".to_owned();
        Ok(Self { client: send::client()?, base, token: None, hint })
    }

    /// Its URL, without a path.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Asks for `path`, whatever the answer.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.ask(self.client.get(format!("{}{path}", self.base))).await
    }

    /// One thing by its path; none if there is no such thing.
    pub(crate) async fn one(&self, path: &str) -> Result<Option<Box<RawValue>>, Failure> {
        let reply = self.get(path).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        Ok(Some(read(&self.good(reply)?)?))
    }

    /// The rows of the list `key` at `path`, at most `most`, page by page.
    pub(crate) async fn list(
        &self,
        (path, key): (&str, &str),
        filter: &Query,
        most: Option<u32>,
        mut each: impl FnMut(&RawValue) -> Result<(), Failure>,
    ) -> Result<Listed, Failure> {
        let mut left = most.unwrap_or(u32::MAX);
        let mut before = None;
        loop {
            let mut query = filter.clone();
            query.add("limit", Some(left.min(PAGE)));
            query.add("before", before);
            let reply = self.get(&format!("{path}{}", query.text)).await?;
            let page = page(&self.good(reply)?, key)?;
            for row in page.rows.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                each(row)?;
            }
            left = left.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX));
            // Pages go down. One that doesn't, or has no row, would be asked for again and again.
            let further = |next: &i64| !page.rows.is_empty() && before.is_none_or(|b| *next < b);
            before = page.next.filter(further);
            match before {
                None => return Ok(Listed::All),
                Some(_) if left == 0 => return Ok(Listed::More),
                Some(_) => {}
            }
        }
    }

    /// All rows of a short list.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        what: (&str, &str),
        filter: &Query,
    ) -> Result<Vec<T>, Failure> {
        let mut rows = Vec::new();
        self.list(what, filter, None, |row| {
            rows.push(read(row.get())?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Posts JSON and gives the answer's JSON.
    pub(crate) async fn post(&self, path: &str, json: String) -> Result<String, Failure> {
        let request = self.client.post(format!("{}{path}", self.base));
        let reply = self.ask(request.header("content-type", "application/json").body(json)).await?;
        self.good(reply)
    }

    async fn ask(&self, mut request: reqwest::RequestBuilder) -> Result<Reply, Failure> {
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        exchange(request).await.map_err(|why| {
            let place = self.base.trim_start_matches("http://");
            Failure::Unreachable(format!(
                "can't reach the bridge at {place} ({why}): {}",
                self.hint
            ))
        })
    }

    /// The body of a good answer, or what the bridge says is wrong.
    fn good(&self, reply: Reply) -> Result<String, Failure> {
        if (200..300).contains(&reply.status) {
            return Ok(reply.body);
        }
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let why = serde_json::from_str::<Refusal>(&reply.body).map_or(reply.body, |r| r.error);
        let status = reply.status;
        let place = &self.base;
        Err(Failure::No(match status {
            401 => anyhow!("{place} wants another token than `server.admin_token` gives ({why})"),
            _ => anyhow!("{place} answers {status}: {why}"),
        }))
    }
}

/// Whether a list went to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Nothing older fits the filter.
    All,
    /// There is more than was asked for.
    More,
}

/// The query of a URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    text: String,
}

impl Query {
    /// The query with its `?`; empty if nothing was added.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Adds `name=value`, where there is a value.
    pub(crate) fn add(&mut self, name: &str, value: Option<impl ToString>) {
        let Some(value) = value else { return };
        let joint = if self.text.is_empty() { '?' } else { '&' };
        let value = value.to_string();
        let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        let _ = write!(self.text, "{joint}{name}={value}");
    }
}

/// Reads what the bridge answered.
pub(crate) fn read<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
    let read = serde_json::from_str(json);
    Ok(read.context("the bridge's answer can't be read: is it the same version of hookbell?")?)
}

fn page(json: &str, key: &str) -> Result<Page, Failure> {
    let mut all: HashMap<String, Box<RawValue>> = read(json)?;
    let rows = all.remove(key).ok_or_else(|| anyhow!("the bridge's answer has no `{key}`"))?;
    let next = all.remove("next").map(|next| read(next.get())).transpose()?.flatten();
    Ok(Page { rows: read(rows.get())?, next })
}

/// Sends `request` and reads the answer; an error says in a few words why there is none.
pub(crate) async fn exchange(request: reqwest::RequestBuilder) -> Result<Reply, String> {
    let answer = async {
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                break;
            }
        }
        Ok(Reply { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(innermost(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// The last cause: `Connection refused (os error 111)` says it all, and no URL with a secret in it.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) if error.is_timeout() => "timed out".to_owned(),
        Some(_) => "no answer".to_owned(),
        None => cause.to_string(),
    }
}

/// `0.0.0.0` and `[::]` are for listening; from this machine it is loopback.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn values_of_a_query_are_encoded() {
        let mut query = Query::default();
        query.add("rule", Some("won & \"lost\"=1"));
        query.add("type", None::<String>);
        query.add("limit", Some(5));
        assert_eq!(query.text, "?rule=won%20%26%20%22lost%22%3D1&limit=5");
    }

    #[test]
    fn a_page_keeps_its_rows_as_they_came() {
        let json = r#"{"events":[{"n":12.50},{"n":1}],"next":7}"#;
        let page = page(json, "events").unwrap();
        assert_eq!(page.rows[0].get(), r#"{"n":12.50}"#);
        assert_eq!((page.rows.len(), page.next), (2, Some(7)));
        let last = super::page(r#"{"events":[],"next":null}"#, "events").unwrap();
        assert_eq!((last.rows.len(), last.next), (0, None));
        assert!(super::page("{}", "events").is_err());
        assert!(super::page("<html>", "events").is_err());
    }

    #[test]
    fn a_listening_address_becomes_one_that_can_be_reached() {
        for (listen, reach) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.1.2.3:1", "10.1.2.3:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reach);
        }
    }

    #[test]
    fn an_admin_address_is_taken_with_and_without_its_scheme() {
        assert_eq!(base_url("127.0.0.1:9090").unwrap(), "http://127.0.0.1:9090");
        assert_eq!(base_url("https://bell.internal/").unwrap(), "https://bell.internal");
        for wrong in ["ftp://x", "http://x/api", "http://", "a b"] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }

    /// Answers one request on a connection with each of `answers`; gives what was asked.
    async fn server(
        answers: Vec<(u16, &'static str)>,
    ) -> (Api, tokio::task::JoinHandle<Vec<String>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test awaits the task")]
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                asked.push(String::from_utf8(head).unwrap());
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (Api::at(address).unwrap(), asked)
    }

    #[tokio::test]
    async fn a_list_is_read_page_by_page_until_its_end_or_its_limit() {
        let pages = || {
            vec![
                (200, r#"{"events":[{"n":9},{"n":8}],"next":8}"#),
                (200, r#"{"events":[{"n":7}],"next":null}"#),
            ]
        };
        let mut query = Query::default();
        query.add("type", Some("call.ended"));
        let list = async |api: Api, most| {
            let mut rows = Vec::new();
            let each = |row: &RawValue| {
                rows.push(row.get().to_owned());
                Ok(())
            };
            let listed = api.list(("/api/events", "events"), &query, most, each).await.unwrap();
            (listed, rows)
        };
        let (api, asked) = server(pages()).await;
        let (listed, rows) = list(api, None).await;
        assert_eq!((listed, rows.len()), (Listed::All, 3));
        let asked = asked.await.unwrap();
        assert!(asked[0].starts_with("GET /api/events?type=call%2Eended&limit=1000 "), "{asked:?}");
        assert!(asked[1].contains("&before=8 "), "{asked:?}");

        let (api, _) = server(pages()).await;
        let (listed, rows) = list(api, Some(2)).await;
        assert_eq!((listed, rows.len()), (Listed::More, 2));

        let stuck = (200, r#"{"events":[{"n":9}],"next":9}"#);
        let (api, _) = server(vec![stuck, stuck]).await;
        let (listed, rows) = list(api, None).await;
        assert_eq!((listed, rows.len()), (Listed::All, 2), "it does not go in circles");
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_a_missing_thing_is_none() {
        let answers = vec![
            (404, r#"{"error":"no"}"#),
            (401, r#"{"error":"a token is wanted"}"#),
            (503, r#"{"error":"the disk is full"}"#),
        ];
        let (api, _) = server(answers).await;
        assert!(api.one("/api/events/1").await.unwrap().is_none());
        for expected in ["admin_token", "the disk is full"] {
            let Err(Failure::No(why)) = api.post("/api/retry", "{}".to_owned()).await else {
                panic!()
            };
            assert!(why.to_string().contains(expected), "{why}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_apart_from_a_no() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let Err(Failure::Unreachable(why)) = Api::at(address).unwrap().get("/healthz").await else {
            panic!()
        };
        assert!(why.contains(&address.to_string()) && why.contains("refused"), "{why}");
    }

    #[tokio::test]
    async fn the_token_goes_along() {
        let (mut api, asked) = server(vec![(200, "ok")]).await;
        api.token = Some(Secret::new("t0ken"));
        assert_eq!(api.get("/readyz").await.unwrap().body, "ok");
        let asked = asked.await.unwrap().remove(0);
        assert!(asked.contains("authorization: Bearer t0ken"), "{asked}");
    }
}
