//! The wiring: starts the bridge, reloads its rules, drains it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, Guard, OnRetry};
use crate::clock::Clock;
use crate::config::{self, Loaded, Secrets, Server, Settings};
use crate::http::{Limits, Listener};
use crate::journal::Journal;
use crate::pipeline::deliver::{Delivery, Lanes};
use crate::pipeline::ingest::{self, Ingest};
use crate::pipeline::send::Sender;
use crate::rules::Rules;
use crate::telemetry::{self, Metrics};

/// More threads than this only cost memory: the work is waiting for disk and network.
const THREADS: usize = 4;
/// Connections that the admin listener serves at once.
const ADMIN_CONNECTIONS: usize = 64;
/// How long writing down may take which attempts the end of the grace period cut off. Without it the next start finds
/// them interrupted, which is no loss.
const HAND_BACK: Duration = Duration::from_secs(1);
/// Retention looks at the clock this often while something will be old enough: the clock may have been set.
const LOOK: Duration = Duration::from_secs(3600);

/// Serves until a signal ends it; the `run` command.
///
/// # Errors
///
/// What kept it from starting, or what made it stop although nobody asked.
pub fn run(loaded: Loaded, config: Option<PathBuf>) -> anyhow::Result<()> {
    telemetry::start(None).map_err(anyhow::Error::msg)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    for warning in &loaded.warnings {
        tracing::warn!(problem = %warning, "the configuration has a weak point");
    }
    if loaded.settings.reload.needs_tests {
        for test in failed(&loaded) {
            tracing::warn!(
                test,
                "a test fails: after a reload this configuration would be refused"
            );
        }
    }
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let bridge = Bridge::start(loaded, config).await?;
        bridge.introduce();
        bridge.serve(&mut signals).await
    })
}

/// A running bridge.
#[derive(Debug)]
pub struct Bridge {
    events: SocketAddr,
    admin: SocketAddr,
    settings: Settings,
    config: Option<PathBuf>,
    rules: watch::Sender<Arc<Rules>>,
    journal: Journal,
    lanes: Arc<Lanes>,
    /// Closes the public listener: no new events.
    stop_events: CancellationToken,
    /// Closes the rest: the admin listener and retention.
    stop_rest: CancellationToken,
    /// Something broke that must end the process.
    broken: CancellationToken,
    public: TaskTracker,
    rest: TaskTracker,
}

impl Bridge {
    /// Binds both listeners, opens the journal, starts the lanes, and serves.
    ///
    /// # Errors
    ///
    /// An address is taken, the journal can't be opened, TLS can't be set up; each message names the thing.
    pub async fn start(loaded: Loaded, config: Option<PathBuf>) -> anyhow::Result<Self> {
        let Loaded { settings, rules, .. } = loaded;
        let server = &settings.server;
        if !server.admin.ip().is_loopback() && server.admin_token.is_none() {
            bail!("the admin listener on {} needs `server.admin_token`", server.admin);
        }
        let public = Listener::bind(server.listen).await?;
        let private = Listener::bind(server.admin).await?;
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::default());
        let sender = Sender::new(clock.clone())?;
        let journal = Journal::open(&settings.journal, clock.clone()).await?;
        journal.on_commit({
            let metrics = Arc::clone(&metrics);
            move |commit| metrics.commit(commit.elapsed, commit.events)
        });
        let (swap, current) = watch::channel(rules);
        let broken = CancellationToken::new();
        let lanes = Arc::new(Lanes::new(
            Delivery {
                journal: journal.clone(),
                rules: current.clone(),
                sender,
                clock: clock.clone(),
                metrics: Arc::clone(&metrics),
            },
            broken.clone(),
        ));
        let bridge = Self {
            events: public.local_addr(),
            admin: private.local_addr(),
            config,
            rules: swap,
            journal,
            lanes,
            stop_events: CancellationToken::new(),
            stop_rest: CancellationToken::new(),
            broken,
            public: TaskTracker::new(),
            rest: TaskTracker::new(),
            settings,
        };
        bridge.adopt_rules().await?;
        bridge.serve_events(public, current.clone(), &clock, &metrics);
        bridge.serve_admin(private, current, &clock, &metrics);
        let retention = retain(bridge.journal.clone(), clock, bridge.stop_rest.clone());
        bridge.rest.spawn(never_silent(bridge.broken.clone(), retention));
        Ok(bridge)
    }

    /// Where events come in.
    pub fn events(&self) -> SocketAddr {
        self.events
    }

    /// Where it is looked at.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Stops accepting, finishes requests, stops claiming, finishes attempts within the grace period, closes the
    /// journal. What is left comes back after the next start.
    pub async fn stop(self) {
        let grace = self.settings.server.grace;
        self.stop_events.cancel();
        self.public.close();
        // Lanes stop claiming at once; both take as long as what is under way, within one grace period.
        let drained = timeout(grace, async {
            tokio::join!(self.public.wait(), self.lanes.drain());
        });
        if drained.await.is_err() {
            tracing::warn!(
                lanes = self.lanes.busy(),
                "the grace period is over: attempts under way will be made again after the next start"
            );
            self.lanes.hand_back(HAND_BACK).await;
        }
        self.stop_rest.cancel();
        self.rest.close();
        // The admin listener's own grace; it answers within milliseconds or not at all.
        let _ = timeout(Duration::from_secs(1), self.rest.wait()).await;
        self.journal.close().await;
    }

    /// The log's first word on what runs here.
    fn introduce(&self) {
        let rules = self.rules.borrow();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            configuration = &*rules.version,
            rules = rules.rules.rules.len(),
            destinations = rules.destinations.len(),
            sources = rules.sources.len(),
            "ready"
        );
    }

    async fn serve(self, signals: &mut Signals) -> anyhow::Result<()> {
        let failure = loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => self.reload().await,
                    Asked::Stop => break None,
                },
                error = self.journal.failed() => break Some(anyhow::Error::new(error)),
                () = self.broken.cancelled() => {
                    break Some(anyhow::anyhow!("a task ended unexpectedly; the log says which"));
                }
            }
        };
        tracing::info!("stopping: finishing what is under way");
        tokio::select! {
            () = self.stop() => {}
            () = signals.stop() => {
                tracing::warn!("asked a second time: ending at once");
                // Nothing acknowledged is lost: the journal is on disk, and recovery takes up what was under way.
                std::process::exit(1);
            }
        }
        match failure {
            None => {
                tracing::info!("stopped");
                Ok(())
            }
            Some(error) => {
                tracing::error!(error = %error, "stopped by a failure");
                Err(error)
            }
        }
    }

    /// Takes the configuration as it is on disk now, if it is sound; else says why not and keeps the old one.
    async fn reload(&self) {
        let Some(path) = &self.config else { return };
        let (loaded, failed) = match read(path).await {
            Ok(read) => read,
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(problem = %problem, "the new configuration has a problem");
                }
                tracing::error!("reload failed: the old rules stay");
                return;
            }
        };
        for warning in &loaded.warnings {
            tracing::warn!(problem = %warning, "the configuration has a weak point");
        }
        if loaded.settings.reload.needs_tests && !failed.is_empty() {
            for test in &failed {
                tracing::error!(
                    test,
                    "a test of the new configuration fails; `hookbell test` says how"
                );
            }
            tracing::error!("reload failed: `reload.needs_tests` is set, so the old rules stay");
            return;
        }
        let restart = self.settings.needs_restart(&loaded.settings);
        if !restart.is_empty() {
            tracing::warn!(keys = restart.join(", "), "these changed keys need a restart");
        }
        let before = self.rules.send_replace(loaded.rules);
        if let Err(error) = self.adopt_rules().await {
            // Without their text in the journal, events could not be explained later.
            self.rules.send_replace(before);
            self.lanes.follow_rules();
            tracing::error!(error = %error, "reload failed: the old rules stay");
            return;
        }
        tracing::info!(rules = &*self.rules.borrow().version, "reloaded");
    }

    /// Writes down the rules of the moment, starts and stops lanes, and gives up what nobody can send any more.
    async fn adopt_rules(&self) -> anyhow::Result<()> {
        let rules = Arc::clone(&self.rules.borrow());
        self.journal.remember_rules(&rules.version, &rules.text).await?;
        self.lanes.follow_rules();
        let names: Vec<_> = rules.destinations.iter().map(|d| Arc::clone(&d.name)).collect();
        let orphaned = self.journal.orphan(&names).await?;
        if orphaned > 0 {
            tracing::warn!(
                notifications = orphaned,
                "gave up what waited for destinations that are no longer configured"
            );
        }
        Ok(())
    }

    fn serve_events(
        &self,
        listener: Listener,
        rules: watch::Receiver<Arc<Rules>>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) {
        let server = &self.settings.server;
        let ingest = Arc::new(Ingest::new(
            rules,
            self.journal.clone(),
            Arc::clone(metrics),
            clock.clone(),
            ingest::Limits { max_body: server.max_body, body_timeout: server.body_timeout },
        ));
        let limits = limits(server, server.max_connections);
        let service = move |request| {
            let ingest = Arc::clone(&ingest);
            async move { ingest.answer(request).await }
        };
        tracing::info!(address = %self.events, "accepting events");
        let serving = listener.serve(limits, service, self.stop_events.clone());
        self.public.spawn(never_silent(self.broken.clone(), serving));
    }

    fn serve_admin(
        &self,
        listener: Listener,
        rules: watch::Receiver<Arc<Rules>>,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) {
        let server = &self.settings.server;
        let guard = Guard::new(server.admin_hosts.clone(), server.admin_token.clone());
        let admin = Arc::new(Admin::new(
            self.journal.clone(),
            rules,
            Arc::clone(metrics),
            clock.clone(),
            guard,
            past,
            OnRetry::new({
                let lanes = Arc::clone(&self.lanes);
                move |destination| lanes.resume(destination)
            }),
        ));
        let service = move |request| {
            let admin = Arc::clone(&admin);
            async move { admin.answer(request).await }
        };
        tracing::info!(address = %self.admin, "admin listening");
        let limits = limits(server, ADMIN_CONNECTIONS);
        let serving = listener.serve(limits, service, self.stop_rest.clone());
        self.rest.spawn(never_silent(self.broken.clone(), serving));
    }
}

/// The rules of another moment, for explaining what they decided.
fn past(kept: &str) -> Result<Rules, String> {
    config::load_kept(kept, None).map_err(|problems| {
        let first = problems.iter().find(|problem| problem.is_error());
        first.map_or_else(String::new, ToString::to_string)
    })
}

/// Runs `task`; if it panics, the process stops. A bridge that no longer listens must not look alive.
async fn never_silent(broken: CancellationToken, task: impl Future<Output = ()>) {
    let alarm = broken.drop_guard();
    task.await;
    alarm.disarm();
}

fn limits(server: &Server, max_connections: usize) -> Limits {
    Limits {
        max_head: server.max_head,
        head_timeout: server.head_timeout,
        max_connections,
        grace: server.grace,
    }
}

/// Reads the configuration off the async threads: it is disk work. If it asks for its tests, they are run; what comes
/// beside it are those that fail or can't be run.
async fn read(path: &Path) -> Result<(Loaded, Vec<String>), Vec<config::Problem>> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let loaded = config::load(Some(&path), Secrets::Required)?;
        let failed = if loaded.settings.reload.needs_tests { failed(&loaded) } else { Vec::new() };
        Ok((loaded, failed))
    });
    reading.await.unwrap_or_else(|_| Err(Vec::new()))
}

/// The tests that fail, by name, and what is wrong with those that can't be run.
fn failed(loaded: &Loaded) -> Vec<String> {
    let broken = loaded.trials.problems.iter().filter(|p| p.is_error()).map(ToString::to_string);
    let cases = loaded.trials.cases.iter();
    let failed = cases.filter(|case| !loaded.rules.try_out(case).is_empty());
    broken.chain(failed.map(|case| case.name.clone())).collect()
}

/// Removes what is older than the journal keeps, a little at a time. It sleeps until something will be old enough.
async fn retain(journal: Journal, clock: Clock, stop: CancellationToken) {
    loop {
        let pause = match journal.sweep().await {
            Ok(swept) if swept.more => Duration::from_millis(50),
            Ok(swept) => match swept.next {
                Some(next) => clock.until(next).clamp(Duration::from_secs(1), LOOK),
                // Nothing is stored: what comes in now is kept for a while.
                None => LOOK,
            },
            Err(error) => {
                tracing::warn!(error = %error, "old events can't be removed now");
                LOOK
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// What a signal asks for.
enum Asked {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("can't listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Resolves when asked to stop.
    async fn stop(&mut self) {
        while !matches!(self.next().await, Asked::Stop) {}
    }
}
