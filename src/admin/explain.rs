//! `/api/events/NUMBER/explain`: a stored event under the rules of its moment, or of this one.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;

use super::{Admin, Answer, bad, no_number, ok, query, unavailable};
use crate::event::Event;
use crate::journal::{EventRow, NotificationFilter, NotificationRow};
use crate::rules::Rules;
use crate::rules::explain::{Ask, Stored, Used};

/// Reads the rules of another moment from what the journal kept of them ([`Rules::text`]); the error says in one line
/// why they can't be read any more.
pub type Past = fn(&str) -> Result<Rules, String>;

impl Admin {
    /// Explains the event `number`; `rules=then` (the default) or `rules=now`, `at` a moment, `rule` only one of them.
    pub(super) async fn explain(&self, number: &str, query: &str) -> Answer {
        let asked = query::explain(query, self.clock.now()).map_err(bad)?;
        let Ok(number) = number.parse() else { return Err(no_number(number, "event")) };
        let found = self.journal.event(number).await.map_err(unavailable)?;
        let none = || (StatusCode::NOT_FOUND, format!("there is no event {number}"));
        let row = found.ok_or_else(none)?;
        let gone =
            |what: &str| (StatusCode::GONE, format!("event {number} can't be explained: {what}"));
        let event = event(&row)
            .ok_or_else(|| gone("its body is older than `journal.keep` and was removed"))?;
        let rules = match asked.used {
            Used::Now => Arc::clone(&self.rules.borrow()),
            Used::Then => self.rules_of(&row.rules).await?.ok_or_else(|| {
                gone("the rules of its moment are not known any more; ask with `rules=now`")
            })?,
        };
        if let Some(only) = &asked.rule
            && !rules.rules.rules.iter().any(|rule| *rule.name == **only)
        {
            return Err(bad(format!(
                "there is no rule \"{}\" among these rules",
                only.escape_debug()
            )));
        }
        let notifications = self.caused(number).await?;
        let ask = Ask {
            at: asked.at.unwrap_or(match asked.used {
                Used::Then => row.received,
                Used::Now => self.clock.now(),
            }),
            only: asked.rule.as_deref(),
            used: asked.used,
            caused: &notifications,
        };
        let mut explanation = rules.explain(&event, ask);
        explanation.stored = Some(Stored {
            number,
            received: row.received,
            duplicates: row.duplicates,
            conflicts: row.conflicts,
            notifications,
        });
        ok(&explanation)
    }

    /// The rules of this version: those of the moment, or what the journal keeps of older ones.
    async fn rules_of(&self, version: &str) -> Result<Option<Arc<Rules>>, (StatusCode, String)> {
        let current = Arc::clone(&self.rules.borrow());
        if *current.version == *version {
            return Ok(Some(current));
        }
        let Some(kept) = self.journal.rules_text(version).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let past = self.past;
        // Compiling a large file takes a while: not on a thread that serves.
        let read = tokio::task::spawn_blocking(move || past(&kept)).await;
        let mut rules = read.unwrap_or_else(|_| Err("reading them failed".to_owned())).map_err(|why| {
            let words = format!(
                "this version of hookbell can't read the rules of that moment ({why}); ask with `rules=now`"
            );
            (StatusCode::UNPROCESSABLE_ENTITY, words)
        })?;
        // Part of a version is that of the program, which may be a newer one by now.
        rules.version = version.into();
        Ok(Some(Arc::new(rules)))
    }

    /// All notifications of the event, in the order of the rules.
    async fn caused(&self, number: i64) -> Result<Vec<NotificationRow>, (StatusCode, String)> {
        let filter =
            NotificationFilter { event_number: Some(number), ..NotificationFilter::default() };
        let mut rows = self.journal.notifications(filter).await.map_err(unavailable)?;
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }
}

/// The event as it was when it was verified; none without its body.
fn event(row: &EventRow) -> Option<Event> {
    let body = row.body.as_ref()?;
    Some(Event {
        source: row.source.as_str().into(),
        id: row.id.clone(),
        kind: row.kind.clone(),
        time: row.time,
        received: row.received,
        body: Bytes::copy_from_slice(body.get().as_bytes()),
    })
}
