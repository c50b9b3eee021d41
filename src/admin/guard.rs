//! Who may look in.
//!
//! Listening on loopback is no protection from a browser: a page of a stranger can have its own name resolve to
//! 127.0.0.1 (DNS rebinding) and then counts as same-origin. So the name in `Host` is checked before all else, then
//! where the request comes from, then the token.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;

use crate::secret::Secret;

/// Says whether a request is cross-site; browsers send it and pages can't change it
/// (<https://www.w3.org/TR/fetch-metadata/>).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may look in.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Names that are right in `Host`, beside IP addresses and `localhost`.
    hosts: Vec<String>,
    /// The bearer token, where one is set.
    token: Option<Secret>,
}

impl Guard {
    /// A guard for the admin listener.
    pub fn new(hosts: Vec<String>, token: Option<Secret>) -> Self {
        Self { hosts, token }
    }

    /// Whether the request may go on; else the status and words of the refusal.
    pub fn check(&self, parts: &Parts) -> Result<(), (StatusCode, String)> {
        let host = self.host(parts)?;
        if foreign(parts, &host) {
            let words = "requests from other sites are refused".to_owned();
            return Err((StatusCode::FORBIDDEN, words));
        }
        // Probes carry no token, and learn nothing but whether it works.
        if matches!(parts.uri.path(), "/healthz" | "/readyz") || self.token_fits(parts) {
            return Ok(());
        }
        let words = "send `authorization: Bearer` with the token `server.admin_token`".to_owned();
        Err((StatusCode::UNAUTHORIZED, words))
    }

    /// The request's host with its port, if it is one of ours.
    fn host(&self, parts: &Parts) -> Result<String, (StatusCode, String)> {
        let mut named = parts.headers.get_all(HOST).iter();
        let header = match (named.next(), named.next()) {
            (Some(one), None) => one.to_str().ok(),
            _ => None,
        };
        // An absolute URL names the host, too (RFC 9112, 3.2.2); both must be ours.
        let absolute = parts.uri.authority().map(hyper::http::uri::Authority::as_str);
        let known = |text: &str| {
            let name = bare(text);
            name.parse::<IpAddr>().is_ok()
                || name.eq_ignore_ascii_case("localhost")
                || self.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
        };
        match header {
            Some(host) if known(host) && absolute.is_none_or(known) => Ok(host.to_owned()),
            _ => Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this host name is not one of `server.admin_hosts`".to_owned(),
            )),
        }
    }

    fn token_fits(&self, parts: &Parts) -> bool {
        let Some(token) = &self.token else { return true };
        let given = parts.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let Some(given) = given.and_then(|v| v.split_once(' ')) else { return false };
        given.0.eq_ignore_ascii_case("bearer") && token.is(given.1.trim())
    }
}

/// Whether a browser says that the request comes from another site.
fn foreign(parts: &Parts, host: &str) -> bool {
    let site = parts.headers.get(SEC_FETCH_SITE).map(|v| v.to_str().unwrap_or("cross-site"));
    if site.is_some_and(|s| !matches!(s, "same-origin" | "none")) {
        return true;
    }
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    origins.any(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) != Some(host)
    })
}

/// The name without its port, an IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.split(']').next().unwrap_or_default();
    }
    match host.parse::<SocketAddr>() {
        Ok(_) => host.rsplit_once(':').map_or(host, |(name, _)| name),
        Err(_) => match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        },
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/api/events");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(guard: &Guard, headers: &[(&str, &str)]) -> u16 {
        guard.check(&parts(headers)).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn only_known_host_names_are_answered() {
        let guard = Guard::new(vec!["bell.internal".to_owned()], None);
        for host in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "[::1]:9090",
            "[::1]",
            "LOCALHOST:1",
            "bell.internal:80",
        ] {
            assert_eq!(status(&guard, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "bell.internal.evil.example:9090",
            "127.0.0.1:9090@evil.example",
            "[evil]",
        ] {
            assert_eq!(status(&guard, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(&guard, &[]), 421);
        assert_eq!(status(&guard, &[("host", "localhost"), ("host", "localhost")]), 421);
    }

    #[test]
    fn other_sites_are_refused_and_our_own_page_is_not() {
        let guard = Guard::new(Vec::new(), None);
        let with = |name, value| status(&guard, &[("host", "localhost:9090"), (name, value)]);
        assert_eq!(with("origin", "http://localhost:9090"), 200);
        assert_eq!(with("sec-fetch-site", "same-origin"), 200);
        assert_eq!(with("sec-fetch-site", "none"), 200);
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://localhost:8080"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(with(name, value), 403, "{name}: {value}");
        }
    }

    #[test]
    fn a_token_is_asked_for_everywhere_but_of_probes() {
        let guard = Guard::new(Vec::new(), Some(Secret::new("hush")));
        let with = |value| status(&guard, &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer hush"), 200);
        assert_eq!(with("bearer hush"), 200);
        for wrong in ["Bearer hus", "Bearer hushh", "Bearer", "hush", "Basic hush", ""] {
            assert_eq!(with(wrong), 401, "{wrong}");
        }
        let probe = Request::get("/readyz").header("host", "localhost").body(()).unwrap();
        assert!(guard.check(&probe.into_parts().0).is_ok());
    }
}
