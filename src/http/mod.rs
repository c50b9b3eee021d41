//! The accept loop that both listeners share: HTTP/1.1, with a limit on everything that a stranger can hold open.
//!
//! It promises: a connection that doesn't complete a head within [`Limits::head_timeout`] is closed, whether it sent
//! nothing, a byte, or requests before; a head is no larger than [`Limits::max_head`] and has at most 100 headers
//! (hyper's own limit: setting another one costs an allocation a request); no more than
//! [`Limits::max_connections`] are served at once; `accept` errors pause the loop and never end it; a drain ends in
//! [`Limits::grace`]. The time to read a body belongs to the service, which alone knows whether it wants one.
//!
//! At the cap a newcomer takes the place of the connection that has waited longest without ever sending a request,
//! or else of the oldest one that is between two requests: so a flood of silent connections pushes out itself, and a
//! sender that speaks at once is served. Where every connection is in the middle of a request, newcomers wait in
//! the kernel's queue until one ends; a refusal would cost as much as an answer and tell a sender less.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod linger;
#[cfg(test)]
mod tests;

/// The smallest read buffer, in bytes. It is shared by head and body; with less, large bodies come in crumbs.
const READ_BUFFER: usize = 64 * 1024;

/// How long a drain waits for the rest of a head that is half here.
const HALF_HEAD: Duration = Duration::from_secs(1);

/// How often a newcomer at the cap looks again for a place.
const PLACE_RETRY: Duration = Duration::from_millis(100);

/// The first and the longest pause after `accept` failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How often a failing `accept` is logged.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// What a stranger may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request head, in bytes. A larger one is answered 431.
    pub max_head: usize,
    /// The longest from the connection (or the last answer's end) to a request's whole head.
    pub head_timeout: Duration,
    /// Connections served at once.
    pub max_connections: usize,
    /// How long a drain may take before connections are cut.
    pub grace: Duration,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`; port 0 takes any free one. Connections queue in the kernel until [`Listener::serve`].
    ///
    /// # Errors
    ///
    /// The address is in use or not this machine's; the message names it.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let named =
            |e: io::Error| io::Error::new(e.kind(), format!("can't listen on {address}: {e}"));
        let socket = TcpListener::bind(address).await.map_err(named)?;
        let address = socket.local_addr().map_err(named)?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then drains: the socket closes, requests under way are finished, idle connections are
    /// closed, and what is left after the grace period is cut. Returns when the last connection has ended.
    pub async fn serve<S, F, B>(self, limits: Limits, service: S, stop: CancellationToken)
    where
        S: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { socket, address } = self;
        let service = Arc::new(service);
        let tasks = TaskTracker::new();
        let mut open = Open::new(limits.max_connections);
        let mut http = http1::Builder::new();
        // Without a timer hyper's time-outs do nothing; with it they also close silent and idle connections.
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_header_size(limits.max_head)
            .max_buf_size(limits.max_head.max(READ_BUFFER));
        loop {
            let newcomer = async {
                let stream = accept(&socket, &mut open).await;
                (stream, open.place().await)
            };
            let (stream, place) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                newcomer = newcomer => newcomer,
            };
            let connection = open.add();
            let service = Arc::clone(&service);
            tasks.spawn(serve_connection(http.clone(), stream, connection, service, place));
        }
        drop(socket);
        open.tell_all(Order::Drain);
        tasks.close();
        if timeout(limits.grace, tasks.wait()).await.is_err() {
            tracing::warn!(%address, connections = tasks.len(), "the grace period is over: cutting connections");
            open.tell_all(Order::Cut);
            tasks.wait().await;
        }
    }
}

/// Takes the next connection. Errors of one connection are skipped; the machine's (no file descriptors left) are
/// waited out, and a waiting connection is closed to mend them.
async fn accept(socket: &TcpListener, open: &mut Open) -> TcpStream {
    let mut pause = PAUSES.0;
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                // Answers are small and single: waiting to fill a packet would only delay them.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionReset
                ) => {}
            Err(e) => {
                open.complain(&e);
                open.evict_one();
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// The connections being served, in the order of their coming.
struct Open {
    /// When a failing `accept` was logged last.
    complained: Option<Instant>,
    connections: VecDeque<Arc<Connection>>,
    places: Arc<Semaphore>,
    most: usize,
}

impl Open {
    fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(most));
        Self { complained: None, connections: VecDeque::new(), places, most }
    }

    fn add(&mut self) -> Arc<Connection> {
        // Ended ones are cleared when they could be half of all, so each costs a constant share.
        if self.connections.len() >= 2 * self.most {
            self.connections.retain(|c| c.phase() != Phase::Ended);
        }
        let connection = Arc::new(Connection::default());
        self.connections.push_back(Arc::clone(&connection));
        connection
    }

    /// A place for one more connection, at the cap by closing one that waits.
    async fn place(&mut self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return place;
            }
            self.evict_one();
            let freed = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(place)) = timeout(PLACE_RETRY, freed).await {
                return place;
            }
        }
    }

    fn evict_one(&mut self) {
        self.connections.retain(|c| c.phase() != Phase::Ended);
        let oldest = |phase| self.connections.iter().find(|c| c.phase() == phase);
        if let Some(connection) = oldest(Phase::New).or_else(|| oldest(Phase::Idle)) {
            connection.tell(Order::Evict);
        }
    }

    /// Logs a failing `accept`, seldom: under a flood it fails hundreds of times a second.
    fn complain(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINT_INTERVAL) {
            self.complained = Some(Instant::now());
            tracing::warn!(%error, "can't accept connections now: closing waiting ones");
        }
    }

    fn tell_all(&self, order: Order) {
        for connection in &self.connections {
            connection.tell(order);
        }
    }
}

/// What the accept loop and a connection's task know of each other.
#[derive(Debug, Default)]
struct Connection {
    phase: AtomicU8,
    order: AtomicU8,
    told: Notify,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request has come yet.
    New,
    /// A request is being answered.
    Busy,
    /// Between two requests.
    Idle,
    /// Over.
    Ended,
}

/// What a connection is told to do. A later one outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    None,
    /// Close, unless a request has come meanwhile.
    Evict,
    /// Finish the request, then close.
    Drain,
    /// Close.
    Cut,
}

impl Connection {
    // Relaxed is enough: the phase is a hint for others, and `told` orders what was ordered.
    fn phase(&self) -> Phase {
        const ALL: [Phase; 4] = [Phase::New, Phase::Busy, Phase::Idle, Phase::Ended];
        ALL[usize::from(self.phase.load(Ordering::Relaxed)).min(3)]
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Relaxed);
        self.told.notify_one();
    }

    async fn told(&self) -> Order {
        const ALL: [Order; 4] = [Order::None, Order::Evict, Order::Drain, Order::Cut];
        self.told.notified().await;
        ALL[usize::from(self.order.load(Ordering::Relaxed)).min(3)]
    }
}

/// Marks the connection as ended however its task ends, before its place is free.
struct Ended(Arc<Connection>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.enter(Phase::Ended);
    }
}

async fn serve_connection<S, F, B>(
    http: http1::Builder,
    stream: TcpStream,
    connection: Arc<Connection>,
    service: Arc<S>,
    _place: OwnedSemaphorePermit,
) where
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let _ended = Ended(Arc::clone(&connection));
    let answer = service_fn(|request| {
        connection.enter(Phase::Busy);
        let answer = service(request);
        let connection = &connection;
        async move {
            let answer = answer.await;
            connection.enter(Phase::Idle);
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(linger::Lingering::new(stream));
    let mut conversation = pin!(http.serve_connection(io, answer));
    loop {
        // An error is the other side's: a broken head was answered, a vanished client can't be.
        let order = tokio::select! {
            biased;
            _ = conversation.as_mut() => return,
            order = connection.told() => order,
        };
        match order {
            Order::Drain => break,
            Order::Cut => return,
            Order::Evict if connection.phase() != Phase::Busy => return,
            Order::Evict | Order::None => {}
        }
    }
    conversation.as_mut().graceful_shutdown();
    loop {
        tokio::select! {
            biased;
            _ = conversation.as_mut() => return,
            order = connection.told() => if order == Order::Cut { return },
            () = sleep(HALF_HEAD) => if connection.phase() != Phase::Busy { return },
        }
    }
}
