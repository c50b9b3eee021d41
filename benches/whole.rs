//! Measures the whole binary beside a raw hyper echo server in the same run, and prints ratios.
//!
//! `./bench` runs it; `benches/README.md` says what the figures mean and how they were got. The machines that it
//! runs on are shared and noisy, so rounds alternate between the two servers and the medians are compared. All
//! traffic stays on loopback and is bounded in count; the servers are children that end with this program.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark's output is its purpose"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on should stop where it stands")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the real clock and the environment"
)]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const SECRET: &str = "bench-secret";
const BODY: usize = 1024;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("--raw-hyper") {
        return raw_hyper();
    }
    let quick = args.iter().any(|a| a == "--quick");
    let million = args.iter().any(|a| a == "--million");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let plan = if quick {
        Plan { rounds: 3, requests: 20_000 }
    } else {
        Plan { rounds: 5, requests: 60_000 }
    };
    let only = args.iter().position(|a| a == "--only").map(|at| args[at + 1].clone());
    let wanted = |measure: &str| only.as_deref().is_none_or(|only| only == measure);
    if wanted("size") {
        binary_size();
    }
    if wanted("idle") {
        idle(if quick { 5 } else { 20 });
    }
    if wanted("latency") {
        runtime.block_on(latency(if quick { 50 } else { 300 }));
    }
    for (measure, connections) in [("accept-64", 64), ("accept-512", 512)] {
        if wanted(measure) {
            runtime.block_on(accept(&plan, connections));
        }
    }
    if wanted("whole-way") {
        runtime.block_on(whole_way(&plan));
    }
    if million {
        runtime.block_on(start_with_a_million());
    }
}

/// The binary under test: the one built with this program, or another one to compare it with.
fn hookbell() -> PathBuf {
    std::env::var_os("HOOKBELL_BENCH")
        .map_or_else(|| env!("CARGO_BIN_EXE_hookbell").into(), PathBuf::from)
}

struct Plan {
    rounds: usize,
    requests: u64,
}

// ---------------------------------------------------------------------------------------------------------------
// The servers.

/// A child process that is killed by its id when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The echo server: what hyper alone costs on this machine, in this minute.
fn raw_hyper() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let echo = service_fn(|req: Request<Incoming>| async move {
                    let body =
                        req.into_body().collect().await.map(http_body_util::Collected::to_bytes);
                    Ok::<_, Infallible>(Response::new(Full::new(body.unwrap_or_default())))
                });
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), echo)
                        .await,
                );
            });
        }
    });
}

fn start_raw() -> Server {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("--raw-hyper")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { child, address: line.trim().parse().unwrap() }
}

/// The bridge, with one rule: `callSuccessful == WHEN` to a generic webhook at `target`.
struct Bridge {
    server: Server,
    _folder: tempfile::TempDir,
    config: PathBuf,
}

fn configuration(folder: &Path, when: bool, target: SocketAddr) -> PathBuf {
    let config = folder.join("rules.toml");
    let text = format!(
        r#"version = 1
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
max_connections = 4096
[journal]
url = "sqlite:{}"
[sources.replicer]
kind = "replicer"
secret = "{SECRET}"
[destinations.target]
provider = "webhook"
url = "http://{target}/"
concurrency = 64
[[rules]]
name = "all"
on = "call.ended"
when = 'callSuccessful == {when}'
to = ["target"]
template = "won-deal"
"#,
        folder.join("hookbell.db").display()
    );
    std::fs::write(&config, text).unwrap();
    let templates = folder.join("templates");
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(
        templates.join("won-deal.hbs"),
        "Deal won by {{agentName}} with {{default customerName customerPhone}}, {{duration duration}}: {{truncate summary 200}}\n",
    )
    .unwrap();
    config
}

fn start_bridge(when: bool, target: SocketAddr) -> Bridge {
    // Beside the target folder rather than in /tmp, which may be a RAM disk on which an fsync costs nothing.
    let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let config = configuration(folder.path(), when, target);
    Bridge { server: run(&config).0, _folder: folder, config }
}

/// Starts `hookbell run`; says how long it took to be ready.
fn run(config: &Path) -> (Server, Duration) {
    let began = Instant::now();
    let mut child = Command::new(hookbell())
        .args(["run", "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = None;
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "hookbell ended before it was ready");
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let fields = entry.get("fields").unwrap_or(&entry);
        match fields["message"].as_str() {
            Some("accepting events") => {
                address = fields["address"].as_str().map(|a| a.parse().unwrap());
            }
            Some("ready") => break,
            _ => {}
        }
    }
    let took = began.elapsed();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (Server { child, address: address.expect("the log names the address") }, took)
}

// ---------------------------------------------------------------------------------------------------------------
// The load.

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// One signed request with a fresh id and call id, its body exactly [`BODY`] bytes.
fn request(path: &str) -> Vec<u8> {
    let n = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut body = format!(
        r#"{{"id":"evt-bench-{n:012}","event":"call.ended","timestamp":"2026-04-05T14:04:00Z","data":{{"callId":"call-{n:012}","organizationId":"org-1","agentId":"agent-1","agentName":"Sales Agent","customerName":"John Doe","customerPhone":"+1234567890","fromNumber":"+0987654321","direction":"OUTBOUND","status":"completed","duration":240,"disconnectionReason":"agent_hangup","sentiment":"positive","callSuccessful":true,"tokenCost":12.50,"startedAt":"2026-04-05T14:00:00Z","endedAt":"2026-04-05T14:04:00Z","metadata":{{"campaign_id":"summer_2026"}},"summary":"Discussed enterprise pricing. Customer interested in annual plan.","transcript":""#
    );
    while body.len() < BODY - 3 {
        body.push(if body.len() % 9 == 0 { ' ' } else { 'x' });
    }
    body.push_str("\"}}");
    assert_eq!(body.len(), BODY);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let mut signature = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(signature, "{byte:02x}").unwrap();
    }
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Replicer-Signature: {signature}\r\nContent-Length: {BODY}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// One request and its answer on a kept-alive connection.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) {
    stream.write_all(request).await.unwrap();
    buffer.clear();
    loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server closed the connection");
        let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
        assert!(
            text.starts_with("http/1.1 200"),
            "{text}\n{}",
            String::from_utf8_lossy(&buffer[head..])
        );
        let length: usize = text
            .split("content-length: ")
            .nth(1)
            .unwrap()
            .split("\r\n")
            .next()
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        if buffer.len() >= head + 4 + length {
            return;
        }
    }
}

struct Figures {
    per_second: f64,
    cpu_us: f64,
    p50: Duration,
    p99: Duration,
}

/// `requests` requests over `connections` kept-alive connections; the figures are of the server `pid`.
async fn load(
    address: SocketAddr,
    pid: u32,
    path: &'static str,
    connections: u64,
    requests: u64,
) -> Figures {
    let each = requests / connections;
    let (done, mut times) = mpsc::channel(usize::try_from(connections).unwrap());
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    let cpu = cpu_seconds(pid);
    let began = Instant::now();
    for mut stream in streams {
        let done = done.clone();
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(4096);
            let mut took = Vec::with_capacity(usize::try_from(each).unwrap());
            for _ in 0..each {
                let request = request(path);
                let sent = Instant::now();
                exchange(&mut stream, &request, &mut buffer).await;
                took.push(sent.elapsed());
            }
            done.send(took).await.unwrap();
        });
    }
    drop(done);
    let mut all = Vec::new();
    while let Some(took) = times.recv().await {
        all.extend(took);
    }
    let elapsed = began.elapsed().as_secs_f64();
    let spent = cpu_seconds(pid) - cpu;
    all.sort_unstable();
    let count = f64::from(u32::try_from(all.len()).unwrap());
    Figures {
        per_second: count / elapsed,
        cpu_us: spent / count * 1e6,
        p50: all[all.len() / 2],
        p99: all[all.len() * 99 / 100],
    }
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / 100.0 // USER_HZ is 100 on every Linux that Rust runs on.
}

/// User and system time of each thread so far, in seconds, by the thread's name.
fn threads(pid: u32) -> std::collections::BTreeMap<String, (f64, f64)> {
    let mut all = std::collections::BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
        let ticks = |i: usize| {
            f64::from(tail.split_whitespace().nth(i).unwrap().parse::<u32>().unwrap()) / 100.0
        };
        let sum: &mut (f64, f64) = all.entry(name).or_default();
        sum.0 += ticks(11);
        sum.1 += ticks(12);
    }
    all
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How often any thread of a process went to sleep, that is how often it had been woken.
fn wake_ups(pid: u32) -> u64 {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status =
            std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        sum += status
            .lines()
            .filter(|l| l.contains("ctxt_switches:"))
            .map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
            .sum::<u64>();
    }
    sum
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

// ---------------------------------------------------------------------------------------------------------------
// The measures.

fn binary_size() {
    let bytes = std::fs::metadata(hookbell()).unwrap().len();
    println!(
        "binary                       {:.2} MB",
        f64::from(u32::try_from(bytes / 1000).unwrap()) / 1000.0
    );
}

/// Nothing happens: what does that cost?
fn idle(seconds: u64) {
    let bridge = start_bridge(false, "127.0.0.1:9".parse().unwrap());
    let pid = bridge.server.child.id();
    std::thread::sleep(Duration::from_secs(2));
    let (woken, cpu) = (wake_ups(pid), cpu_seconds(pid));
    std::thread::sleep(Duration::from_secs(seconds));
    println!(
        "idle RSS                     {:.1} MB",
        f64::from(u32::try_from(resident_kib(pid)).unwrap()) / 1024.0
    );
    println!(
        "idle wake-ups                {} in {seconds} s, CPU {:.2} s",
        wake_ups(pid) - woken,
        cpu_seconds(pid) - cpu
    );
}

/// A receiver in this process that says when each request arrived.
async fn receiver() -> (SocketAddr, mpsc::Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, arrivals) = mpsc::channel(1 << 20);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let note = service_fn(move |req: Request<Incoming>| {
                    let arrived = arrived.clone();
                    async move {
                        let at = Instant::now();
                        drop(req.into_body().collect().await);
                        arrived.send(at).await.unwrap();
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                    }
                });
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), note)
                        .await,
                );
            });
        }
    });
    (address, arrivals)
}

/// One event at a time on an idle bridge: from the first byte of the POST to its arrival at the receiver.
async fn latency(events: usize) {
    let (target, mut arrivals) = receiver().await;
    let bridge = start_bridge(true, target);
    let mut stream = TcpStream::connect(bridge.server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    let (mut acknowledged, mut arrived) = (Vec::new(), Vec::new());
    for _ in 0..events {
        let request = request("/hooks/replicer");
        let sent = Instant::now();
        exchange(&mut stream, &request, &mut buffer).await;
        acknowledged.push(sent.elapsed().as_secs_f64() * 1e3);
        let at = arrivals.recv().await.unwrap();
        arrived.push(at.duration_since(sent).as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acknowledged.sort_unstable_by(f64::total_cmp);
    arrived.sort_unstable_by(f64::total_cmp);
    let at = |v: &[f64], p: usize| v[(v.len() * p / 100).min(v.len() - 1)];
    println!(
        "one event, idle bridge       acknowledged p50 {:.2} ms p99 {:.2} ms; received p50 {:.2} ms p99 {:.2} ms",
        at(&acknowledged, 50),
        at(&acknowledged, 99),
        at(&arrived, 50),
        at(&arrived, 99)
    );
}

/// Durable accept against raw hyper, rounds alternating.
async fn accept(plan: &Plan, connections: u64) {
    let (mut throughput, mut cpu) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let raw = start_raw();
        let echo = load(raw.address, raw.child.id(), "/", connections, plan.requests).await;
        drop(raw);
        let bridge = start_bridge(false, "127.0.0.1:9".parse().unwrap());
        let ours = load(
            bridge.server.address,
            bridge.server.child.id(),
            "/hooks/replicer",
            connections,
            plan.requests,
        )
        .await;
        eprintln!(
            "  round {round}: raw {:.0}/s {:.1} µs p50 {:?} p99 {:?}; bridge {:.0}/s {:.1} µs p50 {:?} p99 {:?}, RSS {} KiB",
            echo.per_second,
            echo.cpu_us,
            echo.p50,
            echo.p99,
            ours.per_second,
            ours.cpu_us,
            ours.p50,
            ours.p99,
            resident_kib(bridge.server.child.id())
        );
        eprintln!(
            "    CPU seconds (user, system) by thread: {:?}",
            threads(bridge.server.child.id())
        );
        throughput.push(ours.per_second / echo.per_second);
        cpu.push(ours.cpu_us / echo.cpu_us);
    }
    println!(
        "durable accept, {connections:>3} conns    throughput {:.2} × raw hyper, CPU {:.2} × raw hyper",
        median(throughput),
        median(cpu)
    );
}

/// Verify, journal, rules, render, send, settle: the bridge's CPU for each event until the last has arrived.
async fn whole_way(plan: &Plan) {
    let mut cpu = Vec::new();
    for round in 1..=plan.rounds {
        let raw = start_raw();
        let echo = load(raw.address, raw.child.id(), "/", 64, plan.requests).await;
        drop(raw);
        let (target, mut arrivals) = receiver().await;
        let bridge = start_bridge(true, target);
        let pid = bridge.server.child.id();
        let requests = plan.requests / 2 / 64 * 64;
        let before = cpu_seconds(pid);
        let began = Instant::now();
        load(bridge.server.address, pid, "/hooks/replicer", 64, requests).await;
        for _ in 0..requests {
            arrivals.recv().await.unwrap();
        }
        let elapsed = began.elapsed();
        tokio::time::sleep(Duration::from_millis(300)).await; // The last settles.
        let spent = (cpu_seconds(pid) - before) / f64::from(u32::try_from(requests).unwrap()) * 1e6;
        eprintln!(
            "  round {round}: raw {:.1} µs; bridge {spent:.1} µs, {:.0} delivered/s, RSS {} KiB",
            echo.cpu_us,
            f64::from(u32::try_from(requests).unwrap()) / elapsed.as_secs_f64(),
            resident_kib(pid)
        );
        cpu.push(spent / echo.cpu_us);
    }
    println!("whole way                    CPU {:.2} × raw hyper", median(cpu));
}

/// From exec to ready with a million events in the journal and 100,000 notifications still owed, each time after a
/// SIGKILL. The first events come in over HTTP; the million is copied from one of them by SQL, which takes a minute
/// where accepts would take several; then enough come in over HTTP that the log and the keys which must be read at
/// the start are at their longest.
async fn start_with_a_million() {
    let bridge = start_bridge(true, "127.0.0.1:9".parse().unwrap());
    load(bridge.server.address, bridge.server.child.id(), "/hooks/replicer", 1, 1).await;
    let Bridge { server, _folder, config } = bridge;
    drop(server);
    let began = Instant::now();
    fill(&config.with_file_name("hookbell.db")).unwrap();
    eprintln!("  filled in {:.0} s", began.elapsed().as_secs_f64());
    let (server, _) = run(&config);
    load(server.address, server.child.id(), "/hooks/replicer", 64, 16_000).await;
    drop(server);
    let took: Vec<f64> = (0..7)
        .map(|_| {
            let (server, took) = run(&config);
            eprintln!("  ready in {took:?}, RSS {} KiB", resident_kib(server.child.id()));
            drop(server);
            took.as_secs_f64() * 1e3
        })
        .collect();
    println!(
        "start, a million events      first after the load and kill -9 {:.0} ms, median {:.0} ms",
        took[0],
        median(took.clone())
    );
}

/// Copies the one event of a journal a million times, with its notification: a tenth waits for a later attempt, the
/// others are sent.
fn fill(journal: &Path) -> rusqlite::Result<()> {
    let journal = rusqlite::Connection::open(journal)?;
    journal.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;
         BEGIN;
         CREATE TEMP TABLE n AS WITH RECURSIVE c (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000)
             SELECT n FROM c;
         INSERT INTO events (number, source, id, kind, time, received, rules, notifications, keys, body)
             SELECT n, source, id || n, kind, time, received + n, rules, notifications, randomblob(32), body
             FROM n, events WHERE number = 1;
         INSERT INTO dedupe SELECT substr(keys, 1, 16), number FROM events WHERE number > 1 ORDER BY 1;
         INSERT INTO dedupe SELECT substr(keys, 17, 16), number FROM events WHERE number > 1 ORDER BY 1;
         UPDATE meta SET value = 1000000 WHERE key = 'keyed';
         INSERT INTO notifications (id, event_number, rule, destination, template, state, due, created, owed_since,
                 started, settled, attempts)
             SELECT n, n, rule, destination, template, iif(n % 10, 2, 0), iif(n % 10, NULL, created + 3600000000 + n),
                 created, owed_since, created, iif(n % 10, created, NULL), 1
             FROM n, notifications WHERE id = 1;
         INSERT INTO attempts SELECT id, 1, started, started, iif(state, 'sent', 'retry'), NULL, '200 ok', NULL
             FROM notifications WHERE id > 1;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);",
    )
}
