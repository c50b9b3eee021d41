//! One process of the real binary: its log, its signals, its end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

use super::{PATIENCE, Watch};

/// How a bridge ended that should have started.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.status, self.log)
    }
}

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

/// A running process and what it wrote to standard error; killed by its own id when dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<(Mutex<Log>, Condvar)>,
}

impl Process {
    /// Starts `command` and collects its standard error.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<(Mutex<Log>, Condvar)> = Arc::default();
        let writer = Arc::clone(&log);
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                writer.0.lock().unwrap().lines.push(text);
                writer.1.notify_all();
                line.clear();
            }
            writer.0.lock().unwrap().ended = true;
            writer.1.notify_all();
        });
        Self { child, log }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a log line with this message; none when the process ended without it.
    pub(crate) fn wait_log(&self, message: &str) -> Option<Value> {
        self.wait_log_for(message, |line| line == message)
    }

    /// Waits for a log line whose message fits; none when the process ended without it.
    pub(crate) fn wait_log_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> Option<Value> {
        let watch = Watch::start();
        let mut log = self.log.0.lock().unwrap();
        let mut seen = 0;
        loop {
            for line in &log.lines[seen..] {
                let Ok(value) = serde_json::from_str::<Value>(line) else { continue };
                if field(&value, "message").and_then(Value::as_str).is_some_and(&fits) {
                    return Some(value);
                }
            }
            seen = log.lines.len();
            if log.ended {
                return None;
            }
            let Some(left) = PATIENCE.checked_sub(watch.elapsed()) else {
                panic!(
                    "waited {PATIENCE:?} in vain for the log line `{what}`:\n{}",
                    log.lines.join("\n")
                );
            };
            log = self.log.1.wait_timeout(log, left).unwrap().0;
        }
    }

    /// Waits for the log line `message` and gives its `address`; none when the process ended without it.
    pub(crate) fn address(&self, message: &str) -> Option<SocketAddr> {
        let line = self.wait_log(message)?;
        let address = field(&line, "address").and_then(Value::as_str).unwrap_or_else(|| {
            panic!("the log line `{message}` has no `address`: {line}");
        });
        Some(address.parse().unwrap())
    }

    /// What it wrote to standard error until now.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().lines.join("\n")
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let watch = Watch::start();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(watch.elapsed() < PATIENCE, "the process does not end:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id();
        // The shell's own kill: a plain Debian has no other.
        let status =
            Command::new("sh").args(["-c", &format!("kill -s {name} {id}")]).status().unwrap();
        assert!(status.success(), "kill -s {name} {id}");
    }

    /// kill -9.
    pub(crate) fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, with all that it wrote.
    pub(crate) fn failed(mut self) -> Failed {
        let status = self.wait();
        let mut log = self.log.0.lock().unwrap();
        while !log.ended {
            log = self.log.1.wait(log).unwrap();
        }
        let text = log.lines.join("\n");
        drop(log);
        Failed { status, log: text }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- what the bridge logged last:");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// A field of a JSON log line, wherever the format puts it.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    line.get(name).or_else(|| line.get("fields")?.get(name))
}

/// Lets this process and the bridges that it starts open as many files as the system allows: the tests hold more
/// than a thousand connections open, and many systems' soft limit is 1,024.
pub(crate) fn raise_file_limit() {
    static RAISED: std::sync::Once = std::sync::Once::new();
    RAISED.call_once(|| {
        let id = std::process::id().to_string();
        let status = Command::new("prlimit").args(["--pid", &id, "--nofile=8192:"]).status();
        assert!(
            status.is_ok_and(|s| s.success()),
            "the limit of open files can't be raised to 8,192"
        );
    });
}
