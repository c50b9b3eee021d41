//! `[server]` and `[journal]`: what needs a restart.

use std::time::Duration;

use super::Server;
use super::keys;
use super::quantity::parse_address;
use super::reader::{Report, Table, Value};
use super::secrets::{Resolved, Resolver};
use crate::journal::Options;
use crate::secret::Secret;

/// hyper's own floor for a request head's buffer.
const LEAST_HEAD: usize = 8 * 1024;

/// What the journal does without a `[journal]`.
fn journal_defaults() -> Options {
    Options { url: "sqlite:hookbell.db".to_owned(), keep: Duration::from_secs(30 * 86_400) }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            admin: ([127, 0, 0, 1], 9090).into(),
            admin_token: None,
            admin_hosts: Vec::new(),
            max_body: 1 << 20,
            max_head: 16 << 10,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            max_connections: 1_024,
            grace: Duration::from_secs(10),
        }
    }
}

/// Reads `[server]`.
pub(super) fn server(root: &mut Table<'_>, resolver: &Resolver<'_>) -> Server {
    let mut server = Server::default();
    let Some(mut table) = root.get("server").and_then(|v| v.table("[server]")) else {
        return server;
    };
    let report = table.report;
    set(&mut server.listen, table.get("listen").and_then(|v| address(&v, resolver)));
    let admin = table.get("admin");
    set(&mut server.admin, admin.as_ref().and_then(|v| address(v, resolver)));
    let token = table.get("admin_token");
    server.admin_token = token.as_ref().and_then(|v| secret(v, resolver));
    set(&mut server.admin_hosts, table.get("admin_hosts").and_then(|v| hosts(&v)));
    set(&mut server.max_body, table.get("max_body").and_then(|v| v.size(1)));
    set(&mut server.max_head, table.get("max_head").and_then(|v| v.size(LEAST_HEAD)));
    set(&mut server.head_timeout, table.get("head_timeout").and_then(|v| v.duration()));
    set(&mut server.body_timeout, table.get("body_timeout").and_then(|v| v.duration()));
    set(&mut server.grace, table.get("grace").and_then(|v| v.duration()));
    let connections = table.get("max_connections").and_then(|v| v.integer(1, 1_000_000));
    set(&mut server.max_connections, connections.and_then(|n| usize::try_from(n).ok()));
    if let Some(admin) = admin
        && token.is_none()
        && !server.admin.ip().is_loopback()
    {
        admin.error::<()>(
            "admin-without-token",
            format!(
                "the admin listener on {} would be open to everyone who reaches it",
                server.admin
            ),
            Some(
                "add `admin_token = \"${HOOKBELL_ADMIN_TOKEN}\"`, or listen on 127.0.0.1"
                    .to_owned(),
            ),
        );
    }
    same_port(&server, &table, report);
    table.finish(&keys::SERVER);
    server
}

/// Two listeners on one fixed port can't both start.
fn same_port(server: &Server, table: &Table<'_>, report: &Report) {
    let (a, b) = (server.listen, server.admin);
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    if a.port() == b.port() && a.port() != 0 && overlap {
        let at = table.peek("admin").or_else(|| table.peek("listen"));
        report.error(
            "same-address",
            at.map_or(table.span.clone(), |v| v.span),
            format!("`listen` and `admin` both want port {}", a.port()),
            Some("give `admin` another port, such as 9090".to_owned()),
        );
    }
}

/// Reads `[journal]`.
pub(super) fn journal(root: &mut Table<'_>, resolver: &Resolver<'_>) -> Options {
    let mut options = journal_defaults();
    let Some(mut table) = root.get("journal").and_then(|v| v.table("[journal]")) else {
        return options;
    };
    if let Some(value) = table.get("url")
        && let Some(Resolved::Text(url)) = resolver.text(&value).map(|at| at.value)
    {
        let url = url.expose();
        match url.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => options.url = url.to_owned(),
            Some(("postgres" | "postgresql", _)) => {
                value.error::<()>(
                    "not-applied-yet",
                    "`url`: PostgreSQL is not in this version, and another journal in its place would lose what it promises",
                    Some("write `url = \"sqlite:hookbell.db\"`".to_owned()),
                );
            }
            _ => {
                // The value may hold a password, so it isn't repeated.
                value.error::<()>(
                    "bad-url",
                    "`url` is no journal's address",
                    Some("write `url = \"sqlite:hookbell.db\"`".to_owned()),
                );
            }
        }
    }
    set(&mut options.keep, table.get("keep").and_then(|v| v.duration()));
    table.finish(&keys::JOURNAL);
    options
}

fn set<T>(slot: &mut T, found: Option<T>) {
    if let Some(found) = found {
        *slot = found;
    }
}

fn address(value: &Value<'_>, resolver: &Resolver<'_>) -> Option<std::net::SocketAddr> {
    if let toml::de::DeValue::Integer(port) = value.value {
        let message = format!("{} is no address to listen on", value.name);
        let hint = parse_address(port.as_str()).err();
        return value.error("bad-address", message, hint);
    }
    let Resolved::Text(text) = resolver.text(value)?.value else { return None };
    match parse_address(text.expose()) {
        Ok(address) => Some(address),
        Err(hint) => {
            let message = format!("{} is no address to listen on", value.name);
            value.error("bad-address", message, Some(hint))
        }
    }
}

fn secret(value: &Value<'_>, resolver: &Resolver<'_>) -> Option<Secret> {
    match resolver.text(value)?.value {
        Resolved::Text(secret) => Some(secret),
        Resolved::StandIn => Some(Secret::new("stand-in-admin-token")),
    }
}

/// Host names for the admin listener's `Host` check: no scheme, no port, no path.
fn hosts(value: &Value<'_>) -> Option<Vec<String>> {
    let mut hosts = Vec::new();
    for host in value.texts()? {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.value.is_empty() || !host.value.chars().all(fits) {
            value.report.error(
                "bad-host",
                host.span,
                format!("`admin_hosts`: {:?} is no host name", host.value),
                Some("write the bare name, such as \"hookbell.internal\"".to_owned()),
            );
            continue;
        }
        hosts.push(host.value.to_ascii_lowercase());
    }
    Some(hosts)
}
