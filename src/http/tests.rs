//! The accept loop against real sockets, with short limits and a trivial service.

use std::sync::atomic::AtomicUsize;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

/// Long enough that a test which needs it has failed.
const TOO_LONG: Duration = Duration::from_secs(20);
const NEVER: Duration = Duration::from_secs(3600);
const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";

/// A running listener whose service reads the path: `/` reads the body and answers, `/unread` answers without,
/// `/held` waits until it is let go, `/never` never answers.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    held: Arc<Semaphore>,
    at_once: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

const DEFAULT: Limits =
    Limits { max_head: 8192, head_timeout: NEVER, max_connections: 64, grace: TOO_LONG };

async fn start(limits: Limits) -> Running {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr();
    let stop = CancellationToken::new();
    let held = Arc::new(Semaphore::new(0));
    let at_once = Arc::new(AtomicUsize::new(0));
    let service = {
        let (held, at_once) = (Arc::clone(&held), Arc::clone(&at_once));
        move |request: Request<Incoming>| {
            let (held, at_once) = (Arc::clone(&held), Arc::clone(&at_once));
            async move {
                at_once.fetch_add(1, Ordering::SeqCst);
                match request.uri().path() {
                    "/unread" => {}
                    "/held" => held.acquire().await.unwrap().forget(),
                    "/never" => std::future::pending().await,
                    _ => drop(request.into_body().collect().await),
                }
                at_once.fetch_sub(1, Ordering::SeqCst);
                Response::new(Full::new(Bytes::from_static(b"done")))
            }
        }
    };
    let serving = TaskTracker::new().spawn(listener.serve(limits, service, stop.clone()));
    Running { address, stop, held, at_once, serving }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Connects and sends `bytes`.
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Waits until `count` requests are in the service.
    async fn until_at_once(&self, count: usize) {
        timeout(TOO_LONG, async {
            while self.at_once.load(Ordering::SeqCst) != count {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the service has so many requests");
    }

    async fn ended(self) {
        timeout(TOO_LONG, self.serving).await.expect("the listener ends").unwrap();
    }
}

/// Reads one answer: all of its head and its body of four bytes.
async fn answer(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    timeout(TOO_LONG, async {
        while !got.ends_with(b"done") {
            if stream.read_buf(&mut got).await.unwrap() == 0 {
                break;
            }
        }
    })
    .await
    .expect("an answer comes");
    String::from_utf8(got).unwrap()
}

/// Reads until the other side closes; a reset counts as closed.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = timeout(TOO_LONG, stream.read_to_end(&mut got)).await.expect("it is closed");
    got
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let running = start(DEFAULT).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn connections_that_never_complete_a_head_are_closed() {
    let limits = Limits { head_timeout: Duration::from_millis(300), ..DEFAULT };
    let running = start(limits).await;
    let mut silent = running.connect().await;
    let mut one_byte = running.send(b"P").await;
    let mut half = running.send(&REQUEST[..20]).await;
    let mut newlines = running.send(b"\r\n\r\n").await;
    let mut second_preface = running.send(b"PRI * HTTP/2.0\r\n\r\n").await;
    let mut idle = running.send(REQUEST).await;
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    let mut idle_half = running.send(REQUEST).await;
    assert!(answer(&mut idle_half).await.starts_with("HTTP/1.1 200"));
    idle_half.write_all(b"POST").await.unwrap();
    for stream in [&mut silent, &mut one_byte, &mut half, &mut newlines, &mut idle, &mut idle_half]
    {
        assert_eq!(closed(stream).await, b"");
    }
    let refused = closed(&mut second_preface).await;
    assert!(refused.is_empty() || refused.starts_with(b"HTTP/1.1 4"), "{refused:?}");
}

#[tokio::test]
async fn dripping_bytes_does_not_prolong_the_head() {
    let running = start(Limits { head_timeout: Duration::from_millis(300), ..DEFAULT }).await;
    let (mut read, mut write) = running.send(b"POST / HTTP/1.1\r\nX: ").await.into_split();
    let drip = async {
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut got = Vec::new();
    timeout(TOO_LONG, async {
        tokio::select! {
            _ = read.read_to_end(&mut got) => {}
            () = drip => {}
        }
    })
    .await
    .expect("it is closed");
    assert_eq!(got, b"");
}

#[tokio::test]
async fn a_large_head_is_answered_even_while_it_is_sent() {
    let running = start(DEFAULT).await;
    let head = format!("POST / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024));
    let mut stream = running.send(head.as_bytes()).await;
    let got = closed(&mut stream).await;
    assert!(got.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&got));
    let many = format!("POST / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    let got = closed(&mut running.send(many.as_bytes()).await).await;
    assert!(got.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&got));
}

#[tokio::test]
async fn the_answer_to_an_unread_body_arrives() {
    let running = start(DEFAULT).await;
    let length = 3 * 1024 * 1024;
    let head = format!("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let mut stream = running.send(head.as_bytes()).await;
    stream.write_all(&vec![b'x'; length]).await.unwrap();
    let got = closed(&mut stream).await;
    assert!(got.starts_with(b"HTTP/1.1 200") && got.ends_with(b"done"));
}

#[tokio::test]
async fn at_the_cap_the_oldest_silent_connection_makes_room() {
    let running = start(Limits { max_connections: 3, ..DEFAULT }).await;
    let mut served = running.send(REQUEST).await;
    answer(&mut served).await;
    let mut oldest = running.connect().await;
    let mut younger = running.connect().await;
    let mut newcomer = running.send(REQUEST).await;
    assert!(answer(&mut newcomer).await.starts_with("HTTP/1.1 200"));
    assert_eq!(closed(&mut oldest).await, b"");
    // Those that are still open answer.
    for stream in [&mut served, &mut younger] {
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    // All have been served now: the oldest of them goes.
    let mut another = running.send(REQUEST).await;
    assert!(answer(&mut another).await.starts_with("HTTP/1.1 200"));
    assert_eq!(closed(&mut served).await, b"");
}

#[tokio::test]
async fn a_flood_of_silent_connections_does_not_keep_a_sender_out() {
    let running = start(Limits { max_connections: 8, ..DEFAULT }).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(running.connect().await);
    }
    let mut sender = running.send(REQUEST).await;
    assert!(answer(&mut sender).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn while_every_connection_is_busy_a_newcomer_waits() {
    let running = start(Limits { max_connections: 1, ..DEFAULT }).await;
    let held = b"POST /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut first = running.send(held).await;
    running.until_at_once(1).await;
    let mut second = running.send(held).await;
    running.held.add_permits(1);
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
    drop(first);
    running.until_at_once(1).await;
    running.held.add_permits(1);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_drain_finishes_requests_and_closes_the_rest() {
    let running = start(DEFAULT).await;
    let mut silent = running.connect().await;
    let mut half = running.send(b"POST").await;
    let mut idle = running.send(REQUEST).await;
    answer(&mut idle).await;
    let mut busy = running.send(b"POST /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    running.until_at_once(1).await;
    running.stop.cancel();
    for stream in [&mut silent, &mut half, &mut idle] {
        assert_eq!(closed(stream).await, b"");
    }
    assert!(TcpStream::connect(running.address).await.is_err());
    running.held.add_permits(1);
    let last = closed(&mut busy).await;
    assert!(last.starts_with(b"HTTP/1.1 200") && last.ends_with(b"done"));
    running.ended().await;
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_cut() {
    let running = start(Limits { grace: Duration::from_millis(50), ..DEFAULT }).await;
    let mut stuck = running.send(b"POST /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
    running.until_at_once(1).await;
    running.stop.cancel();
    assert_eq!(closed(&mut stuck).await, b"");
    running.ended().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = start(DEFAULT).await;
    let error = Listener::bind(running.address).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("can't listen on {}: ", running.address)));
}
