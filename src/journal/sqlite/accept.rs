//! Taking in events: is it new, and what it owes. Also the built-in inbox.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::super::{Accepted, DedupeKey, Duplicate, InboxMessage, NewEvent, State, UnknownRow};
use super::schema::code;
use super::store::{Store, micros, rows};
use crate::rules::{Decision, Plan};

/// The kind of the key that each event has: its source and id.
pub(super) const ID: &str = "id";
/// Messages that the inbox keeps.
const INBOX: i64 = 1_000;

impl Store {
    /// Stores an event with its keys and all that it owes, unless it is known.
    pub(super) fn accept(&mut self, new: &NewEvent) -> rusqlite::Result<Accepted> {
        let event = &new.event;
        let id_key = DedupeKey::new(&event.source, ID, &event.id);
        if let Some(number) = self.event_of(id_key)? {
            let same = self.has_body(number, &event.body)?;
            return self.repeated(number, if same { Duplicate::Same } else { Duplicate::Conflict });
        }
        let mut keys = id_key.0.to_vec();
        for key in &new.natural_keys {
            if let Some(number) = self.event_of(*key)? {
                return self.repeated(number, Duplicate::NaturalKey);
            }
            if !keys.as_chunks().0.contains(&key.0) {
                keys.extend_from_slice(&key.0);
            }
        }
        let number = self.next_event;
        self.insert_event(new, number, &keys)?;
        self.add_keys(&keys, number)?;
        self.next_event += 1;
        self.count_event();
        self.insert_owed(number, &new.decision)?;
        Ok(Accepted { number, duplicate: None })
    }

    /// Whether the event of this number came with this body.
    fn has_body(&self, number: i64, body: &[u8]) -> rusqlite::Result<bool> {
        let same = self
            .connection()
            .prepare_cached(
                "SELECT coalesce(body = ?2, digest = ?3, 1) FROM events WHERE number = ?1",
            )?
            .query_row(params![number, body, digest(body)], |row| row.get(0))
            .optional()?;
        Ok(same.unwrap_or(true))
    }

    fn repeated(&self, number: i64, duplicate: Duplicate) -> rusqlite::Result<Accepted> {
        self.execute(
            match duplicate {
                Duplicate::Conflict => {
                    "UPDATE events SET conflicts = conflicts + 1, last_duplicate = ?2 WHERE number = ?1"
                }
                Duplicate::Same | Duplicate::NaturalKey => {
                    "UPDATE events SET duplicates = duplicates + 1, last_duplicate = ?2 WHERE number = ?1"
                }
            },
            [number, self.now()],
        )?;
        Ok(Accepted { number, duplicate: Some(duplicate) })
    }

    fn insert_event(&mut self, new: &NewEvent, number: i64, keys: &[u8]) -> rusqlite::Result<()> {
        let event = &new.event;
        self.note_source(&event.source)?;
        let rules = self.ruleset(&new.rules)?;
        self.execute(
            "INSERT INTO events (number, source, id, kind, time, received, rules, notifications, unknown, keys, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                number,
                &*event.source,
                event.id,
                event.kind,
                event.time.map(micros),
                micros(event.received),
                rules,
                rows(new.decision.owed.len()),
                unknown(&new.decision),
                keys,
                &event.body[..],
            ],
        )
    }

    fn insert_owed(&mut self, event: i64, decision: &Decision) -> rusqlite::Result<()> {
        let now = self.now();
        for owed in &decision.owed {
            let (state, due, settled, reason) = match owed.plan {
                Plan::Send => (State::Due, Some(now), None, None),
                Plan::Shadow => (State::Shadow, None, Some(now), Some("the rule is a shadow")),
            };
            self.execute(
                "INSERT INTO notifications (id, event_number, rule, destination, recipient, template, state, due, \
                 created, owed_since, settled, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11)",
                params![
                    self.next_notification,
                    event,
                    &*owed.rule,
                    &*owed.destination,
                    owed.recipient.as_deref(),
                    owed.template.as_deref(),
                    code(state),
                    due,
                    now,
                    settled,
                    reason,
                ],
            )?;
            self.next_notification += 1;
            if state == State::Due {
                self.wake(&Arc::clone(&owed.destination));
            }
        }
        Ok(())
    }

    /// Keeps a message in the inbox and drops the oldest past its limit.
    pub(super) fn keep_in_inbox(&mut self, m: &InboxMessage) -> rusqlite::Result<()> {
        let id = self
            .connection()
            .prepare_cached(
                "INSERT INTO inbox (notification, destination, provider, rule, recipient, subject, text, html, at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .insert(params![
                m.notification,
                m.destination,
                m.provider,
                m.rule,
                m.recipient,
                m.subject,
                m.text,
                m.html,
                micros(m.at),
            ])?;
        self.execute("DELETE FROM inbox WHERE id <= ?1", [id - INBOX])
    }
}

/// What stands for a body that retention removed.
pub(super) fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

fn unknown(decision: &Decision) -> Option<String> {
    if decision.unknown.is_empty() {
        return None;
    }
    let named: Vec<UnknownRow> = decision
        .unknown
        .iter()
        .map(|u| UnknownRow {
            rule: u.rule.to_string(),
            fields: u.fields.iter().map(ToString::to_string).collect(),
        })
        .collect();
    serde_json::to_string(&named).ok()
}
