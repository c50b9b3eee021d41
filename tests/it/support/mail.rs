//! A real mail server (Python's aiosmtpd) on loopback.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use serde_json::Value;

use super::{PATIENCE, Watch};

/// How the server wants to be spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    /// STARTTLS, then a login, or nothing.
    StartTlsAndLogin,
    /// TLS from the first byte.
    Tls,
}

/// The user and password of a server that wants a login.
pub(crate) const LOGIN: (&str, &str) = ("bell", "canary-smtp-password-91c2");

/// A mail server; it ends when it is dropped.
pub(crate) struct MailServer {
    child: Child,
    port: u16,
    mails: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl MailServer {
    /// Starts a server. Recipients whose address starts with `unknown` are refused by 550, with `busy` by 450, and
    /// with `later` by 450 for the first two times.
    pub(crate) fn start(security: Security) -> Self {
        let mut command = Command::new(python());
        command.arg(super::root().join("tests/smtp/server.py"));
        if security != Security::Plain {
            let certificate = certificate();
            command.arg("--cert").arg(certificate.join("cert.pem"));
            command.arg("--key").arg(certificate.join("key.pem"));
        }
        match security {
            Security::Plain => {}
            Security::StartTlsAndLogin => {
                command.arg("--login").arg(format!("{}:{}", LOGIN.0, LOGIN.1));
            }
            Security::Tls => {
                command.arg("--tls");
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs: ./test installs what the tests need");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_else(|| {
            panic!("the mail server did not start: ./test installs what it needs")
        });
        let port = serde_json::from_str::<Value>(&first).unwrap()["port"].as_u64().unwrap();
        let mails: Arc<(Mutex<Vec<Value>>, Condvar)> = Arc::default();
        let writer = Arc::clone(&mails);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writer.0.lock().unwrap().push(serde_json::from_str(&line).unwrap());
                writer.1.notify_all();
            }
        });
        Self { child, port: u16::try_from(port).unwrap(), mails }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `n` lines have come and gives all: mails, and refused recipients.
    pub(crate) fn lines(&self, n: usize) -> Vec<Value> {
        let watch = Watch::start();
        let mut mails = self.mails.0.lock().unwrap();
        while mails.len() < n {
            let left = PATIENCE.checked_sub(watch.elapsed()).unwrap_or_else(|| {
                panic!("waited {PATIENCE:?} in vain for {n} mails, have {mails:?}");
            });
            mails = self.mails.1.wait_timeout(mails, left).unwrap().0;
        }
        mails.clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that has aiosmtpd: the one of `./test`, else the system's.
pub(crate) fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let own = target.join("venv/bin/python");
    if own.exists() { own } else { PathBuf::from("python3") }
}

/// A folder with `ca.pem`, and `cert.pem` and `key.pem` for `localhost` and 127.0.0.1.
pub(crate) fn certificate() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::write(
            folder.path().join("names"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n",
        )
        .unwrap();
        for args in [
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=tests",
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
        ] {
            let output = Command::new("openssl")
                .args(args.split(' '))
                .current_dir(folder.path())
                .output()
                .expect("openssl runs: ./test installs it");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        folder
    });
    folder.path()
}
