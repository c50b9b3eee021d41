//! The libraries by which senders of webhooks sign and check, each in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Map, Value, json};

use super::mail::python;

/// A library in its language; the process ends when this is dropped.
pub(crate) struct Library {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// What every task says: the sender and the key.
    common: Map<String, Value>,
}

impl Library {
    /// A library for Python. `common` goes into every task: `source`, `secret` and what else the script wants.
    pub(crate) fn python(common: Value) -> Self {
        let mut command = Command::new(python());
        command.arg(super::root().join("tests/signers/sign.py"));
        Self::start(command, common)
    }

    /// A library for Node.js.
    pub(crate) fn node(common: Value) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("node");
        // ./test puts the script there, too; after a change of the script alone, this is faster.
        std::fs::copy(super::root().join("tests/signers/sign.mjs"), folder.join("sign.mjs"))
            .expect("target/node is there: ./test installs the libraries");
        let mut command = Command::new("node");
        command.arg(folder.join("sign.mjs"));
        Self::start(command, common)
    }

    fn start(mut command: Command, common: Value) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|e| {
                panic!("{command:?}: {e}; ./test installs what the tests need")
            });
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let Value::Object(common) = common else { panic!("not an object: {common}") };
        Self { child, to, from, common }
    }

    /// The headers that the sender puts on `body` at `now` (Unix seconds).
    pub(crate) fn sign(&mut self, body: &str, now: i64) -> Vec<(String, String)> {
        let answer = self.ask(json!({"do": "sign", "body": body, "now": now}));
        let headers = answer["headers"].as_object().unwrap();
        headers.iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect()
    }

    /// Whether the library takes `headers` over `body`.
    pub(crate) fn verifies(&mut self, body: &str, headers: &[(String, String)]) -> bool {
        let headers: Map<String, Value> =
            headers.iter().map(|(n, v)| (n.to_lowercase(), json!(v))).collect();
        let answer = self.ask(json!({"do": "verify", "body": body, "headers": headers}));
        answer["ok"].as_bool().unwrap()
    }

    fn ask(&mut self, mut task: Value) -> Value {
        for (key, value) in &self.common {
            task[key] = value.clone();
        }
        writeln!(self.to, "{task}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "no answer to {task}: ./test installs what the tests need");
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
