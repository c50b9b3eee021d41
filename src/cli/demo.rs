//! `hookbell demo`: the real bridge, on ports of its own and with a journal that is thrown away. The configuration
//! swaps every destination for the inbox, so nothing leaves the machine; everything else is as in `run`: the events
//! are signed and posted over HTTP, and what became of them is read from the admin API.

use std::fs::DirBuilder;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};

use super::client::{Api, Query, read};
use super::sample::{self, Sample};
use super::story::{Notice, Told};
use super::terminal::{FAINT, STRONG};
use super::{
    Answer, Config, Failure, emit, events, notifications, print_json, remark, story, terminal,
};
use crate::app;
use crate::clock::Clock;
use crate::config::{self, Loaded, Secrets};
use crate::journal::{EventRow, InboxMessage, NotificationRow, State};
use crate::rules::Rules;
use crate::rules::source::Source;
use crate::rules::template::Channel;

/// An inbox answers within milliseconds; a message that isn't there by then isn't coming.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the bridge is asked whether it is done: well below what a person notices.
const GLANCE: Duration = Duration::from_millis(5);
/// The same while nothing but a person is waited for.
const LONG_GLANCE: Duration = Duration::from_millis(250);

/// The options of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Serve on until Ctrl-C, for events of your own; messages are shown as they arrive
    #[arg(long)]
    keep_running: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Shows it; yes is the answer if everything arrived.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let path = config.path_or_example();
    let mut loaded = config::load(path, Secrets::StandIns).map_err(Failure::Problems)?;
    let name = path.map_or_else(|| "the built-in example".to_owned(), |p| p.display().to_string());
    if !loaded.warnings.is_empty() {
        let warnings = terminal::count(loaded.warnings.len(), "warning");
        remark(format_args!("{warnings} in {name}: `hookbell check{}`", config.flag()));
    }
    let folder = Folder::new()?;
    confine(&mut loaded, &folder.0);
    let rules = Arc::clone(&loaded.rules);
    let source = source(&rules, &name)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut stop = Stop::listen()?;
        let bridge = app::Bridge::start(loaded, None).await?;
        let demo =
            Demo { rules: &rules, source, events: bridge.events(), api: Api::at(bridge.admin())? };
        // Whatever the answer, and even when a person has seen enough: the bridge ends before its folder goes.
        let answer = demo.until(&mut stop, config, args, &name).await;
        bridge.stop().await;
        answer
    })
}

/// Ports of its own on loopback, and a journal in `folder`.
fn confine(loaded: &mut Loaded, folder: &Path) {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = &mut loaded.settings;
    settings.server.listen = anywhere;
    settings.server.admin = anywhere;
    settings.server.admin_token = None;
    settings.journal.url = format!("sqlite:{}", folder.join("demo.db").display());
}

/// The source that the samples come from.
fn source<'r>(rules: &'r Rules, name: &str) -> Result<&'r Source, Failure> {
    let mut sources = rules.sources.iter();
    sources.find(|s| s.definition.name == sample::KIND).ok_or_else(|| {
        let kind = sample::KIND;
        Failure::No(anyhow!(
            "{name} has no source of kind \"{kind}\", and the sample events are of that kind"
        ))
    })
}

/// A running demo.
struct Demo<'r> {
    rules: &'r Rules,
    source: &'r Source,
    events: SocketAddr,
    api: Api,
}

#[derive(Deserialize)]
struct Inbox {
    messages: Vec<InboxMessage>,
}

impl Demo<'_> {
    /// The whole demo, or as much of it as there is time for. Ctrl-C is how a demo that keeps running ends well.
    async fn until(
        &self,
        stop: &mut Stop,
        config: &Config,
        args: &Args,
        name: &str,
    ) -> Result<Answer, Failure> {
        let answer = tokio::select! {
            answer = self.samples(config, args, name) => answer?,
            () = stop.asked() => return Ok(Answer::No),
        };
        if args.keep_running {
            tokio::select! {
                ended = self.keep_running(config, args) => ended?,
                () = stop.asked() => {}
            }
        }
        Ok(answer)
    }

    async fn samples(&self, config: &Config, args: &Args, name: &str) -> Result<Answer, Failure> {
        if !args.json {
            let mut out = anstream::stdout();
            writeln!(out, "{STRONG}hookbell demo{STRONG:#}: the real bridge with {name}")?;
            writeln!(
                out,
                "{FAINT}every destination is swapped for an inbox: nothing leaves this machine{FAINT:#}"
            )?;
        }
        let mut told = Vec::new();
        for (i, sample) in sample::CALLS.iter().enumerate() {
            let one = self.tell(sample).await?;
            if !args.json {
                one.print(&mut anstream::stdout(), i + 1)?;
            }
            told.push(one);
        }
        let well =
            told.iter().all(|t| t.status == 200 && t.notices.iter().all(Notice::settled_well));
        if args.json {
            print_json(&self.json(&told, well))?;
        } else {
            let mut out = anstream::stdout();
            writeln!(out, "\n{STRONG}{}{STRONG:#}", story::summary(&told))?;
            next_steps(&mut out, config)?;
        }
        Ok(Answer::yes_if(well))
    }

    /// Posts a sample, waits until all that it owes is settled, and collects what came.
    async fn tell(&self, sample: &Sample) -> Result<Told, Failure> {
        #[derive(Deserialize)]
        struct Envelope {
            id: String,
            event: String,
        }
        let envelope: Envelope = serde_json::from_str(sample.text).context("a sample event")?;
        let posted = Clock::system().now();
        let began = Instant::now();
        let event = emit::Event { body: sample.text.into(), kind: None, key: None };
        let reply = emit::post(&self.hook(), self.source, event).await?;
        let durable = began.elapsed();
        let reply = reply.map_err(|why| anyhow!("the demo's own bridge does not answer: {why}"))?;
        let mut told = Told {
            title: sample.title,
            id: envelope.id,
            kind: envelope.event,
            status: reply.status,
            durable,
            unknown: Vec::new(),
            notices: Vec::new(),
        };
        if reply.status != 200 {
            return Ok(told);
        }
        let event = self.event(&told.id).await?;
        let rows = self.settled(event.number).await?;
        let messages = self.inbox().await?;
        for row in rows {
            told.notices.push(self.notice(row, &messages, Some(posted)).await?);
        }
        told.unknown = event.unknown;
        Ok(told)
    }

    async fn event(&self, id: &str) -> Result<EventRow, Failure> {
        let mut query = Query::default();
        query.add("source", Some(&self.source.name));
        query.add("id", Some(id));
        let rows: Vec<EventRow> = self.api.rows(events::LIST, &query).await?;
        let first = rows.into_iter().next();
        Ok(first.with_context(|| format!("event {id} was taken but isn't in the journal"))?)
    }

    /// The notifications of an event, in the order of the rules, when none of them waits any more or [`PATIENCE`] is
    /// over. They were committed with the event, so there are no others to come.
    async fn settled(&self, event: i64) -> Result<Vec<NotificationRow>, Failure> {
        let mut query = Query::default();
        query.add("event_number", Some(event));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut rows: Vec<NotificationRow> = self.api.rows(notifications::LIST, &query).await?;
            let waiting = rows.iter().any(|r| matches!(r.state, State::Due | State::Sending));
            if !waiting || Instant::now() > deadline {
                rows.sort_by_key(|row| row.id);
                return Ok(rows);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn inbox(&self) -> Result<Vec<InboxMessage>, Failure> {
        let inbox = self.api.one("/api/inbox").await?;
        let inbox = inbox.context("the demo's own bridge has no inbox")?;
        Ok(read::<Inbox>(inbox.get())?.messages)
    }

    async fn notice(
        &self,
        row: NotificationRow,
        messages: &[InboxMessage],
        posted: Option<Timestamp>,
    ) -> Result<Notice, Failure> {
        let message = messages.iter().find(|m| m.notification == row.id).cloned();
        let whole = self.api.one(&format!("{}/{}", notifications::LIST.0, row.id)).await?;
        let history = match whole {
            Some(whole) => read::<NotificationRow>(whole.get())?.history,
            None => Vec::new(),
        };
        let took = posted.zip(message.as_ref()).map(|(posted, m)| m.at.duration_since(posted));
        let destination = self.rules.destination(&row.destination);
        Ok(Notice {
            rule: row.rule,
            provider: destination.map_or_else(|| "gone".to_owned(), |d| d.provider.to_string()),
            channel: destination.map_or(Channel::Text, |d| d.channel),
            destination: row.destination,
            recipient: row.recipient,
            state: row.state,
            reason: row.reason,
            fallback: history.into_iter().rev().find_map(|attempt| attempt.fallback_text),
            message,
            took: took.map(|took| took.try_into().unwrap_or_default()),
        })
    }

    /// Where events are posted to.
    fn hook(&self) -> String {
        format!("http://{}/hooks/{}", self.events, self.source.name)
    }

    fn json(&self, told: &[Told], well: bool) -> serde_json::Value {
        json!({
            "url": self.hook(),
            "admin": self.api.base(),
            "arrived": told.iter().flat_map(|t| &t.notices).filter(|n| n.arrived()).count(),
            "well": well,
            "events": told.iter().map(Told::json).collect::<Vec<_>>(),
        })
    }

    /// Shows messages as they arrive; ends only when it is dropped.
    async fn keep_running(&self, config: &Config, args: &Args) -> Result<(), Failure> {
        let flag = config.flag();
        if !args.json {
            let mut out = anstream::stdout();
            let (hook, admin) = (self.hook(), self.api.base());
            writeln!(out, "\n{STRONG}it runs on until Ctrl-C{STRONG:#}")?;
            writeln!(out, "  events     {hook}")?;
            writeln!(out, "  admin      {admin}")?;
            writeln!(out, "  post one   hookbell emit --demo --to {hook}{flag}")?;
            writeln!(out, "  look back  hookbell notifications --admin {admin}")?;
        }
        let mut seen = self.inbox().await?.iter().map(|m| m.notification).max().unwrap_or(0);
        let mut ticks = tokio::time::interval(LONG_GLANCE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut messages = self.inbox().await?;
            messages.retain(|m| m.notification > seen);
            messages.sort_by_key(|m| m.notification);
            for message in &messages {
                seen = message.notification;
                if !args.json {
                    self.show(message).await?;
                }
            }
        }
    }

    async fn show(&self, message: &InboxMessage) -> Result<(), Failure> {
        let path = format!("{}/{}", notifications::LIST.0, message.notification);
        let Some(row) = self.api.one(&path).await? else { return Ok(()) };
        let mut row: NotificationRow = read(row.get())?;
        // The inbox has the message a moment before the notification is settled.
        row.state = State::Sent;
        let event = terminal::line(&format!("{} {}", row.kind, row.event));
        let notice = self.notice(row, std::slice::from_ref(message), None).await?;
        let mut out = anstream::stdout();
        writeln!(out, "\n   {FAINT}{event}{FAINT:#}")?;
        story::print_notice(&mut out, &notice)?;
        Ok(())
    }
}

fn next_steps(out: &mut impl Write, config: &Config) -> std::io::Result<()> {
    let flag = config.flag();
    writeln!(out, "\nnext:")?;
    if config.path_or_example().is_none() {
        writeln!(
            out,
            "  hookbell init     write these rules and templates into this folder, to change them"
        )?;
    }
    writeln!(out, "  hookbell check{flag}    find everything that is wrong with them, at once")?;
    writeln!(out, "  hookbell run{flag}      serve them for real")
}

/// A folder for the demo's journal, readable by nobody else, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("hookbell-demo-{:032x}", fastrand::u128(..)));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| {
            format!("can't make a folder for the demo's journal: {}", path.display())
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            remark(format_args!("{} could not be removed: {error}", self.0.display()));
        }
    }
}

/// Ctrl-C or SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_stays_on_loopback_and_out_of_the_real_journal() {
        let mut loaded = config::load(None, Secrets::StandIns).unwrap();
        let folder = Folder::new().unwrap();
        confine(&mut loaded, &folder.0);
        let server = &loaded.settings.server;
        for address in [server.listen, server.admin] {
            assert!(address.ip().is_loopback() && address.port() == 0);
        }
        assert!(loaded.settings.journal.url.contains(folder.0.to_str().unwrap()));
    }

    #[test]
    fn the_folder_is_private_and_gone_in_the_end() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new().unwrap();
        let path = folder.0.clone();
        std::fs::write(path.join("demo.db"), "x").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_samples_have_a_source_in_the_example() {
        let loaded = config::load(None, Secrets::StandIns).unwrap();
        assert_eq!(&*source(&loaded.rules, "x").unwrap().name, "replicer");
        let none = Rules { sources: Vec::new(), ..Arc::try_unwrap(loaded.rules).unwrap() };
        let Err(Failure::No(why)) = source(&none, "mine.toml") else { panic!() };
        assert!(why.to_string().contains("mine.toml"), "{why}");
    }

    #[test]
    fn the_next_steps_begin_with_what_is_missing() {
        let mut out = Vec::new();
        next_steps(&mut out, &Config(Some("x.toml".into()))).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("init") && text.contains("hookbell run --config x.toml"), "{text}");
    }
}
