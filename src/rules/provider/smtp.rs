//! A mail server's URL.

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::settings::is_loopback;
use super::{SmtpSecurity, SmtpTarget};
use crate::secret::Secret;

/// Reads `smtp://`, `smtp+starttls://` or `smtps://`, then `user:password@host:port`, credentials percent-encoded.
/// Ports are 25, 587 and 465 if left out. No message shows a part of the URL but its scheme.
pub(super) fn parse(text: &str, from: &str) -> Result<SmtpTarget, String> {
    const FORM: &str = "write smtp+starttls://user:password@host:587, or smtps:// or smtp://";
    let url = Url::parse(text).map_err(|e| format!("not a URL ({e}); {FORM}"))?;
    let (security, default_port) = match url.scheme() {
        "smtp" => (SmtpSecurity::None, 25),
        "smtp+starttls" => (SmtpSecurity::StartTls, 587),
        "smtps" => (SmtpSecurity::Tls, 465),
        other => return Err(format!("`{other}://` is not known; {FORM}")),
    };
    let host =
        url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| format!("no host; {FORM}"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b)) {
        return Err("the host has characters that no host has".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("nothing may follow the host and port; {FORM}"));
    }
    let decode = |part: &str| {
        let decoded = percent_decode_str(part)
            .decode_utf8()
            .map_err(|_| "the credentials are not UTF-8".to_owned())?;
        if decoded.chars().any(char::is_control) {
            return Err("the credentials hold a control character".to_owned());
        }
        Ok(decoded.into_owned())
    };
    let credentials = match (decode(url.username())?, url.password()) {
        (user, None) if user.is_empty() => None,
        (user, Some(password)) if !user.is_empty() => Some((user, Secret::new(decode(password)?))),
        _ => return Err(format!("credentials need a user and a password; {FORM}")),
    };
    if security == SmtpSecurity::None && credentials.is_some() && !is_loopback(&host) {
        return Err(
            "the password would travel as plain text; use smtp+starttls:// or smtps://".to_owned()
        );
    }
    Ok(SmtpTarget {
        security,
        host,
        port: url.port().unwrap_or(default_port),
        credentials,
        from: from.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_url_is_read_with_its_default_port_and_decoded_credentials() {
        let cases = [
            ("smtp://127.0.0.1", SmtpSecurity::None, "127.0.0.1", 25),
            ("smtp://localhost:2525", SmtpSecurity::None, "localhost", 2525),
            ("smtp+starttls://mail.example.com", SmtpSecurity::StartTls, "mail.example.com", 587),
            ("smtps://mail.example.com/", SmtpSecurity::Tls, "mail.example.com", 465),
            ("smtps://[::1]:1465", SmtpSecurity::Tls, "::1", 1465),
        ];
        for (text, security, host, port) in cases {
            let target = parse(text, "a@example.com").unwrap();
            assert_eq!(
                (target.security, target.host.as_str(), target.port),
                (security, host, port),
                "{text}"
            );
        }
        let target =
            parse("smtps://me%40example.com:p%3A%2F%20w@mail.example.com", "a@example.com")
                .unwrap();
        let (user, password) = target.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me@example.com", "p:/ w"));
    }

    #[test]
    fn a_bad_mail_server_url_is_refused_without_showing_the_password() {
        for (text, expected) in [
            ("mail.example.com", "not a URL"),
            ("https://mail.example.com", "`https://` is not known"),
            ("smtp://u:hunter2@mail.example.com", "plain text"),
            ("smtps://u@mail.example.com", "a user and a password"),
            ("smtps://u:hunter2@mail.example.com/inbox", "nothing may follow"),
            ("smtps://u:hunter2%0a@mail.example.com", "control character"),
            ("smtps://", "no host"),
        ] {
            let error = parse(text, "a@example.com").expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
