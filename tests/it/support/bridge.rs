//! The real binary in a folder of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::events::{SECRET, signature};
use super::http::{self, Answer};
use super::process::{self, Failed, Process};

/// What a bridge is started with.
pub(crate) struct Builder {
    whole: Option<String>,
    rules: String,
    server: String,
    journal: String,
    source: String,
    templates: Vec<(String, String)>,
    env: BTreeMap<String, String>,
}

impl Builder {
    /// Adds lines to `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// Adds lines to `[journal]`.
    pub(crate) fn journal(mut self, lines: &str) -> Self {
        self.journal.push_str(lines);
        self.journal.push('\n');
        self
    }

    /// Adds lines to `[sources.replicer]`.
    pub(crate) fn source(mut self, lines: &str) -> Self {
        self.source.push_str(lines);
        self.source.push('\n');
        self
    }

    /// Adds a file below `templates/`.
    pub(crate) fn template(mut self, file: &str, text: &str) -> Self {
        self.templates.push((file.to_owned(), text.to_owned()));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lets a test break the disk under the bridge; see [`super::faults`].
    pub(crate) fn with_faults(self) -> Self {
        let shim = super::faults::shim();
        self.env("LD_PRELOAD", &shim.display().to_string())
    }

    /// Writes the folder, starts the bridge and waits until it is ready.
    pub(crate) fn start(self) -> Bridge {
        self.prepare().started()
    }

    /// Writes the folder and starts nothing.
    pub(crate) fn prepare(self) -> Stopped {
        let folder = tempfile::Builder::new().prefix("hookbell-it-").tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir(path.join("templates")).unwrap();
        for (file, text) in &self.templates {
            std::fs::write(path.join("templates").join(file), text).unwrap();
        }
        process::raise_file_limit();
        let stopped = Stopped {
            folder,
            env: self.env,
            text: ConfigText {
                whole: self.whole,
                server: self.server,
                journal: self.journal,
                source: self.source,
                rules: self.rules,
            },
        };
        stopped.write_config("rules.toml", "127.0.0.1:0", "127.0.0.1:0");
        stopped
    }
}

/// The parts of `rules.toml`.
struct ConfigText {
    /// All of it, where a test brings a file of its own; only the addresses are replaced.
    whole: Option<String>,
    server: String,
    journal: String,
    source: String,
    rules: String,
}

/// A bridge's folder, with no bridge running in it.
pub(crate) struct Stopped {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
    text: ConfigText,
}

impl Stopped {
    fn write_config(&self, file: &str, listen: &str, admin: &str) {
        if let Some(whole) = &self.text.whole {
            let lines = whole.lines().map(|line| match line.split('=').next().map(str::trim) {
                Some("listen") => format!("listen = \"{listen}\""),
                Some("admin") => format!("admin = \"{admin}\""),
                _ => line.to_owned(),
            });
            let text: Vec<String> = lines.collect();
            assert!(whole.contains("\nlisten") && whole.contains("\nadmin"), "{whole}");
            std::fs::write(self.path().join(file), text.join("\n")).unwrap();
            return;
        }
        let ConfigText { server, journal, source, rules, .. } = &self.text;
        // A table's own keys end where the next table begins.
        let has = |text: &str, key: &str| {
            let own = text.lines().map(str::trim_start).take_while(|line| !line.starts_with('['));
            own.into_iter().any(|line| line.starts_with(key))
        };
        let mut text = "version = 1\n\n[server]\n".to_owned();
        if !has(server, "listen") {
            text.push_str(&format!("listen = \"{listen}\"\n"));
        }
        if !has(server, "admin =") {
            text.push_str(&format!("admin = \"{admin}\"\n"));
        }
        text.push_str(server);
        text.push_str("\n[journal]\n");
        if !has(journal, "url") {
            text.push_str("url = \"sqlite:hookbell.db\"\n");
        }
        text.push_str(journal);
        text.push_str("\n[sources.replicer]\nkind = \"replicer\"\n");
        if !has(source, "secret") {
            text.push_str("secret = \"${REPLICER_SIGNING_SECRET}\"\n");
        }
        text.push_str(source);
        text.push_str(&format!("\n{rules}\n"));
        std::fs::write(self.path().join(file), text).unwrap();
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes other rules from the next start on.
    pub(crate) fn set_rules(&mut self, rules: &str) {
        rules.clone_into(&mut self.text.rules);
        self.write_config("rules.toml", "127.0.0.1:0", "127.0.0.1:0");
    }

    /// The binary with this bridge's environment and nothing of the caller's but the search path.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = super::command::bare(args);
        command.current_dir(self.path()).env("REPLICER_SIGNING_SECRET", SECRET).envs(&self.env);
        command
    }

    /// Starts the bridge and waits until it is ready.
    pub(crate) fn started(self) -> Bridge {
        match self.try_start() {
            Ok(bridge) => bridge,
            Err(failed) => panic!("the bridge did not start: {}", failed.1),
        }
    }

    /// Starts the bridge; gives the folder back with what it said if it ended before it was ready.
    pub(crate) fn try_start(self) -> Result<Bridge, Box<(Self, Failed)>> {
        let process = self.spawn();
        let (Some(events), Some(admin)) =
            (process.address("accepting events"), process.address("admin listening"))
        else {
            return Err(Box::new((self, process.failed())));
        };
        if process.wait_log("ready").is_none() {
            return Err(Box::new((self, process.failed())));
        }
        self.write_config("reach.toml", &events.to_string(), &admin.to_string());
        Ok(Bridge { process, events, admin, stopped: self })
    }

    /// Runs `run` to its end: for bridges that must not start.
    pub(crate) fn spawn_to_end(&self) -> super::command::Ran {
        super::command::run(self.command(&["run", "--config", "rules.toml"]))
    }

    /// Starts the bridge and waits for nothing.
    pub(crate) fn spawn(&self) -> Process {
        Process::start(self.command(&["run", "--config", "rules.toml"]))
    }
}

/// A running bridge.
pub(crate) struct Bridge {
    process: Process,
    events: SocketAddr,
    admin: SocketAddr,
    stopped: Stopped,
}

impl Bridge {
    /// A bridge whose `rules.toml` has these destinations and rules, one `replicer` source and ports of its own.
    pub(crate) fn with_rules(rules: &str) -> Builder {
        Builder {
            whole: None,
            rules: rules.to_owned(),
            server: String::new(),
            journal: String::new(),
            source: String::new(),
            templates: Vec::new(),
            env: BTreeMap::new(),
        }
    }

    /// A bridge with this very `rules.toml`, but for the addresses that it listens on.
    pub(crate) fn with_config(text: &str) -> Builder {
        Builder { whole: Some(text.to_owned()), ..Self::with_rules("") }
    }

    /// A bridge that tells `receiver` of every event: a Slack destination `sales`, the text is the event's id.
    pub(crate) fn telling(receiver: &super::Receiver) -> Builder {
        Self::with_rules(&telling(&receiver.url("/slack"), "")).template("id.hbs", "{{id}}")
    }

    /// Where events come in.
    pub(crate) fn events(&self) -> SocketAddr {
        self.events
    }

    /// Where it is looked at.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.stopped.path()
    }

    /// Its journal's file.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path().join("hookbell.db")
    }

    /// Posts `body`, signed, with the headers that the source sends.
    pub(crate) fn post(&self, source: &str, body: impl AsRef<[u8]>) -> Answer {
        self.try_post(source, body).unwrap_or_else(|e| panic!("no answer to a POST: {e}"))
    }

    /// Posts `body`, signed; an error when there is no answer.
    pub(crate) fn try_post(&self, source: &str, body: impl AsRef<[u8]>) -> std::io::Result<Answer> {
        post_to(self.events, source, body.as_ref())
    }

    /// Posts `body`, signed, and asserts that it is taken as new.
    pub(crate) fn accepts(&self, body: impl AsRef<[u8]>) {
        let answer = self.post("replicer", body.as_ref());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["received"], true);
        assert!(answer.json().get("duplicate").is_none(), "{}", answer.text());
    }

    /// Posts `body` with exactly these headers (beside `content-type`, `host` and `content-length`).
    pub(crate) fn post_with(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.request("POST", "/hooks/replicer", &all, body)
    }

    /// Any request to the public listener.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        http::request(self.events, method, path, headers, body)
            .unwrap_or_else(|e| panic!("no answer to {method} {path}: {e}"))
    }

    /// GET from the admin listener.
    pub(crate) fn get(&self, path: &str) -> Answer {
        http::request(self.admin, "GET", path, &[], b"")
            .unwrap_or_else(|e| panic!("no answer to GET {path}: {e}"))
    }

    /// The metrics of this moment.
    pub(crate) fn metrics(&self) -> super::metrics::Metrics {
        super::metrics::Metrics::parse(&self.get("/metrics").text())
    }

    /// Runs a command against this bridge.
    pub(crate) fn run(&self, args: &[&str]) -> super::command::Ran {
        let mut all = args.to_vec();
        all.extend_from_slice(&["--config", "reach.toml"]);
        super::command::run(self.stopped.command(&all))
    }

    /// What a command prints as JSON; it must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        let ran = self.run(&all);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran.json()
    }

    /// What a command that lists prints with `--json`; it must end well.
    pub(crate) fn list(&self, args: &[&str]) -> Vec<Value> {
        let mut all = args.to_vec();
        all.push("--json");
        let ran = self.run(&all);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.all());
        ran.lines()
    }

    /// Every event in the journal, newest first.
    pub(crate) fn event_rows(&self) -> Vec<Value> {
        self.list(&["events"])
    }

    /// Every notification in the journal, newest first.
    pub(crate) fn notification_rows(&self) -> Vec<Value> {
        self.list(&["notifications"])
    }

    /// One notification with its attempts.
    pub(crate) fn notification(&self, id: i64) -> Value {
        self.json(&["notifications", &id.to_string()])
    }

    /// Waits until the only notification to `destination` is in `state` and gives it with its attempts.
    pub(crate) fn settled(&self, destination: &str, state: &str) -> Value {
        super::eventually(&format!("the notification to {destination} is {state}"), || {
            let rows = self.notification_rows();
            let row = rows.iter().find(|r| r["destination"] == destination)?;
            (row["state"] == state).then(|| self.notification(row["id"].as_i64().unwrap()))
        })
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it logged until now.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// kill -9; the folder stays.
    pub(crate) fn kill9(mut self) -> Stopped {
        self.process.kill9();
        self.stopped
    }

    /// SIGTERM, and waits until it has ended with 0; the folder stays.
    pub(crate) fn stop(mut self) -> Stopped {
        self.process.signal("TERM");
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "after SIGTERM: {}", self.process.log());
        self.stopped
    }

    /// The folder beside the running bridge, for what a second process does in it.
    pub(crate) fn folder(&self) -> &Stopped {
        &self.stopped
    }
}

/// The destination `sales` at `url` with further `settings`, and the rule `everything` that tells it of every event.
pub(crate) fn telling(url: &str, settings: &str) -> String {
    format!(
        r#"
[destinations.sales]
provider = "slack"
url = "{url}"
{settings}

[[rules]]
name = "everything"
to = ["sales"]
template = "id"
"#
    )
}

/// Posts `body`, signed, as Replicer does.
pub(crate) fn post_to(to: SocketAddr, source: &str, body: &[u8]) -> std::io::Result<Answer> {
    let signature = signature(SECRET.as_bytes(), body);
    http::request(
        to,
        "POST",
        &format!("/hooks/{source}"),
        &[
            ("content-type", "application/json"),
            ("x-replicer-event", "call.ended"),
            ("x-replicer-delivery-id", &format!("{:032x}", fastrand::u128(..))),
            ("x-replicer-timestamp", "1775397840"),
            ("x-replicer-signature", &signature),
        ],
        body,
    )
}
