//! A real HTTPS server (Python's) on loopback, with a certificate of the tests' own authority.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

use super::mail::{certificate, python};
use super::{PATIENCE, Watch};

/// The server; it ends when it is dropped.
pub(crate) struct HttpsServer {
    child: Child,
    port: u16,
    requests: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl HttpsServer {
    /// Starts a server for `localhost` and 127.0.0.1 that says 200 `ok` to each POST.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(python())
            .arg(super::root().join("tests/https/server.py"))
            .args([certificate().join("cert.pem"), certificate().join("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs: ./test installs what the tests need");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().and_then(Result::ok).expect("the server says its port");
        let port = serde_json::from_str::<Value>(&first).unwrap()["port"].as_u64().unwrap();
        let requests: Arc<(Mutex<Vec<Value>>, Condvar)> = Arc::default();
        let writer = Arc::clone(&requests);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writer.0.lock().unwrap().push(serde_json::from_str(&line).unwrap());
                writer.1.notify_all();
            }
        });
        Self { child, port: u16::try_from(port).unwrap(), requests }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `n` requests have come and gives all.
    pub(crate) fn lines(&self, n: usize) -> Vec<Value> {
        let watch = Watch::start();
        let mut requests = self.requests.0.lock().unwrap();
        while requests.len() < n {
            let left = PATIENCE.checked_sub(watch.elapsed()).unwrap_or_else(|| {
                panic!("waited {PATIENCE:?} in vain for {n} requests, have {requests:?}");
            });
            requests = self.requests.1.wait_timeout(requests, left).unwrap().0;
        }
        requests.clone()
    }

    /// What came until now.
    pub(crate) fn so_far(&self) -> Vec<Value> {
        self.requests.0.lock().unwrap().clone()
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
