//! The binary as a command that ends by itself.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use super::{PATIENCE, Watch};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| {
            panic!("standard output is not JSON ({e}):\n{}\n{}", self.stdout, self.stderr)
        })
    }

    /// Standard output as a list: one JSON object a line.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let read = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|e| {
                panic!("a line is not JSON ({e}):\n{}\n{}", self.stdout, self.stderr)
            })
        };
        self.stdout.lines().map(read).collect()
    }

    /// Both outputs.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The binary with these arguments and an environment that holds nothing but the search path. `HOOKBELL_TEST_BINARY`
/// names another one than cargo built for the tests: a release build, a package's.
pub(crate) fn bare(args: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_hookbell");
    let binary = std::env::var_os("HOOKBELL_TEST_BINARY").unwrap_or_else(|| built.into());
    let mut command = Command::new(binary);
    command.args(args).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs a command to its end, which must come.
pub(crate) fn run(mut command: Command) -> Ran {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    let watch = Watch::start();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if watch.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            let said = format!("{}{}", stdout.join().unwrap(), stderr.join().unwrap());
            panic!("{command:?} does not end within {PATIENCE:?}:\n{said}");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
