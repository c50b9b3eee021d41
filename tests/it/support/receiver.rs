//! A real HTTP server on loopback that stands for Slack, Twilio and the rest: it answers as scripted, well or badly,
//! and remembers every request.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::{PATIENCE, Watch};

/// How one request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status, headers and a body.
    Answer(u16, Vec<(String, String)>, String),
    /// Reads the request, then says nothing until the receiver ends.
    Hang,
    /// Closes with a TCP reset before the request is read.
    Reset,
    /// Closes in the middle of the answer's body.
    CloseMidAnswer,
    /// Something that isn't HTTP.
    Garbage,
    /// 200 and a body without end.
    Endless,
}

impl Reply {
    /// What Slack says when all is well.
    pub(crate) fn ok() -> Self {
        Self::status(200, "ok")
    }

    /// A status and a body.
    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Answer(status, Vec::new(), body.to_owned())
    }

    /// A status and one header.
    pub(crate) fn with_header(status: u16, name: &str, value: &str) -> Self {
        Self::Answer(status, vec![(name.to_owned(), value.to_owned())], String::new())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When it was there, since the receiver started.
    pub(crate) at: std::time::Duration,
}

impl Request {
    /// A header by its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("the request is not JSON ({e}): {}", self.text()))
    }

    /// The body as a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8().unwrap().into_owned()
        };
        self.text()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect()
    }
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// Requests begun, read or not: what a reset counts as.
    begun: usize,
    /// Bytes of endless answers that were taken by the other side.
    poured: u64,
    script: VecDeque<Reply>,
    then: Option<Reply>,
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    watch: Watch,
}

/// The receiver; it ends when it is dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Answers 200 `ok` to everything.
    pub(crate) fn start() -> Self {
        Self::script([], Reply::ok())
    }

    /// Always answers `reply`.
    pub(crate) fn answering(reply: Reply) -> Self {
        Self::script([], reply)
    }

    /// Answers by `first`, one for each request, and by `then` for all that follow.
    pub(crate) fn script(first: impl IntoIterator<Item = Reply>, then: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            State { script: first.into_iter().collect(), then: Some(then), ..State::default() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            watch: Watch::start(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.state.lock().unwrap().ended {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// The URL of `path` on this receiver.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on answers `reply`.
    pub(crate) fn now_answers(&self, reply: Reply) {
        let mut state = self.shared.state.lock().unwrap();
        state.script.clear();
        state.then = Some(reply);
    }

    /// Waits until `n` requests have come and gives all that came.
    pub(crate) fn received(&self, n: usize) -> Vec<Request> {
        self.wait(&format!("{n} requests have come"), |state| {
            (state.requests.len() >= n).then(|| state.requests.clone())
        })
    }

    /// Waits until `n` requests have begun, read or not.
    pub(crate) fn begun(&self, n: usize) {
        self.wait(&format!("{n} requests have begun"), |state| (state.begun >= n).then_some(()));
    }

    /// What came until now.
    pub(crate) fn so_far(&self) -> Vec<Request> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// How many bytes of endless answers the other side has taken.
    pub(crate) fn poured(&self) -> u64 {
        self.shared.state.lock().unwrap().poured
    }

    fn wait<T>(&self, what: &str, probe: impl Fn(&State) -> Option<T>) -> T {
        let watch = Watch::start();
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(found) = probe(&state) {
                return found;
            }
            let left = PATIENCE.checked_sub(watch.elapsed()).unwrap_or_else(|| {
                panic!(
                    "waited {PATIENCE:?} in vain until {what}; {} begun, {} came: {:?}",
                    state.begun,
                    state.requests.len(),
                    state.requests.iter().map(|r| (&r.path, r.text())).collect::<Vec<_>>()
                )
            });
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.ended = true;
        }
        self.shared.changed.notify_all();
        // Wakes the accept loop, so that the listener closes.
        let _ = TcpStream::connect(self.address);
    }
}

/// A port on which nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/nobody", listener.local_addr().unwrap())
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut buffer = Vec::new();
    loop {
        if buffer.is_empty() && !matches!(stream.peek(&mut [0]), Ok(1..)) {
            return;
        }
        let reply = {
            let mut state = shared.state.lock().unwrap();
            state.begun += 1;
            let scripted = state.script.pop_front();
            scripted.or_else(|| state.then.clone()).unwrap()
        };
        shared.changed.notify_all();
        if matches!(reply, Reply::Reset) {
            // Linux answers with a reset when a socket closes with bytes unread.
            let _ = stream.read(&mut [0]);
            return;
        }
        let Some(mut request) = read_request(&mut stream, &mut buffer) else { return };
        request.at = shared.watch.elapsed();
        shared.state.lock().unwrap().requests.push(request);
        shared.changed.notify_all();
        if !answer(&mut stream, reply, shared) {
            return;
        }
    }
}

/// Whether the connection may go on.
fn answer(stream: &mut TcpStream, reply: Reply, shared: &Shared) -> bool {
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut text =
                format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            stream.write_all(format!("{text}\r\n{body}").as_bytes()).is_ok()
        }
        Reply::Hang => {
            let state = shared.state.lock().unwrap();
            drop(shared.changed.wait_while(state, |state| !state.ended));
            false
        }
        Reply::Reset => false,
        Reply::CloseMidAnswer => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok");
            false
        }
        Reply::Garbage => {
            let _ = stream.write_all(b"\x00\x01 no HTTP at all \xff\r\n\r\n");
            false
        }
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while stream.write_all(chunk.as_bytes()).is_ok() {
                let mut state = shared.state.lock().unwrap();
                state.poured += 0x1000;
                if state.ended {
                    break;
                }
            }
            false
        }
    }
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = super::http::find(buffer, b"\r\n\r\n") {
            break at;
        }
        fill(stream, buffer)?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    buffer.drain(..head_end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut request = Request {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
        at: std::time::Duration::ZERO,
    };
    assert!(request.header("transfer-encoding").is_none(), "a request of known length was chunked");
    let length: usize = request.header("content-length").unwrap_or("0").parse().ok()?;
    while buffer.len() < length {
        fill(stream, buffer)?;
    }
    request.body = buffer.drain(..length).collect();
    Some(request)
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut bytes = [0; 16 * 1024];
    let n = stream.read(&mut bytes).ok().filter(|n| *n > 0)?;
    buffer.extend_from_slice(&bytes[..n]);
    Some(())
}
