//! Text to [`Settings`] and [`crate::rules::Rules`], or every problem at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::rules::Rules;
use crate::secret::Secret;

/// What needs a restart to change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`.
    pub server: Server,
    /// `[journal]`.
    pub journal: crate::journal::Options,
}

/// `[server]`: where to listen, and the limits of what comes in.
#[derive(Clone, Debug)]
pub struct Server {
    /// Events come in here. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Health, metrics and the API. Default `127.0.0.1:9090`.
    pub admin: SocketAddr,
    /// The bearer token of the admin listener; required off loopback.
    pub admin_token: Option<Secret>,
    /// Names that the admin listener answers to in `Host` beside IP addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// The largest body, in bytes. Default 1 MiB.
    pub max_body: usize,
    /// The largest request head, in bytes; at least 8 KiB. Default 16 KiB.
    pub max_head: usize,
    /// The longest from the connection (or the last answer's end) to a request's whole head. Default 10 s.
    pub head_timeout: Duration,
    /// The longest from the head to the body's last byte. Default 10 s.
    pub body_timeout: Duration,
    /// Open connections on the public listener. Default 1,024.
    pub max_connections: usize,
    /// How long a drain may take. Default 10 s.
    pub grace: Duration,
}

/// How secrets that can't be resolved are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// An unresolved `${NAME}` is a problem.
    Required,
    /// It becomes a harmless stand-in: for `demo`, which sends nothing out.
    StandIns,
}

/// A configuration that can run.
#[derive(Debug)]
pub struct Loaded {
    /// What needs a restart.
    pub settings: Settings,
    /// What doesn't.
    pub rules: Arc<Rules>,
    /// What is suspicious but no error.
    pub warnings: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug)]
pub struct Problem {
    /// A stable code in kebab case, for example `unknown-key`.
    pub code: &'static str,
    /// An error stops the load; a warning doesn't.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The byte range in that file; none when it concerns the whole.
    pub span: Option<std::ops::Range<usize>>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration can't run.
    Error,
    /// It can, but a person should look.
    Warning,
}

/// Reads `path` (or the embedded defaults if none) with its templates and definitions beside it.
pub fn load(path: Option<&Path>, secrets: Secrets) -> Result<Loaded, Vec<Problem>> {
    let _ = (path, secrets);
    todo!()
}
